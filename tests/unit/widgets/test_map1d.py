"""The 1-D map explorer without a browser: each number it shows equals one computed another way."""

from __future__ import annotations

import math

import numpy as np
import pyro.distributions.transforms as pyro_transforms
import pytest
import torch
from torch.distributions import (
    AbsTransform,
    AffineTransform,
    Beta,
    Categorical,
    Exponential,
    ExpTransform,
    MixtureSameFamily,
    Normal,
    Poisson,
    SigmoidTransform,
    StudentT,
    TransformedDistribution,
    Uniform,
    constraints,
)
from torch.distributions.transforms import Transform

from nfteach.flows import Planar, Stack
from nfteach.jacobian import inspect_jacobian
from nfteach.widgets import MapExplorer1D
from nfteach.widgets.line_maps import Bent

EXACT = 1e-8  # float64 and closed forms
TRAPEZOID = 1e-4  # an area by 2,001 nodes; four decimals are shown


@pytest.fixture(scope="module")
def shared():
    return MapExplorer1D()


@pytest.fixture
def explorer(shared):
    shared.reset()
    return shared


def by_hand(state, z):
    """f(z), written out in NumPy from the docstring alone."""
    beta, u = state["bend"], z - state["at"]
    if beta > 1e-6:
        u = np.arcsinh(u * math.sinh(beta)) / beta
    elif beta < -1e-6:
        u = np.sinh(-beta * u) / math.sinh(-beta)
    x = state["stretch"] * (state["at"] + u)
    return state["shift"] + (-x if state["mirror"] else x)


def inverse_by_hand(state, x):
    """f^-1(x) by bisection."""
    low, high, sign = -60.0, 60.0, -1 if state["mirror"] else 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sign * (by_hand(state, middle) - x) < 0 else (low, middle)
    return middle


def normal_cdf(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def check(explorer):
    state, told = explorer.state, explorer.readout
    assert explorer.error == ""
    z, half, h = state["z"], state["width"] / 2, 1e-5
    x = by_hand(state, z)
    slope = (by_hand(state, z + h) - by_hand(state, z - h)) / (2 * h)
    p = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    assert told["z"] == z
    assert told["x = f(z)"] == pytest.approx(x, abs=EXACT)
    assert told["slope dx/dz"] == pytest.approx(slope, rel=1e-6)
    assert told["p(z)"] == pytest.approx(p, abs=EXACT)
    # q is the slope of x's distribution function, whichever way the map goes.
    step = 1e-4 * abs(slope)
    ends = [normal_cdf(inverse_by_hand(state, x + side * step)) for side in (-1, 1)]
    q = abs(ends[1] - ends[0]) / (2 * step)
    assert told["q(x)"] == pytest.approx(q, rel=1e-4, abs=1e-9)
    assert told["p(z) / |slope|"] == pytest.approx(told["q(x)"], rel=1e-9)
    assert told["log|dx/dz| at z"] == pytest.approx(math.log(abs(slope)), abs=1e-6)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=EXACT)
    mass = normal_cdf(z + half) - normal_cdf(z - half)
    assert told["mass, over z"] == pytest.approx(mass, abs=EXACT)
    assert told["mass, over x"] == pytest.approx(mass, abs=1e-6)
    assert told["area under p"] == pytest.approx(1.0, abs=TRAPEZOID)
    assert told["area under q"] == pytest.approx(1.0, abs=TRAPEZOID)


SLIDERS = ["stretch", "shift", "bend", "at", "z", "width"]


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("name", SLIDERS)
def test_every_control_works_at_its_ends(explorer, name, end):
    explorer.set(**{name: getattr(explorer.controls[name], end)})
    check(explorer)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("corner", range(8))
def test_all_controls_at_their_ends_together(explorer, corner, mirror):
    ends = ["min", "max"]
    picked = {name: ends[corner >> (k % 3) & 1] for k, name in enumerate(SLIDERS)}
    explorer.set(mirror=mirror, **{name: getattr(explorer.controls[name], end) for name, end in picked.items()})
    check(explorer)


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_right_at_random_values(explorer, seed):
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(explorer.controls[name].min, explorer.controls[name].max) for name in SLIDERS}
    explorer.set(mirror=seed % 2 == 1, **{name: float(value) for name, value in values.items()})
    check(explorer)


