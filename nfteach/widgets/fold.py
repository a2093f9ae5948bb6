"""The planar map where it folds: all points that land on y, and the density that they make there together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nfteach.flows.planar import ACTIVATIONS

__all__ = ["folded_density", "preimages", "turning_point"]

_LINE = 4096  # nodes of the line on which a picture looks its values up
# Halvings of a branch, then Newton's steps: to the last digits, and as far as a picture shows.
_EXACT = 14, 4
_SHOWN = 8, 3


def turning_point(wu: Tensor) -> Tensor:
    """Return a (), the turning point of a + w.u tanh(a) right of zero; 0 where w.u () >= -1 and there is none."""
    folds = wu < -1
    return torch.atanh(torch.sqrt(torch.where(folds, 1 + 1 / torch.where(folds, wu, -2.0), 0.0)))


def solutions(c: Tensor, wu: Tensor, activation: str, steps: tuple[int, int] = _EXACT) -> tuple[Tensor, Tensor]:
    """Solve a + (w.u) h(a) = c on each of up to three branches, between whose ends the left side is monotone.

    Args:
        c: (n,); wu: ().
        activation: a name in :data:`nfteach.flows.planar.ACTIVATIONS`.
        steps: the numbers of halvings and of Newton's steps.

    Returns:
        a (3, n), and whether the branch reaches c, bool (3, n). Where it does not, a is an end of the branch.
    """
    if activation == "leaky_relu":  # two straight lines
        left, right = c / (1 + 0.01 * wu), c / (1 + wu)
        return torch.stack([left, right, right]), torch.stack(
            [left <= 0, right > 0, torch.zeros_like(c, dtype=torch.bool)]
        )
    turn = turning_point(wu).expand_as(c)
    edge, far = (turn + wu * torch.tanh(turn)).expand_as(c), c.abs() + wu.abs() + 1
    low, high = torch.stack([-far, turn, -turn]), torch.stack([-turn, far, turn])
    reached = torch.stack([c <= -edge, c > edge, (c > edge) & (c < -edge)])
    falling = torch.tensor([[1.0], [1.0], [-1.0]], dtype=c.dtype)
    for _ in range(steps[0]):
        middle = (low + high) / 2
        above = falling * (middle + wu * torch.tanh(middle) - c) > 0
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    a = (low + high) / 2
    for _ in range(steps[1]):  # kept between the ends, for near a turning point its steps are wild
        h, slope = ACTIVATIONS["tanh"](a)
        det = 1 + wu * slope
        a = (a - (a + wu * h - c) / torch.where(det == 0, torch.inf, det)).clamp(low, high)
    return a, reached


def preimages(y: Tensor, u: Tensor, w: Tensor, b: Tensor, activation: str) -> tuple[Tensor, Tensor, Tensor]:
    r"""Solve z + u h(w.z + b) = y for all z.

    With a = w.z + b every solution has a + (w.u) h(a) = w.y + b: one equation in one unknown, and then z = y - u h(a).

    Args:
        y: (n, 2), points in the image; u, w: (2,); b: ().

    Returns:
        z (3, n, 2), det J (3, n) there, and whether there is such a point, bool (3, n).
    """
    wu = w @ u
    a, reached = solutions(y @ w + b, wu, activation)
    h, slope = ACTIVATIONS[activation](a)
    return y - h[..., None] * u, 1 + wu * slope, reached


def folded_density(
    log_prob: Callable[[Tensor], Tensor], y: Tensor, u: Tensor, w: Tensor, b: Tensor, activation: str
) -> Tensor:
    """Return the density (n,) at y (n, 2) of f(z), the sum of p(z) / |det J| over preimages; ``log_prob`` is that of z.

    Where the map is one to one, this is the change of variables formula (Rezende & Mohamed 2015, equation 5).

    For pictures: h and det J depend on y through the one number w.y + b only, so they are solved for on a fine line of
    it and looked up. The density is infinite at the edge of a fold; |det J| is bounded below by 0.03 there.
    """
    c, wu = y @ w + b, w @ u
    start, step = c.min(), (c.max() - c.min()).clamp_min(1e-9) / (_LINE - 1)
    a, reached = solutions(start + step * torch.arange(_LINE, dtype=y.dtype), wu, activation, _SHOWN)
    h, slope = ACTIVATIONS[activation](a)
    weight = reached / (1 + wu * slope).abs().clamp_min(0.03)
    place = (c - start) / step
    index = place.floor().clamp(0, _LINE - 2).long()
    beyond = place - index
    density = torch.zeros_like(c)
    for branch in range(3):
        shift = torch.lerp(h[branch][index], h[branch][index + 1], beyond)
        mass = torch.lerp(weight[branch][index], weight[branch][index + 1], beyond)
        density = density + log_prob(y - shift[:, None] * u).exp() * mass
    return density
