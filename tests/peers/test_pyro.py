"""The microscope on Pyro's transforms."""

import pyro.distributions.transforms as P
import pytest
import torch
from pyro.nn import AutoRegressiveNN, DenseNN

from nfteach.jacobian import inspect_jacobian
from tests.peers.layers import Layer, check, check_by_differences, inside, points

pytestmark = pytest.mark.filterwarnings("ignore:class CorrLCholeskyTransform is deprecated")

ORDER = torch.tensor([2, 0, 4, 1, 3])
NO_INVERSE = {"inverse-missing": "what inverse there is, is what the cache remembers of the last call"}
FLOAT32_INVERSE = {"low-precision": "the inverse starts from zeros of the default dtype: it does not run in float64"}


def network(*sizes):
    """Autoregressive in an order that is neither ascending nor descending."""
    return AutoRegressiveNN(5, [16], param_dims=list(sizes), permutation=ORDER)


def conditioned(layer):
    """A conditional transform, given a context."""
    return layer.condition(torch.randn(3))


def given(sizes):
    """A network from a context of three numbers to parameters."""
    return DenseNN(3, [16], param_dims=list(sizes))


def after_a_batch(layer):
    """The layer in evaluation mode, once it has seen a batch in training mode."""
    layer._inverse(3.0 * torch.randn(64, 5) + 1.0)
    return layer.eval()


TRIANGULAR = "triangular up to a permutation"

