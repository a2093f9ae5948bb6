"""What can be measured of a map at some points: its Jacobian by autograd, its own claims, its inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions.transforms import Transform

from .adapt import Map
from .autograd import jacobian

__all__ = ["Claim", "Inverse", "companions", "depends_on_others", "jacobian", "read_claim", "try_inverse"]


@dataclass(frozen=True)
class Claim:
    """A claimed log-det, made comparable.

    Attributes:
        values: (B,) nats; None if nothing was claimed or its shape fits nothing.
        layout: "per sample", "per dimension", "one number", "none" or "unknown".
        shape: the shape it came in.
    """

    values: Tensor | None
    layout: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Inverse:
    """What came of x -> y -> x.

    Attributes:
        error: (B,) the largest coordinate of |x - inverse(forward(x))|; None if there is no inverse.
        log_det: (B,) log|det dx/dy| as the inverse claims it; None if it does not.
        failure: what the map said when asked for its inverse, if it refused.
    """

    error: Tensor | None = None
    log_det: Tensor | None = None
    failure: str = ""


def read_claim(raw: Any, x: Tensor, event_shape: torch.Size) -> Claim:
    """Make (B,), (B, 1), (B, D), (D,), a 0-dim tensor or a plain number into one value per sample.

    Args:
        raw: the log-det as it came.
        x: (B, D), the points that it belongs to.
        event_shape: of one event, D elements.
    """
    if raw is None:
        return Claim(None, "none", None)
    raw = torch.as_tensor(raw).double()
    shape, (B, D) = tuple(raw.shape), x.shape
    if raw.dim() == 0:
        return Claim(raw.expand(B), "one number", shape)
    if raw.numel() == B and shape[0] == B:
        return Claim(raw.reshape(B), "per sample", shape)
    if raw.numel() == B * D and shape[0] == B:
        return Claim(raw.reshape(B, D).sum(1), "per dimension", shape)
    if shape in {(D,), tuple(event_shape), (1, D)}:
        return Claim(raw.sum().expand(B), "per dimension", shape)
    if raw.numel() == 1:
        return Claim(raw.reshape(()).expand(B), "one number", shape)
    return Claim(None, "unknown", shape)


def try_inverse(f: Map, x: Tensor, y: Tensor) -> Inverse:
    """Go from y back to x, and ask the inverse for its log-det."""
    if f.backward is None:
        return Inverse()
    with torch.no_grad():
        try:
            back, raw = f.invert(y)
        except Exception as error:
            return Inverse(failure=f"{type(error).__name__}: {error}".rstrip(": "))
    if back.shape != x.shape:
        return Inverse(failure=f"it returned the shape {tuple(back.shape)} for {tuple(x.shape)}")
    error = (back - x).abs().double().amax(1).nan_to_num(nan=math.inf)
    return Inverse(error, read_claim(raw, x, f.event_shape).values)


def depends_on_others(f: Map, x: Tensor, others: Tensor, y: Tensor) -> Tensor:
    """(B,) how far each output moves when only the *other* rows of the batch are changed.

    Every second row is exchanged for another point, and its neighbours watched; then the rest.

    Args:
        f: the map.
        x: (B, D), B >= 2.
        others: (B, D), other points.
        y: (B, D), f(x).
    """
    even = torch.arange(len(x)) % 2 == 0
    moved = x.new_zeros(len(x))
    with torch.no_grad():
        for changed in (even, ~even):
            mixed = torch.where(changed.unsqueeze(1), others, x)
            moved[~changed] = (f(mixed)[0] - y)[~changed].abs().amax(1)
    return moved


def companions(f: Map, transform: Any, x: Tensor, count: int) -> Tensor:
    """Up to ``count`` points near those given, in the map's domain, by a generator of their own (always the same).

    One point cannot tell a zero of the structure from a zero by accident; its neighbours can.
    """
    spread = x.std(0) if len(x) > 1 else 1.0
    noise = torch.randn(count, x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reach = torch.tensor([0.1, 0.3, 1.0], dtype=torch.float64)[torch.arange(count) % 3].unsqueeze(1)
    points = x[torch.arange(count) % len(x)] + (reach * noise).to(x.dtype) * spread
    if isinstance(transform, Transform):
        with torch.no_grad():
            inside = transform.domain.check(points.reshape(-1, *f.event_shape))
        points = points[inside.reshape(count, -1).all(1)]
    return points
