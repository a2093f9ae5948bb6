"""How far two results may lie apart before it is more than rounding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .numbers import short_vector
from .witnesses import CENTRAL

if TYPE_CHECKING:
    from .report import JacobianReport

__all__ = ["apart", "conditioning", "disagrees", "inverse_tolerance", "tolerance", "worst"]

# What an entry by central differences is good to.
_EPS_OF_DIFFERENCES = 1e-9


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b|: 0 where both are the same infinity or NaN, infinite where only one is finite."""
    same = (a == b) | (a.isnan() & b.isnan())
    return (a - b).abs().nan_to_num(nan=math.inf).where(~same, torch.zeros_like(a))


def conditioning(report: JacobianReport) -> Tensor:
    """Return by how much rounding may grow: the condition numbers (B,), at most 1e12, and 1 where unknown."""
    return report.condition_number.nan_to_num(nan=1.0, posinf=1e12).clamp(max=1e12)


def tolerance(report: JacobianReport, eps: float = 0.0) -> Tensor:
    """(B,) how far two log-dets in nats may lie apart: rounding, as the condition number enlarges it.

    Args:
        report: tells the arithmetic of J.
        eps: the rounding unit of what is held against it, where that is coarser.
    """
    eps = max(eps, report.eps, _EPS_OF_DIFFERENCES if report.witness == CENTRAL else 0.0)
    size = report.log_det_jacobian.abs().nan_to_num(nan=0.0, posinf=0.0)
    return (1e-6 if eps < 1e-12 else 1e-5 if eps < 1e-8 else 1e-3) * (1 + size) + 100 * eps * conditioning(report)


def disagrees(report: JacobianReport, claimed: Tensor, eps: float = 0.0) -> Tensor:
    """(B,) bool: where a log-det is not that of the Jacobian."""
    gap = (claimed - report.log_det_jacobian).abs()
    both_infinite = claimed == report.log_det_jacobian
    return ~((gap <= tolerance(report, eps)) | both_infinite)


def worst(report: JacobianReport, size: Tensor) -> dict[str, Any]:
    at = int(size.nan_to_num(nan=math.inf).argmax())
    return {"point": at + 1, "x": short_vector(report.x[at])}


def inverse_tolerance(report: JacobianReport, eps: float) -> Tensor:
    """(B,) how far x -> y -> x may miss in an arithmetic of rounding unit ``eps``.

    Rounding in y comes back enlarged by 1 / (the smallest stretch of J), and by the condition number where the layer
    works in several steps.
    """
    x, y = (values.double().abs().amax(1).nan_to_num(nan=0.0, posinf=0.0) for values in (report.x, report.y))
    size = 1 + x + y
    back = y / report.smallest_stretch.nan_to_num(nan=1.0).clamp(min=torch.finfo(torch.float64).tiny)
    return (1e-6 if eps < 1e-12 else 1e-2) * size + 1000 * eps * (conditioning(report) * size + back)
