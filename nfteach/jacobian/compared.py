"""Compared: what a report has checked, and what it has not, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .facts import Facts
from .finding import Finding, counted
from .numbers import ROUNDING, gap
from .signal import UNDECIDED

__all__ = ["AGREES", "DIFFERS", "NAMES", "UNCHECKED", "Compared", "compared"]

Judge = Callable[[Facts], tuple[str, str]]

AGREES, DIFFERS, UNCHECKED = "agrees", "differs", "not compared"


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


def compared(facts: Facts, findings: Sequence[Finding]) -> tuple[Compared, ...]:
    """Return one record for each of ``NAMES``."""
    if facts.behaviour.raised:
        return tuple(Compared(name, UNCHECKED, "the map raised") for name in NAMES)
    errors = [finding for finding in findings if finding.severity == "error"]
    return tuple(
        Compared(name, result, words)
        for name, judge in _JUDGES.items()
        for result, words in [_result(facts, [f for f in errors if f.about == name], judge)]
    )


def _result(facts: Facts, errors: list[Finding], judge: Judge) -> tuple[str, str]:
    if errors:
        return DIFFERS, ", ".join(dict.fromkeys(finding.code for finding in errors))
    why_not, words = judge(facts)
    return (UNCHECKED, why_not) if why_not else (AGREES, words)


def _within(largest: float, unit: str = "") -> str:
    return f"within {'1e-9' if largest < ROUNDING else gap(largest)}{unit}"


def _points(facts: Facts) -> str:
    return counted(len(facts.x), "point", "points")


def _derivative(facts: Facts) -> tuple[str, str]:
    if facts.witnesses is None:
        return "y changes from call to call, or with the other samples", ""
    if facts.witnesses.undecided.all():
        return "differences decide nothing: a kink, or values on a staircase", ""
    return "", f"autograd and central differences, {_points(facts)}"


def _log_det(facts: Facts) -> tuple[str, str]:
    if facts.log_det is None:
        return "the map claims no log-det (pass log_det=)", ""
    usable = facts.finite & facts.log_det_jacobian.isfinite()
    if not usable.any():
        return "not finite at any point", ""
    if facts.samples_coupled:
        return "the samples of a batch depend on each other", ""
    return (
        "",
        f"{_within(float((facts.log_det - facts.log_det_jacobian)[usable].abs().max()), ' nats')}, {_points(facts)}",
    )


def _signal(*which: tuple[str, str]) -> Judge:
    def judge(facts: Facts) -> tuple[str, str]:
        found = [gradient for gradient in facts.signal if (gradient.of, gradient.by) in which]
        if not found:
            return "there is nothing to compare" if facts.signal else "there is no gradient to compare", ""
        if all(gradient.result == UNDECIDED for gradient in found):
            return "differences decide nothing", ""
        return "", "autograd and central differences, along random directions"

    return judge


def _inverse(facts: Facts) -> tuple[str, str]:
    if facts.inverse.error is None:
        return facts.inverse.failure or "no inverse is known (pass inverse=)", ""
    return "", f"x -> y -> x {_within(float(facts.inverse.error.max()))}, {_points(facts)}"


# Name, which its findings are about -> why it was not compared, and how closely it agrees.
_JUDGES = {
    "derivative": _derivative,
    "log-det": _log_det,
    "log-det gradient": _signal(("log-det", "x")),
    "parameter gradients": _signal(("log-det", "parameters"), ("y", "parameters")),
    "inverse": _inverse,
}
NAMES = tuple(_JUDGES)
