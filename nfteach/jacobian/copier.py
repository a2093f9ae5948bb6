"""A copy of anything that a map holds, functions among it, which shares no tensor with the original."""

from __future__ import annotations

import contextlib
import functools
import operator
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform
from torch.nn.parameter import UninitializedTensorMixin

from . import reach
from .contents import LRU_CACHE, WRAPPERS, Contents, has_values, is_real_or_complex
from .phrases import in_words
from .pickled import Uncopied, as_pickled

__all__ = ["Copier", "NoCopy"]

_Context = contextlib._GeneratorContextManager
_IN_CLASSES = (types.FunctionType, *WRAPPERS, property, functools.cached_property)
_OF_EVERY_CLASS = {"__dict__", "__weakref__", "_abc_impl", "_backward_cls"}


class NoCopy(ValueError):
    """A map that does not work on a copy."""


class _Ref(weakref.ref):
    """A weak reference to a copy, which nothing else may hold: so it holds the copy itself."""

    __slots__ = ("held",)


class Copier:
    """A function that copies things, and for the same thing always returns the same copy.

    Objects are copied attribute by attribute. Functions are made anew from their code where a cell, a default argument,
    or a global that they read by name has a copy; these globals live in copies of the modules' namespaces. So are
    classes of which a member has a copy.

    Args:
        dtype: dtype of the copies of all real tensors; complex ones get its complex partner. None: as they are.

    Attributes:
        copies: id of a thing -> its copy.
        tensors: (tensor, copy) of each tensor.
        rebuilt: whether something was copied that ``copy.deepcopy`` leaves as it is or copies in a way of its own.
    """

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        self.dtype = dtype
        self.copies: dict[int, Any] = {}
        self.tensors: list[tuple[Tensor, Tensor]] = []
        self.rebuilt = False
        self._alive: list[Any] = []  # things that have a copy: their ids stay their own
        self._spaces: dict[int, types.ModuleType] = {}
        self._contents = Contents()
        self._by_themselves: list[tuple[Any, Any]] = []  # (thing, copy) of those with a __deepcopy__

    def __call__(self, thing: Any) -> Any:
        kind = type(thing)
        if kind in reach.EXACT_ATOMS:
            return thing
        key = id(thing)
        if key in self.copies:
            return self.copies[key]
        new = _rule(kind)(self, thing)
        self._alive.append(thing)
        return self.copies.setdefault(key, new)

    def made(self) -> Iterator[Any]:
        """Yield all that was copied, as its copies."""
        yield from (new for key, new in self.copies.items() if key != id(new))
        for _, new in self._by_themselves:
            yield from reach.inside(new)

    def finish(self) -> None:
        """Give what copied itself its dtype; raise Uncopied if the copy leads back to the thing."""
        made = {id(double) for _, double in self.tensors}
        for thing, new in self._by_themselves:
            theirs = {id(part) for part in reach.inside(thing) if has_values(part)}
            for part in reach.inside(new):
                if id(part) in theirs:
                    raise Uncopied(thing, "shares its parts with its copies", "try to remove its __deepcopy__")
                if isinstance(part, Tensor) and id(part) not in made:
                    made.add(id(part))
                    part.data = part.data.to(self.dtype_for(part))
                    self.tensors.append((part, part))

    def dtype_for(self, tensor: Tensor) -> torch.dtype:
        """Return the dtype of the copy of a tensor."""
        if self.dtype is None or not is_real_or_complex(tensor):
            return tensor.dtype
        return self.dtype.to_complex() if tensor.is_complex() else self.dtype

    def _tensor(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, UninitializedTensorMixin):
            raise Uncopied(tensor, "has no values yet", "try to call the layer once")
        if tensor.is_meta:
            raise Uncopied(tensor, "is on the meta device and has no values", "try to load them")
        kind = type(tensor)
        data = tensor.detach().to(self.dtype_for(tensor), copy=True)
        # deepcopy refuses a tensor with a history, such as loc = 2 * parameter: its copy is detached.
        trained = tensor.requires_grad and tensor.is_leaf
        new = data.requires_grad_(trained) if type(data) is kind else Tensor._make_subclass(kind, data, trained)
        # A layer may compare the version that it has seen with the one of now.
        if not (tensor.is_inference() or new.is_inference()):
            torch._C._autograd._unsafe_set_version_counter((new,), (tensor._version,))
        self.copies[id(tensor)] = new
        self.tensors.append((tensor, new))
        if tensor.__dict__:
            new.__dict__.update(self._dict(tensor.__dict__))
        for hook in (tensor._backward_hooks or {}).values() if trained else ():
            new.register_hook(self(hook))
        return new

    def _dict(self, thing: dict) -> dict:
        if "__builtins__" in thing:  # the globals of a module
            return thing
        new = self.copies[id(thing)] = type(thing)()
        for key, value in type(thing).items(thing):
            new[self(key)] = value if type(value) in reach.EXACT_ATOMS else self(value)
        return new

    def _list(self, thing: list) -> list:
        new = self.copies[id(thing)] = []
        new.extend(map(self, thing))
        return new

    def _anew(self, thing: Any, parts: Iterable[Any], make: Callable[..., Any]) -> Any:
        """Return what ``make`` makes of copies of the parts; the thing itself where these are their own copies."""
        parts = list(parts)
        doubles = [self(part) for part in parts]
        return thing if all(map(operator.is_, parts, doubles)) else make(*doubles)

    def _tuple(self, thing: tuple | frozenset) -> Any:
        make = getattr(type(thing), "_make", type(thing))
        return self._anew(thing, thing, lambda *parts: make(parts))

    def _array(self, array: np.ndarray) -> np.ndarray:
        new = self.copies[id(array)] = array.copy(order="K")
        if array.dtype.hasobject:
            new.flat = [self(value) for value in array.flat]
        return new

    def _generator(self, generator: torch.Generator) -> torch.Generator:
        if generator is torch.default_generator:
            return generator
        return torch.Generator(generator.device).set_state(generator.get_state())

    def _variable(self, variable: ContextVar) -> ContextVar:
        if not self._contents.has_state(value := reach.value_of(variable)):
            return variable
        (copy,) = self(value)
        return ContextVar(variable.name, default=copy)

    def _of_a_thread(self, thing: threading.local) -> threading.local:
        new = self.copies[id(thing)] = type(thing)()
        vars(new).update(self(vars(thing)))
        return new

    def _cell(self, cell: types.CellType) -> types.CellType:
        new = self.copies[id(cell)] = types.CellType()
        if (contents := reach.contents_of(cell)) is not None:
            new.cell_contents = self(contents[0])
        return new

    def _function(self, function: types.FunctionType) -> Any:
        if "_torchdynamo_orig_callable" in vars(function):  # compiled, for one dtype and one device
            return self(function._torchdynamo_orig_callable)
        if not self._contents.has_a_copy(function):
            return function
        self.rebuilt = True
        cells = [(cell, cell if id(cell) in self.copies else types.CellType()) for cell in function.__closure__ or ()]
        self.copies |= {id(cell): new for cell, new in cells if new is not cell}
        names, space = reach.names_in(function.__code__), function.__globals__
        anew = any(self._contents.has_state(value) for _, value in reach.read_by_name(function))
        space = self._space(space) if anew else space
        closure = tuple(self.copies[id(cell)] for cell, _ in cells)
        new = types.FunctionType(function.__code__, space, function.__name__, None, closure)
        self.copies[id(function)] = new
        for cell, empty in cells:
            if empty is not cell and (contents := reach.contents_of(cell)) is not None:
                empty.cell_contents = self(contents[0])
        new.__defaults__, new.__kwdefaults__ = self(function.__defaults__), self(function.__kwdefaults__)
        new.__qualname__, new.__module__, new.__doc__ = function.__qualname__, function.__module__, function.__doc__
        new.__annotations__ = function.__annotations__
        if anew:
            self._fill(function.__globals__, names.read, names.all)
        self.copies[id(vars(function))] = vars(new)
        vars(new).update((name, self(value)) for name, value in vars(function).items())
        return new

    def _space(self, space: dict) -> dict:
        """Return the copy of a module's namespace, in which only names that lead to a state will stand for copies."""
        if id(space) not in self._spaces:
            self._spaces[id(space)] = types.ModuleType(space.get("__name__") or "")
            vars(self._spaces[id(space)]).update(space)
        return vars(self._spaces[id(space)])

    def _fill(self, space: dict, names: Iterable[str], members: frozenset[str]) -> None:
        for name in names & space.keys():
            value = space[name]
            if not issubclass(type(value), types.ModuleType):
                if self._contents.has_state(value):
                    self._space(space)[name] = self._if_possible(value)
            elif not reach.is_library(value.__name__) and self._space(space)[name] is value:
                self._space(vars(value))
                self._space(space)[name] = self._spaces[id(vars(value))]
                self._fill(vars(value), members, members)

    def _if_possible(self, thing: Any) -> Any:
        """Return a copy; of what cannot be copied, such as an object that holds a file, the thing itself."""
        before = dict(self.copies), list(self.tensors), list(self._by_themselves)
        try:
            return self(thing)
        except Exception:
            self.copies, self.tensors, self._by_themselves = before
            self.copies[id(thing)] = thing
            return thing

    def _class(self, kind: type) -> type:
        if reach.is_of_a_library(kind) or not self._contents.has_a_copy(kind):
            return kind
        kept = {name: value for name, value in vars(kind).items() if name not in _OF_EVERY_CLASS}
        kept = {name: value for name, value in kept.items() if type(value) is not types.MemberDescriptorType}
        try:
            new = type(kind)(kind.__name__, tuple(map(self, kind.__bases__)), kept)
        except Exception:  # a metaclass, or an __init_subclass__, that wants more
            return kind
        self.copies[id(kind)], new.__qualname__, self.rebuilt = new, kind.__qualname__, True
        for name, value in kept.items():
            if isinstance(value, _IN_CLASSES) or self._contents.has_state(value):
                double = self._if_possible(value)
                if double is not value:
                    type.__setattr__(new, name, double)
        return new

    def _wrapper(self, wrapper: Any) -> Any:
        if isinstance(wrapper, property):
            parts = wrapper.fget, wrapper.fset, wrapper.fdel
            return self._anew(wrapper, parts, lambda *parts: type(wrapper)(*parts, wrapper.__doc__))
        return self._anew(wrapper, [wrapper.__func__], type(wrapper))

    def _cached_function(self, function: Any) -> Any:
        return self._anew(function, [function.__wrapped__], functools.lru_cache(**function.cache_parameters()))

    def _method(self, method: types.MethodType) -> types.MethodType:
        return self._anew(method, (method.__func__, method.__self__), types.MethodType)

    def _method_in_c(self, method: Any) -> Any:
        return self._anew(method, [method.__self__], lambda owner: getattr(owner, method.__name__))

    def _reference(self, reference: weakref.ref) -> Any:
        target = reference()
        double = self(target)
        if double is target:
            return reference
        self.rebuilt = True
        new = _Ref(double)
        new.held = double
        return new

    def _proxy(self, proxy: Any) -> Any:
        target = reach.behind(proxy)
        return proxy if target is None else self(target)

    def _scripted(self, module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
        with torch.no_grad():  # else the copies of parameters would have a history
            new = self.copies[id(module)] = module.__deepcopy__({})
        for part in ("named_parameters", "named_buffers"):
            copies = dict(getattr(new, part)())
            for name, tensor in getattr(module, part)():
                copies[name].data = copies[name].data.to(self.dtype_for(tensor))
                self.tensors.append((tensor, copies[name].requires_grad_(tensor.requires_grad)))
                self.copies[id(tensor)] = copies[name]
                self._alive.append(tensor)
        return new

    def _object(self, thing: Any) -> Any:
        kind = type(thing)
        own = getattr(kind, "__deepcopy__", None)
        by_torch = issubclass(kind, nn.Module) and own is not None and own.__module__.startswith("torch.")
        if own is not None and not by_torch and kind.__module__ != "weakref":
            try:
                new = thing.__deepcopy__(self.copies)
            except Exception as error:
                raise Uncopied(thing, f"cannot be copied ({in_words(error)})", "try to keep it outside") from error
            self._by_themselves.append((thing, new))
            self.rebuilt = True
            return new
        if kind.__name__ == "OptimizedModule" and kind.__module__.startswith("torch."):
            return self(thing._orig_mod)  # compiled, for one dtype and one device
        if kind is _Context:  # its generator has not started yet
            return kind(*map(self, (thing.func, thing.args, thing.kwds)))
        attributes, held = reach.attributes_of(thing) or {}, dict(reach.slots(thing, of_libraries=True))
        try:
            new = object.__new__(kind)
        except TypeError:  # a state in C
            return as_pickled(thing, self, self.copies, self._alive)
        if hasattr(kind, "__del__"):  # it owns something
            return as_pickled(thing, self, self.copies, self._alive)
        double = self(kind)
        if not attributes and not held and double is kind:
            return thing
        if id(thing) in self.copies:  # its class leads back to it
            return self.copies[id(thing)]
        new = self.copies[id(thing)] = new if double is kind else object.__new__(double)
        if attributes:
            self.copies[id(attributes)] = vars(new)
            self._alive.append(attributes)
            for name, value in attributes.items():
                vars(new)[name] = value if type(value) in reach.EXACT_ATOMS else self(value)
        for slot, value in held.items():
            slot = slot if double is kind else getattr(double, slot.__name__)
            slot.__set__(new, self(value))
        if isinstance(new, Transform):
            new._cache_size, new._cached_x_y = 0, (None, None)  # a cache could answer in place of the map
        return new


@reach.remembered
def _rule(kind: type) -> Callable[[Copier, Any], Any]:
    if kind in _RULES:
        return _RULES[kind]
    if reach.is_atom(kind):
        return lambda copier, thing: thing
    for base in (type, Tensor, torch.jit.ScriptModule, np.ndarray, weakref.ref):
        if issubclass(kind, base):
            return _RULES[base]
    if issubclass(kind, tuple | frozenset) and not hasattr(kind, "n_sequence_fields"):
        return Copier._tuple
    return Copier._object


_RULES: dict[type, Callable[[Copier, Any], Any]] = {
    **dict.fromkeys((dict, OrderedDict), Copier._dict),
    **dict.fromkeys((tuple, frozenset), Copier._tuple),
    **dict.fromkeys((staticmethod, classmethod, property), Copier._wrapper),
    **dict.fromkeys((types.BuiltinMethodType, types.MethodWrapperType), Copier._method_in_c),
    **dict.fromkeys(weakref.ProxyTypes, Copier._proxy),
    ContextVar: Copier._variable,
    threading.local: Copier._of_a_thread,
    list: Copier._list,
    set: lambda copier, thing: set(map(copier, thing)),
    type: Copier._class,
    Tensor: Copier._tensor,
    torch.jit.ScriptModule: Copier._scripted,
    torch.Generator: Copier._generator,
    np.ndarray: Copier._array,
    types.CellType: Copier._cell,
    types.FunctionType: Copier._function,
    types.MethodType: Copier._method,
    LRU_CACHE: Copier._cached_function,
    types.MappingProxyType: lambda copier, thing: types.MappingProxyType(copier(dict(thing))),
    weakref.ref: Copier._reference,
}
