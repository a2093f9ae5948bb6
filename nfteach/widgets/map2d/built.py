"""One or two of the built-in maps of the plane, asked as the 2-D explorer asks any map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Flow, Stack
from nfteach.widgets.handed_in import density_at
from nfteach.widgets.map2d.maps import PlaneMap

__all__ = ["BuiltIn"]


class BuiltIn:
    """``maps``, the first of them first. Points are (N, 2), log-dets in nats."""

    invertible = True

    def __init__(self, *maps: PlaneMap) -> None:
        self.maps, self.flow = maps, Stack(*maps)

    def forward(self, z: Tensor) -> Tensor:
        """z (N, 2) -> x (N, 2)."""
        return self.flow(z)

    def jacobian(self, z: Tensor) -> Tensor:
        """z (1, 2) -> J (1, 2, 2), by autograd."""
        return _jacobian(self.flow, z[0])[None]

    def back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, 2) -> z (N, 2) and log|det dz/dx| (N,), in closed form."""
        return self.flow.inverse_and_ladj(x)

    def factors(self, z: Tensor) -> list[Tensor]:
        """Of two maps J_2, at f_1(z), and J_1, at z (1, 2): their product is J. Of one, none."""
        if len(self.maps) < 2:
            return []
        first, second = self.maps
        return [_jacobian(second, first(z[0])), _jacobian(first, z[0])]

    def log_dets(self, z: Tensor) -> dict[str, Any]:
        """For the readout: of two maps each one's log|det| at z (1, 2), in closed form, and their sum."""
        if len(self.maps) < 2:
            return {}
        names = ("log|det| of the first", "of the second", "sum of the two")
        steps = self.flow.steps(z)
        values = [*(step.ladj for step in steps), steps[-1].running_ladj]
        return {name: (value.item(), "nats") for name, value in zip(names, values, strict=True)}

    def words(self) -> str:
        """What it does, in lines."""
        if len(self.maps) < 2:
            return self.maps[0].words("z", "x")
        first, second = self.maps
        return f"f₁, {first.words('z', 'y')}\nf₂, {second.words('y', 'x')}"

    def density(self, base: Distribution, pixels: Tensor, extent: Any) -> Tensor:
        """q(x) (rows, columns) at the pixels (rows, columns, 2), in float32: as exact as colours are."""
        z, ladj = self.flow.inverse_and_ladj(pixels.float())
        return density_at(base, z) * ladj.exp()


def _jacobian(f: Flow, z: Tensor) -> Tensor:
    """J (2, 2) at z (2,): of two copies of z, the gradient of the i-th image's i-th coordinate."""
    with torch.enable_grad():
        copies = z.repeat(2, 1).requires_grad_()
        return torch.autograd.grad(f(copies).diagonal().sum(), copies)[0]
