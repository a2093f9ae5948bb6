"""Rational-quadratic splines and their couplings: the paper's equations 4 to 8, at wild knots."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from nfteach.flows import (
    FlowDistribution,
    SplineCoupling,
    Stack,
    half_mask,
    rational_quadratic,
    rational_quadratic_inverse,
    spline_knots,
)

BOUND, BINS = 3.0, 8
# float64 rounding, grown by slopes between about 1e-3 and 1e3 at the knots.
EXACT = {"rtol": 1e-10, "atol": 1e-10}

MASKS = {
    "one of three": [True, False, False],
    "two of three": [False, True, True],
    "alternating five": [True, False, True, False, True],
    "last of five": [True, True, True, True, False],
    "scattered seven": [False, True, True, False, True, False, False],
}


def draw(*shape: int, seed: int = 0, spread: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * spread


def wild_knots(*batch: int, bins: int = BINS, seed: int = 0, bound: float = BOUND) -> tuple[Tensor, Tensor, Tensor]:
    raw = draw(*batch, 3 * bins - 1, seed=seed, spread=3.0)
    return spline_knots(*raw.split([bins, bins, bins - 1], -1), bound)


def assert_inverted(back: Tensor, x: Tensor, y: Tensor, ladj: Tensor, dtype: torch.dtype = torch.float64) -> None:
    """Assert that x -> y -> back misses by no more than the rounding of y, which a flat curve (1e-7) enlarges.

    ladj: log dy/dx of each number; dtype: that in which back was computed.
    """
    rounding = torch.finfo(dtype).eps * (x.abs() + BOUND + (y.abs() + BOUND) / ladj.exp())
    assert bool(((back - x).abs() <= 4 * rounding).all())


class Constant(nn.Module):
    """A conditioner whose parameters do not depend on x_A."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, kept: Tensor) -> Tensor:
        return self.values.expand(*kept.shape[:-1], -1)


def wild_coupling(mask: list[bool], **options) -> SplineCoupling:
    """Make a coupling whose network gives parameters of standard deviation 3, which vary with x_A."""
    layer = SplineCoupling(mask, hidden=(16,), **options).double()
    generator = torch.Generator().manual_seed(len(mask))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        raw = layer.conditioner(draw(1000, len(layer.kept)))
        layer.conditioner[-1].weight.mul_(3 / raw.std())
        layer.conditioner[-1].bias.mul_(3 / raw.std())
    return layer


def by_the_paper(x: float, knots_x: np.ndarray, knots_y: np.ndarray, slopes: np.ndarray) -> tuple[float, float]:
    """Compute g(x) and g'(x) by equations 4 and 5, searching the bins one after another."""
    for k in range(len(knots_x) - 1):
        if knots_x[k] <= x < knots_x[k + 1]:
            width, height = knots_x[k + 1] - knots_x[k], knots_y[k + 1] - knots_y[k]
            s, xi = height / width, (x - knots_x[k]) / width
            alpha = height * (s * xi**2 + slopes[k] * xi * (1 - xi))
            beta = s + (slopes[k + 1] + slopes[k] - 2 * s) * xi * (1 - xi)
            rise = slopes[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + slopes[k] * (1 - xi) ** 2
            return knots_y[k] + alpha / beta, s**2 * rise / beta**2
    return x, 1.0


def inverse_by_the_paper(y: float, knots_x: np.ndarray, knots_y: np.ndarray, slopes: np.ndarray) -> float:
    """Solve the quadratic equation of equations 6 to 8, searching the bins one after another."""
    for k in range(len(knots_x) - 1):
        if knots_y[k] <= y < knots_y[k + 1]:
            width, height = knots_x[k + 1] - knots_x[k], knots_y[k + 1] - knots_y[k]
            s, bend = height / width, slopes[k + 1] + slopes[k] - 2 * height / width
            a = height * (s - slopes[k]) + (y - knots_y[k]) * bend
            b = height * slopes[k] - (y - knots_y[k]) * bend
            c = -s * (y - knots_y[k])
            return knots_x[k] + width * 2 * c / (-b - np.sqrt(b**2 - 4 * a * c))
    return y


# The curve.


def test_equations_4_to_8_one_number_after_another() -> None:
    knots, x = wild_knots(60), draw(60, seed=1, spread=2.0)
    y, ladj = rational_quadratic(x, *knots)
    back, inverse_ladj = rational_quadratic_inverse(y, *knots)
    for n in range(len(x)):
        row = [each[n].numpy() for each in knots]
        value, slope = by_the_paper(x[n].item(), *row)
        assert y[n].item() == pytest.approx(value, abs=1e-12)
        assert ladj[n].item() == pytest.approx(np.log(slope), abs=1e-10)
        assert back[n].item() == pytest.approx(inverse_by_the_paper(y[n].item(), *row), abs=1e-10)
        assert inverse_ladj[n].item() == pytest.approx(-np.log(slope), abs=1e-9)


@pytest.mark.parametrize("bins", [1, 2, 8, 40])
def test_the_inverse_inverts_at_wild_knots_both_ways(bins: int) -> None:
    knots, points = wild_knots(2000, bins=bins, seed=bins), draw(2000, seed=2, spread=2.0)
    y, ladj = rational_quadratic(points, *knots)
    back, inverse_ladj = rational_quadratic_inverse(y, *knots)
    assert_inverted(back, points, y, ladj)
    assert float((back - points).abs()[ladj > np.log(1e-4)].max()) < 1e-10
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=0, atol=1e-7)
    x, ladj = rational_quadratic_inverse(points, *knots)
    assert_inverted(rational_quadratic(x, *knots)[0], points, x, ladj)


