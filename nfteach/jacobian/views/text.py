"""The report in words, for print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import torch
from torch import Tensor

from ..diagnosis import Diagnosis
from ..numbers import coordinate, number, value_at
from . import words
from .tables import text_table
from .tex import plain_tex

__all__ = ["WIDTH", "render_text", "wrap"]

WIDTH = 96
NUMBERS_UP_TO = 8  # entries are printed as numbers up to this D,
SYMBOLS_UP_TO = 24  # as one symbol each up to this, and gathered into cells above
CELLS = 24
POINTS_SHOWN = 4


def render_text(report: Diagnosis) -> str:
    """The verbose report."""
    lines = [words.headline(report), "=" * WIDTH, words.points_line(report)]
    if report.behaviour.raised:
        return "\n".join([*lines, "", "VERDICT", *(f"  {line}" for line in _verdict(report))])
    for title, body in (
        ("Formula", _formula(report)),
        ("Jacobian", _entries(report)),
        ("Structure", _structure(report)),
        ("Determinant", _determinant(report)),
        ("Inverse", wrap(words.inverse_line(report))),
        ("Called again, and moved", (line for each in words.behaviour_lines(report) for line in wrap(each))),
        ("Verdict", _verdict(report)),
    ):
        body = list(body)
        if body:
            lines += ["", title.upper(), *(f"  {line}".rstrip() for line in body)]
    return "\n".join(lines)


def wrap(text: str, indent: str = "", width: int = WIDTH - 2) -> list[str]:
    """Return the lines of a paragraph; all but the first begin with ``indent``."""
    return textwrap.wrap(text, width, subsequent_indent=indent)


def _formula(report: Diagnosis) -> Iterator[str]:
    if report.formula:
        yield from wrap(plain_tex(report.formula), "    ")
    if report.terms:
        yield f"Its terms at point 1, x = {value_at(report.x[0])}:"
        rows = [[name, f"= {value_at(value)}"] for name, value in report.first_terms.items()]
        yield from (f"  {line}" for line in text_table(rows, left=2, gap=1))


def _entries(report: Diagnosis) -> Iterator[str]:
    s = report.structure
    if s is None:
        yield "J is nowhere finite."
        return
    natural = tuple(range(s.dim))
    yield "Row i, column j: how fast output yᵢ moves with input xⱼ. At point 1:"
    yield from _picture(report, natural, natural)
    if s.dim <= NUMBERS_UP_TO:
        yield "(· is 0 at every point, a bare 1 is 1 at every point)"
    elif s.dim <= SYMBOLS_UP_TO:
        yield "(· always 0, 1 always 1, + and - by sign here, o free but 0 here)"
    else:
        n = _cell(s.dim)
        yield f"(each cell gathers {n} x {n} entries: · all 0, 1 ones among zeros, ░ ▒ ▓ █ ever more free ones)"
    if words.shown_reordered(report):
        yield ""
        yield "The same in the order found:"
        yield from _picture(report, s.row_ordering, s.ordering)
    for line in words.witness_lines(report):
        yield from wrap(line)


def _picture(report: Diagnosis, rows: tuple[int, ...], columns: tuple[int, ...]) -> Iterator[str]:
    s = report.structure
    at = torch.tensor(rows)[:, None], torch.tensor(columns)
    J, zero, one = report.jacobian[0][at], s.zero[at], s.one[at]
    if s.dim <= NUMBERS_UP_TO:
        yield from _numbers(J, zero, one, rows, columns)
    elif s.dim <= SYMBOLS_UP_TO:
        for i in range(s.dim):
            yield "  " + " ".join(_symbol(float(J[i, j]), bool(zero[i, j]), bool(one[i, j])) for j in range(s.dim))
    else:
        yield from _cells(zero, one)


def _numbers(J: Tensor, zero: Tensor, one: Tensor, rows: tuple, columns: tuple) -> Iterator[str]:
    cells = [["", *(coordinate("x", column) for column in columns)]]
    for i, row in enumerate(rows):
        entries = ["·" if zero[i, j] else "1" if one[i, j] else number(float(J[i, j])) for j in range(len(columns))]
        cells.append([coordinate("y", row), *entries])
    yield from (f"  {line}" for line in text_table(cells, left=0, gap=3))


def _symbol(value: float, zero: bool, one: bool) -> str:
    if zero:
        return "·"
    if one:
        return "1"
    return "+" if value > 0 else "-" if value < 0 else "o"


def _cell(dim: int) -> int:
    """Entries along the side of one cell of the gathered picture."""
    return -(-dim // CELLS)


def _cells(zero: Tensor, one: Tensor) -> Iterator[str]:
    side = _cell(len(zero))
    free = ~zero & ~one
    for some_free, some_one in zip(free.split(side), one.split(side), strict=True):
        line = []
        for f, o in zip(some_free.split(side, 1), some_one.split(side, 1), strict=True):
            share = float(f.float().mean())
            line.append("░▒▓█"[min(3, int(4 * share))] if share else "1" if o.any() else "·")
        yield "  " + " ".join(line)


def _structure(report: Diagnosis) -> Iterator[str]:
    if report.structure is not None:
        yield report.structure.name.upper()
    for line in words.structure_lines(report):
        yield from wrap(line)


def _determinant(report: Diagnosis) -> Iterator[str]:
    yield from text_table(words.determinant_table(report, POINTS_SHOWN))
    for line in words.determinant_lines(report, POINTS_SHOWN):
        yield from wrap(line)


def _verdict(report: Diagnosis) -> Iterator[str]:
    yield from wrap(words.verdict(report))
    for finding in report.findings:
        mark = "✗" if finding.severity == "error" else "note"
        yield from wrap(f"{mark} {finding}", "    ")
