"""A comparison of two reports in words and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..numbers import coordinate, gap, number
from .heatmap import NUMBERS_UP_TO, heat_map, legend
from .html import STYLE
from .tables import finding_card, html_table, text_table
from .text import WIDTH, wrap

if TYPE_CHECKING:
    from ..compare import Comparison
    from ..report import JacobianReport
    from ..structure import Structure

__all__ = ["comparison_html", "comparison_text"]

POINTS_SHOWN = 4
ENTRIES_SHOWN = 6

_STYLE = """<style>
.nfteach-report table.words td:nth-child(-n+3),.nfteach-report table.words th:nth-child(-n+3){text-align:left}
.nfteach-report .beside figure{flex:1 1 240px;max-width:340px}.nfteach-report .beside svg{width:100%;height:auto}
.nfteach-report table.words td{white-space:normal}.nfteach-report table.words tr{background:none}
</style>"""


def comparison_text(c: Comparison) -> str:
    """What differs, in words and tables of at most ``WIDTH`` characters."""
    lines = [_headline(c), "=" * WIDTH, *text_table([["A", *_who(c.report)], ["B", *_who(c.other)]], left=2)]
    for title, body in (
        ("What differs", _differences(c)),
        (_entries_title(c), text_table(_entries(c), left=1) if not c.jacobian.same else []),
        ("Log-det in nats", text_table(_log_dets(c))),
        ("Findings", _findings(c)),
    ):
        body = list(body)
        if body:
            lines += ["", title.upper(), *(f"  {line}".rstrip() for line in body)]
    return "\n".join(lines)


def comparison_html(c: Comparison) -> str:
    """The same with the two Jacobians and their difference as heat maps, one ``<div class="nfteach-report">``."""
    # That two maps differ is no mistake: the badge says it without a cross.
    differ = ", ".join(d.what for d in c.differences if not d.same)
    badge = f'<span class="badge">differ in {differ}</span>' if differ else '<span class="badge good">the same</span>'
    who = html_table([["", "map", "structure"], ["A", *_who(c.report)], ["B", *_who(c.other)]], classes="words")
    kinds = [["", "A beside B", "apart by"], *([d.what, str(d), gap(float(d.gap.max()))] for d in c.differences)]
    parts = [
        f"<header><h3>{escape(_headline(c))}</h3>{badge}</header><p>{escape(c.summary)}</p>",
        who,
        f"<h4>What differs</h4>{html_table(kinds, classes='words')}",
        _pictures(c),
        f"<h4>Log-det in nats</h4>{html_table(_log_dets(c), classes='routes')}",
        "".join(_finding_cards(c)),
    ]
    return f'{STYLE}{_STYLE}<div class="nfteach-report">{"".join(parts)}</div>'


def _headline(c: Comparison) -> str:
    B = len(c.report.x)
    return f"A beside B at the same {B} point{'s' if B > 1 else ''}, D = {c.report.dim}"


def _who(report: JacobianReport) -> list[str]:
    kind = "torch Transform" if report.kind == "transform" else report.kind
    s = report.structure
    return [f"{report.name}, a {kind}", f"{s.name}, {s.cost}" if s is not None else "J is nowhere finite"]


def _differences(c: Comparison) -> Iterator[str]:
    yield from wrap(c.summary)
    for difference in c.differences:
        yield from wrap(f"{difference.what:10}  {difference}", " " * 12)


def _entries_title(c: Comparison) -> str:
    return f"J at point {c.jacobian.worst + 1}: the entries that differ most"


def _entries(c: Comparison) -> list[list[str]]:
    """The largest differences of J, at the point of the largest."""
    b = c.jacobian.worst
    A, B = c.report.jacobian[b], c.other.jacobian[b]
    apart = (A - B).abs().nan_to_num(nan=torch.inf).flatten()
    rows = [["", "A", "B", "apart by"]]
    for flat in apart.argsort(descending=True, stable=True)[:ENTRIES_SHOWN].tolist():
        if apart[flat] > 1e-3 * apart.max():
            i, j = divmod(flat, c.report.dim)
            name = f"d{coordinate('y', i)}/d{coordinate('x', j)}"
            rows.append([name, number(float(A[i, j])), number(float(B[i, j])), gap(float(apart[flat]))])
    return rows


def _log_dets(c: Comparison) -> list[list[str]]:
    """Claims and determinants at the first points and the worst."""
    shown = list(range(min(len(c.report.x), POINTS_SHOWN)))
    if c.log_det.worst not in shown:
        shown[-1] = c.log_det.worst

    def row(name: str, values: Tensor, write: object = number) -> list[str]:
        return [name, *(write(float(values[b])) for b in shown)]

    rows = [["", *(f"point {b + 1}" for b in shown)]]
    for letter, report in (("A", c.report), ("B", c.other)):
        if report.log_det is not None:
            rows.append(row(f"{letter} claims", report.log_det))
        rows.append(row(f"{letter}'s J, by elimination", report.log_det_jacobian))
    rows.append(row("apart by", c.log_det.gap, gap))
    return rows


def _findings(c: Comparison) -> Iterator[str]:
    for where, findings in _findings_by_place(c):
        for finding in findings:
            mark = "✗" if finding.severity == "error" else "note"
            yield from wrap(f"{where}: {mark} {finding}", "    ")


def _finding_cards(c: Comparison) -> Iterator[str]:
    cards = [finding_card(f, where) for where, findings in _findings_by_place(c) for f in findings]
    if cards:
        yield f"<h4>Findings</h4>{''.join(cards)}"


def _findings_by_place(c: Comparison) -> tuple[tuple[str, tuple], ...]:
    alone = {id(finding) for finding in c.only_in_report}
    both = tuple(finding for finding in c.report.findings if id(finding) not in alone)
    return ("only in A", c.only_in_report), ("only in B", c.only_in_other), ("in both", both)


def _pictures(c: Comparison) -> str:
    a, b = c.report.structure, c.other.structure
    if a is None or b is None:
        return ""
    if c.jacobian.same:
        at = c.log_det.worst
        picture = _natural(c.report.jacobian[at], a)
        return (
            f'<h4>Jacobian of both at point {at + 1}</h4><div class="maps"><figure>{picture}</figure></div>'
            f"{legend(c.report.jacobian[at], a)}"
        )
    at = c.jacobian.worst
    A, B = c.report.jacobian[at], c.other.jacobian[at]
    apart = (A - B).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    nothing = torch.zeros_like(a.zero)
    rounding = 1e-9 * max(float(A.nan_to_num(nan=0.0).abs().max()), float(B.nan_to_num(nan=0.0).abs().max()))
    # Drawn as one more matrix: a dot where nothing differs, and no entry is taken for a one.
    difference = replace(a, name="A minus B", zero=apart.abs() <= rounding, one=nothing, blocks=())
    figures = "".join(
        f"<figure><figcaption>{title}</figcaption>{picture}</figure>"
        for title, picture in (
            ("J of A", _natural(A, a)),
            ("J of B", _natural(B, b)),
            ("A minus B (a dot: equal here)", _natural(apart, difference)),
        )
    )
    return (
        f"<h4>Jacobian at point {at + 1}, where they differ most; each picture has its own scale</h4>"
        f'<div class="maps{" beside" if c.report.dim > NUMBERS_UP_TO else ""}">{figures}</div>'
        f'<p class="legend">largest entries: {_range(A, a)} in A, {_range(B, b)} in B, '
        f"{_range(apart, difference)} apart</p>"
    )


def _natural(J: Tensor, structure: Structure) -> str:
    order = tuple(range(structure.dim))
    return heat_map(J, structure, order, order, blocks=False)


def _range(J: Tensor, structure: Structure) -> str:
    free = J.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).abs()[~structure.zero]
    return number(float(free.max())) if len(free) else "0"
