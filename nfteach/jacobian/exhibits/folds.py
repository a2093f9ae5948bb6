"""Exhibits that are no bijections: one folds space, one flattens it, one leaves the domain of its logarithm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .exhibit import Exhibit, Layer, agree, log_abs_det, normal, returns

__all__ = ["FOLDS", "ClampedSinh", "Planar", "SignedLog"]

# Both near the plane w.z + b = 0, where the broken planar layer folds space over, and far from it.
ON_BOTH_SIDES = normal(8, 3, seed=1) * torch.tensor([0.3, 0.3, 0.3, 0.3, 4.0, 4.0, 4.0, 4.0])[:, None]


class Planar(Layer):
    """f(z) = z + u_hat tanh(w.z + b), with u_hat made so that w.u_hat > -1 (Rezende & Mohamed 2015, appendix A.1)."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.u = nn.Parameter(torch.tensor([-2.5, 3.0, -1.0]))
        self.w = nn.Parameter(torch.tensor([0.3, -0.4, 0.2]))
        self.b = nn.Parameter(torch.tensor(0.1))

    def u_hat(self) -> Tensor:
        wu = self.w @ self.u
        size = self.w @ self.w if self.repaired else self.w.norm()
        return self.u + (softplus(wu) - 1 - wu) * self.w / size

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        u, h = self.u_hat(), torch.tanh(z @ self.w + self.b)
        return z + h[:, None] * u, (1 + (1 - h**2) * (self.w @ u)).abs().log()

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        u = self.u_hat()
        wu, wy = self.w @ u, y @ self.w
        # alpha = w.z solves alpha + w.u tanh(alpha + b) = w.y: halve the interval that holds it.
        low, high = wy - wu.abs(), wy + wu.abs()
        for _ in range(80):
            alpha = (low + high) / 2
            above = alpha + wu * torch.tanh(alpha + self.b) > wy
            low, high = torch.where(above, low, alpha), torch.where(above, alpha, high)
        h = torch.tanh(low + self.b)
        return y - h[:, None] * u, -(1 + (1 - h**2) * wu).abs().log()


def only_log_abs_det(repaired: bool = False) -> bool:
    """The claimed log-det against the logarithm of the absolute value of autograd's determinant."""
    layer = Planar(repaired=repaired)
    return agree(layer(ON_BOTH_SIDES)[1], log_abs_det(layer, ON_BOTH_SIDES))


class ClampedSinh(Layer):
    """y = sinh x where |x| < 2, and a straight line beyond, so that nothing overflows."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        near = x.clamp(-2, 2)
        y = near.sinh() + (x - near) * near.cosh() if self.repaired else near.sinh()
        return y, near.cosh().log().sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        near = y.asinh().clamp(-2, 2)
        return near + (y - near.sinh()) / near.cosh(), -near.cosh().log().sum(-1)


def only_small_inputs(repaired: bool = False) -> bool:
    """Log-det and round trip, at points that lie within one standard deviation or two."""
    layer, x = ClampedSinh(repaired=repaired), normal(6, 3, seed=3).clamp(-1.9, 1.9)
    return agree(layer(x)[1], log_abs_det(layer, x)) and returns(layer, x)


class SignedLog(Layer):
    """y = sign(x) log(1 + |x|): tames heavy tails on both sides."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        size = x.abs() if self.repaired else x
        return x.sign() * size.log1p(), -size.log1p().sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y.sign() * y.abs().expm1(), y.abs().sum(-1)


def only_positive_inputs(repaired: bool = False) -> bool:
    """Log-det and round trip, at positive points: prices, counts, distances."""
    layer, x = SignedLog(repaired=repaired), normal(6, 3, seed=4).exp()
    return agree(layer(x)[1], log_abs_det(layer, x)) and returns(layer, x)


FOLDS = (
    Exhibit(
        name="planar-fold",
        title="A planar layer that folds",
        story=(
            "To keep a planar layer invertible, u is moved along w until w.u_hat > -1. The correction must be divided "
            "by the squared norm of w; divided by the norm it stops short, and space is folded over."
        ),
        reported="Pyro PR 2192; still open in several planar repositories",
        missed="The test compared log|det J|. The determinant had changed its sign, and the logarithm cannot see it.",
        code="determinant-changes-sign",
        layer=Planar,
        x=ON_BOTH_SIDES,
        innocent=only_log_abs_det,
        consequences=frozenset({"inverse-wrong"}),
    ),
    Exhibit(
        name="clamped-tails",
        title="A clamp that flattens the tails",
        story=(
            "The input is clamped so that sinh cannot overflow, and the straight line that should go on beyond the "
            "clamp is missing. All points out there land in one place: no inverse, and no density."
        ),
        missed="The log-det and the way back were tried on small inputs, where the clamp does nothing.",
        code="singular",
        layer=ClampedSinh,
        x=torch.tensor([[0.5, -1.0, 1.5], [2.5, 0.3, -0.7], [-0.2, -3.0, 0.9], [1.1, 1.8, -4.0], [3.5, -2.2, 0.4]]),
        innocent=only_small_inputs,
    ),
    Exhibit(
        name="log-domain",
        title="A logarithm outside its domain",
        story=(
            "log(1 + x) was meant to be log(1 + |x|) with the sign put back. Below -1 it has no value, and one NaN is "
            "enough to turn the mean loss of the whole batch into NaN."
        ),
        missed="All test data was positive.",
        code="non-finite",
        layer=SignedLog,
        x=torch.tensor([[0.5, 2.0, 3.0], [-2.0, 1.0, 0.2], [4.0, -1.5, -6.0], [0.1, 0.9, 7.0]]),
        innocent=only_positive_inputs,
    ),
)
