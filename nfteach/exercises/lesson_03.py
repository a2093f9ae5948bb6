"""Lesson 03, triangular maps: a conditional's map, the log-determinant, the inverse, and the affine special case."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.comparing import same
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.flows import Mixture

__all__ = ["affine", "inverse", "log_det", "to_normal"]


# ---- 3.1 ---------------------------------------------------------------------------------------------------------


def _mixtures(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (B,), logits, mu and log_sigma (B, K), K = 2, 3, ...; each x lies where its mixture has mass."""
    B, K = 5, 2 + index
    mu = 2.0 * normal(generator, B, K)
    log_sigma = -0.6 + torch.rand(B, K, generator=generator, dtype=torch.float64)
    # The exponentials add up to 0.6: no weights yet, and no less than zero or more than one.
    logits = torch.log_softmax(normal(generator, B, K), -1) + math.log(0.6)
    component = torch.randint(K, (B, 1), generator=generator)
    step = 3 * torch.rand(B, 1, generator=generator, dtype=torch.float64) - 1.5
    x = mu.gather(1, component) + log_sigma.gather(1, component).exp() * step
    return x[:, 0], logits, mu, log_sigma


def _to_normal(x: Tensor, logits: Tensor, mu: Tensor, log_sigma: Tensor) -> Tensor:
    alpha = torch.softmax(logits, -1)
    u = (alpha * torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma))).sum(-1)
    return torch.special.ndtri(u)


_gauss_legendre = cache(np.polynomial.legendre.leggauss)  # it takes longer than all the rest


def _to_normal_by_quadrature(x: Tensor, logits: Tensor, mu: Tensor, log_sigma: Tensor) -> Tensor:
    """The area under the mixture's density from far on the left to x, by Gauss and Legendre's rule."""
    nodes, weights = _gauss_legendre(300)
    found = []
    for place, a, m, s in zip(x.tolist(), logits.numpy(), mu.numpy(), np.exp(log_sigma.numpy()), strict=True):
        left = float((m - 9 * s).min())
        t = left + (place - left) * (nodes[:, None] + 1) / 2
        density = (np.exp(a) / np.exp(a).sum() * np.exp(-((t - m) ** 2) / (2 * s**2)) / s).sum(1)
        area = float(weights @ density) * (place - left) / 2 / math.sqrt(2 * math.pi)
        found.append(NormalDist().inv_cdf(area))
    return torch.tensor(found, dtype=torch.float64)


