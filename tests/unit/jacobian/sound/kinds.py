"""The kinds of random sound layers, one maker each: their parameters are far from where such layers start."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal
from torch.distributions import transforms as T

from nfteach.flows import RNADE, AffineCoupling, BatchNorm, Permutation, Planar, RealNVP, Stack
from tests.unit.jacobian.sound.draw import KINDS, kind
from tests.unit.jacobian.sound.modules import ActNorm, Conv1x1, Coupling, Matrix, Moved, Spline, affine, spline
from tests.unit.jacobian.sound.nonlinear import (
    Autoregressive,
    Cubic,
    CubicByHand,
    InTurn,
    LogisticMixture,
    Residual,
    Sylvester,
    henon,
    radial,
    sinh_arcsinh,
    swirl,
)

__all__ = ["KINDS"]


@kind()
def affine_transform(draw):
    way = draw.below(3)
    layer = T.AffineTransform(draw.normal(draw.dim), draw.sizes(draw.dim), event_dim=int(way == 0))
    return T.IndependentTransform(layer, 1) if way == 1 else layer


@kind()
def scale_with_a_number_for_log_det(draw):
    a, b = draw.sizes(draw.dim), draw.normal(draw.dim)
    value = a.double().abs().log().sum()
    as_it_comes = draw.one_of(float, np.float64, np.float32, torch.tensor, lambda v: np.asarray(v))
    return lambda x: (a * x + b, as_it_comes(value.item())), {"inverse": lambda y: (y - b) / a}


@kind()
def matrix(draw):
    D = draw.dim
    parts = draw.one_of("triangular", "LU", "exponential", "Householder")
    layout = draw.one_of("(B,)", "(B, 1)", "tensor", "number")
    return Matrix(parts, draw.normal(D, D), draw.uniform(-3, 3, D), draw.order(D), layout)


@kind()
def permutation(draw):
    order = draw.order(draw.dim)
    return draw.one_of(Permutation(order), Moved(order))


@kind(size=50)
def planar(draw):
    layer = Planar(draw.dim, draw.one_of("tanh", "leaky_relu"))
    draw.wild(layer, 1.5)
    return draw.one_of(layer, layer.inv)


@kind(least=2)
def affine_coupling(draw):
    layer = AffineCoupling(draw.mask(), hidden=(8, 8), additive=draw.below(3) == 0)
    draw.wild(layer, 0.7)
    return draw.one_of(layer, layer.inv)


@kind(least=2)
def own_coupling(draw):
    activation = draw.one_of(nn.ReLU(), nn.SiLU(), nn.Tanh(), nn.ELU())
    if draw.below(2):
        return Coupling(draw.mask(), draw.normal, affine, 2, activation)
    return Coupling(draw.mask(), draw.normal, spline, 3 * (2 + draw.below(6)) - 1, activation)


@kind(most=5, size=2)
def rnade(draw):
    rnade = RNADE(draw.dim, 6, 2, draw.order(draw.dim).tolist())
    draw.wild(rnade, 0.3)
    return rnade.as_flow()


@kind()
def autoregressive(draw):
    return Autoregressive(draw.order(draw.dim), draw.normal)


@kind()
def batch_norm(draw):
    layer = BatchNorm(draw.dim)
    draw.wild(layer, 1)
    layer.running_mean.copy_(draw.normal(draw.dim))
    layer.running_var.copy_(draw.uniform(0.05, 20, draw.dim))
    return draw.one_of(layer, layer.eval().inv)


@kind()
def sinh_arcsinh_function(draw):
    f, log_det, inverse = sinh_arcsinh(draw.normal(draw.dim), draw.uniform(0.4, 2.5, draw.dim))
    return f, {"log_det": log_det, "inverse": inverse}


@kind(size=8)
def elementwise_transform(draw):
    """On their own domains: exp and its inverse, sigmoid and logit, tanh and artanh, softplus, powers, a normal's."""
    to_positive = draw.one_of(T.ExpTransform(), T.SoftplusTransform())
    if draw.below(4) == 0:
        exponent = draw.uniform(0.4, 3)
        layer, x = T.PowerTransform(exponent), draw.uniform(0.1, 5, draw.batch, draw.dim)
    elif draw.below(2):
        narrow = T.CumulativeDistributionTransform(Normal(draw.normal(draw.dim), draw.uniform(0.5, 3, draw.dim)))
        layer, x = draw.one_of(T.TanhTransform(), T.SigmoidTransform(), narrow, to_positive), None
        if layer is narrow:
            x = draw.uniform(-2, 2, draw.batch, draw.dim)
    else:
        layer = draw.one_of(T.TanhTransform(), T.SigmoidTransform(), to_positive).inv
        low = -0.99 if isinstance(layer.inv, T.TanhTransform) else 0.01
        x = draw.uniform(low, 0.99 if layer.inv is not to_positive else 9, draw.batch, draw.dim)
    if draw.below(2):
        layer = T.IndependentTransform(layer, 1)
    return layer, {"x": x}


