"""normflows' layers."""

import normflows as nf
import torch
from normflows import flows as F
from torch import nn

from tests.peers.numerics import inside, points
from tests.peers.registry import Layer, Library, Model, fixed

MASK = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])  # 1: passes through
NO_INVERSE = {"inverse-missing": "the map has none in closed form, and normflows says so"}
COARSE = {"inverse-wrong": "the fixed point is left when the *square* of the last move is below 1e-5"}


def mlp(*sizes):
    return nf.nets.MLP(list(sizes), leaky=0.1)


def autoregressive():
    return F.MaskedAffineAutoregressive(5, 16)


def there_and_back():
    """Return two autoregressive layers with the halves swapped between them."""
    return [autoregressive(), F.Permute(5, mode="swap"), autoregressive()]


def set_up(layer):
    """Return the layer as it is once its ActNorms have seen a batch."""
    for part in layer.modules():
        if isinstance(part, F.ActNorm):
            part.data_dep_init_done = torch.tensor(1.0)
    return layer


def contraction(dim, size=0.7):
    """Return a network whose Lipschitz constant is below `size`: x -> x + g(x) is then a bijection."""
    net = nn.Sequential(nn.Linear(dim, 16), nn.Tanh(), nn.Linear(16, dim))
    with torch.no_grad():
        for linear in (net[0], net[2]):
            linear.weight *= size**0.5 / torch.linalg.matrix_norm(linear.weight, 2)
    return net


def residual(dim, **more):
    more = {"reverse": False, "reduce_memory": False} | more
    return F.Residual(contraction(dim), **more).eval()


def real_nvp():
    """Return a model of two couplings, with an ActNorm that has seen a batch behind each."""
    layers = [layer for mask in (MASK, 1 - MASK) for layer in (masked_affine(mask), set_up(F.ActNorm(5)))]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(5), layers)


def multiscale():
    """Return a model of two scales: an image of 4 x 4 is squeezed, half its channels leave, the rest is squeezed."""
    flows = [[glow(8), F.Squeeze()], [glow(4), F.Squeeze()]]
    bases = [nf.distributions.DiagGaussian(shape) for shape in ((8, 1, 1), (2, 2, 2))]
    return nf.MultiscaleFlow(bases, flows, [F.Merge()], class_cond=False)


def glow(channels):
    return set_up(F.GlowBlock(channels, 8))


def conditional():
    """Return a model of splines given two numbers, with the halves swapped between them."""
    first, second = (
        F.AutoregressiveRationalQuadraticSpline(5, 1, 16, num_context_channels=2, init_identity=False) for _ in range(2)
    )
    return nf.ConditionalNormalizingFlow(nf.distributions.DiagGaussian(5), [first, F.Permute(5, mode="swap"), second])


def masked_affine(mask):
    return F.MaskedAffineFlow(mask, t=mlp(5, 16, 5), s=mlp(5, 16, 5))


class OfOneClass(nn.Module):
    """A CCAffineConst, which takes the class as a second argument, of one class."""

    def __init__(self):
        super().__init__()
        self.layer = F.CCAffineConst(5, num_classes=3)
        self.register_buffer("label", torch.tensor([[0.0, 1.0, 0.0]]))

    def forward(self, x):
        return self.layer(x, self.label)

    def inverse(self, y):
        return self.layer.inverse(y, self.label)


def inverse(layer, y):
    out = layer.inverse(y)
    return out[0] if isinstance(out, tuple) else out


