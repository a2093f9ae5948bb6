"""Lesson 06, RealNVP coupling: forward, inverse, the log-determinant, the blocks of its Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nfteach.exercises.autograd import jacobian, log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.mistakes import slips

__all__ = ["blocks", "forward", "inverse", "log_det"]

Network = Callable[[Tensor], Tensor]


def _network(generator: torch.Generator, inputs: int, outputs: int) -> Network:
    """Draw a smooth function from (..., inputs) to (..., outputs), between -2 and 2, of either sign.

    Handed x_B in place of x_A, which may be longer or shorter, it returns one number, which fits wherever it is
    put: so this mistake runs to its end, and is recognised.
    """
    weight, bias = draw(generator, inputs, outputs), draw(generator, outputs)

    def network(part: Tensor) -> Tensor:
        width = part.shape[-1]
        if width not in (inputs, outputs):
            raise ValueError(f"this network takes {inputs} numbers, those that pass (x_A), but was handed {width}")
        if width != inputs:
            return 2 * torch.sin(part.sum(-1, keepdim=True) + bias[0].to(part))
        return 2 * torch.sin(part @ weight.to(part) + bias.to(part))

    return network


def _mask(generator: torch.Generator, D: int) -> Tensor:
    """Draw (D,) boolean with both kinds, and the dimensions that pass not all in front."""
    while True:
        mask = torch.rand(D, generator=generator) < 0.5
        if 0 < mask.sum() < D and not mask[: int(mask.sum())].all():
            return mask


def _coupling(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network, Network]:
    """Draw x (4, D), (D,) or (2, 3, D), a mask (D,), s and t, with D = 3, 4, 5, ..."""
    D, batch = 3 + index, ((4,), (), (2, 3))[index % 3]
    mask = _mask(generator, D)
    passing = int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    return 1.5 * draw(generator, *batch, D), mask, s, t


def _entry_by_entry(x: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Compute one output after the other, T_i(x_A, x_i) of equation 5."""
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
    """Return x with other numbers at those places."""
    y = x.clone()
    y[..., where] = new
    return y


# ---- 6.1 ---------------------------------------------------------------------------------------------------------


def coupling_forward(x, mask, s, t):
    x_a, x_b = x[..., mask], x[..., ~mask]
    y = x.clone()
    y[..., ~mask] = x_b * torch.exp(s(x_a)) + t(x_a)
    return y


forward = Exercise(
    number="6.1",
    title="forward",
    keeps=("x",),
    returns=("y",),
    cases=_coupling,
    truth=_entry_by_entry,
    answer=coupling_forward,
    reasoning=r"`x[..., mask]` takes $x_A$ out, `y[..., ~mask] = ...` puts $y_B$ back where $x_B$ stood: a mask picks "
    r"and places in the same order. Working on a copy of x leaves $y_A = x_A$ without another line.",
    hints=(
        r"`x[..., mask]` is $x_A$ and `x[..., ~mask]` is $x_B$. The networks see the first.",
        r"$y_B$ is `x_b * torch.exp(s(x_a)) + t(x_a)`. It belongs where $x_B$ was.",
        "Begin with `y = x.clone()`, then assign to `y[..., ~mask]`.",
    ),
    misconceptions=slips(r"""
        mask the wrong way round: You changed the dimensions where the mask is True. True means that a dimension
            *passes*.
            x_a, x_b = x[..., mask], x[..., ~mask] -> mask = ~mask\n    x_a, x_b = x[..., mask], x[..., ~mask]
        joined, not put back: The numbers are right, but y has A in front and B behind. Each dimension has to stay in
            its place.
            return y -> return torch.cat([y[..., mask], y[..., ~mask]], -1)
            return y -> return torch.cat([y[..., ~mask], y[..., mask]], -1)
        s of the part that changes: The networks were handed x_B, the part that changes. On the way back nobody would
            know it.
            s(x_a)) + t(x_a) -> s(x_b)) + t(x_b)
            s(x_a) -> s(x_b)
            t(x_a) -> t(x_b)
        s in place of exp(s): You multiplied by s. It may be negative or zero; the factor is its exponential.
            torch.exp(s(x_a)) -> s(x_a)
        sign of s: You multiplied by exp(-s), or divided by exp(s). That belongs to the inverse.
            torch.exp(s(x_a)) -> torch.exp(-s(x_a))
        shifted first: You shifted, and then scaled: so t is scaled, too. Equation 3 scales first.
            x_b * torch.exp(s(x_a)) + t(x_a) -> (x_b + t(x_a)) * torch.exp(s(x_a))
        t subtracted: You took t away. Equation 3 adds it; the inverse takes it away.
            + t(x_a) -> - t(x_a)
        t left out: t is missing: after the scaling comes a shift.
            + t(x_a) ->
        scale left out: s is missing: before the shift, x_B is multiplied by exp(s).
            x_b * torch.exp(s(x_a)) -> x_b
        x_B left out: x_B itself is missing in y_B. Then x could never be found again.
            x_b * torch -> torch
        s and t exchanged: You exchanged s and t: the first goes into the exponential, the second is added.
            torch.exp(s(x_a)) + t(x_a) -> torch.exp(t(x_a)) + s(x_a)
        exponential of all: The exponential is taken of s alone. t is added outside of it.
            torch.exp(s(x_a)) + t(x_a) -> torch.exp(s(x_a) + t(x_a))
        the first d dimensions: You took the first d dimensions for those that pass. Which ones pass, the mask says.
            x_a, x_b = x[..., mask], x[..., ~mask] ->
            mask = mask.sort(descending=True).values\n    x_a, x_b = x[..., mask], x[..., ~mask]
        nothing where x passes: Where x passes you left zeros. Those numbers have to be in y, as they are.
            x.clone() -> torch.zeros_like(x)
        only x_B returned: That is y_B alone. y has D dimensions, also those that pass.
            return y -> return y[..., ~mask]
        other nonlinearity: The factor is exp(s), positive whatever s is. Yours is another function of s.
            torch.exp( -> torch.tanh(
            torch.exp( -> torch.sigmoid(
            torch.exp(s(x_a)) -> torch.nn.functional.softplus(s(x_a))
    """),
)


