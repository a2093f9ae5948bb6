"""Findings about the inverse, and about what is lost in the layer's own dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .facts import Facts
from .finding import Finding
from .measure import SAME, AskedAgain
from .numbers import gap, short_vector
from .phrases import at_points, moved_by
from .tolerances import conditioning, inverse_tolerance, missed, tolerance, worst

__all__ = ["INVERSES"]

# What is noted in the layer's own dtype: a miss relative to 1 + |x|, a gap in nats relative to 1 + |log-det|.
_MISS, _GAP = 1e-2, 1e-2


def _inverse(facts: Facts) -> Iterator[Finding]:
    inverse = facts.inverse
    if inverse.no_x:
        yield Finding("inverse-wrong", f"The inverse returns no x: {inverse.failure}", about="inverse")
    elif inverse.failure:
        message = f"The inverse raises: {inverse.failure}"
        yield Finding("inverse-missing", message, about="inverse")
    elif inverse.error is None and facts.kind == "module":
        message = "The module has no .inverse, so x -> y -> x was not tried."
        yield Finding("inverse-missing", message, about="inverse")
    if inverse.error is None:
        return
    eps = max(facts.eps, inverse.eps)
    bad = (inverse.error > inverse_tolerance(facts, eps, strict=True)) & facts.finite & ~facts.singular
    if bad.any():
        error = inverse.error.where(bad, torch.zeros_like(inverse.error))
        yield missed(facts, f"The inverse is wrong: x -> y -> x does not return to x {at_points(bad)}.", error)
        return
    if facts.repeatable and not facts.strongly_coupled:
        yield from _otherwise(facts, eps)


def _otherwise(facts: Facts, eps: float) -> Iterator[Finding]:
    """Report the first of the circumstances in which the inverse answers otherwise."""
    inverse = facts.inverse
    for again, when in (
        (inverse.stale, "once the map was called at other points"),
        (inverse.resized, "after a call with another number of points"),
        (inverse.fresh, "before any call"),
    ):
        if another := _another(facts, again, eps):
            raised = again.raised if again.misshapen else again.raised and f"it raises: {again.raised}"
            what = raised or f"the same y leads to another {another}"
            message = f"The inverse depends on the last forward call: {when}, {what}."
            yield _inverse_moved(f"{message} It uses state that forward leaves behind.", again)
            return
    alone = inverse.alone if facts.steady else SAME  # there are other random numbers for fewer points
    if alone.raised and any(trial.size == 1 and trial.raised for trial in facts.behaviour.batches):  # as the map does
        alone = SAME
    another = _another(facts, alone, eps)
    if another and (alone.raised or alone.misshapen):
        what = "the result of the inverse has another shape" if alone.misshapen else "the inverse raises"
        message = f"With a batch of 1 point {what}: {alone.raised or 'that of the log-det'}"
        severity = "error" if alone.misshapen else "note"
        yield Finding("batch-size", message, {"batch": 1}, "batch sizes", severity=severity)
    elif another:
        of = "" if another == "x" else f"{another} of the "
        yield _inverse_moved(f"The {of}inverse of a point depends on the other points of its batch.", alone)
    elif not inverse.without_grad.raised and (another := _another(facts, inverse.without_grad, eps)):
        message = f"Under torch.no_grad() the inverse leads the same y to another {another}."
        yield _inverse_moved(message, inverse.without_grad)


def _another(facts: Facts, again: AskedAgain, eps: float) -> str:
    """Return what the inverse answers otherwise when it is asked again: "x" or "log-det"; "" for neither."""
    if not again.differs:
        return ""
    if again.moved > max(_MISS, float(inverse_tolerance(facts, eps, strict=True, loose=0.0).max())):
        return "x"
    drawn = facts.log_det_drawn or not facts.log_det_repeats
    moved = again.log_det_moved > max(_GAP, float(tolerance(facts, eps).max())) and not drawn
    return "log-det" if moved or again.misshapen else ""


def _inverse_moved(message: str, again: AskedAgain) -> Finding:
    evidence: dict[str, Any] = {}
    if again.moved > _MISS and not again.raised:
        far = {"moved by, relative to 1 + |x|": again.moved}
        evidence = far if math.isfinite(again.moved) else moved_by(again.moved)
    gap = max(again.moved, again.log_det_moved)
    return Finding("inverse-wrong", message, evidence, about="inverse", gap=gap, size=1.0)


def _onto(facts: Facts) -> Iterator[Finding]:
    onto = facts.inverse.onto
    if onto is None or not (onto.lost or onto.missed) or facts.inverse.stale.differs:
        return
    if (facts.inverse.error > inverse_tolerance(facts, max(facts.eps, facts.inverse.eps), strict=True)).any():
        return
    if onto.reached:
        message = (
            f"Of {onto.tried} points y drawn among the images, at {onto.reached} the inverse does not return an x that "
            "leads to y, although the map has one (found by Newton's method): the inverse is limited, by a clamp "
            "or a wrap for example."
        )
        yield Finding("inverse-limited", message, {"y": short_vector(onto.y)}, about="inverse")
        return
    if onto.codomain:
        message = (
            f"The Transform's .codomain is {onto.codomain}. Of {onto.tried} points y in it, drawn like the images, at "
            f"{onto.lost + onto.missed} neither the inverse nor Newton's method finds an x that leads to y: the "
            "codomain is wider than the image, or the inverse is wrong there."
        )
        yield Finding("declared-wrong", message, {"y": short_vector(onto.y)}, about="both directions")
        return
    what = [
        f"at {onto.lost} the inverse gives NaN, infinity or an error" if onto.lost else "",
        f"at {onto.missed} its x is mapped elsewhere" if onto.missed else "",
    ]
    message = (
        f"Of {onto.tried} points y drawn among the images, {' and '.join(filter(None, what))}. "
        "Where the base has mass at such y, the map is not onto its support, and the density that it makes does not "
        "integrate to 1."
    )
    yield Finding("not-onto", message, {"y": short_vector(onto.y)}, about="inverse")


def _precision(facts: Facts) -> Iterator[Finding]:
    if facts.behaviour.low_precision:
        message = "The map does not run in float64, so everything was measured in the precision of x."
        yield Finding("low-precision", message, {"in float64": facts.behaviour.low_precision})
    elif facts.inverse.low_precision:
        message = "The inverse does not run in float64, so x -> y -> x was tried in the layer's own dtype."
        yield Finding("low-precision", message, {"in float64": facts.inverse.low_precision})


def _own_dtype(facts: Facts) -> Iterator[Finding]:
    own = facts.behaviour.in_own_dtype
    if own is None:
        return
    eps, sound = max(torch.finfo(own.dtype).eps, facts.eps), facts.finite & ~facts.singular
    in_use = f"In {str(own.dtype).removeprefix('torch.')}, as the layer is used,"
    if own.raised:
        yield Finding("raises", f"{in_use} it raises, though in float64 it runs: {own.raised}", about="own dtype")
        return
    if own.inverse.failure and facts.inverse_error is not None:
        message = f"{in_use} the inverse raises, though in float64 it runs: {own.inverse.failure}"
        yield Finding("raises", message, about="own dtype")
    if not facts.well_defined:  # random numbers differ from dtype to dtype, for example
        return
    lost = own.lost & sound
    losses: list[tuple[str, Tensor, Tensor]] = [("y or the log-det", torch.full(lost.shape, math.inf), lost)]
    error = own.inverse.error
    if error is not None and facts.inverse_error is not None and not facts.inverse.low_precision:
        # Where float64 misses, it is known; where conditioning alone may cost every digit, the formula is not at fault.
        new = sound & ~own.lost & (facts.inverse_error <= inverse_tolerance(facts, facts.eps))
        allowed = inverse_tolerance(facts, eps)
        bad = (error > allowed) & (allowed <= 0.1) & new
        if bad.any():
            message = (
                f"{in_use} x -> y -> x does not return to x {at_points(bad)}, though in float64 it does and J is "
                "well enough conditioned: the formula cancels digits."
            )
            yield missed(facts, message, error.where(bad, torch.zeros_like(error)))
        else:
            losses.append(("x -> y -> x", error, (error > _MISS * (1 + facts.x.abs().amax(1))) & new))
    if own.log_det_gap is not None and not facts.log_det_drawn:
        size = 1 + facts.log_det_jacobian.abs().nan_to_num(nan=0.0, posinf=0.0)
        losses.append(("the log-det", own.log_det_gap, (own.log_det_gap > _GAP * size) & sound & ~own.lost))
    losses = [loss for loss in losses if loss[2].any()]
    if losses:
        where = torch.stack([loss[2] for loss in losses]).any(0)
        largest = float(conditioning(facts)[where].max())
        message = (
            f"{in_use} {'; '.join(_loss(*loss) for loss in losses)}. In float64 it is right. J has condition numbers "
            f"up to {largest:.0e} there."
        )
        evidence = worst(facts, losses[-1][1].where(losses[-1][2], -1.0))
        yield Finding("low-precision", message, evidence, about="own dtype")


def _loss(what: str, error: Tensor, where: Tensor) -> str:
    largest, unit = float(error[where].max()), " nats" if what == "the log-det" else ""
    by = f"is off by up to {gap(largest)}{unit}" if math.isfinite(largest) else "is infinite or NaN"
    return f"{what} {by} {at_points(where)}"


INVERSES = (_inverse, _onto, _precision, _own_dtype)
