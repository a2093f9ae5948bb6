"""Lesson 01, change of variables: an affine map, a composition, both directions, and three densities to repair."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.texts import text
from nfteach.flows import Flow

__all__ = ["affine", "both_ways", "composition", "three_densities"]


def _matrix(generator: torch.Generator, D: int, sign: int) -> Tensor:
    """Draw A (D, D) full, with a determinant of that sign, that stretches by 0.6 to 1.8."""
    left, right = (torch.linalg.qr(draw(generator, D, D))[0] for _ in range(2))
    stretch = 0.6 + 1.2 * torch.rand(D, generator=generator, dtype=torch.float64)
    A = left * stretch @ right
    if torch.linalg.det(A) * sign < 0:
        A[0] = -A[0]
    return A


class _Bent(Flow):
    """The layer y = A asinh(2 x) + c for columns x; A and c as drawn."""

    def __init__(self, generator: torch.Generator, D: int, sign: int) -> None:
        super().__init__(D)
        self.register_buffer("A", _matrix(generator, D, sign))
        self.register_buffer("c", draw(generator, D))

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        ladj = torch.log(2 / torch.sqrt(1 + 4 * x**2)).sum(-1) + torch.linalg.slogdet(self.A).logabsdet
        return torch.asinh(2 * x) @ self.A.T + self.c, ladj

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.sinh(torch.linalg.solve(self.A, (y - self.c).mT).mT) / 2
        return x, -self.call_and_ladj(x)[1]


# ---- 1.1 ---------------------------------------------------------------------------------------------------------


def _affine_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw x (B, D), A (D, D) and c (D,), with a determinant that is negative in every other case."""
    D = 3 + index
    A, c = _matrix(generator, D, -1 if index % 2 else 1), draw(generator, D)
    return draw(generator, 5, D) @ A.T + c, A, c


def _gaussian(x: Tensor, A: Tensor, c: Tensor) -> Tensor:
    """Return the density of a Gaussian with mean c and covariance A A^T, as A z + c is known to be: no Jacobian."""
    return torch.distributions.MultivariateNormal(c, A @ A.T).log_prob(x)


def affine_log_density(x, A, c):
    z = torch.linalg.solve(A, (x - c).T).T
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    return log_p - torch.linalg.slogdet(A).logabsdet


affine = Exercise(
    **text("1.1"),
    returns=("log q(x)",),
    cases=_affine_case,
    truth=_gaussian,
    answer=affine_log_density,
)


# ---- 1.2 ---------------------------------------------------------------------------------------------------------


