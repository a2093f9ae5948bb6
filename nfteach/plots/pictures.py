"""Sheets of small images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from . import palette
from ._shared import axes, to_array

__all__ = ["images"]


def images(
    batch: torch.Tensor | np.ndarray,
    ax: Axes | None = None,
    *,
    shape: Sequence[int] = (8, 8),
    columns: int | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    color: str = palette.DATA,
    **image_options: object,
) -> Axes:
    """Draw a batch of images as one sheet, row by row from the upper left, on the page's own ground.

    Args:
        batch: (N, H * W), (N, H, W) or (N, 1, H, W); large values have much colour.
        ax: the Axes to draw on; by default those of a new figure.
        shape: the shape (H, W) of one image.
        columns: the number of images in a row; by default the sheet is about twice as wide as high.
        vmin, vmax: the values without and with full colour; by default the smallest and the largest in the batch.
        color: the colour of the strokes.
        image_options: keyword arguments of ``Axes.imshow``.

    Raises:
        ValueError: if the batch is empty or its images do not have H * W pixels.
    """
    pixels = to_array(batch)
    height, width = shape
    if pixels.ndim < 2 or not len(pixels) or pixels[0].size != height * width:
        raise ValueError(
            f"batch must be images of {height} x {width}, (N, {height * width}) or (N, {height}, {width}), "
            f"but has the shape {pixels.shape}"
        )
    columns = columns or min(len(pixels), int(np.ceil(np.sqrt(2 * len(pixels)))))
    rows = -(-len(pixels) // columns)
    gap = 1  # pixel between images
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for index, image in enumerate(pixels.reshape(-1, height, width)):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    ax = axes(ax, (0.6 * columns, 0.6 * rows))
    options = {"cmap": palette.tint(color, 1.0), "vmin": vmin, "vmax": vmax, "interpolation": "nearest"}
    ax.imshow(sheet, **(options | image_options))
    ax.set_axis_off()
    return ax