# ---- 6.2 ---------------------------------------------------------------------------------------------------------


def _inverse_by_two_points(y: Tensor, mask: Tensor, s: Network, t: Network) -> Tensor:
    """Find the straight line that each changed output is in its own input, from two points, then solve."""
    at_0, at_1 = (_entry_by_entry(_part(y, ~mask, torch.tensor(v).double()), mask, s, t) for v in (0.0, 1.0))
    return torch.where(mask, y, (y - at_0) / torch.where(mask, 1.0, at_1 - at_0))


def coupling_inverse(y, mask, s, t):
    y_a, y_b = y[..., mask], y[..., ~mask]
    x = y.clone()
    x[..., ~mask] = (y_b - t(y_a)) * torch.exp(-s(y_a))
    return x


inverse = Exercise(
    number="6.2",
    title="inverse",
    returns=("x",),
    cases=_coupling,
    truth=_inverse_by_two_points,
    answer=coupling_inverse,
    reasoning=r"$y_A$ is $x_A$, so the networks give the very numbers that they gave on the way forward. What was done "
    r"last is undone first: take $t$ away, then divide by $e^{s}$, which is to multiply by $e^{-s}$.",
    hints=(
        r"The networks need $x_A$. Where in y is it?",
        r"Solve $y_B = x_B\, e^{s} + t$ for $x_B$. Nothing has to be solved for s or t: they are just numbers here.",
        r"`(y_b - t(y_a)) * torch.exp(-s(y_a))`, put back where the mask is False.",
    ),
    misconceptions=slips(r"""
        sign of s: You took t away, and then multiplied by exp(s) once more (to divide by exp(-s) is the same). To
            undo the factor, divide by it.
            torch.exp(-s(y_a)) -> torch.exp(s(y_a))
        divided by s: You divided by s. The factor on the way forward was exp(s).
            * torch.exp(-s(y_a)) -> / s(y_a)
        shift undone last: You undid the scale first and the shift second. What was done last has to be undone first.
            (y_b - t(y_a)) * torch.exp(-s(y_a)) -> y_b * torch.exp(-s(y_a)) - t(y_a)
        sign of t: t was added on the way forward, and you added it again.
            y_b - t(y_a) -> y_b + t(y_a)
        t left out: t is missing: it was added on the way forward.
            (y_b - t(y_a)) -> y_b
        scale left out: s is missing: on the way forward x_B was multiplied by exp(s).
            * torch.exp(-s(y_a)) ->
        s and t exchanged: You exchanged s and t: the first is in the exponential, the second was added.
            (y_b - t(y_a)) * torch.exp(-s(y_a)) -> (y_b - s(y_a)) * torch.exp(-t(y_a))
        s of the part that changes: The networks were handed y_B. On the way forward they saw x_A, which is y_A.
            (y_b - t(y_a)) * torch.exp(-s(y_a)) -> (y_b - t(y_b)) * torch.exp(-s(y_b))
            -s(y_a) -> -s(y_b)
            t(y_a) -> t(y_b)
        mask the wrong way round: You changed the dimensions where the mask is True. True means that a dimension
            *passes*.
            y_a, y_b = y[..., mask], y[..., ~mask] -> mask = ~mask\n    y_a, y_b = y[..., mask], y[..., ~mask]
        joined, not put back: The numbers are right, but x has A in front and B behind. Each dimension has to stay in
            its place.
            return x -> return torch.cat([x[..., mask], x[..., ~mask]], -1)
            return x -> return torch.cat([x[..., ~mask], x[..., mask]], -1)
        the first d dimensions: You took the first d dimensions for those that pass. Which ones pass, the mask says.
            y_a, y_b = y[..., mask], y[..., ~mask] ->
            mask = mask.sort(descending=True).values\n    y_a, y_b = y[..., mask], y[..., ~mask]
        forward once more: That is the layer itself, applied once more.
            (y_b - t(y_a)) * torch.exp(-s(y_a)) -> y_b * torch.exp(s(y_a)) + t(y_a)
        nothing where y passes: Where y passes you left zeros. Those numbers have to be in x, as they are.
            y.clone() -> torch.zeros_like(y)
        only y_B returned: That is x_B alone. x has D dimensions, also those that pass.
            return x -> return x[..., ~mask]
        logarithm of s: You took s away in another way than it was used: the factor on the way forward was exp(s), so
            divide by that.
            torch.exp(-s(y_a)) -> (1 - s(y_a))
            * torch.exp(-s(y_a)) -> - s(y_a)
    """),
)


