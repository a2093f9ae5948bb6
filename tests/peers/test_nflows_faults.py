"""The faults that the inspector finds in nflows 0.14, shown without it: by differences, by hand."""

import pytest
import torch
from nflows import transforms as N
from nflows.transforms.nonlinearities import GatedLinearUnit

from tests.peers.numerics import inside, points, slow_jacobian


@pytest.mark.filterwarnings("ignore:.*torch.qr is deprecated")
def test_naive_linear_cannot_be_inverted():
    layer = N.NaiveLinear(5)
    y, _ = layer(points(3, 5))
    with pytest.raises(RuntimeError, match=r"torch\.solve"):
        layer.inverse(y)


def test_squeeze_by_three_cannot_be_undone():
    layer = N.SqueezeTransform(factor=3)
    y, _ = layer(points(3, 1, 3, 6))
    assert y.shape == (3, 9, 1, 2)
    with pytest.raises(ValueError, match="Invalid number of channel dimensions"):
        layer.inverse(y)


def test_gated_linear_unit_never_sums_its_log_det():
    x, gate = points(7, 5).double(), points(7, 1, seed=1).double()
    layer = GatedLinearUnit()
    J = slow_jacobian(lambda z: layer(z, gate), x)
    true = torch.linalg.slogdet(J).logabsdet
    torch.testing.assert_close(true, 5 * torch.sigmoid(gate).log().flatten(), rtol=0, atol=1e-6)
    # One gate for five dimensions is counted once; one gate for each makes a vector of 35 for 7 samples.
    torch.testing.assert_close(layer(x, gate)[1], true / 5, rtol=0, atol=1e-6)
    assert layer(x, points(7, 5))[1].shape == (35,)


def test_last_bin_of_a_linear_spline_is_steeper_on_the_way_back():
    """searchsorted adds 1e-6 to the last knot in place; the inverse takes the slope of the last bin after that."""
    torch.manual_seed(0)
    bins = 20
    layer = N.PiecewiseLinearCDF([1], num_bins=bins).double()
    with torch.no_grad():
        layer.unnormalized_pdf[..., -1] = -5.0  # a last bin of little weight
    height = torch.softmax(layer.unnormalized_pdf, -1)[0, -1]
    x = inside(0.951, 0.999, 50, 1).double()
    with torch.no_grad():
        y, ladj = layer(x)
        back, inverse_ladj = layer.inverse(y)
    slope, steeper = bins * height, bins * (height + 1e-6)
    torch.testing.assert_close(ladj, slope.log().expand(50), rtol=0, atol=1e-9)
    torch.testing.assert_close(-inverse_ladj, steeper.log().expand(50), rtol=0, atol=1e-6)
    torch.testing.assert_close(back, 1 + (y - 1 - 1e-6) / steeper, rtol=0, atol=1e-6)
    assert (back - x).abs().max() > 1e-4
    # Elsewhere what is left is the float32 grid of the bins.
    x = inside(0.0, 0.949, 50, 1).double()
    with torch.no_grad():
        assert (layer.inverse(layer(x)[0])[0] - x).abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_cubic_spline_cannot_be_inverted(dtype):
    """In its inner bins the cubic a t^3 + b t^2 + c t + d has a = b = 0. The inverse divides by 2 b."""
    layer = N.PiecewiseCubicCDF([1], num_bins=8).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.linspace(0.02, 0.98, 97, dtype=dtype).unsqueeze(1)
    with torch.no_grad():
        y, _ = layer(x)
        back, _ = layer.inverse(y)
    inner = ((x > 0.126) & (x < 0.874)).flatten()
    torch.testing.assert_close(y[inner], x[inner])
    assert back[inner].isnan().all()
    torch.testing.assert_close(back[~inner], x[~inner])
