"""Artists that move and are pictures: images, and matrices with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from nfteach.widgets.live.mover import Moving, css_color, font_of

__all__ = ["HeatMap", "MovingHeatMap", "MovingImage"]


class HeatMap:
    """A matrix as an image with a number in every cell: one thing that moves.

    Args:
        ax: where to draw; its ticks are taken away.
        matrix: (rows, columns), the values to begin with.
        cmap: a colour map, or its name.
        limits: the values at the two ends of the colour map.
        format: how a number is written, as in ``str.format``.
        fontsize: in points.
    """

    def __init__(
        self,
        ax: Axes,
        matrix: Any,
        *,
        cmap: Any = "PuOr",
        limits: tuple[float, float] = (-2.0, 2.0),
        format: str = "{:.2f}",
        fontsize: float = 10,
    ) -> None:
        matrix = np.asarray(matrix, dtype=float)
        self.format = format
        self._light: tuple[Any, Any] = (None, None)  # a colour map, and which of its colours are light
        self.image = ax.imshow(matrix, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        self.shape = rows, columns = matrix.shape
        self.texts = [
            ax.text(j, i, "", ha="center", va="center_baseline", fontsize=fontsize)
            for i in range(rows)
            for j in range(columns)
        ]
        ax.set_xticks(np.arange(columns + 1) - 0.5, labels=[])
        ax.set_yticks(np.arange(rows + 1) - 0.5, labels=[])
        ax.tick_params(length=0)
        self.set_values(matrix)

    def set_values(self, matrix: np.ndarray, labels: Sequence[str] | None = None) -> None:
        """Show ``matrix``; ``labels``, row by row, are written in place of its numbers."""
        self.image.set_data(matrix)
        labels = self.numbers(matrix) if labels is None else labels
        for text, label, color in zip(self.texts, labels, self.inks(matrix), strict=True):
            text.set_text(label)
            text.set_color(color)

    def numbers(self, matrix: np.ndarray) -> list[str]:
        """The numbers of ``matrix`` as written in the cells, row by row."""
        return [_number(self.format, value) for value in matrix.ravel().tolist()]

    def inks(self, matrix: np.ndarray) -> list[str]:
        """Black or white for every number, whichever stands out: by the luminance of its cell (ITU-R BT.709)."""
        cmap, light = self._light
        if cmap is not self.image.cmap:
            cmap = self.image.cmap
            light = cmap(np.arange(cmap.N))[:, :3] @ (0.2126, 0.7152, 0.0722) > 0.45
            self._light = cmap, light
        index = np.clip(_scaled(self.image.norm, matrix) * cmap.N, 0, cmap.N - 1).astype(int)
        return ["#222222" if is_light else "white" for is_light in light[index].ravel()]


class MovingImage(Moving):
    """An image of numbers, sent as indices into its colour map; or of colours (rows, columns, 3 or 4) in [0, 1]."""

    kind, main = "image", "values"
    parts = {"values": "(rows, columns) or (rows, columns, 3 or 4)", "limits": "(low, high)"}  # noqa: RUF012

    def checked(self, part: str, value: Any) -> Any:
        if part == "limits":
            return tuple(self.array(part, value, (2,)))
        if part == "values":
            channels = np.shape(value)[2:]
            return self.array(part, value, (None, None, *((channels[0],) if channels in ((3,), (4,)) else ())))
        return super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "values" in parts:
            self.artist.set_data(parts["values"])
        if "limits" in parts:
            self.artist.set_clim(*parts["limits"])

    def place(self, height: float) -> dict[str, Any]:
        left, right, bottom, top = self.artist.get_extent()
        to_pixels = self.artist.axes.transData.transform
        (x0, y0), (x1, y1) = to_pixels([(left, bottom), (right, top)])
        if self.artist.origin == "upper":
            y0, y1 = y1, y0
        # From the first row's outer edge to the last row's: negative where the picture is drawn upwards.
        rect = [x0, height - y0, x1 - x0, y0 - y1]
        table = np.asarray(self.artist.cmap((np.arange(256) + 0.5) / 256, bytes=True))
        smooth = self.artist.get_interpolation() not in ("nearest", "none")
        return {**super().place(height), "rect": rect, "table": table, "smooth": smooth}

    def told(self, value: np.ndarray) -> dict[str, Any]:
        if value.ndim == 3:
            pixels = np.full((*value.shape[:2], 4), 255, dtype=np.uint8)
            pixels[..., : value.shape[2]] = np.rint(255 * np.clip(value, 0, 1))
            return {"rgba": pixels, "index": None}
        return {"index": np.clip(_scaled(self._artist.norm, value) * 256, 0, 255).astype(np.uint8), "rgba": None}

    def payload(self) -> dict[str, Any]:
        alpha = self.artist.get_alpha()
        pixels = MovingImage.told(self, np.ma.getdata(self.artist.get_array()))
        return {**super().payload(), **pixels, "alpha": 1.0 if alpha is None else float(alpha)}


class MovingHeatMap(MovingImage):
    """A HeatMap: the image and the number in every cell."""

    kind = "heatmap"
    parts = {"values": "(rows, columns)", "labels": "one word a cell, row by row"}  # noqa: RUF012

    def __init__(self, name: str, heat_map: HeatMap) -> None:
        super().__init__(name, heat_map.image)
        self.heat_map = heat_map

    @property
    def artists(self) -> list[Artist]:
        return [self.artist, *self.heat_map.texts]

    def checked(self, part: str, value: Any) -> Any:
        if part == "values":
            return self.array(part, value, self.heat_map.shape)
        if part == "labels":
            labels = [str(label) for label in np.ravel(np.asarray(value, dtype=object))]
            if len(labels) != len(self.heat_map.texts):
                raise ValueError(f"{self.name} (labels) must be {len(self.heat_map.texts)} words, but is {len(labels)}")
            return labels
        return super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        Moving.apply(self, parts)
        if "values" in parts or "labels" in parts:
            values = parts.get("values", np.asarray(self.heat_map.image.get_array()))
            self.heat_map.set_values(values, parts.get("labels"))

    def told(self, value: np.ndarray) -> dict[str, Any]:
        alpha = self.heat_map.texts[0].get_alpha() if self.heat_map.texts else None
        colors = [css_color(color, alpha) for color in self.heat_map.inks(value)]
        return {**super().told(value), "labels": self.heat_map.numbers(value), "colors": colors}

    def payload(self) -> dict[str, Any]:
        drawn, texts = super().payload(), self.heat_map.texts  # the texts have what they were given by now
        return {
            **drawn,
            "labels": [text.get_text() for text in texts],
            "colors": [css_color(text.get_color(), text.get_alpha()) for text in texts],
            "positions": self.projected([text.get_position() for text in texts]),
            "font": font_of(texts[0], self.pixels_per_point()),
        }

    @property
    def transform(self) -> Any:
        return self._artist.axes.transData


def _number(format: str, value: float) -> str:
    """A number as written, without the minus of a number that rounds to zero."""
    written = format.format(value)
    return format.format(0.0) if float(format.format(abs(value)).strip("%+ ") or 0) == 0 else written


def _scaled(norm: Normalize, values: np.ndarray) -> np.ndarray:
    """To [0, 1] for what lies between the limits."""
    if type(norm) is not Normalize or norm.vmin == norm.vmax:
        return np.ma.getdata(norm(values))
    return (values - norm.vmin) * (1 / (norm.vmax - norm.vmin))  # the plain case, without masks: faster
