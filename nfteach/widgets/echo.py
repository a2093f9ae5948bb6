"""A float slider that is not moved by the echo of what it said itself."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets

__all__ = ["QuietSlider"]

_LATE = 2.0  # seconds within which the browser returns a value that it was told
_SAME = 1e-9  # its slider stands at min + n * step, which differs in the last digits


class QuietSlider(ipywidgets.FloatSlider):
    """A ``FloatSlider`` that knows its own echo.

    Whatever value the kernel sets, the browser's slider takes to its grid, and returns it where that differs in the
    last digits: 75 as 75.00000000000003. While a point is dragged in the picture these echoes are late: each would move
    the slider back to where it stood two pictures ago. (60 moves of the planar explorer's probe gave 92 pictures, 22 of
    them steps back; without echoes 46 pictures, and none.)
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._told: list[tuple[float, float]] = []  # when, and which value
        self._hearing = False
        super().__init__(*arguments, **options)
        self.observe(self._remember, "value")

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the browser says; an echo is not listened to."""
        if "value" in sync_data and self._is_echo(sync_data["value"]):
            sync_data = {key: value for key, value in sync_data.items() if key != "value"}
        self._hearing = True
        try:
            super().set_state(sync_data)
        finally:
            self._hearing = False

    def _remember(self, change: dict[str, Any]) -> None:
        if not self._hearing:
            self._told = [*self._recent(), (time.monotonic(), change["new"])]

    def _recent(self) -> list[tuple[float, float]]:
        now = time.monotonic()
        return [(when, value) for when, value in self._told if now - when < _LATE]

    def _is_echo(self, value: float) -> bool:
        if abs(value - self.value) < _SAME:
            return value != self.value
        # A value that comes back to the last digit is a move: the browser keeps such an echo to itself.
        recent = self._recent()
        found = [k for k, (_, told) in enumerate(recent) if told != value and abs(told - value) < _SAME]
        self._told = recent[found[-1] + 1 :] if found else []
        return bool(found)
