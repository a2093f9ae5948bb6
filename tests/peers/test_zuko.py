"""The microscope on zuko's transforms. In a process of its own: importing zuko changes torch.distributions."""

import math

import pytest
import torch
from torch.distributions import transforms as T
from zuko import transforms as Z
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.continuous import FFJTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.flows.gaussianization import ElementWiseTransform
from zuko.flows.neural import MNN, UMNN
from zuko.flows.polynomial import ShiftedSOSPTransform
from zuko.flows.spline import CircularRQSTransform

from nfteach.jacobian import inspect_jacobian
from tests.peers.layers import Layer, check, check_by_differences, inside, points

SMALL = {"hidden_features": (16, 16)}
SPLINE = {"univariate": Z.MonotonicRQSTransform, "shapes": [(8,), (8,), (7,)]}
# Who may depend on whom, up and down the indices: 5 -> 1 -> 4, 5 -> 2, and 3 by itself.
GRAPH = torch.eye(5, dtype=torch.bool)
GRAPH[[0, 3, 1], [4, 0, 4]] = True


def autoregressive(features=5, **more):
    return MaskedAutoregressiveTransform(features, **SMALL, **more)()


def integrated(activation):
    network = UMNN(signal=8, stack=3, hidden_features=(16,), activation=activation)
    return autoregressive(3, univariate=network, shapes=[(8,), ()])


def steeper(transform, times):
    """The integrand's weights that many times as large."""
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
    return FFJTransform(3, hidden_features=(16,), **tight, **more).double()()


def free_form():
    return FFJTransform(3, hidden_features=(16,))()


