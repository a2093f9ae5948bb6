"""Whatever the inspector is given -> one shape of map: (B, *event) to (B, *event), with what it claims about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.distributions.transforms import Transform

from .rng import seeded
from .twin import InverseTransform, twins
from .watch import watched

__all__ = ["MANNERS", "Map", "NoMap", "adapt", "as_points", "name_of"]

Pair = tuple[Any, Any]

# How a map can be called: with all points at once, with one at a time, or never with fewer than two.
MANNERS = ("all at once", "one by one", "never alone")


class NoMap(ValueError):
    """What came back has no Jacobian with a determinant."""


@dataclass
class Map:
    """A map of events, in one shape for all that the inspector takes.

    Attributes:
        name: as its author would write it, such as ``Planar``.
        kind: "flow", "transform", "module" or "function".
        subject: the copy that is called, whose state may be looked at.
        event_shape: the shape of one event; D is its number of elements.
        forward: x (B, *event) -> y (B, *event) and the claimed log-det as it came (None if none is claimed).
        backward: y -> x and the inverse's claimed log-det (or None); None if the map has no inverse to ask.
        log_det_by: whose claim it is, in words.
        per_dimension: whether one log-det per dimension is this kind's convention, and so no mistake.
        formula: of the log-det, in TeX; "" if the map does not say.
        terms: x (B, *event) -> the named quantities of the formula; None if the map does not say.
        manner: one of ``MANNERS``.
        image_shape: the shape of one y, once one was seen: a squeeze makes (4 C, H/2, W/2) of (C, H, W).
        with_gradient: whether it runs on points that require a gradient. Where it does it always gets such points,
            since it may take a gradient inside, as a leapfrog step does.
    """

    name: str
    kind: str
    subject: Any
    event_shape: torch.Size
    forward: Callable[[Tensor], Pair]
    backward: Callable[[Tensor], Pair] | None
    log_det_by: str
    per_dimension: bool = False
    formula: str = ""
    terms: Callable[[Tensor], dict[str, Tensor]] | None = None
    manner: str = "all at once"
    image_shape: torch.Size | None = None
    with_gradient: bool = True

    @property
    def dim(self) -> int:
        return self.event_shape.numel()

    def __call__(self, x: Tensor, *, seed: int = 0) -> Pair:
        """Return y (B, D) and the claimed log-det as it came, at x (B, D).

        Each call starts from the same random state. Only if x requires a gradient do the results have a history.
        """
        y, log_det = self._run(self.forward, x, seed)
        if not isinstance(y, Tensor):
            raise NoMap(f"transform: {self.name} must return a tensor y, but returned a {type(y).__name__}")
        if y.shape[:1] != x.shape[:1] or y.numel() != x.numel():
            raise NoMap(
                f"transform: {self.name} maps {self.dim} numbers to {y.numel() / len(x):g}, so its Jacobian is not "
                f"square and has no determinant (x came as {tuple(x.shape)}, y as {tuple(y.shape)})"
            )
        self.image_shape = y.shape[1:]
        return y.flatten(1), log_det

    def invert(self, y: Tensor) -> Pair:
        """y (B, D) -> x (B, D) and the inverse's claimed log-det as it came (or None)."""
        x, log_det = self._run(self.backward, y, shape=self.image_shape)
        return x.reshape(len(y), -1), log_det

    def _run(self, call: Callable[[Tensor], Pair], x: Tensor, seed: int = 0, shape: torch.Size | None = None) -> Pair:
        kept = x.requires_grad or _is_dual(x)
        with seeded(seed), torch.set_grad_enabled(kept or self.with_gradient), watched():
            start = x if kept or not self.with_gradient else x.detach().requires_grad_()
            # Cloned: a layer may write into what it is given.
            out = call(start.clone().reshape(len(x), *(self.event_shape if shape is None else shape)))
        return out if kept else tuple(part.detach() if isinstance(part, Tensor) else part for part in out)


def _is_dual(x: Tensor) -> bool:
    """Return True in forward mode, where x has a tangent that ``detach`` would remove."""
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None


