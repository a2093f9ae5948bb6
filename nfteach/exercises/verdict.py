"""The texts that a learner is shown: the verdict on an answer, a hint, a solution."""

from __future__ import annotations

import enum
import html
import re
from dataclasses import dataclass, field

__all__ = ["SIGNS", "Help", "Note", "State", "Verdict"]


class State(enum.Enum):
    """The three states of an exercise."""

    NOT_ATTEMPTED = "not attempted yet"
    NOT_YET = "not yet"
    RIGHT = "right"


# A sign and a word, never colour alone; the colours can be read on white and on black.
SIGNS = {State.NOT_ATTEMPTED: "\u25cb", State.NOT_YET: "\u2717", State.RIGHT: "\u2713"}
_COLOURS = {State.NOT_ATTEMPTED: "#808080", State.NOT_YET: "#d55e00", State.RIGHT: "#009e73"}

# *stressed*, but not the stars of 2*x*y or x**2.
_STRESSED = re.compile(r"(?<![\w*)])\*(\w[^*]*\w|\w)\*(?![\w*(])")


@dataclass(frozen=True)
class Help:
    """The help that a verdict offers: each opens on a click, and is a call as well.

    Attributes:
        hints: in Markdown.
        solution: code and reasoning, in Markdown.
        report: the text to paste where a message does not fit the code.
        call: the name of the exercise, such as "exercise.psi".
    """

    hints: tuple[str, ...]
    solution: str
    report: str
    call: str

    def _repr_html_(self) -> str:
        hints = ""
        for number, hint in reversed(list(enumerate(self.hints, start=1))):
            hints = _folded(f"Hint {number} of {len(self.hints)}", f"<p>{_marked(hint)}</p>{hints}")
        before, code, after = re.split(r"```(?:python\n)?", self.solution, maxsplit=2)
        solution = f"{before}<pre>{html.escape(code)}</pre><p>{_marked(after.strip())}</p>"
        inputs = f"<p>Look into the call that went wrong: <code>{html.escape(self.call)}.inputs()</code></p>"
        report = f"<p>Copy this, and add why it does not fit:</p><pre>{html.escape(self.report)}</pre>"
        return inputs + hints + _folded("Solution", solution) + _folded("This message does not fit my code", report)


@dataclass(frozen=True)
class Verdict:
    """The verdict of an exercise on an answer.

    Attributes:
        number: the number of the exercise.
        title: the title of the exercise.
        state: not attempted, not yet, or right.
        message: what is wrong, or what is to be noted; often empty.
        misconception: the name of the mistake that was recognised; empty if none was.
        help: the help that is offered; None if none is needed.
    """

    number: str
    title: str
    state: State
    message: str = ""
    misconception: str = ""
    help: Help | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Exercise {self.number}: {self.state.value}. {self.message}".rstrip()

    def _repr_html_(self) -> str:
        said = f" {_marked(self.message)}" if self.message else ""
        shown = (
            f'<div role="status" style="border-left: 4px solid {_COLOURS[self.state]}; padding: 2px 10px;">'
            f"{SIGNS[self.state]} <b>Exercise {self.number}</b> ({html.escape(self.title)}): "
            f"<b>{self.state.value}</b>.{said}</div>"
        )
        return shown + (f'<div style="padding: 2px 14px;">{self.help._repr_html_()}</div>' if self.help else "")


@dataclass(frozen=True)
class Note:
    """A hint or a solution: a head line, and a body in Markdown."""

    head: str
    body: str

    def __repr__(self) -> str:
        return f"{self.head}\n{self.body}"

    def _repr_markdown_(self) -> str:
        return f"**{self.head}.** {self.body}" if "\n" not in self.body else f"**{self.head}**\n\n{self.body}"


def _folded(head: str, body: str) -> str:
    """Return HTML that shows its head as a button, and its body once that is clicked."""
    button = (
        "display: inline-block; cursor: pointer; border: 1px solid; border-radius: 4px; padding: 0 8px; margin: 2px;"
    )
    return f'<details><summary style="{button}">{head}</summary>{body}</details>'


def _marked(message: str) -> str:
    """Return text with `code` between backticks and *stressed* words as HTML."""
    parts = html.escape(message).split("`")
    return "".join(
        f"<code>{part}</code>" if index % 2 else _STRESSED.sub(r"<em>\1</em>", part) for index, part in enumerate(parts)
    )
