"""Lesson 01, change of variables: an affine map, a composition, both directions, and three densities to repair."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.flows import Flow

__all__ = ["affine", "both_ways", "composition", "three_densities"]


def _matrix(generator: torch.Generator, D: int, sign: int) -> Tensor:
    """A (D, D) full, with a determinant of that sign, that stretches by 0.6 to 1.8."""
    left, right = (torch.linalg.qr(normal(generator, D, D))[0] for _ in range(2))
    stretch = 0.6 + 1.2 * torch.rand(D, generator=generator, dtype=torch.float64)
    A = left * stretch @ right
    if torch.linalg.det(A) * sign < 0:
        A[0] = -A[0]
    return A


class _Bent(Flow):
    """y = A asinh(2 x) + c for columns x; A and c as drawn."""

    def __init__(self, generator: torch.Generator, D: int, sign: int) -> None:
        super().__init__(D)
        self.A, self.c = _matrix(generator, D, sign), normal(generator, D)

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        ladj = torch.log(2 / torch.sqrt(1 + 4 * x**2)).sum(-1) + torch.linalg.slogdet(self.A).logabsdet
        return torch.asinh(2 * x) @ self.A.T + self.c, ladj

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.sinh(torch.linalg.solve(self.A, (y - self.c).mT).mT) / 2
        return x, -self.call_and_ladj(x)[1]


# ---- 1.1 ---------------------------------------------------------------------------------------------------------


def _affine_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (B, D), A (D, D) and c (D,), with a determinant that is negative in every other case."""
    D = 3 + index
    A, c = _matrix(generator, D, -1 if index % 2 else 1), normal(generator, D)
    return normal(generator, 5, D) @ A.T + c, A, c


def _standard_normal(z: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)


def _affine(x: Tensor, A: Tensor, c: Tensor) -> Tensor:
    z = torch.linalg.solve(A, (x - c).T).T
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    return log_p - torch.linalg.slogdet(A).logabsdet


def _gaussian(x: Tensor, A: Tensor, c: Tensor) -> Tensor:
    """Of A z + c it is known to be a Gaussian with mean c and covariance A A^T: no Jacobian needed."""
    return torch.distributions.MultivariateNormal(c, A @ A.T).log_prob(x)


affine = Exercise(
    number="1.1",
    title="the density of an affine map",
    arguments=("x", "A", "c"),
    returns=("log q(x)",),
    cases=_affine_case,
    truth=_gaussian,
    answer=_affine,
    reasoning=r"The map is its own linear part: $J = A$ everywhere. So find the $z$ behind each $x$, take $\log p$ "
    r"*there*, and subtract $\log|\det A|$, one number for all points. The points are rows and $A$ acts on columns, "
    r"hence the two transposes. `slogdet` gives the sign and $\log|\det A|$ separately, and never overflows.",
    hints=(
        r"Which $z$ was sent to $x$? Solve $A z = x - c$. For rows: `torch.linalg.solve(A, (x - c).T).T`.",
        r"$\log p(z)$ is a sum over the dimensions: `torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)`.",
        r"By (4), $\log q(x) = \log p(z) - \log|\det A|$, and `torch.linalg.slogdet(A).logabsdet` is the last term.",
    ),
    misconceptions=(
        Misconception(
            name="multiplied by the determinant",
            message="You multiplied by |det A|, in logs: added it. Where space is stretched, the density falls.",
            answer=lambda x, A, c: _affine(x, A, c) + 2 * torch.linalg.slogdet(A).logabsdet,
        ),
        Misconception(
            name="no absolute value",
            message="det A is negative for some of the maps, and its logarithm is then NaN. A map that turns space "
            "over makes no volume negative.",
            answer=lambda x, A, c: _standard_normal(torch.linalg.solve(A, (x - c).T).T) - torch.log(torch.det(A)),
        ),
        Misconception(
            name="no determinant",
            message="That is log p(z) alone, as if the map kept all volumes. Where is the determinant?",
            answer=lambda x, A, c: _standard_normal(torch.linalg.solve(A, (x - c).T).T),
        ),
        Misconception(
            name="p at x",
            message="You asked p for its value at x. The mass at x came from another place, the z with A z + c = x.",
            answer=lambda x, A, c: _standard_normal(x) - torch.linalg.slogdet(A).logabsdet,
        ),
        Misconception(
            name="rows for columns",
            message="A z multiplies a *column* z, and your points are rows. Yours is the density of the rows z A + c, "
            "as if A were transposed.",
            answer=lambda x, A, c: _affine(x, A.T, c),
        ),
        Misconception(
            name="product of the diagonal",
            message="You took the product of the diagonal of A for its determinant. That is so for triangular "
            "matrices; these are full.",
            answer=lambda x, A, c: (
                _standard_normal(torch.linalg.solve(A, (x - c).T).T) - torch.log(torch.abs(torch.diagonal(A))).sum()
            ),
        ),
        Misconception(
            name="constant of one dimension",
            message="The constant of the normal density, half of log 2 pi, is there once. Each of the D coordinates of "
            "z brings its own.",
            answer=lambda x, A, c: _affine(x, A, c) + 0.5 * (len(c) - 1) * math.log(2 * math.pi),
        ),
        Misconception(
            name="no constant",
            message="The constant of the normal density is missing, half of log 2 pi in each dimension: the mass is "
            "not 1.",
            answer=lambda x, A, c: _affine(x, A, c) + 0.5 * len(c) * math.log(2 * math.pi),
        ),
    ),
)


