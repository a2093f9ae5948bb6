"""The 1-D explorer's picture: the graph of the map, with the base density below it and the pushed one beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from nfteach.jacobian.numbers import fixed
from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure

__all__ = ["Curves", "Map1DPicture", "Shown", "View"]

SIZE = (5.75, 5.35)  # inches: beside the controls on a laptop's screen
LEFT, GAP, ABOVE = 0.62, 0.07, 0.36  # margins, in inches
WIDTH, HEIGHT = 2.88, 3.6  # of the graph
DEPTH, BREADTH = 0.86, 1.9  # of p's axes below it, of q's axes beside it
FONT = 9  # points: the smallest that reads well at 100 % zoom
ROWS, SIDES = ("width", "× height", "= mass"), ("in z", "in x")
ALT = (
    "Three joined axes. In the middle the graph of a map x = f(z), with a probe on it and its tangent. Below it the "
    "base density p(z), beside it the density q(x) of the image. An orange strip of mass goes from p through the graph "
    "to q: where the map is steep it gets wider and lower, and its area stays."
)


class View(NamedTuple):
    """What is seen: the ends of z and of x, and how far the axes of p and q reach."""

    z: tuple[float, float]
    x: tuple[float, float]
    p: float
    q: float


class Curves(NamedTuple):
    """The map as a whole: its graph (n, 2), the curve (x, q(x)) (n, 2), and the area under that."""

    graph: np.ndarray
    density: np.ndarray
    area: float


class Shown(NamedTuple):
    """One state: the map as a whole, if it is to be drawn anew, and the strip with the probe in its middle.

    ``strip`` (n, 2) is the graph over the strip; ``base_strip`` and ``image_strip`` are the densities over it, (z, p)
    and (x, q); ``probe`` is (z, x), with ``slope``; ``masses`` are those of the strip, over z and over x.
    """

    curves: Curves | None
    strip: np.ndarray
    base_strip: np.ndarray
    image_strip: np.ndarray
    probe: tuple[float, float]
    slope: float
    masses: tuple[float, float]


class Map1DPicture:
    """The figure, and how a state of the map becomes what moves in it.

    Args:
        view: what is seen.
        base: (n, 2), the curve (z, p(z)), which stays.
    """

    def __init__(self, view: View, base: np.ndarray) -> None:
        self.view = view
        figure = Figure(figsize=SIZE)

        def axes(left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
            return figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]), **options)

        top = SIZE[1] - ABOVE
        right = LEFT + WIDTH + GAP
        graph = axes(LEFT, top - HEIGHT, WIDTH, HEIGHT, xlim=view.z, ylim=view.x)
        below = axes(LEFT, top - HEIGHT - GAP - DEPTH, WIDTH, DEPTH, xlim=view.z, ylim=(0, view.p))
        beside = axes(right, top - HEIGHT, BREADTH, HEIGHT, xlim=(0, view.q), ylim=view.x)
        self.live = LiveFigure(
            figure,
            self._graph(graph) | self._below(below, base) | self._beside(beside) | self._table(figure, right),
            alt=ALT,
        )

    @staticmethod
    def breadth_for(p: float) -> float:
        """How far q's axes reach for a height of p's, so that a unit of either density is as many inches."""
        return p * BREADTH / DEPTH

    def _graph(self, ax: Axes) -> dict[str, Any]:
        ax.set_title("the map, x = f(z)", fontsize=10, color=palette.FORWARD)
        ax.set_ylabel("x", rotation=0, labelpad=8, color=palette.DATA)
        ax.tick_params(labelsize=FONT, labelbottom=False)
        # In even steps on both axes, so that a slope can be counted off.
        ax.grid(color=palette.ZERO, linewidth=0.8)
        ax.set_axisbelow(True)
        word = {"fontsize": FONT, "color": palette.INK, "transform": ax.transAxes}
        band = {"facecolor": palette.HIGHLIGHT, "edgecolor": "none", "alpha": 0.25}
        return {
            "up": ax.add_patch(Polygon([[0, 0], [1, 0], [0, 1]], closed=True, zorder=2, **band)),
            "across": ax.add_patch(Polygon([[0, 0], [1, 0], [0, 1]], closed=True, zorder=2, **band)),
            "graph": ax.plot([], [], color=palette.FORWARD, linewidth=2.2, zorder=3)[0],
            "tangent": ax.plot([], [], "--", color=palette.INK, linewidth=1.2, zorder=4)[0],
            "probe": ax.scatter(
                [], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, linewidths=1.2, s=70, zorder=5
            ),
            "slope": ax.text(0.035, 0.965, "", va="top", **word),
            "beyond": ax.text(0.965, 0.5, "", ha="right", va="center", **word),
        }

    def _below(self, ax: Axes, base: np.ndarray) -> dict[str, Any]:
        ax.fill(*_closed(base).T, facecolor=palette.BASE, alpha=0.2, edgecolor="none", zorder=1)
        ax.plot(*base.T, color=palette.BASE, linewidth=2, zorder=3)
        ax.set_xlabel("z", color=palette.BASE, labelpad=1)
        ax.text(0.035, 0.9, "p(z)", va="top", color=palette.BASE, transform=ax.transAxes)
        ax.tick_params(labelsize=FONT)
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
        return {"base strip": _strip(ax)}

    def _beside(self, ax: Axes) -> dict[str, Any]:
        ax.set_title("the density of x", fontsize=10, color=palette.DATA)
        ax.text(0.96, 0.965, "q(x)", ha="right", va="top", color=palette.DATA, transform=ax.transAxes)
        ax.tick_params(labelleft=False)
        ax.set_xticks([])
        ax.spines[["bottom", "right", "top"]].set_visible(False)
        area = {"facecolor": palette.DATA, "alpha": 0.2, "edgecolor": "none"}
        word = {"fontsize": FONT, "color": palette.MUTED, "transform": ax.transAxes}
        return {
            "area": ax.add_patch(Polygon([[0, 0], [1, 0], [0, 1]], closed=True, zorder=1, **area)),
            "image strip": _strip(ax),
            "density": ax.plot([], [], color=palette.DATA, linewidth=2, zorder=3)[0],
            "cut": ax.text(0.96, 0.035, "", ha="right", va="bottom", **word),
        }

    def _table(self, figure: Figure, left: float) -> dict[str, Any]:
        """Width, height and mass of the strip, in z and in x: below q, beside p."""
        columns = {"": 0.72, "in z": 1.23, "in x": 1.84}

        def text(column: str, row: int, words: str = "", color: str = palette.INK) -> Any:
            place = ((left + columns[column]) / SIZE[0], (0.92 - 0.22 * row) / SIZE[1])
            return figure.text(*place, words, ha="right", va="center", fontsize=FONT, color=color)

        text("", 0, "the strip")
        text("in z", 0, "in z", palette.BASE)
        text("in x", 0, "in x", palette.DATA)
        for row, words in enumerate(ROWS):
            text("", row + 1, words)
        return {f"{words}, {column}": text(column, row + 1) for row, words in enumerate(ROWS) for column in SIDES}

    def moves(self, shown: Shown) -> dict[str, Any]:
        """What moves, for one state of the map."""
        z, x = shown.probe
        bottom, right = self.view.x[0], self.view.z[1]
        # A tangent as long as a third of the picture, whatever its slope.
        spans = self.view.z[1] - self.view.z[0], self.view.x[1] - self.view.x[0]
        half = spans[0] / 6 / np.hypot(1.0, shown.slope * spans[0] / spans[1])
        ends = np.array([-half, half])
        strip, falls = shown.strip, shown.slope < 0
        inside = self.view.x[0] <= x <= self.view.x[1]
        moves = {
            "up": np.concatenate([strip, [[strip[-1, 0], bottom], [strip[0, 0], bottom]]]),
            "across": np.concatenate([strip, [[right, strip[-1, 1]], [right, strip[0, 1]]]]),
            "base strip": _closed(shown.base_strip),
            "image strip": _closed(shown.image_strip)[:, ::-1],
            "tangent": np.stack([z + ends, x + shown.slope * ends], axis=1),
            "probe": [[z, min(max(x, bottom), self.view.x[1])]],  # at the frame's edge it can still be dragged
            "slope": {
                "text": f"slope {_number(shown.slope)}" + (f", |slope| {_number(-shown.slope)}" if falls else ""),
                "position": (0.035, 0.075 if falls else 0.965),  # in the corner that the graph leaves free
            },
            "beyond": "" if inside else f"x = {_number(x)} is outside\nof this picture",
        }
        if shown.curves is not None:
            density, peak = shown.curves.density, float(shown.curves.density[:, 1].max())
            moves |= {
                "graph": shown.curves.graph,
                "density": density[:, ::-1],
                "area": _closed(density)[:, ::-1],
                "cut": f"peak {_number(peak)}, cut off" if peak > self.view.q else "",
            }
        widths = abs(strip[-1, 0] - strip[0, 0]), abs(strip[-1, 1] - strip[0, 1])
        for side, width, mass in zip(SIDES, widths, shown.masses, strict=True):
            height = mass / width if width else float("inf")
            for words, value in zip(ROWS, (width, height, mass), strict=True):
                moves[f"{words}, {side}"] = _number(value, 3)
        return moves


def _strip(ax: Axes) -> Polygon:
    """A slice of the area under a density."""
    look = {"facecolor": palette.HIGHLIGHT, "edgecolor": palette.INK, "linewidth": 0.8, "alpha": 0.85}
    return ax.add_patch(Polygon([[0, 0], [1, 0], [0, 1]], closed=True, zorder=2, **look))


def _closed(curve: np.ndarray) -> np.ndarray:
    """The area under a curve (n, 2) as a polygon."""
    return np.concatenate([curve, [[curve[-1, 0], 0.0], [curve[0, 0], 0.0]]])


def _number(value: float, decimals: int = 2) -> str:
    return fixed(value, decimals, low=10**-decimals, high=1e4)