LAYERS = {
    "NormalizingFlow": Layer(real_nvp, "dense", "a model of two couplings with opposite masks"),
    "ConditionalNormalizingFlow": Layer(
        conditional,
        "dense",
        "splines given the context and what stands before; the halves are swapped between them",
        context=points(7, 2, seed=1),
        forward=lambda model, x, c: model(x, c),
        inverse=lambda model, y, c: model.inverse(y, c),
    ),
    "MultiscaleFlow": Layer(
        multiscale,
        "dense",
        "all channels are mixed before half of them leave",
        x=points(3, 1, 4, 4),
        forward=lambda model, x, _: torch.cat([z.flatten(1) for z in model.inverse_and_log_det(x)[0]], 1),
        inverse=lambda model, y, _: model.forward_and_log_det([y[:, :8, None, None], y[:, 8:].reshape(-1, 2, 2, 2)])[0],
    ),
    "Split": fixed(
        F.Split,
        "identity",
        "the first three numbers and the last two, in a list",
        forward=lambda layer, x, _: torch.cat(layer(x)[0], 1),
        inverse=lambda layer, y, _: layer.inverse([y[:, :3], y[:, 3:]])[0],
    ),
    "Planar": Layer(
        lambda: F.Planar((5,)),
        "identity plus rank one",
        "J = I + u h'(w.z + b) w': every point moves along u",
        findings=NO_INVERSE,
    ),
    "Planar, leaky ReLU": Layer(
        lambda: F.Planar((5,), act="leaky_relu"),
        "identity plus rank one",
        "J = I + u h'(w.z + b) w', with h' one of two numbers",
    ),
    "Radial": Layer(
        lambda: F.Radial((5,)),
        "dense",
        "J = (1 + beta h) I + beta h'/r d d': a multiple of I plus rank one, and that multiple is not 1",
        findings=NO_INVERSE,
    ),
    "AffineConstFlow": Layer(lambda: F.AffineConstFlow(5), "diagonal", "y = exp(s) x + t", at_start="identity"),
    "AffineConstFlow, images": Layer(
        lambda: F.AffineConstFlow((3, 1, 1)),
        "diagonal",
        "one scale a channel: its log counts for every pixel",
        x=points(5, 3, 2, 2),
        at_start="identity",
    ),
    "ActNorm": Layer(lambda: set_up(F.ActNorm(5)), "diagonal", "y = exp(s) x + t", at_start="identity"),
    "ActNorm, first batch": Layer(
        lambda: F.ActNorm(5),
        "diagonal",
        "the same once the first batch has set s and t",
        findings={"changes-state": "the first call writes s, t and a flag"},
    ),
    "CCAffineConst": Layer(OfOneClass, "diagonal", "y = exp(s_c) x + t_c", at_start="identity"),
    "AffineCouplingBlock": Layer(
        lambda: F.AffineCouplingBlock(mlp(3, 16, 4)),
        "coupling",
        "the first three pass; the other two are scaled and shifted given them",
    ),
    "AffineCouplingBlock, sigmoid": Layer(
        lambda: F.AffineCouplingBlock(mlp(3, 16, 4), scale_map="sigmoid"), "coupling", "the same, divided by a sigmoid"
    ),
    "AffineCouplingBlock, additive": Layer(
        lambda: F.AffineCouplingBlock(mlp(2, 16, 3), scale=False, split_mode="channel_inv"),
        "coupling",
        "the last two pass; the others are shifted given them",
    ),
    "MaskedAffineFlow": Layer(
        lambda: masked_affine(MASK),
        "coupling",
        "where the mask is 1 x passes; elsewhere it is scaled and shifted given that",
    ),
    "Permute": fixed(lambda: F.Permute(5), "permutation", "y_i = x_p(i)"),
    "Permute, swap": fixed(
        lambda: F.Permute(5, mode="swap"), "permutation", "the halves, two and three, change places"
    ),
    "Invertible1x1Conv": Layer(
        lambda: F.Invertible1x1Conv(3),
        "block diagonal",
        "one 3 x 3 matrix for each of 4 pixels, which do not see each other",
        x=points(5, 3, 2, 2),
        at_start="orthogonal",
    ),
    "Invertible1x1Conv, LU": Layer(
        lambda: F.Invertible1x1Conv(3, use_lu=True),
        "block diagonal",
        "the same, its matrix in factors",
        x=points(5, 3, 2, 2),
        at_start="orthogonal",
    ),
    "InvertibleAffine": Layer(
        lambda: F.InvertibleAffine(5), "dense", "any matrix, in factors P L U", at_start="orthogonal"
    ),
    "InvertibleAffine, whole": Layer(
        lambda: F.InvertibleAffine(5, use_lu=False), "dense", "any matrix", at_start="orthogonal"
    ),
    "LULinearPermute": Layer(
        lambda: F.LULinearPermute(5), "dense", "the inverse of a permutation, L and U: no zeros", at_start="permutation"
    ),
    "BatchNorm": fixed(
        F.BatchNorm,
        "diagonal",
        "dy_b/dx_b is diagonal, but every y_b sees every x: there are no running statistics",
        findings={"samples-coupled": "mean and variance are always the batch's"} | NO_INVERSE,
    ),
    "MaskedAffineAutoregressive": Layer(
        autoregressive, "lower triangular", "y_i = a_i x_i + b_i with a_i, b_i functions of x_<i"
    ),
    "Reverse": Layer(
        lambda: F.Reverse(autoregressive()), "lower triangular", "x_i is found from y_i and x_<i, so from y_<=i"
    ),
    "CoupledRationalQuadraticSpline": Layer(
        lambda: F.CoupledRationalQuadraticSpline(5, 1, 16),
        "triangular up to a permutation",
        "one half goes through splines of its own, the other through splines given it; at the start these are I",
        at_start="coupling",
    ),
    "AutoregressiveRationalQuadraticSpline": Layer(
        lambda: F.AutoregressiveRationalQuadraticSpline(3, 1, 16),
        "lower triangular",
        "the inverse of splines of x_i given x_<i",
        x=points(7, 3),
        at_start="identity",
    ),
    "CircularCoupledRationalQuadraticSpline": Layer(
        lambda: F.CircularCoupledRationalQuadraticSpline(5, 1, 16, ind_circ=[1, 2]),
        "triangular up to a permutation",
        "as without circles",
        x=inside(-2.9, 2.9, 7, 5),
        at_start="identity",
    ),
    "CircularAutoregressiveRationalQuadraticSpline": Layer(
        lambda: F.CircularAutoregressiveRationalQuadraticSpline(3, 1, 16, ind_circ=[1, 2], permute_mask=False),
        "lower triangular",
        "as without circles",
        x=inside(-2.9, 2.9, 7, 3),
        at_start="identity",
    ),
    "CircularCoupledRationalQuadraticSpline, outside": fixed(
        lambda: F.CircularCoupledRationalQuadraticSpline(5, 1, 16, ind_circ=[1, 2]),
        "diagonal",
        "the coordinates that are no angles have linear tails, so outside (-3, 3) they should pass",
        x=inside(-2.9, 2.9, 7, 5) + torch.tensor([6.0, 0.0, 0.0, 0.0, 0.0]),
        findings={"singular": "they all become 0, with log-det 0"},
        shown_by="test_circular_splines_flatten_outside_their_interval",
    ),
    "Residual": fixed(
        lambda: residual(3, exact_trace=True),
        "dense",
        "J = I + dg/dx with a network g; log det by its power series, exact traces",
        x=points(7, 3),
        findings=COARSE,
        shown_by="test_inverse_of_a_residual_flow_stops_too_early",
    ),
    "Residual, brute force": fixed(
        lambda: residual(2, brute_force=True),
        "dense",
        "J = I + dg/dx with a network g; log det of 2 x 2 matrices, the only size that normflows does so",
        x=points(7, 2),
        findings=COARSE,
        shown_by="test_inverse_of_a_residual_flow_stops_too_early",
    ),
    "Residual, estimated": fixed(
        lambda: residual(3),
        "dense",
        "the same with Hutchinson's estimate of the traces",
        x=points(7, 3),
        findings={"log-det-estimated": "right on average, never at one call"} | COARSE,
        shown_by="test_inverse_of_a_residual_flow_stops_too_early",
    ),
    "Squeeze": fixed(F.Squeeze, "permutation", "channels become pixels, none changes", x=points(5, 4, 2, 1)),
    "PeriodicShift": fixed(
        lambda: F.PeriodicShift([1, 3], bound=2.0, shift=0.7),
        "identity",
        "two coordinates move on by 0.7, and round by the interval's length: slope 1",
        x=inside(-1.99, 1.99, 7, 5),
    ),
    "PeriodicWrap": fixed(
        lambda: F.PeriodicWrap([1, 3], bound=2.0),
        "identity",
        "does nothing on this way, and nothing inside the interval on the way back",
        x=inside(-1.99, 1.99, 7, 5),
        findings={"inverse-limited": "outside the interval the way back wraps, and this way does not"},
    ),
    "Composite": Layer(
        lambda: F.Composite(there_and_back()),
        "dense",
        "triangular, halves swapped, triangular: even y_1 sees three inputs",
    ),
    "GlowBlock": Layer(
        lambda: set_up(F.GlowBlock(3, 8)),
        "dense",
        "a coupling that sees neighbouring pixels, a 1 x 1 convolution, a scale for each channel",
        x=points(5, 3, 2, 2),
        at_start="block diagonal",
    ),
}

MODELS = {
    "MAF": Model(there_and_back, ["lower triangular", "permutation", "lower triangular"], "dense"),
    "RealNVP": Model(real_nvp, ["coupling", "identity"] * 2, "dense"),
    "conditional": Model(
        conditional, ["lower triangular", "permutation", "lower triangular"], "dense", context=points(7, 2, seed=1)
    ),
    # At the start the couplings are the identity: only the channels of a pixel are mixed.
    "two scales": Model(multiscale, ["block diagonal", "identity plus rank r"], "dense", x=points(3, 1, 4, 4)),
}

LIBRARY = Library(inverse=inverse, layers=LAYERS, models=MODELS)
