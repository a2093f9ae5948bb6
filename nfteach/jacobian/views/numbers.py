"""Numbers as a reader wants them: so many digits as say something, and labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["ROUNDING", "axis_labels", "condition", "fact", "gap", "number", "value_at"]

# A difference below this is rounding; its digits change from processor to processor, so they are not shown.
ROUNDING = 1e-9
_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"


def number(value: float) -> str:
    """Four decimals where that says enough, else scientific; 0 for what is rounding."""
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    if abs(value) < 1e-12:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.4f}"
    return f"{value:.2e}"


def gap(value: float | None) -> str:
    """A difference: two digits, or that it is rounding only."""
    if value is None:
        return ""
    if value < ROUNDING:
        return "< 1e-9"
    return f"{value:.2g}" if 1e-2 <= value < 1e4 else f"{value:.1e}"


def condition(value: float) -> str:
    """A condition number, to as many digits as it deserves."""
    return f"{value:.1f}" if value < 1e4 else f"{value:.0e}"


def value_at(value: Tensor, most: int = 6) -> str:
    """A number, a vector in brackets, or the shape of something larger."""
    if value.dim() > 1:
        return (
            f"a {' x '.join(map(str, value.shape))} array, entries from {number(value.min())} to {number(value.max())}"
        )
    if value.dim() == 0:
        return number(float(value))
    if value.dtype == torch.bool or not value.is_floating_point():
        entries = [str(int(entry)) for entry in value[:most]]
    else:
        entries = [number(float(entry)) for entry in value[:most]]
    return "(" + ", ".join(entries) + (f", ... {len(value)} in all" if len(value) > most else "") + ")"


def axis_labels(letter: str, order: tuple[int, ...]) -> list[str]:
    """x₁, x₂, ... as the papers count."""
    return [letter + "".join(_SUBSCRIPTS[int(digit)] for digit in str(i + 1)) for i in order]


def fact(value: object) -> str:
    """One piece of a finding's evidence."""
    return number(value) if isinstance(value, float) else str(value)
