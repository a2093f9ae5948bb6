"""Whatever the inspector is given -> one shape of map: (B, *event) to (B, *event), with what it claims about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform

from .twin import twins

__all__ = ["Map", "adapt", "as_points"]

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Map:
    """A map of events, in one shape for all that the inspector takes.

    Attributes:
        name: as its author would write it, such as ``Planar``.
        kind: "flow", "transform", "module" or "function".
        event_shape: the shape of one event; D is its number of elements.
        forward: x (B, *event) -> y (B, *event) and the claimed log-det as it came (None if none is claimed).
        backward: y -> x and the inverse's claimed log-det (or None); None if the map has no inverse to ask.
        log_det_by: whose claim it is, in words.
        per_dimension: whether one log-det per dimension is this kind's convention, and so no mistake.
        formula: of the log-det, in TeX; "" if the map does not say.
        terms: x (B, *event) -> the named quantities of the formula; None if the map does not say.
    """

    name: str
    kind: str
    event_shape: torch.Size
    forward: Callable[[Tensor], Pair]
    backward: Callable[[Tensor], Pair] | None
    log_det_by: str
    per_dimension: bool = False
    formula: str = ""
    terms: Callable[[Tensor], dict[str, Tensor]] | None = None

    @property
    def dim(self) -> int:
        return self.event_shape.numel()

    def __call__(self, x: Tensor) -> Pair:
        """x (B, D) -> y (B, D) and the claimed log-det as it came. Each call starts from the same random state."""
        y, log_det = self._run(self.forward, x)
        if not isinstance(y, Tensor):
            raise ValueError(f"transform: {self.name} must return a tensor y, but returned a {type(y).__name__}")
        if y.shape[:1] != x.shape[:1] or y.numel() != x.numel():
            raise ValueError(
                f"transform: {self.name} maps {self.dim} numbers to {tuple(y.shape[1:])}, so its Jacobian is not "
                f"square and has no determinant (x came as {tuple(x.shape)}, y as {tuple(y.shape)})"
            )
        return y.flatten(1), log_det

    def invert(self, y: Tensor) -> Pair:
        """y (B, D) -> x (B, D) and the inverse's claimed log-det as it came (or None)."""
        x, log_det = self._run(self.backward, y)
        return x.reshape(len(y), -1), log_det

    def _run(self, call: Callable[[Tensor], Pair], x: Tensor) -> Pair:
        with torch.random.fork_rng(devices=[]):
            # Cloned: a layer may write into what it is given.
            return call(x.clone().reshape(-1, *self.event_shape))


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
) -> Map:
    """A :class:`Map` around a copy of ``transform`` whose floating tensors are ``dtype`` (None: as they are).

    Args:
        transform: a flow (``call_and_ladj`` and ``event_shape``), a ``torch.distributions.Transform``, a module that
            returns ``y`` or ``(y, log_det)``, its inverse found as ``.inverse``, or any function that returns either.
        x: the points; they tell the event's shape where the transform does not.
        log_det: x -> log|det J|, if the transform does not tell it or another claim is to be judged.
        inverse: y -> x or (x, log_det), likewise.
    """
    if not callable(transform):
        raise ValueError(f"transform must be a flow, a Transform, a module or a function, but is {transform!r}")
    transform, log_det, inverse = twins(transform, log_det, inverse, dtype=dtype)
    if isinstance(transform, Transform) or hasattr(transform, "call_and_ladj"):
        parts = _from_transform(transform, x)
    else:
        parts = _from_callable(transform, x)
    if log_det is not None:
        own = parts["forward"]
        each = _each(log_det) if _one_by_one(parts, x) else log_det
        parts |= {"forward": lambda points: (own(points)[0], each(points)), "log_det_by": "log_det(x), as given"}
    if inverse is not None:
        undo = _each(inverse) if _one_by_one(parts, x) else inverse
        parts["backward"] = lambda points: _pair(undo(points))
    return Map(**parts)


def _from_transform(t: Any, x: Tensor) -> dict[str, Any]:
    is_flow = hasattr(t, "event_shape")
    if is_flow:
        event_shape, event_dim = torch.Size(t.event_shape), len(t.event_shape)
    else:
        event_dim = t.domain.event_dim
        event_shape = x.shape[x.dim() - event_dim :] if event_dim else _event_of(x)
    if x.dim() < event_dim or (is_flow and x.shape[x.dim() - event_dim :] != event_shape):
        wanted = ", ".join(str(size) for size in event_shape) if is_flow else f"{event_dim} or more dimensions"
        raise ValueError(f"x: {_name(t)} takes events of shape ({wanted}), but x has the shape {tuple(x.shape)}")

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
        "name": _name(t),
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
        "name": _name(f),
        "kind": "module" if isinstance(f, nn.Module) else "function",
        "event_shape": _event_of(x),
        "log_det_by": "the second output",
        "formula": getattr(f, "formula", ""),
        "terms": getattr(f, "terms", None),
    }
    # A function written for one point, like x -> A @ x, is called with one point at a time if x is one point.
    forward = _each(f) if _one_by_one(parts, x) else f
    inverse = getattr(f, "inverse", None)
    parts["forward"] = lambda points: _pair(forward(points))
    parts["backward"] = (lambda points: _pair(inverse(points))) if callable(inverse) else None
    return parts


def _one_by_one(parts: dict[str, Any], x: Tensor) -> bool:
    return parts["kind"] == "function" and x.dim() == 1


def _each(f: Callable) -> Callable:
    """f, which takes one point, as a function of a batch of points."""

    def rows(points: Tensor) -> Any:
        out = [f(point) for point in points]
        if isinstance(out[0], tuple):
            return tuple(_stack(part) for part in zip(*out, strict=True))
        return _stack(out)

    return rows


def _stack(values: tuple | list) -> Tensor:
    return torch.stack([torch.as_tensor(value) for value in values])


def _pair(out: Any) -> Pair:
    if isinstance(out, tuple | list) and len(out) >= 2:
        return out[0], out[1]
    return out, None


def _event_of(x: Tensor) -> torch.Size:
    return x.shape[1:] if x.dim() > 1 else x.shape


def _name(thing: Any) -> str:
    if isinstance(thing, nn.Module | Transform):
        text = type(thing).__name__
        return f"the inverse of {_name(thing.inv)}" if text == "_InverseTransform" else text
    name = getattr(thing, "__name__", type(thing).__name__)
    return "lambda" if name == "<lambda>" else name
