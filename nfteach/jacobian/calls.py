"""Getting a map to run: in which dtype, in what manner, to what precision; and how far two results lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Transform
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .adapt import Map, adapt
from .autograd import LARGE, jacobian
from .conventions import NoMap, has
from .manners import MANNERS
from .phrases import in_words
from .twin import changes, state

__all__ = ["COARSE", "FirstCall", "apart", "first_that_runs", "half_precision", "noticeable", "size_of"]

# Rounding units above this are those of half precision: float16, bfloat16 and less.
COARSE = 1e-4

# What is noticed in any arithmetic, relative to the size.
_MOST = 0.1


@dataclass(frozen=True)
class FirstCall:
    """The map in a form in which it runs, and what its first call gave; J is None above ``LARGE`` dimensions."""

    f: Map
    points: Tensor
    y: Tensor
    raw: Any
    J: Tensor | None
    no_reverse_mode: str
    changed: tuple[str, ...]
    state: dict[str, Any]


def first_that_runs(
    given: tuple[Any, ...], x: Tensor, *, context: Tensor | None = None, rectangular: bool = False
) -> tuple[FirstCall | None, list[str]]:
    """Return the map in the first dtype and manner in which it runs, and its errors in those before.

    Raises:
        NoMap: if it never returned what has a Jacobian with a determinant.
    """
    transform, log_det, inverse = given
    no_map, refusals = None, []
    for dtype in (torch.float64, None):
        f = adapt(transform, x, log_det, inverse, context=context, dtype=dtype, rectangular=rectangular)
        for manner in _manners(transform, x):
            f = replace(f, manner=manner, with_gradient=True)
            before = state(f.subject)
            try:
                points = (x if dtype is None else x.to(dtype)).reshape(-1, f.dim)
                try:
                    J, y, raw = (None, *f(points)) if f.dim > LARGE else jacobian(f, points)
                    no_reverse_mode = ""
                except NoMap:
                    raise
                except Exception as error:
                    # What has no gradient may have values all the same.
                    J, (y, raw) = None, _values(f, points)
                    no_reverse_mode = in_words(error)
            except NoMap as error:
                no_map = no_map or error
            except Exception as error:
                refusals.append(in_words(error))
            else:
                after = state(f.subject)
                return FirstCall(f, points, y, raw, J, no_reverse_mode, changes(before, after), after), refusals
    if no_map is not None:
        raise no_map
    return None, refusals


def _values(f: Map, points: Tensor) -> tuple[Tensor, Any]:
    """Return y and the log-det, on points without a gradient if the map refuses others."""
    try:
        return f(points)
    except Exception:
        f.with_gradient = False
        return f(points)


def _manners(transform: Any, x: Tensor) -> list[str]:
    """How to try to call it, the likeliest first: a function that is given one point may want it as one point."""
    whole, single, never_alone = MANNERS
    if isinstance(transform, torch.nn.Module | Transform | Distribution) or has(transform, "call_and_ladj"):
        return [whole, never_alone] if x.dim() == 1 or len(x) == 1 else [whole]
    return [single, whole, never_alone] if x.dim() == 1 else [whole, single]


class _HalfPrecision(TorchDispatchMode):
    """Record the coarsest rounding unit among the results of all operations, if it is that of half precision."""

    unit = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, Tensor) and each.is_floating_point():
                unit = torch.finfo(each.dtype).eps
                self.unit = max(self.unit, unit if unit > COARSE else 0.0)
        return out


def half_precision(f: Map, x: Tensor) -> float:
    """Return the rounding unit of half precision that ``f`` computes in on the way from x (B, D); 0 if in none.

    It makes a staircase of y, whatever its dtype: differences see the treads, not the slope.
    """
    try:
        with _HalfPrecision() as seen:
            f(x)
    except Exception:  # the map may not run under a mode
        return 0.0
    return seen.unit


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b|: 0 where both are the same infinity or NaN, infinite where only one is finite."""
    if a.dtype == b.dtype and torch.equal(a, b):
        return torch.zeros_like(a)
    same = (a == b) | (a.isnan() & b.isnan())
    return (a - b).abs().nan_to_num(nan=math.inf).where(~same, torch.zeros_like(a))


def noticeable(y: Tensor, half: float = 0.0) -> float:
    """Return a difference in y that is more than rounding, and more than a solver with steps of its own leaves open.

    ``half`` is the rounding unit of half precision, where the values are computed in that.
    """
    return min(max(1e-7, 1e4 * max(half, torch.finfo(y.dtype).eps)), _MOST) * size_of(y)


def size_of(values: Tensor) -> float:
    """Return 1 plus the largest finite number in a tensor."""
    return 1 + float(values.abs().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).max())
