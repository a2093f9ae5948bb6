"""The planar explorer's picture and the layers and bases handed in to it; its numbers are checked by the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from nfteach.flows import Planar
from nfteach.widgets import PlanarExplorer
from nfteach.widgets.parts import Handle
from tests.explorers.entry import drawn
from tests.explorers.front_end import drag
from tests.explorers.planes import trained_planar


@pytest.fixture(scope="module")
def shared():
    return PlanarExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def test_the_jacobian_is_diagonal_only_for_axis_aligned_vectors(explorer):
    explorer.set(show_J=True)
    explorer.preset("axis-aligned")
    assert explorer.readout["J is"] == "diagonal"
    J = explorer.parts["J"]
    assert J.one.tolist() == [[False, False], [False, True]], "u and w have a zero each: these entries stay for every z"
    assert J.zero.tolist() == [[False, True], [True, False]]
    explorer.preset("w = (2, 1), u = (1, \N{MINUS SIGN}1)")
    assert explorer.readout["J is"] == "full"
    assert explorer.readout["w·u"] == pytest.approx(1.0)
    assert not explorer.parts["J"].zero.any()
    assert np.abs(drawn(explorer, "J")).min() > 0.05, "all four entries can be seen not to be zero"


def test_past_minus_one_the_map_folds_and_u_hat_mends_it(explorer):
    explorer.preset("fold it")
    assert explorer.readout["w·u"] < -1
    assert explorer.readout["preimages"] == 3
    assert explorer.readout["det J"] < 0
    explorer.set(use_u_hat=True)
    assert explorer.readout["w·u"] > -1
    assert explorer.readout["preimages"] == 1
    assert explorer.readout["det J"] > 0


def test_the_density_shown_has_mass_one(explorer):
    explorer.set(length_w=1.0, length_u=0.4)
    density, (left, right, bottom, top) = drawn(explorer, "density"), explorer.live.mark("density").extent
    assert float(density.sum()) * (right - left) * (top - bottom) / density.size == pytest.approx(1.0, abs=5e-3)


def test_the_plane_is_where_w_z_plus_b_is_zero(explorer):
    explorer.set(angle_w=70.0, b=-1.3)
    w = 1.5 * np.array([math.cos(math.radians(70)), math.sin(math.radians(70))])
    for name in ("w·z + b = 0", "b", "name"):
        np.testing.assert_allclose(drawn(explorer, name) @ w - 1.3, 0, atol=1e-9)


def test_the_strip_is_where_three_points_land(explorer):
    explorer.preset("fold it")
    strip, w = drawn(explorer, "strip"), np.array([math.cos(math.radians(25)), math.sin(math.radians(25))])
    across = strip @ w
    low, high = across.min(), across.max()
    assert not np.ptp(across.reshape(2, 2), axis=1).any() or np.ptp(across.reshape(2, 2), axis=1).max() < 1e-9
    turn = math.atanh(math.sqrt(1 + 1 / explorer.readout["w·u"]))
    for side, count in ((0.98, 3), (1.02, 1)):
        explorer.set(z1=0.0, z2=0.0)
        # Move z until f(z) stands just inside, just outside of the strip's edge: z = t w, a = 1.6 t.
        ts = np.linspace(-3, 3, 200_001)
        wu = explorer.readout["w·u"]
        image = ts + wu * np.tanh(1.6 * ts) / 1.6
        assert turn / 1.6 == pytest.approx(abs(ts[np.argmin(np.where(ts < 0, -image, image))]), abs=1e-3)
        crossings = int((np.diff(np.sign(image - side * high)) != 0).sum())
        assert crossings == count
    assert low == pytest.approx(-high)


def test_w_u_the_plane_and_z_are_dragged(explorer):
    explorer.set(b=0.6)
    for name in ("u", "w"):
        drag(explorer.live, name, 0.9, -1.4)
        assert explorer.error == ""
        np.testing.assert_allclose(drawn(explorer, name), [0.9, -1.4], atol=0.03)
    assert np.linalg.norm(explorer.live.mark("w arrow").tails.numpy()) == pytest.approx(0.6 / 1.5, abs=0.01)
    drag(explorer.live, "b", 1.0, 1.0)
    w = drawn(explorer, "w") - explorer.live.mark("w arrow").tails[0].numpy()
    assert explorer.state["b"] == pytest.approx(-w.sum(), abs=0.006), "the plane goes through where it was dragged"
    drag(explorer.live, "z", -1.0, 0.5)
    assert (explorer.state["z1"], explorer.state["z2"]) == (-1.0, 0.5)


def test_tips_snap_to_the_axes(explorer):
    explorer.reset()
    drag(explorer.live, "w", 1.7, 0.02)
    assert explorer.state["angle_w"] == 0.0


def test_a_layer_of_the_readers_own_is_shown():
    layer = Planar(2, "leaky_relu")
    explorer = PlanarExplorer(layer)
    z = torch.tensor([explorer.state["z1"], explorer.state["z2"]])
    assert explorer.state["h"] == "leaky_relu"
    assert explorer.readout["log|det J|"] == pytest.approx(layer.call_and_ladj(z)[1].item(), abs=1e-5)
    with pytest.raises(ValueError, match="two dimensions"):
        PlanarExplorer(Planar(3))


@pytest.mark.parametrize("constrained", [True, False])
def test_controls_reach_as_far_as_a_trained_layers_numbers(constrained):
    layer = trained_planar(constrained)
    explorer = PlanarExplorer(layer)
    z = torch.tensor([explorer.state["z1"], explorer.state["z2"]], dtype=torch.float64)
    assert explorer.readout["log|det J|"] == pytest.approx(layer.call_and_ladj(z)[1].item(), abs=1e-9)
    ends = {name: explorer.controls[name].max for name in ("length_w", "length_u", "b")}
    assert ends == {"length_w": 4, "length_u": 5, "b": 5}, "rounded up"
    assert explorer.controls["b"].min == -5
    explorer.set(angle_w=0.0, angle_u=0.0, **ends)  # the largest w.u that the controls can make
    assert explorer.error == ""
    assert explorer.readout["w·u"] > 4


def test_a_short_layer_leaves_the_controls_as_they_are(explorer):
    layer = Planar(2)
    for parameter in layer.parameters():
        parameter.data.fill_(0.1)
    own = PlanarExplorer(layer)
    for name in ("length_w", "length_u", "b"):
        assert own.controls[name].max == explorer.controls[name].max


def test_a_layer_that_is_nan_is_refused_by_name():
    layer = Planar(2)
    layer.w.data[0] = float("nan")
    with pytest.raises(ValueError, match="layer must have finite numbers, but w is"):
        PlanarExplorer(layer)


def test_two_normals_are_taken_as_one_base_of_the_plane(explorer):
    own = PlanarExplorer(base=Normal(torch.zeros(2), torch.ones(2)))
    assert own.error == ""
    shown, expected = (drawn(e, "density") for e in (own, explorer))
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_another_base_has_its_own_density_and_samples():
    explorer = PlanarExplorer(
        base=Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([0.3, 0.3])), 1), length_u=0.0
    )
    density, (left, right, bottom, top) = drawn(explorer, "density"), explorer.live.mark("density").extent
    row, column = np.unravel_index(density.argmax(), density.shape)
    assert left + (column + 0.5) / density.shape[1] * (right - left) == pytest.approx(1.0, abs=0.06)
    assert bottom + (row + 0.5) / density.shape[0] * (top - bottom) == pytest.approx(0.0, abs=0.06)
    with pytest.raises(ValueError, match="base must draw one point of 2 dimensions"):
        PlanarExplorer(base=Normal(0.0, 1.0))


def test_the_other_points_that_land_on_f_z_are_crosses_and_no_handles(explorer):
    assert not explorer.live.mark("others").visible
    explorer.preset("fold it")
    crosses, image = drawn(explorer, "others"), drawn(explorer, "f(z)")[0]
    w, u = (
        explorer.state[f"length_{name}"]
        * np.array([np.cos(a := np.deg2rad(explorer.state[f"angle_{name}"])), np.sin(a)])
        for name in "wu"
    )
    middles = crosses.mean(1)[::2]
    np.testing.assert_allclose(middles + np.tanh(middles @ w)[:, None] * u, np.tile(image, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(crosses.mean(1)[1::2], middles)
    assert sum(isinstance(mark, Handle) for mark in explorer.parts["plane"].marks.values()) == 4, "b, w, u and z"
