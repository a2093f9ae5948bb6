"""The picture of a replay: three views of the plane above, a curve over the steps below with a point at the present."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nfteach.plots import palette
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
    wrapped,
)
from nfteach.widgets.live import LiveFigure

__all__ = ["ReplayPicture"]

SIZE = (8.8, 5.3)  # inches
SHOWN_DATA = 1500


class ReplayPicture:
    """The figure of a replay, built view by view, and then brought to life by :meth:`finish`.

    Args:
        extent: (left, right, bottom, top) of the three views.
        titles: of the three.

    Attributes:
        chart: the axes below, for a curve over training steps.
    """

    def __init__(self, extent: Extent, titles: tuple[str, str, str]) -> None:
        self.extent = extent
        self.figure = Figure(figsize=SIZE, facecolor="white")
        self.planes = [plane_at(self.figure, 0.47 + 2.9 * k, 2.5, 2.45, extent, t) for k, t in enumerate(titles)]
        self.chart = axes_at(self.figure, 0.75, 0.5, 7.7, 1.35)
        self._moving: dict[str, Any] = {}

    def density(self, view: int, name: str = "density") -> None:
        """A density that moves."""
        parts = density_in(self.planes[view], self.extent)
        self._moving |= {name: parts["density"], f"{name} highest": parts["highest"]}
        self._moving[f"{name} excuse"] = excuse_in(self.planes[view])

    def samples(self, view: int, *, behind: np.ndarray | None = None, contours: np.ndarray | None = None) -> None:
        """Samples that move, over points ``behind`` (N, 2) or the contours of a density (rows, columns) that stay."""
        ax = self.planes[view]
        if behind is not None:
            ax.scatter(*behind[:SHOWN_DATA].T, s=5, color=palette.DATA, alpha=0.45, linewidths=0, zorder=1)
        if contours is not None and contours.max() > 0:
            x, y = np.moveaxis(centres(self.extent, len(contours)), -1, 0)
            levels = contours.max() * np.array([0.05, 0.3, 0.7])
            ax.contour(x, y, contours, levels=levels, colors=palette.MUTED, linewidths=1, zorder=1)
        dots = {"s": 5, "color": palette.FORWARD, "alpha": 0.7, "linewidths": 0, "zorder": BACK}
        self._moving |= {"samples": ax.scatter([], [], **dots), "samples excuse": excuse_in(ax)}

    def grid(self, view: int) -> None:
        """A grid that is warped."""
        self._moving |= grid_in(self.planes[view]) | {"grid excuse": excuse_in(self.planes[view])}

    def point(self, color: str) -> None:
        """The moving point of the chart, and its line; call it when the curves are drawn, which get their legend."""
        quiet(self.chart)
        self.chart.set_xlabel("training steps", fontsize=FONT)
        handles, labels = self.chart.get_legend_handles_labels()
        beside = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": len(labels), "borderaxespad": 0.2}
        self.chart.legend(handles, labels, frameon=False, fontsize=FONT, **beside)
        line = {"color": color, "linewidth": 2.2, "zorder": MIDDLE}
        dot = {"color": color, "edgecolors": palette.INK, "s": 50, "zorder": FRONT, "clip_on": False}
        self._moving |= {"now": self.chart.plot([], [], **line)[0], "here": self.chart.scatter([], [], **dot)}

    def word(self, name: str, ax: Axes, x: float, y: float, **look: Any) -> None:
        """A text that moves, placed in fractions of the axes."""
        style = {"fontsize": FONT, "color": palette.INK, "transform": ax.transAxes, "zorder": FRONT}
        self._moving[name] = ax.text(x, y, "", **(style | look))

    def finish(self, alt: str) -> LiveFigure:
        """The live figure, one frame for each snapshot."""
        return LiveFigure(self.figure, self._moving, frame_label="snapshot", alt=alt)

    @staticmethod
    def shown(name: str, value: Any, excuse: str) -> dict[str, Any]:
        """What is seen in a view: what belongs there, or, where that is None, the reason."""
        words = "" if value is not None else wrapped(excuse)
        if value is None:
            return {name: {"visible": False}, f"{name} excuse": words}
        parts = value if isinstance(value, dict) else {_MAIN[name]: value}
        return {name: parts | {"visible": True}, f"{name} excuse": words}

    def at(self, x: float, y: float | None, foot: float | None = None) -> dict[str, Any]:
        """The chart's point at (x, y), kept within the axes, on its line from ``foot``, by default the lower end."""
        if y is None or not np.isfinite(y):
            return {"here": {"visible": False}, "now": np.zeros((0, 2))}
        low, high = self.chart.get_ylim()
        y, foot = (float(np.clip(value, low, high)) for value in (y, low if foot is None else foot))
        return {
            "here": {"points": np.array([[x, y]]), "visible": True},
            "now": np.array([[x, foot], [x, y]]),
        }


_MAIN = {"samples": "points", "grid": "segments"}
