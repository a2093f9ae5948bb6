"""The digit explorer, against the flow and Bayes' rule, one label at a time."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor

from nfteach.flows import ImageRealNVP
from nfteach.widgets import DigitExplorer
from nfteach.widgets.digits import digit_flow
from tests.explorers.entry import Entry, drawn

__all__ = ["ENTRIES", "small"]


@functools.cache
def trained() -> ImageRealNVP:
    return digit_flow().double()


@functools.cache
def small() -> ImageRealNVP:
    """Return a flow of images of 4 x 2 with three classes, far from its initial parameters."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        flow = ImageRealNVP((1, 4, 2), couplings=1, hidden=4, classes=3).double()
        for parameter in flow.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return flow


@functools.cache
def of(flow: ImageRealNVP, label: int) -> Tensor:
    """Return x (16, D), all draws of a label."""
    z = torch.randn(16, flow.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return flow.given(label)(z)


@functools.cache
def log_q_of(flow: ImageRealNVP, label: int) -> Tensor:
    """Return log q(x | other) (16, labels) of all draws of a label, one other label at a time."""
    log_q = []
    for other in range(flow.classes):
        back, ladj = flow.given(other).inverse_and_ladj(of(flow, label))
        log_q.append(ladj - (back**2).sum(1) / 2 - flow.dim / 2 * math.log(2 * math.pi))
    return torch.stack(log_q, 1)


def check(explorer: DigitExplorer, flow: ImageRealNVP, levels: int) -> None:
    with torch.no_grad():
        label, draw = explorer.state["digit"], explorer.live.frame
        x, log_q = of(flow, label)[draw], log_q_of(flow, label)[draw].tolist()
        p = [1 / sum(math.exp(other - one) for other in log_q) for one in log_q]
        told = explorer.readout
        assert told["Bayes' rule reads"] == f"a {p.index(max(p))}"
        ink = [min(max(math.floor(value * levels), 0), levels - 1) / (levels - 1) for value in x.tolist()]
        assert drawn(explorer, "large").ravel().tolist() == pytest.approx(ink)
        others = torch.stack([of(flow, other)[draw] for other in range(flow.classes)])
        assert drawn(explorer, "all labels")[label].ravel().tolist() == pytest.approx(ink)
        assert (drawn(explorer, "all labels").reshape(others.shape) > 0).tolist() == (others >= 1 / levels).tolist()
        bars = drawn(explorer, "the chosen label") + drawn(explorer, "the other labels")
        assert bars.tolist() == pytest.approx(p, abs=1e-6)
        assert drawn(explorer, "the chosen label").nonzero()[0].tolist() in ([label], [])
        scale = flow.dim * math.log(2)
        given = math.log2(levels) - log_q[label] / scale
        assert told["bits/dim, given the label"] == pytest.approx(given, abs=1e-9)


ENTRIES = {
    "DigitExplorer": Entry(
        DigitExplorer,
        lambda explorer: check(explorer, trained(), 17),
        text="DigitExplorer(digit=3, draw=15)",
        alt="digit",
    ),
    "DigitExplorer, of another flow": Entry(
        lambda: DigitExplorer(small(), levels=5), lambda explorer: check(explorer, small(), 5)
    ),
}
