"""The report as HTML with its picture, for notebooks in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ..diagnosis import Diagnosis
from ..numbers import value_at
from . import words
from .heatmap import heat_map, legend
from .tables import badge, finding_card, html_table
from .tex import plain_tex

__all__ = ["STYLE", "render_html"]

POINTS_SHOWN = 5

# Everything is inside .nfteach-report; colours come from the page's theme where it has one.
STYLE = """<style>
.nfteach-report{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,currentColor);
max-width:960px;padding:4px 2px}
.nfteach-report header{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:baseline;margin-bottom:6px}
.nfteach-report h3{font-size:17px;line-height:1.3;margin:0;font-weight:600}
.nfteach-report h4{font-size:12px;line-height:1.3;margin:14px 0 4px;font-weight:600;letter-spacing:.03em;
color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report p{margin:3px 0;max-width:72ch}
.nfteach-report .quiet,.nfteach-report .legend{color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report .badge{border:1px solid currentColor;border-radius:10px;padding:0 9px;white-space:nowrap}
.nfteach-report .good{color:#1b8a5a}.nfteach-report .bad{color:#d55e00}
.nfteach-report .maps{display:flex;flex-wrap:wrap;gap:8px 28px}
.nfteach-report figure{margin:0}
.nfteach-report figcaption{color:var(--jp-ui-font-color2,currentColor);margin-bottom:2px}
.nfteach-report svg{display:inline-block;vertical-align:middle;max-width:100%;
font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums}
.nfteach-report .legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin-top:6px;align-items:center}
.nfteach-report .bar{display:inline-block;width:90px;height:10px;vertical-align:middle;border-radius:2px}
.nfteach-report table{border-collapse:collapse;margin:2px 0;font-size:13px;font-variant-numeric:tabular-nums}
.nfteach-report table td,.nfteach-report table th{padding:2px 10px;text-align:right;background:none;border:0;
font-weight:400;white-space:nowrap}
.nfteach-report table th{color:var(--jp-ui-font-color2,currentColor)}
.nfteach-report table td:first-child,.nfteach-report table th:first-child{text-align:left;padding-left:0}
.nfteach-report table.terms td:last-child{text-align:left;white-space:normal}
.nfteach-report table.routes{border-top:1px solid var(--jp-border-color2,#8886);
border-bottom:1px solid var(--jp-border-color2,#8886)}
.nfteach-report .scroll{overflow-x:auto}
.nfteach-report .finding{border-left:3px solid currentColor;padding:2px 10px;margin:6px 0;max-width:80ch}
.nfteach-report .finding.bad{color:inherit;border-color:#d55e00}.nfteach-report .finding.bad code{color:#d55e00}
</style>"""


def render_html(report: Diagnosis) -> str:
    """The verbose report with the heat map, one ``<div class="nfteach-report">``."""
    parts = (_header, _findings, _pictures, _structure, _formula, _determinant, _inverse, _behaviour)
    body = "".join(section for part in (parts[:2] if report.behaviour.raised else parts) for section in part(report))
    return f'{STYLE}<div class="nfteach-report">{body}</div>'


def _header(report: Diagnosis) -> Iterator[str]:
    errors = sum(finding.severity == "error" for finding in report.findings)
    name = report.structure.name if report.structure is not None else "no structure: J is nowhere finite"
    yield (
        f'<header><h3>{escape(words.headline(report))}</h3><span class="badge">{escape(name)}</span>{badge(errors)}'
        f'</header><p class="quiet">{escape(words.points_line(report))}</p>'
    )


def _findings(report: Diagnosis) -> Iterator[str]:
    yield f"<p>{escape(words.verdict(report))}</p>"
    yield from map(finding_card, report.findings)


def _pictures(report: Diagnosis) -> Iterator[str]:
    s, J = report.structure, report.jacobian[0]
    if s is None:
        return
    natural = tuple(range(s.dim))
    shown_apart = words.shown_reordered(report)
    pictures = [("J at point 1", heat_map(J, s, natural, natural, blocks=not s.reordered))]
    if shown_apart:
        picture = heat_map(J, s, s.row_ordering, s.ordering, blocks=True)
        pictures.append(("the same, in the order found", picture))
    figures = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in pictures)
    yield "<h4>Jacobian: how fast output y (row) moves with input x (column)</h4>"
    yield f'<div class="maps">{figures}</div>{legend(J, s)}'


def _structure(report: Diagnosis) -> Iterator[str]:
    name = report.structure.name if report.structure is not None else "unknown"
    yield "".join(f'<p class="quiet">{escape(line)}</p>' for line in words.witness_lines(report))
    yield f"<h4>Structure: {escape(name)}</h4>"
    yield "".join(f"<p>{escape(line)}</p>" for line in words.structure_lines(report))


def _formula(report: Diagnosis) -> Iterator[str]:
    if not report.formula and not report.terms:
        return
    yield "<h4>The map's own formula</h4>"
    if report.formula:
        # JupyterLab typesets what stands between dollars; elsewhere the TeX is there to read.
        yield f'<p title="{escape(plain_tex(report.formula))}">${escape(report.formula)}$</p>'
    if report.terms:
        rows = [[name, value_at(value)] for name, value in report.first_terms.items()]
        yield f'<p class="quiet">Its terms at point 1, x = {escape(value_at(report.x[0]))}:</p>'
        yield html_table(rows, classes="terms", head=False)


def _determinant(report: Diagnosis) -> Iterator[str]:
    yield "<h4>Determinant, by every route</h4>"
    yield html_table(words.determinant_table(report, POINTS_SHOWN), classes="routes")
    yield "".join(f"<p>{escape(line)}</p>" for line in words.determinant_lines(report, POINTS_SHOWN))


def _inverse(report: Diagnosis) -> Iterator[str]:
    yield f"<h4>Inverse</h4><p>{escape(words.inverse_line(report))}</p>"


def _behaviour(report: Diagnosis) -> Iterator[str]:
    lines = "".join(f"<p>{escape(line)}</p>" for line in words.behaviour_lines(report))
    yield f"<h4>When it is called again, and moved</h4>{lines}"
