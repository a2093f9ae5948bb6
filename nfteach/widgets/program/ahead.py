"""Programs recorded ahead, for a page without a kernel: for the choices that a reader makes first."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

from nfteach.widgets.controls import kind_of, options_of
from nfteach.widgets.parts import Handle
from nfteach.widgets.program.record import Refused

__all__ = ["key_of", "programs_ahead"]

PRODUCT = 48  # no more combinations than this are all recorded
CODE = 1_800_000  # characters; more is not recorded
WHOLE = 40  # values of one control over whole numbers, spread evenly over its range

_Known = list[tuple[dict[str, Any], dict[str, Any]]]  # the choices that a drag reads, and its program for these


def programs_ahead(explorer: Any) -> dict[str, dict[str, Any]]:
    """Return key -> program of an :class:`~nfteach.widgets.Explorer`: of its pictures, and of what can be dragged.

    All combinations of its choices are recorded if they are few; else what it shows now, its presets, and each choice
    alone, those of few values first; the first of these where their code is long. With steps, drags are recorded at
    each of them. What cannot be recorded is left out. The explorer returns to its state.
    """
    before = explorer.state
    programs: dict[str, dict[str, Any]] = {}
    drags: dict[str, _Known] = {}
    try:
        for state in _states(explorer):
            if sum(map(len, {program["code"] for program in programs.values()})) > CODE:
                break
            try:
                explorer.set(**{**before, **state})
                _add(explorer, programs, drags)
            except (Refused, ValueError):
                continue
    finally:
        explorer.set(**before)
    return programs


def key_of(explorer: Any, drag: str = "") -> str:
    """Return the key of a program, as the page writes it (``page/here.js``)."""
    values = [
        explorer.browser_value(name, control.value)
        for name, control in explorer.controls.items()
        if kind_of(control) != "slider" and (drag or name != explorer.step)
    ]
    return json.dumps([drag, *values], ensure_ascii=False, separators=(",", ":"))


def _add(explorer: Any, programs: dict[str, dict[str, Any]], drags: dict[str, _Known]) -> None:
    key = key_of(explorer)
    if explorer.error or key in programs:
        return
    programs[key] = explorer.program()
    for step in _steps(explorer) if explorer.has_own_drag else ():
        explorer.set(**step)
        for name, at in _handles(explorer):
            if program := _drag(explorer, name, at, drags.setdefault(name, [])):
                programs[key_of(explorer, name)] = program


def _drag(explorer: Any, name: str, at: list[float], known: _Known) -> dict[str, Any] | None:
    """Return the program of a drag, or None if it is refused; reuse a known one if the choices it reads are equal."""
    state = explorer.state
    for read, program in known:
        if all(state[choice] == value for choice, value in read.items()):
            return program
    try:
        program = explorer.program(name, at)
    except (Refused, ValueError):
        return None
    known.append(({choice: state[choice] for choice in program["reads"]}, program))
    return program


def _steps(explorer: Any) -> list[dict[str, int]]:
    if not explorer.step:
        return [{}]
    control = explorer.controls[explorer.step]
    return [{explorer.step: step} for step in range(control.min, control.max + 1)]


def _handles(explorer: Any) -> Iterator[tuple[str, list[float]]]:
    for part in explorer.parts.values():
        for name, mark in getattr(part, "marks", {}).items():
            if isinstance(mark, Handle):
                yield name, mark.at.tolist()


def _states(explorer: Any) -> Iterator[dict[str, Any]]:
    """Yield the states whose choices are recorded."""
    choices = {
        name: _values(control)
        for name, control in explorer.controls.items()
        if kind_of(control) != "slider" and name != explorer.step
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
