"""A map of the plane that a reader hands in, and the density it makes, with or without an inverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.jacobian.rng import seeded
from nfteach.widgets.handed_in import HandedIn, density_at

__all__ = ["GivenPlane"]

_MESH, _COARSE = 800, 120  # points along each side of the mesh that counts a density out; of one called point by point
_AT_ONCE = 4096  # points that are inverted together
_BACK = 1e-3  # of the window: how near a point must come back to be taken for the map's image


class GivenPlane(HandedIn):
    """The same, with the density of its image.

    Args:
        transform, points: as :class:`~nfteach.widgets.handed_in.HandedIn` takes them, points (N, 2).
    """

    def __init__(self, transform: Any, points: Tensor) -> None:
        super().__init__(transform, points)
        self._density: Tensor | None = None

    def back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, 2) -> z (N, 2) and log|det dz/dx| (N,), in nats: the inverse's own, or the forward map's there."""
        z, ladj = self.backward(x)
        if ladj is None:
            ladj = self.claimed(z)
            ladj = -(self._log_abs_det(z) if ladj is None else ladj)
        return z, ladj

    def factors(self, z: Tensor) -> list[Tensor]:
        """What J is a product of: nothing that is known here."""
        return []

    def log_dets(self, z: Tensor) -> dict[str, Any]:
        """For the readout: log|det J| at z (1, 2) as the map claims it, in nats, if it does."""
        claimed = self.claimed(z)
        return {} if claimed is None else {"log|det J| it claims": (claimed[0], "nats")}

    def words(self) -> str:
        """What it is called."""
        return f"f: {self.name}, as handed in"

    def density(self, base: Distribution, pixels: Tensor, extent: tuple[float, float, float, float]) -> Tensor:
        """q(x) (rows, columns) at the pixels (rows, columns, 2) of the window ``extent``; worked out once.

        With an inverse it is p(z) / |det J(z)|, J by autograd; 0 where no z lands. Without one, the mass of a fine mesh
        of z is counted in each pixel, which is also right where the map folds.
        """
        if self._density is None:
            self._density = self._by_inverse(base, pixels) if self.invertible else self._counted(base, pixels, extent)
        return self._density

    def _log_abs_det(self, z: Tensor) -> Tensor:
        return torch.linalg.slogdet(self.jacobian(z)).logabsdet

    def _by_inverse(self, base: Distribution, pixels: Tensor) -> Tensor:
        near = _BACK * float((pixels[-1, -1] - pixels[0, 0]).abs().max())
        parts = []
        for x in pixels.reshape(-1, 2).split(_AT_ONCE):
            z = self.backward(x)[0]
            landed = z.isfinite().all(1)
            z = torch.where(landed[:, None], z, 0.0)
            landed &= (self.forward(z) - x).abs().amax(1) < near
            q = density_at(base, z) * (-self._log_abs_det(z)).exp()
            parts.append(torch.where(landed & q.isfinite(), q, 0.0))
        return torch.cat(parts).reshape(pixels.shape[:-1])

    def _counted(self, base: Distribution, pixels: Tensor, extent: tuple[float, float, float, float]) -> Tensor:
        with seeded(0):
            drawn = base.sample((2000,)).double()
            low, high = drawn.amin(0), drawn.amax(0)
            low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
            # A point somewhere in each cell: even steps would make a pattern with the pixels.
            side = _COARSE if self.one_by_one else _MESH
            cells = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2) + torch.rand(side**2, 2)
        z = low + (high - low) * cells / side
        mass = density_at(base, z) * (high - low).prod() / side**2
        rows, columns = pixels.shape[:2]
        left, right, bottom, top = extent
        x = torch.cat([self.forward(part) for part in z.split(8 * _AT_ONCE)])
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
