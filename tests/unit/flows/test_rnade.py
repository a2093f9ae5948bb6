"""RNADE and its triangular map: accurate tails of mixtures, a triangular Jacobian, an exact inverse."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from nfteach.flows import RNADE, FlowDistribution, TriangularMap, nade
from nfteach.flows.mixture import Mixture, log_cdf_and_slope, log_normal, normal_quantile

EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64 sums of some hundred terms
# Through the root-finder, at condition numbers of up to some thousands.
SOLVED = {"rtol": 1e-9, "atol": 1e-9}


def wild(dim: int, *, hidden: int = 6, components: int = 3, seed: int = 0, scale: float = 1.0, ordering=None) -> RNADE:
    """Return a float64 RNADE in a shuffled ordering, far from its initial values: sigmas from about 0.01 to 100."""
    generator = torch.Generator().manual_seed(seed)
    if ordering is None:
        ordering = torch.randperm(dim, generator=generator)
    rnade = RNADE(dim, hidden, components, ordering).double()
    with torch.no_grad():
        for name, parameter in rnade.named_parameters():
            spread = scale if name.startswith("b_") else 0.3 * scale
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * spread)
    return rnade


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1000), dtype=torch.float64).to(dtype)


def standard_normal(dim: int, dtype: torch.dtype = torch.float64) -> Normal:
    return Normal(torch.zeros(dim, dtype=dtype), torch.ones(dim, dtype=dtype))


def jacobians(flow: torch.nn.Module, x: Tensor) -> Tensor:
    """Compute the Jacobians (B, D, D), point by point."""
    return torch.stack([torch.autograd.functional.jacobian(flow, row) for row in x])


def papers_loops(rnade: RNADE, x: list[float]) -> list[float]:
    """Compute log q(x_{o_d} | x_{o_<d}) along the ordering, in plain Python, from all earlier dimensions."""
    W, c, rho = rnade.W.tolist(), rnade.c.tolist(), rnade.rho.tolist()
    ordering, units = rnade.ordering.tolist(), range(rnade.hidden)
    terms = []
    for d, i in enumerate(ordering):
        a = [c[j] + sum(W[j][k] * x[k] for k in ordering[:d]) for j in units]
        h = [max(rho[i] * a[j], 0.0) for j in units]

        outputs = []
        for V, b in ((rnade.V_alpha, rnade.b_alpha), (rnade.V_mu, rnade.b_mu), (rnade.V_sigma, rnade.b_sigma)):
            V, b = V[i].tolist(), b[i].tolist()
            outputs.append([b[k] + sum(V[k][j] * h[j] for j in units) for k in range(rnade.components)])
        logits, mu, log_sigma = outputs
        total = sum(math.exp(logit) for logit in logits)
        sigma = [math.exp(s) + rnade.min_sigma for s in log_sigma]
        density = 0.0
        for logit, m, s in zip(logits, mu, sigma, strict=True):
            density += math.exp(logit) / total * math.exp(-(((x[i] - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
        terms.append(math.log(density))
    return terms


# Mixtures in one dimension.


def mixtures(*batch: int, components: int = 4, seed: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    shape = (*batch, components)
    logits, mu, log_sigma = torch.randn((3, *shape), generator=generator, dtype=torch.float64)
    return Mixture(torch.log_softmax(2 * logits, -1), 3 * mu, torch.exp(1.5 * log_sigma))


def test_log_cdf_and_its_slope_are_accurate_in_both_tails() -> None:
    z = torch.cat([-torch.logspace(-8, 3, 200), torch.zeros(1), torch.logspace(-8, 1.5, 200)]).double()
    log_cdf, slope = log_cdf_and_slope(z)
    torch.testing.assert_close(log_cdf, torch.special.log_ndtr(z), rtol=1e-12, atol=0)
    (by_autograd,) = torch.autograd.grad(log_cdf_and_slope(z.requires_grad_())[0].sum(), z)
    torch.testing.assert_close(slope, by_autograd, rtol=1e-9, atol=0)


def test_second_derivatives_stay_finite_far_out() -> None:
    z = torch.tensor([-1e4, -40.0, 0.0, 40.0, 1e4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_cdf_and_slope(z)[0].sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    assert curvature.isfinite().all()
    assert (curvature <= 0).all()  # log Phi is concave


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_the_quantile_inverts_the_log_cdf_down_to_minus_a_thousand(dtype: torch.dtype, tolerance: float) -> None:
    z = -torch.cat([torch.zeros(1), torch.logspace(-6, 3, 300)]).to(dtype)
    torch.testing.assert_close(normal_quantile(log_cdf_and_slope(z)[0]), z, rtol=tolerance, atol=tolerance)


def test_a_mixtures_density_and_cdf_are_those_of_torch() -> None:
    q, x = mixtures(50), 5 * draw(50)
    witness = MixtureSameFamily(Categorical(logits=q.log_alpha), Normal(q.mu, q.sigma))
    torch.testing.assert_close(q.log_density(x), witness.log_prob(x), **EXACT)
    below, slope = q.log_tail_and_slope(x, 1.0)
    above, slope_above = q.log_tail_and_slope(x, -1.0)
    torch.testing.assert_close(below.exp(), witness.cdf(x), **EXACT)
    torch.testing.assert_close(below.exp() + above.exp(), torch.ones(50, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(slope * below.exp(), q.log_density(x).exp(), **EXACT)
    torch.testing.assert_close(slope_above * above.exp(), q.log_density(x).exp(), **EXACT)


@given(seed=st.integers(0, 10_000), components=st.integers(1, 5), spread=st.sampled_from([0.1, 1.0, 5.0, 30.0]))
@settings(max_examples=30, deadline=None)
def test_a_mixture_and_a_standard_normal_variable_map_to_each_other(seed: int, components: int, spread: float) -> None:
    q, z = mixtures(20, components=components, seed=seed), spread * draw(20, seed=seed)
    x = q.from_normal(z)
    # F(x) = Phi(z), compared in the smaller tail
    side = torch.where(z < 0, 1.0, -1.0).double()
    torch.testing.assert_close(q.log_tail_and_slope(x, side)[0], log_cdf_and_slope(side * z)[0], **SOLVED)
    torch.testing.assert_close(q.to_normal(x), z, **SOLVED)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_map_is_accurate_beyond_fifty_standard_deviations(dtype: torch.dtype, tolerance: float, side: int) -> None:
    q = Mixture(*(t.to(dtype) for t in mixtures(1)))
    for z in (10.0, 30.0, 50.0, 300.0):
        z = torch.tensor([side * z], dtype=dtype)
        x = q.from_normal(z)
        torch.testing.assert_close(q.to_normal(x), z, rtol=tolerance, atol=0)
        far = q.mu.abs().amax(-1) + z.abs() * q.sigma.amax(-1)
        assert (q.to_normal(side * far).abs() <= 1.0001 * z.abs() + 10).all()
        assert q.log_density(side * far).isfinite().all()


def test_one_component_makes_an_affine_map() -> None:
    q = Mixture(torch.zeros(1, 1).double(), torch.full((1, 1), 2.0).double(), torch.full((1, 1), 0.5).double())
    x = torch.linspace(-500, 500, 101, dtype=torch.float64)[:, None]
    torch.testing.assert_close(q.to_normal(x), (x - 2) / 0.5, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(q.from_normal(x), 2 + 0.5 * x, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_modes_far_apart_leave_all_values_finite(dtype: torch.dtype) -> None:
    # F is constant between -20 and 20 up to rounding: any image of z = 0 in this interval is right, but not NaN.
    mu = torch.tensor([[-20.0, 20.0]], dtype=dtype, requires_grad=True)
    q = Mixture(torch.full((1, 2), -math.log(2), dtype=dtype), mu, torch.full((1, 2), 0.1, dtype=dtype))
    x = q.from_normal(torch.zeros(1, dtype=dtype))
    assert x.abs().item() < 20
    z = q.to_normal(torch.linspace(-19.99, 19.99, 99, dtype=dtype))
    assert (z.diff() >= 0).all()
    (gradient,) = torch.autograd.grad(z.sum(), mu)
    assert gradient.isfinite().all()
    assert not q.from_normal(torch.tensor([1e-3], dtype=dtype)).isnan().any()


def test_samples_follow_their_mixture() -> None:
    # u = F(x) of a correct sampler is uniform: chi-square with 20 cells; one seed in 10^6 fails by chance.
    n = 20_000
    for seed in range(3):
        q = Mixture(*(t.expand(n, 4) for t in mixtures(1, seed=seed)))
        x = q.sample(torch.Generator().manual_seed(seed))
        u = q.log_tail_and_slope(x, 1.0)[0].exp()
        observed = torch.histc(u, 20, 0, 1)
        statistic = ((observed - n / 20) ** 2 / (n / 20)).sum()
        assert torch.special.gammaincc(torch.tensor(19 / 2).double(), statistic / 2) > 1e-6


# The density.


@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_log_prob_and_steps_are_the_papers_loops(dim: int) -> None:
    rnade, x = wild(dim, seed=dim, scale=0.7), draw(dim, seed=dim)
    terms = papers_loops(rnade, x.tolist())
    assert rnade.log_prob(x).item() == pytest.approx(sum(terms), rel=1e-11)
    steps = rnade.steps(x)
    assert [step.position for step in steps] == list(range(dim))
    assert [step.index for step in steps] == rnade.ordering.tolist()
    assert [step.value.item() for step in steps] == x[rnade.ordering].tolist()
    assert [step.log_prob.item() for step in steps] == pytest.approx(terms, rel=1e-10)
    running = list(itertools.accumulate(terms))
    assert [step.running_log_prob.item() for step in steps] == pytest.approx(running, rel=1e-10)
    conditionals = rnade.conditionals(x)
    for step in steps:
        torch.testing.assert_close(step.conditional.alpha.sum(-1), torch.ones((), dtype=torch.float64), **EXACT)
        for of_step, of_all in zip(step.conditional, conditionals, strict=True):
            torch.testing.assert_close(of_step, of_all[step.index], **EXACT)


@pytest.mark.parametrize("blocks", [1, 2, 7], ids=lambda blocks: f"parts of {blocks}")
def test_values_and_gradients_do_not_depend_on_the_number_of_parts(
    blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordering = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    rnade = RNADE(70, 5, 2, ordering).double()  # 4 blocks of 16, and 6 steps
    x = torch.randn(3, 70, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    monkeypatch.setattr(nade, "LARGEST", blocks * nade.BLOCK * 3 * 5)
    together = rnade.log_prob(x)
    one_by_one = rnade.steps(x)[-1].running_log_prob
    torch.testing.assert_close(together, one_by_one)
    parameters = list(rnade.parameters())
    for ours, plain in zip(
        torch.autograd.grad(together.sum(), parameters), torch.autograd.grad(one_by_one.sum(), parameters), strict=True
    ):
        torch.testing.assert_close(ours, plain)


def test_each_conditional_integrates_to_one() -> None:
    rnade, x = wild(6, seed=2, scale=0.5), draw(6)
    conditionals = rnade.conditionals(x)
    for index in range(6):
        q = Mixture(*(parameter[index].detach() for parameter in conditionals))
        low, high = (q.mu - 12 * q.sigma).min(), (q.mu + 12 * q.sigma).max()
        # The trapezoid rule on a Gaussian is exact up to rounding if the step is below about sigma / 2.
        points = int((high - low) / q.sigma.min() * 4) + 1
        assert points < 2_000_000
        grid = torch.linspace(float(low), float(high), points, dtype=torch.float64)
        assert torch.trapezoid(q.log_density(grid).exp(), grid).item() == pytest.approx(1, abs=1e-9)


def test_a_density_in_two_dimensions_integrates_to_one() -> None:
    rnade = wild(2, seed=4, scale=0.3)
    line = torch.linspace(-15, 15, 301, dtype=torch.float64)  # steps of less than the smallest sigma
    with torch.no_grad():
        density = rnade.log_prob(torch.cartesian_prod(line, line)).exp().view(301, 301)
    assert torch.trapezoid(torch.trapezoid(density, line), line).item() == pytest.approx(1, abs=1e-6)


def test_samples_become_standard_normal_and_independent_under_the_map() -> None:
    # Chi-square tests of each z_d in 20 cells of equal probability, and of the signs of all z together; about one seed
    # in 10^5 fails by chance.
    n, dim = 20_000, 3
    rnade = wild(dim, seed=1, scale=0.5)
    x = rnade.sample((n,), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        z = rnade.as_flow()(x)
    cells = [torch.histc(torch.special.ndtr(z[:, d]), 20, 0, 1) for d in range(dim)]
    cells.append(torch.bincount(((z > 0).long() * torch.tensor([1, 2, 4])).sum(-1), minlength=8).double())
    for observed in cells:
        expected = n / len(observed)
        statistic = ((observed - expected) ** 2 / expected).sum()
        half = torch.tensor((len(observed) - 1) / 2, dtype=torch.float64)
        assert torch.special.gammaincc(half, statistic / 2) > 1e-6


def test_sample_steps_record_the_drawing_of_a_sample() -> None:
    rnade = wild(5)
    steps = rnade.sample_steps((4,), generator=torch.Generator().manual_seed(5))
    x = torch.stack([step.value for step in steps], -1)[:, rnade.ordering.argsort()]
    assert x.equal(rnade.sample((4,), generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close(steps[-1].running_log_prob, rnade.log_prob(x).detach(), **EXACT)
    assert rnade.sample_steps()[0].a.shape == (rnade.hidden,)
    assert not x.requires_grad


# The triangular map.


@given(dim=st.integers(1, 9), seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=20, deadline=None)
def test_log_det_is_that_of_the_autograd_jacobian_and_the_inverse_inverts(dim: int, seed: int, scale: float) -> None:
    rnade = wild(dim, seed=seed, scale=scale)
    flow, x = rnade.as_flow(), rnade.sample((4,), generator=torch.Generator().manual_seed(seed))
    z, ladj = flow.call_and_ladj(x)
    torch.testing.assert_close(ladj, torch.linalg.slogdet(jacobians(flow, x)).logabsdet, **SOLVED)
    back, inverse_ladj = flow.inverse_and_ladj(z)
    size = 1 + x.abs().amax(-1, keepdim=True)
    torch.testing.assert_close(back / size, x / size, rtol=0, atol=1e-7)
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(flow(back), z, rtol=1e-6, atol=1e-6)


def test_the_jacobian_is_triangular_in_the_ordering_with_q_over_phi_on_its_diagonal() -> None:
    rnade = wild(6, seed=3, ordering=[3, 0, 5, 1, 4, 2])
    flow, x = rnade.as_flow(), draw(5, 6)
    J, terms = jacobians(flow, x), flow.terms(x)
    ordered = J[:, rnade.ordering][:, :, rnade.ordering]
    assert not ordered.triu(1).any()  # exact zeros
    assert ordered.tril(-1).any()
    assert J.triu(1).any()  # not triangular in the order of the data
    diagonal = J.diagonal(dim1=-2, dim2=-1)
    assert (diagonal > 0).all()
    torch.testing.assert_close(terms["diagonal of J"], diagonal, **SOLVED)
    torch.testing.assert_close(terms["log|det J|"], diagonal.log().sum(-1), **SOLVED)
    torch.testing.assert_close(terms["log q(x_d | x_<d)"].sum(-1), rnade.log_prob(x), **EXACT)
    torch.testing.assert_close(terms["log phi(z_d)"], log_normal(flow(x)), **EXACT)
    torch.testing.assert_close(terms["u = F(x_d | x_<d)"], torch.special.ndtr(flow(x)), **EXACT)


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_the_density_is_the_bases_plus_the_maps_log_det(dim: int) -> None:
    rnade = wild(dim, seed=dim)
    flow, x = rnade.as_flow(), 3 * draw(20, dim)
    z, ladj = flow.call_and_ladj(x)
    torch.testing.assert_close(rnade.log_prob(x), standard_normal(dim).log_prob(z).sum(-1) + ladj, **SOLVED)
    q = FlowDistribution(standard_normal(dim), flow.inv)
    torch.testing.assert_close(q.log_prob(x), rnade.log_prob(x), **SOLVED)
    sample = q.rsample((6,))
    assert sample.shape == (6, dim)
    assert sample.requires_grad
    torch.testing.assert_close(q.log_prob(sample), rnade.log_prob(sample), rtol=1e-6, atol=1e-6)


def test_one_gaussian_for_each_conditional_is_an_affine_autoregressive_map() -> None:
    rnade = wild(4, components=1)
    x, conditionals = draw(3, 4), rnade.conditionals(draw(3, 4))
    expected = (x - conditionals.mu[..., 0]) / conditionals.sigma[..., 0]
    torch.testing.assert_close(rnade.as_flow()(x), expected, **EXACT)


@pytest.mark.parametrize("direction", ["x -> z", "z -> x"])
def test_gradients_of_both_directions_are_those_of_finite_differences(direction: str) -> None:
    rnade = wild(3, hidden=3, components=2, scale=0.5)
    flow = rnade.as_flow()
    names, parameters = zip(*flow.named_parameters(), strict=True)

    def run(point: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        return torch.func.functional_call(flow, dict(zip(names, values, strict=True)), (point,))

    flow.forward = flow.call_and_ladj if direction == "x -> z" else flow.inverse_and_ladj
    inputs = (draw(3), *(parameter.detach() for parameter in parameters))
    # Fast mode compares the Jacobian in random directions instead of entry by entry.
    inputs = tuple(tensor.clone().requires_grad_() for tensor in inputs)
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_a_model_and_its_map_share_their_parameters() -> None:
    rnade = RNADE(3, 4, 2)
    flow = rnade.as_flow()
    assert isinstance(flow, TriangularMap)
    assert {id(p) for p in flow.parameters()} == {id(p) for p in rnade.parameters()}
    flow(torch.ones(3)).sum().backward()
    assert rnade.W.grad is not None


@given(
    dim=st.integers(1, 9),
    batch=st.sampled_from([(), (0,), (1,), (5,), (2, 3)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=25, deadline=None)
def test_any_batch_shape_and_either_precision(dim: int, batch: tuple[int, ...], dtype: torch.dtype) -> None:
    rnade = wild(dim, scale=0.3)
    x = draw(*batch, dim)
    exact, exact_z = rnade.log_prob(x).detach(), rnade.as_flow()(x).detach()
    rnade, x = rnade.to(dtype), x.to(dtype)
    log_prob = rnade.log_prob(x)
    assert log_prob.dtype == dtype
    torch.testing.assert_close(log_prob.double(), exact, rtol=1e-4, atol=1e-4)
    assert rnade.steps(x)[-1].running_log_prob.shape == batch
    flow = rnade.as_flow()
    z, ladj = flow.call_and_ladj(x)
    assert z.dtype == ladj.dtype == dtype
    torch.testing.assert_close(z.double(), exact_z, rtol=1e-4, atol=1e-4)
    back, inverse_ladj = flow.inverse_and_ladj(z)
    torch.testing.assert_close(back, x, rtol=1e-3, atol=1e-3)
    assert ladj.shape == inverse_ladj.shape == batch
    sample = rnade.sample(batch)
    assert sample.shape == x.shape
    assert sample.dtype == dtype
    if x.numel():
        alone = flow(x.reshape(-1, dim)[-1])
        torch.testing.assert_close(alone, z.reshape(-1, dim)[-1], rtol=1e-4, atol=1e-4)


def test_hundreds_of_dimensions() -> None:
    rnade = wild(300, hidden=10, scale=0.1)
    x = rnade.sample((2,), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rnade.steps(x)[-1].running_log_prob, rnade.log_prob(x), **SOLVED)
    with torch.no_grad():
        flow = rnade.as_flow()
        z, ladj = flow.call_and_ladj(x)
        back, inverse_ladj = flow.inverse_and_ladj(z)
    torch.testing.assert_close(back, x, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=1e-7, atol=1e-7)


def test_functorch_transforms_run_without_a_fallback() -> None:
    flow, x = wild(3, scale=0.5).as_flow(), draw(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J = torch.func.vmap(torch.func.jacrev(flow))(x)
    torch.testing.assert_close(J, jacobians(flow, x), **SOLVED)


def test_copies_pickles_and_state_dicts_are_the_same_model() -> None:
    rnade, x = wild(5), draw(4, 5)
    loaded = RNADE(5, rnade.hidden, rnade.components).double()
    loaded.load_state_dict(rnade.state_dict())
    for other in (copy.deepcopy(rnade), pickle.loads(pickle.dumps(rnade)), loaded):
        assert other.log_prob(x).equal(rnade.log_prob(x))
        assert other.as_flow()(x).equal(rnade.as_flow()(x))
    flow = pickle.loads(pickle.dumps(copy.deepcopy(rnade.as_flow())))
    assert flow(x).equal(rnade.as_flow()(x))


def test_an_untrained_model_is_near_the_density_of_standardised_data() -> None:
    for dim, hidden in ((2, 50), (13, 50), (100, 20)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            rnade = RNADE(dim, hidden)
        x = draw(200, dim, dtype=torch.float32)
        entropy = dim * 0.5 * math.log(2 * math.pi * math.e)
        assert -rnade.log_prob(x).mean().item() == pytest.approx(entropy, rel=0.15)


def test_maximum_likelihood_in_float32_handles_a_bent_density_and_repeated_values() -> None:
    # x_2 given x_1 is a Gaussian around a parabola. x_3 takes three values only, on which the likelihood of a mixture
    # without a lower bound of sigma is unbounded.
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, generator=generator)
    second = first**2 - 1 + 0.2 * torch.randn(300, generator=generator)
    third = torch.randint(3, (300,), generator=generator) - 1.0
    x = torch.stack([first, second, third], -1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rnade = RNADE(3, 20, 5)
    optimiser = torch.optim.Adam(rnade.parameters(), lr=0.03)
    for _ in range(200):
        optimiser.zero_grad()
        loss = -rnade.log_prob(x).mean()
        loss.backward()
        assert loss.isfinite()
        assert all(parameter.grad.isfinite().all() for parameter in rnade.parameters())
        optimiser.step()
    q = rnade.conditionals(x).log_density(x).mean(0)
    true_entropies = [0.5 * math.log(2 * math.pi * math.e * variance) for variance in (1.0, 0.2**2)]
    assert q[0].item() > -true_entropies[0] - 0.1
    assert q[1].item() > -true_entropies[1] - 0.3  # a full-covariance Gaussian reaches about -1.7, this is 0.2
    assert q[2].item() > 0  # far narrower than the spread of the data
    assert rnade.conditionals(x).sigma.min() >= rnade.min_sigma


@pytest.mark.parametrize(
    ("given_x", "words"),
    [
        (torch.zeros(4), "x must have the shape"),
        (torch.zeros(3, dtype=torch.int64), "x must be real floating point"),
        (torch.zeros(3, dtype=torch.float64), "x is torch.float64"),
        ([0.0, 0.0, 0.0], "x must be a tensor"),
    ],
)
def test_invalid_input_is_rejected(given_x: object, words: str) -> None:
    rnade = RNADE(3, 2)
    flow = rnade.as_flow()
    for method in (rnade.log_prob, rnade.steps, rnade.conditionals, flow.call_and_ladj, flow.inverse_and_ladj):
        with pytest.raises(ValueError, match=words):
            method(given_x)


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(ValueError, match="dim must be"):
        RNADE(0, 2)
    with pytest.raises(ValueError, match="hidden must be"):
        RNADE(2, 0)
    with pytest.raises(ValueError, match="components must be"):
        RNADE(2, 2, 0)
    with pytest.raises(ValueError, match="ordering must"):
        RNADE(2, 2, ordering=[1, 1])
    with pytest.raises(ValueError, match="min_sigma must be"):
        RNADE(2, 2, min_sigma=-1.0)
