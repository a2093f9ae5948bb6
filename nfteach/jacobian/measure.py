"""What a map says of itself and how it behaves: its claims, its inverse, its samples, its precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .adapt import Map, adapt
from .autograd import jacobian
from .calls import FirstCall, apart
from .conventions import NoMap
from .declared import codomain_of, inside, is_made_of_others
from .phrases import in_words
from .twin import own_dtypes
from .witnesses import CENTRAL, whole_jacobian

__all__ = [
    "DRAWS",
    "SAME",
    "AskedAgain",
    "Claim",
    "InOwnDtype",
    "Inverse",
    "Onto",
    "fresh_copy",
    "in_own_dtype",
    "read_claim",
    "try_inverse",
    "try_onto",
]

# Draws of a log-det that is a random estimate.
DRAWS = 64
# Points y that are tried in y -> x -> y.
_DRAWN = 8
# A miss of x -> y -> x, relative to 1 + |x|, where the inverse is looked at as a map of its own, or asked again.
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
    """What came of y -> x -> y, for y that are drawn among the images, and in the codomain where one is declared.

    Attributes:
        tried: how many y; 0 if none, for the reason in ``why_not``.
        lost: at how many of them the inverse raises, or gives NaN or infinity.
        missed: at how many others the map does not lead to y again.
        y: one of those, as a vector; None if there is none.
        reached: at how many of those Newton's method finds an x that leads to y.
        codomain: the codomain that a torch ``Transform`` declares, in words; "" for other maps.
        why_not: "" or why it was not tried.
    """

    tried: int
    lost: int = 0
    missed: int = 0
    y: Tensor | None = None
    reached: int = 0
    codomain: str = ""
    why_not: str = ""


class AskedAgain(NamedTuple):
    """How the inverse answers when it is asked for the same y once more, in other circumstances.

    Attributes:
        moved: how far x moves, relative to 1 + |x|; infinite if it is NaN, or none comes.
        log_det_moved: how far its log-det moves, relative to 1 + its size.
        raised: "" or what it raised.
        misshapen: whether x has another shape than belongs to such y; or the log-det.
    """

    moved: float = 0.0
    log_det_moved: float = 0.0
    raised: str = ""
    misshapen: bool = False

    @property
    def differs(self) -> bool:
        """Whether this is another answer, by more than a solver's error."""
        return max(self.moved, self.log_det_moved) > _LOST or self.misshapen


