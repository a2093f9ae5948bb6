"""The training replay's numbers and pictures against the model put back by hand; the model is left alone."""

import copy

import numpy as np
import pytest
import torch

from nfteach.flows import FlowDistribution, Planar, Stack
from nfteach.training.history import copy_state, trainable
from nfteach.widgets import TrainingReplay
from tests.unit.widgets.sending import traits
from tests.unit.widgets.trained import DATA, normal, of, own_history

MODELS = ["realnvp", "batch norm", "planar, by its inverse", "double", "rnade"]
FLOAT32 = 2e-5  # the model's own precision: a mean of log-densities of order 1


def small(name, data=DATA, **options):
    model, history = of(name)
    return TrainingReplay(model, history, data, **({"resolution": 40, "samples": 60} | options))


def at(name, step):
    """The model as it was after ``step`` steps, put together anew."""
    model, history = of(name)
    model = copy.deepcopy(model)
    trainable(model).load_state_dict(dict(history.snapshots)[step])
    trainable(model).eval()
    return model


@pytest.mark.parametrize("name", MODELS)
def test_every_number_is_that_of_the_model_at_that_step(name):
    replay, (_, history) = small(name), of(name)
    data = DATA.double() if name == "double" else DATA
    assert replay.steps == [0, 15, 30, 45, 60]
    for step in replay.steps:
        replay.set(step=step)
        numbers, model = replay.readout, at(name, step)
        assert numbers["training step"] == f"{step} of 60"
        with torch.no_grad():
            expected = torch.stack([model.log_prob(row[None])[0] for row in data]).double().mean().item()
        assert numbers["mean log q(data)"] == pytest.approx(expected, abs=FLOAT32)
        assert numbers["loss"] == ("none yet" if step == 0 else history.losses[step - 1])
        if history.validation:
            by_then = [value for k, value in history.validation if k <= step]
            assert numbers["latest validation"] == by_then[-1]
        else:
            assert "latest validation" not in numbers


@pytest.mark.parametrize("name", MODELS)
def test_the_pictures_are_those_of_the_model_at_that_step(name):
    extent = (-5.0, 5.0, -5.0, 5.0)
    replay = small(name, extent=extent, resolution=50)
    for step, value in zip(replay.steps, replay.live._stored.values, strict=True):
        model, parts = at(name, step), value["parts"]
        dtype = torch.float64 if name == "double" else torch.float32
        side = torch.linspace(-4.9, 4.9, 50, dtype=dtype)
        points = torch.cartesian_prod(side, side)  # x_1 slowest, so the picture is its transpose
        with torch.no_grad():
            expected = model.log_prob(points).exp().double().reshape(50, 50).T.sqrt()
        np.testing.assert_allclose(parts["density"]["values"], expected.numpy(), atol=1e-3)
        samples = torch.from_numpy(parts["samples"]["points"]).to(dtype)
        assert samples.shape == (60, 2)
        # Samples lie where the model has density; a grid's corner is where its map takes that corner.
        with torch.no_grad():
            assert model.log_prob(samples).mean() > -6
        corner = torch.tensor([[-3.0, -3.0]], dtype=dtype)
        with torch.no_grad():
            image = (model.flow(corner) if hasattr(model, "flow") else model.as_flow().inv(corner))[0]
        np.testing.assert_allclose(parts["grid"]["segments"][0, 0], image.numpy(), rtol=1e-4, atol=1e-4)


def test_the_mass_in_view_is_the_integral():
    replay = small("realnvp", extent=(-6, 6, -6, 6), resolution=200)
    for step in replay.steps:
        replay.set(step=step)
        assert replay.readout["mass in view"] == pytest.approx(1, abs=0.01)
    half = small("realnvp", extent=(-60, 0, -60, 60), resolution=400)
    half.set(step=0)
    with torch.no_grad():
        left = (at("realnvp", 0).sample((20_000,))[:, 0] < 0).double().mean().item()
    assert half.readout["mass in view"] == pytest.approx(left, abs=0.02)  # four standard errors of the count, and cells


def test_samples_are_of_the_model_and_move_with_it():
    replay = small("realnvp", samples=4000)
    for look in replay.looks[::2]:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(99)
            expected = at("realnvp", look.step).sample((4000,)).double()
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


def test_the_curve_has_a_point_at_each_step():
    replay, (_, history) = small("realnvp"), of("realnvp")
    low, high = replay._picture.chart.get_ylim()
    for step, value in zip(replay.steps, replay.live._stored.values, strict=True):
        x, y = value["parts"]["here"]["points"][0]
        assert x == step
        assert y == pytest.approx(np.clip(history.losses[max(step - 1, 0)], low, high))  # 60 losses: a window of one


def test_the_mean_of_losses_is_the_curve_s():
    model = FlowDistribution(normal(), Stack(Planar(2)))
    history = own_history(model.flow, [])
    history.losses = torch.rand(500, generator=torch.Generator().manual_seed(0)).tolist()
    history.snapshots = [(step, copy_state(model.flow)) for step in (0, 5, 10, 200, 500)]
    replay = TrainingReplay(model, history, resolution=16)
    drawn = replay._picture.chart.lines[1].get_xydata()  # the running mean that matplotlib drew
    for step in (10, 200, 500):
        replay.set(step=step)
        height = dict(map(tuple, drawn))[step]
        assert replay.readout["mean of last 10 losses"] == pytest.approx(height)
    replay.set(step=5)
    assert replay.readout["mean of last 10 losses"] == pytest.approx(sum(history.losses[:5]) / 5)


def test_log_colours_show_twelve_nats():
    replay = small("realnvp", scale="log")
    shown = replay.live._stored.values[-1]["parts"]["density"]
    low, high = shown["limits"]
    assert high - low == pytest.approx(12)
    assert shown["values"].min() >= low
    values, log_q = shown["values"].ravel(), replay.looks[-1].log_q.numpy()
    np.testing.assert_allclose(values[values > low + 1e-9], log_q[values > low + 1e-9], atol=1e-6)


def test_presets_go_where_they_say():
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
    assert replay.state == {"scale": "log"}
    replay.reset()
    assert replay.state == {"scale": "root"}
    assert replay.readout["training step"] == "60 of 60"


def test_at_most_so_many_frames_are_shown_and_they_are_small():
    model = FlowDistribution(normal(), Stack(Planar(2)))
    history = own_history(model.flow, [copy_state(model.flow)] * 101)
    replay = TrainingReplay(model, history, frames=5, resolution=16)
    assert replay.steps == [0, 25, 50, 75, 100]
    full = TrainingReplay(model, history, DATA)
    assert len(full.steps) == 41
    assert sum(map(len, traits(full.live, "_frames")["buffers"])) < 1_200_000
