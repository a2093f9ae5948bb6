"""The coupling explorer's picture: the Jacobian with its labels, and the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from nfteach.jacobian.numbers import cell, coordinate
from nfteach.plots import grid_lines, palette
from nfteach.widgets.live import LiveFigure

__all__ = ["CouplingPicture", "Shown"]

BLOCKS = ("I", "0", "\u2202y_B/\u2202x_A", "diag exp(s)")
BLOCKS_BACK = ("I", "0", "\u2202x_B/\u2202y_A", "diag exp(\u2212s)")
NOTES = (": passes on", ": never moves", ": not in det J", ": all of det J")
LEFT, RIGHT, ABOVE, BELOW = -0.03, 1.02, -0.085, 1.06  # where labels stand; J is the unit square
SIZE = (7.3, 4.5)  # inches: beside the controls on a laptop's screen
FONT = 9  # points: the smallest that reads well at 100 % zoom
ALT = (
    "Left, the Jacobian of a coupling layer as a heat map: an identity block and a zero block above, below them a full "
    "block, dy_B/dx_A, and a diagonal block, exp(s). Right, what the layer does to a plane."
)


class Shown(NamedTuple):
    """What the left side shows: J (D, D) at ``start``, which the map takes to ``end`` and its inverse to ``again``.

    ``mask`` (D,) is True where a dimension passes, ``order`` that of rows and columns, ``column`` and ``row`` the lit
    input and output (row None: none is lit), ``inverse`` whether the map is the layer's inverse.
    """

    J: np.ndarray
    mask: np.ndarray
    order: Sequence[int]
    column: int
    row: int | None
    start: np.ndarray
    end: np.ndarray
    again: np.ndarray
    inverse: bool

    def sorted(self) -> Shown:
        """The same with everything already in its order."""
        order = np.asarray(self.order)
        where = {int(dim): place for place, dim in enumerate(order)}
        return self._replace(
            J=self.J[np.ix_(order, order)],
            mask=self.mask[order],
            column=where[self.column],
            row=None if self.row is None else where[self.row],
            start=self.start[order],
            end=self.end[order],
            again=self.again[order],
        )

    @property
    def ones(self) -> np.ndarray:
        """(D, D) the identity block's ones."""
        return np.diag(self.mask) & (self.J == 1)

    @property
    def zeros(self) -> np.ndarray:
        """(D, D) the entries that are zero by construction."""
        return (self.mask[:, None] | ~self.mask[None, :]) & ~np.eye(len(self.J), dtype=bool) & (self.J == 0)

    @property
    def colors(self) -> np.ndarray:
        """(D, D, 3) the cells' colours, saturating slowly, so that they mean the same at every moment."""
        colors = colormaps[palette.SIGNED](0.5 + 0.5 * self.J / (1 + np.abs(self.J)))[..., :3]
        colors[self.ones], colors[self.zeros] = to_rgb(palette.ONE), to_rgb(palette.ZERO)
        return colors

    @property
    def letters(self) -> tuple[str, str]:
        """What input and output are called."""
        return ("y", "x") if self.inverse else ("x", "y")