@pytest.mark.parametrize("name", [*SLIDERS, "mirror"])
def test_every_control_moves_the_picture(explorer, name):
    before = explorer.live.static_png(1)
    control = explorer.controls[name]
    control.value = True if name == "mirror" else control.value + 0.3  # as the browser does
    assert explorer.live.static_png(1) != before
    check(explorer)


@pytest.mark.parametrize("name", MapExplorer1D.presets)
def test_presets_are_worth_a_look_and_right(explorer, name):
    before = explorer.live.static_png(1)
    explorer.preset(name)
    assert explorer.live.static_png(1) != before
    check(explorer)


def artist(explorer, name):
    return explorer.live._moving[name].artist


def area_of(polygon):
    x, y = polygon.get_xy()[:-1].T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def test_two_hills_are_two(explorer):
    explorer.preset("two hills")
    q = artist(explorer, "density").get_xdata()
    hills = (q[1:-1] > q[:-2]) & (q[1:-1] > q[2:])
    assert hills.sum() == 2


def test_a_mirror_turns_the_slope_and_nothing_else(explorer):
    before = explorer.readout
    explorer.preset("mirror")
    after = explorer.readout
    for name in ("slope dx/dz", "x = f(z)"):
        assert after[name] == pytest.approx(-before[name])
    for name in ("q(x)", "p(z) / |slope|", "log|dx/dz| at z", "mass, over x", "area under q"):
        assert after[name] == pytest.approx(before[name], rel=1e-6)
        assert after[name] > 0 or "log" in name
    assert artist(explorer, "slope").get_text().startswith("slope −")


@pytest.mark.parametrize("preset", ["squeeze", "two hills", "mirror"])
def test_the_strip_that_is_drawn_has_the_same_area_in_both_densities(explorer, preset):
    explorer.preset(preset)
    masses = [explorer.readout["mass, over z"], explorer.readout["mass, over x"]]
    drawn = [area_of(artist(explorer, name)) for name in ("base strip", "image strip")]
    assert drawn == pytest.approx(masses, rel=5e-3)
    # And in inches on the screen, too: the axes of p and of q have one scale.
    inches = []
    for name in ("base strip", "image strip"):
        polygon = artist(explorer, name)
        corners = polygon.axes.transData.transform(polygon.get_xy()[:-1])
        inches.append(abs(np.roll(corners[:, 1], -1) @ corners[:, 0] - corners[:, 1] @ np.roll(corners[:, 0], -1)))
    assert inches[0] == pytest.approx(inches[1], rel=1e-2)


def test_what_is_drawn_is_the_map_and_its_density(explorer):
    explorer.set(bend=-1.0, at=0.7, shift=0.4)
    graph = artist(explorer, "graph").get_xydata()
    np.testing.assert_allclose(graph[:, 1], by_hand(explorer.state, graph[:, 0]), atol=EXACT)
    q, x = artist(explorer, "density").get_xydata().T
    for k in range(60, 260, 40):
        step = 1e-5
        below, above = (normal_cdf(inverse_by_hand(explorer.state, x[k] + side * step)) for side in (-1, 1))
        assert q[k] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8)


def test_the_table_in_the_picture_is_width_height_and_mass(explorer):
    explorer.set(z=-0.4, width=0.5)
    state = explorer.state
    x = [by_hand(state, state["z"] + side * 0.25) for side in (-1, 1)]
    for side, width, told in (("in z", 0.5, "mass, over z"), ("in x", x[1] - x[0], "mass, over x")):
        mass = explorer.readout[told]
        shown = [float(artist(explorer, f"{row}, {side}").get_text()) for row in ("width", "× height", "= mass")]
        assert shown == pytest.approx([width, mass / width, mass], abs=6e-4)


