"""Lesson 01, change of variables: an affine map, a composition, both directions, and three densities to repair."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.mistakes import slips
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
    number="1.1",
    title="the density of an affine map",
    returns=("log q(x)",),
    cases=_affine_case,
    truth=_gaussian,
    answer=affine_log_density,
    reasoning=r"The map is its own linear part: $J = A$ everywhere. So find the $z$ behind each $x$, take $\log p$ "
    r"*there*, and subtract $\log|\det A|$, one number for all points. The points are rows and $A$ acts on columns, "
    r"hence the two transposes. `slogdet` gives the sign and $\log|\det A|$ separately, and never overflows.",
    hints=(
        r"Which $z$ was sent to $x$? Solve $A z = x - c$. For rows: `torch.linalg.solve(A, (x - c).T).T`.",
        r"$\log p(z)$ is a sum over the dimensions: `torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)`.",
        r"By (4), $\log q(x) = \log p(z) - \log|\det A|$, and `torch.linalg.slogdet(A).logabsdet` is the last term.",
    ),
    misconceptions=slips(r"""
        multiplied by the determinant: You multiplied by |det A|, in logs: added it. Where space is stretched, the
            density falls.
            return log_p - -> return log_p +
        no absolute value: det A is negative for some of the maps, and its logarithm is then NaN. A map that turns
            space over makes no volume negative.
            torch.linalg.slogdet(A).logabsdet -> torch.log(torch.det(A))
        no determinant: That is log p(z) alone, as if the map kept all volumes. Where is the determinant?
            - torch.linalg.slogdet(A).logabsdet ->
        p at x: You asked p for its value at x. The mass at x came from another place, the z with A z + c = x.
            log_prob(z) -> log_prob(x)
        rows for columns: A z multiplies a *column* z, and your points are rows. Yours is the density of the rows z A
            + c, as if A were transposed.
            torch.linalg.solve(A, (x - c).T).T -> torch.linalg.solve(A.T, (x - c).T).T
        product of the diagonal: You took the product of the diagonal of A for its determinant. That is so for
            triangular matrices; these are full.
            torch.linalg.slogdet(A).logabsdet -> torch.log(torch.abs(torch.diagonal(A))).sum()
        constant of one dimension: The constant of the normal density, half of log 2 pi, is there once. Each of the D
            coordinates of z brings its own.
            return log_p -> return log_p + 0.5 * (len(c) - 1) * torch.tensor(2 * torch.pi).log()
        no constant: The constant of the normal density is missing, half of log 2 pi in each dimension: the mass is
            not 1.
            return log_p -> return log_p + 0.5 * len(c) * torch.tensor(2 * torch.pi).log()
        the density, not its logarithm: That is the density. Its logarithm is asked for.
            return log_p - torch.linalg.slogdet(A).logabsdet ->
            return (log_p - torch.linalg.slogdet(A).logabsdet).exp()
        log-determinant for each coordinate: You took the log-determinant away from every coordinate's term, so D
            times. It belongs to the point as a whole.
            - torch.linalg -> - len(c) * torch.linalg
        determinant without its logarithm: You subtracted |det A| itself. In a log-density its logarithm is
            subtracted.
            torch.linalg.slogdet(A).logabsdet -> torch.linalg.det(A).abs()
            torch.linalg.slogdet(A).logabsdet -> torch.linalg.det(A)
        divided by the determinant: You divided log p by |det A|. Densities are divided; of their logarithms one is
            taken from the other.
            log_p - torch.linalg.slogdet(A).logabsdet -> log_p / torch.linalg.det(A).abs()
        shift left out: c does not appear. Take it away from x before you solve for z.
            (x - c) -> x
        shift added: c was added on the way from z to x. On the way back take it away.
            (x - c) -> (x + c)
        forward in place of back: You applied the map to x once more. x has been there: go back to z.
            torch.linalg.solve(A, (x - c).T).T -> x @ A.T + c
        A for its inverse: You multiplied x - c by A. To undo A, solve with it.
            torch.linalg.solve(A, (x - c).T).T -> (x - c) @ A.T
            torch.linalg.solve(A, (x - c).T).T -> (x - c) @ A
        half the determinant: You took half of log|det A|. That half belongs to a covariance; here it is A
            itself that stretches.
            - torch.linalg -> - 0.5 * torch.linalg
        twice the determinant: You took log|det A| away twice. It counts once.
            - torch.linalg -> - 2 * torch.linalg
        not summed: Each coordinate has a number of its own with you. log p(z) is their sum: the coordinates are
            independent.
            .sum(-1) -> ;; torch.linalg.slogdet(A).logabsdet -> torch.linalg.slogdet(A).logabsdet
        averaged: You averaged over the coordinates. log p(z) is the sum of their log-densities.
            .sum(-1) -> .mean(-1)
        summed over the batch: You summed over the batch. Each point has a log-density of its own.
            .sum(-1) -> .sum()
    """),
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
    number="1.2",
    title="the log-determinant of a composition",
    returns=("log|det J|",),
    cases=_layers_case,
    truth=_composition_by_autograd,
    answer=composed_ladj,
    reasoning=r"The chain rule multiplies the Jacobians, so the log-determinants add. What one layer hands out is what "
    r"the next takes in: `z = x` at the end of the round moves the point along, and each log-determinant is asked for "
    r"before that, at the layer's own input.",
    hints=(
        "Go through the layers in order. Keep two things: where the point is now, and the sum so far.",
        "In each round: `x = layer(z)`, add `layer.log_abs_det_jacobian(z, x)`, then `z = x`.",
    ),
    misconceptions=slips(r"""
        all at the first input: You asked all layers at the point that enters the first one. The second layer never
            sees that point: it sees what the first has made of it.
            z = x\n -> pass\n
        at the output: You asked each layer at its *output*. The linear map that it is near a point is taken at its
            input.
            layer.log_abs_det_jacobian(z, x) -> layer.call_and_ladj(x)[1]
        in reverse order: You went through the layers from the last to the first. The first of the list is the first
            to act.
            in layers -> in layers[::-1]
        sign flipped: The sign is flipped: this is the log-determinant of the way back.
            return total -> return -total
            total + layer -> total - layer
        first layer alone: That is the log-determinant of the first layer alone. Does your `return` stand inside the
            loop?
            return total -> \n        return total
        last layer alone: That is the log-determinant of the last layer alone: in each round the sum is overwritten.
            total = total + -> total =
        multiplied: You multiplied the log-determinants. Determinants multiply; their logarithms add.
            total = torch.zeros -> total = torch.ones ;; total + layer -> total * layer
        averaged: You divided by the number of layers. The log-determinants add up, all of them.
            return total -> return total / len(layers)
        the last layer left out: The last layer is left out.
            in layers -> in layers[:-1]
        the first layer left out: The first layer is left out.
            in layers -> in layers[1:]
        exponential: That is |det J|. Its logarithm is asked for.
            return total -> return total.exp()
        the last output: That is where the points end up. Asked for is the log-determinant.
            return total -> return z
        summed over the batch: You summed over the batch. Each point has a log-determinant of its own.
            return total -> return total.sum()
    """),
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
    number="1.3",
    title="both directions",
    returns=("log q at f(z)", "log q at x"),
    cases=_both_case,
    truth=_both_by_autograd,
    answer=log_q_both_ways,
    reasoning=r"It is one formula, read from its two ends. Where you come from $z$ you know $\log|\det dx/dz|$ and "
    r"*subtract* it. Where you come from $x$ you know $\log|\det dz/dx|$, its negative, and *add* it. In both, "
    r"$\log p$ is asked for a point of the base's own space.",
    hints=(
        "For the first, (7): `f.call_and_ladj(z)` gives f(z), which is not needed, and log|det dx/dz| at z.",
        "For the second, (8): `f.inverse_and_ladj(x)` gives the point that x came from, and log|det dz/dx| at x.",
        "The badge z -> x goes with minus, x -> z goes with plus.",
    ),
    misconceptions=slips(r"""
        plus in both: The first has the wrong sign. Where z -> x stretches space the density falls; yours rises.
            log_p(z) - ladj -> log_p(z) + ladj
        minus in both: The second has the wrong sign. Where the way back, x -> z, shrinks space, the sand has been
            spread thin; yours is piled up there.
            log_p(before) + -> log_p(before) -
        signs exchanged: Both signs are the wrong way round: you multiply by the stretch and divide by its inverse.
            - ladj -> + ladj ;; + inverse_ladj -> - inverse_ladj
        p at x: You asked log_p for its value at a point of x. p is the density of z: it knows nothing of that space.
            log_p(before) -> log_p(x)
        p at f(z): In the first you asked log_p for its value at f(z). p is the density of z: it knows nothing of that
            space.
            _, ladj = -> y, ladj = ;; log_p(z) -> log_p(y)
        J at the output: For the second you asked for log|det dx/dz| *at x*. That Jacobian belongs to a point z: here,
            to the one that x came from.
            log_p(before) + inverse_ladj -> log_p(before) - f.call_and_ladj(x)[1]
        at the same points: Your second is log q at f(z) once more. Asked for is log q at the points x that you were
            given.
            before, inverse_ladj = f.inverse_and_ladj(x) -> before, inverse_ladj = z, -ladj
        no log-determinant in the first: In the first the log-determinant is missing: the map changes the density.
            log_p(z) - ladj -> log_p(z)
        no log-determinant in the second: In the second the log-determinant is missing: the way back changes the
            density, too.
            + inverse_ladj ->
        the map forwards: In the second you took x for a point of the base, and sent it forward. x is where points
            arrive: go back.
            f.inverse_and_ladj(x) -> f.call_and_ladj(x)
        y for x: In the first you went back from z. z is a point of the base: the way from there is f itself.
            f.call_and_ladj(z) -> f.inverse_and_ladj(z)
        exchanged: The two are in the wrong order: first at f(z), then at x.
            return log_p(z) - ladj, log_p(before) + inverse_ladj ->
            return log_p(before) + inverse_ladj, log_p(z) - ladj
        densities, not logarithms: These are densities. Their logarithms are asked for.
            log_p(z) - ladj -> (log_p(z) - ladj).exp() ;;
            log_p(before) + inverse_ladj -> (log_p(before) + inverse_ladj).exp()
        summed over the batch: You summed over the batch. Each point has a log-density of its own.
            log_p(z) - ladj -> (log_p(z) - ladj).sum() ;;
            log_p(before) + inverse_ladj -> (log_p(before) + inverse_ladj).sum()
        log p at x and the log-det of z -> x: In the second you asked log_p at x, and took away the log-determinant of
            the way there. Go back to the point that x came from, and use the way back.
            log_p(before) + inverse_ladj -> log_p(x) - f.call_and_ladj(x)[1]
    """),
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
    number="1.4",
    title="three densities, two to repair",
    returns=("the first", "the second", "the third"),
    cases=_three_case,
    truth=_by_counting_mass,
    answer=repaired,
    reasoning=r"The first multiplies by $dx/dz = a$ and should divide. The second multiplies, too, but by "
    r"$|dz/dx| = a \cosh(a x)$, the slope of the way back: that is right. The third divides by the right slope at the "
    r"wrong place: $dx/dz = a / \sqrt{1 + (a z)^2}$ is to be taken at $z$, and was taken at $x$.",
    hints=(
        "Sum each of them over a fine grid of x, for one value of a. Which has the area 1?",
        r"For each of the other two write down $dx/dz$ as a function of $z$. Is it divided by? Is it taken at $z$?",
        r"$\frac{d}{dz}(1 + a z) = a$, and $\frac{d}{dz}\operatorname{asinh}(a z) = a / \sqrt{1 + (a z)^2}$.",
    ),
    misconceptions=(
        Misconception(
            name="left as they are",
            message="These are the three as they were given. Two of them do not have the area 1.",
            answer=handed_in,
        ),
        Misconception(
            name="rescaled",
            message="Divided by its area the third has the area 1, but still the wrong *shape*: the factor that is "
            "missing there is another one at every x.",
            answer=_rescaled,
        ),
        *slips(r"""
        the first still multiplied: The first still multiplies by the slope dx/dz = a: stretched to a times the width,
            it would be a times as high, too.
            first = normal(z) / a -> first = normal(z) * a
        the third still at the output: In the third the slope is still taken at the output x.
            (1 + (a * z) ** 2) -> (1 + (a * x) ** 2)
        the right one broken: The second was right, and yours is not. a cosh(a x) is the slope of the way *back*,
            dz/dx, and by that one multiplies.
            normal(z) * a * torch.cosh(a * x) -> normal(z) / (a * torch.cosh(a * x))
        no absolute value: Your second density is negative. Its map decreases, so the slope is negative; the density
            takes its absolute value.
            second = normal(z) -> second = -normal(z)
        slope of the third upside down: The third divides by the slope of the way back. Its map z to x has the slope a
            / sqrt(1 + (a z)^2): divide by that.
            torch.sqrt(1 + (a * z) ** 2) / a -> a / torch.sqrt(1 + (a * z) ** 2)
        the third without a: In the third a factor a is missing: the chain rule brings it out of a z.
            torch.sqrt(1 + (a * z) ** 2) / a -> torch.sqrt(1 + (a * z) ** 2)
        the third without the square of a: In the third the slope of asinh is taken at a z. Yours is taken at z.
            (1 + (a * z) ** 2) -> (1 + z**2)
        the first not divided: In the first nothing is divided: stretched to a times the width, it must be lower.
            first = normal(z) / a -> first = normal(z)
        the second without a: The second was right, and yours lacks the factor a.
            * a * torch.cosh -> * torch.cosh
        the first at x: In the first the base is asked at x. It belongs to z, where x came from.
            first = normal(z) -> first = normal(x)
    """),
    ),
)
