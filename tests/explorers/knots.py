"""The knot explorer, against differences of a spline written out by hand, and quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from nfteach.widgets import KnotExplorer
from nfteach.widgets.knots import BOUND, GAP
from tests.explorers.entry import Entry, anywhere, corners, drawn

__all__ = ["ENTRIES", "by_hand", "knots_of"]

USED = {2: [3], 3: [2, 4], 4: [2, 3, 4], 5: [1, 2, 4, 5], 6: [1, 2, 3, 4, 5]}
KNOTS = [f"{letter}{k}" for letter in "xys" for k in range(1, 6)]


def knots_of(state: dict[str, Any], x_a: float | None = None) -> list[tuple[float, float, float]]:
    """Return the knots (x, y, slope) of a state, one after the other; in a coupling, those that x_A chooses."""
    knots = [(-BOUND, -BOUND, 1.0)]
    used = USED[state["bins"]]
    for i, k in enumerate(used):
        # A knot stands where its control stands, but after the last one, and with room for those to come.
        last = BOUND - (len(used) - i) * GAP
        x, y = (min(max(state[f"{letter}{k}"], knots[-1][n] + GAP), last) for n, letter in enumerate("xy"))
        knots.append((x, y, state[f"s{k}"]))
    knots.append((BOUND, BOUND, 1.0))
    if x_a is None:
        return knots
    push = state["shift"] * math.tanh(x_a)
    return [(x, y + push * (1 - y * y / 9), slope) for x, y, slope in knots]


def by_hand(x: float, knots: list[tuple[float, float, float]]) -> float:
    """Return the curve of Durkan et al. (2019), algorithm of section 3.1, at one x."""
    if abs(x) >= BOUND:
        return x
    k = max(i for i, knot in enumerate(knots) if knot[0] <= x)
    (x0, y0, d0), (x1, y1, d1) = knots[k], knots[k + 1]
    s, t = (y1 - y0) / (x1 - x0), (x - x0) / (x1 - x0)
    return y0 + (y1 - y0) * (s * t * t + d0 * t * (1 - t)) / (s + (d1 + d0 - 2 * s) * t * (1 - t))


def slope(f: Callable[[float], float], x: float, h: float = 1e-6) -> float:
    return (f(x + h) - f(x - h)) / (2 * h)


def normal(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def check(explorer: KnotExplorer) -> None:
    """Compare the numbers with differences of the curve by hand, and what is drawn with that curve."""
    (check_coupling if explorer.state["show"] == "coupling" else check_curve)(explorer)


def check_numbers(explorer: KnotExplorer, f: Callable[[float], float], p: float) -> None:
    told, x = explorer.readout, explorer.state["x"]
    # Differences across a knot see both bends: their error is h f'' there.
    assert told["f′(x)"] == pytest.approx(slope(f, x), rel=2e-3, abs=1e-5)
    assert told["f′(x)"] > 0
    assert told["log|det J|"] == pytest.approx(math.log(told["f′(x)"]), abs=1e-12)
    assert told["y"] == pytest.approx(f(x), abs=1e-9)
    assert told["f⁻¹(y)"] == pytest.approx(x, abs=1e-6)
    assert told["p(x)"] == pytest.approx(p)
    assert told["q(y)"] == pytest.approx(p / told["f′(x)"])


def check_curve(explorer: KnotExplorer) -> None:
    state, knots = explorer.state, knots_of(explorer.state)

    def f(x: float) -> float:
        return by_hand(x, knots)

    check_numbers(explorer, f, normal(state["x"]))
    curve = drawn(explorer, "curve")
    assert np.diff(curve[:, 1]).min() > 0, "increasing everywhere"
    np.testing.assert_allclose(curve[:, 1], [f(x) for x in curve[:, 0]], atol=1e-9)
    for (x, y, _), k in zip(knots[1:-1], USED[state["bins"]], strict=True):
        np.testing.assert_allclose(drawn(explorer, f"knot {k}"), [x, y], atol=1e-9)


def check_coupling(explorer: KnotExplorer) -> None:
    state = explorer.state
    a, b = state["x_A"], state["x"]
    check_numbers(explorer, lambda x: by_hand(x, knots_of(state, a)), normal(a) * normal(b))
    J = drawn(explorer, "J")
    assert J[0].tolist() == [1.0, 0.0]
    assert J[1, 0] == pytest.approx(slope(lambda x: by_hand(b, knots_of(state, x)), a), abs=1e-5)
    assert J[1, 1] == pytest.approx(explorer.readout["f′(x)"])
    assert explorer.readout["dy_B/dx_A"] == pytest.approx(J[1, 0])
    np.testing.assert_allclose(drawn(explorer, "y"), [[a, by_hand(b, knots_of(state, a))]], atol=1e-9)


def states(explorer: KnotExplorer) -> Iterator[dict[str, Any]]:
    """Yield states with all knots at their ends, in either picture, and random ones."""
    rng = np.random.default_rng(7)
    for show in ("curve", "coupling"):
        for corner in corners(explorer, KNOTS):
            yield {**corner, "show": show, "bins": 6}
        for _ in range(3):
            yield {**anywhere(explorer, rng), "show": show}


SIX, COUPLING = {"bins": 6}, {"show": "coupling"}
ENTRIES = {
    "KnotExplorer": Entry(
        KnotExplorer,
        check,
        5,
        also=states,
        wakes={
            **{f"{letter}{k}": SIX for letter in "xys" for k in (1, 5)}, "x_A": COUPLING, "shift": COUPLING,
        },
        alt="knots",
    ),
}  # fmt: skip
