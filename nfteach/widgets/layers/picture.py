"""The layer stepper's picture: samples, grid and density after a layer, two Jacobians, and the sum of the log-dets."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from nfteach.plots import palette
from nfteach.widgets.live import HeatMap, LiveFigure

__all__ = ["LayersPicture"]

SIZE = (8.8, 5.35)  # inches
FONT = 9  # points: the smallest that reads well at 100 % zoom
SQUARE = 0.4  # side of the small square at the probe, before the first layer
# Few colours: the browser paints one marker for each. Yellow is left out, it is too pale on white.
ORIGIN = colormaps["viridis"].resampled(16)
ALT = (
    "Above, three views of the plane after a layer: samples coloured by where they began, the warped grid with a small "
    "square that has become a parallelogram, and the density. Below, the Jacobian of the layer, the product of the "
    "Jacobians so far, and a chart of the layers' log-determinants and their running sum."
)


class LayersPicture:
    """The figure of the layer stepper, and how numbers become its frames.

    Args:
        points: (K + 1, N, 2), the samples after each layer.
        grid: (K + 1, lines, points, 2), the grid after each layer.
        extent: (left, right, bottom, top) that is shown.
        data: (N, 2), drawn behind the samples; or None.
        ladj_range: the limits of the log-determinants in the chart.

    Attributes:
        densities: (K + 1, rows, columns), to be filled in before :meth:`frames` is called.
    """

    def __init__(
        self,
        points: np.ndarray,
        grid: np.ndarray,
        extent: tuple[float, float, float, float],
        data: np.ndarray | None,
        ladj_range: tuple[float, float],
    ) -> None:
        if not np.isfinite(points).all():
            raise ValueError("flow takes samples of the base to infinity or NaN, which can't be shown")
        left, right, bottom, top = (float(end) for end in extent)
        if not (left < right and bottom < top):
            raise ValueError(f"extent must be (left, right, bottom, top), left < right, bottom < top; it is {extent!r}")
        if data is not None and (data.ndim != 2 or data.shape[1] != 2):
            raise ValueError(f"data must be points of the plane, (N, 2), but has the shape {data.shape}")
        self.points, self.grid, self.extent, self.last = points, grid, (left, right, bottom, top), len(points) - 1
        self.densities = np.zeros((len(points), 1, 1))
        figure = Figure(figsize=SIZE, facecolor="white")
        planes = [_plane(figure, 0.42 + 2.9 * column, self.extent) for column in range(3)]
        moving = self._samples(planes[0], data) | _grid(planes[1]) | _density(planes[2], self.extent)
        moving |= _matrices(figure) | _chart(_axes(figure, 4.35, 0.55, 4.25, 1.3), self.last, ladj_range)
        self.live = LiveFigure(figure, moving, frame_label="layer", alt=ALT)

    def pixels(self, resolution: int) -> np.ndarray:
        """The centres of the density's cells, (resolution, resolution, 2), the lowest row first."""
        left, right, bottom, top = self.extent
        middle = (np.arange(resolution) + 0.5) / resolution
        return np.stack(np.meshgrid(left + (right - left) * middle, bottom + (top - bottom) * middle), axis=-1)

    def frames(self, x: Tensor, J: Tensor, product: Tensor, ladj: Tensor, running: Tensor) -> list[dict[str, Any]]:
        """The K + 1 frames, for a probe at x (K + 1, 2) with Jacobians (K + 1, 2, 2) and log-dets (K + 1,)."""
        corners = SQUARE * np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        sums = np.stack([np.arange(self.last + 1), running.numpy()], axis=1)
        frames = []
        for k in range(self.last + 1):
            at = x[k].numpy()[None]
            root = np.sqrt(self.densities[k])  # tails are seen beside peaks
            frames.append({
                "samples": self.points[k],
                "grid": self.grid[k],
                "density": {"values": root, "limits": (0.0, root.max() or 1.0)},
                "highest": f"highest: {self.densities[k].max():.2f}",
                "square": at + corners @ product[k].numpy().T,
                "probe": at,
                "probe_in_grid": at,
                "probe_in_density": at,
                "J": J[k].numpy(),
                "product": product[k].numpy(),
                "layers": {
                    "lengths": ladj[1:].numpy(),
                    "color": [palette.HIGHLIGHT if index == k else palette.ZERO for index in range(1, self.last + 1)],
                },
                "sums": sums,
                "here": sums[k][None],
            })  # fmt: skip
        return frames

    def _samples(self, ax: Axes, data: np.ndarray | None) -> dict[str, Any]:
        ax.set_title("samples, coloured by $z_1$", fontsize=10)
        if data is not None:
            ax.scatter(*data[:2000].T, s=4, color=palette.MUTED, alpha=0.25, linewidths=0, zorder=1)
            ax.set_title("samples, coloured by $z_1$; data in grey", fontsize=10)
        begin = self.points[0][:, 0]
        shown = ax.scatter(*self.points[0].T, c=begin, cmap=ORIGIN, vmin=-2, vmax=2.3, s=7, linewidths=0, zorder=2)
        return {"samples": shown, "probe": _probe(ax)}


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches."""
    return figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]))


def _plane(figure: Figure, left: float, extent: tuple[float, float, float, float]) -> Axes:
    ax = _axes(figure, left, 2.5, 2.55, 2.55)
    ax.set(xlim=extent[:2], ylim=extent[2:])
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.tick_params(labelsize=FONT)
    return ax


def _probe(ax: Axes) -> Any:
    return ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=50, zorder=6)


def _grid(ax: Axes) -> dict[str, Any]:
    ax.set_title("grid, and a small square", fontsize=10)
    lines = LineCollection(np.zeros((1, 2, 2)), colors=palette.FORWARD, linewidths=0.8, alpha=0.8)
    ax.add_collection(lines)
    square = Polygon(np.zeros((4, 2)), facecolor=palette.HIGHLIGHT, edgecolor=palette.INK, linewidth=1.2, zorder=4)
    ax.add_patch(square)
    return {"grid": lines, "square": square, "probe_in_grid": ax.scatter([], [], color=palette.INK, s=8, zorder=6)}


def _density(ax: Axes, extent: tuple[float, float, float, float]) -> dict[str, Any]:
    ax.set_title("density (colour: its root)", fontsize=10)
    image = ax.imshow(np.zeros((2, 2)), extent=extent, origin="lower", cmap=palette.DENSITY, aspect="auto")
    words = ax.text(0.03, 0.97, "", transform=ax.transAxes, va="top", fontsize=FONT, color="white", zorder=5)
    return {"density": image, "highest": words, "probe_in_density": _probe(ax)}


def _matrices(figure: Figure) -> dict[str, HeatMap]:
    """J of the layer, and the product of all so far."""
    maps = []
    for left, title in ((0.42, "$J$ of this layer"), (2.17, "$J$ of all so far")):
        ax = _axes(figure, left, 0.45, 1.4, 1.4)
        maps.append(HeatMap(ax, np.eye(2), cmap=palette.SIGNED, limits=(-2, 2), fontsize=10))
        ax.set_title(title, fontsize=10)
    figure.text(0.42 / SIZE[0], 0.2 / SIZE[1], "both at the probe, the orange dot", fontsize=FONT)
    return {"J": maps[0], "product": maps[1]}


def _chart(ax: Axes, last: int, limits: tuple[float, float]) -> dict[str, Any]:
    bars = ax.bar(np.arange(1, last + 1), np.zeros(last), color=palette.ZERO, edgecolor=palette.MUTED, linewidth=0.8)
    (sums,) = ax.plot([], [], color=palette.INK, linewidth=1.6, zorder=3)
    here = ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=50, zorder=4)
    ax.axhline(0, color=palette.MUTED, linewidth=0.8, zorder=1)
    ax.set(xlim=(-0.6, last + 0.6), ylim=limits, xlabel="layer")
    ax.set_title(r"$\log|\det J|$ at the probe [nats]: bars, each layer; line, their sum", fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(min(last + 1, 9), integer=True))
    ax.tick_params(labelsize=FONT)
    ax.xaxis.label.set_size(FONT)
    ax.spines[["top", "right"]].set_visible(False)
    return {"layers": bars, "sums": sums, "here": here}
