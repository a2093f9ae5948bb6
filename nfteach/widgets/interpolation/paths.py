"""Paths from one latent to another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["PATHS", "great_circle", "straight_line"]

_TURN = 1e-6  # radians: directions that are nearer to each other, or to opposite, have no great circle of their own


def straight_line(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 - t) a + t b, (T, D), for a and b (D,) and t (T,)."""
    return (1 - t)[:, None] * a + t[:, None] * b


def great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""From a to b at an even turn, (T, D), for a and b (D,) and t (T,): "slerp".

    The direction is sin((1 - t) w) a / |a| + sin(t w) b / |b|, over sin w, with w the angle between a and b; the norm
    goes evenly from |a| to |b|. Where the two are orthogonal and of one norm, as independent normal vectors of many
    dimensions nearly are, this is cos(phi) a + sin(phi) b with phi = t pi / 2, the paper's path. Where a and b point
    the same way, or opposite ways, it is the straight line.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 4.2, equation 19,
        https://arxiv.org/abs/1605.08803; Animating Rotation with Quaternion Curves (Shoemake, 1985)
    """
    norms = a.norm(), b.norm()
    if min(norms) == 0:
        return straight_line(a, b, t)
    a, b = a / norms[0], b / norms[1]
    # An angle that is exact near 0 and near pi, too, where the arc cosine is not.
    angle = 2 * math.atan2((a - b).norm().item(), (a + b).norm().item())
    if not _TURN < angle < math.pi - _TURN:
        return straight_line(a * norms[0], b * norms[1], t)
    direction = torch.sin((1 - t) * angle)[:, None] * a + torch.sin(t * angle)[:, None] * b
    norm = (1 - t) * norms[0] + t * norms[1]
    return direction / math.sin(angle) * norm[:, None]


#: What a path is called by its control -> the path.
PATHS = {"line": straight_line, "circle": great_circle}
