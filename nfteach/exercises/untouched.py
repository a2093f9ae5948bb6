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
    """Return True for None, for ``...``, for a function without any code, and for a class whose methods have none."""
    if answer is None or answer is ...:
        return True
    if isinstance(answer, type):
        methods = [one for name, one in vars(answer).items() if inspect.isfunction(one) and name != "__init__"]
        return bool(methods) and all(map(is_untouched, methods))
    code = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__code__", None)
    return code is not None and code.co_code in _EMPTY and code.co_consts in ((None,), (answer.__doc__, None))