class CouplingPicture:
    """The figure of the coupling explorer, and how numbers become what moves in it.

    Args:
        largest: the largest D that is shown.
        numbers_up_to: the largest D for which entries and labels are written out.
        box: the plane goes from -box to box.
    """

    def __init__(self, largest: int, numbers_up_to: int, box: float) -> None:
        self.slots = largest if largest <= numbers_up_to else 0
        self.box, reach = box, 0.65 * box
        self.columns, self.rows = (box * ((2 * np.arange(n) + 1) / n - 1) for n in (160, 100))
        self.points = {
            "grid": grid_lines(None, (-reach, reach, -reach, reach), 13, 121).astype(float),
            "samples": np.random.default_rng(0).normal(size=(1200, 2)),
        }
        figure, ratio = Figure(figsize=SIZE), SIZE[0] / SIZE[1]
        # Squares, placed by hand: their labels move, which no layout engine knows of.
        moving = self._matrix(figure.add_axes((0.1, 0.235, 0.385, 0.385 * ratio)))
        moving |= self._plane(figure.add_axes((0.64, 0.265, 0.345, 0.345 * ratio)), reach)
        self._texts = {name: artist for name, artist in moving.items() if isinstance(artist, Text)}
        self.live = LiveFigure(figure, moving, alt=ALT)

    def _matrix(self, ax: Axes) -> dict[str, Any]:
        """J fills the unit square, whatever D is: its cells grow and shrink."""
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
        word = {"fontsize": FONT, "color": palette.INK, "ha": "center", "va": "center"}
        lit = {"fill": False, "edgecolor": palette.HIGHLIGHT, "zorder": 5, "clip_on": False}
        moving = {
            "J": ax.imshow(np.ones((2, 2, 3)), extent=(0, 1, 1, 0), interpolation="nearest", aspect="auto"),
            "zeros": ax.scatter([], [], s=6, color=palette.MUTED, linewidths=0, zorder=2),
            "frames": ax.add_collection(LineCollection([], colors=palette.FORWARD, linewidths=2.2, zorder=3)),
            "dividers": ax.add_collection(LineCollection([], colors=palette.INK, linewidths=1.8, zorder=4)),
            "column": ax.add_patch(Rectangle((0, 0), 1, 1, linewidth=3, **lit)),
            "row": ax.add_patch(Rectangle((0, 0), 1, 1, linewidth=1.5, **lit)),
            "input": ax.text(LEFT, ABOVE, "", **(word | {"ha": "right"})),
            "output": ax.text(RIGHT, ABOVE, "", **(word | {"ha": "left"})),
            "again": ax.text(LEFT, BELOW, "", **(word | {"ha": "right"})),
        }
        for k in range(self.slots):
            moving[f"input {k}"] = ax.text(0, ABOVE, "", **word)
            moving[f"again {k}"] = ax.text(0, BELOW, "", **word)
            moving[f"output {k}"] = ax.text(RIGHT, 0, "", **(word | {"ha": "left"}))
            moving[f"mask {k}"] = ax.text(LEFT, 0, "", **(word | {"ha": "right"}))
        for k in range(self.slots**2):
            moving[f"entry {k}"] = ax.text(0, 0, "", zorder=6, **word)
        ax.text(-0.2, 0.5, "mask: True passes", rotation=90, **(word | {"color": palette.MUTED}))
        return moving | self._key(ax)

    def _key(self, ax: Axes) -> dict[str, Any]:
        """The four blocks by name and colour, in their places in equation 6."""
        word = {"fontsize": FONT, "color": palette.INK, "va": "center", "ha": "left"}
        signed = colormaps[palette.SIGNED]
        texts = {}
        for k, (left, low) in enumerate([(-0.2, 1.19), (0.57, 1.19), (-0.2, 1.29), (0.57, 1.29)]):
            face = (palette.ONE, palette.ZERO, "none", "white")[k]
            edge = palette.FORWARD if k == 3 else "none"
            box = {"linewidth": 2, "edgecolor": edge, "clip_on": False}
            ax.add_patch(Rectangle((left, low - 0.03), 0.06, 0.06, facecolor=face, **box))
            if k == 1:
                ax.plot(left + 0.03, low, ".", color=palette.MUTED, markersize=4, clip_on=False)
            if k == 2:
                for part, value in enumerate((0.2, 0.8)):
                    ax.add_patch(Rectangle((left + 0.03 * part, low - 0.03), 0.03, 0.06, fc=signed(value), **box))
            texts[f"name {k}"] = ax.text(left + 0.085, low, "", **word)
        return texts

    def _plane(self, ax: Axes, reach: float) -> dict[str, Any]:
        ax.set(xlim=(-self.box, self.box), ylim=(-self.box, self.box))
        ax.set_xticks(range(-4, 5, 2))
        ax.set_yticks(range(-4, 5, 2))
        ax.tick_params(labelsize=FONT)
        extent = (-self.box, self.box, -self.box, self.box)
        behind = grid_lines(None, (-reach, reach, -reach, reach), 13, 2)
        ax.add_collection(LineCollection(behind, colors=palette.MUTED, linewidths=0.5, alpha=0.45, zorder=1))
        dot = {"linewidths": 1.2, "edgecolors": "white", "zorder": 8}
        word = {"fontsize": FONT, "color": palette.INK, "ha": "center", "va": "center", "transform": ax.transAxes}
        ax.scatter([0.06], [-0.29], s=45, color=palette.BASE, transform=ax.transAxes, clip_on=False)
        ax.scatter([0.52], [-0.29], s=45, color=palette.HIGHLIGHT, transform=ax.transAxes, clip_on=False)
        return {
            # Twice the peak of a standard normal is at the top of the scale: the same at every moment.
            "density": ax.imshow(
                np.zeros((2, 2)), cmap=palette.DENSITY, vmin=0, vmax=1 / np.pi, extent=extent, origin="lower", zorder=2
            ),
            "grid": ax.add_collection(LineCollection([], linewidths=0.9, zorder=3)),
            "samples": ax.scatter([], [], s=5, color=palette.DATA, alpha=0.55, linewidths=0, zorder=4),
            "path": ax.plot([], [], color=palette.HIGHLIGHT, linewidth=2, zorder=7)[0],
            "from": ax.scatter([], [], s=60, color=palette.BASE, **dot),
            "to": ax.scatter([], [], s=60, color=palette.HIGHLIGHT, **dot),
            "across": ax.text(0.5, -0.15, "", **word),
            "up": ax.text(-0.15, 0.5, "", rotation=90, **word),
            "plane": ax.text(0.5, 1.05, "", **word),
            "from word": ax.text(0.1, -0.29, "", **(word | {"ha": "left"})),
            "to word": ax.text(0.56, -0.29, "", **(word | {"ha": "left"})),
        }

    def jacobian(self, shown: Shown) -> dict[str, Any]:
        """What moves on the left."""
        shown = shown.sorted()
        D, passes = len(shown.J), shown.mask
        edge, middle = np.arange(D + 1) / D, (np.arange(D) + 0.5) / D
        changes = 1 + np.flatnonzero(passes[1:] != passes[:-1])
        a, b = shown.letters
        names = BLOCKS_BACK if shown.inverse else BLOCKS
        moves = {
            "J": shown.colors,
            "zeros": middle[np.argwhere(shown.zeros)[:, ::-1]],
            "frames": [_square(middle[k], 0.5 / D - 0.008) for k in np.flatnonzero(~passes)],
            "dividers": [np.array(line) for at in edge[changes] for line in (((0, at), (1, at)), ((at, 0), (at, 1)))],
            "column": (edge[shown.column], 0, 1 / D, 1),
            "row": {"visible": shown.row is not None},
            "input": f"input {a}",
            "output": f"output {b}",
            "again": {"text": "f(x)" if shown.inverse else "f\u207b\u00b9(y)", "color": self._way_back(shown)},
        }
        if shown.row is not None:
            moves["row"]["box"] = (0, edge[shown.row], 1, 1 / D)
        moves |= {f"name {k}": name + note for k, (name, note) in enumerate(zip(names, NOTES, strict=True))}
        return moves | self._labels(shown, middle) | self._entries(shown, middle)

    def _labels(self, shown: Shown, middle: np.ndarray) -> dict[str, Any]:
        """Input, output, input again and mask, in the first D of their slots; the others are hidden."""
        moves = {}
        for k in range(self.slots):
            if k >= len(middle):
                moves |= {f"{part} {k}": {"visible": False} for part in ("input", "again", "output", "mask")}
                continue
            at = middle[k]
            head, side = (coordinate(letter, shown.order[k]) for letter in shown.letters)
            moves |= {
                f"input {k}": {"text": f"{head}\n{cell(shown.start[k])}", "position": (at, ABOVE)},
                f"output {k}": {"text": f"{side}\n{cell(shown.end[k])}", "position": (RIGHT, at)},
                f"again {k}": {"text": cell(shown.again[k]), "position": (at, BELOW)},
                f"mask {k}": {"text": str(bool(shown.mask[k])), "position": (LEFT, at)},
            }
            moves[f"again {k}"]["color"] = self._way_back(shown)
            moves[f"mask {k}"]["color"] = palette.INK if shown.mask[k] else palette.FORWARD
            for part in ("input", "again", "output", "mask"):
                moves[f"{part} {k}"]["visible"] = True
        return moves

    def _entries(self, shown: Shown, middle: np.ndarray) -> dict[str, Any]:
        """J in numbers; zeros by construction are dots."""
        moves = {f"entry {k}": {"visible": False} for k in range(self.slots**2)}
        if self.slots:
            ones, light = shown.ones, shown.colors @ (0.2126, 0.7152, 0.0722) > 0.45
            for i, j in np.argwhere(~shown.zeros):
                moves[f"entry {self.slots * i + j}"] = {
                    "text": "1" if ones[i, j] else cell(shown.J[i, j]),
                    "position": (middle[j], middle[i]),
                    "color": palette.INK if light[i, j] else "white",
                    "visible": True,
                }
        return moves

    @staticmethod
    def _way_back(shown: Shown) -> str:
        return palette.FORWARD if shown.inverse else palette.INVERSE

    def news(self, moves: dict[str, Any]) -> dict[str, Any]:
        """``moves`` without the words that stand there already: most of the labels, most of the time."""
        return {
            name: parts
            for name, parts in moves.items()
            if name not in self._texts or not _says_already(self._texts[name], parts)
        }

    def plane(self, start: np.ndarray, end: np.ndarray, a: int, b: int, inverse: bool) -> dict[str, Any]:
        """What moves on the right, but for the image itself: the point before and after, and the names."""
        before, after = ("y", "x") if inverse else ("x", "y")
        return {
            "grid": {"color": palette.INVERSE if inverse else palette.FORWARD},
            "path": np.stack([start, end]),
            "from": start[None],
            "to": end[None],
            "across": f"{coordinate(after, a)} = {coordinate(before, a)}, passes",
            "up": f"{coordinate(after, b)}, changes",
            "plane": f"the plane of dimensions {a + 1} and {b + 1}",
            "from word": f"{before} at the probe",
            "to word": f"{after} at the probe",
        }


def _says_already(text: Text, parts: Any) -> bool:
    parts = {"text": parts} if isinstance(parts, str) else parts
    now = {
        "text": text.get_text(),
        "position": text.get_position(),
        "color": text.get_color(),
        "visible": text.get_visible(),
    }
    return all(now[part] == value for part, value in parts.items())


def _square(middle: float, half: float) -> np.ndarray:
    """The outline (5, 2) of a square on the diagonal."""
    return middle + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
