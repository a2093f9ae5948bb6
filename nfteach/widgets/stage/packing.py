"""What travels from the kernel to the browser: trees of values and arrays, numbers and errors in words."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nfteach.jacobian.numbers import overridable
from nfteach.widgets.parts import Number

__all__ = ["in_words", "packed", "rows_of", "written"]


def packed(tree: Any, share: bool = False) -> dict[str, Any]:
    """Return a tree of values and arrays as JSON and buffers; an array becomes ``{"$": [number, dtype, shape]}``.

    Args:
        tree: nested dictionaries, lists and tuples.
        share: whether arrays of the same bytes have one buffer.
    """
    buffers: list[bytes] = []
    known: dict[bytes, int] = {}

    def pack(node: Any) -> Any:
        if isinstance(node, str | float | int) or node is None:
            return node
        if isinstance(node, np.ndarray):
            data = node.tobytes()
            number = known.get(data, len(buffers)) if share else len(buffers)
            if number == len(buffers):
                buffers.append(data)
                known[data] = number
            return {"$": [number, node.dtype.name, list(node.shape)]}
        if isinstance(node, dict):
            return {key: pack(value) for key, value in node.items()}
        return [pack(value) for value in node]

    return {"content": pack(tree), "buffers": buffers}


def rows_of(
    readout: Mapping[str, Number], plain: Callable[[Any], Any] = lambda value: getattr(value, "item", lambda: value)()
) -> list[list[Any]]:
    """Return a readout as the rows of its table: label, value, unit, note, bad, more, gauge.

    Args:
        readout: label -> number.
        plain: what becomes of tensors () that are not written; by default numbers.

    Raises:
        ValueError: something that is neither a number nor a text; the message names it.
    """
    rows = []
    for label, one in readout.items():
        if not isinstance(one.value, str | numbers.Real) and getattr(one.value, "ndim", None) != 0:
            raise ValueError(f"the readout {label!r} must be a number or a text, but is {type(one.value).__name__}")
        gauge = None
        if one.gauge is not None:
            gauge = {each.name: getattr(one.gauge, each.name) for each in dataclasses.fields(one.gauge)}
            gauge |= {"value": plain(one.value), "given": plain(one.gauge.given)}
        rows.append([label, written(one.value, one.digits), one.unit, one.note, plain(one.bad), one.more, gauge])
    return rows


@overridable
def written(value: Any, digits: int = 2) -> str:
    """Write a number as a learner reads it: with a true minus, and in powers of ten where decimals say nothing."""
    if isinstance(value, str):
        return value
    value = getattr(value, "item", lambda: value)()
    if isinstance(value, numbers.Integral):
        return str(int(value)).replace("-", "\N{MINUS SIGN}")
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