def test_an_image_outside_the_picture_is_said_to_be_there_and_can_be_dragged_back(explorer):
    explorer.set(bend=-1.5, z=3.0)
    assert explorer.readout["x = f(z)"] > 20
    assert "outside" in artist(explorer, "beyond").get_text()
    ax = artist(explorer, "probe").axes
    (point,) = artist(explorer, "probe").get_offsets()
    assert point[1] == ax.get_ylim()[1]
    explorer.set(z=0.0)
    assert artist(explorer, "beyond").get_text() == ""


def test_a_drag_moves_z_alone(explorer):
    before = explorer.state
    explorer.set(**explorer.dragged("probe", -1.234, 4.0))
    assert explorer.state == {**before, "z": -1.23}
    explorer.set(**explorer.dragged("probe", 99.0, 0.0))
    assert explorer.state["z"] == explorer.controls["z"].max
    assert "z" in explorer.live.handles["probe"]


def test_the_family_passes_the_inspector():
    z = torch.linspace(-2.5, 2.5, 9, dtype=torch.float64)[:, None]
    for beta in (-1.5, -0.3, 0.0, 0.3, 3.0):
        for mirror in (False, True):
            f = Bent(stretch=1.7, shift=-0.4, beta=beta, at=0.6, mirror=mirror)
            inspect_jacobian(f, z).check()
            assert f.sign == (-1 if mirror else 1)
    with pytest.raises(ValueError, match="stretch must be positive, but is 0"):
        Bent(stretch=0)


LOG_2 = math.log(2)


class Doubled(Transform):
    """x = 2 z, and whatever it says of its log-det."""

    domain = codomain = constraints.real
    bijective = True

    def __init__(self, claim=LOG_2):
        super().__init__()
        self.claim = claim

    def _call(self, x):
        return 2 * x

    def _inverse(self, y):
        return y / 2

    def log_abs_det_jacobian(self, x, y):
        return torch.full_like(x, self.claim)


def two_bumps():
    return MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.tensor([-1.0, 1.5]), torch.tensor([0.3, 0.8])))


TRANSFORMS = {
    "exp": (None, ExpTransform),
    "sigmoid": (None, SigmoidTransform),
    "falling": (Normal(3.0, 0.01), lambda: AffineTransform(1.0, -2.0)),
    "float32 tensors": (None, lambda: AffineTransform(torch.tensor([0.5]), torch.tensor([3.0]))),
    "logit of a uniform": (Uniform(0.0, 1.0), lambda: SigmoidTransform().inv),
    "log of an exponential": (Exponential(2.0), lambda: ExpTransform().inv),
    "two bumps": (two_bumps(), lambda: AffineTransform(-1.0, 0.5)),
    "heavy tails": (StudentT(3.0), Doubled),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_any_transform_can_be_handed_in(name):
    base, make = TRANSFORMS[name]
    explorer = MapExplorer1D(base, make())
    assert list(explorer.controls) == ["z", "width"]
    assert explorer.presets == {}
    made = make()
    pushed = TransformedDistribution(Normal(0.0, 1.0) if base is None else base, [made], validate_args=False)
    for part in (0.0, 0.37, 1.0):
        control = explorer.controls["z"]
        explorer.set(z=control.min + part * (control.max - control.min), width=explorer.controls["width"].max)
        told = explorer.readout
        assert explorer.error == ""
        z = torch.tensor(told["z"], dtype=torch.float64, requires_grad=True)
        x = made(z).sum()
        (slope,) = torch.autograd.grad(x, z)
        assert told["x = f(z)"] == pytest.approx(float(x.detach()), rel=1e-5)
        assert told["slope dx/dz"] == pytest.approx(float(slope), rel=1e-5)
        with torch.no_grad():
            q = float(pushed.log_prob(x).exp())
        assert told["q(x)"] == pytest.approx(q, rel=1e-4)
        assert told["p(z) / |slope|"] == pytest.approx(q, rel=1e-4)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], rel=1e-4)
        assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=1e-5)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)


