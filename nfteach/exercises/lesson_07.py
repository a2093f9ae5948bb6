"""Lesson 07, stacking couplings: masks, the log-det of a stack's inverse, filaments, batch normalisation, a stack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.running import pair
from nfteach.exercises.texts import text
from nfteach.flows import AffineCoupling, Flow, Planar, Stack, alternating_mask

__all__ = ["batch_norm", "composed", "filament", "masks", "own_stack"]


# ---- 7.1 ---------------------------------------------------------------------------------------------------------


def _sizes(generator: torch.Generator, index: int) -> tuple[int, int]:
    """Draw D = 5, 6, 7, ..., so odd and even, and K from 3 to 6."""
    return 5 + index, int(torch.randint(3, 7, (), generator=generator))


def _masks_by_loop(D: int, K: int) -> Tensor:
    row = [dimension in range(0, D, 2) for dimension in range(D)]
    rows = []
    for _ in range(K):
        rows.append(row)
        row = [not passes for passes in row]
    return torch.tensor(rows)


def _boolean(came: Any, D: int, K: int) -> bool:
    return isinstance(came, Tensor) and came.dtype == torch.bool and came.shape == (K, D)


def _are_numbers(came: Any, D: int, K: int) -> bool:
    number = isinstance(came, Tensor) and came.dtype != torch.bool and came.shape == (K, D)
    return number and torch.equal(came != 0, _masks_by_loop(D, K))


def _are_halves(came: Any, D: int, K: int) -> bool:
    if not _boolean(came, D, K):
        return False
    split = [torch.arange(D) < half for half in (D // 2, (D + 1) // 2)]
    return any(torch.equal(came[0], row) or torch.equal(came[0], ~row) for row in split) and torch.equal(
        came[1:], ~came[:-1]
    )


def _not_opposites(came: Any, D: int, K: int) -> bool:
    return _boolean(came, D, K) and not torch.equal(came[1:], ~came[:-1])


def make_masks(D, K):
    layer, dimension = torch.arange(K)[:, None], torch.arange(D)
    return (layer + dimension) % 2 == 0


masks = Exercise(
    **text(
        "7.1",
        Misconception(
            name="numbers for truth values",
            message="The pattern is right, but these are numbers. A mask is boolean: with numbers, x[..., mask] picks "
            "the dimensions 0 and 1 again and again, without an error.",
            edits=("return (layer + dimension) % 2 == 0 -> return 1 - (layer + dimension) % 2",),
            fits=_are_numbers,
        ),
        Misconception(
            name="halves",
            message="Each of your masks passes one half, the first dimensions or the last. The layers alternate, but "
            "each mask has to pass every *other* dimension.",
            edits=("(layer + dimension) % 2 == 0 -> (layer % 2 == 0) == (dimension < D // 2)",),
            fits=_are_halves,
        ),
        Misconception(
            name="not opposites",
            message="Two layers in a row have masks that are not opposites: some dimension passes in both, or "
            "changes in both.",
            edits=("(layer + dimension) % 2 == 0 -> torch.rand(K, D) < 0.5",),
            fits=_not_opposites,
        ),
    ),
    returns=("the table of masks",),
    cases=_sizes,
    truth=_masks_by_loop,
    answer=make_masks,
)


# ---- 7.2 ---------------------------------------------------------------------------------------------------------


def _layers(generator: torch.Generator, index: int) -> tuple[list[Flow], Tensor]:
    """Draw couplings with opposite masks and a planar layer among them, away from initial values, and x (B, D).

    The planar layer is there since a coupling's log-det is the same at its input and at its output.
    """
    D = 3 + index % 3
    couplings = [AffineCoupling(alternating_mask(D, flip=k % 2 == 1), hidden=(6,)) for k in range(2 + index % 2)]
    layers = [couplings[0], Planar(D), *couplings[1:]]
    for layer in layers:
        layer.double().requires_grad_(False)
        for parameter in layer.parameters():
            parameter.copy_(0.8 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    layers[1].w.mul_(2.0)
    return layers, draw(generator, 4, D)


def _inverse_by_autograd(layers: Sequence[Flow], x: Tensor) -> Tensor:
    def whole(z: Tensor) -> Tensor:
        for layer in layers:
            z = layer(z)
        return z

    return -log_abs_det_jacobian(whole, Stack(*layers).inv(x))


def inverse_log_det(layers, x):
    total = 0.0
    for layer in reversed(layers):
        x, ladj = layer.inverse_and_ladj(x)
        total = total + ladj
    return total


composed = Exercise(
    **text("7.2"),
    returns=("log|det dz/dx|",),
    cases=_layers,
    tries=4,
    truth=_inverse_by_autograd,
    answer=inverse_log_det,
)


# ---- 7.3 ---------------------------------------------------------------------------------------------------------


def _density(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float, Tensor, float]:
    """Draw log q (N,) on a grid, points (N, 2), the area of a cell, centres (M, 2) and a radius.

    q is two or three blobs and a broad one below them, partly beyond the grid. Two of the discs overlap.
    """
    across, up = 4.6 + torch.rand(2, generator=generator, dtype=torch.float64)
    x1, x2 = across * torch.linspace(-1, 1, 31).double(), up * torch.linspace(-1, 1, 28).double()
    points, cell = torch.cartesian_prod(x1, x2), ((x1[1] - x1[0]) * (x2[1] - x2[0])).item()
    turn = 6.3 * torch.rand((), generator=generator, dtype=torch.float64)
    modes = 2 + index % 2
    angles = turn + 2 * math.pi / modes * torch.arange(modes, dtype=torch.float64)
    centres = 3.0 * torch.stack([angles.cos(), angles.sin()], dim=-1)
    blobs = (-0.5 * torch.cdist(points, centres) ** 2).exp().mean(1) / (2 * math.pi)
    broad = (-0.5 * (points**2).sum(-1) / 6.0).exp() / (12 * math.pi)
    radius = 1.4 + 0.5 * torch.rand((), generator=generator).item()
    return (0.7 * blobs + 0.3 * broad).log(), points, cell, torch.cat([centres, 0.6 * centres[:1]]), radius


def _outside_by_loop(log_q: Tensor, points: Tensor, cell: float, centres: Tensor, radius: float) -> Tensor:
    modes, total = centres.tolist(), 0.0
    for value, point in zip(log_q.tolist(), points.tolist(), strict=True):
        if all(math.dist(point, mode) > radius for mode in modes):
            total += math.exp(value) * cell
    return torch.tensor(total, dtype=torch.float64)


def mass_outside(log_q, points, cell, centres, radius):
    nearest = torch.cdist(points, centres).min(dim=1).values
    return log_q[nearest > radius].exp().sum() * cell


filament = Exercise(
    **text("7.3"),
    returns=("the mass",),
    cases=_density,
    truth=_outside_by_loop,
    answer=mass_outside,
)


# ---- 7.4 ---------------------------------------------------------------------------------------------------------


def _normalised(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw x (B, D), gamma (D,) of both signs, var (D,) small and large, and an eps that can be seen next to them.

    B is D + 2: were it D, an answer for each dimension would have the right shape.
    """
    D = 3 + index
    gamma = torch.rand(D, generator=generator, dtype=torch.float64) + 0.4
    gamma[::2] *= -1.3
    var = draw(generator, D).exp() * 0.3
    return 2 * draw(generator, D + 2, D), gamma, var, 0.02 + 0.1 * torch.rand((), generator=generator).item()


