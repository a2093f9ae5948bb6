"""Coordinates on the spaces that a map works between, where these are not all of R^D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .adapt import adapt
from .given import name_of
from .interface import takes_context

__all__ = ["VOLUME", "in_coordinates"]

VOLUME = "volume"

Function = Callable[[Tensor], Tensor]


def in_coordinates(
    transform: Any, x: Tensor, log_det: Callable | None, inverse: Callable | None, coordinates: Any
) -> tuple[Any, Tensor, Callable | None, Callable | None]:
    """Return the map, points, log-det and inverse as functions of coordinate vectors.

    Args:
        transform, x, log_det, inverse: as for ``inspect_jacobian``.
        coordinates: a pair (to_vector, from_vector) of functions, events (N, *event) -> (N, d) and back; or a tangent
            basis (n, d) with orthonormal columns, n the elements of an event. ``from_vector=None`` leaves x as it is,
            and applies ``to_vector`` to y alone, which then has no inverse.

    Raises:
        ValueError: if ``coordinates`` is something else, or does not lead from x to vectors and back.
    """
    to_vector, from_vector = _pair(coordinates, x)
    events = x.unsqueeze(0) if x.dim() == 1 else x
    vectors = events
    if from_vector is not None:
        vectors = to_vector(events)
        back = from_vector(vectors)
        far = (back.reshape(events.shape) - events).abs().max() if back.numel() == events.numel() else torch.inf
        if not far <= 1e-4 * (1 + events.abs().max()):
            raise ValueError(
                "coordinates must lead from x to vectors and back, but from_vector(to_vector(x)) differs from x "
                f"by {float(far):.1e}"
            )

    def call(points: Tensor, context: Tensor | None, backward: bool) -> tuple[Tensor, Any]:
        points = points if from_vector is None else from_vector(points)
        own = context if takes_context(transform) else None
        f = adapt(transform, points, log_det, inverse, context=own, dtype=None, as_a_copy=False)
        out, claim = (f.backward if backward else f.forward)(points, own)
        return to_vector(out), claim

    def forward(points: Tensor, context: Tensor | None = None) -> tuple[Tensor, Any]:
        return call(points, context, False)

    def backward(points: Tensor, context: Tensor | None = None) -> tuple[Tensor, Any]:
        return call(points, context, True)

    forward.__name__ = f"{name_of(transform)} in coordinates"
    has_inverse = from_vector is not None and adapt(transform, x, log_det, inverse, dtype=None).backward is not None
    return forward, vectors.detach(), None, backward if has_inverse else None


def _pair(coordinates: Any, x: Tensor) -> tuple[Function, Function | None]:
    if isinstance(coordinates, Tensor):
        return _of_a_basis(coordinates, x)
    if isinstance(coordinates, tuple | list) and len(coordinates) == 2:
        to_vector, from_vector = coordinates
        if callable(to_vector) and (from_vector is None or callable(from_vector)):
            return to_vector, from_vector
    raise ValueError(
        f"coordinates must be a pair (to_vector, from_vector), a tangent basis (n, d), or {VOLUME!r}, but is "
        f"{coordinates!r}"
    )


def _of_a_basis(basis: Tensor, x: Tensor) -> tuple[Function, Function]:
    n = x.shape[0] if x.dim() == 1 else x[0].numel()
    if basis.dim() != 2 or basis.shape[0] != n or not basis.is_floating_point():
        raise ValueError(f"coordinates, as a basis, must have the shape ({n}, d), but has {tuple(basis.shape)}")
    gram = basis.double().T @ basis.double()
    if (gram - torch.eye(len(gram)).to(gram)).abs().max() > 1e-4:
        raise ValueError("coordinates, as a basis, must have orthonormal columns; try torch.linalg.qr(basis).Q")
    event = x.shape if x.dim() == 1 else x.shape[1:]
    points = x.reshape(-1, n)
    origin = (points - points @ basis.to(points) @ basis.T.to(points)).mean(0)

    def to_vector(events: Tensor) -> Tensor:
        return (events.flatten(1) - origin.to(events)) @ basis.to(events)

    def from_vector(vectors: Tensor) -> Tensor:
        return (vectors @ basis.T.to(vectors) + origin.to(vectors)).reshape(-1, *event)

    return to_vector, from_vector
