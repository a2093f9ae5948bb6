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
from nfteach.exercises.mistakes import slips

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
    number="3.1",
    title="the map of one conditional",
    returns=("z",),
    cases=_mixtures,
    truth=_to_normal_by_quadrature,
    answer=conditional_to_normal,
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
    misconceptions=slips(r"""
        density in place of the area: You put the *density* at x into the inverse of Phi. What belongs there is the
            area under it, from the far left up to x.
            torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma)) ->
            torch.distributions.Normal(mu, torch.exp(log_sigma)).log_prob(x[:, None]).exp()
        weights not normalised: Of one mixture your weights do not add up to one. The exponentials of its K logits
            have to be divided by their sum.
            torch.softmax(logits, -1) -> torch.exp(logits)
            torch.softmax(logits, -1) -> torch.softmax(logits, 0)
        logits for weights: You weighted with the logits themselves. Weights are positive and add up to one.
            torch.softmax(logits, -1) -> logits
        weights forgotten: All components count the same with you. Where are the logits?
            alpha = torch.softmax(logits, -1) -> alpha = torch.full_like(logits, 1 / logits.shape[-1])
        log-scale used as scale: You divided by log_sigma. It is the *logarithm* of the scale, and may well be
            negative.
            torch.exp(log_sigma) -> log_sigma
        multiplied by the scale: You multiplied by sigma. The distance from mu is measured in units of sigma: divide.
            / torch.exp(log_sigma) -> * torch.exp(log_sigma)
        scale forgotten: sigma does not appear. The distance from mu is measured in units of sigma.
            (x[:, None] - mu) / torch.exp(log_sigma) -> x[:, None] - mu
        variance for scale: You divided by sigma squared. Of a Gaussian the area is Phi of (x - mu) / sigma.
            torch.exp(log_sigma) -> torch.exp(2 * log_sigma)
        Phi in place of its inverse: You applied Phi to u. From an area back to a place leads its inverse.
            torch.special.ndtri(u) -> torch.special.ndtr(u)
        stopped at u: That is u, which is uniform and lies between 0 and 1. One step is missing: from u to z.
            torch.special.ndtri(u) -> u
        averaged after the inverse: You made a z for each component and took their mean. It is the *areas* that are
            averaged; the inverse of Phi comes once, at the end.
            torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma)) ->
            (x[:, None] - mu) / torch.exp(log_sigma) ;;
            torch.special.ndtri(u) -> u
        a sigmoid for Phi: You took the sigmoid for Phi, and the logit for its inverse. They look alike, and are other
            functions.
            torch.special.ndtr( -> torch.sigmoid( ;; torch.special.ndtri(u) -> torch.logit(u)
            torch.special.ndtr( -> torch.sigmoid(
            torch.special.ndtri(u) -> torch.logit(u)
        the area to the right: You took the area to the right of x: your z falls where x rises.
            x[:, None] - mu -> mu - x[:, None]
            torch.special.ndtri(u) -> torch.special.ndtri(1 - u)
        one Gaussian for all: You made one Gaussian of the mixture first, with its mean and its scale. The areas of the
            components are averaged, each with its own.
            torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma))).sum(-1) -> mu).sum(-1) ;;
            torch.special.ndtri(u) -> (x - u) / (alpha * torch.exp(log_sigma)).sum(-1)
            torch.special.ndtr((x[:, None] - mu) / torch.exp(log_sigma))).sum(-1) -> mu).sum(-1) ;;
            torch.special.ndtri(u) -> (x - u) / torch.exp((alpha * log_sigma).sum(-1))
        mean in place of the sum: You divided by the number of components. The weights add up to one already.
            .sum(-1) -> .mean(-1)
        the most likely component alone: You took the component with the largest weight alone. All of them count, each
            with its weight.
            alpha = torch.softmax(logits, -1) ->
            alpha = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1])
    """),
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
    number="3.2",
    title="the log-determinant from the diagonal",
    returns=("log|det J|",),
    cases=_triangular_matrices,
    truth=_ladj_by_elimination,
    answer=triangular_ladj,
    remark=_eliminates,
    reasoning="The determinant of a triangular matrix is the product of its diagonal, so the logarithm is a sum of D "
    "numbers. Permuting rows and columns in the same way moves diagonal entries along the diagonal and leaves the "
    "determinant alone, so you need not even know the ordering. The absolute value is there for maps that fall in "
    "some dimension.",
    hints=(
        "In which ordering J is triangular makes no difference: the diagonal holds the same D numbers in any.",
        "`torch.diagonal(J, dim1=-2, dim2=-1)` is (B, D). Then absolute value, logarithm, sum over the last dimension.",
    ),
    misconceptions=(
        *slips(r"""
        added without the logarithm: You added up the diagonal itself. That is the trace; the logarithm of a product
            is a sum of *logarithms*.
            diagonal.abs().log().sum(-1) -> diagonal.sum(-1)
            diagonal.abs().log().sum(-1) -> diagonal.abs().sum(-1)
        no logarithm: That is |det J|, or det J. Its logarithm is asked for.
            diagonal.abs().log().sum(-1) -> diagonal.prod(-1)
            diagonal.abs().log().sum(-1) -> diagonal.abs().prod(-1)
        entries off the diagonal counted: You took in entries off the diagonal as well. The determinant of a
            triangular matrix does not see them.
            diagonal.abs().log().sum(-1) -> J.abs().log().sum((-2, -1))
            diagonal.abs().log().sum(-1) -> torch.where(J == 0, 1.0, J.abs()).log().sum((-2, -1))
        summed over the batch: You summed over the batch. Each point has a log-determinant of its own.
            .sum(-1) -> .sum()
    """),
        Misconception(
            name="no absolute value",
            message="You took the logarithm of a negative number. |det J| does not depend on signs: where can you drop "
            "them?",
            edits=("diagonal.abs() -> diagonal",),
            fits=_without_absolute_value,
        ),
        *slips(r"""
        absolute value last: You took the absolute value of the logarithms. Where |det J| is small they are negative,
            and stay so.
            diagonal.abs().log().sum(-1) -> diagonal.abs().log().abs().sum(-1)
            diagonal.abs().log().sum(-1) -> diagonal.abs().log().sum(-1).abs()
        averaged: You took the mean over the dimensions. The logarithm of a product is the *sum* of the logarithms.
            .sum(-1) -> .mean(-1)
        not summed: These are the logarithms of the diagonal entries. The determinant is the product of all.
            .sum(-1) ->
        the diagonal of another axis: You took the diagonal across the batch. With `dim1=-2, dim2=-1` it is that of
            each matrix.
            torch.diagonal(J, dim1=-2, dim2=-1) -> torch.diagonal(J)
        logarithm of the trace: You took the logarithm of a sum. The logarithm of a *product* is the sum of
            logarithms.
            diagonal.abs().log().sum(-1) -> diagonal.abs().sum(-1).log()
            diagonal.abs().log().sum(-1) -> diagonal.sum(-1).abs().log()
        sign flipped: The sign is flipped: this is the log-determinant of the inverse, z to x.
            return  -> return -
            return diagonal -> return -diagonal
    """),
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
    number="3.3",
    title="the inverse, one dimension after another",
    returns=("x",),
    cases=_autoregressive_case,
    truth=_inverse_by_numbers,
    answer=sequential_inverse,
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
    misconceptions=slips(r"""
        parameters not updated: You solved every equation with the parameters that follow from x = 0. Those of a
            conditional depend on the x before it: it has to be found, and to stand in its column, before you ask.
            conditionals(x) -> conditionals(torch.zeros_like(x))
            return x -> return conditionals(torch.zeros_like(x)).from_normal(z)[:, ordering]
        parameters from z: You computed the parameters of the conditionals from z. They are functions of x.
            conditionals(x) -> conditionals(z)
        order of the data: You went through the dimensions as 0, 1, 2, ... The model has an ordering of its own, and
            some of your conditionals were asked before what they depend on was known.
            in ordering -> in range(len(ordering))
        in descending order: You went through the dimensions from the last to the first. The model has an ordering of
            its own.
            in ordering -> in reversed(range(len(ordering)))
        places taken for dimensions: You read the ordering the wrong way round: ordering[0] is the dimension that
            comes first, not the place at which dimension 0 comes.
            in ordering -> in sorted(range(len(ordering)), key=ordering.__getitem__)
        left in the ordering: The numbers are right, but they stand in the order in which they were found. Put each
            where the data have it.
            return x -> return x[:, ordering]
        the map forwards: You applied the map x to z. What is asked for is the way back, `from_normal`.
            from_normal -> to_normal
            conditionals(x).from_normal(z) -> conditionals(z).to_normal(z)
        started from z: You began with a copy of z: entries of x that are not found yet hold numbers that are not x.
            That is fine, for no conditional looks at them; but you gave back z.
            conditionals(x).from_normal(z)[:, i] -> z[:, i]
        the last dimension left out: The last dimension of the ordering is never solved for: it is still 0.
            in ordering -> in ordering[:-1]
        the first dimension left out: The first dimension of the ordering is never solved for: it is still 0.
            in ordering -> in ordering[1:]
        one round too few: You solved all dimensions at once, and again, but not often enough: with each round one
            more of them is right.
            for i in ordering: -> for i in ordering[1:]: ;;
            x[:, i] = conditionals(x).from_normal(z)[:, i] ->
            x = conditionals(x).from_normal(z)
        z of the previous: Each equation got the z of the dimension before. Dimension i is solved from its own z.
            from_normal(z)[:, i] -> from_normal(z.roll(1, -1))[:, i]
        steps for dimensions: You wrote the numbers into the columns 0, 1, 2, ..., in the order in which they were
            found. Column i belongs to dimension i.
            for i in ordering: -> for k, i in enumerate(ordering): ;; x[:, i] = -> x[:, k] =
    """),
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
    number="3.4",
    optional=True,
    title="the affine autoregressive map",
    returns=("z", "log|det J|"),
    cases=_affine_case,
    truth=_affine_by_autograd,
    answer=affine_autoregressive,
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
        *slips(r"""
        the other direction: You wrote mu + sigma x. This is the way from noise to data; here x is data, and z is
            wanted.
            (x - mu) * torch.exp(-log_sigma) -> mu + torch.exp(log_sigma) * x ;;
            -log_sigma.sum(-1) ->
            log_sigma.sum(-1)
            (x - mu) * torch.exp(-log_sigma) -> mu + torch.exp(log_sigma) * x
        sign of the log-determinant: z is right. The sign of the log-determinant is flipped: where sigma is small, the
            map stretches.
            z, -log_sigma -> z, log_sigma
    """),
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
        *slips(r"""
        multiplied by sigma: You multiplied by sigma. To make the spread one, divide by it.
            torch.exp(-log_sigma) -> torch.exp(log_sigma)
        mu added: You added mu. To make the mean zero, take it away.
            x - mu -> x + mu
        mu left out: mu does not appear: it has to be taken away before the division.
            (x - mu) -> x
        mu taken away last: You divided first and took mu away afterwards. mu is in the units of x: take it away
            first.
            (x - mu) * torch.exp(-log_sigma) -> x * torch.exp(-log_sigma) - mu
        sigma left out: sigma does not appear in z: the spread is not one.
            * torch.exp(-log_sigma) ->
        one log-determinant a dimension: z is right. The log-determinant of a point is *one* number: add up over the
            dimensions.
            -log_sigma.sum(-1) -> -log_sigma
        summed over the batch: z is right. You summed the log-determinant over the batch, but each point has its own.
            -log_sigma.sum(-1) -> -log_sigma.sum()
        averaged: z is right. You took the mean over the dimensions: the logarithm of a product is the *sum* of the
            logarithms.
            -log_sigma.sum(-1) -> -log_sigma.mean(-1)
        no logarithm: z is right. Your second is |det J| itself; its logarithm is asked for.
            -log_sigma.sum(-1) -> torch.exp(-log_sigma.sum(-1))
        exponentials added: z is right. You added up the slopes themselves; their logarithms are added.
            -log_sigma.sum(-1) -> -torch.exp(log_sigma).sum(-1)
            -log_sigma.sum(-1) -> torch.exp(-log_sigma).sum(-1)
    """),
    ),
)
