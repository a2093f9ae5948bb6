"""Artists that move: what they take, what the browser is told; and the two kinds that are pictures."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, is_color_like, to_rgba
from matplotlib.text import Text

__all__ = ["HeatMap", "Moving", "MovingHeatMap", "MovingImage", "checked_color", "css_color", "font_of"]


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
        self.image = ax.imshow(matrix, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        rows, columns = matrix.shape
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
        labels = [_number(self.format, value) for value in matrix.ravel()] if labels is None else labels
        for text, label, rgba in zip(self.texts, labels, self.image.to_rgba(matrix).reshape(-1, 4), strict=True):
            text.set_text(label)
            # Black or white, whichever stands out: the relative luminance of the cell (ITU-R BT.709).
            text.set_color("#222222" if rgba[:3] @ (0.2126, 0.7152, 0.0722) > 0.45 else "white")


class Moving:
    """One artist that moves. A subclass per kind of artist says what it takes and what the browser paints.

    ``check`` looks at new values and changes nothing; ``apply`` gives checked values to the matplotlib artist;
    ``payload`` reads the artist, so that what the browser paints and what matplotlib draws agree.
    """

    kind = ""
    main = ""  # what a bare array is taken for
    parts: dict[str, str] = {}  # noqa: RUF012 - what else may be given, and a word on it

    def __init__(self, name: str, artist: Any) -> None:
        self.name, self.artist = name, artist

    @property
    def artists(self) -> list[Artist]:
        """The matplotlib artists behind it."""
        return [self.artist]

    def check(self, value: Any) -> dict[str, Any]:
        """The checked parts of a new value. Raises ValueError in words."""
        parts = dict(value) if isinstance(value, Mapping) else {self.main: value}
        known = {**self.parts, "visible": "True or False", "alpha": "a number from 0 to 1"}
        for part in parts:
            if part not in known:
                raise ValueError(f"{self.name} has no part {part!r}; it takes {_listed(known)}")
        return {part: self.checked(part, value) for part, value in parts.items()}

    def checked(self, part: str, value: Any) -> Any:
        """One checked part."""
        if part == "visible":
            return bool(value)
        if part == "alpha":
            return float(self.array(part, value, ()))
        return self.array(part, value, (None, 2))

    def array(self, part: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
        """``value`` as finite float numbers of ``shape``, in which None stands for any size."""
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        label = self.name if part == self.main else f"{self.name} ({part})"
        try:
            # A copy: what the author does with the array afterwards must not move the picture.
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{label} must be an array of numbers, but is {type(value).__name__}") from error
        fits = array.ndim == len(shape) and all(
            want in (None, got) for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            wanted = f"({', '.join('n' if size is None else str(size) for size in shape)})"
            raise ValueError(f"{label} must have shape {wanted}, but has {array.shape}")
        if not np.isfinite(array).all():
            bad = array.size - np.isfinite(array).sum()
            raise ValueError(f"{label} has {bad} of {array.size} numbers that are NaN or infinite; give finite ones")
        return array

    def apply(self, parts: Mapping[str, Any]) -> None:
        """Give checked parts to the artist."""
        for artist in self.artists:
            if "visible" in parts:
                artist.set_visible(parts["visible"])
            if "alpha" in parts:
                artist.set_alpha(parts["alpha"])

    @property
    def transform(self) -> Any:
        """From the artist's coordinates to pixels."""
        return self.artist.get_transform()

    def place(self, height: float) -> dict[str, Any]:
        """What stays: the affine map from the artist's coordinates to pixels from the top left, and the clip."""
        (a, c, e), (b, d, f) = self.transform.get_affine().get_matrix()[:2]
        first = self.artists[0]
        clip = None
        if first.axes is not None and first.get_clip_on():
            box = first.axes.bbox
            clip = [box.x0, height - box.y1, box.width, box.height]
        return {"kind": self.kind, "matrix": [a, -b, c, -d, e, height - f], "clip": clip}

    def pixels_per_point(self) -> float:
        return self.artists[0].get_figure(root=True).dpi / 72

    def projected(self, points: np.ndarray) -> np.ndarray:
        """Points before the affine map, float32: log scales and the like are done here."""
        flat = self.transform.transform_non_affine(np.asarray(points, dtype=np.float64).reshape(-1, 2))
        return flat.reshape(np.shape(points)).astype(np.float32)

    def payload(self) -> dict[str, Any]:
        """What the browser paints now: numbers, words and arrays."""
        return {"visible": self.artists[0].get_visible()}


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

    def payload(self) -> dict[str, Any]:
        alpha = self.artist.get_alpha()
        values = self.artist.get_array()
        if values.ndim == 3:
            pixels = {"rgba": (np.asarray(self.artist.to_rgba(values)) * 255).round().astype(np.uint8)}
        else:
            pixels = {"index": np.clip(self._scaled(np.ma.getdata(values)) * 256, 0, 255).astype(np.uint8)}
        return {**super().payload(), **pixels, "alpha": 1.0 if alpha is None else float(alpha)}

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """To [0, 1] for what lies between the limits."""
        norm = self.artist.norm
        if type(norm) is not Normalize or norm.vmin == norm.vmax:
            return np.ma.getdata(norm(values))
        return (values - norm.vmin) * (1 / (norm.vmax - norm.vmin))  # the plain case, without masks: faster


