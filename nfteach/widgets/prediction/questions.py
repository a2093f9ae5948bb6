"""The predictions of the lessons: one Markdown file a lesson, ``questions/06.md``, with a heading a prediction.

A question is followed by its answers as a task list. The first line of an item is the choice, what is indented below it
the feedback; the box that is ticked marks the right one::

    ## nice height

    A NICE layer moves a standard normal. How high is its highest density afterwards?

    - [ ] higher
      What happens to the area of a small square?
    - [x] as high as before
      The determinant is 1.

A number begins with an equals sign and may be an expression, with a tolerance and a unit: ``- [x] = log(3/2) ± 0.006
[nats]``. Its wrong numbers are items, too, and ``- [ ] = anything else`` is the feedback for all others.
"""

from __future__ import annotations

import difflib
import pathlib
import re
from typing import Any

from nfteach.widgets.prediction.widget import Prediction

__all__ = ["names", "predict"]

_FOLDER = pathlib.Path(__file__).parent / "questions"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ITEM = re.compile(r"^- \[([ x])\] (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"= (?P<value>.+?)(?: ± (?P<tolerance>\S+))?(?: \[(?P<unit>.+)\])?")


def predict(name: str) -> Prediction:
    """Return a prediction of a lesson.

    Args:
        name: the lesson's number and the heading in its file, such as ``"06 nice height"``.

    Raises:
        ValueError: there is no such prediction; the message names those that are near.

    Example:
        >>> predict("00 peak")
        Prediction(not answered)
    """
    known = _all()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        near = near or [one for one in known if one[:2] == str(name)[:2]] or list(known)[:3]
        raise ValueError(f"name must be that of a prediction, but is {name!r}; try {' or '.join(map(repr, near))}")
    try:
        return Prediction(**_arguments(known[name]))
    except ValueError as error:
        raise ValueError(f"questions/{name[:2]}.md, {name[3:]!r}: {error}") from error


def names() -> list[str]:
    """Return the names of all predictions, in the order of the lessons."""
    return list(_all())


def _all() -> dict[str, str]:
    """Return name -> the Markdown below its heading."""
    found: dict[str, str] = {}
    for path in sorted(_FOLDER.glob("*.md")):
        _, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
        for heading, body in zip(parts[::2], parts[1::2], strict=True):
            name = f"{path.stem} {heading.strip()}"
            if name in found:
                raise ValueError(f"two predictions are called {name!r}; headings must differ")
            found[name] = body
    return found


def _arguments(body: str) -> dict[str, Any]:
    """Return the arguments of Prediction."""
    question, *parts = _ITEM.split(body)
    items = list(zip(parts[::3], map(str.strip, parts[1::3]), map(_joined, parts[2::3]), strict=True))
    if not any(label.startswith("= ") for _, label, _ in items):
        choices = [(label, ("right", told) if ticked == "x" else told) for ticked, label, told in items]
        return {"question": _joined(question), "choices": choices}
    asked: dict[str, Any] = {"question": _joined(question), "wrong": {}}
    for ticked, label, told in items:
        match = _NUMBER.fullmatch(label)
        if match is None or (ticked == "x" and "number" in asked):
            raise ValueError(f"every item must be a number, and one of them right, but there is {label!r}")
        if ticked == "x":
            tolerance = match["tolerance"] and float(match["tolerance"])
            asked |= {
                "number": match["value"],
                "tolerance": tolerance,
                "unit": match["unit"] or "",
                "explanation": told,
            }
        elif match["value"] == "anything else":
            asked["otherwise"] = told
        else:
            asked["wrong"][match["value"]] = told
    return asked


def _joined(text: str) -> str:
    """Return a text with its lines joined, except where one is empty."""
    return re.sub(r"(?<!\n)\n[ \t]*(?=\S)", " ", text.strip())
