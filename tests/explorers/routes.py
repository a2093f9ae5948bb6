"""The routes explorer, against each model's own log_prob, and differences of its map."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import AffineTransform, ComposeTransform, Independent, MultivariateNormal, Normal
from torch.distributions import TransformedDistribution as Transformed

from nfteach.flows import RNADE, FlowDistribution, Planar, RealNVP, Stack
from nfteach.widgets import RoutesExplorer
from nfteach.widgets.routes import COSTS, untrained_routes
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


def first_layer(model: Any) -> Any:
    """Return the map that x passes first; the whole map where it has no layers."""
    model = copy.deepcopy(model)
    if isinstance(model, FlowDistribution) and isinstance(model.flow, Stack):
        return list(model.flow.double())[-1].inv
    return lambda x: to_latent(model, x)


def differences(f: Any, x: Tensor, h: float = 1e-6) -> Tensor:
    """Return J (2, 2) of f at x (2,), by central differences."""
    steps = torch.cat([x + h * torch.eye(2).double(), x - h * torch.eye(2).double()])
    with torch.no_grad():
        plus, minus = f(steps).split(2)
    return ((plus - minus) / (2 * h)).T


def check(explorer: RoutesExplorer, models: dict[str, Any]) -> None:
    """Compare every number with the models' own log_prob, and J with central differences."""
    state, told = explorer.state, explorer.readout
    x = torch.tensor([state["x1"], state["x2"]], dtype=torch.float64)
    for k, (name, model) in enumerate(models.items()):
        with torch.no_grad():
            log_q = model.log_prob(x[None].float())[0].item()
            z = to_latent(model, x[None])[0]
            mean = average(model, explorer.data)
        assert told[f"{name}: log q(x)"] == pytest.approx(log_q, abs=FLOAT32 * (1 + abs(log_q)))
        assert told[f"{name}: log q(x)"] == pytest.approx(told[f"{name}: log p(z)"] + told[f"{name}: log|det J|"])
        J = differences(functools.partial(to_latent, model), x)
        assert told[f"{name}: log|det J|"] == pytest.approx(torch.linalg.slogdet(J)[1].item(), abs=1e-4)
        shown = differences(first_layer(model), x) if state["one_layer"] else J
        np.testing.assert_allclose(drawn(explorer, f"J {k}"), shown.numpy(), rtol=1e-4, atol=1e-5)
        assert told[f"{name}: mean log q"] == pytest.approx(mean, rel=1e-4)
        assert drawn(explorer, f"x {k}").tolist() == [state["x1"], state["x2"]]
        np.testing.assert_allclose(drawn(explorer, f"z {k}"), z[None].numpy(), atol=1e-6)
        square, image = drawn(explorer, f"square {k}"), drawn(explorer, f"image {k}")
        np.testing.assert_allclose(image - z.numpy(), (square - x.numpy()) @ J.T.numpy(), rtol=1e-4, atol=1e-5)
    for name, cost in COSTS.items():
        assert told[f"{name}: multiply-adds"] == cost(state["D"])


@functools.lru_cache(16)
def average(model: Any, data: Tensor) -> float:
    """Return the mean of log q over the data (N, 2)."""
    return model.log_prob(data.float()).detach().double().mean().item()


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
