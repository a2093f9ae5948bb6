"""Maps of the plane: the 2-D map explorer and the planar explorer, against differences, quadrature and crossings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import AffineTransform, ComposeTransform, ExpTransform, SigmoidTransform

from nfteach.flows import AffineCoupling, Planar, RealNVP, Stack
from nfteach.widgets import MapExplorer2D, PlanarExplorer
from tests.explorers.entry import Entry, anywhere, corners, drawn

__all__ = ["ENTRIES", "MAPS", "by_hand", "check_planar", "slopes", "trained_planar"]

EXACT = 1e-8  # float64 and closed forms
MAPS = ["lens", "fan", "swirl", "banana", "shear", "stretch", "rotation", "mirror"]


def turned(z: np.ndarray, angle: Any) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * z[..., 0] - sin * z[..., 1], sin * z[..., 0] + cos * z[..., 1]], -1)


def one_by_hand(name: str, amount: float, z: np.ndarray) -> np.ndarray:
    """Return a built-in map, written out in NumPy: z (..., 2) -> x (..., 2)."""
    a, b = z[..., 0], z[..., 1]
    r = np.hypot(a, b)
    if name == "rotation":
        return turned(z, amount * np.pi / 2)
    if name == "shear":
        return np.stack([a + amount * b, b], -1)
    if name == "stretch":
        return np.stack([a * 2.0**amount, b], -1)
    if name == "fan":
        across = a * np.exp(amount * b / 2)
        return np.stack([across, b + amount * np.sin(across)], -1)
    if name == "swirl":
        return turned(z, amount * np.pi / 2 * np.exp(-(r**2) / 4))
    if name == "banana":
        return np.stack([a, b + amount / 2 * (a**2 - 1)], -1)
    if name == "mirror":
        along = np.array([np.cos(amount * np.pi / 4), np.sin(amount * np.pi / 4)])
        return 2 * (z @ along)[..., None] * along - z
    assert name == "lens"
    if amount == 0:
        return z
    s = math.sinh(abs(amount))
    bent = np.arcsinh(r / 2 * s) / amount if amount > 0 else np.sinh(-amount * r / 2) / s
    # In the middle, 2 bent / r is the slope of r -> 2 bent at 0.
    ratio = np.divide(2 * bent, r, out=np.full_like(r, s / amount if amount > 0 else -amount / s), where=r > 1e-9)
    return z * ratio[..., None]


def by_hand(state: dict[str, Any], z: np.ndarray) -> np.ndarray:
    """Return the image of z (..., 2) under the map of a state, or both maps."""
    x = one_by_hand(state["map"], state["amount"], z)
    return x if state["then"] == "nothing" else one_by_hand(state["then"], state["then_amount"], x)


def slopes(f: Callable[[np.ndarray], np.ndarray], z: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Return J (..., 2, 2) by central differences of f at z (..., 2)."""
    columns = [(f(z + h * e) - f(z - h * e)) / (2 * h) for e in np.eye(2)]
    return np.stack(columns, -1)


def area_by_integral(f: Callable[[np.ndarray], np.ndarray], z: np.ndarray, side: float) -> float:
    """Return the area of the image of a square: |det J| integrated over it, which is right unless f folds."""
    at, weights = np.polynomial.legendre.leggauss(24)
    across, up = np.meshgrid(z[0] + side * (at + 1) / 2, z[1] + side * (at + 1) / 2)
    dets = np.abs(np.linalg.det(slopes(f, np.stack([across, up], -1))))
    return float(np.outer(weights, weights).ravel() @ dets.ravel()) * side**2 / 4