# ---- 1.2 ---------------------------------------------------------------------------------------------------------


def _layers_case(generator: torch.Generator, index: int) -> tuple[Tensor, list[Flow]]:
    """z (B, D), and two to four layers of D = 3, 4, 5 dimensions."""
    D = 3 + index % 3
    layers = [_Bent(generator, D, -1 if (index + k) % 2 else 1) for k in range(2 + index // 2)]
    return normal(generator, 5, D), layers


def _composition(z: Tensor, layers: list[Flow]) -> Tensor:
    total = torch.zeros(len(z), dtype=z.dtype)
    for layer in layers:
        x = layer(z)
        total = total + layer.log_abs_det_jacobian(z, x)
        z = x
    return total


def _all_layers(z: Tensor, layers: list[Flow]) -> Tensor:
    for layer in layers:
        z = layer(z)
    return z


def _composition_by_autograd(z: Tensor, layers: list[Flow]) -> Tensor:
    return log_abs_det_jacobian(lambda z: _all_layers(z, layers), z)


def _each_at(where: Callable[[Tensor, Tensor], Tensor], z: Tensor, layers: list[Flow]) -> list[Tensor]:
    """The layers' log-dets, each at ``where(its input, its output)``."""
    log_dets = []
    for layer in layers:
        x = layer(z)
        log_dets.append(layer.call_and_ladj(where(z, x))[1])
        z = x
    return log_dets


composition = Exercise(
    number="1.2",
    title="the log-determinant of a composition",
    arguments=("z", "layers"),
    returns=("log|det J|",),
    cases=_layers_case,
    truth=_composition_by_autograd,
    answer=_composition,
    reasoning=r"The chain rule multiplies the Jacobians, so the log-determinants add. What one layer hands out is what "
    r"the next takes in: `z = x` at the end of the round moves the point along, and each log-determinant is asked for "
    r"before that, at the layer's own input.",
    hints=(
        "Go through the layers in order. Keep two things: where the point is now, and the sum so far.",
        "In each round: `x = layer(z)`, add `layer.log_abs_det_jacobian(z, x)`, then `z = x`.",
    ),
    misconceptions=(
        Misconception(
            name="all at the first input",
            message="You asked all layers at the point that enters the first one. The second layer never sees that "
            "point: it sees what the first has made of it.",
            answer=lambda z, layers: sum(layer.call_and_ladj(z)[1] for layer in layers),
        ),
        Misconception(
            name="at the output",
            message="You asked each layer at its *output*. The linear map that it is near a point is taken at its "
            "input.",
            answer=lambda z, layers: sum(_each_at(lambda z, x: x, z, layers)),
        ),
        Misconception(
            name="multiplied",
            message="You multiplied the log-determinants. The determinants multiply; so what do their logarithms do?",
            answer=lambda z, layers: torch.stack(_each_at(lambda z, x: z, z, layers)).prod(0),
        ),
        Misconception(
            name="in reverse order",
            message="You went through the layers from the last to the first. The first of the list is the first to "
            "act.",
            answer=lambda z, layers: _composition(z, layers[::-1]),
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-determinant of the way back.",
            answer=lambda z, layers: -_composition(z, layers),
        ),
        Misconception(
            name="first layer alone",
            message="That is the log-determinant of the first layer alone. Does your `return` stand inside the loop?",
            answer=lambda z, layers: layers[0].call_and_ladj(z)[1],
        ),
        Misconception(
            name="summed over the batch",
            message="You summed over the batch. Each point has a log-determinant of its own.",
            answer=lambda z, layers: _composition(z, layers).sum(),
        ),
    ),
)


# ---- 1.3 ---------------------------------------------------------------------------------------------------------


def _both_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Flow, Callable[[Tensor], Tensor]]:
    """z and x (B, D), a flow z -> x, and log p of a base that is neither at the origin nor of unit width."""
    D = 3 + index % 3
    f, mean, width = _Bent(generator, D, -1 if index % 2 else 1), normal(generator, D), 0.5 + 0.3 * index

    def log_p(z: Tensor) -> Tensor:
        return torch.distributions.Normal(mean, width).log_prob(z).sum(-1)

    return normal(generator, 5, D), f(normal(generator, 5, D)), f, log_p


def _both_ways(z: Tensor, x: Tensor, f: Flow, log_p: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    _, ladj = f.call_and_ladj(z)
    before, inverse_ladj = f.inverse_and_ladj(x)
    return log_p(z) - ladj, log_p(before) + inverse_ladj


def _both_by_autograd(z: Tensor, x: Tensor, f: Flow, log_p: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Nothing that f says of its log-dets is used: J is autograd's, of z -> x in both."""

    def at(z: Tensor) -> Tensor:
        return log_p(z) - log_abs_det_jacobian(f, z)

    return at(z), at(f.inv(x))


both_ways = Exercise(
    number="1.3",
    title="both directions",
    arguments=("z", "x", "f", "log_p"),
    returns=("log q at f(z)", "log q at x"),
    cases=_both_case,
    truth=_both_by_autograd,
    answer=_both_ways,
    reasoning=r"It is one formula, read from its two ends. Where you come from $z$ you know $\log|\det dx/dz|$ and "
    r"*subtract* it. Where you come from $x$ you know $\log|\det dz/dx|$, its negative, and *add* it. In both, "
    r"$\log p$ is asked for a point of the base's own space.",
    hints=(
        "For the first, (7): `f.call_and_ladj(z)` gives f(z), which is not needed, and log|det dx/dz| at z.",
        "For the second, (8): `f.inverse_and_ladj(x)` gives the point that x came from, and log|det dz/dx| at x.",
        "The badge z -> x goes with minus, x -> z goes with plus.",
    ),
    misconceptions=(
        Misconception(
            name="plus in both",
            message="The first has the wrong sign. Where z -> x stretches space the density falls; yours rises.",
            answer=lambda z, x, f, log_p: (log_p(z) + f.call_and_ladj(z)[1], _both_ways(z, x, f, log_p)[1]),
        ),
        Misconception(
            name="minus in both",
            message="The second has the wrong sign. Where the way back, x -> z, shrinks space, the sand has been "
            "spread thin; yours is piled up there.",
            answer=lambda z, x, f, log_p: (
                _both_ways(z, x, f, log_p)[0],
                log_p(f.inv(x)) - f.inverse_and_ladj(x)[1],
            ),
        ),
        Misconception(
            name="signs exchanged",
            message="Both signs are the wrong way round: you multiply by the stretch and divide by its inverse.",
            answer=lambda z, x, f, log_p: (
                log_p(z) + f.call_and_ladj(z)[1],
                log_p(f.inv(x)) - f.inverse_and_ladj(x)[1],
            ),
        ),
        Misconception(
            name="p at x",
            message="You asked log_p for its value at a point of x. p is the density of z: it knows nothing of that "
            "space.",
            answer=lambda z, x, f, log_p: (_both_ways(z, x, f, log_p)[0], log_p(x) + f.inverse_and_ladj(x)[1]),
        ),
        Misconception(
            name="J at the output",
            message="For the second you asked for log|det dx/dz| *at x*. That Jacobian belongs to a point z: here, to "
            "the one that x came from.",
            answer=lambda z, x, f, log_p: (
                _both_ways(z, x, f, log_p)[0],
                log_p(f.inv(x)) - f.call_and_ladj(x)[1],
            ),
        ),
    ),
)


# ---- 1.4 ---------------------------------------------------------------------------------------------------------


def _three_case(generator: torch.Generator, index: int) -> tuple[Tensor, float]:
    """x (B,) from -2 to 2, and a between 1.6 and 2.6."""
    x = 4 * torch.rand(9, generator=generator, dtype=torch.float64) - 2
    return x, 1.6 + torch.rand((), generator=generator).item()


def _normal(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z**2) / (2 * torch.pi) ** 0.5


def _given(x: Tensor, a: float) -> tuple[Tensor, Tensor, Tensor]:
    """The three as they stand in the lesson."""
    first = _normal((x - 1) / a) * a
    second = _normal(-torch.sinh(a * x)) * a * torch.cosh(a * x)
    third = _normal(torch.sinh(x) / a) * torch.sqrt(1 + (a * x) ** 2) / a
    return first, second, third


def _repaired(x: Tensor, a: float) -> tuple[Tensor, Tensor, Tensor]:
    z = (x - 1) / a
    first = _normal(z) / a
    z = -torch.sinh(a * x)
    second = _normal(z) * a * torch.cosh(a * x)
    z = torch.sinh(x) / a
    third = _normal(z) * torch.sqrt(1 + (a * z) ** 2) / a
    return first, second, third


def _by_counting_mass(x: Tensor, a: float) -> tuple[Tensor, ...]:
    """The mass between x - h and x + h, over 2 h: from the maps alone and the normal's distribution function."""
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


def _rescaled(x: Tensor, a: float) -> tuple[Tensor, ...]:
    grid = torch.linspace(-20, 20, 8001, dtype=torch.float64)
    masses = [torch.trapezoid(q, grid) for q in _given(grid, a)]
    return tuple(q / mass for q, mass in zip(_given(x, a), masses, strict=True))


three_densities = Exercise(
    number="1.4",
    title="three densities, two to repair",
    arguments=("x", "a"),
    returns=("the first", "the second", "the third"),
    cases=_three_case,
    truth=_by_counting_mass,
    answer=_repaired,
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
            answer=_given,
        ),
        Misconception(
            name="rescaled",
            message="Divided by its area the third has the area 1, but still the wrong *shape*: the factor that is "
            "missing there is another one at every x.",
            answer=_rescaled,
        ),
        Misconception(
            name="the first still multiplied",
            message="The first still multiplies by the slope dx/dz = a: stretched to a times the width, it would be a "
            "times as high, too.",
            answer=lambda x, a: (_given(x, a)[0], *_repaired(x, a)[1:]),
        ),
        Misconception(
            name="the third still at the output",
            message="In the third the slope is still taken at the output x.",
            answer=lambda x, a: (*_repaired(x, a)[:2], _given(x, a)[2]),
        ),
        Misconception(
            name="the right one broken",
            message="The second was right, and yours is not. a cosh(a x) is the slope of the way *back*, dz/dx, and by "
            "that one multiplies.",
            answer=lambda x, a: (
                _repaired(x, a)[0],
                _normal(-torch.sinh(a * x)) / (a * torch.cosh(a * x)),
                _repaired(x, a)[2],
            ),
        ),
        Misconception(
            name="no absolute value",
            message="Your second density is negative. Its map decreases, so the slope is negative; the density takes "
            "its absolute value.",
            answer=lambda x, a: (_repaired(x, a)[0], -_repaired(x, a)[1], _repaired(x, a)[2]),
        ),
    ),
)
