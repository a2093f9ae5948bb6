"""Helpers of the plots: axes to draw on, grids to evaluate on, arrays from tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from .style import dress, style

__all__ = ["Extent", "axes", "check_extent", "plane", "precision", "to_array"]

Extent = tuple[float, float, float, float]  #: (left, right, bottom, top) in data units, as in ``imshow``


def axes(ax: Axes | None, size: tuple[float, float] = (4.5, 4.5), *, plane: bool = False) -> Axes:
    """Return ``ax``, or the Axes of a new figure of ``size`` inches if it is None, with the course's look.

    The ground of a figure that was handed in stays as it is.
    """
    if ax is None:
        # Imported late: widgets draw on figures of their own and must not load pyplot with its global list of figures.
        from matplotlib import pyplot

        with style():
            ax = pyplot.subplots(figsize=size)[1]
    return dress(ax, plane=plane)


def check_extent(extent: Sequence[float]) -> Extent:
    """Return ``extent`` as four floats.

    Raises:
        ValueError: if it is not (left, right, bottom, top) with left < right and bottom < top.
    """
    values = tuple(float(value) for value in extent)
    if len(values) != 4 or not (values[0] < values[1] and values[2] < values[3]):
        raise ValueError(
            f"extent must be (left, right, bottom, top) with left < right and bottom < top, but is {extent!r}"
        )
    return values


def plane(extent: Extent, columns: int, rows: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the centres of a grid of cells on the rectangle, (rows, columns, 2), the lowest row first."""
    left, right, bottom, top = extent
    x = left + (right - left) * (torch.arange(columns, dtype=dtype) + 0.5) / columns
    y = bottom + (top - bottom) * (torch.arange(rows, dtype=dtype) + 0.5) / rows
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def precision(function: Callable) -> torch.dtype:
    """Return the dtype of the parameters if ``function`` is, or belongs to, a module; else the default dtype."""
    owner = getattr(function, "__self__", function)
    for module in (owner, getattr(owner, "flow", None)):
        if isinstance(module, torch.nn.Module):
            for tensor in module.parameters():
                if tensor.is_floating_point():
                    return tensor.dtype
    return torch.get_default_dtype()


def to_array(values: object) -> np.ndarray:
    """Convert a tensor, on any device and with or without gradients, or an array-like to a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
