"""Dequantisation, the logit and bits per dimension, against counting, autograd and hand calculation."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, Uniform

from nfteach.flows import FlowDistribution, Logit, Permutation, Stack, bits_per_dim, dequantise, quantise
from nfteach.jacobian import inspect_jacobian


@pytest.mark.parametrize("levels", [1, 2, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.uint8])
def test_noise_stays_inside_the_pixels_own_interval(levels: int, dtype: torch.dtype) -> None:
    pixels = torch.arange(levels).repeat(2_000_000 // levels).to(dtype)  # enough for a u that rounds to 1
    before = pixels.clone()
    x = dequantise(pixels, levels)
    assert x.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert torch.equal(pixels, before)
    assert float(x.min()) >= 0
    assert float(x.max()) < 1
    assert torch.equal(quantise(x, levels), pixels.to(x.dtype))


def test_the_noise_is_uniform_and_fresh() -> None:
    pixels = torch.full((200_000,), 5.0, dtype=torch.float64)
    u = dequantise(pixels, 17) * 17 - 5
    # Kolmogorov's statistic, the largest gap between the empirical and the uniform distribution function, exceeds
    # 1.63 / sqrt(n) for one seed in a hundred; the seed is fixed.
    grid = torch.arange(1, len(u) + 1, dtype=torch.float64) / len(u)
    assert float((u.sort().values - grid).abs().max()) < 1.63 / math.sqrt(len(u))
    again = dequantise(pixels, 17) * 17 - 5
    assert abs(float(torch.corrcoef(torch.stack([u, again]))[0, 1])) < 0.01
    one, two = (dequantise(pixels, 17, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


def test_invalid_pixels_are_rejected() -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 to 16, one of 17 levels, but one is 17"):
        dequantise(torch.tensor([0.0, 17.0]), 17)
    with pytest.raises(ValueError, match=r"but one is 0\.5"):
        dequantise(torch.tensor([0.5]), 17)
    with pytest.raises(ValueError, match="but one is -1"):
        dequantise(torch.tensor([-1]), 17)
    with pytest.raises(ValueError, match="but one is nan"):
        dequantise(torch.tensor([torch.nan]), 17)
    with pytest.raises(ValueError, match="levels must be a whole number, at least 1, but is 0"):
        dequantise(torch.tensor([0]), 0)
    with pytest.raises(ValueError, match="pixels must be a tensor of whole numbers, but is a list"):
        dequantise([0], 2)


def test_a_uniform_density_costs_log2_of_the_levels() -> None:
    for levels, dim in [(2, 1), (17, 64), (256, 3072)]:
        uniform = Uniform(torch.zeros(dim), torch.ones(dim))
        x = dequantise(torch.randint(levels, (3, dim)), levels)
        assert bits_per_dim(uniform.log_prob(x).sum(-1), dim, levels).tolist() == [pytest.approx(math.log2(levels))] * 3
        assert bits_per_dim(0.0, dim, levels) == math.log2(levels)


def test_a_piecewise_constant_density_costs_its_cross_entropy() -> None:
    # q(x) = levels * p_k on pixel k's interval is the pixels' own distribution p, dequantised: E[-log2 p_k] bits.
    p = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    pixels = torch.tensor([[0, 0, 1], [2, 3, 0], [1, 1, 1]])
    x = dequantise(pixels.double(), 4)
    log_q = torch.log(4 * p[(x * 4).long()]).sum(-1)
    expected = torch.tensor([1 + 1 + 2, 3 + 3 + 1, 2 + 2 + 2], dtype=torch.float64) / 3
    torch.testing.assert_close(bits_per_dim(log_q, 3, 4), expected)


def test_bits_by_dequantisation_bound_those_of_the_pixels() -> None:
    # One pixel, a Gaussian density: the exact probability of each level is the integral over its interval.
    levels, q = 8, Normal(torch.tensor(0.4, dtype=torch.float64), 0.2)
    edges = torch.arange(levels + 1, dtype=torch.float64) / levels
    exact = -torch.log2(q.cdf(edges[1:]) - q.cdf(edges[:-1]))
    noisy = dequantise(torch.arange(levels, dtype=torch.float64).expand(20_000, levels), levels)
    bound = bits_per_dim(q.log_prob(noisy), 1, levels).mean(0)
    assert bool((bound >= exact - 0.01).all())
    assert float((bound - exact).max()) < 0.25


def test_invalid_sizes_of_images_are_rejected() -> None:
    with pytest.raises(ValueError, match="dim must be a whole number, at least 1, but is 0"):
        bits_per_dim(0.0, 0, 17)
    with pytest.raises(ValueError, match=r"levels must be a whole number, at least 1, but is 0\.5"):
        bits_per_dim(0.0, 3, 0.5)


@pytest.mark.parametrize("alpha", [0, 1e-6, 0.05, 0.3])
def test_the_logit_follows_its_formula_and_its_inverse_inverts(alpha: float) -> None:
    logit, x = Logit(5, alpha), torch.rand(40, 5, dtype=torch.float64) * 0.98 + 0.01
    y, ladj = logit.call_and_ladj(x)
    torch.testing.assert_close(y, torch.logit(alpha + (1 - 2 * alpha) * x))
    J = torch.stack([torch.autograd.functional.jacobian(logit, row) for row in x])
    torch.testing.assert_close(ladj, torch.linalg.slogdet(J).logabsdet)
    back, inverse_ladj = logit.inverse_and_ladj(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(inverse_ladj, -ladj)
    J = torch.stack([torch.autograd.functional.jacobian(logit.inv, row) for row in y])
    torch.testing.assert_close(inverse_ladj, torch.linalg.slogdet(J).logabsdet)
    torch.testing.assert_close(logit.terms(x)["dy/dx"].log().sum(-1), ladj)
    assert inspect_jacobian(logit, x[:3]).check().structure.name == "diagonal"


def test_the_logit_is_finite_and_accurate_at_the_ends_of_the_interval() -> None:
    y, ladj = Logit(2).call_and_ladj(torch.tensor([0.0, 1.0]))
    assert y.tolist() == pytest.approx([math.log(0.05 / 0.95), math.log(0.95 / 0.05)], rel=1e-6)
    assert float(ladj) == pytest.approx(2 * math.log(0.9 / (0.05 * 0.95)), rel=1e-6)
    # With alpha = 0, 1 - p could cancel. p = 2^-40 is exact, so all digits of its logit are known.
    tiny = 2.0**-40
    x = torch.tensor([tiny, 1 - tiny], dtype=torch.float64)
    y, ladj = Logit(2, alpha=0.0).call_and_ladj(x)
    assert y.tolist() == pytest.approx([-40 * math.log(2) - math.log1p(-tiny), 40 * math.log(2) + math.log1p(-tiny)])
    assert float(ladj) == pytest.approx(2 * (40 * math.log(2) - math.log1p(-tiny)), rel=1e-14)
    far, far_ladj = Logit(1).inverse_and_ladj(torch.tensor([[-300.0], [300.0]], dtype=torch.float64))
    assert far.flatten().tolist() == pytest.approx([-0.05 / 0.9, 1 + 0.05 / 0.9], rel=1e-14)
    assert far_ladj.tolist() == pytest.approx([-300 - math.log(0.9)] * 2, rel=1e-14)


def test_the_domain_of_the_logit_is_where_it_is_finite() -> None:
    logit, margin = Logit(1), 0.05 / 0.9
    inside = torch.tensor([[-margin + 1e-6], [1 + margin - 1e-6]], dtype=torch.float64)
    outside = torch.tensor([[-margin - 1e-6], [1 + margin + 1e-6]], dtype=torch.float64)
    assert logit.domain.check(inside).all()
    assert logit(inside).isfinite().all()
    assert not logit.domain.check(outside).any()
    assert logit(outside).isnan().all()


def test_a_density_through_the_logit_integrates_to_one() -> None:
    q = FlowDistribution(Normal(torch.zeros(1, dtype=torch.float64), 1.5), Logit(1).inv)
    margin = 0.05 / 0.9
    x = torch.linspace(-margin, 1 + margin, 200_001, dtype=torch.float64)[1:-1, None]
    assert float(torch.trapezoid(q.log_prob(x).exp(), x[:, 0])) == pytest.approx(1, abs=1e-4)


def test_an_invalid_alpha_is_rejected() -> None:
    for alpha in (-0.01, 0.5, 1, math.nan, "0.05", True):
        with pytest.raises(ValueError, match=r"alpha must be a number, at least 0 and below 0\.5, but is"):
            Logit(2, alpha)
    with pytest.raises(ValueError, match="dim must be"):
        Logit(0)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 3\), but has the shape \(2,\)"):
        Logit(3)(torch.zeros(2))


def test_an_inverse_and_a_stack_have_the_domains_of_their_parts() -> None:
    logit = Logit(3)
    inside, outside = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.1, 0.5, 1.5])
    for flow in (logit, Stack(logit, Permutation([2, 0, 1]))):
        assert flow.domain.check(inside)
        assert not flow.domain.check(outside)
        assert flow.codomain.check(outside)
        assert flow.inv.domain.check(outside)
        assert flow.inv.codomain.check(inside)
        assert not flow.inv.codomain.check(outside)
