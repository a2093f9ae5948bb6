"""Lesson 03, triangular maps: a conditional's map, the log-determinant, the inverse, and the affine special case."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.comparing import same
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.texts import text

__all__ = ["affine", "inverse", "log_det", "to_normal"]


# ---- 3.1 ---------------------------------------------------------------------------------------------------------


def _mixtures(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw x (B,), logits, mu and log_sigma (B, K), K = 2, 3, ...; each x lies where its mixture has mass."""
    B, K = 5, 2 + index
    mu = 2.0 * draw(generator, B, K)
    log_sigma = -0.6 + torch.rand(B, K, generator=generator, dtype=torch.float64)
    # The exponentials add up to 0.6: no weights yet, and no less than zero or more than one.
    logits = torch.log_softmax(draw(generator, B, K), -1) + math.log(0.6)
    component = torch.randint(K, (B, 1), generator=generator)
    step = 3 * torch.rand(B, 1, generator=generator, dtype=torch.float64) - 1.5
    x = mu.gather(1, component) + log_sigma.gather(1, component).exp() * step
    return x[:, 0], logits, mu, log_sigma


_gauss_legendre = cache(np.polynomial.legendre.leggauss)  # it takes longer than all the rest


def _to_normal_by_quadrature(x: Tensor, logits: Tensor, mu: Tensor, log_sigma: Tensor) -> Tensor:
    """Compute the area under the mixture's density from far on the left to x, by Gauss and Legendre's rule."""
    nodes, weights = _gauss_legendre(300)
    found = []
    for place, a, m, s in zip(x.tolist(), logits.numpy(), mu.numpy(), np.exp(log_sigma.numpy()), strict=True):
        left = float((m - 9 * s).min())
        t = left + (place - left) * (nodes[:, None] + 1) / 2
        density = (np.exp(a) / np.exp(a).sum() * np.exp(-((t - m) ** 2) / (2 * s**2)) / s).sum(1)
        area = float(weights @ density) * (place - left) / 2 / math.sqrt(2 * math.pi)
        found.append(NormalDist().inv_cdf(area))
    return torch.tensor(found, dtype=torch.float64)


def conditional_to_normal(x, logits, mu, log_sigma):
    alpha = torch.softmax(logits, -1)
    u = (alpha * torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma))).sum(-1)
    return torch.special.ndtri(u)


to_normal = Exercise(
    **text("3.1"),
    returns=("z",),
    cases=_mixtures,
    truth=_to_normal_by_quadrature,
    answer=conditional_to_normal,
)


# ---- 3.2 ---------------------------------------------------------------------------------------------------------


def _ordering(generator: torch.Generator, D: int) -> list[int]:
    """Draw one in which neither 0, 1, 2, ... nor the dimensions' places can stand for the ordering."""
    while True:
        ordering = torch.randperm(D, generator=generator)
        place = ordering.argsort()
        if not torch.equal(place, ordering) and not torch.equal(ordering, torch.arange(D)):
            return ordering.tolist()


