"""How far a learner is: every exercise of the course and its state, as a table."""

from __future__ import annotations

import html
import importlib
import itertools
import pkgutil
from dataclasses import dataclass
from types import ModuleType

import nfteach.exercises
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.record import Record
from nfteach.exercises.verdict import SIGNS, State

__all__ = ["Entry", "Progress", "exercises_of", "lessons", "progress", "title_of"]


@dataclass(frozen=True)
class Entry:
    """One exercise, and what is remembered of it."""

    lesson: str
    number: str
    title: str
    state: State = State.NOT_ATTEMPTED
    tries: int = 0
    hints: int = 0
    solution: bool = False

    def __str__(self) -> str:
        said = [f"{self.tries} {'try' if self.tries == 1 else 'tries'}"] if self.tries else []
        said += [f"{self.hints} {'hint' if self.hints == 1 else 'hints'}"] if self.hints else []
        said += ["solution seen"] if self.solution else []
        return f"{SIGNS[self.state]} {self.number} {self.title}" + (f" ({', '.join(said)})" if said else "")


class Progress:
    """The table, a row for each lesson. It prints as text, and shows as HTML in a notebook.

    Args:
        entries: one for each exercise, those of a lesson one after another.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    @property
    def right(self) -> int:
        """How many exercises are right."""
        return _right(self.entries)

    @property
    def head(self) -> str:
        """The count, and what the signs mean."""
        signs = ", ".join(f"{sign} {state.value}" for state, sign in SIGNS.items())
        return f"{_score(self.entries)} exercises right ({signs})"

    def __repr__(self) -> str:
        lines = [self.head]
        for lesson, entries in self._by_lesson():
            lines += [lesson, *(f"  {entry}" for entry in entries)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = "style='text-align: left'"
        head = "".join(f"<th scope='col' {left}>{word}</th>" for word in ("lesson", "right", "exercises"))
        body = "".join(
            f"<tr><td {left}>{_unbroken(lesson)}</td><td {left}>{_unbroken(_score(entries))}</td>"
            f"<td {left}>{' &ensp; '.join(_unbroken(str(entry)) for entry in entries)}</td></tr>"
            for lesson, entries in self._by_lesson()
        )
        return f"<table><caption>{self.head}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _by_lesson(self) -> list[tuple[str, list[Entry]]]:
        grouped = itertools.groupby(self.entries, key=lambda entry: entry.lesson)
        return [(lesson, list(entries)) for lesson, entries in grouped]


def progress() -> Progress:
    """Every exercise of the course, with its state as remembered on this computer."""
    return Progress(
        [
            Entry(title_of(lesson), exercise.number, exercise.title, **_known(exercise))
            for lesson in lessons()
            for exercise in exercises_of(lesson)
        ]
    )


def lessons() -> list[ModuleType]:
    """The modules with the lessons' exercises, in the course's order."""
    names = sorted(module.name for module in pkgutil.iter_modules(nfteach.exercises.__path__))
    return [importlib.import_module(f"nfteach.exercises.{name}") for name in names if name.startswith("lesson_")]


def exercises_of(lesson: ModuleType) -> list[Exercise]:
    """The exercises of a lesson's module, in order."""
    found = [value for value in vars(lesson).values() if isinstance(value, Exercise)]
    return sorted(found, key=lambda one: [int(part) for part in one.number.split(".")])


def title_of(lesson: ModuleType) -> str:
    """Such as "04 planar flows", from the module's first line, "Lesson 04, planar flows: psi, ..."."""
    return lesson.__doc__.split(":")[0].removeprefix("Lesson ").replace(",", "", 1)


def _known(exercise: Exercise) -> dict[str, object]:
    known = Record(exercise.number).read()
    return {name: known[name] for name in ("tries", "hints", "solution")} | {"state": State(known["state"])}


def _right(entries: list[Entry]) -> int:
    return sum(entry.state is State.RIGHT for entry in entries)


def _score(entries: list[Entry]) -> str:
    return f"{_right(entries)} of {len(entries)}"


def _unbroken(text: str) -> str:
    """Text that stays on one line, as HTML."""
    return f"<span style='white-space: nowrap'>{html.escape(text)}</span>"
