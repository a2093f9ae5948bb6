"""Lesson 04, planar flows: psi, the log-determinant, the repaired direction, the inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.mistakes import slips
from nfteach.flows.roots import increasing_root

__all__ = ["inverse", "log_det", "psi", "u_hat"]


def _layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw z (B, D), w and u (D,) and b, with D = 3, 4, 5, ... and nothing along an axis."""
    D = 3 + index
    b = 0.5 + torch.rand((), generator=generator).item()
    return draw(generator, 4, D), draw(generator, D), draw(generator, D), b


# ---- 4.1 ---------------------------------------------------------------------------------------------------------


def _psi_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float]:
    z, w, _, b = _layer(generator, index)
    return z, w, b


def _psi_by_autograd(z: Tensor, w: Tensor, b: float) -> Tensor:
    z = z.requires_grad_()
    return torch.autograd.grad(torch.tanh((z * w).sum(-1) + b).sum(), z)[0]


def psi(z, w, b):
    slope = 1 - torch.tanh(z @ w + b) ** 2
    return slope[:, None] * w


psi = Exercise(
    number="4.1",
    title="psi",
    returns=("psi(z)",),
    cases=_psi_case,
    truth=_psi_by_autograd,
    answer=psi,
    reasoning=r"$a = w^\top z + b$ is one number for each point, so its slope $h'(a)$ is, too: a column, `slope[:, "
    r"None]`, which multiplies the row $w$. The same $w$ for all points, longer or shorter.",
    hints=(
        r"Begin with $a = w^\top z + b$ for the whole batch: `z @ w + b` has the shape (B,).",
        r"Then $h'(a) = 1 - \tanh(a)^2$, again (B,). Each point multiplies $w$ by its own.",
        "To multiply (B,) with (D,) into (B, D), make the first a column: `slope[:, None]`.",
    ),
    misconceptions=slips(r"""
        h in place of its slope: You multiplied w by tanh(a). It is the *slope* of tanh that multiplies w.
            1 - torch.tanh(z @ w + b) ** 2 -> torch.tanh(z @ w + b)
        slope without the square: The slope of tanh is 1 - tanh(a)**2. Where is the square?
            ** 2 ->
        without b: The slope is taken at w.z + b, and yours at w.z.
            + b ->
        h acts on each coordinate: You let h act on each w_j z_j by itself. It acts on one number, their sum w.z + b.
            (The note slips here, too.)
            z @ w -> z * w ;; [:, None] ->
        without w: That is the slope, h'(w.z + b), for every coordinate. The chain rule multiplies it by w_j.
            * w\n -> * torch.ones_like(w)\n
        the 1 forgotten: The slope of tanh is 1 - tanh(a)**2. Yours is the square alone, small where the slope is
            large.
            1 - torch.tanh -> torch.tanh
        plus in place of minus: The slope of tanh is 1 *minus* the square of tanh. It is never above 1.
            1 - torch.tanh -> 1 + torch.tanh
        slope of the sigmoid: That is the slope of the sigmoid, s (1 - s). Here h is tanh.
            1 - torch.tanh(z @ w + b) ** 2 -> torch.sigmoid(z @ w + b) * (1 - torch.sigmoid(z @ w + b))
        b subtracted: You take the slope at w.z - b. The layer has w.z + b.
            + b -> - b
        w normalised: You divided w by its length. psi holds w as it is: a longer w is a steeper slope.
            * w\n -> * w / w.norm()\n
        summed over the dimensions: You added up psi over its dimensions. It is a vector for each point, one slope for
            each coordinate.
            slope[:, None] * w\n -> slope * w.sum()\n
    """),
)


# ---- 4.2 ---------------------------------------------------------------------------------------------------------


