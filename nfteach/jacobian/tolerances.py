"""How far two results may lie apart before it is more than rounding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .calls import COARSE
from .facts import Facts
from .finding import Finding
from .numbers import short_vector
from .witnesses import CENTRAL

__all__ = ["conditioning", "disagrees", "inverse_tolerance", "missed", "tolerance", "worst"]

# What an entry by central differences is good to.
_EPS_OF_DIFFERENCES = 1e-9


def conditioning(facts: Facts) -> Tensor:
    """Return by how much rounding may grow: the condition numbers (B,), at most 1e12, and 1 where unknown."""
    return facts.condition_number.nan_to_num(nan=1.0, posinf=1e12).clamp(max=1e12)


def tolerance(facts: Facts, eps: float = 0.0, *, stored: bool = True) -> Tensor:
    """(B,) how far two log-dets in nats may lie apart: rounding, as the condition number enlarges it.

    Args:
        facts: tells the arithmetic of J.
        eps: the rounding unit of what is held against it, where that is coarser.
        stored: allow for the rounding of the numbers that the map stores.
    """
    eps = max(eps, facts.eps, _EPS_OF_DIFFERENCES if facts.witness == CENTRAL else 0.0)
    size = facts.log_det_jacobian.abs().nan_to_num(nan=0.0, posinf=0.0)
    coupling = 100 * facts.coupling if facts.samples_coupled else 0.0
    return (
        (1e-6 if eps < 1e-12 else 1e-5 if eps < 1e-8 else 1e-3) * (1 + size)
        + (100 if eps < COARSE else 2) * eps * conditioning(facts)
        + coupling
        + facts.blur
        + (facts.stored.log_det if stored else 0.0)
    )


def disagrees(facts: Facts, claimed: Tensor, eps: float = 0.0) -> Tensor:
    """(B,) bool: where a log-det is not that of the Jacobian."""
    gap = (claimed - facts.log_det_jacobian).abs()
    both_infinite = claimed == facts.log_det_jacobian
    return ~((gap <= tolerance(facts, eps)) | both_infinite)


def worst(facts: Facts, size: Tensor) -> dict[str, Any]:
    """Return the point where ``size`` (B,) is largest, as evidence."""
    at = int(size.nan_to_num(nan=math.inf).argmax())
    return {"point": at + 1, "x": short_vector(facts.x[at])}


def inverse_tolerance(
    facts: Facts, eps: float, *, strict: bool = False, loose: float | None = None, stored: bool = True
) -> Tensor:
    """(B,) how far x -> y -> x may miss in an arithmetic of rounding unit ``eps``.

    Rounding in y, and whatever else moves y, comes back enlarged by 1 / (the smallest stretch of J), and by the
    condition number where the layer works in several steps. ``strict`` leaves less in float32, where nothing tells
    rounding from a mistake but its size, and in half precision. ``loose`` stands for ``facts.loose``, and ``stored``
    allows for the rounding of the numbers that the map stores.
    """
    x, y = (values.double().abs().amax(1).nan_to_num(nan=0.0, posinf=0.0) for values in (facts.x, facts.y))
    size, loose = 1 + x + y, facts.loose if loose is None else loose
    back = y / facts.smallest_stretch.nan_to_num(nan=1.0).clamp(min=torch.finfo(torch.float64).tiny)
    share, times = (1e-6, 1000) if eps < 1e-12 else (2e-3, 200) if strict and eps < 1e-6 else (1e-2, 1000)
    if strict and eps > COARSE:
        times = 2
    within = facts.stored.inverse * size if stored else 0.0
    rounding = times * eps * (conditioning(facts) * size + back)
    return share * size + rounding + 100 * loose * conditioning(facts) + within


def missed(facts: Facts, message: str, error: Tensor) -> Finding:
    """Return the finding that x -> y -> x misses by ``error`` (B,), in coordinates."""
    gap = error.max().item()
    evidence = {"largest miss": gap} | worst(facts, error)
    return Finding("inverse-wrong", message, evidence, about="inverse", gap=gap, size=facts.x.abs().max().item())
