"""Lesson 05, planar flows as posteriors: the free energy, modes, both divergences, the mean-field optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.exercises.comparing import difference, misfit, same
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.flows import Planar, Stack

__all__ = ["both_divergences", "free_energy", "mean_field", "modes"]

LogDensity = Callable[[Tensor], Tensor]


# ---- 5.1 ---------------------------------------------------------------------------------------------------------


def _gaussian(mean: Tensor, scale: Tensor, constant: float) -> LogDensity:
    """log N(x; mean, diag(scale^2)) + constant, for x (B, D)."""

    def log_density(x: Tensor) -> Tensor:
        a = (x - mean) / scale
        return (-0.5 * a**2 - scale.log()).sum(-1) - 0.5 * x.shape[-1] * math.log(2 * math.pi) + constant

    return log_density


def _inference(generator: torch.Generator, index: int) -> tuple[Stack, Tensor, LogDensity, LogDensity]:
    """A stack in D = 3, 4, ... dimensions, z (B, D), a base that is not standard, a target that lacks its factor."""
    D = 3 + index
    flow = Stack(*(Planar(D) for _ in range(2))).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.9 * normal(generator, parameter.numel()).view_as(parameter))
    mean, scale = normal(generator, D), 0.5 + torch.rand(D, generator=generator, dtype=torch.float64)
    base = _gaussian(mean, scale, 0.0)
    one = _gaussian(normal(generator, D), 1 + scale.flip(0), 1.5)
    other = _gaussian(normal(generator, D), 0.7 + scale, 2.5)

    def log_target(x: Tensor) -> Tensor:
        return torch.logaddexp(one(x), other(x))

    return flow, mean + scale * normal(generator, 7, D), base, log_target


def _free_energy(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
    x, ladj = flow.call_and_ladj(z)
    log_q = log_base(z) - ladj
    return (log_q - log_target(x)).mean()


def _by_differences(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
    """The same, with the log-determinants of Jacobians that are made of central differences."""
    h, D = 1e-5, z.shape[-1]
    steps = torch.cat([h * torch.eye(D), -h * torch.eye(D)]).to(z)
    forward, backward = flow(z + steps[:, None]).split(D)
    volumes = torch.linalg.slogdet(((forward - backward) / (2 * h)).permute(1, 2, 0)).logabsdet
    return sum(log_base(z) - volumes - log_target(flow(z))) / len(z)


def _gradient(value: Tensor, flow: Stack) -> Tensor:
    """With respect to all parameters of the flow, in one row."""
    parameters = list(flow.parameters())
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(found, parameters, strict=True)]
    )


def _energy_judged(came: Any, flow: Stack, *rest: Any) -> str:
    truth = _by_differences(flow, *rest)
    wrong = misfit(came, truth, ("F",), gradients=True) or difference(came, truth, ("F",), 1e-6)
    if wrong or same(_gradient(came, flow), _gradient(truth, flow), 1e-6):
        return wrong
    return "F is right, but its gradient with respect to the flow's parameters is not: something in between is cut off."


def _detached(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
    x, ladj = flow.call_and_ladj(z)
    return (log_base(z) - ladj - log_target(x.detach())).mean()


def _is_detached(came: Any, flow: Stack, *rest: Any) -> bool:
    mistaken = _detached(flow, *rest)
    if not isinstance(came, Tensor) or not came.requires_grad or not same(came, mistaken, 1e-6):
        return False
    return same(_gradient(came, flow), _gradient(mistaken, flow), 1e-6)


def _weights_first(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
    x, ladj = flow.call_and_ladj(z)
    return math.log(len(z)) - torch.logsumexp(log_target(x) - log_base(z) + ladj, 0)


def _mistaken_log_q(log_q: Callable[[Tensor, Tensor, Tensor, LogDensity], Tensor]) -> Callable[..., Tensor]:
    """The free energy with another log q, made from x, z, ladj and log_base."""

    def answer(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
        x, ladj = flow.call_and_ladj(z)
        return (log_q(x, z, ladj, log_base) - log_target(x)).mean()

    return answer


free_energy = Exercise(
    number="5.1",
    title="the free energy",
    arguments=("flow", "z", "log_base", "log_target"),
    returns=("F",),
    cases=_inference,
    truth=_by_differences,
    judge=_energy_judged,
    answer=_free_energy,
    gradients=True,
    tries=3,
    reasoning=r"One pass through the flow gives $x$ and $\log|\det J|$ at each $z$. The change of variables makes "
    r"$\log q(x) = \log p(z) - \log|\det J|$ of them: no inverse. What is averaged is $\log q(x) - \log\tilde p(x)$. "
    r"Nothing is detached: the gradient reaches the parameters through the log-determinant *and* through $x$.",
    hints=(
        r"`x, ladj = flow.call_and_ladj(z)` gives the samples (B, D) and their log-determinants (B,).",
        r"$\log q(x)$ is known for these $x$, because you know which $z$ they came from: equation (4).",
        r"Then the mean of $\log q(x) - \log\tilde p(x)$ over the batch, one number.",
    ),
    misconceptions=(
        Misconception(
            name="sign of the log-det",
            message="The sign of the log-determinant is flipped: where the flow spreads the samples out, q is *lower*.",
            answer=_mistaken_log_q(lambda x, z, ladj, log_base: log_base(z) + ladj),
        ),
        Misconception(
            name="log-det left out",
            message="The log-determinant is missing. Without it nothing is paid for squeezing all samples onto one "
            "point, the highest of the target.",
            answer=_mistaken_log_q(lambda x, z, ladj, log_base: log_base(z)),
        ),
        Misconception(
            name="base at the output",
            message="You asked the base for its density at x. The base knows about z; x is where the flow took it.",
            answer=_mistaken_log_q(lambda x, z, ladj, log_base: log_base(x) - ladj),
        ),
        Misconception(
            name="entropy counted twice",
            message="log q is in there twice: its mean is minus the entropy of q, and F has that once.",
            answer=_mistaken_log_q(lambda x, z, ladj, log_base: 2 * (log_base(z) - ladj)),
        ),
        Misconception(
            name="averaged before the log",
            message="You averaged the weights p~/q and then took the logarithm. F is the mean *of* logarithms. (Yours "
            "is another bound on log Z, with many samples a tighter one.)",
            answer=_weights_first,
        ),
        Misconception(
            name="ELBO for free energy",
            message="That is the ELBO, minus F. A training that makes it small would push q away from the target.",
            answer=lambda *arguments: -_free_energy(*arguments),
        ),
        Misconception(
            name="summed over the batch",
            message="You summed over the batch. F is a mean: else twice the samples would be twice the energy.",
            answer=lambda flow, z, *rest: _free_energy(flow, z, *rest) * len(z),
        ),
        Misconception(
            name="detached samples",
            message="The number is right, but you cut the gradient at the samples x. The flow would never hear from "
            "the target where to move them.",
            answer=_detached,
            fits=_is_detached,
        ),
    ),
)


# ---- 5.2 ---------------------------------------------------------------------------------------------------------


def _mixture_on_a_grid(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """A density (rows, columns): some Gaussians apart from each other, narrow ones along a diagonal among them, one
    whose middle lies beyond the left edge, and zero where it is tiny."""
    rows, columns = 33 + 2 * index, 40 + index
    x, y = torch.meshgrid(torch.arange(columns).double(), torch.arange(rows).double(), indexing="xy")
    count = 2 + index % 3
    places = torch.randperm(4, generator=generator)[:count]
    density = torch.zeros(rows, columns, dtype=torch.float64)
    for place in [*places.tolist(), -1]:
        at = 2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1
        middle_x = -1.5 if place < 0 else columns * (0.3 if place % 2 else 0.75)
        middle_y = rows * (0.5 if place < 0 else 0.27 if place // 2 else 0.75)
        dx, dy = x - middle_x - at[0], y - middle_y - at[1]
        sign = 1 if torch.rand((), generator=generator) < 0.5 else -1
        along, across = (dx + sign * dy) / math.sqrt(2), (dx - sign * dy) / math.sqrt(2)
        long, short = (3.2, 0.6) if place == places[0] else (1.4, 1.4)
        weight = 0.5 + torch.rand((), generator=generator)
        density += weight * torch.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2)) / (long * short)
    density[density < 1e-9 * density.max()] = 0.0
    return (density / density.sum(),)


def _modes(density: Tensor) -> int:
    inner = density[1:-1, 1:-1]
    rows, columns = inner.shape
    higher = torch.ones_like(inner, dtype=torch.bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                higher = higher & (inner > density[i : i + rows, j : j + columns])
    return int(higher.sum())


def _by_climbing(density: Tensor) -> int:
    """From every cell climb to the highest neighbour until none is higher; count the tops that are not on the edge."""
    values = density.numpy()
    rows, columns = values.shape
    padded = np.pad(values, 1, constant_values=-1.0)
    numbers = np.pad(np.arange(values.size).reshape(rows, columns), 1)
    shifts = [(1, 1), *((i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1))]

    def shifted(array: np.ndarray) -> np.ndarray:
        return np.stack([array[i : i + rows, j : j + columns] for i, j in shifts])

    best = shifted(padded).argmax(0)  # of equals the first, which is the cell itself
    up = np.take_along_axis(shifted(numbers), best[None], 0).ravel()
    while (up[up] != up).any():
        up = up[up]
    tops = np.unique(up)
    i, j = np.divmod(tops, columns)
    inside = (i > 0) & (i < rows - 1) & (j > 0) & (j < columns - 1)
    return int((inside & (values.ravel()[tops] > 0)).sum())


def _count(density: Tensor, is_mode: Callable[[Tensor, Tensor], Tensor], neighbours: str = "all") -> int:
    """Inner cells for which ``is_mode(cell, neighbour)`` holds for all neighbours of a kind."""
    inner = density[1:-1, 1:-1]
    rows, columns = inner.shape
    kept = {
        "all": [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)],
        "four": [(0, 1), (2, 1), (1, 0), (1, 2)],
        "row": [(1, 0), (1, 2)],
    }[neighbours]
    found = [is_mode(inner, density[i : i + rows, j : j + columns]) for i, j in kept]
    return int(torch.stack(found).all(0).sum())


modes = Exercise(
    number="5.2",
    title="the number of modes",
    arguments=("density",),
    returns=("the number of modes",),
    cases=_mixture_on_a_grid,
    truth=_by_climbing,
    answer=_modes,
    reasoning="Each inner cell is compared with its eight neighbours, by eight shifted views of the same grid. *Higher "
    "than all eight*, and not *at least as high*: else every cell of a flat floor would count. Cells on the edge are "
    "left out, for beyond it the density may go on rising.",
    hints=(
        "The inner cells are `density[1:-1, 1:-1]`. Their left neighbours are `density[1:-1, :-2]`, of the same shape.",
        "There are eight neighbours: two in the row, two in the column, four across the corners.",
        "A cell is a mode where `inner > neighbour` holds for all eight. Combine them with `&` and count.",
    ),
    misconceptions=(
        Misconception(
            name="above a threshold",
            message="You counted cells above half of the maximum. A wide mode has many of those, a low mode none.",
            answer=lambda density: int((density > density.max() / 2).sum()),
        ),
        Misconception(
            name="four neighbours",
            message="You compared with the neighbours left, right, above and below. A ridge that runs along a diagonal "
            "is then full of modes.",
            answer=lambda density: _count(density, torch.gt, "four"),
        ),
        Misconception(
            name="along the rows only",
            message="You compared along the rows only: a ridge that runs up the picture counts in each of them.",
            answer=lambda density: _count(density, torch.gt, "row"),
        ),
        Misconception(
            name="plateaus counted",
            message="You count a cell that is as high as its neighbours. Far from all modes the density is zero "
            "everywhere, and all of that is no mode.",
            answer=lambda density: _count(density, torch.ge),
        ),
        Misconception(
            name="edges counted",
            message="You counted cells on the edge of the grid, too. There the density may go on rising outside.",
            answer=lambda density: _count(torch.nn.functional.pad(density, (1, 1, 1, 1), value=-1.0), torch.gt),
        ),
        Misconception(
            name="minima",
            message="You counted cells that are lower than all their neighbours.",
            answer=lambda density: _count(density, torch.lt),
        ),
    ),
)


# ---- 5.3 ---------------------------------------------------------------------------------------------------------


def _two_densities(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float]:
    """log q, which sums to one, and log p~, which does not, on (rows, columns) cells of the same area."""
    rows, columns = 11 + index, 14 + 2 * index
    width, height = 6.0 / columns, 5.0 / rows
    x, y = torch.meshgrid(
        torch.arange(columns).double() * width - 3, torch.arange(rows).double() * height - 2.5, indexing="xy"
    )

    def log_mixture() -> Tensor:
        parts = []
        for _ in range(2):
            a, b, c = normal(generator, 3).tolist()
            scale = 0.9 + 0.3 * math.tanh(c)
            parts.append(-0.5 * ((x - a) ** 2 + (y - b) ** 2) / scale**2 + 0.4 * c)
        return torch.logaddexp(*parts)

    cell = width * height
    log_q = log_mixture()
    constant = 1 + 2 * torch.rand((), generator=generator).item()
    return log_q - log_q.logsumexp((0, 1)) - math.log(cell), log_mixture() + constant, cell


def _both(log_q: Tensor, log_p: Tensor, cell: float) -> tuple[Tensor, Tensor]:
    log_p = log_p - torch.log(log_p.exp().sum() * cell)
    q, p = log_q.exp(), log_p.exp()
    return (q * (log_q - log_p)).sum() * cell, (p * (log_p - log_q)).sum() * cell


def _cell_by_cell(log_q: Tensor, log_p: Tensor, cell: float) -> tuple[Tensor, Tensor]:
    """The same sums, a cell at a time."""
    pairs = list(zip(log_q.flatten().tolist(), log_p.flatten().tolist(), strict=True))
    Z = sum(math.exp(b) * cell for _, b in pairs)
    to_p = sum(cell * math.exp(a) * (a - b + math.log(Z)) for a, b in pairs)
    to_q = sum(cell * math.exp(b) / Z * (b - math.log(Z) - a) for a, b in pairs)
    return torch.tensor(to_p, dtype=torch.float64), torch.tensor(to_q, dtype=torch.float64)


def _sums(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """The sums over cells as they are, without an area, of log-densities as they are."""
    return (log_q.exp() * (log_q - log_p)).sum(), (log_p.exp() * (log_p - log_q)).sum()


def _normalised(log_p: Tensor, cell: float) -> Tensor:
    return log_p - log_p.logsumexp((0, 1)) - math.log(cell)


def _times(pair: tuple[Tensor, Tensor], factor: float) -> tuple[Tensor, Tensor]:
    return pair[0] * factor, pair[1] * factor


both_divergences = Exercise(
    number="5.3",
    title="both divergences",
    arguments=("log_q", "log_p", "cell"),
    returns=("KL(q‖p)", "KL(p‖q)"),
    cases=_two_densities,
    truth=_cell_by_cell,
    answer=_both,
    reasoning=r"First give $p$ its factor: $Z = \sum \tilde p \cdot$ area. Then both are sums over cells of a mass, "
    r"density times area, and a difference of logarithms. In $\mathrm{KL}(q\|p)$ the mass is that of $q$, in "
    r"$\mathrm{KL}(p\|q)$ that of $p$. Neither follows from the other.",
    hints=(
        r"`log_p` lacks its constant. Its normaliser is $Z = \sum \tilde p \cdot$ area; take $\log Z$ away from it.",
        r"$\mathrm{KL}(q\|p) = \sum q\,(\log q - \log p) \cdot$ area over all cells.",
        r"For $\mathrm{KL}(p\|q)$ change the roles of $p$ and $q$, also in front of the bracket.",
    ),
    misconceptions=(
        Misconception(
            name="swapped",
            message="The two are swapped. KL(q‖p) averages over q: the first letter says over whom.",
            answer=lambda log_q, log_p, cell: _both(log_q, log_p, cell)[::-1],
        ),
        Misconception(
            name="p not normalised",
            message="Your p does not sum to one: log_p is known only up to a constant. Find its normaliser on the grid "
            "first.",
            answer=lambda log_q, log_p, cell: _times(_sums(log_q, log_p), cell),
        ),
        Misconception(
            name="cell area forgotten",
            message="You summed densities. The mass of a cell is its density times its area.",
            answer=lambda log_q, log_p, cell: _sums(log_q, _normalised(log_p, cell)),
        ),
        Misconception(
            name="Z without the cell area",
            message="Your p sums to one over the cells, but as a density it has to sum to one *times the area*, as q "
            "does.",
            answer=lambda log_q, log_p, cell: _times(_sums(log_q, _normalised(log_p, 1.0)), cell),
        ),
        Misconception(
            name="mean over cells",
            message="You took the mean over the cells. An integral is the *sum*, times the area of a cell.",
            answer=lambda log_q, log_p, cell: _times(_sums(log_q, _normalised(log_p, cell)), 1 / log_q.numel()),
        ),
        Misconception(
            name="the other is minus the one",
            message="Your second is the first with its sign turned. In KL(p‖q) the mass in front of the bracket "
            "is that of p; and no KL is negative.",
            answer=lambda *arguments: (_both(*arguments)[0], -_both(*arguments)[0]),
        ),
    ),
)


# ---- 5.4 ---------------------------------------------------------------------------------------------------------


def _covariance(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """A covariance (D, D), D = 3, 4, 5, ..., with correlations and variances away from one."""
    D = 3 + index
    root = normal(generator, D, D)
    scales = 0.5 + 1.5 * torch.rand(D, generator=generator, dtype=torch.float64)
    return ((root @ root.T / D + 0.3 * torch.eye(D)) * torch.outer(scales, scales),)


def _mean_field(covariance: Tensor) -> Tensor:
    precision = torch.linalg.inv(covariance)
    return 1 / precision.diagonal()


def _by_conditioning(covariance: Tensor) -> Tensor:
    """The variance of each coordinate once all others are known: what regression on them does not explain."""
    D = len(covariance)
    variances = []
    for i in range(D):
        rest = [j for j in range(D) if j != i]
        weights = torch.linalg.solve(covariance[rest][:, rest], covariance[rest, i])
        variances.append(covariance[i, i] - weights @ covariance[rest, i])
    return torch.stack(variances)


mean_field = Exercise(
    number="5.4",
    title="the best mean field",
    arguments=("covariance",),
    returns=("s²",),
    cases=_covariance,
    truth=_by_conditioning,
    answer=_mean_field,
    reasoning=r"(8) says $s_i^2 = 1/\Lambda_{ii}$ with $\Lambda = \Sigma^{-1}$: invert the whole matrix, take the "
    r"diagonal, then one over it. That is the variance of $x_i$ when all other coordinates are *known*; it is never "
    r"more than $\Sigma_{ii}$.",
    hints=(
        r"The precision matrix is $\Lambda = \Sigma^{-1}$: `torch.linalg.inv(covariance)`.",
        r"By (8), $s_i^2 = 1 / \Lambda_{ii}$. `matrix.diagonal()` is a vector (D,).",
    ),
    misconceptions=(
        Misconception(
            name="marginal variances",
            message="These are the variances of p itself, what KL(p‖q) would choose. KL(q‖p) keeps q where p is high "
            "for *all* coordinates at once, which is narrower.",
            answer=lambda covariance: covariance.diagonal().clone(),
        ),
        Misconception(
            name="precisions",
            message="That is the diagonal of the precision matrix. A variance is one over it.",
            answer=lambda covariance: torch.linalg.inv(covariance).diagonal().clone(),
        ),
        Misconception(
            name="diagonal inverted",
            message="You inverted the diagonal of the covariance. Invert the whole matrix first: the correlations play "
            "a part.",
            answer=lambda covariance: 1 / covariance.diagonal(),
        ),
        Misconception(
            name="standard deviations",
            message="These are the standard deviations. Their squares are asked for.",
            answer=lambda covariance: _mean_field(covariance).sqrt(),
        ),
        Misconception(
            name="principal axes",
            message="These are the eigenvalues, variances along the principal axes. A mean field has its axes along "
            "the coordinates.",
            answer=lambda covariance: torch.linalg.eigvalsh(covariance),
        ),
    ),
)
