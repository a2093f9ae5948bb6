"""What every lesson has, and what is wrong with one: equation numbers, exercises, predictions, explorers, sections.

Every check returns a list of complaints, one sentence each, and an empty one if nothing is wrong.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence
from types import ModuleType

import jupytext
from lessons.source import BEGIN, MARKDOWN
from nbformat import NotebookNode

from nfteach import widgets
from nfteach.exercises.table import exercises_of
from tests.notebooks.prose import in_markdown, in_source

__all__ = [
    "EXPLORERS",
    "cells",
    "code",
    "equations",
    "exercises",
    "explorers",
    "opening",
    "pace",
    "predictions",
    "sections",
    "truths",
    "words",
]

EXPLORERS = frozenset(name for name in widgets.__all__ if re.search(r".(Explorer|Explorer\dD|Stepper|Replay)$", name))
CLOSING = ("What to remember", "What the papers? says? that we left out", "Next")  # regular expressions

LEAST, MOST = 1_200, 2_000  # words of a lesson
STRIDE = 200  # words without a picture
FIRST = 100  # words before the first picture
IMPORTS = 4  # lines of them in the first code cell
WIDTH = 88  # characters of code that fit on the screen
UNFOLDED = 6  # lines of code that draw, and are still shown
FOLD = "<summary>Objectives, prerequisites and notation</summary>"

_TAG = re.compile(r"\\tag\{([^}]*)\}")
_NUMBER = r"\d{1,2}(?:\.\d{1,2})?[a-z]?"
_REFERENCE = re.compile(rf"(?<![\w\])}}])\(({_NUMBER})\)|\b[Ee]quations? ({_NUMBER})(?:(?: and | to |, )({_NUMBER}))?")
_HEADING = re.compile(r"^### Exercise (\d+\.\d+): \S", re.MULTILINE)
_CHECK = re.compile(
    r"exercise\.(?P<name>\w+)\.check\((?P<answer>\w+)\)(?:  |\n)# stuck\? exercise\.(?P<hint>\w+)\.hint\(\), "
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


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _lines(source: str) -> list[str]:
    """Return the lines of code that are neither blank nor a comment."""
    return [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def _draws(cell: NotebookNode) -> bool:
    """Return whether a reader sees a picture here: a figure, an explorer, a report with its heat map."""
    if cell.cell_type == "markdown":
        return bool(re.search(r"!\[|<img\b|<svg\b", cell.source))
    shown = set(re.findall(r"\b(\w+)\(", cell.source)) & EXPLORERS
    return bool(shown) or "alt" in cell.metadata or "plt.show()" in cell.source


def _told(markdown: str, *, folded: bool = True) -> int:
    """Count the words of Markdown: no code, no formulas, no tables, and what is folded only if asked for."""
    if not folded:
        markdown = re.sub(r"<details>.*?</details>", "", markdown, flags=re.DOTALL)
    markdown = re.sub(r"^\|.*$", "", markdown, flags=re.MULTILINE)
    return len(re.findall(r"[^\W\d_][\w'\u2019-]*", in_markdown(markdown)))


def _folds_joined(text: str) -> list[NotebookNode]:
    """Return the cells, those of Markdown that hold one <details> between them as one."""
    joined: list[NotebookNode] = []
    for cell in cells(text):
        last = joined[-1] if joined else None
        if last is not None and last.source.count("<details>") > last.source.count("</details>"):
            last.source += "\n\n" + cell.source
        else:
            joined.append(cell)
    return joined


def words(text: str, least: int = LEAST, most: int = MOST) -> list[str]:
    """A lesson that is too short or too long, in words of its Markdown."""
    count = sum(_told(cell.source) for cell in cells(text) if cell.cell_type == "markdown")
    return [] if least <= count <= most else [f"it has {count} words, there should be {least} to {most}"]


def opening(text: str) -> list[str]:
    """A first screen without a picture, objectives that are not folded, and imports that fill the screen."""
    found, before = [], 0
    for cell in _folds_joined(text):
        if _draws(cell):
            break
        before += _told(cell.source) if cell.cell_type == "markdown" else 5 * len(_lines(cell.source))
    if before > FIRST:
        found.append(f"the first picture comes after {before} words (a line of code counts five), not {FIRST}")
    folded = re.search(rf"<details>{FOLD}(.*?)</details>", text, re.DOTALL)
    missing = [word for word in ("**You will be able to**", "**Time:**") if not folded or word not in folded[1]]
    found += [f"{word} is not below {FOLD}" for word in missing]
    tree = ast.parse(_code(text)[0].source)
    lines = sum(
        node.end_lineno - node.lineno + 1 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return found + ([f"the first code cell has {lines} lines of imports, not {IMPORTS}"] if lines > IMPORTS else [])


def pace(text: str, most: int = STRIDE) -> list[str]:
    """Stretches of words between two pictures that are too long; the closing sections have none."""
    found, count, start = [], 0, ""
    for cell in _folds_joined(text):
        closing = cell.cell_type == "markdown" and re.match(rf"## {CLOSING[0]}", cell.source)
        if _draws(cell) or closing:
            found += [f"{count} words without a picture, from {start!r}"] if count > most else []
            count, start = 0, ""
        if closing:
            break
        if cell.cell_type == "markdown":
            told = _told(cell.source, folded=False)
            start = start or (" ".join(cell.source.split())[:60] if told else "")
            count += told
    return found


def code(text: str) -> list[str]:
    """Code that is too wide for the screen, drawing that is not folded, and answers printed as True or False."""
    found = []
    for cell in _code(text):
        figure = "figure" in _tags(cell)
        wide = [line for line in cell.source.splitlines() if len(line) > WIDTH and not figure]
        found += [f"a line has {len(line)} characters: {line.strip()[:60]!r}" for line in wide]
        drawing = re.search(r"\bplt\.show\(|\bplots\.\w+\(", cell.source)
        if drawing and not figure and len(_lines(cell.source)) > UNFOLDED:
            found.append(f"{len(_lines(cell.source))} lines that draw are not tagged figure: {cell.source[:60]!r}")
        if re.search(r"\bprint\(.*\b(?:bool|allclose|equal)\(", cell.source):
            found.append(f"a truth value is printed, print the number: {cell.source[:60]!r}")
    return found


def truths(notebook: NotebookNode) -> list[str]:
    """Stored lines of text in which a program answers True or False."""
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if not {"text/html", "image/png"} & output.get("data", {}).keys()
    ]
    return [line for text in texts for line in text.splitlines() if re.search(r"(?:^|:)\s*(?:True|False)\b", line)]


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
    match = _CHECK.search(cell.source.strip())  # imports may come before it
    if match is None or match.end() != len(cell.source.strip()):
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
