"""The 2-D map explorer's picture: the plane before and after, a square and its image, the Jacobian, a magnifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from nfteach.jacobian.numbers import fixed
from nfteach.plots import palette
from nfteach.widgets.live import HeatMap, LiveFigure

__all__ = ["Local", "Map2DPicture", "Window"]

SIZE = (5.8, 5.3)  # inches: beside the controls on a laptop's screen
PLANE = 2.43  # the side of a plane, in inches
FONT = 9  # points: the smallest that reads well at 100 % zoom
RIM = {"colors": "white", "linewidths": 3.6, "capstyle": "butt"}
ALT = (
    "Left the plane of z with a grid and a small square at a probe, right where the map takes them: the curved image "
    "of the square, and the parallelogram that the columns of the Jacobian span. Below, the Jacobian as a heat map in "
    "numbers, its determinant beside the ratio of the areas, and the image magnified."
)
SQUARE = {"facecolor": palette.HIGHLIGHT, "edgecolor": palette.INK, "linewidth": 1, "alpha": 0.85, "zorder": 4}
TRIANGLE = [[0, 0], [1, 0], [0, 1]]


class Window(NamedTuple):
    """The square of the plane that is shown: its middle and half its side."""

    middle: tuple[float, float]
    half: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top)."""
        (x, y), half = self.middle, self.half
        return (x - half, x + half, y - half, y + half)


class Local(NamedTuple):
    """What happens near the probe.

    ``z`` (2,) and its image ``x`` (2,); the square's ``side``; ``outline`` (n, 2), the curved image of its edges;
    ``J`` (2, 2) with ``det``, and ``ratio``, the image's area by that of the square; ``factors``, of two maps one after
    the other, their Jacobians (J_2, J_1), else none; ``words``, what the map is, in lines.
    """

    z: np.ndarray
    x: np.ndarray
    side: float
    outline: np.ndarray
    J: np.ndarray
    det: float
    ratio: float
    factors: Sequence[np.ndarray]
    words: str


