"""The latent explorer's stops, curves and clicks, and its errors in words; its numbers are checked by the registry."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, ExpTransform, Independent, Normal
from torch.distributions import TransformedDistribution as Transformed

from nfteach.flows import FlowDistribution, RealNVP
from nfteach.widgets import LatentExplorer
from nfteach.widgets.latent import great_circle, straight_line
from tests.explorers.entry import drawn
from tests.explorers.front_end import say, state_of
from tests.explorers.latents import D, check, digits_like, flow, standard


@pytest.fixture(scope="module")
def shared() -> LatentExplorer:
    return LatentExplorer(flow(), digits_like(), levels=17)


@pytest.fixture
def explorer(shared: LatentExplorer) -> LatentExplorer:
    shared.reset()
    return shared


def gesture(explorer: LatentExplorer, name: str, *values: float) -> None:
    say(explorer.live, type="gesture", name=name, values=list(values), number=1)
    assert explorer.error == ""


def test_at_the_ends_are_the_images_themselves(explorer: LatentExplorer) -> None:
    for t, name in ((0.0, "a"), (1.0, "b")):
        for path in ("line", "circle"):
            explorer.set(t=t, path=path)
            through, mix = drawn(explorer, "large")
            own = drawn(explorer, "images")[explorer.state[name]]
            np.testing.assert_allclose(through, own, atol=1e-6)
            np.testing.assert_allclose(mix, own, atol=1e-12)


def test_the_stops_and_the_curves_are_what_a_click_shows_large(explorer: LatentExplorer) -> None:
    for path in ("line", "circle"):
        explorer.set(path=path)
        stops = drawn(explorer, "stops")
        assert stops.shape == (18, 8, 8)
        for k in range(9):
            gesture(explorer, "stops", k + 9 * (k % 2))
            assert explorer.state["t"] == pytest.approx(k / 8, abs=0.0101)
            explorer.set(t=k / 8)
            for way in range(2):
                np.testing.assert_allclose(stops[9 * way + k], drawn(explorer, "large")[way], atol=1e-6)
            for name, label in ((f"log q, {path}", "log q(x)"), ("log q, mix", "log q of the mix")):
                assert drawn(explorer, name)[4 * k] == pytest.approx((k / 8, explorer.readout[label]))


def test_temperature_0_is_one_image(explorer: LatentExplorer) -> None:
    explorer.set(temperature=0.0)
    assert explorer.readout["norm of z"] == 0.0
    stops = drawn(explorer, "stops")
    assert np.abs(stops[:9] - stops[0]).max() < 1e-12
    explorer.reset()
    stops = drawn(explorer, "stops")
    assert np.abs(stops[:9] - stops[0]).max() > 0.3


def test_the_path_goes_on_to_the_image_that_is_clicked(explorer: LatentExplorer) -> None:
    gesture(explorer, "images", 5)
    assert (explorer.state["a"], explorer.state["b"]) == (1, 5)
    assert explorer.parts["images"].chosen.tolist() == [1, 5]


def test_presets_show_the_largest_and_the_smallest_gap_half_way_and_keep_the_rest(explorer: LatentExplorer) -> None:
    gaps = {}
    explorer.set(t=0.5)
    for a in range(8):
        for b in range(a + 1, 8):
            explorer.set(a=a, b=b)
            gaps[a, b] = explorer.readout["log q(x)"] - explorer.readout["log q of the mix"]
    for name, pick in (("largest gap", max), ("smallest gap", min)):
        explorer.set(t=0.3, path="line", temperature=0.7)
        explorer.preset(name)
        assert (explorer.state["a"], explorer.state["b"]) == pick(gaps, key=gaps.get)
        assert (explorer.state["t"], explorer.state["path"], explorer.state["temperature"]) == (0.3, "line", 0.7)
    wins = sum(gap > 0 for gap in gaps.values())
    rows = {row[0]: row for row in state_of(explorer.live, "_state")["rows"]}
    assert rows["log q of the mix"][3].endswith(f"lower in {wins} of 28 pairs")


def test_a_latent_shorter_than_samples_is_marked(explorer: LatentExplorer) -> None:
    explorer.set(temperature=0.0)
    assert explorer.live.mark("t") is not None
    rows = {row[0]: row for row in state_of(explorer.live, "_state")["rows"]}
    assert rows["norm of z"][3:5] == ["shorter than those of samples", True]


def test_a_great_circle_keeps_the_norm_and_turns_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    a, b = torch.randn(2, 30, generator=generator, dtype=torch.float64)
    b = b * a.norm() / b.norm()
    path = great_circle(a, b, t)
    torch.testing.assert_close(path.norm(dim=1), a.norm().expand(7))
    steps = (path[1:] - path[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(6))
    assert straight_line(a, b, t)[3].norm() < 0.8 * a.norm()
    orthogonal = torch.eye(3, dtype=torch.float64)
    phi = t * math.pi / 2
    paper = torch.cos(phi)[:, None] * orthogonal[0] + torch.sin(phi)[:, None] * orthogonal[1]
    torch.testing.assert_close(great_circle(orthogonal[0], orthogonal[1], t), paper)
    for b in (a, 3 * a, -a, 0 * a):
        torch.testing.assert_close(great_circle(a, b, t), straight_line(a, b, t))


def test_a_base_of_your_own_and_its_mean() -> None:
    images = digits_like(3, 16)
    base = Normal(torch.full((16,), 0.5), torch.full((16,), 0.1))
    own = LatentExplorer(AffineTransform(0.0, 1.0), images, (4, 4), base=base, t=0.0, temperature=0.7)
    z = 0.5 + 0.7 * (images[0] - 0.5)
    assert own.readout["log q(x)"] == pytest.approx(base.log_prob(z).sum().item(), abs=1e-4)
    assert own.readout["norm of z"] == pytest.approx((z - 0.5).norm().item(), abs=1e-6)
    with pytest.raises(ValueError, match="base must be left out"):
        LatentExplorer(Transformed(base, [AffineTransform(0.0, 1.0)]), images, (4, 4), base=base)


def test_colours_are_shades_and_images_need_not_be_square() -> None:
    own = LatentExplorer(AffineTransform(0.0, 1.0), digits_like(2, 36), (3, 2, 6))
    assert own.error == ""
    shades = (own.images[0].reshape(3, 2, 6) - own.images.min()) / (own.images.max() - own.images.min())
    np.testing.assert_allclose(drawn(own, "images")[0], shades.mean(0).numpy(), atol=1e-12)


def test_a_flow_works_in_its_own_precision() -> None:
    own = LatentExplorer(copy.deepcopy(flow()).float(), digits_like(), t=0.3)
    check(own, flow(), digits_like(), tolerance=1e-3)  # of some 100 nats, 1e-7 each in a few layers
    assert 1e-9 < own.readout["a comes back off by"] < 1e-4


def test_a_flow_is_left_as_it_was() -> None:
    given = copy.deepcopy(flow()).float()
    distribution = FlowDistribution(Independent(Normal(torch.zeros(D), torch.ones(D)), 1), given)
    before, random = {k: v.clone() for k, v in given.state_dict().items()}, torch.random.get_rng_state()
    own = LatentExplorer(distribution, digits_like())
    own.set(a=3, t=0.2)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(v.dtype == before[k].dtype and torch.equal(v, before[k]) for k, v in given.state_dict().items())
    assert all(parameter.grad is None for parameter in given.parameters())


def test_the_ring_is_dragged_along_t_and_the_curves_stay_in_their_frame(explorer: LatentExplorer) -> None:
    gesture(explorer, "t", 0.613, 5.0)
    assert explorer.state["t"] == 0.62
    for pair in ((0, 1), (2, 5)):
        explorer.set(a=pair[0], b=pair[1])
        for way in ("line", "circle"):
            explorer.set(path=way)
            low, high = explorer.parts["chart"].y
            for name in (way, "mix"):
                values = drawn(explorer, f"log q, {name}")[:, 1]
                assert low < values.min() <= values.max() < high


def test_an_explorer_recovers_where_its_flow_fails() -> None:
    images = digits_like(4, 16)
    images[2] = -1.0  # outside of what exp can make: its latent is NaN
    own = LatentExplorer(ExpTransform(), images, (4, 4), a=0, b=1)
    before = own.readout
    own.set(b=2)
    assert "NaN or infinite; choose other images" in own.error
    assert own.readout == {}
    own.set(t=0.6)
    assert "NaN" in own.error
    own.reset()
    assert (own.error, own.readout) == ("", before)
    assert drawn(own, "stops").std() > 0.05


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "flow, z -> x, must be given"),
        ((AffineTransform(0.0, 1.0),), r"images, \(N, D\), must be given"),
        ((AffineTransform(0.0, 1.0), torch.zeros(5, 60)), r"images must be \(N, 64\), .* has the shape \(5, 60\)"),
        ((AffineTransform(0.0, 1.0), torch.full((5, 64), math.nan)), "images must be finite"),
        ((AffineTransform(0.0, 1.0), torch.zeros(5, 64), 8), r"shape must be \(H, W\), .* but is 8"),
        ((AffineTransform(0.0, 1.0), torch.zeros(5, 64), (4, 4, 4)), "with C 1 or 3"),
        ((lambda z: z + 1, torch.zeros(5, 64)), "flow must have an inverse"),
        ((lambda z: 1 / 0, torch.zeros(5, 64)), "can't be called with points"),
        ((RealNVP(10), torch.zeros(5, 64)), "takes events of shape"),
        ((3, torch.zeros(5, 64)), "flow must be a flow, .* but is 3"),
        ((standard(), torch.zeros(5, 64)), "flow must be a map z -> x, .* but is a Independent"),
    ],
)
def test_invalid_arguments_are_refused_in_words(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LatentExplorer(*arguments)
    with pytest.raises(ValueError, match="levels must"):
        LatentExplorer(AffineTransform(0.0, 1.0), torch.zeros(5, 64), levels=0)
    with pytest.raises(ValueError, match="base must draw one point of 64 dimensions"):
        LatentExplorer(AffineTransform(0.0, 1.0), torch.zeros(5, 64), base=standard(9))
