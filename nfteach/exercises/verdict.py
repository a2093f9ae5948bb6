"""What a learner is shown: the verdict on an answer, a hint, a solution."""

from __future__ import annotations

import enum
import html
import re
from dataclasses import dataclass

__all__ = ["SIGNS", "Note", "State", "Verdict"]


class State(enum.Enum):
    """The three states of an exercise."""

    NOT_ATTEMPTED = "not attempted yet"
    NOT_YET = "not yet"
    RIGHT = "right"


# Told by a sign and a word, never by colour alone; colours that can be read on white and on black.
SIGNS = {State.NOT_ATTEMPTED: "\u25cb", State.NOT_YET: "\u2717", State.RIGHT: "\u2713"}
_COLOURS = {State.NOT_ATTEMPTED: "#808080", State.NOT_YET: "#d55e00", State.RIGHT: "#009e73"}

# *stressed*, but not the stars of 2*x*y or x**2.
_STRESSED = re.compile(r"(?<![\w*)])\*(\w[^*]*\w|\w)\*(?![\w*(])")


@dataclass(frozen=True)
class Verdict:
    """What an exercise says of an answer.

    Attributes:
        number: of the exercise.
        title: of the exercise.
        state: not attempted, not yet, or right.
        message: what is wrong; empty if nothing is.
        misconception: the name of the mistake that was recognised; empty if none was.
    """

    number: str
    title: str
    state: State
    message: str = ""
    misconception: str = ""

    def __repr__(self) -> str:
        return f"Exercise {self.number}: {self.state.value}. {self.message}".rstrip()

    def _repr_html_(self) -> str:
        said = f" {_marked(self.message)}" if self.message else ""
        return (
            f'<div role="status" style="border-left: 4px solid {_COLOURS[self.state]}; padding: 2px 10px;">'
            f"{SIGNS[self.state]} <b>Exercise {self.number}</b> ({html.escape(self.title)}): "
            f"<b>{self.state.value}</b>.{said}</div>"
        )


@dataclass(frozen=True)
class Note:
    """A hint or a solution: a head line, and a body in Markdown."""

    head: str
    body: str

    def __repr__(self) -> str:
        return f"{self.head}\n{self.body}"

    def _repr_markdown_(self) -> str:
        return f"**{self.head}.** {self.body}" if "\n" not in self.body else f"**{self.head}**\n\n{self.body}"


def _marked(message: str) -> str:
    """Text with `code` between backticks and *stressed* words, as HTML."""
    parts = html.escape(message).split("`")
    return "".join(
        f"<code>{part}</code>" if index % 2 else _STRESSED.sub(r"<em>\1</em>", part) for index, part in enumerate(parts)
    )