LAYERS = [
    Layer("maf", autoregressive, "lower triangular", "y_i = exp(a_i) x_i + b_i with a_i, b_i functions of x_<i"),
    Layer(
        "maf, reversed",
        lambda: autoregressive(order=[4, 3, 2, 1, 0]),
        "upper triangular",
        "the same with the dimensions counted from the last: y_i sees x_i and x_>i",
    ),
    Layer(
        "maf, random order",
        lambda: autoregressive(order=[2, 0, 4, 1, 3]),
        "triangular up to a permutation",
        "triangular in the order given, which is neither ascending nor descending",
    ),
    Layer(
        "maf, two passes",
        lambda: autoregressive(passes=2),
        "lower triangular",
        "x_1..x_3 are scaled by constants, x_4 and x_5 given these; constants are not 1, so nothing is passed through",
    ),
    Layer(
        "maf, graph",
        lambda: autoregressive(adjacency=GRAPH),
        "triangular up to a permutation",
        "a graph without circles can be put in an order; this one's is not that of the indices",
    ),
    Layer("nsf", lambda: autoregressive(**SPLINE), "lower triangular", "a monotone spline of x_i, knots given x_<i"),
    Layer(
        "ncsf",
        lambda: autoregressive(univariate=CircularRQSTransform, shapes=SPLINE["shapes"]),
        "lower triangular",
        "a spline on the circle of x_i given x_<i; the shift before it has slope 1",
        x=inside(-3.1, 3.1, 7, 5),
    ),
    Layer(
        "naf",
        lambda: autoregressive(univariate=MNN(signal=8, stack=5, hidden_features=(16,)), shapes=[(8,)]),
        "lower triangular",
        "a monotone network of x_i given x_<i",
    ),
    Layer(
        "unaf",
        lambda: integrated(torch.nn.Tanh),
        "lower triangular",
        "the integral of a positive network from 0 to x_i, given x_<i; smooth enough for 32 points",
        x=points(5, 3),
        perturb=None,
    ),
    Layer(
        "unaf, steep",
        lambda: steeper(integrated(torch.nn.ELU), 3.0),
        "lower triangular",
        "the same with a network that 32 points do not resolve",
        x=points(5, 3),
        findings={
            "gradient-cut": "backward is written by hand: the derivative of the integral, not of its 32 points",
            "log-det-wrong": "so is the log-det",
        },
        perturb=None,
    ),
    Layer(
        "sospf",
        lambda: autoregressive(univariate=ShiftedSOSPTransform, shapes=[(3, 5), ()]),
        "lower triangular",
        "the integral of a sum of squares from 0 to x_i, coefficients given x_<i; the quadrature is exact",
    ),
    Layer(
        "bpf",
        lambda: autoregressive(univariate=Z.BoundedBernsteinTransform, shapes=[(9,)]),
        "lower triangular",
        "an increasing Bernstein polynomial of x_i, coefficients given x_<i",
    ),
    Layer("realnvp", coupling, "coupling", "x_2 and x_4 pass; the others are scaled and shifted given them"),
    Layer("nice", lambda: coupling(univariate=Z.AdditiveTransform, shapes=[()]), "coupling", "a shift given the rest"),
    Layer(
        "spline coupling",
        lambda: coupling(mask=torch.tensor([1, 1, 0, 0, 0]), **SPLINE),
        "coupling",
        "x_1 and x_2 pass; splines of the others given them",
    ),
    Layer("its inverse", lambda: coupling().inv, "coupling", "a coupling is undone by a coupling"),
    Layer(
        "gaussianization",
        lambda: elementwise(Z.GaussianizationTransform, (8,), (8,)),
        "diagonal",
        "each x_i by itself through a mixture of normal distribution functions",
    ),
    Layer(
        "gaussianization, rotated",
        lambda: Z.ComposedTransform(
            elementwise(Z.GaussianizationTransform, (8,), (8,)),
            Z.RotationTransform(torch.randn(5, 5)),
            elementwise(Z.GaussianizationTransform, (8,), (8,)),
        ),
        "dense",
        "diagonal, rotation, diagonal: no zeros, not orthogonal, and J - I has full rank",
    ),
    Layer(
        "composed",
        lambda: Z.ComposedTransform(autoregressive(), autoregressive(order=[4, 3, 2, 1, 0])),
        "dense",
        "an upper times a lower triangular matrix has no zeros",
    ),
    Layer(
        "spline",
        lambda: elementwise(Z.MonotonicRQSTransform, (8,), (8,), (7,)),
        "diagonal",
        "each x_i by itself",
        perturb=None,
    ),
    Layer(
        "spline, no event",
        lambda: Z.MonotonicRQSTransform(torch.randn(5, 8), torch.randn(5, 8), torch.randn(5, 7)),
        "diagonal",
        "each x_i by itself; one log-det per dimension is right for event_dim 0",
        perturb=None,
    ),
    Layer("bernstein", lambda: elementwise(Z.BernsteinTransform, (9,)), "diagonal", "each x_i by itself", perturb=None),
    Layer(
        "bounded bernstein", lambda: elementwise(Z.BoundedBernsteinTransform, (9,)), "diagonal", "each x_i by itself"
    ),
    Layer("affine", lambda: elementwise(Z.MonotonicAffineTransform, (), ()), "diagonal", "each x_i by itself"),
    Layer("shift", lambda: elementwise(Z.AdditiveTransform, ()), "identity", "y = x + b stretches nothing"),
    Layer("softclip", lambda: Z.SoftclipTransform(bound=5.0), "diagonal", "each x_i by itself", perturb=None),
    Layer(
        "softclip, one event",
        lambda: Z.DependentTransform(Z.SoftclipTransform(bound=5.0), 1),
        "diagonal",
        "the same, its log-dets summed",
        perturb=None,
    ),
    Layer(
        "signed power", lambda: Z.SignedPowerTransform(torch.randn(5)), "diagonal", "each x_i by itself", perturb=None
    ),
    Layer("cosine", Z.CosTransform, "diagonal", "each x_i by itself", x=inside(0.1, math.pi - 0.1, 7, 5), perturb=None),
    Layer("sine", Z.SinTransform, "diagonal", "each x_i by itself", x=inside(-1.5, 1.5, 7, 5), perturb=None),
    Layer(
        "circular shift",
        lambda: Z.CircularShiftTransform(bound=2.0),
        "identity",
        "half the interval moves up and half moves down, each with slope 1",
        x=inside(-1.99, 1.99, 7, 5),
        perturb=None,
    ),
    Layer(
        "permutation",
        lambda: Z.PermutationTransform(torch.tensor([2, 0, 4, 1, 3])),
        "permutation",
        "y_i = x_order(i)",
        perturb=None,
    ),
    Layer(
        "rotation",
        lambda: Z.RotationTransform(torch.randn(5, 5)),
        "orthogonal",
        "the exponential of a skew matrix is a rotation; five dimensions keep an axis",
        perturb=None,
    ),
    Layer(
        "lu", lambda: Z.LULinearTransform(torch.randn(5, 5)), "dense", "lower times upper has no zeros", perturb=None
    ),
    Layer(
        "cnf",
        tight_free_form,
        "dense",
        "the flow of an ODE whose field mixes everything; a tight solver, exact trace",
        x=points(3, 3),
        perturb=None,
    ),
    Layer(
        "cnf, coarse",
        free_form,
        "dense",
        "the same at zuko's own tolerance",
        findings={"samples-coupled": "the worst sample of a batch sets everyone's step, so y moves by the tolerance"},
        x=points(3, 3),
        perturb=None,
        differences=1e-3,
    ),
    Layer(
        "cnf, estimated",
        lambda: tight_free_form(exact=False),
        "dense",
        "the same with Hutchinson's estimate of the trace",
        findings={"non-deterministic": "the log-det is drawn: right on average, never at one call"},
        x=points(3, 3),
        perturb=None,
    ),
    # Importing zuko renames torch's _InverseTransform and gives every Transform a call_and_ladj: these must stand it.
    Layer("torch: tanh", T.TanhTransform, "diagonal", "each x_i by itself", perturb=None),
    Layer(
        "torch: logit",
        lambda: T.SigmoidTransform().inv,
        "diagonal",
        "each x_i by itself, on (0, 1)",
        x=inside(0.05, 0.95, 7, 5),
        perturb=None,
    ),
    Layer(
        "torch: composed",
        lambda: T.ComposeTransform([T.ExpTransform(), T.AffineTransform(1.0, -2.0), T.TanhTransform()]),
        "diagonal",
        "each x_i by itself",
        x=0.3 * points(7, 5),
        perturb=None,
    ),
]


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_layer(expected):
    check(expected)


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_by_differences(expected):
    check_by_differences(expected)


def test_a_recipe_for_a_transform_is_none():
    with pytest.raises(ValueError, match="must return a tensor y, but returned a AutoregressiveTransform"):
        inspect_jacobian(MaskedAutoregressiveTransform(5, **SMALL), points(7, 5))


def test_a_flow_in_all_its_layers():
    flow = [autoregressive(order=order) for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])]
    names = [inspect_jacobian(t, points(7, 5)).structure.name for t in (*flow, Z.ComposedTransform(*flow))]
    assert names == ["lower triangular", "upper triangular", "dense"]
