"""The microscope on nflows' splines."""

import pytest
import torch
from nflows import transforms as N

from tests.peers.layers import Layer, check, check_by_differences, inside, points
from tests.peers.test_nflows import MASK, UNIT, alone, net

MADE = {"features": 3, "hidden_features": 12}
SPLINE = {"num_bins": 6, "tails": "linear", "tail_bound": 3.0}
LAST_BIN = {
    "inverse-wrong": "the inverse makes the last bin of the spline higher by 1e-6, and so its slope: see below",
    "log-det-wrong": "so the inverse's log-det is that of another slope",
}


def set_to_zero(layer):
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    return layer


LAYERS = [
    Layer(
        "rational-quadratic coupling",
        lambda: N.PiecewiseRationalQuadraticCouplingTransform(MASK, net, **SPLINE),
        "coupling",
        "splines given x_2 and x_4",
    ),
    Layer(
        "rational-quadratic coupling, both halves",
        lambda: N.PiecewiseRationalQuadraticCouplingTransform(MASK, net, apply_unconditional_transform=True, **SPLINE),
        "triangular up to a permutation",
        "x_2 and x_4 do not pass: they go through splines of their own",
    ),
    Layer(
        "quadratic coupling",
        lambda: N.PiecewiseQuadraticCouplingTransform(MASK, net, **SPLINE),
        "coupling",
        "splines given x_2 and x_4",
    ),
    Layer(
        "cubic coupling",
        lambda: N.PiecewiseCubicCouplingTransform(MASK, net, **SPLINE),
        "coupling",
        "splines given x_2 and x_4",
    ),
    Layer(
        "linear coupling",
        lambda: N.PiecewiseLinearCouplingTransform(MASK, net, num_bins=20, tails="linear", tail_bound=3.0),
        "coupling",
        "splines given x_2 and x_4",
        x=inside(2.0, 2.99, 7, 5),
        findings=LAST_BIN,
    ),
    Layer(
        "rational-quadratic autoregressive",
        lambda: N.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**MADE, **SPLINE),
        "lower triangular",
        "a spline of x_i given x_<i",
        x=points(7, 3),
    ),
    Layer(
        "quadratic autoregressive",
        lambda: N.MaskedPiecewiseQuadraticAutoregressiveTransform(**MADE, **SPLINE),
        "lower triangular",
        "a spline of x_i given x_<i",
        x=points(7, 3),
    ),
    Layer(
        "cubic autoregressive",
        lambda: N.MaskedPiecewiseCubicAutoregressiveTransform(num_bins=6, **MADE),
        "lower triangular",
        "a spline of x_i on (0, 1) given x_<i",
        x=UNIT[:, :3],
    ),
    Layer(
        "linear autoregressive",
        lambda: N.MaskedPiecewiseLinearAutoregressiveTransform(num_bins=20, **MADE),
        "lower triangular",
        "a spline of x_i on (0, 1) given x_<i",
        x=inside(0.955, 0.995, 7, 3),
        findings=LAST_BIN,
    ),
    Layer(
        "CompositeCDFTransform",
        lambda: N.CompositeCDFTransform(N.Sigmoid(), N.PiecewiseRationalQuadraticCDF([5], num_bins=6)),
        "diagonal",
        "to (0, 1), through a spline, and back, each x_i by itself",
    ),
    alone("cubic CDF", lambda: N.PiecewiseCubicCDF([5], num_bins=6), x=UNIT),
    Layer(
        "cubic CDF, straight",
        lambda: set_to_zero(N.PiecewiseCubicCDF([5], num_bins=6)),
        "diagonal",
        "the same with all parameters 0, as a network that starts at 0 gives: cubics that are straight lines",
        x=UNIT,
        findings={"inverse-wrong": "a straight line is solved as a quadratic without a square: 0/0, see below"},
        perturb=None,
    ),
    alone("quadratic CDF", lambda: N.PiecewiseQuadraticCDF([5], num_bins=6), x=UNIT),
    alone(
        "linear CDF",
        lambda: N.PiecewiseLinearCDF([5], num_bins=20),
        x=inside(0.955, 0.995, 7, 5),
        findings={"log-det-wrong": LAST_BIN["log-det-wrong"]},
    ),
]


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_layer(expected):
    check(expected)


@pytest.mark.parametrize("expected", LAYERS, ids=lambda layer: layer.name)
def test_by_differences(expected):
    check_by_differences(expected)
