"""Outcomes of calls: the returned value, its parts as tensors, its gradient, and the arguments that it changed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfteach.exercises.comparing import as_parts, is_close
from nfteach.exercises.copies import differs, leaves

__all__ = ["Outcome", "agree", "outcome", "same_gradient"]


@dataclass(frozen=True)
class Outcome:
    """The result of one call.

    Attributes:
        value: what was returned.
        parts: the value as tensors of the expected form; None where it has another.
        gradient: the gradient of the sum of all parts, with respect to what a training would move; or None.
        spent: whether ``backward()`` was called already.
        changed: the names of the arguments that the call changed.
    """

    value: Any
    parts: list[Tensor] | None
    gradient: Tensor | None = None
    spent: bool = False
    changed: tuple[str, ...] = ()


def outcome(
    function: Any, case: tuple[Any, ...], names: Sequence[str], *, like: Any = ..., gradients: bool = False
) -> Outcome:
    """Call a function with copies of arguments.

    Args:
        function: the function, or, where a value is due, that value.
        case: the arguments.
        names: the names of the arguments.
        like: the expected value, which gives the form of the parts; by default the value itself.
        gradients: whether the gradient is to be computed.
    """
    given = copy.deepcopy(case)
    value = function(*given) if callable(function) else function
    parts = as_parts(value, value if like is ... else like)
    changed = [name for name, a, b in zip(names, case, given, strict=True) if differs(a, b)]
    gradient, spent = _gradient(parts, list(leaves(given))) if gradients and parts else (None, False)
    return Outcome(value, parts, gradient, spent, tuple(changed))


def agree(one: Outcome, other: Outcome, tolerance: float) -> bool:
    """Return whether two outcomes have parts that agree."""
    if one.parts is None or other.parts is None:
        return False
    return all(is_close(a, b, tolerance) for a, b in zip(one.parts, other.parts, strict=True))


def same_gradient(one: Outcome, other: Outcome, tolerance: float) -> bool:
    """Return whether two outcomes have gradients that agree, or none for the same reason."""
    if one.gradient is None or other.gradient is None:
        return one.gradient is other.gradient and one.spent == other.spent
    return is_close(one.gradient, other.gradient, tolerance)


def _gradient(parts: Sequence[Tensor], moved: Sequence[Tensor]) -> tuple[Tensor | None, bool]:
    """Return the gradient of the sum of all parts as one row, and whether the graph was used up before."""
    value = sum(part.double().sum() for part in parts if not part.is_complex())
    if not moved or not isinstance(value, Tensor) or not value.requires_grad:
        return None, False
    try:
        found = torch.autograd.grad(value, moved, allow_unused=True)
    except RuntimeError:  # backward() was called by the answer itself
        return None, True
    rows = [torch.zeros_like(p) if g is None else g for g, p in zip(found, moved, strict=True)]
    return torch.cat([row.detach().double().flatten() for row in rows]), False
