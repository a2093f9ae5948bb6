"""The base distribution of explorers of the line: its density, where its mass is, and nodes to integrate over it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from nfteach.jacobian.bases import log_density, support_of
from nfteach.jacobian.rng import seeded
from nfteach.jacobian.twin import twins_at_rest

__all__ = ["LineBase"]

_NODES = 2001
_NEGLIGIBLE = 1e-12  # of the largest mass of a cell: cells below it are left out
_MIDDLE = 0.96  # the mass between the quantiles that give centre and spread ...
_SPREADS = 2.0537  # ... which for a normal lie this many standard deviations from its mean
_INSIDE = 1e-9  # of the width of the support: how far the nodes keep away from its ends


class LineBase:
    """A copy of a distribution of one number.

    Args:
        base: with one number an event: event shape () or (1,), and no batch; None for the standard normal.

    Attributes:
        centre, spread: numbers; for a normal its mean and standard deviation.
        low, high: the ends of the support, maybe infinite.
        nodes: (n,) in order, closer where there is more mass; they leave out about 1e-9 of it.

    Raises:
        ValueError: if ``base`` is no such distribution, or its density has no area to speak of.
    """

    def __init__(self, base: Distribution | None = None) -> None:
        if base is not None and not isinstance(base, Distribution):
            raise ValueError(f"base must be a torch distribution, but is a {type(base).__name__}")
        given = Normal(0.0, 1.0) if base is None else base
        shape = tuple(given.batch_shape + given.event_shape)
        if shape not in ((), (1,)):
            raise ValueError(f"base must draw one number, but draws numbers of shape {shape}")
        if getattr(support_of(given), "is_discrete", False):
            raise ValueError(f"base must have a density, but {type(given).__name__} is a distribution of whole numbers")
        (self._base,), self._shape = twins_at_rest(given, dtype=torch.float64), shape
        self.low, self.high = self._ends()
        self.centre, self.spread = (0.0, 1.0) if base is None else self._middle()
        self.nodes = self._nodes()

    def density(self, z: Tensor) -> Tensor:
        """p(z) (...) at z (...); zero outside the support."""
        return log_density(self._base, z[..., None]).exp().reshape(z.shape)

    def _ends(self) -> tuple[float, float]:
        """Of the support; a few ulps inside where it has ends."""
        support = support_of(self._base)
        while hasattr(support, "base_constraint"):
            support = support.base_constraint
        ends = [getattr(support, name, sign * math.inf) for name, sign in (("lower_bound", -1), ("upper_bound", 1))]
        low, high = (float(torch.as_tensor(end).reshape(-1)[0]) for end in ends)
        margin = _INSIDE * (high - low if math.isfinite(high - low) else 1.0)
        return low + margin, high - margin

    def _middle(self) -> tuple[float, float]:
        ends = torch.tensor([(1 - _MIDDLE) / 2, (1 + _MIDDLE) / 2], dtype=torch.float64)
        try:
            low, high = self._base.icdf(ends.reshape(2, *self._shape)).reshape(2).tolist()
        except NotImplementedError:
            with seeded(0):
                drawn = self._base.sample((20_000,)).reshape(-1).double()
            low, high = drawn.quantile(ends).tolist()
        if not (math.isfinite(low + high) and high > low):
            raise ValueError(f"base must be spread over the line, but 96 % of it lie between {low:.4g} and {high:.4g}")
        return (low + high) / 2, (high - low) / (2 * _SPREADS)

    def _nodes(self) -> Tensor:
        t = torch.linspace(-25, 25, _NODES, dtype=torch.float64)
        density = self.density(self._spaced(t))
        if not density.isfinite().all():
            raise ValueError("base must have a finite density inside its support")
        mass = density * torch.gradient(self._spaced(t))[0]
        kept = t[mass > _NEGLIGIBLE * mass.max()]
        nodes = self._spaced(torch.linspace(kept[0], kept[-1], _NODES, dtype=torch.float64))
        area = float(torch.trapezoid(self.density(nodes), nodes))
        if not 0.01 < area < 100:
            raise ValueError(f"base must have a density on the line with area 1 under it, but has the area {area:.3g}")
        return nodes

    def _spaced(self, t: Tensor) -> Tensor:
        """Even steps of t -> points of the support: fine in the middle and at its ends, wide in the tails."""
        low, high = self.low, self.high
        if math.isfinite(low) and math.isfinite(high):
            return torch.where(t < 0, low + (high - low) * torch.sigmoid(t), high - (high - low) * torch.sigmoid(-t))
        if math.isfinite(low):
            return low + self.spread * torch.exp(t)
        if math.isfinite(high):
            return high - self.spread * torch.exp(-t)
        return self.centre + self.spread * torch.sinh(t)
