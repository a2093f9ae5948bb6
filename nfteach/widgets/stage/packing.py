"""What travels from the kernel to the browser: trees of values and arrays, numbers and errors in words."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from nfteach.widgets.parts import Number

__all__ = ["in_words", "packed", "rows_of", "written"]


def packed(tree: Any) -> dict[str, Any]:
    """Return a tree of values and arrays as JSON and buffers; an array becomes ``{"$": [number, dtype, shape]}``."""
    buffers: list[bytes] = []

    def pack(node: Any) -> Any:
        if isinstance(node, str | float | int) or node is None:
            return node
        if isinstance(node, np.ndarray):
            buffers.append(node.tobytes())
            return {"$": [len(buffers) - 1, node.dtype.name, list(node.shape)]}
        if isinstance(node, dict):
            return {key: pack(value) for key, value in node.items()}
        return [pack(value) for value in node]

    return {"content": pack(tree), "buffers": buffers}


def rows_of(readout: Mapping[str, Number]) -> list[list[Any]]:
    """Return a readout as the rows of its table: label, value, unit, note, bad, more, gauge."""
    return [
        [label, written(label, one.value, one.digits), one.unit, one.note, bool(one.bad), one.more, _gauge(one)]
        for label, one in readout.items()
    ]


def _gauge(number: Number) -> dict[str, Any] | None:
    if number.gauge is None:
        return None
    given = number.gauge.given
    marks = {"value": float(number.value), "given": None if given is None else float(given)}
    return {**dataclasses.asdict(dataclasses.replace(number.gauge, given=None)), **marks}


def written(label: str, value: Any, digits: int = 2) -> str:
    """Write a number as a learner reads it: with a true minus, and in powers of ten where decimals say nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        return str(int(value)).replace("-", "\N{MINUS SIGN}")
    if not isinstance(value, numbers.Real) and getattr(value, "ndim", None) != 0:
        raise ValueError(f"the readout {label!r} must be a number or a text, but is {type(value).__name__}")
    if not getattr(value, "is_floating_point", lambda: True)():
        return written(label, value.item(), digits)
    value = float(value)
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "\N{MINUS SIGN}infinite"}.get(value, "not a number")
    if abs(value) < 0.5 * 10**-digits and abs(value) < 1e-9:
        value = 0.0
    small = abs(value) < 1e5 and (abs(value) >= 0.5 * 10**-digits or value == 0)
    text = f"{value:.{digits}f}" if small else f"{value:.1e}"
    return text.replace("-", "\N{MINUS SIGN}")


def in_words(error: Exception) -> str:
    """Return an exception as a learner reads it: a ValueError speaks for itself, others are named."""
    return str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
