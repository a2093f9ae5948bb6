"""The fixed seed: the same numbers inside, and nothing changed outside, also where one block stands in another."""

import random

import numpy as np
import torch

from nfteach.jacobian.rng import seeded


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
