"""Tables as plain text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import zip_longest

from ..finding import Finding, counted
from ..numbers import brief

__all__ = ["badge", "card", "finding_card", "html_table", "text_table"]

Cells = Sequence[Sequence[str]]


def text_table(rows: Cells, *, left: int = 1, most: Sequence[int | None] = (), gap: int = 2) -> list[str]:
    """Lines of text with the columns under each other.

    Args:
        rows: of cells, all of one length; the first may be the heading.
        left: so many columns stand to the left of their place, the others to the right.
        most: the widest that each column may be (None: as wide as it is); a longer cell goes on in the next line.
        gap: blanks between columns.

    Example:
        >>> rows = [["layer", "log|det J|"], ["a long name", "0.5"], ["CamelCase", "1.5"]]
        >>> print(*text_table(rows, most=[6, None]), sep="\\n")
        layer   log|det J|
        a long         0.5
        name
        Camel          1.5
        Case
    """
    most = list(most) + [None] * (len(rows[0]) - len(most))
    cells = [[_wrapped(cell, limit) for cell, limit in zip(row, most, strict=True)] for row in rows]
    wide = [max((len(line) for row in cells for line in row[j]), default=0) for j in range(len(most))]
    lines = []
    for row in cells:
        for parts in zip_longest(*row, fillvalue=""):
            placed = [part.ljust(wide[j]) if j < left else part.rjust(wide[j]) for j, part in enumerate(parts)]
            lines.append((" " * gap).join(placed).rstrip())
    return lines


def _wrapped(cell: str, limit: int | None) -> list[str]:
    """The cell in lines; broken between words, where a CamelCase name has a capital, and elsewhere only if it must."""
    if limit is None or len(cell) <= limit:
        return [cell]
    lines = [""]
    for piece in re.split(r"(?<= )|(?<=[a-z])(?=[A-Z])", cell):
        if len(lines[-1] + piece.rstrip()) > limit and lines[-1]:
            lines.append("")
        while len(piece.rstrip()) > limit:
            lines[-1], piece = piece[:limit], piece[limit:]
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def html_table(rows: Cells, *, classes: str, markup: frozenset[int] = frozenset(), head: bool = True) -> str:
    """Return a ``<table>`` that scrolls sideways where it is too wide.

    Args:
        rows: of cells, which are escaped.
        classes: of the table.
        markup: the columns whose cells (not the heading's) are HTML already.
        head: whether the first row is a heading.
    """
    text = "<tr>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0]) + "</tr>" if head else ""
    for row in rows[head:]:
        text += "<tr>" + "".join(f"<td>{c if j in markup else escape(c)}</td>" for j, c in enumerate(row)) + "</tr>"
    return f'<div class="scroll"><table class="{classes}">{text}</table></div>'


def badge(errors: int) -> str:
    """Return the verdict as a small label: sound, or how many errors there are."""
    if errors:
        return f'<span class="badge bad">&#10007; {counted(errors, "error", "errors")}</span>'
    return '<span class="badge good">&#10003; sound</span>'


def finding_card(finding: Finding, where: str = "") -> str:
    """One finding as a paragraph with a coloured edge, and where it was found."""
    facts = "; ".join(f"{key} {brief(value)}" for key, value in finding.evidence.items())
    title = f"<code>{finding.code}</code>" + (f" <span>{escape(where)}</span>" if where else "")
    return card(title, finding.message, facts, bad=finding.severity == "error")


def card(title: str, message: str, facts: str = "", *, bad: bool) -> str:
    """A paragraph with a coloured edge. The title is HTML, the rest is escaped."""
    evidence = f'<br><span class="quiet">{escape(facts)}</span>' if facts else ""
    return (
        f'<div class="finding {"bad" if bad else "quiet"}">{"&#10007;" if bad else "note"} {title}<br>'
        f"<span>{escape(message)}</span>{evidence}</div>"
    )
