"""Findings about the inverse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from .facts import Facts
from .finding import Finding
from .measure import SAME, AskedAgain
from .numbers import short_vector
from .phrases import at_points, moved_by
from .tolerances import inverse_tolerance, missed, tolerance

__all__ = ["INVERSES"]

# What is another answer: x moves relative to 1 + |x|, its log-det relative to 1 + its size.
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
    bad = (inverse.error > inverse_tolerance(facts, eps, strict=True)) & facts.regular
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


INVERSES = (_inverse, _onto)
