"""What a reader hands to an explorer, a map or a distribution, made callable in one way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from nfteach.jacobian.autograd import jacobian
from nfteach.jacobian.calls import first_that_runs
from nfteach.jacobian.measure import read_claim
from nfteach.jacobian.twin import own_dtype, twins

__all__ = ["HandedIn", "copy_of", "density_at", "support_of", "without_noise"]


class HandedIn:
    """A copy of any map, called with points (N, D) and answering in float64.

    Args:
        transform: a ``Flow``, a ``torch.distributions.Transform``, a module that returns y or (y, log_det), or a plain
            function of points (N, D) or of one point (D,).
        points: (N, D), a few points at which it must work.

    Attributes:
        name: of the map, for sentences.
        invertible: whether there is an inverse that takes their images.
        one_by_one: whether it takes but a point at a time, which is slow.

    Raises:
        ValueError: if it can't be called with such points, or doesn't answer with points of D numbers.
    """

    def __init__(self, transform: Any, points: Tensor) -> None:
        (transform,) = twins(transform)
        if isinstance(transform, nn.Module):
            transform.eval()  # points must not talk to each other, nor move what a normalisation remembers
        x = points.detach().to(own_dtype(transform, otherwise=torch.float64))
        first, refusals = first_that_runs((transform, None, None), x)
        if first is not None and first.f.manner == "one by one":
            # A function of one point: all points at once by torch's own means, where it can be.
            together, _ = first_that_runs((torch.vmap(transform), None, None), x)
            first = together or first
        if first is None:
            raise ValueError(f"the map can't be called with points of shape {tuple(x.shape)}: {refusals[0]}")
        self._f, self._dtype = first.f, first.points.dtype
        self.one_by_one = first.f.manner == "one by one"
        self.name = getattr(transform, "__name__", type(transform).__name__)
        self.invertible = True
        try:
            self.backward(self.forward(points))
        except ValueError:
            self.invertible = False

    def forward(self, z: Tensor) -> Tensor:
        """z (N, D) -> x (N, D)."""
        return self._called("", lambda: self._f(z.to(self._dtype))[0].double())

    def jacobian(self, z: Tensor) -> Tensor:
        """z (N, D) -> J (N, D, D), dx_i/dz_j by autograd."""
        return self._called("'s derivative", lambda: jacobian(self._f, z.to(self._dtype))[0])

    def claimed(self, z: Tensor) -> Tensor | None:
        """z (N, D) -> log|det J| (N,) in nats, as the map itself tells it; None if it tells none."""
        return self._read(self._called("", lambda: self._f(z.to(self._dtype))[1]), z)

    def backward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """x (N, D) -> z (N, D), and the inverse's log|det dz/dx| (N,) as it tells it itself, or None."""
        z, told = self._called("'s inverse", lambda: self._f.invert(x.to(self._dtype)))
        return z.double(), self._read(told, x)

    def _read(self, told: Any, points: Tensor) -> Tensor | None:
        return read_claim(told, points, self._f.event_shape).values

    def _called(self, part: str, call: Any) -> Any:
        try:
            with torch.no_grad():
                return call()
        except Exception as error:
            raise ValueError(f"the map{part} failed here: {type(error).__name__}: {error}".rstrip(": ")) from error


def density_at(base: Distribution, points: Tensor) -> Tensor:
    """The density (N,) of ``base`` at points (N, *event); zero outside its support, where torch would refuse."""
    support = support_of(base)
    if support is None or bool((inside := support.check(points)).all()):
        return base.log_prob(points).exp()
    # In the place of points outside, one from inside: their answers are dropped.
    stand_in = points[inside][:1]
    if not len(stand_in):
        return points.new_zeros(inside.shape)
    within = inside.reshape(*inside.shape, *[1] * (points.dim() - inside.dim()))
    return base.log_prob(torch.where(within, points, stand_in)).exp() * inside


def support_of(base: Distribution) -> Constraint | None:
    """Where ``base`` has a density, or None if it does not tell."""
    try:
        return base.support
    except NotImplementedError:
        return None


def copy_of(base: Distribution, dtype: torch.dtype = torch.float64) -> Distribution:
    """A copy of a distribution in a dtype of its own: what is trained later does not show."""
    return twins(base, dtype=dtype)[0]


def without_noise(value: float) -> float:
    """A number to be read: zero in the place of what rounding leaves of it."""
    return 0.0 if abs(value) < 1e-14 else float(value)
