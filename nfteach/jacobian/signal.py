"""The training signal: gradients of y and of the log-det by autograd, beside differences of the map's own values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .adapt import Map, in_words
from .measure import read_claim
from .witnesses import directions, slopes

__all__ = [
    "CUT",
    "NOT_FINITE",
    "RAISES",
    "RIGHT",
    "UNDECIDED",
    "WRONG",
    "Gradient",
    "moved",
    "random_moves",
    "training_signal",
]

RIGHT, CUT, WRONG, NOT_FINITE, UNDECIDED = "right", "cut", "wrong", "not finite", "undecided"
RAISES = "raises"

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
        error: what autograd raises, if it does.
    """

    of: str
    by: str
    result: str
    told: float
    true: float
    error: str = ""


def training_signal(
    f: Map, x: Tensor, parameters: Sequence[Tensor], *, claimed: bool, whole: bool, slack: float
) -> Iterator[Gradient]:
    """Compare the gradient of the log-det by x, and those of the log-det and of y by the parameters and the context.

    The gradient of y by x is the Jacobian, which ``hear`` judges where it is known as a whole.

    Args:
        f: a map that gives the same values in every call.
        x: (B, D).
        parameters: leaves that require a gradient, of the copy that ``f`` calls.
        claimed: whether to look at the log-det.
        whole: whether to look at the gradient of y by x as well.
        slack: a relative distance that is accepted, where it is more than usual.
    """
    generator = torch.Generator().manual_seed(0)
    exact = x.dtype == torch.float64
    names = ("y", "log-det") if claimed else ("y",)
    weights = {name: noise(like, generator).double().cpu() for name, like in (("log-det", x[:, 0]), ("y", f(x)[0]))}

    def totals(points: Tensor) -> dict[str, Tensor]:
        y, raw = f(points)
        values = {"y": y.double().cpu()}
        if claimed:
            values["log-det"] = read_claim(raw, x, f.event_shape).values
        return {name: (weights[name] * values[name]).sum() for name in names}

    # A map of many dimensions is slow to call; in float32 one direction more tells a mistake from a kink.
    number = 1 if whole else 2 if exact else 3
    leaf = x.detach().requires_grad_()
    moves = {"x": [[v] for v in directions(x, number)]}
    inputs = {"x": [leaf], "parameters": list(parameters), "context": _trained_context(f)}
    for by in ("parameters", "context"):
        moves[by] = [random_moves(inputs[by], generator) for _ in range(number)]
    with _in_place_of_context(f, inputs["context"]):
        for by, tensors in inputs.items():
            judged = [name for name in names if whole or (name, by) != ("y", "x")]
            if not tensors or not judged:
                continue
            here = totals(leaf)
            try:
                gradients = {name: _gradients(here[name], tensors) for name in judged}
            except Exception as error:
                yield Gradient(judged[-1], by, RAISES, torch.nan, torch.nan, in_words(error))
                continue

            def at(step: float, along: list[Tensor], by: str = by, tensors: list[Tensor] = tensors) -> Tensor:
                if by == "x":
                    return _row(totals(x + step * along[0]))
                with moved(tensors, along, step):
                    return _row(totals(x))

            there = [
                _differences(lambda step, along=along, at=at: at(step, along), _row(here), x.dtype)
                for along in moves[by]
            ]
            for name in judged:
                products = torch.stack([_products(gradients[name], along) for along in moves[by]])
                true, error = (torch.stack([each[part][0, names.index(name)] for each in there]) for part in (0, 1))
                tolerance = max(slack, _TOLERANCE if exact else _COARSE_TOLERANCE)
                yield _judge(name, by, products, true, error, tolerance, exact)


def _trained_context(f: Map) -> list[Tensor]:
    """Return the context of a map as a leaf, in a list; none where there is none, or where it has no gradient."""
    if f.context is None or not f.context.is_floating_point():
        return []
    return [f.context.detach().clone().requires_grad_()]


@contextmanager
def _in_place_of_context(f: Map, context: list[Tensor]) -> Iterator[None]:
    before = f.context
    f.context = context[0] if context else before
    try:
        yield
    finally:
        f.context = before


def _row(totals: dict[str, Tensor]) -> Tensor:
    return torch.stack([total.detach() for total in totals.values()]).unsqueeze(0)


def _products(gradients: Sequence[Tensor], along: Sequence[Tensor]) -> Tensor:
    """Return the terms whose sum is the derivative along a direction, in float64."""
    terms = [(g.conj() * move).real.double().cpu().flatten() for g, move in zip(gradients, along, strict=True)]
    return torch.cat(terms)


def _differences(at: Callable[[float], Tensor], here: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return slopes as ``slopes`` does; from larger steps where the values are rounded to less than ``dtype``."""
    slope, error = slopes(at, here, torch.finfo(dtype).eps, _ENOUGH)
    if dtype != torch.float64 or error.isfinite().all():
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


def _gradients(total: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a number; zeros where it does not depend on an input."""
    for each in inputs:
        each.grad = None
    if total.requires_grad:
        # As in training; ``autograd.grad`` does not see what a reentrant checkpoint computes with.
        total.backward(retain_graph=True)
    found = [torch.zeros_like(each) if each.grad is None else each.grad for each in inputs]
    for each in inputs:
        each.grad = None
    return found


def _judge(of: str, by: str, products: Tensor, true: Tensor, error: Tensor, tolerance: float, exact: bool) -> Gradient:
    """Judge derivatives by autograd, in terms (directions, N), beside differences and how far these may be off."""
    told = products.sum(1)
    size = torch.maximum(products.abs().sum(1).nan_to_num(nan=0.0), true.abs()).clamp(min=1e-300)
    nothing = (true.abs() + told.abs() <= 1e-7) & (error < 1e-6)
    decided = ((error < 0.02 * size) | nothing) & true.isfinite()
    apart = (told - true).abs()
    gap = (apart / size).nan_to_num(nan=torch.inf)
    # What is only rounding has a slope that is only rounding.
    wrong = (gap > tolerance + 20 * error / size) & (true.abs() + told.abs() > 1e-7)
    if not decided.any():
        result = UNDECIDED
    elif not told[decided].isfinite().all():
        result = NOT_FINITE
    elif not wrong[decided].all():  # along a single direction, a kink may be crossed that the error does not show
        result = RIGHT
    elif (products == 0).all():
        result = CUT
    elif exact or (int(decided.sum()) > 1 and (apart > _GROSS * torch.maximum(told.abs(), true.abs()))[decided].all()):
        result = WRONG
    else:  # in less than float64, rounding inside of the map may explain it
        result = UNDECIDED
    at = int(decided.int().argmax())
    return Gradient(of, by, result, float(told[at]), float(true[at]))
