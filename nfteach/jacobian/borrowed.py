"""Refusal of maps whose copies still depend on the original: a report on such a copy would be wrong."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .adapt import MANNERS, Map, adapt
from .reach import THROUGH, WEAKLY, Reach
from .twin import copied, own_dtype
from .unharmed import Snapshot, goes_one_way
from .watch import Watch

__all__ = ["NoCopy", "on_its_own"]


class NoCopy(ValueError):
    """A map that does not work on a copy."""


_INSTEAD = "try to make it a method, or to assign the values that it reads to an attribute of the layer"


@contextmanager
def on_its_own(snapshot: Snapshot, given: tuple[Any, ...], x: Tensor) -> Iterator[None]:
    """Refuse a map if its copies do not stand for it, because they compute with what is the original's.

    ``copy.deepcopy`` keeps functions and weak references as they are. Those in a layer may lead from its copy back to
    the layer. Where they only record, the report is right all the same. But parameters that they compute with would be
    neither cast nor moved, and a state that they change would stay as it is in the copy.

    Args:
        snapshot: the state of ``given``.
        given: the transform, its log-det and its inverse.
        x: points to try.

    Raises:
        NoCopy: if the copies compute with parameters or buffers of the original, give other values than the
            original, or read an iterator or a file of it.
    """
    copies, memo = copied(*given)
    reach = Reach(*copies)
    shared = [thing for thing in reach.things.values() if thing in snapshot.reach]
    for thing in shared:
        if goes_one_way(thing) and not any(isinstance(step, type) for step in reach.chain(thing)):
            raise NoCopy(
                f"transform must be a map that can be copied, but {reach.path(thing)} is a {type(thing).__name__}, "
                "which cannot be; try to keep its values in a list"
            )
    left_behind = [thing for thing in shared if memo.get(id(thing), thing) is not thing]
    watch = Watch(_trained(shared))
    if left_behind:
        alike = _alike(snapshot, given, x, watch)
        _refuse_if_used(watch, snapshot, reach, shared)
        if not alike:
            raise NoCopy(
                f"transform must be a map that can be copied, but {reach.path(left_behind[0])} is the original's, and "
                f"a copy of the {type(given[0]).__name__} gives other values; {_INSTEAD}"
            )
    try:
        with watch.over_everything():
            yield
    finally:
        _refuse_if_used(watch, snapshot, reach, shared)


def _trained(things: list[Any]) -> Iterator[Tensor]:
    """Yield the parameters and buffers of modules, and other tensors that require a gradient."""
    for thing in things:
        if issubclass(type(thing), nn.Module):
            yield from thing.parameters(recurse=False)
            yield from thing.buffers(recurse=False)
        elif issubclass(type(thing), Tensor) and thing.requires_grad:
            yield thing


def _refuse_if_used(watch: Watch, snapshot: Snapshot, reach: Reach, shared: list[Any]) -> None:
    if watch.used is None:
        return
    tensor, codes = watch.used
    functions = {thing.__code__: thing for thing in reversed(shared) if type(thing) is types.FunctionType}
    culprits = [functions[code] for code in codes if code in functions]
    # Methods use the object that they are called with; functions kept as values use the one that they were made with.
    culprits = [function for function in culprits if not any(isinstance(s, type) for s in reach.chain(function))]
    where = reach.path(culprits[0] if culprits else tensor).partition(THROUGH)[0].partition(WEAKLY)
    name = snapshot.reach.path(tensor).rpartition(THROUGH)[2]
    raise NoCopy(
        f"transform must be a map that can be copied, but {where[0] + where[1]} uses {name} of the original; {_INSTEAD}"
    )


def _alike(snapshot: Snapshot, given: tuple[Any, ...], x: Tensor, watch: Watch) -> bool:
    """Return True if a copy gives the values of the original, call after call, in the layer's own dtype."""
    transform, log_det, inverse = given
    points = x.to(own_dtype(*given, otherwise=x.dtype))
    for manner in MANNERS:
        original = adapt(transform, x, log_det, inverse, dtype=None, manner=manner, as_a_copy=False)
        right = _answers(original, points)
        snapshot.restore()
        with watch.over_everything():
            copy = adapt(transform, x, log_det, inverse, dtype=None, manner=manner)
            answers = _answers(copy, points)
        snapshot.restore()
        if not all(map(_equal, right, answers)):
            return False
    return True


def _answers(f: Map, x: Tensor) -> list[Any]:
    """Call a map forwards, with another random state, backwards and forwards again; collect values and errors."""
    answers, y = [], None
    for call in (f, partial(f, seed=1), f.invert, f):
        try:
            image, log_det = call(y if call == f.invert else x)
            answers += [image, None if log_det is None else torch.as_tensor(log_det)]
            y = image.detach()
        except Exception as error:
            answers += [type(error), None]
    return answers


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return a is b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    rounding = 1e3 * torch.finfo(a.dtype).eps
    return torch.allclose(a, b, rtol=rounding, atol=rounding, equal_nan=True)
