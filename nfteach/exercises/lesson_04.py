"""Lesson 04, planar flows: psi, the log-determinant, the repaired direction, the inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.texts import text
from nfteach.flows.roots import increasing_root

__all__ = ["inverse", "log_det", "own_layer", "psi", "u_hat"]


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
    **text("4.1"),
    returns=("psi(z)",),
    cases=_psi_case,
    truth=_psi_by_autograd,
    answer=psi,
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
    **text("4.2"),
    returns=("log|det J|",),
    cases=_folded_layer,
    truth=_ladj_by_autograd,
    answer=planar_ladj,
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
    **text("4.3"),
    returns=("u_hat",),
    cases=_strong_pull,
    truth=_u_hat_by_parts,
    answer=u_hat,
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
        low = torch.where(too_low, middle, low)
        high = torch.where(too_low, high, middle)
    return x - u * torch.tanh(middle + b)[:, None]


inverse = Exercise(
    **text("4.4"),
    returns=("z",),
    cases=_strong_layer,
    truth=_inverse_by_newton,
    answer=planar_inverse,
)


# ---- 4.5 ---------------------------------------------------------------------------------------------------------


def _free_layer(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw z (B, D), u and w (D,) with w.u on both sides of -1, and b."""
    z, *_, b = _layer(generator, index)
    u, w = _strong_pull(generator, index)
    return z, w, u, b


def _repaired(z: Tensor, w: Tensor, u: Tensor, b: float) -> Tensor:
    return z + _u_hat_by_parts(u, w) * torch.tanh((z * w).sum(-1, keepdim=True) + b)


def _there_and_back(z: Tensor, w: Tensor, u: Tensor, b: float) -> tuple[Tensor, Tensor, Tensor]:
    return _repaired(z, w, u, b), log_abs_det_jacobian(lambda z: _repaired(z, w, u, b), z), z


def _use(Layer: type, z: Tensor, w: Tensor, u: Tensor, b: float) -> tuple[Tensor, ...]:
    """Return x and log|det J| at z (0 if it is missing), and what the inverse makes of the right x."""
    layer = Layer(len(w)).to(z)
    with torch.no_grad():
        layer.w.copy_(w)
        layer.u.copy_(u)
        layer.b.fill_(b)
        there = layer(z)
        back = layer.inverse(_repaired(z, w, u, b))
    return *(there if isinstance(there, tuple) else (there, z.new_zeros(len(z)))), back


class MyPlanar(torch.nn.Module):
    def __init__(self, D):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(D) / 2)
        self.u = torch.nn.Parameter(torch.randn(D) / 2)
        self.b = torch.nn.Parameter(torch.zeros(()))

    def forward(self, z):
        u = u_hat(self.u, self.w)
        x = z + u * torch.tanh(z @ self.w + self.b)[:, None]
        return x, planar_ladj(z, self.w, u, self.b)

    def inverse(self, x):
        return planar_inverse(x, self.w, u_hat(self.u, self.w), self.b)


own_layer = Exercise(
    **text("4.5"),
    arguments=("z", "w", "u", "b"),
    returns=("x", "log|det J|", "inverse(x)"),
    cases=_free_layer,
    truth=_there_and_back,
    answer=MyPlanar,
    use=_use,
)
