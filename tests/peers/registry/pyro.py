"""Pyro's transforms."""

import pyro.distributions.transforms as P
import torch
from pyro.nn import AutoRegressiveNN, DenseNN

from tests.peers.numerics import inside, points
from tests.peers.registry import Layer, Library, Model, Refused, alone, fixed

ORDER = torch.tensor([2, 0, 4, 1, 3])
TRIANGULAR = "triangular up to a permutation"
ELU_DOMAIN = {"declared-wrong": "the codomain is declared positive, and is (-1, inf)"}
NO_INVERSE = {"inverse-missing": "what inverse there is, is what the cache remembers of the last call"}
FLOAT32_INVERSE = {"low-precision": "the inverse starts from zeros of the default dtype: it does not run in float64"}


def network(*sizes):
    """Return a network that is autoregressive in an order that is neither ascending nor descending."""
    return AutoRegressiveNN(5, [16], param_dims=list(sizes), permutation=ORDER)


def conditioned(layer):
    """Return a conditional transform, given a context."""
    return layer.condition(torch.randn(3))


def given(sizes):
    """Return a network from a context of three numbers to parameters."""
    return DenseNN(3, [16], param_dims=list(sizes))


def after_a_batch(layer):
    """Return the layer in evaluation mode, once it has seen a batch in training mode."""
    layer._inverse(3.0 * torch.randn(64, 5) + 1.0)
    return layer.eval()


def real_nvp():
    return P.ComposeTransformModule([P.affine_coupling(5), P.Permute(ORDER), P.affine_coupling(5)])


