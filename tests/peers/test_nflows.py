"""The microscope on nflows' transforms."""

import pytest
import torch
from nflows import transforms as N
from nflows.nn.nets import ResidualNet
from nflows.transforms.nonlinearities import CauchyCDF, GatedLinearUnit

from tests.peers.layers import Layer, check, check_by_differences, inside, points

# torch.triangular_solve, which nflows' linear layers use, is deprecated and still there.
pytestmark = pytest.mark.filterwarnings(
    "ignore:torch.triangular_solve is deprecated", "ignore:.*torch.qr is deprecated"
)

MASK = torch.tensor([1, 0, 1, 0, 1])  # 1: transformed
MADE = {"features": 5, "hidden_features": 16}
UNIT = inside(0.02, 0.98, 7, 5)


def net(features_in, features_out):
    return ResidualNet(features_in, features_out, hidden_features=16, num_blocks=1)


def after_a_batch(layer):
    """The layer in evaluation mode, once it has seen a batch in training mode."""
    layer(3.0 * torch.randn(64, 5) + 1.0)
    return layer.eval()


def multiscale():
    """Two scales: squeeze, 1 x 1 convolution, half of the channels leave; 1 x 1 convolution of the others."""
    transform = N.MultiscaleCompositeTransform(2)
    shape = transform.add_transform(N.CompositeTransform([N.SqueezeTransform(), N.OneByOneConvolution(4)]), (4, 2, 2))
    transform.add_transform(N.OneByOneConvolution(shape[0]), shape)
    return transform


def two_scales_of_vectors():
    transform = N.MultiscaleCompositeTransform(2)
    shape = transform.add_transform(N.MaskedAffineAutoregressiveTransform(**MADE), (5,))
    transform.add_transform(N.MaskedAffineAutoregressiveTransform(shape[0], hidden_features=8), shape)
    return transform


class Gated(torch.nn.Module):
    """nflows' GatedLinearUnit takes its gate as a second argument; here the gate is fixed."""

    def __init__(self):
        super().__init__()
        self.unit, self.gate = GatedLinearUnit(), torch.nn.Parameter(torch.randn(5))

    def forward(self, x):
        return self.unit(x, self.gate)

    def inverse(self, y):
        return self.unit.inverse(y, self.gate)


def alone(name, build, **more):
    return Layer(name, build, "diagonal", "each x_i by itself", **more)


