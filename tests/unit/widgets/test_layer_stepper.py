"""The layer stepper's pictures and errors; its numbers are checked by the registry."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    AffineTransform,
    ComposeTransform,
    Independent,
    MultivariateNormal,
    Normal,
    TanhTransform,
    TransformedDistribution,
    Uniform,
)

from nfteach.flows import BatchNorm, Flow, Planar, Stack
from nfteach.widgets import LayerStepper
from tests.explorers.entry import centres, drawn
from tests.explorers.layers import TIGHT, in_double, small, stack


@pytest.fixture(scope="module")
def planar():
    return small(stack("planar"))


def marks_of(stepper, k):
    return stepper.live.frames[k]["plane"].marks


def densities(stepper):
    """Return the densities of all frames, (K + 1, rows, columns), and the area of a cell."""
    shown = [marks_of(stepper, k)["density"] for k in range(len(stepper.live.frames))]
    left, right, bottom, top = shown[0].extent
    values = torch.stack([density.values for density in shown])
    return values, (right - left) * (top - bottom) / values[0].numel()


@pytest.mark.parametrize("name", ["planar", "realnvp", "mixed"])
def test_the_density_of_every_frame_holds_all_the_mass(name):
    stepper = LayerStepper(stack(name), samples=40, resolution=220, extent=(-25, 25, -25, 25))
    values, cell = densities(stepper)
    # Where layers squeeze the plane, a peak is only a few cells wide: a few per cent.
    assert (values.sum(dim=(1, 2)) * cell).tolist() == pytest.approx([1.0] * len(values), abs=0.06)


def test_the_density_of_a_frame_is_that_of_its_layers():
    base = Independent(Normal(torch.tensor([0.5, -0.2]), torch.tensor([0.7, 1.2])), 1)
    stepper = small(stack("realnvp"), base=base, extent=(-3.0, 3.0, -3.0, 3.0))
    flow, values = in_double(stack("realnvp")), densities(stepper)[0]
    x = centres(marks_of(stepper, 0)["density"].extent, tuple(values.shape[1:]), torch.float64)
    for k in (0, 1, 3):
        # The long way: autograd of the inverse, point by point.
        for row, column in ((2, 3), (8, 7), (13, 11)):
            point = x[row, column]
            log_q = base.log_prob(point)
            if k:
                back = torch.autograd.functional.jacobian(flow[:k].inv, point)
                log_q = base.log_prob(flow[:k].inv(point)) + back.slogdet().logabsdet
            density = values[k, row, column].item()
            assert density == pytest.approx(log_q.exp().item(), rel=1e-3, abs=1e-6)  # float32 makes the picture


def test_samples_and_grid_are_carried_along_and_bars_are_their_means():
    stepper, flow = small(stack("mixed")), in_double(stack("mixed"))
    for k, layer in enumerate(flow, start=1):
        for name in ("samples", "grid"):
            before, after = (marks_of(stepper, at)[name].points for at in (k - 1, k))
            assert torch.allclose(layer(before), after, atol=TIGHT)
        mean = layer.call_and_ladj(marks_of(stepper, k - 1)["samples"].points)[1].mean()
        assert drawn(stepper, "strip")[k - 1] == pytest.approx(mean.item(), abs=TIGHT)


def test_the_grid_bounds_the_area_that_the_determinants_add_up_to(planar):
    side = torch.arange(-3, 3, 0.02, dtype=torch.float64) + 0.01
    z, flow = torch.cartesian_prod(side, side), in_double(stack("planar"))
    for k in range(len(flow) + 1):
        level, upright = marks_of(planar, k)["grid"].points.chunk(2)
        x, y = torch.cat([level[0], upright[-1], level[-1].flip(0), upright[0].flip(0)]).T
        area = 0.5 * (x @ y.roll(-1) - y @ x.roll(-1)).abs().item()
        dets = flow[:k].call_and_ladj(z)[1].exp() if k else torch.ones(len(z))
        assert area == pytest.approx(dets.sum().item() * 0.02**2, rel=0.01)


def test_a_copy_is_shown_and_nothing_is_changed():
    flow = Stack(Planar(2), BatchNorm(2))
    state = torch.random.get_rng_state()
    stepper = small(flow)
    assert torch.random.get_rng_state().equal(state)
    assert flow.training
    assert next(flow.parameters()).dtype == torch.float32
    before = stepper.readout
    with torch.no_grad():
        flow[0].w.add_(1.0)
    stepper.set(probe_1=1.0)
    stepper.set(probe_1=0.6)
    assert stepper.readout == before


def test_seventeen_frames_travel_in_half_a_megabyte():
    stepper = LayerStepper(Stack(*[Planar(2) for _ in range(16)]))
    assert len(stepper.live.frames) == 17
    assert sum(len(buffer) for buffer in stepper.live.get_state("_frames")["_frames"]["buffers"]) < 500_000


def test_layers_are_gone_through_by_set_and_by_the_browser():
    stepper = small(stack("planar"))
    assert stepper.readout["layer"] == "5 of 5: Planar"  # begins with the last
    stepper.set(layer=0)
    assert stepper.readout["layer"] == "0: the base"
    assert stepper.readout["running log|det|"] == 0
    stepper.live.frame = 3  # as the browser's slider does
    assert stepper.readout["layer"] == "3 of 5: Planar"
    stepper.set(probe_1=1.5)
    assert stepper.readout["layer"] == "3 of 5: Planar"
    assert repr(stepper) == "LayerStepper(probe_1=1.5, probe_2=-0.4, show_J=False, layer=3)"


def test_the_static_picture_follows_the_frame():
    stepper = small(stack("planar"), data=torch.randn(50, 2))
    last = stepper.live.static_png(0.5)
    stepper.set(layer=1)
    assert last != stepper.live.static_png(0.5)
    stepper.set(layer=5)
    assert last == stepper.live.static_png(0.5)


TORCH = ComposeTransform(
    [
        AffineTransform(torch.tensor([0.2, -0.1]), torch.tensor([0.5, -1.5]), event_dim=1),
        ComposeTransform([TanhTransform(), AffineTransform(0.3, 2.0)]),
    ]
)


@pytest.mark.parametrize(
    ("flow", "names"),
    [
        (TORCH, ["AffineTransform", "ComposeTransform"]),
        (TanhTransform(), ["TanhTransform"]),
        (stack("planar")[0], ["Planar"]),
    ],
)
def test_maps_of_any_make_are_stepped_through(flow, names):
    normal = Normal(torch.zeros(2, dtype=torch.float64), 1.0, validate_args=False)
    base = Independent(normal, 1, validate_args=False)
    stepper = small(flow, base=base, extent=(-2.0, 2.0, -2.0, 2.0))
    assert stepper.error == ""
    assert [frame["readout"]["layer"].value.partition(": ")[2] for frame in stepper.live.frames] == ["the base", *names]
    flow = in_double(flow) if isinstance(flow, Planar) else flow
    J = torch.autograd.functional.jacobian(flow, torch.tensor([0.6, -0.4], dtype=torch.float64))
    assert stepper.readout["running log|det|"] == pytest.approx(J.slogdet().logabsdet.item(), abs=1e-6)
    density = marks_of(stepper, len(names))["density"]
    x = centres(density.extent, tuple(density.values.shape), torch.float64)
    q = TransformedDistribution(base, flow, validate_args=False).log_prob(x).exp().detach().nan_to_num(0.0)
    np.testing.assert_allclose(density.values, q, rtol=1e-3, atol=1e-6)
    assert (q > 0).any()


class Reciprocal(Flow):
    """y = 1 / x in the first dimension: infinite where x is zero."""

    def call_and_ladj(self, x):
        return torch.stack([1 / x[..., 0], x[..., 1]], -1), -2 * x[..., 0].abs().log()

    inverse_and_ladj = call_and_ladj


class Stretch(Flow):
    """A layer without an inverse."""

    def call_and_ladj(self, x):
        return 2 * x, torch.full(x.shape[: x.dim() - len(self.event_shape)], self.dim * math.log(2.0), dtype=x.dtype)


def test_an_error_is_shown_and_clears():
    stepper = small(Stack(Reciprocal(2)), extent=(-3, 3, -3, 3))
    assert not stepper.error
    stepper.set(probe_1=0.0)
    assert stepper.error.endswith("must be finite, but is NaN or infinite for z = (0, -0.4); try another z")
    assert stepper.readout == {}
    stepper.set(probe_1=0.5)
    assert not stepper.error
    assert stepper.readout["layer's log|det|"] == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(torch.nn.Linear(2, 2)), "dim must be given, since Linear .*; try dim=2"),
        (lambda: small(torch.nn.Linear(2, 3), dim=2), "transform: Linear maps 2 numbers to 3"),
        (lambda: small("flow", dim=2), "transform must be a flow"),
        (lambda: small(Stack(Planar(1))), r"flow must map vectors of at least two dimensions, but .* \(1,\)"),
        (lambda: small(Stack(Stretch((1, 2, 2)))), r"flow must map vectors .* \(1, 2, 2\)"),
        (lambda: small(stack("planar"), target="u1"), "target must have log_prob"),
        (lambda: small(stack("planar"), base=Normal(0.0, 1.0)), "base must draw one point of 2 dimensions"),
        (lambda: small(stack("planar"), base=MultivariateNormal(torch.zeros(3), torch.eye(3))), "base must draw"),
        (lambda: small(stack("planar"), base="normal"), "base must be a torch distribution, but is a str"),
        (lambda: small(stack("planar"), data=torch.zeros(5, 3)), "data must be points of the plane"),
        (lambda: small(stack("planar"), extent=(1, -1, 0, 1)), "extent must be"),
        (lambda: small(stack("planar"), probe=(1.0, 2.0, 3.0)), "probe must be two numbers"),
        (lambda: small(stack("planar"), probe=(1.0, 9.0)), "probe_2 must be a number from -3 to 3, but is 9.0"),
        (lambda: small(stack("planar"), layer=6), r"layer must be a whole number from 0 to 5, but is 6"),
        (lambda: small(stack("planar")).set(depth=1), "there is no control 'depth'"),
    ],
)
def test_invalid_arguments_are_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_base_of_bounded_support_is_drawn_inside_and_out():
    base = Uniform(torch.full((2,), -1.0), torch.full((2,), 1.0), validate_args=False)
    values, _ = densities(small(stack("planar"), base=base, extent=(-8.0, 8.0, -8.0, 8.0)))
    assert values.isfinite().all()
    assert values.min() == 0
