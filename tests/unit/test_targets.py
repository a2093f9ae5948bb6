"""Targets: densities integrate to one, and samples follow their densities."""

import math

import pytest
import torch

from nfteach import targets

# The tail of the banana extends beyond the square that holds the other densities.
EXTENT = {"banana": (-8.0, 8.0, -4.0, 20.0)}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def cells(extent, n):
    """Return the midpoints (n * n, 2) of the cells of a rectangle, float64, and the area of one cell."""
    left, right, bottom, top = extent
    middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x, y = left + (right - left) * middle, bottom + (top - bottom) * middle
    return torch.cartesian_prod(x, y), (right - left) * (top - bottom) / n**2


@pytest.fixture(params=targets.TARGETS)
def target(request):
    return targets.make(request.param)


@pytest.fixture(params=targets.ENERGIES)
def energy(request):
    return targets.make(request.param)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_density_integrates_to_one(name):
    # The midpoint rule is exact up to rounding for smooth densities of this width, and for the board, whose squares
    # consist of whole cells.
    points, area = cells(EXTENT.get(name, (-6.0, 6.0, -6.0, 6.0)), 240)
    total = sum(targets.make(name).log_prob(part).exp().sum() for part in points.split(20_000)) * area
    assert total.item() == pytest.approx(1, abs=1e-9)


def test_the_frequency_of_samples_in_a_region_is_its_mass(target, generator):
    n, bins = 20_000, 8
    points, area = cells((-4.0, 4.0, -4.0, 4.0), 20 * bins)
    mass = torch.cat([target.log_prob(part).exp() for part in points.split(20_000)]) * area
    expected = mass.reshape(bins, 20, bins, 20).sum((1, 3))
    x = target.sample((n,), generator=generator)
    index = (x + 4).floor().long()
    inside = ((index >= 0) & (index < bins)).all(-1)
    counts = torch.zeros(bins, bins, dtype=torch.float64).index_put_(
        tuple(index[inside].T), torch.ones(int(inside.sum()), dtype=torch.float64), accumulate=True
    )
    # Five standard deviations of a binomial count, plus one count for nearly empty cells.
    allowed = 5 * (n * expected * (1 - expected)).clamp(min=0).sqrt() + 1
    assert ((counts - n * expected).abs() <= allowed).all()


def test_the_mean_log_density_of_samples_is_minus_the_entropy(target, generator):
    points, area = cells((-8.0, 8.0, -4.0, 20.0), 300)
    log_p = torch.cat([target.log_prob(part) for part in points.split(20_000)])
    entropy = -(torch.special.xlogy(log_p.exp(), log_p.exp())).sum() * area
    log_q = target.log_prob(target.sample((20_000,), generator=generator))
    # Five standard errors, plus 0.02 for the board, whose edges cut cells of the grid.
    assert -log_q.mean().item() == pytest.approx(entropy.item(), abs=5 * log_q.std().item() / 20_000**0.5 + 0.02)


def test_a_target_is_a_torch_distribution(target, generator):
    assert isinstance(target, torch.distributions.Distribution)
    assert target.event_shape == (2,)
    assert target.sample().shape == (2,)
    x = target.sample((3, 4), generator=generator)
    assert x.shape == (3, 4, 2)
    assert target.log_prob(x).shape == (3, 4)
    assert target.log_prob(x.double()).dtype == torch.float64
    assert torch.equal(target.log_prob(x)[1, 2], target.log_prob(x[1, 2]))


