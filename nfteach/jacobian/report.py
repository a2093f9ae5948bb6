"""JacobianReport: what was measured of a map, what follows from it, how it is shown, and ``check`` for tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from numbers import Real
from typing import Any, NamedTuple

from .compared import DIFFERS, NAMES, UNCHECKED
from .diagnosis import Diagnosis
from .finding import ERRORS, NOTES, Finding
from .shown import Shown
from .views.document import Document
from .views.words import jacobian_document

__all__ = ["Accepted", "JacobianReport", "failures"]


class Accepted(NamedTuple):
    """Comparisons that ``check`` requires, and findings that it accepts.

    Attributes:
        require: names of comparisons that must have been made.
        ignore: codes of findings that are accepted.
        atol, rtol: an error is accepted up to ``atol`` plus ``rtol`` times the size of what is off.
    """

    require: Collection[str] = ()
    ignore: Collection[str] = ()
    atol: float = 0.0
    rtol: float = 0.0

    def checked(self) -> Accepted:
        """Return self; raise ValueError for an unknown name or a negative tolerance."""
        known = {"require": NAMES, "ignore": sorted(ERRORS | NOTES)}
        for argument, names in known.items():
            given = getattr(self, argument)
            several = isinstance(given, Collection) and not isinstance(given, str)
            if not several or any(name not in names for name in given):
                raise ValueError(f"{argument} must hold some of {', '.join(names)}, but is {given!r}")
        if not all(isinstance(one, Real) and one >= 0 for one in (self.atol, self.rtol)):
            raise ValueError(f"atol and rtol must be numbers from 0 on, but are {self.atol!r} and {self.rtol!r}")
        return self

    def small(self, gap: float, size: float) -> bool:
        """Return True for a gap that is accepted."""
        return gap <= self.atol + self.rtol * size


def failures(findings: Iterable[Finding], report: Diagnosis | None, accepted: Accepted) -> list[str]:
    """Return what is wrong with one map, in words: errors that are not accepted, and comparisons that are missing.

    Args:
        findings: those of the map.
        report: its report; None if there is none, so that nothing was compared.
        accepted: what is demanded and accepted.
    """
    wrong = [
        str(finding)
        for finding in findings
        if finding.severity == "error"
        and finding.code not in accepted.ignore
        and not (finding.gap is not None and accepted.small(finding.gap, finding.size))
    ]
    compared = [(name, UNCHECKED, "there is no report") for name in NAMES] if report is None else report.compared
    noted = {finding.about for finding in findings if finding.severity == "note"} - {
        finding.about for finding in findings if finding.severity == "error"
    }
    return wrong + [
        f"[required] {name} {'was not compared' if result == UNCHECKED else 'differs'}: {words}"
        for name, result, words in compared
        if name in accepted.require and (result == UNCHECKED or (result == DIFFERS and name in noted))
    ]


class JacobianReport(Shown, Diagnosis):
    """The result of :func:`inspect_jacobian`: the attributes of :class:`Facts`, and findings.

    ``print(report)`` shows it in words; a notebook shows it with a picture. ``bool(report)`` is ``report.ok``.
    """

    def check(
        self, *, require: Collection[str] = (), ignore: Collection[str] = (), atol: float = 0.0, rtol: float = 0.0
    ) -> JacobianReport:
        """Return the report if nothing is wrong, for use in tests.

        Args:
            require: what must have been compared, by the names in ``report.compared``, such as ``"log-det"``.
            ignore: codes of findings that are accepted.
            atol, rtol: errors of log-dets in nats, and of coordinates after x -> y -> x, that are accepted: up to
                ``atol`` plus ``rtol`` times their size. No wrong gradient is accepted by its size.

        Raises:
            AssertionError: with every error found, and all that was required and not compared.
            ValueError: if ``require`` or ``ignore`` has an unknown name, or a tolerance is negative.
        """
        wrong = failures(self.findings, self, Accepted(require, ignore, atol, rtol).checked())
        if wrong:
            raise AssertionError(f"{self.name}, D = {self.dim}: " + "\n".join(wrong))
        return self

    def document(self) -> Document:
        """Return what is shown."""
        return jacobian_document(self)

    def __rich_repr__(self) -> Iterator[Any]:
        yield self.name
        yield "D", self.dim
        yield "points", len(self.x)
        yield "structure", self.structure.name if self.structure is not None else "unknown"
        yield "ok", self.ok
        if not self.ok:
            yield "errors", [finding.code for finding in self.findings if finding.severity == "error"]
