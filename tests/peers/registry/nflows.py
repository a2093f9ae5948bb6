"""nflows' transforms."""

import torch
from nflows import transforms as N
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms.nonlinearities import CauchyCDF, GatedLinearUnit

from tests.peers.numerics import inside, points
from tests.peers.registry import Layer, Library, Model, alone, fixed

MASK = torch.tensor([1, 0, 1, 0, 1])  # 1: transformed
MADE = {"features": 5, "hidden_features": 16}
SMALL_MADE = {"features": 3, "hidden_features": 12}
SPLINE = {"num_bins": 6, "tails": "linear", "tail_bound": 3.0}
UNIT = inside(0.02, 0.98, 7, 5)
LAST_BIN = {
    "inverse-wrong": "the inverse makes the last bin of the spline higher by 1e-6, and so its slope",
    "log-det-wrong": "so the inverse's log-det is that of another slope",
}
LAST_BIN_TEST = "test_last_bin_of_a_linear_spline_is_steeper_on_the_way_back"


def net(features_in, features_out):
    return ResidualNet(features_in, features_out, hidden_features=16, num_blocks=1)


def after_a_batch(layer):
    """Return the layer in evaluation mode, once it has seen a batch in training mode."""
    layer(3.0 * torch.randn(64, 5) + 1.0)
    return layer.eval()


def set_to_zero(layer):
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    return layer


def multiscale():
    """Return two scales: squeeze, 1 x 1 convolution, half of the channels leave; 1 x 1 convolution of the rest."""
    transform = N.MultiscaleCompositeTransform(2)
    shape = transform.add_transform(N.CompositeTransform([N.SqueezeTransform(), N.OneByOneConvolution(4)]), (4, 2, 2))
    transform.add_transform(N.OneByOneConvolution(shape[0]), shape)
    return transform


def two_scales_of_vectors():
    transform = N.MultiscaleCompositeTransform(2)
    shape = transform.add_transform(N.MaskedAffineAutoregressiveTransform(**MADE), (5,))
    transform.add_transform(N.MaskedAffineAutoregressiveTransform(shape[0], hidden_features=8), shape)
    return transform


def there_and_back():
    """Return two autoregressive transforms with the order reversed between them."""
    first, second = (N.MaskedAffineAutoregressiveTransform(**MADE) for _ in range(2))
    return N.CompositeTransform([first, N.ReversePermutation(5), second])


def flow(transform, embedding_net=None):
    return Flow(transform, StandardNormal([5]), embedding_net)


def conditional_flow():
    """Return a flow of two autoregressive transforms, given three numbers that a network makes of two."""
    first, second = (N.MaskedAffineAutoregressiveTransform(**MADE, context_features=3) for _ in range(2))
    return flow(N.CompositeTransform([first, N.ReversePermutation(5), second]), torch.nn.Linear(2, 3))


def real_nvp():
    masks = MASK, 1 - MASK
    return N.CompositeTransform([N.AffineCouplingTransform(mask, net) for mask in masks])


class Gated(torch.nn.Module):
    """A GatedLinearUnit, which takes its gate as a second argument, with a gate of its own."""

    def __init__(self):
        super().__init__()
        self.unit, self.gate = GatedLinearUnit(), torch.nn.Parameter(torch.randn(5))

    def forward(self, x):
        return self.unit(x, self.gate)

    def inverse(self, y):
        return self.unit.inverse(y, self.gate)