def as_points(x: Any) -> Tensor:
    """Check x, the points to look at, before anything else is made of it."""
    x = x.detach() if isinstance(x, Tensor) else torch.as_tensor(x)
    if x.dim() == 0 or x.numel() == 0:
        raise ValueError(f"x must have the shape (D,) or (B, D), but has the shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"x must be real floating point, but is {x.dtype}; try x.float()")
    if not x.isfinite().all():
        raise ValueError(
            f"x must be finite, but {int((~x.isfinite()).sum())} of its {x.numel()} values are NaN or infinite"
        )
    return x


def adapt(
    transform: Any,
    x: Tensor,
    log_det: Callable | None = None,
    inverse: Callable | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    manner: str = "all at once",
    as_a_copy: bool = True,
) -> Map:
    """A :class:`Map` around a copy of ``transform`` whose floating tensors are ``dtype`` (None: as they are).

    Args:
        transform: a flow (``call_and_ladj`` and ``event_shape``), a ``torch.distributions.Transform``, a module that
            returns ``y`` or ``(y, log_det)``, its inverse found as ``.inverse``, or any function that returns either.
        x: the points; they tell the event's shape where the transform does not.
        log_det: x -> log|det J|, if the transform does not tell it or another claim is to be judged.
        inverse: y -> x or (x, log_det), likewise.
        dtype: of the copy.
        manner: one of ``MANNERS``.
        as_a_copy: if False, the map is made of ``transform`` itself.

    Raises:
        ValueError: if ``transform`` cannot be called or copied, or takes events of another shape than x has.
    """
    if not callable(transform):
        raise ValueError(f"transform must be a flow, a Transform, a module or a function, but is {transform!r}")
    if as_a_copy:
        transform, log_det, inverse = twins(transform, log_det, inverse, dtype=dtype)
    if isinstance(transform, Transform) or hasattr(transform, "call_and_ladj"):
        parts = _from_transform(transform, x)
    else:
        parts = _from_callable(transform, x)
    if log_det is not None:
        # Only the claim is exchanged; each is called in the same manner.
        claim, own = _in_manner(manner, log_det), _in_manner(manner, parts["forward"])
        parts |= {"forward": lambda points: (own(points)[0], claim(points)), "log_det_by": "log_det(x), as given"}
    else:
        parts["forward"] = _in_manner(manner, parts["forward"])
    backward = (lambda points: _pair(inverse(points))) if inverse is not None else parts["backward"]
    parts["backward"] = None if backward is None else _in_manner(manner, backward)
    return Map(**parts, subject=transform, manner=manner)


def _in_manner(manner: str, call: Callable) -> Callable:
    """``call``, which wants its points in this manner, as a function of any batch of points."""
    return {"all at once": lambda f: f, "one by one": _each, "never alone": _accompanied}[manner](call)


def _each(call: Callable) -> Callable:
    """Of a function of one point without a batch dimension."""

    def rows(points: Tensor) -> Any:
        out = [call(point) for point in points]
        if isinstance(out[0], list):
            raise NoMap(
                f"transform: it must return a tensor, or a tensor and a log-det, but returned a list of {len(out[0])}"
            )
        if isinstance(out[0], tuple):
            return tuple(_stack(parts) for parts in zip(*out, strict=True))
        return _stack(out)

    return rows


def _accompanied(call: Callable) -> Callable:
    """Of a function that refuses a batch of one: a lone point is given a neighbour, whose results are dropped."""

    def beside(points: Tensor) -> Any:
        if len(points) > 1:
            return call(points)
        out = call(torch.cat([points, points + 0.1 * (1 + points.abs())]))
        if isinstance(out, tuple):
            return tuple(_first(part) for part in out)
        return _first(out)

    return beside


def _first(value: Any) -> Any:
    return value[:1] if isinstance(value, Tensor) and value.shape[:1] == (2,) else value


def _from_transform(t: Any, x: Tensor) -> dict[str, Any]:
    is_flow = hasattr(t, "event_shape")
    if is_flow:
        event_shape, event_dim = torch.Size(t.event_shape), len(t.event_shape)
    else:
        event_dim = t.domain.event_dim
        event_shape = x.shape[x.dim() - event_dim :] if event_dim else _event_of(x)
    if x.dim() < event_dim or (is_flow and x.shape[x.dim() - event_dim :] != event_shape):
        wanted = ", ".join(str(size) for size in event_shape) if is_flow else f"{event_dim} or more dimensions"
        raise ValueError(f"x: {name_of(t)} takes events of shape ({wanted}), but x has the shape {tuple(x.shape)}")

    def forward(points: Tensor) -> Pair:
        if hasattr(t, "call_and_ladj"):
            return t.call_and_ladj(points)
        y = t(points)
        try:
            return y, t.log_abs_det_jacobian(points, y)
        except NotImplementedError:
            return y, None

    def backward(points: Tensor) -> Pair:
        return t.inverse_and_ladj(points) if hasattr(t, "inverse_and_ladj") else (t.inv(points), None)

    return {
        "name": name_of(t),
        "kind": "flow" if is_flow else "transform",
        "event_shape": event_shape,
        "forward": forward,
        "backward": backward,
        "log_det_by": "call_and_ladj(x)" if hasattr(t, "call_and_ladj") else "log_abs_det_jacobian(x, y)",
        "per_dimension": event_dim == 0,
        "formula": getattr(t, "formula", ""),
        "terms": getattr(t, "terms", None),
    }


def _from_callable(f: Callable, x: Tensor) -> dict[str, Any]:
    parts = {
        "name": name_of(f),
        "kind": "module" if isinstance(f, nn.Module) else "function",
        "event_shape": _event_of(x),
        "log_det_by": "the second output",
        "formula": getattr(f, "formula", ""),
        "terms": getattr(f, "terms", None),
    }
    inverse = getattr(f, "inverse", None)
    parts["forward"] = lambda points: _pair(f(points))
    parts["backward"] = (lambda points: _pair(inverse(points))) if callable(inverse) else None
    return parts


def _stack(values: tuple | list) -> Tensor | None:
    return None if values[0] is None else torch.stack([torch.as_tensor(value) for value in values])


def _pair(out: Any) -> Pair:
    if isinstance(out, tuple | list) and len(out) >= 2:
        return out[0], out[1]
    return out, None


def _event_of(x: Tensor) -> torch.Size:
    return x.shape[1:] if x.dim() > 1 else x.shape


def name_of(thing: Any) -> str:
    if isinstance(thing, nn.Module | Transform):
        return f"the inverse of {name_of(thing.inv)}" if isinstance(thing, InverseTransform) else type(thing).__name__
    name = getattr(thing, "__name__", type(thing).__name__)
    return "lambda" if name == "<lambda>" else name
