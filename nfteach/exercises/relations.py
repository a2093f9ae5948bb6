"""Relations of a wrong answer to the right one: its sign, a factor, a sum too many, a transposition, ...

A relation is reported only if it holds in every case, so that the sentence is true.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, permutations

import torch
from torch import Tensor

from nfteach.exercises.comparing import is_close, listed
from nfteach.jacobian.numbers import brief

__all__ = ["related", "twisted"]

Cases = Sequence[Tensor]
Map = Callable[[Tensor], Tensor]

# Sentence -> the map that makes such an answer of the right one. "It" is the name of the returned thing.
_VALUES: dict[str, Map] = {
    "{it} has the wrong sign, and is right but for that": torch.neg,
    "{it} is right, but in another unit: the logarithm is to base 2": lambda t: t / math.log(2),
    "{it} is right, but in another unit: the logarithm is to base 10": lambda t: t / math.log(10),
    "{it} is too small by the factor log 2": lambda t: t * math.log(2),
    "this is the exponential of {it}": torch.exp,
    "this is the logarithm of {it}": torch.log,
    "this is the absolute value of {it}": torch.abs,
    "this is 1 minus {it}": lambda t: 1 - t,
    "this is 1 over {it}": torch.reciprocal,
    "this is the square of {it}": torch.square,
    "this is the square root of {it}": torch.sqrt,
}
_SUMS: dict[str, Map] = {
    "you added up {it} over the whole batch": torch.sum,
    "you took the mean of {it} over the whole batch": torch.mean,
    "you added up {it} over its first dimension": lambda t: t.sum(0),
    "you took the mean of {it} over its first dimension": lambda t: t.mean(0),
    "you took the mean of {it} over its last dimension": lambda t: t.mean(-1),
    "you added up {it} over its last dimension": lambda t: t.sum(-1),
}
_PLACES: dict[str, Map] = {
    "the numbers of {it} are right, but rows and columns are swapped": lambda t: t.transpose(-1, -2),
    "the numbers of {it} are right, but the first two dimensions are swapped": lambda t: t.transpose(0, 1),
    "the numbers of {it} are right, but in reverse order along the first dimension": lambda t: t.flip(0),
    "the numbers of {it} are right, but in reverse order along the second dimension": lambda t: t.flip(1),
    "the numbers of {it} are right, but in reverse order along the last dimension": lambda t: t.flip(-1),
}
# The other way round: what would have to be done to the answer.
_UNDONE: dict[str, Map] = {
    "you did not add up yet: the sum over the last dimension is {it}": lambda c: c.sum(-1),
    "you did not add up yet: the sum over the first dimension is {it}": lambda c: c.sum(0),
    "you did not add up yet: the sum of all your numbers is {it}": torch.sum,
    "you did not take the mean yet: that of your numbers is {it}": torch.mean,
    "you did not multiply yet: the product over the last dimension is {it}": lambda c: c.prod(-1),
}


def related(
    came: Sequence[Cases], truths: Sequence[Cases], names: Sequence[str], tolerance: float, *, vague: bool = False
) -> str:
    """Return how a wrong answer relates to the right one, in a sentence; empty if no relation is known.

    Args:
        came: for each case the parts of the answer.
        truths: for each case the parts of the right answer.
        names: the names of the parts.
        tolerance: see :func:`~nfteach.exercises.comparing.is_close`.
        vague: whether relations count that leave open what was done, such as a constant factor.
    """
    columns = [([case[i] for case in came], [case[i] for case in truths]) for i in range(len(names))]
    wrong = [i for i, (one, other) in enumerate(columns) if not _all_close(one, other, tolerance)]
    for order in permutations(range(len(names))) if 1 < len(names) < 4 and wrong else ():
        if all(_all_close(columns[i][0], other, tolerance) for i, (_, other) in zip(order, columns, strict=True)):
            return f"The numbers are right, but not in this order: return {listed(names)}."
    kinds = _vague if vague else _exact
    return " ".join(_named(sentence, names[i]) for i in wrong for sentence in islice(kinds(*columns[i], tolerance), 1))


def twisted(came: Sequence[Cases], mistaken: Sequence[Cases], truths: Sequence[Cases], tolerance: float) -> str:
    """Return what was done to a known mistake to give this answer; empty if nothing simple was done."""
    if any(len(case) != 1 or case[0].shape != true[0].shape for case, true in zip(mistaken, truths, strict=True)):
        return ""
    one, other = [case[0] for case in came], [case[0] for case in mistaken]
    for sentence, change in (*_VALUES.items(), *list(_SUMS.items())[:2]):
        if not _all_close(one, other, tolerance) and _holds(one, other, tolerance, change=change):
            return f"Besides, {sentence.format(it='the result')}."
    return ""


def _named(sentence: str, name: str) -> str:
    """Return a sentence about a thing with a name; names keep their first letter as it is."""
    return f"{sentence if sentence.startswith('{it}') else sentence[0].upper() + sentence[1:]}.".format(it=name)


def _exact(came: Cases, truth: Cases, tolerance: float) -> Iterator[str]:
    """Yield the relations that name a step from the right numbers to these."""
    if _all_close(came, truth, tolerance):
        return
    for sentence, change in _all(_VALUES, _SUMS, _PLACES):
        if _holds(came, truth, tolerance, change=change):
            yield sentence
    squeezed = [c.reshape([n for n in c.shape if n != 1]) for c in came]
    if any(c.dim() > t.dim() for c, t in zip(came, truth, strict=True)) and _all_close(squeezed, truth, tolerance):
        yield "the numbers of {it} are right, but a dimension of size 1 is left: the shape is " + (
            f"{_shape(came[0])} in place of {_shape(truth[0])}"
        )
    for sentence, change in _UNDONE.items():
        if _holds(truth, came, tolerance, change=change):
            yield sentence
    if all(c.numel() == t.numel() and c.shape != t.shape for c, t in zip(came, truth, strict=True)) and _all_close(
        [c.flatten() for c in came], [t.flatten() for t in truth], tolerance
    ):
        yield f"the numbers of {{it}} are right, but the shape is {_shape(came[0])} in place of {_shape(truth[0])}"
    finite = all(bool(c.isfinite().all()) for c in came)
    if finite and all(is_close(c, came[0], 1e-9) for c in came) and not all(is_close(t, truth[0], 1e-9) for t in truth):
        yield "{it} comes out the same for all inputs"


def _vague(came: Cases, truth: Cases, tolerance: float) -> Iterator[str]:
    """Yield relations between numbers of the same shape that leave open what was done, the closest first."""
    pairs = [(c.detach().double(), t.detach().double()) for c, t in zip(came, truth, strict=True)]
    if any(c.shape != t.shape for c, t in pairs):
        return
    came, truth = [c for c, _ in pairs], [t for _, t in pairs]
    finite = all(bool(c.isfinite().all()) for c in came)
    everything = torch.cat([t.flatten() for t in truth])
    varies = len(everything) > 3 and float(everything.std()) > 1e-6
    if finite and varies:
        sizes = torch.cat([c.flatten() for c in came])
        nonzero = everything.abs() > 1e-6
        ratio = sizes[nonzero] / everything[nonzero]
        if int(nonzero.sum()) > 3 and _constant(ratio) and _all_close(came, [ratio[0] * t for t in truth], tolerance):
            yield f"{{it}} is off by the factor {brief(ratio[0].item())}, in every case"
        offset = sizes - everything
        if _constant(offset):
            yield f"{{it}} is off by {brief(offset[0].item())}, in every case: that is added, or missing"
        big = [(c, t) for c, t in pairs if t.numel() > 1 and bool((t.abs() > 1e-6).all())]
        if len(big) == len(pairs) and all(_constant(c / t) for c, t in big):
            yield "{it} is off by a factor that is the same for all numbers of a call, but differs from call to call"
        if all(t.numel() > 1 and _constant(c - t) for c, t in pairs):
            yield "{it} is off by an amount that is the same for all numbers of a call, but differs from call to call"
        batches = all(t.dim() and len(t) > 1 and not is_close(t, t[:1].expand_as(t), 1e-6) for t in truth)
        if batches and all(is_close(c, c[:1].expand_as(c), 1e-9) for c in came):
            yield "{it} is the same all along its first dimension, and should not be"
        if all(t.numel() > 2 for t in truth) and all(
            is_close(c.flatten().sort().values, t.flatten().sort().values, tolerance) for c, t in pairs
        ):
            yield "the numbers of {it} are the right ones, but they stand in the wrong places"
        ends = {"first": slice(1, None), "last": slice(None, -1)}
        for end, rest in ends.items():
            if all(t.dim() and len(t) > 2 for t in truth) and all(
                is_close(c[rest], t[rest], tolerance) for c, t in pairs
            ):
                yield f"{{it}} is right everywhere but at the {end} place"
    elif any(bool(c.isfinite().any()) for c in came) and all(
        is_close(c[c.isfinite()], t[c.isfinite()], tolerance) for c, t in pairs
    ):
        yield "{it} is right wherever it is finite, and NaN or infinite at the other places"


def _holds(came: Cases, truth: Cases, tolerance: float, *, change: Map) -> bool:
    """Return whether `change` makes all of the answer from the truth, and does so without emptying it of meaning."""
    try:
        changed = [change(t.detach().double()) for t in truth]
    except (RuntimeError, IndexError):  # no such dimension
        return False
    if not _all_close(came, changed, tolerance):
        return False
    numbers = torch.cat([c.detach().double().flatten() for c in changed])
    return bool(numbers.isfinite().all()) and len(numbers) > 2 and float(numbers.std()) > 1e-6


def _all_close(one: Cases, other: Cases, tolerance: float = 1e-4) -> bool:
    return all(is_close(a, b, tolerance) for a, b in zip(one, other, strict=True))


def _constant(values: Tensor) -> bool:
    first = values.flatten()[0]
    return bool(((values - first).abs() < 1e-4 * (1 + first.abs())).all()) and float(first.abs()) > 1e-3


def _all(*tables: dict[str, Map]) -> Iterator[tuple[str, Map]]:
    for table in tables:
        yield from table.items()


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
