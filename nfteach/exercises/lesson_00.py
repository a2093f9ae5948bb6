"""Lesson 00, start here: the density of a stretched variable."""

from __future__ import annotations

import torch
from torch import Tensor

from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.mistakes import slips

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
    number="0.1",
    title="the density of a stretched variable",
    returns=("q(x)",),
    cases=_case,
    truth=_by_mass,
    answer=stretched_density,
    reasoning=r"First find where $x$ came from: $z = (x - c)/a$. There the base density is `normal(z)`. The mass "
    r"around $z$ was spread over a length $|a|$ times as large, so the density is divided by $|a|$. A length is never "
    r"negative.",
    hints=(
        r"Which $z$ was sent to $x$? Solve $x = a z + c$ for $z$.",
        r"The base density is taken at that $z$. Then the same mass lies on a length $|a|$ times as large: divide.",
        r"$a$ may be negative, a length may not: `abs(a)`.",
    ),
    misconceptions=slips(r"""
        multiplied by the stretch: You multiplied by |a|. The same mass on |a| times the length: the density gets
            *lower*.
            / abs(a) -> * abs(a)
        multiplied by the slope, with its sign: You multiplied by a. The same mass on |a| times the length: the
            density gets *lower*. And for a negative a yours is negative.
            / abs(a) -> * a
        absolute value missing: For a negative a your density is negative. A length has no sign: |a|.
            abs(a) -> a
        not divided: The height at the right z, but not divided by the stretch: the area under it is |a|, not 1.
            / abs(a) ->
        divided by the square: You divided by a squared, as if two lengths were stretched. There is one, and it is |a|
            times as long.
            abs(a) -> a**2
        divided by the root: You divided by the root of |a|. The length itself is |a| times as large.
            abs(a) -> abs(a) ** 0.5
        taken at x: You took the base density at x. It belongs to z, so first find the z that was sent to x.
            (x - c) / a -> x
        the wrong way round: You took the base density at a x + c. That is where x would be *sent*; find where it came
            from.
            (x - c) / a -> a * x + c
        shift left out: Before dividing by a, take the shift c away.
            (x - c) / a -> x / a
        stretch left out of z: You took the shift away, and did not divide by a yet.
            (x - c) / a -> x - c
        shift added: You added c. It was added on the way from z to x: on the way back take it away.
            - c -> + c
        shift taken away last: You divided x alone by a. c was added last, so take it away first.
            (x - c) / a -> x / a - c
        multiplied to find z: You multiplied by a to find z. z was multiplied by a on its way to x: on the way back
            divide.
            (x - c) / a -> (x - c) * a
        logarithm: That is the logarithm of the density. Here the density itself is asked for.
            normal(z) / abs(a) -> torch.log(normal(z) / abs(a))
    """),
)
