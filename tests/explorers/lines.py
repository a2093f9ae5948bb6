"""Maps of the line: the stretched density and the 1-D map explorer, against NumPy, bisection and torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Beta,
    Categorical,
    Distribution,
    Exponential,
    ExpTransform,
    MixtureSameFamily,
    Normal,
    SigmoidTransform,
    StudentT,
    TransformedDistribution,
    Uniform,
    constraints,
)
from torch.distributions.transforms import Transform

from nfteach.widgets import MapExplorer1D, StretchExplorer
from tests.explorers.entry import Entry, anywhere, corners, drawn

__all__ = ["ENTRIES", "EXACT", "TRAPEZOID", "Doubled", "by_hand", "inverse_by_hand", "normal_cdf", "two_bumps"]

EXACT = 1e-8  # float64 and closed forms
TRAPEZOID = 1e-4  # an area by 2,001 nodes; four decimals are shown
LOG_2 = math.log(2)


def check_stretch(explorer: StretchExplorer) -> None:
    """Compare the curve with torch's normal density, and the strips and the grains with its distribution function."""
    stretch, shift, told = *explorer.state.values(), explorer.readout
    q = torch.distributions.Normal(*torch.tensor([shift, stretch], dtype=torch.float64))
    curve = drawn(explorer, "curve")
    np.testing.assert_allclose(curve[:, 1], q.log_prob(torch.as_tensor(curve[:, 0])).exp(), rtol=1e-9)
    assert told["slope dx/dz"] == stretch
    assert told["height of the peak"] == pytest.approx(1 / (stretch * (2 * np.pi) ** 0.5), rel=1e-9)
    assert told["slope x height"] == pytest.approx((2 * np.pi) ** -0.5, rel=1e-9)
    assert told["area under q"] == pytest.approx(1, abs=1e-5)
    x, height = drawn(explorer, "grains").T
    assert (height < q.log_prob(torch.as_tensor(x)).exp().numpy()).all()
    for share in (0.1, 0.5, 0.8):
        assert (x < float(q.icdf(torch.tensor(share)))).mean() == pytest.approx(share, abs=0.01)
    for name in ("base strip", "strip"):
        at, height = drawn(explorer, name)[:-2].T
        assert np.trapezoid(height, at) == pytest.approx(normal_cdf(1.5) - normal_cdf(1.0), rel=1e-3)


def by_hand(state: dict[str, Any], z: Any) -> Any:
    """Return f(z), written out in NumPy from the docstring alone."""
    beta, u = state["bend"], z - state["at"]
    if beta > 1e-6:
        u = np.arcsinh(u * math.sinh(beta)) / beta
    elif beta < -1e-6:
        u = np.sinh(-beta * u) / math.sinh(-beta)
    x = state["stretch"] * (state["at"] + u)
    return state["shift"] + (-x if state["mirror"] else x)


def inverse_by_hand(state: dict[str, Any], x: float) -> float:
    """Return f^-1(x) by bisection."""
    low, high, sign = -60.0, 60.0, -1 if state["mirror"] else 1
    for _ in range(60):  # to 1e-16
        middle = (low + high) / 2
        low, high = (middle, high) if sign * (by_hand(state, middle) - x) < 0 else (low, middle)
    return middle


def normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def check_map(explorer: MapExplorer1D) -> None:
    """Compare the readout with differences of f and of the distribution function of x."""
    state, told = explorer.state, explorer.readout
    z, half, h = state["z"], state["width"] / 2, 1e-5
    x = by_hand(state, z)
    slope = (by_hand(state, z + h) - by_hand(state, z - h)) / (2 * h)
    assert told["x = f(z)"] == pytest.approx(x, abs=EXACT)
    assert told["slope f′(z)"] == pytest.approx(slope, rel=1e-6)
    assert told["p(z)"] == pytest.approx(math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), abs=EXACT)
    # q is the slope of x's distribution function, whichever way the map goes.
    step = 1e-4 * abs(slope)
    ends = [normal_cdf(inverse_by_hand(state, x + side * step)) for side in (-1, 1)]
    assert told["q(x)"] == pytest.approx(abs(ends[1] - ends[0]) / (2 * step), rel=1e-4, abs=1e-9)
    assert told["p(z) / |slope|"] == pytest.approx(told["q(x)"], rel=1e-9)
    assert told["log|dx/dz| at z"] == pytest.approx(math.log(abs(slope)), abs=1e-6)
    assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=EXACT)
    mass = normal_cdf(z + half) - normal_cdf(z - half)
    assert told["mass, over dz"] == pytest.approx(mass, abs=EXACT)
    assert told["mass, over dx"] == pytest.approx(mass, abs=1e-6)
    assert told["area under p"] == pytest.approx(1.0, abs=TRAPEZOID)
    assert told["area under q"] == pytest.approx(1.0, abs=TRAPEZOID)


