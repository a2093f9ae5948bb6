"""Answers as tensors of the expected form, and the differences between two of them, each in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.jacobian.numbers import brief

__all__ = ["as_parts", "difference", "in_words", "is_close", "listed", "misfit", "printed", "same"]


def as_parts(value: Any, like: Any) -> list[Tensor] | None:
    """Return an answer as one tensor for each part that is expected; None if its form does not allow it.

    A number may be a Python number or a tensor of shape () or (1,); a tensor may be a nested list of numbers; several
    tensors may be stacked into one.

    Args:
        value: what the learner's function returned.
        like: what is expected: a tensor or a number, or a tuple of them.
    """
    wanted = [_tensor(part) for part in like] if isinstance(like, tuple) else [_tensor(like)]
    if not isinstance(like, tuple):
        parts = [_tensor(value)]
    elif isinstance(value, tuple | list):
        parts = [_tensor(part) for part in value]
    else:
        stacked = _tensor(value)
        parts = [None] if stacked is None or not stacked.dim() else list(stacked.unbind(0))
    if len(parts) != len(wanted) or any(part is None for part in parts + wanted):
        return None
    return [
        part.reshape(()) if other.dim() == 0 and part.numel() == 1 else part
        for part, other in zip(parts, wanted, strict=True)
    ]


def _tensor(value: Any) -> Tensor | None:
    """Return a tensor, a number, an array, or nested lists of these as one tensor; None for other things."""
    if isinstance(value, Tensor):
        if value.is_meta or value.is_nested:
            return None
        value = value.dequantize() if value.is_quantized else value
        return (value if value.layout == torch.strided else value.to_dense()).cpu()
    if isinstance(value, list | tuple):
        parts = [_tensor(one) for one in value]
        if not parts or any(part is None or part.shape != parts[0].shape for part in parts):
            return None
        return torch.stack([part.to(parts[0].dtype) if part.dtype != parts[0].dtype else part for part in parts])
    if isinstance(value, bool | int | float | complex | np.ndarray | np.generic):
        try:
            return torch.as_tensor(np.asarray(value))
        except (TypeError, ValueError):  # an array of objects
            return None
    return None


def misfit(value: Any, parts: Sequence[Tensor] | None, expected: Any, names: Sequence[str]) -> str:
    """Return a sentence on the form of an answer, whatever its values are; empty if it is the expected form.

    Args:
        value: what the learner's function returned.
        parts: the same as tensors, or None.
        expected: a tensor, or a tuple of them.
        names: what the returned things are called.
    """
    if parts is None:
        many = isinstance(expected, tuple)
        wanted = f"{len(expected)} things, {listed(names)}" if many else f"one thing, {names[0]}"
        comma = " Is there a comma at the end of the line?" if isinstance(value, tuple) and len(value) == 1 else ""
        if not many and not isinstance(value, tuple | list):
            wanted = f"{names[0]} as a tensor"
        return f"Return {wanted}; what came is {_kind(value)}.{comma}"
    for name, one, other in zip(names, parts, as_parts(expected, expected), strict=True):
        if one.is_complex():
            return f"{name} holds complex numbers. It should be real: look at where they arise, or take `.real`."
        if one.shape != other.shape:
            return f"{name} has the shape {tuple(one.shape)}, but should have {_shape_in_words(other)}."
        if (one.dtype == torch.bool) != (other.dtype == torch.bool):
            kinds = ["numbers", "True and False"][:: -1 if other.dtype == torch.bool else 1]
            return f"{name} should hold {kinds[0]}, but it holds {kinds[1]}."
        if one.is_floating_point() and not one.isfinite().all() and other.isfinite().all():
            return f"{name} has {int((~one.isfinite()).sum())} of {one.numel()} numbers that are NaN or infinite."
    return ""


def is_close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Return whether two tensors agree to a tolerance: absolute for numbers below one, relative above."""
    if one.shape != other.shape or one.is_complex() or other.is_complex():
        return False
    one, other = one.detach().double(), other.detach().double()
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def same(value: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Return whether an answer, in any form that is accepted, agrees with what is expected."""
    parts = as_parts(value, expected)
    return parts is not None and all(
        is_close(one, other, tolerance) for one, other in zip(parts, as_parts(expected, expected), strict=True)
    )


def difference(parts: Sequence[Tensor], expected: Sequence[Tensor], names: Sequence[str], tolerance: float) -> str:
    """Return a sentence on the first part that is off: where it is off most, and by how much; empty if none is."""
    for name, one, other in zip(names, parts, expected, strict=True):
        if is_close(one, other, tolerance):
            continue
        if one.shape != other.shape:
            return f"{name} has the shape {tuple(one.shape)}, but should have {_shape_in_words(other)}."
        one, other = one.detach().double(), other.detach().double()
        off = (one - other).abs().flatten()
        place = int(off.argmax())
        where = ""
        if one.numel() > 1:
            index = np.unravel_index(place, one.shape)
            where = f" at [{', '.join(str(int(i)) for i in index)}]"
        got, wanted = one.flatten()[place].item(), other.flatten()[place].item()
        few = (off <= tolerance * (1 + other.abs().flatten())).sum().item()
        share = f" ({few} of {off.numel()} numbers are right.)" if 0 < few < off.numel() else ""
        return f"{name}{where} is {brief(got)}, but should be {brief(wanted)}.{share}"
    return ""


def in_words(arguments: Sequence[Any], names: Sequence[str]) -> str:
    """Return arguments in short: numbers as they are, tensors by their shape."""
    return ", ".join(f"{name} {_short(value)}" for name, value in zip(names, arguments, strict=True)) or "no arguments"


def listed(names: Sequence[str]) -> str:
    """Return names with commas and "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def printed(value: Any, most: int = 80) -> str:
    """Return a value as it prints itself, on one line that is not too long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a class of the learner's own
        text = _kind(value)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        if value.numel() <= 6:
            return f"= {_rounded(value.tolist())}"
        return f"of shape {tuple(value.shape)}"
    if isinstance(value, bool | int | str):
        return f"= {value!r}"
    if isinstance(value, float):
        return f"= {brief(value)}"
    return f"a {getattr(value, '__name__', type(value).__name__)}"


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return "[" + ", ".join(_rounded(one) for one in value) + "]"
    return brief(value)


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _shape_in_words(tensor: Tensor) -> str:
    return f"the shape {tuple(tensor.shape)}" if tensor.dim() else "no dimensions: it is one number, shape ()"
