"""A copy of any transform to experiment on, so that the original is not touched."""

from __future__ import annotations

import copy
import functools
import types
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform
from torch.distributions.transforms import _InverseTransform as InverseTransform

from .reach import Reach, attributes_of, slots, storage_of

__all__ = [
    "Account",
    "InverseTransform",
    "changes",
    "copied",
    "own_device",
    "own_dtype",
    "parameters_account",
    "state",
    "trained",
    "twins",
    "twins_at_rest",
    "with_parameters_moved",
]

_PLAIN = (type, types.ModuleType, torch.Generator, torch.dtype, torch.device, torch.Size, str, bytes)
_STATEFUL = (nn.Module, Transform, Distribution, Tensor)


def twins(*originals: Any, dtype: torch.dtype | None = None) -> tuple[Any, ...]:
    """Deep copies of the originals, with every floating tensor in them turned to ``dtype`` (None: left as it is).

    What the originals share, the copies share. A plain function is copied with the modules, transforms and tensors that
    it holds in its closure or reads by name.

    Functions that deepcopy does not copy may lead back to the originals, whose tensors are left alone.

    Raises:
        ValueError: if something cannot be copied.
    """
    return copied(*originals, dtype=dtype)[0]


def twins_at_rest(*originals: Any, dtype: torch.dtype | None = None) -> tuple[Any, ...]:
    """Return twins in evaluation mode that need no gradients and do not validate values."""
    copies = twins(*originals, dtype=dtype)
    for thing in list(_own(copies, originals)):
        if isinstance(thing, nn.Module):
            thing.eval()
        elif isinstance(thing, Distribution):
            thing._validate_args = False
        elif isinstance(thing, Tensor) and thing.is_leaf:
            thing.requires_grad_(False)
    return copies


def copied(*originals: Any, dtype: torch.dtype | None = None) -> tuple[tuple[Any, ...], dict[int, Any]]:
    """Return what ``twins`` returns, and a dict: id of a thing in the originals -> its copy."""
    # deepcopy refuses tensors with a history (loc = 2 * parameter): give it detached copies of those.
    tensors = list(_tensors(originals))
    memo: dict[int, Any] = {id(t): t.detach().clone() for t in tensors if not t.is_leaf}
    # Nor can torch's inverse of a transform be copied, whose state leaves out what it inverts: make it anew.
    inverses = [t for t in _reachable(originals) if isinstance(t, InverseTransform)]
    try:
        for inverse in inverses:
            memo[id(inverse)] = copy.deepcopy(inverse._inv, memo).inv
        copies = tuple(_copy(original, memo) for original in originals)
    except Exception as error:
        raise ValueError(
            f"transform: the inspector works on a copy, but this {type(originals[0]).__name__} cannot be copied "
            f"({type(error).__name__}: {error})"
        ) from error
    _tie((tensor, memo[id(tensor)]) for tensor in tensors if memo.get(id(tensor), tensor) is not tensor)
    own = list(_own(copies, originals))
    tensors = [thing for thing in own if isinstance(thing, Tensor)]
    for tensor in tensors:
        tensor.grad = None
    if dtype is not None:
        floating = [tensor for tensor in tensors if tensor.is_floating_point() and tensor.dtype != dtype]
        _tie(zip(floating, floating, strict=True), dtype)
        for tensor in floating:
            tensor.data = tensor.data.to(dtype)
    for thing in own:
        if isinstance(thing, Transform):
            # A cache could answer instead of the map; and an inverse held weakly is still the original's.
            thing._cache_size, thing._cached_x_y = 0, (None, None)
            if isinstance(thing._inv, weakref.ref):
                thing._inv = None
    return copies, memo


