"""The replays, against the model put back to each snapshot by hand, and integrals done another way."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch

from nfteach.flows import FlowDistribution
from nfteach.training import History
from nfteach.training.history import trainable
from nfteach.widgets import PosteriorReplay, TrainingReplay
from nfteach.widgets.parts import Density
from tests.explorers.entry import Entry, centres, from_cell, given
from tests.explorers.trained import DATA, MODELS, TARGET, energy_fit, normal, of

__all__ = ["ENTRIES", "FLOAT32", "posterior_at", "put_back", "small"]

FLOAT32 = 2e-5  # the model's own precision: a mean of log-densities of order 1


def small(name: str, data: torch.Tensor | None = DATA, **options: Any) -> TrainingReplay:
    """Return the replay of a small training, with few samples and cells."""
    model, history = of(name)
    return TrainingReplay(model, history, data, **({"resolution": 40, "samples": 60} | options))


def put_back(model: Any, history: History, step: int) -> Any:
    """Return a copy of the model as it was after ``step`` steps, in evaluation mode."""
    model = copy.deepcopy(model)
    trainable(model).load_state_dict(dict(history.snapshots)[step])
    trainable(model).eval()
    return model


def check_training(replay: TrainingReplay, model: Any, history: History, data: torch.Tensor) -> None:
    """Compare numbers, density, samples and grid of the present snapshot with the model put back by hand."""
    k, numbers = replay.live.frame, replay.readout
    step, shown = history.snapshots[k][0], replay.live.frames[k]["plane"].marks
    model, dtype = put_back(model, history, step), data.dtype
    assert replay.state["step"] == replay.steps[k] == step
    assert numbers["training step"] == f"{step} of {len(history.losses)}"
    with torch.no_grad():
        each = model.log_prob(data).double()
        # A row alone has the density that it has among others.
        assert model.log_prob(data[7:8])[0].item() == pytest.approx(each[7].item(), abs=FLOAT32)
        resolution = len(shown["density"].values)
        log_q = model.log_prob(centres(replay.extent, resolution, dtype).reshape(-1, 2)).double()
        # Samples lie where the model has density; a grid's corner is where its map takes that corner.
        assert model.log_prob(shown["samples"].points.to(dtype)).mean() > -6
        corner = torch.tensor([[-3.0, -3.0]], dtype=dtype)
        image = (model.flow(corner) if hasattr(model, "flow") else model.as_flow().inv(corner))[0]
    assert numbers["mean log q(data)"] == pytest.approx(each.mean().item(), abs=FLOAT32)
    assert numbers["loss"] == ("none yet" if step == 0 else history.losses[step - 1])
    if history.validation:
        assert numbers["latest validation"] == [value for at, value in history.validation if at <= step][-1]
    else:
        assert "latest validation" not in numbers
    check_tint(replay, shown["density"], log_q.reshape(resolution, resolution))
    np.testing.assert_allclose(shown["grid"].points[0, 0], image.numpy(), rtol=1e-4, atol=1e-4)
    # A point at each step, on a curve that is the losses themselves, or the mean of the last few.
    curve = replay.live.frames[k]["curve"]
    window = max(len(history.losses) // 50, 1)
    mean = np.mean(history.losses[max(step - window, 0) : max(step, 1)])
    assert curve.marks["here"].points.tolist() == [[step, pytest.approx(np.clip(mean, *curve.y))]]
    on_curve = np.asarray(curve.marks["losses"].points)
    assert step == 0 or curve.marks["here"].points[0].tolist() in on_curve.tolist()


def check_tint(replay: TrainingReplay | PosteriorReplay, density: Density, log_q: torch.Tensor) -> None:
    """Compare a density's tint with q, or with log q down to twelve nats under a level that all frames share."""
    values = density.values.double()
    assert {frame["plane"].marks["density"].scale for frame in replay.live.frames} == {density.scale}
    if replay.state["scale"] == "density":
        torch.testing.assert_close(values, log_q.exp(), rtol=1e-4, atol=1e-5)
        return
    seen = (values > 0) & (values < values.max())
    faintest = log_q[seen] - 12 * values[seen] / (2 * density.scale)  # twice the scale: 86 % of the tint's strength
    torch.testing.assert_close(faintest, faintest.mean().expand_as(faintest), rtol=0, atol=2e-3)
    assert (log_q[values == 0] <= faintest.mean() + 2e-3).all()


def check_posterior(replay: PosteriorReplay) -> None:
    """Compare the gap with an integral over the base: without samples of q and without its inverse."""
    k, numbers = replay.live.frame, replay.readout
    F, shown = free_energy(replay.steps[k]), replay.live.frames[k]
    assert replay.state["step"] == replay.steps[k]
    assert numbers["free energy F"] == pytest.approx(F, abs=5 * numbers["its standard error"])
    assert numbers["gap F + log Z"] == pytest.approx(numbers["free energy F"] + TARGET.log_normaliser)
    assert numbers["−log Z"] == -TARGET.log_normaliser
    if isinstance(numbers["KL(q‖p) on grid"], float):
        assert numbers["KL(q‖p) on grid"] == pytest.approx(F + TARGET.log_normaliser, abs=0.05)
    # The point on the curve stands on minus log Z.
    curve = shown["curve"]
    foot, head = curve.marks["now"].points
    assert foot[1].item() == pytest.approx(-TARGET.log_normaliser)
    assert head.tolist() == [replay.steps[k], pytest.approx(np.clip(numbers["free energy F"], *curve.y))]
    assert f"{numbers['gap F + log Z']:.3f} nats" in curve.title
    density = shown["plane"].marks["density"]
    check_tint(replay, density, log_density(replay.steps[k], replay.extent, len(density.values)))


def posterior_at(step: int) -> torch.nn.Module:
    """Return the fitted flow as it was after ``step`` steps, in float64."""
    flow, history = energy_fit()
    return put_back(flow, history, step).double()


@functools.cache
def free_energy(step: int) -> float:
    """Return F = E_q[log q + U] as an integral over z, by a fine sum."""
    side = torch.arange(-5.5, 5.5, 0.04, dtype=torch.float64) + 0.02
    z = torch.cartesian_prod(side, side)
    log_base = normal(torch.float64).log_prob(z)
    with torch.no_grad():
        x, ladj = posterior_at(step).call_and_ladj(z)
    return (log_base.exp() * (log_base - ladj + TARGET.energy(x))).sum().item() * 0.04**2


@functools.cache
def log_density(step: int, extent: tuple[float, float, float, float], resolution: int) -> torch.Tensor:
    """Return log q on a view, by the inverse in float64."""
    with torch.no_grad():
        q = FlowDistribution(normal(torch.float64), posterior_at(step))
        return q.log_prob(centres(extent, resolution, torch.float64))


def replay_of(name: str) -> Entry:
    data = DATA.double() if name == "double" else DATA
    return Entry(lambda: small(name), lambda replay: check_training(replay, *of(name), data))


def check_cell(replay: TrainingReplay) -> None:
    space = given("TrainingReplay")
    check_training(replay, space["q"], space["history"], space["data"])


ENTRIES = {
    "TrainingReplay": Entry(
        lambda: from_cell("TrainingReplay"),
        check_cell,
        text="TrainingReplay(scale='density', step=120)",
        alt="density, samples over the data",
        cell=True,
    ),
    **{f"TrainingReplay, {name}": replay_of(name) for name in MODELS},
    "PosteriorReplay": Entry(
        lambda: from_cell("PosteriorReplay"),
        check_posterior,
        text="PosteriorReplay(scale='density', step=200)",
        alt="free energy",
        cell=True,
    ),
}
