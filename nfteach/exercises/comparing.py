"""What came against what was expected: the shape first, then the values, each difference in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nfteach.jacobian.numbers import brief

__all__ = ["as_tensors", "difference", "in_words", "misfit", "same"]


def as_tensors(value: Any) -> list[Tensor] | None:
    """A tensor, a number, or a tuple or list of these, as a list of tensors; None if it is something else."""
    parts = value if isinstance(value, tuple | list) else (value,)
    if not parts:
        return None
    tensors = []
    for part in parts:
        try:
            tensors.append(part if isinstance(part, Tensor) else torch.as_tensor(part))
        except (TypeError, ValueError, RuntimeError):
            return None
    return tensors


def misfit(came: Any, expected: Any, parts: Sequence[str], *, gradients: bool) -> str:
    """What is wrong with the form of an answer, whatever its values; empty if nothing is.

    Args:
        came: what the learner's function returned.
        expected: a tensor, or a tuple of them.
        parts: what the returned things are called, as many as ``expected`` has.
        gradients: whether the answer has to be differentiable, for it will be trained.
    """
    wanted = as_tensors(expected)
    many = isinstance(expected, tuple)
    if many and not (isinstance(came, tuple | list) and len(came) == len(wanted)):
        return f"Return {len(wanted)} things, {_listed(parts)}; what came is {_kind(came)}."
    if not many and isinstance(came, tuple | list):
        return f"Return one thing, {parts[0]}; what came is {_kind(came)}."
    got = as_tensors(came)
    if got is None:
        return f"Return {_listed(parts)} as {'tensors' if many else 'a tensor'}; what came is {_kind(came)}."
    for name, one, other in zip(parts, got, wanted, strict=True):
        if one.dtype == torch.bool and other.dtype != torch.bool:
            return f"{name} should be numbers, but it holds True and False."
        if one.shape != other.shape:
            return f"{name} has the shape {tuple(one.shape)}, but should have {_shape_words(other)}."
        if one.is_floating_point() and not one.isfinite().all() and other.isfinite().all():
            return f"{name} has {int((~one.isfinite()).sum())} of {one.numel()} numbers that are NaN or infinite."
        if gradients and other.requires_grad and not one.requires_grad:
            return (
                f"The numbers of {name} may be right, but no gradient flows through them: something in between cut it, "
                "such as .item(), .detach(), torch.tensor(...) or NumPy. Training would not move."
            )
    return ""


def same(came: Any, expected: Any, tolerance: float) -> bool:
    """Whether two answers of the same form agree: to ``tolerance``, absolute for small numbers, else relative."""
    got, wanted = as_tensors(came), as_tensors(expected)
    if got is None or wanted is None or len(got) != len(wanted):
        return False
    return all(
        one.shape == other.shape
        and torch.allclose(
            one.detach().double(), other.detach().double(), rtol=tolerance, atol=tolerance, equal_nan=True
        )
        for one, other in zip(got, wanted, strict=True)
    )


def difference(came: Any, expected: Any, parts: Sequence[str], tolerance: float) -> str:
    """The first part that is off, where it is off most, and by how much."""
    for name, one, other in zip(parts, as_tensors(came), as_tensors(expected), strict=True):
        if same(one, other, tolerance):
            continue
        one, other = one.detach().double(), other.detach().double()
        off = (one - other).abs().flatten()
        place = int(off.argmax())
        where = ""
        if one.numel() > 1:
            index = torch.unravel_index(torch.tensor(place), one.shape)
            where = f" at [{', '.join(str(int(i)) for i in index)}]"
        got, wanted = one.flatten()[place].item(), other.flatten()[place].item()
        few = (off <= tolerance * (1 + other.abs().flatten())).sum().item()
        share = f" ({few} of {off.numel()} numbers are right.)" if 0 < few < off.numel() else ""
        return f"{name}{where} is {brief(got)}, but should be {brief(wanted)}.{share}"
    return ""


def in_words(arguments: Sequence[Any], names: Sequence[str]) -> str:
    """Arguments in short: numbers as they are, tensors by their shape."""
    return ", ".join(f"{name} {_short(value)}" for name, value in zip(names, arguments, strict=True)) or "no arguments"


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


def _shape_words(tensor: Tensor) -> str:
    return f"the shape {tuple(tensor.shape)}" if tensor.dim() else "no dimensions: it is one number, shape ()"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
