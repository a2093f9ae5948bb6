"""A map of the plane that a reader hands in, and the density it makes, with or without an inverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nfteach.jacobian import AnyMap
from nfteach.jacobian.rng import seeded

__all__ = ["GivenPlane"]

_MESH, _COARSE = 800, 120  # points along each side of the mesh that counts a density out; of one called point by point
_AT_ONCE = 32_768  # points of the mesh that are mapped together


class GivenPlane(AnyMap):
    """An :class:`~nfteach.jacobian.AnyMap` of the plane whose density can be drawn without an inverse, too."""

    _density: Tensor | None = None

    def factors(self, z: Tensor) -> list[Tensor]:
        """Return no factors of J: none is known."""
        return []

    def log_dets(self, z: Tensor) -> dict[str, Any]:
        """Return log|det J| at z (1, 2) as the map claims it, in nats, for the readout."""
        return {"log|det J| it claims": (self.call_and_ladj(z)[1][0], "nats")} if self.has_log_det else {}

    def words(self) -> str:
        """Return the map's name as a line."""
        return f"f: {self.name}, as handed in"

    def image(self, pixels: Tensor, extent: tuple[float, float, float, float]) -> Tensor:
        """Return q(x) (rows, columns) at the pixels (rows, columns, 2) of the window ``extent``; computed once.

        Without an inverse the mass of a fine mesh of z is counted in each pixel, which is right where the map folds.
        """
        if self._density is None:
            self._density = self.density(pixels) if self.has_inverse else self._counted(pixels, extent)
        return self._density

    def _counted(self, pixels: Tensor, extent: tuple[float, float, float, float]) -> Tensor:
        with seeded(0):
            drawn = self.base.sample((2000,)).double()
            low, high = drawn.amin(0), drawn.amax(0)
            low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
            # A point somewhere in each cell: even steps would make a pattern with the pixels.
            side = _COARSE if self.one_by_one else _MESH
            cells = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2) + torch.rand(side**2, 2)
        z = low + (high - low) * cells / side
        mass = self.log_base(z).exp() * (high - low).prod() / side**2
        rows, columns = pixels.shape[:2]
        left, right, bottom, top = extent
        x = torch.cat([self(part) for part in z.split(_AT_ONCE)])
        # Each point's mass is shared by the four pixels around it: less noise than giving it to one.
        place = (x - x.new_tensor([left, bottom])) / x.new_tensor([(right - left) / columns, (top - bottom) / rows])
        place = place - 0.5
        inside = ((place > -1) & (place < x.new_tensor([columns, rows]))).all(1)
        place, mass = place[inside], mass[inside]
        corner = place.floor()
        part = place - corner
        counts = x.new_zeros((rows + 2) * (columns + 2))  # with a margin, for pixels outside
        for across, up in ((0, 0), (1, 0), (0, 1), (1, 1)):
            shares = (part[:, 0] - (1 - across)).abs() * (part[:, 1] - (1 - up)).abs()
            column, row = (corner + 1 + x.new_tensor([across, up])).long().T
            counts += torch.bincount(row * (columns + 2) + column, mass * shares, minlength=len(counts))
        counts = counts.reshape(rows + 2, columns + 2)[1:-1, 1:-1]
        return counts * rows * columns / ((right - left) * (top - bottom))