def test_the_derivative_is_that_of_autograd_once_and_twice() -> None:
    knots = wild_knots(500)
    x = draw(500, seed=3, spread=2.0).requires_grad_()
    y, ladj = rational_quadratic(x, *knots)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    torch.testing.assert_close(slope.log(), ladj, rtol=1e-9, atol=1e-9)
    (curvature,) = torch.autograd.grad(slope.sum(), x, retain_graph=True)
    (of_ladj,) = torch.autograd.grad(ladj.sum(), x)
    torch.testing.assert_close(curvature / slope.detach(), of_ladj, rtol=1e-7, atol=1e-7)


def test_gradients_with_respect_to_everything_are_those_of_differences() -> None:
    knots = [each.requires_grad_() for each in wild_knots(6, bins=3, seed=4)]
    x = torch.tensor([-4.0, -1.7, -0.2, 0.4, 1.9, 5.0], dtype=torch.float64, requires_grad=True)
    for function in (rational_quadratic, rational_quadratic_inverse):
        assert torch.autograd.gradcheck(function, (x, *knots), rtol=1e-4, atol=1e-4)
        assert torch.autograd.gradgradcheck(lambda *given, f=function: f(*given)[1], (x, *knots), rtol=1e-3, atol=1e-3)


def test_the_curve_goes_through_its_knots_with_their_slopes() -> None:
    knots_x, knots_y, slopes = wild_knots(20, seed=5)
    y, ladj = rational_quadratic(knots_x.T[..., None], *(each[:, None] for each in (knots_x, knots_y, slopes)))
    torch.testing.assert_close(y[..., 0], knots_y.T, **EXACT)
    torch.testing.assert_close(ladj[..., 0].exp(), slopes.T, rtol=1e-10, atol=0)
    x, inverse_ladj = rational_quadratic_inverse(
        knots_y.T[..., None], *(each[:, None] for each in (knots_x, knots_y, slopes))
    )
    torch.testing.assert_close(x[..., 0], knots_x.T, **EXACT)
    torch.testing.assert_close(inverse_ladj[..., 0].exp(), 1 / slopes.T, rtol=1e-9, atol=0)


def test_the_curve_increases_and_has_no_corners() -> None:
    knots = wild_knots(50, 1, seed=6)
    x = torch.linspace(-BOUND - 0.5, BOUND + 0.5, 20_001, dtype=torch.float64)
    y, _ = rational_quadratic(x, *knots)
    assert bool((y.diff() > 0).all())
    just_before, at_knots = knots[0][:, 0] - 1e-12, knots[0][:, 0]
    slopes = [rational_quadratic(at.T[..., None], *(each[None] for each in knots))[1] for at in (just_before, at_knots)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-5)


