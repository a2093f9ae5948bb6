"""The three routes of lesson 09: the models, the operations on them, and their expected costs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from nfteach import RNADE, FlowDistribution, Planar, RealNVP, Stack
from nfteach.flows import Flow
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.autograd import jacobian
from nfteach.jacobian.rng import seeded

__all__ = [
    "EXPECTED",
    "NAMES",
    "PASSES",
    "POINTS",
    "SHAPES",
    "both_ways",
    "build",
    "determinants",
    "elimination",
    "operation",
    "points",
]

NAMES = ("RNADE", "planar", "RealNVP")
LAYERS, HIDDEN, COMPONENTS = 8, 16, 3
#: Points in a batch; of a full Jacobian there are D^2 numbers for each.
BATCH, FEW = 1000, 4

#: The number of points for each operation.
POINTS = {"density": BATCH, "sampling": BATCH, "log-det, structure": BATCH, "Jacobian": FEW, "log-det, slogdet": FEW}

#: By model and operation: the expected exponent of time, that of memory, and the reason.
EXPECTED = {
    ("RNADE", "density"): ("1", "1", "D conditionals, H (1 + 3 K) multiply-adds each, all at once"),
    ("RNADE", "sampling"): ("1", "1", "D steps of the same length, one after another"),
    ("RNADE", "log-det, structure"): ("1", "1", "the density, and a search for each z_d, all at once"),
    ("planar", "density"): ("0 to 1", "1", "K searches for one number (0); around each, w.x and x - u h (1)"),
    ("planar", "sampling"): ("1", "1", "K times w.z and z + u h: 2 D multiply-adds"),
    ("planar", "log-det, structure"): ("1", "1", "the map, and 1 + u.psi once a layer"),
    ("RealNVP", "density"): ("1", "1", "K networks: D/2 inputs, H hidden, D outputs"),
    ("RealNVP", "sampling"): ("1", "1", "the same networks, the other way round"),
    ("RealNVP", "log-det, structure"): ("1", "1", "the map, and D/2 terms to add once a layer"),
} | {
    (model, name): expected
    for model in NAMES
    for name, expected in {
        "Jacobian": ("2", "2", "D backward passes that cost D each; D^2 numbers"),
        "log-det, slogdet": ("3", "2", "elimination: D^3 / 3 multiply-adds, in a copy of J"),
    }.items()
}

#: The consecutive passes that one point needs, and the resulting exponent of time.
PASSES = {
    ("RNADE", "density"): ("1", "0"),
    ("RNADE", "sampling"): ("D", "1"),
    ("planar", "density"): (f"{LAYERS} searches", "0"),
    ("planar", "sampling"): (f"{LAYERS}", "0"),
    ("RealNVP", "density"): (f"{LAYERS}", "0"),
    ("RealNVP", "sampling"): (f"{LAYERS}", "0"),
}

#: All sizes except D that the results depend on.
SHAPES = {"layers": LAYERS, "hidden": HIDDEN, "components": COMPONENTS, "points": POINTS}


def planar(D: int) -> Stack:
    """Return planar layers whose w and u have norms near 2 for any D, so that their inverses are equally hard."""
    layers = [Planar(D) for _ in range(LAYERS)]
    for layer in layers:
        for vector in (layer.u, layer.w):
            nn.init.normal_(vector, std=2 / math.sqrt(D))
    return Stack(*layers)


def build(name: str, D: int) -> tuple[RNADE | FlowDistribution, Flow]:
    """Return a model in D dimensions and its map, which is x -> z for the RNADE and z -> x for the layers."""
    with seeded(D):
        if name == "RNADE":
            rnade = RNADE(D, HIDDEN, COMPONENTS)
            return rnade, rnade.as_flow()
        flow = planar(D) if name == "planar" else RealNVP(D, LAYERS, (HIDDEN,))
    return FlowDistribution(Independent(Normal(torch.zeros(D), 1.0), 1), flow), flow


def points(B: int, D: int) -> Tensor:
    """Draw fixed standard normal points (B, D)."""
    return torch.randn(B, D, generator=torch.Generator().manual_seed(1))


def both_ways(name: str, D: int, B: int) -> dict[str, Callable[[], Tensor]]:
    """Return the density and the sampling of B points as functions without arguments."""
    model, _ = build(name, D)
    x = points(B, D)
    return {"density": torch.no_grad()(lambda: model.log_prob(x)), "sampling": lambda: _sample(model, B)}


@torch.no_grad()
def _sample(model: RNADE | FlowDistribution, B: int) -> Tensor:
    return model.sample((B,))


def determinants(name: str, D: int) -> dict[str, Callable[[], Tensor]]:
    """Return the structured log-det at BATCH points, and the Jacobian at the first FEW of them, as functions."""
    x = points(BATCH, D).double()
    model = build(name, D)[1]
    f, at_few = adapt(model, x), adapt(model, x[:FEW])
    return {
        "log-det, structure": torch.no_grad()(lambda: f(x)[1]),
        "Jacobian": lambda: jacobian(at_few, x[:FEW])[0],
    }


def elimination(J: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the log-det of J (FEW, D, D) by elimination, as a function."""
    return {"log-det, slogdet": lambda: torch.linalg.slogdet(J)[1]}


def operation(name: str, D: int, what: str) -> Callable[[], Tensor]:
    """Return one of the operations, warmed up in few dimensions, for :func:`benchmarks.timing.peak_memory`."""

    def ready(D: int) -> Callable[[], Tensor]:
        if what == "log-det, slogdet":  # any matrix serves; computing J would need more memory
            return elimination(points(FEW * D, D).double().view(FEW, D, D))[what]
        ways = both_ways(name, D, BATCH) if what in ("density", "sampling") else determinants(name, D)
        return ways[what]

    ready(4)()
    return ready(D)
