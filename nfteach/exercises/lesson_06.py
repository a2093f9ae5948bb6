"""Lesson 06, RealNVP coupling: forward, inverse, log-determinant, the blocks of the Jacobian, a layer of these."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from nfteach.exercises.autograd import jacobian, log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.running import pair
from nfteach.exercises.texts import text

__all__ = ["blocks", "forward", "inverse", "log_det", "own_layer"]

Network = Callable[[Tensor], Tensor]


def _network(generator: torch.Generator, inputs: int, outputs: int) -> Network:
    """Draw a smooth function from (..., inputs) to (..., outputs), between -2 and 2, of either sign.

    Handed x_B in place of x_A, which may be longer or shorter, it returns one number, which fits wherever it is
    put: so this mistake runs to its end, and is recognised.
    """
    weight, bias = draw(generator, inputs, outputs), draw(generator, outputs)

    def network(part: Tensor) -> Tensor:
        width = part.shape[-1]
        if width not in (inputs, outputs):
            raise ValueError(f"this network takes {inputs} numbers, those that pass (x_A), but was handed {width}")
        if width != inputs:
            return 2 * torch.sin(part.sum(-1, keepdim=True) + bias[0].to(part))
        return 2 * torch.sin(part @ weight.to(part) + bias.to(part))

    return network


def _mask(generator: torch.Generator, D: int) -> Tensor:
    """Draw (D,) boolean with both kinds, and the dimensions that pass not all in front."""
    while True:
        mask = torch.rand(D, generator=generator) < 0.5
        if 0 < mask.sum() < D and not mask[: int(mask.sum())].all():
            return mask


def _coupling(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network, Network]:
    """Draw x (4, D), (D,) or (2, 3, D), a mask (D,), s and t, with D = 3, 4, 5, ..."""
    D, batch = 3 + index, ((4,), (), (2, 3))[index % 3]
    mask = _mask(generator, D)
    passing = int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    return 1.5 * draw(generator, *batch, D), mask, s, t


def _entry_by_entry(x: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Compute one output after the other, T_i(x_A, x_i) of equation 3."""
    passing = torch.stack([x[..., i] for i in range(len(mask)) if mask[i]], -1)
    terms = zip(s(passing).unbind(-1), t(passing).unbind(-1), strict=True)
    outputs = []
    for x_i, passes in zip(x.unbind(-1), mask.tolist(), strict=True):
        if passes:
            outputs.append(x_i)
        else:
            s_i, t_i = next(terms)
            outputs.append(x_i * math.e**s_i + t_i)
    return torch.stack(outputs, -1)


def _part(x: Tensor, where: Tensor, new: Tensor) -> Tensor:
    """Return x with other numbers at those places."""
    y = x.clone()
    y[..., where] = new
    return y


# ---- 6.1 ---------------------------------------------------------------------------------------------------------


def coupling_forward(x, mask, s, t):
    x_a, x_b = x[..., mask], x[..., ~mask]
    y = x.clone()
    y[..., ~mask] = x_b * torch.exp(s(x_a)) + t(x_a)
    return y


forward = Exercise(
    **text("6.1"),
    keeps=("x",),
    returns=("y",),
    cases=_coupling,
    truth=_entry_by_entry,
    answer=coupling_forward,
)


# ---- 6.2 ---------------------------------------------------------------------------------------------------------