def _layers_case(generator: torch.Generator, index: int) -> tuple[Tensor, list[Flow]]:
    """Draw z (B, D), and two to four layers of D = 3, 4, 5 dimensions."""
    D = 3 + index % 3
    layers = [_Bent(generator, D, -1 if (index + k) % 2 else 1) for k in range(2 + index // 2)]
    return draw(generator, 5, D), layers


def _all_layers(z: Tensor, layers: list[Flow]) -> Tensor:
    for layer in layers:
        z = layer(z)
    return z


def _composition_by_autograd(z: Tensor, layers: list[Flow]) -> Tensor:
    return log_abs_det_jacobian(lambda z: _all_layers(z, layers), z)


def composed_ladj(z, layers):
    total = torch.zeros(len(z), dtype=z.dtype)
    for layer in layers:
        x = layer(z)
        total = total + layer.log_abs_det_jacobian(z, x)
        z = x
    return total


composition = Exercise(
    **text("1.2"),
    returns=("log|det J|",),
    cases=_layers_case,
    truth=_composition_by_autograd,
    answer=composed_ladj,
)


# ---- 1.3 ---------------------------------------------------------------------------------------------------------


def _both_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Flow, Callable[[Tensor], Tensor]]:
    """Draw z and x (B, D), a flow z -> x, and log p of a base that is neither at the origin nor of unit width."""
    D = 3 + index % 3
    f, mean, width = _Bent(generator, D, -1 if index % 2 else 1), draw(generator, D), 0.5 + 0.3 * index

    def log_p(z: Tensor) -> Tensor:
        return torch.distributions.Normal(mean.to(z), width).log_prob(z).sum(-1)

    return draw(generator, 5, D), f(draw(generator, 5, D)), f, log_p


def _both_by_autograd(z: Tensor, x: Tensor, f: Flow, log_p: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Use autograd's J of z -> x in both, and none of the log-dets that f returns."""

    def at(z: Tensor) -> Tensor:
        return log_p(z) - log_abs_det_jacobian(f, z)

    return at(z), at(f.inv(x))


def log_q_both_ways(z, x, f, log_p):
    _, ladj = f.call_and_ladj(z)
    before, inverse_ladj = f.inverse_and_ladj(x)
    return log_p(z) - ladj, log_p(before) + inverse_ladj


both_ways = Exercise(
    **text("1.3"),
    returns=("log q at f(z)", "log q at x"),
    cases=_both_case,
    truth=_both_by_autograd,
    answer=log_q_both_ways,
)


# ---- 1.4 ---------------------------------------------------------------------------------------------------------


def _three_case(generator: torch.Generator, index: int) -> tuple[Tensor, float]:
    """Draw x (B,) from -2 to 2, and a between 1.6 and 2.6."""
    x = 4 * torch.rand(9, generator=generator, dtype=torch.float64) - 2
    return x, 1.6 + torch.rand((), generator=generator).item()


def normal(z):
    return torch.exp(-0.5 * z**2) / (2 * torch.pi) ** 0.5


def handed_in(x, a):
    """Return the three as they stand in the lesson."""
    first = normal((x - 1) / a) * a
    second = normal(-torch.sinh(a * x)) * a * torch.cosh(a * x)
    third = normal(torch.sinh(x) / a) * torch.sqrt(1 + (a * x) ** 2) / a
    return first, second, third


def _rescaled(x: Tensor, a: float) -> tuple[Tensor, ...]:
    grid = torch.linspace(-20, 20, 8001, dtype=torch.float64)
    masses = [torch.trapezoid(q, grid) for q in handed_in(grid, a)]
    return tuple(q / mass for q, mass in zip(handed_in(x, a), masses, strict=True))


def _by_counting_mass(x: Tensor, a: float) -> tuple[Tensor, ...]:
    """Return the mass between x - h and x + h, over 2 h: from the maps alone and the normal's distribution function."""
    h = 1e-4

    def maps(z: Tensor) -> Tensor:
        return torch.stack([1 + a * z[0], -torch.asinh(z[1]) / a, torch.asinh(a * z[2])])

    # Which z lands at the ends of that interval? Bisection finds it; the second map decreases.
    ends = torch.cat([x - h, x + h]).expand(3, -1)
    rises = torch.tensor([[True], [False], [True]])
    low, high = torch.full_like(ends, -64.0), torch.full_like(ends, 64.0)
    for _ in range(54):
        middle = (low + high) / 2
        further = (maps(middle) < ends) == rises
        low, high = torch.where(further, middle, low), torch.where(further, high, middle)
    below = torch.special.ndtr(low)
    return tuple((below[:, len(x) :] - below[:, : len(x)]).abs() / (2 * h))


def repaired(x, a):
    z = (x - 1) / a
    first = normal(z) / a
    z = -torch.sinh(a * x)
    second = normal(z) * a * torch.cosh(a * x)
    z = torch.sinh(x) / a
    third = normal(z) * torch.sqrt(1 + (a * z) ** 2) / a
    return first, second, third


three_densities = Exercise(
    **text(
        "1.4",
        Misconception(
            name="left as they are",
            message="You returned the three densities as they were given. Two of them do not have the area 1.",
            answer=handed_in,
        ),
        Misconception(
            name="rescaled",
            message="Divided by its area, the third has the area 1, but still the wrong *shape*: it is off by a "
            "different factor at every x.",
            answer=_rescaled,
        ),
    ),
    returns=("the first", "the second", "the third"),
    cases=_three_case,
    truth=_by_counting_mass,
    answer=repaired,
)
