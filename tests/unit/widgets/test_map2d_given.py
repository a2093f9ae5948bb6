"""The 2-D map explorer with maps and bases that are handed in, and its words for those that fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, TransformedDistribution, Uniform

from nfteach.flows import Planar, RealNVP
from nfteach.targets import two_moons
from nfteach.widgets import MapExplorer2D
from tests.explorers.entry import centres, drawn, picture


def window(explorer):
    """Return the extent (left, right, bottom, top) that the density is shown in."""
    return explorer.live.mark("density").extent


def test_the_density_of_a_flow_is_the_same_by_its_inverse_and_counted_out():
    torch.manual_seed(2)
    flow = RealNVP(2, layers=4)
    by_inverse, counted = MapExplorer2D(flow), MapExplorer2D(lambda z: flow(z))
    q, other = (drawn(e, "density") for e in (by_inverse, counted))
    left, right, bottom, top = window(by_inverse)
    assert window(by_inverse) == window(counted)
    assert q.sum() * (right - left) * (top - bottom) / q.size == pytest.approx(1.0, abs=0.02)
    coarse = [one.reshape(67, 2, 34, 5).mean((1, 3)) for one in (q, other)]
    np.testing.assert_allclose(*coarse, atol=0.03 * q.max())
    base = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    pushed = TransformedDistribution(base, [flow])
    pixels = centres(window(by_inverse), q.shape, torch.float32)
    with torch.no_grad():
        expected = pushed.log_prob(pixels.reshape(-1, 2)).exp().reshape(q.shape)
    np.testing.assert_allclose(q, expected.numpy(), atol=1e-4 * q.max())


def test_where_a_map_folds_the_mass_of_both_sheets_is_counted():
    explorer = MapExplorer2D(lambda z: torch.stack([z[..., 0].abs(), z[..., 1]], -1), z1=1.0)
    q, (left, right, bottom, top) = drawn(explorer, "density"), window(explorer)
    across = left + (right - left) * (np.arange(q.shape[1]) + 0.5) / q.shape[1]
    up = bottom + (top - bottom) * (np.arange(q.shape[0]) + 0.5) / q.shape[0]
    expected = np.exp(-0.5 * (across[None] ** 2 + up[:, None] ** 2)) / np.pi * (across > 0)
    inside = np.abs(across) > 0.1
    np.testing.assert_allclose(q[:, inside], expected[:, inside], atol=0.02)
    assert q.sum() * (right - left) * (top - bottom) / q.size == pytest.approx(1.0, abs=0.02)


def test_a_base_of_the_readers_own_is_used():
    explorer = MapExplorer2D(base=two_moons())
    told, state = explorer.readout, explorer.state
    z = torch.tensor([state["z1"], state["z2"]])
    assert told["p(z)"] == pytest.approx(two_moons().log_prob(z).exp().item(), rel=1e-4)
    assert told["q(x)"] == pytest.approx(told["p(z) / |det J|"], rel=1e-6)
    uniform = MapExplorer2D(base=Independent(Uniform(torch.zeros(2), torch.ones(2)), 1))
    assert uniform.error == ""
    assert uniform.readout["p(z)"] == 1.0
    uniform.set(z1=uniform.controls["z1"].min)
    assert (uniform.error, uniform.readout["p(z)"]) == ("", 0.0), "outside the support"
    with pytest.raises(ValueError, match="base must draw one point of 2 dimensions"):
        MapExplorer2D(base=Normal(0.0, 1.0))


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (lambda z: 1 / 0, "can't be called with points of shape .* ZeroDivisionError"),
        (lambda z: z.sum(-1), "its Jacobian is not square|must map|2 numbers"),
        (Planar(3), "takes events of shape"),
        (3, "must be a flow, a Transform, a module or a function, but is 3"),
        (lambda z: z * float("nan"), "NaN or infinite at all 32 points tried"),
        (lambda z: torch.tensor(z.tolist()) * torch.tensor([2.0, 1.0]), "autograd finds J = 0"),
    ],
)
def test_a_map_that_fails_shows_the_sentence(flow, words):
    explorer = MapExplorer2D(flow)
    with pytest.raises(ValueError, match=words):
        raise ValueError(explorer.error)
    assert explorer.readout == {}


def test_a_map_that_fails_in_places_recovers():
    explorer = MapExplorer2D(lambda z: z.log(), z1=1.0, z2=1.0)
    assert explorer.readout["det J"] == pytest.approx(1.0)
    before = picture(explorer)
    explorer.set(z1=-1.0)
    assert "NaN or infinite" in explorer.error
    assert explorer.readout == {}
    explorer.reset()
    assert explorer.error == ""
    assert picture(explorer) == before
    assert np.isfinite(drawn(explorer, "units")).all()


class Picky(torch.nn.Module):
    """The identity, which refuses the few points of a probe that is too far right."""

    def forward(self, z):
        if len(z) == 1 and bool((z[:, 0] > 1).any()):
            raise RuntimeError("no further than 1")
        return z


def test_a_map_that_raises_is_reported_in_words():
    explorer = MapExplorer2D(Picky(), z1=-1.0)
    explorer.set(z1=2.0)
    assert explorer.error == "the map failed here: RuntimeError: no further than 1"
    explorer.set(z1=0.0)
    assert explorer.readout["det J"] == 1.0


def test_a_copy_is_taken_in_evaluation_mode():
    flow = RealNVP(2, layers=2, batch_norm=True).train()
    explorer = MapExplorer2D(flow)
    before, state = explorer.readout, {name: value.clone() for name, value in flow.state_dict().items()}
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.5
    explorer.set(z1=0.0)
    explorer.reset()
    assert explorer.readout == before
    assert flow.training
    for name, buffer in flow.named_buffers():
        assert torch.equal(buffer, state[name]), "nor has it learnt from our points"
