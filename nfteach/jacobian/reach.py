"""Everything that a program can reach from an object, and the path to each thing found."""

from __future__ import annotations

import contextvars
import dis
import enum
import functools
import gc
import logging
import re
import sys
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "EXACT_ATOMS",
    "Reach",
    "attributes_of",
    "behind",
    "contents_of",
    "edges",
    "inside",
    "is_atom",
    "is_library",
    "is_of_a_library",
    "is_standard_stream",
    "names_in",
    "read_by_name",
    "remembered",
    "slots",
    "storage_of",
    "value_of",
]

# Values without parts that could change, whose copies they are themselves. Modules are entered by the names that code
# reads from them; locks and logs are for everyone.
EXACT_ATOMS = frozenset(
    (
        *(bool, int, float, complex, str, bytes, range, slice, object, type(None)),
        *(type(Ellipsis), type(NotImplemented)),
        *(types.CodeType, types.FrameType, types.ModuleType, types.GenericAlias, types.UnionType, re.Pattern),
        *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
        *(types.GetSetDescriptorType, types.MemberDescriptorType, np.ufunc),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, torch.jit.ScriptFunction),
        *(type(threading.Lock()), type(threading.RLock())),
    )
)
_ATOMS = (
    *(EXACT_ATOMS - {object}),
    *(enum.Enum, np.generic, np.dtype, threading.Thread, logging.Logger, logging.Handler),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket),
)
_OURS = __name__.partition(".")[0]
_SPARSE_PARTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
}

_WITHOUT_ATTRIBUTES = (dict, OrderedDict, list, tuple, set, frozenset, deque, weakref.ref, torch.UntypedStorage)
_IN_C = ("builtins", "functools", "itertools")

Edge = tuple[str, Any]


def remembered(function: Callable[[type], Any]) -> Callable[[type], Any]:
    """Return a function of classes that remembers its results for those that libraries define, which stay alive."""
    known: dict[type, Any] = {}

    @functools.wraps(function)
    def look_up(kind: type) -> Any:
        if kind in known:
            return known[kind]
        result = function(kind)
        if is_of_a_library(kind) and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind:
            known[kind] = result
        return result

    return look_up


@remembered
def is_atom(kind: type) -> bool:
    """Return True for the classes of values without parts that could change."""
    return kind in EXACT_ATOMS or issubclass(kind, _ATOMS)


class Reach:
    """The things that can be reached from ``roots``, by the shortest path, if possible by one that avoids classes.

    Containers, attributes, slots, closures, defaults, the globals and the modules' members that code reads by name,
    partials, bound methods, weak references and classes are followed, and of a module that something holds the members
    whose names that code has; the classes and globals of installed libraries, the standard library and this package are
    not.

    Attributes:
        things: id -> thing. All are held, so no id is used twice.
    """

    def __init__(self, *roots: Any) -> None:
        self.things: dict[int, Any] = {}
        self._from: dict[int, tuple[int | None, str]] = {}

        # Classes come last, so that what an object holds by itself is found there.
        queue: deque[tuple[int, bool]] = deque()
        classes: deque[tuple[int, bool]] = deque()
        modules: list[types.ModuleType] = []
        names: set[str] = set()

        def found(thing: Any, parent: int | None, label: str) -> None:
            kind, key = type(thing), id(thing)
            if kind is types.ModuleType:
                if key not in self.things and _is_entered(thing):
                    self.things[key], self._from[key] = thing, (parent, label)
                    modules.append(thing)
            elif kind not in EXACT_ATOMS and key not in self.things and not is_atom(kind):
                self.things[key], self._from[key] = thing, (parent, label)
                if kind is types.FunctionType and not is_of_a_library(thing):
                    names.update(names_in(thing.__code__).all)
                (classes if issubclass(kind, type) else queue).append((key, label == _ATTRIBUTES))

        for root in roots:
            found(root, None, _name(root))
        before = None
        while before != (len(modules), len(names)):
            while queue or classes:
                key, dotted = (queue or classes).popleft()
                for label, thing in edges(self.things[key], dotted):
                    found(thing, key, label)
            before = len(modules), len(names)
            for module in list(modules):
                for name in names & vars(module).keys():
                    found(vars(module)[name], id(module), f".{name}")

    def __contains__(self, thing: Any) -> bool:
        return self.things.get(id(thing)) is thing

    def path(self, thing: Any) -> str:
        """Return the path to ``thing``, such as ``Scale.positive``; "" if it was not found."""
        key, text = (id(thing) if thing in self else None), ""
        while key is not None:
            key, label = self._from[key]
            text = label.replace(_ATTRIBUTES, "") + text
        text = re.sub(r"\._(?:parameters|buffers|modules)\['([^']*)'\]", r".\1", text)
        return re.sub(r"\._(forward|forward_pre|backward|backward_pre)_hooks\[\d+\]", r" (a \1 hook)", text).replace(
            "forward_pre hook", "forward pre-hook"
        )


