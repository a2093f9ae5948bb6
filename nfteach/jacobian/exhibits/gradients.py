"""Exhibits whose values are right and whose gradients are not, and one that gives another value at each call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ..rng import seeded
from .exhibit import Exhibit, Layer, agree, log_abs_det, normal, returns

__all__ = ["GRADIENTS", "Arcsinh", "DetachedCoupling", "DropoutCoupling"]


class DetachedCoupling(Layer):
    """y = (x_a, x_b exp(s(x_a)) + t(x_a)): an affine coupling layer (Dinh et al. 2017)."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.to_s = nn.Parameter(normal(2, 3, seed=61))
        self.to_t = nn.Parameter(normal(2, 3, seed=62))

    def s_and_t(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        features = kept if self.repaired else kept.detach()
        return torch.tanh(features @ self.to_s), features @ self.to_t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, :2], x[:, 2:]
        s, t = self.s_and_t(kept)
        return torch.cat([kept, changed * s.exp() + t], 1), s.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = y[:, :2], y[:, 2:]
        s, t = self.s_and_t(kept)
        return torch.cat([kept, (changed - t) * (-s).exp()], 1), -s.sum(-1)


def log_det_and_way_back(repaired: bool = False) -> bool:
    """Log-det against autograd's, and round trip. What was cut lies below the diagonal, where no determinant looks."""
    layer, x = DetachedCoupling(repaired=repaired), normal(6, 5, seed=63)
    return agree(layer(x)[1], log_abs_det(layer, x)) and returns(layer, x)


class Arcsinh(Layer):
    """y = asinh(x) in each dimension, with a backward pass written by hand to save memory."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, repaired: bool) -> Tensor:
            y = x.asinh()
            if repaired:
                ctx.save_for_backward(x)
            else:
                ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
            (saved,) = ctx.saved_tensors
            return grad / (1 + saved**2).sqrt(), None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.Function.apply(x, self.repaired), -0.5 * (1 + x**2).log().sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y.sinh(), y.cosh().log().sum(-1)


def values_only(repaired: bool = False) -> bool:
    """The values against torch's, the log-det against the formula, the round trip: nothing that runs backward."""
    layer, x = Arcsinh(repaired=repaired), normal(6, 3, seed=64)
    y, log_det = layer(x)
    return agree(y, x.asinh()) and agree(log_det, -y.cosh().log().sum(-1)) and returns(layer, x)


class DropoutCoupling(Layer):
    """An affine coupling layer whose conditioner has a hidden layer, thinned out by dropout in training."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.hidden = nn.Parameter(normal(2, 8, seed=65))
        self.out = nn.Parameter(normal(8, 6, seed=66) / 2)

    def s_and_t(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(kept @ self.hidden)
        h = dropout(h, 0.3, training=self.training) if self.repaired else dropout(h, 0.3)
        s, t = (h @ self.out).chunk(2, -1)
        return torch.tanh(s), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, :2], x[:, 2:]
        s, t = self.s_and_t(kept)
        return torch.cat([kept, changed * s.exp() + t], 1), s.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = y[:, :2], y[:, 2:]
        s, t = self.s_and_t(kept)
        return torch.cat([kept, (changed - t) * (-s).exp()], 1), -s.sum(-1)


def with_one_seed(repaired: bool = False) -> bool:
    """Round trip with the same seed before each call, as for any test that should not fail by chance."""
    layer, x = DropoutCoupling(repaired=repaired).eval(), normal(6, 5, seed=67)
    with seeded(0):
        y, log_det = layer(x)
    with seeded(0):
        back, back_log_det = layer.inverse(y)
    return agree(back, x) and agree(log_det + back_log_det, 0.0)


GRADIENTS = (
    Exhibit(
        name="detached-conditioner",
        title="A conditioner cut off from its input",
        story=(
            "s and t are computed from a detached copy of the kept dimensions. Values, log-det and inverse are right, "
            "but no gradient flows through s and t: all layers before this one learn from a wrong gradient."
        ),
        missed="The Jacobian is triangular, and what was cut stands off its diagonal: autograd's determinant is right.",
        code="gradient-cut",
        layer=DetachedCoupling,
        x=normal(6, 5, seed=68),
        innocent=log_det_and_way_back,
    ),
    Exhibit(
        name="wrong-backward",
        title="A backward pass that saved the wrong tensor",
        story=(
            "The slope of asinh is 1 / sqrt(1 + x^2). The backward pass written by hand saved y in place of x: the "
            "values are right, and training goes in a wrong direction."
        ),
        missed="The test looked at values only and never ran backward.",
        code="gradient-cut",
        layer=Arcsinh,
        x=2 * normal(6, 3, seed=69),
        innocent=values_only,
    ),
    Exhibit(
        name="dropout-left-on",
        title="Dropout that is never switched off",
        story=(
            "The function dropout(h, p) drops in evaluation mode, too, unless told training=self.training. The same "
            "point has another image at each call, so the layer is no map and has no inverse."
        ),
        missed="The test set the seed before each call, and so drew the same noise there and back.",
        code="non-deterministic",
        layer=DropoutCoupling,
        x=normal(6, 5, seed=70),
        innocent=with_one_seed,
    ),
)
