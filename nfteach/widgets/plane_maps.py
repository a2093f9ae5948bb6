"""Maps of the plane to play with: each a flow in closed form, with one number that says how much of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfteach.flows import Flow
from nfteach.jacobian.numbers import fixed, pick
from nfteach.widgets.line_maps import bend

__all__ = ["PLANE_MAPS", "Banana", "Fan", "Lens", "Mirror", "PlaneMap", "Rotation", "Shear", "Stretch", "Swirl"]

_ANY = math.nan  # an entry of J that depends on where one is, or on the amount


class PlaneMap(Flow):
    """A map of the plane, the identity for ``amount`` 0 unless the class says otherwise.

    Args:
        amount: how much of it, a number or a tensor ().

    Attributes:
        structure: J (rows of entries) where it is zero or one everywhere; NaN elsewhere.
    """

    structure: tuple[tuple[float, float], tuple[float, float]] = ((_ANY, _ANY), (_ANY, _ANY))

    def __init__(self, amount: float | Tensor) -> None:
        super().__init__(2)
        self.amount = torch.as_tensor(amount, dtype=torch.float64)

    def words(self, a: str = "x", b: str = "y") -> str:
        """Return the formula with its numbers; ``a`` and ``b`` are the names of input and output."""
        raise TypeError(f"{type(self).__name__} must define words(self, a, b), its formula, but does not")

    def extra_repr(self) -> str:
        return f"{float(self.amount):g}"


class Rotation(PlaneMap):
    """A turn about the origin, by a right angle for amount 1."""

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"rotation: {b} is {a}, turned about 0 by {_number(90 * self.amount, 0)}°"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(x, self.amount * math.pi / 2), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Rotation(-self.amount).call_and_ladj(y)


class Shear(PlaneMap):
    """y_1 = x_1 + amount x_2: rows of the plane slide along each other."""

    structure = ((1, _ANY), (0, 1))

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"shear: {b}₁ = {a}₁ {_plus(self.amount)} {a}₂,  {b}₂ = {a}₂"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([x[..., 0] + self.amount * x[..., 1], x[..., 1]], -1), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Shear(-self.amount).call_and_ladj(y)


class Stretch(PlaneMap):
    """y_1 = 2^amount x_1."""

    structure = ((_ANY, 0), (0, 1))

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"stretch: {b}₁ = {_number(2**self.amount)} {a}₁,  {b}₂ = {a}₂"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.stack([2**self.amount * x[..., 0], x[..., 1]], -1)
        return y, self.amount * math.log(2) + x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Stretch(-self.amount).call_and_ladj(y)


class Fan(PlaneMap):
    """y_1 = x_1 exp(amount x_2 / 2), y_2 = x_2 + amount sin y_1: rows are stretched, then lifted into a wave."""

    def words(self, a: str = "x", b: str = "y") -> str:
        amount = _number(self.amount)
        return f"fan: {b}₁ = {a}₁ exp({amount} {a}₂ / 2),  {b}₂ = {a}₂ {_plus(self.amount)} sin {b}₁"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y_1, ladj = x[..., 0] * torch.exp(self.amount * x[..., 1] / 2), self.amount * x[..., 1] / 2
        return torch.stack([y_1, x[..., 1] + self.amount * torch.sin(y_1)], -1), ladj

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x_2 = y[..., 1] - self.amount * torch.sin(y[..., 0])
        return torch.stack([y[..., 0] * torch.exp(-self.amount * x_2 / 2), x_2], -1), -self.amount * x_2 / 2


class Swirl(PlaneMap):
    r"""A turn by an angle that falls with the distance r from the origin, amount pi/2 exp(-r^2 / 4).

    Circles turn as a whole, so areas stay: det J = 1 everywhere.
    """

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"swirl: {b} is {a}, turned about 0 by {_number(90 * self.amount, 0)}° exp(−r² / 4), with r = |{a}|"

    def _angle(self, x: Tensor) -> Tensor:
        return self.amount * math.pi / 2 * torch.exp(-0.25 * (x[..., 0] ** 2 + x[..., 1] ** 2))

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _turned(x, self._angle(x)), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return Swirl(-self.amount).call_and_ladj(y)


class Banana(PlaneMap):
    """y_2 = x_2 + amount/2 (x_1^2 - 1): what one additive coupling layer can do."""

    structure = ((1, 0), (_ANY, 1))

    def words(self, a: str = "x", b: str = "y") -> str:
        return f"banana: {b}₁ = {a}₁,  {b}₂ = {a}₂ {_plus(self.amount / 2)} ({a}₁² − 1)"

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
        size, start = _number(self.amount.abs()), f"lens: {b} = {a} r′ / r, with r = |{a}|, r′ = 2"
        ways = f"{start} sinh({size} r/2) / sinh({size})", f"{start} asinh(sinh({size}) r/2) / {size}"
        return pick(self.amount.abs() < 0.005, pick(self.amount >= 0, *ways), f"lens: {b} = {a}")

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
        return f"mirror: {b} is {a}, reflected in the line through 0 at {_number(45 * self.amount, 0)}°"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        upside_down = torch.stack([x[..., 0], -x[..., 1]], -1)
        return _turned(upside_down, self.amount * math.pi / 2), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.call_and_ladj(y)


PLANE_MAPS: dict[str, type[PlaneMap]] = {
    "lens": Lens, "fan": Fan, "swirl": Swirl, "banana": Banana, "shear": Shear, "stretch": Stretch,
    "rotation": Rotation, "mirror": Mirror,
}  # fmt: skip


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """Return x (..., 2), each turned about the origin by its angle (...), in radians."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)


def _number(value: Tensor, digits: int = 2) -> str:
    return fixed(value, digits, high=1e4)


def _plus(value: Tensor) -> str:
    return pick(value < 0, "+ ", "− ") + _number(value.abs())
