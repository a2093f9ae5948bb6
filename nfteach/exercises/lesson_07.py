"""Lesson 07, stacking couplings: masks, the composed log-determinant, the filament, batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.mistakes import slips
from nfteach.flows import AffineCoupling, Flow, Planar, alternating_mask

__all__ = ["batch_norm", "composed", "filament", "masks"]


# ---- 7.1 ---------------------------------------------------------------------------------------------------------


def _sizes(generator: torch.Generator, index: int) -> tuple[int, int]:
    """Draw D = 5, 6, 7, ..., so odd and even, and K from 3 to 6."""
    return 5 + index, int(torch.randint(3, 7, (), generator=generator))


def _masks_by_loop(D: int, K: int) -> Tensor:
    row = [dimension in range(0, D, 2) for dimension in range(D)]
    rows = []
    for _ in range(K):
        rows.append(row)
        row = [not passes for passes in row]
    return torch.tensor(rows)


def _boolean(came: Any, D: int, K: int) -> bool:
    return isinstance(came, Tensor) and came.dtype == torch.bool and came.shape == (K, D)


def _are_numbers(came: Any, D: int, K: int) -> bool:
    number = isinstance(came, Tensor) and came.dtype != torch.bool and came.shape == (K, D)
    return number and torch.equal(came != 0, _masks_by_loop(D, K))


def _are_halves(came: Any, D: int, K: int) -> bool:
    if not _boolean(came, D, K):
        return False
    split = [torch.arange(D) < half for half in (D // 2, (D + 1) // 2)]
    return any(torch.equal(came[0], row) or torch.equal(came[0], ~row) for row in split) and torch.equal(
        came[1:], ~came[:-1]
    )


def _not_opposites(came: Any, D: int, K: int) -> bool:
    return _boolean(came, D, K) and not torch.equal(came[1:], ~came[:-1])


def make_masks(D, K):
    layer, dimension = torch.arange(K)[:, None], torch.arange(D)
    return (layer + dimension) % 2 == 0


masks = Exercise(
    number="7.1",
    title="the masks of a stack",
    returns=("the table of masks",),
    cases=_sizes,
    truth=_masks_by_loop,
    answer=make_masks,
    reasoning="Number layers and dimensions from 0. Layer 0 passes the even dimensions, layer 1 the odd ones, so layer "
    "$k$ passes dimension $i$ if $k + i$ is even. A column of layers plus a row of dimensions gives all $K \\times D$ "
    "sums at once, whatever $D$ is.",
    hints=(
        "Begin with one mask: `torch.arange(D) % 2 == 0` passes the dimensions 0, 2, 4, ...",
        "The next is its opposite, `~mask`, then the first again. It depends on whether the number of the layer is "
        "even.",
        "Or all at once: layer $k$ passes dimension $i$ if $k + i$ is even. `torch.arange(K)[:, None]` is a column.",
    ),
    misconceptions=(
        *slips(r"""
        all the same: All your masks are the same. A dimension that the first layer passes is then never changed.
            (layer + dimension) % 2 -> (0 * layer + dimension) % 2
        True means changes: Your masks are the opposites of those asked for. True means *passes*, and the first layer
            passes 0, 2, 4, ...
            % 2 == 0 -> % 2 == 1
    """),
        Misconception(
            name="numbers for truth values",
            message="The pattern is right, but these are numbers. A mask is boolean: with numbers, x[..., mask] picks "
            "the dimensions 0 and 1 again and again, without an error.",
            edits=("return (layer + dimension) % 2 == 0 -> return 1 - (layer + dimension) % 2",),
            fits=_are_numbers,
        ),
        *slips(r"""
        one long row: You alternate along one long row and cut it into layers. For odd D that works; for even D each
            layer begins as the one before.
            (layer + dimension) % 2 -> (layer * D + dimension) % 2
        the layers alternate, not the dimensions: A layer of yours passes everything or changes everything. In each
            layer every other dimension passes.
            (layer + dimension) -> (layer + 0 * dimension)
    """),
        Misconception(
            name="halves",
            message="These are halves, the first dimensions against the last. They alternate, but asked for is every "
            "*other* dimension.",
            edits=("(layer + dimension) % 2 == 0 -> (layer % 2 == 0) == (dimension < D // 2)",),
            fits=_are_halves,
        ),
        *slips(r"""
        the first layer changes everything: Your first mask passes nothing. Then s and t have nothing to look at, and
            the layer is no coupling.
            return (layer + dimension) % 2 == 0 -> return ((layer + dimension) % 2 == 0) & (layer > 0)
        transposed: Rows and columns are swapped: a row for each layer, (K, D).
            return (layer + dimension) % 2 == 0 -> return ((layer + dimension) % 2 == 0).T
        wider and wider: You multiplied the number of the layer by that of the dimension. It is their *sum* that is
            even or odd.
            layer + dimension -> layer * dimension
        every third: Every *other* dimension passes: the remainder by 2 decides, and not by another number.
            % 2 -> % 3
            % 2 -> % 4
        pairs: You change sides after two layers, or after two dimensions. Each layer is the opposite of the one
            before.
            (layer + dimension) -> (layer // 2 + dimension)
            (layer + dimension) -> (layer + dimension // 2)
    """),
        Misconception(
            name="not opposites",
            message="There are two layers in a row whose masks are not opposites: some dimension passes in both, or "
            "changes in both.",
            edits=("(layer + dimension) % 2 == 0 -> torch.rand(K, D) < 0.5",),
            fits=_not_opposites,
        ),
    ),
)


# ---- 7.2 ---------------------------------------------------------------------------------------------------------


def _layers(generator: torch.Generator, index: int) -> tuple[list[Flow], Tensor]:
    """Draw couplings with opposite masks and a planar layer among them, away from initial values, and z (B, D).

    The planar layer is there since a coupling's log-det is the same at its input and at its output.
    """
    D = 3 + index % 3
    couplings = [AffineCoupling(alternating_mask(D, flip=k % 2 == 1), hidden=(6,)) for k in range(2 + index % 2)]
    layers = [couplings[0], Planar(D), *couplings[1:]]
    for layer in layers:
        layer.double().requires_grad_(False)
        for parameter in layer.parameters():
            parameter.copy_(0.8 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    layers[1].w.mul_(2.0)
    return layers, draw(generator, 4, D)


def _composed_by_autograd(layers: Sequence[Flow], z: Tensor) -> Tensor:
    def whole(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return log_abs_det_jacobian(whole, z)


def stack_log_det(layers, z):
    total = 0.0
    for layer in layers:
        z, ladj = layer.call_and_ladj(z)
        total = total + ladj
    return total


composed = Exercise(
    number="7.2",
    title="the log-determinant of a stack",
    returns=("log|det J|",),
    cases=_layers,
    tries=4,
    truth=_composed_by_autograd,
    answer=stack_log_det,
    reasoning=r"The Jacobian of the stack is the product $J_K \cdots J_1$, each factor at the input of *its own* "
    r"layer. Determinants multiply, so logarithms add. `call_and_ladj` gives the output, which is the next layer's "
    "input, together with the log-det at the input: one loop does it.",
    hints=(
        "Each layer gives two things at once: `y, ladj = layer.call_and_ladj(x)`.",
        "The output of one layer is the input of the next: overwrite the variable in a loop.",
        "Begin with `total = 0.0`, and in each round add `ladj` to it, shape (B,).",
    ),
    misconceptions=slips(r"""
        all at the first input: Every layer got z itself. Each factor of the product stands at the input of its *own*
            layer.
            z, ladj = layer.call_and_ladj(z) -> ladj = layer.call_and_ladj(z)[1]
        at the outputs: You asked each layer for its log-det at its output. A coupling forgives that; the planar layer
            in this stack does not.
            z, ladj = layer.call_and_ladj(z) -> z = layer(z); ladj = layer.call_and_ladj(z)[1]
        the last layer only: That is the log-det of the last layer alone: in each round the number is overwritten.
            total = total + ladj -> total = ladj
        the first layer only: That is the log-det of the first layer alone. Does your loop end too early, with a
            return inside?
            return total -> \n        return total
        multiplied: You multiplied the log-dets. Determinants multiply; what do their logarithms do?
            total = 0.0 -> total = 1.0 ;; total + ladj -> total * ladj
        the last layer left out: The last layer is left out.
            in layers -> in layers[:-1]
        the first layer left out: The first layer is left out.
            in layers -> in layers[1:]
        sign flipped: The sign is flipped: this is the log-determinant of the way back.
            return total -> return -total
        exponential: That is |det J|. Its logarithm is asked for.
            return total -> return total.exp()
        averaged: You divided by the number of layers. The log-determinants add up, all of them.
            return total -> return total / len(layers)
        backwards through the layers: You went back through each layer. Its own direction, z to x, is `call_and_ladj`.
            call_and_ladj -> inverse_and_ladj
        summed over the batch: You summed over the batch, too. Each point has a log-determinant of its own.
            return total -> return total.sum()
        in reverse order: You went through the layers from the last to the first. The first layer is the one that z
            meets.
            in layers -> in reversed(layers)
    """),
)


# ---- 7.3 ---------------------------------------------------------------------------------------------------------


def _density(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float, Tensor, float]:
    """Draw log q (N,) on a grid, points (N, 2), the area of a cell, centres (M, 2) and a radius.

    q is two or three blobs and a broad one below them, partly beyond the grid. Two of the discs overlap.
    """
    across, up = 4.6 + torch.rand(2, generator=generator, dtype=torch.float64)
    x1, x2 = across * torch.linspace(-1, 1, 31).double(), up * torch.linspace(-1, 1, 28).double()
    points, cell = torch.cartesian_prod(x1, x2), ((x1[1] - x1[0]) * (x2[1] - x2[0])).item()
    turn = 6.3 * torch.rand((), generator=generator, dtype=torch.float64)
    modes = 2 + index % 2
    angles = turn + 2 * math.pi / modes * torch.arange(modes, dtype=torch.float64)
    centres = 3.0 * torch.stack([angles.cos(), angles.sin()], dim=-1)
    blobs = (-0.5 * torch.cdist(points, centres) ** 2).exp().mean(1) / (2 * math.pi)
    broad = (-0.5 * (points**2).sum(-1) / 6.0).exp() / (12 * math.pi)
    radius = 1.4 + 0.5 * torch.rand((), generator=generator).item()
    return (0.7 * blobs + 0.3 * broad).log(), points, cell, torch.cat([centres, 0.6 * centres[:1]]), radius


def _outside_by_loop(log_q: Tensor, points: Tensor, cell: float, centres: Tensor, radius: float) -> Tensor:
    modes, total = centres.tolist(), 0.0
    for value, point in zip(log_q.tolist(), points.tolist(), strict=True):
        if all(math.dist(point, mode) > radius for mode in modes):
            total += math.exp(value) * cell
    return torch.tensor(total, dtype=torch.float64)


def mass_outside(log_q, points, cell, centres, radius):
    nearest = torch.cdist(points, centres).min(dim=1).values
    return log_q[nearest > radius].exp().sum() * cell


filament = Exercise(
    number="7.3",
    title="measure the filament",
    returns=("the mass",),
    cases=_density,
    truth=_outside_by_loop,
    answer=mass_outside,
    reasoning="Density times area is mass. A point lies outside all discs if even the *nearest* centre is further "
    "away than the radius. So choose these points, go from the logarithm to the density, add up, and multiply by the "
    "area of a cell.",
    hints=(
        "`torch.cdist(points, centres)` is the table (N, M) of all distances.",
        "A point is outside all discs if the smallest number of its row is above the radius.",
        "The mass is the sum of `log_q.exp()` over these points, times `cell`.",
    ),
    misconceptions=slips(r"""
        cell area forgotten: You added up densities. A density becomes a mass when it is multiplied by the area of its
            cell.
            * cell ->
        mass inside: That is the mass *inside* the discs. The filament is what lies outside.
            nearest > radius -> nearest <= radius
        the logarithm added up: You added up log q. Only densities add up to a mass: take the exponential first.
            .exp().sum() -> .sum()
        exponential of the sum: You took the exponential of a sum of logarithms: a product of densities. Take
            exponentials first, then add up.
            .exp().sum() -> .sum().exp()
        mean in place of the sum: You took the mean over the points. A mass is a *sum* over cells: the more cells, the
            more mass.
            .exp().sum() * cell -> .exp().mean() * cell
            .exp().sum() * cell -> .exp().mean()
        a share: That is the share of the points, or of the mass, and no mass: do not divide.
            .exp().sum() * cell -> .exp().sum() / log_q.exp().sum()
            log_q[nearest > radius].exp().sum() * cell -> (nearest > radius).double().mean()
        one minus the mass inside: You took the mass inside from 1. The grid does not hold all of q, so this counts
            what lies beyond it. Add up what is outside the discs.
            return log_q[nearest > radius].exp().sum() * cell ->
            return 1 - log_q[nearest <= radius].exp().sum() * cell
        area, not mass: That is the area outside the discs. Each cell weighs as much as the density in it.
            log_q[nearest > radius].exp().sum() -> (nearest > radius).sum()
        outside one of the discs: You kept all points, or those that are outside of *some* disc. Within one disc you are
            outside of the others, so that drops nothing.
            .min(dim=1) -> .max(dim=1)
            log_q[nearest > radius] -> log_q
        overlaps counted twice: You took away each disc from the whole. Where two discs overlap, that takes the same
            mass away twice.
            return log_q[nearest > radius].exp().sum() * cell ->
            q = log_q.exp() * cell; return q.sum() - sum(q[torch.cdist(points, c[None])[:, 0] <= radius].sum()
            for c in centres)
        disc by disc: You measured what is outside of each disc, and added that up. A point counts once, and only if
            it is outside of them all.
            return log_q[nearest > radius].exp().sum() * cell ->
            return cell * sum(log_q[torch.cdist(points, c[None])[:, 0] > radius].exp().sum() for c in centres)
        the first disc only: You looked at one of the discs only. The filament is outside of all.
            torch.cdist(points, centres) -> torch.cdist(points, centres[:1])
            torch.cdist(points, centres) -> torch.cdist(points, centres[-1:])
        distance to the mean of the centres: You measured from the middle of all centres, or took the mean of the
            distances. The *nearest* centre decides.
            torch.cdist(points, centres) -> torch.cdist(points, centres.mean(0, keepdim=True))
        distance from the origin: You measured from the origin. The discs have centres of their own.
            torch.cdist(points, centres).min(dim=1).values -> points.norm(dim=1)
        squared distance: You compared the squared distance with the radius itself. Square both, or neither.
            nearest > radius -> nearest**2 > radius
            nearest > radius -> nearest > radius**2
        diameter: You took the radius for a diameter, or the other way round.
            nearest > radius -> nearest > radius / 2
            nearest > radius -> nearest > 2 * radius
        square in place of the disc: Your discs are squares, or diamonds: the distance is the root of the sum of
            squares.
            torch.cdist(points, centres) -> torch.cdist(points, centres, p=1.0)
            torch.cdist(points, centres) -> torch.cdist(points, centres, p=float("inf"))
        the logarithm of the mass: That is the logarithm of the mass.
            return log_q[nearest > radius].exp().sum() * cell ->
            return (log_q[nearest > radius].exp().sum() * cell).log()
    """),
)


# ---- 7.4 ---------------------------------------------------------------------------------------------------------


def _normalised(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw x (B, D), gamma (D,) of both signs, var (D,) small and large, and an eps that can be seen next to them.

    B is D + 2: were it D, an answer for each dimension would have the right shape.
    """
    D = 3 + index
    gamma = torch.rand(D, generator=generator, dtype=torch.float64) + 0.4
    gamma[::2] *= -1.3
    var = draw(generator, D).exp() * 0.3
    return 2 * draw(generator, D + 2, D), gamma, var, 0.02 + 0.1 * torch.rand((), generator=generator).item()


def _batch_norm_by_autograd(x: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Tensor:
    def layer(x: Tensor) -> Tensor:
        return torch.nn.functional.batch_norm(x, torch.ones_like(var), var, gamma, training=False, eps=eps)

    return log_abs_det_jacobian(layer, x)


def batch_norm_log_det(x, gamma, var, eps):
    one = (torch.log(torch.abs(gamma)) - 0.5 * torch.log(var + eps)).sum()
    return one.expand(len(x))


batch_norm = Exercise(
    number="7.4",
    title="the log-det of batch normalisation",
    returns=("log|det J|",),
    cases=_normalised,
    truth=_batch_norm_by_autograd,
    answer=batch_norm_log_det,
    reasoning=r"In evaluation mode mean and variance are constants. So $J$ is diagonal, with $\gamma_i / "
    r"\sqrt{\mathrm{var}_i + \epsilon}$ on the diagonal: the logarithm of its absolute value is $\log|\gamma_i| - "
    r"\frac12 \log(\mathrm{var}_i + \epsilon)$. It is the same at every point, and still there is one for every point.",
    hints=(
        r"What is $\partial y_i / \partial x_i$? And $\partial y_i / \partial x_j$ for $j \neq i$?",
        r"$J$ is diagonal. Add up $\log|\gamma_i / \sqrt{\mathrm{var}_i + \epsilon}|$ over the dimensions.",
        "That is one number. `.expand(len(x))` repeats it for every point.",
    ),
    misconceptions=slips(r"""
        variance for standard deviation: You divided by the variance. The layer divides by its square root.
            - 0.5 * torch -> - torch
        sign flipped: The sign is flipped: this is the log-det of the way back, from y to x.
            return one -> return -one
        epsilon left out: Where is epsilon? It is added to the variance in the layer, so it is in its slope.
            var + eps -> var
        epsilon added to the deviation: You added epsilon to the standard deviation. It is added to the variance,
            under the root.
            0.5 * torch.log(var + eps) -> torch.log(var.sqrt() + eps)
        gamma left out: You left out gamma, which stretches as much as the division squeezes. (beta only shifts.)
            torch.log(torch.abs(gamma)) - 0.5 -> -0.5
        gamma alone: You left out the division by the standard deviation. It squeezes as much as gamma stretches.
            - 0.5 * torch.log(var + eps)) -> )
        gamma squared: You counted gamma twice.
            torch.log(torch.abs(gamma)) - 0.5 -> 2 * torch.log(torch.abs(gamma)) - 0.5
        variance added: You added the logarithm of the variance. The layer *divides* by its root.
            - 0.5 * torch -> + 0.5 * torch
        no absolute value: gamma may be negative, and you took its logarithm as it is. A flip changes no area:
            absolute value first.
            torch.abs(gamma) -> gamma
        gamma without its logarithm: You added gamma itself. Its logarithm, of the absolute value, is added.
            torch.log(torch.abs(gamma)) -> torch.abs(gamma)
            torch.log(torch.abs(gamma)) -> gamma
        statistics of the batch: You took the variance of x, as in training mode. In evaluation mode `var` is used,
            whatever the batch is.
            var + eps -> x.var(0, unbiased=False) + eps
            var + eps -> x.var(0) + eps
        one number for the batch: That is one number. It is the same for every point, and still each point has its
            own: (B,).
            .expand(len(x)) ->
        per dimension: These are the logarithms of the diagonal, one for each dimension. A point's log-determinant is
            their sum.
            .sum() -> ;; one.expand(len(x)) -> one
            .sum() -> ;; one.expand(len(x)) -> one.expand(len(x), -1)
        mean over the dimensions: You took the mean over the dimensions. The logarithm of a product is the *sum* of
            the logarithms.
            .sum() -> .mean()
        multiplied by the batch size: You summed over the batch, too, and got B times too much. Each point has its own
            log-det.
            return one.expand(len(x)) -> return one * len(x)
            return one.expand(len(x)) -> return one.expand(len(x)) * len(x)
        no logarithm: That is |det J|. Its logarithm is asked for.
            return one -> return one.exp()
    """),
)
