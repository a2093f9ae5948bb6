"""The triangular explorer without a browser: each number it shows equals one computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, ComposeTransform, Normal

from nfteach.flows import RNADE, AffineCoupling, Flow, Permutation, Planar, Stack
from nfteach.jacobian.numbers import cell
from nfteach.widgets import TriangularExplorer
from nfteach.widgets.triangular.cells import marked
from nfteach.widgets.triangular.maps import untrained

EXACT = 1e-8  # float64 and closed forms


def shown(explorer, name):
    return explorer.live._moving[name].artist


def model_of(order, seed=0):
    torch.manual_seed(seed)
    return RNADE(len(order), hidden=8, components=3, ordering=order)


@pytest.fixture(scope="module")
def shared():
    return TriangularExplorer()


@pytest.fixture
def explorer(shared):
    shared.reset()
    shared.set(d=3)
    return shared


def check(explorer, model):
    """Every number, against the model itself in float64 and its conditionals one after another."""
    state, told = explorer.state, explorer.readout
    assert explorer.error == ""
    x = explorer.data[state["row"]].clone()
    x[state["j"] - 1] += state["push"]
    model, order, d = model.double(), model.ordering.tolist(), explorer.live.frame
    flow, before = model.as_flow(), explorer.data[state["row"]]
    J = torch.autograd.functional.jacobian(flow, x)
    log_det = torch.linalg.slogdet(J).logabsdet.item()
    for label in ("log|det J|", "sum of log diagonal", "slogdet of J"):
        assert told[label] == pytest.approx(log_det, abs=EXACT)
    assert told["product of diagonal"] == pytest.approx(math.exp(log_det), rel=1e-7)
    assert told["log q(x)"] == pytest.approx(model.log_prob(x).item(), abs=EXACT)
    assert told["z that moved"] == int((flow(x) != flow(before)).sum())
    assert told["round trip off by"] < 1e-6
    place = order.index(state["j"] - 1)
    assert told["z that moved"] <= explorer.dim - place, "what comes before x_j in the ordering never moves"
    np.testing.assert_allclose(shown(explorer, "J").get_array(), J.detach().numpy(), atol=1e-12)
    ordered = np.asarray(shown(explorer, "sorted").get_array())
    np.testing.assert_array_equal(ordered, np.tril(ordered))
    np.testing.assert_array_equal(ordered, np.asarray(shown(explorer, "J").get_array())[np.ix_(order, order)])
    if d:
        step = model.steps(x)[d - 1]
        z = flow(x)[step.index]
        assert told["x_d"] == pytest.approx(flow.inv(flow(x))[step.index].item(), abs=1e-6)
        assert told["z_d"] == pytest.approx(z.item(), abs=EXACT)
        assert told["log q_d"] == pytest.approx(step.log_prob.item(), abs=EXACT)
        assert told["diagonal"] == pytest.approx(J[step.index, step.index].item(), rel=1e-7)
        so_far = sum(J[i, i].log().item() for i in order[:d])
        assert told["sum so far"] == pytest.approx(so_far, abs=EXACT)


@pytest.mark.parametrize("d", range(6))
def test_every_step_of_the_inverse(explorer, d):
    explorer.set(d=d, push=0.4, j=1)
    check(explorer, untrained((2, 0, 4, 1, 3)))
    known = np.asarray(shown(explorer, "known").get_array())[0]
    assert (known != 0).tolist() == [True] * d + [False] * (5 - d)
    words = [text.get_text() for text in explorer.live._moving["known"].heat_map.texts]
    assert [word == "?" for word in words] == [False] * d + [True] * (5 - d)


@pytest.mark.parametrize("name", ["row", "j", "push"])
@pytest.mark.parametrize("end", ["min", "max"])
def test_every_control_at_its_ends(explorer, name, end):
    explorer.set(**{"j": 3, "push": -0.7, name: getattr(explorer.controls[name], end)})
    check(explorer, untrained((2, 0, 4, 1, 3)))


@pytest.mark.parametrize("seed", range(6))
def test_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    push = float(rng.uniform(explorer.controls["push"].min, explorer.controls["push"].max))
    explorer.set(row=int(rng.integers(200)), j=int(rng.integers(1, 6)), push=push, d=int(rng.integers(6)))
    check(explorer, untrained((2, 0, 4, 1, 3)))


@pytest.mark.parametrize("name", ["push the first of the ordering", "push the last", "far out in the tail"])
def test_presets(explorer, name):
    before = explorer.live.static_png(1)
    explorer.preset(name)
    check(explorer, untrained((2, 0, 4, 1, 3)))
    assert explorer.live.static_png(1) != before
    assert explorer.readout["z that moved"] == (5 if "first" in name else 1)


def test_the_curves_are_the_conditionals(explorer):
    explorer.set(row=5, j=2, push=0.3)
    model, scale = untrained((2, 0, 4, 1, 3)).double(), explorer._scale
    x = explorer.data[5].clone()
    x[1] += 0.3
    for d in range(1, 6):
        explorer.set(d=d)
        i = model.ordering[d - 1].item()
        density, curve = (shown(explorer, name).get_xydata() for name in ("density", "curve"))
        along = torch.from_numpy(scale.center[i] + scale.unit[i] * density[:, 0])
        points = x.repeat(len(along), 1)
        points[:, i] = along
        q = model.conditionals(points).log_density(points)[:, i].exp().detach().numpy()
        np.testing.assert_allclose(density[:, 1], q / q.max(), atol=1e-9)
        z = model.as_flow()(points)[:, i].detach().numpy()
        np.testing.assert_allclose(curve[:, 1], z.clip(-9, 9), atol=1e-7)
        assert np.all(np.diff(curve[:, 1]) >= 0)
        ((at, height),) = shown(explorer, "point").get_offsets()
        assert height == pytest.approx(explorer.readout["z_d"], abs=EXACT)
        assert at == pytest.approx((x[i].item() - scale.center[i]) / scale.unit[i], abs=EXACT)
        # The area on the left, by the trapezoidal rule, is Phi(z_d).
        inside = along <= x[i]
        area = float(torch.trapezoid(torch.from_numpy(q[inside]), along[inside]))
        area += q[inside][-1] * float(x[i] - along[inside][-1])
        phi = Normal(0.0, 1.0).cdf(torch.tensor(explorer.readout["z_d"])).item()
        assert area == pytest.approx(phi, abs=0.01)


def test_a_drag_of_the_point_pushes_its_dimension(explorer):
    explorer.set(row=3, d=2)
    column = explorer.models[""].columns[1]
    explorer.live._drag("point", tuple(_pixels(explorer, "point", 0.5, 0.0)), 1)
    assert explorer.state["j"] == column + 1
    wanted = explorer._scale.center[column] + 0.5 * explorer._scale.unit[column]
    x = float(explorer.data[3, column]) + explorer.state["push"]
    assert x == pytest.approx(wanted, abs=0.01)
    check(explorer, untrained((2, 0, 4, 1, 3)))


def _pixels(explorer, name, x, y):
    artist = shown(explorer, name)
    across, up = artist.axes.transData.transform((x, y))
    return across, explorer.live.figure.bbox.height - up


def test_models_trained_in_other_orderings_are_chosen_by_name():
    data = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    models = {"1 to 4": model_of((0, 1, 2, 3)), "back": model_of((3, 2, 1, 0)), "mixed": model_of((2, 0, 3, 1))}
    explorer = TriangularExplorer(models, data, d=4)
    for name, model in models.items():
        explorer.set(model=name, row=7, j=2, push=0.5)
        check(explorer, model)
        assert explorer.models[name].columns == model.ordering.tolist()
    explorer.preset("another ordering")
    assert explorer.state["model"] == "back"
    check(explorer, models["back"])


class Doubled(Flow):
    """y = 2 x, upside down: the k-th output is twice the last but k-th input, plus what comes after it."""

    def call_and_ladj(self, x):
        y = torch.flip(2 * x + torch.tanh(x.flip(-1).cumsum(-1).flip(-1) - x), (-1,))
        return y, torch.full(x.shape[:-1], self.dim * math.log(2.0), dtype=x.dtype)

    def inverse_and_ladj(self, y):
        raise RuntimeError("nobody has written it")


@pytest.mark.parametrize(
    ("make", "dim"),
    [
        (lambda: AffineCoupling([True, False, True]), 3),
        (lambda: AffineCoupling([False, True]), 2),
        (lambda: Stack(Permutation([2, 0, 1]), AffineCoupling([False, True, False])), 3),
        (lambda: model_of((1, 0, 2)).as_flow(), 3),
        (lambda: Doubled(4), 4),
        (lambda: ComposeTransform([AffineTransform(torch.ones(3), -2 * torch.ones(3))]), 3),
    ],
)
def test_any_triangular_map_finds_its_ordering(make, dim):
    torch.manual_seed(3)
    flow = make()
    explorer = TriangularExplorer(flow, torch.randn(30, dim))
    explorer.set(j=2, push=0.5)
    (one,) = explorer.models.values()
    assert one.triangular
    told = explorer.readout
    x = explorer.data[0].float().clone()
    x[1] += 0.5
    J = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0], x).double()
    log_det = torch.linalg.slogdet(J).logabsdet.item()
    assert told["sum of log diagonal"] == pytest.approx(log_det, abs=1e-5)
    assert told["log|det J|"] == pytest.approx(log_det, abs=1e-5)
    ordered = np.asarray(shown(explorer, "sorted").get_array())
    np.testing.assert_array_equal(ordered, np.tril(ordered))
    np.testing.assert_allclose(ordered, J[one.rows][:, one.columns].numpy(), atol=1e-5)
    for d in range(1, dim + 1):
        explorer.set(d=d)
        column, row = one.columns[d - 1], one.rows[d - 1]
        curve = shown(explorer, "curve").get_xydata()
        points = x.repeat(len(curve), 1)
        points[:, column] = torch.from_numpy(
            explorer._scale.center[column] + explorer._scale.unit[column] * curve[:, 0]
        )
        with torch.no_grad():
            z = flow(points)[:, row].numpy()
        np.testing.assert_allclose(curve[:, 1], z.clip(-9, 9), atol=1e-4)
    assert ("round trip off by" in told) == (not isinstance(flow, Doubled))


def test_a_dense_map_is_told_so_and_shown_all_the_same():
    torch.manual_seed(0)
    explorer = TriangularExplorer(Stack(Planar(4), Planar(4), Planar(4)))
    told = explorer.readout
    assert explorer.error == ""
    assert told["log|det J|"] == pytest.approx(told["slogdet of J"], abs=1e-6)
    assert abs(told["sum of log diagonal"] - told["slogdet of J"]) > 1e-3
    assert "dense" in shown(explorer, "sorted title").get_text()
    assert "dense" in shown(explorer, "refusal").get_text()
    assert not shown(explorer, "point").get_visible()


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
def test_what_does_not_fit_is_said_in_a_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        TriangularExplorer(**arguments)


def test_a_map_that_fails_in_places_is_told_in_words_and_recovers():
    def picky(x):
        if bool((x[:, 0] > 3.5).any()):
            raise RuntimeError("no further than 3.5")
        return torch.where(x > -3.5, x, math.nan)

    data = torch.zeros(5, 3)
    data[:, 0] = torch.linspace(-2, 2, 5)
    explorer = TriangularExplorer(picky, data + 0.1 * torch.randn(5, 3), row=4, j=1)
    assert explorer.error == "", "though it refuses to tell its curves"
    assert "no values" in shown(explorer, "refusal").get_text()
    before = explorer.live.static_png(1)
    explorer.set(push=explorer.controls["push"].max)
    assert "RuntimeError: no further than 3.5" in explorer.error
    assert explorer.readout == {}
    explorer.set(row=0, push=explorer.controls["push"].min)
    assert "NaN or infinite" in explorer.error
    explorer.reset()
    assert explorer.error == ""
    assert explorer.live.static_png(1) == before


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