def test_samples_repeat_with_the_generator_and_leave_the_global_one_alone(target):
    before = torch.random.get_rng_state()
    a, b = (target.sample((50,), generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_gradient_of_the_log_density_is_finite_even_at_the_origin(target):
    x = torch.tensor([[0.0, 0.0], [0.3, -0.2]], dtype=torch.float64, requires_grad=True)
    log_p = target.log_prob(x)
    if log_p.requires_grad:  # the board's is constant
        assert torch.autograd.grad(log_p.sum(), x)[0].isfinite().all()


def test_the_twist_of_the_pinwheel_preserves_the_density():
    straight, twisted = targets.Pinwheel(twist=0.0), targets.Pinwheel(twist=0.6)
    x = straight.sample((100,)).double()
    r, angle = x.norm(dim=-1), torch.atan2(x[:, 1], x[:, 0])
    turned = torch.stack([r * (angle + 0.6 * r).cos(), r * (angle + 0.6 * r).sin()], dim=-1)
    assert torch.allclose(straight.log_prob(x), twisted.log_prob(turned), atol=1e-10)


@pytest.mark.parametrize(
    ("name", "width"), [("u2", 0.4), ("u3", 0.35 + 0.35), ("u4", 0.4 + 0.35)], ids=["u2", "u3", "u4"]
)
def test_the_normaliser_of_a_band_is_its_length_times_its_gaussians(name, width):
    # At each z1, exp(-U) is a sum of Gaussians in z2 whose standard deviations sum to ``width``; z1 has length 8.
    exact = math.log(8 * width * math.sqrt(2 * math.pi))
    assert targets.make(name).log_normaliser == pytest.approx(exact, abs=1e-9)


def test_walls_add_half_a_gaussian_at_each_end_of_a_band():
    # Beyond z1 = 4 and -4 the band continues, times exp(-d^2 / (2 0.25^2)): together the integral of one Gaussian.
    exact = math.log((8 + 0.25 * math.sqrt(2 * math.pi)) * 0.4 * math.sqrt(2 * math.pi))
    assert targets.u2().walled(0.25).log_normaliser == pytest.approx(exact, abs=1e-5)


def test_the_energies_are_those_of_the_papers_table():
    # By hand at z = (1, 0): w1 = 1, w2 = 3, w3 = 3/2, ||z|| = 1.
    z = torch.tensor([1.0, 0.0], dtype=torch.float64)
    e = math.exp
    expected = {
        "u1": (1 / 0.4) ** 2 / 2 - math.log(e(-((1 / 0.6) ** 2) / 2) + e(-((3 / 0.6) ** 2) / 2)),
        "u2": (1 / 0.4) ** 2 / 2,
        "u3": -math.log(e(-((1 / 0.35) ** 2) / 2) + e(-((2 / 0.35) ** 2) / 2)),
        "u4": -math.log(e(-((1 / 0.4) ** 2) / 2) + e(-((0.5 / 0.35) ** 2) / 2)),
    }
    for name, value in expected.items():
        assert targets.make(name).energy(z).item() == pytest.approx(value, rel=1e-12)


def test_an_energys_grid_sums_to_one_and_its_samples_follow_it(energy, generator):
    points, log_p = energy.grid(200)
    left, right, bottom, top = energy.extent
    mass = log_p.exp() * (right - left) * (top - bottom) / 200**2
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    z = energy.sample((20_000,), generator=generator)
    mean = (mass[..., None] * points).sum((0, 1))
    spread = (mass[..., None] * (points - mean) ** 2).sum((0, 1)).sqrt()
    assert ((z.double().mean(0) - mean).abs() < 5 * spread / 20_000**0.5).all()
    assert z.double().std(0).tolist() == pytest.approx(spread.tolist(), rel=0.03)


def test_an_energy_far_out_is_finite_with_a_finite_gradient(energy):
    z = torch.tensor([[30.0, -40.0], [-50.0, 20.0]], requires_grad=True)
    U = energy.energy(z)
    assert U.isfinite().all()
    assert torch.autograd.grad(U.sum(), z)[0].isfinite().all()
    assert torch.equal(energy.log_prob(z), -U)


def test_make_accepts_all_names_and_rejects_others():
    assert targets.names() == [*targets.TARGETS, *targets.ENERGIES]
    assert targets.make("two moons", noise=0.3).scale == 0.3
    with pytest.raises(ValueError, match=r"name must be one of 'banana'.* but is 'bananna'"):
        targets.make("bananna")


@pytest.mark.parametrize("points", [torch.zeros(4, 3), torch.zeros(2, dtype=torch.long), [[0.0, 0.0]]])
def test_invalid_points_are_rejected(target, energy, points):
    with pytest.raises(ValueError, match="value must be points of the plane"):
        target.log_prob(points)
    with pytest.raises(ValueError, match="z must be points of the plane"):
        energy.energy(points)


def test_invalid_parameters_are_rejected():
    with pytest.raises(ValueError, match="scale must be positive, but is 0"):
        targets.Rings(scale=0.0)
    with pytest.raises(ValueError, match=r"means must be \(K, 2\)"):
        targets.GaussianMixture(torch.zeros(3), 1.0)
