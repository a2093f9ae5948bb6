"""The 1-D map explorer with maps and densities of a reader's own, and what it says of those that do not fit."""

from __future__ import annotations

import math

import pyro.distributions.transforms as pyro_transforms
import pytest
import torch
from torch.distributions import (
    AbsTransform,
    AffineTransform,
    Beta,
    Categorical,
    Exponential,
    ExpTransform,
    MixtureSameFamily,
    Normal,
    Poisson,
    SigmoidTransform,
    StudentT,
    TransformedDistribution,
    Uniform,
    constraints,
)
from torch.distributions.transforms import Transform

from nfteach.flows import Planar, Stack
from nfteach.widgets import MapExplorer1D

TRAPEZOID = 1e-4  # an area by 2,001 nodes; four decimals are shown
LOG_2 = math.log(2)


class Doubled(Transform):
    """x = 2 z, and whatever it says of its log-det."""

    domain = codomain = constraints.real
    bijective = True

    def __init__(self, claim=LOG_2):
        super().__init__()
        self.claim = claim

    def _call(self, x):
        return 2 * x

    def _inverse(self, y):
        return y / 2

    def log_abs_det_jacobian(self, x, y):
        return torch.full_like(x, self.claim)


def two_bumps():
    return MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.tensor([-1.0, 1.5]), torch.tensor([0.3, 0.8])))


TRANSFORMS = {
    "exp": (None, ExpTransform),
    "sigmoid": (None, SigmoidTransform),
    "falling": (Normal(3.0, 0.01), lambda: AffineTransform(1.0, -2.0)),
    "float32 tensors": (None, lambda: AffineTransform(torch.tensor([0.5]), torch.tensor([3.0]))),
    "logit of a uniform": (Uniform(0.0, 1.0), lambda: SigmoidTransform().inv),
    "log of an exponential": (Exponential(2.0), lambda: ExpTransform().inv),
    "two bumps": (two_bumps(), lambda: AffineTransform(-1.0, 0.5)),
    "heavy tails": (StudentT(3.0), Doubled),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_any_transform_can_be_handed_in(name):
    base, make = TRANSFORMS[name]
    explorer = MapExplorer1D(base, make())
    assert list(explorer.controls) == ["z", "width"]
    assert explorer.presets == {}
    made = make()
    pushed = TransformedDistribution(Normal(0.0, 1.0) if base is None else base, [made], validate_args=False)
    for part in (0.0, 0.37, 1.0):
        control = explorer.controls["z"]
        explorer.set(z=control.min + part * (control.max - control.min), width=explorer.controls["width"].max)
        told = explorer.readout
        assert explorer.error == ""
        z = torch.tensor(told["z"], dtype=torch.float64, requires_grad=True)
        x = made(z).sum()
        (slope,) = torch.autograd.grad(x, z)
        assert told["x = f(z)"] == pytest.approx(float(x.detach()), rel=1e-5)
        assert told["slope dx/dz"] == pytest.approx(float(slope), rel=1e-5)
        with torch.no_grad():
            q = float(pushed.log_prob(x).exp())
        assert told["q(x)"] == pytest.approx(q, rel=1e-4)
        assert told["p(z) / |slope|"] == pytest.approx(q, rel=1e-4)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], rel=1e-4)
        assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=1e-5)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)


def test_flows_pyros_transforms_and_plain_functions_can_be_handed_in():
    torch.manual_seed(1)
    for map_ in (Stack(Planar(1), Planar(1)), pyro_transforms.Spline(1), lambda z: z**3 + z, torch.tanh):
        explorer = MapExplorer1D(transform=map_)
        told = explorer.readout
        assert explorer.error == ""
        z = torch.tensor([[told["z"]]])
        assert told["x = f(z)"] == pytest.approx(map_(z).item(), abs=1e-5)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], abs=5e-4)
        assert told["area under q"] == pytest.approx(1.0, abs=2e-3)


def test_a_map_that_is_wrong_about_its_log_det_is_found_out():
    told = MapExplorer1D(transform=Doubled(claim=0.0)).readout
    assert told["q(x)"] == pytest.approx(2 * told["p(z) / |slope|"], rel=1e-9)
    assert told["mass, over x"] == pytest.approx(2 * told["mass, over z"], rel=1e-9)
    assert told["area under q"] == pytest.approx(2.0, abs=TRAPEZOID)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(LOG_2)


