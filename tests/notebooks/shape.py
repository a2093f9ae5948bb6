"""What every lesson has, and what is wrong with one: equation numbers, exercises, predictions, explorers, sections.

Every check returns a list of complaints, one sentence each, and an empty one if nothing is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from types import ModuleType

import jupytext
from lessons.source import BEGIN, MARKDOWN
from nbformat import NotebookNode

from nfteach import widgets
from nfteach.exercises.table import exercises_of
from tests.notebooks.prose import in_source

__all__ = ["EXPLORERS", "cells", "equations", "exercises", "explorers", "predictions", "sections"]

EXPLORERS = frozenset(name for name in widgets.__all__ if re.search(r".(Explorer|Explorer\dD|Stepper|Replay)$", name))
CLOSING = ("What to remember", "What the papers? says? that we left out", "Next")  # regular expressions

_TAG = re.compile(r"\\tag\{([^}]*)\}")
_NUMBER = r"\d{1,2}(?:\.\d{1,2})?[a-z]?"
_REFERENCE = re.compile(rf"(?<![\w\])}}])\(({_NUMBER})\)|\b[Ee]quations? ({_NUMBER})(?:(?: and | to |, )({_NUMBER}))?")
_HEADING = re.compile(r"^### Exercise (\d+\.\d+): \S", re.MULTILINE)
_CHECK = re.compile(
    r"exercise\.(?P<name>\w+)\.check\((?P<answer>\w+)\)  # stuck\? exercise\.(?P<hint>\w+)\.hint\(\), "
    r"then exercise\.(?P<solution>\w+)\.solution\(\)"
)


def cells(text: str) -> list[NotebookNode]:
    """The cells of a lesson's source."""
    return jupytext.reads(text, fmt=MARKDOWN).cells


def _code(text: str) -> list[NotebookNode]:
    return [cell for cell in cells(text) if cell.cell_type == "code"]


def _headings(text: str, level: int) -> list[str]:
    told = "\n".join(cell.source for cell in cells(text) if cell.cell_type == "markdown")
    return re.findall(rf"^{'#' * level} (.+)$", told, flags=re.MULTILINE)


def equations(text: str, lesson: int, more: Sequence[str] = ()) -> list[str]:
    """Tags that are not unique or not in order, and references to equations that the lesson does not have.

    A tag is a number, the lesson's own or the note's, or the lesson and a number, such as 6.1; each kind rises.

    Args:
        text: the lesson's source.
        lesson: its number.
        more: other texts that speak of its equations: those of its exercises.
    """
    tags = _TAG.findall(text)
    found = [f"({tag}): two equations have this number" for tag in sorted({tag for tag in tags if tags.count(tag) > 1})]
    plain = [int(tag) for tag in tags if tag.isdigit()]
    dotted = [tag.split(".") for tag in tags if re.fullmatch(r"\d+\.\d+", tag)]
    found += [f"({tag}): neither a number nor {lesson}.n" for tag in tags if not re.fullmatch(r"\d+(\.\d+)?", tag)]
    found += [f"({a}.{b}): this is lesson {lesson}" for a, b in dotted if int(a) != lesson]
    for numbers in (plain, [int(b) for _, b in dotted]):
        found += [
            f"({after}) comes after ({before})" for before, after in itertools.pairwise(numbers) if after <= before
        ]
    for prose in (in_source(text), *more):
        for match in _REFERENCE.finditer(prose):
            near = " ".join(prose[max(match.start() - 30, 0) : match.end()].split())
            wrong = [number for number in match.groups() if number and number not in tags]
            found += [f"({number}): there is no such equation, near {near!r}" for number in wrong]
    return found


