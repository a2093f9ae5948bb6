"""Getting a map to run: in which dtype, in what manner; and whether it does the same when it is called again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Transform

from .adapt import MANNERS, Map, NoMap, adapt
from .autograd import jacobian
from .measure import companions, depends_on_others, read_claim
from .twin import changes, state

__all__ = [
    "FirstCall",
    "Repeats",
    "first_that_runs",
    "in_words",
    "moved_by_others",
    "neighbours",
    "noticeable",
    "repeats",
]

# Points looked at to tell structure from accident; fewer given are filled up with neighbours.
ENOUGH_POINTS = 8
# ... up to as many as keep their Jacobians below this, in numbers.
_LARGE = 2_000_000


@dataclass(frozen=True)
class FirstCall:
    """The map in a form in which it runs, and what its first call gave."""

    f: Map
    points: Tensor
    y: Tensor
    raw: Any
    J: Tensor | None
    no_reverse_mode: str
    state_changed: tuple[str, ...]


class Repeats(NamedTuple):
    """How far y moves in a second call, in a call with another random state, and the log-det in either."""

    again: float
    noise: float
    log_det: float


def first_that_runs(
    given: tuple[Any, ...], x: Tensor, *, context: Tensor | None = None, rectangular: bool = False
) -> tuple[FirstCall | None, list[str]]:
    """Return the map in the first dtype and manner in which it runs, and its errors in those before.

    Raises:
        NoMap: if it never returned what has a Jacobian with a determinant.
    """
    transform, log_det, inverse = given
    no_map, refusals = None, []
    for dtype in (torch.float64, None):
        f = adapt(transform, x, log_det, inverse, context=context, dtype=dtype, rectangular=rectangular)
        for manner in _manners(transform, x):
            f = replace(f, manner=manner, with_gradient=True)
            before = state(f.subject)
            try:
                points = (x if dtype is None else x.to(dtype)).reshape(-1, f.dim)
                try:
                    J, y, raw = jacobian(f, points)
                    no_reverse_mode = ""
                except NoMap:
                    raise
                except Exception as error:
                    # What has no gradient may have values all the same.
                    J, (y, raw) = None, _values(f, points)
                    no_reverse_mode = in_words(error)
            except NoMap as error:
                no_map = no_map or error
            except Exception as error:
                refusals.append(in_words(error))
            else:
                changed = changes(before, state(f.subject))
                return FirstCall(f, points, y, raw, J, no_reverse_mode, changed), refusals
    if no_map is not None:
        raise no_map
    return None, refusals


def _values(f: Map, points: Tensor) -> tuple[Tensor, Any]:
    """Return y and the log-det, on points without a gradient if the map refuses others."""
    try:
        return f(points)
    except Exception:
        f.with_gradient = False
        return f(points)


def _manners(transform: Any, x: Tensor) -> list[str]:
    """How to try to call it, the likeliest first: a function that is given one point may want it as one point."""
    whole, single, never_alone = MANNERS
    if isinstance(transform, torch.nn.Module | Transform | Distribution) or hasattr(transform, "call_and_ladj"):
        return [whole, never_alone] if x.dim() == 1 or len(x) == 1 else [whole]
    return [single, whole, never_alone] if x.dim() == 1 else [whole, single]


def in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def noticeable(y: Tensor) -> float:
    """A difference in y that is more than rounding, and more than a solver with steps of its own choice leaves open."""
    largest = float(y.abs().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).max())
    return max(1e-7, 1e4 * torch.finfo(y.dtype).eps) * (1 + largest)


def repeats(f: Map, points: Tensor, y: Tensor, raw: Any) -> Repeats:
    """How far y and the claimed log-det move when f is called again, and with another random state."""

    def apart(values: Tensor, before: Tensor) -> float:
        return (values - before).abs().nan_to_num(nan=0.0).max().item()

    claim = read_claim(raw, points, f.event_shape).values
    moved, log_det_moved = [], 0.0
    with torch.no_grad():
        for seed in (0, 1):
            try:
                now, now_raw = f(points, seed=seed)
            except Exception:  # it ran once and not twice
                return Repeats(torch.inf, 0.0, 0.0)
            moved.append(apart(now, y))
            now_claim = read_claim(now_raw, points, f.event_shape).values
            if claim is not None and now_claim is not None:
                log_det_moved = max(log_det_moved, apart(now_claim, claim))
    again, noise = moved
    return Repeats(again, noise if again <= noticeable(y) else 0.0, log_det_moved)


def neighbours(f: Map, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return neighbours of the points given, as many as make enough, the Jacobians there, and which point each is near.

    Those where something is not finite are left out.
    """
    count = min(ENOUGH_POINTS, _LARGE // f.dim**2) - len(points)
    none = points[:0], torch.zeros(0, f.dim, f.dim, dtype=torch.float64), torch.arange(0)
    if count < 1:
        return none
    try:
        extra = companions(f, points, count)
        J, y, _ = jacobian(f, extra)
    except Exception:  # the map may be at home only near the points given; these are a bonus
        return none
    good = J.flatten(1).isfinite().all(1) & y.isfinite().all(1).cpu()
    rows = torch.arange(len(extra)) % len(points)
    return extra[good.to(extra.device)], J[good], rows[good]


def moved_by_others(f: Map, points: Tensor, extra: Tensor, y: Tensor) -> Tensor:
    """(B,) how far each output moves when the other points of the batch are exchanged for other points."""
    if len(points) > 1:
        # Neighbours take the others' places where there are some; else the others change places.
        others = points.roll(1, 0)
        if len(extra):
            pool = torch.cat([extra, others])
            others = pool[torch.arange(len(points)) % len(pool)]
        try:
            return depends_on_others(f, points, others, y)
        except Exception:  # at home only where it was given points
            return torch.zeros(len(points))
    if not len(extra):
        return torch.zeros(1)
    try:
        with torch.no_grad():
            beside = [f(torch.cat([points, other.unsqueeze(0)]))[0][:1] for other in (extra[0], extra[-1])]
    except Exception:
        return torch.zeros(1)
    return (beside[0] - beside[1]).abs().amax(1).cpu()
