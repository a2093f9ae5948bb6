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
from tests.explorers.entry import Entry, drawn

__all__ = ["DRAWN", "ENTRIES", "EXACT", "check", "jacobian", "large_layer", "own_layer", "point", "written_out"]

EXACT = 1e-9  # float64, a handful of operations; exp(s) is at most e^2
DRAWN = 1e-4  # pixels, in float32 as they are sent


def written_out(explorer: CouplingExplorer, x: Tensor) -> Tensor:
    """Return equation 1 of lesson 06 for x (D,), sharing with the explorer only its layer's network, scale and mask."""
    layer, state = explorer.layer, explorer.state
    kept = [i for i in range(len(x)) if layer.mask[i]]
    changed = [i for i in range(len(x)) if not layer.mask[i]]
    raw, t = layer.conditioner(torch.stack([x[i] for i in kept])).chunk(2)
    y = list(x)
    for place, i in enumerate(changed):
        s = 0.0 if layer.additive else state["s"] * layer.scale[place] * torch.tanh(raw[place])
        y[i] = x[i] * torch.exp(torch.as_tensor(s)) + state["t"] * t[place]
    return torch.stack(y)


def jacobian(explorer: CouplingExplorer, x: Tensor) -> Tensor:
    """Return J (D, D) of the layer written out, at x (D,)."""
    return torch.autograd.functional.jacobian(lambda x: written_out(explorer, x), x)


def point(explorer: CouplingExplorer) -> Tensor:
    """Return x (D,) from the sliders."""
    values = [explorer.state[f"x{k + 1}"] for k in range(explorer.layer.dim)]
    return torch.tensor(values, dtype=torch.float64)


def check(explorer: CouplingExplorer) -> None:
    """Compare the determinant and J with those of the layer written out, and the columns with its x and y."""
    layer, x, told, state = explorer.layer, point(explorer), explorer.readout, explorer.state
    back, mask = state["direction"] == "inverse", layer.mask
    J = jacobian(explorer, x)
    J = torch.linalg.inv(J) if back else J
    sign, log_det = torch.linalg.slogdet(J)
    assert float(sign) == 1
    for label in ("log|det J|", "by elimination"):
        assert told[label] == pytest.approx(float(log_det), abs=EXACT)
    assert told["det J"] == pytest.approx(float(log_det.exp()), rel=EXACT)
    assert 0 <= told["round trip off by"] < EXACT
    shown = explorer.parts["J"]
    places = torch.arange(len(x))
    if state["order"] == "passed first":
        places = torch.cat([mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]])
    np.testing.assert_allclose(shown.values, J[places][:, places], atol=1e-8, rtol=1e-8)
    eye = torch.eye(len(x), dtype=torch.bool)
    assert not (shown.values * shown.zero).any()
    passes = mask[places]
    assert torch.equal(shown.zero, ~eye & (passes[:, None] | ~passes[None]))
    volume_kept = layer.additive or state["s"] == 0
    assert torch.equal(shown.one, eye & (torch.ones_like(eye) if volume_kept else passes[:, None].expand_as(eye)))
    if state["show"] == "columns":
        heights = [[drawn(explorer, f"{name}{k + 1}").ravel()[1] for k in range(len(x))] for name in "xy"]
        y = written_out(explorer, x).detach()
        for name, values, drawn_at in zip("xy", (x, y), heights, strict=True):
            limit = {"x": 3.0, "y": 3.3}[name]
            zero = {"x": 360, "y": 72}[name]
            np.testing.assert_allclose(drawn_at, zero + 21 * values.clamp(-limit, limit).numpy(), atol=DRAWN)


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
        return AffineCoupling(torch.arange(11) % 3 == 0, hidden=(16,))


ENTRIES = {
    "CouplingExplorer": Entry(
        CouplingExplorer,
        check,
        40,
        also=middles,
        text="CouplingExplorer(s=1, t=1, direction='forward', x1=0.9, x2=-0.7, x3=1.3, x4=-0.6, x5=0.8, x6=0.4, D=5, "
        "d=2, mask='first d pass', network='gentle', order='as it is', show='columns')",
        alt="Jacobian",
        wakes={"x6": {"D": 6}, "order": {"mask": "alternating"}},
    ),
    "CouplingExplorer, own layer": Entry(lambda: CouplingExplorer(own_layer()), check),
    "CouplingExplorer, additive layer": Entry(
        lambda: CouplingExplorer(AffineCoupling([True, False, False], additive=True)), check, wakes={"order": None}
    ),
    "CouplingExplorer, large layer": Entry(lambda: CouplingExplorer(large_layer()), check, 3),
}