def test_a_copy_is_taken():
    flow = Planar(1)
    explorer = MapExplorer1D(transform=flow)
    before = explorer.readout
    with torch.no_grad():
        flow.u += 1.0
    explorer.set(z=0.0)
    explorer.reset()
    assert explorer.readout == before
    assert flow.w.dtype == torch.float32


@pytest.mark.parametrize(
    "base", [Uniform(-1.0, 3.0), Beta(2.0, 5.0), Beta(0.5, 0.5), Exponential(1.0), StudentT(2.0), two_bumps()]
)
def test_any_density_can_be_the_base(base):
    explorer = MapExplorer1D(base)
    for part in (0.0, 0.5, 1.0):
        control = explorer.controls["z"]
        explorer.set(z=control.min + part * (control.max - control.min), bend=2.0, mirror=part == 0.5)
        told = explorer.readout
        assert explorer.error == ""
        assert told["p(z)"] == pytest.approx(float(base.log_prob(torch.tensor(told["z"])).exp()), rel=1e-4)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], rel=1e-3)
        assert told["area under p"] == pytest.approx(1.0, abs=1e-3)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)


def test_a_base_of_another_size_is_the_same_picture_in_its_own_units():
    one, other = MapExplorer1D(), MapExplorer1D(Normal(100.0, 0.01))
    one.set(z=0.7, width=0.4)
    other.set(z=100.007, width=0.004)
    assert other.readout["slope dx/dz"] == pytest.approx(one.readout["slope dx/dz"], rel=1e-3)
    assert other.readout["x = f(z)"] == pytest.approx(100 + 0.01 * one.readout["x = f(z)"], rel=1e-6)
    assert 0.01 * other.readout["q(x)"] == pytest.approx(one.readout["q(x)"], rel=1e-3)


@pytest.mark.parametrize(
    ("base", "transform", "words"),
    [
        (None, AbsTransform(), "increase all the way or decrease all the way, but its slope changes sign near z = "),
        (None, lambda z: torch.sin(3 * z), "its slope changes sign near z = "),
        (None, lambda z: 0 * z, "its slope is 0 wherever base has mass"),
        (None, ExpTransform().inv, "must be finite wherever base has mass, but is not, as at z = -"),
        (None, Planar(2), "must map one number to one number, but Planar takes points of shape \\(2,\\)"),
        (None, torch.nn.Linear(1, 2), "its Jacobian is not square"),
        (None, lambda z: 1 / 0, "can't be called .* ZeroDivisionError"),
        (None, 3, "must be a Transform or a function, but is a int"),
        (3, None, "base must be a torch distribution, but is a int"),
        (Normal(torch.zeros(2), 1.0), None, "base must draw one number, but draws numbers of shape \\(2,\\)"),
        (Poisson(2.0), None, "Poisson is a distribution of whole numbers"),
    ],
)
def test_what_is_no_map_or_no_density_of_the_line_is_refused_in_words(base, transform, words):
    with pytest.raises(ValueError, match=words):
        MapExplorer1D(base, transform)


class Moody(torch.nn.Module):
    """Twice z, which refuses now and then."""

    refuses = False

    def forward(self, z):
        if Moody.refuses:
            raise RuntimeError("not today")
        return 2 * z


def test_a_map_that_raises_is_told_in_words_and_the_explorer_recovers(monkeypatch):
    explorer = MapExplorer1D(transform=Moody())
    before = explorer.live.static_png(1)
    monkeypatch.setattr(Moody, "refuses", True)
    explorer.set(z=1.0)
    assert explorer.error == "the map failed here: RuntimeError: not today"
    assert explorer.readout == {}
    monkeypatch.setattr(Moody, "refuses", False)
    explorer.reset()
    assert explorer.error == ""
    assert explorer.live.static_png(1) == before


def test_a_point_without_a_density_is_told_in_words():
    explorer = MapExplorer1D(transform=lambda z: z**3, z=0.5)
    explorer.set(z=0.0)
    assert "slope 0" in explorer.error
    explorer.set(z=0.5)
    assert explorer.error == ""
    assert explorer.readout["slope dx/dz"] == pytest.approx(0.75)


def test_global_state_is_left_alone_and_two_explorers_do_not_meet():
    before = torch.random.get_rng_state()
    first, second = MapExplorer1D(two_bumps()), MapExplorer1D(two_bumps())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    assert first.live.static_png(1) == second.live.static_png(1)
    second.set(stretch=0.5)
    assert first.state["stretch"] == 1.5
