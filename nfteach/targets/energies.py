"""The four energies of the paper on planar flows, with exact normalisers by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from .densities import check_points

__all__ = ["Energy", "u1", "u2", "u3", "u4"]

CELLS = 1000  # along each side, for quadrature and sampling


class Energy:
    r"""A density on the plane known up to a factor: p(z) = exp(-U(z)) / Z on a rectangle.

    Args:
        function: U, a function of z_1 (N,) and z_2 (N,) that returns (N,) in nats.
        extent: (left, right, bottom, top), the rectangle on which p is normalised. U is defined everywhere.
        formula: U in TeX.

    References:
        Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015), table 1,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> u2().energy(torch.zeros(5, 2))
        tensor([0., 0., 0., 0., 0.])
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        extent: tuple[float, float, float, float] = (-4.0, 4.0, -4.0, 4.0),
        formula: str = "U(z)",
    ) -> None:
        self.function, self.extent, self.formula = function, extent, formula

    def __repr__(self) -> str:
        return f"Energy({self.formula}, extent={self.extent})"

    def energy(self, z: Tensor) -> Tensor:
        """Return U(z) (...) in nats, for z (..., 2), with gradients.

        Raises:
            ValueError: if ``z`` is not (..., 2), or not real floating point.
        """
        z = check_points(z, "z")
        return self.function(z[..., 0], z[..., 1])

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -U(z) (...), the log-density up to a constant; subtract ``log_normaliser`` to normalise it."""
        return -self.energy(z)

    @cached_property
    def log_normaliser(self) -> float:
        """The logarithm of Z, the integral of exp(-U) over the rectangle, by the midpoint rule on 1,000 x 1,000 cells.

        For u1 to u4, at least ten digits are correct.
        """
        left, right, bottom, top = self.extent
        cell = (right - left) * (top - bottom) / CELLS**2
        return (-self.energy(self._centres(CELLS))).logsumexp((0, 1)).item() + math.log(cell)

    def grid(
        self, resolution: int = 200, extent: tuple[float, float, float, float] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return cell centres (resolution, resolution, 2), the lowest row first, and log p there, normalised; float64.

        The cells divide the rectangle, or ``extent`` if given.
        """
        points = self._centres(resolution, extent)
        return points, -self.energy(points) - self.log_normaliser

    def sample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw independent points (*sample_shape, 2) of p: a cell by the inverse of its CDF, then a point in the cell.

        Samples are exact up to the size of a cell, a thousandth of the rectangle.
        """
        shape = torch.Size(sample_shape)
        cells = self._cumulative
        chosen = torch.searchsorted(
            cells, torch.rand(shape.numel(), dtype=cells.dtype, generator=generator) * cells[-1]
        )
        within = torch.rand(shape.numel(), 2, dtype=cells.dtype, generator=generator)
        index = torch.stack([chosen % CELLS, chosen // CELLS], dim=-1)
        left, right, bottom, top = self.extent
        size = torch.tensor([right - left, top - bottom], dtype=cells.dtype)
        points = torch.tensor([left, bottom], dtype=cells.dtype) + (index + within) / CELLS * size
        return points.to(torch.get_default_dtype()).reshape(*shape, 2)

    def walled(self, width: float = 0.25) -> Energy:
        """Return this energy plus soft walls: the squared distance to the rectangle, divided by 2 width^2.

        u2 to u4 do not decay along z_1, so exp(-U) has no integral over the plane, and a flow fitted to them spreads
        without bound. With walls the integral exists, and the rectangle of the result holds all but 1e-14 of the mass.
        """
        left, right, bottom, top = self.extent

        def function(z1: Tensor, z2: Tensor) -> Tensor:
            beyond1 = z1 - z1.clamp(left, right)
            beyond2 = z2 - z2.clamp(bottom, top)
            return self.function(z1, z2) + (beyond1**2 + beyond2**2) / (2 * width**2)

        margin = 8 * width
        wide = (left - margin, right + margin, bottom - margin, top + margin)
        return Energy(function, wide, self.formula + r" + \text{walls}")

    @cached_property
    def _cumulative(self) -> Tensor:
        return (-self.energy(self._centres(CELLS)) - self.log_normaliser).exp().flatten().cumsum(0)

    def _centres(self, n: int, extent: tuple[float, float, float, float] | None = None) -> Tensor:
        left, right, bottom, top = extent or self.extent
        middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        x, y = left + (right - left) * middle, bottom + (top - bottom) * middle
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def _w1(z1: Tensor) -> Tensor:
    return torch.sin(math.pi * z1 / 2)


def _w2(z1: Tensor) -> Tensor:
    return 3 * torch.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)


def _w3(z1: Tensor) -> Tensor:
    return 3 * torch.sigmoid((z1 - 1) / 0.3)


def _either(a: Tensor, b: Tensor) -> Tensor:
    """Compute -ln(exp(-a^2 / 2) + exp(-b^2 / 2)), also where both exponentials underflow."""
    return -torch.logaddexp(-0.5 * a**2, -0.5 * b**2)


def u1() -> Energy:
    """Create the energy of two crescents of a ring, one on the left and one on the right (table 1, row 1)."""

    def function(z1: Tensor, z2: Tensor) -> Tensor:
        return 0.5 * ((torch.hypot(z1, z2) - 2) / 0.4) ** 2 + _either((z1 - 2) / 0.6, (z1 + 2) / 0.6)

    formula = (
        r"\tfrac12 \left(\tfrac{\|z\| - 2}{0.4}\right)^2"
        r" - \ln\left(e^{-\frac12 \left[\frac{z_1 - 2}{0.6}\right]^2}"
        r" + e^{-\frac12 \left[\frac{z_1 + 2}{0.6}\right]^2}\right)"
    )
    return Energy(function, formula=formula)


def u2() -> Energy:
    """Create the energy of a band along a sine (table 1, row 2), cut off at z_1 = ±4."""
    formula = r"\tfrac12 \left[\tfrac{z_2 - w_1(z)}{0.4}\right]^2"
    return Energy(lambda z1, z2: 0.5 * ((z2 - _w1(z1)) / 0.4) ** 2, formula=formula)


def u3() -> Energy:
    """Create the energy of a band along a sine that parts and joins again (table 1, row 3), cut off at z_1 = ±4."""
    formula = (
        r"-\ln\left(e^{-\frac12 \left[\frac{z_2 - w_1(z)}{0.35}\right]^2}"
        r" + e^{-\frac12 \left[\frac{z_2 - w_1(z) + w_2(z)}{0.35}\right]^2}\right)"
    )
    return Energy(lambda z1, z2: _either((z2 - _w1(z1)) / 0.35, (z2 - _w1(z1) + _w2(z1)) / 0.35), formula=formula)


def u4() -> Energy:
    """Create the energy of a band along a sine that forks (table 1, row 4), cut off at z_1 = ±4.

    The lower branch reaches z_2 = -4, so the rectangle extends further down.
    """
    formula = (
        r"-\ln\left(e^{-\frac12 \left[\frac{z_2 - w_1(z)}{0.4}\right]^2}"
        r" + e^{-\frac12 \left[\frac{z_2 - w_1(z) + w_3(z)}{0.35}\right]^2}\right)"
    )
    return Energy(
        lambda z1, z2: _either((z2 - _w1(z1)) / 0.4, (z2 - _w1(z1) + _w3(z1)) / 0.35),
        extent=(-4.0, 4.0, -6.5, 4.0),
        formula=formula,
    )
