"""The 2-D map explorer without a browser: each number it shows equals one computed another way."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer2D
from nfteach.widgets.map2d.explorer import _shoelace
from nfteach.widgets.map2d.maps import PLANE_MAPS

EXACT = 1e-8  # float64 and closed forms


@pytest.fixture(scope="module")
def shared():
    return MapExplorer2D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def turned(z, angle):
    return np.stack(
        [np.cos(angle) * z[..., 0] - np.sin(angle) * z[..., 1], np.sin(angle) * z[..., 0] + np.cos(angle) * z[..., 1]],
        -1,
    )


def one_by_hand(name, amount, z):
    """A built-in map, written out in NumPy: z (..., 2) -> x (..., 2)."""
    a, b = z[..., 0], z[..., 1]
    r = np.hypot(a, b)
    if name == "rotation":
        return turned(z, amount * np.pi / 2)
    if name == "shear":
        return np.stack([a + amount * b, b], -1)
    if name == "stretch":
        return np.stack([a * 2.0**amount, b], -1)
    if name == "swirl":
        return turned(z, amount * np.pi / 2 * np.exp(-(r**2) / 4))
    if name == "banana":
        return np.stack([a, b + amount / 2 * (a**2 - 1)], -1)
    if name == "mirror":
        along = np.array([np.cos(amount * np.pi / 4), np.sin(amount * np.pi / 4)])
        return 2 * (z @ along)[..., None] * along - z
    assert name == "lens"
    if amount == 0:
        return z
    s = math.sinh(abs(amount))
    bent = np.arcsinh(r / 2 * s) / amount if amount > 0 else np.sinh(-amount * r / 2) / s
    return z * (2 * bent / r)[..., None]


def by_hand(state, z):
    x = one_by_hand(state["map"], state["amount"], z)
    return x if state["then"] == "nothing" else one_by_hand(state["then"], state["then_amount"], x)


def slopes(f, z, h=1e-5):
    """J (..., 2, 2) by central differences of f at z (..., 2)."""
    columns = [(f(z + h * e) - f(z - h * e)) / (2 * h) for e in np.eye(2)]
    return np.stack(columns, -1)


def area_by_integral(f, z, side):
    """The area of the image of a square: |det J| summed over it, which is right as long as f does not fold."""
    at, weights = np.polynomial.legendre.leggauss(24)
    across, up = np.meshgrid(z[0] + side * (at + 1) / 2, z[1] + side * (at + 1) / 2)
    dets = np.abs(np.linalg.det(slopes(f, np.stack([across, up], -1))))
    return float(np.outer(weights, weights).ravel() @ dets.ravel()) * side**2 / 4


def check(explorer):
    state, told = explorer.state, explorer.readout
    assert explorer.error == ""
    z = np.array([state["z1"], state["z2"]])
    J = slopes(lambda z: by_hand(state, z), z)
    told_J = np.array([[told[f"dx{i}/dz{j}"] for j in (1, 2)] for i in (1, 2)])
    np.testing.assert_allclose(told_J, J, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(shown(explorer, "J").get_array(), told_J, atol=1e-12)
    det = np.linalg.det(told_J)
    assert told["det J"] == pytest.approx(det, rel=EXACT)
    assert told["log|det J|"] == pytest.approx(math.log(abs(det)), abs=EXACT)
    assert told["condition number"] == pytest.approx(np.linalg.cond(told_J), rel=1e-6)
    area = area_by_integral(lambda z: by_hand(state, z), z, state["side"])
    assert told["area ratio"] == pytest.approx(area / state["side"] ** 2, rel=2e-3)
    p = math.exp(-0.5 * z @ z) / (2 * math.pi)
    assert told["p(z)"] == pytest.approx(p, rel=1e-6)
    assert told["p(z) / |det J|"] == pytest.approx(p / abs(det), rel=1e-6)
    assert told["q(x)"] == pytest.approx(p / abs(det), rel=1e-6)
    assert ("sum of the two" in told) == (state["then"] != "nothing")
    if state["then"] != "nothing":
        y = one_by_hand(state["map"], state["amount"], z)
        parts = [(state["map"], state["amount"], z), (state["then"], state["then_amount"], y)]
        dets = [np.linalg.det(slopes(lambda v, n=n, a=a: one_by_hand(n, a, v), at)) for n, a, at in parts]
        assert told["log|det| of the first"] == pytest.approx(math.log(abs(dets[0])), abs=1e-6)
        assert told["of the second"] == pytest.approx(math.log(abs(dets[1])), abs=1e-6)
        assert told["sum of the two"] == pytest.approx(told["log|det J|"], abs=EXACT)


def shown(explorer, name):
    return explorer.live._moving[name].artist


SLIDERS = ["amount", "then_amount", "z1", "z2", "side"]


@pytest.mark.parametrize("name", PLANE_MAPS)
@pytest.mark.parametrize("amount", [-2.0, -0.7, 0.0, 1.3, 2.0])
def test_every_map_at_every_strength(explorer, name, amount):
    explorer.set(map=name, amount=amount, z1=-0.8, z2=1.1)
    check(explorer)
    explorer.set(map=name, amount=amount, z1=0.0, z2=0.0, side=0.02)
    assert explorer.error == "", "also in the middle, where a distance has no derivative"
    assert explorer.readout["area ratio"] == pytest.approx(abs(explorer.readout["det J"]), rel=0.02)


@pytest.mark.parametrize("name", PLANE_MAPS)
def test_every_map_passes_the_inspector(name):
    x = torch.randn(8, 2, dtype=torch.float64)
    for amount in (-2.0, -0.3, 0.0, 1.1, 2.0):
        inspect_jacobian(PLANE_MAPS[name](amount), x).check()
    words = PLANE_MAPS[name](-0.5).words("z", "x")
    assert words.startswith(name)


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("name", SLIDERS)
def test_every_slider_works_at_its_ends(explorer, name, end):
    explorer.set(then="banana", **{name: getattr(explorer.controls[name], end)})
    check(explorer)


@pytest.mark.parametrize("corner", range(8))
def test_all_sliders_at_their_ends_together(explorer, corner):
    ends = ["min", "max"]
    picked = {name: ends[corner >> (k % 3) & 1] for k, name in enumerate(SLIDERS)}
    values = {name: getattr(explorer.controls[name], end) for name, end in picked.items()}
    names = list(PLANE_MAPS)
    explorer.set(map=names[corner % 7], then=names[(3 * corner + 1) % 7], **values)
    check(explorer)


@pytest.mark.parametrize("seed", range(14))
def test_every_number_is_right_at_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    values = {
        name: float(rng.uniform(explorer.controls[name].min, explorer.controls[name].max))
        for name in SLIDERS
        if name != "side"
    }
    names = list(PLANE_MAPS)
    then = names[rng.integers(7)] if seed % 3 else "nothing"
    explorer.set(map=names[seed % 7], then=then, side=0.1 + 0.4 * rng.random(), **values)
    explorer.set(show=["grid", "samples", "density"][seed % 3])
    check(explorer)


@pytest.mark.parametrize("name", MapExplorer2D.presets)
def test_presets_are_worth_a_look_and_right(explorer, name):
    before = explorer.live.static_png(1)
    explorer.preset(name)
    assert explorer.live.static_png(1) != before
    check(explorer)


@pytest.mark.parametrize(
    "change",
    [{"map": "swirl"}, {"amount": 0.4}, {"then": "shear"}, {"z1": -1.0}, {"z2": 1.5}, {"side": 0.2}, {"show": "grid"}],
)
def test_every_control_moves_the_picture(explorer, change):
    before = explorer.live.static_png(1)
    ((name, value),) = change.items()
    explorer.controls[name].value = value  # as the browser does
    assert explorer.live.static_png(1) != before
    check(explorer)


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
    np.testing.assert_allclose(shown(explorer, "square").get_xy()[:4], corners, atol=1e-12)
    image = shown(explorer, "x square").get_xy()[:-1]
    np.testing.assert_allclose(image[:: len(image) // 4], by_hand(state, corners), atol=1e-9)
    assert len(image) >= 100, "curved: not only its corners"
    x, J = by_hand(state, z), slopes(lambda z: by_hand(state, z), z)
    spanned = shown(explorer, "x spanned").get_xydata()
    np.testing.assert_allclose(spanned[:4], x + (corners - z) @ J.T, atol=1e-5)
    arrows = shown(explorer, "x arrows")
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V]), 0.5 * J, atol=1e-5)
    np.testing.assert_allclose(arrows.get_offsets(), [x, x], atol=1e-9)


def test_the_magnifier_shows_the_same_shapes_and_all_of_them(explorer):
    for state in ({"side": 0.05}, {"side": 1.5}, {"map": "stretch", "amount": 2.0}, {"map": "mirror"}):
        explorer.set(**state)
        near = [shown(explorer, f"near {name}") for name in ("square", "spanned")]
        near = [near[0].get_xy()[:-1], near[1].get_xydata()]
        true = [shown(explorer, "x square").get_xy()[:-1], shown(explorer, "x spanned").get_xydata()]
        scale = np.linalg.norm(near[1][1] - near[1][0]) / np.linalg.norm(true[1][1] - true[1][0])
        for small, large in zip(true, near, strict=True):
            np.testing.assert_allclose(large - large[0], scale * (small - small[0]), atol=1e-9)
        assert np.abs(np.concatenate(near)).max() <= 1.0


def test_a_mirror_has_a_negative_determinant_and_says_so(explorer):
    explorer.preset("mirror: det J < 0")
    assert explorer.readout["det J"] == pytest.approx(-1.0)
    assert explorer.readout["area ratio"] == pytest.approx(1.0)
    assert "turned over" in shown(explorer, "areas").get_text()
    explorer.reset()
    assert "turned over" not in shown(explorer, "areas").get_text()


def test_of_two_maps_the_product_is_shown(explorer):
    explorer.preset("two maps")
    J, J2, J1 = (np.asarray(shown(explorer, name).get_array()) for name in ("J", "J2", "J1"))
    np.testing.assert_allclose(J, J2 @ J1, atol=1e-9)
    assert shown(explorer, "J1").get_visible()
    assert not shown(explorer, "areas").get_visible()
    explorer.reset()
    assert not shown(explorer, "J1").get_visible()


@pytest.mark.parametrize(("name", "amount"), [("lens", 1.3), ("swirl", 2.0), ("shear", 0.5), ("mirror", 0.5)])
def test_the_density_shown_is_that_of_the_image(explorer, name, amount):
    explorer.set(map=name, amount=amount, show="density")
    q = np.asarray(shown(explorer, "x density").get_array())
    assert float(q.sum()) * (8 / len(q)) ** 2 == pytest.approx(1.0, abs=5e-3)
    samples = by_hand(explorer.state, np.random.default_rng(0).normal(size=(200_000, 2)))
    counted = np.histogram2d(samples[:, 1], samples[:, 0], bins=16, range=[[-4, 4], [-4, 4]])[0] / 200_000
    coarse = q.reshape(16, 7, 16, 7).mean((1, 3)) * 0.25
    np.testing.assert_allclose(coarse, counted, atol=6 * math.sqrt(counted.max() / 200_000))
    p = np.asarray(shown(explorer, "density").get_array())
    assert p.max() == pytest.approx(1 / (2 * math.pi), rel=1e-2)


def test_samples_and_grid_are_carried_along(explorer):
    explorer.set(map="banana", amount=1.0)
    before, after = (np.asarray(shown(explorer, name).get_offsets()) for name in ("samples", "x samples"))
    np.testing.assert_allclose(after, by_hand(explorer.state, before), atol=1e-9)
    before, after = (np.stack(shown(explorer, name).get_segments()) for name in ("grid", "x grid"))
    np.testing.assert_allclose(after, by_hand(explorer.state, before), atol=1e-9)
    explorer.set(show="grid")
    assert not shown(explorer, "x samples").get_visible()
    explorer.set(show="density")
    assert shown(explorer, "density").get_visible()


def test_the_probe_and_its_image_can_be_dragged(explorer):
    explorer.set(map="swirl", amount=1.5)
    explorer.set(**explorer.dragged("probe", -1.234, 9.0))
    assert (explorer.state["z1"], explorer.state["z2"]) == (-1.23, 3.0)
    target = np.array([0.7, -1.1])
    explorer.set(**explorer.dragged("x probe", *target))
    (x,) = np.asarray(shown(explorer, "x probe").get_offsets())
    np.testing.assert_allclose(x, target, atol=0.03)  # the sliders have steps of 0.01
    assert set(explorer.live.handles) == {"probe", "x probe"}


def test_an_image_out_of_sight_can_not_be_dragged(explorer):
    explorer.set(map="stretch", amount=2.0, z1=2.5)
    assert not shown(explorer, "x probe").get_visible()
    explorer.set(z1=0.5)
    assert shown(explorer, "x probe").get_visible()


def test_shoelace():
    square = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0], [0.0, 3.0]], dtype=torch.float64)
    assert _shoelace(square) == pytest.approx(6.0)
    assert _shoelace(square.flip(0)) == pytest.approx(-6.0), "the other way round"


def test_its_text_is_constant(explorer):
    assert repr(explorer) == (
        "MapExplorer2D(map='lens', amount=1.3, then='nothing', then_amount=1, z1=0.6, z2=0.3, side=0.6, show='samples')"
    )
    assert explorer.help
    assert "square" in explorer.live.alt
