"""The routes explorer without a browser: each number it shows equals one computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Independent,
    MultivariateNormal,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
    Uniform,
)

from nfteach.flows import RNADE, AffineCoupling, Flow, FlowDistribution, Planar, RealNVP, Stack
from nfteach.widgets import RoutesExplorer
from nfteach.widgets.routes.costs import COSTS
from nfteach.widgets.routes.models import untrained_routes

FLOAT32 = 1e-4  # what a model in its own dtype is good to, against the explorer's float64


def shown(explorer, name):
    return explorer.live._moving[name].artist


def standard():
    return Normal(torch.zeros(2), torch.ones(2))


@pytest.fixture(scope="module")
def shared():
    return RoutesExplorer(resolution=40)


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def as_distributions(models):
    """The same models in the words of torch: things with log_prob."""
    return {
        name: FlowDistribution(standard(), model) if isinstance(model, Stack) else model
        for name, model in models.items()
    }


def check(explorer, models):
    """Every number of the readout, against the models' own log_prob and a Jacobian by differences."""
    state, told = explorer.state, explorer.readout
    assert explorer.error == ""
    x = torch.tensor([state["x1"], state["x2"]])
    for k, (name, model) in enumerate(models.items()):
        log_q = model.log_prob(x[None])[0].item()
        assert told[f"{name}: log q(x)"] == pytest.approx(log_q, abs=FLOAT32 * (1 + abs(log_q)))
        assert told[f"{name}: log q(x)"] == pytest.approx(told[f"{name}: log p(z)"] + told[f"{name}: log|det J|"])
        assert told[f"{name}: slogdet of J"] == pytest.approx(told[f"{name}: log|det J|"], abs=1e-6)
        f = explorer.routes[k]._map.forward
        h, at = 1e-6, x.double()
        J = torch.stack(
            [(f((at + h * e)[None]) - f((at - h * e)[None]))[0] / (2 * h) for e in torch.eye(2).double()], 1
        )
        drawn = np.asarray(shown(explorer, f"J {k}").get_array())
        np.testing.assert_allclose(drawn, J.numpy(), rtol=1e-4, atol=1e-5)
        assert told[f"{name}: slogdet of J"] == pytest.approx(torch.linalg.slogdet(J)[1].item(), abs=1e-4)
        logs = model.log_prob(explorer.data.float()).detach().double()
        mean = logs.mean().item()
        assert told[f"{name}: mean log q"] == pytest.approx(mean, rel=1e-4)
        expected = math.sqrt(float(((logs - mean) ** 2).mean()) / len(logs))
        assert told[f"{name}: standard error"] == pytest.approx(expected, rel=1e-3)
        assert shown(explorer, f"probe {k}").get_offsets().tolist() == [[state["x1"], state["x2"]]]
    for name, cost in COSTS.items():
        assert told[f"{name}: multiply-adds"] == cost(state["D"])


@pytest.mark.parametrize("name", ["x1", "x2", "D"])
@pytest.mark.parametrize("end", ["min", "max"])
def test_every_control_at_its_ends(explorer, name, end):
    explorer.set(**{name: getattr(explorer.controls[name], end)})
    check(explorer, as_distributions(untrained_routes()))


@pytest.mark.parametrize("seed", range(5))
def test_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    ends = {name: (explorer.controls[name].min, explorer.controls[name].max) for name in ("x1", "x2")}
    values = {name: float(rng.uniform(*pair)) for name, pair in ends.items()}
    explorer.set(**values, D=int(rng.integers(2, 3073)), show=["density", "log density"][seed % 2])
    check(explorer, as_distributions(untrained_routes()))


def test_presets(explorer):
    for name in explorer.presets:
        before = explorer.live.static_png(1)
        explorer.preset(name)
        check(explorer, as_distributions(untrained_routes()))
        if explorer.presets[name] != {"D": 64}:
            assert explorer.live.static_png(1) != before


def test_the_structures_have_their_names(explorer):
    names = [route.structure.name for route in explorer.routes]
    assert names == ["lower triangular", "dense", "dense"]
    assert [route.layers for route in explorer.routes] == ["", "6 layers: identity plus rank one", "4 layers: coupling"]
    assert [explorer.readout[f"{route.name}: parameters"] for route in explorer.routes] == [
        sum(p.numel() for p in model.parameters()) for model in untrained_routes().values()
    ]
    assert np.asarray(shown(explorer, "J 0").get_array())[0, 1] == 0
    words = [text.get_text() for text in explorer.live._moving["J 0"].heat_map.texts]
    assert words[1] == "\N{MIDDLE DOT}"


