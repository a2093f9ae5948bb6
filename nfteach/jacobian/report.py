"""JacobianReport: what was measured of a map, what follows from it, and how it is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from .checked import Accepted, failures
from .diagnosis import Diagnosis
from .shown import Shown
from .views.document import Document
from .views.words import jacobian_document

__all__ = ["JacobianReport"]


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
                ``atol`` plus ``rtol`` times their size.

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
