"""Number formats and coordinate labels, the same wherever the course writes numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

__all__ = [
    "MINUS",
    "ROUNDING",
    "added",
    "bound",
    "bracketed",
    "brief",
    "cell",
    "condition",
    "coordinate",
    "fixed",
    "gap",
    "number",
    "overridable",
    "pick",
    "short_vector",
    "summed",
    "unlike",
    "value_at",
]

# A difference below this is rounding; its digits change from processor to processor, so they are not shown.
ROUNDING = 1e-9
MINUS = "\N{MINUS SIGN}"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def number(value: float) -> str:
    """Format with four decimals where these are enough, else in powers of ten; "0" for what is rounding."""
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def brief(value: object) -> str:
    """Format a float with four significant digits, anything else as it prints itself."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def unlike(values: dict[str, float]) -> dict[str, str]:
    """Format numbers with as many significant digits as distinguish them, at least four."""
    shown: dict[str, str] = {}
    for digits in range(4, 18):
        shown = {name: f"{value:.{digits}g}" for name, value in values.items()}
        if len(set(shown.values())) == len(set(values.values())):
            break
    return shown


def gap(value: float | None) -> str:
    """Format a difference with two digits, or as "< 1e-9" where it is rounding; "" for None."""
    if value is None:
        return ""
    if value < ROUNDING:
        return "< 1e-9"
    return f"{value:.2g}" if 1e-2 <= value < 1e4 else f"{value:.1e}"


def bound(value: float, rounding: float = ROUNDING) -> str:
    """Format what a difference is below or equal to: "1e-9" where it is rounding, else two digits."""
    return f"{rounding:.0e}".replace("e-0", "e-") if value < rounding else gap(value)


def condition(value: float) -> str:
    """Format a condition number."""
    return f"{value:.1f}" if value < 1e4 else f"{value:.0e}"


def cell(value: float, decimals: int = 2, smallest: float = 0.0) -> str:
    """Format for a matrix cell, in six characters at most; in powers of ten if closer to zero than ``smallest``."""
    size = abs(value)
    if size >= 999.5 or 0 < size < smallest:
        text = f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    elif size < 10 - 0.5 * 10.0**-decimals:
        text = f"{value:.{decimals}f}"
    else:
        text = f"{value:.{decimals - 1 if size < 100 - 0.5 * 10.0 ** (1 - decimals) else 0}f}"
    return _typeset(text)


def overridable(function: Callable[..., str]) -> Callable[..., str]:
    """Let a ``TorchFunctionMode`` decide how a text of a tensor () is made, such as one that records it."""

    @functools.wraps(function)
    def text(value: float | Tensor, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, Tensor) and has_torch_function((value,)):
            return handle_torch_function(text, (value,), value, *args, **kwargs)
        return function(value, *args, **kwargs)

    return text


@overridable
def fixed(value: float | Tensor, decimals: int = 2, low: float = 0.0, high: float = 100.0) -> str:
    """Format with fixed decimals where low <= abs(value) < high, else in powers of ten; with a true minus sign."""
    return _typeset(f"{value:.{decimals}f}" if value == 0 or low <= abs(value) < high else f"{value:.1e}")


@overridable
def bracketed(value: float | Tensor, decimals: int = 2) -> str:
    """Format with fixed decimals, a negative number in brackets."""
    text = fixed(value, decimals)
    return f"({text})" if text.startswith(MINUS) else text


def summed(values: Iterable[float | Tensor], decimals: int = 2) -> str:
    """Format a sum, such as "0.50 − 0.25 + 1.00"."""
    first, *rest = values
    return fixed(first, decimals) + "".join(added(value, decimals) for value in rest)


@overridable
def added(value: float | Tensor, decimals: int = 2) -> str:
    """Format what is added to something, such as " + 1.00" or " − 0.25"."""
    text = fixed(value, decimals)
    return f" {MINUS} {text[1:]}" if text.startswith(MINUS) else f" + {text}"


@overridable
def pick(index: int | Tensor, *texts: str) -> str:
    """Return one of some texts, by a whole number or a bool (): 0 or False is the first."""
    return texts[int(index)]


def _typeset(text: str) -> str:
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", MINUS)


def short_vector(values: Tensor, most: int = 6) -> str:
    """Format as (1.2, -0.3, ...) with four significant digits."""
    shown = ", ".join(brief(value) for value in values.flatten()[:most].tolist())
    return f"({shown}{', ...' if values.numel() > most else ''})"


def value_at(value: Tensor, most: int = 6) -> str:
    """Format a number, a vector in brackets, or the shape of something larger."""
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


def coordinate(letter: str, index: int) -> str:
    """Return x₁, x₂, ... as the papers count: index 0 is the first."""
    return letter + str(index + 1).translate(_SUBSCRIPTS)