def _triangular_matrices(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw J (B, D, D), triangular in a random ordering, with negative entries on the diagonals of two points."""
    B, D = 4, 3 + index
    lower = torch.tril(2 * draw(generator, B, D, D), -1)
    diagonal = torch.exp(0.7 * draw(generator, B, D))
    diagonal[0, 0] = -diagonal[0, 0]
    diagonal[1, :2] = -diagonal[1, :2]
    place = torch.tensor(_ordering(generator, D)).argsort()
    return ((lower + torch.diag_embed(diagonal))[:, place][:, :, place],)


def _ladj_by_elimination(J: Tensor) -> Tensor:
    return torch.linalg.slogdet(J).logabsdet


def _without_absolute_value(came: object, J: Tensor) -> bool:
    """Find NaN at points with a negative entry, at least where det J is negative, and right numbers elsewhere."""
    if not isinstance(came, Tensor) or came.shape != J.shape[:1]:
        return False
    right, nan = _ladj_by_elimination(J), came.isnan()
    allowed, due = (torch.diagonal(J, dim1=-2, dim2=-1) < 0).any(-1), torch.linalg.det(J) < 0
    return bool((nan <= allowed).all() and (due <= nan).all()) and same(came[~nan], right[~nan])


def triangular_ladj(J):
    diagonal = torch.diagonal(J, dim1=-2, dim2=-1)
    return diagonal.abs().log().sum(-1)


def _eliminates(answer: Callable[[Tensor], Tensor]) -> str:
    """Remark on an answer that knows the determinant of a full matrix as well."""
    full = torch.tensor([[[2.0, 1.0], [3.0, -1.0]]], dtype=torch.float64)
    if not same(answer(full), torch.linalg.slogdet(full).logabsdet):
        return ""
    return (
        "But you eliminate the whole of J, O(D^3): that is what a triangular map is there to spare you. Which D "
        "entries are enough?"
    )


log_det = Exercise(
    **text(
        "3.2",
        Misconception(
            name="no absolute value",
            message="You took the logarithm of a negative number. |det J| does not depend on signs: where can you drop "
            "them?",
            edits=("diagonal.abs() -> diagonal",),
            fits=_without_absolute_value,
        ),
    ),
    returns=("log|det J|",),
    cases=_triangular_matrices,
    truth=_ladj_by_elimination,
    answer=triangular_ladj,
    remark=_eliminates,
)


# ---- 3.3 ---------------------------------------------------------------------------------------------------------


class _Gaussians(NamedTuple):
    """Conditionals (B, D) whose equations are solved by a formula: many answers are to be judged in a second."""

    mu: Tensor
    sigma: Tensor

    def to_normal(self, x: Tensor) -> Tensor:
        return (x - self.mu) / self.sigma

    def from_normal(self, z: Tensor) -> Tensor:
        return self.mu + self.sigma * z


class _Conditionals:
    """The map from x (B, D) to D conditionals, each made from the x before it in an ordering."""

    __name__ = "function"

    def __init__(self, generator: torch.Generator, ordering: list[int]) -> None:
        D, place = len(ordering), torch.tensor(ordering).argsort()
        before = place[None, :] < place[:, None]
        self.A, self.B = (draw(generator, D, D) * before for _ in range(2))
        self.b = draw(generator, D)

    def __call__(self, x: Tensor) -> _Gaussians:
        A, B, b = self.A.to(x), self.B.to(x), self.b.to(x)
        return _Gaussians(2 * torch.tanh(x @ A.T) + b, torch.exp(0.7 * torch.tanh(x @ B.T)))


def _autoregressive_case(generator: torch.Generator, index: int) -> tuple[Tensor, _Conditionals, list[int]]:
    ordering = _ordering(generator, 3 + index)
    return draw(generator, 3, len(ordering)), _Conditionals(generator, ordering), ordering


def _inverse_by_numbers(z: Tensor, conditionals: _Conditionals, ordering: list[int]) -> Tensor:
    """Solve point by point and number by number, each from the numbers found before it."""
    A, B, b = conditionals.A.tolist(), conditionals.B.tolist(), conditionals.b.tolist()
    points = []
    for row in z.tolist():
        found: dict[int, float] = {}
        for i in ordering:
            mu = 2 * math.tanh(sum(A[i][j] * value for j, value in found.items())) + b[i]
            sigma = math.exp(0.7 * math.tanh(sum(B[i][j] * value for j, value in found.items())))
            found[i] = mu + sigma * row[i]
        points.append([found[i] for i in range(len(row))])
    return torch.tensor(points, dtype=torch.float64)


def sequential_inverse(z, conditionals, ordering):
    x = torch.zeros_like(z)
    for i in ordering:
        x[:, i] = conditionals(x).from_normal(z)[:, i]
    return x


inverse = Exercise(
    **text("3.3"),
    returns=("x",),
    cases=_autoregressive_case,
    truth=_inverse_by_numbers,
    answer=sequential_inverse,
)


# ---- 3.4 ---------------------------------------------------------------------------------------------------------


class _Network:
    """The map from x (B, D) to mu and log_sigma (B, D), each made from the x before it."""

    __name__ = "function"

    def __init__(self, generator: torch.Generator, D: int) -> None:
        self.A, self.B = (torch.tril(draw(generator, D, D), -1) for _ in range(2))
        self.b, self.c = draw(generator, D), draw(generator, D)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        A, B, b, c = self.A.to(x), self.B.to(x), self.b.to(x), self.c.to(x)
        return 2 * torch.tanh(x @ A.T) + b, 0.7 * torch.tanh(x @ B.T + c)


def _affine_case(generator: torch.Generator, index: int) -> tuple[Tensor, _Network]:
    D = 3 + index
    return 1.5 * draw(generator, 4, D), _Network(generator, D)


def _affine_by_autograd(x: Tensor, network: _Network) -> tuple[Tensor, Tensor]:
    """Compute z number by number, and log|det J| by elimination of the autograd Jacobian."""
    mu, log_sigma = network(x)
    rows = zip(x.tolist(), mu.tolist(), log_sigma.tolist(), strict=True)
    z = torch.tensor([[(v - m) / math.exp(s) for v, m, s in zip(*row, strict=True)] for row in rows], dtype=x.dtype)

    def whole(points: Tensor) -> Tensor:
        mu, log_sigma = network(points)
        return (points - mu) / log_sigma.exp()

    return z, log_abs_det_jacobian(whole, x)


def _divided_by(scale: Callable[[Tensor], Tensor]) -> Callable[..., bool]:
    """Return a function that recognises a z that is divided by another scale, whatever the log-determinant is."""

    def fits(came: object, x: Tensor, network: _Network) -> bool:
        mu, log_sigma = network(x)
        return isinstance(came, tuple | list) and len(came) == 2 and same(came[0], (x - mu) / scale(log_sigma))

    return fits


def affine_autoregressive(x, network):
    mu, log_sigma = network(x)
    z = (x - mu) * torch.exp(-log_sigma)
    return z, -log_sigma.sum(-1)


affine = Exercise(
    **text(
        "3.4",
        Misconception(
            name="log-scale used as scale",
            message="You divided by log_sigma. It is the *logarithm* of the scale, and may well be negative.",
            edits=("* torch.exp(-log_sigma) -> / log_sigma ;; -log_sigma.sum -> -log_sigma.abs().log().sum",),
            fits=_divided_by(lambda log_sigma: log_sigma),
        ),
        Misconception(
            name="divided by the variance",
            message="You divided by sigma squared. To make the spread one, divide by the standard deviation.",
            edits=("torch.exp(-log_sigma) -> torch.exp(-2 * log_sigma) ;; -log_sigma.sum -> -2 * log_sigma.sum",),
            fits=_divided_by(lambda log_sigma: (2 * log_sigma).exp()),
        ),
    ),
    optional=True,
    returns=("z", "log|det J|"),
    cases=_affine_case,
    truth=_affine_by_autograd,
    answer=affine_autoregressive,
)
