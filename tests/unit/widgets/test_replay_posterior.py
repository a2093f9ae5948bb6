"""The posterior replay of Gaussians, other targets and annealing; its numbers are checked by the registry."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from nfteach.flows import Flow, FlowDistribution
from nfteach.targets import Checkerboard, two_moons, u2
from nfteach.training.history import copy_state
from nfteach.widgets import PosteriorReplay
from tests.explorers.entry import drawn
from tests.explorers.trained import TARGET, energy_fit, normal, own_history


def small(**options):
    flow, history = energy_fit()
    return PosteriorReplay(flow, history, TARGET, **({"resolution": 64} | options))


class Scaled(Flow):
    """A diagonal Gaussian as a flow."""

    def __init__(self, mean, scale):
        super().__init__(2)
        self.mean, self.log_scale = nn.Parameter(torch.tensor(mean)), nn.Parameter(torch.tensor(scale).log())

    def call_and_ladj(self, x):
        return self.mean + self.log_scale.exp() * x, self.log_scale.sum().expand(x.shape[:-1])

    def inverse_and_ladj(self, y):
        return (y - self.mean) * (-self.log_scale).exp(), -self.log_scale.sum().expand(y.shape[:-1])


def test_both_divergences_are_those_of_gaussians():
    flow = Scaled([0.3, -0.2], [0.6, 0.9])
    p = MultivariateNormal(torch.zeros(2), torch.tensor([[0.7, 0.2], [0.2, 0.5]]))
    replay = PosteriorReplay(
        flow, own_history(flow, [copy_state(flow)] * 2), p, extent=(-6, 6, -6, 6), samples=50_000, resolution=100
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


def test_the_outlines_of_the_target_and_samples_of_q_are_drawn():
    replay = small(extent=(-4.0, 4.0, -4.0, 4.0), resolution=80)
    outlines = torch.from_numpy(drawn(replay, "target"))
    _, log_p = TARGET.grid(400)
    heights = (-TARGET.energy(outlines) - TARGET.log_normaliser - log_p.max()).exp()
    # Each line is closed and at one height, a tenth or half of the highest; the crescents have two of each.
    assert torch.equal(outlines[:, 0], outlines[:, -1])
    assert sorted(round(one, 1) for one in heights.mean(1).tolist()) == [0.1, 0.1, 0.5, 0.5]
    assert (heights - heights.mean(1, keepdim=True)).abs().max() < 0.03
    assert [frame["plane"].marks["samples"].points.shape for frame in replay.live.frames] == [(500, 2)] * 9


def test_the_annealed_free_energy_is_between_entropy_and_free_energy():
    replay = small(resolution=16, beta=lambda step: min(1.0, 0.1 + step / 100))
    for look in replay.looks:
        replay.set(step=look.step)
        numbers, beta = replay.readout, min(1.0, 0.1 + look.step / 100)
        assert numbers["beta"] == beta
        expected = (look.log_q_of_samples + beta * TARGET.energy(look.samples)).mean().item()
        assert numbers["annealed F"] == pytest.approx(expected)
    assert numbers["annealed F"] == pytest.approx(numbers["free energy F"])


def test_a_density_out_of_view_is_reported_instead_of_a_wrong_number():
    replay = small(extent=(-1.0, 1.0, -1.0, 1.0))
    assert replay.readout["KL(q‖p) on grid"].startswith("grid has 0.")
    assert replay.readout["KL(q‖p) on grid"].endswith(" of q")
    assert replay.readout["KL(p‖q) on grid"].endswith(" of p")


def test_other_targets_are_accepted():
    flow, history = energy_fit()
    moons = PosteriorReplay(flow, history, two_moons(), resolution=64)
    assert moons.readout["−log Z"] == 0
    walled = u2().walled()
    assert PosteriorReplay(flow, history, walled, resolution=32).extent == walled.extent
    holes = PosteriorReplay(flow, history, Checkerboard(), resolution=32)  # zero in places where q is not
    assert holes.readout["gap F + log Z"] == math.inf
    assert holes.error == ""


def test_the_flow_is_left_as_it_was_and_a_distribution_is_accepted():
    flow, history = energy_fit()
    before = copy_state(flow)
    one = small()
    other = PosteriorReplay(FlowDistribution(normal(), flow), history, TARGET, resolution=64)
    assert all(torch.equal(value, before[key]) for key, value in flow.state_dict().items())
    assert flow.training
    assert one.readout == other.readout


def test_presets_go_to_their_steps():
    replay = small()
    gaps = []
    for step in replay.steps:
        replay.set(step=step)
        gaps.append(replay.readout["gap F + log Z"])
    replay.preset("half the gap closed")
    assert replay.readout["gap F + log Z"] <= (gaps[0] + min(gaps)) / 2
    replay.preset("the end, with its tails")
    assert replay.state == {"scale": "log", "step": 200}
    replay.preset("before training")
    assert replay.readout["training step"] == "0 of 200"
    assert replay.readout["gap F + log Z"] == gaps[0]
