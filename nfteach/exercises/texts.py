"""The texts of exercises: titles, explanations, hints and mistakes, in one Markdown file a lesson."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from nfteach.exercises.mistakes import Misconception

__all__ = ["text"]


def text(number: str, *more: Misconception) -> dict[str, Any]:
    r"""Return the arguments of an exercise that are texts, from a section of ``texts/NN.md`` such as::

        # 4.2 the log-determinant

        By the determinant lemma ...

        1. The first hint.
        2. The second, which gives more.

        - sign flipped: The sign is flipped: this is the log-determinant of the inverse.
          `return -> return -`

    A mistake has a name, a message for the learner, and at least one edit of the right answer that makes it, on a line
    of its own; ``\n`` is a new line. See :class:`~nfteach.exercises.mistakes.Misconception`.

    Args:
        number: the number of the exercise, such as "4.2".
        more: mistakes that no edit of the right answer makes.
    """
    title, body = _sections(int(number.split(".")[0]))[number]
    paragraphs = [part for part in body.split("\n\n") if not re.match(r"1\. |- ", part)]
    hints = re.findall(r"^\d\. (.*)$", body, re.MULTILINE)
    mistakes = []
    for part in re.findall(r"^- (.*(?:\n  `.*`$)*)", body, re.MULTILINE):
        head, *edits = part.split("\n")
        name, _, message = head.partition(": ")
        steps = tuple(edit.strip(" `").replace("\\n", "\n") for edit in edits)
        mistakes.append(Misconception(name=name, message=message, edits=steps))
    return {
        "number": number,
        "title": title,
        "reasoning": "\n\n".join(paragraphs),
        "hints": tuple(hints),
        "misconceptions": (*mistakes, *more),
    }


@cache
def _sections(lesson: int) -> dict[str, tuple[str, str]]:
    """Return the title and the body of each section of a lesson's file, by number."""
    file = Path(__file__).parent / "texts" / f"{lesson:02}.md"
    parts = re.split(r"^# (\d+\.\d) (.*)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {number: (title, body.strip()) for number, title, body in zip(*[iter(parts[1:])] * 3, strict=True)}
