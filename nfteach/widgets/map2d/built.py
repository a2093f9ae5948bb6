"""One or two of the built-in maps of the plane, with the interface of a map that is handed in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Flow, Stack
from nfteach.jacobian.bases import log_density
from nfteach.widgets.map2d.maps import PlaneMap

__all__ = ["BuiltIn"]


class BuiltIn:
    """``maps``, the first of them first, and ``base`` in float32. Points are (N, 2), log-dets in nats."""

    has_inverse = True

    def __init__(self, base: Distribution, *maps: PlaneMap) -> None:
        self.base, self.maps, self.flow = base, maps, Stack(*maps)

    def __call__(self, z: Tensor) -> Tensor:
        """Return x (N, 2) at z (N, 2)."""
        return self.flow(z)

    def jacobian(self, z: Tensor) -> Tensor:
        """Return J (1, 2, 2) at z (1, 2), by autograd."""
        return _jacobian(self.flow, z[0])[None]

    def inverse_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (N, 2) and log|det dz/dx| (N,) at x (N, 2), in closed form."""
        return self.flow.inverse_and_ladj(x)

    def factors(self, z: Tensor) -> list[Tensor]:
        """Return J_2, at f_1(z), and J_1, at z (1, 2), of two maps, whose product is J; of one map, none."""
        if len(self.maps) < 2:
            return []
        first, second = self.maps
        return [_jacobian(second, first(z[0])), _jacobian(first, z[0])]

    def log_dets(self, z: Tensor) -> dict[str, Any]:
        """Return the log|det| of each of two maps at z (1, 2), in closed form, and their sum, for the readout."""
        if len(self.maps) < 2:
            return {}
        names = ("log|det| of the first", "of the second", "sum of the two")
        steps = self.flow.steps(z)
        values = [*(step.ladj for step in steps), steps[-1].running_ladj]
        return {name: (value.item(), "nats") for name, value in zip(names, values, strict=True)}

    def words(self) -> str:
        """Return the maps in words, one a line."""
        if len(self.maps) < 2:
            return self.maps[0].words("z", "x")
        first, second = self.maps
        return f"f₁, {first.words('z', 'y')}\nf₂, {second.words('y', 'x')}"

    def image(self, pixels: Tensor, extent: Any) -> Tensor:
        """Return q(x) (rows, columns) at the pixels (rows, columns, 2), in float32: as exact as colours are."""
        z, ladj = self.flow.inverse_and_ladj(pixels.float())
        return (log_density(self.base, z) + ladj).exp()


def _jacobian(f: Flow, z: Tensor) -> Tensor:
    """Return J (2, 2) at z (2,): of two copies of z, the gradient of the i-th image's i-th coordinate."""
    with torch.enable_grad():
        copies = z.repeat(2, 1).requires_grad_()
        return torch.autograd.grad(f(copies).diagonal().sum(), copies)[0]
