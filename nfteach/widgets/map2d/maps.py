"""Maps of the plane to play with: each a flow in closed form, with one number that says how much of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfteach.flows import Flow
from nfteach.widgets.map1d.maps import bend

__all__ = ["PLANE_MAPS", "Banana", "Lens", "Mirror", "PlaneMap", "Rotation", "Shear", "Stretch", "Swirl"]


class PlaneMap(Flow):
    """A map of the plane, the identity for ``amount`` 0 unless it says otherwise.

    Args:
        amount: how much of it.
    """

    def __init__(self, amount: float) -> None:
        super().__init__(2)
        self.amount = float(amount)

    def words(self, a: str = "x", b: str = "y") -> str:
        """What it does, with its numbers; ``a`` and ``b`` are the names of input and output."""
        raise TypeError(f"{type(self).__name__} does not say what it does: define words(self, a, b)")

    def extra_repr(self) -> str:
        return f"{self.amount:g}"


class Rotation(PlaneMap):
    """A turn about the origin, by a right angle for amount 1."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"rotation by {90 * self.amount:.0f}°"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(x, self.amount * math.pi / 2), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(y, -self.amount * math.pi / 2), y.new_zeros(y.shape[:-1])


class Shear(PlaneMap):
    """y_1 = x_1 + amount x_2: rows of the plane slide along each other."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"shear: {b}₁ = {a}₁ {_plus(self.amount)} {a}₂"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([x[..., 0] + self.amount * x[..., 1], x[..., 1]], -1), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Shear(-self.amount).call_and_ladj(y)


class Stretch(PlaneMap):
    """y_1 = 2^amount x_1."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"stretch: {b}₁ = {2**self.amount:.2f} {a}₁"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.stack([2**self.amount * x[..., 0], x[..., 1]], -1)
        return y, x.new_full(x.shape[:-1], self.amount * math.log(2))

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Stretch(-self.amount).call_and_ladj(y)


class Swirl(PlaneMap):
    r"""A turn by an angle that falls with the distance r from the origin, amount pi/2 exp(-r^2 / 4).

    Circles turn as a whole, so areas stay: det J = 1 everywhere.
    """

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"swirl: a turn by {90 * self.amount:.0f}° exp(−r²/4)"

    def _angle(self, x: Tensor) -> Tensor:
        return self.amount * math.pi / 2 * torch.exp(-0.25 * (x[..., 0] ** 2 + x[..., 1] ** 2))

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(x, self._angle(x)), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(y, -self._angle(y)), y.new_zeros(y.shape[:-1])


class Banana(PlaneMap):
    """y_2 = x_2 + amount/2 (x_1^2 - 1): what one additive coupling layer can do."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"banana: {b}₂ = {a}₂ {_plus(self.amount / 2)} ({a}₁² − 1)"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.stack([x[..., 0], x[..., 1] + self.amount / 2 * (x[..., 0] ** 2 - 1)], -1)
        return y, x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Banana(-self.amount).call_and_ladj(y)


class Lens(PlaneMap):
    """Distances r from the origin become 2 bend(r / 2): for amount > 0 what is inside r = 2 grows, the rest shrinks.

    With a = r / 2, the area grows by bend'(a) along the radius and by bend(a) / a across it.
    """

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"lens: distances up to 2 {'grow' if self.amount >= 0 else 'shrink'}, bent by {abs(self.amount):.2f}"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # Never exactly zero, where a / a and the gradient of the root have no value.
        half = 0.5 * torch.sqrt(x[..., 0] ** 2 + x[..., 1] ** 2 + torch.finfo(x.dtype).tiny ** 0.75)
        bent, slope = bend(half, self.amount)
        across = bent / half
        return across[..., None] * x, torch.log(slope * across)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Lens(-self.amount).call_and_ladj(y)


class Mirror(PlaneMap):
    """Reflection in a line through the origin, at 45 degrees for amount 1: det J = -1, and never the identity."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"mirror in a line at {45 * self.amount:.0f}°"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        upside_down = torch.stack([x[..., 0], -x[..., 1]], -1)
        return _turned(upside_down, self.amount * math.pi / 2), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.call_and_ladj(y)


PLANE_MAPS: dict[str, type[PlaneMap]] = {
    "rotation": Rotation,
    "shear": Shear,
    "stretch": Stretch,
    "swirl": Swirl,
    "banana": Banana,
    "lens": Lens,
    "mirror": Mirror,
}


def _turned(x: Tensor, angle: float | Tensor) -> Tensor:
    """x (..., 2), each turned about the origin by its angle (...), in radians."""
    cos, sin = (angle.cos(), angle.sin()) if isinstance(angle, Tensor) else (math.cos(angle), math.sin(angle))
    return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)


def _plus(value: float) -> str:
    return f"{'−' if value < 0 else '+'} {abs(value):.2f}"
