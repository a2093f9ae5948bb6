"""What all tests share: the same seeds and the same Hypothesis examples in every run, on every machine."""

import random

import numpy as np
import pytest
from hypothesis import settings

SEED = 20260

# No clock and no chance: a slow machine fails no test, and an example that fails here fails everywhere.
settings.register_profile("course", derandomize=True, deadline=None)
settings.load_profile("course")


@pytest.fixture(autouse=True)
def seed() -> int:
    """Seed Python, NumPy and torch before each test; the number, for tests that make generators of their own."""
    import torch  # not at the top: the browser's and the notebooks' tests load this file too

    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - code under test may use NumPy's global generator
    torch.manual_seed(SEED)
    return SEED
