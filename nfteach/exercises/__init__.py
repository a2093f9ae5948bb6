"""Exercises that are judged at once, and name the mistake: one module a lesson, and what they are made of."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Exercise": "exercise",
    "Misconception": "exercise",
    "Verdict": "verdict",
    "progress": "table",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