# ---- 6.3 ---------------------------------------------------------------------------------------------------------


def _log_det_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Network]:
    return _coupling(generator, index)[:3]


def _log_det_by_autograd(x: Tensor, mask: Tensor, s: Network) -> Tensor:
    # Any t will do: the determinant does not see it.
    layer = partial(_entry_by_entry, mask=mask, s=s, t=s)
    return log_abs_det_jacobian(layer, x.reshape(-1, len(mask))).reshape(x.shape[:-1])


def coupling_log_det(x, mask, s):
    return s(x[..., mask]).sum(-1)


log_det = Exercise(
    number="6.3",
    title="the log-determinant",
    returns=("log|det J|",),
    cases=_log_det_case,
    truth=_log_det_by_autograd,
    answer=coupling_log_det,
    reasoning=r"The determinant is the product of $D - d$ exponentials, and the logarithm of a product of exponentials "
    r"is the sum of the exponents. `.sum(-1)` adds over the dimensions of one point, and leaves the batch alone.",
    hints=(
        r"`x[..., mask]` is $x_A$. s of it is (..., D - d): for each point, one exponent for each dimension that "
        r"changes.",
        "Add them up, over the last dimension only: `.sum(-1)`.",
    ),
    misconceptions=slips(r"""
        summed over the batch: You summed over the batch. Each point has a log-determinant of its own.
            .sum(-1) -> .sum()
        summed over the first dimension: You summed over the first dimension. The dimensions of a point are the last
            one.
            .sum(-1) -> .sum(0)
        per dimension: These are the logarithms of the diagonal entries, one for each dimension. The log-determinant
            is one number for each point.
            .sum(-1) ->
        exp(s) summed: You summed exp(s). The determinant is a *product* of these, and the logarithm turns each into
            s.
            .sum(-1) -> .exp().sum(-1)
        log of s: You took the logarithm of s. The diagonal entries are exp(s), so their logarithms are s itself.
            .sum(-1) -> .abs().log().sum(-1)
            .sum(-1) -> .log().sum(-1)
        absolute values: You took absolute values of s. exp(s) is positive anyway, and s may well be negative.
            .sum(-1) -> .abs().sum(-1)
            .sum(-1) -> .sum(-1).abs()
        product of s: You multiplied the exponents. A product of exponentials has the *sum* of the exponents.
            .sum(-1) -> .prod(-1)
        no logarithm: That is det J. Its logarithm is asked for.
            .sum(-1) -> .sum(-1).exp()
        sign flipped: The sign is flipped: this is the log-determinant of the inverse.
            return s( -> return -s(
        s of the part that changes: s was handed the dimensions where the mask is False, those that change. It sees
            those that pass.
            x[..., mask] -> x[..., ~mask]
        the first d dimensions: You took the first d dimensions for those that pass. Which ones pass, the mask says.
            x[..., mask] -> x[..., mask.sort(descending=True).values]
            x[..., mask] -> x[..., : mask.sum()]
        ones added: For each dimension that passes you added 1. It does stand in J as a factor 1, and the logarithm of
            1 is 0.
            .sum(-1) -> .sum(-1) + mask.sum()
        mean over the dimensions: You took the mean over the dimensions that change. The log of a product is the sum
            of the logs.
            .sum(-1) -> .mean(-1)
    """),
)


