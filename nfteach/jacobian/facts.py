"""Facts: everything that was measured of a map at some points, and what follows from it by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .behaviour import Behaviour, is_strong
from .calls import size_of
from .declared import Contradiction
from .derivative import Derivative
from .measure import Claim, Inverse
from .signal import Gradient
from .step import Kept, Step
from .stored import Stored
from .structure import Structure

__all__ = ["Facts"]

# The smallest stretch of J, relative to the largest, that is none in any arithmetic.
_FLAT = 1e-3
# Nats beyond which log|det J| is rounding noise.
_BLUR = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Facts(Derivative):
    """What was measured of a map at B points of D dimensions: its :class:`Derivative`, and the rest.

    Attributes:
        name, kind: of the map: "flow", "transform", "module" or "function".
        x, y: (B, D) the points and their images, flattened.
        log_det: (B,) nats, as the map claims it; None if it claims none.
        structure: the :class:`Structure` that J has at every point looked at; None where J is nowhere finite.
        claim, inverse: what the map says, and what came of x -> y -> x.
        formula, terms: the map's own formula (TeX) and its quantities at x, where it tells them.
        terms_per_point: the names of those terms that have a value at each point; the others are parameters.
        eps: the rounding unit of the arithmetic.
        behaviour: what happens when it is called again, with other samples, with another random state.
        other_claims: log-dets that the map claims in other places, by name.
        kink: (B,) bool, where J is one of several: differences decide nothing, and close by the log-det is right.
        contradictions: what a torch ``Transform`` declares of itself and does not hold.
        estimate: mean and standard error (B,) of a log-det that is drawn, in nats; None of others.
        signal: gradients of the log-det and of y beside differences; empty where they could not be compared.
        inverse_cut: what the inverse gives without a gradient with respect to y: "x", "its log-det".
        stored: what the rounding of the numbers that the map stores explains.
        step: how far the map contradicts itself once its parameters have moved in place.
        kept: values that were computed from parameters once, and do not follow them.
    """

    name: str
    kind: str
    x: Tensor
    y: Tensor
    log_det_by: str
    per_dimension_by_design: bool
    formula: str
    eps: float
    behaviour: Behaviour
    claim: Claim = field(default_factory=lambda: Claim(None, "none"))
    inverse: Inverse = field(default_factory=Inverse)
    terms: dict[str, Tensor] = field(default_factory=dict)
    terms_per_point: frozenset[str] = frozenset()
    structure: Structure | None = None
    kink: Tensor | None = None
    other_claims: dict[str, Claim] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    estimate: tuple[Tensor, Tensor] | None = None
    signal: tuple[Gradient, ...] = ()
    inverse_cut: tuple[str, ...] = ()
    stored: Stored = field(default_factory=Stored)
    step: Step = field(default_factory=Step)
    kept: tuple[Kept, ...] = ()

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
        values = torch.full_like(self.log_det_jacobian, torch.nan)
        usable = self.jacobian.flatten(1).isfinite().all(1)
        if self.structure is not None and self.block is None:
            values[usable] = self.structure.log_det[: int(usable.sum())]
        return values

    @property
    def first_terms(self) -> dict[str, Tensor]:
        """The terms at the first point."""
        return {name: value[0] if name in self.terms_per_point else value for name, value in self.terms.items()}

    @property
    def repeatable(self) -> bool:
        """Whether the same x gives the same y, call after call from the same random state."""
        return max(self.behaviour.calls.again, self.behaviour.calls.after_others) <= self.behaviour.noticeable

    @property
    def steady(self) -> bool:
        """Whether the same x gives the same y, call after call and whatever the random state."""
        return self.repeatable and self.behaviour.calls.noise <= self.behaviour.noticeable

    @property
    def well_defined(self) -> bool:
        """Whether the same x gives the same y in any call; other samples in the batch change it slightly at most."""
        return self.steady and not self.strongly_coupled

    @property
    def loose(self) -> float:
        """How far y moves at the same x, with other samples, random states or calls; 0 if that is rounding."""
        calls = self.behaviour.calls
        moved = max(self.coupling, calls.again, calls.noise, calls.after_others)
        return moved if moved > self.behaviour.noticeable else 0.0

    @property
    def log_det_drawn(self) -> bool:
        """Whether the same x gets another log-det from call to call, such as a random estimate of a trace."""
        return self.behaviour.calls.drawn > self.noticeable_in_log_det

    @property
    def log_det_repeats(self) -> bool:
        """Whether the same x gets the same log-det, call after call from the same random state."""
        return self.behaviour.calls.log_det_again <= self.noticeable_in_log_det and not self.log_det_stale

    @property
    def log_det_stale(self) -> bool:
        """Whether the log-det depends on what the map was called with before."""
        return self.behaviour.calls.log_det_after_others > self.noticeable_in_log_det

    @property
    def noticeable_in_log_det(self) -> float:
        """What is more than rounding in the log-det, in nats."""
        size = 1.0 if self.log_det is None else size_of(self.log_det)
        return min(max(1e-6, 1e4 * self.eps), 0.1) * size

    @property
    def coupling(self) -> float:
        """How far an output moves, at most, when only the other points of the batch change."""
        return float(self.behaviour.moved_by_others.max())

    @property
    def samples_coupled(self) -> bool:
        """Whether that is more than rounding."""
        return self.coupling > self.behaviour.noticeable

    @property
    def strongly_coupled(self) -> bool:
        """Whether that is so much that the log-det of one point means nothing."""
        return is_strong(self.coupling, self.y)

    @property
    def finite(self) -> Tensor:
        """(B,) bool: where y, J and the claimed log-det are all finite."""
        finite = self.y.isfinite().all(1) & self.jacobian.flatten(1).isfinite().all(1)
        return finite & self.log_det.isfinite() if self.log_det is not None else finite

    @cached_property
    def singular(self) -> Tensor:
        """(B,) bool: where det J is zero up to rounding."""
        if self.block is not None:
            return self.sign == 0
        if self.structure is not None and "triangular" in self.structure.name:
            # A product of the diagonal stays exact however badly conditioned the triangle is.
            return (self.log_det_structure == -torch.inf) & self.finite
        # Rows and columns of very different size are no loss of rank: bring the largest entry of each to 1 first.
        J = self.jacobian.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        for axis in (2, 1):
            largest = J.abs().amax(axis, keepdim=True)
            J = J / largest.where(largest > 0, torch.ones_like(largest))
        values = torch.linalg.svdvals(J)
        return (values[:, -1] <= min(self.dim * self.eps, _FLAT) * values[:, 0]) & self.finite

    @property
    def regular(self) -> Tensor:
        """(B,) bool: where all is finite, and J is not singular."""
        return self.finite & ~self.singular

    @cached_property
    def blur(self) -> Tensor:
        """(B,) nats: how far log|det J| moves if each row of J is off by the rounding of its y, as 1 - tanh² is."""
        if self.block is not None:
            return torch.zeros_like(self.log_det_jacobian)
        J = self.jacobian.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        y = self.y.double().abs()
        y = y if y.shape[1] == self.dim else y.amax(1, keepdim=True)
        by_entry = torch.linalg.inv_ex(J).inverse.mT * (J != 0) * y.unsqueeze(2)
        return (4 * self.eps * by_entry.flatten(1).norm(dim=1)).nan_to_num(nan=0.0, posinf=0.0)

    @property
    def blurred(self) -> Tensor:
        """(B,) bool: where that is so much that log|det J| is not known."""
        return self.blur > _BLUR
