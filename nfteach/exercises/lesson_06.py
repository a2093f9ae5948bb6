"""Lesson 06, the coupling layer: forward, inverse, the log-determinant, the blocks of its Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nfteach.exercises.autograd import jacobian, log_abs_det_jacobian
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception

__all__ = ["blocks", "forward", "inverse", "log_det"]

Network = Callable[[Tensor], Tensor]


def _network(generator: torch.Generator, inputs: int, outputs: int) -> Network:
    """A smooth function from (..., inputs) to (..., outputs), between -2 and 2, of either sign.

    Handed x_B in place of x_A, which may be longer or shorter, it answers with one number, which fits wherever it is
    put: so this mistake runs to its end, and is recognised.
    """
    weight, bias = normal(generator, inputs, outputs), normal(generator, outputs)

    def network(part: Tensor) -> Tensor:
        width = part.shape[-1]
        if width not in (inputs, outputs):
            raise ValueError(f"this network takes {inputs} numbers, those that pass (x_A), but was handed {width}")
        if width != inputs:
            return 2 * torch.sin(part.sum(-1, keepdim=True) + bias[0])
        return 2 * torch.sin(part @ weight + bias)

    return network


def _mask(generator: torch.Generator, D: int) -> Tensor:
    """(D,) boolean with both kinds, and the dimensions that pass not all in front."""
    while True:
        mask = torch.rand(D, generator=generator) < 0.5
        if 0 < mask.sum() < D and not mask[: int(mask.sum())].all():
            return mask


def _coupling(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network, Network]:
    """x (B, D), a mask (D,), s and t, with D = 3, 4, 5, ..."""
    D = 3 + index
    mask = _mask(generator, D)
    passing = int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    return 1.5 * normal(generator, 4, D), mask, s, t


def _entry_by_entry(x: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Equation 5: one output after the other, T_i(x_A, x_i)."""
    passing = torch.stack([x[..., i] for i in range(len(mask)) if mask[i]], -1)
    terms = zip(s(passing).unbind(-1), t(passing).unbind(-1), strict=True)
    outputs = []
    for x_i, passes in zip(x.unbind(-1), mask.tolist(), strict=True):
        if passes:
            outputs.append(x_i)
        else:
            s_i, t_i = next(terms)
            outputs.append(x_i * math.e**s_i + t_i)
    return torch.stack(outputs, -1)


def _part(x: Tensor, where: Tensor, new: Tensor) -> Tensor:
    """x with other numbers at those places."""
    y = x.clone()
    y[..., where] = new
    return y


# ---- 6.1 ---------------------------------------------------------------------------------------------------------


