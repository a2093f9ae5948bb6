"""The triangular explorer's curves, drags and errors; its numbers are checked by the registry."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from nfteach.flows import Planar, Stack
from nfteach.widgets import TriangularExplorer
from tests.explorers.entry import drawn, picture
from tests.explorers.front_end import drag
from tests.explorers.triangular import ENTRIES, EXACT, check, data_of, default_model, model_of, point, several


@pytest.fixture(scope="module")
def shared():
    return TriangularExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def test_the_first_of_the_ordering_moves_all_and_the_last_moves_one(explorer):
    moved = []
    for column in explorer.models[""].columns:
        explorer.set(j=column + 1)
        moved.append(explorer.readout["z that x_j moves"])
    assert moved == [5, 4, 3, 2, 1]


def test_the_factor_moves_only_what_is_off_the_diagonal(explorer):
    det, J, outline = explorer.readout["det J"], drawn(explorer, "J"), drawn(explorer, "edge")
    explorer.preset("ten-fold")
    assert explorer.readout["det J"] == det
    assert explorer.readout["by elimination"] == pytest.approx(math.log(det), abs=EXACT)
    np.testing.assert_allclose(drawn(explorer, "J") - np.diag(np.diag(J)), 10 * (J - np.diag(np.diag(J))))
    np.testing.assert_allclose(np.ptp(drawn(explorer, "edge")[:, 0]), np.ptp(outline[:, 0]))
    np.testing.assert_array_equal(drawn(explorer, "before"), outline)
    explorer.preset("the diagonal alone")
    assert explorer.readout["det J"] == det
    assert np.count_nonzero(drawn(explorer, "J")) == 5


def test_the_corner_is_dragged_up_and_down_with_the_factor(explorer):
    for factor in (4.0, 0.0, 2.5, 7.0):
        explorer.set(factor=factor)
        x, part = drawn(explorer, "corner")[0], drawn(explorer, "corner")[1] / explorer.parts["plane"].y[1]
        explorer.set(factor=1.0)
        drag(explorer.live, "corner", float(x) + 0.3, float(part * explorer.parts["plane"].y[1]))
        assert explorer.state["factor"] == factor, "it stands as high in the frame as it was dragged"


@pytest.mark.parametrize("column", range(5))
def test_the_image_stays_in_the_frame_and_the_frame_rests_while_there_is_room(explorer, column):
    frames = []
    for factor in (0.0, 1.0, 2.0, 4.0, 7.0, 10.0):
        explorer.set(j=column + 1, factor=factor)
        plane, outline = explorer.parts["plane"], drawn(explorer, "edge")
        assert np.abs(outline[:, 1]).max() <= float(plane.y[1])
        assert np.abs(outline[:, 0]).max() <= float(plane.x[1])
        frames.append(float(plane.y[1]))
    assert frames[0] == frames[1] == frames[2]
    assert frames == sorted(frames)


def test_the_area_is_related_to_det_J_in_words(explorer):
    explorer.set(factor=3.0)
    note = explorer.parts["plane"].note
    after, first, second = (float(part) for part in re.findall(r"\d+\.\d+", note))
    assert after == pytest.approx(first * second, abs=0.02)
    x, y = drawn(explorer, "square's edge").T
    assert 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) == pytest.approx(1), "area before"
    flat = TriangularExplorer(model_of((1, 0)), data_of(20, 2))
    assert flat.parts["plane"].note.endswith("= |det J|")
    assert f"= {flat.readout['det J']:.2f} /" in flat.parts["plane"].note


def test_a_point_that_was_moved_far_out_does_not_stay_behind_in_push(explorer):
    explorer.preset("ten-fold")
    J = drawn(explorer, "J")
    explorer.preset("far out")
    explorer.set(show="push", j=3)
    np.testing.assert_array_equal(drawn(explorer, "J"), J)
    explorer.set(show="invert")
    assert explorer.state["push"] > 5, "it is there when one comes back"


def test_holding_the_ring_lights_its_column_and_each_entry_is_explained(explorer):
    J = explorer.parts["J"]
    held = explorer.live.mark("corner").links
    assert [set(held) == {name} for name in J.column_links] == [True, False, False, False, False]
    for note, value, zero in zip(J.notes, J.values.ravel(), J.zero.ravel(), strict=True):
        number = note.split(" = ")[-1].split(":")[0].split(";")[0].replace("\N{MINUS SIGN}", "-")
        assert float(number) == pytest.approx(float(value), abs=0.0051)
        assert ("never moves" in note) == bool(zero)


def test_the_curves_are_the_conditionals(explorer):
    explorer.set(show="invert", row=5, j=2, push=0.3)
    model, x = default_model().double(), point(explorer)
    for d in range(1, 6):
        explorer.set(d=d)
        i = model.ordering[d - 1].item()
        hill, curve = (drawn(explorer, name) for name in ("density", "curve"))
        hill = hill[: len(hill) // 2]
        along, z = torch.from_numpy(curve).T
        points = x.repeat(len(along), 1)
        center, unit = explorer.data[:, i].mean(), explorer.data[:, i].std(correction=0)
        points[:, i] = center + unit * along
        np.testing.assert_allclose(z, model.as_flow()(points)[:, i].detach(), atol=1e-7)
        assert np.all(np.diff(curve[:, 1]) >= 0)
        points = x.repeat(len(hill), 1)
        points[:, i] = center + unit * torch.from_numpy(hill[:, 0])
        q = model.conditionals(points).log_density(points)[:, i].exp().detach().numpy()
        height = (hill[:, 1] - hill[:, 1].min()) / np.ptp(hill[:, 1])
        np.testing.assert_allclose(height, q / q.max(), atol=0.03)  # by differences along the curve
        # The area on the left, by the trapezoidal rule, is Phi(z_d).
        at, level = drawn(explorer, "point")
        inside = hill[:, 0] <= at
        area = np.trapezoid(height[inside], hill[inside, 0]) / np.trapezoid(height, hill[:, 0])
        assert area == pytest.approx(Normal(0.0, 1.0).cdf(torch.tensor(level)).item(), abs=0.05)


def test_a_drag_of_the_point_pushes_its_dimension_and_the_axis_follows(explorer):
    explorer.set(show="invert", row=3, d=2)
    column = explorer.models[""].columns[1]
    unit = float(explorer.data[:, column].std(correction=0))
    for at in (0.5, 3.9, 7.0):
        drag(explorer.live, "point", at, 0.0)
        assert explorer.state["j"] == column + 1
        assert float(drawn(explorer, "point")[0]) == pytest.approx(at, abs=0.01 / unit)
        check(explorer, default_model())
    assert float(explorer.parts["solve"].x[1]) > 7.9
    drag(explorer.live, "point", 0.0, 0.0)  # fetched back
    assert float(explorer.parts["solve"].x[1]) < 5


def test_one_way_has_frames_and_the_other_has_none(explorer):
    assert explorer.live.frames == []
    explorer.preset("step by step")
    assert len(explorer.live.frames) == 6
    explorer.live.frame = 4  # as the browser plays
    assert explorer.state["d"] == 4
    assert explorer.readout["found"] == 4
    explorer.set(show="push")
    assert explorer.live.frames == []
    explorer.set(show="invert")
    assert explorer.readout["found"] == 4


def test_models_trained_in_other_orderings_are_chosen_by_name():
    explorer = ENTRIES["TriangularExplorer, three orderings"].make()
    for name, model in several().items():
        assert explorer.models[name].columns == model.ordering.tolist()
    explorer.preset("another ordering")
    assert explorer.state["model"] == "back"


def test_a_dense_map_is_called_dense_and_is_not_inverted_step_by_step():
    torch.manual_seed(0)
    explorer = TriangularExplorer(Stack(Planar(4), Planar(4), Planar(4)))
    assert explorer.error == ""
    assert "dense" in explorer.parts["J"].note
    assert explorer.readout["log|det J|"] == pytest.approx(explorer.readout["by elimination"], abs=EXACT)
    explorer.set(show="invert")
    assert "dense: each z depends on all x" in explorer.error
    explorer.set(show="push")
    assert explorer.error == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": {}}, "model must be a map"),
        ({"model": 3, "data": torch.zeros(4, 3)}, "must be a "),
        ({"model": torch.tanh}, "data must be given"),
        ({"model": Planar(3), "data": torch.zeros(5, 4)}, "the data must have 3 dimensions .* but have 4"),
        ({"model": Planar(3), "data": torch.full((5, 3), math.nan)}, "data must be finite real numbers"),
        ({"model": Planar(30)}, "2 to 16 dimensions"),
        ({"d": 6}, "d must be a whole number from 0 to 5"),
    ],
)
def test_invalid_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        TriangularExplorer(**arguments)


def test_a_map_that_fails_in_places_is_reported_in_words_and_recovers():
    def picky(x):
        if bool((x[:, 0] > 3.5).any()):
            raise RuntimeError("no further than 3.5")
        return torch.where(x > -3.5, x, math.nan)

    data = torch.zeros(5, 3)
    data[:, 0] = torch.linspace(-2, 2, 5)
    explorer = TriangularExplorer(picky, data + 0.1 * data_of(5, 3), row=4, j=1)
    before = picture(explorer)
    explorer.set(show="invert", push=explorer.controls["push"].max)
    assert "RuntimeError: no further than 3.5" in explorer.error
    assert explorer.readout == {}
    explorer.set(row=0, push=explorer.controls["push"].min)
    assert "NaN or infinite" in explorer.error
    explorer.reset()
    assert explorer.error == ""
    assert picture(explorer) == before
    explorer.set(show="invert", d=1)
    assert explorer.error == "", "though it has no curve"


def test_a_curve_ends_where_the_map_does():
    def positive(x):
        return torch.log(x)

    data = data_of(40, 2).exp()
    explorer = TriangularExplorer(positive, data, show="invert", d=2)
    assert explorer.error == ""
    curve = drawn(explorer, "curve")
    center, unit = float(data[:, 1].mean()), float(data[:, 1].std(correction=0))
    np.testing.assert_allclose(curve[:, 1], np.log(center + unit * curve[:, 0]), atol=1e-6)


def test_a_copy_is_taken_and_global_state_is_left_alone():
    state = torch.random.get_rng_state()
    model = model_of((1, 0, 2))
    torch.random.set_rng_state(state)
    explorer = TriangularExplorer(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    told = explorer.readout
    with torch.no_grad():
        model.b_mu += 1.0
    explorer.set(row=1)
    explorer.reset()
    assert explorer.readout == told
