"""Lesson 07, stacks of couplings: masks, the composed log-determinant, the filament, batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.comparing import as_tensors, misfit
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.flows import AffineCoupling, Flow, Planar, alternating_mask

__all__ = ["batch_norm", "composed", "filament", "masks"]


# ---- 7.1 ---------------------------------------------------------------------------------------------------------


def _sizes(generator: torch.Generator, index: int) -> tuple[int, int]:
    """D = 5, 6, 7, ..., so odd and even, and K from 3 to 6."""
    return 5 + index, int(torch.randint(3, 7, (), generator=generator))


def _masks(D: int, K: int) -> Tensor:
    layer, dimension = torch.arange(K)[:, None], torch.arange(D)
    return (layer + dimension) % 2 == 0


def _masks_by_loop(D: int, K: int) -> Tensor:
    row = [dimension in range(0, D, 2) for dimension in range(D)]
    rows = []
    for _ in range(K):
        rows.append(row)
        row = [not passes for passes in row]
    return torch.tensor(rows)


def _judged_masks(came: Any, D: int, K: int) -> str:
    right, name = _masks_by_loop(D, K), ("the table of masks",)
    form = misfit(came, right, name, gradients=False)
    if form:
        return form
    dtype = as_tensors(came)[0].dtype
    if dtype != torch.bool:
        return f"A mask holds True and False, and yours is {dtype}."
    wrong = (as_tensors(came)[0] != right).nonzero().tolist()
    if not wrong:
        return ""
    layer, dimension = wrong[0]
    does, should = ("change", "pass") if right[layer, dimension] else ("pass", "change")
    return (
        f"Layer {layer} {does}{'es' if does == 'pass' else 's'} dimension {dimension}, and should {should} it. "
        f"({right.numel() - len(wrong)} of {right.numel()} entries are right.)"
    )


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


def _first_changes_all(D: int, K: int) -> Tensor:
    table = _masks(D, K)
    table[0] = False
    return table


masks = Exercise(
    number="7.1",
    title="the masks of a stack",
    arguments=("D", "K"),
    returns=("the table of masks",),
    cases=_sizes,
    truth=_masks_by_loop,
    judge=_judged_masks,
    answer=_masks,
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
        Misconception(
            name="all the same",
            message="All your masks are the same. A dimension that the first layer passes is then never changed.",
            answer=lambda D, K: (torch.arange(D) % 2 == 0).repeat(K, 1),
        ),
        Misconception(
            name="True means changes",
            message="Your masks are the opposites of those asked for. True means *passes*, and the first layer passes "
            "0, 2, 4, ...",
            answer=lambda D, K: ~_masks(D, K),
        ),
        Misconception(
            name="numbers for truth values",
            message="The pattern is right, but these are numbers. A mask is boolean: with numbers, x[..., mask] picks "
            "the dimensions 0 and 1 again and again, without an error.",
            answer=lambda D, K: _masks(D, K).long(),
            fits=_are_numbers,
        ),
        Misconception(
            name="one long row",
            message="You alternate along one long row and cut it into layers. For odd D that works; for even D each "
            "layer begins as the one before.",
            answer=lambda D, K: (torch.arange(K * D) % 2 == 0).reshape(K, D),
        ),
        Misconception(
            name="halves",
            message="These are halves, the first dimensions against the last. They alternate, but asked for is every "
            "*other* dimension.",
            answer=lambda D, K: torch.stack([(torch.arange(D) < D // 2) != (k % 2 == 1) for k in range(K)]),
            fits=_are_halves,
        ),
        Misconception(
            name="the first layer changes everything",
            message="Your first mask passes nothing. Then s and t have nothing to look at, and the layer is no "
            "coupling.",
            answer=_first_changes_all,
        ),
        Misconception(
            name="not opposites",
            message="There are two layers in a row whose masks are not opposites: some dimension passes in both, or "
            "changes in both.",
            answer=lambda D, K: torch.rand(K, D) < 0.5,
            fits=_not_opposites,
        ),
    ),
)


# ---- 7.2 ---------------------------------------------------------------------------------------------------------


def _layers(generator: torch.Generator, index: int) -> tuple[list[Flow], Tensor]:
    """Couplings with opposite masks and a planar layer among them, far from initial values, and z (B, D), D = 3, ...

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
    return layers, normal(generator, 4, D)


