"""The training replay's curve, presets and size; its numbers and pictures are checked by the registry."""

import pytest
import torch

from nfteach.flows import FlowDistribution, Planar, Stack
from nfteach.training.history import copy_state, trainable
from nfteach.widgets import TrainingReplay
from tests.explorers.entry import drawn
from tests.explorers.replays import put_back, small
from tests.explorers.trained import DATA, MODELS, normal, of, own_history


def test_the_mass_in_view_is_the_integral():
    replay = small("realnvp", extent=(-6, 6, -6, 6), resolution=200)
    for step in replay.steps:
        replay.set(step=step)
        assert replay.readout["mass in view"] == pytest.approx(1, abs=0.01)
    half = small("realnvp", extent=(-60, 0, -60, 60), resolution=400)
    half.set(step=0)
    with torch.no_grad():
        left = (put_back(*of("realnvp"), 0).sample((20_000,))[:, 0] < 0).double().mean().item()
    assert half.readout["mass in view"] == pytest.approx(left, abs=0.02)  # four standard errors of the count, and cells


def test_samples_are_of_the_model_and_move_with_it():
    replay = small("realnvp", samples=4000)
    for look in replay.looks[::2]:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(99)
            expected = put_back(*of("realnvp"), look.step).sample((4000,)).double()
        assert torch.allclose(look.samples.mean(0), expected.mean(0), atol=0.12)
        assert torch.allclose(look.samples.std(0), expected.std(0), atol=0.12)


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name):
    model, _ = of(name)
    module = trainable(model)
    module.train()
    before, random = copy_state(module), torch.random.get_rng_state()
    modes = [part.training for part in module.modules()]
    gradients = [parameter.requires_grad for parameter in module.parameters()]
    replay = small(name)
    replay.set(step=0, scale="log")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes
    assert [parameter.requires_grad for parameter in module.parameters()] == gradients
    assert torch.random.get_rng_state().equal(random)


def test_a_training_that_goes_on_does_not_change_the_replay():
    model = FlowDistribution(normal(), Stack(Planar(2), Planar(2)))
    history = own_history(model.flow, [copy_state(model.flow)] * 2)
    replay = TrainingReplay(model, history, DATA, resolution=20)
    before = replay.readout
    with torch.no_grad():
        model.flow[0].w.add_(3.0)
    replay.set(scale="log")
    assert replay.readout == before


def test_the_mean_of_losses_is_that_of_the_curve():
    model = FlowDistribution(normal(), Stack(Planar(2)))
    history = own_history(model.flow, [])
    history.losses = torch.rand(500, generator=torch.Generator().manual_seed(0)).tolist()
    history.snapshots = [(step, copy_state(model.flow)) for step in (0, 5, 10, 200, 500)]
    replay = TrainingReplay(model, history, resolution=16)
    for step in (10, 200, 500):
        replay.set(step=step)
        height = dict(map(tuple, drawn(replay, "losses").tolist()))[step]
        assert replay.readout["mean of last 10 losses"] == pytest.approx(height)
    replay.set(step=5)
    assert replay.readout["mean of last 10 losses"] == pytest.approx(sum(history.losses[:5]) / 5)


def test_the_tint_of_log_densities_is_strong_where_q_is_high_at_the_end():
    replay = small("realnvp", scale="log")
    density, log_q = replay.live.mark("density"), replay.looks[-1].log_q
    assert density.values.max() > 2 * density.scale * 0.98  # 86 % of the tint's strength
    assert density.values.flatten()[log_q < log_q.max() - 14].max() == 0
    assert density.values.flatten()[log_q > log_q.max() - 8].min() > 0


def test_presets_go_to_their_steps():
    replay, (_, history) = small("realnvp"), of("realnvp")
    assert list(replay.presets) == [
        "before training", "half of the fall", "lowest validation loss", "faint parts, at the end"
    ]  # fmt: skip
    replay.preset("before training")
    assert replay.readout["training step"] == "0 of 60"
    replay.preset("lowest validation loss")
    best = min(history.validation, key=lambda seen: seen[1])[0]
    shown = int(replay.readout["training step"].split()[0])
    assert abs(shown - best) == min(abs(step - best) for step in replay.steps)
    replay.preset("faint parts, at the end")
    assert replay.state == {"scale": "log", "step": 60}
    replay.reset()
    assert replay.state == {"scale": "density", "step": 60}
    assert replay.readout["training step"] == "60 of 60"


def test_at_most_so_many_frames_are_shown_and_they_are_small():
    model = FlowDistribution(normal(), Stack(Planar(2)))
    history = own_history(model.flow, [copy_state(model.flow)] * 101)
    replay = TrainingReplay(model, history, frames=5, resolution=16)
    assert replay.steps == [0, 25, 50, 75, 100]
    full = TrainingReplay(model, history, DATA)
    assert len(full.steps) == 41
    assert sum(map(len, full.live.get_state("_frames")["_frames"]["buffers"])) < 1_200_000