def _cdf(x: Tensor, weights: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return (weights * ndtr((x[:, None] - mu) / sigma)).sum(-1)


to_normal = Exercise(
    number="3.1",
    title="the map of one conditional",
    arguments=("x", "logits", "mu", "log_sigma"),
    returns=("z",),
    cases=_mixtures,
    truth=_to_normal_by_quadrature,
    answer=_to_normal,
    reasoning=r"The area under a mixture up to $x$ is the mean of its components' areas, with the weights $\alpha$. Of "
    r"a Gaussian that area is $\Phi((x - \mu)/\sigma)$. Softmax and the exponential turn what a network says into "
    r"weights and scales. $\Phi^{-1}$ then finds the $z$ that has the same area to its left.",
    hints=(
        r"Three steps: the weights and scales; then $u = F(x)$; then $z = \Phi^{-1}(u)$.",
        r"$\alpha = \mathrm{softmax}(\text{logits})$ over the last dimension, $\sigma = \exp(\text{log\_sigma})$. To "
        r"subtract $\mu$ (B, K) from $x$ (B,), make $x$ a column: `x[:, None]`.",
        r"$u = \sum_k \alpha_k \Phi((x - \mu_k)/\sigma_k)$, with `torch.special.ndtr`. The inverse of that is "
        "`torch.special.ndtri`.",
    ),
    misconceptions=(
        Misconception(
            name="density in place of the area",
            message="You put the *density* at x into the inverse of Phi. What belongs there is the area under it, "
            "from the far left up to x.",
            answer=lambda x, logits, mu, log_sigma: ndtri(
                Mixture(torch.log_softmax(logits, -1), mu, log_sigma.exp()).log_density(x).exp()
            ),
        ),
        Misconception(
            name="weights not normalised",
            message="Of one mixture your weights do not add up to one. The exponentials of its K logits have to be "
            "divided by their sum.",
            answer=lambda x, logits, mu, log_sigma: ndtri(_cdf(x, logits.exp(), mu, log_sigma.exp())),
            fits=lambda came, x, logits, mu, log_sigma: any(
                same(came, ndtri(_cdf(x, weights, mu, log_sigma.exp())), 1e-4)
                for weights in (logits.exp(), torch.softmax(logits, 0))
            ),
        ),
        Misconception(
            name="weights forgotten",
            message="All components count the same with you. Where are the logits?",
            answer=lambda x, logits, mu, log_sigma: ndtri(ndtr((x[:, None] - mu) / log_sigma.exp()).mean(-1)),
        ),
        Misconception(
            name="log-scale used as scale",
            message="You divided by log_sigma. It is the *logarithm* of the scale, and may well be negative.",
            answer=lambda x, logits, mu, log_sigma: ndtri(_cdf(x, torch.softmax(logits, -1), mu, log_sigma)),
        ),
        Misconception(
            name="Phi in place of its inverse",
            message="You applied Phi to u. From an area back to a place leads its inverse.",
            answer=lambda x, logits, mu, log_sigma: ndtr(_cdf(x, torch.softmax(logits, -1), mu, log_sigma.exp())),
        ),
        Misconception(
            name="stopped at u",
            message="That is u, which is uniform and lies between 0 and 1. One step is missing: from u to z.",
            answer=lambda x, logits, mu, log_sigma: _cdf(x, torch.softmax(logits, -1), mu, log_sigma.exp()),
        ),
        Misconception(
            name="averaged after the inverse",
            message="You made a z for each component and took their mean. It is the *areas* that are averaged; the "
            "inverse of Phi comes once, at the end.",
            answer=lambda x, logits, mu, log_sigma: (
                torch.softmax(logits, -1) * (x[:, None] - mu) / log_sigma.exp()
            ).sum(-1),
        ),
    ),
)


# ---- 3.2 ---------------------------------------------------------------------------------------------------------


def _ordering(generator: torch.Generator, D: int) -> list[int]:
    """A random one in which neither 0, 1, 2, ... nor the dimensions' places can stand for the ordering."""
    while True:
        ordering = torch.randperm(D, generator=generator)
        place = ordering.argsort()
        if not torch.equal(place, ordering) and not torch.equal(ordering, torch.arange(D)):
            return ordering.tolist()


def _triangular_matrices(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """J (B, D, D), lower triangular in a random ordering; of the first point's diagonal an odd number are negative."""
    B, D = 4, 3 + index
    lower = torch.tril(2 * normal(generator, B, D, D), -1)
    diagonal = torch.exp(0.7 * normal(generator, B, D))
    diagonal[0, 0] = -diagonal[0, 0]
    diagonal[1, :2] = -diagonal[1, :2]
    place = torch.tensor(_ordering(generator, D)).argsort()
    return ((lower + torch.diag_embed(diagonal))[:, place][:, :, place],)


def _diagonal(J: Tensor) -> Tensor:
    return torch.diagonal(J, dim1=-2, dim2=-1)


def _ladj(J: Tensor) -> Tensor:
    diagonal = torch.diagonal(J, dim1=-2, dim2=-1)
    return diagonal.abs().log().sum(-1)


def _ladj_by_elimination(J: Tensor) -> Tensor:
    return torch.linalg.slogdet(J).logabsdet


def _all_entries(J: Tensor) -> Tensor:
    return torch.where(J == 0, 1.0, J.abs()).log().sum((-2, -1))


def _with_all_entries(came: object, J: Tensor) -> bool:
    """Whether the zeros were left out, or met with a logarithm of zero."""
    return same(came, _all_entries(J), 1e-4) or same(came, J.abs().log().sum((-2, -1)), 1e-4)


def _without_absolute_value(came: object, J: Tensor) -> bool:
    """NaN at points with a negative entry, at least where det J is negative, and right at the others."""
    if not isinstance(came, Tensor) or came.shape != J.shape[:1]:
        return False
    right, nan = _ladj_by_elimination(J), came.isnan()
    allowed, due = (_diagonal(J) < 0).any(-1), torch.linalg.det(J) < 0
    return bool((nan <= allowed).all() and (due <= nan).all()) and same(came[~nan], right[~nan], 1e-4)


log_det = Exercise(
    number="3.2",
    title="the log-determinant from the diagonal",
    arguments=("J",),
    returns=("log|det J|",),
    cases=_triangular_matrices,
    truth=_ladj_by_elimination,
    answer=_ladj,
    reasoning="The determinant of a triangular matrix is the product of its diagonal, so the logarithm is a sum of D "
    "numbers. Permuting rows and columns in the same way moves diagonal entries along the diagonal and leaves the "
    "determinant alone, so you need not even know the ordering. The absolute value is there for maps that fall in "
    "some dimension.",
    hints=(
        "In which ordering J is triangular makes no difference: the diagonal holds the same D numbers in any.",
        "`torch.diagonal(J, dim1=-2, dim2=-1)` is (B, D). Then absolute value, logarithm, sum over the last dimension.",
    ),
    misconceptions=(
        Misconception(
            name="added without the logarithm",
            message="You added up the diagonal itself. That is the trace; the logarithm of a product is a sum of "
            "*logarithms*.",
            answer=lambda J: _diagonal(J).sum(-1),
        ),
        Misconception(
            name="no logarithm",
            message="That is |det J|, or det J. Its logarithm is asked for.",
            answer=lambda J: _diagonal(J).prod(-1).abs(),
            fits=lambda came, J: any(same(came, one, 1e-4) for one in (torch.linalg.det(J), torch.linalg.det(J).abs())),
        ),
        Misconception(
            name="entries off the diagonal counted",
            message="You took in entries off the diagonal as well. The determinant of a triangular matrix does not "
            "see them.",
            answer=_all_entries,
            fits=_with_all_entries,
        ),
        Misconception(
            name="summed over the batch",
            message="You summed over the batch. Each point has a log-determinant of its own.",
            answer=lambda J: _ladj(J).sum(),
        ),
        Misconception(
            name="no absolute value",
            message="You took the logarithm of a negative number. |det J| does not depend on signs: where can you drop "
            "them?",
            answer=lambda J: _diagonal(J).log().sum(-1),
            fits=_without_absolute_value,
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-determinant of the inverse, z to x.",
            answer=lambda J: -_ladj(J),
        ),
    ),
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
    """x (B, D) -> the D conditionals, each made from the x before it in an ordering, as a learner is handed them."""

    __name__ = "function"

    def __init__(self, generator: torch.Generator, ordering: list[int]) -> None:
        D, place = len(ordering), torch.tensor(ordering).argsort()
        before = place[None, :] < place[:, None]
        self.A, self.B = (normal(generator, D, D) * before for _ in range(2))
        self.b = normal(generator, D)

    def __call__(self, x: Tensor) -> _Gaussians:
        return _Gaussians(2 * torch.tanh(x @ self.A.T) + self.b, torch.exp(0.7 * torch.tanh(x @ self.B.T)))


def _autoregressive_case(generator: torch.Generator, index: int) -> tuple[Tensor, _Conditionals, list[int]]:
    ordering = _ordering(generator, 3 + index)
    return normal(generator, 3, len(ordering)), _Conditionals(generator, ordering), ordering


def _inverse(z: Tensor, conditionals: Callable[[Tensor], Any], ordering: list[int]) -> Tensor:
    x = torch.zeros_like(z)
    for i in ordering:
        x[:, i] = conditionals(x).from_normal(z)[:, i]
    return x


def _inverse_by_numbers(z: Tensor, conditionals: _Conditionals, ordering: list[int]) -> Tensor:
    """Point by point and number by number, each from the numbers found before it."""
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


def _with_parameters_of_zero(came: object, z: Tensor, conditionals: _Conditionals, ordering: list[int]) -> bool:
    """All at once, in a loop that goes backwards, or in one that collects columns and leaves x as it is."""
    x = conditionals(torch.zeros_like(z)).from_normal(z)
    return same(came, x, 1e-4) or same(came, x[:, ordering], 1e-4)


def _forwards(came: object, z: Tensor, conditionals: _Conditionals, ordering: list[int]) -> bool:
    """With the parameters from z, or column by column in the ordering."""
    x = torch.zeros_like(z)
    for i in ordering:
        x[:, i] = conditionals(x).to_normal(z)[:, i]
    return same(came, conditionals(z).to_normal(z), 1e-4) or same(came, x, 1e-4)


inverse = Exercise(
    number="3.3",
    title="the inverse, one dimension after another",
    arguments=("z", "conditionals", "ordering"),
    returns=("x",),
    cases=_autoregressive_case,
    truth=_inverse_by_numbers,
    answer=_inverse,
    reasoning="Nothing is needed for the first conditional of the ordering, so its equation can be solved at once. "
    "Each x that is found completes the parameters of the next conditional: therefore they are computed *inside* the "
    "loop. The zeros that still stand in x do no harm, because no conditional looks at what comes after it. (It "
    "solves all D equations in each round and keeps one. The package's inverse solves only that one.)",
    hints=(
        "Start with an x of zeros. Which dimension can be found without knowing any other?",
        "`conditionals(x).from_normal(z)` solves all D equations with the parameters that follow from the present x. "
        "Column i is right as soon as all dimensions before i are.",
        "Loop `for i in ordering`, and write one column of x in each round: `x[:, i] = ...`.",
    ),
    misconceptions=(
        Misconception(
            name="parameters not updated",
            message="You solved every equation with the parameters that follow from x = 0. Those of a conditional "
            "depend on the x before it: it has to be found, and to stand in its column, before you ask.",
            answer=lambda z, conditionals, ordering: conditionals(torch.zeros_like(z)).from_normal(z),
            fits=_with_parameters_of_zero,
        ),
        Misconception(
            name="parameters from z",
            message="You computed the parameters of the conditionals from z. They are functions of x.",
            answer=lambda z, conditionals, ordering: conditionals(z).from_normal(z),
        ),
        Misconception(
            name="order of the data",
            message="You went through the dimensions as 0, 1, 2, ... The model has an ordering of its own, and some "
            "of your conditionals were asked before what they depend on was known.",
            answer=lambda z, conditionals, ordering: _inverse(z, conditionals, list(range(len(ordering)))),
        ),
        Misconception(
            name="places taken for dimensions",
            message="You read the ordering the wrong way round: ordering[0] is the dimension that comes first, not "
            "the place at which dimension 0 comes.",
            answer=lambda z, conditionals, ordering: _inverse(
                z, conditionals, sorted(range(len(ordering)), key=ordering.__getitem__)
            ),
        ),
        Misconception(
            name="left in the ordering",
            message="The numbers are right, but they stand in the order in which they were found. Put each where the "
            "data have it.",
            answer=lambda z, conditionals, ordering: _inverse_by_numbers(z, conditionals, ordering)[:, ordering],
        ),
        Misconception(
            name="the map forwards",
            message="You applied the map x to z. What is asked for is the way back, `from_normal`.",
            answer=lambda z, conditionals, ordering: conditionals(z).to_normal(z),
            fits=_forwards,
        ),
    ),
)


# ---- 3.4 ---------------------------------------------------------------------------------------------------------


class _Network:
    """x (B, D) -> mu and log_sigma (B, D), each made from the x before it."""

    __name__ = "function"

    def __init__(self, generator: torch.Generator, D: int) -> None:
        self.A, self.B = (torch.tril(normal(generator, D, D), -1) for _ in range(2))
        self.b, self.c = normal(generator, D), normal(generator, D)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * torch.tanh(x @ self.A.T) + self.b, 0.7 * torch.tanh(x @ self.B.T + self.c)


def _affine_case(generator: torch.Generator, index: int) -> tuple[Tensor, _Network]:
    D = 3 + index
    return 1.5 * normal(generator, 4, D), _Network(generator, D)


def _affine(x: Tensor, network: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    mu, log_sigma = network(x)
    z = (x - mu) * torch.exp(-log_sigma)
    return z, -log_sigma.sum(-1)


def _affine_by_autograd(x: Tensor, network: _Network) -> tuple[Tensor, Tensor]:
    """z number by number, and log|det J| by elimination of the autograd Jacobian."""
    mu, log_sigma = network(x)
    rows = zip(x.tolist(), mu.tolist(), log_sigma.tolist(), strict=True)
    z = torch.tensor([[(v - m) / math.exp(s) for v, m, s in zip(*row, strict=True)] for row in rows], dtype=x.dtype)

    def whole(points: Tensor) -> Tensor:
        mu, log_sigma = network(points)
        return (points - mu) / log_sigma.exp()

    return z, log_abs_det_jacobian(whole, x)


def _generated(x: Tensor, network: _Network) -> tuple[Tensor, Tensor]:
    mu, log_sigma = network(x)
    return mu + log_sigma.exp() * x, log_sigma.sum(-1)


def _with_scale(scale: Callable[[Tensor], Tensor]) -> Callable[[Tensor, _Network], tuple[Tensor, Tensor]]:
    """The answer, but divided by another scale."""

    def answer(x: Tensor, network: _Network) -> tuple[Tensor, Tensor]:
        mu, log_sigma = network(x)
        return (x - mu) / scale(log_sigma), -scale(log_sigma).abs().log().sum(-1)

    return answer


affine = Exercise(
    number="3.4",
    title="the affine autoregressive map",
    arguments=("x", "network"),
    returns=("z", "log|det J|"),
    cases=_affine_case,
    truth=_affine_by_autograd,
    answer=_affine,
    reasoning=r"Of one Gaussian $\Phi^{-1}(F(x))$ is simply $(x - \mu)/\sigma$. The diagonal of $J$ holds the "
    r"$1/\sigma_d$, so $\log|\det J| = -\sum_d \log\sigma_d$. All of $x$ is there, so one call of the network is "
    "enough: that is the fast direction of MAF.",
    hints=(
        r"`mu, log_sigma = network(x)` gives all D means and log-scales at once, for all of $x$ is known.",
        r"$z_d = (x_d - \mu_d) / \sigma_d$ with $\sigma_d = \exp(\text{log\_sigma}_d)$. What is $\partial z_d / "
        r"\partial x_d$, if $\mu_d$ and $\sigma_d$ look only at dimensions before $d$?",
        r"The diagonal is $1/\sigma_d$. Its logarithm is $-\text{log\_sigma}_d$; add up over $d$. Return both: "
        "`return z, ladj`.",
    ),
    misconceptions=(
        Misconception(
            name="the other direction",
            message="You wrote mu + sigma x. This is the way from noise to data; here x is data, and z is wanted.",
            answer=_generated,
        ),
        Misconception(
            name="sign of the log-determinant",
            message="z is right. The sign of the log-determinant is flipped: where sigma is small, the map stretches.",
            answer=lambda x, network: (_affine(x, network)[0], -_affine(x, network)[1]),
        ),
        Misconception(
            name="log-scale used as scale",
            message="You divided by log_sigma. It is the *logarithm* of the scale, and may well be negative.",
            answer=_with_scale(lambda log_sigma: log_sigma),
            fits=lambda came, x, network: (
                isinstance(came, tuple | list)
                and len(came) == 2
                and same(came[0], _with_scale(lambda log_sigma: log_sigma)(x, network)[0], 1e-4)
            ),
        ),
        Misconception(
            name="divided by the variance",
            message="You divided by sigma squared. To make the spread one, divide by the standard deviation.",
            answer=_with_scale(lambda log_sigma: (2 * log_sigma).exp()),
            fits=lambda came, x, network: (
                isinstance(came, tuple | list)
                and len(came) == 2
                and same(came[0], _with_scale(lambda log_sigma: (2 * log_sigma).exp())(x, network)[0], 1e-4)
            ),
        ),
        Misconception(
            name="one log-determinant a dimension",
            message="z is right. The log-determinant of a point is *one* number: add up over the dimensions.",
            answer=lambda x, network: (_affine(x, network)[0], -network(x)[1]),
        ),
        Misconception(
            name="summed over the batch",
            message="z is right. You summed the log-determinant over the batch, but each point has its own.",
            answer=lambda x, network: (_affine(x, network)[0], _affine(x, network)[1].sum()),
        ),
    ),
)
