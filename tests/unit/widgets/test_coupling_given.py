"""The coupling explorer with a layer handed in, and where it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nfteach.flows import AffineCoupling, Planar
from nfteach.widgets import CouplingExplorer
from tests.explorers.couplings import check, own_layer
from tests.explorers.entry import values_of


@pytest.fixture
def given() -> AffineCoupling:
    return own_layer()


def test_presets_fit_wherever_the_explorer_began() -> None:
    largest = CouplingExplorer(D=6, d=5, j=6)
    for name in largest.presets:
        largest.preset(name)
        assert largest.error == ""


def test_strengths_multiply_the_outputs_of_a_layer_of_your_own(given: AffineCoupling) -> None:
    own = CouplingExplorer(given, s=0.5, t=2.0)
    assert {"D", "d", "mask", "network", "i"}.isdisjoint(own.controls)
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    s, t = given.scale_and_shift(x)
    more_s, more_t = own.layer().scale_and_shift(x.double())
    torch.testing.assert_close(more_s.float(), 0.5 * s)
    torch.testing.assert_close(more_t.float(), 2 * t)
    check(own)
    own.reset()
    own.set(s=1.0, t=1.0, j=4, push=-1.0, show="density")
    torch.testing.assert_close(own.layer()(torch.ones(5).double()).float(), given(torch.ones(5)))


def test_a_layer_of_your_own_stays_as_it_was(given: AffineCoupling) -> None:
    before = {name: value.clone() for name, value in given.state_dict().items()}
    own = CouplingExplorer(given)
    for name, control in own.controls.items():
        for value in values_of(control):
            own.set(**{name: value})
            check(own)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert given.training
    assert all(p.requires_grad and p.grad is None for p in given.parameters())


def test_an_additive_layer_has_no_strength_of_s() -> None:
    own = CouplingExplorer(AffineCoupling([True, False, False], additive=True))
    assert "s" not in own.controls
    assert own.readout["det J"] == 1


def test_a_layer_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="layer must be an AffineCoupling, but is a Planar"):
        CouplingExplorer(Planar(3))


def test_a_layer_that_gives_nan_is_reported_in_words_and_forgotten() -> None:
    class Fragile(nn.Module):
        broken = False  # of the class: the explorer holds a copy

        def forward(self, x):
            return torch.cat([x, x / 0 if self.broken else x], dim=-1)

    own = CouplingExplorer(AffineCoupling([True, False], conditioner=Fragile()))
    check(own)
    Fragile.broken = True
    own.set(push=1.0)
    assert "NaN or infinite" in own.error
    assert own.readout == {}
    Fragile.broken = False
    own.set(push=0.5)
    check(own)
