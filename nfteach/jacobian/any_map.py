"""One adapter for every map that is handed in: its values, its log-det, its Jacobian and the density that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.transforms import Transform
from torch.utils._python_dispatch import _disable_current_modes

from .adapt import Map, adapt
from .autograd import jacobian
from .bases import as_base, log_density, map_and_base
from .borrowed import on_its_own
from .calls import first_that_runs, noticeable
from .chain import layers_of
from .given import as_points, name_of
from .measure import read_claim
from .phrases import in_words
from .rng import seeded
from .twin import own_device, own_dtype, twins_at_rest
from .unharmed import unharmed

__all__ = ["AnyMap", "MapFailed", "MapStep"]

# Points at which a map is tried: this many, or fewer where their Jacobians would have more numbers than this.
_TRIED, _LARGE = 32, 20_000
# How near a point must come back through inverse and map, relative to its size, to be taken for an image.
_NEAR = 1e-3


class MapStep(NamedTuple):
    """The record of one layer, as :class:`nfteach.flows.Step`. Points are (..., D), log-dets (...) in nats."""

    index: int
    layer: AnyMap
    input: Tensor
    output: Tensor
    ladj: Tensor
    running_ladj: Tensor


class AnyMap:
    r"""A copy of any map z -> x of D numbers with one interface, and the density of x for z from a base distribution.

    The copy is independent of the original, in evaluation mode and in float64; no gradients are kept, and the original
    is not changed. All that depends on values is tried once, here: each method then runs the same operations for all
    values, so that a ``TorchDispatchMode`` can record them if the map itself permits that.

    Methods accept points (..., D) of any floating dtype and return float64. Where the map is NaN or infinite, so are
    the results; :meth:`check` raises an error there. Those that need the inverse raise ValueError if there is none.

    Args:
        transform: the map z -> x: a ``Flow`` (``call_and_ladj`` and ``event_shape``); a ``torch.distributions``
            ``Transform``; a module or a function that returns x or (x, log_det), of points (N, D) or of one point (D,),
            its inverse found as ``.inverse``; or a ``TransformedDistribution``, which brings its own base.
        dim: D, or the shape of one event such as (1, 8, 8); needed where neither the map nor ``base`` nor ``points``
            has a shape. Methods expect events flattened to (..., D).
        base: the distribution of z; by default that of ``transform``, or the standard normal.
        log_det: z -> log\|det dx/dz\| in nats, where the map does not return it.
        inverse: x -> z or (z, log\|det dz/dx\|), where the map does not have it.
        points: (N, D), where the map is tried; by default samples of the base.
        dtype: the dtype that the copy works in, such as float32 for speed; None for the map's own.

    Attributes:
        name: the map's name, such as ``Planar``.
        dim: D.
        event_shape, image_shape: the shapes of one z and one x, as the map takes and returns them.
        base: a copy of the base distribution in float64 that does not validate values.
        transform: the copy that is called.
        dtype: the dtype of that copy: the map's own where it does not run in the dtype wanted.
        has_log_det: True if the map claims a log-det; otherwise it is computed by autograd and elimination.
        has_inverse: True if the map has an inverse that runs.
        one_by_one: True if the map takes one point at a time, which is slow.

    Raises:
        ValueError: if ``transform`` is not a map, cannot be copied or called, does not keep the number of dimensions,
            is NaN or infinite at all points where it is tried, or does not fit ``dim`` or ``base``.

    Example:
        >>> def shear(z):
        ...     return torch.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2], 1)
        >>> f = AnyMap(shear, dim=2, inverse=lambda x: torch.stack([x[:, 0], x[:, 1] - x[:, 0] ** 2], 1))
        >>> x, ladj = f.call_and_ladj(torch.tensor([1.0, 2.0]))
        >>> x, ladj
        (tensor([1., 3.], dtype=torch.float64), tensor(0., dtype=torch.float64))
        >>> f.jacobian(torch.tensor([1.0, 2.0]))
        tensor([[1., 0.],
                [2., 1.]], dtype=torch.float64)
        >>> f.density(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        tensor([0.1592, 0.0965], dtype=torch.float64)
    """

    def __init__(
        self,
        transform: Any,
        *,
        dim: int | tuple[int, ...] | None = None,
        base: Distribution | None = None,
        log_det: Callable[[Tensor], Any] | None = None,
        inverse: Callable[[Tensor], Any] | None = None,
        points: Tensor | None = None,
        dtype: torch.dtype | None = torch.float64,
    ) -> None:
        transform, base = map_and_base(transform, base)
        self.name = name_of(transform)
        self.event_shape = _event_shape(transform, self.name, dim, base, points)
        self.dim = self.event_shape.numel()
        self.base = as_base(base, self.dim)
        self._tried = self._samples() if points is None else as_points(points).double().cpu().reshape(-1, self.dim)
        given = (transform, log_det, inverse)
        own, self._device = own_dtype(*given, otherwise=torch.float64), own_device(*given)
        events = self._tried.to(self._device, own).reshape(-1, *self.event_shape)
        with unharmed(*given) as snapshot, on_its_own(snapshot, given, events):
            self._map, self.dtype, copies = _running(given, events, own if dtype is None else dtype)
            self.transform, self.one_by_one = self._map.subject, self._map.manner == "one by one"
            with torch.no_grad():
                (x, raw), (again, _) = (self._map(events.to(self.dtype).flatten(1), seed=seed) for seed in (0, 1))
            self.image_shape = self._map.image_shape
            # Random numbers drawn in a call are the same in every call.
            self._seeds = bool((x - again).abs().nan_to_num(0.0).max() > noticeable(x))
            self.has_log_det = self._claim(raw, self._tried) is not None
            landed = x.isfinite().all(1).cpu()
            if not landed.any():
                raise ValueError(
                    f"transform must be finite, but {self.name} is NaN or infinite at all {len(x)} points tried"
                )
            self._find_inverse(x[landed.to(x.device)], copies, own)

    @property
    def has_inverse(self) -> bool:
        return not self._no_inverse

    def __call__(self, z: Tensor) -> Tensor:
        """Return x (..., D) at z (..., D)."""
        return self._forward(self._points(z, "z"))[0].reshape(z.shape)

    def call_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (..., D) and log|det dx/dz| (...) in nats, at z (..., D): as claimed, or by autograd."""
        if not self.has_log_det:
            return self.call_and_jacobian(z)[:2]
        points = self._points(z, "z")
        x, raw = self._forward(points)
        return x.reshape(z.shape), self._claim(raw, points).reshape(z.shape[:-1])

    def inverse(self, x: Tensor) -> Tensor:
        """Return z (..., D) at x (..., D); raise ValueError if there is no inverse."""
        return self._backward(self._points(x, "x"))[0].reshape(x.shape)

    def inverse_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (..., D) and log|det dz/dx| (...) in nats, at x (..., D): as claimed, or minus that at z."""
        points = self._points(x, "x")
        z, raw = self._backward(points)
        ladj = self._claim(raw, points)
        ladj = -self.call_and_ladj(z)[1] if ladj is None else ladj
        return z.reshape(x.shape), ladj.reshape(x.shape[:-1])

    def jacobian(self, z: Tensor) -> Tensor:
        """Return dx_i/dz_j (..., D, D) at z (..., D), by autograd."""
        return self.call_and_jacobian(z)[2]

    def call_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x (..., D), log|det dx/dz| (...) in nats and J (..., D, D), at z (..., D), in one pass."""
        points = self._points(z, "z")
        x, raw, J = self._differentiated(points)
        claim = self._claim(raw, points)
        ladj = torch.linalg.slogdet(J).logabsdet if claim is None else claim
        return x.reshape(z.shape), ladj.reshape(z.shape[:-1]), J.reshape(*z.shape, self.dim)

    def log_base(self, z: Tensor) -> Tensor:
        """Return log p(z) (...) in nats, at z (..., D); -inf outside the support of the base."""
        return log_density(self.base, z.double())

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q(x) = log p(z) + log|det dz/dx| (...) in nats, at x (..., D), with the map's own log-det."""
        z, ladj = self.inverse_and_ladj(x)
        return self.log_base(z) + ladj

    def density(self, x: Tensor) -> Tensor:
        """Return q(x) (...), at x (..., D): exp(log_prob), and 0 where the z that is found does not map to x."""
        z, ladj = self.inverse_and_ladj(x)
        q = (self.log_base(z) + ladj).exp()
        landed = ((self(z) - x).abs() <= _NEAR * (1 + x.abs())).all(-1) & q.isfinite()
        return q.where(landed, 0.0)

    def steps(self, z: Tensor) -> list[MapStep]:
        """Return one record per layer, in the order applied, for z (..., D); of a map without layers, one in all."""
        records: list[MapStep] = []
        for index, layer in enumerate(self.layers or (self,)):
            x, ladj = layer.call_and_ladj(z)
            running = ladj + records[-1].running_ladj if records else ladj
            records.append(MapStep(index, layer, z, x, ladj, running))
            z = x
        return records

    @cached_property
    def layers(self) -> tuple[AnyMap, ...]:
        """The layers, in the order applied, where the map is a composition of maps; otherwise empty."""
        layers, x, shape = [], self._tried, self.event_shape
        with _disable_current_modes():  # they are tried at values, which is not to be recorded
            try:
                for part in _parts(self.transform):
                    finite = x[x.isfinite().all(1)]
                    layers.append(AnyMap(part, dim=tuple(shape), base=self.base, points=finite, dtype=self.dtype))
                    x, shape = layers[-1](x), layers[-1].image_shape
            except ValueError:  # parts that are not maps of such points
                return ()
            same = torch.allclose(x, self(self._tried), rtol=_NEAR, atol=_NEAR, equal_nan=True)
        return tuple(layers) if same else ()

    def check(self, z: Tensor) -> None:
        """Raise ValueError if x is NaN or infinite at any of z (..., D), and name the first layer where that is so."""
        for step in self.steps(z):
            bad = ~step.output.isfinite().all(-1)
            if bad.any():
                where = f"layer {step.index + 1} ({step.layer.name})" if len(self.layers) > 1 else self.name
                at = ", ".join(f"{value:.4g}" for value in z.reshape(-1, self.dim)[bad.reshape(-1)][0][:8].tolist())
                raise ValueError(f"{where} must be finite, but is NaN or infinite for z = ({at}); try another z")

    def __repr__(self) -> str:
        return f"AnyMap({self.name}, dim={self.dim}, {'with' if self.has_inverse else 'without'} inverse)"

    def _samples(self) -> Tensor:
        count = min(_TRIED, max(2, _LARGE // self.dim**2))
        count += count == self.dim  # points and dimensions could be taken for each other
        with seeded(0):
            return self.base.sample((count,)).double().reshape(count, self.dim)

    def _points(self, points: Tensor, name: str) -> Tensor:
        """Return points (N, D) in the dtype of the copy."""
        if not isinstance(points, Tensor):
            raise ValueError(f"{name} must be a tensor, but is a {type(points).__name__}; try torch.as_tensor({name})")
        if points.shape[-1:] != (self.dim,):
            raise ValueError(f"{name} must have the shape (..., {self.dim}), but has the shape {tuple(points.shape)}")
        if not points.is_floating_point():
            raise ValueError(f"{name} must be real floating point, but is {points.dtype}; try {name}.double()")
        return points.detach().reshape(-1, self.dim).to(self._device, self.dtype)

    def _run(self, direction: Callable, points: Tensor, shape: torch.Size, part: str = "") -> tuple[Any, Any]:
        with _failures_in_words(part), seeded(0) if self._seeds else nullcontext():
            # Cloned: a layer may write into its argument.
            values, raw = direction(points.clone().reshape(-1, *shape))
        return values.reshape(points.shape), raw

    def _forward(self, points: Tensor) -> tuple[Tensor, Any]:
        with torch.no_grad():
            x, raw = self._run(self._map.forward, points, self.event_shape)
            return x.double().cpu(), raw

    def _backward(self, points: Tensor) -> tuple[Tensor, Any]:
        if self._no_inverse:
            raise ValueError(self._no_inverse)
        with torch.no_grad():
            points = points.to(self._back_dtype)
            z, raw = self._run(self._back.backward, points, self.image_shape, "'s inverse")
            return z.double().cpu(), raw

    def _differentiated(self, points: Tensor) -> tuple[Tensor, Any, Tensor]:
        with _failures_in_words("'s derivative"):
            J, x, raw = jacobian(lambda z: self._run(self._map.forward, z, self.event_shape), points)
            return x.double().cpu(), raw, J

    def _claim(self, raw: Any, points: Tensor) -> Tensor | None:
        claim = read_claim(raw, points, self.event_shape)
        if claim.layout == "unknown":
            came = f"has the shape {claim.shape}" if claim.shape is not None else f"is {claim.came_as}"
            raise ValueError(f"the log-det of {self.name} must have the shape ({len(points)},), but {came}")
        return claim.values

    def _find_inverse(self, x: Tensor, copies: tuple[Any, ...], own: torch.dtype) -> None:
        """Take the inverse in the dtype of the map or in the original's ``own``, whichever takes x (N, D)."""
        self._back, self._back_dtype, self._no_inverse = self._map, self.dtype, ""
        if self._map.backward is None:
            self._no_inverse = (
                f"{self.name} must have an inverse for this, but has none; try inverse=..., a function x -> z"
            )
            return

        def failure() -> str:
            try:
                self.inverse(x)
            except ValueError as error:
                return f"{self.name} must have an inverse for this, but {error}"
            return ""

        first = failure()
        if first and own != self.dtype:
            transform, log_det, inverse = copies
            events = x.to(own).reshape(-1, *self.event_shape)
            self._back = adapt(transform, events, log_det, inverse, dtype=None, manner=self._map.manner)
            self._back_dtype = own
            first = failure() and first
        self._no_inverse = first


class MapFailed(ValueError):
    """An error raised by a map that was handed in, in one sentence."""


@contextmanager
def _failures_in_words(part: str) -> Iterator[None]:
    """Turn errors of a map into ``MapFailed``."""
    try:
        yield
    except MapFailed:
        raise
    except Exception as error:
        raise MapFailed(f"the map{part} failed here: {in_words(error)}") from error


def _event_shape(
    transform: Any, name: str, dim: int | tuple[int, ...] | None, base: Distribution | None, points: Tensor | None
) -> torch.Size:
    own = next((part.event_shape for part in (transform, *_parts(transform)) if hasattr(part, "event_shape")), None)
    wanted = dim if dim is not None or points is None else points.shape[-1]
    wanted = torch.Size((wanted,) if isinstance(wanted, int) else wanted or ())
    if own is not None and wanted and wanted.numel() != own.numel():
        raise ValueError(f"transform must map {wanted.numel()} numbers, but {name} takes events of shape {tuple(own)}")
    if not wanted and isinstance(base, Distribution):
        wanted = base.batch_shape + base.event_shape
    if own is None and not wanted:
        raise ValueError(f"dim must be given, since {name} does not define how many numbers it maps; try dim=2")
    return wanted if own is None else torch.Size(own)


def _parts(transform: Any) -> list[Any]:
    """Return the layers that a map may be composed of, also those of the inverse of a composition."""
    if not isinstance(transform, Transform | torch.nn.Module):
        return []
    for layers in (lambda: layers_of(transform), lambda: [part.inv for part in reversed(layers_of(transform.inv))]):
        with suppress(Exception):  # no layers, or no inverse
            return layers()
    return []


def _running(given: tuple[Any, ...], events: Tensor, dtype: torch.dtype) -> tuple[Map, torch.dtype, tuple[Any, ...]]:
    """Return the map in the first form in which it runs, its dtype, and copies of ``given`` in their own."""
    given = twins_at_rest(*given)
    first, refusals = first_that_runs(given, events)
    if first is None and events.dtype == torch.float64:
        first, _ = first_that_runs(given, events.float())  # a function whose numbers are not tensors
    if first is None:
        raise ValueError(f"the map can't be called with points of shape {tuple(events.shape)}: {refusals[0]}")
    if first.f.manner == "one by one":
        # A function of one point: all points at once by torch's own means, where possible.
        together = tuple(None if f is None else torch.vmap(f) for f in given)
        other, _ = first_that_runs(together, events)
        if other is not None and other.f.manner == "all at once":
            first, given = other, together
    runs_in = first.points.dtype
    if dtype != runs_in == torch.float64:
        transform, log_det, inverse = given
        f = adapt(transform, events, log_det, inverse, dtype=dtype, manner=first.f.manner)
        try:
            with torch.no_grad():
                f(events.to(dtype).flatten(1))
            return f, dtype, given
        except Exception:  # it does not run in that dtype
            pass
    return first.f, runs_in, given
