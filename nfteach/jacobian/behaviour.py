"""How a map behaves when it is called: again, after other points, beside other points, in batches of other sizes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from .adapt import Map
from .autograd import jacobian
from .calls import FirstCall, apart, noticeable, size_of
from .conventions import NoMap
from .declared import inside
from .measure import Claim, InOwnDtype, read_claim
from .phrases import in_words

__all__ = [
    "BatchTrial",
    "Behaviour",
    "Calls",
    "batch_trials",
    "call_again",
    "companions",
    "elsewhere",
    "is_strong",
    "moved_by_others",
    "moved_by_place",
    "same_image",
    "slack",
]

# A coupling between samples, relative to the size of y, that is more than a loss of precision.
_STRONG = 1e-4
# The error of adjoint gradients beside such a coupling.
_SLACK = 1e5
# Half units of rounding, with some to spare, by which a coordinate that was given may be off.
_ULPS = 4
# Candidates for a second point with the same image.
_CANDIDATES = 64


class Calls(NamedTuple):
    """How far y, and the claimed log-det in nats, move in further calls at the same points.

    Attributes:
        again: y, in a later call.
        noise: y, in a call with another random state.
        drawn: the log-det, in either.
        log_det_again: the log-det, in a later call.
        after_others: y, in a call after one at other points.
        log_det_after_others: the log-det there.
        without_grad: y or the log-det under ``no_grad``, relative to its size; 0 if that is a solver's error.
        failure: "" or what a further call raised.
    """

    again: float = 0.0
    noise: float = 0.0
    drawn: float = 0.0
    log_det_again: float = 0.0
    after_others: float = 0.0
    log_det_after_others: float = 0.0
    without_grad: float = 0.0
    failure: str = ""


class BatchTrial(NamedTuple):
    """A call with the first points only, or with one more where one was given.

    Attributes:
        size: how many.
        raised: "" or what it raised.
        misshapen: whether y has another shape than such a batch has; or its log-det.
        moved: how far y moves, in comparison to the whole batch.
        log_det_moved: how far the claimed log-det moves, in nats; None where there are none to compare.
    """

    size: int
    raised: str = ""
    misshapen: bool = False
    moved: float = 0.0
    log_det_moved: float | None = None


@dataclass(frozen=True)
class Behaviour:
    """How a map behaves when it is called.

    Attributes:
        moved_by_others: (B,) how far y moves when only other samples change, and all change places.
        moved_by_place: how far y moves when samples change places, where it moves.
        manner: in which it takes its points: "all at once", "one by one" or "never alone".
        low_precision: "" or why it would not run in float64.
        raised: "" or what it raised, in every dtype and manner.
        calls: how far y and the log-det move from call to call.
        noticeable: what is more than rounding in y.
        state_changed: the parameters, buffers and flags that a call changes.
        overwrites: whether a call writes into its x, and whether the inverse writes into its y.
        batches: calls with fewer points.
        same_image: two points, as vectors, that have the same image; None if none were found.
        in_own_dtype: the layer in its own dtype, where that is not float64.
    """

    moved_by_others: Tensor
    moved_by_place: float = 0.0
    manner: str = "all at once"
    low_precision: str = ""
    raised: str = ""
    calls: Calls = field(default_factory=Calls)
    noticeable: float = 0.0
    state_changed: tuple[str, ...] = ()
    overwrites: tuple[bool, bool] = (False, False)
    batches: tuple[BatchTrial, ...] = ()
    same_image: tuple[Tensor, Tensor] | None = None
    in_own_dtype: InOwnDtype | None = None


def _apart(values: Tensor | None, before: Tensor | None) -> float:
    return 0.0 if values is None or before is None else apart(values, before).max().item()


def call_again(first: FirstCall, others: Tensor) -> Calls:
    """Call the map again at the same points, with another random state, and after a call at ``others``."""
    f, points, y = first.f, first.points, first.y
    before, rounding = read_claim(first.raw, points, f.event_shape).values, noticeable(y)

    def moves(seed: int = 0) -> tuple[float, float]:
        """Return how far y and the log-det of one more call are from those of the first."""
        values, raw = f(points, seed=seed)
        return _apart(values, y), _apart(read_claim(raw, points, f.event_shape).values, before)

    moved = log_det_moved = after = after_log_det = mode = 0.0
    try:
        noise, drawn = moves(seed=1)
        if noise or drawn:  # by the random state, or by the call
            moved, log_det_moved = moves()
            noise, drawn = noise if moved <= rounding else 0.0, max(drawn, log_det_moved)
    except Exception as error:  # it ran once and not twice
        return Calls(again=torch.inf, failure=in_words(error))
    with suppress(Exception):  # the map may be at home only where it was given points
        f(others)
        after, after_log_det = moves()
    if max(moved, noise, after) <= rounding:
        with suppress(Exception), f.without_grad():  # it may take a gradient inside
            by_mode, log_det_by_mode = moves()
            gaps = [by_mode / size_of(y)]
            if before is not None and drawn <= _STRONG * size_of(before):
                gaps.append(log_det_by_mode / size_of(before))
            mode = max(gaps) if max(gaps) > _STRONG else 0.0
    return Calls(moved, noise, drawn, log_det_moved, after, after_log_det, mode)


def batch_trials(first: FirstCall, extra: Tensor) -> tuple[BatchTrial, ...]:
    """Call the map with one, with two, and with all points but one; if one was given, beside the first of ``extra``."""
    f, B = first.f, len(first.points)
    if f.manner != "all at once":
        return ()
    claim = read_claim(first.raw, first.points, f.event_shape)
    if f.rows != "any":  # for one point more than its log-det may belong to all that were given
        alone = _batch_trial(f.with_any_rows(), first, claim, first.points[:1])
        return (alone,) if alone.misshapen and not alone.raised else ()
    pool = torch.cat([first.points, extra, first.points]) if B == 1 else first.points
    return tuple(_batch_trial(f, first, claim, pool[:size]) for size in sorted({1, 2, B - 1} - {0, B}))


def _batch_trial(f: Map, first: FirstCall, claim: Claim, some: Tensor) -> BatchTrial:
    """Call the map with some points (N, D), and compare what it gives for those of the first call."""
    size, same = len(some), min(len(some), len(first.points))
    try:
        values, raw = f(some)
    except NoMap as error:
        return BatchTrial(size, in_words(error), misshapen=True)
    except Exception as error:
        return BatchTrial(size, in_words(error))
    its = read_claim(raw, some, f.event_shape)
    comparable = claim.layout == its.layout and claim.values is not None
    # A log-det as long as the whole batch was made for it alone, unless the map takes no other batch because of it.
    misshapen = claim.layout != its.layout and (its.shape != claim.shape or first.f.rows != "any")
    log_det_moved = _apart(its.values[:same], claim.values[:same]) if comparable else None
    return BatchTrial(size, "", misshapen, _apart(values[:same], first.y[:same]), log_det_moved)


def companions(f: Map, x: Tensor, count: int) -> Tensor:
    """Return up to ``count`` points near those given, in the map's domain; always the same.

    One point cannot tell a zero of the structure from a zero by accident; its neighbours can.
    """
    spread = x.std(0) if len(x) > 1 else 1.0
    noise = torch.randn(count, x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reach = torch.tensor([0.1, 0.3, 1.0], dtype=torch.float64)[torch.arange(count) % 3].unsqueeze(1)
    points = x[torch.arange(count) % len(x)] + (reach * noise).to(x) * spread
    return points[inside(f, points)]


def is_strong(coupling: float, y: Tensor) -> bool:
    """Return True for a coupling between samples that no solver with steps of its own choice explains."""
    return coupling > _STRONG * size_of(y)


def slack(coupling: float, y: Tensor) -> float:
    """Return the relative error of derivatives that is accepted of a map whose samples are coupled slightly.

    Its solver leaves errors in y about as large as the coupling, and larger ones in adjoint gradients.
    """
    return min(0.5, _SLACK * coupling / size_of(y))


def elsewhere(points: Tensor, extra: Tensor) -> Tensor:
    """Return as many other points (B, D): neighbours where there are some, else the points in another order."""
    pool = torch.cat([extra, points.roll(1, 0)]) if len(points) > 1 or len(extra) else points + 0.1
    return pool[torch.arange(len(points)) % len(pool)]


def moved_by_others(f: Map, points: Tensor, extra: Tensor, y: Tensor) -> Tensor:
    """Return how far each output (B,) moves when other points are exchanged for others, and all change places."""
    if len(points) > 1:
        try:
            return _depends_on_others(f, points, elsewhere(points, extra), y)
        except Exception:  # at home only where it was given points
            return torch.zeros(len(points))
    if not len(extra):
        return torch.zeros(1)
    try:
        before, after = f(torch.cat([points, extra[:1]]))[0][:1], f(torch.cat([extra[-1:], points]))[0][1:]
    except Exception:
        return torch.zeros(1)
    return apart(before, after).amax(1).cpu()


def moved_by_place(f: Map, points: Tensor, y: Tensor) -> float:
    """Return how far y moves when the points, or a point and itself, change places in the batch."""
    try:
        if len(points) > 1:
            return _apart(_in_other_places(f, points), y)
        return _apart(*f(torch.cat([points, points]))[0])
    except Exception:  # it runs in this order, or with one point, only
        return 0.0


def _depends_on_others(f: Map, x: Tensor, others: Tensor, y: Tensor) -> Tensor:
    """Exchange every second point (B, D) for one of ``others`` and watch the points between; then the rest."""
    even = torch.arange(len(x), device=x.device) % 2 == 0
    moved = y.new_zeros(len(x))
    for changed in (even, ~even):
        mixed = torch.where(changed.unsqueeze(1), others, x)
        moved[~changed] = apart(_in_other_places(f, mixed), y)[~changed].amax(1)
    return moved.cpu()


def _in_other_places(f: Map, x: Tensor) -> Tensor:
    """Return y (B, D) at the points x (B, D), each of them called in the place after its own."""
    places = torch.arange(len(x)).roll(1)
    return f.at(places)(x[places.to(x.device)])[0].roll(-1, 0)


def same_image(
    f: Map, points: Tensor, y: Tensor, extra: Tensor, *, J: Tensor, eps: float
) -> tuple[Tensor, Tensor] | None:
    """Return two points with the same image, among the points, their neighbours and their mirror images -x.

    ``J`` (B, D, D) is the Jacobian at the points, and ``eps`` the rounding unit in which these were given: what they
    were meant to be may be as far away.
    """
    candidates = torch.cat([extra, -points])[:_CANDIDATES]
    candidates = candidates[inside(f, candidates)]
    try:
        more = f(candidates)[0]
    except Exception:  # the map may be at home only near the points given
        candidates, more = points[:0], y[:0]
    x, y = torch.cat([points, candidates]), torch.cat([y, more])
    off = torch.cat([_ULPS * eps * _size_of_terms(J, points), J.new_zeros(len(more))]).to(y)
    finite = y.isfinite().all(1)
    x, y, off = x[finite], y[finite], off[finite]
    # Far apart, beside what is usual, and mapped to the same place but for rounding.
    distance, images = (torch.cdist(each.double(), each.double()) for each in (x, y))
    rounding = 1e3 * torch.finfo(points.dtype).eps * (1 + y.abs().amax(1, keepdim=True))
    # Of two points that were given, each may have been rounded.
    rounding = rounding + 2 * torch.minimum(off.unsqueeze(1), off)
    same = (images <= rounding) & (distance > 1e-3 * (1 + x.abs().amax(1, keepdim=True)))
    if not same.any():
        return None
    pair = list(divmod(int(same.int().argmax()), len(x)))
    # Where the map is flat to rounding, as a tanh is far out, it may be one to one all the same.
    stretch = torch.linalg.svdvals(jacobian(f, x[pair])[0])[:, -1]
    first, second = pair
    if not (stretch * distance[first, second].cpu() > 1e3 * rounding[first, second].cpu()).all():
        return None
    a, b = x[pair].double().cpu()
    return a, b


def _size_of_terms(J: Tensor, points: Tensor) -> Tensor:
    """Return the size (B,) of the terms that J x (B, D) is the sum of: times eps, what rounding x does to y."""
    return (J.abs() @ points.abs().to(J).unsqueeze(2)).norm(dim=(1, 2)).nan_to_num(nan=0.0, posinf=0.0)
