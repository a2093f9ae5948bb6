"""zuko's transforms, and torch's own once zuko is there: importing zuko changes torch.distributions for all.

torch's ``_InverseTransform`` gets another name, and every ``Transform`` a ``call_and_ladj``.
"""

import math

import torch
import zuko
from torch.distributions import transforms as T
from zuko import transforms as Z
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.continuous import FFJTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.flows.gaussianization import ElementWiseTransform
from zuko.flows.neural import MNN, UMNN
from zuko.flows.polynomial import ShiftedSOSPTransform
from zuko.flows.spline import CircularRQSTransform

from tests.peers.numerics import inside, points
from tests.peers.registry import Layer, Library, Model, Refused, alone, fixed

SMALL = {"hidden_features": (16, 16)}
SPLINE = {"univariate": Z.MonotonicRQSTransform, "shapes": [(8,), (8,), (7,)]}
UP, DOWN = [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]
# Who may depend on whom, up and down the indices: 5 -> 1 -> 4, 5 -> 2, and 3 by itself.
GRAPH = torch.eye(5, dtype=torch.bool)
GRAPH[[0, 3, 1], [4, 0, 4]] = True


def autoregressive(features=5, **more):
    return MaskedAutoregressiveTransform(features, **SMALL, **more)()


def integrated(activation):
    network = UMNN(signal=8, stack=3, hidden_features=(16,), activation=activation)
    return autoregressive(3, univariate=network, shapes=[(8,), ()])


def steeper(transform, times):
    """Return the transform with the integrand's weights that many times as large."""
    with torch.no_grad():
        for parameter in transform.meta.func.__self__.univariate.parameters():
            parameter *= times
    return transform


def coupling(**more):
    return GeneralCouplingTransform(5, **SMALL, **more)()


def elementwise(univariate, *shapes):
    return ElementWiseTransform(5, univariate=univariate, shapes=list(shapes))()


def tight_free_form(**more):
    # In float64: in float32 the solver would seek such a tolerance for ever. Smooth: it would take many steps at kinks.
    tight = {"atol": 1e-8, "rtol": 1e-8, "freqs": 0, "activation": torch.nn.Tanh}
    return FFJTransform(2, hidden_features=(16,), **tight, **more).double()()


def free_form():
    return FFJTransform(2, hidden_features=(16,))()


