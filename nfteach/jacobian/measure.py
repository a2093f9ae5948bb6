"""What a map says of itself and how it behaves: its claims, its inverse, its samples, its precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions.transforms import Transform

from .adapt import Map, adapt
from .autograd import jacobian
from .calls import FirstCall
from .conventions import NoMap
from .phrases import in_words
from .twin import own_dtypes
from .witnesses import CENTRAL, whole_jacobian

__all__ = ["DRAWS", "Claim", "InOwnDtype", "Inverse", "Onto", "in_own_dtype", "read_claim", "try_inverse", "try_onto"]

# Draws of a log-det that is a random estimate.
DRAWS = 64
# Points y that are tried in y -> x -> y.
_DRAWN = 8
# A miss of x -> y -> x, relative to 1 + |x|, where the inverse is looked at as a map of its own.
_LOST = 1e-3
# Steps of Newton's method that look for an x where the inverse gives none.
_NEWTON = 12


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


class Onto(NamedTuple):
    """What came of y -> x -> y, for y that are drawn among the images.

    Attributes:
        tried: how many y.
        lost: at how many of them the inverse raises, or gives NaN or infinity.
        missed: at how many others the map does not lead to y again.
        y: one of those, as a vector; None if there is none.
        reached: at how many of those Newton's method finds an x that leads to y.
    """

    tried: int
    lost: int = 0
    missed: int = 0
    y: Tensor | None = None
    reached: int = 0


@dataclass(frozen=True)
class Inverse:
    """What came of x -> y -> x.

    Attributes:
        error: (B,) the largest coordinate of |x - inverse(forward(x))|; None if there is no inverse.
        log_det: (B,) log|det dx/dy| as the inverse claims it; None if it does not.
        log_dets_there: (B,) tensors: what that may be as well, where the inverse does not lead back to x: minus that of
            the map at the x that it returns, and that of its own Jacobian, by central differences.
        failure: what the map said when asked for its inverse, if it refused.
        no_x: whether that is because it returned something else than an x, such as one of another shape.
        eps: the rounding unit of the arithmetic that it ran in.
        low_precision: "" or why it would not run in float64, where the map does.
        stale: how far inverse(y) moves, relative to 1 + |x|, once the map was called at other points.
        alone: how far inverse(y) moves for the first point, when it comes by itself.
        without_grad: how far inverse(y) moves under ``no_grad``.
        onto: y -> x -> y; None if it was not tried.
    """

    error: Tensor | None = None
    log_det: Tensor | None = None
    log_dets_there: tuple[Tensor, ...] = ()
    failure: str = ""
    no_x: bool = False
    eps: float = 0.0
    low_precision: str = ""
    stale: float = 0.0
    alone: float = 0.0
    without_grad: float = 0.0
    onto: Onto | None = None


@dataclass(frozen=True)
class InOwnDtype:
    """The layer in the dtype that it is used in, beside its float64 copy at the very same points.

    Attributes:
        dtype: such as torch.float32.
        inverse: the way back in this dtype.
        log_det_gap: (B,) nats between its claim and the float64 copy's; None if nothing is claimed.
        lost: (B,) bool, where it gives NaN or infinity and the float64 copy does not.
        raised: "" or what it raises there, though the float64 copy runs.
    """

    dtype: torch.dtype
    inverse: Inverse
    log_det_gap: Tensor | None
    lost: Tensor
    raised: str = ""


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
        raw = torch.as_tensor(raw)
        if raw.is_complex():
            return Claim(None, "unknown", None, "complex")
        raw = (raw if raw.layout == torch.strided else raw.to_dense()).double().cpu()
        shape, (B, D) = tuple(raw.shape), x.shape
    except (TypeError, ValueError, RuntimeError):
        return Claim(None, "unknown", None, came_as)

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


def try_inverse(f: Map, x: Tensor, y: Tensor, others: Tensor | None = None) -> Inverse:
    """Go from y back to x, ask the inverse for its log-det, and ask again after the map was called at ``others``."""
    if f.backward is None:
        return Inverse()
    eps = torch.finfo(y.dtype).eps
    try:
        # A y that was cast has lost digits, but the copy of the inverse may want the dtype of the copy.
        back, raw = f.invert(y.to(x.dtype))
        y = y.to(x.dtype)
    except NoMap as error:
        return Inverse(failure=str(error).removeprefix("transform: "), no_x=True)
    except Exception as error:
        if y.dtype == x.dtype:
            return Inverse(failure=in_words(error))
        try:
            back, raw = f.invert(y)
        except Exception as error:
            return Inverse(failure=in_words(error))
    error = (back - x).abs().double().amax(1).nan_to_num(nan=math.inf, posinf=math.inf).cpu()
    stale = alone = without_grad = 0.0
    if others is not None:

        def after_others() -> Tensor:
            f(others)
            return f.invert(y)[0]

        with f.without_grad():
            disturbed = _moved(back, after_others)
        if disturbed:  # by the other points, by the mode, or by neither, where the map is not at home at the others
            with suppress(Exception):
                f(others)
                stale = _moved(back, lambda: f.invert(y)[0])
            f(x)
            with f.without_grad():
                without_grad = _moved(back, lambda: f.invert(y)[0])
        if len(y) > 1 and f.manner == "all at once" and f.rows == "any":
            f(x)
            alone = _moved(back[:1], lambda: f.invert(y[:1])[0])
    claim = read_claim(raw, x, f.event_shape).values
    there: tuple[Tensor, ...] = ()
    if claim is not None and (error > _LOST * (1 + x.abs().amax(1).cpu())).any():
        with suppress(Exception):  # the map may not be at home there
            own = whole_jacobian(CENTRAL, f.invert, y, back, None)
            there = -torch.linalg.slogdet(jacobian(f, back)[0]).logabsdet, torch.linalg.slogdet(own).logabsdet
    eps = max(eps, torch.finfo(back.dtype).eps)
    return Inverse(error, claim, there, eps=eps, stale=stale, alone=alone, without_grad=without_grad)


def _moved(before: Tensor, call: Callable[[], Tensor]) -> float:
    """Return how far a result is from ``before``, relative to its size; infinite if it raises."""
    try:
        gap = (call() - before).abs() / (1 + before.abs())
    except Exception:
        return math.inf
    return gap.nan_to_num(nan=0.0).max().item()


def try_onto(f: Map, y: Tensor, tolerance: float) -> Onto | None:
    """Try y -> x -> y at points drawn like the images, coordinate by coordinate: half of them picked, half normal.

    Args:
        f: a map with an inverse.
        y: (B, D) images.
        tolerance: relative to 1 + |y|.
    """
    generator = torch.Generator().manual_seed(0)
    finite = y[y.isfinite().all(1)]
    if len(finite) < 2:
        return None
    half = (_DRAWN // 2, y.shape[1])
    picked = finite.cpu().gather(0, torch.randint(len(finite), half, generator=generator))
    normal = torch.randn(half, generator=generator, dtype=torch.float64).to(picked)
    drawn = torch.cat([picked, finite.cpu().mean(0) + 2 * finite.cpu().std(0) * normal]).to(y)
    if isinstance(f.subject, Transform):
        inside = f.subject.codomain.check(drawn.reshape(len(drawn), *f.image_shape))
        drawn = drawn[inside.reshape(len(drawn), -1).all(1)]
    if not len(drawn):
        return None
    try:
        x = f.invert(drawn)[0]
    except Exception:  # it refuses such y itself
        return None
    lost = ~x.isfinite().all(1)
    try:
        again = f(x.where(~lost.unsqueeze(1), torch.zeros_like(x)))[0]
    except Exception:
        return None
    missed = ((again - drawn).abs() > tolerance * (1 + drawn.abs())).any(1) & ~lost
    bad = lost | missed
    if not bad.any():
        return Onto(len(drawn))
    reached = bad & _reached(f, x.where(~lost.unsqueeze(1), torch.zeros_like(x)), drawn, tolerance)
    at = int((reached if reached.any() else bad).int().argmax())
    return Onto(len(drawn), int(lost.sum()), int(missed.sum()), drawn[at].cpu(), int(reached.sum()))


def _reached(f: Map, x: Tensor, y: Tensor, tolerance: float) -> Tensor:
    """Return where (N,) Newton's method from x (N, D) finds a point that the map leads to y (N, D)."""
    gap = None
    for _ in range(_NEWTON):
        try:
            J, there, _ = jacobian(f, x)
            gap = (there - y).double().cpu()
            x = x - torch.linalg.lstsq(J, gap.unsqueeze(2)).solution.squeeze(2).to(x)
        except Exception:  # it has left the domain
            break
    if gap is None:
        return torch.zeros(len(x), dtype=torch.bool)
    return (gap.abs() <= tolerance * (1 + y.double().cpu().abs())).all(1)


