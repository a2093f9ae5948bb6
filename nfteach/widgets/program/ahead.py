"""Programs recorded ahead, for a page without a kernel: for the choices that a reader makes first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from nfteach.widgets.controls import is_traced, kind_of, options_of
from nfteach.widgets.parts import Handle, Pixels
from nfteach.widgets.program.record import Refused
from nfteach.widgets.program.requests import FOLLOW, PRESET, browser_value

__all__ = ["programs_ahead"]

PRODUCT = 48  # no more combinations than this are all recorded
CODE = 1_800_000  # characters; more is not recorded
WHOLE = 40  # values of one control over whole numbers, spread evenly over its range
GESTURES = {"paint": [0.0, 0.0, 0.0, 1.0], "pick": [0.0, 0.0, 0.0], "choose": [0.0]}  # values, as for ``drag``


def programs_ahead(explorer: Any) -> list[dict[str, Any]]:
    """Return programs of an :class:`~nfteach.widgets.Explorer`: of its pictures, and of what moves its controls.

    All combinations of its choices are recorded if they are few; else what it shows now, its presets, and each choice
    alone, those of few values first; the first of these where their code is long. With steps, drags are recorded at
    each of them. What cannot be recorded is left out. The explorer returns to its state.
    """
    before = explorer.state
    found = _Found(explorer)
    try:
        for state in _states(explorer):
            if sum(map(len, {program["code"] for program in found.programs})) > CODE:
                break
            try:
                explorer.set(**{**before, **state})
            except ValueError:
                continue
            if explorer.error or not found.add("", []):
                continue
            for step in _steps(explorer):
                explorer.set(**step)
                for move, values in _moves(explorer):
                    found.add(move, values)
    finally:
        explorer.set(**before)
    return found.programs


class _Found:
    """The programs of an explorer, each recorded once for the choices that it reads."""

    def __init__(self, explorer: Any) -> None:
        self.explorer = explorer
        self.programs: list[dict[str, Any]] = []
        self._tried: dict[str, list[dict[str, Any]]] = {}  # move -> the choices that were read, also by what is refused

    def add(self, move: str, values: list[float]) -> bool:
        """Record a picture or a move at the explorer's state; return whether that is new."""
        state = {name: browser_value(control, control.value) for name, control in self.explorer.controls.items()}
        tried = self._tried.setdefault(move, [])
        if any(reads.items() <= state.items() for reads in tried):
            return False
        try:
            self.programs.append(self.explorer.program(move, values))
        except Refused as error:
            if error.reads is not None:
                tried.append({name: state[name] for name in error.reads})
            return False
        except ValueError:
            return False
        tried.append(self.programs[-1]["reads"])
        return True


def _steps(explorer: Any) -> list[dict[str, int]]:
    if not explorer.step or not explorer.has_own_drag:
        return [{}]
    control = explorer.controls[explorer.step]
    return [{explorer.step: step} for step in range(control.min, control.max + 1)]


def _moves(explorer: Any) -> Iterator[tuple[str, list[float]]]:
    """Yield what moves controls at the explorer's state, with values of a gesture."""
    yield from ((f"{FOLLOW}{name}", []) for name in explorer.followers)
    yield from ((f"{PRESET}{name}", []) for name, preset in explorer.presets.items() if callable(preset))
    for name, part in explorer.parts.items() if explorer.has_own_drag else ():
        if isinstance(part, Pixels) and part.gesture:
            yield name, GESTURES[part.gesture]
            if part.border is not None:
                yield f"{name}/border", [float(part.border)]
        for name, mark in getattr(part, "marks", {}).items():
            if isinstance(mark, Handle):
                yield name, mark.at.tolist()


def _states(explorer: Any) -> Iterator[dict[str, Any]]:
    """Yield the states whose choices are recorded."""
    choices = {
        name: _values(control)
        for name, control in explorer.controls.items()
        if not is_traced(control) and name != explorer.step
    }
    yield {}
    if math.prod(map(len, choices.values())) <= PRODUCT:
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))
        return
    for preset in explorer.presets.values():
        if not callable(preset):
            yield dict(preset)
    for name, values in sorted(choices.items(), key=lambda one: len(one[1])):
        for value in values:
            yield {name: value}


def _values(control: Any) -> list[Any]:
    kind = kind_of(control)
    if kind == "choice":
        return [value for _, value in options_of(control)]
    if kind == "switch":
        return [False, True]
    if kind == "hidden":
        return [control.value]
    numbers = range(control.min, control.max + 1)
    return list(numbers[:: math.ceil(len(numbers) / WHOLE)])
