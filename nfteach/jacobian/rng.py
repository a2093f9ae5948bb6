"""Random states: the same for every call of a map, and afterwards as they were found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's, NumPy's and Python's global generators start from ``seed``; outside, nothing has happened."""
    # A CUDA that was never used has no generators yet, and asking for them would start it.
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    of_python = random.getstate()
    of_numpy = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        try:
            # Not torch.manual_seed: it would leave a seeding behind for a CUDA that is started later.
            for generator in (torch.default_generator, *(torch.cuda.default_generators[i] for i in devices)):
                generator.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - a layer may draw from the global generator
            random.seed(seed)
            yield
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)
