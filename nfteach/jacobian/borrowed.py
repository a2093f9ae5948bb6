"""Refusal of maps whose copies give other values than the map itself: a report on such a copy would be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt
from .copier import NoCopy
from .manners import MANNERS
from .phrases import in_words
from .twin import own_dtype, rebuilt
from .unharmed import Snapshot, goes_one_way

__all__ = ["NoCopy", "on_its_own"]


@contextmanager
def on_its_own(snapshot: Snapshot, given: tuple[Any, ...], x: Tensor) -> Iterator[list[str]]:
    """Refuse a map if its copies, which are made in the block, do not stand for it: raise NoCopy.

    Functions and classes are made anew in a copy. Where a map looks something up by the identity of the original, a
    copy gives other values, or raises. So copies with functions made anew, and those that fail, are compared with the
    map itself. Yields the reasons to compare; the block may add some.
    """
    with rebuilt() as doubts:
        try:
            yield doubts
        except NoCopy:
            raise
        except ValueError:
            _refuse_unlike(snapshot, given, x)
            raise
        except Exception as error:
            raise NoCopy(
                f"transform must be a map that can be called and copied, but raised {in_words(error)}; "
                "try a plain function of x that computes the same"
            ) from error
    if doubts:
        _refuse_unlike(snapshot, given, x)


def _refuse_unlike(snapshot: Snapshot, given: tuple[Any, ...], x: Tensor) -> None:
    # An original that reads on what cannot be rewound is not called.
    if not any(map(goes_one_way, snapshot.reach.things.values())) and not _alike(snapshot, given, x):
        raise NoCopy(
            f"transform must be a map that can be copied, but a copy of the {type(given[0]).__name__} gives other "
            "values than the original; try to keep the values that it reads as attributes of the layer"
        )


def _alike(snapshot: Snapshot, given: tuple[Any, ...], x: Tensor) -> bool:
    """Return True if a copy gives the values of the original, in the layer's own dtype."""
    transform, log_det, inverse = given
    points = x.to(own_dtype(*given, otherwise=x.dtype))
    for manner in MANNERS:
        answers = []
        for as_a_copy in (True, False, False):
            snapshot.restore()
            f = adapt(transform, x, log_det, inverse, dtype=None, manner=manner, as_a_copy=as_a_copy)
            answers.append(_answers(f, points))
        copy, original, again = answers
        if not all(map(_equal, copy, original)) and all(map(_equal, original, again)):
            return False
        if isinstance(original[0], Tensor):
            return True
    return True


def _answers(f: Map, x: Tensor) -> list[Any]:
    """Return the values, and the kinds of errors, of a call forward and one back."""
    answers, y = [], x
    for call in (f, f.invert):
        try:
            y, log_det = call(y)
            answers += [y, None if log_det is None else torch.as_tensor(log_det)]
            y = y.detach()
        except Exception as error:
            answers += [type(error), None]
    return answers


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return a is b
    if a.is_nested or b.is_nested:
        return a.is_nested and b.is_nested
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    rounding = 1e3 * torch.finfo(a.dtype).eps
    return torch.allclose(a, b, rtol=rounding, atol=rounding, equal_nan=True)
