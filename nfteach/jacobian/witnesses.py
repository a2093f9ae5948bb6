"""Three witnesses for one Jacobian: reverse mode, forward mode and central differences; and who of them is wrong.

Reverse mode gives the whole J at the least cost, and what it says is usually true. But ``detach`` hides a path from
both modes of automatic differentiation, ``no_grad`` and a backward written by hand may mislead the one and not the
other. Differences of the map's own values cannot be misled, and are less precise. So all three are asked for J v in a
few directions v, forward mode only where it may differ from the others; and only if they do differ is J taken whole
by the one that is right.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .adapt import Map
from .autograd import graph
from .calls import COARSE
from .phrases import in_words

__all__ = ["CENTRAL", "FORWARD", "REVERSE", "Line", "Witnesses", "hear", "lines", "slopes", "whole_jacobian"]

REVERSE, FORWARD, CENTRAL = "reverse mode", "forward mode", "central differences"

# Random directions: as many as it takes to be sure of a mistake.
_DIRECTIONS = 3
# Relative distances that rounding explains, for float64 and for less.
_TOLERANCE, _COARSE_TOLERANCE = 1e-5, 5e-2
# Steps to try, in units of eps^(1/3): a map that is solved for by iteration is rough on the finest scale.
_STEPS = (1.0, 30.0)
_TINY = 1e-9
# Numbers in one stacked call of the map.
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Witnesses:
    """What each witness says, compared in the same random directions.

    Attributes:
        trusted: the witness whose J the report shows.
        wrong: the witnesses that are wrong.
        gap: witness -> the largest distance of its J v from the trusted one's, relative to the size of J v.
        at: (B,) bool, the points where a witness is wrong.
        undecided: (B,) bool, where differences say nothing: at a kink, or where the map is rough or not finite.
        unheard: witness -> why it could not be asked.
    """

    trusted: str
    wrong: tuple[str, ...]
    gap: dict[str, float]
    at: Tensor
    undecided: Tensor
    unheard: dict[str, str]


class Line:
    """The values of a map at x + step v, for x and v (B, D), each computed once."""

    def __init__(self, f: Map, x: Tensor, v: Tensor) -> None:
        self.f, self.x, self.v = f, x, v
        self._known: dict[float, tuple[Tensor, Any]] = {}

    def __call__(self, step: float) -> tuple[Tensor, Any]:
        """Return y (B, D) and the log-det as it came."""
        if step not in self._known:
            self._known[step] = self.f(self.x + step * self.v)
        return self._known[step]


def hear(
    f: Map, along: Sequence[Line], y: Tensor, J: Tensor | None, why_not: str = "", slack: float = 0.0
) -> Witnesses:
    """Ask all three, and judge: along one line, and along a second where a witness seems wrong, or none is sure.

    J (B, D, D) is that of reverse mode; None if that raised ``why_not``. A relative distance ``slack`` is accepted,
    where it is more than rounding explains.
    """
    heard = _hear(f, along[:1], y, J, why_not, slack)
    return _hear(f, along[:2], y, J, why_not, slack) if heard.wrong or heard.undecided.any() else heard


def _hear(f: Map, along: Sequence[Line], y: Tensor, J: Tensor | None, why_not: str, slack: float) -> Witnesses:
    x, unheard = along[0].x, {}
    try:
        told = [_differences(line, y) for line in along]
    except Exception as raised:  # a map of binary numbers, for instance, has no values near by
        unheard[CENTRAL] = in_words(raised).splitlines()[0]
        told = [(torch.zeros_like(y, dtype=torch.float64, device="cpu"), torch.full(y.shape, torch.inf).double())]
    truths, errors = (torch.stack(each) for each in zip(*told, strict=True))
    tolerance = max(slack, _TOLERANCE if _eps(f, y) < 1e-12 else _COARSE_TOLERANCE)
    size = truths.abs()
    if J is not None:
        v = torch.stack([line.v for line in along]).double().cpu()
        # Where terms cancel in J v, their size before the sum is what rounding follows.
        size = torch.maximum(size, torch.einsum("bij,nbj->nbi", J.abs().nan_to_num(nan=0.0, posinf=0.0), v.abs()))
    # An output that depends on nothing does not move at all, as the zeros that a layer appends.
    errors = errors.where(size != 0, torch.zeros_like(errors))
    size = size.clamp(min=1e-300)
    error = (errors / size).nan_to_num(nan=torch.inf).amax(0)
    # An estimate can be small by luck: take no output for better known than is usual at its point and for its kind.
    error = torch.maximum(error, torch.maximum(error.median(0).values, error.median(1, keepdim=True).values))
    # In half precision a derivative that is cut must still stand out.
    undecided = ~(error < (10 * tolerance if _eps(f, y) < COARSE else 0.04))

    def wrong_at(values: Tensor) -> Tensor:
        """(B,) where a witness misses an output in every direction, by more than the differences may err themselves."""
        far = (values - truths).abs() / size
        return ((~(far <= tolerance + 20 * error)).all(0) & ~undecided).any(1)

    def largest_gap(values: Tensor) -> float:
        return float(((values - truths).abs() / size).where(~undecided, torch.zeros_like(size)).max())

    said = {}
    if J is None:
        unheard[REVERSE] = why_not
    else:
        said[REVERSE] = torch.einsum("bij,nbj->nbi", J, v)
    if J is None or wrong_at(said[REVERSE]).any() or undecided.any() or _written_by_hand(f, x):
        try:
            said[FORWARD] = torch.stack([_forward(f, x, line.v) for line in along])
        except Exception as raised:
            unheard[FORWARD] = in_words(raised).splitlines()[0]
    else:
        unheard[FORWARD] = "not asked: the others agree, and no derivative was written by hand"
    at = {witness: wrong_at(values) for witness, values in said.items()}
    wrong = tuple(witness for witness in said if at[witness].any())
    return Witnesses(
        trusted=next(
            (w for w in (REVERSE, FORWARD) if w in said and w not in wrong), REVERSE if CENTRAL in unheard else CENTRAL
        ),
        wrong=wrong,
        gap={witness: largest_gap(values) for witness, values in said.items()},
        at=torch.stack([at[w] for w in wrong]).any(0) if wrong else torch.zeros(len(x), dtype=torch.bool),
        undecided=undecided.any(1),
        unheard=unheard,
    )


def _written_by_hand(f: Map, x: Tensor) -> bool:
    """Whether a ``torch.autograd.Function`` is on the way from x to y, whose two modes may differ."""
    with torch.enable_grad():
        y, _ = f(x.detach().clone().requires_grad_())
    return any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in graph(y))


def whole_jacobian(witness: str, f: Map, x: Tensor, y: Tensor, J: Tensor | None, *, stacked: bool = True) -> Tensor:
    """J (B, D, D) float64 by forward mode or central differences, from calls with more points if ``stacked``.

    Where differences say nothing it is what ``J`` says, the one by reverse mode, or NaN without one.
    """
    B, D = x.shape
    eye, reach = torch.eye(D, dtype=x.dtype, device=x.device), _reach(x)
    columns = []
    for some in eye.split(max(1, _AT_ONCE // x.numel()) if stacked else 1):
        n = len(some)
        many, v = x.repeat(n, 1), (some.unsqueeze(1) * reach).reshape(n * B, D)
        if witness == FORWARD:
            value = _forward(f, many, v)
        else:
            value, error = _differences(Line(f, many, v), y.repeat(n, 1))
            value = value.where(value.abs() > error, torch.zeros_like(value)).where(error.isfinite(), torch.nan)
        length = v.sum(1, keepdim=True).double().cpu()
        columns.append((value / length).reshape(n, B, D))
    taken = torch.cat(columns).permute(1, 2, 0).contiguous()
    return taken if J is None else taken.where(~taken.isnan(), J)


def _reach(x: Tensor) -> Tensor:
    """(B, D) how far "near by" is for each coordinate: its own size, or a tenth of what is usual where it is small."""
    usual = x.abs().median()
    usual = usual if usual > 0 else x.abs().amax()
    return x.abs().clamp(min=0.1 * float(usual) if usual > 0 else 1.0)


def lines(f: Map, x: Tensor) -> list[Line]:
    """Return lines through x (B, D) along random v, always the same, that move coordinates as far as their reach."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(_DIRECTIONS, *x.shape, generator=generator, dtype=torch.float64)
    return [Line(f, x, _reach(x) * v.to(x)) for v in noise]


