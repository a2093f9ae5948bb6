"""A snapshot of everything that a map can reach, and its restoration to the bit."""

from __future__ import annotations

import array
import contextvars
import io
import itertools
import operator
import random
import re
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules import module

from . import reach

__all__ = ["Snapshot", "goes_one_way", "unharmed"]

_HOOKS_OF_ALL_MODULES = [value for name, value in vars(module).items() if re.fullmatch(r"_global_.*_hooks", name)]


@contextmanager
def unharmed(*given: Any) -> Iterator[Snapshot]:
    """Restore everything that can be reached from ``given`` on the way out, also when something was raised.

    Raises:
        ValueError: if something changed that cannot be restored.
    """
    snapshot = Snapshot(*given)
    try:
        yield snapshot
    finally:
        lost = snapshot.restore()
        if lost:
            raise ValueError(
                f"transform must not change what cannot be restored, but a call changes {lost[0]}; try to read it "
                "before and to keep the values as an attribute of the layer"
            )


class Snapshot:
    """The state of everything that can be reached from ``given``.

    Of tensors: bits, dtype, shape, strides, storage, ``requires_grad``, ``grad`` and version, for a loss may wait for
    its backward pass; of containers and objects: which things they hold; of arrays and buffers: bits; of generators of
    random numbers: states.
    """

    def __init__(self, *given: Any) -> None:
        self.reach = reach.Reach(*given, *filter(None, _HOOKS_OF_ALL_MODULES))
        pairs = [(thing, keeper) for thing in self.reach.things.values() for keeper in _keepers(thing)]
        pairs.sort(key=lambda pair: pair[1].turn)
        self._kept = [(thing, keeper, _own(keeper.state(thing))) for thing, keeper in pairs]

    def restore(self) -> tuple[str, ...]:
        """Restore what changed, and return the paths to what cannot be restored."""
        lost = []
        for thing, keeper, state in self._kept:
            if not keeper.same(keeper.state(thing), state):
                try:
                    keeper.restore(thing, state)
                except Exception:
                    lost.append(self.reach.path(thing))
        return tuple(lost)


def _own(state: Any) -> Any:
    return state.clone() if isinstance(state, Tensor) else state


class _Keeper(NamedTuple):
    """The functions that read, restore and compare the state of one kind of thing, and when it is its turn."""

    state: Callable[[Any], Any]
    restore: Callable[[Any, Any], None]
    same: Callable[[Any, Any], bool] = operator.eq
    turn: int = 1


