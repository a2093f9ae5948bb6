"""The flow of the course's first picture: in eight layers noise becomes two moons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import vector_to_parameters

from nfteach.flows import SplineCoupling, Stack, half_mask

__all__ = ["WEIGHTS", "hero_flow", "untrained"]

#: One float16 array, ``parameters``, in the order of ``Stack.parameters()``. Written by tools/train_hero.py.
WEIGHTS = Path(__file__).with_name("hero.npz")


def untrained() -> Stack:
    """Build the hero before training, in float32: eight spline couplings, each moving the coordinate the last read."""
    with torch.random.fork_rng(devices=()):
        return Stack(*(SplineCoupling(half_mask(2, flip=k % 2 == 1), (20, 20), bins=8, bound=4.0) for k in range(8)))


def hero_flow() -> Stack:
    """Load the trained flow from z, standard normal, to x, two moons: float64, without gradients."""
    flow = untrained().double().requires_grad_(False)
    with np.load(WEIGHTS) as stored:
        vector_to_parameters(torch.from_numpy(stored["parameters"]).double(), flow.parameters())
    return flow