def _forward(f: Map, x: Tensor, v: Tensor) -> Tensor:
    """(B, D) J v by forward mode."""
    # The first use of forward mode loads rules of torch's own that warn of their own deprecation; a checkpoint warns
    # that nothing requires a gradient.
    with warnings.catch_warnings(action="ignore"), forward_ad.dual_level():
        y, _ = f(forward_ad.make_dual(x.detach(), v))
        tangent = forward_ad.unpack_dual(y).tangent
    return torch.zeros_like(x, dtype=torch.float64).cpu() if tangent is None else tangent.detach().double().cpu()


def _differences(line: Line, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return J v (B, D) by central differences, and how far off it may be (B, D); infinity where it says nothing."""
    return slopes(lambda step: line(step)[0].double(), y.double(), _eps(line.f, y))


def _eps(f: Callable, y: Tensor) -> float:
    """Return the rounding unit of the values y of a map, or of what it computes them in."""
    return max(torch.finfo(y.dtype).eps, getattr(f, "half", 0.0))


def slopes(at: Callable[[float], Tensor], here: Tensor, eps: float, enough: float = 1e-7) -> tuple[Tensor, Tensor]:
    """Return the derivative at step 0 of ``at``, step -> (B, M), by central differences, and how far off it may be.

    Steps of order 1 are large. The error is infinite where differences say nothing. No larger steps are tried if the
    error is smaller than ``enough``, relative to the largest slope in a row.
    """
    best = error = None
    for factor in _STEPS if eps < COARSE else _STEPS[:1]:
        value, this_error = _richardson(at, here, factor * eps ** (1 / 3), eps)
        if best is None:
            best, error = value, this_error
        else:
            best, error = value.where(this_error < error, best), torch.minimum(error, this_error)
        if (error <= enough * best.abs().amax(1, keepdim=True)).all():
            break
    if eps < 1e-12:
        error = error.where(~_rough(at, here, best, eps), torch.inf)
    return best.cpu(), error.cpu()


def _rough(at: Callable[[float], Tensor], here: Tensor, slope: Tensor, eps: float) -> Tensor:
    """Return where (B, M) a step too small for any bend is not answered as the slope says.

    Such a map rounds inside, to float32 for instance, or stops an iteration early: its values lie on a staircase.
    """
    moved, expected = at(_TINY) - here, _TINY * slope
    return ((moved - expected).abs() > 0.5 * expected.abs()) & (expected.abs() > 300 * eps * (1 + here.abs()))


def _richardson(at: Callable[[float], Tensor], here: Tensor, h: float, eps: float) -> tuple[Tensor, Tensor]:
    """Return the slope from steps h and h / 2, extrapolated, and how far off it may be."""
    ahead, behind = zip(*((at(step), at(-step)) for step in (h, h / 2)), strict=True)
    coarse, fine = ((a - b) / (2 * s) for a, b, s in zip(ahead, behind, (h, h / 2), strict=True))
    value = (4 * fine - coarse) / 3
    # The slopes ahead and behind come together as the step is halved where the map is smooth; at a kink they do not.
    bends = [(a - 2 * here + b).abs() / s for a, b, s in zip(ahead, behind, (h, h / 2), strict=True)]
    # Numbers about 1 are on the way even where y is small, as in log(1 + exp(x)), and leave steps in it.
    rounding = eps * (8 * torch.maximum(ahead[0].abs(), here.abs())).clamp(min=2) / h
    kink = (bends[1] > 0.75 * bends[0]) & (bends[1] > 1e-3 * fine.abs() + 10 * rounding)
    error = (coarse - fine).abs() + rounding
    return value, error.where(~kink, torch.inf).nan_to_num(nan=torch.inf)
