"""Run a learner's code: within a time, and with its errors told in the learner's own lines."""

from __future__ import annotations

import ctypes
import linecache
import threading
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["Refused", "run"]

_OURS = __file__.rsplit("/", 1)[0].rsplit("\\", 1)[0]


class Refused(Exception):
    """The answer could not be judged; the message says why, to the learner."""


class _TooLong(BaseException):
    """Raised inside code that takes too long; no ``except Exception`` of its stops it."""


def run(answer: Callable[..., Any], arguments: tuple[Any, ...], *, seconds: float, given: str) -> Any:
    """What ``answer(*arguments)`` returns.

    Args:
        answer: the learner's function.
        arguments: what it is called with.
        seconds: how long it may take.
        given: the arguments in words, for messages.

    Raises:
        Refused: it raised, or it took too long.
    """
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = answer(*arguments)
        except _TooLong:
            pass
        except BaseException as error:  # an exit or an interrupt in the answer must not end the kernel
            outcome["error"] = error

    # A thread of its own can be given up; a loop that never ends can't take the notebook with it.
    thread = threading.Thread(target=work, name="exercise", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TooLong))
        raise Refused(
            f"Your code did not come back within {seconds:g} seconds for {given}. Is there a loop that never ends?"
        )
    if "error" in outcome:
        raise Refused(_in_words(outcome["error"], given)) from None
    return outcome["value"]


def _in_words(error: BaseException, given: str) -> str:
    """The error, the learner's line in which it arose, and the arguments."""
    told = f"{type(error).__name__}: {error}".rstrip(": .")
    return f"Your code raised {told}.{_where(error)} It was called with {given}."


def _where(error: BaseException) -> str:
    """The last line of the traceback that was typed into the notebook, or is in a file of the learner's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    typed = [frame for frame in frames if "site-packages" not in frame.filename and "<frozen" not in frame.filename]
    if not typed:
        return ""
    line = (typed[-1].line or linecache.getline(typed[-1].filename, typed[-1].lineno or 0)).strip()
    return f" It happened in the line `{line}`." if line else ""
