"""What a map does to the plane: a square grid, carried along."""

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
    """The images of the lines of a square grid, (2 * lines, points, 2): first the horizontal lines, then the vertical.

    Args:
        flow: the map, (N, 2) -> (N, 2); None for the grid itself.
        extent: (left, right, bottom, top) of the grid before the map.
        lines: lines in each direction.
        points: points on each line, evenly spaced.

    Raises:
        ValueError: if the map's result is not (N, 2).
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
            f"flow must map points of the plane to points of the plane, ({2 * lines * points}, 2) to the same, "
            f"but gave the shape {image.shape}"
        )
    return image.reshape(grid.shape)


def warped_grid(
    flow: Callable[[torch.Tensor], torch.Tensor] | None,
    ax: Axes | None = None,
    *,
    extent: Extent = (-3.0, 3.0, -3.0, 3.0),
    lines: int = 21,
    points: int = 101,
    color: str = palette.FORWARD,
    before: bool = False,
    **line_options: object,
) -> Axes:
    """Draw where a map of the plane takes the lines of a square grid; every fifth line from the middle is heavier.

    Small squares become parallelograms, and the area of one over that of its square is \\|det J\\| there.

    Args:
        flow: the map, (N, 2) -> (N, 2): a flow, a flow's ``inv``, any function; None for the grid itself.
        ax: where to draw; by default on a new figure.
        extent: (left, right, bottom, top) of the grid before the map.
        lines: lines in each direction.
        points: points on each line; more for maps that bend sharply.
        color: ``palette.FORWARD`` for a map, ``palette.INVERSE`` for an inverse.
        before: draw the unmapped grid behind, in grey.
        line_options: go to ``LineCollection``.

    Raises:
        ValueError: if the map's result is not (N, 2).
    """
    ax = axes(ax)
    offset = np.abs(np.arange(lines) - lines // 2)
    heavy = np.tile(offset % 5 == 0, 2)
    if before:
        flat = grid_lines(None, extent, lines, 2)
        ax.add_collection(LineCollection(flat, colors=palette.MUTED, linewidths=0.5, alpha=0.5))
    options = {"colors": color, "linewidths": np.where(heavy, 1.6, 0.7)}
    ax.add_collection(LineCollection(grid_lines(flow, extent, lines, points), **(options | line_options)))
    ax.autoscale_view()
    ax.set_aspect("equal")
    return ax
