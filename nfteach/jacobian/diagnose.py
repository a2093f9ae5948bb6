"""From what was measured to what is wrong with it, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from .facts import Facts
from .finding import Finding, at_points
from .misbehaviour import MISBEHAVIOUR
from .numbers import short_vector
from .tolerances import disagrees, inverse_tolerance, missed, tolerance, worst

__all__ = ["diagnose"]

# Beyond this condition number a float32 inverse keeps no correct digit (1 / eps of float32).
ILL_CONDITIONED = 1 / torch.finfo(torch.float32).eps


def diagnose(facts: Facts, copies: Iterable[Finding] = (), perturb: float | None = None) -> tuple[Finding, ...]:
    """Return the findings that follow from the facts; errors first.

    Args:
        facts: about the map.
        copies: the findings about copies with moved parameters, which count where the map itself has none such.
        perturb: by how much these were moved, relative to their size.
    """
    if facts.behaviour.raised:
        message = f"The map raised wherever it was tried, so there is nothing to look at: {facts.behaviour.raised}"
        return (Finding("raises", message),)
    found = [finding for rule in _RULES for finding in rule(facts)]
    known = {finding.code for finding in found}
    for finding in copies:
        if finding.severity == "error" and finding.code not in known:
            known.add(finding.code)
            evidence = finding.evidence | {"parameters moved by": perturb}
            message = f"Once its parameters are moved: {finding.message}"
            found.append(replace(finding, message=message, evidence=evidence))
    return tuple(sorted(found, key=lambda finding: finding.severity))


def _non_finite(facts: Facts) -> Iterator[Finding]:
    bad = ~facts.finite
    if bad.any():
        what = [
            name
            for name, values in (("y", facts.y), ("J", facts.jacobian.flatten(1)), ("log_det", facts.log_det))
            if values is not None and not values.isfinite().all()
        ]
        listed = " and ".join([", ".join(what[:-1]), what[-1]] if len(what) > 1 else what)
        message = f"NaN or infinity came out {at_points(bad)}, in {listed}."
        yield Finding("non-finite", message, worst(facts, bad.double()), about="forward")


def _log_det(facts: Facts) -> Iterator[Finding]:
    if facts.samples_coupled or (facts.steady and facts.log_det_drawn):
        return
    claim, true = facts.claim, facts.log_det_jacobian
    if claim.layout == "unknown":
        message = (
            f"The log-det came in the shape {claim.shape}; expected one value per sample, ({len(facts.x)},), "
            f"for {len(facts.x)} samples of {facts.dim} dimensions."
        )
        yield Finding("log-det-wrong", message, about="log-det")
        return
    if claim.values is None:
        return
    usable = facts.finite & true.isfinite()
    if not usable.any():
        return
    wrong = disagrees(facts, claim.values) & usable
    if claim.layout == "per dimension" and not facts.per_dimension_by_design:
        message = (
            f"The log-det came in the shape {claim.shape}: one value per dimension, which broadcasts without a word "
            "against the base's log-density. Sum over the event's dimensions: .sum(-1)."
        )
        yield Finding("log-det-per-dimension", message, about="log-det")
    if not wrong.any():
        return
    summed = claim.values.sum().expand_as(true)
    if claim.shape == (facts.dim,) and not (disagrees(facts, summed) & usable).any():
        message = (
            f"The log-det came in the shape {claim.shape}: as many values as there are samples, but its sum is the "
            "log-det of each sample. It is one value per dimension. Sum over the event's dimensions: .sum(-1)."
        )
        yield Finding("log-det-per-dimension", message, about="log-det")
        return
    constant = bool((claim.values == claim.values[0]).all())
    total = true[usable].sum()
    if constant and len(true) > 1 and (claim.values[0] - total).abs() <= tolerance(facts).sum() and total.abs() > 1e-6:
        message = (
            "The log-det is the sum over the whole batch, not one value per sample: it grows with the batch. "
            "Sum over the event's dimensions only: .sum(-1), not .sum()."
        )
        evidence = {"claimed": claim.values[0].item(), "batch": len(true)}
        yield Finding("log-det-summed-over-batch", message, evidence, about="log-det")
        return
    yield _judge(facts, claim.values, wrong, usable, "")


def _judge(facts: Facts, claimed: Tensor, wrong: Tensor, usable: Tensor, where: str) -> Finding:
    true = facts.log_det_jacobian * (-1 if where else 1)
    gap = (claimed - true).abs().where(wrong, torch.zeros_like(true))
    at = int(gap.nan_to_num(nan=math.inf).argmax())
    evidence = {
        "claimed": claimed[at].item(),
        "by J": true[at].item(),
        "point": at + 1,
        "x": short_vector(facts.x[at]),
    }
    whose = f"The log-det{where}"
    flipped = (claimed + true).abs() <= tolerance(facts)
    if flipped[usable].all():
        message = f"{whose} has the wrong sign: it is minus that of the Jacobian, at every point."
        return Finding("log-det-sign", message, evidence)
    message = f"{whose} is not that of the Jacobian, {at_points(wrong)}."
    guess = _guess(facts, claimed, true, usable)
    return Finding("log-det-wrong", f"{message} {guess}".rstrip(), evidence)


def _guess(facts: Facts, claimed: Tensor, true: Tensor, usable: Tensor) -> str:
    """A mistake that would explain the claim at every point, in words; "" if none of these does."""
    diagonal = facts.jacobian.diagonal(dim1=1, dim2=2)
    constant = claimed - true
    guesses = (
        (true.exp(), "It equals |det J| itself: the logarithm is missing."),
        (true / facts.dim, "It is the mean over the dimensions: it must be their sum."),
        (2 * true, "It is twice the true value."),
        (true / 2, "It is half the true value."),
        (true.mean().expand_as(true), "It is the mean over the batch: it must be one value per sample."),
        (diagonal.abs().log().sum(1), "It is the product of the diagonal, but this Jacobian is not triangular."),
        (diagonal.sum(1), "It is the trace of J, without any logarithm."),
        (constant[usable][:1] + true, "It is off by the same amount at every point: a constant term is wrong."),
    )
    several = int(usable.sum()) > 1
    share = (true / claimed)[usable]
    times = round(float(share[0])) if share[0].isfinite() else 0
    if 3 <= times < facts.dim and ((claimed - true / times).abs() <= tolerance(facts))[usable].all():
        return (
            f"It is 1/{times} of the true value: a factor is missing, such as the number of pixels that share a scale."
        )
    for value, words in guesses:
        near = ((claimed - value).abs() <= tolerance(facts))[usable]
        if near.all() and (several or "every point" not in words):
            return words
    return ""


def _determinant(facts: Facts) -> Iterator[Finding]:
    zero = facts.singular
    if zero.any():
        message = (
            f"det J is zero (to rounding) {at_points(zero)}: there the map flattens space, "
            "log|det J| is minus infinity and there is no inverse."
        )
        yield Finding("singular", message, worst(facts, zero.double()), about="forward")
    sign = facts.sign.where(facts.finite & ~zero, torch.zeros_like(facts.sign))
    up, down = (sign > 0).nonzero().flatten(), (sign < 0).nonzero().flatten()
    if len(up) and len(down):
        message = (
            "det J is positive at some points and negative at others. On the way it passes through 0, so the map folds "
            "space over and is not invertible, whatever log|det J| says."
        )
        evidence = {"positive at": len(up), "negative at": len(down)}
        for name, at in (("det > 0 at x =", up[0]), ("det < 0 at x =", down[0])):
            evidence[name] = short_vector(facts.x[at])
        yield Finding("determinant-changes-sign", message, evidence, about="forward")
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


def _inverse(facts: Facts) -> Iterator[Finding]:
    inverse = facts.inverse
    if inverse.failure:
        message = f"There is no inverse to use: asked for it, the map answers {inverse.failure!r}."
        yield Finding("inverse-missing", message, about="inverse")
    elif inverse.error is None and facts.kind == "module":
        message = "The module has no .inverse, so x -> y -> x could not be tried."
        yield Finding("inverse-missing", message, about="inverse")
    if inverse.error is None or facts.samples_coupled or not facts.steady:
        return
    sound = facts.finite & ~facts.singular
    bad = (inverse.error > inverse_tolerance(facts, max(facts.eps, inverse.eps))) & sound
    if bad.any():
        message = f"The inverse does not lead back: x -> y -> x misses by more than rounding {at_points(bad)}."
        yield missed(facts, message, inverse.error.where(bad, 0 * inverse.error))
        return
    if inverse.log_det is None or facts.log_det_drawn:
        return
    usable = sound & facts.log_det_jacobian.isfinite()
    wrong = disagrees(facts, -inverse.log_det, inverse.eps) & usable
    if wrong.any():
        yield _judge(facts, inverse.log_det, wrong, usable, " of the inverse")


_RULES = (_non_finite, _log_det, _determinant, _inverse, *MISBEHAVIOUR)
