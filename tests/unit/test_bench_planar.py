"""The planar benchmark: divergences with known values, and flows that agree with the package's."""

import math

import pytest
import torch

from benchmarks.planar.__main__ import FORMS, PlanarFlows, density, shades, target, train
from benchmarks.planar.divergence import by_quadrature, from_samples, of_restarts
from benchmarks.planar.restarts import Couplings, Planars
from nfteach.flows import Permutation
from nfteach.targets import Energy

WIDTH = 1.5
# -log N(z; 0, WIDTH^2 I) up to its constant, on a rectangle with all but 1e-15 of its mass.
GAUSSIAN = Energy(lambda z1, z2: (z1**2 + z2**2) / (2 * WIDTH**2), extent=(-12.0, 12.0, -12.0, 12.0))
# KL(N(0, I) || N(0, s^2 I)) in two dimensions.
KL = 2 * math.log(WIDTH) + 1 / WIDTH**2 - 1

FORMS_OF_THREE = {
    "planar": lambda: Planars(3, 4),
    "coupling, no hidden layer": lambda: Couplings(3, 3, ()),
    "coupling": lambda: Couplings(3, 4, (5,)),
}


def test_quadrature_gives_the_divergence_of_two_gaussians():
    found = by_quadrature(Permutation([1, 0]), GAUSSIAN, 100)
    assert found["kl"] == pytest.approx(KL, abs=1e-12)
    assert found["outside"] == pytest.approx(0, abs=1e-12)


def test_mass_outside_the_rectangle_is_measured():
    small = Energy(GAUSSIAN.function, extent=(-1.0, 1.0, -1.0, 1.0))
    inside = math.erf(1 / math.sqrt(2)) ** 2
    assert by_quadrature(Permutation([1, 0]), small, 400)["outside"] == pytest.approx(1 - inside, abs=1e-5)


def test_samples_give_the_divergence_within_their_error():
    found = from_samples(Permutation([1, 0]), GAUSSIAN, 10_000, seed=0)
    assert abs(found["kl"] - KL) < 4 * found["error"]


@pytest.mark.parametrize("make", FORMS_OF_THREE.values(), ids=FORMS_OF_THREE)
def test_each_restart_is_a_flow_of_the_package(make):
    torch.manual_seed(0)
    flows, z = make().double(), torch.randn(3, 50, 2, dtype=torch.float64)
    with torch.no_grad():
        for parameter in flows.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x, ladj = flows(z)
    for index in range(3):
        flow = flows.flow(index)
        expected = flow.call_and_ladj(z[index])
        torch.testing.assert_close((x[index], ladj[index]), expected)
        assert sum(parameter.numel() for parameter in flow.parameters()) == flows.count


@pytest.mark.parametrize("make", FORMS_OF_THREE.values(), ids=FORMS_OF_THREE)
def test_restarts_do_not_depend_on_each_other(make):
    torch.manual_seed(0)
    flows = make()
    x, ladj = flows(torch.randn(3, 10, 2))
    (x[1].sum() + ladj[1].sum()).backward()
    for parameter in flows.parameters():
        assert not parameter.grad[:, 0].any()
        assert not parameter.grad[:, 2].any()


@pytest.mark.parametrize("K", FORMS)
def test_realnvp_has_as_many_parameters_as_the_planar_flow(K):
    wanted = Planars(1, K).count
    assert wanted == 5 * K
    for layers, hidden in FORMS[K]:
        assert Couplings(1, layers, hidden).count == pytest.approx(wanted, rel=0.1)


def test_training_lowers_the_divergence():
    torch.manual_seed(0)
    flows = Planars(2, 2)
    before = of_restarts(flows, GAUSSIAN, 1000, seed=1)
    train(flows, GAUSSIAN, steps=30, batch=64, lr=0.03, seed=0)
    after = of_restarts(flows, GAUSSIAN, 1000, seed=1)
    assert all(b < a for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["u1", "u2", "u3", "u4"])
def test_the_rectangle_of_a_target_holds_its_mass(name):
    energy = target(name)
    left, right, bottom, top = energy.extent
    wider = Energy(energy.function, (left - 1, right + 1, bottom - 1, top + 1))
    # The curvature jumps where the walls begin, at a cost of about 1e-7 for the midpoint rule.
    assert wider.log_normaliser == pytest.approx(energy.log_normaliser, abs=1e-6)


def test_an_encoded_picture_is_decoded():
    values = torch.rand(20, 20, dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(density(shades(values.log()))), values, atol=0.5 / 255, rtol=0)


def test_tables_and_picture_follow_from_the_results():
    flow = {"layers": 2, "hidden": [], "parameters": 10, "restarts": [0.5, 0.25], "kl": 0.25, "half": 0.26}
    flow |= {"outside": 1e-9, "samples": {"kl": 0.24, "error": 0.01}, "shades": shades(torch.zeros(4, 4))}
    rows = [
        {"energy": name, "K": K, "planar": flow, "RealNVP": flow} for name in ("u1", "u2", "u3", "u4") for K in FORMS
    ]
    results = {"sizes": {"steps": 1, "batch": 1, "restarts": 2, "samples": 1}, "rows": rows}
    found, checked = PlanarFlows().tables(results)
    assert found.rows[2] == ["U1", "32", "10", "0.250", "<= 0.1", "2 layers", "10", "0.250"]
    assert checked.rows[0][1:] == ["0.2500", "0.2400 ± 0.0100", "1e-09", "0.375 (0.250 to 0.500)"]
    assert len(PlanarFlows().picture(results).axes) == 20