def in_own_dtype(given: tuple[Any, ...], first: FirstCall, x: Tensor, context: Tensor | None) -> InOwnDtype | None:
    """Compare a copy in the layer's own dtype with the one in float64, at the same points.

    Args:
        given: the transform, its log-det and its inverse.
        first: the first call, in float64; if it was not, all that counts is what the copy raises.
        x, context: as they were given.

    Returns:
        None where the own dtype is float64, or there is nothing to say.
    """
    f, dtypes = first.f, own_dtypes(*given)
    dtype = next(iter(dtypes), x.dtype)
    if dtype == torch.float64:
        return None

    def copy(dtype: torch.dtype | None) -> Map:
        transform, log_det, inverse = given
        manner = {"manner": f.manner, "rectangular": f.rectangular}
        return adapt(transform, x, log_det, inverse, context=context, dtype=dtype, **manner)

    # What it raises counts only where all that meets has one dtype.
    others = {x.dtype, *dtypes, *(() if context is None else (context.dtype,))} - {dtype}
    points = x.reshape(-1, f.dim).to(dtype)
    own = copy(None)
    try:
        # Where rounding moved the points, both see the rounded ones.
        same = points.double().equal(first.points)
        exact_y, exact_raw = (first.y, first.raw) if same else copy(torch.float64)(points.double())
    except Exception:  # rounded points may be outside of the domain
        return None
    try:
        y, raw = own(points)
    except Exception as error:
        nowhere = torch.zeros(len(points), dtype=torch.bool)
        return None if others else InOwnDtype(dtype, Inverse(), None, nowhere, in_words(error))
    if first.y.dtype != torch.float64:
        return None
    claim, true = (read_claim(r, points, f.event_shape).values for r in (raw, exact_raw))
    lost = ~y.isfinite().all(1).cpu() & exact_y.isfinite().all(1).cpu()
    gap = None
    if claim is not None and true is not None:
        lost = lost | (~claim.isfinite() & true.isfinite())
        gap = (claim - true).abs()
    back = try_inverse(own, points, y)
    return InOwnDtype(dtype, replace(back, failure="") if others else back, gap, lost)
