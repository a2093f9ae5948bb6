"""What is wrong with the exhibits, found without the microscope: by differences, by halving, by counting pixels."""

import numpy as np
import pytest
import torch

from nfteach.jacobian.exhibits import EXHIBITS
from nfteach.jacobian.exhibits.batches import BatchNorm
from nfteach.jacobian.exhibits.folds import ClampedSinh
from nfteach.jacobian.exhibits.log_dets import Autoregressive, LeakyPlanar

# Central differences in float64 with a step of 1e-6: good to 1e-8 or so for maps of size one.
BY_DIFFERENCES = 1e-6
# Float32 arithmetic on well-conditioned maps.
SINGLE = 1e-5


def differences(f, x):
    """J (D, D) of f at one point x (*event) by central differences: no autograd, no code of the microscope."""
    columns = []
    for j in range(x.numel()):
        shift = torch.zeros(x.numel(), dtype=x.dtype)
        shift[j] = 1e-6
        shift = shift.reshape(x.shape)
        columns.append((f(x + shift) - f(x - shift)).flatten() / 2e-6)
    return torch.stack(columns, 1).detach()


def true_jacobians(layer, x):
    """(B, D, D) at the points x (B, *event), one by one, in float64."""
    layer = layer.double()
    return torch.stack([differences(lambda point: layer(point[None])[0][0], point) for point in x.double()])


