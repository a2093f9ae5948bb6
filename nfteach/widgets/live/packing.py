"""What travels from the kernel to the browser: trees of values and arrays, numbers and errors in words."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["in_words", "packed", "rows_of"]


def packed(tree: Any) -> dict[str, Any]:
    """A tree of values and arrays as JSON, in which an array is ``{"$": [number, dtype, shape]}``, and buffers."""
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


def rows_of(readout: Mapping[str, Any]) -> list[list[str]]:
    """A readout, label -> value or (value, unit), as the rows of its table: label, value, unit."""
    rows = []
    for label, value in readout.items():
        number, unit = value if isinstance(value, tuple) else (value, "")
        rows.append([str(label), _written(label, number), str(unit)])
    return rows


def _written(label: str, value: Any) -> str:
    """A number of the readout as a learner reads it: four decimals, or powers of ten where those say nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if not isinstance(value, numbers.Real) and getattr(value, "ndim", None) != 0:
        raise ValueError(f"the readout {label!r} must be a number or a text, but is {type(value).__name__}")
    value = float(value)
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "-infinite"}.get(value, "not a number")
    small = abs(value) < 1e5 and (abs(value) >= 1e-3 or value == 0)
    return f"{value:.4f}" if small else f"{value:.2e}"


def in_words(error: Exception) -> str:
    """An exception as a learner reads it: a ValueError speaks for itself, others are named."""
    return str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
