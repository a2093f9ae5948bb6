"""A flow of images that a reader hands in: x, z and log q in one way, whatever it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Distribution, Independent, Normal, TransformedDistribution

from nfteach.flows import FlowDistribution
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.rng import seeded
from nfteach.jacobian.twin import own_dtype, twins
from nfteach.widgets.handed_in import HandedIn, copy_of

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
        self.dim = shape[0] * shape[1] * shape[2]
        flow, base = _parts_of(flow, base)
        self.base = _checked_base(base, self.dim)
        with seeded(0):
            self.drawn = self.base.sample((_DRAWN,)).double().reshape(_DRAWN, self.dim)
        self.mean = _mean_of(self.base, self.dim)
        self._f = _callable_with(flow, self.drawn[:2], shape)
        if not self._f.invertible:
            raise ValueError(f"flow must have an inverse, to find the latents of images, but {self._f.name} has none")

    def to_images(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (N, D) -> x (N, D), and log q(x) (N,) in nats."""
        x, ladj = self._f.forward_and_ladj(z)
        return x, self._log_base(z) - ladj

    def to_latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, D) -> z (N, D), and log q(x) (N,) in nats."""
        z, ladj = self._f.inverse_and_ladj(x)
        return z, self._log_base(z) + ladj

    def _log_base(self, z: Tensor) -> Tensor:
        return self.base.log_prob(z.reshape(len(z), *self.base.event_shape))


class _WithLadj(HandedIn):
    """Both directions with their log-dets: as the map tells them or, where it does not, by autograd.

    In the map's own dtype, for speed: in float32 a convolutional flow takes a third of the time.
    """

    def __init__(self, transform: Any, points: Tensor) -> None:
        super().__init__(transform, points)
        (transform,) = twins(transform)
        own = own_dtype(transform, otherwise=self._dtype)
        if own != self._dtype:
            if isinstance(transform, nn.Module):
                transform.eval()
            self._f, self._dtype = adapt(transform, points.to(own), dtype=None, manner=self._f.manner), own
            self.forward(points[:2])

    def forward_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, told = self._called("", lambda: self._f(z.to(self._dtype)))
        ladj = self._read(told, z)
        return x.double(), self._measured(z) if ladj is None else ladj

    def inverse_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self.backward(x)
        return z, -self.forward_and_ladj(z)[1] if ladj is None else ladj

    def _measured(self, z: Tensor) -> Tensor:
        return torch.linalg.slogdet(self.jacobian(z)).logabsdet


class _Pair(nn.Module):
    """Two functions, one of which undoes the other, as a module with an inverse."""

    def __init__(self, forward: Any, inverse: Any) -> None:
        super().__init__()
        # Copies: what a plain function holds would not be copied with the module.
        self._there, self._back = twins(forward, inverse)

    def forward(self, z: Tensor) -> Any:
        return self._there(z)

    def inverse(self, x: Tensor) -> Any:
        return self._back(x)


def _parts_of(flow: Any, base: Distribution | None) -> tuple[Any, Distribution | None]:
    """The map, and the base where it comes with one."""
    if isinstance(flow, TransformedDistribution):
        if base is not None:
            raise ValueError("base must be left out, for the distribution that was given as flow has its own")
        base = flow.base_dist
        if isinstance(flow, FlowDistribution):
            return flow.flow, base
        return flow.transforms[0] if len(flow.transforms) == 1 else ComposeTransform(flow.transforms), base
    if isinstance(flow, tuple | list):
        if len(flow) != 2 or not all(callable(one) for one in flow):
            raise ValueError("flow must be a flow, or a pair of functions (forward, inverse)")
        return _Pair(*flow), base
    if isinstance(flow, Distribution) or not callable(flow):
        raise ValueError(
            "flow must be a flow z -> x, a distribution made of a base and transforms, a Transform, a module with "
            f".inverse, or a pair of functions (forward, inverse), but is a {type(flow).__name__}"
        )
    return flow, base


def _checked_base(base: Distribution | None, dim: int) -> Distribution:
    if base is None:
        base = Normal(torch.zeros(dim), torch.ones(dim), validate_args=False)
    if not isinstance(base, Distribution):
        raise ValueError(f"base must be a torch distribution, but is a {type(base).__name__}")
    if base.batch_shape and base.batch_shape.numel() * base.event_shape.numel() == dim:
        base = Independent(base, len(base.batch_shape), validate_args=False)
    if base.batch_shape or base.event_shape.numel() != dim:
        raise ValueError(
            f"base must draw {dim} numbers, as many as an image has pixels, but has batch shape "
            f"{tuple(base.batch_shape)} and event shape {tuple(base.event_shape)}"
        )
    return copy_of(base)


def _mean_of(base: Distribution, dim: int) -> Tensor:
    try:
        mean = base.mean.double().reshape(dim)
    except NotImplementedError:
        return torch.zeros(dim, dtype=torch.float64)
    return mean if mean.isfinite().all() else torch.zeros(dim, dtype=torch.float64)


def _callable_with(flow: Any, z: Tensor, shape: tuple[int, int, int]) -> _WithLadj:
    """The flow, called with vectors or, where it refuses those, with images."""
    event = getattr(flow, "event_shape", None)
    images = [z, z.reshape(-1, *shape), z.reshape(-1, *shape[1:]) if shape[0] == 1 else z]
    if event is not None:
        images = [z.reshape(-1, *event)] if event.numel() == z.shape[1] else [z]
    refusals = []
    for points in images:
        try:
            return _WithLadj(flow, points)
        except ValueError as error:
            refusals.append(error)
    raise refusals[0]
