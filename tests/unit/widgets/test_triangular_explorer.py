"""The triangular explorer's curves, drags and errors; its numbers are checked by the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from nfteach.flows import Planar, Stack
from nfteach.jacobian.numbers import cell
from nfteach.widgets import TriangularExplorer
from nfteach.widgets.triangular.cells import marked
from tests.explorers.entry import drawn, picture
from tests.explorers.front_end import drag
from tests.explorers.triangular import ENTRIES, EXACT, check, default_model, model_of, several, units_of


@pytest.fixture(scope="module")
def shared():
    return TriangularExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    shared.set(d=3)
    return shared


@pytest.mark.parametrize("d", range(6))
def test_every_step_of_the_inverse_marks_the_unknown(explorer, d):
    explorer.set(d=d)
    words = [text.get_text() for text in explorer.live.artist("known").texts]
    assert [word == "?" for word in words] == [False] * d + [True] * (5 - d)


def test_pushing_the_first_of_the_ordering_moves_all_and_the_last_moves_one(explorer):
    for name, moved in (("push the first of the ordering", 5), ("push the last", 1), ("far out in the tail", 1)):
        explorer.preset(name)
        assert explorer.readout["z that moved"] == moved


def test_the_curves_are_the_conditionals(explorer):
    explorer.set(row=5, j=2, push=0.3)
    model, (center, unit) = default_model().double(), units_of(explorer)
    x = explorer.data[5].clone()
    x[1] += 0.3
    for d in range(1, 6):
        explorer.set(d=d)
        i = model.ordering[d - 1].item()
        density, curve = (drawn(explorer, name) for name in ("density", "curve"))
        along = center[i] + unit[i] * torch.from_numpy(density[:, 0])
        points = x.repeat(len(along), 1)
        points[:, i] = along
        q = model.conditionals(points).log_density(points)[:, i].exp().detach().numpy()
        np.testing.assert_allclose(density[:, 1], q / q.max(), atol=1e-9)
        z = model.as_flow()(points)[:, i].detach().numpy()
        np.testing.assert_allclose(curve[:, 1], z.clip(-9, 9), atol=1e-7)
        assert np.all(np.diff(curve[:, 1]) >= 0)
        ((at, height),) = drawn(explorer, "point")
        assert height == pytest.approx(explorer.readout["z_d"], abs=EXACT)
        assert at == pytest.approx(((x[i] - center[i]) / unit[i]).item(), abs=EXACT)
        # The area on the left, by the trapezoidal rule, is Phi(z_d).
        inside = along <= x[i]
        area = float(torch.trapezoid(torch.from_numpy(q[inside]), along[inside]))
        area += q[inside][-1] * float(x[i] - along[inside][-1])
        phi = Normal(0.0, 1.0).cdf(torch.tensor(explorer.readout["z_d"])).item()
        assert area == pytest.approx(phi, abs=0.01)


def test_a_drag_of_the_point_pushes_its_dimension(explorer):
    explorer.set(row=3, d=2)
    column = explorer.models[""].columns[1]
    drag(explorer.live, "point", 0.5, 0.0)
    assert explorer.state["j"] == column + 1
    center, unit = units_of(explorer)
    x = float(explorer.data[3, column]) + explorer.state["push"]
    assert x == pytest.approx(float(center[column] + 0.5 * unit[column]), abs=0.01)
    check(explorer, default_model())


def test_models_trained_in_other_orderings_are_chosen_by_name():
    explorer = ENTRIES["TriangularExplorer, three orderings"].make()
    for name, model in several().items():
        assert explorer.models[name].columns == model.ordering.tolist()
    explorer.preset("another ordering")
    assert explorer.state["model"] == "back"


def test_a_dense_map_is_called_dense_and_shown_all_the_same():
    torch.manual_seed(0)
    explorer = TriangularExplorer(Stack(Planar(4), Planar(4), Planar(4)))
    told = explorer.readout
    assert explorer.error == ""
    assert told["log|det J|"] == pytest.approx(told["slogdet of J"], abs=1e-6)
    assert abs(told["sum of log diagonal"] - told["slogdet of J"]) > 1e-3
    assert "dense" in explorer.live.artist("sorted title").get_text()
    assert "dense" in explorer.live.artist("refusal").get_text()
    assert not explorer.live.artist("point").get_visible()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": {}}, "model must be a map"),
        ({"model": 3, "data": torch.zeros(4, 3)}, "must be a flow, a Transform, a module or a function"),
        ({"model": torch.tanh}, "data must be given"),
        ({"model": Planar(3), "data": torch.zeros(5, 4)}, "the data have 4 dimensions, but the model '' has 3"),
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
    explorer = TriangularExplorer(picky, data + 0.1 * torch.randn(5, 3), row=4, j=1)
    assert explorer.error == "", "though it has no curves"
    assert "no values" in explorer.live.artist("refusal").get_text()
    before = picture(explorer)
    explorer.set(push=explorer.controls["push"].max)
    assert "RuntimeError: no further than 3.5" in explorer.error
    assert explorer.readout == {}
    explorer.set(row=0, push=explorer.controls["push"].min)
    assert "NaN or infinite" in explorer.error
    explorer.reset()
    assert explorer.error == ""
    assert picture(explorer) == before


def test_zeros_and_ones_by_accident_are_not_marked():
    J, no = np.array([[1.0, 0.0], [0.0, 0.5]]), np.zeros((2, 2), dtype=bool)
    assert not np.isin(marked(J, no, no), [0.0, 1.0]).any()
    np.testing.assert_array_equal(marked(J, J == 0, J == 1), J)
    written = [cell(value) for value in (0.0, -0.001, -1.234, 9.999, 99.96, 1234.5, -2e12)]
    assert written == ["0.00", "0.00", "−1.23", "10.0", "100", "1e3", "−2e12"]


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