LAYERS = {
    "maf": Layer(autoregressive, "lower triangular", "y_i = exp(a_i) x_i + b_i with a_i, b_i functions of x_<i"),
    "maf, reversed": Layer(
        lambda: autoregressive(order=[4, 3, 2, 1, 0]),
        "upper triangular",
        "the same with the dimensions counted from the last: y_i sees x_i and x_>i",
    ),
    "maf, random order": Layer(
        lambda: autoregressive(order=[2, 0, 4, 1, 3]),
        "triangular up to a permutation",
        "triangular in the order given, which is neither ascending nor descending",
    ),
    "maf, two passes": Layer(
        lambda: autoregressive(passes=2),
        "lower triangular",
        "x_1..x_3 are scaled by constants, x_4 and x_5 given these; constants are not 1, so nothing is passed through",
    ),
    "maf, graph": Layer(
        lambda: autoregressive(adjacency=GRAPH),
        "triangular up to a permutation",
        "a graph without circles can be put in an order; this one's is not that of the indices",
    ),
    "nsf": Layer(lambda: autoregressive(**SPLINE), "lower triangular", "a monotone spline of x_i, knots given x_<i"),
    "ncsf": Layer(
        lambda: autoregressive(univariate=CircularRQSTransform, shapes=SPLINE["shapes"]),
        "lower triangular",
        "a spline on the circle of x_i given x_<i; the shift before it has slope 1",
        x=inside(-3.1, 3.1, 7, 5),
    ),
    "naf": Layer(
        lambda: autoregressive(univariate=MNN(signal=8, stack=5, hidden_features=(16,)), shapes=[(8,)]),
        "lower triangular",
        "a monotone network of x_i given x_<i",
    ),
    "unaf": fixed(
        lambda: integrated(torch.nn.Tanh),
        "lower triangular",
        "the integral of a positive network from 0 to x_i, given x_<i; smooth enough for 32 points",
        x=points(5, 3),
    ),
    "unaf, steep": fixed(
        lambda: steeper(integrated(torch.nn.ELU), 3.0),
        "lower triangular",
        "the same with a network that 32 points do not resolve",
        x=points(5, 3),
        findings={
            "gradient-cut": "backward is written by hand: the derivative of the integral, not of its 32 points",
            "log-det-wrong": "so is the log-det",
        },
        shown_by="test_derivative_of_an_integral_is_not_that_of_its_quadrature",
    ),
    "sospf": Layer(
        lambda: autoregressive(univariate=ShiftedSOSPTransform, shapes=[(3, 5), ()]),
        "lower triangular",
        "the integral of a sum of squares from 0 to x_i, coefficients given x_<i; the quadrature is exact",
    ),
    "bpf": Layer(
        lambda: autoregressive(univariate=Z.BoundedBernsteinTransform, shapes=[(9,)]),
        "lower triangular",
        "an increasing Bernstein polynomial of x_i, coefficients given x_<i",
    ),
    "realnvp": Layer(coupling, "coupling", "x_2 and x_4 pass; the others are scaled and shifted given them"),
    "nice": Layer(lambda: coupling(univariate=Z.AdditiveTransform, shapes=[()]), "coupling", "a shift given the rest"),
    "spline coupling": Layer(
        lambda: coupling(mask=torch.tensor([1, 1, 0, 0, 0]), **SPLINE),
        "coupling",
        "x_1 and x_2 pass; splines of the others given them",
    ),
    "its inverse": Layer(lambda: coupling().inv, "coupling", "a coupling is undone by a coupling"),
    "gaussianization": Layer(
        lambda: elementwise(Z.GaussianizationTransform, (8,), (8,)),
        "diagonal",
        "each x_i by itself through a mixture of normal distribution functions",
    ),
    "gaussianization, rotated": Layer(
        lambda: Z.ComposedTransform(
            elementwise(Z.GaussianizationTransform, (8,), (8,)),
            Z.RotationTransform(torch.randn(5, 5)),
            elementwise(Z.GaussianizationTransform, (8,), (8,)),
        ),
        "dense",
        "diagonal, rotation, diagonal: no zeros, not orthogonal, and J - I has full rank",
    ),
    "composed": Layer(
        lambda: Z.ComposedTransform(autoregressive(), autoregressive(order=[4, 3, 2, 1, 0])),
        "dense",
        "an upper times a lower triangular matrix has no zeros",
    ),
    "spline": alone(lambda: elementwise(Z.MonotonicRQSTransform, (8,), (8,), (7,)), perturb=None),
    "spline, no event": fixed(
        lambda: Z.MonotonicRQSTransform(torch.randn(5, 8), torch.randn(5, 8), torch.randn(5, 7)),
        "diagonal",
        "each x_i by itself; one log-det per dimension is right for event_dim 0",
    ),
    "bernstein": alone(lambda: elementwise(Z.BernsteinTransform, (9,)), perturb=None),
    "bounded bernstein": alone(lambda: elementwise(Z.BoundedBernsteinTransform, (9,))),
    "affine": alone(lambda: elementwise(Z.MonotonicAffineTransform, (), ())),
    "shift": Layer(lambda: elementwise(Z.AdditiveTransform, ()), "identity", "y = x + b stretches nothing"),
    "softclip": alone(lambda: Z.SoftclipTransform(bound=5.0), perturb=None),
    "softclip, one event": fixed(
        lambda: Z.DependentTransform(Z.SoftclipTransform(bound=5.0), 1), "diagonal", "the same, its log-dets summed"
    ),
    "signed power": alone(lambda: Z.SignedPowerTransform(torch.randn(5)), perturb=None),
    "cosine": alone(Z.CosTransform, x=inside(0.1, math.pi - 0.1, 7, 5), perturb=None),
    "sine": alone(Z.SinTransform, x=inside(-1.5, 1.5, 7, 5), perturb=None),
    "circular shift": fixed(
        lambda: Z.CircularShiftTransform(bound=2.0),
        "identity",
        "half the interval moves up and half moves down, each with slope 1",
        x=inside(-1.99, 1.99, 7, 5),
    ),
    "permutation": fixed(
        lambda: Z.PermutationTransform(torch.tensor([2, 0, 4, 1, 3])), "permutation", "y_i = x_order(i)"
    ),
    "rotation": fixed(
        lambda: Z.RotationTransform(torch.randn(5, 5)),
        "orthogonal",
        "the exponential of a skew matrix is a rotation; five dimensions keep an axis",
    ),
    "lu": fixed(lambda: Z.LULinearTransform(torch.randn(5, 5)), "dense", "lower times upper has no zeros"),
    "cnf": fixed(
        tight_free_form,
        "dense",
        "the flow of an ODE whose field mixes everything; a tight solver, exact trace",
        x=points(3, 2),
    ),
    "cnf, coarse": fixed(
        free_form,
        "dense",
        "the same at zuko's own tolerance",
        findings={"samples-coupled": "the worst sample of a batch sets everyone's step, so y moves by the tolerance"},
        shown_by="test_solver_couples_samples",
        x=points(3, 2),
        differences=1e-3,
        back=1e-3,
    ),
    "cnf, estimated": fixed(
        lambda: tight_free_form(exact=False),
        "dense",
        "the same with Hutchinson's estimate of the trace",
        findings={"log-det-estimated": "right on average, never at one call"},
        x=points(3, 2),
    ),
    "lazy transform": Layer(
        lambda: MaskedAutoregressiveTransform(5, **SMALL),
        "lower triangular",
        "affine in x_i given x_<i, made at each call",
        forward=lambda lazy, x, _: lazy()(x),
        inverse=lambda lazy, y, _: lazy().inv(y),
    ),
    "MAF": Layer(
        lambda: zuko.flows.MAF(5, transforms=2, **SMALL),
        "dense",
        "triangular up and triangular down, made at each call",
        forward=lambda flow, x, _: flow().transform(x),
        inverse=lambda flow, y, _: flow().transform.inv(y),
    ),
    "NSF, given a context": Layer(
        lambda: zuko.flows.NSF(5, 2, transforms=1, **SMALL),
        "lower triangular",
        "a spline of x_i given x_<i and the context",
        context=points(7, 2, seed=1),
        forward=lambda flow, x, c: flow(c).transform(x),
        inverse=lambda flow, y, c: flow(c).transform.inv(y),
    ),
    "torch: tanh": alone(T.TanhTransform, perturb=None),
    "torch: logit": fixed(
        lambda: T.SigmoidTransform().inv, "diagonal", "each x_i by itself, on (0, 1)", x=inside(0.05, 0.95, 7, 5)
    ),
    "torch: composed": alone(
        lambda: T.ComposeTransform([T.ExpTransform(), T.AffineTransform(1.0, -2.0), T.TanhTransform()]),
        x=0.3 * points(7, 5),
        perturb=None,
    ),
}

MODELS = {
    "MAF, given a context": Model(
        lambda: zuko.flows.MAF(5, 2, transforms=2, **SMALL),
        ["lower triangular", "upper triangular"],
        "dense",
        context=points(7, 2, seed=1),
    ),
    "MAF": Model(
        lambda: Z.ComposedTransform(autoregressive(order=UP), autoregressive(order=DOWN)),
        ["lower triangular", "upper triangular"],
        "dense",
    ),
    "RealNVP": Model(
        lambda: [coupling(), Z.PermutationTransform(torch.tensor(DOWN)), coupling()],
        ["coupling", "permutation", "coupling"],
        "coupling",
    ),
}

REFUSED = {
    "GMM": Refused(lambda: zuko.flows.GMM(5), "a distribution made of a base and transforms, but is a Mixture"),
}

LIBRARY = Library(inverse=lambda layer, y: layer.inv(y), layers=LAYERS, models=MODELS, refused=REFUSED)