def check_map(explorer: MapExplorer2D) -> None:
    """Compare J with central differences, the area with quadrature, and the densities with the normal's formula."""
    state, told = explorer.state, explorer.readout
    z = np.array([state["z1"], state["z2"]])
    J = slopes(lambda z: by_hand(state, z), z)
    told_J = drawn(explorer, "J")
    np.testing.assert_allclose(told_J, J, rtol=1e-6, atol=1e-6)
    check_structure(explorer.parts["J"], J)
    det = np.linalg.det(told_J)
    assert told["det J"] == pytest.approx(det, rel=EXACT)
    assert told["log|det J|"] == pytest.approx(math.log(abs(det)), abs=EXACT)
    assert told["condition number"] == pytest.approx(np.linalg.cond(told_J), rel=1e-6)
    area = area_by_integral(lambda z: by_hand(state, z), z, state["side"])
    assert told["area ratio"] == pytest.approx(area / state["side"] ** 2, rel=2e-3)
    p = math.exp(-0.5 * z @ z) / (2 * math.pi)
    assert told["p(z)"] == pytest.approx(p, rel=1e-6)
    assert told["p(z) / |det J|"] == pytest.approx(p / abs(det), rel=1e-6)
    assert told["q(x)"] == pytest.approx(p / abs(det), rel=1e-6)
    assert told["p(z) / q(x)"] == pytest.approx(abs(det), rel=1e-6)
    assert ("sum of the two" in told) == (state["then"] != "nothing")
    if state["then"] != "nothing":
        y = one_by_hand(state["map"], state["amount"], z)
        parts = [(state["map"], state["amount"], z), (state["then"], state["then_amount"], y)]
        dets = [np.linalg.det(slopes(lambda v, n=n, a=a: one_by_hand(n, a, v), at)) for n, a, at in parts]
        assert told["log|det| of the first"] == pytest.approx(math.log(abs(dets[0])), abs=1e-5)
        assert told["of the second"] == pytest.approx(math.log(abs(dets[1])), abs=1e-5)
        assert told["sum of the two"] == pytest.approx(told["log|det J|"], abs=EXACT)


def check_structure(matrix: Any, J: np.ndarray) -> None:
    """Compare the entries marked as zero or one with J by differences."""
    np.testing.assert_allclose(J[np.asarray(matrix.zero)], 0.0, atol=1e-6)
    np.testing.assert_allclose(J[np.asarray(matrix.one)], 1.0, atol=1e-6)


