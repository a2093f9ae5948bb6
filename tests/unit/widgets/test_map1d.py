"""The picture of the 1-D map explorer; its numbers are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import ExpTransform

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer1D
from nfteach.widgets.line_maps import Bent
from tests.explorers.entry import drawn
from tests.explorers.front_end import drag
from tests.explorers.lines import EXACT, by_hand, inverse_by_hand, normal_cdf


@pytest.fixture(scope="module")
def shared():
    return MapExplorer1D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def area_of(polygon):
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def q_and_x(explorer):
    """Return q and x (n,) along the curve that is drawn over the axis of x."""
    heights, x = drawn(explorer, "density").T
    return (heights - explorer.parts["chart"].x[0]) / scale(explorer), x


def scale(explorer):
    """Return how many units of the vertical axis a unit of p is drawn high."""
    chart, (z, height) = explorer.parts["chart"], drawn(explorer, "p").T
    top = height.argmax()
    return (height[top] - chart.y[0]) / (np.exp(-0.5 * z[top] ** 2) / np.sqrt(2 * np.pi))


def test_two_hills_are_two(explorer):
    explorer.preset("two hills")
    q, _ = q_and_x(explorer)
    hills = (q[1:-1] > q[:-2]) & (q[1:-1] > q[2:])
    assert hills.sum() == 2


def test_a_mirror_turns_the_slope_and_nothing_else(explorer):
    before = explorer.readout
    explorer.preset("mirror")
    after = explorer.readout
    for name in ("slope f′(z)", "x = f(z)"):
        assert after[name] == pytest.approx(-before[name])
    for name in ("q(x)", "p(z) / |slope|", "log|dx/dz| at z", "mass, over dx", "area under q"):
        assert after[name] == pytest.approx(before[name], rel=1e-6)
        assert after[name] > 0 or "log" in name
    assert explorer.live.mark("slope").text.startswith("slope −")


@pytest.mark.parametrize("preset", ["squeeze", "two hills", "mirror"])
def test_the_strip_that_is_drawn_has_the_same_area_in_both_densities(explorer, preset):
    explorer.preset(preset)
    masses = [explorer.readout["mass, over dz"], explorer.readout["mass, over dx"]]
    areas = [area_of(drawn(explorer, name)) / scale(explorer) for name in ("dz", "dx")]
    assert areas == pytest.approx(masses, rel=5e-3)
    whole = [area_of(drawn(explorer, name)) / scale(explorer) for name in ("p area", "q area")]
    assert whole == pytest.approx([1.0, 1.0], abs=2e-3)


def test_the_curves_are_the_map_and_its_density(explorer):
    explorer.set(bend=-1.0, at=0.7, shift=0.4)
    graph = drawn(explorer, "graph")
    np.testing.assert_allclose(graph[:, 1], by_hand(explorer.state, graph[:, 0]), atol=EXACT)
    q, x = q_and_x(explorer)
    for k in range(40, len(x) - 40, 60):
        step = 1e-5
        below, above = (normal_cdf(inverse_by_hand(explorer.state, x[k] + side * step)) for side in (-1, 1))
        assert q[k] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8)


def test_the_graph_ends_where_the_axes_end(explorer):
    for state in ({}, {"mirror": True}, {"bend": -1.5, "stretch": 2.5, "shift": 2.0}):
        explorer.set(**state)
        z, x = drawn(explorer, "graph").T
        low, high = drawn(explorer, "x axis")[:, 1]
        assert low - 1e-9 <= x.min() < x.max() <= high + 1e-9
        assert -4 <= z.min() < z.max() <= 4


def test_the_strip_goes_up_to_the_graph_and_across(explorer):
    explorer.set(z=-0.4, width=0.5)
    ends = np.array([-0.65, -0.15])
    images = by_hand(explorer.state, ends)
    chart = explorer.parts["chart"]
    up, across = drawn(explorer, "up"), drawn(explorer, "across")
    assert (up[:, 0].min(), up[:, 0].max(), up[:, 1].min()) == pytest.approx((*ends, chart.y[0]))
    assert (across[:, 1].min(), across[:, 1].max(), across[:, 0].min()) == pytest.approx((*images, chart.x[0]))
    assert up[:, 1].max() == pytest.approx(images[1])
    assert across[:, 0].max() == pytest.approx(ends[1])


def test_z_x_the_point_and_the_width_can_be_dragged(explorer):
    before = explorer.state
    drag(explorer.live, "z", -1.234, 4.0)
    assert explorer.state == {**before, "z": -1.23}
    drag(explorer.live, "point", 99.0, 0.0)
    assert explorer.state["z"] == explorer.controls["z"].max
    explorer.set(bend=-1.5, z=3.0)
    assert drawn(explorer, "x")[1] > 20, "far out of the picture: it is shown at its edge"
    drag(explorer.live, "x", 0.0, 0.5)
    assert by_hand(explorer.state, explorer.state["z"]) == pytest.approx(0.5, abs=0.03)
    at = drawn(explorer, "width")
    drag(explorer.live, "width", at[0] + 0.2, 0.0)
    assert explorer.state["width"] == pytest.approx(0.8)


def test_a_drag_of_x_goes_through_the_inverse_of_a_map_that_is_handed_in():
    explorer = MapExplorer1D(transform=ExpTransform())
    drag(explorer.live, "x", 0.0, 2.0)
    assert explorer.state["z"] == pytest.approx(np.log(2.0), abs=6e-3)
    assert set(explorer.essential) == {"z", "width"}


def test_the_family_passes_the_inspector():
    z = torch.linspace(-2.5, 2.5, 9, dtype=torch.float64)[:, None]
    for beta in (-1.5, -0.3, 0.0, 0.3, 3.0):
        for mirror in (False, True):
            inspect_jacobian(Bent(1.7, -0.4, beta, 0.6, mirror), z).check()
            inspect_jacobian(Bent(1.7, -0.4, beta, 0.6, mirror, centre=2.0, spread=0.5), z).check()
