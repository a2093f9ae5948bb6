"""From what was measured to what is wrong with it, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .report import JacobianReport

__all__ = ["ERRORS", "NOTES", "Finding", "diagnose", "disagrees"]

ERRORS = frozenset(
    {
        "determinant-changes-sign",
        "inverse-wrong",
        "log-det-per-dimension",
        "log-det-sign",
        "log-det-summed-over-batch",
        "log-det-wrong",
        "non-finite",
        "samples-coupled",
        "singular",
    }
)
NOTES = frozenset({"ill-conditioned", "inverse-missing", "low-precision"})

# Beyond this condition number a float32 inverse keeps no correct digit (1 / eps of float32).
ILL_CONDITIONED = 1 / torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (severity "error") or worth knowing (severity "note").

    Attributes:
        code: such as ``log-det-sign``.
        message: the same in words.
        evidence: where, and how large.

    Raises:
        ValueError: if the code is in neither ``ERRORS`` nor ``NOTES``.
    """

    code: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code not in ERRORS | NOTES:
            raise ValueError(f"code must be one of {', '.join(sorted(ERRORS | NOTES))}, but is {self.code!r}")

    @property
    def severity(self) -> str:
        return "error" if self.code in ERRORS else "note"

    def __str__(self) -> str:
        facts = ", ".join(f"{key} {_brief(value)}" for key, value in self.evidence.items())
        return f"[{self.code}] {self.message}" + (f" ({facts})" if facts else "")


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def diagnose(report: JacobianReport) -> tuple[Finding, ...]:
    """Everything that can be told from the report's measurements; errors first."""
    found = [finding for rule in _RULES for finding in rule(report)]
    return tuple(sorted(found, key=lambda finding: finding.severity))


def tolerance(report: JacobianReport) -> Tensor:
    """(B,) how far two log-dets in nats may lie apart: rounding, as the condition number enlarges it."""
    condition = report.condition_number.nan_to_num(nan=1.0, posinf=1e12).clamp(max=1e12)
    size = report.log_det_autograd.abs().nan_to_num(nan=0.0, posinf=0.0)
    return (1e-6 if report.eps < 1e-12 else 1e-3) * (1 + size) + 100 * report.eps * condition


def disagrees(report: JacobianReport, claimed: Tensor) -> Tensor:
    """(B,) bool: where a log-det is not that of the autograd Jacobian."""
    gap = (claimed - report.log_det_autograd).abs()
    both_infinite = claimed == report.log_det_autograd
    return ~((gap <= tolerance(report)) | both_infinite)


def _worst(report: JacobianReport, size: Tensor) -> dict[str, Any]:
    at = int(size.nan_to_num(nan=math.inf).argmax())
    return {"point": at + 1, "x": short_vector(report.x[at])}


def short_vector(values: Tensor, most: int = 6) -> str:
    """(1.2, -0.3, ...) to four digits."""
    shown = ", ".join(f"{value:.4g}" for value in values.flatten()[:most].tolist())
    return f"({shown}{', ...' if values.numel() > most else ''})"


def _non_finite(report: JacobianReport) -> Iterator[Finding]:
    bad = ~report.finite
    if bad.any():
        what = [
            name
            for name, values in (("y", report.y), ("J", report.jacobian.flatten(1)), ("log_det", report.log_det))
            if values is not None and not values.isfinite().all()
        ]
        message = f"NaN or infinity came out at {int(bad.sum())} of {len(bad)} points, in {' and '.join(what)}."
        yield Finding("non-finite", message, _worst(report, bad.double()))


def _coupled(report: JacobianReport) -> Iterator[Finding]:
    if report.samples_coupled:
        message = (
            "A sample's output changes when only the other samples of its batch change (batch statistics do this): "
            "the map acts on whole batches, and no log-det of a single sample describes it. In a module, try .eval()."
        )
        yield Finding("samples-coupled", message, {"moved by": float(report.moved_by_others.max())})


def _log_det(report: JacobianReport) -> Iterator[Finding]:
    if report.samples_coupled:
        return
    claim, true = report.claim, report.log_det_autograd
    if claim.layout == "unknown":
        message = (
            f"The log-det came in the shape {claim.shape}; expected one value per sample, ({len(report.x)},), "
            f"for {len(report.x)} samples of {report.dim} dimensions."
        )
        yield Finding("log-det-wrong", message)
        return
    if claim.values is None:
        return
    usable = report.finite & true.isfinite()
    if not usable.any():
        return
    wrong = disagrees(report, claim.values) & usable
    if claim.layout == "per dimension" and not report.per_dimension_by_design:
        message = (
            f"The log-det came in the shape {claim.shape}: one value per dimension, which broadcasts without a word "
            "against the base's log-density. Sum over the event's dimensions: .sum(-1)."
        )
        yield Finding("log-det-per-dimension", message)
    if not wrong.any():
        return
    constant = bool((claim.values == claim.values[0]).all())
    total = true[usable].sum()
    if constant and len(true) > 1 and (claim.values[0] - total).abs() <= tolerance(report).sum() and total.abs() > 1e-6:
        message = (
            "The log-det is the sum over the whole batch, not one value per sample: it grows with the batch. "
            "Sum over the event's dimensions only: .sum(-1), not .sum()."
        )
        yield Finding("log-det-summed-over-batch", message, {"claimed": claim.values[0].item(), "batch": len(true)})
        return
    yield _judge(report, claim.values, wrong, usable, "")


