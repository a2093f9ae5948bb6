"""Copies by the protocol of pickle, of what has a state in C or owns something."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator
from typing import Any

from .phrases import in_words
from .reach import is_standard_stream

__all__ = ["Uncopied", "as_pickled"]


class Uncopied(Exception):
    """A thing that cannot be copied, with the reason and what to try."""


def as_pickled(thing: Any, copy: Callable[[Any], Any], copies: dict[int, Any], alive: list[Any]) -> Any:
    """Return a copy by the protocol of pickle, as ``copy.deepcopy`` does, its parts copied by ``copy``."""
    if is_standard_stream(thing):
        return thing
    try:
        reduce = copyreg.dispatch_table.get(type(thing))
        parts = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception as error:
        what = "try to keep its values in a list" if isinstance(thing, Iterator) else "try to keep it outside"
        raise Uncopied(thing, f"cannot be copied ({in_words(error)})", what) from error
    if isinstance(parts, str):
        return thing
    alive.append(parts)
    make, arguments, state, items, pairs = (*parts, None, None, None)[:5]
    arguments = copy(arguments)
    if id(thing) in copies:  # the arguments lead back to it
        return copies[id(thing)]
    new = copies[id(thing)] = copy(make)(*arguments)
    state = copy(state)
    if hasattr(new, "__setstate__") and state is not None:
        new.__setstate__(state)
    elif state:
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            for name, value in (part or {}).items():
                object.__setattr__(new, name, value)
    for item in items or ():
        new.append(copy(item))
    for key, value in pairs or ():
        new[copy(key)] = copy(value)
    return new
