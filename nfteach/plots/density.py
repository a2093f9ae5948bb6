"""Densities on the plane and samples from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize

from . import palette
from ._shared import Extent, axes, check_extent, plane, precision, to_array

__all__ = ["density", "samples"]


def density(
    log_prob: Callable[[torch.Tensor], torch.Tensor] | torch.Tensor | np.ndarray,
    ax: Axes | None = None,
    *,
    extent: Extent = (-4.0, 4.0, -4.0, 4.0),
    resolution: int = 200,
    log: bool = False,
    vmax: float | None = None,
    color: str = palette.DATA,
    **image_options: object,
) -> Axes:
    """Draw a density of the plane as a tint, from the page's own ground where it is zero to one saturated colour.

    The opacity grows as 1 - exp(-3 p / vmax), which makes the flanks of a peak visible.

    Args:
        log_prob: the log-density, (N, 2) -> (N,) in nats; or its values on a grid, (rows, columns), the first row at
            the bottom.
        ax: the Axes to draw on; by default those of a new figure.
        extent: (left, right, bottom, top) of the rectangle.
        resolution: the number of cells along each side of the rectangle, for a function.
        log: draw the log-density, down to 12 nats below its maximum, which makes the tails visible.
        vmax: the (log-)density at the top of the colour scale; by default the largest value. The same ``vmax`` makes
            pictures comparable.
        color: ``palette.DATA`` for a density of data, ``palette.LATENT`` for one of the base.
        image_options: keyword arguments of ``Axes.imshow``.

    Raises:
        ValueError: if the function's result has the wrong shape, or the array is not two-dimensional.
    """
    extent = check_extent(extent)
    if callable(log_prob):
        points = plane(extent, resolution, resolution, precision(log_prob))
        with torch.no_grad():
            values = to_array(log_prob(points.reshape(-1, 2)))
        if values.shape != (resolution**2,):
            raise ValueError(
                f"log_prob must return one value per point, ({resolution**2},) for points ({resolution**2}, 2), "
                f"but returned the shape {values.shape}; try a sum over the last dimension"
            )
        values = values.reshape(resolution, resolution)
    else:
        values = to_array(log_prob)
        if values.ndim != 2:
            raise ValueError(f"log_prob as an array must be (rows, columns), but has the shape {values.shape}")
    values = values if log else np.exp(values)
    finite = values[np.isfinite(values)]
    top = vmax if vmax is not None else (finite.max() if finite.size else 1.0)
    if log:  # a density of zero has the colour of the scale's bottom
        values = np.where(np.isneginf(values), top - 12, values)
    norm = Normalize(top - 12, top) if log else _saturation(top)
    options = {"cmap": palette.tint(color), "norm": norm, "interpolation": "nearest"}
    ax = axes(ax, plane=True)
    ax.imshow(values, origin="lower", extent=extent, aspect="equal", **(options | image_options))
    ax.set(xlim=extent[:2], ylim=extent[2:])  # and remain so, even if later artists exceed them
    return ax


def _saturation(top: float) -> Normalize:
    """Return the scale 1 - exp(-3 p / top), divided by its value at the top."""
    top = float(top) or 1.0
    return FuncNorm((lambda p: -np.expm1(-3 * p / top), lambda share: -top / 3 * np.log1p(-share)), 0.0, top)


def samples(
    x: torch.Tensor | np.ndarray,
    ax: Axes | None = None,
    *,
    color: str = palette.DATA,
    extent: Extent | None = None,
    size: float | None = None,
    alpha: float | None = None,
    **scatter_options: object,
) -> Axes:
    """Draw points of the plane as dots.

    Args:
        x: the points, (N, 2).
        ax: the Axes to draw on; by default those of a new figure.
        color: ``palette.DATA`` for data, ``palette.LATENT`` for samples of the base.
        extent: the limits of the Axes, (left, right, bottom, top); by default they are unchanged.
        size: the area of a marker in points squared; by default it decreases with the number of points.
        alpha: the opacity; by default it decreases with the number of points.
        scatter_options: keyword arguments of ``Axes.scatter``, for instance ``label``.

    Raises:
        ValueError: if ``x`` is not (N, 2).
    """
    points = to_array(x)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"x must be points of the plane, (N, 2), but has the shape {points.shape}")
    crowding = np.clip(np.log10(max(len(points), 1)) - 2, 0, 2) / 2  # 0 up to 100 points, 1 from 10,000
    size = 24 - 21 * crowding if size is None else size
    alpha = 0.8 - 0.4 * crowding if alpha is None else alpha
    ax = axes(ax, plane=True)
    options = {"color": color, "s": size, "alpha": alpha, "linewidths": 0}
    ax.scatter(points[:, 0], points[:, 1], **(options | scatter_options))
    ax.set_aspect("equal")
    if extent is not None:
        left, right, bottom, top = check_extent(extent)
        ax.set(xlim=(left, right), ylim=(bottom, top))
    return ax
