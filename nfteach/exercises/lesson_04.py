"""Lesson 04, planar flows: psi, the log-determinant, the repaired direction, the inverse."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.flows.roots import increasing_root

__all__ = ["inverse", "log_det", "psi", "u_hat"]


def _layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """z (B, D), w and u (D,) and b, with D = 3, 4, 5, ... and nothing along an axis."""
    D = 3 + index
    b = 0.5 + torch.rand((), generator=generator).item()
    return normal(generator, 4, D), normal(generator, D), normal(generator, D), b


# ---- 4.1 ---------------------------------------------------------------------------------------------------------


def _psi_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float]:
    z, w, _, b = _layer(generator, index)
    return z, w, b


def _psi(z: Tensor, w: Tensor, b: float) -> Tensor:
    slope = 1 - torch.tanh(z @ w + b) ** 2
    return slope[:, None] * w


def _psi_by_autograd(z: Tensor, w: Tensor, b: float) -> Tensor:
    z = z.requires_grad_()
    return torch.autograd.grad(torch.tanh((z * w).sum(-1) + b).sum(), z)[0]


psi = Exercise(
    number="4.1",
    title="psi",
    arguments=("z", "w", "b"),
    returns=("psi(z)",),
    cases=_psi_case,
    truth=_psi_by_autograd,
    answer=_psi,
    reasoning=r"$a = w^\top z + b$ is one number for each point, so its slope $h'(a)$ is, too: a column, `slope[:, "
    r"None]`, which multiplies the row $w$. The same $w$ for all points, longer or shorter.",
    hints=(
        r"Begin with $a = w^\top z + b$ for the whole batch: `z @ w + b` has the shape (B,).",
        r"Then $h'(a) = 1 - \tanh(a)^2$, again (B,). Each point multiplies $w$ by its own.",
        "To multiply (B,) with (D,) into (B, D), make the first a column: `slope[:, None]`.",
    ),
    misconceptions=(
        Misconception(
            name="h in place of its slope",
            message="You multiplied w by tanh(a). It is the *slope* of tanh that multiplies w.",
            answer=lambda z, w, b: torch.tanh(z @ w + b)[:, None] * w,
        ),
        Misconception(
            name="slope without the square",
            message="The slope of tanh is 1 - tanh(a)**2. Where is the square?",
            answer=lambda z, w, b: (1 - torch.tanh(z @ w + b))[:, None] * w,
        ),
        Misconception(
            name="without b",
            message="The slope is taken at w.z + b, and yours at w.z.",
            answer=lambda z, w, b: (1 - torch.tanh(z @ w) ** 2)[:, None] * w,
        ),
        Misconception(
            name="h acts on each coordinate",
            message="You let h act on each w_j z_j by itself. It acts on one number, their sum w.z + b. (The note "
            "slips here, too.)",
            answer=lambda z, w, b: (1 - torch.tanh(z * w + b) ** 2) * w,
        ),
        Misconception(
            name="without w",
            message="That is the slope, h'(w.z + b), for every coordinate. The chain rule multiplies it by w_j.",
            answer=lambda z, w, b: (1 - torch.tanh(z @ w + b) ** 2)[:, None] * torch.ones_like(w),
        ),
    ),
)


# ---- 4.2 ---------------------------------------------------------------------------------------------------------


def _folded_layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """As above, but with w.u = -2: the determinant is negative at some points, here at the first, near the plane,
    and positive at others, here at the last, far away from it."""
    z, w, u, b = _layer(generator, index)
    unit = w / (w @ w)
    z[0] += (0.5 - z[0] @ w - b) * unit
    z[-1] += (3.0 - z[-1] @ w - b) * unit
    return z, w, u + (-2.0 - w @ u) * unit, b


def _ladj(z: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    slope = 1 - torch.tanh(z @ w + b) ** 2
    return torch.log(torch.abs(1 + slope * (w @ u)))


def _ladj_by_autograd(z: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    def layer(z: Tensor) -> Tensor:
        return z + u * torch.tanh((z * w).sum(-1, keepdim=True) + b)

    return log_abs_det_jacobian(layer, z)


log_det = Exercise(
    number="4.2",
    title="the log-determinant",
    arguments=("z", "w", "u", "b"),
    returns=("log|det J|",),
    cases=_folded_layer,
    truth=_ladj_by_autograd,
    answer=_ladj,
    reasoning=r"By the determinant lemma $\det J = 1 + u^\top\psi(z) = 1 + h'(w^\top z + b)\, w^\top u$. The inner "
    r"product $w^\top u$ is the same at every point; only $h'$ is not. The absolute value comes before the "
    r"logarithm, since past $w^\top u = -1$ the determinant may be negative.",
    hints=(
        r"By (3) you need $h'(w^\top z + b)$, one number for each point, and $w^\top u$, one number.",
        r"$\det J = 1 + h'\, w^\top u$. It may be negative: `torch.abs` before `torch.log`.",
    ),
    misconceptions=(
        Misconception(
            name="no absolute value",
            message="Where det J is negative you take the log of a negative number. Take its absolute value first.",
            answer=lambda z, w, u, b: torch.log(1 + (1 - torch.tanh(z @ w + b) ** 2) * (w @ u)),
        ),
        Misconception(
            name="at the output",
            message="The slope is taken at the layer's output. Formula (3) wants the input z.",
            answer=lambda z, w, u, b: _ladj(z + torch.tanh(z @ w + b)[:, None] * u, w, u, b),
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-determinant of the inverse.",
            answer=lambda z, w, u, b: -_ladj(z, w, u, b),
        ),
        Misconception(
            name="product of the diagonal",
            message="That is the product of J's diagonal. J is full, so its determinant is another number.",
            answer=lambda z, w, u, b: torch.log(torch.abs(1 + _psi(z, w, b) * u)).sum(-1),
        ),
        Misconception(
            name="no logarithm",
            message="That is |det J|. Its logarithm is asked for.",
            answer=lambda z, w, u, b: _ladj(z, w, u, b).exp(),
        ),
        Misconception(
            name="the identity forgotten",
            message="Where is the 1? It comes from the identity in J = I + u psi^T.",
            answer=lambda z, w, u, b: torch.log(torch.abs((1 - torch.tanh(z @ w + b) ** 2) * (w @ u))),
        ),
    ),
)


# ---- 4.3 ---------------------------------------------------------------------------------------------------------


def _strong_pull(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor]:
    """u and w (D,) with w.u on both sides of -1, and w neither of length one nor along an axis."""
    _, w, u, _ = _layer(generator, index)
    w = w * (0.4 if index % 2 else 1.7) / w.norm()
    target = -3.0 + 2.0 * index
    return u + (target - w @ u) * w / (w @ w), w


def _u_hat(u: Tensor, w: Tensor) -> Tensor:
    wu = w @ u
    m = -1 + softplus(wu)
    return u + (m - wu) * w / (w @ w)


def _u_hat_by_parts(u: Tensor, w: Tensor) -> Tensor:
    """What of u is across w stays; along w it is as long as w.u_hat = m asks."""
    unit = w / w.norm()
    across = u - (u @ unit) * unit
    return across + (torch.log1p(torch.exp(u @ w)) - 1) / w.norm() * unit


u_hat = Exercise(
    number="4.3",
    title="u-hat",
    arguments=("u", "w"),
    returns=("u_hat",),
    cases=_strong_pull,
    truth=_u_hat_by_parts,
    answer=_u_hat,
    reasoning=r"$u$ is moved along $w$ only. Moving it by $c\, w / \lVert w \rVert^2$ changes $w^\top u$ by exactly "
    r"$c$, so $c = m(w^\top u) - w^\top u$ makes it $m(w^\top u) > -1$.",
    hints=(
        "Compute the number `w @ u` first, then m of it with `softplus`.",
        r"The correction is a number times the vector $w / \lVert w \rVert^2$, and $\lVert w \rVert^2$ is `w @ w`.",
    ),
    misconceptions=(
        Misconception(
            name="norm not squared",
            message="You divided by the norm of w. Divide by its square: else w.u_hat is not m(w.u), unless w "
            "happens to have length one.",
            answer=lambda u, w: u + (-1 + softplus(w @ u) - w @ u) * w / w.norm(),
        ),
        Misconception(
            name="not divided",
            message="The correction is not divided by the squared norm of w.",
            answer=lambda u, w: u + (-1 + softplus(w @ u) - w @ u) * w,
        ),
        Misconception(
            name="m without its -1",
            message="m(a) is -1 + softplus(a): you left out the -1, so w.u_hat stays above 0 and the layer can "
            "never squeeze.",
            answer=lambda u, w: u + (softplus(w @ u) - w @ u) * w / (w @ w),
        ),
        Misconception(
            name="w.u not subtracted",
            message="Take w.u away in the bracket: what stands there is by how much w.u has to *change*.",
            answer=lambda u, w: u + (-1 + softplus(w @ u)) * w / (w @ w),
        ),
        Misconception(
            name="clamped",
            message="You moved u only where w.u is below -1, to the edge: there log|det J| is minus infinity. m is "
            "smooth, and moves u on both sides of -1.",
            answer=lambda u, w: u + ((w @ u).clamp(min=-1) - w @ u) * w / (w @ w),
        ),
    ),
)


# ---- 4.4 ---------------------------------------------------------------------------------------------------------


def _strong_layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """x (B, D), w, u and b of a layer with w.u from -0.8 to 5.2: squeezing, weak and strong ones."""
    z, w, u, b = _layer(generator, index)
    u = u + (-0.8 + 1.2 * index - w @ u) * w / (w @ w)
    return z + torch.tanh(z @ w + b)[:, None] * u, w, u, b


def _inverse(x: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    wx, wu = x @ w, w @ u
    low, high = wx - wu.abs(), wx + wu.abs()
    for _ in range(60):
        middle = (low + high) / 2
        too_low = middle + wu * torch.tanh(middle + b) < wx
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    return x - u * torch.tanh(middle + b)[:, None]


def _bisected(wx: Tensor, factor: Tensor, b: float, *, swapped: bool = False) -> Tensor:
    """alpha with alpha + factor * tanh(alpha + b) = wx; or what comes if the wrong end of the bracket moves."""
    low, high = wx - factor.abs(), wx + factor.abs()
    for _ in range(60):
        middle = (low + high) / 2
        up = (middle + factor * torch.tanh(middle + b) < wx) ^ swapped
        low, high = torch.where(up, middle, low), torch.where(up, high, middle)
    return middle


def _fixed_point(x: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    alpha = x @ w
    for _ in range(60):
        alpha = x @ w - (w @ u) * torch.tanh(alpha + b)
    return x - u * torch.tanh(alpha + b)[:, None]


def _inverse_by_newton(x: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    wx, wu = x @ w, w @ u

    def value_and_slope(alpha: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(alpha + b)
        return alpha + wu * h - wx, 1 + wu * (1 - h**2)

    alpha = increasing_root(value_and_slope, wx - wu.abs(), wx + wu.abs())
    return x - torch.tanh(alpha + b)[:, None] * u


inverse = Exercise(
    number="4.4",
    title="the inverse",
    arguments=("x", "w", "u", "b"),
    returns=("z",),
    cases=_strong_layer,
    truth=_inverse_by_newton,
    answer=_inverse,
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
    misconceptions=(
        Misconception(
            name="fixed-point iteration",
            message="This is the fixed-point iteration. It settles for weak layers, and jumps to and fro where w.u "
            "is above 1.",
            answer=_fixed_point,
        ),
        Misconception(
            name="h at the output",
            message="You subtracted u h(w.x + b), which uses the output. What was added is u h(w.z + b), and w.z is "
            "what you have to find first.",
            answer=lambda x, w, u, b: x - torch.tanh(x @ w + b)[:, None] * u,
        ),
        Misconception(
            name="ends swapped",
            message="The wrong end of the bracket moves: where the left side is too low, the root is *above* the "
            "middle.",
            answer=lambda x, w, u, b: x - u * torch.tanh(_bisected(x @ w, w @ u, b, swapped=True) + b)[:, None],
        ),
        Misconception(
            name="alpha returned",
            message="That is alpha = w.z, one number for each point. One line is missing: from alpha to z.",
            answer=lambda x, w, u, b: _inverse_by_newton(x, w, u, b) @ w,
        ),
        Misconception(
            name="without w.u",
            message="In your equation tanh is not multiplied by w.u.",
            answer=lambda x, w, u, b: x - u * torch.tanh(_bisected(x @ w, torch.ones_like(w @ u), b) + b)[:, None],
        ),
    ),
)
