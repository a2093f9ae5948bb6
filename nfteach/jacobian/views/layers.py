"""The document of a stack's report: its layers in a table, and what they make together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

from torch import Tensor

from ..diagnose import Diagnosis
from ..numbers import gap, number
from ..phrases import counted
from ..stack import StackDiagnosis, blame, meaning
from .document import Card, Document, Matrix, Section, Table
from .words import compared_table, verdict

__all__ = ["layers_document"]

HEAD = ("", "layer", "structure", "cost", "log|det J|", "running", "off by", "x→y→x")


def layers_document(report: StackDiagnosis) -> Document:
    """Return what is shown of a stack."""
    B, layers = len(report.x), counted(len(report), "layer", "layers")
    errors = sum(f.severity == "error" for _, f in report.findings) + sum(not check.ok for check in report.checks)
    words, state = verdict(errors, report.results)
    together = report.composition.structure if report.composition is not None else None
    name = f"{report.name}: {layers}" if report.own_map else f"{layers} in a {report.name}"
    at = f"Evaluated at {counted(B, 'point', 'points')} x; each layer at the image of x under the layers before it."
    whole = f"{report.name} itself, called as a map." if report.own_map else "the layers one after the other."
    mean = f"means over the {B} points" if B > 1 else "at the point"
    table = Table((HEAD, *_rows(report)), left=4, wrap=(1, 2), spare=(3, 5), pictures=tuple(map(_picture, report.each)))
    how_to_read = (
        f"log|det J| as claimed and its running sum: {mean}, in nats. Off by: the largest difference of the claim "
        "from that of J. x→y→x: the largest miss of the inverse."
    )
    conclusions = tuple(_conclusions(report))
    return Document(
        title=f"{name}, D = {counted(report.x.shape[1], 'dimension', 'dimensions')}",
        tag=f"together: {together.name}" if together is not None else "",
        about=f"{at} Together: {whole}" + (f" ({report.remark})" if report.remark else ""),
        verdict=words,
        state=state,
        cards=(
            *(
                Card(True, check.name, check.message, where="layers and composition")
                for check in report.checks
                if not check.ok
            ),
            *(Card.of(finding, where) for where, finding in report.findings),
        ),
        sections=(
            Section("Layers", (table, how_to_read), open=True),
            *([Section("Together", conclusions, open=True)] if conclusions else []),
            Section("Compared", (compared_table(report.compared),), open=True),
        ),
    )


def _picture(layer: Diagnosis | None) -> Matrix | None:
    return None if layer is None or layer.structure is None else Matrix(layer.jacobian[0], layer.structure)


def _rows(report: StackDiagnosis) -> Iterator[tuple[str, ...]]:
    names = [(f" {k + 1}", name) for k, name in enumerate(report.names)] + [("", "together")]
    running = chain(report.running_log_det, repeat(report.running_log_det[-1]))
    for k, ((place, name), layer) in enumerate(zip(names, report.each, strict=True)):
        total = next(running)
        if layer is not None:
            yield (("✓" if layer.ok else "✗") + place, layer.name if place else name, *_cells(layer, total))
            continue
        what = "not reached" if place else "cannot run through"
        what = "no Jacobian to look at" if k == report.stopped_at else what
        yield (("·" if what == "not reached" else "✗") + place, name, what, *[""] * 5)


def _cells(layer: Diagnosis, running: Tensor) -> tuple[str, ...]:
    if layer.behaviour.raised:
        return ("raises", *[""] * 5)
    s, claim, own = layer.structure, layer.log_det, layer.log_det_jacobian
    off = (claim - own).abs().where(claim != own, 0 * own) if claim is not None else None
    return (
        s.name if s is not None else "nowhere finite",
        s.cost.split(",")[0] if s is not None else "",
        number(float(claim.mean())) if claim is not None else "none",
        number(float(running.mean())) if not running.isnan().any() else "",
        gap(float(off.max())) if off is not None else "",
        gap(float(layer.inverse_error.max())) if layer.inverse_error is not None else "none",
    )


def _conclusions(report: StackDiagnosis) -> Iterator[str]:
    if report.stopped_at is not None:
        left = len(report) - report.stopped_at - 1
        after = (
            f" The {f'{left} layers' if left > 1 else 'layer'} after it {'were' if left > 1 else 'was'} not reached."
        )
        yield f"Stopped at {report.where(report.stopped_at)}: {report.stopped_by}.{after if left else ''}"
    yield from meaning(report.layers, report.composition)
    yield from blame(report.layers, report.composition, report.checks)
