"""The faults that the inspector finds in normflows 1.7.3, and one that it does not, shown by hand."""

import pytest
import torch
from normflows import flows as F

from tests.peers.numerics import inside, points
from tests.peers.registry.normflows import residual


def fixed_point(g, y, *, squared):
    """Return x with x + g(x) = y as iResBlock looks for it; `squared`: with its own test for the end."""
    x, previous = y - g(y), y
    tolerance = 1e-5 + 1e-5 * y.abs()
    while not (((x - previous) ** 2 if squared else (x - previous).abs()) / tolerance < 1).all():
        x, previous = y - g(x), x
    return x


def test_inverse_of_a_residual_flow_stops_too_early():
    """The *square* of the last move is held against 1e-5, so a move of 0.003 is the end."""
    torch.manual_seed(20260)
    layer = residual(3, exact_trace=True).double()
    x = points(50, 3).double()
    with torch.no_grad():
        y, _ = layer(x)
        back, _ = layer.inverse(y)
        g = layer.iresblock.nnet
        torch.testing.assert_close(back, fixed_point(g, y, squared=True))
        better = fixed_point(g, y, squared=False)
    assert (back - x).abs().max() > 1e-4
    assert (better - x).abs().max() < 1e-5


@pytest.mark.parametrize(
    "make", [F.CircularCoupledRationalQuadraticSpline, F.CircularAutoregressiveRationalQuadraticSpline]
)
def test_circular_splines_flatten_outside_their_interval(make):
    """With linear and circular coordinates mixed, no code copies the points outside: they stay at the initial 0."""
    torch.manual_seed(0)
    layer = make(5, 1, 16, ind_circ=[1, 2])
    x = inside(-2.9, 2.9, 7, 5)
    x[:, 0] = torch.linspace(3.1, 9.0, 7)
    with torch.no_grad():
        y, ladj = layer(x)
        plain, _ = F.CoupledRationalQuadraticSpline(5, 1, 16)(x)
    assert (y[:, 0] == 0).all()
    assert ladj.abs().max() < 1e-5
    torch.testing.assert_close(plain[:, 0], x[:, 0])  # without circles it passes


def test_composite_adds_its_log_dets_in_float32():
    """Half of the digits of a float64 flow are lost: the sum starts from torch.zeros(batch)."""
    layer = F.Composite([F.MaskedAffineAutoregressive(5, 16)]).double()
    x = points(7, 5).double()
    with torch.no_grad():
        whole, part = layer(x)[1], layer._flows[0](x)[1]
    assert (whole.dtype, part.dtype) == (torch.float32, torch.float64)
    assert 1e-10 < (whole - part).abs().max() < 1e-6