LAYERS = {
    "ActNorm": Layer(lambda: N.ActNorm(5).eval(), "diagonal", "y = exp(s) x + t", at_start="identity"),
    "ActNorm, first batch": Layer(
        lambda: N.ActNorm(5),
        "diagonal",
        "the same once the first batch has set s and t",
        findings={"changes-state": "the first call in training mode writes s, t and a flag"},
    ),
    "BatchNorm": Layer(lambda: after_a_batch(N.BatchNorm(5)), "diagonal", "running statistics are constants"),
    "BatchNorm, training": Layer(
        lambda: N.BatchNorm(5),
        "diagonal",
        "dy_b/dx_b is diagonal, but every y_b sees every x",
        findings={
            "samples-coupled": "mean and variance are the batch's",
            "changes-state": "the running statistics follow",
            "inverse-missing": "nflows gives one in evaluation mode only, and says so",
        },
    ),
    "LULinear": Layer(lambda: N.LULinear(5), "dense", "lower times upper has no zeros", at_start="identity"),
    "QRLinear": Layer(
        lambda: N.QRLinear(5, num_householder=3),
        "dense",
        "three reflections times upper triangular",
        at_start="upper triangular",
    ),
    "SVDLinear": Layer(
        lambda: N.SVDLinear(5, num_householder=4),
        "dense",
        "orthogonal, diagonal, orthogonal; at the start the reflections cancel in pairs",
        at_start="identity",
    ),
    "NaiveLinear": Layer(
        lambda: N.NaiveLinear(5),
        "dense",
        "any matrix",
        findings={"inverse-missing": "it calls torch.solve, which torch has removed"},
        shown_by="test_naive_linear_cannot_be_inverted",
        at_start="orthogonal",
    ),
    "HouseholderSequence": Layer(
        lambda: N.HouseholderSequence(5, num_transforms=3),
        "orthogonal",
        "three reflections; at the start two are the same and cancel, and the third is along an axis",
        at_start="diagonal",
    ),
    "HouseholderSequence, one": Layer(
        lambda: N.HouseholderSequence(5, num_transforms=1),
        "identity plus rank one",
        "one reflection is I - 2 q q'/q'q",
        at_start="diagonal",
    ),
    "OneByOneConvolution": Layer(
        lambda: N.OneByOneConvolution(3),
        "block diagonal",
        "one 3 x 3 matrix for each of 4 pixels, which do not see each other",
        x=points(5, 3, 2, 2),
        at_start="permutation",
    ),
    "AffineCouplingTransform": Layer(
        lambda: N.AffineCouplingTransform(MASK, net),
        "coupling",
        "x_2 and x_4 pass; the others are scaled and shifted given them",
    ),
    "AdditiveCouplingTransform": Layer(
        lambda: N.AdditiveCouplingTransform(MASK, net), "coupling", "a shift given x_2 and x_4"
    ),
    "MaskedAffineAutoregressiveTransform": Layer(
        lambda: N.MaskedAffineAutoregressiveTransform(**MADE),
        "lower triangular",
        "y_i = softplus(a_i) x_i + b_i with a_i, b_i functions of x_<i",
    ),
    "the same, random masks": Layer(
        lambda: N.MaskedAffineAutoregressiveTransform(**MADE, use_residual_blocks=False, random_mask=True),
        "lower triangular",
        "hidden units see random prefixes; outputs still see x_<i only",
    ),
    "the inverse of an autoregressive": Layer(
        lambda: N.InverseTransform(N.MaskedAffineAutoregressiveTransform(3, hidden_features=8)),
        "lower triangular",
        "x_i is found from y_i and x_<i, so from y_<=i",
        x=points(5, 3),
    ),
    "Permutation": fixed(lambda: N.Permutation(torch.tensor([2, 0, 4, 1, 3])), "permutation", "y_i = x_p(i)"),
    "ReversePermutation": fixed(lambda: N.ReversePermutation(5), "permutation", "y_i = x_6-i"),
    "SqueezeTransform": fixed(
        N.SqueezeTransform, "permutation", "pixels become channels, none changes", x=points(5, 1, 4, 2)
    ),
    "SqueezeTransform, by three": fixed(
        lambda: N.SqueezeTransform(factor=3),
        "permutation",
        "the same with blocks of 3 x 3",
        x=points(5, 1, 3, 6),
        findings={"inverse-missing": "it asks for channels in fours, whatever the factor"},
        shown_by="test_squeeze_by_three_cannot_be_undone",
    ),
    "Sigmoid": alone(lambda: N.Sigmoid(learn_temperature=True)),
    "Logit": fixed(N.Logit, "diagonal", "each x_i by itself, on (0, 1)", x=UNIT),
    "Tanh": alone(N.Tanh, perturb=None),
    "LogTanh": alone(N.LogTanh, perturb=None),
    "LeakyReLU": alone(lambda: N.LeakyReLU(0.1), perturb=None),
    "CauchyCDF": alone(CauchyCDF, perturb=None),
    "PointwiseAffineTransform": fixed(
        lambda: N.PointwiseAffineTransform(torch.randn(5), torch.rand(5) + 0.5), "diagonal", "y_i = a_i x_i + b_i"
    ),
    "IdentityTransform": fixed(N.IdentityTransform, "identity", "y = x"),
    "CompositeTransform": Layer(
        there_and_back,
        "dense",
        "lower triangular, reversed, lower triangular: the first output sees the last input and so on: no zeros",
    ),
    "MultiscaleCompositeTransform": Layer(
        two_scales_of_vectors,
        "lower triangular",
        "triangular; then its last two outputs through another triangular map",
    ),
    "MultiscaleCompositeTransform, images": Layer(
        multiscale,
        "block diagonal",
        "convolutions of 1 x 1 after the squeeze: each block of 2 x 2 pixels by itself",
        x=points(5, 1, 4, 4),
        at_start="permutation",
    ),
    "GatedLinearUnit": Layer(
        Gated,
        "diagonal",
        "y_i = sigmoid(g_i) x_i",
        findings={"log-det-per-dimension": "log sigmoid(g) is never summed"},
        shown_by="test_gated_linear_unit_never_sums_its_log_det",
    ),
    "rational-quadratic coupling": Layer(
        lambda: N.PiecewiseRationalQuadraticCouplingTransform(MASK, net, **SPLINE),
        "coupling",
        "splines given x_2 and x_4",
    ),
    "rational-quadratic coupling, both halves": Layer(
        lambda: N.PiecewiseRationalQuadraticCouplingTransform(MASK, net, apply_unconditional_transform=True, **SPLINE),
        "triangular up to a permutation",
        "x_2 and x_4 do not pass: they go through splines of their own",
    ),
    "quadratic coupling": Layer(
        lambda: N.PiecewiseQuadraticCouplingTransform(MASK, net, **SPLINE), "coupling", "splines given x_2 and x_4"
    ),
    "cubic coupling": Layer(
        lambda: N.PiecewiseCubicCouplingTransform(MASK, net, **SPLINE), "coupling", "splines given x_2 and x_4"
    ),
    "linear coupling": Layer(
        lambda: N.PiecewiseLinearCouplingTransform(MASK, net, num_bins=20, tails="linear", tail_bound=3.0),
        "coupling",
        "splines given x_2 and x_4",
        x=inside(2.0, 2.99, 7, 5),
        findings=LAST_BIN,
        shown_by=LAST_BIN_TEST,
    ),
    "rational-quadratic autoregressive": Layer(
        lambda: N.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**SMALL_MADE, **SPLINE),
        "lower triangular",
        "a spline of x_i given x_<i",
        x=points(7, 3),
    ),
    "quadratic autoregressive": Layer(
        lambda: N.MaskedPiecewiseQuadraticAutoregressiveTransform(**SMALL_MADE, **SPLINE),
        "lower triangular",
        "a spline of x_i given x_<i",
        x=points(7, 3),
    ),
    "cubic autoregressive": Layer(
        lambda: N.MaskedPiecewiseCubicAutoregressiveTransform(num_bins=6, **SMALL_MADE),
        "lower triangular",
        "a spline of x_i on (0, 1) given x_<i",
        x=UNIT[:, :3],
    ),
    "linear autoregressive": Layer(
        lambda: N.MaskedPiecewiseLinearAutoregressiveTransform(num_bins=20, **SMALL_MADE),
        "lower triangular",
        "a spline of x_i on (0, 1) given x_<i",
        x=inside(0.955, 0.995, 7, 3),
        findings=LAST_BIN,
        shown_by=LAST_BIN_TEST,
    ),
    "CompositeCDFTransform": Layer(
        lambda: N.CompositeCDFTransform(N.Sigmoid(), N.PiecewiseRationalQuadraticCDF([5], num_bins=6)),
        "diagonal",
        "to (0, 1), through a spline, and back, each x_i by itself",
    ),
    "cubic CDF": alone(lambda: N.PiecewiseCubicCDF([5], num_bins=6), x=UNIT),
    "cubic CDF, straight": fixed(
        lambda: set_to_zero(N.PiecewiseCubicCDF([5], num_bins=6)),
        "diagonal",
        "the same with all parameters 0, as a network that starts at 0 gives: cubics that are straight lines",
        x=UNIT,
        findings={"inverse-wrong": "a straight line is solved as a quadratic without a square: 0/0"},
        shown_by="test_straight_cubic_spline_cannot_be_inverted",
    ),
    "Flow": Layer(
        lambda: flow(real_nvp()),
        "dense",
        "a model: two couplings with opposite masks",
        forward=lambda model, x, _: model._transform(x),
        inverse=lambda model, y, _: model._transform.inverse(y)[0],
    ),
    "Flow, given a context": Layer(
        conditional_flow,
        "dense",
        "triangular, reversed, triangular, all given what the embedding network makes of the context",
        context=points(7, 2, seed=1),
        forward=lambda model, x, c: model._transform(x, model._embedding_net(c)),
        inverse=lambda model, y, c: model._transform.inverse(y, model._embedding_net(c))[0],
    ),
    "MaskedAffineAutoregressiveTransform, given a context": Layer(
        lambda: N.MaskedAffineAutoregressiveTransform(**MADE, context_features=3),
        "lower triangular",
        "y_i = softplus(a_i) x_i + b_i with a_i, b_i functions of x_<i and the context",
        context=points(7, 3, seed=1),
        forward=lambda layer, x, c: layer(x, c),
        inverse=lambda layer, y, c: layer.inverse(y, c)[0],
    ),
    "quadratic CDF": alone(lambda: N.PiecewiseQuadraticCDF([5], num_bins=6), x=UNIT),
    "linear CDF": alone(
        lambda: N.PiecewiseLinearCDF([5], num_bins=20),
        x=inside(0.955, 0.995, 7, 5),
        findings={"log-det-wrong": LAST_BIN["log-det-wrong"]},
        shown_by=LAST_BIN_TEST,
    ),
}


MODELS = {
    "MAF": Model(there_and_back, ["lower triangular", "permutation", "lower triangular"], "dense"),
    "RealNVP": Model(real_nvp, ["coupling", "coupling"], "dense"),
    "Flow": Model(lambda: flow(real_nvp()), ["coupling", "coupling"], "dense"),
    "Flow, given a context": Model(
        conditional_flow,
        ["lower triangular", "permutation", "lower triangular"],
        "dense",
        context=points(7, 2, seed=1),
    ),
}

LIBRARY = Library(inverse=lambda layer, y: layer.inverse(y)[0], layers=LAYERS, models=MODELS)
