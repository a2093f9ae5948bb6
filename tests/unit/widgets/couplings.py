"""The coupling explorer's layers written out plainly, and the readout checked against them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfteach.flows import AffineCoupling
from nfteach.widgets import CouplingExplorer

__all__ = ["EXACT", "check_readout", "jacobian", "point", "values_of", "words", "written_out"]

EXACT = 1e-9  # float64, a handful of operations; exp(s) is at most e^2


def written_out(layer: AffineCoupling, x: Tensor) -> Tensor:
    """Equation 3, dimension by dimension, sharing with the layer nothing but its network, scale and mask."""
    kept = [i for i in range(len(x)) if layer.mask[i]]
    changed = [i for i in range(len(x)) if not layer.mask[i]]
    raw, t = layer.conditioner(torch.stack([x[i] for i in kept])).chunk(2)
    y = list(x)
    for place, i in enumerate(changed):
        s = 0.0 if layer.additive else layer.scale[place] * torch.tanh(raw[place])
        y[i] = x[i] * torch.exp(torch.as_tensor(s)) + t[place]
    return torch.stack(y)


def jacobian(layer: AffineCoupling, x: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda x: written_out(layer, x), x)


def words(explorer: CouplingExplorer, what: str, count: int) -> list[str]:
    """The visible words of the picture's slots, in order."""
    texts = [explorer._picture._texts[f"{what} {k}"] for k in range(count)]
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for text in texts if text.get_visible()]


def point(explorer: CouplingExplorer) -> Tensor:
    """x, read off the picture's headers to two decimals' accuracy, then exactly from the point that is drawn."""
    j = explorer.state["j"] - 1
    x = torch.tensor([0.6, -0.9, 1.2, 0.7, -1.1, 0.4] * 10, dtype=torch.float64)[: explorer.dim]
    x[j] += explorer.state["push"]
    return x


def check_readout(explorer: CouplingExplorer) -> None:
    assert not explorer.error, explorer.error
    layer, x, told = explorer.layer(), point(explorer), explorer.readout
    J = jacobian(layer, x)
    sign, log_det = torch.linalg.slogdet(J)
    assert float(sign) == 1
    for label in ("sum of s", "slogdet of J", "inverse's, negated"):
        assert told[label] == pytest.approx(float(log_det), abs=EXACT)
    assert told["det J"] == pytest.approx(float(log_det.exp()), rel=EXACT)
    assert 0 <= told["round trip off by"] < EXACT


def values_of(control) -> list:
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    middle = (control.min + control.max) / 2
    return [control.min, control.max, type(control.value)(middle)]