def all_corners(explorer: MapExplorer1D) -> Iterator[dict[str, Any]]:
    """Yield all sliders at their ends together, with and without the mirror."""
    for state in corners(explorer, ["stretch", "shift", "bend", "at", "z", "width"]):
        yield state | {"mirror": False}
        yield state | {"mirror": True}


class Doubled(Transform):
    """x = 2 z, with any claim about its log-det."""

    domain = codomain = constraints.real
    bijective = True

    def __init__(self, claim: float = LOG_2) -> None:
        super().__init__()
        self.claim = claim

    def _call(self, x):
        return 2 * x

    def _inverse(self, y):
        return y / 2

    def log_abs_det_jacobian(self, x, y):
        return torch.full_like(x, self.claim)


def two_bumps() -> Distribution:
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
BASES = {
    "uniform": Uniform(-1.0, 3.0),
    "beta": Beta(2.0, 5.0),
    "U-shaped beta": Beta(0.5, 0.5),
    "exponential": Exponential(1.0),
    "Student's t": StudentT(2.0),
    "two bumps": two_bumps(),
}


def given_map(base: Distribution | None, make: Any) -> Entry:
    """Return the explorer with a transform that is handed in, checked by autograd and TransformedDistribution."""

    def check(explorer: MapExplorer1D) -> None:
        told, made = explorer.readout, make()
        assert list(explorer.controls) == ["z", "width"]
        pushed = TransformedDistribution(Normal(0.0, 1.0) if base is None else base, [made], validate_args=False)
        z = torch.tensor(explorer.state["z"], dtype=torch.float64, requires_grad=True)
        x = made(z).sum()
        (slope,) = torch.autograd.grad(x, z)
        assert told["x = f(z)"] == pytest.approx(float(x.detach()), rel=1e-5)
        assert told["slope f′(z)"] == pytest.approx(float(slope), rel=1e-5)
        with torch.no_grad():
            q = float(pushed.log_prob(x).exp())
        assert told["q(x)"] == pytest.approx(q, rel=1e-4)
        assert told["p(z) / |slope|"] == pytest.approx(q, rel=1e-4)
        assert told["mass, over dx"] == pytest.approx(told["mass, over dz"], rel=1e-4, abs=1e-6)
        assert told["log|dx/dz| at z"] + told["log|dz/dx| at x"] == pytest.approx(0.0, abs=1e-5)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)

    return Entry(lambda: MapExplorer1D(base, make()), check)


def given_base(base: Distribution) -> Entry:
    """Return the explorer with another base, bent as far as its slider goes in the random states."""

    def check(explorer: MapExplorer1D) -> None:
        told = explorer.readout
        assert told["p(z)"] == pytest.approx(float(base.log_prob(torch.tensor(explorer.state["z"])).exp()), rel=1e-4)
        assert told["q(x)"] == pytest.approx(told["p(z) / |slope|"], rel=1e-6)
        assert told["mass, over dx"] == pytest.approx(told["mass, over dz"], rel=1e-3, abs=1e-6)
        assert told["area under p"] == pytest.approx(1.0, abs=1e-3)
        assert told["area under q"] == pytest.approx(1.0, abs=1e-3)

    def bent(explorer: MapExplorer1D, rng: np.random.Generator) -> dict[str, Any]:
        state = anywhere(explorer, rng)
        return {"z": state["z"], "bend": 2.0, "mirror": state["mirror"]}

    return Entry(lambda: MapExplorer1D(base), check, random=bent)


ENTRIES = {
    "StretchExplorer": Entry(
        StretchExplorer, check_stretch, 16, text="StretchExplorer(stretch=0.7, shift=0)", alt="bell-shaped"
    ),
    "MapExplorer1D": Entry(
        MapExplorer1D,
        check_map,
        12,
        also=all_corners,
        text="MapExplorer1D(stretch=1.5, bend=1.2, shift=0, mirror=False, at=-0.5, z=0.7, width=0.4)",
        alt="graph of a map",
    ),
    **{f"MapExplorer1D, {name}": given_map(*pair) for name, pair in TRANSFORMS.items()},
    **{f"MapExplorer1D of {name}": given_base(base) for name, base in BASES.items()},
}
