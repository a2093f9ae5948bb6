"""Findings about the map, its log-det and its determinant, and the diagnosis: the facts with all findings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .calls import apart
from .compared import Compared, compared
from .facts import Facts
from .finding import Finding
from .inverses import INVERSES
from .measure import DRAWS
from .misbehaviour import MISBEHAVIOUR
from .numbers import ROUNDING, gap, short_vector, unlike
from .phrases import at_points, listed, moved_by
from .precision import PRECISION
from .tolerances import disagrees, inverse_tolerance, tolerance, worst
from .twin import Account

__all__ = ["Diagnosis", "diagnose"]

# Beyond this condition number a float32 inverse keeps no correct digit (1 / eps of float32).
ILL_CONDITIONED = 1 / torch.finfo(torch.float32).eps
# A gap in nats below which a wrong log-det is called nearly right.
_SMALL = 1e-3


def diagnose(facts: Facts, copies: Iterable[Finding] = (), perturb: float | None = None) -> tuple[Finding, ...]:
    """Return the findings that follow from the facts, errors first, and those that only moved copies have."""
    if facts.behaviour.raised:
        message = f"The map raises at every point, in every dtype and manner tried: {facts.behaviour.raised}"
        return (Finding("raises", message, about="forward"),)
    found = [finding for rule in _RULES for finding in rule(facts)]
    known = {finding.code for finding in found if finding.severity == "error"}
    for finding in copies:
        if finding.severity == "error" and finding.code not in known:
            known.add(finding.code)
            evidence = finding.evidence | {"parameters moved by": perturb}
            message = f"With moved parameters: {finding.message}"
            found.append(replace(finding, message=message, evidence=evidence))
    return tuple(sorted(found, key=lambda finding: finding.severity))


def _non_finite(facts: Facts) -> Iterator[Finding]:
    bad = ~facts.finite
    if not bad.any():
        return
    what = [
        name
        for name, values in (("y", facts.y), ("J", facts.jacobian.flatten(1)), ("log_det", facts.log_det))
        if values is not None and not values.isfinite().all()
    ]
    message = f"NaN or infinity {at_points(bad)}, in {listed(what)}."
    if facts.log_det is not None and what == ["log_det"] and (facts.log_det.isnan() & (facts.sign < 0)).any():
        message += " det J is negative there, where torch.logdet gives NaN; use torch.linalg.slogdet(J).logabsdet."
    yield Finding("non-finite", message, worst(facts, bad.double()), about="forward")


def _log_det(facts: Facts) -> Iterator[Finding]:
    claim = facts.claim
    if claim.layout == "unknown":
        came = f"is {claim.came_as}" if claim.shape is None else f"has the shape {claim.shape}"
        message = (
            f"The log-det {came}; expected one value per sample, ({len(facts.x)},), "
            f"for {len(facts.x)} samples of {facts.dim} dimensions."
        )
        yield Finding("log-det-wrong", message, about="log-det")
    elif facts.log_det_stale:
        message = (
            "The log-det depends on earlier calls: after a call at other points, the same x has another one. A value "
            "from an earlier call, or a state that calls change, enters it."
        )
        evidence = moved_by(facts.behaviour.calls.log_det_after_others)
        yield Finding("log-det-wrong", message, evidence, about="log-det")
    elif facts.estimate is not None:
        yield from _estimated(facts, *facts.estimate)
    elif claim.values is not None and not facts.strongly_coupled:
        yield from _claimed(facts)


def _missing(facts: Facts) -> Iterator[Finding]:
    if facts.claim.layout == "none":
        message = "The map claims no log-det, so log|det J| was not compared. Return (y, log_det), or pass log_det=."
        yield Finding("log-det-missing", message, about="log-det")


def _estimated(facts: Facts, mean: Tensor, error: Tensor) -> Iterator[Finding]:
    gaps = (mean - facts.log_det_jacobian).abs()
    usable = facts.regular & facts.log_det_jacobian.isfinite()
    wrong = ~(gaps <= 5 * error + tolerance(facts)) & usable
    evidence = {"standard deviation in nats": float(error.max()) * DRAWS**0.5}
    if wrong.any():
        at = int(gaps.where(wrong, torch.zeros_like(gaps)).argmax())
        evidence |= {"mean": float(mean[at]), "by J": float(facts.log_det_jacobian[at]), "point": at + 1}
        message = (
            f"The log-det is a random estimate, and its mean over {DRAWS} draws is not log|det J| "
            f"{at_points(wrong)}: the estimate is biased."
        )
        yield Finding("log-det-wrong", message, evidence, "log-det", float(gaps[at]), float(mean[at].abs()))
    else:
        message = (
            f"The log-det is a random estimate (of a trace, for example). Its mean over {DRAWS} draws is log|det J|, "
            "within the error of that mean."
        )
        yield Finding("log-det-estimated", message, evidence, about="log-det")


def _comparable(facts: Facts) -> Tensor:
    """Return where (B,) log|det J| is known: not where J is singular or rounding noise, nor at a kink."""
    usable = facts.regular & facts.log_det_jacobian.isfinite() & ~facts.blurred
    return usable if facts.kink is None else usable & ~facts.kink


def _claimed(facts: Facts) -> Iterator[Finding]:
    claim, true = facts.claim, facts.log_det_jacobian
    usable = _comparable(facts)
    if claim.layout == "per dimension" and not facts.per_dimension_by_design:
        message = (
            f"The log-det has the shape {claim.shape}: one value per dimension, which broadcasts silently against the "
            "base's log-density. Sum over the dimensions of an event: .sum(-1)."
        )
        yield Finding("log-det-per-dimension", message, about="log-det")
    if facts.per_dimension_by_design and claim.layout == "per sample" and facts.dim > 1:
        message = (
            f"The log-det has the shape {claim.shape}, but the Transform declares event_dim 0: torch takes it for one "
            "value per dimension, and sums it once more. Declare event_dim 1, or return one value per dimension."
        )
        yield Finding("log-det-per-dimension", message, about="log-det")
    wrong = disagrees(facts, claim.values) & usable
    if not wrong.any():
        return
    summed = claim.values.sum().expand_as(true)
    if claim.shape == (facts.dim,) and not (disagrees(facts, summed) & usable).any():
        message = (
            f"The log-det has the shape {claim.shape}: as many values as samples, but their sum is the log-det of each "
            "sample, so there is one value per dimension. Sum over the dimensions of an event: .sum(-1)."
        )
        yield Finding("log-det-per-dimension", message, about="log-det")
        return
    constant = bool((claim.values == claim.values[0]).all())
    total = true[usable].sum()
    allowed = tolerance(facts)[usable].sum()
    if constant and len(true) > 1 and (claim.values[0] - total).abs() <= allowed < total.abs():
        message = (
            "The log-det is the sum over the whole batch, not one value per sample, and grows with the batch. "
            "Sum over the dimensions of an event only: .sum(-1), not .sum()."
        )
        evidence = {"claimed": claim.values[0].item(), "batch": len(true)}
        yield Finding("log-det-summed-over-batch", message, evidence, about="log-det")
        return
    yield judge(facts, claim.values, true, wrong, usable)


def _of_the_inverse(facts: Facts) -> Iterator[Finding]:
    inverse = facts.inverse
    if inverse.log_det is None or not facts.repeatable or facts.log_det_drawn or facts.strongly_coupled:
        return
    true, allowed = -facts.log_det_jacobian, tolerance(facts, inverse.eps) + 100 * facts.loose
    wrong = ~((inverse.log_det - true).abs() <= allowed)
    # Where it does not lead back to x it is another map, and its log-det may be that of another map or place.
    arrived = inverse.error <= inverse_tolerance(facts, max(facts.eps, inverse.eps))
    known = facts.regular & ~facts.blurred & true.isfinite()
    usable = known & (arrived | bool(inverse.log_dets_there))
    for other in inverse.log_dets_there:
        wrong = wrong & (arrived | ((inverse.log_det - other).abs() > 10 * allowed))
    wrong = wrong & usable
    if wrong.any():
        yield judge(facts, inverse.log_det, true, wrong, usable, "The log-det of the inverse", "inverse")


def judge(
    facts: Facts,
    claimed: Tensor,
    true: Tensor,
    wrong: Tensor,
    usable: Tensor,
    whose: str = "The log-det",
    about: str = "log-det",
) -> Finding:
    """Return the finding that a claimed log-det (B,) is not the true one, with the mistake that explains it, if any."""
    gaps = (claimed - true).abs().where(wrong, torch.zeros_like(true))
    at = int(gaps.nan_to_num(nan=math.inf).argmax())
    largest, size = float(gaps[at]), float(true[at].abs())
    evidence: dict[str, Any] = unlike({"claimed": claimed[at].item(), "by J": true[at].item()})
    evidence |= {"off by": largest, "point": at + 1, "x": short_vector(facts.x[at])}
    if ((claimed + true).abs() <= tolerance(facts))[usable].all():
        message = f"{whose} has the wrong sign: it is minus the true one, at every point."
        return Finding("log-det-sign", message, evidence, about, largest, size)
    nearly = "is close to, but not," if largest <= _SMALL * (1 + size) else "is not"
    message = f"{whose} {nearly} that of the Jacobian, {at_points(wrong)}: off by {gap(largest)} nats at most."
    guess = _guess(facts, claimed, true, usable & wrong)
    return Finding("log-det-wrong", f"{message} {guess}".rstrip(), evidence, about, largest, size)


def _guess(facts: Facts, claimed: Tensor, true: Tensor, usable: Tensor) -> str:
    """Return a mistake that explains the claim at every point, in words; "" if none of these does."""
    diagonal = facts.jacobian.diagonal(dim1=1, dim2=2)
    off = claimed - true
    several, batch = int(usable.sum()) > 1, len(facts.x)

    def explains(value: Tensor) -> bool:
        """Return True if what remains is rounding, and next to nothing beside the value and the gap it explains."""
        left = (claimed - value).abs()
        little = 1e-2 * torch.minimum(off.abs(), value.abs() + ROUNDING)
        return bool(((left <= tolerance(facts)) & (left <= little))[usable].all())

    guesses = [
        (true.exp(), "It equals |det J| itself: the logarithm is missing."),
        (true / facts.dim, "It is the mean over the dimensions: it must be their sum."),
        (2 * true, "It is twice the true value."),
        (true / 2, "It is half the true value."),
        (diagonal.abs().log().sum(1), "It is the product of the diagonal, but this Jacobian is not triangular."),
        (diagonal.sum(1), "It is the trace of J, without a logarithm."),
    ]
    if several:
        guesses += [
            (true.mean().expand_as(true), "It is the mean over the batch: it must be one value per sample."),
            (true / batch, "It is the true value divided by the number of points."),
            (true + off[usable].mean(), "It is off by the same amount at every point: a constant term is wrong."),
        ]
    for value, words in guesses:
        if explains(value):
            return words
    share = (true / claimed)[usable]
    times = round(float(share[0])) if share[0].isfinite() else 0
    if several and 3 <= times < facts.dim and facts.dim % times == 0 and explains(true / times):
        return f"It is 1/{times} of the true value: a factor {times} is missing."
    return ""


def _other_claims(facts: Facts) -> Iterator[Finding]:
    usable = _comparable(facts)
    for name, claim in facts.other_claims.items():
        if claim.values is None or facts.strongly_coupled or facts.log_det_drawn:
            continue
        wrong = disagrees(facts, claim.values) & usable
        same = facts.log_det is not None and bool((apart(claim.values, facts.log_det) <= tolerance(facts)).all())
        if wrong.any() and not same:
            finding = judge(facts, claim.values, facts.log_det_jacobian, wrong, usable)
            yield replace(finding, message=f"{name}: {finding.message}")


def _declared(facts: Facts) -> Iterator[Finding]:
    for contradiction in facts.contradictions:
        at = contradiction.point
        where = () if at is None else (("x", facts.x), ("y", facts.y))
        evidence = {name: short_vector(values[at]) for name, values in where}
        yield Finding("declared-wrong", f"{contradiction.words}.", evidence, about="forward")


def _determinant(facts: Facts) -> Iterator[Finding]:
    zero = facts.singular
    if zero.any():
        yield Finding("singular", _singular(facts, zero), worst(facts, zero.double()), about="forward")
    sign = facts.sign.where(facts.finite & ~zero, torch.zeros_like(facts.sign))
    up, down = (sign > 0).nonzero().flatten(), (sign < 0).nonzero().flatten()
    if len(up) and len(down):
        message = (
            "det J is positive at some points and negative at others. Between them it is zero, so the map folds space "
            "and is not invertible, even where log|det J| is right."
        )
        evidence = {"positive at": len(up), "negative at": len(down)}
        for name, at in (("det > 0 at x =", up[0]), ("det < 0 at x =", down[0])):
            evidence[name] = short_vector(facts.x[at])
        yield Finding("determinant-changes-sign", message, evidence, about="forward")
    elif facts.behaviour.same_image is not None:
        a, b = facts.behaviour.same_image
        evidence = {"x =": short_vector(a), "and x =": short_vector(b)}
        message = "Two different points have the same image, so the map has no inverse; det J does not show it."
        yield Finding("not-one-to-one", message, evidence, about="forward")
    # One dimension after the other keeps its digits, however different their scales are.
    apart = facts.structure is not None and facts.structure.name in {"identity", "diagonal", "permutation"}
    bad = (facts.condition_number > ILL_CONDITIONED) & ~zero & facts.finite
    if bad.any() and not apart:
        largest = facts.condition_number.where(bad, torch.zeros_like(facts.condition_number))
        message = (
            f"J is ill-conditioned {at_points(bad)}: it stretches one direction {largest.max():.0e} times as much as "
            "another, and a float32 inverse may keep no correct digit there."
        )
        evidence = {"condition number": largest.max().item()} | worst(facts, largest)
        yield Finding("ill-conditioned", message, evidence, about="forward")


def _singular(facts: Facts, zero: Tensor) -> str:
    message = f"det J is zero (to rounding) {at_points(zero)}: the map flattens space, and has no inverse there."
    J, rounding = facts.jacobian[zero].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), max(1e-9, facts.dim * facts.eps)
    ranks = torch.linalg.matrix_rank(J, rtol=rounding)
    if zero.all() and ranks.unique().numel() == 1 and ranks[0] < facts.dim:
        message += (
            f" J has rank {int(ranks[0])} of {facts.dim} everywhere. If the map lives on a subspace or a manifold, "
            "pass coordinates=, to look at it there."
        )
    return message


_RULES = (
    _non_finite,
    _log_det,
    _other_claims,
    _determinant,
    _declared,
    *INVERSES,
    *PRECISION,
    _of_the_inverse,
    *MISBEHAVIOUR,
    _missing,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis(Facts):
    """Facts with findings.

    Attributes:
        perturb: by how much the parameters of the copies were moved, relative to their size; None without copies.
        account: which parameters are moved, frozen, or cannot be moved; None without ``perturb``.
        moved: the diagnosis of each copy whose parameters were moved.
        findings: what is wrong, and what is worth knowing; errors first.
        compared: what was checked, and what was not, with the reason.
    """

    perturb: float | None = None
    account: Account | None = None
    moved: tuple[Diagnosis, ...] = ()
    findings: tuple[Finding, ...] = field(init=False)
    compared: tuple[Compared, ...] = field(init=False)

    def __post_init__(self) -> None:
        copies = tuple(finding for copy in self.moved for finding in copy.findings)
        object.__setattr__(self, "findings", diagnose(self, copies, self.perturb))
        why_none = "pass perturb=, such as 0.5" if self.perturb is None else _why_none(self.account)
        sound = [copy.ok for copy in self.moved]
        if self.moved and all(map(self._same_values, self.moved)):
            sound, why_none = [], "moved parameters change neither y nor the log-det"
        object.__setattr__(self, "compared", compared(self, self.findings, sound, why_none))

    def _same_values(self, copy: Diagnosis) -> bool:
        both = [(self.y, copy.y)] + [(self.log_det, copy.log_det)] * (self.log_det is not None is not copy.log_det)
        return all(torch.equal(a, b) for a, b in both)

    @property
    def ok(self) -> bool:
        """True if there is no error; notes do not count. ``bool(report)`` is the same."""
        return not any(finding.severity == "error" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok


def _why_none(account: Account | None) -> str:
    if account is None or not (account.frozen or account.unmoved):
        return "the map has no parameters to move"
    if account.unmoved:
        path, why = account.unmoved[0]
        return f"{path} cannot be moved: {why}"
    return f"all {len(account.frozen)} parameters are frozen (requires_grad=False)"