def exercises(text: str, module: ModuleType) -> list[str]:
    """Headings, check cells and the lesson's exercises that do not fit each other, one to one and in order."""
    known = exercises_of(module)
    names = {exercise.number: name for name, exercise in vars(module).items() if exercise in known}
    found, heading, asked = [], None, []
    defined: set[str] = set()
    headings = _HEADING.findall("\n".join(cell.source for cell in cells(text) if cell.cell_type == "markdown"))
    if headings != [exercise.number for exercise in known]:
        found.append(f"the headings are {headings}, the exercises {[exercise.number for exercise in known]}")
    if f"from nfteach.exercises import {module.__name__.rpartition('.')[2]} as exercise" not in text:
        found.append(f"{module.__name__} is not imported as exercise")
    for cell in cells(text):
        if cell.cell_type == "markdown":
            headings = _HEADING.findall(cell.source)
            heading = headings[-1] if headings else heading
        elif BEGIN in cell.source:
            defined |= set(re.findall(r"^(?:def |class )?(\w+)(?=\(| =|:)", cell.source, flags=re.MULTILINE))
        elif re.search(r"^exercise\.\w+\.check\(", cell.source, flags=re.MULTILINE):
            asked.append(heading)
            found += _check(cell, heading, names, defined)
    if asked != [exercise.number for exercise in known]:
        found.append(f"exercises {asked} have a check cell, the exercises are {[one.number for one in known]}")
    return found


def _check(cell: NotebookNode, heading: str | None, names: dict[str, str], defined: set[str]) -> list[str]:
    match = _CHECK.fullmatch(cell.source.strip().splitlines()[-1])  # imports may stand above it
    if match is None:
        return [f"{heading}: the check cell reads {cell.source!r}"]
    found = []
    if {match["name"], match["hint"], match["solution"]} != {names.get(heading)}:
        found.append(f"{heading}: is exercise.{names.get(heading)}, the cell asks {match['name']}")
    if match["answer"] not in defined:
        found.append(f"{heading}: {match['answer']} is not written in a cell with {BEGIN}")
    if "nbval-check-output" not in cell.metadata.get("tags", []):
        found.append(f"{heading}: the check cell is not tagged nbval-check-output")
    return found


def predictions(text: str, lesson: int, known: Sequence[str]) -> list[str]:
    """Too few predictions, and such as are not the lesson's own, each once, in the order of its file.

    Args:
        text: the lesson's source.
        lesson: its number.
        known: the names of all predictions.
    """
    asked = [cell.source for cell in _code(text) if re.search(r"\b(predict|Prediction)\(", cell.source)]
    own = [f'predict("{name}")' for name in known if name.startswith(f"{lesson:02} ")]
    found = [f"a prediction's cell reads {cell!r}" for cell in asked if cell not in own]
    if not found and asked != own:
        found.append(f"the predictions are {asked}, those of its file {own}")
    return found + ([f"{len(asked)} predictions, there should be 2 or more"] if len(asked) < 2 else [])


def explorers(text: str) -> list[str]:
    """A lesson that shows no explorer."""
    shown = {name for cell in _code(text) for name in re.findall(r"\b(\w+)\(", cell.source)}
    return [] if shown & EXPLORERS else ["it shows no explorer"]


def sections(text: str, closing: Sequence[str] = CLOSING) -> list[str]:
    """A title that is not the lesson's, and closing sections that are missing, out of order, or not at the end."""
    found = []
    titles = _headings(text, 1)
    if len(titles) != 1 or not re.fullmatch(r"\d\d · \S.*", titles[0]):
        found.append(f"the title should be one line such as '# 04 · Planar flows', but is {titles}")
    for word in ("**You will be able to**", "**You need**", "**Time:**"):
        found += [] if word in text else [f"{word} is missing"]
    titles = _headings(text, 2)
    places = [number for pattern in closing for number, title in enumerate(titles) if re.fullmatch(pattern, title)]
    if len(places) != len(closing) or places != sorted(places) or places[-1] != len(titles) - 1:
        found.append(f"the sections are {titles}; they should end in {list(closing)}, in this order")
    return found
