"""Lesson 00, start here: the density of a stretched variable."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception

__all__ = ["stretched"]


def _case(generator: torch.Generator, index: int) -> tuple[Tensor, float, float]:
    """x (5 + index,), a of either sign with 1.25 < |a| < 3, and c away from zero."""
    a = (1.25 + 1.75 * torch.rand((), generator=generator).item()) * (-1) ** index
    c = 0.5 + torch.rand((), generator=generator).item()
    return normal(generator, 5 + index), a, c


def _phi(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def _stretched(x: Tensor, a: float, c: float) -> Tensor:
    z = (x - c) / a
    return torch.exp(-0.5 * z**2) / (2 * torch.pi) ** 0.5 / abs(a)


def _by_mass(x: Tensor, a: float, c: float) -> Tensor:
    """The mass between two points close to x on either side, divided by the length between them."""
    half = 1e-3
    ends = torch.stack([(x - half - c) / a, (x + half - c) / a])
    low, high = torch.special.ndtr(ends)
    return (high - low).abs() / (2 * half)


stretched = Exercise(
    number="0.1",
    title="the density of a stretched variable",
    arguments=("x", "a", "c"),
    returns=("q(x)",),
    cases=_case,
    truth=_by_mass,
    answer=_stretched,
    reasoning=r"First find where $x$ came from: $z = (x - c)/a$. There the base density is `normal(z)`. The mass "
    r"around $z$ was spread over a length $|a|$ times as large, so the density is divided by $|a|$. A length is never "
    r"negative.",
    hints=(
        r"Which $z$ was sent to $x$? Solve $x = a z + c$ for $z$.",
        r"The base density is taken at that $z$. Then the same mass lies on a length $|a|$ times as large: divide.",
        r"$a$ may be negative, a length may not: `abs(a)`.",
    ),
    misconceptions=(
        Misconception(
            name="multiplied by the stretch",
            message="You multiplied by |a|. The same mass on |a| times the length: the density gets *lower*.",
            answer=lambda x, a, c: _phi((x - c) / a) * abs(a),
        ),
        Misconception(
            name="multiplied by the slope, with its sign",
            message="You multiplied by a. The same mass on |a| times the length: the density gets *lower*. And for a "
            "negative a yours is negative.",
            answer=lambda x, a, c: _phi((x - c) / a) * a,
        ),
        Misconception(
            name="absolute value missing",
            message="For a negative a your density is negative. A length has no sign: |a|.",
            answer=lambda x, a, c: _phi((x - c) / a) / a,
        ),
        Misconception(
            name="not divided",
            message="The height at the right z, but not divided by the stretch: the area under it is |a|, not 1.",
            answer=lambda x, a, c: _phi((x - c) / a),
        ),
        Misconception(
            name="taken at x",
            message="You took the base density at x. It belongs to z, so first find the z that was sent to x.",
            answer=lambda x, a, c: _phi(x) / abs(a),
        ),
        Misconception(
            name="the wrong way round",
            message="You took the base density at a x + c. That is where x would be *sent*; find where it came from.",
            answer=lambda x, a, c: _phi(a * x + c) / abs(a),
        ),
        Misconception(
            name="shift left out",
            message="Before dividing by a, take the shift c away.",
            answer=lambda x, a, c: _phi(x / a) / abs(a),
        ),
        Misconception(
            name="logarithm",
            message="That is the logarithm of the density. Here the density itself is asked for.",
            answer=lambda x, a, c: _phi((x - c) / a).log() - math.log(abs(a)),
        ),
    ),
)
