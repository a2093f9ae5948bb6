"""The planar explorer without a browser: each number it shows equals one computed another way."""

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


@pytest.fixture(scope="module")
def shared():
    return PlanarExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def by_hand(state):
    """w.u used, J by autograd and the number of preimages by counting crossings, from the state alone."""
    angle_w, angle_u = math.radians(state["angle_w"]), math.radians(state["angle_u"])
    w = state["length_w"] * torch.tensor([math.cos(angle_w), math.sin(angle_w)], dtype=torch.float64)
    u = state["length_u"] * torch.tensor([math.cos(angle_u), math.sin(angle_u)], dtype=torch.float64)
    if state["use_u_hat"] and state["length_w"] > 0:
        wu = float(w @ u)
        u = u + (-1 + math.log1p(math.exp(wu)) - wu) * w / (w @ w)
    h = torch.tanh if state["h"] == "tanh" else lambda a: torch.where(a > 0, a, 0.01 * a)
    z = torch.tensor([state["z1"], state["z2"]], dtype=torch.float64)
    J = torch.autograd.functional.jacobian(lambda z: z + u * h(w @ z + state["b"]), z)
    a = torch.linspace(-150, 150, 1_000_001, dtype=torch.float64)
    start = w @ z + state["b"]
    line = a + (w @ u) * h(a) - (start + (w @ u) * h(start))
    # The probe's own solution is known; the others are crossings elsewhere.
    others = ((line.sign().diff() != 0) & ((a[:-1] - start).abs() > 1e-3)).sum()
    return {"w.u used": float(w @ u), "J": J, "preimages": 1 + int(others)}


def check(explorer):
    state, readout = explorer.state, explorer.readout
    assert explorer.error == ""
    expected = by_hand(state)
    assert readout["w.u used"] == pytest.approx(expected["w.u used"], abs=1e-9)
    assert readout["det J"] == pytest.approx(float(torch.linalg.det(expected["J"])), abs=1e-9)
    if abs(readout["det J"]) > 1e-6:
        assert readout["log|det J|"] == pytest.approx(math.log(abs(readout["det J"])), abs=1e-6)
    shown = explorer.live._moving["J"].artist.get_array()
    np.testing.assert_allclose(shown, expected["J"].numpy(), atol=1e-9)
    return expected


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_right_at_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    state = {
        name: float(rng.uniform(control.min, control.max))
        for name, control in explorer.controls.items()
        if hasattr(control, "min")
    }
    explorer.set(**state, h=["tanh", "leaky_relu"][seed % 2], use_u_hat=seed % 3 == 0)
    assert explorer.readout["preimages"] == check(explorer)["preimages"]


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("name", ["angle_w", "length_w", "angle_u", "length_u", "b", "z1", "z2"])
def test_every_control_works_at_its_ends(explorer, name, end):
    explorer.set(**{name: getattr(explorer.controls[name], end)})
    check(explorer)


@pytest.mark.parametrize("name", ["angle_w", "length_w", "angle_u", "length_u", "b", "z1", "z2", "h", "use_u_hat"])
def test_every_control_moves_the_picture(explorer, name):
    before = explorer.live.static_png(1)
    control = explorer.controls[name]
    value = {"h": "leaky_relu", "use_u_hat": True}.get(name)
    control.value = control.value + 0.4 if value is None else value  # as the browser does
    assert explorer.live.static_png(1) != before
    check(explorer)


def test_the_notes_claim_is_shown_for_what_it_is(explorer):
    explorer.preset("axis-aligned: diagonal after all")
    assert explorer.readout["J is"] == "diagonal"
    explorer.preset("the note's counterexample: w = (2, 1), u = (1, -1)")
    assert explorer.readout["J is"] == "full"
    assert explorer.readout["w.u given"] == pytest.approx(1.0)
    J = check(explorer)["J"].numpy()
    assert np.abs(J).min() > 0.05, "all four entries can be seen not to be zero"


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
    root = explorer.live._moving["density"].artist.get_array()
    assert float((root**2).sum()) * (8 / len(root)) ** 2 == pytest.approx(1.0, abs=5e-3)


def test_the_plane_is_where_w_z_plus_b_is_zero(explorer):
    explorer.set(angle_w=70.0, b=-1.3)
    w = 1.5 * np.array([math.cos(math.radians(70)), math.sin(math.radians(70))])
    points = explorer.live._moving["plane"].artist.get_xydata()
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
    layer = Planar(2, constrained=constrained).double()
    for parameter, value in ((layer.w, [3.0, -2.2]), (layer.u, [4.5, 2.0]), (layer.b, -4.2)):
        parameter.data = torch.tensor(value, dtype=torch.float64)
    explorer = PlanarExplorer(layer)
    z = torch.tensor([explorer.state["z1"], explorer.state["z2"]], dtype=torch.float64)
    assert explorer.readout["log|det J|"] == pytest.approx(layer.call_and_ladj(z)[1].item(), abs=1e-9)
    assert explorer.readout["preimages"] == check(explorer)["preimages"]
    ends = {name: explorer.controls[name].max for name in ("length_w", "length_u", "b")}
    assert ends == {"length_w": 4, "length_u": 5, "b": 5}, "rounded up"
    assert explorer.controls["b"].min == -5
    ruler = explorer.live._moving["given"].artist.axes
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
    shown, expected = (e.live._moving["density"].artist.get_array() for e in (own, explorer))
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_another_base_has_its_own_density_and_samples():
    explorer = PlanarExplorer(
        base=Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([0.3, 0.3])), 1), length_u=0.0
    )
    root = explorer.live._moving["density"].artist.get_array()
    row, column = np.unravel_index(root.argmax(), root.shape)
    assert (column + 0.5) / len(root) * 8 - 4 == pytest.approx(1.0, abs=0.06)
    assert (row + 0.5) / len(root) * 8 - 4 == pytest.approx(0.0, abs=0.06)
    with pytest.raises(ValueError, match="base must draw one point of the plane"):
        PlanarExplorer(base=Normal(0.0, 1.0))


def test_the_global_generator_is_left_alone_and_every_explorer_has_the_same_points():
    before = torch.random.get_rng_state()
    first, second = PlanarExplorer(), PlanarExplorer()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.live.static_png(1) == second.live.static_png(1)
    second.set(b=1.0)
    assert first.state["b"] == 0.0, "two explorers do not disturb each other"


def test_its_text_is_constant(explorer):
    assert repr(explorer) == (
        "PlanarExplorer(angle_w=30, length_w=1.5, angle_u=75, length_u=1.2, b=0, z1=1, z2=-0.4, "
        "h='tanh', use_u_hat=False)"
    )
