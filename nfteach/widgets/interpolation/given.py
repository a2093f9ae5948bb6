"""A flow of images that a reader hands in: x, z and log q in one way, whatever it is."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from nfteach.jacobian import AnyMap
from nfteach.jacobian.rng import seeded

__all__ = ["GivenImages"]

_DRAWN = 500  # samples of the base, for their norms


class GivenImages:
    """The density of images x = f(z), flattened to (N, D). A copy of the flow is taken, which works in its own dtype.

    Args:
        flow: z -> x: a distribution made of a base and transforms, a ``Flow``, a ``torch.distributions.Transform``, a
            module with ``.inverse``, or a pair of functions (forward, inverse), each returning the image or (image,
            log-det).
        base: the distribution of z; None for the flow's own, where it has one, or the standard normal.
        shape: (C, H, W).

    Attributes:
        mean: (D,), of the base; zeros if it has none to tell.
        drawn: (n, D), samples of the base, always the same.

    Raises:
        ValueError: if it can't be called with such images, has no inverse, or does not go with the base.
    """

    def __init__(self, flow: Any, base: Distribution | None, shape: tuple[int, int, int]) -> None:
        self._f = _adapted(flow, base, shape)
        if not self._f.has_inverse:
            raise ValueError(f"flow must have an inverse, to find the latents of images, but {self._f.name} has none")
        with seeded(0):
            self.drawn = self._f.base.sample((_DRAWN,)).reshape(_DRAWN, self._f.dim)
        self.mean = _mean_of(self._f.base, self._f.dim)

    def to_images(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (N, D) and log q(x) (N,) in nats, at z (N, D)."""
        x, ladj = self._f.call_and_ladj(z)
        return x, self._f.log_base(z) - ladj

    def to_latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (N, D) and log q(x) (N,) in nats, at x (N, D)."""
        z, ladj = self._f.inverse_and_ladj(x)
        return z, self._f.log_base(z) + ladj


def _adapted(flow: Any, base: Distribution | None, shape: tuple[int, int, int]) -> AnyMap:
    """Return the flow in its own dtype, for speed, called with vectors or, where it refuses those, with images."""
    inverse = None
    if isinstance(flow, tuple | list):
        if len(flow) != 2 or not all(callable(one) for one in flow):
            raise ValueError("flow must be a flow, or a pair of functions (forward, inverse)")
        flow, inverse = flow
    elif not callable(flow) and not isinstance(flow, TransformedDistribution):
        raise ValueError(
            "flow must be a flow z -> x, a distribution made of a base and transforms, a Transform, a module with "
            f".inverse, or a pair of functions (forward, inverse), but is a {type(flow).__name__}"
        )
    refusals = []
    for dim in dict.fromkeys([math.prod(shape), shape, shape[1:] if shape[0] == 1 else shape]):
        try:
            return AnyMap(flow, dim=dim, base=base, inverse=inverse, dtype=None)
        except ValueError as error:
            refusals.append(error)
    raise refusals[0]


def _mean_of(base: Distribution, dim: int) -> Tensor:
    try:
        mean = base.mean.double().reshape(dim)
    except NotImplementedError:
        return torch.zeros(dim, dtype=torch.float64)
    return mean if mean.isfinite().all() else torch.zeros(dim, dtype=torch.float64)
