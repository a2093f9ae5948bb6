"""The picture of the 2-D map explorer; its numbers are checked by the registry."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer2D
from nfteach.widgets.plane_maps import PLANE_MAPS
from tests.explorers.entry import drawn
from tests.explorers.front_end import drag
from tests.explorers.planes import by_hand, slopes


@pytest.fixture(scope="module")
def shared():
    return MapExplorer2D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


@pytest.mark.parametrize("name", PLANE_MAPS)
def test_every_map_passes_the_inspector_and_has_a_formula(name):
    x = torch.randn(8, 2, dtype=torch.float64)
    for amount in (-2.0, -0.3, 0.0, 1.1, 2.0):
        inspect_jacobian(PLANE_MAPS[name](amount), x).check()
    words = PLANE_MAPS[name](-0.5).words("z", "x")
    assert words.startswith(f"{name}: ")
    assert MapExplorer2D(map=name, amount=-0.5).parts["plane"].note == words


def test_structural_entries_of_one_and_of_two_maps_are_marked(explorer):
    def marked():
        return explorer.parts["J"].zero.int().tolist(), explorer.parts["J"].one.int().tolist()

    explorer.set(map="shear")
    assert marked() == ([[0, 0], [1, 0]], [[1, 0], [0, 1]])
    assert explorer.parts["J"].notes[2] == "∂x₂/∂z₁ = 0.00, for every z"
    explorer.set(then="stretch")
    assert marked() == ([[0, 0], [1, 0]], [[0, 0], [0, 1]])
    explorer.set(then="banana")
    assert marked() == ([[0, 0], [0, 0]], [[1, 0], [0, 0]])
    explorer.set(map="lens")
    assert marked() == ([[0, 0], [0, 0]], [[0, 0], [0, 0]])


def test_the_ratio_of_the_areas_nears_the_determinant_as_the_square_shrinks(explorer):
    gaps = []
    for side in (1.6, 0.8, 0.4, 0.2, 0.1, 0.05, 0.02):
        explorer.set(amount=1.3, z1=0.6, z2=0.3, side=side)
        gaps.append(abs(explorer.readout["area ratio"] - abs(explorer.readout["det J"])))
    assert all(after < 0.7 * before for before, after in pairwise(gaps))
    assert gaps[-1] < 0.02


def test_the_square_its_image_and_the_parallelogram_are_drawn_where_they_are(explorer):
    explorer.set(map="swirl", amount=1.5, side=0.5)
    state = explorer.state
    z = np.array([state["z1"], state["z2"]])
    corners = z + 0.5 * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_allclose(drawn(explorer, "square")[:4], corners, atol=1e-12)
    image = drawn(explorer, "image")
    np.testing.assert_allclose(image[:: len(image) // 4], by_hand(state, corners), atol=1e-9)
    assert len(image) >= 100, "curved: not only its corners"
    x, J = by_hand(state, z), slopes(lambda z: by_hand(state, z), z)
    np.testing.assert_allclose(drawn(explorer, "spanned")[:4], x + (corners - z) @ J.T, atol=1e-5)
    for k in range(2):
        arrow = explorer.live.mark(f"J e{k + 1}")
        np.testing.assert_allclose(arrow.tips[0] - arrow.tails[0], 0.5 * J[:, k], atol=1e-5)
        np.testing.assert_allclose(arrow.tails[0], x, atol=1e-9)
    np.testing.assert_allclose(drawn(explorer, "z"), z)
    np.testing.assert_allclose(drawn(explorer, "f(z)"), x, atol=1e-9)


def test_the_glass_shows_what_is_in_the_circle_and_all_of_the_square(explorer):
    for state in ({"side": 0.05}, {"side": 1.5}, {"map": "stretch", "amount": 2.0}, {"map": "mirror"}):
        explorer.set(**state)
        middle = drawn(explorer, "seen")[:-1].mean(0)
        scale = 1.3 / np.linalg.norm(drawn(explorer, "seen")[0] - middle)
        for name in ("image", "spanned"):
            near = drawn(explorer, f"near {name}")
            np.testing.assert_allclose(near, scale * (drawn(explorer, name) - middle), atol=1e-9)
            assert np.linalg.norm(near, axis=1).max() <= 1.0 + 1e-9
    explorer.set(glass=False)
    assert "glass" not in explorer.parts


def test_the_glass_stands_aside(explorer):
    assert not explorer.parts["glass"].aside
    explorer.set(z1=2.0, z2=2.0)
    assert explorer.parts["glass"].aside


def test_a_mirror_has_a_negative_determinant_in_words_and_in_purple(explorer):
    explorer.preset("mirror")
    assert explorer.readout["det J"] == pytest.approx(-1.0)
    assert explorer.readout["area ratio"] == pytest.approx(1.0)
    image = explorer.live.mark("image")
    assert (image.toward, float(image.shade)) == ("neg", 1.0)
    assert any("turned over" in str(row) for row in explorer.live.get_state("_state")["_state"]["content"]["rows"])
    explorer.reset()
    assert float(explorer.live.mark("image").shade) == 0.0


def test_of_two_maps_the_product_is_shown(explorer):
    explorer.preset("two maps")
    J, J2, J1 = (drawn(explorer, name) for name in ("J", "J2", "J1"))
    np.testing.assert_allclose(J, J2 @ J1, atol=1e-9)
    explorer.preset("fan")
    assert "J1" not in explorer.parts


@pytest.mark.parametrize(("name", "amount"), [("lens", 1.3), ("swirl", 2.0), ("fan", 1.0), ("mirror", 0.5)])
def test_the_density_shown_is_that_of_the_image(explorer, name, amount):
    explorer.set(map=name, amount=amount)
    q, (left, right, bottom, top) = drawn(explorer, "density"), explorer.live.mark("density").extent
    cell = (right - left) * (top - bottom) / q.size
    samples = by_hand(explorer.state, np.random.default_rng(0).normal(size=(200_000, 2)))
    inside = (samples > [left, bottom]) & (samples < [right, top])
    assert float(q.sum()) * cell == pytest.approx(inside.all(1).mean(), abs=5e-3)
    view = [[bottom, top], [left, right]]
    counted = np.histogram2d(samples[:, 1], samples[:, 0], bins=(67, 85), range=view)[0] / 200_000
    coarse = q.reshape(67, 2, 85, 2).mean((1, 3)) * 4 * cell
    np.testing.assert_allclose(coarse, counted, atol=6 * math.sqrt(counted.max() / 200_000))


def test_samples_and_grid_are_carried_along(explorer):
    explorer.set(map="rotation", amount=0.0)
    before = {name: drawn(explorer, name) for name in ("samples", "units", "halves")}
    np.testing.assert_allclose(before["units"], drawn(explorer, "before"), atol=1e-12)
    explorer.set(map="banana", amount=1.0)
    for name, points in before.items():
        np.testing.assert_allclose(drawn(explorer, name), by_hand(explorer.state, points), atol=1e-9)
    np.testing.assert_allclose(drawn(explorer, "before"), before["units"], atol=1e-12)


def test_z_its_image_and_the_square_can_be_dragged(explorer):
    explorer.set(map="swirl", amount=1.5)
    drag(explorer.live, "z", -1.234, 9.0)
    assert (explorer.state["z1"], explorer.state["z2"]) == (-1.23, 3.0)
    target = np.array([0.7, -1.1])
    drag(explorer.live, "f(z)", *target)
    np.testing.assert_allclose(drawn(explorer, "f(z)"), target, atol=0.03)  # the sliders have steps of 0.01
    at, z = drawn(explorer, "side"), drawn(explorer, "z")
    drag(explorer.live, "side", *(at + 0.3))
    assert explorer.state["side"] == pytest.approx(0.9)
    np.testing.assert_allclose(drawn(explorer, "side"), at + 0.3)
    np.testing.assert_allclose(drawn(explorer, "z"), z)
