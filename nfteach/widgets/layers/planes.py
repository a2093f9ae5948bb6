"""Views of the plane side by side: what the pictures of steppers and replays are made of."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from nfteach.plots import palette

__all__ = [
    "BACK",
    "FAR",
    "FONT",
    "FRONT",
    "MIDDLE",
    "Extent",
    "axes_at",
    "centres",
    "checked_extent",
    "density_in",
    "excuse_in",
    "grid_in",
    "plane_at",
    "quiet",
    "shown_density",
    "square_around",
    "wrapped",
]

Extent = tuple[float, float, float, float]

FONT = 9  # points: the smallest that reads well at 100 % zoom
FAR = 1e4  # where what runs off to infinity is cut
# All that moves lies under the axes' frames (2.5), which then share one still layer: each layer more is a rendering.
BACK, MIDDLE, FRONT = 2.0, 2.2, 2.4


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def plane_at(figure: Figure, left: float, bottom: float, side: float, extent: Extent, title: str) -> Axes:
    """A square view of the plane, placed in inches."""
    ax = axes_at(figure, left, bottom, side, side)
    ax.set(xlim=extent[:2], ylim=extent[2:])
    ax.set_title(title, fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.tick_params(labelsize=FONT)
    return ax


def density_in(ax: Axes, extent: Extent) -> dict[str, Any]:
    """A density, and a line on how high it is."""
    image = ax.imshow(np.zeros((2, 2)), extent=extent, origin="lower", cmap=palette.DENSITY, aspect="auto", zorder=BACK)
    look = {"transform": ax.transAxes, "va": "top", "fontsize": FONT, "color": "white", "zorder": FRONT}
    return {"density": image, "highest": ax.text(0.03, 0.97, "", **look)}


def shown_density(density: np.ndarray, scale: str, top: float | None = None) -> dict[str, Any]:
    """What an image shows of a density (rows, columns): its ``"root"``, so that tails are seen beside peaks, or its
    ``"log"`` down to 12 nats under the top, so that nothing is out of sight.

    Args:
        top: the density at the upper end of the colours; by default the highest.
    """
    top = float(density.max() if top is None else top)
    if scale == "root":
        return {"values": np.sqrt(density), "limits": (0.0, np.sqrt(top) or 1.0)}
    ceiling = np.log(top) if top > 0 else 0.0
    return {"values": np.log(np.maximum(density, np.exp(ceiling - 12))), "limits": (ceiling - 12, ceiling)}


def grid_in(ax: Axes, name: str = "grid") -> dict[str, Any]:
    """The lines of a grid, wherever they have been taken."""
    lines = LineCollection(np.zeros((1, 2, 2)), colors=palette.FORWARD, linewidths=0.8, alpha=0.8, zorder=BACK)
    return {name: ax.add_collection(lines)}


def excuse_in(ax: Axes) -> Any:
    """Words in the middle of a view that has nothing to show."""
    look = {"ha": "center", "va": "center", "fontsize": FONT, "color": palette.INK, "zorder": FRONT}
    return ax.text(0.5, 0.5, "", transform=ax.transAxes, **look)


def wrapped(words: str, width: int = 32) -> str:
    """A sentence in lines that fit a view, at most nine; a dollar sign would be taken for TeX."""
    lines = textwrap.wrap(words.replace("$", ""), width)
    return "\n".join(lines if len(lines) <= 9 else [*lines[:8], lines[8][: width - 4] + " ..."])


def quiet(ax: Axes) -> None:
    """A chart without the frame it does not need, its words in the smallest size that reads well."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=FONT)
    for words in (ax.xaxis.label, ax.yaxis.label):
        words.set_size(FONT)


def centres(extent: Extent, resolution: int) -> np.ndarray:
    """The centres of equal cells, (resolution, resolution, 2), the lowest row first."""
    left, right, bottom, top = extent
    middle = (np.arange(resolution) + 0.5) / resolution
    return np.stack(np.meshgrid(left + (right - left) * middle, bottom + (top - bottom) * middle), axis=-1)


def checked_extent(extent: Any) -> Extent:
    """``extent`` as four numbers. Raises ValueError if it is no rectangle."""
    left, right, bottom, top = (float(end) for end in extent) if len(extent) == 4 else (0.0,) * 4
    if not (left < right and bottom < top):
        raise ValueError(f"extent must be (left, right, bottom, top), left < right, bottom < top; it is {extent!r}")
    return (left, right, bottom, top)


def square_around(points: Tensor) -> Extent:
    """A square that holds nearly all of the points (frames, N, D) of every frame; of every two dimensions, if D > 2."""
    finite = points.nan_to_num(0.0).clamp(-FAR, FAR).numpy()
    low, high = np.quantile(finite, 0.005, axis=1).min(0), np.quantile(finite, 0.995, axis=1).max(0)
    if points.shape[-1] > 2:
        low, high = np.full(2, low.min()), np.full(2, high.max())
    middle, half = (low + high) / 2, 0.55 * float((high - low).max()) or 1.0
    left, bottom, right, top = (float(end) for end in (*(middle - half), *(middle + half)))
    return (left, right, bottom, top)
