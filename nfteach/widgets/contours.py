"""Outlines of a density as lines that the browser and matplotlib draw alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from contourpy import contour_generator
from torch import Tensor

from nfteach.widgets.planes import Extent

__all__ = ["contours"]


def contours(density: Tensor, extent: Extent, levels: Sequence[float] = (0.1, 0.5), points: int = 80) -> Tensor:
    """Return the outlines of a density (rows, columns) at fractions of its maximum, (lines, points, 2).

    All lines have equally many points; a density without outlines gives one line of no length.
    """
    values = density.nan_to_num(0.0, posinf=0.0).numpy()
    rows, columns = values.shape
    left, right, bottom, top = extent
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    generator = contour_generator(x, y, values)
    lines = [
        np.stack([np.interp(np.linspace(0, len(line) - 1, points), np.arange(len(line)), side) for side in line.T], 1)
        for level in levels
        for line in generator.lines(level * values.max())
    ]
    return torch.from_numpy(np.array(lines)) if lines else torch.zeros(1, points, 2)