def inside(*roots: Any, classes: bool = False) -> Iterator[Any]:
    """Yield what ``roots`` hold: all that can be reached, through classes or without them."""

    seen: set[int] = set()
    queue = list(roots)
    while queue:
        thing = queue.pop()
        kind = type(thing)
        if kind in EXACT_ATOMS or id(thing) in seen or is_atom(kind) or (not classes and issubclass(kind, type)):
            continue
        seen.add(id(thing))
        yield thing
        if kind is dict or kind is OrderedDict:
            queue.extend(thing.values())
            queue.extend(key for key in thing if type(key) is not str)
        elif kind is not nn.Parameter:
            queue.extend(value for _, value in edges(thing))


# The label of the dict with an object's attributes.
_ATTRIBUTES = "\0"


def edges(thing: Any, dotted: bool = False) -> Iterator[Edge]:
    """Yield the things that ``thing``, or the dict with an object's attributes if ``dotted``, leads to, in words."""
    # By its type: a proxy answers isinstance for another object.
    kind = type(thing)
    if issubclass(kind, type):
        if not is_of_a_library(thing):
            yield from ((f".{name}", value) for name, value in vars(thing).items() if not _dunder(name, value))
            yield from (("", base) for base in thing.__bases__)
        return
    if issubclass(kind, dict):
        for key, value in _items(thing):
            if type(value) not in EXACT_ATOMS or type(value) is types.ModuleType:
                yield (f".{key}" if dotted else f"[{_key(key)}]"), value
            if type(key) is not str:
                yield "'s key", key
    elif issubclass(kind, list | tuple | deque):
        yield from ((f"[{index}]", value) for index, value in enumerate(thing))
    elif issubclass(kind, set | frozenset):
        yield from (("'s element", value) for value in thing)
    elif kind in weakref.ProxyTypes:
        yield " (weak reference)", behind(thing)
    elif issubclass(kind, weakref.ref):
        yield " (weak reference)", thing()
    elif issubclass(kind, Tensor):
        yield from _of_a_tensor(thing)
    elif issubclass(kind, types.FunctionType):
        yield from _of_a_function(thing)
    elif issubclass(kind, functools.partial):
        yield from ((" (partial)", thing.func), (" (partial)", thing.args), (" (partial)", thing.keywords))
    elif issubclass(kind, types.BuiltinMethodType):
        if not isinstance(thing.__self__, types.ModuleType):
            yield "'s object", thing.__self__
    elif kind is contextvars.ContextVar:
        yield from (("'s value", value) for value in value_of(thing))
    elif issubclass(kind, np.random.Generator):
        yield ".bit_generator", thing.bit_generator
    elif issubclass(kind, np.ndarray):
        yield "'s base", thing.base
        yield from ((f"[{index}]", value) for index, value in enumerate(thing.flat if thing.dtype.hasobject else ()))
    elif issubclass(kind, torch.jit.ScriptModule):
        yield from ((f".{name}", value) for name, value in (*thing.named_parameters(), *thing.named_buffers()))
    elif kind.__module__ in _IN_C:
        # Objects of C without attributes: cells, methods, iterators, generators, properties, cached functions.
        yield from (("", value) for value in gc.get_referents(thing))
    if kind in _WITHOUT_ATTRIBUTES:
        return
    attributes = attributes_of(thing)
    if isinstance(attributes, dict):
        yield _ATTRIBUTES, attributes
    yield from ((f".{slot.__name__}", value) for slot, value in slots(thing))
    yield "", kind


def attributes_of(thing: Any) -> Any:
    """Return the ``__dict__`` of an object; None if it has none."""
    if type(thing) in weakref.ProxyTypes:
        return None
    try:
        return thing.__dict__
    except Exception:  # most things have none; a property of that name may do anything
        return None


def _name(root: Any) -> str:
    return root.__name__ if isinstance(root, types.FunctionType | type) else type(root).__name__


def _key(key: Any) -> str:
    return repr(key) if type(key) in (str, int) else type(key).__name__


def _dunder(name: str, value: Any) -> bool:
    return name.startswith("__") and type(value) is not types.FunctionType


def _items(values: dict) -> Iterable[tuple[Any, Any]]:
    """Return the items of a dict; none of a module's globals, which are entered by the names that code reads."""
    return () if dict.__contains__(values, "__builtins__") else dict.items(values)