# ---- 6.4 ---------------------------------------------------------------------------------------------------------


def _blocks_case(generator: torch.Generator, index: int) -> tuple[Tensor]:
    return (_mask(generator, 3 + index),)


def _blocks_by_autograd(mask: Tensor) -> Tensor:
    """Compare the Jacobian of a wild layer at some points, and at the same points with x_B pushed."""
    generator, D, passing = torch.Generator().manual_seed(0), len(mask), int(mask.sum())
    s, t = (_network(generator, passing, D - passing) for _ in range(2))
    x = draw(generator, 5, D)
    x[1:3, mask] = x[0, mask]
    J = jacobian(partial(_entry_by_entry, mask=mask, s=s, t=t), x)
    by_x_b = (J[1:3] - J[0]).abs().amax(0) > 1e-9
    table = torch.where(by_x_b, 2, 3)
    table[(J == 1).all(0)] = 1
    table[(J == 0).all(0)] = 0
    return table


def place_blocks(mask):
    D = len(mask)
    table = torch.zeros(D, D, dtype=torch.long)
    for i in range(D):
        if mask[i]:
            table[i, i] = 1
        else:
            table[i, mask] = 2
            table[i, i] = 3
    return table


blocks = Exercise(
    number="6.4",
    title="the blocks of J",
    returns=("table",),
    cases=_blocks_case,
    truth=_blocks_by_autograd,
    answer=place_blocks,
    reasoning=r"Go through J row by row: row $i$ says what output $i$ looks at. If $i$ passes, it looks at itself "
    r"only, with slope 1. If $i$ changes, it looks at itself, with slope $e^{s_i}$, and at every dimension that "
    r"passes. At another dimension that changes it never looks.",
    hints=(
        "Row i is about output i. Take the rows one by one: is `mask[i]` True or False?",
        "If i passes, there is a 1 on the diagonal, and nothing else in the row.",
        "If i changes, its row has a 2 in every column j with `mask[j]`, and a 3 on the diagonal.",
    ),
    misconceptions=slips(r"""
        mask the wrong way round: You took the dimensions where the mask is True for those that change. True means
            that a dimension *passes*.
            D = len(mask) -> mask = ~mask; D = len(mask)
        sorted: The blocks are right for the order 'passed first'. In J the dimensions stay where the mask has them.
            D = len(mask) -> mask = mask.sort(descending=True).values; D = len(mask)
        transposed: Rows and columns are swapped. Row i belongs to output i, and column j to the input that is pushed.
            return table -> return table.T
            table[i, mask] = 2 -> table[mask, i] = 2
        only below the diagonal: You left out what stands above the diagonal. J is triangular as it stands only if the
            dimensions that pass come first.
            return table -> return table.tril()
        the block forgotten: You left out the block that the determinant doesn't see. It is in J all the same.
            table[i, mask] = 2 -> pass
        the changing look at each other: In your table the dimensions that change look at each other. Given those that
            pass, each is on its own.
            table[i, mask] = 2 -> table[i] = 2
        full diagonal blocks: You filled the two diagonal blocks. Both are diagonal: an identity, and a diagonal of
            exponentials.
            table[i, i] = 1 -> table[i, mask] = 1 ;; table[i, i] = 3 -> table[i, ~mask] = 3
        2 and 3 swapped: You swapped 2 and 3: what stands on the diagonal, and what beside it?
            table[i, mask] = 2 -> table[i, mask] = 3 ;; table[i, i] = 3 -> table[i, i] = 2
        1 and 3 swapped: You swapped 1 and 3: a dimension that passes has the slope 1, one that changes has exp(s).
            table[i, i] = 1 -> table[i, i] = 3 ;; table[i, i] = 3 -> table[i, i] = 1
        those that pass look at the others: In your table the dimensions that pass look at those that change. They
            look at themselves only.
            table[i, i] = 1 -> table[i, ~mask] = 2; table[i, i] = 1
        ones all over: You put 1 on the whole diagonal. A dimension that changes has exp(s) there: 3.
            table[i, i] = 3 -> table[i, i] = 1
        the diagonal of the changing forgotten: A dimension that changes looks at itself, too: its slope, exp(s), is
            missing.
            table[i, i] = 3 -> pass
        the identity forgotten: A dimension that passes is its own output: the 1 is missing.
            table[i, i] = 1 -> pass
        the diagonal only: You filled the diagonal alone, with the same number everywhere, or the block alone.
            table[i, mask] = 2 -> pass ;; table[i, i] = 3 -> table[i, i] = 1
    """),
)
