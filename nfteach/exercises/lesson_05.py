"""Lesson 05, planar posteriors: the free energy, modes, both divergences, the mean-field optimum."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.texts import text
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
    **text("5.1"),
    returns=("F",),
    cases=_inference,
    truth=_by_differences,
    answer=free_energy,
    gradients=True,
    tolerance=1e-5,
    tries=3,
)


# ---- 5.2 ---------------------------------------------------------------------------------------------------------


def _mixture_on_a_grid(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw a density (rows, columns) with modes of all kinds, and with places that only look like modes.

    There are Gaussians apart from each other, one of them narrow and along a diagonal; humps whose middles lie beyond
    each edge; single cells in the first and last inner rows and columns; a low mode; and a floor of zeros.
    """
    rows, columns = 41 + 2 * index, 48 + index
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
        for place in places[torch.randperm(len(places), generator=generator)[:1]]:
            density[tuple(place)] = (0.01 if row is column is None else 0.3) * top
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
    **text("5.2"),
    returns=("the number of modes",),
    cases=_mixture_on_a_grid,
    truth=_by_climbing,
    answer=count_modes,
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
    **text("5.3"),
    returns=("KL(q‖p)", "KL(p‖q)"),
    cases=_two_densities,
    truth=_cell_by_cell,
    answer=both_divergences,
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
    **text("5.4"),
    optional=True,
    returns=("s²",),
    cases=_covariance,
    truth=_by_conditioning,
    answer=mean_field,
)
