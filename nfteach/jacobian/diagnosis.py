"""Diagnosis: the facts about a map, and the findings that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .compared import Compared, compared
from .diagnose import diagnose
from .facts import Facts
from .finding import Finding

__all__ = ["Diagnosis"]


@dataclass(frozen=True, eq=False)
class Diagnosis(Facts):
    """Facts with findings.

    Attributes:
        perturb: by how much the parameters of the copies were moved, relative to their size; None without copies.
        moved: the diagnosis of each copy whose parameters were moved.
        findings: what is wrong, and what is worth knowing; errors first.
        compared: what was checked, and what was not, with the reason.
    """

    perturb: float | None = None
    moved: tuple[Diagnosis, ...] = ()
    findings: tuple[Finding, ...] = field(init=False)
    compared: tuple[Compared, ...] = field(init=False)

    def __post_init__(self) -> None:
        copies = tuple(finding for copy in self.moved for finding in copy.findings)
        object.__setattr__(self, "findings", diagnose(self, copies, self.perturb))
        object.__setattr__(self, "compared", compared(self, self.findings))

    @property
    def ok(self) -> bool:
        """True if there is no error; notes do not count. ``bool(report)`` is the same."""
        return not any(finding.severity == "error" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok
