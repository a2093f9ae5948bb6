"""The training signal: gradients of y and of the log-det by autograd, beside differences of the map's own values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .adapt import Map
from .measure import read_claim
from .phrases import in_words
from .witnesses import Line, slopes

__all__ = [
    "CUT",
    "NOT_FINITE",
    "RAISES",
    "RIGHT",
    "UNDECIDED",
    "WRONG",
    "Gradient",
    "cut_from_y",
    "moved",
    "random_moves",
    "training_signal",
]

RIGHT, CUT, WRONG, NOT_FINITE, UNDECIDED = "right", "cut", "wrong", "not finite", "undecided"
RAISES = "raises"
_BY = ("x", "parameters", "context")

# Relative distances that are accepted: implicit and adjoint gradients are as precise as their solver.
_TOLERANCE, _COARSE_TOLERANCE = 1e-3, 5e-2
# A distance, relative to the derivative itself, that rounding inside of a float32 map does not explain.
_GROSS = 0.2
# A relative error of differences that needs no further steps.
_ENOUGH = 1e-4


class Gradient(NamedTuple):
    """A gradient, summed over the points with random weights, along random directions.

    Attributes:
        of: "log-det" or "y".
        by: "x", "parameters" or "context".
        result: "right", "cut" (zero, and in truth it is not), "wrong", "not finite", "raises" or "undecided".
        told: what autograd says along one direction.
        true: what central differences say.
        error: what autograd raises, or why nothing is decided, if more than imprecise differences.
        left_out: how many points the sum leaves out, at a kink or where the values are not finite.
    """

    of: str
    by: str
    result: str
    told: float = math.nan
    true: float = math.nan
    error: str = ""
    left_out: int = 0


class _Along(NamedTuple):
    """A derivative along one direction.

    Attributes:
        terms: (N,) whose sum autograd says it is.
        true: what central differences say, a number.
        error: how far off these may be.
        left_out: how many points are not in it.
    """

    terms: Tensor
    true: Tensor
    error: Tensor
    left_out: int = 0


def training_signal(
    f: Map, lines: Sequence[Line], parameters: Sequence[Tensor], *, claimed: bool, whole: bool, slack: float
) -> Iterator[Gradient]:
    """Compare the gradient of the log-det by x, and those of the log-det and of y by the parameters and the context.

    The gradient of y by x is the Jacobian, which ``hear`` judges where it is known; it is looked at here if ``whole``.
    The log-det is looked at if ``claimed``. ``slack`` is a relative distance that is accepted, where it is more than
    usual.
    """
    f, lines, exchanged = _at_finite_points(f, lines)
    if f.context is not None and f.context.is_floating_point():
        f = replace(f, context=f.context.detach().clone().requires_grad_())
    for gradient in _Signal(f, lines, parameters, claimed=claimed, whole=whole, slack=slack).compare():
        yield gradient._replace(left_out=gradient.left_out + exchanged)


class _Signal:
    """The values that training follows, each point's summed with random weights; see ``training_signal``."""

    def __init__(
        self, f: Map, lines: Sequence[Line], parameters: Sequence[Tensor], *, claimed: bool, whole: bool, slack: float
    ) -> None:
        self.f, self.x = f, lines[0].x
        self.eps = max(torch.finfo(self.x.dtype).eps, f.half)
        self.exact = self.eps < 1e-12
        # A map of many dimensions is slow to call; in float32 one direction more tells a mistake from a kink.
        self.lines = lines[: 1 if whole else 2 if self.exact else 3]
        self.tolerance = max(slack, _TOLERANCE if self.exact else _COARSE_TOLERANCE)
        self.names = ("y", "log-det") if claimed else ("y",)
        self.inputs = {
            "x": [self.x.detach().requires_grad_()],
            "parameters": list(parameters),
            "context": [] if f.context is None or not f.context.requires_grad else [f.context],
        }
        self.judged = {
            by: [name for name in self.names if whole or (name, by) != ("y", "x")] for by in _BY if self.inputs[by]
        }
        self.generator = torch.Generator().manual_seed(0)
        self.weights: dict[str, Tensor] = {}

    def compare(self) -> Iterator[Gradient]:
        """Yield one result for each gradient."""
        try:
            y, raw = self.f(*self.inputs["x"])
        except Exception as error:  # it refuses points that require a gradient
            why = f"autograd does not run through the map: {in_words(error)}"
            for by, of in self.judged.items():
                yield from (Gradient(name, by, UNDECIDED, error=why) for name in of)
            return
        for name, like in (("log-det", self.x[:, 0]), ("y", y)):
            self.weights[name] = noise(like, self.generator).double().cpu()
        here = self._terms(y, raw)
        # All before the first move: autograd refuses a graph of which a tensor has changed.
        gradients = {
            by: {name: _gradients(here[name].sum(), self.inputs[by]) for name in of} for by, of in self.judged.items()
        }
        for by in self.judged:
            yield from self._compare(by, gradients[by], _stacked(here))

    def _compare(self, by: str, gradients: dict[str, list[Tensor] | Exception], here: Tensor) -> Iterator[Gradient]:
        """Yield one result for each gradient with respect to one input; ``here`` are the terms (B, names)."""
        for name, gradient in gradients.items():
            if isinstance(gradient, Exception):
                yield Gradient(name, by, RAISES, error=in_words(gradient))
        of = [name for name, gradient in gradients.items() if not isinstance(gradient, Exception)]
        try:
            yield from self._beside_differences(by, {name: gradients[name] for name in of}, here)
        except Exception as error:  # a map of binary numbers, for instance, has no values near by
            why = f"the map raises close by: {in_words(error)}"
            yield from (Gradient(name, by, UNDECIDED, error=why) for name in of)

    def _beside_differences(self, by: str, gradients: dict[str, list[Tensor]], here: Tensor) -> list[Gradient]:
        """Return one result for each gradient that autograd has."""
        seen: dict[str, list[_Along]] = {name: [] for name in gradients}
        results: list[Gradient] = []
        # A mistake shows in every direction: one in which all is right decides.
        for moves, at in self._along(by) if gradients else ():
            slope, error = _differences(lambda step, at=at: _summed(at(step)), _summed(here), self.eps)
            for name, gradient in gradients.items():
                i = self.names.index(name)
                along = _Along(_products(gradient, moves), slope[0, i], error[0, i])
                if along.terms.isfinite().all() and not _decided(along.terms, along.true, along.error):
                    along = self._where_known(name, by, moves, at, here) or along
                seen[name].append(along)
            results = [_judge(name, by, seen[name], self.tolerance, self.exact) for name in seen]
            if all(result.result == RIGHT for result in results):
                break
        return results

    def _where_known(
        self, name: str, by: str, moves: list[Tensor], at: Callable[[float], Tensor], here: Tensor
    ) -> _Along | None:
        """Return the derivative at those points alone where differences are precise; None if there are none."""
        i = self.names.index(name)
        slope, error = _differences(lambda step: at(step)[:, i].unsqueeze(0), here[:, i].unsqueeze(0), self.eps)
        known = (error <= 0.01 * slope.abs() + 1e-6)[0]
        if known.all() or not known.any():
            return None
        gradient = _gradients(self._terms(*self.f(*self.inputs["x"]))[name][known].sum(), self.inputs[by])
        if isinstance(gradient, Exception):
            return None
        true, error = _differences(
            lambda step: _summed(at(step)[known, i : i + 1]), _summed(here[known, i : i + 1]), self.eps
        )
        return _Along(_products(gradient, moves), true[0, 0], error[0, 0], int((~known).sum()))

    def _terms(self, y: Tensor, raw: Any) -> dict[str, Tensor]:
        """Return y, summed over its coordinates, and the log-det of each point (B,)."""
        values = {"y": y, "log-det": read_claim(raw, self.x, self.f.event_shape).values}
        weighted = {name: self.weights[name] * values[name].double().cpu() for name in self.names}
        return {name: each.reshape(len(y), -1).sum(1) for name, each in weighted.items()}

    def _along(self, by: str) -> Iterator[tuple[list[Tensor], Callable[[float], Tensor]]]:
        """Yield directions, and step -> the terms there."""
        for line in self.lines:
            if by == "x":
                yield [line.v], lambda step, line=line: _stacked(self._terms(*line(step)))
                continue
            moves = random_moves(self.inputs[by], self.generator)

            @cache
            def at(step: float, moves: list[Tensor] = moves) -> Tensor:
                with moved(self.inputs[by], moves, step):
                    return _stacked(self._terms(*self.f(self.x)))

            yield moves, at


def cut_from_y(f: Map, y: Tensor, *, varies: bool) -> tuple[str, ...]:
    """Return what the inverse gives without a gradient with respect to y (B, D): "x", "its log-det" if that varies."""
    leaf = y.detach().requires_grad_()
    try:
        x, raw = f.invert(leaf)
    except Exception:  # it may refuse points that require a gradient
        return ()
    log_det = read_claim(raw, y, f.event_shape).values
    totals = {"x": x.sum()} | ({"its log-det": log_det.sum()} if varies and log_det is not None else {})
    gradients = {name: _gradients(total, [leaf]) for name, total in totals.items()}
    return tuple(name for name, each in gradients.items() if isinstance(each, Exception) or not each[0].any())


def _at_finite_points(f: Map, lines: Sequence[Line]) -> tuple[Map, list[Line], int]:
    """Exchange the points where a value, or one close by, is not finite; return map, lines, and how many these are.

    A weight of zero would not do: zero times a gradient that is not finite is NaN.
    """
    step = torch.finfo(lines[0].x.dtype).eps ** (1 / 3)
    finite = torch.stack([_finite(f, lines[0], at) for at in (0.0, step, -step)]).all(0)
    if finite.all() or not finite.any():
        return f, list(lines), 0
    rows = torch.arange(len(finite)).where(finite, finite.int().argmax())
    f = f.at(rows)
    here = rows.to(lines[0].x.device)
    return f, [Line(f, line.x[here], line.v[here]) for line in lines], int((~finite).sum())