def _folded_layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw a layer with w.u below -1.7, so that det J is negative at the first point, near the plane, and positive at
    the last, far away from it; in every third case with w.u above 1."""
    z, w, u, b = _layer(generator, index)
    wu = torch.rand((), generator=generator).item() + (1.0 if index % 3 == 2 else -2.7)
    unit = w / (w @ w)
    z[0] += (0.5 - z[0] @ w - b) * unit
    z[-1] += (3.0 - z[-1] @ w - b) * unit
    return z, w, u + (wu - w @ u) * unit, b


def _ladj_by_autograd(z: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    def layer(z: Tensor) -> Tensor:
        return z + u * torch.tanh((z * w).sum(-1, keepdim=True) + b)

    return log_abs_det_jacobian(layer, z)


def planar_ladj(z, w, u, b):
    slope = 1 - torch.tanh(z @ w + b) ** 2
    return torch.log(torch.abs(1 + slope * (w @ u)))


log_det = Exercise(
    number="4.2",
    title="the log-determinant",
    returns=("log|det J|",),
    cases=_folded_layer,
    truth=_ladj_by_autograd,
    answer=planar_ladj,
    reasoning=r"By the determinant lemma $\det J = 1 + u^\top\psi(z) = 1 + h'(w^\top z + b)\, w^\top u$. The inner "
    r"product $w^\top u$ is the same at every point; only $h'$ is not. The absolute value comes before the "
    r"logarithm, since past $w^\top u = -1$ the determinant may be negative.",
    hints=(
        r"By (3) you need $h'(w^\top z + b)$, one number for each point, and $w^\top u$, one number.",
        r"$\det J = 1 + h'\, w^\top u$. It may be negative: `torch.abs` before `torch.log`.",
    ),
    misconceptions=slips(r"""
        no absolute value: Where det J is negative you take the log of a negative number. Take its absolute value
            first.
            torch.abs(1 + slope * (w @ u)) -> 1 + slope * (w @ u)
        at the output: The slope is taken at the layer's output. Formula (3) wants the input z.
            z @ w + b) -> (z + torch.tanh(z @ w + b)[:, None] * u) @ w + b)
        sign flipped: The sign is flipped: this is the log-determinant of the inverse.
            return -> return -
        product of the diagonal: That is the product of J's diagonal. J is full, so its determinant is another number.
            1 + slope * (w @ u))) -> 1 + slope[:, None] * (w * u))).sum(-1)
        no logarithm: That is |det J|. Its logarithm is asked for.
            torch.log( -> (
            torch.log(torch.abs(1 + slope * (w @ u))) -> 1 + slope * (w @ u)
        the identity forgotten: Where is the 1? It comes from the identity in J = I + u psi^T.
            abs(1 + -> abs(
        tanh for its slope: You put tanh(a) where its slope belongs. It is h', not h, that multiplies w.u.
            1 - torch.tanh(z @ w + b) ** 2 -> torch.tanh(z @ w + b)
        slope without its 1: The slope of tanh is 1 - tanh(a)**2. Yours is the square alone.
            1 - torch.tanh(z @ w + b) ** 2 -> torch.tanh(z @ w + b) ** 2
        slope without the square: The slope of tanh is 1 - tanh(a)**2. Where is the square?
            ** 2 ->
        without b: The slope is taken at w.z + b, and yours at w.z.
            + b ->
        minus in place of plus: You subtracted h' w.u. In J = I + u psi^T it is added.
            1 + slope -> 1 - slope
        without u: u does not appear: only w.w does. How far the layer moves points is a matter of u.
            (w @ u) -> (w @ w)
        without w.u: You have 1 + h'. The slope is multiplied by w.u, the pull along w.
            * (w @ u) ->
        summed over the batch: You summed over the batch. Each point has a log-determinant of its own.
            (w @ u))) -> (w @ u))).sum()
        absolute value of w.u alone: You took the absolute value of a part. It belongs around the whole determinant.
            torch.abs(1 + slope * (w @ u)) -> 1 + torch.abs(slope * (w @ u))
    """),
)


# ---- 4.3 ---------------------------------------------------------------------------------------------------------


def _strong_pull(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor]:
    """Draw u and w (D,) with w.u on both sides of -1, and w neither of length one nor along an axis."""
    _, w, u, _ = _layer(generator, index)
    w = w * (0.4 if index % 2 else 1.7) / w.norm()
    target = -3.0 + 2.0 * index
    return u + (target - w @ u) * w / (w @ w), w


def _u_hat_by_parts(u: Tensor, w: Tensor) -> Tensor:
    """Keep the part of u across w, and give it the length along w for which w.u_hat = m."""
    unit = w / w.norm()
    across = u - (u @ unit) * unit
    return across + (torch.log1p(torch.exp(u @ w)) - 1) / w.norm() * unit


def u_hat(u, w):
    wu = w @ u
    m = -1 + torch.nn.functional.softplus(wu)
    return u + (m - wu) * w / (w @ w)


u_hat = Exercise(
    number="4.3",
    title="u-hat",
    returns=("u_hat",),
    cases=_strong_pull,
    truth=_u_hat_by_parts,
    answer=u_hat,
    reasoning=r"$u$ is moved along $w$ only. Moving it by $c\, w / \lVert w \rVert^2$ changes $w^\top u$ by exactly "
    r"$c$, so $c = m(w^\top u) - w^\top u$ makes it $m(w^\top u) > -1$.",
    hints=(
        "Compute the number `w @ u` first, then m of it with `softplus`.",
        r"The correction is a number times the vector $w / \lVert w \rVert^2$, and $\lVert w \rVert^2$ is `w @ w`.",
    ),
    misconceptions=slips(r"""
        norm not squared: You divided by the norm of w. Divide by its square: else w.u_hat is not m(w.u), unless w
            happens to have length one.
            / (w @ w) -> / w.norm()
        not divided: The correction is not divided by the squared norm of w.
            / (w @ w) ->
        m without its -1: m(a) is -1 + softplus(a): you left out the -1, so w.u_hat stays above 0 and the layer can
            never squeeze.
            -1 + torch -> torch
        w.u not subtracted: Take w.u away in the bracket: what stands there is by how much w.u has to *change*.
            (m - wu) -> m
        clamped: You moved u only where w.u is below -1, to the edge: there log|det J| is minus infinity. m is smooth,
            and moves u on both sides of -1.
            -1 + torch.nn.functional.softplus(wu) -> wu.clamp(min=-1)
        moved along u: You moved u along itself. It has to be moved along w: that is the direction that changes w.u
            and nothing else.
            * w / -> * u /
        divided by u.u: You divided by the squared length of u. It is the length of w that cancels.
            (w @ w) -> (u @ u)
        subtracted: You moved u the wrong way: w.u becomes 2 w.u - m in place of m.
            u + (m -> u - (m
        u left out: That is the correction alone. It is added to u.
            return u + -> return
        m alone: That is the number m(w.u), not the repaired direction.
            return u + (m - wu) * w / (w @ w) -> return m
        relu for softplus: You used max(0, a) for log(1 + e^a). It has a kink, and is 0 for all negative a: there the
            layer folds flat.
            torch.nn.functional.softplus -> torch.relu
        softplus of the product of lengths: m is taken of the inner product w.u, one number, and not of each
            coordinate.
            wu = w @ u -> wu = w * u
        plus 1: m(a) is *minus* 1 plus softplus(a). Yours is never below 1.
            -1 + -> 1 +
    """),
)


# ---- 4.4 ---------------------------------------------------------------------------------------------------------


def _strong_layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw x (B, D), w, u and b of a layer with w.u from -0.9 to 30: squeezing, weak and strong ones."""
    z, w, u, b = _layer(generator, index)
    u = u + ((-0.9, -0.4, 0.6, 2.0, 8.0, 30.0)[index] - w @ u) * w / (w @ w)
    return z + torch.tanh(z @ w + b)[:, None] * u, w, u, b


def _inverse_by_newton(x: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    wx, wu = x @ w, w @ u

    def value_and_slope(alpha: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(alpha + b)
        return alpha + wu * h - wx, 1 + wu * (1 - h**2)

    alpha = increasing_root(value_and_slope, wx - wu.abs(), wx + wu.abs())
    return x - torch.tanh(alpha + b)[:, None] * u


def planar_inverse(x, w, u, b):
    wx, wu = x @ w, w @ u
    low, high = wx - wu.abs(), wx + wu.abs()
    for _ in range(60):
        middle = (low + high) / 2
        too_low = middle + wu * torch.tanh(middle + b) < wx
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    return x - u * torch.tanh(middle + b)[:, None]


inverse = Exercise(
    number="4.4",
    title="the inverse",
    returns=("z",),
    cases=_strong_layer,
    truth=_inverse_by_newton,
    answer=planar_inverse,
    reasoning=r"The left side of (7) increases in $\alpha$, and $h$ lies between $-1$ and $1$: so the root lies "
    r"within $\lvert w^\top u \rvert$ of $w^\top x$. Halving that bracket 60 times leaves nothing. With $\alpha$ "
    r"known, $x$ minus what was added gives $z$.",
    hints=(
        r"Look for $\alpha$, one number for each point. It lies between $w^\top x - \lvert w^\top u\rvert$ and "
        r"$w^\top x + \lvert w^\top u\rvert$.",
        r"In each round: where $\alpha + w^\top u \tanh(\alpha + b)$ at the middle is below $w^\top x$, the middle "
        r"becomes the new low end, elsewhere the new high end. `torch.where` does both.",
        r"When $\alpha$ is found, $z = x - u \tanh(\alpha + b)$.",
    ),
    misconceptions=slips(r"""
        fixed-point iteration: This is the fixed-point iteration. It settles for weak layers, and jumps to and fro
            where w.u is above 1.
            middle = (low + high) / 2 -> middle = wx - wu * torch.tanh((low if _ == 0 else middle) + b) ;;
            low, high = wx - wu.abs(), wx + wu.abs() -> low, high = wx, wx
            middle = (low + high) / 2 -> middle = wx - wu * torch.tanh((low if _ == 0 else middle) + b) ;;
            low, high = wx - wu.abs(), wx + wu.abs() -> low, high = wx, wx ;; range(60) -> range(61)
        h at the output: You subtracted u h(w.x + b), which uses the output. What was added is u h(w.z + b), and w.z
            is what you have to find first.
            torch.tanh(middle + b)[ -> torch.tanh(wx + b)[
        ends swapped: The wrong end of the bracket moves: where the left side is too low, the root is *above* the
            middle.
            (middle + b) < wx -> (middle + b) > wx
        alpha returned: That is alpha = w.z, one number for each point. One line is missing: from alpha to z.
            return x - u * torch.tanh(middle + b)[:, None] -> return middle
        without w.u: In your equation tanh is not multiplied by w.u.
            wu * torch.tanh(middle + b) < -> torch.tanh(middle + b) <
            w @ u -> torch.ones(()).to(w)
        bracket without the absolute value: Your bracket runs from w.x - w.u to w.x + w.u. For a negative w.u its ends
            are the wrong way round.
            low, high = wx - wu.abs(), wx + wu.abs() -> low, high = wx - wu, wx + wu
        bracket too narrow: Your bracket reaches 1 to either side of w.x. tanh is multiplied by w.u, so the root may
            be |w.u| away.
            low, high = wx - wu.abs(), wx + wu.abs() -> low, high = wx - 1, wx + 1
        too few halvings: Your bracket is not small yet when you stop: each halving brings one more binary digit.
            range(60) -> range(10)
        without b: b is missing in the equation: h is taken at alpha + b.
            tanh(middle + b) < -> tanh(middle) < ;; tanh(middle + b)[ -> tanh(middle)[
        b missing at the end: The root is right. In the last line h is taken at alpha + b, and yours at alpha.
            tanh(middle + b)[ -> tanh(middle)[
        added at the end: u tanh(alpha + b) was added on the way to x: take it away to find z.
            return x - u -> return x + u
        forward once more: That is the layer itself, applied once more.
            return x - u * torch.tanh(middle + b) -> return x + u * torch.tanh(wx + b)
        along w: You moved x along w. The layer moved z along u.
            x - u * -> x - w *
    """),
)
