"""The layer stepper's picture: samples, grid and density after a layer, two Jacobians, the sum of the log-dets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator

from nfteach.plots import palette
from nfteach.widgets.layers.matrices import marked, matrix_in
from nfteach.widgets.layers.passage import Passage
from nfteach.widgets.layers.planes import (
    BACK,
    FONT,
    FRONT,
    MIDDLE,
    Extent,
    axes_at,
    centres,
    density_in,
    excuse_in,
    grid_in,
    plane_at,
    quiet,
    shown_density,
    wrapped,
)
from nfteach.widgets.live import LiveFigure

__all__ = ["Gap", "LayersPicture", "View"]

WIDTH = 8.8  # inches
SQUARE = 0.4  # side of the small square at the probe, before the first layer
SHOWN_DATA = 2000
# Few colours: the browser paints one marker for each. Yellow is left out, it is too pale on white.
ORIGIN = colormaps["viridis"].resampled(16)
ALT = (
    "Above, three views of the plane after a layer: samples coloured by where they began, the warped grid with a small "
    "square that has become a parallelogram, and the density. Below, the Jacobian of the layer, the product of the "
    "Jacobians so far, and a chart of the layers' log-determinants and their running sum."
)
GAP_ALT = " Beside it, the gap of the ELBO to the target after each layer."


class Gap(NamedTuple):
    """How far each q_k is from the target: means over samples of q_k, in nats."""

    mean: np.ndarray  # (K + 1,)
    error: np.ndarray  # (K + 1,), their standard errors
    whole: bool  # whether log Z is in it: KL(q_k||p); else the free energy
    contours: np.ndarray | None  # (rows, columns), the target's density on the view, or None


class View(NamedTuple):
    """What the planes show in every frame: two dimensions of all."""

    points: np.ndarray  # (K + 1, N, 2), the samples
    grid: np.ndarray  # (K + 1, lines, points, 2)
    densities: np.ndarray  # (K + 1, rows, columns)
    excuses: list[str]  # why a frame has no density, or ""


class LayersPicture:
    """The figure of the layer stepper, and how numbers become its frames.

    Args:
        begin: (N,), the first coordinate of the samples before the first layer: their colour.
        dim: D.
        last: K.
        extent: (left, right, bottom, top) that is shown.
        data: (N, 2), drawn behind the samples; or None. In more dimensions it moves, under the name "data".
        ladj_range: the limits of the log-determinants in the chart.
        gap: to the target, if there is one.
    """

    def __init__(
        self,
        begin: np.ndarray,
        dim: int,
        last: int,
        extent: Extent,
        data: np.ndarray | None,
        ladj_range: tuple[float, float],
        gap: Gap | None,
    ) -> None:
        self.extent, self.dim, self.last, self.gap = extent, dim, last, gap
        # Two numbers by two need little room.
        side, lower = (1.4, 5.35) if dim == 2 else (2.2, 6.15)
        figure = Figure(figsize=(WIDTH, lower), facecolor="white")
        titles = ("samples, coloured by $z_1$", "grid, and a small square", "density (colour: its root)")
        if data is not None:
            titles = (titles[0] + "; data in grey", *titles[1:])
        if dim > 2:
            titles = (
                titles[0].replace("coloured by", "by"),
                "grid through the probe",
                "density, slice through the probe",
            )
        above = lower - 2.85
        planes = [plane_at(figure, 0.47 + 2.9 * k, above + 0.05, 2.45, extent, title) for k, title in enumerate(titles)]
        moving = self._samples(planes[0], begin, data) | _grid(planes[1])
        moving |= density_in(planes[2], extent) | {"excuse": excuse_in(planes[2])}
        moving["probe_in_density"] = _probe(planes[2])
        for name, left, title in (("J", 0.42, "$J$ of this layer"), ("product", 0.77 + side, "$J$ of all so far")):
            moving[name] = matrix_in(axes_at(figure, left, 0.45, side, side), dim, title)
        figure.text(0.42 / WIDTH, 0.2 / lower, "J at the orange dot; by construction: grey 0, yellow 1", fontsize=FONT)
        left = 2 * side + 1.55
        where, title_size = (left, 0.55, WIDTH - 0.2 - left, side - 0.1), 10 if dim == 2 else FONT
        if gap is not None:
            # Beside each other where the matrices are small, else one above the other.
            (x, y, width, height), title_size = where, FONT
            half = (width - 0.6) / 2 if dim == 2 else (height - 0.65) / 2
            beside = (x + half + 0.6, y, half, height) if dim == 2 else (x, y, width, half)
            where = (x, y, half, height) if dim == 2 else (x, y + half + 0.65, width, half)
            moving |= _gap_chart(axes_at(figure, *beside), gap)
        moving |= _chart(axes_at(figure, *where), last, ladj_range, title_size)
        self.live = LiveFigure(figure, moving, frame_label="layer", alt=ALT + (GAP_ALT if gap is not None else ""))

    def pixels(self, resolution: int) -> np.ndarray:
        """The centres of the density's cells, (resolution, resolution, 2), the lowest row first."""
        return centres(self.extent, resolution)

    def frames(self, way: Passage, view: View, structure: tuple[np.ndarray, np.ndarray], axes: list[int]) -> list[Any]:
        """The K + 1 frames, for a probe on its way.

        Args:
            structure: what is 0 or 1 by construction, of each layer and of each product, (K + 1, D, D) each.
            axes: the two dimensions that the planes show.
        """
        corners = SQUARE * np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        x, J, product, ladj, running = (part.numpy() for part in way)
        sums = np.stack([np.arange(self.last + 1), running], axis=1)
        bars = np.zeros((self.last, 2, 2))
        bars[:, :, 0] = np.arange(1, self.last + 1)[:, None]
        bars[:, 1, 1] = ladj[1:]
        of_layer, of_all = marked(J, structure[0]), marked(product, structure[1])
        frames = []
        for k in range(self.last + 1):
            at, density, excuse = x[k, axes][None], view.densities[k], view.excuses[k]
            frame = {
                "samples": view.points[k],
                "grid": view.grid[k],
                "density": {**shown_density(density, "root"), "visible": not excuse},
                "excuse": wrapped(f"no density: {excuse}") if excuse else "",
                "highest": "" if excuse else f"highest: {density.max():.2g}",
                "square": at + corners @ product[k][np.ix_(axes, axes)].T,
                "probe": at,
                "probe_in_grid": at,
                "probe_in_density": {"points": at, "visible": not excuse},
                "J": of_layer[k],
                "product": of_all[k],
                "layers": bars,
                "lit": bars[k - 1] if k else np.zeros((0, 2)),
                "sums": sums,
                "here": sums[k][None],
            }
            if self.gap is not None:
                frame["gap here"] = {"points": np.zeros((1, 2)), "visible": False}
                if np.isfinite(self.gap.mean[k]):
                    frame["gap here"] = {"points": np.array([[k, self.gap.mean[k]]]), "visible": True}
            frames.append(frame)
        return frames

    def _samples(self, ax: Axes, begin: np.ndarray, data: np.ndarray | None) -> dict[str, Any]:
        moving = {}
        if self.gap is not None and self.gap.contours is not None:
            x, y = np.moveaxis(centres(self.extent, len(self.gap.contours)), -1, 0)
            levels = self.gap.contours.max() * np.array([0.05, 0.3, 0.7])
            ax.contour(x, y, self.gap.contours, levels=levels, colors=palette.MUTED, linewidths=1, zorder=1)
            ax.set_title("samples by $z_1$; the target in grey", fontsize=10)
        if data is not None:
            dots = {"s": 4, "color": palette.MUTED, "alpha": 0.25, "linewidths": 0, "zorder": 1.5}
            behind = ax.scatter(*data[:SHOWN_DATA].T, **dots)
            if self.dim > 2:
                moving["data"] = behind
        places = np.zeros((len(begin), 2))
        style = {"c": begin, "cmap": ORIGIN, "vmin": -2, "vmax": 2.3, "s": 7, "linewidths": 0, "zorder": BACK}
        return moving | {"samples": ax.scatter(*places.T, **style), "probe": _probe(ax)}