def _finite(f: Map, line: Line, step: float) -> Tensor:
    """Return where (B,) the values of a map are finite; everywhere if it has none at that step."""
    try:
        y, raw = line(step)
    except Exception:
        return torch.ones(len(line.x), dtype=torch.bool)
    claim, finite = read_claim(raw, line.x, f.event_shape).values, y.isfinite().all(1).cpu()
    return finite if claim is None else finite & claim.isfinite()


def _stacked(terms: dict[str, Tensor]) -> Tensor:
    """Return the terms without their history, (B, names)."""
    return torch.stack([each.detach() for each in terms.values()], 1)


def _summed(terms: Tensor) -> Tensor:
    """Return the sums over the points, (1, names)."""
    return terms.sum(0, keepdim=True)


def _products(gradients: Sequence[Tensor], along: Sequence[Tensor]) -> Tensor:
    """Return the terms whose sum is the derivative along a direction, in float64."""
    terms = [(g.conj() * move).real.double().cpu().flatten() for g, move in zip(gradients, along, strict=True)]
    return torch.cat(terms)


def _differences(at: Callable[[float], Tensor], here: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return slopes as ``slopes`` does; from larger steps where float64 values are rounded to less."""
    slope, error = slopes(at, here, eps, _ENOUGH)
    if eps > 1e-12 or error.isfinite().all():
        return slope, error
    coarse, its_error = slopes(at, here, torch.finfo(torch.float32).eps)
    fine = error.isfinite()
    return slope.where(fine, coarse), error.where(fine, torch.maximum(its_error, 0.01 * coarse.abs()))


def random_moves(tensors: Sequence[Tensor], generator: torch.Generator | None = None) -> list[Tensor]:
    """Return Gaussian noise of the size of each tensor."""
    generator = generator or torch.Generator().manual_seed(0)
    return [noise(tensor, generator) * _size(tensor) for tensor in tensors]


def noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers in the shape, the dtype and on the device of a tensor."""
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.device, like.dtype)


def _size(parameter: Tensor) -> float:
    """Return the scale of a move: the parameter's root mean square, or 0.1 where it is zero."""
    return float(parameter.detach().abs().double().square().mean().sqrt()) or 0.1


@contextmanager
def moved(tensors: Sequence[Tensor], along: Sequence[Tensor], step: float) -> Iterator[None]:
    """Move tensors in place inside the block as an optimiser does, so that their versions count it."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        with torch.no_grad():
            for tensor, direction in zip(tensors, along, strict=True):
                tensor.add_(direction, alpha=step)
        yield
    finally:
        with torch.no_grad():
            for tensor, values in zip(tensors, before, strict=True):
                tensor.copy_(values)


def _gradients(total: Tensor, inputs: Sequence[Tensor]) -> list[Tensor] | Exception:
    """Return the gradients of a number, zeros where it does not depend on an input; or what autograd raises."""
    for each in inputs:
        each.grad = None
    if total.requires_grad:
        try:
            # As in training; ``autograd.grad`` does not see what a reentrant checkpoint computes with.
            total.backward(retain_graph=True)
        except Exception as error:
            return error
    found = [torch.zeros_like(each) if each.grad is None else each.grad for each in inputs]
    for each in inputs:
        each.grad = None
    return found


def _judge(of: str, by: str, along: Sequence[_Along], tolerance: float, exact: bool) -> Gradient:
    """Judge derivatives by autograd along some directions, beside differences and how far these may be off."""
    terms, true, error = (torch.stack(each) for each in list(zip(*along, strict=True))[:3])
    told, size = terms.sum(1), _size_of(terms, true)
    lost = ~told.isfinite() & true.isfinite()
    decided = _decided(terms, true, error)
    apart = (told - true).abs()
    # What is only rounding has a slope that is only rounding.
    wrong = (apart / size > tolerance + 20 * error / size) & (true.abs() + told.abs() > 1e-7)
    if lost.any():
        result, decided = NOT_FINITE, lost
    elif not decided.any():
        result = UNDECIDED
    elif not wrong[decided].all():  # along a single direction, a kink may be crossed that the error does not show
        result = RIGHT
    elif (terms == 0).all():
        result = CUT
    elif exact or (int(decided.sum()) > 1 and (apart > _GROSS * torch.maximum(told.abs(), true.abs()))[decided].all()):
        result = WRONG
    else:  # in less than float64, rounding inside of the map may explain it
        result = UNDECIDED
    at = int(decided.int().argmax())
    return Gradient(of, by, result, float(told[at]), float(true[at]), left_out=along[at].left_out)


def _decided(terms: Tensor, true: Tensor, error: Tensor) -> Tensor:
    """Return where differences are precise beside the terms (..., N) of a derivative, or both say that it is zero."""
    nothing = (true.abs() + terms.sum(-1).abs() <= 1e-7) & (error < 1e-6)
    return ((error < 0.02 * _size_of(terms, true)) | nothing) & true.isfinite()


def _size_of(terms: Tensor, true: Tensor) -> Tensor:
    return torch.maximum(terms.abs().sum(-1).nan_to_num(nan=0.0), true.abs()).clamp(min=1e-300)
