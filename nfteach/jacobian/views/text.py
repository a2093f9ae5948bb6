"""Documents as text, as wide as the terminal, in plain ASCII where that is all the output can encode."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest

import torch

from ..numbers import coordinate, number
from .document import Card, Document, Formula, Matrix, Order, Section, Table, translated

__all__ = ["plain_ascii", "render_text", "text_table"]

NARROWEST, WIDEST = 60, 96
NUMBERS_UP_TO = 8  # entries are printed as numbers up to this D,
SYMBOLS_UP_TO = 24  # as one symbol each up to this, and gathered into this many cells above
SIGNS = {
    **{"✗": "x", "✓": "+", "–": "-", "·": ".", "░": "-", "▒": "+", "▓": "*", "█": "#"},
    **{"→": "->", "−": "-", "×": "x", "≤": "<=", "≥": ">=", "≠": "!=", "²": "^2", "³": "^3", "ᵀ": "^T", "⁻": "^-"},
    **{"Σ": "sum", "Π": "prod", "∂": "d", "∈": " in ", "∉": " not in ", "∞": "inf", "⊙": "*", "‖": "||"},
}


def render_text(document: Document, width: int | None = None, ascii: bool = False) -> str:
    """Format a document as text; ``Shown.text`` describes width and alphabet."""
    if width is None:
        width = _width_of_output()
    elif not (isinstance(width, int) and width >= NARROWEST):
        raise ValueError(f"width must be a whole number from {NARROWEST} up, but is {width!r}; try width=80")
    if not ascii:
        text = "\n".join(_lines(document, width))
        try:
            text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
            return text
        except (UnicodeEncodeError, LookupError):
            pass
    # Words are spelt before they are laid out, as their length changes; the marks of a matrix afterwards.
    return plain_ascii("\n".join(_lines(translated(document, plain_ascii), width)))


def _width_of_output() -> int:
    # The text that a notebook or a file stores must not depend on a terminal.
    if "COLUMNS" not in os.environ and not getattr(sys.stdout, "isatty", bool)():
        return WIDEST
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def plain_ascii(text: str) -> str:
    """Convert a text to ASCII: x₁ to x1, α to alpha, → to ->.

    Example:
        >>> plain_ascii("|x₁ − μ| ≤ 3, O(D³), Müller")
        '|x1 - mu| <= 3, O(D^3), Muller'
    """
    if text.isascii():
        return text
    return "".join(sign if sign.isascii() else SIGNS.get(sign) or _spelt(sign) for sign in text)


def _spelt(sign: str) -> str:
    name = unicodedata.name(sign, "").split()
    if name[:1] == ["GREEK"]:
        letter = name[-1].lower()
        return letter.capitalize() if "CAPITAL" in name else letter
    if unicodedata.combining(sign):
        return {"\u0302": "^", "\u0303": "~"}.get(sign, "")
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def _lines(document: Document, width: int) -> Iterator[str]:
    yield from textwrap.wrap(document.title, width)
    yield "=" * width
    yield from textwrap.wrap(document.about, width)
    verdict = Section("Verdict", (f"{document.verdict[:1].upper()}{document.verdict[1:]}.",))
    for section in (*document.sections, verdict):
        yield ""
        yield from textwrap.wrap(section.title.upper(), width)
        for part in section.parts:
            yield from (f"  {line}".rstrip() for line in _part(part, width - 2))
    for card in document.cards:
        yield from textwrap.wrap(_card(card), width, initial_indent="  ", subsequent_indent="      ")


def _card(card: Card) -> str:
    where, facts = (f"{card.where}: " if card.where else ""), (f" ({card.facts})" if card.facts else "")
    return f"{'✗' if card.error else 'note'} {where}[{card.code}] {card.message}{facts}"


def _part(part: str | Formula | Table | Matrix, width: int) -> Iterator[str]:
    if isinstance(part, Matrix):
        yield from _matrix(part, width)
    elif isinstance(part, Table):
        yield from _table(part, width)
    else:
        yield from textwrap.wrap(part.plain if isinstance(part, Formula) else part, width)


def _table(table: Table, width: int) -> list[str]:
    """Leave out spare columns until the others fit in the width, with cells broken where they must be."""
    kept, spare = list(range(len(table.rows[0]))), list(table.spare)
    natural = [max(len(row[j]) for row in table.rows) for j in kept]

    def room(most: int) -> int:
        taken = (min(natural[j], most) if j in table.wrap else natural[j] for j in kept)
        return width - sum(taken) - 2 * (len(kept) - 1)

    while room(24) < 0 and spare:
        kept.remove(spare.pop())
    most = next((size for size in range(width, 8, -1) if room(size) >= 0), 8)
    rows = [[row[j] for j in kept] for row in table.rows]
    return text_table(
        rows, left=sum(j < table.left for j in kept), most=[most if j in table.wrap else None for j in kept]
    )


def _matrix(matrix: Matrix, width: int) -> Iterator[str]:
    dim = matrix.structure.dim
    side = -(-dim // SYMBOLS_UP_TO)
    for order, following in pairwise((*matrix.orders, None)):
        yield from textwrap.wrap(f"{order.caption}:", width)
        lines = _numbers(matrix, order) if dim <= NUMBERS_UP_TO else []
        key = "(· is 0 at every point, a bare 1 is 1 at every point)"
        if not lines or max(map(len, lines)) > width - 2:
            lines = list(_symbols(matrix, order, side))
            key = "(· is always 0, 1 always 1, + and - by sign here, o free but 0 here)"
        yield from (f"  {line}" for line in lines)
        if following is not None:
            yield ""
    if side > 1:
        key = f"(a cell holds {side} x {side} entries: · all 0, 1 ones among zeros, ░ ▒ ▓ █ by the share of free ones)"
    yield from textwrap.wrap(key, width)


def _numbers(matrix: Matrix, order: Order) -> list[str]:
    J, zero, one = matrix.J, matrix.structure.zero, matrix.structure.one
    rows = [["", *(coordinate("x", j) for j in order.columns)]]
    for i in order.rows:
        entries = ["·" if zero[i, j] else "1" if one[i, j] else number(float(J[i, j])) for j in order.columns]
        rows.append([coordinate("y", i), *entries])
    return text_table(rows, left=0, gap=3)


def _symbols(matrix: Matrix, order: Order, side: int) -> Iterator[str]:
    """Yield lines with a symbol for each side x side entries: the sign of one, the share of free ones among more."""
    at = torch.tensor(order.rows)[:, None], torch.tensor(order.columns)
    zero, one = matrix.structure.zero[at], matrix.structure.one[at]
    masks = (~zero & ~one, one, matrix.J[at])
    for free, ones, J in zip(*(mask.split(side) for mask in masks), strict=True):
        line = []
        for f, o, value in zip(*(mask.split(side, 1) for mask in (free, ones, J)), strict=True):
            share = float(f.float().mean())
            sign = "+" if value.sum() > 0 else "-" if value.sum() < 0 else "o"
            shown = sign if side == 1 else "░▒▓█"[min(3, int(4 * share))]
            line.append(shown if share else "1" if o.any() else "·")
        yield " ".join(line)


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
