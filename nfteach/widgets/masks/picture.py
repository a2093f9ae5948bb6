"""The mask explorer's picture: the image, the tensor and the latents as sheets of cells, and the Jacobian twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.masks.stages import Look, Shape, Stage

__all__ = ["CHANGED", "GONE", "PASSES", "PLAIN", "MaskPicture"]

SIZE = (7.2, 5.35)  # inches: beside the controls on a laptop's screen
SHEET, GAP = 2.1, 0.2  # inches: a sheet's side, and what is between two
FONT = 9  # points: the smallest that reads well at 100 % zoom
DOTS = 128  # cells of J's picture along a side, at most: all steps travel to the browser
ALT = (
    "Above: the image, the tensor that it is at this step, with what passes in yellow and what is changed in green, "
    "and what is latent already, in blue; one pixel is framed, and the four of its 2 x 2 block have letters. Below: "
    "the Jacobian of the step in the order of the dimensions, and with those that pass first; the pixel's row and "
    "column are lit."
)

# What can happen to a pixel, and its colour.
PLAIN, PASSES, CHANGED, GONE = range(4)
_HUES = (palette.MUTED, palette.ONE, palette.FORWARD, palette.BASE)
_LEVELS = 63  # of grey in each of the four colours; the 256th colour is that of nothing
_NOTHING = 255


class MaskPicture:
    """The figure, and how a step becomes a frame.

    Args:
        stages: all steps.
        image: (D,), the pixels from 0 to 1, as they are shown.
    """

    def __init__(self, stages: Sequence[Stage], image: np.ndarray) -> None:
        self.stages, self.image = stages, image
        self.D = len(image)
        shapes = [stage.before for stage in stages]
        self._side = max(max(_extent(shape, _square_columns(shape))) for shape in shapes)
        latents = self._latent_tiles(stages[-1].latents)
        self._side = max(self._side, sum(_extent(*tiles)[1] + 2 for tiles in latents) - 2)
        self._step = self._side * (1 + GAP / SHEET)  # from one sheet to the next
        self.places = [self._places_after(stage) for stage in stages]
        self.home = self._tensor_places(shapes[0])
        figure = Figure(figsize=SIZE)
        self.live = LiveFigure(figure, self._sheets(figure) | self._jacobians(figure), frame_label="step", alt=ALT)

    def _tensor_places(self, shape: Shape, sheet: int = 0) -> np.ndarray:
        """Where the cells of a tensor (C * H * W, 2) are, in half cells."""
        columns = _square_columns(shape)
        margin = (self._side - np.array(_extent(shape, columns))) / 2
        return _cells(shape, columns) + np.floor(margin) + (sheet * self._step, 0)

    def _latent_tiles(self, latents: Sequence[Shape]) -> list[tuple[Shape, int]]:
        """The oldest first, each as wide as there is room for."""
        return [(shape, _wide_columns(shape, self._side)) for shape in latents]

    def _places_after(self, stage: Stage) -> np.ndarray:
        """(D, 2): where the pixels are that the vector holds after the step, in half cells."""
        parts, top = [], 0.0
        for shape, columns in self._latent_tiles(stage.latents):
            parts.append(_cells(shape, columns) + np.array([2 * self._step, top]))
            top += _extent(shape, columns)[1] + 2
        if stage.after[0]:
            parts.append(self._tensor_places(stage.after, 1))
        return np.concatenate(parts)

    def _sheets(self, figure: Figure) -> dict[str, Any]:
        width, height = 2 * self._step + self._side, self._side
        left, bottom = (SIZE[0] - 3 * SHEET - 2 * GAP) / 2, 2.9
        box = (left / SIZE[0], bottom / SIZE[1], (3 * SHEET + 2 * GAP) / SIZE[0], SHEET / SIZE[1])
        ax = figure.add_axes(box, xlim=(0, width), ylim=(height, 0))
        ax.set_axis_off()
        # Gaps between sheets are no whole number of cells: each is an image of its own.
        moving: dict[str, Any] = {}
        for sheet, (name, color) in enumerate(
            (("image", palette.DATA), ("tensor", palette.INK), ("latent", palette.BASE))
        ):
            start = sheet * self._step
            moving[name] = ax.imshow(
                np.full((self._side, self._side), _NOTHING), cmap=_COLOURS, vmin=0, vmax=256, interpolation="nearest",
                extent=(start, start + self._side, height, 0), aspect="auto",
            )  # fmt: skip
            moving[f"{name} title"] = ax.text(
                start + self._side / 2, -0.055 * height, "", ha="center", va="bottom", fontsize=10, color=color
            )
        cell = 2 * SHEET * 72 / self._side  # in points
        self.lettered = cell > 12  # else letters would be too small to read
        ring = {"s": max(cell, 7) ** 2, "marker": "s", "facecolors": "none", "linewidths": 2, "clip_on": False}
        for name in ("image pixel", "pixel"):
            moving[name] = ax.scatter([], [], edgecolors=palette.HIGHLIGHT, zorder=6, **ring)
        # Letters on white discs, which are read on any shade. As markers they move faster than texts do.
        moving["discs"] = ax.scatter([], [], s=(0.72 * cell) ** 2, color="white", alpha=0.85, linewidths=0, zorder=5)
        for letter in "abcd":
            size = ((0.44 if letter in "bd" else 0.33) * cell) ** 2  # a marker fills its size, be it tall or not
            moving[letter] = ax.scatter([], [], s=size, marker=f"${letter}$", color=palette.INK, linewidths=0, zorder=5)
        self._legend(ax)
        return moving

    def _legend(self, ax: Axes) -> None:
        names = (("passes unchanged", PASSES), ("is changed", CHANGED), ("is latent", GONE))
        patches = [Patch(facecolor=_COLOURS(kind * 64 + 3), label=name) for name, kind in names]
        patches.append(Patch(facecolor="none", edgecolor=palette.HIGHLIGHT, linewidth=2, label="the pixel to follow"))
        ax.legend(
            handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=4, fontsize=FONT, frameon=False,
            handlelength=1, handleheight=1, columnspacing=1.6, borderaxespad=0,
        )  # fmt: skip

    def _jacobians(self, figure: Figure) -> dict[str, Any]:
        kinds = ListedColormap([palette.ZERO, palette.ONE, _COLOURS(GONE * 64 + 3), palette.MUTED, palette.FORWARD])
        moving: dict[str, Any] = {}
        for name, left in (("J", 0.33), ("sorted", 2.7)):
            box = (left / SIZE[0], 0.16 / SIZE[1], SHEET / SIZE[0], SHEET / SIZE[1])
            ax = figure.add_axes(box, xlim=(0, self.D), ylim=(self.D, 0), xticks=[], yticks=[])
            ax.set_ylabel("output", fontsize=FONT, labelpad=2)
            ax.set_xlabel("input", fontsize=FONT, labelpad=1)
            block = -(-self.D // DOTS)
            end = block * -(-self.D // block)
            moving[name] = ax.imshow(
                np.zeros((2, 2)), cmap=kinds, vmin=-0.5, vmax=4.5, interpolation="nearest", extent=(0, end, end, 0),
                aspect="auto",
            )  # fmt: skip
            moving[f"{name} title"] = ax.text(
                0.5, 1.02, "", transform=ax.transAxes, ha="center", va="bottom", fontsize=10, color=palette.INK
            )
            cross = LineCollection([], colors=palette.HIGHLIGHT, linewidths=2.2, alpha=0.55, zorder=4)
            moving[f"{name} cross"] = ax.add_collection(cross)
        left, top = 5.0 / SIZE[0], 2.27 / SIZE[1]
        moving["words"] = figure.text(left, top, "", fontsize=FONT, color=palette.INK, va="top", linespacing=1.35)
        names = ("0, always", "1", "1, of a latent", "a derivative of s and t", "exp(s)")
        patches = [Patch(facecolor=kinds(kind), label=names[kind]) for kind in (0, 1, 2, 3, 4)]
        figure.legend(
            handles=patches, loc="lower left", bbox_to_anchor=(left - 0.005, 0.02), fontsize=FONT, frameon=False,
            handlelength=1, handleheight=1, borderaxespad=0, borderpad=0, labelspacing=0.35, title="entries of J",
            title_fontsize=FONT, alignment="left",
        )  # fmt: skip
        return moving

    def still(self, index: int, kinds: np.ndarray, look: Look, statuses: np.ndarray, words: str) -> dict[str, Any]:
        """What of a frame does not depend on the pixel that is followed.

        Args:
            kinds: (D, D), what the entries of J are.
            statuses: (D,), for each place of the vector after the step, what happens to it.
        """
        stage, last = self.stages[index], index == len(self.stages) - 1
        by_pixel = np.empty(self.D, dtype=int)
        by_pixel[stage.to_pixels] = statuses
        gone, places = stage.gone, self.places[index]
        codes = _codes(statuses, self.image[stage.to_pixels])
        shape = " × ".join(map(str, stage.after))
        titles = {"squeeze": "J, rows put back"}
        return {
            "image": self._painted(self.home, _codes(by_pixel, self.image)),
            "tensor": self._painted(places[gone:] - (self._step, 0), codes[gone:]),
            "latent": self._painted(places[:gone] - (2 * self._step, 0), codes[:gone]),
            "image title": f"the image, {' × '.join(map(str, self.stages[0].before))}",
            "tensor title": "nothing is left" if last else f"now {shape}",
            "latent title": f"latent: {gone} of {self.D}",
            "J": _pooled(kinds),
            "sorted": _pooled(kinds[look.rows][:, look.columns]),
            "J title": "J as it is",
            "sorted title": titles.get(stage.name, "J, passing first" if stage.mask is not None else "the same"),
            "words": words,
        }

    def moves(self, index: int, pixel: int, block: Sequence[int], look: Look) -> dict[str, Any]:
        """What follows the pixel: its frames, the letters of its ``block`` (four pixels or none), and J's lit lines."""
        stage, places = self.stages[index], self.places[index]
        start, end = _place_of(pixel, stage.from_pixels), _place_of(pixel, stage.to_pixels)
        moves: dict[str, Any] = {"image pixel": self.home[[pixel]], "pixel": places[[end]]}
        lettered = block if self.lettered else ()
        pairs = [np.stack([self.home[one], places[_place_of(one, stage.to_pixels)]]) for one in lettered]
        pairs += [np.zeros((0, 2))] * (4 - len(pairs))
        moves |= dict(zip("abcd", pairs, strict=True)) | {"discs": np.concatenate(pairs)}
        moves["J cross"] = self._cross(end, start)
        moves["sorted cross"] = self._cross(_place_of(end, look.rows), _place_of(start, look.columns))
        return moves

    def _cross(self, row: int, column: int) -> np.ndarray:
        y, x = row + 0.5, column + 0.5
        return np.array([[[0, y], [self.D, y]], [[x, 0], [x, self.D]]])

    def pixel_at(self, index: int, x: float, y: float) -> int:
        """The pixel whose cell is nearest to a place in the sheets at step ``index``, wherever it stands there."""
        cells = np.concatenate([self.home, self.places[index]])
        pixels = np.concatenate([np.arange(self.D), self.stages[index].to_pixels])
        return int(pixels[((cells - (x, y)) ** 2).sum(1).argmin()])

    def _painted(self, places: np.ndarray, codes: np.ndarray) -> np.ndarray:
        sheet = np.full((self._side, self._side), _NOTHING, dtype=np.uint8)
        column, row = (places - 1).astype(int).T
        for down, across in itertools.product((0, 1), (0, 1)):
            sheet[row + down, column + across] = codes
        return sheet


