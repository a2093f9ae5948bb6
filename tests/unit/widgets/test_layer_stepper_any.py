"""The layer stepper in more dimensions than two, without inverses, with a target, and with a probe that is dragged."""

import math

import numpy as np
import pytest
import torch
from nfteach.widgets.layers.matrices import NUMBERS_UP_TO
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from nfteach.flows import AffineCoupling, Flow, Permutation, Planar, RealNVP, Stack
from nfteach.targets import u1
from tests.explorers.entry import drawn
from tests.explorers.front_end import state_of
from tests.explorers.layers import TIGHT, small, wild


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


FIVE = wild(Stack(Planar(5), Permutation([2, 0, 4, 1, 3]), *RealNVP(5, layers=2, hidden=(8,))), 0.4)


@pytest.fixture(scope="module")
def five():
    return small(FIVE, extent=(-3.0, 3.0, -3.0, 3.0), resolution=12, probe=(0.1, 0.2, 0.3, 0.4, 0.5))


def test_samples_and_grid_are_seen_in_the_two_dimensions():
    stepper = small(FIVE, data=torch.arange(50.0).reshape(10, 5), probe=(0.1, 0.2, 0.3, 0.4, 0.5))
    points = np.zeros((len(FIVE) + 1, 40, 5))  # all five coordinates, seen in pairs
    for i, j in ((1, 2), (3, 4), (5, 1)):
        stepper.set(i=i, j=j)
        points[..., [i - 1, j - 1]] = [frame["samples"]["points"] for frame in stepper.live.frames]
    stepper.set(i=4, j=2, probe_1=0.0, probe_2=1.0)
    for k, frame in enumerate(stepper.live.frames):
        z = torch.from_numpy(points[0])
        np.testing.assert_allclose(points[k], stepper.flow[:k](z) if k else z, atol=TIGHT)
        np.testing.assert_allclose(frame["samples"]["points"], points[k][:, [3, 1]])
        # The corner of the grid: z_4 = z_2 = -3, the others where the probe is.
        z = torch.tensor([0.1, -3.0, 0.3, -3.0, 0.5], dtype=torch.float64)
        image = stepper.flow[:k](z) if k else z
        np.testing.assert_allclose(frame["grid"]["segments"][0, 0], image[[3, 1]].numpy(), atol=1e-9)
    np.testing.assert_array_equal(drawn(stepper, "data"), np.arange(50.0).reshape(10, 5)[:, [3, 1]])


def test_the_slice_is_the_density_of_points_that_share_the_other_coordinates(five):
    stepper = five
    stepper.set(i=3, j=5, probe_1=0.3, probe_2=0.5)
    z = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    for k, frame in enumerate(stepper.live.frames):
        x = stepper.flow[:k](z) if k else z
        for row, column in ((0, 0), (3, 8), (11, 5)):
            point = x.clone()
            point[2], point[4] = -3 + 0.5 * (column + 0.5), -3 + 0.5 * (row + 0.5)
            back, log_det = point, 0.0
            if k:
                J = torch.autograd.functional.jacobian(stepper.flow[:k].inv, point)
                back, log_det = stepper.flow[:k].inv(point), J.slogdet().logabsdet.item()
            q = (Normal(0.0, 1.0).log_prob(back).sum() + log_det).exp().item()
            root = frame["density"]["values"][row, column]
            assert root**2 == pytest.approx(q, rel=1e-3, abs=1e-9)  # float32 makes the picture


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


