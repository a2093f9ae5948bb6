"""Tables as plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["text_table"]


def text_table(
    rows: Sequence[Sequence[str]], *, left: int = 1, most: Sequence[int | None] = (), gap: int = 2
) -> list[str]:
    """Format rows of cells as lines of text with the columns under each other, the first ``left`` aligned to the left.

    ``most`` is the widest that each column may be (None: as wide as it is); a longer cell goes on in the next line.

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
    """Break a cell between words, where a CamelCase name has a capital, and elsewhere only if it must be."""
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
