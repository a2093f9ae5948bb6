"""Lesson 00, start here: the density of a stretched variable."""

from __future__ import annotations

import torch
from torch import Tensor

from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.texts import text

__all__ = ["stretched"]


def _case(generator: torch.Generator, index: int) -> tuple[Tensor, float, float]:
    """Draw x (5 + index,), a of either sign with 1.25 < |a| < 3, and c away from zero."""
    a = (1.25 + 1.75 * torch.rand((), generator=generator).item()) * (-1) ** index
    c = 0.5 + torch.rand((), generator=generator).item()
    return draw(generator, 5 + index), a, c


def normal(z):
    return torch.exp(-0.5 * z**2) / (2 * torch.pi) ** 0.5


def stretched_density(x, a, c):
    z = (x - c) / a
    return normal(z) / abs(a)


def _by_mass(x: Tensor, a: float, c: float) -> Tensor:
    """Return the mass between two points close to x on either side, divided by the length between them."""
    half = 1e-3
    ends = torch.stack([(x - half - c) / a, (x + half - c) / a])
    low, high = torch.special.ndtr(ends)
    return (high - low).abs() / (2 * half)


stretched = Exercise(
    **text("0.1"),
    returns=("q(x)",),
    cases=_case,
    truth=_by_mass,
    answer=stretched_density,
)