def random_map(explorer: MapExplorer2D, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random state with a square that is small enough for the quadrature."""
    return anywhere(explorer, rng) | {"side": 0.1 + 0.4 * rng.random()}


def all_maps(explorer: MapExplorer2D) -> Iterator[dict[str, Any]]:
    """Yield every map at five strengths, also in its middle; ends with a second map; and all ends together."""
    for name in MAPS:
        for amount in (-2.0, -0.7, 0.0, 1.3, 2.0):
            yield {"map": name, "amount": amount, "z1": -0.8, "z2": 1.1}
            yield {"map": name, "amount": amount, "z1": 0.0, "z2": 0.0, "side": 0.02}
    sliders = ["amount", "then_amount", "z1", "z2", "side"]
    for name in sliders:
        for end in (explorer.controls[name].min, explorer.controls[name].max):
            yield {"then": "banana", name: end}
    for k, state in enumerate(corners(explorer, sliders)):
        # No fan after another map: far out, its sine turns too fast for differences.
        yield state | {"map": MAPS[k % 8], "then": MAPS[2:][(3 * k + 1) % 6]}


GIVEN = {
    "RealNVP": (lambda: RealNVP(2, layers=3), True),
    "planar stack": (lambda: Stack(Planar(2), Planar(2)), True),
    "coupling": (lambda: AffineCoupling([True, False]), True),
    "torch's": (lambda: AffineTransform(torch.tensor([10.0, 0.0]), torch.tensor([0.1, 3.0])), True),
    "composed": (lambda: ComposeTransform([AffineTransform(0.0, 0.5), ExpTransform()]), True),
    "sigmoid": (SigmoidTransform, True),
    "module": (lambda: torch.nn.Linear(2, 2), False),
    "function": (lambda: lambda z: torch.stack([z[..., 0] + 0.3 * z[..., 1] ** 2, 0.8 * z[..., 1]], -1), False),
    "of one point": (lambda: lambda z: torch.stack([z[0] + torch.sin(z[1]), 1.5 * z[1]]), False),
}


def given_map(make: Callable[[], Any], invertible: bool) -> Entry:
    """Return the explorer with a map that is handed in, checked by autograd of the map itself."""

    def made() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            return make()

    def check(explorer: MapExplorer2D) -> None:
        told, state, flow = explorer.readout, explorer.state, made()
        assert list(explorer.controls) == ["side", "z1", "z2", "glass"]
        z = torch.tensor([state["z1"], state["z2"]])
        J = torch.autograd.functional.jacobian(lambda z: flow(z), z).double()
        np.testing.assert_allclose(drawn(explorer, "J"), J.numpy(), rtol=1e-4, atol=1e-5)
        check_structure(explorer.parts["J"], J.numpy())
        assert told["log|det J|"] == pytest.approx(torch.linalg.slogdet(J).logabsdet.item(), abs=1e-4)
        assert ("q(x)" in told) == invertible
        if invertible:
            assert told["q(x)"] == pytest.approx(told["p(z) / |det J|"], rel=1e-6)
            assert told["log|det J| it claims"] == pytest.approx(told["log|det J|"], abs=1e-6)
            assert told["round trip off by"] < 1e-9
        if state["side"] == 0.02:
            assert told["area ratio"] == pytest.approx(abs(told["det J"]), rel=0.05)

    return Entry(lambda: MapExplorer2D(made()), check)


def planar_by_hand(state: dict[str, Any]) -> tuple[float, Tensor, int]:
    """Return w.u used, J by autograd and the number of preimages by counting crossings, from the state alone."""
    angle_w, angle_u = math.radians(state["angle_w"]), math.radians(state["angle_u"])
    w = state["length_w"] * torch.tensor([math.cos(angle_w), math.sin(angle_w)], dtype=torch.float64)
    u = state["length_u"] * torch.tensor([math.cos(angle_u), math.sin(angle_u)], dtype=torch.float64)
    if state["use_u_hat"] and state["length_w"] > 0:
        wu = float(w @ u)
        u = u + (-1 + math.log1p(math.exp(wu)) - wu) * w / (w @ w)
    h = torch.tanh if state["h"] == "tanh" else lambda a: torch.where(a > 0, a, 0.01 * a)
    z = torch.tensor([state["z1"], state["z2"]], dtype=torch.float64)
    J = torch.autograd.functional.jacobian(lambda z: z + u * h(w @ z + state["b"]), z)
    start = w @ z + state["b"]
    # Beyond 150 there is no other solution; between, a step of 1.5e-3 separates crossings.
    line = CROSSED + (w @ u) * h(CROSSED) - (start + (w @ u) * h(start))
    # The probe's own solution is known; the others are crossings elsewhere.
    others = ((line.sign().diff() != 0) & ((CROSSED[:-1] - start).abs() > 2e-3)).sum()
    return float(w @ u), J, 1 + int(others)


CROSSED = torch.linspace(-150, 150, 200_001, dtype=torch.float64)


def check_planar(explorer: PlanarExplorer) -> None:
    """Compare w.u, J, its determinant and the number of preimages with those found from the state alone."""
    readout = explorer.readout
    wu, J, preimages = planar_by_hand(explorer.state)
    assert readout["w·u"] == pytest.approx(wu, abs=1e-9)
    assert readout["det J"] == pytest.approx(float(torch.linalg.det(J)), abs=1e-9)
    if abs(readout["det J"]) > 1e-6:
        assert readout["log|det J|"] == pytest.approx(math.log(abs(readout["det J"])), abs=1e-6)
        assert readout["preimages"] == preimages
    if explorer.state["show_J"]:
        np.testing.assert_allclose(drawn(explorer, "J"), J.numpy(), atol=1e-9)
        rank_one = drawn(explorer, "factor u") @ drawn(explorer, "psi")
        np.testing.assert_allclose(drawn(explorer, "I") + rank_one, J.numpy(), atol=1e-9)


def trained_planar(constrained: bool) -> Planar:
    """Return a planar layer with numbers beyond the controls' usual range."""
    layer = Planar(2, constrained=constrained).double()
    for parameter, value in ((layer.w, [3.0, -2.2]), (layer.u, [4.5, 2.0]), (layer.b, -4.2)):
        parameter.data = torch.tensor(value, dtype=torch.float64)
    return layer


ENTRIES = {
    "MapExplorer2D": Entry(
        MapExplorer2D,
        check_map,
        14,
        random_map,
        all_maps,
        wakes={"then_amount": {"then": "shear"}},
        text="MapExplorer2D(map='lens', amount=1.8, side=0.6, then='nothing', then_amount=1, z1=0.3, z2=-0.9, "
        "glass=True)",
        alt="square",
    ),
    **{f"MapExplorer2D, {name}": given_map(*pair) for name, pair in GIVEN.items()},
    "PlanarExplorer": Entry(
        PlanarExplorer,
        check_planar,
        12,
        text="PlanarExplorer(angle_w=30, angle_u=75, length_u=1.2, use_u_hat=False, show_J=False, length_w=1.5, b=0, "
        "z1=1, z2=-0.4, h='tanh')",
        alt="planar map",
    ),
    "PlanarExplorer, constrained layer": Entry(lambda: PlanarExplorer(trained_planar(True)), check_planar),
    "PlanarExplorer, folding layer": Entry(lambda: PlanarExplorer(trained_planar(False)), check_planar),
}