LAYERS = [
    Layer("ActNorm", lambda: N.ActNorm(5).eval(), "diagonal", "y = exp(s) x + t", at_start="identity"),
    Layer(
        "ActNorm, first batch",
        lambda: N.ActNorm(5),
        "diagonal",
        "the same once the first batch has set s and t",
        findings={"changes-state": "the first call in training mode writes s, t and a flag"},
    ),
    Layer("BatchNorm", lambda: after_a_batch(N.BatchNorm(5)), "diagonal", "running statistics are constants"),
    Layer(
        "BatchNorm, training",
        lambda: N.BatchNorm(5),
        "diagonal",
        "dy_b/dx_b is diagonal, but every y_b sees every x",
        findings={
            "samples-coupled": "mean and variance are the batch's",
            "changes-state": "the running statistics follow",
            "inverse-missing": "nflows gives one in evaluation mode only, and says so",
        },
    ),
    Layer("LULinear", lambda: N.LULinear(5), "dense", "lower times upper has no zeros", at_start="diagonal"),
    Layer("QRLinear", lambda: N.QRLinear(5, num_householder=3), "dense", "three reflections times upper triangular"),
    Layer(
        "SVDLinear",
        lambda: N.SVDLinear(5, num_householder=4),
        "dense",
        "orthogonal, diagonal, orthogonal; at the start the reflections cancel in pairs",
        at_start="diagonal",
    ),
    Layer(
        "NaiveLinear",
        lambda: N.NaiveLinear(5),
        "dense",
        "any matrix",
        findings={"inverse-missing": "it calls torch.solve, which torch has removed: see below"},
    ),
    Layer(
        "HouseholderSequence",
        lambda: N.HouseholderSequence(5, num_transforms=3),
        "orthogonal",
        "three reflections; at the start two are the same and cancel, and the third is along an axis",
        at_start="diagonal",
    ),
    Layer(
        "HouseholderSequence, one",
        lambda: N.HouseholderSequence(5, num_transforms=1),
        "identity plus rank one",
        "one reflection is I - 2 q q'/q'q",
        at_start="diagonal",
    ),
    Layer(
        "OneByOneConvolution",
        lambda: N.OneByOneConvolution(3),
        "block diagonal",
        "one 3 x 3 matrix for each of 4 pixels, which do not see each other",
        x=points(5, 3, 2, 2),
    ),
    Layer(
        "AffineCouplingTransform",
        lambda: N.AffineCouplingTransform(MASK, net),
        "coupling",
        "x_2 and x_4 pass; the others are scaled and shifted given them",
    ),
    Layer(
        "AdditiveCouplingTransform",
        lambda: N.AdditiveCouplingTransform(MASK, net),
        "coupling",
        "a shift given x_2 and x_4",
    ),
    Layer(
        "MaskedAffineAutoregressiveTransform",
        lambda: N.MaskedAffineAutoregressiveTransform(**MADE),
        "lower triangular",
        "y_i = softplus(a_i) x_i + b_i with a_i, b_i functions of x_<i",
    ),
    Layer(
        "the same, random masks",
        lambda: N.MaskedAffineAutoregressiveTransform(**MADE, use_residual_blocks=False, random_mask=True),
        "lower triangular",
        "hidden units see random prefixes; outputs still see x_<i only",
    ),
    Layer(
        "the inverse of an autoregressive",
        lambda: N.InverseTransform(N.MaskedAffineAutoregressiveTransform(3, hidden_features=8)),
        "lower triangular",
        "x_i is found from y_i and x_<i, so from y_<=i",
        x=points(5, 3),
    ),
    Layer(
        "Permutation",
        lambda: N.Permutation(torch.tensor([2, 0, 4, 1, 3])),
        "permutation",
        "y_i = x_p(i)",
        perturb=None,
    ),
    Layer("ReversePermutation", lambda: N.ReversePermutation(5), "permutation", "y_i = x_6-i", perturb=None),
    Layer(
        "SqueezeTransform",
        N.SqueezeTransform,
        "permutation",
        "pixels become channels, none changes",
        x=points(5, 1, 4, 2),
        perturb=None,
    ),
    Layer(
        "SqueezeTransform, by three",
        lambda: N.SqueezeTransform(factor=3),
        "permutation",
        "the same with blocks of 3 x 3",
        x=points(5, 1, 3, 6),
        findings={"inverse-missing": "it asks for channels in fours, whatever the factor: see below"},
        perturb=None,
    ),
    Layer("Sigmoid", lambda: N.Sigmoid(learn_temperature=True), "diagonal", "each x_i by itself"),
    Layer("Logit", N.Logit, "diagonal", "each x_i by itself, on (0, 1)", x=UNIT, perturb=None),
    alone("Tanh", N.Tanh, perturb=None),
    alone("LogTanh", N.LogTanh, perturb=None),
    alone("LeakyReLU", lambda: N.LeakyReLU(0.1), perturb=None),
    alone("CauchyCDF", CauchyCDF, perturb=None),
    Layer(
        "PointwiseAffineTransform",
        lambda: N.PointwiseAffineTransform(torch.randn(5), torch.rand(5) + 0.5),
        "diagonal",
        "y_i = a_i x_i + b_i",
        perturb=None,
    ),
    Layer("IdentityTransform", N.IdentityTransform, "identity", "y = x", perturb=None),
    Layer(
        "CompositeTransform",
        lambda: N.CompositeTransform(
            [
                N.MaskedAffineAutoregressiveTransform(**MADE),
                N.ReversePermutation(5),
                N.MaskedAffineAutoregressiveTransform(**MADE),
            ]
        ),
        "dense",
        "lower triangular, reversed, lower triangular: the first output sees the last input and so on: no zeros",
    ),
    Layer(
        "MultiscaleCompositeTransform",
        two_scales_of_vectors,
        "lower triangular",
        "triangular; then its last two outputs through another triangular map",
    ),
    Layer(
        "MultiscaleCompositeTransform, images",
        multiscale,
        "block diagonal",
        "convolutions of 1 x 1 after the squeeze: each block of 2 x 2 pixels by itself",
        x=points(5, 1, 4, 4),
    ),
    Layer(
        "GatedLinearUnit",
        Gated,
        "diagonal",
        "y_i = sigmoid(g_i) x_i",
        findings={"log-det-per-dimension": "log sigmoid(g) is never summed: see below"},
    ),
]


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_layer(expected):
    check(expected)


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_by_differences(expected):
    check_by_differences(expected)
