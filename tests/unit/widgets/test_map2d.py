"""The picture of the 2-D map explorer; its numbers are checked by the registry."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer2D
from nfteach.widgets.map2d.maps import PLANE_MAPS
from tests.explorers.entry import drawn
from tests.explorers.planes import by_hand, slopes


@pytest.fixture(scope="module")
def shared():
    return MapExplorer2D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


@pytest.mark.parametrize("name", PLANE_MAPS)
def test_every_map_passes_the_inspector(name):
    x = torch.randn(8, 2, dtype=torch.float64)
    for amount in (-2.0, -0.3, 0.0, 1.1, 2.0):
        inspect_jacobian(PLANE_MAPS[name](amount), x).check()
    words = PLANE_MAPS[name](-0.5).words("z", "x")
    assert words.startswith(name)


def test_the_second_amount_is_there_with_the_second_map(explorer):
    assert explorer.controls["then_amount"].layout.display == "none"
    explorer.set(then="stretch")
    assert explorer.controls["then_amount"].layout.display is None
    before = explorer.readout["det J"]
    explorer.set(then_amount=-1.0)
    assert explorer.readout["det J"] == pytest.approx(before / 4)


def test_the_ratio_of_the_areas_nears_the_determinant_as_the_square_shrinks(explorer):
    gaps = []
    for side in (1.6, 0.8, 0.4, 0.2, 0.1, 0.05, 0.02):
        explorer.set(side=side)
        gaps.append(abs(explorer.readout["area ratio"] - abs(explorer.readout["det J"])))
    assert all(after < 0.7 * before for before, after in pairwise(gaps))
    assert gaps[-1] < 0.02


def test_the_square_its_image_and_the_parallelogram_are_drawn_where_they_are(explorer):
    explorer.set(map="swirl", amount=1.5, side=0.5)
    state = explorer.state
    z = np.array([state["z1"], state["z2"]])
    corners = z + 0.5 * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_allclose(drawn(explorer, "square")[:4], corners, atol=1e-12)
    image = drawn(explorer, "x square")[:-1]
    np.testing.assert_allclose(image[:: len(image) // 4], by_hand(state, corners), atol=1e-9)
    assert len(image) >= 100, "curved: not only its corners"
    x, J = by_hand(state, z), slopes(lambda z: by_hand(state, z), z)
    spanned = drawn(explorer, "x spanned")
    np.testing.assert_allclose(spanned[:4], x + (corners - z) @ J.T, atol=1e-5)
    arrows = explorer.live.artist("x arrows")
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V]), 0.5 * J, atol=1e-5)
    np.testing.assert_allclose(arrows.get_offsets(), [x, x], atol=1e-9)


def test_the_magnifier_shows_the_same_shapes_and_all_of_them(explorer):
    for state in ({"side": 0.05}, {"side": 1.5}, {"map": "stretch", "amount": 2.0}, {"map": "mirror"}):
        explorer.set(**state)
        near = [drawn(explorer, "near square")[:-1], drawn(explorer, "near spanned")]
        true = [drawn(explorer, "x square")[:-1], drawn(explorer, "x spanned")]
        scale = np.linalg.norm(near[1][1] - near[1][0]) / np.linalg.norm(true[1][1] - true[1][0])
        for small, large in zip(true, near, strict=True):
            np.testing.assert_allclose(large - large[0], scale * (small - small[0]), atol=1e-9)
        assert np.abs(np.concatenate(near)).max() <= 1.0


def test_a_mirror_has_a_negative_determinant_in_words_too(explorer):
    explorer.preset("mirror: det J < 0")
    assert explorer.readout["det J"] == pytest.approx(-1.0)
    assert explorer.readout["area ratio"] == pytest.approx(1.0)
    assert "turned over" in explorer.live.artist("areas").get_text()
    explorer.reset()
    assert "turned over" not in explorer.live.artist("areas").get_text()


def test_of_two_maps_the_product_is_shown(explorer):
    explorer.preset("two maps")
    J, J2, J1 = (drawn(explorer, name) for name in ("J", "J2", "J1"))
    np.testing.assert_allclose(J, J2 @ J1, atol=1e-9)
    assert explorer.live.artist("J1").image.get_visible()
    assert not explorer.live.artist("areas").get_visible()
    explorer.reset()
    assert not explorer.live.artist("J1").image.get_visible()


@pytest.mark.parametrize(("name", "amount"), [("lens", 1.3), ("swirl", 2.0), ("shear", 0.5), ("mirror", 0.5)])
def test_the_density_shown_is_that_of_the_image(explorer, name, amount):
    explorer.set(map=name, amount=amount, show="density")
    q = drawn(explorer, "x density")
    assert float(q.sum()) * (8 / len(q)) ** 2 == pytest.approx(1.0, abs=5e-3)
    samples = by_hand(explorer.state, np.random.default_rng(0).normal(size=(200_000, 2)))
    counted = np.histogram2d(samples[:, 1], samples[:, 0], bins=16, range=[[-4, 4], [-4, 4]])[0] / 200_000
    coarse = q.reshape(16, 7, 16, 7).mean((1, 3)) * 0.25
    np.testing.assert_allclose(coarse, counted, atol=6 * math.sqrt(counted.max() / 200_000))
    p = drawn(explorer, "density")
    assert p.max() == pytest.approx(1 / (2 * math.pi), rel=1e-2)


def test_samples_and_grid_are_carried_along(explorer):
    explorer.set(map="banana", amount=1.0)
    before, after = (drawn(explorer, name) for name in ("samples", "x samples"))
    np.testing.assert_allclose(after, by_hand(explorer.state, before), atol=1e-9)
    before, after = (drawn(explorer, name) for name in ("grid", "x grid"))
    np.testing.assert_allclose(after, by_hand(explorer.state, before), atol=1e-9)
    explorer.set(show="grid")
    assert not explorer.live.artist("x samples").get_visible()
    explorer.set(show="density")
    assert explorer.live.artist("density").get_visible()


def test_the_probe_and_its_image_can_be_dragged(explorer):
    explorer.set(map="swirl", amount=1.5)
    explorer.set(**explorer.dragged("probe", -1.234, 9.0))
    assert (explorer.state["z1"], explorer.state["z2"]) == (-1.23, 3.0)
    target = np.array([0.7, -1.1])
    explorer.set(**explorer.dragged("x probe", *target))
    (x,) = drawn(explorer, "x probe")
    np.testing.assert_allclose(x, target, atol=0.03)  # the sliders have steps of 0.01
    assert set(explorer.live.handles) == {"probe", "x probe"}


def test_an_image_out_of_sight_can_not_be_dragged(explorer):
    explorer.set(map="stretch", amount=2.0, z1=2.5)
    assert not explorer.live.artist("x probe").get_visible()
    explorer.set(z1=0.5)
    assert explorer.live.artist("x probe").get_visible()