def _composed(layers: Sequence[Flow], z: Tensor) -> Tensor:
    total = 0.0
    for layer in layers:
        z, ladj = layer.call_and_ladj(z)
        total = total + ladj
    return total


def _composed_by_autograd(layers: Sequence[Flow], z: Tensor) -> Tensor:
    def whole(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return log_abs_det_jacobian(whole, z)


def _at_outputs(layers: Sequence[Flow], z: Tensor) -> Tensor:
    total = 0.0
    for layer in layers:
        z = layer(z)
        total = total + layer.call_and_ladj(z)[1]
    return total


def _multiplied(layers: Sequence[Flow], z: Tensor) -> Tensor:
    total = 1.0
    for layer in layers:
        z, ladj = layer.call_and_ladj(z)
        total = total * ladj
    return total


def _last_only(layers: Sequence[Flow], z: Tensor) -> Tensor:
    for layer in layers:
        z, ladj = layer.call_and_ladj(z)
    return ladj


composed = Exercise(
    number="7.2",
    title="the log-determinant of a stack",
    arguments=("layers", "z"),
    returns=("log|det J|",),
    cases=_layers,
    tries=4,
    truth=_composed_by_autograd,
    answer=_composed,
    reasoning=r"The Jacobian of the stack is the product $J_K \cdots J_1$, each factor at the input of *its own* "
    r"layer. Determinants multiply, so logarithms add. `call_and_ladj` gives the output, which is the next layer's "
    "input, together with the log-det at the input: one loop does it.",
    hints=(
        "Each layer gives two things at once: `y, ladj = layer.call_and_ladj(x)`.",
        "The output of one layer is the input of the next: overwrite the variable in a loop.",
        "Begin with `total = 0.0`, and in each round add `ladj` to it, shape (B,).",
    ),
    misconceptions=(
        Misconception(
            name="all at the first input",
            message="Every layer got z itself. Each factor of the product stands at the input of its *own* layer.",
            answer=lambda layers, z: sum(layer.call_and_ladj(z)[1] for layer in layers),
        ),
        Misconception(
            name="at the outputs",
            message="You asked each layer for its log-det at its output. A coupling forgives that; the planar layer in "
            "this stack does not.",
            answer=_at_outputs,
        ),
        Misconception(
            name="the last layer only",
            message="That is the log-det of the last layer alone: in each round the number is overwritten.",
            answer=_last_only,
        ),
        Misconception(
            name="the first layer only",
            message="That is the log-det of the first layer alone. Does your loop end too early, with a return inside?",
            answer=lambda layers, z: layers[0].call_and_ladj(z)[1],
        ),
        Misconception(
            name="multiplied",
            message="You multiplied the log-dets. Determinants multiply; what do their logarithms do?",
            answer=_multiplied,
        ),
        Misconception(
            name="summed over the batch",
            message="You summed over the batch, too. Each point has a log-determinant of its own.",
            answer=lambda layers, z: _composed(layers, z).sum(),
        ),
        Misconception(
            name="in reverse order",
            message="You went through the layers from the last to the first. The first layer is the one that z meets.",
            answer=lambda layers, z: _composed(layers[::-1], z),
        ),
    ),
)


# ---- 7.3 ---------------------------------------------------------------------------------------------------------


def _density(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float, Tensor, float]:
    """log q (N,) on a grid, points (N, 2), the area of a cell, centres (M, 2) and a radius; q is two or three blobs and
    a broad one below them."""
    across, up = 9.0 + 2 * torch.rand(2, generator=generator, dtype=torch.float64)
    x1, x2 = across * torch.linspace(-1, 1, 31).double(), up * torch.linspace(-1, 1, 28).double()
    points, cell = torch.cartesian_prod(x1, x2), ((x1[1] - x1[0]) * (x2[1] - x2[0])).item()
    turn = 6.3 * torch.rand((), generator=generator, dtype=torch.float64)
    modes = 2 + index % 2
    angles = turn + 2 * math.pi / modes * torch.arange(modes, dtype=torch.float64)
    centres = 3.0 * torch.stack([angles.cos(), angles.sin()], dim=-1)
    blobs = (-0.5 * torch.cdist(points, centres) ** 2).exp().mean(1) / (2 * math.pi)
    broad = (-0.5 * (points**2).sum(-1) / 6.0).exp() / (12 * math.pi)
    radius = 1.4 + 0.5 * torch.rand((), generator=generator).item()
    return (0.7 * blobs + 0.3 * broad).log(), points, cell, centres, radius


def _outside(log_q: Tensor, points: Tensor, cell: float, centres: Tensor, radius: float) -> Tensor:
    nearest = torch.cdist(points, centres).min(dim=1).values
    return log_q[nearest > radius].exp().sum() * cell


def _outside_by_loop(log_q: Tensor, points: Tensor, cell: float, centres: Tensor, radius: float) -> Tensor:
    modes, total = centres.tolist(), 0.0
    for value, point in zip(log_q.tolist(), points.tolist(), strict=True):
        if all(math.dist(point, mode) > radius for mode in modes):
            total += math.exp(value) * cell
    return torch.tensor(total, dtype=torch.float64)


def _kept(points: Tensor, centres: Tensor, radius: float) -> Tensor:
    return (torch.cdist(points, centres) > radius).all(dim=1)


filament = Exercise(
    number="7.3",
    title="measure the filament",
    arguments=("log_q", "points", "cell", "centres", "radius"),
    returns=("the mass",),
    cases=_density,
    truth=_outside_by_loop,
    answer=_outside,
    reasoning="Density times area is mass. A point lies outside all discs if even the *nearest* centre is further "
    "away than the radius. So choose these points, go from the logarithm to the density, add up, and multiply by the "
    "area of a cell.",
    hints=(
        "`torch.cdist(points, centres)` is the table (N, M) of all distances.",
        "A point is outside all discs if the smallest number of its row is above the radius.",
        "The mass is the sum of `log_q.exp()` over these points, times `cell`.",
    ),
    misconceptions=(
        Misconception(
            name="cell area forgotten",
            message="You added up densities. A density becomes a mass when it is multiplied by the area of its cell.",
            answer=lambda log_q, points, cell, centres, radius: log_q[_kept(points, centres, radius)].exp().sum(),
        ),
        Misconception(
            name="mass inside",
            message="That is the mass *inside* the discs. The filament is what lies outside.",
            answer=lambda log_q, points, cell, centres, radius: (
                log_q[~_kept(points, centres, radius)].exp().sum() * cell
            ),
        ),
        Misconception(
            name="the logarithm added up",
            message="You added up log q. Only densities add up to a mass: take the exponential first.",
            answer=lambda log_q, points, cell, centres, radius: log_q[_kept(points, centres, radius)].sum() * cell,
        ),
        Misconception(
            name="mean in place of the sum",
            message="You took the mean over the points. A mass is a *sum* over cells: the more cells, the more mass.",
            answer=lambda log_q, points, cell, centres, radius: (
                log_q[_kept(points, centres, radius)].exp().mean() * cell
            ),
        ),
        Misconception(
            name="outside one of the discs",
            message="You kept the points that are outside of *some* disc. Within one disc you are outside of all the "
            "others, so that drops nothing.",
            answer=lambda log_q, points, cell, centres, radius: (
                log_q[(torch.cdist(points, centres) > radius).any(dim=1)].exp().sum() * cell
            ),
        ),
        Misconception(
            name="disc by disc",
            message="You measured what is outside of each disc, and added that up. A point counts once, and only if it "
            "is outside of them all.",
            answer=lambda log_q, points, cell, centres, radius: sum(
                _outside(log_q, points, cell, centre[None], radius) for centre in centres
            ),
        ),
        Misconception(
            name="squared distance",
            message="You compared the squared distance with the radius itself. Square both, or neither.",
            answer=lambda log_q, points, cell, centres, radius: _outside(log_q, points, cell, centres, radius**0.5),
        ),
    ),
)


# ---- 7.4 ---------------------------------------------------------------------------------------------------------


def _normalised(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """x (B, D), gamma (D,) of both signs, var (D,) small and large, and an eps that can be seen beside them.

    B is D + 2: were it D, an answer for each dimension would have the right shape.
    """
    D = 3 + index
    gamma = torch.rand(D, generator=generator, dtype=torch.float64) + 0.4
    gamma[::2] *= -1.3
    var = normal(generator, D).exp() * 0.3
    return 2 * normal(generator, D + 2, D), gamma, var, 0.02 + 0.1 * torch.rand((), generator=generator).item()


def _batch_norm_ladj(x: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Tensor:
    one = (torch.log(torch.abs(gamma)) - 0.5 * torch.log(var + eps)).sum()
    return one.expand(len(x))


def _batch_norm_by_autograd(x: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Tensor:
    def layer(x: Tensor) -> Tensor:
        return torch.nn.functional.batch_norm(x, torch.ones_like(var), var, gamma, training=False, eps=eps)

    return log_abs_det_jacobian(layer, x)


batch_norm = Exercise(
    number="7.4",
    title="the log-det of batch normalisation",
    arguments=("x", "gamma", "var", "eps"),
    returns=("log|det J|",),
    cases=_normalised,
    truth=_batch_norm_by_autograd,
    answer=_batch_norm_ladj,
    reasoning=r"In evaluation mode mean and variance are constants. So $J$ is diagonal, with $\gamma_i / "
    r"\sqrt{\mathrm{var}_i + \epsilon}$ on the diagonal: the logarithm of its absolute value is $\log|\gamma_i| - "
    r"\frac12 \log(\mathrm{var}_i + \epsilon)$. It is the same at every point, and still there is one for every point.",
    hints=(
        r"What is $\partial y_i / \partial x_i$? And $\partial y_i / \partial x_j$ for $j \neq i$?",
        r"$J$ is diagonal. Add up $\log|\gamma_i / \sqrt{\mathrm{var}_i + \epsilon}|$ over the dimensions.",
        "That is one number. `.expand(len(x))` repeats it for every point.",
    ),
    misconceptions=(
        Misconception(
            name="variance for standard deviation",
            message="You divided by the variance. The layer divides by its square root.",
            answer=lambda x, gamma, var, eps: (gamma.abs().log() - (var + eps).log()).sum().expand(len(x)),
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-det of the way back, from y to x.",
            answer=lambda x, gamma, var, eps: -_batch_norm_ladj(x, gamma, var, eps),
        ),
        Misconception(
            name="epsilon left out",
            message="Where is epsilon? It is added to the variance in the layer, so it is in its slope.",
            answer=lambda x, gamma, var, eps: _batch_norm_ladj(x, gamma, var, 0.0),
        ),
        Misconception(
            name="gamma left out",
            message="You left out gamma, which stretches as much as the division squeezes. (beta only shifts.)",
            answer=lambda x, gamma, var, eps: (-0.5 * (var + eps).log()).sum().expand(len(x)),
        ),
        Misconception(
            name="no absolute value",
            message="gamma may be negative, and you took its logarithm as it is. A flip changes no area: absolute "
            "value first.",
            answer=lambda x, gamma, var, eps: (gamma.log() - 0.5 * (var + eps).log()).sum().expand(len(x)),
        ),
        Misconception(
            name="statistics of the batch",
            message="You took the variance of x, as in training mode. In evaluation mode `var` is used, whatever the "
            "batch is.",
            answer=lambda x, gamma, var, eps: _batch_norm_ladj(x, gamma, x.var(0, unbiased=False), eps),
        ),
        Misconception(
            name="multiplied by the batch size",
            message="You summed over the batch, too, and got B times too much. Each point has its own log-det.",
            answer=lambda x, gamma, var, eps: _batch_norm_ladj(x, gamma, var, eps).sum(),
        ),
    ),
)