LAYERS = [
    Layer("Planar", lambda: P.Planar(5), "identity plus rank one", "J = I + u h'(w.x + b) w'", findings=NO_INVERSE),
    Layer(
        "ConditionalPlanar",
        lambda: conditioned(P.ConditionalPlanar(given([1, 5, 5]))),
        "identity plus rank one",
        "the same, its parameters from a network",
        findings=NO_INVERSE,
    ),
    Layer(
        "two Planars",
        lambda: P.iterated(2, P.Planar, 5),
        "identity plus rank r",
        "(I + u v')(I + s t') = I + a matrix of rank two",
        findings=NO_INVERSE,
    ),
    Layer(
        "Radial",
        lambda: P.Radial(5),
        "dense",
        "J = (1 + beta h) I + a matrix of rank one, and 1 + beta h is not 1",
        findings=NO_INVERSE,
    ),
    Layer(
        "Sylvester",
        lambda: P.Sylvester(5, count_transforms=1),
        "dense",
        "J = I + R'Q'diag(h')Q S' in columns, with full R and S",
        findings={"log-det-wrong": "the product is transposed, so its diagonal is not the determinant: see below"}
        | NO_INVERSE,
    ),
    Layer("Householder", lambda: P.Householder(5, count_transforms=2), "orthogonal", "two reflections make a rotation"),
    Layer("Householder, one", lambda: P.Householder(5), "identity plus rank one", "one reflection is I - 2 u u'"),
    Layer(
        "AffineAutoregressive",
        lambda: P.AffineAutoregressive(network(1, 1)),
        TRIANGULAR,
        "y_i = exp(a_i) x_i + b_i, functions of what comes before x_i in the order",
        findings=FLOAT32_INVERSE,
    ),
    Layer(
        "AffineAutoregressive, stable",
        lambda: P.AffineAutoregressive(network(1, 1), stable=True),
        TRIANGULAR,
        "y_i = s_i x_i + (1 - s_i) b_i",
        findings=FLOAT32_INVERSE,
    ),
    Layer("AffineCoupling", lambda: P.affine_coupling(5), "coupling", "x_1 and x_2 pass; the others given them"),
    Layer(
        "AffineCoupling, images",
        lambda: P.affine_coupling([3, 2, 2], dim=-3),
        "coupling",
        "one channel passes; the others are scaled and shifted given it",
        x=points(5, 3, 2, 2),
    ),
    Layer("its inverse", lambda: P.affine_coupling(5).inv, "coupling", "a coupling is undone by a coupling"),
    Layer(
        "ConditionalAffineCoupling",
        lambda: conditioned(P.conditional_affine_coupling(5, 3)),
        "coupling",
        "the same, with a context",
    ),
    *(
        Layer(
            f"NeuralAutoregressive, {activation}",
            lambda activation=activation: P.NeuralAutoregressive(network(8, 8, 8), 8, activation),
            TRIANGULAR,
            "a monotone network of x_i, its weights functions of what comes before",
            findings=NO_INVERSE,
        )
        for activation in ("sigmoid", "tanh", "ELU", "LeakyReLU")
    ),
    *(
        Layer(
            f"BlockAutoregressive, {activation}, {residual}",
            lambda activation=activation, residual=residual: P.BlockAutoregressive(5, [4, 4], activation, residual),
            "lower triangular",
            "blocks of weights: positive on the diagonal, none above",
            findings=NO_INVERSE,
        )
        for activation, residual in (("tanh", None), ("sigmoid", "normal"), ("ELU", "gated"), ("LeakyReLU", None))
    ),
    Layer(
        "Polynomial",
        lambda: P.Polynomial(network(15), 5, count_degree=4, count_sum=3),
        TRIANGULAR,
        "the integral of a sum of squares from 0 to x_i",
        findings=NO_INVERSE,
    ),
    Layer("Spline, linear", lambda: P.Spline(5), "diagonal", "each x_i by itself", x=inside(-2.9, 2.9, 7, 5)),
    Layer("Spline, quadratic", lambda: P.Spline(5, order="quadratic"), "diagonal", "each x_i by itself"),
    Layer(
        "ConditionalSpline",
        lambda: conditioned(P.conditional_spline(5, 3)),
        "diagonal",
        "each x_i by itself, given a context",
    ),
    Layer(
        "SplineAutoregressive, linear",
        lambda: P.SplineAutoregressive(5, network(8, 8, 7, 8)),
        TRIANGULAR,
        "a spline of x_i given what comes before",
    ),
    Layer(
        "SplineAutoregressive, quadratic",
        lambda: P.SplineAutoregressive(5, network(8, 8, 7), order="quadratic"),
        TRIANGULAR,
        "a spline of x_i given what comes before",
    ),
    Layer(
        "SplineCoupling",
        lambda: P.spline_coupling(5),
        "lower triangular",
        "x_1 and x_2 do not pass: they go through splines of their own; the others through splines given them",
    ),
    Layer(
        "SplineCoupling, identity",
        lambda: P.SplineCoupling(5, 2, DenseNN(2, [16], param_dims=[24, 24, 21, 24]), identity=True),
        "coupling",
        "x_1 and x_2 pass",
    ),
    Layer("BatchNorm", lambda: after_a_batch(P.BatchNorm(5)), "diagonal", "moving statistics are constants"),
    Layer(
        "BatchNorm, training",
        lambda: P.BatchNorm(5),
        "diagonal",
        "the map itself takes the moving statistics",
        findings={
            "log-det-wrong": "the log-det takes the variance of the batch, and the map the moving one",
            "inverse-wrong": "so does the inverse",
            "changes-state": "the inverse lets the moving statistics follow",
        },
    ),
    Layer("Permute", lambda: P.Permute(ORDER), "permutation", "y_i = x_p(i)", perturb=None),
    Layer(
        "MatrixExponential, many terms",
        lambda: P.MatrixExponential(5, iterations=40),
        "dense",
        "y = exp(M) x, and log det exp(M) = tr M",
    ),
    Layer(
        "MatrixExponential",
        lambda: P.MatrixExponential(5),
        "dense",
        "y = (I + M + ... + M^8/8!) x, which is exp(M) x for small M only",
        findings={
            "log-det-wrong": "tr M is the log-det of the whole series, not of nine terms",
            "inverse-wrong": "nine terms of exp(-M) do not undo nine terms of exp(M)",
        },
        perturb=2.0,
    ),
    Layer(
        "GeneralizedChannelPermute",
        lambda: P.GeneralizedChannelPermute(3),
        "block diagonal",
        "one 3 x 3 matrix for each of 4 pixels, which do not see each other",
        x=points(5, 3, 2, 2),
    ),
    Layer("LeakyReLU", P.LeakyReLUTransform, "diagonal", "each x_i by itself", perturb=None),
    Layer("ELU", P.ELUTransform, "diagonal", "each x_i by itself", perturb=None),
    Layer(
        "ELU, far below 0",
        P.ELUTransform,
        "diagonal",
        "each x_i by itself",
        x=points(7, 5) - 12.0,
        findings={"inverse-wrong": "1e-8 is added under the logarithm, where exp(x) is smaller: see below"},
        perturb=None,
    ),
    Layer(
        "LowerCholeskyAffine",
        lambda: P.LowerCholeskyAffine(torch.randn(5), torch.eye(5) + torch.rand(5, 5).tril()),
        "lower triangular",
        "y = L x + r",
        perturb=None,
    ),
    Layer("OrderedTransform", P.OrderedTransform, "lower triangular", "sums of x_1, exp(x_2), ...", perturb=None),
    Layer("DiscreteCosineTransform", P.DiscreteCosineTransform, "orthogonal", "cosines of unit length", perturb=None),
    Layer(
        "DiscreteCosineTransform, smooth",
        lambda: P.DiscreteCosineTransform(smooth=1.0),
        "dense",
        "cosines, weighted; the weights' product is 1",
        perturb=None,
    ),
    Layer("HaarTransform", P.HaarTransform, "orthogonal", "sums and differences over root two", perturb=None),
    Layer("PositivePowerTransform", lambda: P.PositivePowerTransform(1.7), "diagonal", "each x_i alone", perturb=None),
    Layer("SoftplusTransform", P.SoftplusTransform, "diagonal", "each x_i by itself", perturb=None),
    Layer(
        "Normalize",
        P.Normalize,
        "dense",
        "J = (I - y y')/|x|: the length is lost",
        findings={"singular": "all on a ray goes to one point of the sphere (Pyro says that it is not bijective)"},
        perturb=None,
    ),
    Layer(
        "AffineCoupling, clipped",
        lambda: P.affine_coupling(5, log_scale_max_clip=0.0),
        "coupling",
        "as above; where the log of the scale is clipped at 0, the scale no longer follows x_1 and x_2",
        findings={"gradient-cut": "clamp_preserve_gradients lets autograd believe that it does: see below"},
    ),
    Layer(
        "composed",
        lambda: P.ComposeTransformModule([P.affine_coupling(5), P.Permute(ORDER), P.affine_coupling(5)]),
        "dense",
        "the second coupling changes what the first has let pass, given what it has changed",
        perturb=0.1,
    ),
]


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_layer(expected):
    check(expected)


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_by_differences(expected):
    check_by_differences(expected)


@pytest.mark.parametrize(
    ("transform", "x", "words"),
    [
        (P.CorrCholeskyTransform(), points(7, 6), "maps 6 numbers to 16"),
        (P.CorrLCholeskyTransform(), points(7, 3), "maps 3 numbers to 9"),
        (P.StickBreakingTransform(), points(7, 5), "maps 5 numbers to 6"),
        (P.SimplexToOrderedTransform(), torch.softmax(points(7, 5), 1), "maps 5 numbers to 4"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_square_is_refused(transform, x, words):
    with pytest.raises(ValueError, match=words):
        inspect_jacobian(transform, x)
