"""The table of every exercise of the course and its state."""

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
    optional: bool = False

    def __str__(self) -> str:
        words = ["if you like"] if self.optional else []
        words += [f"{self.tries} {'try' if self.tries == 1 else 'tries'}"] if self.tries else []
        words += [f"{self.hints} {'hint' if self.hints == 1 else 'hints'}"] if self.hints else []
        words += ["solution seen"] if self.solution else []
        return f"{SIGNS[self.state]} {self.number} {self.title}" + (f" ({', '.join(words)})" if words else "")


class Progress:
    """The table, a row for each lesson. It prints as text, and shows as HTML with links to the lessons in a notebook.

    Args:
        entries: one for each exercise, those of a lesson one after another.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    @property
    def right(self) -> int:
        """The number of exercises that are right, optional ones included."""
        return sum(entry.state is State.RIGHT for entry in self.entries)

    @property
    def next(self) -> Entry | None:
        """The first exercise that is not right yet and not optional; None if there is none."""
        return next((one for one in self.entries if not one.optional and one.state is not State.RIGHT), None)

    @property
    def head(self) -> str:
        """The counts, and the meaning of the signs."""
        signs = ", ".join(f"{sign} {state.value}" for state, sign in SIGNS.items())
        extra = [entry for entry in self.entries if entry.optional]
        done = sum(entry.state is State.RIGHT for entry in extra)
        optional = f", and {done} of {len(extra)} optional ones" if extra else ""
        return f"{_score(self.entries)} exercises right{optional} ({signs})"

    def __repr__(self) -> str:
        lines = [self.head]
        for lesson, entries in self._by_lesson():
            lines += [lesson, *(f"  {entry}" for entry in entries)]
        if self.next:
            lines.append(f"Next: {self.next.number} {self.next.title}, in lesson {self.next.lesson}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = "style='text-align: left'"
        head = "".join(f"<th scope='col' {left}>{word}</th>" for word in ("lesson", "right", "exercises"))
        body = "".join(
            f"<tr><td {left}>{_linked(lesson)}</td><td {left}>{_unbroken(_score(entries))}</td>"
            f"<td {left}>{' &ensp; '.join(_unbroken(str(entry)) for entry in entries)}</td></tr>"
            for lesson, entries in self._by_lesson()
        )
        after = ""
        if self.next:
            after = (
                f"<p>Next: {html.escape(f'{self.next.number} {self.next.title}')}, in {_linked(self.next.lesson)}</p>"
            )
        table = f"<table><caption>{self.head}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return table + after

    def _by_lesson(self) -> list[tuple[str, list[Entry]]]:
        grouped = itertools.groupby(self.entries, key=lambda entry: entry.lesson)
        return [(lesson, list(entries)) for lesson, entries in grouped]


def progress() -> Progress:
    """Return every exercise of the course, with its state as remembered on this computer."""
    return Progress(
        [
            Entry(title_of(lesson), exercise.number, exercise.title, optional=exercise.optional, **_known(exercise))
            for lesson in lessons()
            for exercise in exercises_of(lesson)
        ]
    )


def lessons() -> list[ModuleType]:
    """Return the modules with the lessons' exercises, in the course's order."""
    names = sorted(module.name for module in pkgutil.iter_modules(nfteach.exercises.__path__))
    return [importlib.import_module(f"nfteach.exercises.{name}") for name in names if name.startswith("lesson_")]


def exercises_of(lesson: ModuleType) -> list[Exercise]:
    """Return the exercises of a lesson's module, in order."""
    found = [value for value in vars(lesson).values() if isinstance(value, Exercise)]
    return sorted(found, key=lambda one: [int(part) for part in one.number.split(".")])


def title_of(lesson: ModuleType) -> str:
    """Return a title such as "04 planar flows", from the module's first line, "Lesson 04, planar flows: psi, ..."."""
    return lesson.__doc__.split(":")[0].removeprefix("Lesson ").replace(",", "", 1)


def _known(exercise: Exercise) -> dict[str, object]:
    known = Record(exercise.number).read()
    return {name: known[name] for name in ("tries", "hints", "solution")} | {"state": State(known["state"])}


def _score(entries: list[Entry]) -> str:
    """Return how many exercises are right, leaving out those that are optional."""
    asked = [entry for entry in entries if not entry.optional]
    return f"{sum(entry.state is State.RIGHT for entry in asked)} of {len(asked)}"


def _linked(lesson: str) -> str:
    """Return the title of a lesson as HTML that opens its notebook, which is in the same folder as all others."""
    return f"<a href='{html.escape(lesson.lower().replace(' ', '_'))}.ipynb'>{_unbroken(lesson)}</a>"


def _unbroken(text: str) -> str:
    """Return text that stays on one line, as HTML."""
    return f"<span style='white-space: nowrap'>{html.escape(text)}</span>"
