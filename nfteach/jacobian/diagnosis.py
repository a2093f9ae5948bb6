"""Diagnosis: the facts about a map, and the findings that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from .compared import Compared, compared
from .diagnose import diagnose
from .facts import Facts
from .finding import Finding
from .twin import Account

__all__ = ["Diagnosis"]


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
