"""The layer stepper, against autograd of the whole map and point by point."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from nfteach.flows import BatchNorm, Permutation, Planar, RealNVP, Stack
from nfteach.widgets import HeroExplorer, LayerStepper
from nfteach.widgets.hero import hero_flow
from tests.explorers.entry import Entry, anywhere, drawn, from_cell, given

__all__ = ["ENTRIES", "TIGHT", "first", "in_double", "small", "stack", "wild"]

# The stepper computes in float64; what is compared has gone through at most a few dozen operations.
TIGHT = 1e-9
INVERTED: list[Stack] = []  # kept alive: inverses hold their layers weakly


def wild(flow: Stack, by: float = 0.5, seed: int = 5) -> Stack:
    """Move the parameters away from their first values, where mistakes hide."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return flow


def small(flow: Stack, **options: Any) -> LayerStepper:
    """Return a stepper with few samples and cells."""
    return LayerStepper(flow, **({"samples": 40, "resolution": 16} | options))


def normalise() -> BatchNorm:
    """Return a BatchNorm with running statistics of its own."""
    layer = BatchNorm(2)
    layer(torch.randn(500, 2) * torch.tensor([2.0, 0.5]) + 1)
    return layer


def inverse() -> Stack:
    INVERTED.append(wild(Stack(Planar(2), Planar(2), Planar(2))))
    return Stack(*[layer.inv for layer in reversed(INVERTED[-1])])


MAKE = {
    "planar": lambda: wild(Stack(*[Planar(2) for _ in range(5)])),
    "leaky planar": lambda: wild(Stack(*[Planar(2, activation="leaky_relu") for _ in range(3)])),
    "realnvp": lambda: wild(RealNVP(2, layers=4, hidden=(8,))),
    "mixed": lambda: Stack(
        *wild(Stack(Planar(2))), Permutation([1, 0]), *wild(RealNVP(2, layers=2, hidden=(8,))), normalise()
    ),
    "inverse": inverse,
    "3 dimensions": lambda: wild(Stack(Planar(3), *RealNVP(3, layers=2, hidden=(8,))), 0.2),
    "5 dimensions": lambda: wild(Stack(Planar(5), *RealNVP(5, layers=2, hidden=(8,))), 0.2),
    "9 dimensions": lambda: wild(Stack(Planar(9), *RealNVP(9, layers=2, hidden=(8,))), 0.2),
    "24 dimensions": lambda: wild(Stack(Planar(24), *RealNVP(24, layers=2, hidden=(8,))), 0.2),
}


@functools.cache
def stack(name: str) -> Stack:
    """Return a stack of layers far from the identity, made once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MAKE[name]()


def in_double(flow: Stack) -> Stack:
    """Return a copy in float64, in evaluation mode."""
    return copy.deepcopy(flow).double().eval()


def first(flow: Stack, k: int) -> Callable[[Tensor], Tensor]:
    """Return the composition of the first k layers; of none, the identity."""
    return flow[:k] if k else torch.nn.Identity()


def probe_of(stepper: LayerStepper) -> tuple[Tensor, list[int]]:
    """Return the probe z (D,), 0.6 and -0.4 in turns where no slider is, and the two dimensions that are shown."""
    state = stepper.state
    z = torch.tensor([0.6, -0.4] * stepper.dim, dtype=torch.float64)[: stepper.dim]
    axes = [state.get("i", 1) - 1, state.get("j", 2) - 1]
    z[axes] = torch.tensor([state["probe_1"], state["probe_2"]], dtype=torch.float64)
    return z, axes


def check(stepper: LayerStepper, flow: Stack) -> None:
    """Compare the frame that is shown with autograd of the layers of ``flow`` up to there."""
    flow, (z, axes) = in_double(flow), probe_of(stepper)
    k, readout = stepper.live.frame, stepper.readout
    assert stepper.state["layer"] == k
    J, J_before = (torch.autograd.functional.jacobian(first(flow, n), z) for n in (k, max(k - 1, 0)))
    sign, log_det = J.slogdet()
    of_layer = (log_det - J_before.slogdet().logabsdet).item()
    assert readout["running log|det|"] == pytest.approx(log_det.item(), abs=TIGHT)
    assert readout["product's log|det|"] == pytest.approx(log_det.item(), abs=TIGHT)
    assert readout["layer's log|det|"] == pytest.approx(of_layer, abs=TIGHT)
    assert readout["sign of det"] == sign.item()
    log_p = Normal(torch.zeros((), dtype=torch.float64), 1.0).log_prob(z).sum().item()
    assert readout["log q"] == pytest.approx(log_p - log_det.item(), abs=TIGHT)
    shown = stepper.live.frames[k]
    marks = shown["plane"].marks
    way = torch.stack([first(flow, n)(z)[axes] for n in range(len(flow) + 1)])
    for name, n in (("z", 0), ("z_k", k), ("x", -1)):
        np.testing.assert_allclose(np.ravel(drawn(stepper, name)), way[n].detach(), atol=TIGHT)
    np.testing.assert_allclose(
        np.unique(marks["done"].points, axis=0), np.unique(way[: k + 1].detach(), axis=0), atol=TIGHT
    )
    np.testing.assert_allclose(
        np.unique(marks["to come"].points, axis=0), np.unique(way[k:].detach(), axis=0), atol=TIGHT
    )
    if k:
        assert shown["strip"].dots[k - 1].item() == pytest.approx(of_layer, abs=TIGHT)
    if stepper.state["show_J"]:
        alone = torch.autograd.functional.jacobian(flow[k - 1], first(flow, k - 1)(z)) if k else torch.eye(len(z))
        for matrix, expected in ((shown["J"], alone), (shown["product"], J)):
            np.testing.assert_allclose(matrix.values, expected.numpy(), atol=TIGHT)
            assert not expected[matrix.zero].any()
            assert (expected[matrix.one] == 1).all()


def two_dimensions(stepper: LayerStepper, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random state with two different dimensions."""
    state = anywhere(stepper, rng)
    if "i" in state:
        i, j = rng.permutation(stepper.dim)[:2] + 1
        state |= {"i": int(i), "j": int(j)}
    return state


def of_stack(name: str) -> Entry:
    return Entry(
        lambda: small(stack(name)),
        lambda stepper: check(stepper, stack(name)),
        random=two_dimensions,
        wakes={"i": {"j": 2, "i": 3}, "j": {"i": 2, "j": 1}},
    )


ENTRIES = {
    "LayerStepper": Entry(
        lambda: from_cell("LayerStepper"),
        lambda stepper: check(stepper, given("LayerStepper")["flow"]),
        3,
        text="LayerStepper(probe_1=0.6, probe_2=-0.4, show_J=False, layer=4)",
        alt="one point on its way",
        cell=True,
    ),
    "HeroExplorer": Entry(
        HeroExplorer,
        lambda stepper: check(stepper, hero_flow()),
        text="HeroExplorer(probe_1=0.6, probe_2=-0.4, show_J=False, layer=8)",
        alt="Noise becomes two moons",
    ),
    **{f"LayerStepper, {name}": of_stack(name) for name in MAKE},
}
