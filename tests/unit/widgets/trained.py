"""Small trainings for the tests of replays: made once, quick, the same each time."""

from __future__ import annotations

import functools

import torch
from torch.distributions import Independent, Normal

from nfteach.flows import RNADE, FlowDistribution, Planar, RealNVP, Stack
from nfteach.targets import two_moons, u1
from nfteach.training import History, fit

__all__ = ["DATA", "TARGET", "energy_fit", "normal", "of", "own_history"]

DATA = two_moons().sample((300,), generator=torch.Generator().manual_seed(1))
TARGET = u1()


def normal(dtype: torch.dtype = torch.float32) -> Independent:
    return Independent(Normal(torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype)), 1)


@functools.cache
def of(name: str) -> tuple[object, History]:
    """A model trained by maximum likelihood for 60 steps, with a snapshot every 15, and its history."""
    torch.manual_seed(4)
    model = {
        "realnvp": lambda: FlowDistribution(normal(), RealNVP(2, layers=4, hidden=(16,))),
        "batch norm": lambda: FlowDistribution(normal(), RealNVP(2, layers=3, hidden=(8,), batch_norm=True)),
        "planar, by its inverse": lambda: FlowDistribution(normal(), Stack(Planar(2), Planar(2)).inv),
        "double": lambda: FlowDistribution(normal(torch.float64), RealNVP(2, layers=2, hidden=(8,)).double()),
        "rnade": lambda: RNADE(2, hidden=8, components=4),
    }[name]()
    data = DATA.double() if name == "double" else DATA
    extra = {"validation": data[:80]} if name != "rnade" else {}
    history = fit(model, data[80:], steps=60, batch_size=64, lr=1e-2, snapshots=5, seed=0, progress=False, **extra)
    return model, history


@functools.cache
def energy_fit(layers: int = 4) -> tuple[Stack, History]:
    """A planar stack fitted to u1 by its free energy, with a snapshot every 50 of 200 steps."""
    torch.manual_seed(2)
    flow = Stack(*[Planar(2) for _ in range(layers)])

    def free_energy(flow):
        z = normal().sample((128,))
        x, ladj = flow.call_and_ladj(z)
        return (normal().log_prob(z) - ladj + TARGET.energy(x)).mean()

    return flow, fit(flow, loss=free_energy, steps=200, lr=2e-2, snapshots=5, seed=0, progress=False)


def own_history(model: torch.nn.Module, states: list[dict[str, torch.Tensor]]) -> History:
    """A history with snapshots of one's own, a step apart."""
    history = History(losses=[float(k) for k in range(len(states) - 1)] or [0.0])
    history.snapshots = list(enumerate(states))
    return history