class Map2DPicture:
    """The figure, and how numbers become what moves in it.

    Args:
        before, after: what is shown of the planes of z and of x.
        samples: (n, 2), of the base.
        grid: (lines, points, 2), of the plane of z.
        density: (rows, columns), of the base, from the bottom.
        top: the density at the top of the colour scale.
    """

    def __init__(
        self,
        before: Window,
        after: Window,
        samples: np.ndarray,
        grid: np.ndarray,
        density: np.ndarray,
        top: float,
    ) -> None:
        self.after = after
        figure = Figure(figsize=SIZE)

        def axes(left: float, bottom: float, side: float) -> Axes:
            return figure.add_axes((left / SIZE[0], bottom / SIZE[1], side / SIZE[0], side / SIZE[1]))

        moving = _plane(axes(0.38, 2.5, PLANE), before, "before: z", palette.BASE, top)
        moving |= {f"x {name}": one for name, one in _plane(
            axes(3.25, 2.5, PLANE), after, "after: x = f(z)", palette.DATA, top, mapped=True
        ).items()}  # fmt: skip
        moving["samples"].set_offsets(samples)
        moving["grid"].set_segments(list(grid))
        moving["density"].set_data(density)
        moving |= self._matrices(figure, axes) | _magnifier(axes(4.33, 0.36, 1.35))
        self.live = LiveFigure(figure, moving, alt=ALT)

    def _matrices(self, figure: Figure, axes: Any) -> dict[str, Any]:
        """J, and of two maps the product that it is; captions; in words, what the map is."""
        moving: dict[str, Any] = {}
        word = {"fontsize": FONT, "color": palette.INK}

        def text(left: float, bottom: float, words: str = "", **look: Any) -> Any:
            return figure.text(left / SIZE[0], bottom / SIZE[1], words, **(word | look))

        text(0.3, 1.42, "J =", va="center", fontsize=10)
        for column, words in enumerate(("J e₁", "J e₂")):
            text(0.84 + 0.44 * column, 1.92, words, ha="center")
        for name, left in (("J", 0.62), ("J2", 1.74), ("J1", 2.86)):
            ax = axes(left, 0.98, 0.88)
            moving[name] = HeatMap(ax, np.eye(2), cmap=palette.SIGNED, limits=(-2, 2), fontsize=FONT)
            ax.set_axis_off()
            moving[f"{name} det"] = text(left + 0.44, 0.85, ha="center", va="center")
        for name, left, words in (("J2 head", 2.18, "J₂, at f₁(z)"), ("J1 head", 3.3, "J₁, at z")):
            moving[name] = text(left, 1.92, words, ha="center")
        for name, left, sign in (("equals", 1.62, "="), ("times", 2.74, "·")):
            moving[name] = text(left, 1.42, sign, ha="center", va="center", fontsize=12)
        moving["areas"] = text(1.72, 1.95, va="top")
        moving["words"] = text(0.3, 0.66, va="top")
        text(0.3, 0.1, "Orange: where the square goes. Dashed: where J takes it.", color=palette.MUTED)
        return moving

    def moves(self, local: Local) -> dict[str, Any]:
        """What moves with the probe: all but samples, grid and density."""
        square = local.side * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        image, spanned = local.outline - local.x, square @ local.J.T
        moves = {"probe": local.z[None], "square": local.z + square} | _arrows(
            "arrows", local.z, local.side * np.eye(2)
        )
        inside = np.abs(local.x - self.after.middle).max() <= self.after.half
        moves["x probe"] = {
            "points": local.x[None],
            "visible": bool(inside),
        }  # where it can't be seen, nor can it be dragged
        moves |= {"x square": local.outline, "x spanned": _closed(local.x + spanned)}
        moves |= _arrows("x arrows", local.x, local.side * local.J)
        # Everything of it is in the middle and as large as it can be.
        parts = [_closed(square), image, _closed(spanned)]
        low, high = (extreme(np.concatenate(parts), axis=0) for extreme in (np.min, np.max))
        scale = 1.55 / max(*(high - low), 1e-30)
        corner = -scale * (low + high) / 2
        names = ("near before", "near square", "near spanned")
        moves |= {name: corner + scale * part for name, part in zip(names, parts, strict=True)}
        columns = scale * local.side * local.J
        moves |= {"near probe": corner[None]} | _arrows("near arrows", corner, columns)
        for name, column in zip(("near e1", "near e2"), columns.T, strict=True):
            # Beyond the tip, along the arrow.
            moves[name] = {"position": corner + column * (1 + 0.2 / max(float(np.hypot(*column)), 0.05))}
        return moves | self._numbers(local)

    def _numbers(self, local: Local) -> dict[str, Any]:
        (a, b), (c, d) = ([_factor(value) for value in row] for row in local.J)
        two = len(local.factors) == 2
        moves = {
            "J": local.J,
            "J det": {"text": f"det {fixed(local.det)}", "visible": two},
            "words": local.words,
            "areas": {"visible": not two},
        }
        if not two:
            minus = "\n− " if len(a + b + c + d) > 22 else " − "
            turned = "\nturned over: clockwise from e₁ to e₂" if local.det < 0 else ""
            moves["areas"]["text"] = (
                f"det J = {a}·{d}{minus}{b}·{c}\n= {fixed(local.det)}{turned}\n\n"
                f"area of image : area of square\n= {fixed(local.ratio)}, and nears |det J|\nas the square gets small"
            )
        for name in ("J2", "J1", "J2 head", "J1 head", "J2 det", "J1 det", "equals", "times"):
            moves[name] = {"visible": two}
        if two:
            for name, matrix in zip(("J2", "J1"), local.factors, strict=True):
                moves[name]["values"] = matrix
                moves[f"{name} det"]["text"] = f"det {fixed(np.linalg.det(matrix))}"
        return moves

    def look(self, show: str) -> dict[str, Any]:
        """What lies behind the squares: "grid", "samples" or "density"."""
        moves: dict[str, Any] = {}
        dark = show == "density"
        for side, color in (("", palette.MUTED), ("x ", palette.FORWARD)):
            moves[f"{side}grid"] = {"color": "white" if dark else color, "alpha": 0.35 if dark else 0.75}
            moves[f"{side}samples"] = {"visible": show == "samples"}
            moves[f"{side}density"] = {"visible": dark}
        return moves


