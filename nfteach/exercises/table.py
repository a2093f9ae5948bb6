"""How far a learner is: every exercise of the course and its state, as a table."""

from __future__ import annotations

import html
import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

import nfteach.exercises
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.record import Record
from nfteach.exercises.verdict import SIGNS, State

__all__ = ["Progress", "exercises_of", "lessons", "progress"]


@dataclass(frozen=True)
class Row:
    """One exercise in the table."""

    number: str
    title: str
    state: State
    tries: int
    hints: int
    solution: bool

    @property
    def remarks(self) -> str:
        """What it took, in words."""
        said = [f"{self.tries} {'try' if self.tries == 1 else 'tries'}"] if self.tries else []
        said += [f"{self.hints} {'hint' if self.hints == 1 else 'hints'}"] if self.hints else []
        said += ["solution seen"] if self.solution else []
        return ", ".join(said)


class Progress:
    """The table. It prints as text, and shows as HTML in a notebook."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @property
    def right(self) -> int:
        """How many exercises are right."""
        return sum(row.state is State.RIGHT for row in self.rows)

    @property
    def head(self) -> str:
        return f"{self.right} of {len(self.rows)} exercises right"

    def __repr__(self) -> str:
        width = max((len(row.title) for row in self.rows), default=0)
        lines = [
            f"{SIGNS[row.state]} {row.number:5} {row.title:{width}}  {row.state.value:17}  {row.remarks}".rstrip()
            for row in self.rows
        ]
        return "\n".join([self.head, *lines])

    def _repr_html_(self) -> str:
        left = "style='text-align: left'"
        body = "".join(
            f"<tr><td>{SIGNS[row.state]}</td><td>{row.number}</td><td {left}>{html.escape(row.title)}</td>"
            f"<td {left}>{row.state.value}</td><td {left}>{row.remarks}</td></tr>"
            for row in self.rows
        )
        head = "".join(f"<th scope='col'>{word}</th>" for word in ("", "exercise", "what", "state", ""))
        return f"<table><caption>{self.head}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def progress() -> Progress:
    """Every exercise of the course, with its state as remembered on this computer."""
    rows = []
    for lesson in lessons():
        for exercise in exercises_of(lesson):
            known = Record(exercise.number).read()
            row = Row(
                exercise.number,
                exercise.title,
                State(known["state"]),
                known["tries"],
                known["hints"],
                known["solution"],
            )
            rows.append(row)
    return Progress(rows)


def lessons() -> list[ModuleType]:
    """The modules with the lessons' exercises, in the course's order."""
    names = sorted(module.name for module in pkgutil.iter_modules(nfteach.exercises.__path__))
    return [importlib.import_module(f"nfteach.exercises.{name}") for name in names if name.startswith("lesson_")]


def exercises_of(lesson: ModuleType) -> list[Exercise]:
    """The exercises of a lesson's module, in order."""
    found = [value for value in vars(lesson).values() if isinstance(value, Exercise)]
    return sorted(found, key=lambda one: [int(part) for part in one.number.split(".")])
