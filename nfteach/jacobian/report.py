"""inspect_jacobian, and the report that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt, as_points
from .diagnose import Finding, diagnose
from .html import render_html
from .measure import Claim, Inverse, companions, depends_on_others, jacobian, read_claim, try_inverse
from .structure import Structure, recognise
from .text import render_text

__all__ = ["JacobianReport", "inspect_jacobian"]

# Points looked at to tell structure from accident; fewer given are filled up with neighbours.
ENOUGH_POINTS = 8
# ... up to as many as keep their Jacobians below this, in numbers.
_LARGE = 2_000_000


@dataclass(frozen=True, eq=False)
class JacobianReport:
    """What :func:`inspect_jacobian` found. ``print(report)`` tells it in words; a notebook shows it with a picture.

    Attributes:
        name, kind: of the map: "flow", "transform", "module" or "function".
        x, y: (B, D) the points and their images, flattened.
        jacobian: (B, D, D) float64; entry [b, i, j] is dy_i/dx_j at point b.
        log_det: (B,) nats, as the map claims it; None if it claims none.
        log_det_autograd: (B,) nats, log|det J| of ``jacobian`` by elimination.
        sign: (B,) the sign of det J: +1, -1, or 0.
        condition_number: (B,) the largest stretch over the smallest.
        structure: the :class:`Structure` that J has at every point looked at; None where J is nowhere finite.
        claim, inverse: what the map says, and what came of x -> y -> x.
        formula, terms: the map's own formula (TeX) and its quantities at x, where it tells them.
        terms_per_point: the names of those terms that have a value at each point; the others are parameters.
        moved_by_others: (B,) how far y moves when only other samples change.
        low_precision: "" or why the map would not run in float64.
        findings: what is wrong, and what is worth knowing.
    """

    name: str
    kind: str
    x: Tensor
    y: Tensor
    jacobian: Tensor
    log_det_autograd: Tensor
    sign: Tensor
    condition_number: Tensor
    claim: Claim
    inverse: Inverse
    structure: Structure | None
    log_det_by: str
    per_dimension_by_design: bool
    formula: str
    terms: dict[str, Tensor]
    terms_per_point: frozenset[str]
    moved_by_others: Tensor
    low_precision: str
    eps: float
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", diagnose(self))

    @property
    def dim(self) -> int:
        """D."""
        return self.x.shape[1]

    @property
    def log_det(self) -> Tensor | None:
        return self.claim.values

    @property
    def inverse_error(self) -> Tensor | None:
        """(B,) the largest coordinate of |x - inverse(forward(x))|; None if there is no inverse."""
        return self.inverse.error

    @property
    def log_det_structure(self) -> Tensor:
        """(B,) nats, log|det J| at x by the structure's own short cut; NaN where J is not finite."""
        values = torch.full_like(self.log_det_autograd, torch.nan)
        usable = self.jacobian.flatten(1).isfinite().all(1)
        if self.structure is not None:
            values[usable] = self.structure.log_det[: int(usable.sum())]
        return values

    @property
    def first_terms(self) -> dict[str, Tensor]:
        """The terms at the first point."""
        return {name: value[0] if name in self.terms_per_point else value for name, value in self.terms.items()}

    @property
    def samples_coupled(self) -> bool:
        scale = 1 + self.y.abs().amax(1).nan_to_num(nan=0.0, posinf=0.0)
        return bool((self.moved_by_others > 1e4 * self.eps * scale).any())

    @property
    def finite(self) -> Tensor:
        """(B,) bool: where y, J and the claimed log-det are all finite."""
        finite = self.y.isfinite().all(1) & self.jacobian.flatten(1).isfinite().all(1)
        return finite & self.log_det.isfinite() if self.log_det is not None else finite

    @cached_property
    def singular(self) -> Tensor:
        """(B,) bool: where det J is zero up to rounding."""
        if self.structure is not None and "triangular" in self.structure.name:
            # A product of the diagonal stays exact however badly conditioned the triangle is.
            return (self.log_det_structure == -torch.inf) & self.finite
        # Rows and columns of very different size are no loss of rank: bring the largest entry of each to 1 first.
        J = self.jacobian.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        for axis in (2, 1):
            largest = J.abs().amax(axis, keepdim=True)
            J = J / largest.where(largest > 0, torch.ones_like(largest))
        values = torch.linalg.svdvals(J)
        return (values[:, -1] <= self.dim * self.eps * values[:, 0]) & self.finite

    @property
    def ok(self) -> bool:
        """True if nothing is wrong; notes do not count."""
        return not any(finding.severity == "error" for finding in self.findings)

    def check(self) -> JacobianReport:
        """Return the report if it is ``ok``, for use in tests.

        Raises:
            AssertionError: with every error found.
        """
        errors = [str(finding) for finding in self.findings if finding.severity == "error"]
        if errors:
            raise AssertionError(f"{self.name}, D = {self.dim}: " + "\n".join(errors))
        return self

    def __repr__(self) -> str:
        structure = self.structure.name if self.structure is not None else "unknown"
        verdict = "ok" if self.ok else ", ".join(f.code for f in self.findings if f.severity == "error")
        return f"JacobianReport({self.name}, D={self.dim}, points={len(self.x)}, structure={structure!r}, {verdict})"

    def __str__(self) -> str:
        return render_text(self)

    def _repr_html_(self) -> str:
        return render_html(self)


