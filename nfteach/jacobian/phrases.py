"""Phrases that messages are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

__all__ = ["a_kind", "at_points", "counted", "in_words", "listed", "moved_by"]


def a_kind(value: Any) -> str:
    """Return "a list", "a Tensor"."""
    return f"a {type(value).__name__}"


def in_words(error: Exception) -> str:
    """Return "TypeError: expected float32"."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def listed(parts: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def counted(number: int, one: str, more: str) -> str:
    """Return "1 entry is", "2 entries are"."""
    return f"{number} {one if number == 1 else more}"


def at_points(where: Tensor) -> str:
    """Return where (B,) something holds: at the point, at both points, at all 6 points, at 2 of 6 points."""
    hits, B = int(where.sum()), len(where)
    if hits < B:
        return f"at {hits} of {B} points"
    return "at the point" if B == 1 else "at both points" if B == 2 else f"at all {B} points"


def moved_by(distance: float) -> dict[str, Any]:
    """Return how far something moved, as evidence of a finding."""
    return {"moved by": distance if math.isfinite(distance) else "infinity: NaN or infinity where there was a number"}
