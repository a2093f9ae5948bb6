"""Summaries of repeated measurements and the number formats of the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["mean_and_error", "plus_minus", "significant", "spread"]


def mean_and_error(values: Sequence[float] | Tensor) -> tuple[float, float]:
    """Return the mean of values (N,) and the standard error of that mean, which is NaN for a single value."""
    values = torch.as_tensor(values, dtype=torch.float64)
    n = len(values)
    return values.mean().item(), values.std().item() / math.sqrt(n) if n > 1 else math.nan


def plus_minus(value: float, error: float, digits: int = 2, sign: str = "") -> str:
    """Format a value and its error: ``-9.84 ± 0.10``; with ``sign="+"`` positive values have a sign, too."""
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}"


def spread(low: float, median: float, high: float, digits: int | None = None) -> str:
    """Format a median and its range, ``1.02 (0.97 to 1.10)``, with so many decimals or else three digits."""
    form = significant if digits is None else f"{{:.{digits}f}}".format
    return f"{form(median)} ({form(low)} to {form(high)})"


def significant(value: float) -> str:
    """Format a positive number with at least three digits and without an exponent if it is 100 or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
