"""The knot explorer's densities, its drags and its hidden controls; its numbers are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest

from nfteach.widgets import KnotExplorer
from tests.explorers.entry import drawn
from tests.explorers.front_end import drag
from tests.explorers.knots import by_hand, knots_of


@pytest.fixture(scope="module")
def shared():
    return KnotExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def area(polygon: np.ndarray) -> float:
    """Return the area of a polygon (n, 2), by the shoelace formula."""
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def modes(density: np.ndarray) -> int:
    """Return the number of local maxima."""
    rises = np.sign(np.diff(density))
    rises = rises[rises != 0]
    return int(((rises[:-1] > 0) & (rises[1:] < 0)).sum())


def test_both_areas_are_one_and_both_slices_equal(explorer):
    unit = area(drawn(explorer, "p area"))
    assert unit == pytest.approx(3.2, rel=1e-3), "the scale on which densities are drawn, times one"
    for name in ("identity", "two bumps"):
        explorer.preset(name)
        assert area(drawn(explorer, "q area")) == pytest.approx(unit, rel=3e-3)
        assert area(drawn(explorer, "q slice")) == pytest.approx(area(drawn(explorer, "p slice")), rel=3e-3)


def test_two_bumps_are_two_and_a_plateau_is_one_peak(explorer):
    def tops() -> np.ndarray:
        polygon = drawn(explorer, "q area")
        return polygon[: len(polygon) // 2, 0].round(9)

    explorer.preset("identity")
    assert modes(tops()) == 1
    explorer.preset("two bumps")
    assert modes(tops()) == 2
    explorer.preset("a plateau")
    assert tops().max() - tops().min() > 3.0, "denser than 0.9 where f is flat"


def test_the_density_of_the_coupling_has_mass_one(explorer):
    explorer.preset("two bumps")
    explorer.set(show="coupling", shift=-0.7)
    mark = explorer.live.mark("density")
    left, right, bottom, top = mark.extent
    cell = (right - left) * (top - bottom) / mark.values.numel()
    assert float(mark.values.sum()) * cell == pytest.approx(1.0, abs=2e-3)


def test_a_dragged_knot_stops_at_its_neighbours(explorer):
    rng = np.random.default_rng(0)
    explorer.set(bins=6)
    for _ in range(60):
        k = int(rng.integers(1, 6))
        x, y = rng.uniform(-6, 6, 2)
        others = {n: drawn(explorer, f"knot {n}").copy() for n in range(1, 6) if n != k}
        drag(explorer.live, f"knot {k}", x, y)
        assert explorer.error == ""
        assert explorer.state["knot"] == k
        for n, place in others.items():
            np.testing.assert_allclose(drawn(explorer, f"knot {n}"), place, atol=0.011)
        knots = np.array([[-3, -3], *(drawn(explorer, f"knot {n}") for n in range(1, 6)), [3, 3]])
        assert np.diff(knots, axis=0).min() > 0.08
        assert np.diff(drawn(explorer, "curve")[:, 1]).min() > 0


def test_a_knot_that_is_free_goes_where_it_is_dragged(explorer):
    drag(explorer.live, "knot 3", -0.25, 0.4)
    assert (explorer.state["x3"], explorer.state["y3"]) == (-0.25, 0.4)
    np.testing.assert_allclose(drawn(explorer, "knot 3"), [-0.25, 0.4])


def test_the_slope_is_turned_by_its_handle(explorer):
    drag(explorer.live, "knot 2", -1.0, -1.0)
    x, y = drawn(explorer, "knot 2")
    drag(explorer.live, "slope", x + 0.4, y + 0.8)
    assert explorer.state["s2"] == 2.0
    state = explorer.state

    def f(x: float) -> float:
        return by_hand(x, knots_of(state))

    for h in (1e-5, -1e-5):
        assert (f(x + h) - f(x)) / h == pytest.approx(2.0, abs=1e-3), "from both sides"
    drag(explorer.live, "slope", x - 1, y + 1)
    assert explorer.state["s2"] == explorer.controls["s2"].max
    drag(explorer.live, "slope", x + 1, y - 1)
    assert explorer.state["s2"] == explorer.controls["s2"].min


def test_only_controls_that_move_something_are_in_view(explorer):
    def in_view() -> set[str]:
        return {name for name, control in explorer.controls.items() if control.layout.display != "none"}

    assert in_view() == {"show", "bins", "x", "knot", "s3", "x2", "x3", "x4", "y2", "y3", "y4"}
    explorer.set(bins=2, knot=5)
    assert in_view() == {"show", "bins", "x", "knot", "s3", "x3", "y3"}
    explorer.set(show="coupling")
    assert in_view() == {"show", "x", "x_A", "shift", "x3", "y3"}


def test_x_is_dragged_in_both_pictures(explorer):
    drag(explorer.live, "probe", -1.25, 0.7)
    assert explorer.state["x"] == -1.25
    explorer.set(show="coupling")
    drag(explorer.live, "x point", 0.5, 1.75)
    assert (explorer.state["x_A"], explorer.state["x"]) == (0.5, 1.75)


def test_lines_of_the_grid_that_stand_stay_lines(explorer):
    explorer.set(show="coupling")
    grid = drawn(explorer, "grid")
    assert np.ptp(grid[21:, :, 0], axis=1).max() == 0, "x_A passes"
    assert np.ptp(grid[:21, :, 1], axis=1).max() > 0.5, "lines of constant x_B are bent"
