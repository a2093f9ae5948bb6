"""The layer stepper in more dimensions than two, without inverses, with a target, and with a probe that is dragged."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from nfteach.flows import AffineCoupling, Flow, Permutation, Planar, RealNVP, Stack
from nfteach.targets import u1
from nfteach.widgets.parts import Handle
from tests.explorers.entry import centres, drawn
from tests.explorers.front_end import drag
from tests.explorers.layers import TIGHT, first, in_double, small, wild


class Scale(Flow):
    """x times some numbers; without an inverse if ``one_way``."""

    def __init__(self, scale, one_way=False):
        super().__init__(len(scale))
        self.register_buffer("scale", torch.tensor(scale))
        self.one_way = one_way

    def call_and_ladj(self, x):
        return x * self.scale, self.scale.abs().log().sum().expand(x.shape[:-1])

    def inverse_and_ladj(self, y):
        if self.one_way:
            raise ValueError("there is no inverse")
        return y / self.scale, -self.scale.abs().log().sum().expand(y.shape[:-1])


def folding() -> Planar:
    layer = Planar(2, constrained=False)
    with torch.no_grad():
        layer.w.copy_(torch.tensor([2.0, 0.0]))
        layer.u.copy_(torch.tensor([-1.0, 0.0]))
    return layer


def marks_of(stepper):
    return [frame["plane"].marks for frame in stepper.live.frames]


FIVE = wild(Stack(Planar(5), Permutation([2, 0, 4, 1, 3]), *RealNVP(5, layers=2, hidden=(8,))), 0.4)


@pytest.fixture(scope="module")
def five():
    return small(FIVE, extent=(-3.0, 3.0, -3.0, 3.0), resolution=12, probe=(0.1, 0.2, 0.3, 0.4, 0.5))


def test_samples_and_grid_are_seen_in_the_two_dimensions():
    stepper = small(FIVE, data=torch.arange(50.0).reshape(10, 5), probe=(0.1, 0.2, 0.3, 0.4, 0.5))
    flow = in_double(FIVE)
    points = torch.zeros(len(FIVE) + 1, 40, 5, dtype=torch.float64)  # all five coordinates, seen in pairs
    for i, j in ((1, 2), (3, 4), (5, 1)):
        stepper.set(i=i, j=j)
        points[..., [i - 1, j - 1]] = torch.stack([marks["samples"].points for marks in marks_of(stepper)])
    stepper.set(i=4, j=2, probe_1=0.0, probe_2=1.0)
    for k, marks in enumerate(marks_of(stepper)):
        np.testing.assert_allclose(points[k], first(flow, k)(points[0]).detach(), atol=TIGHT)
        np.testing.assert_allclose(marks["samples"].points, points[k][:, [3, 1]])
        # The corner of the grid: z_4 = z_2 = -3, the others where the probe is.
        z = torch.tensor([0.1, -3.0, 0.3, -3.0, 0.5], dtype=torch.float64)
        np.testing.assert_allclose(marks["grid"].points[0, 0], first(flow, k)(z)[[3, 1]].detach(), atol=TIGHT)
    np.testing.assert_array_equal(drawn(stepper, "data"), np.arange(50.0).reshape(10, 5)[:, [3, 1]])


def test_the_slice_is_the_density_of_points_that_share_the_other_coordinates(five):
    stepper, flow = five, in_double(FIVE)
    stepper.set(i=3, j=5, probe_1=0.3, probe_2=0.5)
    z = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    for k, marks in enumerate(marks_of(stepper)):
        x, density = first(flow, k)(z).detach(), marks["density"]
        cells = centres(density.extent, tuple(density.values.shape), torch.float64)
        for row, column in ((0, 0), (3, 8), (11, 5)):
            point = x.clone()
            point[[2, 4]] = cells[row, column]
            back, log_det = point, 0.0
            if k:
                J = torch.autograd.functional.jacobian(flow[:k].inv, point)
                back, log_det = flow[:k].inv(point), J.slogdet().logabsdet.item()
            q = (Normal(0.0, 1.0).log_prob(back).sum() + log_det).exp().item()
            assert density.values[row, column].item() == pytest.approx(q, rel=1e-3, abs=1e-9)  # made in float32


def test_the_view_is_around_the_samples_in_its_two_dimensions():
    stepper = small(Stack(Scale([1.0, 0.1, 20.0])))
    for i, j, reach in ((1, 2, 2.5), (1, 3, 50.0)):
        stepper.set(i=i, j=j)
        plane = stepper.parts["plane"]
        points = torch.stack([marks["samples"].points for marks in marks_of(stepper)])
        assert (points.abs() <= max(plane.x[1], -plane.x[0]) * 1.5).all()
        assert plane.x[1] - plane.x[0] == pytest.approx(2 * reach, rel=0.3)
        # The tint of the slice before the first layer is neither faint nor full.
        density = marks_of(stepper)[0]["density"]
        assert 0.3 < density.scale / density.values.max() < 0.8


def test_the_same_dimension_twice_is_an_error_that_clears(five):
    stepper = five
    stepper.set(i=2, j=2)
    assert stepper.error == "two dimensions are shown, but i and j are both 2; move one of them"
    stepper.set(j=1)
    assert stepper.error == ""
    for i, j in ((1, 5), (5, 1)):
        for probe in (-3.0, 3.0):
            stepper.set(i=i, j=j, probe_1=probe, probe_2=-probe)
            assert stepper.error == ""


@pytest.mark.parametrize("dim", [2, 4, 9])
def test_entries_by_construction_are_marked_and_no_others(dim):
    mask = torch.arange(dim) < dim // 2
    flow = wild(Stack(AffineCoupling(mask, hidden=(16, 16)), Permutation(list(reversed(range(dim)))), Planar(dim)), 0.4)
    stepper = small(flow)
    stepper.set(show_J=True)
    matrices = [frame["J"] for frame in stepper.live.frames]
    eye, kept, anti = torch.eye(dim).bool(), mask, torch.eye(dim).flip(1).bool()
    ones = [eye, eye & kept, anti, torch.zeros_like(eye)]  # planar: dense
    zeros = [~eye, (kept[:, None] | ~kept[None]) & ~eye, ~anti, torch.zeros_like(eye)]
    for matrix, one, zero in zip(matrices, ones, zeros, strict=True):
        assert torch.equal(matrix.one, one)
        assert torch.equal(matrix.zero, zero)


@pytest.mark.parametrize(
    ("flow", "without", "words"),
    [
        (
            Stack(Planar(2), folding(), Planar(2)),
            2,
            "w.u must be at least -1",
        ),
        (Stack(Scale([2.0, 1.0], one_way=True)), 1, "there is no inverse"),
    ],
)
def test_without_an_inverse_there_is_all_but_the_density(flow, without, words):
    stepper = small(flow)
    assert stepper.error == ""
    for k, frame in enumerate(stepper.live.frames):
        marks, said = frame["plane"].marks, frame["plane"].note
        assert marks["density"].values.any() == (k < without)
        assert (words in said and said.startswith("no density: ")) if k >= without else said == ""
        # A point that cannot be brought back cannot be dragged.
        assert isinstance(marks["z_k"], Handle) == (k < without)
        assert not isinstance(marks["x"], Handle)


def test_the_gap_of_gaussians_is_their_divergence():
    flow = Stack(Scale([0.5, 2.0]), Scale([2.0, 0.5]), Scale([0.7, 0.6]))
    p = MultivariateNormal(torch.tensor([0.3, 0.0]), torch.diag(torch.tensor([1.0, 0.5])))
    stepper = small(flow, target=p)
    scale = torch.ones(2)
    for k in range(4):
        if k:
            scale = scale * flow[k - 1].scale
        stepper.set(layer=k)
        numbers = stepper.readout
        q = MultivariateNormal(torch.zeros(2), torch.diag(scale**2))
        expected = kl_divergence(q, p).item()
        assert numbers["ELBO gap, KL(q‖p)"] == pytest.approx(expected, abs=5 * numbers["its standard error"])
        assert drawn(stepper, "gap here").tolist() == [[k, numbers["ELBO gap, KL(q‖p)"]]]


def test_the_gap_to_an_energy_has_its_normaliser():
    flow = wild(Stack(*[Planar(2) for _ in range(3)]), 0.4)
    stepper = small(flow, target=u1())
    side = torch.arange(-5.5, 5.5, 0.04, dtype=torch.float64) + 0.02
    z = torch.cartesian_prod(side, side)
    log_base = Normal(0.0, 1.0).log_prob(z).sum(-1)
    for k in range(4):
        x, ladj = in_double(flow)[:k].call_and_ladj(z) if k else (z, torch.zeros(len(z)))
        each = log_base - ladj + u1().energy(x) + u1().log_normaliser
        expected = (log_base.exp() * each).sum().item() * 0.04**2
        stepper.set(layer=k)
        numbers = stepper.readout
        assert numbers["ELBO gap, KL(q‖p)"] == pytest.approx(expected, abs=5 * numbers["its standard error"])


def test_without_log_z_it_is_the_free_energy():
    flow = wild(Stack(Planar(3), Planar(3)), 0.4)
    stepper = small(flow, target=lambda x: -x.square().sum(-1) / 2 + 7)
    stepper.set(layer=0)
    # E[log q - log p] for q the standard normal: minus log Z.
    expected = -7 - 1.5 * math.log(2 * math.pi)
    assert stepper.readout["free energy"] == pytest.approx(expected, abs=1e-5)
    known = small(flow, target=Independent(Normal(torch.zeros(3), torch.ones(3)), 1), layer=0)
    assert known.readout["ELBO gap, KL(q‖p)"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("layer", "name", "k"), [(0, "z_k", 0), (1, "z_k", 1), (3, "z_k", 3), (2, "z", 0), (1, "x", 3)]
)
def test_dragged_points_land_where_they_were_dropped(layer, name, k):
    flow = wild(Stack(*[Planar(2) for _ in range(3)]), 0.4)
    stepper = small(flow, layer=layer)
    goal = first(in_double(flow), k)(torch.tensor([0.5, 0.7], dtype=torch.float64)).tolist()
    drag(stepper.live, name, *goal)
    assert stepper.error == ""
    assert stepper.state == {"probe_1": 0.5, "probe_2": 0.7, "show_J": False, "layer": layer}
    np.testing.assert_allclose(drawn(stepper, name), goal, atol=1e-6)


def test_a_drag_without_an_inverse_is_refused_in_words():
    stepper = small(Stack(Planar(2), folding()))
    before = stepper.state
    drag(stepper.live, "x", 0.0, 0.0, number=1)
    assert "w.u must be at least -1" in stepper.error
    assert stepper.state == before
    drag(stepper.live, "z", 0.25, 9.0, number=2)
    assert stepper.error == ""
    assert (stepper.state["probe_1"], stepper.state["probe_2"]) == (0.25, 3.0)


def test_in_more_dimensions_only_z_is_dragged(five):
    five.set(layer=0)
    assert isinstance(five.live.mark("z"), Handle)
    assert [isinstance(five.live.mark(name), Handle) for name in ("x", "z_k")] == [False, False]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(FIVE, data=torch.zeros(4, 2)), r"data must be points \(N, 5\), but has the shape \(4, 2\)"),
        (lambda: small(FIVE, probe=(1.0, 2.0, 3.0)), r"probe must be two numbers, \(z_1, z_2\), or 5, but is"),
        (lambda: small(FIVE, base=Normal(torch.zeros(2), 1.0)), r"base must draw one point of 5 dimensions"),
        (lambda: small(FIVE, target=lambda x: x), "target must give one log-density a point"),
        (lambda: small(FIVE).set(i=6), "i must be a whole number from 1 to 5, but is 6"),
    ],
)
def test_invalid_arguments_are_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
