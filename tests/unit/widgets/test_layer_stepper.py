"""The layer stepper's numbers against autograd of the whole map; its pictures; what it refuses."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, Uniform

from nfteach.flows import BatchNorm, Flow, Permutation, Planar, RealNVP, Stack
from nfteach.widgets.layers.stepper import LayerStepper
from tests.unit.widgets.sending import traits

# The stepper computes in float64; what is compared has gone through at most a few dozen operations.
TIGHT = 1e-9


def wild(flow: Stack) -> Stack:
    """Parameters away from their first values, where mistakes hide."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return flow


def stacks() -> dict[str, Stack]:
    torch.manual_seed(3)
    normalise = BatchNorm(2)
    normalise(torch.randn(500, 2) * torch.tensor([2.0, 0.5]) + 1)  # running statistics of its own
    return {
        "planar": wild(Stack(*[Planar(2) for _ in range(5)])),
        "leaky planar": wild(Stack(*[Planar(2, activation="leaky_relu") for _ in range(3)])),
        "realnvp": wild(RealNVP(2, layers=4, hidden=(8,))),
        "mixed": Stack(
            wild(Stack(Planar(2)))[0], Permutation([1, 0]), *wild(RealNVP(2, layers=2, hidden=(8,))), normalise
        ),
        "inverse": Stack(*[layer.inv for layer in reversed(INVERTED)]),
    }


INVERTED = wild(Stack(Planar(2), Planar(2), Planar(2)))  # kept alive: its layers' inverses hold them weakly
STACKS = stacks()


def small(flow: Stack, **options) -> LayerStepper:
    return LayerStepper(flow, samples=40, resolution=16, **options)


def entries(shown):
    """The matrix, with its marks for 0 and 1 by construction taken back."""
    values = shown["values"]
    return np.where(np.abs(values) > 5e5, values > 0, values)


@pytest.mark.parametrize("name", STACKS)
def test_every_frame_agrees_with_autograd_of_the_layers_so_far(name):
    flow = STACKS[name]
    stepper = small(flow)
    stepper.set(probe_1=-0.7, probe_2=1.1)
    z = torch.tensor([-0.7, 1.1], dtype=torch.float64)
    whole = stepper.flow  # the copy: float64, in evaluation mode
    before = 0.0
    for k in range(len(flow) + 1):
        stepper.set(layer=k)
        readout = stepper.readout
        J = torch.eye(2, dtype=torch.float64)
        if k:
            J = torch.autograd.functional.jacobian(lambda z, k=k: whole[:k](z), z)
        expected = J.slogdet()
        assert readout["running log|det|"] == pytest.approx(expected.logabsdet.item(), abs=TIGHT)
        assert readout["product's log|det|"] == pytest.approx(expected.logabsdet.item(), abs=TIGHT)
        assert readout["layer's log|det|"] == pytest.approx(expected.logabsdet.item() - before, abs=TIGHT)
        assert readout["sign of det"] == expected.sign.item()
        log_p = -0.5 * z.square().sum().item() - math.log(2 * math.pi)
        assert readout["log q"] == pytest.approx(log_p - expected.logabsdet.item(), abs=TIGHT)
        before = expected.logabsdet.item()
        shown = stepper.live._stored.values[k]["parts"]
        np.testing.assert_allclose(entries(shown["product"]), J.numpy(), atol=TIGHT)
        np.testing.assert_allclose(shown["probe"]["points"][0], (whole[:k](z) if k else z).numpy(), atol=TIGHT)


def test_the_jacobian_of_a_layer_is_taken_at_its_own_input():
    flow = STACKS["planar"]
    stepper = small(flow, probe=(0.4, 0.9))
    x = torch.tensor([0.4, 0.9], dtype=torch.float64)
    for k, layer in enumerate(stepper.flow, start=1):
        J = torch.eye(2, dtype=torch.float64) + torch.outer(layer.u_hat(), layer.terms(x)["psi"])
        shown = stepper.live._stored.values[k]["parts"]["J"]
        np.testing.assert_allclose(entries(shown), J.detach().numpy(), atol=TIGHT)
        x = layer(x)


@pytest.mark.parametrize("name", ["planar", "realnvp", "mixed"])
def test_the_density_of_every_frame_holds_all_the_mass(name):
    stepper = LayerStepper(STACKS[name], samples=40, resolution=220, extent=(-25, 25, -25, 25))
    cell = (50 / 220) ** 2
    masses = stepper._view.densities.sum(axis=(1, 2)) * cell
    # Where layers squeeze the plane, a peak is only a few cells wide: a few per cent.
    assert masses == pytest.approx(np.ones(len(masses)), abs=0.06)


