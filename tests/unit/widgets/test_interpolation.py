"""The latent explorer: every number from torch's own distributions; any flow; drags; what fails, in words."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, ComposeTransform, ExpTransform, Independent, Normal
from torch.distributions import TransformedDistribution as Transformed

from nfteach.flows import Flow, FlowDistribution, Logit, RealNVP, Stack
from nfteach.widgets import LatentExplorer
from nfteach.widgets.interpolation.paths import great_circle, straight_line

EXACT = 1e-9  # float64, a network of a few layers
D = 64


def standard(dim: int = D) -> Independent:
    return Independent(Normal(torch.zeros(dim).double(), torch.ones(dim).double()), 1)


def digits_like(n: int = 8, dim: int = D) -> Tensor:
    """Random images: pixels in (0, 1)."""
    return torch.rand(n, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(scope="module")
def flow() -> Flow:
    torch.manual_seed(0)
    return Stack(RealNVP(D, layers=4, hidden=(16,)), Logit(D).inv).double()


@pytest.fixture(scope="module")
def explorer(flow: Flow) -> LatentExplorer:
    return LatentExplorer(flow, digits_like(), levels=17)


def turned(a: Tensor, b: Tensor, t: float) -> Tensor:
    """A great circle another way: a rotation, by t of the angle, in the plane of an orthonormal basis."""
    first = a / a.norm()
    second = b - (b @ first) * first
    second = second / second.norm()
    angle = t * math.acos(float(a @ b / (a.norm() * b.norm())))
    return (math.cos(angle) * first + math.sin(angle) * second) * ((1 - t) * a.norm() + t * b.norm())


def check(explorer: LatentExplorer, flow: Flow, images: Tensor, tolerance: float = EXACT) -> None:
    """The readout against log q of torch's TransformedDistribution, of one image at a time."""
    assert explorer.error == "", explorer.error
    state, told, dim = explorer.state, explorer.readout, images[0].numel()
    with torch.no_grad():
        a, b, t = images[state["a"]], images[state["b"]], state["t"]
        z_a, z_b = flow.inv(a), flow.inv(b)
        z = (1 - t) * z_a + t * z_b if state["path"] == "line" or state["a"] == state["b"] else turned(z_a, z_b, t)
        z, mix, q = state["temperature"] * z, (1 - t) * a + t * b, Transformed(standard(dim), [flow])
        x = flow(z)
        log_q = standard(dim).log_prob(z) - flow.log_abs_det_jacobian(z, x)
        mixed, off = q.log_prob(mix), (flow(z_a) - a).abs().max()
        mixed_norm = flow.inv(mix).norm()
    assert told["t"] == t
    assert told["log q(x)"] == pytest.approx(log_q.item(), abs=tolerance)
    assert told["log q of the mix"] == pytest.approx(mixed.item(), abs=tolerance)
    assert told["norm of z"] == pytest.approx(z.norm().item(), abs=tolerance)
    assert told["norm of the mix's z"] == pytest.approx(mixed_norm.item(), abs=tolerance)
    assert told["a comes back off by"] == pytest.approx(off.item(), abs=tolerance)
    if explorer.levels:
        assert told["bits/dim"] == pytest.approx(math.log2(17) - log_q.item() / dim / math.log(2), abs=tolerance)
    point = explorer.live._moving["q point"].artist.get_offsets()[0]
    assert point == pytest.approx((t, log_q.item()), abs=tolerance)
    drawn = np.asarray(explorer.live._moving["x"].artist.get_array())[..., 0].ravel()
    low, high = images.min(), images.max()
    expected = 0.93 - 0.83 * ((x - low) / (high - low)).clamp(0, 1)
    np.testing.assert_allclose(drawn, expected.numpy(), atol=max(tolerance, 1e-6))


def test_every_control_over_its_values(explorer: LatentExplorer, flow: Flow) -> None:
    images = digits_like()
    explorer.reset()
    for name, control in explorer.controls.items():
        values = [o[1] for o in control.options] if hasattr(control, "options") else [control.min, control.max]
        for value in values:
            explorer.reset()
            explorer.set(**{name: value})
            check(explorer, flow, images)


def test_random_states_on_and_off_the_steps(explorer: LatentExplorer, flow: Flow) -> None:
    images, rng = digits_like(), np.random.default_rng(0)
    for k in range(25):
        state = {"a": int(rng.integers(8)), "b": int(rng.integers(8)), "temperature": float(rng.uniform(0.1, 1.5))}
        t = rng.integers(51) / 50 if k % 2 else rng.uniform()
        explorer.set(**state, t=float(t), path=str(rng.choice(["line", "circle"])))
        check(explorer, flow, images)