def test_outside_of_the_bound_the_curve_is_exactly_the_identity() -> None:
    knots = wild_knots(7, seed=7)
    edge = torch.tensor(BOUND, dtype=torch.float64)
    for x in (
        edge,
        -edge,
        1.1 * edge,
        -1e3 * edge,
        torch.tensor(torch.inf).double(),
        torch.tensor(-torch.inf).double(),
    ):
        for function in (rational_quadratic, rational_quadratic_inverse):
            y, ladj = function(x.expand(7), *knots)
            assert torch.equal(y, x.expand(7))
            torch.testing.assert_close(ladj, torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_knots_anywhere_are_continued_by_straight_lines() -> None:
    rows = torch.tensor([[0.0, 1.0, 4.0], [10.0, 12.0, 13.0], [4.0, 1.0, 0.5]], dtype=torch.float64)
    x = torch.tensor([-2.0, 0.0, 4.0, 6.0], dtype=torch.float64)
    y, ladj = rational_quadratic(x, *rows)
    assert y.tolist() == [2.0, 10.0, 13.0, 14.0]
    torch.testing.assert_close(ladj.exp(), torch.tensor([4.0, 4.0, 0.5, 0.5], dtype=torch.float64))
    assert rational_quadratic_inverse(y, *rows)[0].tolist() == x.tolist()


def test_equal_slopes_on_a_straight_line_give_that_line() -> None:
    at = torch.linspace(-2, 2, 5)
    x = torch.linspace(-3, 3, 101)
    y, ladj = rational_quadratic(x, at, 0.5 * at + 1, torch.full((5,), 0.5))
    torch.testing.assert_close(y, 0.5 * x + 1)
    torch.testing.assert_close(ladj.exp(), torch.full_like(x, 0.5))
    torch.testing.assert_close(rational_quadratic_inverse(y, at, 0.5 * at + 1, torch.full((5,), 0.5))[0], x)


def test_the_inverse_in_float32_loses_no_more_than_the_rounding_of_y() -> None:
    knots, x = wild_knots(5000, seed=8), draw(5000, seed=9, spread=1.5)
    knots32 = tuple(each.float() for each in knots)
    knots = tuple(each.double() for each in knots32)
    y = rational_quadratic(x.float().double(), *knots)[0].float()
    back, _ = rational_quadratic_inverse(y, *knots32)
    exact, ladj = rational_quadratic_inverse(y.double(), *knots)
    assert_inverted(back.double(), exact, y.double(), -ladj, torch.float32)


def test_the_knots_of_wild_parameters_are_apart_and_end_at_the_bound() -> None:
    raw = draw(300, 3 * BINS - 1, seed=10, spread=100.0)
    knots_x, knots_y, slopes = spline_knots(*raw.split([BINS, BINS, BINS - 1], -1), BOUND)
    for knots in (knots_x, knots_y):
        assert torch.equal(knots[:, [0, -1]], torch.tensor([[-BOUND, BOUND]]).double().expand(300, 2))
        assert float(knots.diff().min()) == pytest.approx(0.01 * 2 * BOUND / BINS, rel=1e-9)
    assert bool((slopes[:, [0, -1]] == 1).all())
    assert float(slopes.min()) == pytest.approx(0.001, rel=1e-9)


def test_values_decide_nothing_so_that_a_function_of_fixed_shapes_can_be_recorded() -> None:
    knots, x = wild_knots(4, seed=11), draw(4, seed=12)
    for function in (rational_quadratic, rational_quadratic_inverse):
        recorded = torch.fx.experimental.proxy_tensor.make_fx(function)(x, *knots)
        elsewhere = (torch.tensor([-9.0, -1.0, 2.0, 9.0], dtype=torch.float64), *wild_knots(4, seed=13))
        for one, other in zip(recorded(*elsewhere), function(*elsewhere), strict=True):
            assert torch.equal(one, other)
        rows = torch.func.vmap(torch.func.grad(lambda *given, f=function: f(*given)[0]))(x, *knots)
        torch.testing.assert_close(rows.log(), function(x, *knots)[1], rtol=1e-9, atol=1e-9)


def test_invalid_knots_are_rejected() -> None:
    x, four, five = torch.zeros(2), torch.arange(4.0), torch.arange(5.0)
    with pytest.raises(
        ValueError, match=r"must be \(\.\.\., K \+ 1\) with K at least 1, but are \(5,\), \(5,\), \(4,\)"
    ):
        rational_quadratic(x, five, five, four)
    with pytest.raises(ValueError, match=r"but are \(4,\), \(5,\), \(5,\)"):
        rational_quadratic_inverse(x, four, five, five)
    with pytest.raises(ValueError, match=r"but are \(1,\), \(1,\), \(1,\)"):
        rational_quadratic(x, *[torch.ones(1)] * 3)


# The coupling.


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_coupling_dimension_by_dimension(mask: list[bool]) -> None:
    layer, x = wild_coupling(mask), draw(len(mask), seed=14, spread=1.5)
    kept = [i for i, passes in enumerate(mask) if passes]
    changed = [i for i, passes in enumerate(mask) if not passes]
    knots = layer.knots(x[kept])
    y, ladj = layer.call_and_ladj(x)
    slopes = []
    for i in kept:
        assert y[i].item() == x[i].item()
    for j, i in enumerate(changed):
        value, slope = by_the_paper(x[i].item(), *(each[j].detach().numpy() for each in knots))
        assert y[i].item() == pytest.approx(value, abs=1e-10)
        slopes.append(slope)
    assert ladj.item() == pytest.approx(np.log(slopes).sum(), abs=1e-8)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_jacobian_block_by_block_and_the_inverse(mask: list[bool]) -> None:
    layer, x = wild_coupling(mask), draw(40, len(mask), seed=15, spread=2.0)
    y, ladj = layer.call_and_ladj(x)
    J = torch.stack([torch.autograd.functional.jacobian(layer, row) for row in x])
    kept, changed = layer.mask, ~layer.mask
    assert torch.equal(J[:, kept][..., kept], torch.eye(int(kept.sum())).double().expand(40, -1, -1))
    assert not J[:, kept][..., changed].any()
    block = J[:, changed][..., changed]
    assert torch.equal(block, torch.diag_embed(block.diagonal(dim1=-2, dim2=-1)))
    assert bool((J[:, changed][..., kept].abs() > 1e-9).any())
    torch.testing.assert_close(ladj, torch.linalg.slogdet(J).logabsdet, rtol=1e-8, atol=1e-8)
    back, inverse_ladj = layer.inverse_and_ladj(y)
    assert_inverted(back[:, changed], x[:, changed], y[:, changed], layer.terms(x)["g'(x_B)"].log())
    assert torch.equal(back[:, kept], x[:, kept])
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=0, atol=1e-6)