def _batch_norm_by_autograd(x: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Tensor:
    def layer(x: Tensor) -> Tensor:
        return torch.nn.functional.batch_norm(x, torch.ones_like(var), var, gamma, training=False, eps=eps)

    return log_abs_det_jacobian(layer, x)


def batch_norm_log_det(x, gamma, var, eps):
    one = (torch.log(torch.abs(gamma)) - 0.5 * torch.log(var + eps)).sum()
    return one.expand(len(x))


batch_norm = Exercise(
    **text("7.4"),
    returns=("log|det J|",),
    cases=_normalised,
    truth=_batch_norm_by_autograd,
    answer=batch_norm_log_det,
)


# ---- 7.5 ---------------------------------------------------------------------------------------------------------


class _Sinh(nn.Module):
    """A bent map of each dimension, whose log-det differs between its input and its output."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sinh(z + self.shift), torch.log(torch.cosh(z + self.shift)).sum(-1)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.asinh(x) - self.shift
        return z, -torch.log(torch.cosh(z + self.shift)).sum(-1)


class _Turn(nn.Module):
    """A linear map, which does not commute with the other layers."""

    def __init__(self, A: Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z @ self.A, torch.linalg.slogdet(self.A).logabsdet.expand(z.shape[:-1])

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.linalg.solve(self.A.T, x[..., None])[..., 0], -self(x)[1]


def _own_layers(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, list[nn.Module]]:
    """Draw z and x (B, D), which do not belong to each other, and three or four layers of two kinds."""
    D = 3 + index % 3
    layers: list[nn.Module] = []
    for k in range(3 + index % 2):
        linear = torch.eye(D, dtype=torch.float64) + 0.4 * draw(generator, D, D)
        layers.append(_Sinh(0.5 * draw(generator, D)) if k % 2 else _Turn(linear))
    return 0.5 * draw(generator, 4, D), draw(generator, 4, D), layers


def _use(Own: type, z: Tensor, x: Tensor, layers: list[nn.Module]) -> tuple[Tensor, ...]:
    stack = Own(layers)
    there = pair("forward", stack(z), "x", "log|det dx/dz|")
    return *there, *pair("inverse", stack.inverse(x), "z", "log|det dz/dx|")


def _both_by_autograd(z: Tensor, x: Tensor, layers: list[nn.Module]) -> tuple[Tensor, ...]:
    def whole(z: Tensor) -> Tensor:
        for layer in layers:
            z = layer(z)[0]
        return z

    before = x
    for layer in layers[::-1]:
        before = layer.inverse(before)[0]
    return whole(z), log_abs_det_jacobian(whole, z), before, -log_abs_det_jacobian(whole, before)


class MyRealNVP(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, z):
        total = 0.0
        for layer in self.layers:
            z, ladj = layer(z)
            total = total + ladj
        return z, total

    def inverse(self, x):
        total = 0.0
        for layer in reversed(self.layers):
            x, ladj = layer.inverse(x)
            total = total + ladj
        return x, total


own_stack = Exercise(
    **text("7.5"),
    arguments=("z", "x", "layers"),
    returns=("forward's x", "forward's log-det", "inverse's z", "inverse's log-det"),
    cases=_own_layers,
    truth=_both_by_autograd,
    answer=MyRealNVP,
    use=_use,
)
