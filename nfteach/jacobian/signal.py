"""The training signal: gradients of y and of the log-det by autograd, beside differences of the map's own values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    f: Map, lines: Sequence[Line], parameters: Sequence[Tensor], *, claimed: bool, whole: bool, slack: float
) -> Iterator[Gradient]:
    """Compare the gradient of the log-det by x, and those of the log-det and of y by the parameters and the context.

    The gradient of y by x is the Jacobian, which ``hear`` judges where it is known as a whole.

    Args:
        f: a map that gives the same values in every call.
        lines: through the points x (B, D).
        parameters: leaves that require a gradient, of the copy that ``f`` calls.
        claimed: whether to look at the log-det.
        whole: whether to look at the gradient of y by x as well.
        slack: a relative distance that is accepted, where it is more than usual.
    """
    x, generator = lines[0].x, torch.Generator().manual_seed(0)
    eps = max(torch.finfo(x.dtype).eps, f.half)
    exact = eps < 1e-12
    # A map of many dimensions is slow to call; in float32 one direction more tells a mistake from a kink.
    most = 1 if whole else 2 if exact else 3
    tolerance = max(slack, _TOLERANCE if exact else _COARSE_TOLERANCE)
    names = ("y", "log-det") if claimed else ("y",)

    def totals(y: Tensor, raw: Any) -> dict[str, Tensor]:
        values = {"y": y, "log-det": read_claim(raw, x, f.event_shape).values if claimed else None}
        return {name: (weights[name] * values[name].double().cpu()).sum() for name in names}

    def along(by: str) -> Iterator[tuple[list[Tensor], Callable[[float], Tensor]]]:
        """Yield directions, and step -> the totals there."""
        for line in lines[:most]:
            if by == "x":
                yield [line.v], lambda step, line=line: _row(totals(*line(step)))
                continue
            moves = random_moves(inputs[by], generator)

            def at(step: float, moves: list[Tensor] = moves) -> Tensor:
                with moved(inputs[by], moves, step):
                    return _row(totals(*f(x)))

            yield moves, at

    leaf = x.detach().requires_grad_()
    inputs = {"x": [leaf], "parameters": list(parameters), "context": _trained_context(f)}
    judged = {by: [name for name in names if whole or (name, by) != ("y", "x")] for by in inputs if inputs[by]}
    with _in_place_of_context(f, inputs["context"]):
        y, raw = f(leaf)
        weights = {name: noise(like, generator).double().cpu() for name, like in (("log-det", x[:, 0]), ("y", y))}
        here = totals(y, raw)
        # All before the first move: autograd refuses a graph of which a tensor has changed.
        gradients = {by: [_gradients(here[name], inputs[by]) for name in judged[by]] for by in judged}
        for by, of in judged.items():
            if wrong := next((each for each in gradients[by] if isinstance(each, Exception)), None):
                yield Gradient(of[-1], by, RAISES, torch.nan, torch.nan, in_words(wrong))
                continue
            products: list[list[Tensor]] = [[] for _ in of]
            true, results = [], []
            # A mistake shows in every direction: one in which all is right decides.
            for moves, at in along(by) if of else ():
                true.append(_differences(at, _row(here), eps))
                results = []
                for name, terms, gradient in zip(of, products, gradients[by], strict=True):
                    terms.append(_products(gradient, moves))
                    slope, error = torch.stack([torch.stack(each) for each in true])[:, :, 0, names.index(name)].T
                    results.append(_judge(name, by, torch.stack(terms), slope, error, tolerance, exact))
                if all(gradient.result == RIGHT for gradient in results):
                    break
            yield from results


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