def test_at_the_ends_are_the_images_themselves(explorer: LatentExplorer) -> None:
    explorer.reset()
    for t, name in ((0.0, "a"), (1.0, "b")):
        for path in ("line", "circle"):
            explorer.set(t=t, path=path)
            arrays = [np.asarray(explorer.live._moving[n].artist.get_array()) for n in (name, "x", "mix")]
            np.testing.assert_allclose(arrays[1], arrays[0], atol=1e-6)
            np.testing.assert_allclose(arrays[2], arrays[0], atol=1e-12)


def test_the_strips_are_the_stops_and_the_curves_pass_through_the_points(explorer: LatentExplorer) -> None:
    explorer.reset()
    strip = np.asarray(explorer.live._moving["line strip"].artist.get_array())
    curve = explorer.live._moving["q line"].artist.get_xydata()
    assert strip.shape == (8, 11 * 26, 3)
    for k in range(11):
        explorer.set(t=k / 10, path="line")
        large = np.asarray(explorer.live._moving["x"].artist.get_array())
        np.testing.assert_allclose(strip[:, 26 * k + 2 : 26 * (k + 1) : 3], large, atol=1e-12)
        assert curve[5 * k] == pytest.approx((k / 10, explorer.readout["log q(x)"]))


def test_temperature_0_is_one_image_and_its_samples_are_all_the_same(explorer: LatentExplorer, flow: Flow) -> None:
    explorer.reset()
    explorer.preset("temperature 0")
    assert explorer.readout["norm of z"] == 0.0
    strip = np.asarray(explorer.live._moving["samples strip"].artist.get_array()).reshape(8, 11, 26, 3)
    assert np.abs(strip - strip[:, :1]).max() < 1e-12
    explorer.reset()
    drawn = np.asarray(explorer.live._moving["samples strip"].artist.get_array()).reshape(8, 11, 26, 3)
    assert np.abs(drawn - drawn[:, :1]).max() > 0.3


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


class Scale(nn.Module):
    """x = 0.1 z + 0.5, which tells its log-det or does not, and takes images or vectors."""

    def __init__(self, told: bool, rank: int) -> None:
        super().__init__()
        self.told, self.rank = told, rank
        self.factor = nn.Parameter(torch.tensor(0.1))

    def forward(self, z):
        if z.dim() != self.rank:
            raise RuntimeError("of another rank")
        x = self.factor * z + 0.5
        return (x, self.factor.log().expand(len(z)) * z[0].numel()) if self.told else x

    def inverse(self, x):
        z = (x - 0.5) / self.factor
        return (z, -self.factor.log().expand(len(x)) * x[0].numel()) if self.told else z


def pair():
    scale = Scale(True, 2)
    return (lambda z: scale(z)), (lambda x: scale.inverse(x))


