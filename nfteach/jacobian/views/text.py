"""Documents as text, as wide as the terminal, in plain ASCII where that is all the output can encode."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

import torch

from ..numbers import coordinate, number
from .document import Card, Document, Formula, Matrix, Order, Section, Table, translated
from .tables import text_table

__all__ = ["plain_ascii", "render_text"]

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
