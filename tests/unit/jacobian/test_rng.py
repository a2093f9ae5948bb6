"""The fixed seed and the modes at rest: the same inside, and nothing changed outside."""

import random

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.rng import modes_at_rest, seeded


def draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002 - the global generator is meant


def test_a_block_draws_what_its_seed_gives_and_leaves_the_generators_alone(seed):
    before = [draw() for _ in range(2)]
    torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)  # noqa: NPY002
    first = draw()
    with seeded(3):
        inside = draw()
    with seeded(3):
        assert draw() == inside
    assert [first, draw()] == before
    torch.manual_seed(3)
    assert torch.rand(()).item() == inside[0]


def test_blocks_can_be_nested():
    with seeded(1):
        expected = [draw() for _ in range(3)]
    with seeded(1):
        found = [draw()]
        with seeded(1), seeded(2), seeded(3):
            draw()
        found += [draw(), draw()]
    assert found == expected


def test_the_generators_come_back_after_an_error(seed):
    before = draw()
    torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)  # noqa: NPY002
    try:
        with seeded(3):
            raise ValueError
    except ValueError:
        assert draw() == before


def modes() -> tuple:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device().type,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(),
    )


MODES = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "another default device": lambda: torch.device("meta"),
    "anomalies": torch.autograd.detect_anomaly,
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", MODES)
def test_modes_are_at_rest_inside_and_the_callers_after_it(name):
    with MODES[name]():
        before = modes()
        with modes_at_rest():
            assert modes() == (True, False, False, "cpu", False, name == "anomalies")
            with seeded(0):
                assert torch.zeros(1).device.type == before[3]
        assert modes() == before
        with pytest.raises(ValueError), modes_at_rest():  # noqa: PT011
            raise ValueError
        assert modes() == before
    with modes_at_rest():
        assert modes() == (True, False, False, "cpu", False, False)


@pytest.mark.parametrize("name", ["no gradients", "inference mode", "autocast"])
def test_a_layer_is_reported_the_same_in_any_mode(name):
    layer, x = torch.nn.Linear(3, 3), torch.tensor([[0.3, -0.2, 0.5]])
    with modes_at_rest():
        expected = inspect_jacobian(layer, x)
    with MODES[name](), modes_at_rest():
        report = inspect_jacobian(layer, x)
    assert torch.equal(report.jacobian, expected.jacobian)
    assert report.findings == expected.findings
