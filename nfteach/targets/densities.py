"""Distributions on the plane, with exact log-densities and exact samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = [
    "Banana",
    "Checkerboard",
    "GaussianMixture",
    "Pinwheel",
    "Rings",
    "Target",
    "check_points",
    "eight_gaussians",
    "two_moons",
    "two_spirals",
]

LOG_2PI = math.log(2 * math.pi)


class Target(Distribution):
    """Base class of distributions on the plane, with events (2,) and no batch dimensions.

    A subclass defines ``_log_density`` and ``_draw``. ``log_prob`` computes in the dtype of its argument; ``sample``
    returns the default dtype.
    """

    support = constraints.real_vector
    arg_constraints: dict = {}  # noqa: RUF012 (torch declares it in this way)

    def __init__(self) -> None:
        super().__init__(event_shape=torch.Size([2]), validate_args=False)

    def _log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) (N,) for x (N, 2)."""
        raise NotImplementedError

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n points (n, 2)."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(x) (...) in nats, for x (..., 2).

        Raises:
            ValueError: if ``value`` is not (..., 2), or not real floating point.
        """
        value = check_points(value, "value")
        return self._log_density(value.reshape(-1, 2)).reshape(value.shape[:-1])

    def sample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw independent points (*sample_shape, 2), by default with torch's global generator."""
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            return self._draw(shape.numel(), generator).reshape(*shape, 2)


def check_points(x: Tensor, name: str) -> Tensor:
    """Return ``x`` if it is a floating point tensor (..., 2), points of the plane; otherwise raise ``ValueError``."""
    if not isinstance(x, Tensor) or x.shape[-1:] != (2,) or not x.is_floating_point():
        came = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} must be points of the plane, a floating point tensor (..., 2), but is {came}")
    return x