@pytest.mark.parametrize("dim", [2, 4, NUMBERS_UP_TO + 3])
def test_entries_by_construction_are_marked(dim):
    mask = torch.arange(dim) < dim // 2
    flow = wild(Stack(AffineCoupling(mask, hidden=(16, 16)), Permutation(list(reversed(range(dim)))), Planar(dim)), 0.4)
    stepper = small(flow, layer=0)
    matrices = [frame["J"]["values"] for frame in stepper.live.frames]
    where = [np.where(np.abs(J) > 5e5, J, 0) for J in matrices]
    eye = np.eye(dim) > 0
    kept = mask.numpy()
    np.testing.assert_array_equal(where[0] > 0, eye)
    np.testing.assert_array_equal(where[0] < 0, ~eye)
    np.testing.assert_array_equal(where[1] > 0, eye & kept)
    np.testing.assert_array_equal(where[1] < 0, (kept[:, None] | ~kept[None, :]) & ~eye)
    np.testing.assert_array_equal(where[2] > 0, np.fliplr(np.eye(dim)) > 0)
    assert not where[3].any()  # planar: dense
    if dim <= NUMBERS_UP_TO:
        assert stepper.live.artist("J").texts[0].get_text() == "1"


def test_free_entries_keep_their_numbers_and_colours():
    stepper = small(Stack(Scale([3.0, -0.25])), layer=1)
    assert [text.get_text() for text in stepper.live.artist("J").texts] == ["3.00", "·", "·", "-0.25"]
    index = state_of(stepper.live, "_frames")["list"][1]["artists"]["J"]["index"]
    assert index[0, 0] == 253  # the end of the scale
    assert (index[0, 1], index[1, 0]) == (254, 254)
    assert index[1, 1] == int(256 * (2 - 0.25) / 4 * 253.9 / 256)


@pytest.mark.parametrize(
    ("flow", "first", "words"),
    [
        (
            Stack(Planar(2), folding(), Planar(2)),
            2,
            "layer 2 (Planar) can't be inverted, which q needs: w.u must be at least -1",
        ),
        (Stack(Scale([2.0, 1.0, 1.0], one_way=True)), 1, "layer 1 (Scale) can't be inverted, which q needs: there"),
    ],
)
def test_without_an_inverse_there_is_all_but_the_density(flow, first, words):
    stepper = small(flow)
    assert stepper.error == ""
    for k, parts in enumerate(stepper.live.frames):
        assert parts["density"]["visible"] == (k < first)
        said = parts["excuse"]["text"].replace("\n", " ")
        assert said.startswith(f"no density: {words}") if k >= first else said == ""


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
        shown = stepper.live.frames[k]["gap here"]["points"][0]
        assert shown.tolist() == [k, numbers["ELBO gap, KL(q‖p)"]]


def test_the_gap_to_an_energy_has_its_normaliser():
    flow = wild(Stack(*[Planar(2) for _ in range(3)]), 0.4)
    stepper = small(flow, target=u1())
    side = torch.arange(-5.5, 5.5, 0.04, dtype=torch.float64) + 0.02
    z = torch.cartesian_prod(side, side)
    log_base = Normal(0.0, 1.0).log_prob(z).sum(-1)
    for k in range(4):
        x, ladj = stepper.flow[:k].call_and_ladj(z) if k else (z, torch.zeros(len(z)))
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


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_a_dragged_probe_lands_where_it_was_dropped(layer):
    stepper = small(wild(Stack(*[Planar(2) for _ in range(3)]), 0.4), layer=layer)
    z = torch.tensor([0.5, 0.7], dtype=torch.float64)
    goal = (stepper.flow[:layer](z) if layer else z).tolist()
    stepper.set(**stepper.dragged("probe", *goal))
    assert stepper.state == {"probe_1": pytest.approx(0.5), "probe_2": pytest.approx(0.7)}
    shown = stepper.live.frames[layer]["probe"]["points"][0]
    np.testing.assert_allclose(shown, goal, atol=1e-6)


def test_a_drag_without_an_inverse_is_refused_in_words():
    stepper = small(Stack(Planar(2), folding()))
    with pytest.raises(ValueError, match=r"can't be brought back through these layers: w\.u must be at least -1"):
        stepper.dragged("probe", 0.0, 0.0)
    stepper.set(layer=0)
    assert stepper.dragged("probe", 0.25, 9.0) == {"probe_1": 0.25, "probe_2": 3.0}
    with pytest.raises(ValueError, match="go to layer 0"):
        small(FIVE).dragged("probe", 0.0, 0.0)


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