def _tie(pairs: Iterable[tuple[Tensor, Tensor]], dtype: torch.dtype | None = None) -> None:
    """Give the second of each pair a place in one new storage where the first share one, as views of a matrix do."""
    groups: dict[tuple[int, torch.dtype], list[tuple[Tensor, Tensor]]] = {}
    for tensor, double in pairs:
        groups.setdefault((_address(tensor), tensor.dtype), []).append((tensor, double))
    for (address, own), group in groups.items():
        if address and len(group) > 1:
            storage = group[0][0].untyped_storage()
            shape = (storage.nbytes() // own.itemsize,)
            whole = torch.empty(0, dtype=own, device=storage.device).set_(storage, 0, shape, (1,))
            whole = whole.clone() if dtype is None else whole.to(dtype)
            for tensor, double in group:
                double.data = whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


class Account(NamedTuple):
    """The parameters that ``with_parameters_moved`` finds, by the paths to them, such as ``Scale.net.0.weight``.

    Attributes:
        moved: those that it moves.
        frozen: parameters with ``requires_grad=False``, which are left alone.
        unmoved: (path, reason) of those that cannot be moved.
    """

    moved: tuple[str, ...]
    frozen: tuple[str, ...]
    unmoved: tuple[tuple[str, str], ...]


def parameters_account(*originals: Any) -> Account:
    """Return an account of the parameters of ``originals``: which are moved, which are frozen, which cannot be moved."""
    memo, reach = copied(*originals)[1], Reach(*originals)
    moved, frozen, unmoved = [], [], []
    for thing in reach.things.values():
        if not isinstance(thing, Tensor):
            continue
        if not thing.requires_grad:
            if isinstance(thing, nn.Parameter):
                frozen.append(reach.path(thing))
        elif thing.is_leaf:
            if memo.get(id(thing), thing) is thing:
                unmoved.append((reach.path(thing), "a copy of the map shares it with the original"))
            else:
                moved.append(reach.path(thing))
    return Account(tuple(moved), tuple(frozen), tuple(unmoved))


def with_parameters_moved(*originals: Any, by: float, seed: int) -> tuple[Any, ...] | None:
    """Return twins whose parameters are moved by Gaussian noise; None if there is nothing to move.

    Parameters are all leaves that require a gradient. Those with ``requires_grad=False`` are left alone:
    ``parameters_account`` lists them. The noise has ``by`` times the standard deviation
    max(rms of the parameter, 1 / sqrt(fan-in)); the fan-in of a matrix is the length of its rows, of a vector 1.

    Args:
        by: relative size, > 0.
        seed: of the noise.
    """
    copies = twins(*originals)
    generator = torch.Generator().manual_seed(seed)
    moved = False
    for tensor in _own(copies, originals):
        if isinstance(tensor, Tensor) and tensor.is_leaf and tensor.requires_grad:
            tensor.data += _noise(tensor.detach(), generator, by)
            moved = True
    return copies if moved else None


def _noise(tensor: Tensor, generator: torch.Generator, by: float) -> Tensor:
    fan_in = tensor[0].numel() if tensor.dim() > 1 and len(tensor) else 1
    size = max(float(tensor.abs().double().square().mean().sqrt()), fan_in**-0.5)
    dtype = torch.complex128 if tensor.is_complex() else torch.float64
    return (by * size * torch.randn(tensor.shape, generator=generator, dtype=dtype, device="cpu")).to(tensor)


def trained(*things: Any) -> list[Tensor]:
    """Return the floating tensors in the things that are leaves and require a gradient."""
    return [tensor for tensor in _tensors(things) if tensor.is_leaf and tensor.requires_grad]


def own_dtype(*things: Any, otherwise: torch.dtype) -> torch.dtype:
    """The dtype that the first floating tensor in the things has."""
    return next((t.dtype for t in _tensors(things) if t.is_floating_point()), otherwise)


def own_device(*things: Any) -> torch.device:
    """Return the device of the first tensor in the things; the CPU if there is none."""
    return next((tensor.device for tensor in _tensors(things)), torch.device("cpu"))


def state(thing: Any) -> dict[str, Any]:
    """The parameters, buffers and plain values (numbers, flags, words) of every module and transform in it, by name.

    Other tensors are left out: what a layer keeps of its last call is a memo and no state.
    """
    found: dict[str, Any] = {}
    for holder in _reachable([thing]):
        if not isinstance(holder, nn.Module | Transform):
            continue
        prefix = "" if holder is thing else f"{type(holder).__name__}."
        values = {name: value for name, value in vars(holder).items() if isinstance(value, bool | int | float | str)}
        if isinstance(holder, nn.Module):
            tensors = (*holder.named_parameters(recurse=False), *holder.named_buffers(recurse=False))
            values |= {name: value.detach().clone() for name, value in tensors}
        for name, value in values.items():
            key = prefix + name
            while key in found:
                key += "'"
            found[key] = value
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """The names whose values differ between two states; what was not there before is new, and not changed."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and bool(((a == b) | (a != a) & (b != b)).all())
        return type(a) is type(b) and a == b

    return tuple(name for name, value in before.items() if name in after and not same(value, after[name]))


def _copy(original: Any, memo: dict[int, Any]) -> Any:
    if not isinstance(original, types.FunctionType):
        return copy.deepcopy(original, memo)
    held = _held(original)
    if not held or id(original) in memo:
        return memo.get(id(original), original)
    # A function that calls itself has a copy that calls itself.
    itself = {name for name, value in _named(original).items() if value is original}
    new = {name: _copy_if_possible(value, memo) for name, value in held.items()}
    cells = tuple(
        types.CellType(new.get(name)) if name in new or name in itself else cell
        for name, cell in zip(original.__code__.co_freevars, original.__closure__ or (), strict=True)
    )
    names = {**original.__globals__, **{name: value for name, value in new.items() if name in original.__globals__}}
    double = types.FunctionType(original.__code__, names, original.__name__, None, cells)
    defaults = _positional_defaults(original)
    double.__defaults__ = tuple(new.get(name, value) for name, value in defaults.items()) if defaults else None
    double.__kwdefaults__ = original.__kwdefaults__ and {
        name: new.get(name, value) for name, value in original.__kwdefaults__.items()
    }
    for name, cell in zip(double.__code__.co_freevars, cells, strict=True):
        if name in itself:
            cell.cell_contents = double
    names |= dict.fromkeys(itself & names.keys(), double)
    memo[id(original)] = double
    return double


def _copy_if_possible(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy; of containers and objects that hold something without a copy, such as a file, the value itself."""
    if isinstance(value, types.FunctionType | nn.Module | Transform | Tensor):
        return _copy(value, memo)
    trial = dict(memo)
    try:
        double = copy.deepcopy(value, trial)
    except Exception:
        return value
    memo.setdefault(id(memo), []).extend(trial.pop(id(trial), []))
    memo.update(trial)
    return double


def _held(function: types.FunctionType, seen: frozenset[int] = frozenset()) -> dict[str, Any]:
    """What a function holds, by name, that has a state: modules, transforms, tensors, functions that hold such."""
    seen = seen | {id(function)}
    return {name: value for name, value in _named(function).items() if _has_state(value, seen)}


def _named(function: types.FunctionType) -> dict[str, Any]:
    """Return the globals, the closure and the default arguments of a function by name."""
    names = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # a cell that is still empty
            continue
    return names | _positional_defaults(function) | (function.__kwdefaults__ or {})


def _positional_defaults(function: types.FunctionType) -> dict[str, Any]:
    names, values = function.__code__.co_varnames[: function.__code__.co_argcount], function.__defaults__ or ()
    return dict(zip(names[len(names) - len(values) :], values, strict=True))


def _has_state(value: Any, seen: frozenset[int]) -> bool:
    # By its type: a proxy answers isinstance for another object.
    if issubclass(type(value), types.FunctionType):
        return id(value) not in seen and bool(_held(value, seen))
    if issubclass(type(value), types.MethodType):
        return _has_state(value.__self__, seen)
    return issubclass(type(value), (*_STATEFUL, functools.partial)) or any(
        issubclass(type(part), _STATEFUL) for part in _parts(value)
    )


def _parts(value: Any) -> Iterator[Any]:
    """Yield the elements of a container, and of an object its attributes and their elements."""
    if issubclass(type(value), dict):
        yield from value.values()
    elif issubclass(type(value), list | tuple):
        yield from value
    elif not issubclass(type(value), _PLAIN):
        for part in (attributes_of(value) or {}).values():
            yield part
            if issubclass(type(part), dict | list | tuple):
                yield from _parts(part)


def _own(copies: tuple[Any, ...], originals: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the things that belong to the copies alone: functions that are not copied lead back to the originals."""
    theirs = list(_reachable(originals))
    ids, storages = set(map(id, theirs)), {_address(thing) for thing in theirs if isinstance(thing, Tensor)} - {0}
    for thing in list(_reachable(copies)):
        if id(thing) not in ids and not (isinstance(thing, Tensor) and _address(thing) in storages):
            yield thing


def _address(tensor: Tensor) -> int:
    """Return the address of a tensor's storage; 0 if it has none or an empty one."""
    storage = storage_of(tensor)
    return 0 if storage is None else storage.data_ptr()


def _tensors(roots: Any) -> Iterator[Tensor]:
    return (thing for thing in _reachable(roots) if isinstance(thing, Tensor))


def _reachable(roots: Any) -> Iterator[Any]:
    """Everything that can be reached from ``roots`` through containers, attributes and what functions hold."""
    seen: set[int] = set()
    queue = [roots]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, _PLAIN):
            continue
        seen.add(id(thing))
        yield thing
        if isinstance(thing, dict):
            queue.extend(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            queue.extend(thing)
        elif isinstance(thing, types.FunctionType):
            queue.extend(_held(thing).values())
        elif isinstance(thing, types.MethodType):
            queue.append(thing.__self__)
        elif isinstance(thing, functools.partial):
            queue.extend((thing.func, thing.args, thing.keywords))
        elif isinstance(thing, torch.jit.ScriptModule):
            queue.extend((*thing.parameters(), *thing.buffers()))
        elif not isinstance(thing, Tensor):
            queue.extend(getattr(thing, "__dict__", {}).values())
            queue.extend(slot.__get__(thing) for _, slot in slots(thing))