def test_flows_pyros_transforms_and_plain_functions_can_be_handed_in():
    torch.manual_seed(1)
    for map_ in (Stack(Planar(1), Planar(1)), pyro_transforms.Spline(1), lambda z: z**3 + z, torch.tanh):
        explorer = MapExplorer1D(transform=map_)
        told = explorer.readout
        assert explorer.error == ""
        z = torch.tensor([[told["z"]]])
        assert told["x = f(z)"] == pytest.approx(map_(z).item(), abs=1e-5)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], abs=5e-4)
        assert told["area under q"] == pytest.approx(1.0, abs=2e-3)


def test_a_map_that_is_wrong_about_its_log_det_is_found_out():
    told = MapExplorer1D(transform=Doubled(claim=0.0)).readout
    assert told["q(x)"] == pytest.approx(2 * told["p(z) / |slope|"], rel=1e-9)
    assert told["mass, over x"] == pytest.approx(2 * told["mass, over z"], rel=1e-9)
    assert told["area under q"] == pytest.approx(2.0, abs=TRAPEZOID)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(LOG_2)


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


@pytest.mark.parametrize(
    "base", [Uniform(-1.0, 3.0), Beta(2.0, 5.0), Beta(0.5, 0.5), Exponential(1.0), StudentT(2.0), two_bumps()]
)
def test_any_density_can_be_the_base(base):
    explorer = MapExplorer1D(base)
    for part in (0.0, 0.5, 1.0):
        control = explorer.controls["z"]
        explorer.set(z=control.min + part * (control.max - control.min), bend=2.0, mirror=part == 0.5)
        told = explorer.readout
        assert explorer.error == ""
        assert told["p(z)"] == pytest.approx(float(base.log_prob(torch.tensor(told["z"])).exp()), rel=1e-4)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over x"] == pytest.approx(told["mass, over z"], rel=1e-3)
        assert told["area under p"] == pytest.approx(1.0, abs=1e-3)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)


def test_a_base_of_another_size_is_the_same_picture_in_its_own_units():
    one, other = MapExplorer1D(), MapExplorer1D(Normal(100.0, 0.01))
    one.set(z=0.7, width=0.4)
    other.set(z=100.007, width=0.004)
    assert other.readout["slope dx/dz"] == pytest.approx(one.readout["slope dx/dz"], rel=1e-3)
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
def test_what_is_no_map_or_no_density_of_the_line_is_refused_in_words(base, transform, words):
    with pytest.raises(ValueError, match=words):
        MapExplorer1D(base, transform)


class Moody(torch.nn.Module):
    """Twice z, which refuses now and then."""

    refuses = False

    def forward(self, z):
        if Moody.refuses:
            raise RuntimeError("not today")
        return 2 * z


def test_a_map_that_raises_is_told_in_words_and_the_explorer_recovers(monkeypatch):
    explorer = MapExplorer1D(transform=Moody())
    before = explorer.live.static_png(1)
    monkeypatch.setattr(Moody, "refuses", True)
    explorer.set(z=1.0)
    assert explorer.error == "the map failed here: RuntimeError: not today"
    assert explorer.readout == {}
    monkeypatch.setattr(Moody, "refuses", False)
    explorer.reset()
    assert explorer.error == ""
    assert explorer.live.static_png(1) == before


def test_a_point_without_a_density_is_told_in_words():
    explorer = MapExplorer1D(transform=lambda z: z**3, z=0.5)
    explorer.set(z=0.0)
    assert "slope 0" in explorer.error
    explorer.set(z=0.5)
    assert explorer.error == ""
    assert explorer.readout["slope dx/dz"] == pytest.approx(0.75)


def test_global_state_is_left_alone_and_two_explorers_do_not_meet():
    before = torch.random.get_rng_state()
    first, second = MapExplorer1D(two_bumps()), MapExplorer1D(two_bumps())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    assert first.live.static_png(1) == second.live.static_png(1)
    second.set(stretch=0.5)
    assert first.state["stretch"] == 1.5


def test_its_text_is_constant(explorer):
    assert repr(explorer) == ("MapExplorer1D(stretch=1.5, shift=0, bend=1.2, at=-0.5, mirror=False, z=0.7, width=0.4)")
    assert explorer.help
    assert explorer.live.alt.startswith("Three joined axes")
