"""The layer stepper's pictures and errors; its numbers are checked by the registry."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, Uniform

from nfteach.flows import BatchNorm, Flow, Planar, Stack
from nfteach.widgets import LayerStepper
from tests.explorers.entry import centres
from tests.explorers.layers import TIGHT, small, stack


@pytest.fixture(scope="module")
def planar():
    return small(stack("planar"))


def densities(stepper):
    """Return the densities of all frames, (K + 1, rows, columns), whose roots are drawn."""
    return np.stack([frame["density"]["values"] for frame in stepper.live.frames]) ** 2


@pytest.mark.parametrize("name", ["planar", "realnvp", "mixed"])
def test_the_density_of_every_frame_holds_all_the_mass(name):
    stepper = LayerStepper(stack(name), samples=40, resolution=220, extent=(-25, 25, -25, 25))
    cell = (50 / 220) ** 2
    masses = densities(stepper).sum(axis=(1, 2)) * cell
    # Where layers squeeze the plane, a peak is only a few cells wide: a few per cent.
    assert masses == pytest.approx(np.ones(len(masses)), abs=0.06)


def test_the_density_of_a_frame_is_that_of_its_layers():
    base = Independent(Normal(torch.tensor([0.5, -0.2]), torch.tensor([0.7, 1.2])), 1)
    stepper = small(stack("realnvp"), base=base, extent=(-3.0, 3.0, -3.0, 3.0))
    x = centres((-3.0, 3.0, -3.0, 3.0), 16, torch.float64)
    for k in (0, 1, 3):
        # The long way: autograd of the inverse, point by point.
        part = stepper.flow[:k] if k else None
        for row, column in ((2, 3), (8, 7), (13, 11)):
            point = x[row, column]
            log_q = base.log_prob(point)
            if part is not None:
                back = torch.autograd.functional.jacobian(part.inv, point)
                log_q = base.log_prob(part.inv(point)) + back.slogdet().logabsdet
            density = densities(stepper)[k, row, column]
            assert density == pytest.approx(log_q.exp().item(), rel=1e-3, abs=1e-6)  # float32 makes the picture


def test_samples_and_grid_are_carried_along():
    stepper = small(stack("mixed"))
    frames = stepper.live.frames
    for k, layer in enumerate(stepper.flow, start=1):
        for name, part in (("samples", "points"), ("grid", "segments")):
            before, after = (torch.from_numpy(frame[name][part]) for frame in frames[k - 1 : k + 1])
            assert torch.allclose(layer(before), after, atol=TIGHT)


def test_the_small_square_has_the_area_of_the_determinant(planar):
    areas = []
    for frame in planar.live.frames:
        x, y = frame["square"]["vertices"].T
        areas.append(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    running = [frame["readout"]["running log|det|"][0] for frame in planar.live.frames]
    assert np.array(areas) / areas[0] == pytest.approx(np.exp(running))


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
    assert repr(stepper) == "LayerStepper(probe_1=1.5, probe_2=-0.4)"


def test_the_static_picture_follows_the_frame():
    stepper = small(stack("planar"), data=torch.randn(50, 2))
    last = stepper.live.static_png(0.5)
    stepper.set(layer=1)
    assert last != stepper.live.static_png(0.5)
    stepper.set(layer=5)
    assert last == stepper.live.static_png(0.5)


class Reciprocal(Flow):
    """y = 1 / x in the first dimension: infinite where x is zero."""

    def call_and_ladj(self, x):
        return torch.stack([1 / x[..., 0], x[..., 1]], -1), -2 * x[..., 0].abs().log()

    inverse_and_ladj = call_and_ladj


class Stretch(Flow):
    """A layer without an inverse."""

    def call_and_ladj(self, x):
        return 2 * x, torch.full(x.shape[:-1], 2 * math.log(2.0), dtype=x.dtype)


def test_an_error_is_shown_and_clears():
    stepper = small(Stack(Reciprocal(2)), extent=(-3, 3, -3, 3))
    assert not stepper.error
    stepper.set(probe_1=0.0)
    assert stepper.error == "layer 1 (Reciprocal) takes the probe to infinity; move the probe"
    assert stepper.readout == {}
    stepper.set(probe_1=0.5)
    assert not stepper.error
    assert stepper.readout["layer's log|det|"] == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LayerStepper(Planar(2)), r"flow must be a Stack of layers, but is a Planar; try Stack\(flow\)"),
        (lambda: LayerStepper(torch.nn.Linear(2, 2)), "flow must be a Stack of layers, but is a Linear"),
        (lambda: small(Stack(Planar(1))), r"flow must be a Stack on vectors of at least two dimensions, but .* \(1,\)"),
        (lambda: small(Stack(Stretch((1, 2, 2)))), r"flow must be a Stack on vectors .* \(1, 2, 2\)"),
        (lambda: small(stack("planar"), target="u1"), "target must have log_prob"),
        (lambda: small(stack("planar"), base=Normal(0.0, 1.0)), "base must draw one point of 2 dimensions"),
        (lambda: small(stack("planar"), base=MultivariateNormal(torch.zeros(3), torch.eye(3))), "base must draw"),
        (lambda: small(stack("planar"), base="normal"), "base must be a torch distribution, but is a str"),
        (lambda: small(stack("planar"), data=torch.zeros(5, 3)), "data must be points of the plane"),
        (lambda: small(stack("planar"), extent=(1, -1, 0, 1)), "extent must be"),
        (lambda: small(stack("planar"), probe=(1.0, 2.0, 3.0)), "probe must be two numbers"),
        (lambda: small(stack("planar"), probe=(1.0, 9.0)), "probe_2 must be a number from -3 to 3, but is 9.0"),
        (lambda: small(stack("planar"), layer=6), r"layer must be a whole number from 0 \(the base\) to 5, but is 6"),
        (lambda: small(stack("planar")).set(depth=1), "there is no control 'depth'"),
    ],
)
def test_invalid_arguments_are_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_base_of_bounded_support_is_drawn_inside_and_out():
    base = Uniform(torch.full((2,), -1.0), torch.full((2,), 1.0), validate_args=False)
    stepper = small(stack("planar"), base=base, extent=(-8.0, 8.0, -8.0, 8.0))
    assert np.isfinite(densities(stepper)).all()
    assert densities(stepper).min() == 0