LAYERS = {
    "Planar": Layer(
        lambda: P.Planar(5),
        "identity plus rank one",
        "J = I + u h'(w.x + b) w'",
        findings=NO_INVERSE,
        shown_by="test_inverse_is_only_remembered",
    ),
    "ConditionalPlanar": Layer(
        lambda: conditioned(P.ConditionalPlanar(given([1, 5, 5]))),
        "identity plus rank one",
        "the same, its parameters from a network",
        findings=NO_INVERSE,
        shown_by="test_inverse_is_only_remembered",
    ),
    "two Planars": Layer(
        lambda: P.iterated(2, P.Planar, 5),
        "identity plus rank r",
        "(I + u v')(I + s t') = I + a matrix of rank two",
        findings=NO_INVERSE,
        shown_by="test_inverse_is_only_remembered",
    ),
    "Radial": Layer(
        lambda: P.Radial(5),
        "dense",
        "J = (1 + beta h) I + a matrix of rank one, and 1 + beta h is not 1",
        findings=NO_INVERSE,
        shown_by="test_inverse_is_only_remembered",
    ),
    "ConditionalAffineAutoregressive, given a context": Layer(
        lambda: P.conditional_affine_autoregressive(5, 3),
        TRIANGULAR,
        "autoregressive in an order of its own, given the context",
        context=points(7, 3, seed=1),
        forward=lambda layer, x, c: layer.condition(c)(x),
        inverse=lambda layer, y, c: layer.condition(c).inv(y),
    ),
    "ConditionalPlanar, given a context": Layer(
        lambda: P.conditional_planar(5, 3),
        "identity plus rank one",
        "J = I + u h' w' with u and w given the context",
        context=points(7, 3, seed=1),
        forward=lambda layer, x, c: layer.condition(c)(x),
        inverse=lambda layer, y, c: layer.condition(c).inv(y),
        findings=NO_INVERSE,
    ),
    "Sylvester": Layer(
        lambda: P.Sylvester(5, count_transforms=1),
        "dense",
        "J = I + R'Q'diag(h')Q S' in columns, with full R and S",
        findings={"log-det-wrong": "the product is transposed, so its diagonal is not the determinant"} | NO_INVERSE,
        shown_by="test_sylvester_is_right_only_near_its_initial_parameters",
    ),
    "Householder": Layer(lambda: P.Householder(5, count_transforms=2), "orthogonal", "two reflections make a rotation"),
    "Householder, one": Layer(lambda: P.Householder(5), "identity plus rank one", "one reflection is I - 2 u u'"),
    "AffineAutoregressive": Layer(
        lambda: P.AffineAutoregressive(network(1, 1)),
        TRIANGULAR,
        "y_i = exp(a_i) x_i + b_i, functions of what comes before x_i in the order",
        findings=FLOAT32_INVERSE,
        shown_by="test_inverse_of_an_affine_autoregressive_runs_in_float32_only",
    ),
    "AffineAutoregressive, stable": Layer(
        lambda: P.AffineAutoregressive(network(1, 1), stable=True),
        TRIANGULAR,
        "y_i = s_i x_i + (1 - s_i) b_i",
        findings=FLOAT32_INVERSE,
        shown_by="test_inverse_of_an_affine_autoregressive_runs_in_float32_only",
    ),
    "AffineCoupling": Layer(lambda: P.affine_coupling(5), "coupling", "x_1 and x_2 pass; the others given them"),
    "AffineCoupling, images": Layer(
        lambda: P.affine_coupling([3, 2, 2], dim=-3),
        "coupling",
        "one channel passes; the others are scaled and shifted given it",
        x=points(5, 3, 2, 2),
    ),
    "its inverse": Layer(lambda: P.affine_coupling(5).inv, "coupling", "a coupling is undone by a coupling"),
    "ConditionalAffineCoupling": Layer(
        lambda: conditioned(P.conditional_affine_coupling(5, 3)), "coupling", "the same, with a context"
    ),
    **{
        f"NeuralAutoregressive, {activation}": Layer(
            lambda activation=activation: P.NeuralAutoregressive(network(8, 8, 8), 8, activation),
            TRIANGULAR,
            "a monotone network of x_i, its weights functions of what comes before",
            findings=NO_INVERSE,
            shown_by="test_inverse_is_only_remembered",
        )
        for activation in ("sigmoid", "tanh", "ELU", "LeakyReLU")
    },
    **{
        f"BlockAutoregressive, {activation}, {residual}": Layer(
            lambda activation=activation, residual=residual: P.BlockAutoregressive(5, [4, 4], activation, residual),
            "lower triangular",
            "blocks of weights: positive on the diagonal, none above",
            findings=NO_INVERSE,
            shown_by="test_inverse_is_only_remembered",
        )
        for activation, residual in (("tanh", None), ("sigmoid", "normal"), ("ELU", "gated"), ("LeakyReLU", None))
    },
    "Polynomial": Layer(
        lambda: P.Polynomial(network(15), 5, count_degree=4, count_sum=3),
        TRIANGULAR,
        "the integral of a sum of squares from 0 to x_i",
        findings=NO_INVERSE,
        shown_by="test_inverse_is_only_remembered",
    ),
    "Spline, linear": alone(lambda: P.Spline(5), x=inside(-2.9, 2.9, 7, 5)),
    "Spline, quadratic": alone(lambda: P.Spline(5, order="quadratic")),
    "ConditionalSpline": Layer(
        lambda: conditioned(P.conditional_spline(5, 3)), "diagonal", "each x_i by itself, given a context"
    ),
    "SplineAutoregressive, linear": Layer(
        lambda: P.SplineAutoregressive(5, network(8, 8, 7, 8)), TRIANGULAR, "a spline of x_i given what comes before"
    ),
    "SplineAutoregressive, quadratic": Layer(
        lambda: P.SplineAutoregressive(5, network(8, 8, 7), order="quadratic"),
        TRIANGULAR,
        "a spline of x_i given what comes before",
    ),
    "SplineCoupling": Layer(
        lambda: P.spline_coupling(5),
        "lower triangular",
        "x_1 and x_2 do not pass: they go through splines of their own; the others through splines given them",
    ),
    "SplineCoupling, identity": Layer(
        lambda: P.SplineCoupling(5, 2, DenseNN(2, [16], param_dims=[24, 24, 21, 24]), identity=True),
        "coupling",
        "x_1 and x_2 pass",
    ),
    "BatchNorm": Layer(lambda: after_a_batch(P.BatchNorm(5)), "diagonal", "moving statistics are constants"),
    "BatchNorm, training": Layer(
        lambda: P.BatchNorm(5),
        "diagonal",
        "the map itself takes the moving statistics",
        findings={
            "log-det-wrong": "the log-det takes the variance of the batch, and the map the moving one",
            "inverse-wrong": "so does the inverse",
            "changes-state": "the inverse lets the moving statistics follow",
            "batch-size": "a batch of one has no variance, and turns the moving one into NaN",
        },
        shown_by="test_batch_norm_in_training_mode_has_the_log_det_of_another_map",
    ),
    "Permute": fixed(lambda: P.Permute(ORDER), "permutation", "y_i = x_p(i)"),
    "MatrixExponential, many terms": Layer(
        lambda: P.MatrixExponential(5, iterations=40), "dense", "y = exp(M) x, and log det exp(M) = tr M"
    ),
    "MatrixExponential": Layer(
        lambda: P.MatrixExponential(5),
        "dense",
        "y = (I + M + ... + M^8/8!) x, which is exp(M) x for small M only",
        findings={
            "log-det-wrong": "tr M is the log-det of the whole series, not of nine terms",
            "inverse-wrong": "nine terms of exp(-M) do not undo nine terms of exp(M)",
        },
        shown_by="test_matrix_exponential_has_nine_terms",
        perturb=2.0,
    ),
    "GeneralizedChannelPermute": Layer(
        lambda: P.GeneralizedChannelPermute(3),
        "block diagonal",
        "one 3 x 3 matrix for each of 4 pixels, which do not see each other",
        x=points(5, 3, 2, 2),
        at_start="orthogonal",
    ),
    "LeakyReLU": alone(P.LeakyReLUTransform, perturb=None),
    "ELU": alone(P.ELUTransform, findings=ELU_DOMAIN, perturb=None),
    "ELU, far below 0": alone(
        P.ELUTransform,
        x=points(7, 5) - 12.0,
        findings={"inverse-wrong": "1e-8 is added under the logarithm, where exp(x) is smaller"} | ELU_DOMAIN,
        shown_by="test_inverse_of_elu_adds_a_little",
        perturb=None,
    ),
    "LowerCholeskyAffine": fixed(
        lambda: P.LowerCholeskyAffine(torch.randn(5), torch.eye(5) + torch.rand(5, 5).tril()),
        "lower triangular",
        "y = L x + r",
    ),
    "OrderedTransform": fixed(P.OrderedTransform, "lower triangular", "sums of x_1, exp(x_2), ..."),
    "DiscreteCosineTransform": fixed(P.DiscreteCosineTransform, "orthogonal", "cosines of unit length"),
    "DiscreteCosineTransform, smooth": fixed(
        lambda: P.DiscreteCosineTransform(smooth=1.0), "dense", "cosines, weighted; the weights' product is 1"
    ),
    "HaarTransform": fixed(P.HaarTransform, "orthogonal", "sums and differences over root two"),
    "PositivePowerTransform": fixed(lambda: P.PositivePowerTransform(1.7), "diagonal", "each x_i alone"),
    "SoftplusTransform": alone(P.SoftplusTransform, perturb=None),
    "Normalize": fixed(
        P.Normalize,
        "dense",
        "J = (I - y y')/|x|: the length is lost",
        findings={"singular": "all on a ray goes to one point of the sphere (Pyro says that it is not bijective)"},
    ),
    "AffineCoupling, clipped": Layer(
        lambda: P.affine_coupling(5, log_scale_max_clip=0.0),
        "coupling",
        "as above; where the log of the scale is clipped at 0, the scale no longer follows x_1 and x_2",
        findings={
            "gradient-cut": "clamp_preserve_gradients lets autograd believe that it does",
            "gradient-wrong": "and the log-det's gradient with it",
        },
        shown_by="test_clipped_scales_keep_their_gradient",
    ),
    "composed": Layer(
        real_nvp,
        "dense",
        "the second coupling changes what the first has let pass, given what it has changed",
        perturb=0.1,
    ),
}

MODELS = {
    "RealNVP": Model(real_nvp, ["coupling", "permutation", "coupling"], "dense"),
    "two Planars": Model(lambda: P.iterated(2, P.Planar, 5), ["identity plus rank one"] * 2, "identity plus rank r"),
}

REFUSED = {
    "CorrCholeskyTransform": Refused(P.CorrCholeskyTransform, "maps 6 numbers to 16", points(7, 6)),
    "CorrLCholeskyTransform": Refused(P.CorrLCholeskyTransform, "maps 3 numbers to 9", points(7, 3)),
    "StickBreakingTransform": Refused(P.StickBreakingTransform, "maps 5 numbers to 6"),
    "SimplexToOrderedTransform": Refused(
        P.SimplexToOrderedTransform, "maps 5 numbers to 4", torch.softmax(points(7, 5), 1)
    ),
}

LIBRARY = Library(inverse=lambda layer, y: layer.inv(y), layers=LAYERS, models=MODELS, refused=REFUSED)
