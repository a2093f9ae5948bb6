"""Finding: one thing that is wrong with a map, or worth knowing, by its code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .numbers import brief

__all__ = ["ERRORS", "NOTES", "Finding"]

ERRORS = frozenset(
    {
        "batch-size",
        "declared-wrong",
        "determinant-changes-sign",
        "gradient-cut",
        "gradient-wrong",
        "inverse-wrong",
        "log-det-per-dimension",
        "log-det-sign",
        "log-det-summed-over-batch",
        "log-det-wrong",
        "non-deterministic",
        "non-finite",
        "not-one-to-one",
        "raises",
        "samples-coupled",
        "singular",
    }
)
NOTES = frozenset(
    {
        "changes-state",
        "ill-conditioned",
        "inverse-limited",
        "inverse-missing",
        "log-det-estimated",
        "log-det-missing",
        "low-precision",
        "not-onto",
    }
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (severity "error") or worth knowing (severity "note").

    Attributes:
        code: such as ``log-det-sign``.
        message: the same in words.
        evidence: where, and how large.
        about: what it concerns: the name of a comparison, such as "log-det" or "inverse", or "forward" or "behaviour".
        gap: how far off, in nats or in coordinates; None where no number says it.
        size: the size of what is off, so that gap / size is relative.
        severity: "error" or "note"; by default as the code is listed in ``ERRORS`` and ``NOTES``.

    Raises:
        ValueError: if the code is in neither ``ERRORS`` nor ``NOTES``.
    """

    code: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    about: str = "behaviour"
    gap: float | None = None
    size: float = 0.0
    severity: str = ""

    def __post_init__(self) -> None:
        if self.code not in ERRORS | NOTES:
            raise ValueError(f"code must be one of {', '.join(sorted(ERRORS | NOTES))}, but is {self.code!r}")
        if not self.severity:
            object.__setattr__(self, "severity", "error" if self.code in ERRORS else "note")

    def __str__(self) -> str:
        facts = ", ".join(f"{key} {brief(value)}" for key, value in self.evidence.items())
        return f"[{self.code}] {self.message}" + (f" ({facts})" if facts else "")
