"""Two maps at the same points: what differs first, where, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .finding import Finding
from .numbers import coordinate, number
from .tolerances import apart, conditioning, tolerance
from .views.comparison import comparison_html, comparison_text

if TYPE_CHECKING:
    from .report import JacobianReport

__all__ = ["Comparison", "Difference", "compare"]


class Difference(NamedTuple):
    """How one quantity differs between two maps.

    Attributes:
        what: "y", "J" or "log|det J|".
        gap: (B,) the largest distance at each point; infinite where only one of the two is finite.
        apart: (B,) bool, where that is more than rounding explains.
        index: the entry that differs most: () of a log-det, (i,) of y, (i, j) of J.
        values: that entry in A and in B.
    """

    what: str
    gap: Tensor
    apart: Tensor
    index: tuple[int, ...]
    values: tuple[float, float]

    @property
    def same(self) -> bool:
        return not self.apart.any()

    @property
    def first(self) -> int | None:
        """The first point where they differ; None if they do not."""
        return None if self.same else int(self.apart.int().argmax())

    @property
    def worst(self) -> int:
        """The point where they differ most."""
        return int(self.gap.argmax())

    @property
    def entry(self) -> str:
        """The entry that differs most, as it is written; "" of a log-det, which has but one."""
        if self.what == "y":
            return coordinate("y", *self.index)
        if self.what == "J":
            i, j = self.index
            return f"entry ({i + 1}, {j + 1}), d{coordinate('y', i)}/d{coordinate('x', j)}"
        return ""

    def __str__(self) -> str:
        if self.same:
            return "the same to rounding"
        a, b = self.values
        sizes = f"{self.entry + ' = ' if self.entry else ''}{number(a)} in A, {number(b)} in B"
        if len(self.gap) == 1:
            return f"differs: {sizes}"
        first, most = self.first + 1, self.worst + 1
        where = f"first and most at point {most}" if first == most else f"first at point {first}, most at point {most}"
        return f"differs at {int(self.apart.sum())} of {len(self.gap)} points, {where}: {sizes}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two reports of maps at the same points: a broken layer beside its repaired twin, a fast layer beside a slow
    reference, one layer before and after training. ``print`` tells it in words; a notebook shows it with pictures.

    Attributes:
        report, other: A and B in what is printed.

    Raises:
        ValueError: if the two looked at other points.

    Example:
        >>> from nfteach.jacobian import inspect_jacobian
        >>> x = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
        >>> right = inspect_jacobian(torch.sinh, x, log_det=lambda x: x.cosh().log().sum(-1))
        >>> wrong = inspect_jacobian(torch.sinh, x, log_det=lambda x: x.sinh().log().sum(-1))
        >>> comparison = right.compare(wrong)
        >>> comparison.same, comparison.jacobian.same, comparison.log_det.same
        (False, True, False)
        >>> print(comparison.summary)
        y and J are the same; only the log-dets differ. B's is wrong: its own report says so.
    """

    report: JacobianReport
    other: JacobianReport

    def __post_init__(self) -> None:
        a, b = self.report, self.other
        if not hasattr(b, "jacobian") or not hasattr(b, "findings"):
            raise ValueError(
                f"other must be a JacobianReport, as inspect_jacobian returns it, but is a {type(b).__name__}"
            )
        again = "inspect both maps at the same x, then compare"
        if a.x.shape != b.x.shape:
            raise ValueError(f"other: it looked at {_points(b.x)}, this report at {_points(a.x)}; {again}")
        far = (a.x.double() - b.x.double()).abs().amax(1)
        if (far > 0).any():
            at = int(far.argmax())
            raise ValueError(
                f"other: it looked at other points (point {at + 1} lies {number(float(far[at]))} away from this "
                f"report's); {again}"
            )

    @cached_property
    def y(self) -> Difference:
        """Of the images."""
        a, b = self.report.y.double(), self.other.y.double()
        size = 1 + torch.maximum(_finite(a).abs().amax(1), _finite(b).abs().amax(1))
        return _difference("y", a, b, self._precision * size)

    @cached_property
    def jacobian(self) -> Difference:
        """Of the Jacobians."""
        a, b = self.report.jacobian, self.other.jacobian
        size = torch.maximum(_finite(a).abs().amax((1, 2)), _finite(b).abs().amax((1, 2)))
        condition = torch.maximum(conditioning(self.report), conditioning(self.other))
        return _difference("J", a, b, (self._precision + 100 * self._eps * condition) * size)

    @cached_property
    def log_det(self) -> Difference:
        """Of the log-dets as the maps claim them; for a map that claims none, of its J's."""
        allowed = torch.maximum(tolerance(self.report), tolerance(self.other))
        return _difference("log|det J|", _claimed(self.report), _claimed(self.other), allowed)

    @property
    def structures(self) -> tuple[str, str]:
        """The names of the two structures; "unknown" where J is nowhere finite."""
        a, b = (r.structure.name if r.structure is not None else "unknown" for r in (self.report, self.other))
        return a, b

    @cached_property
    def only_in_report(self) -> tuple[Finding, ...]:
        """What has been found in A and not in B."""
        return _without(self.report.findings, self.other.findings)

    @cached_property
    def only_in_other(self) -> tuple[Finding, ...]:
        """What has been found in B and not in A."""
        return _without(self.other.findings, self.report.findings)

    @property
    def differences(self) -> tuple[Difference, Difference, Difference]:
        """Of y, of J, of the log-det: what comes first can be why the next differs."""
        return self.y, self.jacobian, self.log_det

    @property
    def same(self) -> bool:
        """Whether y, J and the log-det agree at every point, but for rounding as J's condition number enlarges it.

        An inverse that only one of them has is no difference of the maps; see ``only_in_report``, ``only_in_other``.
        """
        return all(difference.same for difference in self.differences)

    @property
    def summary(self) -> str:
        """One or two sentences: what differs, and what that means."""
        return " ".join(_summary(self))

    @property
    def _eps(self) -> float:
        return max(self.report.eps, self.other.eps)

    @property
    def _precision(self) -> float:
        return 1e-6 if self._eps < 1e-12 else 1e-3

    def __repr__(self) -> str:
        differ = ", ".join(difference.what for difference in self.differences if not difference.same)
        verdict = f"{differ} differ" if differ else "the same"
        return f"Comparison({self.report.name}, {self.other.name}, points={len(self.report.x)}, {verdict})"

    def __str__(self) -> str:
        return comparison_text(self)

    def _repr_html_(self) -> str:
        return comparison_html(self)


