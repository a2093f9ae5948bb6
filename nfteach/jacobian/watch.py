"""A watch over tensors: it sees when a map computes with one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from types import CodeType
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .reach import storage_of

__all__ = ["Watch", "watched"]

# Attributes of a tensor whose values the computation depends on. Others, such as its shape, a copy has as well.
_ATTRIBUTES = {"data", "dtype", "T", "H", "mT", "mH", "real", "imag"}
_OF_THE_SHAPE = {"size", "stride", "dim", "numel", "nelement", "ndimension", "storage_offset", "__len__", "__hash__"}


class Watch:
    """A watch over tensors and their views.

    Attributes:
        used: the first tensor that was used, and the code that used it, the innermost first; None if none was.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.used: tuple[Tensor, tuple[CodeType, ...]] | None = None
        stored = ((storage_of(tensor), tensor) for tensor in tensors)
        self._tensors = {storage.data_ptr(): tensor for storage, tensor in stored if storage is not None}
        self._tensors.pop(0, None)

    @contextmanager
    def over_everything(self) -> Iterator[Watch]:
        """Watch every map that runs inside."""
        token = _WATCH.set(self if self._tensors else None)
        try:
            yield self
        finally:
            _WATCH.reset(token)

    def look(self, values: Any) -> None:
        """Note a use of a watched tensor among the arguments of an operation."""
        if self.used is not None:
            return
        for value in values:
            if isinstance(value, Tensor):
                storage = storage_of(value)
                tensor = None if storage is None else self._tensors.get(storage.data_ptr())
                if tensor is not None:
                    self.used = tensor, tuple(_callers())
            elif isinstance(value, list | tuple):
                self.look(value)
            elif isinstance(value, dict):
                self.look(value.values())


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


def watched() -> AbstractContextManager[Any]:
    """Return a context in which every operation is seen by the watch, if there is one."""
    watch = _WATCH.get()
    if watch is None:
        return nullcontext()
    both = ExitStack()
    both.enter_context(_Functions(watch))
    both.enter_context(_Operations(watch))
    return both


class _Functions(TorchFunctionMode):
    """The functions and methods that Python code calls, ``numpy()`` and ``tolist()`` among them."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(function, "__name__", "")
        counts = getattr(function.__self__, "__name__", "") in _ATTRIBUTES if name == "__get__" else True
        if counts and name not in _OF_THE_SHAPE:
            self.watch.look((args, kwargs))
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """The operations that are carried out, those of compiled code among them."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.watch.look((args, kwargs))
        return function(*args, **(kwargs or {}))


def _callers() -> Iterator[CodeType]:
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
