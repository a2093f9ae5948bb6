"""Flows of several scales, where some coordinates leave after each: the scales as layers that map all coordinates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .conventions import has
from .twin import own_dtype

__all__ = ["is_multiscale", "scales_of"]


def is_multiscale(stack: Any) -> bool:
    """Return True for normflows' ``MultiscaleFlow`` and what has its attributes."""
    return has(stack, "flows", "merges", "inverse_and_log_det", "forward_and_log_det")


def scales_of(flow: Any, x: Tensor) -> list[Scale]:
    """Return the scales in the order in which data x (B, *event) goes through them to the latents."""
    scales: list[Scale] = []
    x = x.to(own_dtype(flow, otherwise=x.dtype))
    with torch.no_grad():
        for k in reversed(range(len(flow.flows))):
            last = [] if scales or flow.transform is None else [flow.transform]
            scales.append(
                Scale([*flow.flows[k], *last], flow.merges[k - 1] if k else None, x.shape[1:], len(scales) + 1)
            )
            x = scales[-1].split(x)[0][0]
    return scales


class Scale:
    """The layers of one scale and the split after them, as a map of all coordinates (N, D): the others pass.

    Args:
        layers: in the order of sampling; x goes through their inverses, from the last.
        merge: joins the coordinates that stay with those that leave; None at the last scale.
        shape: of the coordinates that are still there.
        number: of the scale.
    """

    def __init__(self, layers: list[Any], merge: Any, shape: torch.Size, number: int) -> None:
        self.layers, self.merge, self.shape = layers, merge, shape
        self.__name__ = f"scale {number}"
        self._parts = [shape]

    def split(self, x: Tensor) -> tuple[list[Tensor], Any]:
        """Return the coordinates that stay and those that leave, each (N, *shape), and the log-det."""
        total: Any = 0.0
        for layer in reversed(self.layers):
            x, log_det = layer.inverse(x)
            total = total + log_det
        if self.merge is None:
            return [x], total
        parts, log_det = self.merge.inverse(x)
        return list(parts), total + log_det

    def __call__(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return the latents (N, D) and the log-det."""
        x = x.flatten(1)
        here, others = x[:, : self.shape.numel()], x[:, self.shape.numel() :]
        parts, log_det = self.split(here.reshape(-1, *self.shape))
        self._parts = [part.shape[1:] for part in parts]
        return torch.cat([*(part.flatten(1) for part in parts), others], 1), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Any]:
        """Return x (N, D) and the log-det of the inverse."""
        here, others = y[:, : self.shape.numel()], y[:, self.shape.numel() :]
        parts = here.split([shape.numel() for shape in self._parts], 1)
        parts = [part.reshape(-1, *shape) for part, shape in zip(parts, self._parts, strict=True)]
        x, total = (parts[0], 0.0) if self.merge is None else self.merge(parts)
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return torch.cat([x.flatten(1), others], 1), total
