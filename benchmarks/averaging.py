"""The running average of a model's parameters, which often scores better than the parameters of any single step."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Averaged"]


class Averaged(nn.Module):
    """A density that is trained by its parameters and scored by their running average.

    Args:
        density: a module with ``log_prob``; it becomes ``trained``, and a copy of it ``average``.
        weight: maps the number of steps taken to the weight of the current parameters in the average, in (0, 1].

    References:
        Acceleration of stochastic approximation by averaging (Polyak & Juditsky, 1992),
        https://doi.org/10.1137/0330046
    """

    def __init__(self, density: nn.Module, weight: Callable[[int], float]) -> None:
        super().__init__()
        self.trained, self.average = density, copy.deepcopy(density).requires_grad_(False)
        self.weight = weight

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q(x) (...) in nats for x (..., D), by the parameters in training mode, else by their average."""
        return (self.trained if self.training else self.average).log_prob(x)

    @torch.no_grad()
    def update(self, step: int, loss: float) -> None:
        """Move the average towards the parameters after ``step`` steps; serves as a callback of ``fit``."""
        torch._foreach_lerp_(list(self.average.parameters()), list(self.trained.parameters()), self.weight(step))