def test_the_densities_are_the_models_on_one_scale(explorer):
    explorer.set(show="density")
    models = as_distributions(untrained_routes())
    pixels = torch.from_numpy(explorer._picture.pixels(40)).float()
    with torch.no_grad():
        logs = [model.log_prob(pixels.reshape(-1, 2)).reshape(40, 40).double().numpy() for model in models.values()]
    images = [np.asarray(shown(explorer, f"density {k}").get_array()) for k in range(3)]
    top = max(np.quantile(log, 0.995) for log in logs)
    for image, log in zip(images, logs, strict=True):
        np.testing.assert_allclose(image, np.minimum(np.exp(log - top), 1), atol=2e-3)
    explorer.set(show="log density")
    for k, log in enumerate(logs):
        image = np.asarray(shown(explorer, f"density {k}").get_array())
        low, high = shown(explorer, f"density {k}").get_clim()
        assert (low, high) == pytest.approx((top - 12, top), abs=1e-3)
        np.testing.assert_allclose(image, np.clip(log, low, high), atol=0.01)


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


def test_models_of_any_make_can_be_handed_in():
    torch.manual_seed(1)
    realnvp, base = RealNVP(2, layers=3, hidden=(8,)), MultivariateNormal(torch.ones(2), 2 * torch.eye(2))
    scaled = TransformedDistribution(
        Independent(standard(), 1), [AffineTransform(torch.zeros(2), torch.tensor([1.2, 0.7]))]
    )
    models = {"pair": (base, realnvp), "bare": Planar(2), "torch": scaled, "map": RNADE(2, 4).as_flow()}
    explorer = RoutesExplorer(models, torch.randn(50, 2), resolution=12, x1=0.3, x2=-0.4)
    same = {"pair": FlowDistribution(base, realnvp), "bare": FlowDistribution(standard(), models["bare"])}
    check(explorer, same | {"torch": scaled, "map": models["map"].rnade})
    assert [route.structure.name for route in explorer.routes] == [
        "dense",
        "identity plus rank one",
        "diagonal",
        "lower triangular",
    ]
    assert explorer.readout["torch: parameters"] == 0


def test_the_probe_is_dragged_in_each_picture(explorer):
    for k in range(3):
        ax = shown(explorer, f"probe {k}").axes
        across, up = ax.transData.transform((0.5 - k, 0.25))
        explorer.live._drag(f"probe {k}", (across, explorer.live.figure.bbox.height - up), 1)
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


def test_a_model_that_fails_in_places_is_told_in_words_and_recovers():
    explorer = RoutesExplorer({"picky": Picky(2), "other": Planar(2)}, torch.randn(60, 2), resolution=12, x1=0.0)
    before = explorer.live.static_png(1)
    explorer.set(x1=1.5)
    assert explorer.error == "picky: the map failed here: RuntimeError: no further than 1"
    assert explorer.readout == {}
    explorer.set(x1=explorer.controls["x1"].min)
    assert "picky: here the map, its Jacobian or log q is NaN or infinite" in explorer.error
    explorer.reset()
    assert explorer.error == ""
    assert explorer.live.static_png(1) == before


BOUNDED = TransformedDistribution(Independent(Uniform(torch.zeros(2), torch.ones(2)), 1), [SigmoidTransform().inv])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": {"one": Planar(2)}}, "two to 4 of them, but is 1 of them"),
        ({"models": Planar(2)}, "but is a Planar"),
        ({"models": {"a": Planar(2), "b": 3}}, "b: must be an RNADE, a FlowDistribution"),
        ({"models": {"a": Planar(2), "b": Planar(3)}}, "b: .*events of shape"),
        ({"models": {"a": Planar(2), "b": (Normal(0.0, 1.0), Planar(2))}}, "b: base must draw one point of the plane"),
        ({"data": torch.zeros(4, 3)}, "data must be finite points of the plane"),
        ({"resolution": 1}, "resolution must be a whole number"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(arguments, words):
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
