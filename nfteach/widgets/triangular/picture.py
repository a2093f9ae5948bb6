"""The triangular explorer's picture: J in two orders, the log-diagonal, one conditional, and the inverse so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from nfteach.jacobian.numbers import cell, coordinate
from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.triangular.cells import FONT, JacobianCells

__all__ = ["Local", "Scale", "TriangularPicture"]

SIZE = (8.8, 5.5)  # inches: below the controls on a laptop's screen
REACH = 4.0  # z is shown from -REACH to REACH
ALT = (
    "Above, the Jacobian of a map from x to z as a heat map, once with the dimensions as in the data and once in the "
    "map's own ordering, where it is lower triangular; its diagonal is framed. Below, z and the x that the inverse has "
    "found so far, and the logarithms of the diagonal as bars. Right, the conditional density of one dimension, and "
    "the increasing curve that takes it to z."
)
WORD = {"fontsize": FONT, "color": palette.INK, "ha": "center", "va": "center"}


class Scale(NamedTuple):
    """How the horizontal axis of the conditionals counts: (x - ``center``) / ``unit``, from -half to half.

    ``center`` and ``unit`` (D,) belong to the data's dimensions; ``words`` say what that is.
    """

    center: np.ndarray
    unit: np.ndarray
    half: float
    words: str


class Local(NamedTuple):
    """What happens at the probe; (D,) in the data's order but where said.

    ``J`` (D, D), with exact zeros and ones only where they are so by construction; ``rows`` and ``columns``, the order
    of outputs and inputs; ``triangular``, whether that order makes J so; ``j``, the input that is pushed; ``x``, ``z``
    and ``moved``, z less z before the push; ``back``, the x that the inverse finds; ``dets``, words on the determinant,
    and ``caption``, on the map.

    In the order: ``diagonal`` (D,) of J; and along ``grid`` (T, D), in the units of :class:`Scale`, the curves
    ``grid_z`` and ``density`` (T, D), whose highest value is 1; NaN where there is none.
    """

    J: np.ndarray
    rows: Sequence[int]
    columns: Sequence[int]
    triangular: bool
    j: int
    x: np.ndarray
    z: np.ndarray
    moved: np.ndarray
    back: np.ndarray
    dets: str
    caption: str
    diagonal: np.ndarray
    grid: np.ndarray
    grid_z: np.ndarray
    density: np.ndarray


class TriangularPicture:
    """The figure, and how numbers become what moves in it, and the D + 1 frames of the inverse.

    Args:
        dim: D.
        scale: of the conditionals' axis.
        limits: of the log-diagonals and their sums, in nats.
    """

    def __init__(self, dim: int, scale: Scale, limits: tuple[float, float]) -> None:
        self.dim, self.scale = dim, scale
        self._told: dict[str, Any] = {}
        figure = self.figure = Figure(figsize=SIZE, facecolor="white")
        moving: dict[str, Any] = {}
        for name, left in (("J", 0.62), ("sorted", 3.58)):
            moving |= self._matrix(name, left)
        moving |= self._strips() | self._bars(limits) | self._conditional()
        moving["caption"] = self._text(0.1, 5.38, ha="left")
        moving["dets"] = self._text(0.3, 2.58, ha="left")
        self.live = LiveFigure(figure, moving, frame_label="inverse, step", alt=ALT)

    def _axes(self, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
        return self.figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]), **options)

    def _text(self, left: float, bottom: float, words: str = "", **look: Any) -> Any:
        return self.figure.text(left / SIZE[0], bottom / SIZE[1], words, **(WORD | look))

    def _matrix(self, name: str, left: float, side: float = 2.1, bottom: float = 2.8) -> dict[str, Any]:
        """J with labels, and beside it what a push does to z."""
        dim = self.dim
        fits = {"decimals": 2 if dim <= 5 else 1 if dim == 6 else None}
        ax = self._axes(left, bottom, side, side)
        lit = {"fill": False, "edgecolor": palette.HIGHLIGHT, "linewidth": 2.6, "zorder": 6, "clip_on": False}
        moving = {
            name: JacobianCells(ax, (dim, dim), **fits),
            f"{name} diagonal": ax.add_collection(
                LineCollection([], colors=palette.FORWARD, linewidths=1.8, zorder=4, clip_on=False)
            ),
            f"{name} column": ax.add_patch(Rectangle((-0.5, -0.5), 1, dim, **lit)),
            f"{name} here": ax.add_patch(Rectangle((0, 0), 1, 1, **(lit | {"edgecolor": palette.INK}))),
            f"{name} title": self._text(left + side / 2, 5.14),
        }
        size = {"transform": ax.transData, "clip_on": False}
        for k in range(dim):
            moving[f"{name} x {k}"] = ax.text(k, -0.5 - 0.09 * dim / side, "", **(WORD | size))
            moving[f"{name} z {k}"] = ax.text(-0.5 - 0.16 * dim / side, k, "", **(WORD | size))
        push = self._axes(left + side + 0.08, bottom, 0.4, side)
        moving[f"{name} moved"] = JacobianCells(push, (dim, 1), decimals=2)
        self._text(left + side + 0.28, bottom + side + 0.09, "\u0394z")
        return moving

    def _strips(self) -> dict[str, Any]:
        """z, and the x that is known so far, above the bars: one column for each dimension of the order."""
        dim, left, width = self.dim, 0.9, 5.3
        moving: dict[str, Any] = {}
        for name, bottom, words, zero in (("z", 2.0, "z", "0"), ("known", 1.46, "x", "?")):
            ax = self._axes(left, bottom, width, 0.26)
            moving[name] = JacobianCells(ax, (1, dim), decimals=2 if dim <= 8 else 1, zero=zero)
            self._text(left - 0.2, bottom + 0.13, words, fontsize=10)
            for k in range(dim):
                moving[f"{name} {k}"] = ax.text(k, -1.05, "", **WORD, clip_on=False)
        lit = {"fill": False, "edgecolor": palette.INK, "linewidth": 2.6, "zorder": 6, "clip_on": False}
        for name in ("z", "known"):
            moving[f"{name} here"] = moving[name].image.axes.add_patch(Rectangle((0, 0), 1, 1, **lit))
        return moving

    def _bars(self, limits: tuple[float, float]) -> dict[str, Any]:
        dim = self.dim
        ax = self._axes(0.9, 0.3, 5.3, 0.85, xlim=(-0.5, dim - 0.5), ylim=limits, xticks=[])
        ax.axhline(0, color=palette.MUTED, linewidth=0.8, zorder=1)
        ax.locator_params(axis="y", nbins=4)
        ax.tick_params(labelsize=FONT)
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        self._text(0.9, 0.13, "bars: log of the diagonal, nats; line: their sum so far", ha="left", color=palette.MUTED)
        bars = ax.bar(np.arange(dim), np.zeros(dim), width=0.7, color=palette.ZERO, edgecolor=palette.MUTED)
        return {
            "logs": bars,
            "sums": ax.plot([], [], color=palette.INK, linewidth=1.6, zorder=3)[0],
            "sum here": ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=45, zorder=4),
        }

    def _conditional(self) -> dict[str, Any]:
        """The density of one dimension given those before it, and the curve x_d -> z_d below it."""
        half, left, width = self.scale.half, 6.8, 1.9
        above = self._axes(left, 3.55, width, 1.35, xlim=(-half, half), ylim=(0, 1.12), yticks=[], xticklabels=[])
        below = self._axes(left, 0.6, width, 2.5, xlim=(-half, half), ylim=(-REACH, REACH))
        for ax in (above, below):
            ax.locator_params(axis="x", nbins=5)
            ax.tick_params(labelsize=FONT)
            ax.spines[["top", "right"]].set_visible(False)
        above.spines["left"].set_visible(False)
        above.tick_params(labelbottom=False)
        self._text(left + width / 2, 0.2, self.scale.words)
        dot = {"s": 60, "color": palette.HIGHLIGHT, "edgecolors": palette.INK, "zorder": 8}
        dash = {"color": palette.INVERSE, "linewidth": 1.6, "zorder": 5}
        area = {"facecolor": palette.DATA, "alpha": 0.35, "linewidth": 0}
        return {
            "area": above.add_patch(Polygon([[0, 0], [0, 1], [1, 0]], **area)),
            "density": above.plot([], [], color=palette.DATA, linewidth=2)[0],
            "stem": above.plot([], [], **dash)[0],
            "curve": below.plot([], [], color=palette.FORWARD, linewidth=2, zorder=4)[0],
            "tangent": below.plot([], [], "--", color=palette.INK, linewidth=1.2, zorder=6)[0],
            "way": below.plot([], [], **dash)[0],
            "point": below.scatter([0], [0], **dot),
            "density title": self._text(left + width / 2, 5.12),
            "area words": self._text(left + width / 2, 3.38),
            "curve title": below.text(0.04, 1.0, "", transform=below.transAxes, **(WORD | {"ha": "left", "va": "top"})),
            "refusal": self._text(left + width / 2, 4.2),
        }

    def moves(self, local: Local, *, all_again: bool = False) -> dict[str, Any]:
        """What moves with the probe, the same in every frame: what of it is not as it was told last, or all of it."""
        dim, rows, columns = self.dim, list(local.rows), list(local.columns)
        moves = self._names(rows, columns, local.triangular) | {
            "J": local.J,
            "sorted": local.J[np.ix_(rows, columns)],
            "J moved": local.moved[:, None],
            "sorted moved": local.moved[rows][:, None],
            "J column": (local.j - 0.5, -0.5, 1, dim),
            "sorted column": (columns.index(local.j) - 0.5, -0.5, 1, dim),
            "z": local.z[rows][None],
            "logs": _logs(local.diagonal),
            "dets": local.dets,
            "caption": local.caption,
        }
        told, self._told = {} if all_again else self._told, moves
        news = {name: value for name, value in moves.items() if not np.array_equal(value, told.get(name))}
        return news

    def _names(self, rows: list[int], columns: list[int], triangular: bool) -> dict[str, Any]:
        """What moves with the ordering only."""
        names = {
            "J title": "J, dimensions as in the data",
            "sorted title": "the same J in the map's ordering" if triangular else "dense: no order makes it triangular",
            "J diagonal": [_square(column, row) for row, column in zip(rows, columns, strict=True)],
            "sorted diagonal": [_square(k, k) for k in range(self.dim)],
        }
        natural, short = list(range(self.dim)), self.dim > 6
        for name, across, down in (("J", natural, natural), ("sorted", columns, rows)):
            for k in range(self.dim):
                # Of many columns every second has room for its number.
                names[f"{name} x {k}"] = coordinate("x", across[k]) if not short else (
                    str(across[k] + 1) if self.dim <= 9 or k % 2 == 0 else ""
                )  # fmt: skip
                names[f"{name} z {k}"] = str(down[k] + 1) if short else coordinate("z", down[k])
        for k in range(self.dim):
            names[f"z {k}"], names[f"known {k}"] = coordinate("z", rows[k]), coordinate("x", columns[k])
        return names

    def frames(self, local: Local) -> list[dict[str, Any]]:
        """Frame d: the inverse has found d of the x, and the d-th conditional is shown."""
        return [self._frame(local, d) for d in range(self.dim + 1)]

    def _frame(self, local: Local, d: int) -> dict[str, Any]:
        dim, k, shown = self.dim, d - 1, d > 0
        row, column = (local.rows[k], local.columns[k]) if shown else (0, 0)
        found = local.back[list(local.columns)]
        sums = np.stack([np.arange(dim + 1) - 0.5, np.concatenate([[0.0], _logs(local.diagonal).cumsum()])], axis=1)
        cell = (k - 0.5, -0.5, 1, 1)
        frame: dict[str, Any] = {
            "J here": {"box": (column - 0.5, row - 0.5, 1, 1), "visible": shown},
            "sorted here": {"box": (k - 0.5, k - 0.5, 1, 1), "visible": shown},
            "z here": {"box": cell, "visible": shown},
            "known here": {"box": cell, "visible": shown},
            # What is not known yet is an exact zero, which is written "?".
            "known": np.where(np.arange(dim) < d, np.where(found == 0, 1e-12, found), 0.0)[None],
            "logs": {"color": [
                palette.HIGHLIGHT if i == k else palette.FORWARD if i < k else palette.ZERO for i in range(dim)
            ]},
            "sums": sums[: d + 1],
            "sum here": sums[d][None],
        }  # fmt: skip
        return frame | self._one(local, k)

    def _one(self, local: Local, k: int) -> dict[str, Any]:
        """The k-th conditional, counted from 0, and its curve; nothing before the first, nor of a dense map."""
        known = ~np.isnan(local.grid_z[:, k] + local.density[:, k])
        there = k >= 0 and local.triangular and known.sum() > 1
        # Lines without points, not hidden ones: of what has one array alone the browser is told sooner.
        moves: dict[str, Any] = dict.fromkeys(("density", "stem", "curve", "tangent", "way"), np.zeros((0, 2)))
        moves |= {name: {"visible": there} for name in ("area", "point")}
        words = "press play:\nthe inverse finds\none x at a time" if k < 0 else "the map has no values\nalong this x"
        if not local.triangular:
            words = (
                "dense: each z depends\non all x, so there are\nno conditionals to read,\nand no inverse\none by one"
            )
        moves["refusal"] = {"text": words, "visible": not there}
        moves |= dict.fromkeys(("density title", "area words", "curve title"), "")
        if not there:
            return moves
        row, column = local.rows[k], local.columns[k]
        grid, curve, density = (part[known, k] for part in (local.grid, local.grid_z, local.density))
        half, unit = self.scale.half, self.scale.unit[column]
        at, z, slope = (local.x[column] - self.scale.center[column]) / unit, local.z[row], local.diagonal[k]
        inside = bool(abs(at) <= half and abs(z) <= REACH)
        height = float(np.interp(at, grid, density))
        left = grid[grid < at]
        outline = np.concatenate([[grid[0]], left, [at, at]]), np.concatenate([[0], density[: len(left)], [height, 0]])
        # Of the same length or height, whatever the slope.
        run = min(0.25 * half, 0.3 * REACH / max(abs(slope * unit), 1e-9))
        tangent = np.array([[at - run, z - slope * unit * run], [at + run, z + slope * unit * run]])
        x, before = coordinate("x", column), ", ".join(coordinate("x", one) for one in local.columns[:k])
        given = f"{x} | {before}" if 0 < k <= 3 else f"{x} | those before" if k else x
        moves["area"]["vertices"] = np.stack(outline, axis=1)
        moves["density"] = np.stack([grid, density], axis=1)
        moves["stem"] = [[at, 0.0], [at, height]]
        moves["curve"] = np.stack([grid, np.clip(curve, -9, 9)], axis=1)
        moves["tangent"] = tangent
        moves["way"] = [[-half, z], [at, z], [at, -REACH]]
        moves["point"] = {"points": [[at, z]], "visible": inside}
        area = 0.5 * (1 + math.copysign(1, slope) * math.erf(z / math.sqrt(2)))
        moves["density title"] = f"q({given})"
        equals = f"\u03a6({coordinate('z', row)})" if slope > 0 else f"1 \u2212 \u03a6({coordinate('z', row)})"
        moves["area words"] = f"area {cell(area, 3)} = {equals}"
        moves["curve title"] = f"{coordinate('z', row)} of {x}\nslope {cell(slope)}"
        return moves


def _logs(diagonal: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.abs(diagonal), 1e-300))


def _square(column: float, row: float) -> np.ndarray:
    """The outline (5, 2) of a cell, a little inside it."""
    return np.array([column, row]) + 0.45 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