def is_of_a_library(thing: Any) -> bool:
    """Return True for a class or function of an installed library, of the standard library or of this package."""
    module = thing.__globals__.get("__name__") if isinstance(thing, types.FunctionType) else thing.__module__
    return isinstance(module, str) and is_library(module)


@functools.lru_cache(maxsize=10_000)
def is_library(name: str) -> bool:
    """Return True for the name of a module of a library, of the standard library or of this package."""
    package = name.partition(".")[0]
    if package in sys.stdlib_module_names or package == _OURS:
        return True
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any("site-packages" in place or "dist-packages" in place for place in places if place)


def _is_entered(module: types.ModuleType) -> bool:
    """Return True for a module of which members are looked at: no library, and not the one that is run."""
    return module.__name__ != "__main__" and not is_library(module.__name__)


def is_standard_stream(thing: Any) -> bool:
    """Return True for standard input, output and error."""
    streams = sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__
    return any(thing is stream for stream in streams)


def slots(thing: Any, *, of_libraries: bool = False) -> Iterator[tuple[types.MemberDescriptorType, Any]]:
    """Yield the filled ``__slots__`` of an object and their values, of the classes of libraries if wanted."""
    for kind in type(thing).__mro__:
        if "__slots__" in vars(kind) and (of_libraries or not is_of_a_library(kind)):
            for slot in vars(kind).values():
                if isinstance(slot, types.MemberDescriptorType):
                    try:
                        yield slot, slot.__get__(thing)
                    except AttributeError:  # not filled
                        continue


def contents_of(cell: types.CellType) -> tuple[Any] | None:
    """Return the contents of a cell in a tuple; None if it is empty."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return None


def value_of(variable: contextvars.ContextVar) -> tuple[Any, ...]:
    """Return the value of a context variable in a tuple, which is empty if it has none."""
    try:
        return (variable.get(),)
    except LookupError:
        return ()


def behind(proxy: Any) -> Any:
    """Return the object of a weak proxy; None if it is gone."""
    try:
        return proxy.__init__.__self__
    except ReferenceError:
        return None


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """Return a tensor's storage; None for a sparse tensor and others that are made of tensors, or not made yet."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError, ValueError):
        return None


def _of_a_tensor(tensor: Tensor) -> Iterator[Edge]:
    yield "", storage_of(tensor)
    if tensor.is_leaf or tensor.retains_grad:
        yield ".grad", tensor.grad
    yield "._backward_hooks", tensor._backward_hooks
    for part in _SPARSE_PARTS.get(tensor.layout, ()):
        yield f".{part}()", getattr(tensor.detach(), part)()


def _of_a_function(function: types.FunctionType) -> Iterator[Edge]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f", through its closure's {name}", cell
    yield ", through a default argument", function.__defaults__
    yield ", through a default argument", function.__kwdefaults__
    for name, value in read_by_name(function):
        yield f", through the global {name}", value


class _Names(NamedTuple):
    """The names in a piece of code and in the functions defined in it."""

    read: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()
    all: frozenset[str] = frozenset()


@functools.lru_cache(maxsize=10_000)
def names_in(code: types.CodeType) -> _Names:
    """Return the names of globals that code reads and binds, of the modules that it imports, and all of its names."""
    found = {name: set() for name in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME")}
    for step in dis.get_instructions(code):
        if step.opname in found:
            found[step.opname].add(step.argval)
    by_global, by_name, stored, deleted, imported = found.values()
    bound = stored | deleted
    own = _Names(*map(frozenset, (by_global | by_name | bound, bound, imported, code.co_names)))
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return _Names(*(names.union(*each) for names, *each in zip(own, *inner, strict=True)))


def read_by_name(function: types.FunctionType) -> Iterator[Edge]:
    """Yield the globals that a function reads, and the members of modules, such as ``config.scale``.

    Functions and modules of libraries are left out.
    """
    if is_of_a_library(function):
        return
    namespace, names, seen = function.__globals__, names_in(function.__code__), set()
    queue = deque([("", {name: namespace[name] for name in names.read & namespace.keys()})])
    queue.append(("", {name: sys.modules[name] for name in names.imported & sys.modules.keys()}))
    while queue:
        prefix, space = queue.popleft()
        for name, value in space.items():
            if not issubclass(type(value), types.ModuleType):
                yield prefix + name, value
            elif not is_library(value.__name__) and id(value) not in seen:
                seen.add(id(value))
                members = vars(value)
                queue.append((f"{prefix}{name}.", {name: members[name] for name in names.all & members.keys()}))