def _plane(ax: Axes, window: Window, title: str, color: str, top: float, *, mapped: bool = False) -> dict[str, Any]:
    """A plane with samples, grid, density and a square in it."""
    left, right, bottom, upper = window.extent
    ax.set(xlim=(left, right), ylim=(bottom, upper))
    ax.set_title(title, fontsize=10, color=color)
    ax.locator_params(nbins=5)
    ax.tick_params(labelsize=FONT)
    moving = {
        "density": ax.imshow(
            np.zeros((2, 2)), cmap=palette.DENSITY, vmin=0, vmax=top, extent=window.extent, origin="lower", zorder=1
        ),
        "samples": ax.scatter([], [], s=5, color=color, alpha=0.45, linewidths=0, zorder=2),
        "grid": ax.add_collection(LineCollection([], linewidths=0.8, zorder=2.2)),
        "square": ax.add_patch(Polygon(TRIANGLE, **SQUARE)),
    }
    if mapped:
        moving["spanned"] = ax.plot([], [], "--", color=palette.INK, linewidth=1.3, zorder=5)[0]
    moving |= _two_arrows(ax, 0.009)
    dot = {"facecolors": palette.HIGHLIGHT if mapped else "white", "edgecolors": palette.INK, "linewidths": 1.5}
    return moving | {"probe": ax.scatter([], [], s=50, zorder=8, **dot)}


def _magnifier(ax: Axes) -> dict[str, Any]:
    """The square before and after, and the parallelogram, as large as they can be."""
    ax.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=[], yticks=[])
    ax.set_title("magnified", fontsize=FONT)
    word = {"fontsize": FONT, "color": palette.INK, "ha": "center", "va": "center", "zorder": 9, "clip_on": False}
    dot = {"facecolors": palette.HIGHLIGHT, "edgecolors": palette.INK, "linewidths": 1.5}
    return {
        "near before": ax.plot([], [], color=palette.MUTED, linewidth=1, zorder=1)[0],
        "near square": ax.add_patch(Polygon(TRIANGLE, **SQUARE)),
        "near spanned": ax.plot([], [], "--", color=palette.INK, linewidth=1.3, zorder=5)[0],
        **{f"near {name}": one for name, one in _two_arrows(ax, 0.017).items()},
        "near probe": ax.scatter([], [], s=40, zorder=8, **dot),
        "near e1": ax.text(0, 0, "J e₁", **word),
        "near e2": ax.text(0, 0, "J e₂", **word),
    }


def _two_arrows(ax: Axes, width: float) -> dict[str, Any]:
    """Two arrows, the first dark and the second grey, with white rims, so that they are seen on any ground."""
    zeros = np.zeros(2)
    look = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "width", "width": width}
    head = {"headwidth": 4.5, "headlength": 5, "headaxislength": 4.5}
    return {
        "arrows rim": ax.add_collection(LineCollection([], zorder=6, **RIM)),
        "arrows": ax.quiver(
            zeros, zeros, zeros + 1, zeros, color=[palette.INK, palette.MUTED], zorder=7, **look, **head
        ),
    }


def _arrows(name: str, tail: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Both arrows start at ``tail`` (2,) and go along the columns (2, 2); their rims too."""
    tails = np.stack([tail, tail])
    rims = np.stack([tails, tails + 0.9 * columns.T], axis=1)
    return {name: np.concatenate([tails, columns.T], axis=1), f"{name} rim": rims}


def _closed(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners, corners[:1]])


def _factor(value: float) -> str:
    """A number in a product: in brackets where it has a sign."""
    text = fixed(value)
    return f"({text})" if text.startswith("\N{MINUS SIGN}") else text
