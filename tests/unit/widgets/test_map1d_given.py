"""The 1-D map explorer with maps and densities that are handed in, and its words for those that do not fit."""

from __future__ import annotations

import math

import pyro.distributions.transforms as pyro_transforms
import pytest
import torch
from torch.distributions import AbsTransform, ExpTransform, Normal, Poisson

from nfteach.flows import Planar, Stack
from nfteach.widgets import MapExplorer1D
from tests.explorers.entry import picture
from tests.explorers.lines import TRAPEZOID, Doubled


def test_flows_pyros_transforms_and_plain_functions_can_be_handed_in():
    torch.manual_seed(1)
    for map_ in (Stack(Planar(1), Planar(1)), pyro_transforms.Spline(1), lambda z: z**3 + z, torch.tanh):
        explorer = MapExplorer1D(transform=map_)
        told = explorer.readout
        assert explorer.error == ""
        z = torch.tensor([[explorer.state["z"]]])
        assert told["x = f(z)"] == pytest.approx(map_(z).item(), abs=1e-5)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over dx"] == pytest.approx(told["mass, over dz"], abs=5e-4)
        assert told["area under q"] == pytest.approx(1.0, abs=2e-3)


def test_a_map_that_is_wrong_about_its_log_det_is_found_out():
    told = MapExplorer1D(transform=Doubled(claim=0.0)).readout
    assert told["q(x)"] == pytest.approx(2 * told["p(z) / |slope|"], rel=1e-9)
    assert told["mass, over dx"] == pytest.approx(2 * told["mass, over dz"], rel=1e-9)
    assert told["area under q"] == pytest.approx(2.0, abs=TRAPEZOID)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(math.log(2))


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


def test_a_base_of_another_size_is_the_same_picture_in_its_own_units():
    one, other = MapExplorer1D(), MapExplorer1D(Normal(100.0, 0.01))
    one.set(z=0.7, width=0.4)
    other.set(z=100.007, width=0.004)
    assert other.readout["slope f′(z)"] == pytest.approx(one.readout["slope f′(z)"], rel=1e-3)
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
def test_an_invalid_map_or_base_is_refused_in_words(base, transform, words):
    with pytest.raises(ValueError, match=words):
        MapExplorer1D(base, transform)


class Moody(torch.nn.Module):
    """Twice z, which refuses now and then."""

    refuses = False

    def forward(self, z):
        if Moody.refuses:
            raise RuntimeError("not today")
        return 2 * z


def test_a_map_that_raises_is_reported_in_words_and_the_explorer_recovers(monkeypatch):
    explorer = MapExplorer1D(transform=Moody())
    before = picture(explorer)
    monkeypatch.setattr(Moody, "refuses", True)
    explorer.set(z=1.0)
    assert explorer.error == "the map failed here: RuntimeError: not today"
    assert explorer.readout == {}
    monkeypatch.setattr(Moody, "refuses", False)
    explorer.reset()
    assert explorer.error == ""
    assert picture(explorer) == before


def test_a_point_without_a_density_is_reported_in_words():
    explorer = MapExplorer1D(transform=lambda z: z**3, z=0.5)
    explorer.set(z=0.0)
    assert "slope 0" in explorer.error
    explorer.set(z=0.5)
    assert explorer.error == ""
    assert explorer.readout["slope f′(z)"] == pytest.approx(0.75)