class MovingHeatMap(MovingImage):
    """A HeatMap: the image and the number in every cell."""

    kind = "heatmap"
    parts = {"values": "(rows, columns)", "labels": "one word a cell, row by row"}  # noqa: RUF012

    def __init__(self, name: str, heat_map: HeatMap) -> None:
        super().__init__(name, heat_map.image)
        self.heat_map = heat_map

    @property
    def artists(self) -> list[Artist]:
        return [self.heat_map.image, *self.heat_map.texts]

    def checked(self, part: str, value: Any) -> Any:
        if part == "values":
            return self.array(part, value, self.heat_map.image.get_array().shape)
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

    def payload(self) -> dict[str, Any]:
        texts = self.heat_map.texts
        return {
            **super().payload(),
            "labels": [text.get_text() for text in texts],
            "colors": [css_color(text.get_color(), text.get_alpha()) for text in texts],
            "positions": self.projected([text.get_position() for text in texts]),
            "font": font_of(texts[0], self.pixels_per_point()),
        }

    @property
    def transform(self) -> Any:
        return self.artist.axes.transData


def checked_color(name: str, value: Any) -> Any:
    """A colour of matplotlib. Raises ValueError in words."""
    if not is_color_like(value):
        raise ValueError(f"{name} (color) must be a colour of matplotlib, but is {value!r}")
    return value


def css_color(color: Any, alpha: float | None = None) -> str:
    """A matplotlib colour as CSS writes it; "" for none."""
    return _css_color(color if isinstance(color, str) else tuple(color), alpha)


@functools.lru_cache(1024)
def _css_color(color: str | tuple[float, ...], alpha: float | None) -> str:
    r, g, b, a = to_rgba(color, alpha)
    return f"rgba({r * 255:.0f},{g * 255:.0f},{b * 255:.0f},{a:.3g})" if a else ""


def font_of(text: Text, unit: float) -> dict[str, Any]:
    """How a text is set; ``unit`` is pixels per point."""
    return {
        "size": text.get_fontsize() * unit,
        "weight": str(text.get_fontweight()),
        "style": text.get_fontstyle(),
        "align": text.get_horizontalalignment(),
        "baseline": text.get_verticalalignment(),
        "rotation": text.get_rotation(),
    }


def _number(format: str, value: float) -> str:
    """A number as written, without the minus of a number that rounds to zero."""
    written = format.format(value)
    return format.format(0.0) if float(format.format(abs(value)).strip("%+ ") or 0) == 0 else written


def _listed(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{part!r}: {what}" for part, what in parts.items())
