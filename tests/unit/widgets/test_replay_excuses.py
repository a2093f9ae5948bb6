"""Replays of models that can't do everything: the views that they can fill, and words in the others."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from nfteach.flows import Flow, FlowDistribution, Planar, Stack
from nfteach.training.history import copy_state
from nfteach.widgets import PosteriorReplay, TrainingReplay
from tests.explorers.trained import DATA, TARGET, normal, of, own_history


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([1.0, -1.0]))


class OnlySamples(Centred):
    def sample(self, shape):
        return self.mean + torch.randn(*shape, 2)


class OnlyDensity(Centred):
    def log_prob(self, x):
        return Normal(self.mean, 1.0, validate_args=False).log_prob(x).sum(-1)


class PerDimension(Centred):
    def log_prob(self, x):
        return Normal(self.mean, 1.0).log_prob(x)


class Moody(OnlyDensity):
    """Fails in one of its snapshots only."""

    def log_prob(self, x):
        if self.mean[0] > 5:
            raise RuntimeError("too far out")
        return super().log_prob(x)


class OneWay(Flow):
    """Twice as far from the mean; without an inverse."""

    def __init__(self):
        super().__init__(2)
        self.mean = nn.Parameter(torch.zeros(2))

    def call_and_ladj(self, x):
        return 2 * x + self.mean, torch.full(x.shape[:-1], 2 * math.log(2.0), dtype=x.dtype)


def replay_of(model, **options):
    history = own_history(model, [copy_state(model)] * 3)
    return TrainingReplay(model, history, DATA, **({"resolution": 20, "samples": 50} | options))


def marks_of(replay, frame=-1):
    return replay.live.frames[frame]["plane"].marks


def words_in(replay, frame=-1):
    """Return the sentences below the picture."""
    note = replay.live.frames[frame]["plane"].note
    return note.split("; ") if note else []


def test_a_model_that_only_draws_shows_its_samples():
    replay = replay_of(OnlySamples())
    assert marks_of(replay)["samples"].points.shape == (50, 2)
    assert marks_of(replay).keys().isdisjoint({"density", "grid"})
    density, grid = words_in(replay)
    assert density == "no density: OnlySamples has no log_prob"
    assert grid.startswith("no grid: OnlySamples must have a map from z to x")
    assert replay.readout["mean log q(data)"] == "not available"
    assert replay.error == ""


def test_a_model_that_only_has_a_density_shows_it():
    replay = replay_of(OnlyDensity())
    assert "density" in marks_of(replay)
    assert "no samples: OnlyDensity has no sample" in words_in(replay)
    expected = Normal(torch.tensor([1.0, -1.0]), 1.0).log_prob(DATA).sum(-1).mean().item()
    assert replay.readout["mean log q(data)"] == pytest.approx(expected, abs=1e-5)


def test_a_flow_without_inverse_shows_samples_and_grid():
    replay = replay_of(OneWay())
    assert "samples" in marks_of(replay)
    assert marks_of(replay)["grid"].points.abs().max() == pytest.approx(6)
    (words,) = words_in(replay)
    assert words.startswith("no density: ")
    assert "must define inverse_and_ladj(self, y)" in words


def test_a_folded_planar_layer_in_the_data_direction_has_a_density_only():
    layer = Planar(2, constrained=False)
    with torch.no_grad():
        layer.w.copy_(torch.tensor([2.0, 0.0]))
        layer.u.copy_(torch.tensor([-1.0, 0.0]))
    model = FlowDistribution(normal(), layer.inv)
    history = own_history(layer.inv, [copy_state(layer.inv)] * 2)
    replay = TrainingReplay(model, history, DATA, resolution=20)
    assert "density" in marks_of(replay)
    assert marks_of(replay).keys().isdisjoint({"samples", "grid"})
    for name, words in zip(("samples", "grid"), words_in(replay), strict=True):
        assert words.startswith(f"no {name}: ")
        assert "folds and has no inverse" in words


def test_one_bad_snapshot_does_not_spoil_the_others():
    model = Moody()
    far = {"mean": torch.tensor([9.0, 0.0])}
    history = own_history(model, [copy_state(model), far, copy_state(model)])
    replay = TrainingReplay(model, history, resolution=20)
    assert ["density" in marks_of(replay, k) for k in range(3)] == [True, False, True]
    spoilt = {"no density: RuntimeError: too far out"}
    assert [spoilt <= set(words_in(replay, k)) for k in range(3)] == [False, True, False]
    replay.set(step=1)
    assert "mass in view" not in replay.readout
    replay.set(step=2)
    assert replay.readout["mass in view"] > 0.9


def test_a_density_that_is_nan_everywhere_is_reported():
    model = OnlyDensity()
    history = own_history(model, [copy_state(model), {"mean": torch.full((2,), math.nan)}])
    replay = TrainingReplay(model, history, DATA, resolution=20)
    assert "no density: log_prob is not a number anywhere" in words_in(replay)
    assert replay.error == ""
    assert math.isnan(replay.readout["mean log q(data)"])


def test_densities_per_dimension_are_reported():
    words = "no density: log_prob must give one number a point, but gave the shape (400, 2)"
    assert words in words_in(replay_of(PerDimension()))


def test_a_posterior_without_inverse_has_its_gap_from_samples():
    flow = OneWay()
    replay = PosteriorReplay(flow, own_history(flow, [copy_state(flow)] * 2), TARGET, resolution=30)
    (words,) = words_in(replay)
    assert words.startswith("no density on the grid (the samples of q are exact all the same): TypeError: OneWay must")
    assert {"free energy F", "gap F + log Z"} < replay.readout.keys()
    assert "KL(q‖p) on grid" not in replay.readout
    # q is a Gaussian of scale 2: the same integral on a grid, by its formula.
    side = torch.linspace(-16, 16, 801, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    log_q = -x.square().sum(-1) / 8 - math.log(8 * math.pi)
    expected = (log_q.exp() * (log_q + TARGET.energy(x))).sum().item() * 0.04**2 + TARGET.log_normaliser
    assert replay.readout["gap F + log Z"] == pytest.approx(expected, abs=4 * replay.readout["its standard error"])


REALNVP = "realnvp"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda q, h: TrainingReplay(q, None), "history must be what fit returned, but is a NoneType without losses"),
        (
            lambda q, h: TrainingReplay(q, own_history(q.flow, [])),
            r"history has no snapshots.*fit\(..., snapshots=21\)",
        ),
        (
            lambda q, h: PosteriorReplay(q, own_history(q.flow, []), TARGET),
            r"history has no snapshots.*fit\(..., snapshots=21\)",
        ),
        (
            lambda q, h: TrainingReplay(q, SimpleNamespace(losses=[], snapshots=[(0, {})], replay=None)),
            "history holds no training step",
        ),
        (lambda q, h: TrainingReplay(torch.nn.Linear(2, 2), h), "model must have log_prob, or sample, or be a Flow"),
        (
            lambda q, h: TrainingReplay(MultivariateNormal(torch.zeros(3), torch.eye(3)), h),
            r"model must be of points of the plane, D = 2, but its events have the shape \(3,\)",
        ),
        (lambda q, h: TrainingReplay(q, h, base=normal()), "base goes with a flow"),
        (lambda q, h: TrainingReplay(q, h, torch.zeros(5, 3)), r"data must be points of the plane.*\(5, 3\)"),
        (lambda q, h: TrainingReplay(q, h, frames=1), "frames must be a whole number from 2 up, but is 1"),
        (lambda q, h: TrainingReplay(q, h, extent=(1, 0, 0, 1)), "extent must be"),
        (lambda q, h: TrainingReplay(q, h, resolution=8, step=7), "step must be one of 0, 15, 30, 45, 60, but is 7"),
        (
            lambda q, h: TrainingReplay(q, h, resolution=8).set(step=1),
            "step must be one of 0, 15, 30, 45, 60, but is 1",
        ),
        (lambda q, h: TrainingReplay(q, h, resolution=8).set(speed=1), "there is no control 'speed'"),
        (lambda q, h: PosteriorReplay(q, h, "u1"), "target must have log_prob.*but is a str"),
        (lambda q, h: PosteriorReplay(q, h, lambda x: x), r"target must give one log-density a point, \(3,\)"),
        (lambda q, h: PosteriorReplay(q, h, TARGET, beta=0.5), "beta must be a function of the steps taken"),
    ],
)
def test_invalid_arguments_are_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make(*of(REALNVP))


def test_a_posterior_that_draws_nothing_is_refused():
    model = OnlyDensity()
    with pytest.raises(ValueError, match="it gives none: OnlyDensity has no sample"):
        PosteriorReplay(model, own_history(model, [copy_state(model)] * 2), TARGET, resolution=8)


def test_one_snapshot_is_enough():
    flow = Stack(Planar(2))
    replay = TrainingReplay(flow, own_history(flow, [copy_state(flow)]), resolution=8)
    assert len(replay.looks) == 1
    assert replay.error == ""