def _probe(ax: Axes) -> Any:
    return ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=50, zorder=FRONT)


def _grid(ax: Axes) -> dict[str, Any]:
    look = {"facecolor": palette.HIGHLIGHT, "edgecolor": palette.INK, "linewidth": 1.2, "zorder": MIDDLE}
    square = ax.add_patch(Polygon(np.zeros((4, 2)), **look))
    return grid_in(ax) | {"square": square, "probe_in_grid": ax.scatter([], [], color=palette.INK, s=8, zorder=FRONT)}


def _chart(ax: Axes, last: int, limits: tuple[float, float], title_size: int) -> dict[str, Any]:
    ax.set(xlim=(-0.6, last + 0.6), ylim=limits)
    if ax.get_position().y0 < 0.2:
        ax.set_xlabel("layer")
    words = r"$\log|\det\,J|$ at the probe [nats]"
    ax.set_title(words + ": bars, each layer; line, their sum" if title_size > FONT else words, fontsize=title_size)
    ax.axhline(0, color=palette.MUTED, linewidth=0.8, zorder=1)
    _count(ax, last)
    # Thick lines in the place of bars: they move faster.
    thick = 0.72 * ax.get_window_extent().width * 72 / ax.figure.dpi / (last + 1.2)
    bars = LineCollection(np.zeros((1, 2, 2)), colors="#BBBBBB", linewidths=thick, capstyle="butt", zorder=BACK - 0.2)
    lit = {"color": palette.HIGHLIGHT, "linewidth": thick, "solid_capstyle": "butt", "zorder": BACK - 0.1}
    return {
        "layers": ax.add_collection(bars, autolim=False),
        "lit": ax.plot([], [], **lit)[0],
        "sums": ax.plot([], [], color=palette.INK, linewidth=1.6, zorder=MIDDLE)[0],
        "here": ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=50, zorder=FRONT),
    }


def _gap_chart(ax: Axes, gap: Gap) -> dict[str, Any]:
    """The gap after each layer, which stays, and a point at the present one."""
    steps, finite = np.arange(len(gap.mean)), np.isfinite(gap.mean)
    ax.plot(steps[finite], gap.mean[finite], ".-", color=palette.INK, linewidth=1.6, zorder=1.5)
    ax.set(xlim=(-0.6, len(steps) - 0.4), xlabel="layer")
    ax.margins(y=0.15)
    if gap.whole:
        ax.fill_between(steps[finite], 0, gap.mean[finite], color=palette.HIGHLIGHT, alpha=0.22, linewidth=0, zorder=1)
        ax.axhline(0, color=palette.BASE, linestyle="--", linewidth=1.4, zorder=1.4)
    ax.set_title("ELBO gap, KL(q‖p) [nats]" if gap.whole else "free energy of q [nats]", fontsize=FONT)
    _count(ax, len(steps) - 1)
    return {"gap here": ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=50, zorder=FRONT)}


def _count(ax: Axes, last: int) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(min(last + 2, 9), integer=True))
    quiet(ax)
