"""Rectangles of the plane: their cells, and one around points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Extent", "cells", "checked_extent", "square_around"]

Extent = tuple[float, float, float, float]

_FAR = 1e4  # where what runs off to infinity is cut


def cells(extent: Extent, shape: tuple[int, int]) -> Tensor:
    """Return the centres of equal cells, (rows, columns, 2), the lowest row first."""
    (rows, columns), (left, right, bottom, top) = shape, extent
    across = left + (right - left) * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
    up = bottom + (top - bottom) * (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    return torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1)


def checked_extent(extent: Any) -> Extent:
    """Return ``extent`` as four numbers; raise ValueError if it is no rectangle."""
    left, right, bottom, top = (float(end) for end in extent) if len(extent) == 4 else (0.0,) * 4
    if not (left < right and bottom < top):
        raise ValueError(f"extent must be (left, right, bottom, top), left < right, bottom < top; it is {extent!r}")
    return (left, right, bottom, top)


def square_around(points: Tensor) -> Extent:
    """Return a square around nearly all of points (frames, N, 2) in every frame."""
    finite = points.nan_to_num(0.0).clamp(-_FAR, _FAR).numpy()
    low, high = np.quantile(finite, 0.005, axis=1).min(0), np.quantile(finite, 0.995, axis=1).max(0)
    middle, half = (low + high) / 2, 0.55 * float((high - low).max()) or 1.0
    left, bottom, right, top = (float(end) for end in (*(middle - half), *(middle + half)))
    return (left, right, bottom, top)
