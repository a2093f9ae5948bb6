"""Several pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from matplotlib.axes import Axes

from .style import style

__all__ = ["panels"]

Value = TypeVar("Value")


def panels(
    values: Mapping[str, Value],
    *,
    columns: int | None = None,
    size: tuple[float, float] = (3.0, 3.2),
    **figure_options: object,
) -> list[tuple[Axes, Value]]:
    """Return one Axes of a new figure for each value, titled with the value's name, together with the value.

    Args:
        values: what is to be drawn, by name.
        columns: the number of panels in a row; by default all.
        size: the width and height of a panel in inches.
        figure_options: keyword arguments of ``pyplot.subplots``, for instance ``sharey=True``.

    Raises:
        ValueError: if there is nothing to be drawn.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> import torch
        >>> from nfteach.plots import samples
        >>> for ax, noise in panels({"narrow": 0.1, "wide": 1.0}):
        ...     _ = samples(noise * torch.randn(50, 2), ax)
        >>> [ax.get_title() for ax in plt.gcf().axes]
        ['narrow', 'wide']
        >>> plt.close()
    """
    from matplotlib import pyplot

    if not values:
        raise ValueError("values must have at least one entry, but is empty")
    columns = columns or len(values)
    rows = -(-len(values) // columns)
    with style():
        figsize = (size[0] * columns, size[1] * rows)
        figure, grid = pyplot.subplots(rows, columns, figsize=figsize, squeeze=False, **figure_options)
        for ax in grid.flat[len(values) :]:
            figure.delaxes(ax)
        for ax, title in zip(grid.flat, values, strict=False):
            ax.set_title(title)
    return list(zip(grid.flat, values.values(), strict=False))
