"""The 1-D map explorer without a browser: each number it shows equals one computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer1D
from nfteach.widgets.map1d.maps import Bent

EXACT = 1e-8  # float64 and closed forms
TRAPEZOID = 1e-4  # an area by 2,001 nodes; four decimals are shown


@pytest.fixture(scope="module")
def shared():
    return MapExplorer1D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def by_hand(state, z):
    """f(z), written out in NumPy from the docstring alone."""
    beta, u = state["bend"], z - state["at"]
    if beta > 1e-6:
        u = np.arcsinh(u * math.sinh(beta)) / beta
    elif beta < -1e-6:
        u = np.sinh(-beta * u) / math.sinh(-beta)
    x = state["stretch"] * (state["at"] + u)
    return state["shift"] + (-x if state["mirror"] else x)


def inverse_by_hand(state, x):
    """f^-1(x) by bisection."""
    low, high, sign = -60.0, 60.0, -1 if state["mirror"] else 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sign * (by_hand(state, middle) - x) < 0 else (low, middle)
    return middle


def normal_cdf(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def check(explorer):
    state, told = explorer.state, explorer.readout
    assert explorer.error == ""
    z, half, h = state["z"], state["width"] / 2, 1e-5
    x = by_hand(state, z)
    slope = (by_hand(state, z + h) - by_hand(state, z - h)) / (2 * h)
    p = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    assert told["z"] == z
    assert told["x = f(z)"] == pytest.approx(x, abs=EXACT)
    assert told["slope dx/dz"] == pytest.approx(slope, rel=1e-6)
    assert told["p(z)"] == pytest.approx(p, abs=EXACT)
    # q is the slope of x's distribution function, whichever way the map goes.
    step = 1e-4 * abs(slope)
    ends = [normal_cdf(inverse_by_hand(state, x + side * step)) for side in (-1, 1)]
    q = abs(ends[1] - ends[0]) / (2 * step)
    assert told["q(x)"] == pytest.approx(q, rel=1e-4, abs=1e-9)
    assert told["p(z) / |slope|"] == pytest.approx(told["q(x)"], rel=1e-9)
    assert told["log|dx/dz| at z"] == pytest.approx(math.log(abs(slope)), abs=1e-6)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=EXACT)
    mass = normal_cdf(z + half) - normal_cdf(z - half)
    assert told["mass, over z"] == pytest.approx(mass, abs=EXACT)
    assert told["mass, over x"] == pytest.approx(mass, abs=1e-6)
    assert told["area under p"] == pytest.approx(1.0, abs=TRAPEZOID)
    assert told["area under q"] == pytest.approx(1.0, abs=TRAPEZOID)


SLIDERS = ["stretch", "shift", "bend", "at", "z", "width"]


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("name", SLIDERS)
def test_every_control_works_at_its_ends(explorer, name, end):
    explorer.set(**{name: getattr(explorer.controls[name], end)})
    check(explorer)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("corner", range(8))
def test_all_controls_at_their_ends_together(explorer, corner, mirror):
    ends = ["min", "max"]
    picked = {name: ends[corner >> (k % 3) & 1] for k, name in enumerate(SLIDERS)}
    explorer.set(mirror=mirror, **{name: getattr(explorer.controls[name], end) for name, end in picked.items()})
    check(explorer)


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_right_at_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(explorer.controls[name].min, explorer.controls[name].max) for name in SLIDERS}
    explorer.set(mirror=seed % 2 == 1, **{name: float(value) for name, value in values.items()})
    check(explorer)


@pytest.mark.parametrize("name", [*SLIDERS, "mirror"])
def test_every_control_moves_the_picture(explorer, name):
    before = explorer.live.static_png(1)
    control = explorer.controls[name]
    control.value = True if name == "mirror" else control.value + 0.3  # as the browser does
    assert explorer.live.static_png(1) != before
    check(explorer)


@pytest.mark.parametrize("name", MapExplorer1D.presets)
def test_presets_are_worth_a_look_and_right(explorer, name):
    before = explorer.live.static_png(1)
    explorer.preset(name)
    assert explorer.live.static_png(1) != before
    check(explorer)


def artist(explorer, name):
    return explorer.live._moving[name].artist


def area_of(polygon):
    x, y = polygon.get_xy()[:-1].T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def test_two_hills_are_two(explorer):
    explorer.preset("two hills")
    q = artist(explorer, "density").get_xdata()
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
    assert artist(explorer, "slope").get_text().startswith("slope −")


@pytest.mark.parametrize("preset", ["squeeze", "two hills", "mirror"])
def test_the_strip_that_is_drawn_has_the_same_area_in_both_densities(explorer, preset):
    explorer.preset(preset)
    masses = [explorer.readout["mass, over z"], explorer.readout["mass, over x"]]
    drawn = [area_of(artist(explorer, name)) for name in ("base strip", "image strip")]
    assert drawn == pytest.approx(masses, rel=5e-3)
    # And in inches on the screen, too: the axes of p and of q have one scale.
    inches = []
    for name in ("base strip", "image strip"):
        polygon = artist(explorer, name)
        corners = polygon.axes.transData.transform(polygon.get_xy()[:-1])
        inches.append(abs(np.roll(corners[:, 1], -1) @ corners[:, 0] - corners[:, 1] @ np.roll(corners[:, 0], -1)))
    assert inches[0] == pytest.approx(inches[1], rel=1e-2)


def test_what_is_drawn_is_the_map_and_its_density(explorer):
    explorer.set(bend=-1.0, at=0.7, shift=0.4)
    graph = artist(explorer, "graph").get_xydata()
    np.testing.assert_allclose(graph[:, 1], by_hand(explorer.state, graph[:, 0]), atol=EXACT)
    q, x = artist(explorer, "density").get_xydata().T
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
        shown = [float(artist(explorer, f"{row}, {side}").get_text()) for row in ("width", "× height", "= mass")]
        assert shown == pytest.approx([width, mass / width, mass], abs=6e-4)


def test_an_image_outside_the_picture_is_said_to_be_there_and_can_be_dragged_back(explorer):
    explorer.set(bend=-1.5, z=3.0)
    assert explorer.readout["x = f(z)"] > 20
    assert "outside" in artist(explorer, "beyond").get_text()
    ax = artist(explorer, "probe").axes
    (point,) = artist(explorer, "probe").get_offsets()
    assert point[1] == ax.get_ylim()[1]
    explorer.set(z=0.0)
    assert artist(explorer, "beyond").get_text() == ""


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


def test_its_text_is_constant(explorer):
    assert repr(explorer) == ("MapExplorer1D(stretch=1.5, shift=0, bend=1.2, at=-0.5, mirror=False, z=0.7, width=0.4)")
    assert explorer.help
    assert explorer.live.alt.startswith("Three joined axes")
