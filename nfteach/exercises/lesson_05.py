"""Lesson 05, planar posteriors: the free energy, modes, both divergences, the mean-field optimum."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.mistakes import slips
from nfteach.flows import Planar, Stack

__all__ = ["both_divergences", "free_energy", "mean_field", "modes"]

LogDensity = Callable[[Tensor], Tensor]


# ---- 5.1 ---------------------------------------------------------------------------------------------------------


def _gaussian(mean: Tensor, scale: Tensor, constant: float) -> LogDensity:
    """Return the function log N(x; mean, diag(scale^2)) + constant, for x (B, D)."""

    def log_density(x: Tensor) -> Tensor:
        a = (x - mean.to(x)) / scale.to(x)
        return (-0.5 * a**2 - scale.to(x).log()).sum(-1) - 0.5 * x.shape[-1] * math.log(2 * math.pi) + constant

    return log_density


def _inference(generator: torch.Generator, index: int) -> tuple[Stack, Tensor, LogDensity, LogDensity]:
    """Draw a stack in D = 3, 4, ... dimensions, z (B, D), a base that is not standard, a target without its factor."""
    D = 3 + index
    flow = Stack(*(Planar(D) for _ in range(2))).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.9 * draw(generator, parameter.numel()).view_as(parameter))
    mean, scale = draw(generator, D), 0.5 + torch.rand(D, generator=generator, dtype=torch.float64)
    base = _gaussian(mean, scale, 0.0)
    one = _gaussian(draw(generator, D), 1 + scale.flip(0), 1.5)
    other = _gaussian(draw(generator, D), 0.7 + scale, 2.5)

    def log_target(x: Tensor) -> Tensor:
        return torch.logaddexp(one(x), other(x))

    return flow, mean + scale * draw(generator, 7, D), base, log_target


def free_energy(flow, z, log_base, log_target):
    x, ladj = flow.call_and_ladj(z)
    log_q = log_base(z) - ladj
    return (log_q - log_target(x)).mean()


def _by_differences(flow: Stack, z: Tensor, log_base: LogDensity, log_target: LogDensity) -> Tensor:
    """Return F with the log-determinants of Jacobians that are made of central differences."""
    h, D = 1e-5, z.shape[-1]
    steps = torch.cat([h * torch.eye(D), -h * torch.eye(D)]).to(z)
    forward, backward = flow(z + steps[:, None]).split(D)
    volumes = torch.linalg.slogdet(((forward - backward) / (2 * h)).permute(1, 2, 0)).logabsdet
    return sum(log_base(z) - volumes - log_target(flow(z))) / len(z)


free_energy = Exercise(
    number="5.1",
    title="the free energy",
    returns=("F",),
    cases=_inference,
    truth=_by_differences,
    answer=free_energy,
    gradients=True,
    tolerance=1e-5,
    tries=3,
    reasoning=r"One pass through the flow gives $x$ and $\log|\det J|$ at each $z$. The change of variables makes "
    r"$\log q(x) = \log p(z) - \log|\det J|$ of them: no inverse. What is averaged is $\log q(x) - \log\tilde p(x)$. "
    r"Nothing is detached: the gradient reaches the parameters through the log-determinant *and* through $x$.",
    hints=(
        r"`x, ladj = flow.call_and_ladj(z)` gives the samples (B, D) and their log-determinants (B,).",
        r"$\log q(x)$ is known for these $x$, because you know which $z$ they came from: equation (4).",
        r"Then the mean of $\log q(x) - \log\tilde p(x)$ over the batch, one number.",
    ),
    misconceptions=slips(r"""
        sign of the log-det: The sign of the log-determinant is flipped: where the flow spreads the samples out, q is
            *lower*.
            - ladj -> + ladj
        log-det left out: The log-determinant is missing. Without it nothing is paid for squeezing all samples onto
            one point, the highest of the target.
            - ladj ->
        base at the output: You asked the base for its density at x. The base knows about z; x is where the flow took
            it.
            log_base(z) -> log_base(x)
        target at the input: You asked the target for its density at z. It is x, where the flow took the samples, that
            it should like.
            log_target(x) -> log_target(z)
        entropy counted twice: log q is in there twice: its mean is minus the entropy of q, and F has that once.
            log_base(z) - ladj -> 2 * (log_base(z) - ladj)
        sign of the target: You added log p~. The free energy is *low* where the target is high: that term comes with
            a minus.
            - log_target(x) -> + log_target(x)
        target left out: That is the mean of log q alone. Nothing pulls the samples to where the target is high.
            - log_target(x) ->
        entropy left out: That is the mean of -log p~ alone. Nothing keeps the samples apart: they would all go to one
            point.
            log_q - log_target(x) -> -log_target(x)
        ELBO for free energy: That is the ELBO, minus F. A training that makes it small would push q away from the
            target.
            (log_q - log_target(x)) -> (log_target(x) - log_q)
        summed over the batch: You summed over the batch. F is a mean: else twice the samples would be twice the
            energy.
            .mean() -> .sum()
        not averaged: These are the terms of the mean, one for each z. F is their mean, one number.
            .mean() ->
        averaged before the log: You averaged the weights p~/q and then took the logarithm. F is the mean *of*
            logarithms. (Yours is another bound on log Z, with many samples a tighter one.)
            (log_q - log_target(x)).mean() -> -(log_target(x) - log_q).exp().mean().log()
        detached samples: The number is right, but you cut the gradient at the samples x. The flow would never hear
            from the target where to move them.
            log_target(x) -> log_target(x.detach())
        detached log-determinant: The number is right, but you cut the gradient at the log-determinant: training would
            not know what squeezing costs.
            - ladj -> - ladj.detach()
    """),
)


# ---- 5.2 ---------------------------------------------------------------------------------------------------------


def _mixture_on_a_grid(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw a density (rows, columns) with modes of all kinds, and with places that only look like modes.

    There are Gaussians apart from each other, one of them narrow and along a diagonal; humps whose middles lie beyond
    each edge; single cells in the first and last inner rows and columns; a low mode; and a floor of zeros.
    """
    rows, columns = 33 + 2 * index, 40 + index
    x, y = torch.meshgrid(torch.arange(columns).double(), torch.arange(rows).double(), indexing="xy")
    inside = [(columns * across, rows * up) for across in (0.3, 0.72) for up in (0.3, 0.7)]
    inside = [inside[place] for place in torch.randperm(4, generator=generator)[: 2 + index % 3].tolist()]
    beyond = [(-1.5, rows // 2), (columns + 0.5, rows // 2), (columns // 2, -1.5), (columns // 2, rows + 0.5)]
    density = torch.zeros(rows, columns, dtype=torch.float64)
    for number, (middle_x, middle_y) in enumerate([*inside, *beyond]):
        at = 2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1
        dx, dy = x - middle_x - at[0] * (number < len(inside)), y - middle_y - at[1] * (number < len(inside))
        sign = 1 if torch.rand((), generator=generator) < 0.5 else -1
        along, across = (dx + sign * dy) / math.sqrt(2), (dx - sign * dy) / math.sqrt(2)
        long, short = (3.2, 0.6) if number == 0 else (1.4, 1.4)
        weight = 0.5 + torch.rand((), generator=generator)
        density += weight * torch.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2)) / (long * short)
    density[density < 1e-9 * density.max()] = 0.0
    top = density.max()
    lines = [(1, None), (rows - 2, None), (None, 1), (None, columns - 2), (None, None)]
    counts = 1 + torch.randint(3, (5,), generator=generator)
    for row, column in (line for line, count in zip(lines, counts, strict=True) for _ in range(count)):
        near = torch.nn.functional.max_pool2d(density[None], 5, stride=1, padding=2)[0] < 1e-4 * top
        free = torch.zeros_like(near)
        free[slice(3, -3) if row is None else row, slice(3, -3) if column is None else column] = True
        places = (near & free).nonzero()
        place = places[int(torch.randint(len(places), (), generator=generator))]
        density[tuple(place)] = (0.02 if row is column is None else 0.3) * top
    return (density / density.sum(),)


