"""Record what torch does with the numbers of an explorer's sliders; all else becomes a constant.

A recording runs the function once, with real numbers. Every tensor whose numbers depend on an input stands in a
buffer, as it does in torch: views are shapes and strides over a buffer, and need no operation of their own.
"""

from __future__ import annotations

import dataclasses
import functools
import linecache
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from nfteach.flows.roots import repeat
from nfteach.widgets.program.words import Words

__all__ = ["Node", "Recording", "Refused", "View", "line_of", "record"]

_LOOKED_AT = "the numbers of a tensor that depends on the sliders are looked at"
_HERE = pathlib.Path(__file__).parent
_LOOKS = {
    "_local_scalar_dense",
    "equal",
    "nonzero",
    "_is_any_true",
    "_is_all_true",
    "masked_select",
    "unique",
    "_unique2",
}
_UNSEEN = (Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.data_ptr, Tensor.__deepcopy__, Tensor.__reduce_ex__)
_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)
_SHAPES_ONLY = {"empty_like", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
                "new_empty_strided", "empty_strided", "rand_like", "randn_like"}  # fmt: skip
_LOOK_OTHERWISE = {"squeeze_", "unsqueeze_", "transpose_", "t_", "detach_", "as_strided_", "swapaxes_"}
_WITHOUT_EFFECT = {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking", "implicit"}


class Refused(ValueError):
    """What cannot be recorded, with the line that does it, and ``reads``, the choices until there if known."""

    reads: Sequence[str] | None = None


@dataclass(frozen=True)
class View:
    """A tensor of a recording: which numbers of a buffer it shows."""

    buffer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: str

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether it shows numbers in their order, one after another."""
        return all(
            n == 1 or stride == k for n, stride, k in zip(self.shape, self.strides, steps_of(self.shape), strict=True)
        )


@dataclass(frozen=True)
class Buffer:
    """Numbers of one dtype: an input, a constant with its numbers, or what an operation writes.

    Args:
        size: how many. dtype: their type in torch.
        mask: the inputs that they depend on, bit by bit.
        data: of a constant.
    """

    size: int
    dtype: str
    mask: int = 0
    data: Tensor | None = None


@dataclass(frozen=True)
class Node:
    """One operation: its arguments are views, numbers, None and lists of these; it writes one view or several.

    ``place`` is the file and the line of the source that calls it.
    """

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: tuple[View, ...]
    place: tuple[str, int] = ("", 0)


@dataclass
class Recording:
    """What was recorded.

    Attributes:
        inputs: names, in the order of the bits of masks.
        buffers: the first are the inputs.
        nodes: in the order in which they ran.
        outputs: what the function returned, with views in place of tensors.
        texts: the places in texts that are filled with numbers, see :mod:`nfteach.widgets.program.words`.
        guards: numbers that the function looked at, and what they were: elsewhere it may do something else.
    """

    inputs: list[str]
    buffers: list[Buffer] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    outputs: Any = None
    texts: list[tuple[Any, ...]] = field(default_factory=list)
    guards: list[tuple[View, int]] = field(default_factory=list)

    def mask(self, view: View) -> int:
        """Return the inputs that a view depends on, bit by bit."""
        return self.buffers[view.buffer].mask


def steps_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of an array whose numbers stand one after another."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def found_in(tree: Any, kind: type) -> Iterator[Any]:
    """Yield what is of a kind in nested tuples, lists, dictionaries and nodes."""
    if isinstance(tree, kind):
        yield tree
    elif isinstance(tree, tuple | list):
        for one in tree:
            yield from found_in(one, kind)
    elif isinstance(tree, dict):
        yield from found_in(tuple(tree.values()), kind)
    elif isinstance(tree, Node):
        yield from found_in((tree.args, tree.kwargs), kind)


def record(
    function: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    find: Callable[[Any, Callable], Any] = lambda result, view: view(result),
    is_known: Callable[[str], bool] = lambda op: True,
) -> Recording:
    """Record ``function(**inputs)``.

    Args:
        function: what is recorded; it runs once.
        inputs: name -> tensor () or (n,); they stand for any values.
        find: ``find(result, view)`` returns the result with ``view(tensor)`` in place of each tensor.
        is_known: whether the page has an operation of torch.

    Raises:
        Refused: the function reads a number that depends on the inputs, has a shape that depends on them, or calls what
            is not known here; the message names the line.
    """
    recorder = _Recorder(inputs, is_known)
    given = {name: tensor.clone() for name, tensor in inputs.items()}
    for k, tensor in enumerate(given.values()):
        recorder.bind(tensor, recorder.buffer(tensor.numel(), tensor.dtype, 1 << k))
    with torch.no_grad(), Words(recorder.recording.texts, recorder.known, recorder.handlers), recorder:
        result = function(**given)
        recorder.recording.outputs = find(result, recorder.known)
    recording = recorder.recording
    recording.texts[:] = [
        tuple(recorder.view(one) if isinstance(one, Tensor) else one for one in text) for text in recording.texts
    ]
    return _pruned(recording)


class _Recorder(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports torch._dynamo, for more than a second

    def __init__(self, inputs: Mapping[str, Tensor], is_known: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_known = is_known
        self.recording = Recording(list(inputs))
        self._where: dict[int, int] = {}  # address of a storage -> its buffer
        self._kept: list[Tensor] = []  # so that no address is used twice
        self._known: dict[Any, tuple[View, ...]] = {}
        # What torch does without an operation that could be recorded.
        unseen = {one: functools.partial(self._unseen, one) for one in (*_UNSEEN, *_MAKERS)}
        self.handlers = {repeat: self.loop, **unseen}

    # ---- buffers and views ---------------------------------------------------------------------------------------

    def buffer(self, size: int, dtype: torch.dtype, mask: int, data: Tensor | None = None) -> int:
        self.recording.buffers.append(Buffer(size, _name(dtype), mask, data))
        return len(self.recording.buffers) - 1

    def bind(self, tensor: Tensor, buffer: int) -> None:
        self._where[tensor.untyped_storage().data_ptr()] = buffer
        self._kept.append(tensor)

    def moves(self, tensor: Tensor) -> bool:
        """Return whether the numbers of a tensor depend on the inputs."""
        return tensor.numel() > 0 and tensor.untyped_storage().data_ptr() in self._where

    def known(self, tensor: Tensor) -> View | Tensor:
        """Return where the numbers of a tensor stand; what does not depend on inputs stays as it is."""
        return self.view(tensor) if self.moves(tensor) else tensor

    def view(self, tensor: Tensor) -> View:
        if self.moves(tensor):
            buffer = self._where[tensor.untyped_storage().data_ptr()]
            return View(buffer, tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), _name(tensor.dtype))
        return self._constant(tensor)

    def _constant(self, tensor: Tensor) -> View:
        # What is repeated by a stride of zero is kept once.
        core = tensor.detach()
        for dim, stride in enumerate(tensor.stride()):
            if stride == 0 and tensor.shape[dim] > 1:
                core = core.narrow(dim, 0, 1)
        core = core.contiguous().clone()
        key = "constant", tensor.dtype, tuple(core.shape), core.numpy().tobytes()
        if key not in self._known:
            buffer = self.buffer(core.numel(), core.dtype, 0, core)
            self._known[key] = (View(buffer, tuple(core.shape), steps_of(core.shape), 0, _name(core.dtype)),)
        (view,) = self._known[key]
        strides = tuple(0 if n != k else s for n, k, s in zip(tensor.shape, core.shape, view.strides, strict=True))
        return View(view.buffer, tuple(tensor.shape), strides, 0, view.dtype)

    # ---- loops -----------------------------------------------------------------------------------------------------

    def loop(self, body: Callable[..., Any], state: Sequence[Tensor], most: int) -> Sequence[Tensor]:
        """Record the body once, and what it makes of the state until it is done."""
        if not any(map(self.moves, found_in((state, _closed_over(body)), Tensor))):
            return repeat(body, state, most)
        starts = [self.view(one) for one in state]
        first = len(self.recording.buffers)
        with _disable_current_modes():
            inner = [one.detach().clone(memory_format=torch.contiguous_format) for one in state]
            values = [one.clone() for one in inner]
        mask = 0
        for view in starts:
            mask |= self.recording.mask(view)
        states = [self.buffer(max(one.numel(), 1), one.dtype, mask) for one in inner]
        for one, buffer in zip(inner, states, strict=True):
            self.bind(one, buffer)
        outer, known = self.recording.nodes, self._known
        self.recording.nodes, self._known = [], dict(known)
        with Words(self.recording.texts, self.known, self.handlers), self:
            more, ends = body(*inner)
            looks = [[(one.shape, one.dtype) for one in each] for each in (inner, ends)]
            if looks[0] != looks[1]:
                place = body.__code__.co_filename, body.__code__.co_firstlineno
                raise Refused(f"what is repeated must keep the shapes and dtypes of its state{line_of(place)}")
            ends, more = [self.view(one) for one in ends], self.view(more)
        nodes, self.recording.nodes, self._known = self.recording.nodes, outer, known
        for view in found_in([node.args for node in nodes] + [node.kwargs for node in nodes] + ends, View):
            mask |= self.recording.mask(view)
        for k in range(first, len(self.recording.buffers)):
            if self.recording.buffers[k].data is None:
                self.recording.buffers[k] = dataclasses.replace(self.recording.buffers[k], mask=mask)
        with _disable_current_modes():
            values = [one.clone() for one in repeat(body, values, most)]
        out = tuple(
            View(buffer, tuple(one.shape), steps_of(one.shape), 0, _name(one.dtype))
            for buffer, one in zip(states, values, strict=True)
        )
        self.recording.nodes.append(Node("loop", (starts, ends, more, most), {"body": tuple(nodes)}, out))
        for one, buffer in zip(values, states, strict=True):
            self.bind(one, buffer)
        return values

    # ---- operations ----------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = list(found_in((args, kwargs), Tensor))
        if any(tensor._is_zerotensor() for tensor in tensors):
            raise Refused(f"derivatives in forward mode cannot run in the page; use torch.func.jacrev{_line()}")
        moving = [tensor for tensor in tensors if self.moves(tensor)]
        if not moving:
            return func(*args, **kwargs)
        op = func._schema.name.removeprefix("aten::")
        if op in _LOOKS:
            return self._look(op, moving[0], func(*args, **kwargs))
        if any(tensor.is_complex() or tensor.layout != torch.strided for tensor in tensors):
            raise Refused(f"{op} of complex or sparse numbers cannot run in the page{_line()}")
        if func._schema.is_mutable and op not in _LOOK_OTHERWISE:
            return self._write(op, func, args, kwargs)
        out = func(*args, **kwargs)
        if op not in _SHAPES_ONLY:
            fresh = [one for one in (out if isinstance(out, tuple | list) else (out,)) if isinstance(one, Tensor)]
            if not all(self.moves(one) or not one.numel() for one in fresh):
                self._emit(op, args, kwargs, fresh)
        return out

    def _emit(self, op: str, args: Any, kwargs: Any, fresh: Sequence[Tensor]) -> None:
        views = self._made(op, args, kwargs, [(tuple(one.shape), one.stride(), one.dtype) for one in fresh])
        for one, view in zip(fresh, views, strict=True):
            if one.numel():
                self.bind(one, view.buffer)

    def _made(self, op: str, args: Any, kwargs: Any, looks: Sequence[tuple[Any, Any, torch.dtype]]) -> tuple[View, ...]:
        """Return what an operation writes: fresh buffers, or those of the same operation before."""
        if not self._is_known(op):
            raise Refused(
                f"the operation {op} is not known to the page (docs/widgets.md lists those that are){_line()}"
            )
        given = (
            self._referred(list(args)),
            {k: self._referred(v) for k, v in kwargs.items() if k not in _WITHOUT_EFFECT},
        )
        key = op, repr(given), repr(looks)
        if key not in self._known:
            mask = 0
            for view in found_in(given, View):
                mask |= self.recording.mask(view)
            out = tuple(
                View(self.buffer(math.prod(shape), dtype, mask), shape, tuple(strides), 0, _name(dtype))
                for shape, strides, dtype in looks
            )
            self.recording.nodes.append(Node(op, tuple(given[0]), given[1], out, _place()))
            self._known[key] = out
        return self._known[key]

    def _referred(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.view(value)
        if isinstance(value, list | tuple):
            return [self._referred(one) for one in value]
        return _name(value) if isinstance(value, torch.dtype) else value

    def _write(self, op: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Record what writes in place: the storage has another buffer from here on."""
        target = args[0]
        if not op.endswith("_") or not isinstance(target, Tensor):
            raise Refused(f"{op} writes where the page cannot follow{_line()}")
        pure, shape = op.rstrip("_"), tuple(target.shape)
        old = self.view(target) if self.moves(target) else self._storage_of(target)
        (value,) = self._made(pure, (target, *args[1:]), kwargs, [(shape, steps_of(shape), target.dtype)])
        size = target.untyped_storage().nbytes() // target.element_size()
        if value.size == size and target.is_contiguous():
            buffer = value.buffer
        else:
            whole = View(old.buffer, (size,), (1,), 0, old.dtype)
            place = [list(shape), list(target.stride()), target.storage_offset()]
            mask = self.recording.mask(value) | self.recording.mask(whole)
            buffer = self.buffer(size, target.dtype, mask)
            out = View(buffer, (size,), (1,), 0, value.dtype)
            self.recording.nodes.append(Node("put", (whole, value, place), {}, (out,)))
        result = func(*args, **kwargs)
        self.bind(target, buffer)
        return result

    def _storage_of(self, tensor: Tensor) -> View:
        """Return the whole storage of a tensor that has been a constant so far."""
        size = tensor.untyped_storage().nbytes() // tensor.element_size()
        return self._constant(torch.as_strided(tensor.detach(), (size,), (1,), 0))

    def _look(self, op: str, tensor: Tensor, out: Any) -> Any:
        if op == "_local_scalar_dense" and not tensor.is_floating_point():
            self.recording.guards.append((self.view(tensor), int(out)))
            return out
        raise Refused(f"{_LOOKED_AT}{_line()}")

    def _unseen(self, function: Callable[..., Any], given: Any, *args: Any, **kwargs: Any) -> Any:
        makes = function in _MAKERS
        if not (makes and isinstance(given, Tensor)) and any(map(self.moves, found_in(given, Tensor))):
            raise Refused(f"{_LOOKED_AT}{'; use torch.stack' if makes else ''}{_line()}")
        return function(given, *args, **kwargs)


def _closed_over(function: Any) -> list[Any]:
    """Return the values of the variables that a function takes from where it was defined."""
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def line_of(place: tuple[str, int]) -> str:
    """Return a place in a source in words: file, line and text."""
    path, line = place
    return f", in {pathlib.Path(path).name}, line {line}: {linecache.getline(path, line).strip()}" if path else ""


def _place() -> tuple[str, int]:
    """Return the file and the line nearest to here that are neither of torch nor of this room."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_outside(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return "", 0


@functools.cache
def _is_outside(path: str) -> bool:
    where = pathlib.Path(path)
    return "torch" not in where.parts and where.parent != _HERE and not where.name.startswith("<")


def _line() -> str:
    return line_of(_place())


def _pruned(recording: Recording) -> Recording:
    """Return the recording without what nothing needs."""
    needed = {view.buffer for view in found_in([recording.outputs, recording.texts, recording.guards], View)}
    nodes = []
    for node in reversed(recording.nodes):
        if any(view.buffer in needed for view in node.out):
            nodes.append(node)
            needed |= {view.buffer for view in found_in(node, View)}
    recording.nodes = nodes[::-1]
    return recording
