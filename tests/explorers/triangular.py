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
from nfteach.widgets.triangular import untrained
from tests.explorers.entry import Entry, drawn

__all__ = ["ENTRIES", "EXACT", "Doubled", "check", "data_of", "default_model", "model_of", "point", "several"]

EXACT = 1e-8  # float64 and closed forms
WAKES = {"d": {"show": "invert"}, "push": {"show": "invert"}, "row": {"show": "invert"}}


@functools.cache
def default_model() -> RNADE:
    """Return the model that the explorer shows if none is handed in."""
    return untrained((2, 0, 4, 1, 3))


def model_of(order: tuple[int, ...], seed: int = 0) -> RNADE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RNADE(len(order), hidden=8, components=3, ordering=order)


@functools.lru_cache(64)
def at(model: RNADE, x: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return J by autograd, z and log q(x) of a model in float64."""
    point, flow = torch.tensor(x, dtype=torch.float64), model.double().as_flow()
    J = torch.autograd.functional.jacobian(flow, point)
    with torch.no_grad():
        return J, flow(point), model.log_prob(point).item()


def point(explorer: TriangularExplorer) -> torch.Tensor:
    """Return x (D,) from the controls."""
    state = explorer.state
    x = explorer.data[state["row"]].clone()
    if state["show"] == "invert":
        x[state["j"] - 1] += state["push"]
    return x


def check(explorer: TriangularExplorer, model: RNADE) -> None:
    """Compare every number with the model itself in float64, and J with autograd."""
    state, told, x = explorer.state, explorer.readout, point(explorer)
    order = model.ordering.tolist()
    J, z, log_q = at(model, tuple(x.tolist()))
    assert told["log q(x)"] == pytest.approx(log_q, abs=EXACT)
    if state["show"] == "push":
        check_push(explorer, J, order, order)
        assert told["z that x_j moves"] == explorer.dim - order.index(state["j"] - 1), "those before never move"
        return
    check_step(explorer, J, order, order, z)
    if abs(state["push"]) <= 2:  # further out, where the curve is flat between two modes, digits are lost
        assert told["each x off by"] < 1e-6
    if d := state["d"]:
        step = model.steps(x)[d - 1]
        assert drawn(explorer, "known")[1, d - 1] == pytest.approx(x[step.index].item(), abs=1e-6)
        # The highest of the density's outline is the mode of the conditional.
        hill, here = drawn(explorer, "density")[:97], drawn(explorer, "point")
        height = np.interp(here[0], hill[:, 0], hill[:, 1]) - hill[0, 1]
        assert 0 <= height <= np.ptp(hill[:, 1]) + EXACT


def check_push(explorer: TriangularExplorer, J: torch.Tensor, rows: list[int], columns: list[int]) -> None:
    """Compare determinant, matrix and parallelogram with J (D, D), whose entries off the diagonal have the factor."""
    state, told = explorer.state, explorer.readout
    ordered = J[rows][:, columns]
    log_det = torch.linalg.slogdet(J).logabsdet.item()
    for label in ("log|det J|", "by elimination"):
        assert told[label] == pytest.approx(log_det, abs=1e-4 if J.dtype == torch.float32 else EXACT)
    assert abs(told["det J"]) == pytest.approx(math.exp(log_det), rel=1e-4 if J.dtype == torch.float32 else 1e-7)
    scaled = torch.where(torch.eye(len(J), dtype=torch.bool), ordered, state["factor"] * ordered)
    shown = explorer.parts["J"]
    matrix, zeros = shown.values.numpy(), shown.zero.numpy()
    if state["order"] == "the data's":
        matrix, zeros = (part[rows][:, columns] for part in (shown.values.numpy(), shown.zero.numpy()))
    np.testing.assert_allclose(matrix, scaled.numpy(), atol=1e-4 if J.dtype == torch.float32 else EXACT, rtol=1e-6)
    assert zeros[np.triu_indices(len(J), 1)].all(), "the upper triangle is zero by construction"
    assert not (matrix * zeros).any()
    outline = drawn(explorer, "edge")
    first = min(columns.index(state["j"] - 1), len(J) - 2)
    block = scaled[first : first + 2, first : first + 2].numpy()
    np.testing.assert_allclose(outline[1] - outline[0], block[:, 0], atol=1e-4)
    np.testing.assert_allclose(outline[2] - outline[1], block[:, 1], atol=1e-4)
    # The shoelace formula: the area is that of the diagonal alone.
    x, y = outline.T
    area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert area == pytest.approx(abs(float(ordered[first, first] * ordered[first + 1, first + 1])), rel=1e-4, abs=1e-4)


def check_step(
    explorer: TriangularExplorer, J: torch.Tensor, rows: list[int], columns: list[int], z: torch.Tensor
) -> None:
    """Compare what is found so far, the curve's point and the brackets with J (D, D) and z (D,)."""
    state, told = explorer.state, explorer.readout
    d, near = state["d"], 1e-4 if J.dtype == torch.float32 else 1e-7
    diagonal = J[rows, columns]
    assert told["found"] == d
    assert told["sum of log slopes"] == pytest.approx(diagonal[:d].abs().log().sum().item(), abs=10 * near)
    np.testing.assert_allclose(drawn(explorer, "logs"), diagonal.abs().log().numpy(), atol=10 * near)
    known, unknown = drawn(explorer, "known"), explorer.parts["known"].zero.numpy()
    np.testing.assert_allclose(known[0], z[rows].numpy(), atol=near)
    assert unknown.tolist() == [[False] * explorer.dim, [k >= d for k in range(explorer.dim)]]
    assert explorer.live.mark("point").visible == (d > 0)
    if d:
        assert told["slope"] == pytest.approx(diagonal[d - 1].item(), rel=near, abs=near)
        at, level = drawn(explorer, "point")
        assert level == pytest.approx(z[rows[d - 1]].item(), abs=near)
        brackets = drawn(explorer, "brackets")[:, :, 0]
        assert np.all((brackets[:, 0] <= at) & (at <= brackets[:, 1]))
        np.testing.assert_allclose(np.diff(brackets)[1:], np.diff(brackets)[:-1] / 2)
        left, right = (float(end) for end in explorer.parts["solve"].x)
        assert brackets[0].tolist() == pytest.approx([left, right])
        assert left + 0.99 <= at <= right - 0.99, "the axis has room on both sides of the point"


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
        flow, state, x = flow_of(name), explorer.state, point(explorer).float()
        (one,) = explorer.models.values()
        assert one.triangular
        J = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0], x)
        if state["show"] == "push":
            check_push(explorer, J, one.rows, one.columns)
            return
        with torch.no_grad():
            check_step(explorer, J, one.rows, one.columns, flow(x[None])[0])
        assert ("each x off by" in explorer.readout) == (not isinstance(flow, Doubled))

    diagonal = {"order": None} if name == "torch's" else {}
    return Entry(lambda: TriangularExplorer(flow_of(name), data_of(30, dim)), check_any, 2, wakes=WAKES | diagonal)


ENTRIES = {
    "TriangularExplorer": Entry(
        TriangularExplorer,
        lambda explorer: check(explorer, default_model()),
        6,
        text="TriangularExplorer(show='push', factor=1, j=3, push=0, row=0, order=\"the map's\", d=0)",
        alt="Jacobian",
        wakes=WAKES,
    ),
    "TriangularExplorer, three orderings": Entry(
        lambda: TriangularExplorer(several(), data_of(40, 4)),
        lambda explorer: check(explorer, several()[explorer.state["model"]]),
        wakes=WAKES | {"order": {"model": "mixed"}},
    ),
    **{f"TriangularExplorer, {name}": any_map(name) for name in MAKE},
}