SAME = AskedAgain()


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
        stale: asked again once the map was called at other points.
        resized: asked for the first point by itself once the map was called with all; it answers after a call with one.
        alone: asked for the first point by itself, after any call.
        without_grad: asked again under ``no_grad``.
        fresh: asked in a copy whose map was never called.
        onto: y -> x -> y; None if it was not tried.
    """

    error: Tensor | None = None
    log_det: Tensor | None = None
    log_dets_there: tuple[Tensor, ...] = ()
    failure: str = ""
    no_x: bool = False
    eps: float = 0.0
    low_precision: str = ""
    stale: AskedAgain = SAME
    resized: AskedAgain = SAME
    alone: AskedAgain = SAME
    without_grad: AskedAgain = SAME
    fresh: AskedAgain = SAME
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
    """Make (B,), (B, 1), (B, D), (D,), a 0-dim tensor or a plain number into one value per sample, with its history."""
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


def try_inverse(
    f: Map, x: Tensor, y: Tensor, others: Tensor | None = None, fresh: Callable[[], Map] | None = None
) -> Inverse:
    """Go from y (B, D) back to x, ask the inverse for its log-det, and ask again in other circumstances.

    These are a call at ``others`` (None: it is not asked again), and a copy that was never called, which ``fresh``
    makes (None: the inverse may need a first call).
    """
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
    answer = _Answer(back, read_claim(raw, x, f.event_shape))
    again = {} if others is None else _asked_again(f, x, y, others, answer)
    if fresh is not None:
        copy = fresh()
        copy.image_shape, copy.with_gradient = f.image_shape, f.with_gradient
        again["fresh"] = answer.beside(copy, y)
    claim = answer.claim.values
    there: tuple[Tensor, ...] = ()
    if claim is not None and (error > _LOST * (1 + x.abs().amax(1).cpu())).any():
        with suppress(Exception):  # the map may not be at home there
            own = whole_jacobian(CENTRAL, f.invert, y, back, None)
            there = -torch.linalg.slogdet(jacobian(f, back)[0]).logabsdet, torch.linalg.slogdet(own).logabsdet
    eps = max(eps, torch.finfo(back.dtype).eps)
    return Inverse(error, claim, there, eps=eps, **again)


class _Answer(NamedTuple):
    """What the inverse answered: x (B, D), and what it claims for its log-det."""

    x: Tensor
    claim: Claim

    def beside(self, f: Map, y: Tensor, seed: int = 0) -> AskedAgain:
        """Ask the inverse of ``f`` for the first y (N, D) of those that led to this answer, and compare."""
        try:
            x, raw = f.invert(y, seed=seed)
        except NoMap as error:
            return AskedAgain(math.inf, raised=str(error).removeprefix("transform: "), misshapen=True)
        except Exception as error:
            return AskedAgain(math.inf, raised=in_words(error))
        its, claim = read_claim(raw, x, f.event_shape), self.claim
        # Without a gradient there may be no log-det.
        misshapen = its.layout not in {claim.layout, "none"} and its.shape != claim.shape
        comparable = its.layout == claim.layout and claim.values is not None
        log_det_moved = _moved(its.values, claim.values[: len(y)]) if comparable else 0.0
        return AskedAgain(_moved(x, self.x[: len(y)]), log_det_moved, "", misshapen)


def _moved(values: Tensor, before: Tensor) -> float:
    """Return how far values are from those before, relative to 1 + their size."""
    size = before.abs().nan_to_num(nan=0.0, posinf=0.0)
    return (apart(values, before) / (1 + size)).max().item()


def _asked_again(f: Map, x: Tensor, y: Tensor, others: Tensor, answer: _Answer) -> dict[str, AskedAgain]:
    """Ask after a call at other points, under ``no_grad``, and for one y; return the answers that differ, by name."""
    found = {}
    with f.without_grad():
        with suppress(Exception):  # the map may be at home only where it was given points
            f(others)
        disturbed = answer.beside(f, y).differs
    if disturbed:  # by the other points, or by the mode
        with suppress(Exception):
            f(others)
        found["stale"] = answer.beside(f, y)
        f(x)
        with f.without_grad():
            found["without_grad"] = answer.beside(f, y)
    if len(y) > 1 and f.manner == "all at once" and f.rows == "any":
        alone = answer.beside(f, y[:1])
        if alone.differs and not answer.beside(f, y, seed=1).differs:  # there are other random numbers for fewer points
            found["resized" if _answers_after_one(f, x, y, answer) else "alone"] = alone
    return found


def _answers_after_one(f: Map, x: Tensor, y: Tensor, answer: _Answer) -> bool:
    """Return True if the inverse answers for one y as for all of them, once the map was called with one point."""
    try:
        f(x[:1])
    except Exception:  # it refuses one point
        return False
    return not answer.beside(f, y[:1]).differs


def try_onto(f: Map, y: Tensor, tolerance: float) -> Onto:
    """Try y -> x -> y at points drawn like the images, coordinate by coordinate: half of them picked, half normal.

    ``tolerance`` is relative to 1 + |y|.
    """
    generator = torch.Generator().manual_seed(0)
    finite = y[y.isfinite().all(1)]
    if len(finite) < 2:
        return Onto(0, why_not="y are drawn like two or more images, but there are fewer")
    half = (_DRAWN // 2, y.shape[1])
    picked = finite.cpu().gather(0, torch.randint(len(finite), half, generator=generator))
    normal = torch.randn(half, generator=generator, dtype=torch.float64).to(picked)
    drawn = torch.cat([picked, finite.cpu().mean(0) + 2 * finite.cpu().std(0) * normal]).to(y)
    drawn = drawn[inside(f, drawn, "codomain")]
    if not len(drawn):
        return Onto(0, why_not="of the y drawn among the images none is in the declared codomain")
    try:
        x = f.invert(drawn)[0]
    except Exception as error:  # it refuses such y itself
        return Onto(0, why_not=f"for y drawn among the images the inverse raises {in_words(error)}")
    lost = ~x.isfinite().all(1)
    x = x.where(~lost.unsqueeze(1), torch.zeros_like(x))
    try:
        again = f(x)[0]
    except Exception as error:
        return Onto(0, why_not=f"at the x of y drawn among the images the map raises {in_words(error)}")
    missed = ~((again - drawn).abs() <= tolerance * (1 + drawn.abs())).all(1) & ~lost
    missed = missed & ~_by_rounding(f, x, (again - drawn).abs()) if missed.any() else missed
    bad = lost | missed
    if not bad.any():
        return Onto(len(drawn))
    found, there = _by_newton(f, x, drawn, tolerance)
    # An inverse that ends its search early is close to the x that Newton's method finds.
    early = missed & found & ((there - x).abs() <= _LOST * (1 + x.abs())).all(1)
    bad, missed = bad & ~early, missed & ~early
    reached = bad & found
    # The codomain of a transform that is made of others is often too wide: where no x is found there may be none.
    judged = reached | ~bad if is_made_of_others(f) else torch.ones_like(bad)
    if not judged.any():
        return Onto(0, why_not="no x is found for y drawn among the images, and no codomain tells whether there is one")
    bad, lost, missed = bad & judged, lost & judged, missed & judged
    at = int((reached if reached.any() else bad).int().argmax())
    numbers = int(judged.sum()), int(lost.sum()), int(missed.sum())
    return Onto(*numbers, drawn[at].cpu() if bad.any() else None, int(reached.sum()), codomain_of(f))


def _by_rounding(f: Map, x: Tensor, miss: Tensor) -> Tensor:
    """Return where (N,) the rounding of x (N, D) moves y as far as it misses (N, D), as where tanh rounds to 1."""
    try:
        J = jacobian(f, x)[0].abs().to(x)
    except Exception:  # it has no gradient
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    moved = 10 * torch.finfo(x.dtype).eps * (J @ (1 + x.abs()).unsqueeze(2)).squeeze(2)
    return ~(miss > moved.nan_to_num(nan=torch.inf, posinf=torch.inf)).any(1)


def _by_newton(f: Map, x: Tensor, y: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Return where (N,) Newton's method from x (N, D) finds a point that leads to y (N, D), and where it ends."""
    gap = None
    for _ in range(_NEWTON):
        try:
            J, there, _ = jacobian(f, x)
            gap = (there - y).double().cpu()
            finite = [each.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) for each in (J, gap.unsqueeze(2))]
            x = x - torch.linalg.lstsq(*finite).solution.squeeze(2).to(x)
        except Exception:  # it has left the domain
            break
    if gap is None:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device), x
    return (gap.abs() <= tolerance * (1 + y.double().cpu().abs())).all(1).to(x.device), x


def fresh_copy(given: tuple[Any, ...], f: Map, x: Tensor, context: Tensor | None, dtype: torch.dtype | None) -> Map:
    """Return a map like ``f``, made anew from what was given, in another dtype."""
    transform, log_det, inverse = given
    manner = {"manner": f.manner, "rectangular": f.rectangular}
    return adapt(transform, x, log_det, inverse, context=context, dtype=dtype, **manner)


def in_own_dtype(given: tuple[Any, ...], first: FirstCall, x: Tensor, context: Tensor | None) -> InOwnDtype | None:
    """Compare a copy in the layer's own dtype with the one in float64, at the same points.

    Returns None where the own dtype is float64, or there is nothing to say. If ``first`` is not in float64, all that
    counts is what the copy raises.
    """
    f, dtypes = first.f, own_dtypes(*given)
    dtype = next(iter(dtypes), x.dtype)
    if dtype == torch.float64:
        return None

    # What it raises counts only where all that meets has one dtype.
    others = {x.dtype, *dtypes, *(() if context is None else (context.dtype,))} - {dtype}
    points = x.reshape(-1, f.dim).to(dtype)
    copy = partial(fresh_copy, given, f, x, context)
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
