"""Coordinates on the spaces that a map works between, where these are not all of R^D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt
from .given import name_of
from .interface import takes_context
from .phrases import in_words

__all__ = ["OFF", "SPACE", "VOLUME", "in_coordinates"]

VOLUME = "volume"
# The attribute of a map in coordinates that tells how far y is from the space that they describe.
SPACE = "_away_from_the_space"
# How far x and y may be from the space, relative to 1 plus their size: a basis may be given in float32.
OFF = 1e-4

Function = Callable[[Tensor], Tensor]


def in_coordinates(
    given: tuple[Any, Callable | None, Callable | None], x: Tensor, coordinates: Any, context: Tensor | None
) -> tuple[tuple[Any, None, Callable | None], Tensor]:
    """Return the map and its inverse, as functions of coordinate vectors, and the points as vectors.

    Where x or y consists of vectors already it is left as it is; ``from_vector=None`` applies ``to_vector`` to y alone,
    so that there is no inverse.

    Raises:
        ValueError: if ``coordinates`` is no such pair or basis, raises, or leads from neither x nor y to vectors and
            back.
    """
    transform, log_det, inverse = given
    to_vector, from_vector = _pair(coordinates, x)
    f = adapt(transform, x, log_det, inverse, context=context, dtype=None)
    events = x.unsqueeze(0) if x.dim() == 1 else x
    images = _images(f, events)
    of_x, of_y = from_vector is not None, True
    if of_x:
        far = _away(events, to_vector, from_vector)
        of_x = far is not None and bool(far.max() <= OFF)
        elsewhere = images is not None and images.shape != events.shape
        away = _away(images, to_vector, from_vector) if elsewhere else None
        of_y = not elsewhere or (away is not None and bool(away.max() <= OFF))
        if not of_x and not (elsewhere and of_y):
            raise ValueError(
                "coordinates must lead from x to vectors and back, but from_vector(to_vector(x)) "
                + (f"differs from x by {float(far.max()):.1e} of its size" if far is not None else "has another shape")
            )

    def call(points: Tensor, context: Tensor | None, backward: bool) -> tuple[Tensor, Any]:
        points = from_vector(points) if (of_y if backward else of_x) else points
        own = context if takes_context(transform) else None
        f = adapt(transform, points, log_det, inverse, context=own, dtype=None, as_a_copy=False)
        return (f.backward if backward else f.forward)(points, own)

    def forward(points: Tensor, context: Tensor | None = None) -> tuple[Tensor, Any]:
        y, claim = call(points, context, False)
        return to_vector(y) if of_y else y, claim

    def backward(points: Tensor, context: Tensor | None = None) -> tuple[Tensor, Any]:
        x, claim = call(points, context, True)
        return to_vector(x) if of_x else x, claim

    def leaves(points: Tensor, context: Tensor | None = None) -> Tensor | None:
        with torch.no_grad():
            return _away(call(points, context, False)[0], to_vector, from_vector)

    forward.__name__ = f"{name_of(transform)} in coordinates"
    if of_x and of_y:
        setattr(forward, SPACE, leaves)
    has_inverse = from_vector is not None and f.backward is not None
    vectors = to_vector(events).detach() if of_x else x
    return (forward, None, backward if has_inverse else None), vectors


def _images(f: Map, events: Tensor) -> Tensor | None:
    """Return y at events, as the map returns it; None if it raises."""
    try:
        with torch.no_grad():
            y = f.forward(events.clone(), f.context)[0]
    except Exception:
        return None
    return y if isinstance(y, Tensor) else None


def _away(events: Tensor, to_vector: Function, from_vector: Function) -> Tensor | None:
    """Return how far (N,) events are from the space, relative to 1 + their size; None where they are of another kind.

    Raises:
        ValueError: if one of the functions raises.
    """
    try:
        back = from_vector(to_vector(events))
    except Exception as error:
        raise ValueError(f"coordinates must lead to vectors and back, but raise {in_words(error)}") from error
    if back.shape != events.shape:
        return None
    events = events.flatten(1)
    return (back.flatten(1) - events).abs().amax(1) / (1 + events.abs().amax(1))


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