GIVEN = {
    "Transform": lambda: AffineTransform(0.5, 0.1),
    "composed": lambda: ComposeTransform([AffineTransform(5.0, 1.0), AffineTransform(0.0, 0.1)]),
    "distribution": lambda: Transformed(Normal(torch.zeros(16), torch.ones(16)), [AffineTransform(0.5, 0.1)]),
    "module": lambda: Scale(True, 2),
    "module of images": lambda: Scale(True, 4),
    "silent module": lambda: Scale(False, 2),
    "pair": pair,
    "two transforms": lambda: Transformed(standard(16), [AffineTransform(5.0, 1.0), AffineTransform(0.0, 0.1)]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_any_flow_can_be_handed_in(name: str) -> None:
    images = digits_like(5, 16)
    own = LatentExplorer(GIVEN[name](), images.reshape(5, 1, 4, 4), shape=(4, 4), path="line")
    for a, b, t, temperature in ((0, 1, 0.5, 1.0), (4, 2, 0.123, 0.6), (3, 3, 1.0, 1.0)):
        own.set(a=a, b=b, t=t, temperature=temperature)
        z = temperature * ((1 - t) * images[a] + t * images[b] - 0.5) / 0.1
        assert own.readout["log q(x)"] == pytest.approx(
            (standard(16).log_prob(z) - 16 * math.log(0.1)).item(), abs=1e-4
        )
        assert own.readout["norm of z"] == pytest.approx(z.norm().item(), abs=1e-5)


def test_a_base_of_your_own_and_its_mean() -> None:
    images = digits_like(3, 16)
    base = Normal(torch.full((16,), 0.5), torch.full((16,), 0.1))
    own = LatentExplorer(AffineTransform(0.0, 1.0), images, (4, 4), base=base, t=0.0, temperature=0.5)
    z = 0.5 + 0.5 * (images[0] - 0.5)
    assert own.readout["log q(x)"] == pytest.approx(base.log_prob(z).sum().item(), abs=1e-4)
    assert own.readout["norm of z"] == pytest.approx((z - 0.5).norm().item(), abs=1e-6)
    with pytest.raises(ValueError, match="base must be left out"):
        LatentExplorer(Transformed(base, [AffineTransform(0.0, 1.0)]), images, (4, 4), base=base)


def test_colours_and_images_that_are_not_square() -> None:
    own = LatentExplorer(AffineTransform(0.0, 1.0), digits_like(2, 36), (3, 2, 6))
    assert own.error == ""
    shown = np.asarray(own.live._moving["a"].artist.get_array())
    own_range = (own.images[0].reshape(3, 2, 6) - own.images.min()) / (own.images.max() - own.images.min())
    np.testing.assert_allclose(shown, own_range.permute(1, 2, 0).numpy(), atol=1e-12)
    assert own.live.static_png(1)


def test_a_flow_works_in_its_own_precision(flow: Flow) -> None:
    own = LatentExplorer(copy.deepcopy(flow).float(), digits_like(), t=0.3)
    check(own, flow, digits_like(), tolerance=1e-3)  # of some 100 nats, 1e-7 each in a few layers
    assert 1e-9 < own.readout["a comes back off by"] < 1e-4


def test_it_is_left_as_it_was(flow: Flow) -> None:
    flow = copy.deepcopy(flow).float()
    distribution = FlowDistribution(Independent(Normal(torch.zeros(D), torch.ones(D)), 1), flow)
    before, random = {k: v.clone() for k, v in flow.state_dict().items()}, torch.random.get_rng_state()
    own = LatentExplorer(distribution, digits_like())
    own.set(a=3, t=0.2)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(v.dtype == before[k].dtype and torch.equal(v, before[k]) for k, v in flow.state_dict().items())
    assert all(parameter.grad is None for parameter in flow.parameters())


def test_a_drag_moves_t_and_what_goes_beyond_the_axes_is_brought_in_sight(explorer: LatentExplorer) -> None:
    explorer.reset()
    for name in explorer.handles:
        explorer.set(**explorer.dragged(name, 0.613, 5.0))
        assert explorer.state["t"] == 0.62
        explorer.set(t=0.0)
    explorer.set(temperature=1.5)
    for prefix, ax in (("q", explorer._picture._log_q), ("norm", explorer._picture._norm)):
        for way in ("line", "circle", "mix"):
            values = explorer.live._moving[f"{prefix} {way}"].artist.get_xydata()[:, 1]
            assert ax.get_ylim()[0] <= values.min() <= values.max() <= ax.get_ylim()[1]


def test_presets_and_the_stored_picture(explorer: LatentExplorer) -> None:
    for name in explorer.presets:
        explorer.preset(name)
        assert explorer.error == ""
    data, metadata = explorer._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "latents" in metadata["image/png"]["alt"]
    explorer.reset()
    assert repr(explorer) == "LatentExplorer(a=0, b=1, t=0.5, path='circle', temperature=1)"


def test_where_a_flow_fails_the_explorer_says_so_and_recovers() -> None:
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
    strips = [np.asarray(own.live._moving[name].artist.get_array()) for name in ("line strip", "mix strip")]
    assert all(strip.std() > 0.05 for strip in strips)


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
        ((3, torch.zeros(5, 64)), "flow must be a flow z -> x.* but is a int"),
        ((standard(), torch.zeros(5, 64)), "flow must be a flow z -> x.* but is a Independent"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LatentExplorer(*arguments)
    with pytest.raises(ValueError, match="levels must"):
        LatentExplorer(AffineTransform(0.0, 1.0), torch.zeros(5, 64), levels=0)
    with pytest.raises(ValueError, match="base must draw 64 numbers"):
        LatentExplorer(AffineTransform(0.0, 1.0), torch.zeros(5, 64), base=standard(9))
