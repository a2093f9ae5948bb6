"""What a flow is aimed at, a density that may lack its factor, read in one way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.widgets.planes import cells, checked_extent

__all__ = ["Aim"]

_CELLS = 500  # along each side, where the normaliser must be found by quadrature


class Aim:
    """log p up to a constant, and that constant.

    Args:
        target: an ``Energy`` of :mod:`nfteach.targets`, a distribution, anything with ``log_prob``, or a function from
            points (N, D) to log-densities (N,), with or without their constant.
        dim: D.
        extent: (left, right, bottom, top), over which exp(log p) is integrated where nothing else tells log Z; by
            default the target's own, or (-4, 4, -4, 4).

    Attributes:
        log_z: log Z in nats: the target's ``log_normaliser``; 0 for a distribution; for a function, by quadrature on
            ``extent`` in the plane, and None in more dimensions.
        extent: where p is at home.

    Raises:
        ValueError: if it can't be asked for log-densities, or its factor is not finite.
    """

    def __init__(self, target: Any, dim: int = 2, extent: Any = None) -> None:
        self._f: Callable[[Tensor], Tensor] = getattr(target, "log_prob", target)
        if not callable(self._f):
            raise ValueError(
                "target must have log_prob, as the energies and distributions of nfteach.targets, or be a function of "
                f"points (N, {dim}), but is a {type(target).__name__}"
            )
        own = getattr(target, "extent", None) if extent is None else extent
        self.extent = (-4.0, 4.0, -4.0, 4.0) if own is None else checked_extent(own)
        if dim == 2:
            self.log_prob(torch.zeros(3, 2))
        self.log_z: float | None = None
        if hasattr(target, "log_normaliser"):
            self.log_z = float(target.log_normaliser)
        elif isinstance(target, Distribution):
            self.log_z = 0.0
        elif dim == 2:
            left, right, bottom, top = self.extent
            cell = (right - left) * (top - bottom) / _CELLS**2
            points = cells(self.extent, (_CELLS, _CELLS)).reshape(-1, 2)
            self.log_z = self.log_prob(points).logsumexp(0).item() + math.log(cell)
        if self.log_z is not None and not math.isfinite(self.log_z):
            raise ValueError(f"target: its normaliser must be positive and finite, but log Z is {self.log_z}")

    def log_prob(self, points: Tensor) -> Tensor:
        """Return log p up to the constant, (...) in nats, at points (..., D), in their dtype or in float32."""
        with torch.no_grad():
            try:
                values = self._f(points)
            except RuntimeError:  # a network of float32, a torch distribution without float64
                values = self._f(points.float())
        if not isinstance(values, Tensor) or values.shape != points.shape[:-1]:
            came = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(f"target must give one log-density a point, {tuple(points.shape[:-1])}, but gave {came}")
        return values.detach().to(points.dtype).nan_to_num(-math.inf, posinf=math.inf, neginf=-math.inf)