def _judge(report: JacobianReport, claimed: Tensor, wrong: Tensor, usable: Tensor, where: str) -> Finding:
    true = report.log_det_autograd * (-1 if where else 1)
    gap = (claimed - true).abs().where(wrong, torch.zeros_like(true))
    at = int(gap.nan_to_num(nan=math.inf).argmax())
    evidence = {
        "claimed": claimed[at].item(),
        "by autograd": true[at].item(),
        "at point": at + 1,
        "x": short_vector(report.x[at]),
    }
    whose = f"The log-det{where}"
    flipped = (claimed + true).abs() <= tolerance(report)
    if flipped[usable].all():
        message = f"{whose} has the wrong sign: it is minus that of the autograd Jacobian, at every point."
        return Finding("log-det-sign", message, evidence)
    message = f"{whose} is not that of the autograd Jacobian, at {int(wrong.sum())} of {len(wrong)} points."
    guess = _guess(report, claimed, true, usable)
    return Finding("log-det-wrong", f"{message} {guess}".rstrip(), evidence)


def _guess(report: JacobianReport, claimed: Tensor, true: Tensor, usable: Tensor) -> str:
    """A mistake that would explain the claim at every point, in words; "" if none of these does."""
    diagonal = report.jacobian.diagonal(dim1=1, dim2=2)
    constant = claimed - true
    guesses = (
        (true.exp(), "It equals |det J| itself: the logarithm is missing."),
        (true / report.dim, "It is the mean over the dimensions: it must be their sum."),
        (2 * true, "It is twice the true value."),
        (true / 2, "It is half the true value."),
        (true.mean().expand_as(true), "It is the mean over the batch: it must be one value per sample."),
        (diagonal.abs().log().sum(1), "It is the product of the diagonal, but this Jacobian is not triangular."),
        (diagonal.sum(1), "It is the trace of J, without any logarithm."),
        (constant[usable][:1] + true, "It is off by the same amount at every point: a constant term is wrong."),
    )
    several = int(usable.sum()) > 1
    for value, words in guesses:
        near = ((claimed - value).abs() <= tolerance(report))[usable]
        if near.all() and (several or "every point" not in words):
            return words
    return ""


def _determinant(report: JacobianReport) -> Iterator[Finding]:
    zero = report.singular
    if zero.any():
        message = (
            f"det J is zero (to rounding) at {int(zero.sum())} of {len(zero)} points: there the map flattens space, "
            "log|det J| is minus infinity and there is no inverse."
        )
        yield Finding("singular", message, _worst(report, zero.double()))
    sign = report.sign.where(report.finite & ~zero, torch.zeros_like(report.sign))
    up, down = (sign > 0).nonzero().flatten(), (sign < 0).nonzero().flatten()
    if len(up) and len(down):
        message = (
            "det J is positive at some points and negative at others. On the way it passes through 0, so the map folds "
            "space over and is not invertible, whatever log|det J| says."
        )
        evidence = {"positive at": len(up), "negative at": len(down)}
        for name, at in (("det > 0 at x =", up[0]), ("det < 0 at x =", down[0])):
            evidence[name] = short_vector(report.x[at])
        yield Finding("determinant-changes-sign", message, evidence)
    bad = (report.condition_number > ILL_CONDITIONED) & ~zero & report.finite
    if bad.any():
        worst = report.condition_number.where(bad, torch.zeros_like(report.condition_number))
        message = (
            f"J is ill-conditioned at {int(bad.sum())} of {len(bad)} points: it stretches one direction that many "
            "times more than another, and a float32 inverse keeps no correct digit there."
        )
        yield Finding("ill-conditioned", message, {"condition number": worst.max().item()} | _worst(report, worst))


def _inverse(report: JacobianReport) -> Iterator[Finding]:
    inverse = report.inverse
    if inverse.failure:
        message = f"There is no inverse to use: asked for it, the map answers {inverse.failure!r}."
        yield Finding("inverse-missing", message)
    elif inverse.error is None and report.kind == "module":
        yield Finding("inverse-missing", "The module has no .inverse, so x -> y -> x could not be tried.")
    if inverse.error is None or report.samples_coupled:
        return
    sound = report.finite & ~report.singular
    condition = report.condition_number.nan_to_num(nan=1.0, posinf=1e12).clamp(max=1e12)
    size = 1 + report.x.abs().amax(1) + report.y.abs().amax(1).nan_to_num(nan=0.0, posinf=0.0)
    allowed = (1e-6 if report.eps < 1e-12 else 1e-2) * size + 1000 * report.eps * condition * size
    bad = (inverse.error > allowed) & sound
    if bad.any():
        message = (
            f"The inverse does not lead back: x -> y -> x misses by more than rounding at {int(bad.sum())} "
            f"of {len(bad)} points."
        )
        evidence = {"largest miss": inverse.error[bad].max().item()}
        yield Finding("inverse-wrong", message, evidence | _worst(report, inverse.error.where(bad, 0 * inverse.error)))
        return
    if inverse.log_det is None:
        return
    usable = sound & report.log_det_autograd.isfinite()
    wrong = disagrees(report, -inverse.log_det) & usable
    if wrong.any():
        yield _judge(report, inverse.log_det, wrong, usable, " of the inverse")


def _precision(report: JacobianReport) -> Iterator[Finding]:
    if report.low_precision:
        message = (
            "The map does not run in float64, so everything here was measured in the precision of x and the smaller "
            "differences mean nothing."
        )
        yield Finding("low-precision", message, {"in float64": report.low_precision})


_RULES = (_non_finite, _coupled, _log_det, _determinant, _inverse, _precision)