def test_gradients_are_finite_everywhere_at_knots_at_the_bound_and_far_outside() -> None:
    layer = SplineCoupling([True, False], conditioner=Constant(draw(3 * BINS - 1, seed=16, spread=3.0))).double()
    knots_x, knots_y, _ = layer.knots(torch.zeros(1, dtype=torch.float64))
    for direction, knots in ((layer, knots_x), (layer.inv, knots_y)):
        at = torch.cat([knots.detach().flatten(), torch.tensor([-1e6, -4.0, 4.0, 1e6], dtype=torch.float64)])
        x = torch.stack([torch.zeros_like(at), at], -1).requires_grad_()
        y, ladj = direction.call_and_ladj(x)
        for total in (y.sum(), ladj.sum()):
            gradients = torch.autograd.grad(total, [x, *layer.parameters()], retain_graph=True)
            assert all(bool(each.isfinite().all()) for each in gradients)


def test_the_density_integrates_to_one() -> None:
    base = Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    flow = Stack(*(SplineCoupling(half_mask(2, flip=flip), hidden=(8,)).double() for flip in (False, True)))
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
        # The square of side 12 goes to itself: the splines are the identity outside of 3.
        axis = (torch.arange(600, dtype=torch.float64) + 0.5) / 50 - 6
        density = FlowDistribution(base, flow).log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert float(density.sum()) / 50**2 == pytest.approx(1, abs=1e-3)
    assert float(density.max()) > 0.3  # that of the normal density is 0.16


def test_a_new_layer_is_the_identity_and_learns() -> None:
    torch.manual_seed(0)
    layer, x = SplineCoupling([True, False, True], hidden=(8,)).double(), draw(100, 3, seed=18, spread=2.0)
    y, ladj = layer.call_and_ladj(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(ladj, torch.zeros(100, dtype=torch.float64), rtol=0, atol=1e-12)
    target = x + torch.tensor([0.0, 1.0, 0.0]) * torch.sin(x[:, :1]) * (x.abs() < 1.5)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    errors = []
    for _ in range(60):
        error = (layer(x) - target).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_terms_and_printed_form_are_those_of_the_layer() -> None:
    layer, x = wild_coupling(MASKS["alternating five"], bins=4, bound=2.0), draw(3, 5, seed=19)
    assert "mask=[1, 0, 1, 0, 1], bins=4, bound=2" in repr(layer)
    y, ladj = layer.call_and_ladj(x)
    terms = layer.terms(x)
    assert torch.equal(terms["y_B"], y[:, ~layer.mask])
    torch.testing.assert_close(terms["g'(x_B)"].log().sum(-1), ladj)
    torch.testing.assert_close(terms["det = prod g'"].log(), ladj)
    assert [each.shape for each in layer.knots(x[:, layer.mask])] == [(3, 2, 5)] * 3


def test_a_copy_with_other_parameters_is_another_map() -> None:
    layer, x = wild_coupling(MASKS["one of three"]), draw(5, 3, seed=20)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.conditioner[-1].bias += 1.0 * torch.arange(len(other.conditioner[-1].bias))
    assert bool((layer(x) != other(x)).any())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), other(x))


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(ValueError, match="all True: nothing would be transformed"):
        SplineCoupling([True, True])
    with pytest.raises(ValueError, match="bins must be a whole number, at least 1, but is 0"):
        SplineCoupling([True, False], bins=0)
    for bound in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"bound must be a positive number, but is {bound}"):
            SplineCoupling([True, False], bound=bound)
