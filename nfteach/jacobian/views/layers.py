"""A stack's layers in a table, for print and as HTML with a small picture of each Jacobian."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from ..composition import Check, blame, meaning
from ..numbers import gap, number
from .heatmap import CELLS_UP_TO, thumbnail
from .html import STYLE
from .tables import badge, card, finding_card, html_table, text_table
from .text import WIDTH, wrap

if TYPE_CHECKING:
    from torch import Tensor

    from ..layers import LayersReport
    from ..report import JacobianReport

__all__ = ["layers_html", "layers_text"]

HEAD = ["", "layer", "structure", "cost", "log|det J|", "running", "off by", "x→y→x"]

_STYLE = """<style>
.nfteach-report table.layers td,.nfteach-report table.layers th{vertical-align:middle;padding:4px 10px}
.nfteach-report table.layers td:nth-child(-n+5),.nfteach-report table.layers th:nth-child(-n+5),
.nfteach-report table.layers td:last-child,.nfteach-report table.layers th:last-child{text-align:left}
.nfteach-report table.layers td:nth-child(3){white-space:normal;min-width:9em;max-width:14em}
.nfteach-report table.layers td:nth-child(4){white-space:normal;min-width:9em;max-width:13em}
.nfteach-report table.layers td:last-child{white-space:normal;min-width:7em}
.nfteach-report table.layers tr{background:none;border-top:1px solid var(--jp-border-color2,#8884)}
.nfteach-report table.layers tr:first-child{border-top:0}
.nfteach-report table.layers tr:last-child{border-top:2px solid var(--jp-border-color1,#8888)}
.nfteach-report table.layers .lost{color:var(--jp-ui-font-color2,currentColor)}
</style>"""


def layers_text(report: LayersReport) -> str:
    """The table, what it means, and what is wrong, in lines of at most ``WIDTH`` characters."""
    rows = [HEAD, *_rows(report)]
    others = sum(max(len(row[j]) for row in rows) for j in (0, *range(3, len(HEAD)))) + 2 * (len(HEAD) - 1)
    structure = min(30, max(len(row[2]) for row in rows), WIDTH - 2 - others - 12)
    name = WIDTH - 2 - others - structure
    lines = [_headline(report), "=" * WIDTH, *wrap(_points(report), width=WIDTH), ""]
    lines += [f"  {line}" for line in text_table(rows, left=4, most=[None, name, structure])]
    for line in (*_how_to_read(report), "", *_conclusions(report)):
        lines += [f"  {part}" for part in wrap(line)] if line else [""]
    for check in report.checks:
        if not check.ok:
            lines += [f"  {part}" for part in wrap(f"✗ {_between(check)}: {check.message}", "    ")]
    for where, finding in report.findings:
        mark = "✗" if finding.severity == "error" else "note"
        lines += [f"  {part}" for part in wrap(f"{mark} {where}: {finding}", "    ")]
    return "\n".join(lines)


def layers_html(report: LayersReport) -> str:
    """The same with a small heat map in each row, one ``<div class="nfteach-report">``."""
    errors = sum(f.severity == "error" for _, f in report.findings) + sum(not check.ok for check in report.checks)
    together = report.composition.structure if report.composition is not None else None
    kind = f'<span class="badge">together: {escape(together.name)}</span>' if together is not None else ""
    heading = ["", "J at point 1", *HEAD[1:], "verdict"]
    rows = [
        [_mark(row[0]), picture, *(escape(cell) for cell in row[1:]), verdict]
        for row, picture, verdict in zip(_rows(report), _pictures(report), _verdicts(report), strict=True)
    ]
    table = html_table([heading, *rows], classes="layers", markup=frozenset(range(len(heading))))
    cards = "".join(
        card(f"<span>{_between(check)}</span>", check.message, bad=True) for check in report.checks if not check.ok
    )
    cards += "".join(finding_card(finding, where) for where, finding in report.findings)
    return (
        f'{STYLE}{_STYLE}<div class="nfteach-report"><header><h3>{escape(_headline(report))}</h3>{kind}{badge(errors)}'
        f'</header><p class="quiet">{escape(_points(report))}</p>{table}'
        + "".join(f'<p class="quiet">{escape(line)}</p>' for line in _how_to_read(report))
        + "".join(f"<p>{escape(line)}</p>" for line in _conclusions(report))
        + f"{cards}</div>"
    )


def _headline(report: LayersReport) -> str:
    K, D = len(report), report.x.shape[1]
    layers = f"{K} layer{'s' if K > 1 else ''}"
    whole = f"{report.name}: {layers}" if report.own_map else f"{layers} in a {report.name}"
    return f"{whole}, D = {D} dimension{'s' if D > 1 else ''}"


def _points(report: LayersReport) -> str:
    B = len(report.x)
    at = f"Looked at {B} point{'s' if B > 1 else ''} x; each layer at the image of x under the layers before it."
    if report.own_map:
        return f"{at} Together: {report.name} itself, called as a map."
    return f"{at} Together: the layers one after the other." + (f" ({report.remark})" if report.remark else "")


def _how_to_read(report: LayersReport) -> Iterator[str]:
    mean = f"means over the {len(report.x)} points" if len(report.x) > 1 else "at the point"
    yield (
        f"log|det J| as claimed and its running sum: {mean}, in nats. Off by: the largest distance of the claim from "
        "J's own. x→y→x: the largest miss of the inverse."
    )


def _between(check: Check) -> str:
    return f"{check.name} of layers and composition"


def _rows(report: LayersReport) -> Iterator[list[str]]:
    for k, layer in enumerate(report.layers):
        number = str(k + 1)
        if layer is None:
            what = "no Jacobian to look at" if k == report.stopped_at else "not reached"
            yield [f"{'✗' if k == report.stopped_at else '·'} {number}", report.names[k], what, *[""] * 5]
            continue
        yield [f"{'✓' if layer.ok else '✗'} {number}", layer.name, *_cells(layer, report.running_log_det[k])]
    whole = report.composition
    if whole is None:
        yield ["✗", "together", "cannot run through", *[""] * 5]
    else:
        yield ["✓" if whole.ok else "✗", "together", *_cells(whole, report.running_log_det[-1])]


def _cells(layer: JacobianReport, running: Tensor) -> list[str]:
    if layer.behaviour.raised:
        return ["raises", *[""] * 5]
    s = layer.structure
    claim, own = layer.log_det, layer.log_det_jacobian
    off = (claim - own).abs().where(claim != own, 0 * own) if claim is not None else None
    return [
        s.name if s is not None else "nowhere finite",
        s.cost.split(",")[0] if s is not None else "",
        number(float(claim.mean())) if claim is not None else "none",
        number(float(running.mean())) if not running.isnan().any() else "",
        gap(float(off.max())) if off is not None else "",
        gap(float(layer.inverse_error.max())) if layer.inverse_error is not None else "none",
    ]


def _conclusions(report: LayersReport) -> Iterator[str]:
    if report.stopped_at is not None:
        left = len(report) - report.stopped_at - 1
        after = (
            f" The {f'{left} layers' if left > 1 else 'layer'} after it {'were' if left > 1 else 'was'} not reached."
        )
        yield f"Stopped at {report.where(report.stopped_at)}: {report.stopped_by}.{after if left else ''}"
    yield from meaning(report)
    if report.checks and all(check.ok for check in report.checks):
        products = ", and their Jacobians multiply to its Jacobian" if len(report.checks) == 3 else ""
        apart = gap(float(report.checks[1].gap.max()))
        yield f"The log-dets of the layers add up to that of the composition (apart by {apart}){products}."
    yield from blame(report)


def _pictures(report: LayersReport) -> Iterator[str]:
    for layer in (*report.layers, report.composition):
        if layer is None or layer.structure is None or layer.dim > CELLS_UP_TO:
            yield ""
        else:
            yield thumbnail(layer.jacobian[0], layer.structure)


def _mark(cell: str) -> str:
    mark, _, number = cell.partition(" ")
    kind = {"✓": "good", "✗": "bad"}.get(mark, "lost")
    return f'<span class="{kind}">{mark}</span> {number}'


def _verdicts(report: LayersReport) -> Iterator[str]:
    for layer in (*report.layers, report.composition):
        if layer is None:
            yield ""
            continue
        codes = "<br>".join(
            f'<span class="{"bad" if f.severity == "error" else "quiet"}"><code>{f.code}</code></span>'
            for f in layer.findings
        )
        yield codes or '<span class="good">sound</span>'