def test_the_density_of_a_frame_is_that_of_its_layers():
    base = Independent(Normal(torch.tensor([0.5, -0.2]), torch.tensor([0.7, 1.2])), 1)
    stepper = small(STACKS["realnvp"], base=base, extent=(-3.0, 3.0, -3.0, 3.0))
    x = torch.from_numpy(stepper._picture.pixels(16))
    for k in (0, 1, 3):
        # The long way: autograd of the inverse, point by point.
        part = stepper.flow[:k] if k else None
        for row, column in ((2, 3), (8, 7), (13, 11)):
            point = x[row, column]
            log_q = base.log_prob(point)
            if part is not None:
                back = torch.autograd.functional.jacobian(part.inv, point)
                log_q = base.log_prob(part.inv(point)) + back.slogdet().logabsdet
            density = stepper._view.densities[k, row, column]
            assert density == pytest.approx(log_q.exp().item(), rel=1e-3, abs=1e-6)  # float32 makes the picture


def test_samples_and_grid_are_carried_along():
    stepper = small(STACKS["mixed"])
    frames = [value["parts"] for value in stepper.live._stored.values]
    for k, layer in enumerate(stepper.flow, start=1):
        for name, part in (("samples", "points"), ("grid", "segments")):
            before, after = (torch.from_numpy(frame[name][part]) for frame in frames[k - 1 : k + 1])
            assert torch.allclose(layer(before), after, atol=TIGHT)


def test_the_small_square_has_the_area_of_the_determinant():
    stepper = small(STACKS["planar"])
    areas = []
    for value in stepper.live._stored.values:
        x, y = value["parts"]["square"]["vertices"].T
        areas.append(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    running = [value["readout"]["running log|det|"][0] for value in stepper.live._stored.values]
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
    assert len(stepper.live._stored.values) == 17
    assert sum(len(buffer) for buffer in traits(stepper.live, "_frames")["buffers"]) < 500_000


def test_layers_are_gone_through_by_set_and_by_the_browser():
    stepper = small(STACKS["planar"])
    assert stepper.readout["layer"] == "5 of 5: Planar"  # begins with the last
    stepper.set(layer=0)
    assert stepper.readout["layer"] == "0: the base"
    assert stepper.readout["running log|det|"] == 0
    stepper.live.frame = 3  # what the browser's slider does
    assert stepper.readout["layer"] == "3 of 5: Planar"
    stepper.set(probe_1=1.5)
    assert stepper.readout["layer"] == "3 of 5: Planar"
    assert repr(stepper) == "LayerStepper(probe_1=1.5, probe_2=-0.4)"


def test_the_static_picture_follows_the_frame():
    stepper = small(STACKS["planar"], data=torch.randn(50, 2))
    last = stepper.live.static_png()
    stepper.set(layer=1)
    assert last != stepper.live.static_png()
    stepper.set(layer=5)
    assert last == stepper.live.static_png()


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
        (lambda: small(STACKS["planar"], target="u1"), "target must have log_prob"),
        (lambda: small(STACKS["planar"], base=Normal(0.0, 1.0)), "base must draw one point of the plane"),
        (lambda: small(STACKS["planar"], base=MultivariateNormal(torch.zeros(3), torch.eye(3))), "base must draw"),
        (lambda: small(STACKS["planar"], base="normal"), "base must be a torch distribution, but is a str"),
        (lambda: small(STACKS["planar"], data=torch.zeros(5, 3)), "data must be points of the plane"),
        (lambda: small(STACKS["planar"], extent=(1, -1, 0, 1)), "extent must be"),
        (lambda: small(STACKS["planar"], probe=(1.0, 2.0, 3.0)), "probe must be two numbers"),
        (lambda: small(STACKS["planar"], probe=(1.0, 9.0)), "probe_2 must be a number from -3 to 3, but is 9.0"),
        (lambda: small(STACKS["planar"], layer=6), r"layer must be a whole number from 0 \(the base\) to 5, but is 6"),
        (lambda: small(STACKS["planar"]).set(depth=1), "there is no control 'depth'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_base_of_bounded_support_is_drawn_inside_and_out():
    base = Uniform(torch.full((2,), -1.0), torch.full((2,), 1.0), validate_args=False)
    stepper = small(STACKS["planar"], base=base, extent=(-8.0, 8.0, -8.0, 8.0))
    assert np.isfinite(stepper._view.densities).all()
    assert stepper._view.densities.min() == 0
