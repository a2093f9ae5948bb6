"""Exercises that are judged at once, and name the mistake: one module a lesson, and what they are made of."""

from __future__ import annotations

from nfteach.lazy import attach, require

require(__name__, "platformdirs")

_HOMES = {
    "Exercise": "exercise",
    "Misconception": "exercise",
    "Verdict": "verdict",
    "progress": "table",
}

__getattr__, __dir__, __all__ = attach(__name__, _HOMES)