def _forward(x: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    x_a, x_b = x[..., mask], x[..., ~mask]
    y = x.clone()
    y[..., ~mask] = x_b * torch.exp(s(x_a)) + t(x_a)
    return y


def _changed(x: Tensor, mask: Tensor, formula: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """x with ``formula(x_A, x_B)`` in place of x_B."""
    return _part(x, ~mask, formula(x[..., mask], x[..., ~mask]))


forward = Exercise(
    number="6.1",
    title="forward",
    arguments=("x", "mask", "s", "t"),
    returns=("y",),
    cases=_coupling,
    truth=_entry_by_entry,
    answer=_forward,
    reasoning=r"`x[..., mask]` takes $x_A$ out, `y[..., ~mask] = ...` puts $y_B$ back where $x_B$ stood: a mask picks "
    r"and places in the same order. Working on a copy of x leaves $y_A = x_A$ without another line.",
    hints=(
        r"`x[..., mask]` is $x_A$ and `x[..., ~mask]` is $x_B$. The networks see the first.",
        r"$y_B$ is `x_b * torch.exp(s(x_a)) + t(x_a)`. It belongs where $x_B$ was.",
        "Begin with `y = x.clone()`, then assign to `y[..., ~mask]`.",
    ),
    misconceptions=(
        Misconception(
            name="mask the wrong way round",
            message="You changed the dimensions where the mask is True. True means that a dimension *passes*.",
            answer=lambda x, mask, s, t: _forward(x, ~mask, s, t),
        ),
        Misconception(
            name="joined, not put back",
            message="The numbers are right, but y has A in front and B behind. Each dimension has to stay in its "
            "place.",
            answer=lambda x, mask, s, t: _joined(_forward(x, mask, s, t), mask),
        ),
        Misconception(
            name="s of the part that changes",
            message="The networks were handed x_B, the part that changes. On the way back nobody would know it.",
            answer=lambda x, mask, s, t: _changed(x, mask, lambda x_a, x_b: x_b * torch.exp(s(x_b)) + t(x_b)),
        ),
        Misconception(
            name="s in place of exp(s)",
            message="You multiplied by s. It may be negative or zero; the factor is its exponential.",
            answer=lambda x, mask, s, t: _changed(x, mask, lambda x_a, x_b: x_b * s(x_a) + t(x_a)),
        ),
        Misconception(
            name="sign of s",
            message="You multiplied by exp(-s). That sign belongs to the inverse.",
            answer=lambda x, mask, s, t: _changed(x, mask, lambda x_a, x_b: x_b * torch.exp(-s(x_a)) + t(x_a)),
        ),
        Misconception(
            name="shifted first",
            message="You shifted, and then scaled: so t is scaled, too. Equation 3 scales first.",
            answer=lambda x, mask, s, t: _changed(x, mask, lambda x_a, x_b: (x_b + t(x_a)) * torch.exp(s(x_a))),
        ),
        Misconception(
            name="the first d dimensions",
            message="You took the first d dimensions for those that pass. Which ones pass, the mask says.",
            answer=lambda x, mask, s, t: _forward(x, _first(mask), s, t),
        ),
        Misconception(
            name="nothing where x passes",
            message="Where x passes you left zeros. Those numbers have to be in y, as they are.",
            answer=lambda x, mask, s, t: _part(_forward(x, mask, s, t), mask, 0.0),
        ),
        Misconception(
            name="only x_B returned",
            message="That is y_B alone. y has D dimensions, also those that pass.",
            answer=lambda x, mask, s, t: _forward(x, mask, s, t)[..., ~mask],
        ),
    ),
)


def _first(mask: Tensor) -> Tensor:
    """The mask of as many dimensions, all of them in front."""
    return mask.sort(descending=True).values


def _joined(y: Tensor, mask: Tensor) -> Tensor:
    return torch.cat([y[..., mask], y[..., ~mask]], dim=-1)


# ---- 6.2 ---------------------------------------------------------------------------------------------------------


def _inverse(y: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    y_a, y_b = y[..., mask], y[..., ~mask]
    x = y.clone()
    x[..., ~mask] = (y_b - t(y_a)) * torch.exp(-s(y_a))
    return x


def _inverse_by_two_points(y: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Each changed output is a straight line in its own input: find the line from two points, then solve."""
    at_0, at_1 = (_entry_by_entry(_part(y, ~mask, torch.tensor(v).double()), mask, s, t) for v in (0.0, 1.0))
    return torch.where(mask, y, (y - at_0) / torch.where(mask, 1.0, at_1 - at_0))


inverse = Exercise(
    number="6.2",
    title="inverse",
    arguments=("y", "mask", "s", "t"),
    returns=("x",),
    cases=_coupling,
    truth=_inverse_by_two_points,
    answer=_inverse,
    reasoning=r"$y_A$ is $x_A$, so the networks give the very numbers that they gave on the way forward. What was done "
    r"last is undone first: take $t$ away, then divide by $e^{s}$, which is to multiply by $e^{-s}$.",
    hints=(
        r"The networks need $x_A$. Where in y is it?",
        r"Solve $y_B = x_B\, e^{s} + t$ for $x_B$. Nothing has to be solved for s or t: they are just numbers here.",
        r"`(y_b - t(y_a)) * torch.exp(-s(y_a))`, put back where the mask is False.",
    ),
    misconceptions=(
        Misconception(
            name="sign of s",
            message="You took t away, and then multiplied by exp(s) once more (to divide by exp(-s) is the same). To "
            "undo the factor, divide by it.",
            answer=lambda y, mask, s, t: _changed(y, mask, lambda y_a, y_b: (y_b - t(y_a)) * torch.exp(s(y_a))),
        ),
        Misconception(
            name="divided by s",
            message="You divided by s. The factor on the way forward was exp(s).",
            answer=lambda y, mask, s, t: _changed(y, mask, lambda y_a, y_b: (y_b - t(y_a)) / s(y_a)),
        ),
        Misconception(
            name="shift undone last",
            message="You undid the scale first and the shift second. What was done last has to be undone first.",
            answer=lambda y, mask, s, t: _changed(y, mask, lambda y_a, y_b: y_b * torch.exp(-s(y_a)) - t(y_a)),
        ),
        Misconception(
            name="sign of t",
            message="t was added on the way forward, and you added it again.",
            answer=lambda y, mask, s, t: _changed(y, mask, lambda y_a, y_b: (y_b + t(y_a)) * torch.exp(-s(y_a))),
        ),
        Misconception(
            name="s of the part that changes",
            message="The networks were handed y_B. On the way forward they saw x_A, which is y_A.",
            answer=lambda y, mask, s, t: _changed(y, mask, lambda y_a, y_b: (y_b - t(y_b)) * torch.exp(-s(y_b))),
        ),
        Misconception(
            name="mask the wrong way round",
            message="You changed the dimensions where the mask is True. True means that a dimension *passes*.",
            answer=lambda y, mask, s, t: _inverse(y, ~mask, s, t),
        ),
        Misconception(
            name="joined, not put back",
            message="The numbers are right, but x has A in front and B behind. Each dimension has to stay in its "
            "place.",
            answer=lambda y, mask, s, t: _joined(_inverse(y, mask, s, t), mask),
        ),
        Misconception(
            name="the first d dimensions",
            message="You took the first d dimensions for those that pass. Which ones pass, the mask says.",
            answer=lambda y, mask, s, t: _inverse(y, _first(mask), s, t),
        ),
        Misconception(
            name="forward once more",
            message="That is the layer itself, applied once more.",
            answer=_forward,
        ),
    ),
)


# ---- 6.3 ---------------------------------------------------------------------------------------------------------


def _log_det_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network]:
    return _coupling(generator, index)[:3]


def _log_det(x: Tensor, mask: Tensor, s: Network) -> Tensor:
    return s(x[..., mask]).sum(-1)


def _log_det_by_autograd(x: Tensor, mask: Tensor, s: Network) -> Tensor:
    # Any t will do: the determinant does not see it.
    return log_abs_det_jacobian(partial(_entry_by_entry, mask=mask, s=s, t=s), x)


log_det = Exercise(
    number="6.3",
    title="the log-determinant",
    arguments=("x", "mask", "s"),
    returns=("log|det J|",),
    cases=_log_det_case,
    truth=_log_det_by_autograd,
    answer=_log_det,
    reasoning=r"The determinant is the product of $D - d$ exponentials, and the logarithm of a product of exponentials "
    r"is the sum of the exponents. `.sum(-1)` adds over the dimensions of one point, and leaves the batch alone.",
    hints=(
        r"`x[..., mask]` is $x_A$. s of it is (..., D - d): for each point, one exponent for each dimension that "
        r"changes.",
        "Add them up, over the last dimension only: `.sum(-1)`.",
    ),
    misconceptions=(
        Misconception(
            name="summed over the batch",
            message="You summed over the batch. Each point has a log-determinant of its own.",
            answer=lambda x, mask, s: _log_det(x, mask, s).sum(),
        ),
        Misconception(
            name="per dimension",
            message="These are the logarithms of the diagonal entries, one for each dimension. The log-determinant is "
            "one number for each point.",
            answer=lambda x, mask, s: s(x[..., mask]),
        ),
        Misconception(
            name="exp(s) summed",
            message="You summed exp(s). The determinant is a *product* of these, and the logarithm turns each into s.",
            answer=lambda x, mask, s: s(x[..., mask]).exp().sum(-1),
        ),
        Misconception(
            name="no logarithm",
            message="That is det J. Its logarithm is asked for.",
            answer=lambda x, mask, s: _log_det(x, mask, s).exp(),
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-determinant of the inverse.",
            answer=lambda x, mask, s: -_log_det(x, mask, s),
        ),
        Misconception(
            name="s of the part that changes",
            message="s was handed the dimensions where the mask is False, those that change. It sees those that pass.",
            answer=lambda x, mask, s: _log_det(x, ~mask, s),
        ),
        Misconception(
            name="the first d dimensions",
            message="You took the first d dimensions for those that pass. Which ones pass, the mask says.",
            answer=lambda x, mask, s: _log_det(x, _first(mask), s),
        ),
        Misconception(
            name="ones added",
            message="For each dimension that passes you added 1. It does stand in J as a factor 1, and the logarithm "
            "of 1 is 0.",
            answer=lambda x, mask, s: _log_det(x, mask, s) + mask.sum(),
        ),
        Misconception(
            name="mean over the dimensions",
            message="You took the mean over the dimensions that change. The log of a product is the sum of the logs.",
            answer=lambda x, mask, s: s(x[..., mask]).mean(-1),
        ),
    ),
)


# ---- 6.4 ---------------------------------------------------------------------------------------------------------


def _blocks_case(generator: torch.Generator, index: int) -> tuple[Tensor]:
    return (_mask(generator, 3 + index),)


def _blocks(mask: Tensor) -> Tensor:
    D = len(mask)
    table = torch.zeros(D, D, dtype=torch.long)
    for i in range(D):
        if mask[i]:
            table[i, i] = 1
        else:
            table[i, mask] = 2
            table[i, i] = 3
    return table


def _blocks_by_autograd(mask: Tensor) -> Tensor:
    """The Jacobian of a wild layer at some points, and at the same points with x_B pushed: what never moves?"""
    generator, D, passing = torch.Generator().manual_seed(0), len(mask), int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    x = normal(generator, 5, D)
    x[1:3, mask] = x[0, mask]
    J = jacobian(partial(_entry_by_entry, mask=mask, s=s, t=t), x)
    by_x_b = (J[1:3] - J[0]).abs().amax(0) > 1e-9
    table = torch.where(by_x_b, 2, 3)
    table[(J == 1).all(0)] = 1
    table[(J == 0).all(0)] = 0
    return table


def _table(mask: Tensor, *, passes: int = 1, block: int = 2, changes: int = 3) -> Tensor:
    """The table with other numbers in its blocks."""
    right = _blocks(mask)
    return torch.where(right == 1, passes, torch.where(right == 2, block, torch.where(right == 3, changes, 0)))


blocks = Exercise(
    number="6.4",
    title="the blocks of J",
    arguments=("mask",),
    returns=("table",),
    cases=_blocks_case,
    truth=_blocks_by_autograd,
    answer=_blocks,
    reasoning=r"Go through J row by row: row $i$ says what output $i$ looks at. If $i$ passes, it looks at itself "
    r"only, with slope 1. If $i$ changes, it looks at itself, with slope $e^{s_i}$, and at every dimension that "
    r"passes. At another dimension that changes it never looks.",
    hints=(
        "Row i is about output i. Take the rows one by one: is `mask[i]` True or False?",
        "If i passes, there is a 1 on the diagonal, and nothing else in the row.",
        "If i changes, its row has a 2 in every column j with `mask[j]`, and a 3 on the diagonal.",
    ),
    misconceptions=(
        Misconception(
            name="mask the wrong way round",
            message="You took the dimensions where the mask is True for those that change. True means that a dimension "
            "*passes*.",
            answer=lambda mask: _blocks(~mask),
        ),
        Misconception(
            name="sorted",
            message="The blocks are right for the order 'passed first'. In J the dimensions stay where the mask has "
            "them.",
            answer=lambda mask: _blocks(_first(mask)),
        ),
        Misconception(
            name="transposed",
            message="Rows and columns are swapped. Row i belongs to output i, and column j to the input that is "
            "pushed.",
            answer=lambda mask: _blocks(mask).T,
        ),
        Misconception(
            name="only below the diagonal",
            message="You left out what stands above the diagonal. J is triangular as it stands only if the dimensions "
            "that pass come first.",
            answer=lambda mask: _blocks(mask).tril(),
        ),
        Misconception(
            name="the block forgotten",
            message="You left out the block that the determinant doesn't see. It is in J all the same.",
            answer=lambda mask: _table(mask, block=0),
        ),
        Misconception(
            name="the changing look at each other",
            message="In your table the dimensions that change look at each other. Given those that pass, each is on "
            "its own.",
            answer=lambda mask: torch.where(~mask[:, None] & ~mask & ~torch.eye(len(mask)).bool(), 2, _blocks(mask)),
        ),
        Misconception(
            name="full diagonal blocks",
            message="You filled the two diagonal blocks. Both are diagonal: an identity, and a diagonal of "
            "exponentials.",
            answer=lambda mask: torch.where(mask[:, None] == mask, torch.where(mask, 1, 3), _blocks(mask)),
        ),
        Misconception(
            name="2 and 3 swapped",
            message="You swapped 2 and 3: what stands on the diagonal, and what beside it?",
            answer=lambda mask: _table(mask, block=3, changes=2),
        ),
    ),
)