def _place_of(what: int, order: np.ndarray) -> int:
    return int((order == what).nonzero()[0][0])


def _codes(statuses: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Colours: a status in a shade."""
    return 64 * statuses + np.rint((_LEVELS - 1) * values).astype(int)


def _colours() -> ListedColormap:
    """Four hues, each from light to dark in 64 shades; the last of all is white, for nothing."""
    shade = np.clip(np.arange(64) / (_LEVELS - 1), 0, 1)[:, None]
    white, black = np.ones(3), np.zeros(3)
    rows = []
    for hue in _HUES:
        tint = np.array(to_rgb(hue))
        light = 0.82 * white + 0.18 * tint if hue == palette.MUTED else 0.45 * white + 0.55 * tint
        rows.append((1 - shade) * light + shade * (0.25 * tint + 0.75 * black))
    table = np.concatenate(rows)
    table[_NOTHING] = white
    return ListedColormap(table)


_COLOURS = _colours()


def _cells(shape: Shape, columns: int) -> np.ndarray:
    """The middles (C * H * W, 2) of a tensor's cells, in half cells: channels side by side, half a cell apart."""
    c, i, j = np.unravel_index(np.arange(np.prod(shape)), shape)
    tile = (c % columns, c // columns)
    return np.stack(
        [tile[0] * (2 * shape[2] + 1) + 2 * j + 1, tile[1] * (2 * shape[1] + 1) + 2 * i + 1], axis=1
    ).astype(float)


def _extent(shape: Shape, columns: int) -> tuple[int, int]:
    """Width and height in half cells."""
    channels, height, width = shape
    return columns * (2 * width + 1) - 1, -(-channels // columns) * (2 * height + 1) - 1


def _square_columns(shape: Shape) -> int:
    """How many channels stand side by side, so that all need a small square; rows are full if there are several."""
    channels = shape[0]
    full = [columns for columns in range(1, channels + 1) if channels % columns == 0 or channels % 2]
    return min(full, key=lambda columns: (max(_extent(shape, columns)), -columns))


def _wide_columns(shape: Shape, room: int) -> int:
    """As many channels side by side as have room."""
    fits = [columns for columns in range(1, shape[0] + 1) if _extent(shape, columns)[0] <= room]
    return max((columns for columns in fits if shape[0] % columns == 0), default=1)


def _pooled(kinds: np.ndarray) -> np.ndarray:
    """A large J in at most ``DOTS`` dots a side, each with the largest of what it stands for."""
    block = -(-len(kinds) // DOTS)
    if block == 1:
        return kinds
    room = -len(kinds) % block
    padded = np.pad(kinds, (0, room))
    return padded.reshape(len(padded) // block, block, -1, block).max((1, 3))
