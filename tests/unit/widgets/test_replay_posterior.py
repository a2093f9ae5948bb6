"""The posterior replay's numbers against the same integrals done another way, and against Gaussians' formulas."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from nfteach.flows import Flow, FlowDistribution
from nfteach.targets import Checkerboard, two_moons, u2
from nfteach.training.history import copy_state
from nfteach.widgets import PosteriorReplay
from tests.unit.widgets.trained import TARGET, energy_fit, normal, own_history


def small(**options):
    flow, history = energy_fit()
    return PosteriorReplay(flow, history, TARGET, **({"resolution": 64} | options))


def at(step):
    """The flow as it was after ``step`` steps, in float64."""
    flow, history = energy_fit()
    flow = copy.deepcopy(flow)
    flow.load_state_dict(dict(history.snapshots)[step])
    return flow.double()


class Scaled(Flow):
    """A diagonal Gaussian as a flow."""

    def __init__(self, mean, scale):
        super().__init__(2)
        self.mean, self.log_scale = nn.Parameter(torch.tensor(mean)), nn.Parameter(torch.tensor(scale).log())

    def call_and_ladj(self, x):
        return self.mean + self.log_scale.exp() * x, self.log_scale.sum().expand(x.shape[:-1])

    def inverse_and_ladj(self, y):
        return (y - self.mean) * (-self.log_scale).exp(), -self.log_scale.sum().expand(y.shape[:-1])


def test_the_gap_agrees_with_an_integral_over_the_base():
    # E_q is an integral over z, here by a fine sum: no samples, no inverse, another route than both in the widget.
    side = torch.arange(-5.5, 5.5, 0.02, dtype=torch.float64) + 0.01
    z = torch.cartesian_prod(side, side)
    log_base = normal(torch.float64).log_prob(z)
    replay = small(samples=20_000)
    for step in replay.steps:
        with torch.no_grad():
            x, ladj = at(step).call_and_ladj(z)
        F = (log_base.exp() * (log_base - ladj + TARGET.energy(x))).sum().item() * 0.02**2
        replay.set(step=step)
        numbers = replay.readout
        assert numbers["free energy F"] == pytest.approx(F, abs=5 * numbers["its standard error"])
        assert numbers["gap F + log Z"] == pytest.approx(numbers["free energy F"] + TARGET.log_normaliser)
        assert numbers["−log Z"] == -TARGET.log_normaliser
        if isinstance(numbers["KL(q‖p) on grid"], float):
            assert numbers["KL(q‖p) on grid"] == pytest.approx(F + TARGET.log_normaliser, abs=0.05)
    assert isinstance(numbers["KL(q‖p) on grid"], float)  # at the end, q is in view


def test_both_divergences_are_those_of_gaussians():
    flow = Scaled([0.3, -0.2], [0.6, 0.9])
    p = MultivariateNormal(torch.zeros(2), torch.tensor([[0.7, 0.2], [0.2, 0.5]]))
    replay = PosteriorReplay(
        flow, own_history(flow, [copy_state(flow)] * 2), p, extent=(-6, 6, -6, 6), samples=50_000, resolution=150
    )
    q = Independent(Normal(torch.tensor([0.3, -0.2]), torch.tensor([0.6, 0.9])), 1)
    q = MultivariateNormal(q.mean, torch.diag(q.variance))
    numbers = replay.readout
    assert numbers["KL(q‖p) on grid"] == pytest.approx(kl_divergence(q, p).item(), abs=1e-4)
    assert numbers["KL(p‖q) on grid"] == pytest.approx(kl_divergence(p, q).item(), abs=1e-4)
    assert numbers["gap F + log Z"] == pytest.approx(kl_divergence(q, p).item(), abs=5 * numbers["its standard error"])
    assert numbers["q's mass in view"] == pytest.approx(1, abs=1e-6)
    assert numbers["−log Z"] == 0


def test_a_perfect_fit_has_no_gap():
    flow = Scaled([0.0, 0.0], [1.0, 1.0])
    history = own_history(flow, [copy_state(flow)] * 2)
    # Known only up to a factor: log Z is found by quadrature.
    replay = PosteriorReplay(flow, history, lambda x: 3 - x.square().sum(-1) / 2, extent=(-7, 7, -7, 7))
    assert replay.readout["gap F + log Z"] == pytest.approx(0, abs=1e-5)
    assert replay.readout["−log Z"] == pytest.approx(-3 - math.log(2 * math.pi), abs=1e-6)
    assert replay.readout["KL(q‖p) on grid"] == pytest.approx(0, abs=1e-5)


def test_the_pictures_are_of_q_and_p():
    replay = small(extent=(-4.0, 4.0, -4.0, 4.0), resolution=40)
    points, log_p = TARGET.grid(40)
    shown = replay.live._moving["target"].artist.get_array()
    np.testing.assert_allclose(np.asarray(shown), log_p.exp().sqrt().numpy(), atol=1e-5)
    for step, value in zip(replay.steps, replay.live._stored.values, strict=True):
        with torch.no_grad():
            q = FlowDistribution(normal(torch.float64), at(step)).log_prob(points).exp()
        np.testing.assert_allclose(value["parts"]["density"]["values"], q.sqrt().numpy(), atol=2e-3)
        assert value["parts"]["samples"]["points"].shape == (800, 2)


def test_the_curve_stands_on_minus_log_z():
    replay = small()
    low, high = replay._picture.chart.get_ylim()
    for value in replay.live._stored.values:
        parts, numbers = value["parts"], value["readout"]
        foot, head = parts["now"]["points"]
        assert foot[1] == pytest.approx(-TARGET.log_normaliser)
        assert head[1] == pytest.approx(np.clip(numbers["free energy F"][0], low, high))
        assert f"{numbers['gap F + log Z'][0]:.3f} nats" in parts["gap"]["text"]


def test_the_annealed_free_energy_is_between_entropy_and_free_energy():
    replay = small(beta=lambda step: min(1.0, 0.1 + step / 100))
    for look in replay.looks:
        replay.set(step=look.step)
        numbers, beta = replay.readout, min(1.0, 0.1 + look.step / 100)
        assert numbers["beta"] == beta
        expected = (look.log_q_of_samples + beta * TARGET.energy(look.samples)).mean().item()
        assert numbers["annealed F"] == pytest.approx(expected)
    assert numbers["annealed F"] == pytest.approx(numbers["free energy F"])


def test_q_out_of_view_is_said_instead_of_a_wrong_number():
    replay = small(extent=(-1.0, 1.0, -1.0, 1.0))
    assert replay.readout["KL(q‖p) on grid"].startswith("grid has 0.")
    assert replay.readout["KL(q‖p) on grid"].endswith(" of q")
    assert replay.readout["KL(p‖q) on grid"].endswith(" of p")


def test_other_targets_will_do():
    flow, history = energy_fit()
    moons = PosteriorReplay(flow, history, two_moons(), resolution=64)
    assert moons.readout["−log Z"] == 0
    walled = u2().walled()
    assert PosteriorReplay(flow, history, walled, resolution=32).extent == walled.extent
    holes = PosteriorReplay(flow, history, Checkerboard(), resolution=32)  # zero in places where q is not
    assert holes.readout["gap F + log Z"] == math.inf
    assert holes.error == ""
    assert holes.live.static_png()


def test_the_flow_is_left_as_it_was_and_a_distribution_will_do():
    flow, history = energy_fit()
    before = copy_state(flow)
    one = small()
    other = PosteriorReplay(FlowDistribution(normal(), flow), history, TARGET, resolution=64)
    assert all(torch.equal(value, before[key]) for key, value in flow.state_dict().items())
    assert flow.training
    assert one.readout == other.readout


def test_presets_go_where_they_say():
    replay = small()
    gaps = []
    for step in replay.steps:
        replay.set(step=step)
        gaps.append(replay.readout["gap F + log Z"])
    replay.preset("half the gap closed")
    assert replay.readout["gap F + log Z"] <= (gaps[0] + min(gaps)) / 2
    replay.preset("the end, with its tails")
    assert replay.state == {"scale": "log"}
    limits = [value["parts"]["density"]["limits"] for value in replay.live._stored.values]
    assert np.ptp(limits[0]) == pytest.approx(12)
    replay.preset("before training")
    assert replay.readout["training step"] == "0 of 200"
    assert replay.readout["gap F + log Z"] == gaps[0]