def moved(layer, by=1.0):
    """The layer with normal noise added to its parameters."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)
    return layer


def test_the_fold_by_differences():
    exhibit = EXHIBITS["planar-fold"]
    signs = torch.linalg.slogdet(true_jacobians(exhibit.broken(), exhibit.x)).sign
    assert set(signs.tolist()) == {-1.0, 1.0}
    layer = exhibit.broken()
    assert layer.w @ layer.u_hat() < -1
    repaired = exhibit.repaired()
    assert repaired.w @ repaired.u_hat() > -1
    assert (torch.linalg.slogdet(true_jacobians(repaired, exhibit.x)).sign == 1).all()


def test_the_fold_sends_two_points_to_one():
    layer = EXHIBITS["planar-fold"].broken().double()
    w, b = layer.w.detach(), layer.b.detach()
    t = torch.linspace(-4, 4, 20_001, dtype=torch.float64)
    along = (layer((t[:, None] - b) * w / (w @ w))[0] @ w).detach()  # from plane to plane
    rising = along.diff() > 0
    assert rising.any()
    assert (~rising).any()


def test_the_sylvester_layer_by_differences():
    exhibit = EXHIBITS["transposed-product"]
    for repaired in (False, True):
        layer = moved(exhibit._fresh(repaired=repaired)).double()
        true = torch.linalg.slogdet(true_jacobians(layer, exhibit.x)).logabsdet
        gap = (layer(exhibit.x.double())[1] - true).abs().max()
        assert gap < BY_DIFFERENCES if repaired else gap > 1  # nats


def test_the_leaky_planar_layer_by_differences_of_its_inverse():
    x, layer = EXHIBITS["one-branch"].x.double(), LeakyPlanar().double()
    side = x @ layer.w + layer.b > 0
    assert side.any()
    assert (~side).any()
    y = layer(x)[0].detach()
    J = torch.stack([differences(lambda point: layer.inverse(point[None])[0][0], point) for point in y])
    gap = (layer.inverse(y)[1] - torch.linalg.slogdet(J).logabsdet).abs()
    assert gap[side].max() < BY_DIFFERENCES
    assert gap[~side].min() > 0.1


def test_the_factor_of_the_image_norm_by_differences():
    exhibit = EXHIBITS["image-norm"]
    true = torch.linalg.slogdet(true_jacobians(exhibit.broken(), exhibit.x)).logabsdet
    claimed = exhibit.broken().double()(exhibit.x.double())[1]
    np.testing.assert_allclose((true / claimed).detach().numpy(), 3 * 2, rtol=BY_DIFFERENCES)


def test_the_log_dets_of_both_directions_of_the_autoregressive_layer():
    x = EXHIBITS["inverse-sign"].x
    layer = moved(Autoregressive())
    y, log_det = layer(x)
    back, back_log_det = layer.inverse(y)
    torch.testing.assert_close(back, x, rtol=SINGLE, atol=SINGLE)
    torch.testing.assert_close(back_log_det, log_det)  # the sum of the two should be 0
    assert log_det.abs().max() > 0.1


@pytest.mark.parametrize("name", ["detached-conditioner", "wrong-backward"])
def test_what_autograd_says_against_differences(name):
    exhibit = EXHIBITS[name]
    for repaired in (False, True):
        layer, point = exhibit._fresh(repaired=repaired).double(), exhibit.x[0].double()
        told = torch.autograd.functional.jacobian(lambda x, layer=layer: layer(x[None])[0][0], point)
        gap = (told - true_jacobians(layer, point[None])[0]).abs().max()
        assert gap < BY_DIFFERENCES if repaired else gap > 0.1


def test_a_batch_norm_moves_others():
    x = EXHIBITS["batch-statistics"].x
    changed = x.clone()
    changed[0] += 1
    assert (BatchNorm()(changed)[0] - BatchNorm()(x)[0])[1:].abs().max() > 0.1
    assert torch.equal(BatchNorm(repaired=True)(changed)[0][1:], BatchNorm(repaired=True)(x)[0][1:])


def test_the_squeeze_takes_pixels_where_they_belong():
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    squeezed, back = EXHIBITS["squeeze-axes"].repaired()(picture)[0], EXHIBITS["squeeze-axes"].broken()
    assert squeezed[0, :, 0, 0].tolist() == [0, 1, 4, 5]  # the upper left square
    assert not torch.equal(back.inverse(squeezed)[0], picture)
    assert torch.equal(EXHIBITS["squeeze-axes"].repaired().inverse(squeezed)[0], picture)


def test_the_cache_knows_one_point_only():
    layer, x = EXHIBITS["cached-inverse"].broken(), EXHIBITS["cached-inverse"].x
    y = layer(x)
    assert layer.inv(y) is x
    with pytest.raises(NotImplementedError):
        layer.inv(y.clone())


def test_the_spline_in_both_precisions():
    exhibit, x = EXHIBITS["float32-spline"], EXHIBITS["float32-spline"].x
    miss = {}
    for repaired in (False, True):
        for dtype in (torch.float32, torch.float64):
            layer = exhibit._fresh(repaired=repaired).to(dtype)
            back = layer.inverse(layer(x.to(dtype))[0])[0]
            miss[repaired, dtype] = (back - x).abs().max().item()
    assert miss[False, torch.float32] > 0.03
    assert miss[True, torch.float32] < SINGLE
    assert max(miss[repaired, torch.float64] for repaired in (False, True)) < 1e-8
    # The map itself is innocent: it rises everywhere, and a search by halving finds the way back in float32.
    layer = exhibit.repaired()
    with torch.no_grad():
        y, low, high = layer(x)[0], torch.full_like(x, -9.0), torch.full_like(x, 9.0)
        for _ in range(60):
            middle = (low + high) / 2
            above = layer(middle)[0] > y
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    torch.testing.assert_close(low, x, rtol=SINGLE, atol=SINGLE)


def test_the_clamp_sends_different_points_to_one():
    far = torch.tensor([[2.5, 3.0, -9.0], [7.0, 2.1, -2.0]])
    broken, repaired = ClampedSinh()(far)[0], ClampedSinh(repaired=True)(far)[0]
    assert torch.equal(broken[0], broken[1])
    assert (repaired[0] - repaired[1]).abs().min() > 0.1
    x = EXHIBITS["clamped-tails"].x
    assert (x.abs() > 2).any()
    assert (x.abs() < 2).any()


def test_dropout_draws_anew_at_each_call():
    x = EXHIBITS["dropout-left-on"].x
    broken, repaired = EXHIBITS["dropout-left-on"].broken(), EXHIBITS["dropout-left-on"].repaired()
    assert not torch.equal(broken(x)[0], broken(x)[0])
    assert torch.equal(repaired(x)[0], repaired(x)[0])


def test_the_signed_log_on_both_sides():
    exhibit = EXHIBITS["log-domain"]
    x, (y, log_det), (right, right_log_det) = exhibit.x, exhibit.broken()(exhibit.x), exhibit.repaired()(exhibit.x)
    assert torch.equal(y.isnan(), x < -1)
    assert torch.equal(log_det.isnan(), (x < -1).any(1))
    assert torch.equal(y[x > 0], right[x > 0])
    torch.testing.assert_close(right, -exhibit.repaired()(-x)[0])
    assert right_log_det.isfinite().all()
