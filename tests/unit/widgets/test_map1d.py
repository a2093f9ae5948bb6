"""The picture of the 1-D map explorer; its numbers are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer1D
from nfteach.widgets.map1d.maps import Bent
from tests.explorers.entry import drawn
from tests.explorers.lines import EXACT, by_hand, inverse_by_hand, normal_cdf


@pytest.fixture(scope="module")
def shared():
    return MapExplorer1D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def area_of(polygon):
    x, y = polygon.get_xy()[:-1].T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def test_two_hills_are_two(explorer):
    explorer.preset("two hills")
    q = drawn(explorer, "density")[:, 0]
    hills = (q[1:-1] > q[:-2]) & (q[1:-1] > q[2:])
    assert hills.sum() == 2


def test_a_mirror_turns_the_slope_and_nothing_else(explorer):
    before = explorer.readout
    explorer.preset("mirror")
    after = explorer.readout
    for name in ("slope dx/dz", "x = f(z)"):
        assert after[name] == pytest.approx(-before[name])
    for name in ("q(x)", "p(z) / |slope|", "log|dx/dz| at z", "mass, over x", "area under q"):
        assert after[name] == pytest.approx(before[name], rel=1e-6)
        assert after[name] > 0 or "log" in name
    assert explorer.live.artist("slope").get_text().startswith("slope −")


@pytest.mark.parametrize("preset", ["squeeze", "two hills", "mirror"])
def test_the_strip_that_is_drawn_has_the_same_area_in_both_densities(explorer, preset):
    explorer.preset(preset)
    masses = [explorer.readout["mass, over z"], explorer.readout["mass, over x"]]
    strips = [explorer.live.artist(name) for name in ("base strip", "image strip")]
    assert [area_of(strip) for strip in strips] == pytest.approx(masses, rel=5e-3)
    # And in inches on the screen, too: the axes of p and of q have one scale.
    inches = []
    for strip in strips:
        x, y = strip.axes.transData.transform(strip.get_xy()[:-1]).T
        inches.append(abs(np.roll(y, -1) @ x - y @ np.roll(x, -1)))
    assert inches[0] == pytest.approx(inches[1], rel=1e-2)


def test_the_curves_are_the_map_and_its_density(explorer):
    explorer.set(bend=-1.0, at=0.7, shift=0.4)
    graph = drawn(explorer, "graph")
    np.testing.assert_allclose(graph[:, 1], by_hand(explorer.state, graph[:, 0]), atol=EXACT)
    q, x = drawn(explorer, "density").T
    for k in range(60, 260, 40):
        step = 1e-5
        below, above = (normal_cdf(inverse_by_hand(explorer.state, x[k] + side * step)) for side in (-1, 1))
        assert q[k] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8)


def test_the_table_in_the_picture_is_width_height_and_mass(explorer):
    explorer.set(z=-0.4, width=0.5)
    state = explorer.state
    x = [by_hand(state, state["z"] + side * 0.25) for side in (-1, 1)]
    for side, width, told in (("in z", 0.5, "mass, over z"), ("in x", x[1] - x[0], "mass, over x")):
        mass = explorer.readout[told]
        rows = ("width", "× height", "= mass")
        shown = [float(explorer.live.artist(f"{row}, {side}").get_text()) for row in rows]
        assert shown == pytest.approx([width, mass / width, mass], abs=6e-4)


def test_an_image_outside_the_picture_is_pointed_out_and_can_be_dragged_back(explorer):
    explorer.set(bend=-1.5, z=3.0)
    assert explorer.readout["x = f(z)"] > 20
    assert "outside" in explorer.live.artist("beyond").get_text()
    (point,) = drawn(explorer, "probe")
    assert point[1] == explorer.live.artist("probe").axes.get_ylim()[1]
    explorer.set(z=0.0)
    assert explorer.live.artist("beyond").get_text() == ""


def test_a_drag_moves_z_alone(explorer):
    before = explorer.state
    explorer.set(**explorer.dragged("probe", -1.234, 4.0))
    assert explorer.state == {**before, "z": -1.23}
    explorer.set(**explorer.dragged("probe", 99.0, 0.0))
    assert explorer.state["z"] == explorer.controls["z"].max
    assert "z" in explorer.live.handles["probe"]


def test_the_family_passes_the_inspector():
    z = torch.linspace(-2.5, 2.5, 9, dtype=torch.float64)[:, None]
    for beta in (-1.5, -0.3, 0.0, 0.3, 3.0):
        for mirror in (False, True):
            f = Bent(stretch=1.7, shift=-0.4, beta=beta, at=0.6, mirror=mirror)
            inspect_jacobian(f, z).check()
            assert f.sign == (-1 if mirror else 1)
    with pytest.raises(ValueError, match="stretch must be positive, but is 0"):
        Bent(stretch=0)