def _inverse_by_two_points(y: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Find the straight line that each changed output is in its own input, from two points, then solve."""
    at_0, at_1 = (_entry_by_entry(_part(y, ~mask, torch.tensor(v).double()), mask, s, t) for v in (0.0, 1.0))
    return torch.where(mask, y, (y - at_0) / torch.where(mask, 1.0, at_1 - at_0))


def coupling_inverse(y, mask, s, t):
    y_a, y_b = y[..., mask], y[..., ~mask]
    x = y.clone()
    x[..., ~mask] = (y_b - t(y_a)) * torch.exp(-s(y_a))
    return x


inverse = Exercise(
    **text("6.2"),
    returns=("x",),
    cases=_coupling,
    truth=_inverse_by_two_points,
    answer=coupling_inverse,
)


# ---- 6.3 ---------------------------------------------------------------------------------------------------------


def _log_det_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network]:
    return _coupling(generator, index)[:3]


def _log_det_by_autograd(x: Tensor, mask: Tensor, s: Network) -> Tensor:
    # Any t will do: the determinant does not see it.
    layer = partial(_entry_by_entry, mask=mask, s=s, t=s)
    return log_abs_det_jacobian(layer, x.reshape(-1, len(mask))).reshape(x.shape[:-1])


def coupling_log_det(x, mask, s):
    return s(x[..., mask]).sum(-1)


log_det = Exercise(
    **text("6.3"),
    returns=("log|det J|",),
    cases=_log_det_case,
    truth=_log_det_by_autograd,
    answer=coupling_log_det,
)


# ---- 6.4 ---------------------------------------------------------------------------------------------------------


def _blocks_case(generator: torch.Generator, index: int) -> tuple[Tensor]:
    return (_mask(generator, 3 + index),)


def _blocks_by_autograd(mask: Tensor) -> Tensor:
    """Compare the Jacobian of a wild layer at some points, and at the same points with x_B pushed."""
    generator, D, passing = torch.Generator().manual_seed(0), len(mask), int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    x = draw(generator, 5, D)
    x[1:3, mask] = x[0, mask]
    J = jacobian(partial(_entry_by_entry, mask=mask, s=s, t=t), x)
    by_x_b = (J[1:3] - J[0]).abs().amax(0) > 1e-9
    table = torch.where(by_x_b, 2, 3)
    table[(J == 1).all(0)] = 1
    table[(J == 0).all(0)] = 0
    return table


def place_blocks(mask):
    D = len(mask)
    table = torch.zeros(D, D, dtype=torch.long)
    for i in range(D):
        if mask[i]:
            table[i, i] = 1
        else:
            table[i, mask] = 2
            table[i, i] = 3
    return table


blocks = Exercise(
    **text("6.4"),
    returns=("table",),
    cases=_blocks_case,
    truth=_blocks_by_autograd,
    answer=place_blocks,
)


# ---- 6.5 ---------------------------------------------------------------------------------------------------------


class _Module(nn.Module):
    """A function as a module, as the lesson's networks are."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.__name__ = network, "network"  # the name in messages

    def forward(self, part: Tensor) -> Tensor:
        return self.network(part)


def _both_directions(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, nn.Module, nn.Module]:
    """Draw z and x of the same shape, which do not belong to each other, and a layer."""
    z, mask, s, t = _coupling(generator, index)
    return z, 1.5 * draw(generator, *z.shape), mask, _Module(s), _Module(t)


def _use(Layer: type, z: Tensor, x: Tensor, mask: Tensor, s: nn.Module, t: nn.Module) -> tuple[Tensor, ...]:
    layer = Layer(mask, s, t)
    there = pair("forward", layer(z), "x", "log|det dx/dz|")
    return *there, *pair("inverse", layer.inverse(x), "z", "log|det dz/dx|")


def _both_by_autograd(z: Tensor, x: Tensor, mask: Tensor, s: nn.Module, t: nn.Module) -> tuple[Tensor, ...]:
    before = _inverse_by_two_points(x, mask, s, t)
    return (
        _entry_by_entry(z, mask, s, t),
        _log_det_by_autograd(z, mask, s),
        before,
        -_log_det_by_autograd(before, mask, s),
    )


class MyCoupling(torch.nn.Module):
    def __init__(self, mask, s, t):
        super().__init__()
        self.mask, self.s, self.t = mask, s, t

    def forward(self, z):
        x = coupling_forward(z, self.mask, self.s, self.t)
        return x, coupling_log_det(z, self.mask, self.s)

    def inverse(self, x):
        z = coupling_inverse(x, self.mask, self.s, self.t)
        return z, -coupling_log_det(z, self.mask, self.s)


own_layer = Exercise(
    **text("6.5"),
    arguments=("z", "x", "mask", "s", "t"),
    returns=("forward's x", "forward's log-det", "inverse's z", "inverse's log-det"),
    cases=_both_directions,
    truth=_both_by_autograd,
    answer=MyCoupling,
    use=_use,
)