def compare(report: JacobianReport, other: JacobianReport) -> Comparison:
    """Lay two reports of maps at the same points side by side.

    Raises:
        ValueError: if ``other`` is no report, or looked at other points.
    """
    return Comparison(report, other)


def _summary(c: Comparison) -> Iterator[str]:
    y, J, log_det = (difference.same for difference in c.differences)
    raised = [name for name, report in (("A", c.report), ("B", c.other)) if report.behaviour.raised]
    if raised:
        yield f"{' and '.join(raised)} raised, so there is nothing to compare."
    elif y and J and log_det:
        yield "The same map at every point looked at, to rounding."
        if c.only_in_report or c.only_in_other:
            yield "Yet not all is found in both: see the findings."
    elif y and J:
        yield "y and J are the same; only the log-dets differ."
        wrong = [name for name, report in (("A", c.report), ("B", c.other)) if _log_det_wrong(report)]
        if len(wrong) == 1:
            yield f"{wrong[0]}'s is wrong: its own report says so."
        elif wrong:
            yield "Both are wrong: their own reports say so."
        else:
            yield "At most one of them can be right."
    elif y:
        yield "y is the same at the points looked at, but not J: the maps touch there and part at once."
    elif J:
        yield "J is the same" + (", and so is the log-det" if log_det else "") + "; y differs: the maps are shifted."
    else:
        yield "They are different maps: " + ("y and J differ" if log_det else "y, J and the log-det differ") + "."
        if log_det:
            yield "Both change volume alike all the same."


def _log_det_wrong(report: JacobianReport) -> bool:
    return any(f.code.startswith("log-det") and "of the inverse" not in f.message for f in report.findings)


def _difference(what: str, a: Tensor, b: Tensor, allowed: Tensor) -> Difference:
    """Of a and b (B, ...), where (B,) ``allowed`` is rounding."""
    entries = apart(a, b)
    gap = entries.flatten(1).amax(1) if entries.dim() > 1 else entries
    worst = int(gap.argmax())
    flat = int(entries[worst].argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), entries.shape[1:]))
    values = float(a[worst].flatten()[flat]), float(b[worst].flatten()[flat])
    return Difference(what, gap, ~(gap <= allowed), index, values)


def _claimed(report: JacobianReport) -> Tensor:
    return report.log_det if report.log_det is not None else report.log_det_jacobian


def _finite(values: Tensor) -> Tensor:
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _points(x: Tensor) -> str:
    return f"{len(x)} point{'s' if len(x) > 1 else ''} of {x.shape[1]} dimension{'s' if x.shape[1] > 1 else ''}"


def _without(findings: tuple[Finding, ...], others: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings that have no counterpart in ``others``; the map's and its inverse's log-det are two things."""

    def key(finding: Finding) -> tuple[str, bool]:
        return finding.code, "of the inverse" in finding.message

    left = Counter(key(finding) for finding in others)
    alone = []
    for finding in findings:
        if left[key(finding)]:
            left[key(finding)] -= 1
        else:
            alone.append(finding)
    return tuple(alone)
