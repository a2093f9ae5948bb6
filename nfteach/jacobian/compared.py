"""Compared: what a report has checked, and what it has not, with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from .calls import COARSE
from .facts import Facts
from .finding import Finding
from .numbers import bound, gap
from .phrases import counted
from .signal import UNDECIDED
from .tolerances import inverse_tolerance
from .witnesses import CENTRAL

__all__ = ["AGREES", "DIFFERS", "NAMES", "UNCHECKED", "Compared", "compared"]

Judge = Callable[[Facts], tuple[str, str]]
Reason = Callable[[Facts], str]

MOVED, OWN_DTYPE = "moved parameters", "own dtype"
AGREES, DIFFERS, UNCHECKED = "agrees", "differs", "not compared"
_IMPRECISE = "central differences are not precise enough"
# A relative miss with which nothing is said to agree, although rounding may explain it.
_FAR = 0.05
_CHANGES = "y changes from call to call, or with the other samples"


class Compared(NamedTuple):
    """One comparison.

    Attributes:
        name: one of ``NAMES``.
        result: "agrees", "differs" or "not compared".
        words: how closely, or why not.
    """

    name: str
    result: str
    words: str


def compared(facts: Facts, findings: Sequence[Finding], copies: Sequence[bool], why_none: str) -> tuple[Compared, ...]:
    """Return one record for each of ``NAMES``.

    ``copies`` holds whether nothing is wrong with each copy whose parameters were moved, ``why_none`` why there are
    none.
    """
    if facts.behaviour.raised:
        return tuple(Compared(name, UNCHECKED, "the map raised") for name in NAMES)
    # What is lost in the own dtype is a note, and a difference all the same.
    errors = [finding for finding in findings if finding.severity == "error" or finding.about == OWN_DTYPE]
    found = [
        Compared(name, *_result(facts, [finding for finding in errors if finding.about == name], judge))
        for name, judge in _JUDGES.items()
    ]
    sound = f"{sum(copies)} of {counted(len(copies), 'copy', 'copies')} without an error"
    moved = (UNCHECKED, why_none) if not copies else (AGREES if all(copies) else DIFFERS, sound)
    return (*found, Compared(MOVED, *moved))


def _result(facts: Facts, errors: list[Finding], judge: Judge) -> tuple[str, str]:
    if errors:
        return DIFFERS, ", ".join(dict.fromkeys(finding.code for finding in errors))
    why_not, words = judge(facts)
    return (UNCHECKED, why_not) if why_not else (AGREES, words)


def _below(errors: Tensor) -> str:
    """Return "within 1e-6": a power of ten, since the digits of rounding differ from processor to processor."""
    largest = float(errors.max())
    if not 0 < largest < math.inf:
        return "within 1e-9" if largest == 0 else "infinitely far"
    return f"within 1e{max(-9, math.ceil(math.log10(largest)))}"


def _points(facts: Facts) -> str:
    return counted(len(facts.x), "point", "points")


def _derivative(facts: Facts) -> tuple[str, str]:
    if facts.block is not None:
        return _signal(lambda facts: "y has no gradient", ("y", "x"))(facts)
    if facts.witnesses is None:
        return _CHANGES, ""
    if CENTRAL in facts.witnesses.unheard:
        return f"the map raises close by: {facts.witnesses.unheard[CENTRAL]}", ""
    if facts.witnesses.undecided.all():
        return "central differences are not precise enough: a kink, or rounded values", ""
    return "", f"autograd and central differences, {_points(facts)}"


def _log_det(facts: Facts) -> tuple[str, str]:
    if facts.log_det is None:
        return "the map claims no log-det (pass log_det=)", ""
    if facts.block is not None and not facts.block.whole:
        return f"all of J takes about {facts.block.seconds:.0f} s of processor time at D = {facts.dim:,}", ""
    usable = facts.regular & facts.log_det_jacobian.isfinite()
    if not usable.any():
        return "J is singular, or not finite, at every point", ""
    noise = usable & facts.blurred
    usable = usable & ~noise
    if not usable.any():
        return "J is rounding noise wherever it is not singular", ""
    if facts.strongly_coupled:
        return "the samples of a batch depend on each other", ""
    if facts.estimate is not None:
        return "", "the mean of a random estimate, within its error"
    off, size = (facts.log_det - facts.log_det_jacobian).abs()[usable], facts.log_det_jacobian.abs()[usable]
    if facts.eps > COARSE and (off > _share(facts) * (1 + size)).any():
        return f"it is off by up to {gap(float(off.max()))} nats, which rounding alone may explain", ""
    words = f"within {bound(float(off.max()))} nats, {_points(facts)}"
    return "", words + (f", at {int(noise.sum())} of which J is rounding noise" if noise.any() else "")


def _share(facts: Facts) -> float:
    """Return the miss, relative to 1 + what it should be, up to which something is said to agree."""
    return min(_FAR, 2 * facts.eps) if facts.eps > COARSE else _FAR


def _signal(none: Reason, *which: tuple[str, str]) -> Judge:
    """Return a judge of the gradients ``which``, of what and by what; ``none`` tells why a steady map has none."""

    def judge(facts: Facts) -> tuple[str, str]:
        found = [gradient for gradient in facts.signal if (gradient.of, gradient.by) in which]
        if not found:
            return none(facts) if facts.repeatable else "the map gives other values from call to call", ""
        undecided = [gradient for gradient in found if gradient.result == UNDECIDED]
        why = next((gradient.error for gradient in undecided if gradient.error), _IMPRECISE)
        if len(undecided) == len(found):
            return why, ""
        words = "autograd and central differences, along random directions"
        left_out = max(gradient.left_out for gradient in found)
        if left_out:
            words += f"; without {left_out} of {_points(facts)}, at a kink or not finite"
        if undecided:
            parts = " and ".join(f"that of {gradient.of} by {gradient.by}" for gradient in undecided)
            words += f"; {parts} was not decided, where {why}"
        return "", words

    return judge


def _no_log_det_gradient(facts: Facts) -> str:
    if facts.log_det is None:
        return "there is no log-det to compare"
    return "the log-det is another one from call to call"


def _inverse(facts: Facts) -> tuple[str, str]:
    error = facts.inverse.error
    if error is None:
        return facts.inverse.failure or "no inverse is known (pass inverse=)", ""
    allowed = inverse_tolerance(facts, max(facts.eps, facts.inverse.eps), loose=0.0)
    if not facts.well_defined and (error > allowed).any():
        return _CHANGES, ""
    far = (error > _share(facts) * (1 + facts.x.abs().amax(1))) & facts.regular
    if far.any():
        return f"x -> y -> x misses by up to {gap(float(error[far].max()))}, which rounding alone may explain", ""
    words = f"x -> y -> x within {bound(float(error.max()))}, {_points(facts)}"
    if facts.inverse_cut:
        words += f"; {' and '.join(facts.inverse_cut)} without a gradient with respect to y"
    return "", words


def _both_directions(facts: Facts) -> tuple[str, str]:
    onto = facts.inverse.onto
    if facts.inverse.error is None:
        return facts.inverse.failure or "no inverse is known", ""
    if onto is None:
        return "the inverse runs in the layer's own dtype only", ""
    if onto.why_not:
        return onto.why_not, ""
    missed = onto.lost + onto.missed
    if missed:
        why = "are not met by the inverse" if onto.reached else "have no x"
        return f"{missed} of {onto.tried} y drawn among the images {why}", ""
    return "", f"y -> x -> y, {onto.tried} y drawn among the images"


def _batch_sizes(facts: Facts) -> tuple[str, str]:
    if not facts.well_defined:
        return _CHANGES, ""
    ran = [trial for trial in facts.behaviour.batches if not trial.raised]
    if not ran:
        return "only one batch size runs, or was given", ""
    allowed = facts.noticeable_in_log_det + 100 * facts.loose
    both = all(trial.log_det_moved is not None and trial.log_det_moved <= allowed for trial in ran)
    sizes = ", ".join(str(trial.size) for trial in ran)
    return "", f"the same y{' and log-det' if both else ''} with {sizes} and {len(facts.x)} points"


def _own_dtype(facts: Facts) -> tuple[str, str]:
    own = facts.behaviour.in_own_dtype
    if not facts.well_defined:
        return _CHANGES, ""
    if own is not None and not facts.regular.any():
        return "J is singular, or not finite, at every point", ""
    if own is None:
        return "it runs in its own dtype only" if facts.behaviour.low_precision else "float64 is its own dtype", ""
    words: list[str] = []
    sound = facts.regular & ~own.lost
    if own.inverse.error is not None and (own.inverse.error <= 0.1 * (1 + facts.x.abs().amax(1)))[sound].all():
        words.append(f"x -> y -> x {_below(own.inverse.error[sound])}")
    if own.log_det_gap is not None:
        words.append(f"log-det {_below(own.log_det_gap[sound])} nats")
    name = str(own.dtype).removeprefix("torch.")
    return ("", f"{name}: {', '.join(words)}") if words else (f"{name}: no inverse and no log-det", "")


_BY_PARAMETERS = tuple((of, by) for by in ("parameters", "context") for of in ("log-det", "y"))
# Name, which its findings are about -> why it was not compared, and how closely it agrees.
_JUDGES = {
    "derivative": _derivative,
    "log-det": _log_det,
    "log-det gradient": _signal(_no_log_det_gradient, ("log-det", "x")),
    "parameter gradients": _signal(lambda facts: "no parameter is trained", *_BY_PARAMETERS),
    "inverse": _inverse,
    "both directions": _both_directions,
    "batch sizes": _batch_sizes,
    OWN_DTYPE: _own_dtype,
}
NAMES = (*_JUDGES, MOVED)
