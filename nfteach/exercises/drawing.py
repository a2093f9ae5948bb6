"""Random inputs of exercises."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw"]


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal numbers in float64, of that shape."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
