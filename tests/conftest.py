"""What all tests share: every test begins from the same seeds, whichever test ran before it."""

import random

import numpy as np
import pytest

SEED = 20260


@pytest.fixture(autouse=True)
def seed() -> int:
    """Seed Python, NumPy and torch before each test; the number, for tests that make generators of their own."""
    import torch  # not at the top: nbval's and the browser's runs load this file too and need no torch here

    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - code under test may use NumPy's global generator
    torch.manual_seed(SEED)
    return SEED
