"""The planar explorer's picture and the layers and bases handed in to it; its numbers are checked by the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from torch.distributions import Independent, Normal

from nfteach.flows import Planar
from nfteach.plots import palette
from nfteach.widgets import PlanarExplorer
from tests.explorers.entry import drawn
from tests.explorers.planes import trained_planar


@pytest.fixture(scope="module")
def shared():
    return PlanarExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def test_the_jacobian_is_diagonal_only_for_axis_aligned_vectors(explorer):
    explorer.preset("axis-aligned: diagonal after all")
    assert explorer.readout["J is"] == "diagonal"
    explorer.preset("the note's counterexample: w = (2, 1), u = (1, -1)")
    assert explorer.readout["J is"] == "full"
    assert explorer.readout["w.u given"] == pytest.approx(1.0)
    assert np.abs(drawn(explorer, "J")).min() > 0.05, "all four entries can be seen not to be zero"


def test_past_minus_one_the_map_folds_and_u_hat_mends_it(explorer):
    explorer.preset("fold it")
    assert explorer.readout["w.u used"] < -1
    assert explorer.readout["preimages"] == 3
    assert explorer.readout["det J"] < 0
    explorer.set(use_u_hat=True)
    assert explorer.readout["w.u used"] > -1
    assert explorer.readout["preimages"] == 1
    assert explorer.readout["det J"] > 0


def test_the_density_shown_has_mass_one(explorer):
    explorer.set(length_w=1.0, length_u=0.5)
    root = drawn(explorer, "density")
    assert float((root**2).sum()) * (8 / len(root)) ** 2 == pytest.approx(1.0, abs=5e-3)


def test_the_plane_is_where_w_z_plus_b_is_zero(explorer):
    explorer.set(angle_w=70.0, b=-1.3)
    w = 1.5 * np.array([math.cos(math.radians(70)), math.sin(math.radians(70))])
    points = drawn(explorer, "plane")
    np.testing.assert_allclose(points @ w - 1.3, 0, atol=1e-9)


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
    ruler = explorer.live.artist("given").axes
    low, high = ruler.get_xlim()
    explorer.set(angle_w=0.0, angle_u=0.0, **ends)  # the largest w.u that the controls can make
    assert low < -explorer.readout["w.u given"] < explorer.readout["w.u given"] < high
    assert -1 in ruler.get_xticks()


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


def test_the_constant_one_is_drawn_as_structural_zeros_and_ones(explorer):
    ax = next(ax for ax in explorer.live.figure.axes if ax.get_title() == "$I$")
    marks = ax.images[-1]
    colours = marks.to_rgba(marks.get_array())[..., :3]
    zero, one = to_rgb(palette.ZERO), to_rgb(palette.ONE)
    np.testing.assert_allclose(colours, [[one, zero], [zero, one]], atol=1e-6)
    assert [text.get_text() for text in ax.texts] == ["1", "1"]
    dots = [tuple(map(float, point)) for line in ax.lines for point in line.get_xydata()]
    assert sorted(dots) == [(0.0, 1.0), (1.0, 0.0)]


def test_two_normals_are_taken_as_one_base_of_the_plane(explorer):
    own = PlanarExplorer(base=Normal(torch.zeros(2), torch.ones(2)))
    assert own.error == ""
    shown, expected = (drawn(e, "density") for e in (own, explorer))
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_another_base_has_its_own_density_and_samples():
    explorer = PlanarExplorer(
        base=Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([0.3, 0.3])), 1), length_u=0.0
    )
    root = drawn(explorer, "density")
    row, column = np.unravel_index(root.argmax(), root.shape)
    assert (column + 0.5) / len(root) * 8 - 4 == pytest.approx(1.0, abs=0.06)
    assert (row + 0.5) / len(root) * 8 - 4 == pytest.approx(0.0, abs=0.06)
    with pytest.raises(ValueError, match="base must draw one point of the plane"):
        PlanarExplorer(base=Normal(0.0, 1.0))
