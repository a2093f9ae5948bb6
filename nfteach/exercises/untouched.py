"""The skeleton that a lesson comes with, and how it is recognised."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["is_untouched"]


def _plain() -> None: ...


def _with_docstring() -> None:
    """Do nothing."""


_EMPTY = {_plain.__code__.co_code, _with_docstring.__code__.co_code}


def is_untouched(answer: Any) -> bool:
    """Return True for None, for ``...``, and for a function without any code."""
    if answer is None or answer is ...:
        return True
    code = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__code__", None)
    return code is not None and code.co_code in _EMPTY and code.co_consts in ((None,), (answer.__doc__, None))
