"""The coupling explorer, against its layer written out dimension by dimension, and autograd of that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nfteach.flows import AffineCoupling
from nfteach.widgets import CouplingExplorer
from tests.explorers.entry import Entry, anywhere

__all__ = ["ENTRIES", "EXACT", "check", "jacobian", "own_layer", "point", "words", "written_out"]

EXACT = 1e-9  # float64, a handful of operations; exp(s) is at most e^2
PROBE = (0.6, -0.9, 1.2, 0.7, -1.1, 0.4)


def written_out(layer: AffineCoupling, x: Tensor) -> Tensor:
    """Return equation 3 for x (D,), sharing with the layer only its network, scale and mask."""
    kept = [i for i in range(len(x)) if layer.mask[i]]
    changed = [i for i in range(len(x)) if not layer.mask[i]]
    raw, t = layer.conditioner(torch.stack([x[i] for i in kept])).chunk(2)
    y = list(x)
    for place, i in enumerate(changed):
        s = 0.0 if layer.additive else layer.scale[place] * torch.tanh(raw[place])
        y[i] = x[i] * torch.exp(torch.as_tensor(s)) + t[place]
    return torch.stack(y)


def jacobian(layer: AffineCoupling, x: Tensor) -> Tensor:
    """Return J (D, D) of the layer written out, at x (D,)."""
    return torch.autograd.functional.jacobian(lambda x: written_out(layer, x), x)


def words(explorer: CouplingExplorer, what: str, count: int) -> list[str]:
    """Return the visible words of the picture's slots, in order."""
    texts = [explorer.live.artist(f"{what} {k}") for k in range(count)]
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for text in texts if text.get_visible()]


def point(explorer: CouplingExplorer) -> Tensor:
    """Return x (D,), from the probe and the push alone."""
    x = torch.tensor([*PROBE] * 10, dtype=torch.float64)[: explorer.dim]
    x[explorer.state["j"] - 1] += explorer.state["push"]
    return x


def check(explorer: CouplingExplorer) -> None:
    """Compare the determinant, found in four ways, with slogdet of the Jacobian of the layer written out."""
    layer, x, told, state = explorer.layer(), point(explorer), explorer.readout, explorer.state
    J = jacobian(layer, x)
    sign, log_det = torch.linalg.slogdet(J)
    assert float(sign) == 1
    for label in ("sum of s", "slogdet of J", "inverse's, negated"):
        assert told[label] == pytest.approx(float(log_det), abs=EXACT)
    assert told["det J"] == pytest.approx(float(log_det.exp()), rel=EXACT)
    assert 0 <= told["round trip off by"] < EXACT
    if "i" in state:
        i, j = state["i"], state["j"]
        assert told[f"row {i}, column {j} of J"] == pytest.approx(float(J[i - 1, j - 1]), abs=EXACT)


def fitting(explorer: CouplingExplorer, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random state whose d and j fit its D."""
    state = anywhere(explorer, rng) | {"D": int(rng.integers(2, 7))}
    return state | {"d": int(rng.integers(1, state["D"])), "j": int(rng.integers(1, state["D"] + 1))}


def middles(explorer: CouplingExplorer) -> Iterator[dict[str, Any]]:
    """Yield each slider in its middle."""
    for name, control in explorer.controls.items():
        if hasattr(control, "min"):
            yield {name: type(control.value)((control.min + control.max) / 2)}


def own_layer() -> AffineCoupling:
    """Return a layer of five dimensions, to be handed in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AffineCoupling([False, True, True, False, True], hidden=(16,))


def large_layer() -> AffineCoupling:
    """Return a layer of too many dimensions for numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AffineCoupling(torch.arange(20) % 3 == 0, hidden=(16,))


ENTRIES = {
    "CouplingExplorer": Entry(
        CouplingExplorer,
        check,
        40,
        fitting,
        middles,
        text="CouplingExplorer(D=4, d=2, mask='first d pass', network='smooth', s=1, t=1, j=1, push=0, "
        "direction='forward', order='as it is', show='grid')",
        alt="Jacobian",
        wakes={"D": {"d": 1}, "order": {"mask": "alternating"}},
    ),
    "CouplingExplorer, own layer": Entry(lambda: CouplingExplorer(own_layer()), check),
    "CouplingExplorer, additive layer": Entry(
        lambda: CouplingExplorer(AffineCoupling([True, False, False], additive=True)), check, wakes={"order": None}
    ),
    "CouplingExplorer, large layer": Entry(lambda: CouplingExplorer(large_layer()), check, 5),
}
