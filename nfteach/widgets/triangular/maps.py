"""A map x -> z that is asked for its ordering and for its conditionals, one dimension after another."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.special import erfc, ndtri

from nfteach.flows import RNADE
from nfteach.flows.rnade import TriangularMap
from nfteach.jacobian import AnyMap, recognise
from nfteach.jacobian.pattern import topological_order
from nfteach.jacobian.rng import seeded

__all__ = ["OrderedMap", "log_normal", "untrained"]

_LOOKED_AT = 24  # points at which J is taken to tell structure from accident


class OrderedMap(AnyMap):
    """A copy of a map x -> z of D dimensions, with the order in which its Jacobian is lower triangular.

    Args:
        model: an RNADE, or a map as :class:`~nfteach.jacobian.AnyMap` takes it.
        points: (N, D), points at which it must work.

    Attributes:
        structure: of J, over many points; see :func:`nfteach.jacobian.recognise`.
        triangular: whether there is such an order.
        rows, columns: the order of outputs and that of inputs; the natural one if there is none.

    Raises:
        ValueError: if it can't be called with the points, or J is not finite at any of them.
    """

    def __init__(self, model: Any, points: Tensor) -> None:
        super().__init__(model.as_flow() if isinstance(model, RNADE) else model, points=points[:_LOOKED_AT])
        self.name = "RNADE" if self.name == "TriangularMap" else self.name
        J = self.jacobian(points[:_LOOKED_AT])
        J = J[J.flatten(1).isfinite().all(1)]
        if not len(J):
            raise ValueError(f"the Jacobian of {self.name} is NaN or infinite at all of the points looked at")
        self.structure = recognise(J)
        self.rnade = self.transform.rnade if isinstance(self.transform, TriangularMap) else None
        # An RNADE knows its ordering; units that are off may make others look possible.
        found = topological_order(~self.structure.zero) if self.rnade is None else (self.rnade.ordering.tolist(),) * 2
        self.triangular = found is not None
        self.rows, self.columns = map(list, found or (range(self.dim), range(self.dim)))
        # The points' own log-diagonals, (N, D) in the order, to know how large they are.
        self.log_diagonals = J[:, self.rows, self.columns].abs().log()

    @property
    def ones(self) -> Tensor:
        """(D, D) bool, the entries of J that are 1 by construction. An RNADE has none."""
        return self.structure.one if self.rnade is None else torch.zeros_like(self.structure.one)

    @property
    def zeros(self) -> Tensor:
        """(D, D) bool, the entries of J that are 0 by construction."""
        if self.rnade is None:
            return self.structure.zero
        place = self.rnade.ordering.argsort()
        return place[:, None] < place[None, :]

    def solved(self, x: Tensor, z: Tensor) -> Tensor | None:
        """The x (D,) that the inverse finds from z (D,); None if there is no inverse.

        Of an RNADE the D equations in one unknown are solved side by side, each given the x (D,) before it, which is
        known here: the same equations as the inverse solves one after another, in a fraction of the time.
        """
        if self.rnade is not None:
            with torch.no_grad():
                return self.rnade.conditionals(x.to(self.dtype)).from_normal(z.to(self.dtype)).double()
        return self.inverse(z) if self.has_inverse else None

    def conditionals(self, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Along ``grid`` (T, D), in the order: z_d and log q_d(. given the other x), both (T, D).

        Column d of the grid holds values of the d-th dimension of the order, ``columns[d]``, while the others stay at
        x (D,). The conditional density is that of a standard normal z, in nats.
        """
        if self.rnade is not None:
            here = self.rnade.conditionals(x.to(self.dtype))
            mixtures = type(here)(*(part[self.columns] for part in here))
            values = grid.to(self.dtype)
            # Good to z = -37 and 37, far outside the picture, and at once; `to_normal` searches for a root.
            w = (values[..., None] - mixtures.mu) / mixtures.sigma
            # (And erfc keeps the tails, which torch's `ndtr` loses.)
            below, above = ((mixtures.alpha * erfc(side * w / math.sqrt(2))).sum(-1) / 2 for side in (-1, 1))
            z = torch.where(below < above, ndtri(below), -ndtri(above))
            return z.double(), mixtures.log_density(values).double()
        order = torch.arange(self.dim)
        points = x.expand(len(grid), self.dim, self.dim).clone()
        points[:, order, self.columns] = grid
        rows = torch.eye(self.dim, dtype=torch.float64)[self.rows].expand_as(points)
        z, slopes = self.pull_back(points, rows)
        z = z[:, order, self.rows]
        return z, log_normal(z) + slopes[:, order, self.columns].abs().log()


def log_normal(z: Tensor) -> Tensor:
    """log phi(z) in nats, elementwise."""
    return -0.5 * z * z - 0.5 * math.log(2 * math.pi)


def untrained(ordering: tuple[int, ...], seed: int = 6) -> RNADE:
    """An RNADE that nobody has trained: the same random weights each time, large enough for bent conditionals."""
    with seeded(seed), torch.no_grad():
        rnade = RNADE(len(ordering), hidden=12, components=3, ordering=ordering)
        rnade.W.mul_(1.5)
        for name, size in (("V_alpha", 1.0), ("V_mu", 0.5), ("V_sigma", 0.12)):
            getattr(rnade, name).normal_(0.0, size)
        rnade.b_mu.copy_(torch.tensor([-1.1, 0.0, 1.1]))
        rnade.b_sigma.fill_(-0.9)
    return rnade