@kind()
def leaky_relu(draw):
    slope = float(draw.uniform(0.05, 3))

    def f(x):
        return x.where(x > 0, slope * x)

    return f, {
        "log_det": lambda x: torch.where(x > 0, 0.0, np.log(slope)).sum(-1),
        "inverse": lambda y: y.where(y > 0, y / slope),
    }


@kind()
def written_in_place(draw):
    """By index and by mask, as spline layers are often written; the second output is the log-det."""
    slope, shift = draw.uniform(0.1, 3), draw.normal(draw.dim)

    def f(x):
        y = x + shift
        y[y < 0] *= slope
        log_det = torch.zeros_like(y)
        log_det[x + shift < 0] = slope.log()
        y[:, ::2] += y[:, 1::2].sum(1, keepdim=True).sin()
        return y, log_det.sum(1)

    def inverse(y):
        x = y.clone()
        x[:, ::2] -= x[:, 1::2].sum(1, keepdim=True).sin()
        x[x < 0] /= slope
        return x - shift

    return f, {"inverse": inverse}


@kind(size=20)
def own_backward(draw):
    return draw.one_of(CubicByHand(), InTurn(CubicByHand(), Moved(draw.order(draw.dim))))


@kind()
def spline_of_each(draw):
    return Spline(draw.normal(draw.dim, 3 * (2 + draw.below(8)) - 1))


@kind(size=3)
def composed_transforms(draw):
    affine = [T.AffineTransform(draw.normal(draw.dim) / 3, draw.sizes(draw.dim) / 6) for _ in range(3)]
    middle = draw.one_of(T.TanhTransform(), T.SigmoidTransform(), T.SoftplusTransform(), T.ExpTransform())
    layer = T.ComposeTransform([affine[0], middle, affine[1], T.SigmoidTransform(), affine[2]])
    return draw.one_of(layer, T.IndependentTransform(layer, 1))


@kind(least=2, size=4)
def transforms_side_by_side(draw):
    d = 1 + draw.below(draw.dim - 1)
    parts = [T.TanhTransform(), T.AffineTransform(draw.normal(draw.dim - d), draw.sizes(draw.dim - d))]
    return T.IndependentTransform(T.CatTransform(parts, dim=-1, lengths=[d, draw.dim - d]), 1)


@kind(least=2, most=8, size=10)
def stack(draw):
    def some():
        layer = draw.one_of(
            Planar(draw.dim), AffineCoupling(draw.mask(), hidden=(8,)), Permutation(draw.order(draw.dim))
        )
        draw.wild(layer, 0.5)
        return layer

    return Stack(*(some() for _ in range(2 + draw.below(4))))


@kind(least=2, size=30)
def real_nvp(draw):
    flow = RealNVP(draw.dim, layers=1 + draw.below(6), hidden=(16, 16), batch_norm=bool(draw.below(2)))
    return draw.wild(flow, 0.4)


@kind(size=50)
def residual(draw):
    width = 1 + draw.below(12)
    return Residual(draw.normal(width, draw.dim), draw.normal(draw.dim, width), draw.normal(width))


@kind(least=2)
def sylvester(draw):
    M = 1 + draw.below(draw.dim)
    return Sylvester(draw.normal(draw.dim, M), draw.normal(M, M), draw.normal(M, M), draw.normal(M))


@kind()
def radial_function(draw):
    f, log_det = radial(draw.normal(draw.dim), draw.uniform(0.3, 3), 3 * draw.normal())
    return f, {"log_det": log_det}


@kind(least=2, size=20)
def swirl_function(draw):
    f, inverse = swirl(draw.normal())
    return f, {"log_det": lambda x: x.new_zeros(x.shape[:-1]), "inverse": inverse}


@kind(least=2, most=2, size=5)
def henon_of_one_point(draw):
    f, log_det, inverse = henon(float(draw.uniform(0.5, 1.5)), float(draw.sizes()))
    return f, {"log_det": log_det, "inverse": inverse, "x": 2 * draw.normal(2)}


@kind(size=30)
def cubic(draw):
    return Cubic(draw.uniform(-2, 0.7, draw.dim))


@kind()
def logistic_mixture(draw):
    K = 1 + draw.below(4)
    return LogisticMixture(draw.normal(draw.dim, K), 2 * draw.normal(draw.dim, K), draw.uniform(-1, 1, draw.dim, K))


@kind()
def image(draw):
    C, H, W = draw.one_of((1, 4, 4), (3, 2, 2), (4, 2, 2), (2, 1, 3), (4, 1, 1))
    mixed = torch.linalg.qr(draw.normal(C, C).double()).Q.to(draw.dtype) * draw.sizes(C)
    layer = InTurn(ActNorm(draw.uniform(-1, 1, C), draw.normal(C)), Conv1x1(mixed))
    return layer, {"shape": (C, H, W)}


@kind(least=2, most=8, size=20)
def glow_step(draw):
    D = draw.dim
    A = Matrix("LU", draw.normal(D, D), draw.uniform(-1, 1, D), draw.order(D), "tensor")
    step = Coupling(draw.mask(), draw.normal, affine, 2, nn.ReLU())
    return InTurn(ActNorm(draw.uniform(-1, 1, D), draw.normal(D)), A, step)
