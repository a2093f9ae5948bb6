"""A learner's code at work: within a time limit, and with errors that point at the learner's own lines."""

from __future__ import annotations

import ctypes
import linecache
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from nfteach.exercises.state import undisturbed

__all__ = ["Refused", "pair", "run"]

_PACKAGE = str(Path(__file__).parents[1])
_NOT_TYPED = (_PACKAGE, sysconfig.get_paths()["stdlib"], "<frozen")
_INSTALLED = ("site-packages", "dist-packages")
_STUBBORN = 2.0  # seconds in which code is stopped again and again
_CLASHES = ("same dtype", "source and destination dtypes match", "expected scalar type", "must have the same dtype")


class Refused(Exception):
    """Code that returned no answer; the message gives the learner the reason.

    Args:
        message: for the learner.
        clash: whether numbers of two dtypes met.
    """

    def __init__(self, message: str, *, clash: bool = False) -> None:
        super().__init__(message)
        self.clash = clash


class _TooLong(BaseException):
    """Raised inside code that takes too long; no ``except Exception`` of its stops it."""


class _Worker(threading.Thread):
    """A thread that calls the answer, and keeps its value or its error."""

    def __init__(self, answer: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__(name="exercise", daemon=True)
        self.ended = threading.Event()  # a join that is interrupted takes the thread for dead
        self.answer, self.arguments = answer, arguments
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.answer(*self.arguments)
        except BaseException as error:  # an exit or an interrupt in the answer must not end the kernel
            self.error = error
        finally:
            self.ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the answer returns; return False if it takes longer than that. Imports do not count."""
        spent, step, before = 0.0, 0.001, time.monotonic()
        while not self.ended.wait(step):
            now = time.monotonic()
            if not self._imports():
                spent += now - before
                if spent > seconds:
                    return self.ended.is_set()
            before, step = now, min(2 * step, 0.02)
        return True

    def stop(self) -> bool:
        """End the thread, but never in the middle of an import; return False if it does not end."""
        end, step, interval = time.monotonic() + _STUBBORN, 0.05, sys.getswitchinterval()
        # Code that catches everything is hit outside of its `try` as well, if threads take turns often enough.
        sys.setswitchinterval(1e-5)
        try:
            while not self.ended.is_set() and time.monotonic() < end:
                if self._imports():
                    end = time.monotonic() + _STUBBORN
                else:
                    error = ctypes.py_object(_TooLong)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), error)
                self.ended.wait(step)
                step = 1e-5
        finally:
            sys.setswitchinterval(interval)
        return self.ended.is_set()

    def _imports(self) -> bool:
        frame: FrameType | None = sys._current_frames().get(self.ident)
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return True
            frame = frame.f_back
        return False


def run(answer: Callable[..., Any], arguments: tuple[Any, ...], *, seconds: float, given: str) -> Any:
    """Return ``answer(*arguments)``.

    The answer runs in a thread of its own, which ends when it takes too long, or when the wait for it is interrupted.

    Args:
        answer: the learner's function.
        arguments: its arguments.
        seconds: how long it may take, without the imports that it causes.
        given: the arguments in words, for messages.

    Raises:
        Refused: it raised, or took too long, or its result was refused by :func:`pair`.
    """
    worker = _Worker(answer, arguments)
    with undisturbed():
        try:
            worker.start()
            in_time = worker.wait(seconds)
        except BaseException:
            if worker.ident is not None:
                worker.stop()
            raise
        ended = in_time or worker.stop()
    if not in_time:
        still = "" if ended else " It is still running, and only a restart of the kernel ends it."
        raise Refused(
            f"Your code did not come back within {seconds:g} seconds for {given}. Is there a loop that never ends?"
            f"{still}"
        )
    if isinstance(worker.error, Refused):
        raise worker.error
    if worker.error is not None:
        raise _refusal(worker.error, given) from None
    return worker.value


def pair(method: str, returned: Any, point: str, log_det: str) -> tuple[Tensor, Tensor]:
    """Return the point and the log-determinant that a method of the learner's class returned.

    Args:
        method: the method's name, for messages.
        returned: its result.
        point: the name of the point.
        log_det: the name of the log-determinant.

    Raises:
        Refused: it returned something else, or the two in the wrong order.
    """
    if returned is None or returned is ...:
        raise Refused(f"`{method}` returns nothing: is there a `return` at its end?")
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        many = f"{len(returned)} things" if isinstance(returned, tuple | list) else "one thing"
        raise Refused(f"`{method}` must return two things, {point} and {log_det}, but returns {many}.")
    first, second = returned
    if isinstance(first, Tensor) and isinstance(second, Tensor) and first.dim() < second.dim():
        raise Refused(f"`{method}` must return {point} first and {log_det} second: yours are in the opposite order.")
    return first, second


def _refusal(error: BaseException, given: str) -> Refused:
    """Return the error in words, with the learner's line in which it arose, and the arguments."""
    named = f"{type(error).__name__}: {error}".rstrip(": .")
    clash = isinstance(error, RuntimeError) and any(words in str(error) for words in _CLASHES)
    advice = (
        " Two kinds of numbers meet there, such as float32 and float64: make new tensors like those that you were "
        "given, as in `torch.zeros_like(x)` or `torch.zeros(3, dtype=x.dtype)`."
    )
    message = f"Your code raised {named}.{_line(error)}{advice if clash else ''} It was called with {given}."
    return Refused(message, clash=clash)


def _line(error: BaseException) -> str:
    """Return a sentence with the last line of the traceback that stands in the notebook or in the learner's file."""
    typed = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_TYPED) and not any(folder in frame.filename for folder in _INSTALLED)
    ]
    if not typed:
        return ""
    line = (typed[-1].line or linecache.getline(typed[-1].filename, typed[-1].lineno or 0)).strip()
    return f" It happened in the line `{line}`." if line else ""
