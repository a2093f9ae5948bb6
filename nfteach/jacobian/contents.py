"""What things lead to: whether their copies differ from them, and whether they hold values that a map computes with."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from .reach import EXACT_ATOMS, edges, is_atom, is_of_a_library, read_by_name

__all__ = ["LRU_CACHE", "WRAPPERS", "Contents", "has_values", "is_real_or_complex"]

LRU_CACHE = type(functools.lru_cache(len))
WRAPPERS = (staticmethod, classmethod)
_UNCHANGING = (
    *(type, tuple, frozenset, property, *WRAPPERS, types.FunctionType, types.CellType, types.MethodType),
    *(types.BuiltinMethodType, types.MethodWrapperType, LRU_CACHE),
)


def is_real_or_complex(tensor: Tensor) -> bool:
    """Return True for a tensor of floating or complex numbers."""
    return tensor.is_floating_point() or tensor.is_complex()


def has_values(thing: Any) -> bool:
    """Return True for a module, transform, distribution or tensor of real or complex numbers."""
    kind = type(thing)
    if issubclass(kind, Tensor):
        return is_real_or_complex(thing)
    return issubclass(kind, nn.Module | Transform | Distribution)


class Contents:
    """Answers to two questions, which are remembered for things that stay alive."""

    def __init__(self) -> None:
        self._constant: set[int] = set()  # ids of things that are their own copies
        self._stateless: set[int] = set()  # ids of things that lead to nothing that has values

    def has_state(self, thing: Any) -> bool:
        """Return True for what leads to something that has values."""
        return _leads(thing, self._stateless, lambda part: None if has_values(part) else _values(edges(part)))

    def has_a_copy(self, thing: Any) -> bool:
        """Return False for functions, classes and the like that are their own copies, as nothing in them has one."""
        return _leads(thing, self._constant, self._parts)

    def _parts(self, thing: Any) -> Iterable[Any] | None:
        """Return the parts that decide whether a thing has a copy; None if it has one."""
        kind, by_name = type(thing), []
        if not issubclass(kind, _UNCHANGING):
            return None
        if kind is types.FunctionType:
            by_name = _values(read_by_name(thing))
            defaults = (thing.__defaults__, *(thing.__kwdefaults__ or {}).values())
            parts = (*vars(thing).values(), *defaults, *(thing.__closure__ or ()))
        elif issubclass(kind, type):
            by_name = [value for label, value in edges(thing) if label]
            parts = () if is_of_a_library(thing) else thing.__bases__
        else:
            parts = _values(edges(thing))
        return None if any(map(self.has_state, by_name)) else parts


def _values(pairs: Iterable[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in pairs]


def _leads(thing: Any, known: set[int], follow: Callable[[Any], Iterable[Any] | None]) -> bool:
    """Return True if a thing leads to one for which ``follow`` returns None, not parts; add the others to ``known``."""
    seen, queue = set(), [thing]
    while queue:
        part = queue.pop()
        kind = type(part)
        if kind in EXACT_ATOMS or id(part) in seen or id(part) in known or is_atom(kind):
            continue
        if (parts := follow(part)) is None:
            return True
        seen.add(id(part))
        queue.extend(parts)
    known |= seen
    return False
