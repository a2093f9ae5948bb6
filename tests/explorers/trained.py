"""Small trainings for the tests of replays: quick, the same each time, and done once in a process."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.distributions import Independent, Normal

from nfteach.flows import RNADE, FlowDistribution, Planar, RealNVP, Stack
from nfteach.targets import two_moons, u1
from nfteach.training import History, fit
from tests.explorers.entry import given

__all__ = ["DATA", "MODELS", "TARGET", "energy_fit", "normal", "of", "own_history"]

DATA = two_moons().sample((300,), generator=torch.Generator().manual_seed(1))
TARGET = u1()


def normal(dtype: torch.dtype = torch.float32) -> Independent:
    return Independent(Normal(torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype)), 1)


MODELS = {
    "realnvp": lambda: FlowDistribution(normal(), RealNVP(2, layers=4, hidden=(16,))),
    "batch norm": lambda: FlowDistribution(normal(), RealNVP(2, layers=3, hidden=(8,), batch_norm=True)),
    "planar, by its inverse": lambda: FlowDistribution(normal(), Stack(Planar(2), Planar(2)).inv),
    "double": lambda: FlowDistribution(normal(torch.float64), RealNVP(2, layers=2, hidden=(8,)).double()),
    "rnade": lambda: RNADE(2, hidden=8, components=4),
}


@functools.cache
def of(name: str) -> tuple[Any, History]:
    """Return a model trained by maximum likelihood for 60 steps, with a snapshot every 15, and its history."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = MODELS[name]()
        data = DATA.double() if name == "double" else DATA
        extra = {"validation": data[:80]} if name != "rnade" else {}
        history = fit(model, data[80:], steps=60, batch_size=64, lr=1e-2, snapshots=5, seed=0, progress=False, **extra)
    return model, history


def energy_fit() -> tuple[Stack, History]:
    """Return the planar stack of the gallery, fitted to u1 by its free energy, with nine snapshots of 200 steps."""
    space = given("PosteriorReplay")
    return space["flow"], space["history"]


def own_history(model: torch.nn.Module, states: list[dict[str, torch.Tensor]]) -> History:
    """Return a history with these snapshots, a step apart."""
    history = History(losses=[float(k) for k in range(len(states) - 1)] or [0.0])
    history.snapshots = list(enumerate(states))
    return history
