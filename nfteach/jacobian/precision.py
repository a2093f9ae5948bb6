"""Findings about what is right only as far as the arithmetic, or what the layer stores, allows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .calls import COARSE
from .facts import Facts
from .finding import Finding
from .numbers import gap
from .phrases import at_points
from .tolerances import inverse_tolerance, tolerance, worst

__all__ = ["PRECISION"]


def _half(facts: Facts) -> Iterator[Finding]:
    if facts.eps > COARSE and not facts.behaviour.low_precision:
        message = (
            "The map computes in half precision on the way to y, whatever the dtype of y: differences decide nothing, "
            "and log-det and inverse are compared within its rounding."
        )
        yield Finding("low-precision", message, {"rounding unit": facts.eps})


def _blurred(facts: Facts) -> Iterator[Finding]:
    where = facts.blurred & facts.finite & ~facts.singular
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
    usable = facts.finite & facts.log_det_jacobian.isfinite() & ~facts.singular & ~facts.blurred
    off = (facts.log_det - facts.log_det_jacobian).abs()
    largest = _explained(off, tolerance(facts, stored=False), tolerance(facts), usable)
    return f"the log-det is off by {gap(largest)} nats at most" if largest else ""


def _inverse(facts: Facts) -> str:
    miss, eps = facts.inverse.error, max(facts.eps, facts.inverse.eps)
    if miss is None:
        return ""
    strict, allowed = (inverse_tolerance(facts, eps, strict=True, stored=stored) for stored in (False, True))
    largest = _explained(miss, strict, allowed, facts.finite & ~facts.singular)
    return f"x -> y -> x misses by {gap(largest)} at most" if largest else ""


def _explained(off: Tensor, strict: Tensor, allowed: Tensor, usable: Tensor) -> float:
    """Return the largest that is off by more than is ``strict``; 0.0 if none is, or one is off by more than allowed."""
    beyond = (off > strict) & usable
    return float(off[beyond].max()) if beyond.any() and (off <= allowed)[beyond].all() else 0.0


PRECISION = (_half, _blurred, _stored)
