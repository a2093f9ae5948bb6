"""The routes explorer's structures, densities, costs and errors; its numbers are checked by the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, SigmoidTransform, TransformedDistribution, Uniform

from nfteach.flows import RNADE, AffineCoupling, Flow, Planar
from nfteach.widgets import RoutesExplorer
from nfteach.widgets.routes import COSTS, untrained_routes
from tests.explorers.entry import centres, drawn, picture
from tests.explorers.front_end import drag
from tests.explorers.routes import ENTRIES, to_latent, untrained


@pytest.fixture(scope="module")
def shared():
    return RoutesExplorer(resolution=40)


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def test_the_structures_have_their_names(explorer):
    titles = [explorer.parts[f"J {k}"].title for k in range(3)]
    assert titles == ["J: lower triangular", "J: dense", "J: dense"]
    assert explorer.parts["J 0"].zero.tolist() == [[False, True], [False, False]]
    explorer.set(one_layer=True)
    titles = [explorer.parts[f"J {k}"].title for k in range(3)]
    assert titles == ["J: lower triangular", "J, layer 1: identity + rank one", "J, layer 1: coupling"]
    coupling = explorer.parts["J 2"]
    assert sorted([coupling.zero.sum().item(), coupling.one.sum().item()]) == [1, 1], "a block 0 and a block 1"
    assert [explorer.readout[f"{name}: parameters"] for name in untrained_routes()] == [
        sum(p.numel() for p in model.parameters()) for model in untrained_routes().values()
    ]


def test_the_cost_of_a_stack_is_that_of_its_layers(explorer):
    explorer.set(D=100)
    notes = [explorer.parts[f"J {k}"].note for k in range(3)]
    assert notes[0] == "D = 100: 100 multiply-adds, by LU 333,400"
    assert notes[1].startswith("6 layers, identity + rank one\nD = 100: 600 multiply-adds")
    assert notes[2].startswith("4 layers, coupling\nD = 100: 200 multiply-adds")


def test_the_densities_are_the_models_on_one_scale(explorer):
    explorer.set(show="density")
    models = untrained()
    pixels = centres(explorer.live.mark("density 0").extent, 40, torch.float32)
    with torch.no_grad():
        logs = [model.log_prob(pixels.reshape(-1, 2)).reshape(40, 40).double().numpy() for model in models.values()]
    images = [drawn(explorer, f"density {k}") for k in range(3)]
    top = max(np.quantile(log, 0.995) for log in logs)
    for image, log in zip(images, logs, strict=True):
        np.testing.assert_allclose(image, np.exp(log - top), rtol=2e-3, atol=2e-3)
    explorer.set(show="log density")
    for k, log in enumerate(logs):
        mark = explorer.live.mark(f"density {k}")
        tint = 1 - np.exp(-np.asarray(mark.values) / mark.scale)
        np.testing.assert_allclose(tint, np.clip((log - top + 12) / 12, 0, 0.95), atol=2e-3)


def test_the_grid_shows_where_the_model_takes_the_data_and_lines_of_x(explorer):
    explorer.set(show="grid")
    for k, model in enumerate(untrained().values()):
        with torch.no_grad():
            z = to_latent(model, explorer.data[:500]).numpy()
        np.testing.assert_allclose(drawn(explorer, f"data {k}"), z, atol=1e-6)
    vertical = drawn(explorer, "grid 0")[17:]
    assert np.ptp(vertical[..., 0], axis=1).max() < 1e-9, "lines x1 = c stay vertical: z1 depends on x1 alone"


class Counted:
    """A number that counts its multiplications and divisions."""

    count = 0

    def __init__(self, value):
        self.value = value

    def __mul__(self, other):
        Counted.count += 1
        return Counted(self.value * other.value)

    def __truediv__(self, other):
        Counted.count += 1
        return Counted(self.value / other.value)

    def __sub__(self, other):
        return Counted(self.value - other.value)


@pytest.mark.parametrize("D", [2, 3, 5, 8, 13])
def test_costs_are_a_plain_count(D):
    J = np.random.default_rng(D).normal(size=(D, D)) + 4 * np.eye(D)
    A, Counted.count = [[Counted(value) for value in row] for row in J], 0
    for k in range(D - 1):
        for i in range(k + 1, D):
            factor = A[i][k] / A[k][k]
            for j in range(k + 1, D):
                A[i][j] = A[i][j] - factor * A[k][j]
    det = Counted(1.0)
    for k in range(D):
        det = det * A[k][k]
    assert det.value == pytest.approx(np.linalg.det(J))
    assert Counted.count == COSTS["dense, by LU"](D)
    u, v = J[0], J[1]
    lemma = sum(u[k] * v[k] for k in range(D)) + 1
    assert lemma == pytest.approx(np.linalg.det(np.eye(D) + np.outer(u, v)))
    assert COSTS["identity + rank one"](D) == COSTS["triangular"](D) == D
    layer = AffineCoupling(torch.arange(D) < D // 2)
    assert COSTS["coupling"](D) == layer.terms(torch.zeros(D))["s(x_A)"].numel()
    assert COSTS["dense, by LU"](3000) == pytest.approx(3000**3 / 3, rel=1e-3)


def test_models_of_any_make_have_their_structures():
    explorer = ENTRIES["RoutesExplorer, other models"].make()
    assert [explorer.parts[f"J {k}"].title for k in range(4)] == [
        "J: dense",
        "J: identity + rank one",
        "J: diagonal",
        "J: lower triangular",
    ]
    assert explorer.readout["torch: parameters"] == 0


def test_x_is_dragged_in_each_picture(explorer):
    for k in range(3):
        drag(explorer.live, f"x {k}", 0.5 - k, 0.25)
        assert (explorer.state["x1"], explorer.state["x2"]) == (0.5 - k, 0.25)


class Picky(Flow):
    """Twice x, which refuses a single point that is far to the right, and knows none far to the left."""

    def call_and_ladj(self, x):
        return 2 * x, torch.full(x.shape[:-1], 2 * math.log(2.0), dtype=x.dtype)

    def inverse_and_ladj(self, y):
        if len(y) == 1 and bool((y[:, 0] > 1).any()):
            raise RuntimeError("no further than 1")
        y = torch.where(y < -2, math.nan, y) if len(y) == 1 else y
        return y / 2, torch.full(y.shape[:-1], -2 * math.log(2.0), dtype=y.dtype)


def test_a_model_that_fails_in_places_is_reported_in_words_and_recovers():
    explorer = RoutesExplorer({"picky": Picky(2), "other": Planar(2)}, torch.randn(60, 2), resolution=12, x1=0.0)
    before = picture(explorer)
    explorer.set(x1=1.5)
    assert explorer.error == "picky: the map failed here: RuntimeError: no further than 1"
    assert explorer.readout == {}
    explorer.set(x1=explorer.controls["x1"].min)
    assert "picky: here the map, its Jacobian or log q is NaN or infinite" in explorer.error
    explorer.reset()
    assert explorer.error == ""
    assert picture(explorer) == before


BOUNDED = TransformedDistribution(Independent(Uniform(torch.zeros(2), torch.ones(2)), 1), [SigmoidTransform().inv])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": {"one": Planar(2)}}, "two to 4 of them, but is 1 of them"),
        ({"models": Planar(2)}, "but is a Planar"),
        ({"models": {"a": Planar(2), "b": 3}}, "b: must be an RNADE, a FlowDistribution"),
        ({"models": {"a": Planar(2), "b": Planar(3)}}, "b: .*events of shape"),
        (
            {"models": {"a": Planar(2), "b": (Normal(0.0, 1.0), Planar(2))}},
            "b: base must draw one point of 2 dimensions",
        ),
        ({"data": torch.zeros(4, 3)}, "data must be finite points of the plane"),
        ({"resolution": 1}, "resolution must be a whole number"),
    ],
)
def test_invalid_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        RoutesExplorer(**arguments)


def test_copies_are_taken_and_global_state_is_left_alone():
    models = {"RNADE": RNADE(2, 4), "logistic": BOUNDED}
    state = torch.random.get_rng_state()
    explorer = RoutesExplorer(models, torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), resolution=12)
    assert torch.equal(torch.random.get_rng_state(), state)
    told = explorer.readout
    with torch.no_grad():
        models["RNADE"].b_mu += 1.0
    explorer.set(x1=0.0, D=5)
    explorer.reset()
    assert explorer.readout == told
