"""The flow of the course's first picture: in eight layers noise becomes two moons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.utils import vector_to_parameters

from nfteach.flows import SplineCoupling, Stack, half_mask
from nfteach.widgets.layers import LayerStepper

__all__ = ["WEIGHTS", "HeroExplorer", "hero_flow", "untrained"]

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


class HeroExplorer(LayerStepper):
    """Noise becomes two moons, in eight layers that are played once when they come into view.

    Args:
        **options: those of :class:`~nfteach.widgets.LayerStepper`, such as ``layer`` and ``probe``.

    Example:
        >>> HeroExplorer().readout["layer"]
        '8 of 8: SplineCoupling'
    """

    help = "Eight layers turn [noise](z) into [two moons](x). Watch, then drag [z](z): where does it land?"
    alt = "Noise becomes two moons, layer by layer: grid, samples, their density, and one point on its way"
    grid = (5.0, 21)
    autoplay = True

    def __init__(self, **options: Any) -> None:
        flow = hero_flow()
        places = {"on the upper moon": (-0.9, 0.9), "on the lower moon": (0.9, -0.9), "in the gap": (0.0, 0.0)}
        self.presets = {}
        for name, place in places.items():
            z = flow.inv(torch.tensor(place, dtype=torch.float64)).clamp(-3, 3)
            self.presets[f"x {name}"] = {f"probe_{k}": round(z[k - 1].item(), 2) for k in (1, 2)}
        super().__init__(flow, **{"samples": 600, "extent": (-2.9, 2.9, -2.9, 2.9), **options})

    def pictures(self, s: SimpleNamespace) -> list[dict[str, Any]]:
        pictures = super().pictures(s)
        for picture in pictures:  # at first sight two numbers are enough
            numbers = picture["readout"]
            for name in ("layer's log|det|", "log q"):
                numbers[name] = replace(numbers[name], more=True)
        return pictures
