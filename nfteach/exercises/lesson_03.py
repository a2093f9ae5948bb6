"""Lesson 03, triangular maps: a conditional's map, the inverse, the log-determinant, one Gaussian, and all together."""

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
from nfteach.exercises.lesson_02 import all_activations
from nfteach.exercises.running import pair
from nfteach.exercises.texts import text
from nfteach.flows import Mixture

__all__ = ["affine", "inverse", "log_det", "own_map", "to_normal"]


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
    **text("3.2"),
    returns=("x",),
    cases=_autoregressive_case,
    truth=_inverse_by_numbers,
    answer=sequential_inverse,
)


# ---- 3.3 ---------------------------------------------------------------------------------------------------------


def _triangular_matrices(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw J (B, D, D), triangular in a random ordering, with negative entries on the diagonals of two points.

    In the last two cases the other entries are so large that elimination loses all digits of the determinant.
    """
    B, D = 4, 3 + index
    lower = torch.tril(2 * draw(generator, B, D, D), -1) * (1e12 if index > 3 else 1.0)
    diagonal = torch.exp(0.7 * draw(generator, B, D))
    diagonal[0, 0] = -diagonal[0, 0]
    diagonal[1, :2] = -diagonal[1, :2]
    place = torch.tensor(_ordering(generator, D)).argsort()
    return ((lower + torch.diag_embed(diagonal))[:, place][:, :, place],)


def _ladj_number_by_number(J: Tensor) -> Tensor:
    points = [[matrix[i][i] for i in range(len(matrix))] for matrix in J.tolist()]
    return torch.tensor([sum(math.log(abs(entry)) for entry in entries) for entries in points], dtype=J.dtype)


def _eliminated(came: object, J: Tensor) -> bool:
    """Return whether an answer is that of elimination, up to its rounding."""
    if not isinstance(came, Tensor) or came.shape != J.shape[:1]:
        return False
    return bool(J.abs().max() > 1e9) or same(came, torch.linalg.slogdet(J).logabsdet)


def _without_absolute_value(came: object, J: Tensor) -> bool:
    """Find NaN at points with a negative entry, at least where det J is negative, and right numbers elsewhere."""
    if not isinstance(came, Tensor) or came.shape != J.shape[:1]:
        return False
    right, nan = _ladj_number_by_number(J), came.isnan()
    diagonal = torch.diagonal(J, dim1=-2, dim2=-1)
    allowed, due = (diagonal < 0).any(-1), diagonal.sign().prod(-1) < 0
    return bool((nan <= allowed).all() and (due <= nan).all()) and same(came[~nan], right[~nan])


def triangular_ladj(J):
    diagonal = torch.diagonal(J, dim1=-2, dim2=-1)
    return diagonal.abs().log().sum(-1)


log_det = Exercise(
    **text(
        "3.3",
        Misconception(
            name="no absolute value",
            message="You took the logarithm of a negative number. Where can you take the absolute value?",
            edits=("diagonal.abs() -> diagonal",),
            fits=_without_absolute_value,
        ),
        Misconception(
            name="elimination",
            message="You eliminated the whole matrix, O(D^3). Where entries off the diagonal are large, that loses all "
            "digits, although the determinant does not depend on them. Which D entries are enough?",
            edits=(
                "diagonal.abs().log().sum(-1) -> torch.linalg.slogdet(J).logabsdet",
                "diagonal.abs().log().sum(-1) -> torch.linalg.det(J).abs().log()",
            ),
            fits=_eliminated,
        ),
    ),
    extreme=2,
    returns=("log|det J|",),
    cases=_triangular_matrices,
    truth=_ladj_number_by_number,
    answer=triangular_ladj,
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
            message="You divided by log_sigma. This is the *logarithm* of the scale, and it can be negative.",
            edits=("* torch.exp(-log_sigma) -> / log_sigma ;; -log_sigma.sum -> -log_sigma.abs().log().sum",),
            fits=_divided_by(lambda log_sigma: log_sigma),
        ),
        Misconception(
            name="divided by the variance",
            message="You divided by sigma squared. Divide by the standard deviation, so that it becomes one.",
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


# ---- 3.5 ---------------------------------------------------------------------------------------------------------


def _own_map_case(generator: torch.Generator, index: int) -> tuple:
    """Draw x and z (B, D), an ordering, W (H, D), c (H,), V (D, 3 K, H) and b (D, 3 K), D = 3, 4, ..., K = 2, 4, 2."""
    D, H, K = 3 + index, 6, 2 + 2 * (index % 2)
    W, c = 0.7 * draw(generator, H, D), 0.5 * draw(generator, H)
    V, b = 0.3 * draw(generator, D, 3 * K, H), 0.5 * draw(generator, D, 3 * K)
    V[:, 2 * K :] *= 0.3  # no x lies many standard deviations from every centre
    b[:, 2 * K :] += 0.5
    ordering = torch.tensor(_ordering(generator, D))
    return 0.7 * draw(generator, 3, D), 0.7 * draw(generator, 3, D), ordering, W, c, V, b


def _own_map_by_autograd(x, z, ordering, W, c, V, b):
    """Compute z by the sum over all earlier dimensions, log|det J| from its autograd Jacobian, and x by bisection."""
    K, rank = b.shape[1] // 3, ordering.argsort()
    before = (rank[None] < rank[:, None]).to(x.dtype)  # (D, D): 1 where the second comes before the first

    def cdf(points: Tensor, given: Tensor) -> Tensor:
        h = ((given[..., None, :] * before) @ W.T + c).clamp_min(0)  # (..., D, H)
        logits, mu, log_sigma = ((V @ h[..., None]).squeeze(-1) + b).split(K, -1)
        areas = torch.erf((points[..., None] - mu) / log_sigma.exp() / math.sqrt(2)) / 2 + 0.5
        return (logits.exp() * areas).sum(-1) / logits.exp().sum(-1)

    def whole(points: Tensor) -> Tensor:
        return math.sqrt(2) * torch.erfinv(2 * cdf(points, points) - 1)

    found, area = torch.zeros_like(z), torch.erf(z / math.sqrt(2)) / 2 + 0.5
    for i in ordering.tolist():
        low, high = torch.full_like(z, -200.0), torch.full_like(z, 200.0)
        for _ in range(70):
            middle = (low + high) / 2
            below = cdf(middle, found) < area
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        found[:, i] = low[:, i]
    return whole(x), log_abs_det_jacobian(whole, x), found


@torch.no_grad()
def _use(Map, x, z, ordering, W, c, V, b):
    """Make a map with these parameters, and apply it and its inverse."""
    made = Map(x.shape[1], len(c), b.shape[1] // 3).double()
    made.ordering.copy_(ordering)
    for name, value in {"W": W, "c": c, "V": V, "b": b}.items():
        getattr(made, name).copy_(value)
    return *pair("forward", made(x), "z", "log|det dz/dx|"), made.inverse(z)


class MyTriangularMap(torch.nn.Module):
    def __init__(self, D, H, K):
        super().__init__()
        self.register_buffer("ordering", torch.arange(D))
        self.W = torch.nn.Parameter(torch.randn(H, D) / H**0.5)
        self.c = torch.nn.Parameter(torch.randn(H) / H**0.5)
        self.V = torch.nn.Parameter(torch.randn(D, 3 * K, H) / 10)
        self.b = torch.nn.Parameter(torch.randn(D, 3 * K) / 2)

    def conditionals(self, x):
        h = torch.relu(all_activations(x, self.ordering, self.W, self.c))
        h = h[:, self.ordering.argsort()]
        outputs = torch.einsum("bdh,dkh->bdk", h, self.V) + self.b
        logits, mu, log_sigma = outputs.chunk(3, dim=-1)
        return Mixture(torch.log_softmax(logits, -1), mu, torch.exp(log_sigma))

    def forward(self, x):
        q = self.conditionals(x)
        parts = (part.flatten(0, 1) for part in (q.log_alpha, q.mu, q.sigma.log()))
        z = conditional_to_normal(x.flatten(), *parts).view_as(x)
        log_phi = torch.distributions.Normal(0.0, 1.0).log_prob(z)
        return z, (q.log_density(x) - log_phi).sum(-1)

    def inverse(self, z):
        return sequential_inverse(z, self.conditionals, self.ordering.tolist())


own_map = Exercise(
    **text("3.5"),
    arguments=("x", "z", "ordering", "W", "c", "V", "b"),
    returns=("z", "log|det J|", "inverse(z)"),
    cases=_own_map_case,
    truth=_own_map_by_autograd,
    answer=MyTriangularMap,
    tries=3,
    use=_use,
)