def _by_climbing(density: Tensor) -> int:
    """Walk from every cell to the highest neighbour until none is higher; count the tops that are not on the edge."""
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


def count_modes(density):
    inner = density[1:-1, 1:-1]
    rows, columns = inner.shape
    higher = torch.ones_like(inner, dtype=torch.bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                higher = higher & (inner > density[i : i + rows, j : j + columns])
    return int(higher.sum())


modes = Exercise(
    number="5.2",
    title="the number of modes",
    returns=("the number of modes",),
    cases=_mixture_on_a_grid,
    truth=_by_climbing,
    answer=count_modes,
    reasoning="Each inner cell is compared with its eight neighbours, by eight shifted views of the same grid. *Higher "
    "than all eight*, and not *at least as high*: else every cell of a flat floor would count. Cells on the edge are "
    "left out, for beyond it the density may go on rising.",
    hints=(
        "The inner cells are `density[1:-1, 1:-1]`. Their left neighbours are `density[1:-1, :-2]`, of the same shape.",
        "There are eight neighbours: two in the row, two in the column, four across the corners.",
        "A cell is a mode where `inner > neighbour` holds for all eight. Combine them with `&` and count.",
    ),
    misconceptions=slips(r"""
        above a threshold: You counted cells above half of the maximum. A wide mode has many of those, a low mode
            none.
            int(higher.sum()) -> int((density > density.max() / 2).sum())
        only high ones: You left out low modes. A cell that is higher than its eight neighbours counts, however low it
            is.
            int(higher.sum()) -> int((higher & (inner > 0.1 * density.max())).sum())
            int(higher.sum()) -> int((higher & (inner > 0.3 * density.max())).sum())
            int(higher.sum()) -> int((higher & (inner > 0.5 * density.max())).sum())
            int(higher.sum()) -> int((higher & (inner > density.mean())).sum())
        four neighbours: You compared with the neighbours left, right, above and below. A ridge that runs along a
            diagonal is then full of modes.
            if (i, j) != (1, 1) -> if (i - 1) ** 2 + (j - 1) ** 2 == 1
        diagonal neighbours: You compared across the corners only. The neighbours left, right, above and below count
            as well.
            if (i, j) != (1, 1) -> if (i - 1) ** 2 + (j - 1) ** 2 == 2
        along the rows only: You compared along the rows only: a ridge that runs up the picture counts in each of
            them.
            if (i, j) != (1, 1) -> if i == 1 and j != 1
        along the columns only: You compared along the columns only. There are neighbours to the left and right, too.
            if (i, j) != (1, 1) -> if j == 1 and i != 1
        plateaus counted: You count a cell that is as high as its neighbours. Far from all modes the density is zero
            everywhere, and all of that is no mode.
            inner > density[i -> inner >= density[i
        edges counted: You counted cells on the edge of the grid, too. There the density may go on rising outside.
            inner = density[1:-1, 1:-1] ->
            density = torch.nn.functional.pad(density, (1, 1, 1, 1), value=-1.0)\n    inner = density[1:-1, 1:-1]
        some edges counted: You counted cells on an edge of the grid. There the density may go on rising outside.
            inner = density[1:-1, 1:-1] ->
            density = torch.nn.functional.pad(density, (0, 1, 0, 0), value=-1.0)\n    inner = density[1:-1, 1:-1]
            inner = density[1:-1, 1:-1] ->
            density = torch.nn.functional.pad(density, (1, 0, 0, 0), value=-1.0)\n    inner = density[1:-1, 1:-1]
            inner = density[1:-1, 1:-1] ->
            density = torch.nn.functional.pad(density, (0, 0, 1, 1), value=-1.0)\n    inner = density[1:-1, 1:-1]
            inner = density[1:-1, 1:-1] ->
            density = torch.nn.functional.pad(density, (1, 1, 0, 0), value=-1.0)\n    inner = density[1:-1, 1:-1]
        rows or columns missed: You left out a row or a column of inner cells. Only the cells on the very edge are
            left out.
            int(higher.sum()) -> int(higher[:-1, :-1].sum())
            int(higher.sum()) -> int(higher[1:].sum())
            int(higher.sum()) -> int(higher[1:, 1:].sum())
            int(higher.sum()) -> int(higher[:, 1:].sum())
            int(higher.sum()) -> int(higher[1:-1, 1:-1].sum())
            int(higher.sum()) -> int(higher[:-1].sum())
            int(higher.sum()) -> int(higher[:, :-1].sum())
        higher than some neighbour: You counted cells that are higher than *one* of their neighbours. All eight have
            to be lower.
            higher & (inner -> ~(~higher & ~(inner ;;
            + columns]) -> + columns])) ;;
            torch.ones_like(inner -> torch.zeros_like(inner
        higher than the mean: You counted cells that are above the average, or above zero. A mode is higher than all
            its neighbours.
            int(higher.sum()) -> int((density > density.mean()).sum())
            int(higher.sum()) -> int((density > 0).sum())
        minima: You counted cells that are lower than all their neighbours.
            inner > density[i -> inner < density[i
        the cells, not their number: These are the cells themselves, as True and False. Asked for is how many there
            are.
            return int(higher.sum()) -> return higher
        at most one in a row: You counted rows, or columns, that hold a mode. There may be two in one of them.
            int(higher.sum()) -> int(higher.any(0).sum())
            int(higher.sum()) -> int(higher.any(1).sum())
    """),
)


# ---- 5.3 ---------------------------------------------------------------------------------------------------------


def _two_densities(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float]:
    """Draw log q, which sums to one, and log p~, which does not, on (rows, columns) cells of the same area."""
    rows, columns = 11 + index, 14 + 2 * index
    width, height = 6.0 / columns, 5.0 / rows
    x, y = torch.meshgrid(
        torch.arange(columns).double() * width - 3, torch.arange(rows).double() * height - 2.5, indexing="xy"
    )

    def log_mixture() -> Tensor:
        parts = []
        for _ in range(2):
            a, b, c = draw(generator, 3).tolist()
            scale = 0.9 + 0.3 * math.tanh(c)
            parts.append(-0.5 * ((x - a) ** 2 + (y - b) ** 2) / scale**2 + 0.4 * c)
        return torch.logaddexp(*parts)

    cell = width * height
    log_q = log_mixture()
    constant = 1 + 2 * torch.rand((), generator=generator).item()
    return log_q - log_q.logsumexp((0, 1)) - math.log(cell), log_mixture() + constant, cell


def _cell_by_cell(log_q: Tensor, log_p: Tensor, cell: float) -> tuple[Tensor, Tensor]:
    """Add up a cell at a time."""
    pairs = list(zip(log_q.flatten().tolist(), log_p.flatten().tolist(), strict=True))
    Z = sum(math.exp(b) * cell for _, b in pairs)
    to_p = sum(cell * math.exp(a) * (a - b + math.log(Z)) for a, b in pairs)
    to_q = sum(cell * math.exp(b) / Z * (b - math.log(Z) - a) for a, b in pairs)
    return torch.tensor(to_p, dtype=torch.float64), torch.tensor(to_q, dtype=torch.float64)


def both_divergences(log_q, log_p, cell):
    log_p = log_p - torch.log(log_p.exp().sum() * cell)
    q, p = log_q.exp(), log_p.exp()
    return (q * (log_q - log_p)).sum() * cell, (p * (log_p - log_q)).sum() * cell


both_divergences = Exercise(
    number="5.3",
    title="both divergences",
    returns=("KL(q‖p)", "KL(p‖q)"),
    cases=_two_densities,
    truth=_cell_by_cell,
    answer=both_divergences,
    reasoning=r"First give $p$ its factor: $Z = \sum \tilde p \cdot$ area. Then both are sums over cells of a mass, "
    r"density times area, and a difference of logarithms. In $\mathrm{KL}(q\|p)$ the mass is that of $q$, in "
    r"$\mathrm{KL}(p\|q)$ that of $p$. Neither follows from the other.",
    hints=(
        r"`log_p` lacks its constant. Its normaliser is $Z = \sum \tilde p \cdot$ area; take $\log Z$ away from it.",
        r"$\mathrm{KL}(q\|p) = \sum q\,(\log q - \log p) \cdot$ area over all cells.",
        r"For $\mathrm{KL}(p\|q)$ change the roles of $p$ and $q$, also in front of the bracket.",
    ),
    misconceptions=slips(r"""
        swapped: The two are swapped. KL(q‖p) averages over q: the first letter says over whom.
            return (q * (log_q - log_p)).sum() * cell, (p * (log_p - log_q)).sum() * cell ->
            return (p * (log_p - log_q)).sum() * cell, (q * (log_q - log_p)).sum() * cell
        p not normalised: Your p does not sum to one: log_p is known only up to a constant. Find its normaliser on the
            grid first.
            log_p = log_p - torch.log(log_p.exp().sum() * cell) -> pass
        cell area forgotten: You summed densities. The mass of a cell is its density times its area.
            .sum() * cell, (p -> .sum(), (p ;; (log_p - log_q)).sum() * cell -> (log_p - log_q)).sum()
        cell area forgotten in one: In one of the two the area of a cell is missing.
            .sum() * cell, (p -> .sum(), (p
            (log_p - log_q)).sum() * cell -> (log_p - log_q)).sum()
        Z without the cell area: Your p sums to one over the cells, but as a density it has to sum to one *times the
            area*, as q does.
            log_p.exp().sum() * cell) -> log_p.exp().sum())
        Z times the wrong way: You added log Z. p~ is too large by Z: take its logarithm away.
            log_p = log_p - -> log_p = log_p +
        Z not in logs: You subtracted Z itself. From a log-density its logarithm is taken.
            torch.log(log_p.exp().sum() * cell) -> log_p.exp().sum() * cell
        mean over cells: You took the mean over the cells. An integral is the *sum*, times the area of a cell.
            .sum() * cell, (p -> .mean(), (p ;; (log_p - log_q)).sum() * cell -> (log_p - log_q)).mean()
            .sum() * cell, (p -> .mean() * cell, (p ;; (log_p - log_q)).sum() * cell -> (log_p - log_q)).mean() * cell
        the other is minus the one: Your second is the first with its sign turned. In KL(p‖q) the mass in front of the
            bracket is that of p; and no KL is negative.
            (p * (log_p - log_q)).sum() * cell -> -(q * (log_q - log_p)).sum() * cell
        the same average in both: Both of your averages are over the same density. The first letter says over whom: in
            KL(p‖q) the mass in front of the bracket is that of p.
            (q * (log_q - log_p)) -> (p * (log_q - log_p))
        averaged over the other: In KL(q‖p) the mass in front of the bracket is that of q, in KL(p‖q) that of p. You
            have them exchanged.
            (q * (log_q - log_p)) -> (p * (log_q - log_p)) ;; (p * (log_p - log_q)) -> (q * (log_p - log_q))
        signs flipped: No KL is negative. The density in front of the bracket is the one that comes first in it.
            (log_q - log_p)) -> (log_p - log_q)) ;; (log_p - log_q)) -> (log_q - log_p))
        one sign flipped: One of the two has the wrong sign, and no KL is negative.
            return (q -> return (-q
            (p * -> (-p *
        entropy alone: You left out the other logarithm: a divergence compares two densities.
            (log_q - log_p) -> log_q
            (log_p - log_q) -> log_p
        absolute differences: You took absolute values of the differences. In a KL the terms have both signs.
            (log_q - log_p)) -> (log_q - log_p).abs()) ;; (log_p - log_q)) -> (log_p - log_q).abs())
        densities, not logarithms: The bracket holds a difference of *logarithms*. Yours is a difference of densities.
            (log_q - log_p)) -> (q - p)) ;; (log_p - log_q)) -> (p - q))
        in bits: These are bits: the logarithm is to base 2. Asked for are nats.
            .sum() * cell, (p -> .sum() * cell / torch.tensor(2.0).log(), (p ;;
            (log_p - log_q)).sum() * cell -> (log_p - log_q)).sum() * cell / torch.tensor(2.0).log()
    """),
)


# ---- 5.4 ---------------------------------------------------------------------------------------------------------


def _covariance(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw a covariance (D, D), D = 3, 4, 5, ..., with correlations and variances away from one."""
    D = 3 + index
    root = draw(generator, D, D)
    scales = 0.5 + 1.5 * torch.rand(D, generator=generator, dtype=torch.float64)
    return ((root @ root.T / D + 0.3 * torch.eye(D)) * torch.outer(scales, scales),)


def _by_conditioning(covariance: Tensor) -> Tensor:
    """Compute the variance of each coordinate once all others are known: what regression on them does not explain."""
    D = len(covariance)
    variances = []
    for i in range(D):
        rest = [j for j in range(D) if j != i]
        weights = torch.linalg.solve(covariance[rest][:, rest], covariance[rest, i])
        variances.append(covariance[i, i] - weights @ covariance[rest, i])
    return torch.stack(variances)


def mean_field(covariance):
    precision = torch.linalg.inv(covariance)
    return 1 / precision.diagonal()


mean_field = Exercise(
    number="5.4",
    optional=True,
    title="the best mean field",
    returns=("s²",),
    cases=_covariance,
    truth=_by_conditioning,
    answer=mean_field,
    reasoning=r"(8) says $s_i^2 = 1/\Lambda_{ii}$ with $\Lambda = \Sigma^{-1}$: invert the whole matrix, take the "
    r"diagonal, then one over it. That is the variance of $x_i$ when all other coordinates are *known*; it is never "
    r"more than $\Sigma_{ii}$.",
    hints=(
        r"The precision matrix is $\Lambda = \Sigma^{-1}$: `torch.linalg.inv(covariance)`.",
        r"By (8), $s_i^2 = 1 / \Lambda_{ii}$. `matrix.diagonal()` is a vector (D,).",
    ),
    misconceptions=slips(r"""
        marginal variances: These are the variances of p itself, what KL(p‖q) would choose. KL(q‖p) keeps q where p is
            high for *all* coordinates at once, which is narrower.
            torch.linalg.inv(covariance) -> 1 / covariance
        precisions: That is the diagonal of the precision matrix. A variance is one over it.
            1 / precision -> precision
        diagonal inverted: You inverted the diagonal of the covariance. Invert the whole matrix first: the
            correlations play a part.
            1 / precision.diagonal() -> 1 / covariance.diagonal()
        standard deviations: These are the standard deviations. Their squares are asked for.
            1 / precision.diagonal() -> (1 / precision.diagonal()).sqrt()
            1 / precision.diagonal() -> precision.diagonal() ** -0.5
        inverse standard deviations: You took the root of the precisions. A variance is one over the precision,
            without a root.
            1 / precision.diagonal() -> precision.diagonal().sqrt()
        squared: You squared 1 / Lambda_ii. It is the variance already.
            1 / precision.diagonal() -> precision.diagonal() ** -2
        principal axes: These are the eigenvalues, variances along the principal axes. A mean field has its axes along
            the coordinates.
            precision = torch.linalg.inv(covariance)\n -> ;;
            1 / precision.diagonal() -> torch.linalg.eigvalsh(covariance)
        eigenvalues of the precision: These are the eigenvalues of the precision matrix, or one over them. The axes of
            a mean field are the coordinates.
            1 / precision.diagonal() -> 1 / torch.linalg.eigvalsh(precision)
            1 / precision.diagonal() -> torch.linalg.eigvalsh(precision)
        the whole matrix: That is a matrix. A mean field has one variance for each coordinate: take the diagonal.
            1 / precision.diagonal() -> torch.diag(1 / precision.diagonal())
            1 / precision.diagonal() -> 1 / precision
            1 / precision.diagonal() -> precision
        row sums: You added up rows of the precision. Only the entry on the diagonal meets s_i.
            precision.diagonal() -> precision.sum(-1)
        sign flipped: A variance is never negative.
            1 / precision -> -1 / precision
    """),
)
