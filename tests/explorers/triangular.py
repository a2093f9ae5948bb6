"""The triangular explorer, against the model in float64 and its conditionals one after another."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, ComposeTransform

from nfteach.flows import RNADE, AffineCoupling, Flow, Permutation, Stack
from nfteach.widgets import TriangularExplorer
from nfteach.widgets.triangular.maps import untrained
from tests.explorers.entry import Entry, drawn

__all__ = ["ENTRIES", "EXACT", "Doubled", "check", "default_model", "model_of", "several", "units_of"]

EXACT = 1e-8  # float64 and closed forms


@functools.cache
def default_model() -> RNADE:
    """Return the model that the explorer shows if none is handed in."""
    return untrained((2, 0, 4, 1, 3))


def model_of(order: tuple[int, ...], seed: int = 0) -> RNADE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RNADE(len(order), hidden=8, components=3, ordering=order)


def units_of(explorer: TriangularExplorer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return center and unit (D,) of the curve's axis: its label names standard deviations, or does not."""
    data = explorer.data
    if not any("standard deviations" in text.get_text() for text in explorer.live.figure.texts):
        return torch.zeros(explorer.dim).double(), torch.ones(explorer.dim).double()
    return data.mean(0), data.std(0, correction=0)


@functools.lru_cache(64)
def at(model: RNADE, x: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return J by autograd, z and log q(x) of a model in float64."""
    point, flow = torch.tensor(x, dtype=torch.float64), model.double().as_flow()
    J = torch.autograd.functional.jacobian(flow, point)
    with torch.no_grad():
        return J, flow(point), model.log_prob(point).item()


def check(explorer: TriangularExplorer, model: RNADE) -> None:
    """Compare every number with the model itself in float64, and both matrices with autograd."""
    state, told = explorer.state, explorer.readout
    before = explorer.data[state["row"]]
    x = before.clone()
    x[state["j"] - 1] += state["push"]
    order, d = model.ordering.tolist(), explorer.live.frame
    J, z, log_q = at(model, tuple(x.tolist()))
    log_det = torch.linalg.slogdet(J).logabsdet.item()
    for label in ("log|det J|", "sum of log diagonal", "slogdet of J"):
        assert told[label] == pytest.approx(log_det, abs=EXACT)
    assert told["product of diagonal"] == pytest.approx(math.exp(log_det), rel=1e-7)
    assert told["log q(x)"] == pytest.approx(log_q, abs=EXACT)
    assert told["z that moved"] == int((z != at(model, tuple(before.tolist()))[1]).sum())
    assert told["round trip off by"] < 1e-6
    place = order.index(state["j"] - 1)
    assert told["z that moved"] <= explorer.dim - place, "the z before x_j in the ordering never move"
    np.testing.assert_allclose(drawn(explorer, "J"), J.numpy(), atol=1e-12)
    ordered = drawn(explorer, "sorted")
    np.testing.assert_array_equal(ordered, np.tril(ordered))
    np.testing.assert_array_equal(ordered, drawn(explorer, "J")[np.ix_(order, order)])
    known = drawn(explorer, "known")[0]
    assert (known != 0).tolist() == [True] * d + [False] * (explorer.dim - d)
    if d:
        step = model.steps(x)[d - 1]
        assert told["x_d"] == pytest.approx(x[step.index].item(), abs=1e-6)
        assert told["z_d"] == pytest.approx(z[step.index].item(), abs=EXACT)
        assert told["log q_d"] == pytest.approx(step.log_prob.item(), abs=EXACT)
        assert told["diagonal"] == pytest.approx(J[step.index, step.index].item(), rel=1e-7)
        assert told["sum so far"] == pytest.approx(sum(J[i, i].log().item() for i in order[:d]), abs=EXACT)


@functools.cache
def several() -> dict[str, RNADE]:
    """Return models of the same data in three orderings."""
    return {"1 to 4": model_of((0, 1, 2, 3)), "back": model_of((3, 2, 1, 0)), "mixed": model_of((2, 0, 3, 1))}


def data_of(rows: int, dim: int) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(1))


class Doubled(Flow):
    """y = 2 x, upside down: the k-th output is twice the last but k-th input, plus the tanh of the inputs after it."""

    def call_and_ladj(self, x):
        y = torch.flip(2 * x + torch.tanh(x.flip(-1).cumsum(-1).flip(-1) - x), (-1,))
        return y, torch.full(x.shape[:-1], self.dim * math.log(2.0), dtype=x.dtype)

    def inverse_and_ladj(self, y):
        raise RuntimeError("there is no inverse")


MAKE = {
    "coupling": (lambda: AffineCoupling([True, False, True]), 3),
    "coupling of two": (lambda: AffineCoupling([False, True]), 2),
    "permuted coupling": (lambda: Stack(Permutation([2, 0, 1]), AffineCoupling([False, True, False])), 3),
    "RNADE's map": (lambda: model_of((1, 0, 2)).as_flow(), 3),
    "without inverse": (lambda: Doubled(4), 4),
    "torch's": (lambda: ComposeTransform([AffineTransform(torch.ones(3), -2 * torch.ones(3))]), 3),
}


@functools.cache
def flow_of(name: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MAKE[name][0]()


def any_map(name: str) -> Entry:
    """Return the explorer with a triangular map, whose ordering it has to find."""
    dim = MAKE[name][1]

    def check_any(explorer: TriangularExplorer) -> None:
        flow, told, state, d = flow_of(name), explorer.readout, explorer.state, explorer.live.frame
        (one,) = explorer.models.values()
        assert one.triangular
        x = explorer.data[state["row"]].float()
        x[state["j"] - 1] += state["push"]
        J = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0], x).double()
        log_det = torch.linalg.slogdet(J).logabsdet.item()
        assert told["sum of log diagonal"] == pytest.approx(log_det, abs=1e-4)
        assert told["log|det J|"] == pytest.approx(log_det, abs=1e-4)
        ordered = drawn(explorer, "sorted")
        np.testing.assert_array_equal(ordered, np.tril(ordered))
        np.testing.assert_allclose(ordered, J[one.rows][:, one.columns].numpy(), atol=1e-4)
        assert ("round trip off by" in told) == (not isinstance(flow, Doubled))
        if d:
            column, row, curve = one.columns[d - 1], one.rows[d - 1], drawn(explorer, "curve")
            center, unit = units_of(explorer)
            points = x.repeat(len(curve), 1)
            points[:, column] = (center[column] + unit[column] * torch.from_numpy(curve[:, 0])).float()
            with torch.no_grad():
                z = flow(points)[:, row].numpy()
            np.testing.assert_allclose(curve[:, 1], z.clip(-9, 9), atol=1e-4)

    return Entry(lambda: TriangularExplorer(flow_of(name), data_of(30, dim)), check_any, 2)


ENTRIES = {
    "TriangularExplorer": Entry(
        TriangularExplorer,
        lambda explorer: check(explorer, default_model()),
        6,
        text="TriangularExplorer(row=0, j=1, push=0)",
        alt="Jacobian",
    ),
    "TriangularExplorer, three orderings": Entry(
        lambda: TriangularExplorer(several(), data_of(40, 4)),
        lambda explorer: check(explorer, several()[explorer.state["model"]]),
    ),
    **{f"TriangularExplorer, {name}": any_map(name) for name in MAKE},
}
