"""The routes explorer, against each model's own log_prob, and differences of its map."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import AffineTransform, ComposeTransform, Independent, MultivariateNormal, Normal
from torch.distributions import TransformedDistribution as Transformed

from nfteach.flows import RNADE, FlowDistribution, Planar, RealNVP, Stack
from nfteach.widgets import RoutesExplorer
from nfteach.widgets.routes.costs import COSTS
from nfteach.widgets.routes.models import untrained_routes
from tests.explorers.entry import Entry, drawn

__all__ = ["ENTRIES", "as_distributions", "standard", "untrained"]

FLOAT32 = 1e-4  # the accuracy of a model in its own dtype, against the explorer's float64


def standard() -> Normal:
    return Normal(torch.zeros(2), torch.ones(2))


def as_distributions(models: dict[str, Any]) -> dict[str, Any]:
    """Return the same models as objects with log_prob."""
    return {
        name: FlowDistribution(standard(), model) if isinstance(model, Stack) else model
        for name, model in models.items()
    }


@functools.cache
def untrained() -> dict[str, Any]:
    return as_distributions(untrained_routes())


def to_latent(model: Any, x: Tensor) -> Tensor:
    """Return the image z of x (N, 2) under a float64 copy of the model's map."""
    model = copy.deepcopy(model)
    if isinstance(model, RNADE):
        return model.double().as_flow()(x)
    if isinstance(model, FlowDistribution):
        return model.flow.double().inv(x)
    return ComposeTransform(list(model.transforms)).inv(x)


def check(explorer: RoutesExplorer, models: dict[str, Any]) -> None:
    """Compare every number with the models' own log_prob, and J with central differences."""
    state, told = explorer.state, explorer.readout
    x, h = torch.tensor([state["x1"], state["x2"]], dtype=torch.float64), 1e-6
    steps = torch.cat([x + h * torch.eye(2).double(), x - h * torch.eye(2).double()])
    for k, (name, model) in enumerate(models.items()):
        with torch.no_grad():
            log_q = model.log_prob(x[None].float())[0].item()
            plus, minus = to_latent(model, steps).split(2)
            J = ((plus - minus) / (2 * h)).T
            mean, error = average(model, explorer.data)
        assert told[f"{name}: log q(x)"] == pytest.approx(log_q, abs=FLOAT32 * (1 + abs(log_q)))
        assert told[f"{name}: log q(x)"] == pytest.approx(told[f"{name}: log p(z)"] + told[f"{name}: log|det J|"])
        assert told[f"{name}: slogdet of J"] == pytest.approx(told[f"{name}: log|det J|"], abs=1e-6)
        np.testing.assert_allclose(drawn(explorer, f"J {k}"), J.numpy(), rtol=1e-4, atol=1e-5)
        assert told[f"{name}: slogdet of J"] == pytest.approx(torch.linalg.slogdet(J)[1].item(), abs=1e-4)
        assert told[f"{name}: mean log q"] == pytest.approx(mean, rel=1e-4)
        assert told[f"{name}: standard error"] == pytest.approx(error, rel=1e-3)
        assert drawn(explorer, f"probe {k}").tolist() == [[state["x1"], state["x2"]]]
    for name, cost in COSTS.items():
        assert told[f"{name}: multiply-adds"] == cost(state["D"])


@functools.lru_cache(16)
def average(model: Any, data: Tensor) -> tuple[float, float]:
    """Return the mean of log q over the data (N, 2), and its standard error."""
    logs = model.log_prob(data.float()).detach().double()
    mean = logs.mean().item()
    return mean, math.sqrt(float(((logs - mean) ** 2).mean()) / len(logs))


@functools.cache
def handed_in() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return models of four makes, and the same as objects with log_prob."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        realnvp, base = RealNVP(2, layers=3, hidden=(8,)), MultivariateNormal(torch.ones(2), 2 * torch.eye(2))
        scaled = Transformed(Independent(standard(), 1), [AffineTransform(torch.zeros(2), torch.tensor([1.2, 0.7]))])
        models = {"pair": (base, realnvp), "bare": Planar(2), "torch": scaled, "map": RNADE(2, 4).as_flow()}
    same = {"pair": FlowDistribution(base, realnvp), "bare": FlowDistribution(standard(), models["bare"])}
    return models, same | {"torch": scaled, "map": models["map"].rnade}


ENTRIES = {
    "RoutesExplorer": Entry(
        lambda: RoutesExplorer(resolution=40),
        lambda explorer: check(explorer, untrained()),
        5,
        alt="Jacobian",
    ),
    "RoutesExplorer, other models": Entry(
        lambda: RoutesExplorer(
            handed_in()[0], torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), resolution=12
        ),
        lambda explorer: check(explorer, handed_in()[1]),
    ),
}
