"""Images of a square grid under maps of the plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from . import palette
from ._shared import Extent, axes, check_extent, precision, to_array

__all__ = ["grid_lines", "warped_grid"]


def grid_lines(
    flow: Callable[[torch.Tensor], torch.Tensor] | None,
    extent: Extent = (-3.0, 3.0, -3.0, 3.0),
    lines: int = 21,
    points: int = 101,
) -> np.ndarray:
    """Map the lines of a square grid; return (2 * lines, points, 2), first the horizontal, then the vertical lines.

    Args:
        flow: the map, (N, 2) -> (N, 2); None for the identity.
        extent: (left, right, bottom, top) of the grid before the map.
        lines: the number of lines in each direction.
        points: the number of points on each line, evenly spaced.

    Raises:
        ValueError: if the result of the map is not (N, 2).
    """
    left, right, bottom, top = check_extent(extent)
    dtype = torch.get_default_dtype() if flow is None else precision(flow)
    across, up = torch.linspace(left, right, points, dtype=dtype), torch.linspace(bottom, top, points, dtype=dtype)
    heights, places = torch.linspace(bottom, top, lines, dtype=dtype), torch.linspace(left, right, lines, dtype=dtype)
    horizontal = torch.stack(torch.meshgrid(across, heights, indexing="xy"), dim=-1)
    vertical = torch.stack(torch.meshgrid(places, up, indexing="ij"), dim=-1)
    grid = torch.cat([horizontal, vertical])
    if flow is None:
        return to_array(grid)
    with torch.no_grad():
        image = to_array(flow(grid.reshape(-1, 2)))
    if image.shape != (2 * lines * points, 2):
        raise ValueError(
            f"flow must map points of the plane ({2 * lines * points}, 2) to points of the same shape, "
            f"but returned the shape {image.shape}"
        )
    return image.reshape(grid.shape)


def warped_grid(
    flow: Callable[[torch.Tensor], torch.Tensor] | None,
    ax: Axes | None = None,
    *,
    extent: Extent = (-3.0, 3.0, -3.0, 3.0),
    lines: int = 21,
    points: int = 101,
    color: str = palette.SOFT,
    before: bool = False,
    **line_options: object,
) -> Axes:
    """Draw the image of a square grid under a map of the plane, with every fifth line from the middle heavier.

    Small squares become parallelograms; the ratio of their areas is \\|det J\\| at that point.

    Args:
        flow: the map, (N, 2) -> (N, 2): a flow, a flow's ``inv``, or any function; None for the identity.
        ax: the Axes to draw on; by default those of a new figure.
        extent: (left, right, bottom, top) of the grid before the map.
        lines: the number of lines in each direction.
        points: the number of points on each line; maps that bend sharply need more.
        color: the colour of the lines.
        before: also draw the unmapped grid, faintly, in the colour of latent space.
        line_options: keyword arguments of ``LineCollection``.

    Raises:
        ValueError: if the result of the map is not (N, 2).
    """
    ax = axes(ax, plane=True)
    offset = np.abs(np.arange(lines) - lines // 2)
    heavy = np.tile(offset % 5 == 0, 2)
    if before:
        flat = grid_lines(None, extent, lines, 2)
        ax.add_collection(LineCollection(flat, colors=palette.LATENT, linewidths=0.7, alpha=0.6))
    options = {"colors": color, "linewidths": np.where(heavy, 1.6, 0.7)}
    ax.add_collection(LineCollection(grid_lines(flow, extent, lines, points), **(options | line_options)))
    ax.autoscale_view()
    ax.set_aspect("equal")
    return ax
