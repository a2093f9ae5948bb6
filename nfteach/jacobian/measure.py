"""What a map says of itself and how it behaves: its claims, its inverse, its samples, its precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions.transforms import Transform

from .adapt import Map

__all__ = [
    "Claim",
    "InOwnDtype",
    "Inverse",
    "companions",
    "depends_on_others",
    "in_own_dtype",
    "read_claim",
    "try_inverse",
]


@dataclass(frozen=True)
class Claim:
    """A claimed log-det, made comparable.

    Attributes:
        values: (B,) nats; None if nothing was claimed or its shape fits nothing.
        layout: "per sample", "per dimension", "one number", "none" or "unknown".
        shape: the shape it came in.
        came_as: what it was, such as "a tensor", "a Python float" or "a NumPy float64".
    """

    values: Tensor | None
    layout: str
    shape: tuple[int, ...] | None = None
    came_as: str = ""


@dataclass(frozen=True)
class Inverse:
    """What came of x -> y -> x.

    Attributes:
        error: (B,) the largest coordinate of |x - inverse(forward(x))|; None if there is no inverse.
        log_det: (B,) log|det dx/dy| as the inverse claims it; None if it does not.
        failure: what the map said when asked for its inverse, if it refused.
        eps: the rounding unit of the arithmetic that it ran in.
        low_precision: "" or why it would not run in float64, where the map does.
    """

    error: Tensor | None = None
    log_det: Tensor | None = None
    failure: str = ""
    eps: float = 0.0
    low_precision: str = ""


@dataclass(frozen=True)
class InOwnDtype:
    """The layer in the dtype that it is used in, beside its float64 copy at the very same points.

    Attributes:
        dtype: such as torch.float32.
        inverse: the way back in this dtype.
        log_det_gap: (B,) nats between its claim and the float64 copy's; None if nothing is claimed.
        lost: (B,) bool, where it gives NaN or infinity and the float64 copy does not.
    """

    dtype: torch.dtype
    inverse: Inverse
    log_det_gap: Tensor | None
    lost: Tensor


def read_claim(raw: Any, x: Tensor, event_shape: torch.Size) -> Claim:
    """Make (B,), (B, 1), (B, D), (D,), a 0-dim tensor or a plain number into one value per sample, with its history.

    Args:
        raw: the log-det as it came.
        x: (B, D), the points that it belongs to.
        event_shape: of one event, D elements.
    """
    if raw is None:
        return Claim(None, "none")
    came_as = _kind(raw)
    try:
        raw = torch.as_tensor(raw).double().cpu()
    except (TypeError, ValueError, RuntimeError):
        return Claim(None, "unknown", None, came_as)
    shape, (B, D) = tuple(raw.shape), x.shape

    def claim(values: Tensor | None, layout: str) -> Claim:
        return Claim(values, layout, shape, came_as)

    if raw.dim() == 0:
        return claim(raw.expand(B), "one number")
    if raw.numel() == B and shape[0] == B:
        return claim(raw.reshape(B), "per sample")
    if raw.numel() == B * D and shape[0] == B:
        return claim(raw.reshape(B, D).sum(1), "per dimension")
    if shape in {(D,), tuple(event_shape), (1, D)}:
        return claim(raw.sum().expand(B), "per dimension")
    if raw.numel() == 1:
        return claim(raw.reshape(()).expand(B), "one number")
    return claim(None, "unknown")


def _kind(value: Any) -> str:
    kind = type(value)
    home = {"builtins": "Python ", "numpy": "NumPy "}.get(kind.__module__, "")
    return f"a {'tensor' if isinstance(value, Tensor) else home + kind.__name__}"


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
    error = (back - x).abs().double().amax(1).nan_to_num(nan=math.inf).cpu()
    return Inverse(error, read_claim(raw, x, f.event_shape).values, eps=torch.finfo(back.dtype).eps)


def in_own_dtype(own: Map, twin: Map, x: Tensor, dtype: torch.dtype) -> InOwnDtype | None:
    """Run ``own``, a copy in the layer's ``dtype``, and its float64 ``twin`` at the same points; None if it raises.

    Args:
        own, twin: the same map, in ``dtype`` and in float64.
        x: (B, D); rounded to ``dtype`` first, so that both see the same numbers.
    """
    x = x.to(dtype)
    with torch.no_grad():
        try:
            (y, raw), (exact_y, exact_raw) = own(x), twin(x.double())
        except Exception:  # it has been looked at in the one dtype that it runs in
            return None
        claim, exact = (read_claim(r, x, own.event_shape).values for r in (raw, exact_raw))
        lost = ~y.isfinite().all(1).cpu() & exact_y.isfinite().all(1).cpu()
        gap = None
        if claim is not None and exact is not None:
            lost = lost | (~claim.isfinite() & exact.isfinite())
            gap = (claim - exact).abs()
        return InOwnDtype(dtype, try_inverse(own, x, y), gap, lost)


def depends_on_others(f: Map, x: Tensor, others: Tensor, y: Tensor) -> Tensor:
    """(B,) how far each output moves when only the *other* rows of the batch are changed.

    Every second row is exchanged for another point, and its neighbours watched; then the rest.

    Args:
        f: the map.
        x: (B, D), B >= 2.
        others: (B, D), other points.
        y: (B, D), f(x).
    """
    even = torch.arange(len(x), device=x.device) % 2 == 0
    moved = y.new_zeros(len(x))
    with torch.no_grad():
        for changed in (even, ~even):
            mixed = torch.where(changed.unsqueeze(1), others, x)
            moved[~changed] = (f(mixed)[0] - y)[~changed].abs().amax(1)
    return moved.cpu()


def companions(f: Map, x: Tensor, count: int) -> Tensor:
    """Up to ``count`` points near those given, in the map's domain, by a generator of their own (always the same).

    One point cannot tell a zero of the structure from a zero by accident; its neighbours can.
    """
    spread = x.std(0) if len(x) > 1 else 1.0
    noise = torch.randn(count, x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reach = torch.tensor([0.1, 0.3, 1.0], dtype=torch.float64)[torch.arange(count) % 3].unsqueeze(1)
    points = x[torch.arange(count) % len(x)] + (reach * noise).to(x) * spread
    if isinstance(f.subject, Transform):
        with torch.no_grad():
            inside = f.subject.domain.check(points.reshape(-1, *f.event_shape))
        points = points[inside.reshape(count, -1).all(1)]
    return points