def inspect_jacobian(
    transform: Any,
    x: Any,
    *,
    log_det: Callable[[Tensor], Any] | None = None,
    inverse: Callable[[Tensor], Any] | None = None,
) -> JacobianReport:
    """Look at the Jacobian of any map: its entries, its structure, and whether log-det and inverse are right.

    The work is done on a float64 copy: parameters, gradients, buffers, mode and the random state stay as they are.

    Args:
        transform: a flow; any ``torch.distributions.Transform``; a module whose call returns ``(y, log_det)``, its
            inverse found as ``.inverse``; or any function of x that returns ``y`` or ``(y, log_det)``.
        x: the points to look at, (D,), (B, D), or events of more dimensions, which are flattened.
        log_det: x -> log|det J| in nats, where the transform does not tell it.
        inverse: y -> x, where the transform does not tell it.

    Raises:
        ValueError: if x is no finite floating tensor of the right shape, the map does not keep the number of
            dimensions, or it cannot be copied.

    Example:
        >>> shear = lambda x: torch.stack([x[0], x[1] + x[0] ** 2])
        >>> report = inspect_jacobian(shear, torch.tensor([1.0, 2.0]), log_det=lambda x: 0.0)
        >>> report.structure.name
        'coupling'
        >>> report.jacobian[0]
        tensor([[1., 0.],
                [2., 1.]], dtype=torch.float64)
        >>> report.check().ok
        True
    """
    x = as_points(x)
    low_precision = ""
    try:
        f = adapt(transform, x, log_det, inverse)
        points = x.double().reshape(-1, f.dim)
        J, y, raw = jacobian(f, points)
    except Exception as error:
        # Perhaps the map holds to its own dtype. If it fails there too, that error is the one to see.
        f = adapt(transform, x, log_det, inverse, dtype=None)
        points = x.reshape(-1, f.dim)
        J, y, raw = jacobian(f, points)
        low_precision = f"{type(error).__name__}: {error}"
    extra, extra_J = _companions(f, transform, points)
    moved = _moved(f, points, extra, y)
    eps = torch.finfo(y.dtype).eps
    if (moved > 1e4 * eps * (1 + y.abs().amax(1))).any():
        J, y, raw = jacobian(f, points, rows_apart=True)
        extra_J = extra_J[:0]
    finite = J.flatten(1).isfinite().all(1)
    looked_at = torch.cat([J[finite], extra_J])
    with torch.no_grad():
        sign, log_abs_det = torch.linalg.slogdet(J.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
        values = torch.linalg.svdvals(J.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
        nan = torch.full_like(log_abs_det, torch.nan)
        terms, per_point = _terms(f, points)
        return JacobianReport(
            name=f.name,
            kind=f.kind,
            x=points,
            y=y,
            jacobian=J,
            log_det_autograd=log_abs_det.where(finite, nan),
            sign=sign.where(finite, nan),
            condition_number=(values[:, 0] / values[:, -1]).where(finite, nan),
            claim=read_claim(raw, points, f.event_shape),
            inverse=try_inverse(f, points, y),
            structure=recognise(looked_at, eps=eps) if len(looked_at) else None,
            log_det_by=f.log_det_by,
            per_dimension_by_design=f.per_dimension,
            formula=f.formula,
            terms=terms,
            terms_per_point=per_point,
            moved_by_others=moved,
            low_precision=low_precision,
            eps=eps,
        )


def _companions(f: Map, transform: Any, points: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours of the points given and the Jacobians there, as many as make enough; only where all is finite."""
    count = min(ENOUGH_POINTS, _LARGE // f.dim**2) - len(points)
    none = points[:0], points.new_zeros(0, f.dim, f.dim, dtype=torch.float64)
    if count < 1:
        return none
    try:
        extra = companions(f, transform, points, count)
        J, y, _ = jacobian(f, extra)
    except Exception:  # the map may be at home only near the points given; these are a bonus
        return none
    good = J.flatten(1).isfinite().all(1) & y.isfinite().all(1)
    return extra[good], J[good]


def _moved(f: Map, points: Tensor, extra: Tensor, y: Tensor) -> Tensor:
    """(B,) how far each output moves when the other points of the batch are exchanged for other points."""
    pool = torch.cat([extra, points.roll(1, 0)])
    if len(points) > 1:
        # Rolling by one gives every point another one's place; neighbours come first where there are some.
        others = pool[torch.arange(len(points)) % len(pool)] if len(extra) else points.roll(1, 0)
        return depends_on_others(f, points, others, y)
    if not len(extra):
        return points.new_zeros(1)
    with torch.no_grad():
        beside = [f(torch.cat([points, other.unsqueeze(0)]))[0][:1] for other in (extra[0], extra[-1])]
    return (beside[0] - beside[1]).abs().amax(1)


def _terms(f: Map, points: Tensor) -> tuple[dict[str, Tensor], frozenset[str]]:
    """The map's own quantities by name, and which of them are given point by point."""
    if f.terms is None:
        return {}, frozenset()
    events = points.reshape(-1, *f.event_shape)
    with torch.random.fork_rng(devices=[]):
        terms = {name: value.detach() for name, value in f.terms(events.clone()).items()}
        # A vector of D parameters and D points look alike: see which grow when a point is added.
        longer = f.terms(torch.cat([events, events[:1]]))
    per_point = (name for name, value in terms.items() if value.shape[:1] != longer[name].shape[:1])
    return terms, frozenset(per_point)
