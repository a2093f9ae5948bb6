"""Findings about what is right only as far as the arithmetic, the layer's own dtype, or what it stores, allows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .calls import COARSE
from .facts import Facts
from .finding import Finding
from .numbers import gap
from .phrases import at_points
from .tolerances import conditioning, inverse_tolerance, missed, tolerance, worst

__all__ = ["PRECISION"]

# What is noted in the layer's own dtype: a miss relative to 1 + |x|, a gap in nats relative to 1 + |log-det|.
_MISS, _GAP = 1e-2, 1e-2


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
    eps, sound = max(torch.finfo(own.dtype).eps, facts.eps), facts.regular
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


def _half(facts: Facts) -> Iterator[Finding]:
    if facts.eps > COARSE and not facts.behaviour.low_precision:
        message = (
            "The map computes in half precision on the way to y, whatever the dtype of y: differences decide nothing, "
            "and log-det and inverse are compared within its rounding."
        )
        yield Finding("low-precision", message, {"rounding unit": facts.eps})


def _blurred(facts: Facts) -> Iterator[Finding]:
    where = facts.blurred & facts.regular
    if where.any() and facts.log_det is not None:
        message = (
            f"J is rounding noise {at_points(where)}: its entries are no larger than the rounding of y, so the log-det "
            "was not compared there."
        )
        yield Finding("low-precision", message, worst(facts, facts.blur.where(where, torch.zeros_like(facts.blur))))


def _stored(facts: Facts) -> Iterator[Finding]:
    if facts.stored.dtype is None:
        return
    found = [words for words in (_log_det(facts), _inverse(facts)) if words]
    if found:
        message = (
            f"In float64 {' and '.join(found)}. That is within the rounding of the numbers that the layer stores in "
            f"{str(facts.stored.dtype).removeprefix('torch.')}: it changes when they are rounded otherwise."
        )
        yield Finding("low-precision", message)


def _log_det(facts: Facts) -> str:
    if facts.log_det is None or facts.log_det_drawn:
        return ""
    usable = facts.regular & facts.log_det_jacobian.isfinite() & ~facts.blurred
    off = (facts.log_det - facts.log_det_jacobian).abs()
    largest = _explained(off, tolerance(facts, stored=False), tolerance(facts), usable)
    return f"the log-det is off by {gap(largest)} nats at most" if largest else ""


def _inverse(facts: Facts) -> str:
    miss, eps = facts.inverse.error, max(facts.eps, facts.inverse.eps)
    if miss is None:
        return ""
    strict, allowed = (inverse_tolerance(facts, eps, strict=True, stored=stored) for stored in (False, True))
    largest = _explained(miss, strict, allowed, facts.regular)
    return f"x -> y -> x misses by {gap(largest)} at most" if largest else ""


def _explained(off: Tensor, strict: Tensor, allowed: Tensor, usable: Tensor) -> float:
    """Return the largest that is off by more than is ``strict``; 0.0 if none is, or one is off by more than allowed."""
    beyond = (off > strict) & usable
    return float(off[beyond].max()) if beyond.any() and (off <= allowed)[beyond].all() else 0.0


PRECISION = (_precision, _own_dtype, _half, _blurred, _stored)