class GaussianMixture(Target):
    """Round Gaussians with equal weights: p(x) = 1/K sum_k N(x; mean_k, scale^2 I).

    Args:
        means: (K, 2), the mean of each Gaussian.
        scale: the standard deviation of each Gaussian, a positive number.

    Raises:
        ValueError: if ``means`` is not (K, 2), or ``scale`` is not positive.

    Example:
        >>> GaussianMixture([[0.0, 0.0]], 1.0).log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    def __init__(self, means: Tensor | Sequence[Sequence[float]], scale: float) -> None:
        super().__init__()
        self.means = torch.as_tensor(means, dtype=torch.float64)
        if self.means.dim() != 2 or self.means.shape[1] != 2 or not len(self.means):
            raise ValueError(f"means must be (K, 2) with K at least 1, but has the shape {tuple(self.means.shape)}")
        self.scale = _positive("scale", scale)

    def _log_density(self, x: Tensor) -> Tensor:
        # Coordinate by coordinate: an (N, K, 2) tensor of differences would take twice the memory.
        means = self.means.to(x)
        squared = (x[:, :1] - means[:, 0]) ** 2 + (x[:, 1:] - means[:, 1]) ** 2
        return (
            (-0.5 * squared / self.scale**2).logsumexp(-1) - math.log(len(means)) - LOG_2PI - 2 * math.log(self.scale)
        )

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        chosen = torch.randint(len(self.means), (n,), generator=generator)
        noise = torch.randn(n, 2, generator=generator)
        return self.means.to(noise)[chosen] + self.scale * noise


def eight_gaussians(radius: float = 2.5, scale: float = 0.25) -> GaussianMixture:
    """Create a mixture of eight Gaussians, evenly spaced on a circle."""
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], dim=-1), scale)


def two_moons(noise: float = 0.15) -> GaussianMixture:
    """Create two interleaving half circles, blurred by Gaussian noise.

    The half circles are strings of points ``noise`` apart, so the density is a finite sum and exact. The blurred points
    differ from a blurred line by a ripple of about 1e-8.
    """
    beads = math.ceil(1.6 * math.pi / _positive("noise", noise))
    angle = (torch.arange(beads, dtype=torch.float64) + 0.5) * math.pi / beads
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=-1)
    return GaussianMixture(1.6 * torch.cat([upper, -upper]), noise)


def two_spirals(noise: float = 0.12) -> GaussianMixture:
    """Create two spirals, half a turn apart, blurred by Gaussian noise: strings of points like :func:`two_moons`."""
    turns = 3 * math.pi
    beads = math.ceil(turns**2 / 6 / _positive("noise", noise))
    # On r = angle / 3 the length grows with the squared angle, so roots of even steps are evenly spaced.
    angle = turns * ((torch.arange(beads, dtype=torch.float64) + 0.5) / beads).sqrt()
    arm = _polar(angle / 3, angle)
    return GaussianMixture(torch.cat([arm, -arm]), noise)


class Rings(Target):
    r"""Circles around the origin, blurred by Gaussian noise, with equal weights.

    The density of a blurred circle of radius R is Rice's, exact through the modified Bessel function:
    p(x) = 1 / (2 pi scale^2) exp(-(\|x\|^2 + R^2) / (2 scale^2)) I_0(\|x\| R / scale^2).

    Args:
        radii: the radii of the circles.
        scale: the standard deviation of the noise in each direction.
    """

    def __init__(self, radii: Sequence[float] = (1.0, 2.0, 3.0), scale: float = 0.15) -> None:
        super().__init__()
        self.radii = torch.tensor([_positive("radii", radius) for radius in radii], dtype=torch.float64)
        self.scale = _positive("scale", scale)

    def _log_density(self, x: Tensor) -> Tensor:
        r, R = x.norm(dim=-1, keepdim=True), self.radii.to(x)
        # i0e(a) = exp(-a) I_0(a); the factor exp(-a) turns r^2 + R^2 into (r - R)^2.
        terms = torch.special.i0e(r * R / self.scale**2).log() - 0.5 * ((r - R) / self.scale) ** 2
        return terms.logsumexp(-1) - math.log(len(R)) - LOG_2PI - 2 * math.log(self.scale)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        noise = torch.randn(n, 2, generator=generator)
        radius = self.radii.to(noise)[torch.randint(len(self.radii), (n,), generator=generator)]
        return _polar(radius, 2 * math.pi * torch.rand(n, generator=generator)) + self.scale * noise


class Pinwheel(Target):
    r"""Long and thin Gaussian arms, twisted: each point is rotated by an angle that grows with its distance \|x\|.

    A rotation by an angle that depends on the distance alone preserves areas: the Jacobian of the map has determinant
    1, and the density is that of the straight arms at the point rotated back.

    Args:
        arms: the number of arms.
        twist: the angle in radians per unit of distance.
        length, width: the standard deviations along and across an arm.
        distance: the distance of the middle of an arm from the origin.
    """

    def __init__(
        self, arms: int = 5, twist: float = 0.6, length: float = 0.6, width: float = 0.15, distance: float = 1.8
    ) -> None:
        super().__init__()
        self.angles = torch.arange(int(_positive("arms", arms)), dtype=torch.float64) * 2 * math.pi / arms
        self.twist, self.distance = float(twist), float(distance)
        self.length, self.width = _positive("length", length), _positive("width", width)

    def _log_density(self, x: Tensor) -> Tensor:
        angle = self.twist * x.norm(dim=-1, keepdim=True) + self.angles.to(x)  # (N, arms)
        along = x[:, :1] * angle.cos() + x[:, 1:] * angle.sin() - self.distance
        across = x[:, 1:] * angle.cos() - x[:, :1] * angle.sin()
        terms = -0.5 * ((along / self.length) ** 2 + (across / self.width) ** 2)
        return terms.logsumexp(-1) - math.log(len(self.angles)) - LOG_2PI - math.log(self.length * self.width)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        along, across = torch.randn(2, n, generator=generator)
        along, across = self.distance + self.length * along, self.width * across
        arm = self.angles.to(along)[torch.randint(len(self.angles), (n,), generator=generator)]
        r = torch.hypot(along, across)
        return _polar(r, torch.atan2(across, along) + arm + self.twist * r)


class Banana(Target):
    """A Gaussian bent along a parabola: x_1 = scale z_1, x_2 = z_2 / 2 + bend (x_1^2 - scale^2), z standard normal.

    A shear preserves areas, so log p(x) is the log-density of the Gaussian at the point bent back. One coupling layer
    can represent it exactly.
    """

    def __init__(self, bend: float = 0.3, scale: float = 1.3) -> None:
        super().__init__()
        self.bend, self.scale = float(bend), _positive("scale", scale)

    def _log_density(self, x: Tensor) -> Tensor:
        z1 = x[:, 0] / self.scale
        z2 = 2 * (x[:, 1] - self.bend * (x[:, 0] ** 2 - self.scale**2))
        return -0.5 * (z1**2 + z2**2) - LOG_2PI - math.log(self.scale / 2)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        x1 = self.scale * torch.randn(n, generator=generator)
        x2 = torch.randn(n, generator=generator) / 2 + self.bend * (x1**2 - self.scale**2)
        return torch.stack([x1, x2], dim=-1)


class Checkerboard(Target):
    """A uniform density on the eight dark squares of a 4 x 4 board on [-side / 2, side / 2)^2, and zero elsewhere."""

    def __init__(self, side: float = 6.0) -> None:
        super().__init__()
        self.side = _positive("side", side)

    def _log_density(self, x: Tensor) -> Tensor:
        square = (4 * x / self.side + 2).floor()
        on_board = ((square >= 0) & (square < 4)).all(dim=-1)
        dark = on_board & (square.sum(dim=-1) % 2 == 0)
        inside = x.new_full((), math.log(2 / self.side**2))
        return torch.where(dark, inside, -math.inf)

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        row = torch.randint(4, (n,), generator=generator)
        column = 2 * torch.randint(2, (n,), generator=generator) + row % 2
        within = torch.rand(n, 2, generator=generator)
        return (torch.stack([column, row], dim=-1) + within - 2) * self.side / 4


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=-1)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be positive, but is {value!r}")
    return float(value)
