"""Lesson 10, any increasing curve: one piece of a spline with its log-slope, its inverse, a coupling made of these."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.running import Refused, pair
from nfteach.exercises.texts import text
from nfteach.flows.roots import increasing_root
from nfteach.flows.spline import SplineCoupling, rational_quadratic, spline_knots

__all__ = ["inverse", "own_coupling", "piece"]


def _between(generator: torch.Generator, index: int) -> tuple[Tensor, ...]:
    """Draw x, x0, x1, y0, y1, d0 and d1, each (4, D), D = 3, 4, 5, ...; some pieces are straight, some points knots."""
    shape = 4, 3 + index
    share, width, height, d0, d1 = (torch.rand(*shape, generator=generator, dtype=torch.float64) for _ in range(5))
    x0, y0 = 2 * draw(generator, *shape), 2 * draw(generator, *shape)
    width, height = 0.25 + 1.5 * width, 0.25 + 1.5 * height
    d0, d1 = (torch.exp(3 * slope - 1.5) for slope in (d0, d1))
    x0[0, 0], y0[0, 0], width[0, 0], height[0, 0], d0[0, 0], d1[0, 0] = -1.0, 0.5, 2.0, 1.0, 0.5, 0.5
    share[1, 0], share[1, 1] = 0.0, 1.0
    return x0 + share * width, x0, x0 + width, y0, y0 + height, d0, d1


def _curve(x: Tensor, x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    return rational_quadratic(x, *(torch.stack(ends, -1) for ends in ((x0, x1), (y0, y1), (d0, d1))))[0]


# ---- 10.1 --------------------------------------------------------------------------------------------------------


def _piece_by_autograd(x: Tensor, *ends: Tensor) -> tuple[Tensor, Tensor]:
    # At the right end, the slope is that of the straight line behind it: the derivative is continuous.
    x = x.requires_grad_()
    y = _curve(x, *ends)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), slope.log()


def rq_piece(x, x0, x1, y0, y1, d0, d1):
    s = (y1 - y0) / (x1 - x0)
    xi = (x - x0) / (x1 - x0)
    top = s * xi**2 + d0 * xi * (1 - xi)
    bottom = s + (d0 + d1 - 2 * s) * xi * (1 - xi)
    slope = s**2 * (d1 * xi**2 + 2 * s * xi * (1 - xi) + d0 * (1 - xi) ** 2) / bottom**2
    return y0 + (y1 - y0) * top / bottom, torch.log(slope)


piece = Exercise(
    **text("10.1"),
    returns=("y", "the log-slope"),
    cases=_between,
    truth=_piece_by_autograd,
    answer=rq_piece,
)


# ---- 10.2 --------------------------------------------------------------------------------------------------------


def _image(generator: torch.Generator, index: int) -> tuple[Tensor, ...]:
    x, *ends = _between(generator, index)
    return _curve(x, *ends), *ends


def _inverse_by_search(y: Tensor, x0: Tensor, x1: Tensor, *rest: Tensor) -> Tensor:
    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        at, log_slope = rational_quadratic(
            x, torch.stack([x0, x1], -1), *(torch.stack(ends, -1) for ends in (rest[:2], rest[2:]))
        )
        return at - y, log_slope.exp()

    return increasing_root(value_and_slope, x0, x1)


def rq_inverse(y, x0, x1, y0, y1, d0, d1):
    s = (y1 - y0) / (x1 - x0)
    v = y - y0
    bend = d0 + d1 - 2 * s
    a = (y1 - y0) * (s - d0) + v * bend
    b = (y1 - y0) * d0 - v * bend
    c = -s * v
    xi = 2 * c / (-b - torch.sqrt(b**2 - 4 * a * c))
    return x0 + (x1 - x0) * xi


inverse = Exercise(
    **text("10.2"),
    returns=("x",),
    cases=_image,
    truth=_inverse_by_search,
    answer=rq_inverse,
)


# ---- 10.3 --------------------------------------------------------------------------------------------------------


class _Network(nn.Module):
    """A fixed smooth function from the dimensions that pass to the numbers that make the knots."""

    def __init__(self, generator: torch.Generator, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", draw(generator, inputs, outputs))
        self.register_buffer("bias", draw(generator, outputs))

    def forward(self, part: Tensor) -> Tensor:
        if part.shape[-1] != len(self.weight):
            raise ValueError(
                f"the network takes as many numbers as pass (x_A), {len(self.weight)}, but was given {part.shape[-1]}"
            )
        return 2 * torch.sin(part @ self.weight + self.bias)


def _coupling(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, nn.Module, int, float]:
    """Draw x (4, D), a mask (D,) whose passing dimensions are not all in front, a network, the bins and the bound.

    D is odd, so the two parts differ in size. Some points are beyond the bound.
    """
    D, bins, bound = 3 + 2 * (index % 2), 3 + index, 1.5 + 0.5 * index
    mask = torch.arange(D) % 2 == (0 if index % 3 else 1)
    rest = int((~mask).sum())
    network = _Network(generator, D - rest, rest * (3 * bins - 1))
    x = 1.5 * draw(generator, 4, D)
    x[0] = x[0].sign() * (bound + 1)
    return x, mask, network, bins, bound


def _coupling_by_search(
    x: Tensor, mask: Tensor, network: nn.Module, bins: int, bound: float
) -> tuple[Tensor, Tensor, Tensor]:
    layer = SplineCoupling(mask, bins=bins, bound=bound, conditioner=network)

    def value_and_slope(x_b: Tensor) -> tuple[Tensor, Tensor]:
        y_b, log_slope = rational_quadratic(x_b, *layer.knots(x[:, mask]))
        return y_b - x[:, ~mask], log_slope.exp()

    side = torch.full_like(x[:, ~mask], 2 * bound + 10)
    back = x.clone()
    back[:, ~mask] = increasing_root(value_and_slope, -side, side)
    return layer(x), log_abs_det_jacobian(layer, x), back


@torch.no_grad()
def _use(Coupling, x, mask, network, bins, bound):
    """Make a layer with this network, and call it and its inverse at x."""
    layer = Coupling(mask, bins, bound)
    layer.network = network
    y, ladj = pair("forward", layer(x), "y", "log|det J|")
    back = layer.inverse(x)
    if back is None or back is ...:
        raise Refused("`inverse` returns nothing: is there a `return` at its end?")
    if not isinstance(back, Tensor):
        raise Refused(f"`inverse` must return x alone, but returns a {type(back).__name__}.")
    return y, ladj, back


def ends_of_bins(at, by, knots):
    k = (at[..., None] >= by[..., 1:-1]).sum(-1, keepdim=True)
    ends = [(each, k + side) for each in knots for side in (0, 1)]
    return [torch.take_along_dim(each, index, -1)[..., 0] for each, index in ends]


def spline(x, knots):
    inner = x.clamp(knots[0][..., 0], knots[0][..., -1])
    y, log_slope = rq_piece(inner, *ends_of_bins(inner, knots[0], knots))
    return y + (x - inner), log_slope


def spline_inverse(y, knots):
    inner = y.clamp(knots[1][..., 0], knots[1][..., -1])
    return rq_inverse(inner, *ends_of_bins(inner, knots[1], knots)) + (y - inner)


def to_knots(raw, bins, bound):
    raw = raw.unflatten(-1, (-1, 3 * bins - 1))
    return spline_knots(*raw.split([bins, bins, bins - 1], dim=-1), bound)


class MyCoupling(torch.nn.Module):
    def __init__(self, mask, bins=8, bound=4.0, hidden=32):
        super().__init__()
        self.mask, self.bins, self.bound = mask, bins, bound
        passing, rest = int(mask.sum()), int((~mask).sum())
        self.network = torch.nn.Sequential(
            torch.nn.Linear(passing, hidden),
            torch.nn.SiLU(),
            torch.nn.Linear(hidden, hidden),
            torch.nn.SiLU(),
            torch.nn.Linear(hidden, rest * (3 * bins - 1)),
        )

    def forward(self, x):
        knots = to_knots(self.network(x[:, self.mask]), self.bins, self.bound)
        y = x.clone()
        y[:, ~self.mask], log_slope = spline(x[:, ~self.mask], knots)
        return y, log_slope.sum(-1)

    def inverse(self, y):
        knots = to_knots(self.network(y[:, self.mask]), self.bins, self.bound)
        x = y.clone()
        x[:, ~self.mask] = spline_inverse(y[:, ~self.mask], knots)
        return x


own_coupling = Exercise(
    **text("10.3"),
    arguments=("x", "mask", "network", "bins", "bound"),
    returns=("y", "log|det J|", "the inverse"),
    cases=_coupling,
    truth=_coupling_by_search,
    answer=MyCoupling,
    use=_use,
)