def _bits(storage: torch.UntypedStorage) -> Tensor | None:
    """Return the storage as integers, as wide as fit; None if it has no values."""
    if storage.device.type == "meta":
        return None
    dtype, n = (torch.int64, storage.nbytes() // 8) if storage.nbytes() % 8 == 0 else (torch.uint8, storage.nbytes())
    return torch.empty(0, dtype=dtype, device=storage.device).set_(storage, 0, (n,), (1,))


def _same_bits(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a.dtype == b.dtype and torch.equal(a, b))


def _restore_bits(storage: torch.UntypedStorage, saved: Tensor) -> None:
    if storage.nbytes() != saved.nbytes:
        storage.resize_(saved.nbytes)
    _bits(storage).copy_(saved)


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Return a tensor's storage, its history, and its place in the storage."""
    storage, place = reach.storage_of(tensor), ()
    if storage is not None and not tensor.is_nested:  # a nested one has no shape
        place = tensor.dtype, tensor.storage_offset(), tensor.shape, tensor.stride()
    return storage, tensor.grad_fn, tensor.requires_grad, place


def _same_place(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return a[0] is b[0] and a[1] is b[1] and a[2:] == b[2:]


def _restore_place(tensor: Tensor, state: tuple[Any, ...]) -> None:
    storage, history, requires_grad, place = state
    if tensor.grad_fn is not history:
        if history is not None:
            raise ValueError("a history cannot be restored")
        tensor.detach_()
    if place:
        dtype, *place = place
        tensor.data = torch.empty(0, dtype=dtype, device=storage.device).set_(storage, *place)
    tensor.requires_grad_(requires_grad)


def _version(tensor: Tensor) -> int | None:
    """Return how often a tensor was written into; None if that is not counted."""
    try:
        return tensor._version
    except (RuntimeError, ValueError):  # an inference tensor, or one without values
        return None


def _identical(a: tuple | list, b: tuple | list) -> bool:
    return len(a) == len(b) and all(map(operator.is_, a, b))


def _same_values(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and _identical(list(a.values()), list(b.values()))


def _same_arrays(a: Any, b: Any) -> bool:
    """Return True for equal arrays, to the bit, and for equal nested dicts and tuples of numbers and arrays."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same_arrays(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_same_arrays, a, b))
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return a == b


def _replace(kept: Any, state: Any) -> None:
    type(state).__setitem__(kept, slice(None), state)


def _refill(kept: Any, state: list[Any]) -> None:
    kind = set if isinstance(kept, set) else deque
    kind.clear(kept)
    (set.update if kind is set else deque.extend)(kept, state)


def _items(kept: dict) -> list[Any]:
    kind = OrderedDict if isinstance(kept, OrderedDict) else dict
    return [*kind.keys(kept), *kind.values(kept)]


def _restore_dict(kept: dict, state: list[Any]) -> None:
    kind, half = OrderedDict if isinstance(kept, OrderedDict) else dict, len(state) // 2
    kind.clear(kept)
    for key, value in zip(state[:half], state[half:], strict=True):
        kind.__setitem__(kept, key, value)


def _restore_cell(cell: types.CellType, state: tuple[Any, ...]) -> None:
    if state:
        cell.cell_contents = state[0]
    else:
        del cell.cell_contents


def _of_a_class(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if not name.startswith(("__", "_abc_"))}


def _restore_class(kind: type, state: dict[str, Any]) -> None:
    now = _of_a_class(kind)
    for name in now.keys() - state.keys():
        type.__delattr__(kind, name)
    for name, value in state.items():
        if now.get(name, state) is not value:
            type.__setattr__(kind, name, value)


def _defaults(function: types.FunctionType) -> tuple[Any, ...]:
    return function.__defaults__, function.__kwdefaults__, function.__code__


def _restore_defaults(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    function.__defaults__, function.__kwdefaults__, function.__code__ = state


def _globals(function: types.FunctionType) -> dict[str, Any]:
    space = function.__globals__
    return {name: space[name] for name in reach.names_in(function.__code__).bound if name in space}


def _restore_globals(function: types.FunctionType, state: dict[str, Any]) -> None:
    for name in reach.names_in(function.__code__).bound - state.keys():
        function.__globals__.pop(name, None)
    function.__globals__.update(state)


def _restore_slots(thing: Any, state: dict[types.MemberDescriptorType, Any]) -> None:
    for slot in dict(reach.slots(thing)).keys() - state.keys():
        slot.__delete__(thing)
    for slot, value in state.items():
        slot.__set__(thing, value)


def _text(stream: io.StringIO | io.BytesIO) -> tuple[Any, ...] | None:
    return None if stream.closed else (stream.getvalue(), stream.tell())


def _restore_text(stream: io.StringIO | io.BytesIO, state: tuple[Any, ...]) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(state[0])
    stream.seek(state[1])


def _position(iterator: Any) -> tuple[Any, ...]:
    """Return a value that changes when an iterator or a file is read on, as far as that can be seen."""
    if isinstance(iterator, types.GeneratorType):
        frame = iterator.gi_frame
        return () if frame is None else (frame.f_lasti, *map(id, frame.f_locals.values()))
    if reach.is_standard_stream(iterator):
        return ()
    if isinstance(iterator, io.IOBase):
        try:
            return (iterator.closed or iterator.tell(),)
        except (OSError, ValueError):
            return ()
    return operator.length_hint(iterator, -1), repr(iterator) if isinstance(iterator, itertools.count) else ""


def _set(variable: contextvars.ContextVar, state: tuple[Any, ...]) -> None:
    if not state:
        raise ValueError("it cannot be unset")
    variable.set(*state)


def _cannot(thing: Any, state: Any) -> None:
    raise ValueError("it cannot go back")


_KINDS: dict[type, _Keeper] = {
    dict: _Keeper(_items, _restore_dict, _identical),
    list: _Keeper(lambda kept: kept[:], _replace, _identical),
    deque: _Keeper(list, _refill, _identical),
    set: _Keeper(list, _refill, lambda a, b: set(map(id, a)) == set(map(id, b))),
    types.CellType: _Keeper(lambda cell: reach.contents_of(cell) or (), _restore_cell, _identical),
    bytearray: _Keeper(lambda kept: kept[:], _replace),
    array.array: _Keeper(lambda kept: kept[:], _replace),
    io.StringIO: _Keeper(_text, _restore_text),
    io.BytesIO: _Keeper(_text, _restore_text),
    np.ndarray: _Keeper(np.copy, lambda kept, state: np.copyto(kept, state, casting="no"), _same_arrays),
    torch.UntypedStorage: _Keeper(_bits, _restore_bits, _same_bits, turn=0),
    Tensor: _Keeper(_place, _restore_place, _same_place, turn=2),
    torch.Generator: _Keeper(torch.Generator.get_state, torch.Generator.set_state, torch.equal),
    random.Random: _Keeper(random.Random.getstate, random.Random.setstate),
    np.random.BitGenerator: _Keeper(
        lambda bits: bits.state, lambda bits, state: setattr(bits, "state", state), _same_arrays
    ),
    np.random.RandomState: _Keeper(np.random.RandomState.get_state, np.random.RandomState.set_state, _same_arrays),
    contextvars.ContextVar: _Keeper(reach.value_of, _set, _identical),
    types.FunctionType: _Keeper(_defaults, _restore_defaults, _identical),
}
_GRADIENT = _Keeper(
    lambda tensor: (tensor.grad,) if tensor.is_leaf or tensor.retains_grad else (),
    lambda tensor, state: setattr(tensor, "grad", *state),
    _identical,
    turn=3,
)
_VERSION = _Keeper(
    _version, lambda tensor, state: torch._C._autograd._unsafe_set_version_counter((tensor,), (state,)), turn=4
)
_READ_ON = _Keeper(_position, _cannot)
_GLOBALS = _Keeper(_globals, _restore_globals, _same_values)
_CLASS = _Keeper(_of_a_class, _restore_class, _same_values)
_SLOTS = _Keeper(lambda thing: dict(reach.slots(thing)), _restore_slots, _same_values)


def goes_one_way(thing: Any) -> bool:
    """Return True for iterators and files, which cannot be rewound once they were used."""
    return _of_one_way(type(thing)) and not reach.is_standard_stream(thing)


@reach.remembered
def _of_one_way(kind: type) -> bool:
    if issubclass(kind, io.IOBase):
        return not issubclass(kind, io.StringIO | io.BytesIO)
    return kind.__module__ in ("builtins", "itertools", "_csv") and issubclass(kind, Iterator)


def _keepers(thing: Any) -> tuple[_Keeper, ...]:
    kind = type(thing)
    if kind is types.FunctionType and reach.names_in(thing.__code__).bound:
        return (*_of_a_kind(kind), _GLOBALS)
    if issubclass(kind, type) and not reach.is_of_a_library(thing):
        return (*_of_a_kind(kind), _CLASS)
    return _of_a_kind(kind)


@reach.remembered
def _of_a_kind(kind: type) -> tuple[_Keeper, ...]:
    known = _KINDS.get(kind)
    if known is None and kind.__module__ != "builtins":
        known = next((keeper for base, keeper in _KINDS.items() if issubclass(kind, base)), None)
    has_slots = any("__slots__" in vars(base) and not reach.is_library(base.__module__) for base in kind.__mro__)
    of_tensors = (_GRADIENT, _VERSION) if issubclass(kind, Tensor) else ()
    where = known is not None, _of_one_way(kind), has_slots
    return (*of_tensors, *(keeper for keeper, there in zip((known, _READ_ON, _SLOTS), where, strict=True) if there))
