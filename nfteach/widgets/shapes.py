"""Artists that move and are drawn by lines: points, polylines, arrows, polygons and words."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import is_color_like
from matplotlib.container import BarContainer
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.quiver import Quiver
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from nfteach.widgets.moving import HeatMap, Moving, MovingHeatMap, MovingImage, css_color, font_of

__all__ = ["follow"]


class MovingPoints(Moving):
    """A scatter plot: its points, and the values that its colour map shows where it has them."""

    kind, main = "points", "points"
    parts = {"points": "(n, 2)", "values": "(n,), shown by the colour map"}  # noqa: RUF012

    @property
    def transform(self) -> Any:
        return self.artist.get_offset_transform()

    def checked(self, part: str, value: Any) -> Any:
        return self.array(part, value, (None,)) if part == "values" else super().checked(part, value)

    def check(self, value: Any) -> dict[str, Any]:
        parts = super().check(value)
        points = len(parts.get("points", self.artist.get_offsets()))
        held = self.artist.get_array()
        values = len(parts["values"]) if "values" in parts else points if held is None else len(held)
        if points != values:
            raise ValueError(f"{self.name} needs as many values as points, but has {values} values for {points} points")
        return parts

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "points" in parts:
            self.artist.set_offsets(parts["points"])
        if "values" in parts:
            self.artist.set_array(parts["values"])

    def payload(self) -> dict[str, Any]:
        self.artist.update_scalarmappable()
        unit, face, edge = self.pixels_per_point(), self.artist.get_facecolor(), self.artist.get_edgecolor()
        colored = {"rgba": (face * 255).round().astype(np.uint8)} if len(face) > 1 else {}
        widths = self.artist.get_linewidth()
        return {
            **super().payload(),
            **colored,
            "points": self.projected(np.ma.getdata(self.artist.get_offsets())),
            "sizes": (np.sqrt(self.artist.get_sizes()) * unit).astype(np.float32),
            "marker": _outline(self.artist.get_paths()[0]),
            "face": css_color(face[0]) if len(face) else "",
            # None stands for "the colour of the face", which a scatter plot has by default.
            "edge": None if len(edge) > 1 else css_color(edge[0]) if len(edge) else "",
            "width": float(widths[0]) * unit if len(widths) else 0.0,
        }


class MovingLines(Moving):
    """A line collection: (lines, points, 2), or a list of lines (points, 2) of different lengths."""

    kind, main = "lines", "segments"
    parts = {"segments": "(lines, points, 2)", "color": "a colour"}  # noqa: RUF012

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            return _color(self.name, value)
        if part == "segments":
            if isinstance(value, list | tuple):
                return [self.array(part, line, (None, 2)) for line in value]
            return self.array(part, value, (None, None, 2))
        return super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "segments" in parts:
            self.artist.set_segments(list(parts["segments"]))
        if "color" in parts:
            self.artist.set_color(parts["color"])

    def payload(self) -> dict[str, Any]:
        unit, segments = self.pixels_per_point(), [path.vertices for path in self.artist.get_paths()]
        offset, dashes = self.artist.get_linestyle()[0]
        return {
            **super().payload(),
            "vertices": self.projected(np.concatenate(segments) if segments else np.zeros((0, 2))),
            "lengths": [len(line) for line in segments],
            "edges": [css_color(color) for color in self.artist.get_edgecolor()],
            "widths": [float(width) * unit for width in self.artist.get_linewidth()],
            "dashes": [float(dash) * unit for dash in dashes or ()],
            "offset": float(offset) * unit,
            "cap": self.artist.get_capstyle() or "butt",
        }


class MovingLine(Moving):
    """A line of `ax.plot`, with its markers."""

    kind, main = "lines", "points"
    parts = {"points": "(n, 2)", "color": "a colour"}  # noqa: RUF012

    def checked(self, part: str, value: Any) -> Any:
        return _color(self.name, value) if part == "color" else super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "points" in parts:
            self.artist.set_data(*parts["points"].T)
        if "color" in parts:
            self.artist.set_color(parts["color"])

    def payload(self) -> dict[str, Any]:
        unit, line = self.pixels_per_point(), self.artist
        points, width, alpha = self.projected(line.get_xydata()), line.get_linewidth(), line.get_alpha()
        style = {"--": "dashed", "-.": "dashdot", ":": "dotted"}.get(line.get_linestyle())
        dashes = np.array(rcParams[f"lines.{style}_pattern"]) * width if style else np.zeros(0)
        drawn = line.get_linestyle() not in ("None", "none", " ", "")
        marker = MarkerStyle(line.get_marker())
        spots = {}
        if len(marker.get_path().vertices):
            filled = marker.is_filled()
            spots = {
                "points": points,
                "sizes": np.array([line.get_markersize() * unit], dtype=np.float32),
                "marker": _outline(marker.get_path().transformed(marker.get_transform())),
                "face": css_color(line.get_markerfacecolor(), alpha) if filled else "",
                "edge": css_color(line.get_markeredgecolor(), alpha),
                "width": line.get_markeredgewidth() * unit,
            }
        return {
            **super().payload(),
            "vertices": points,
            "lengths": [len(points)] if drawn else [],
            "edges": [css_color(line.get_color(), alpha)],
            "widths": [width * unit],
            "dashes": (dashes * unit).tolist(),
            "offset": 0.0,
            "cap": line.get_dash_capstyle() if style else line.get_solid_capstyle(),
            "spots": spots or None,
        }


class MovingArrows(Moving):
    """A quiver drawn in the coordinates of its axes: tails and vectors (n, 4), or vectors alone (n, 2)."""

    kind, main = "arrows", "arrows"
    parts = {"arrows": "(n, 4): x, y, dx, dy; or (n, 2): dx, dy", "color": "a colour"}  # noqa: RUF012

    def __init__(self, name: str, quiver: Quiver) -> None:
        super().__init__(name, quiver)
        if (quiver.angles, quiver.scale_units, quiver.pivot) != ("xy", "xy", "tail"):
            raise ValueError(
                f"{name} must be a quiver in data coordinates that starts at its points: "
                "ax.quiver(x, y, u, v, angles='xy', scale_units='xy', scale=1)"
            )

    @property
    def transform(self) -> Any:
        return self.artist.axes.transData

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            return _color(self.name, value)
        if part == "arrows":
            columns = 2 if np.shape(value)[-1:] == (2,) else 4
            return self.array(part, value, (self.artist.N, columns))
        return super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "arrows" in parts:
            arrows = parts["arrows"]
            if arrows.shape[1] == 4:
                self.artist.set_offsets(arrows[:, :2])
                self.artist.XY = arrows[:, :2]
            self.artist.set_UVC(*arrows[:, -2:].T)
        if "color" in parts:
            self.artist.set_color(parts["color"])

    def pixels_per_unit(self) -> float:
        """The unit in which a quiver's widths are given, in pixels."""
        ax = self.artist.axes
        sizes = {"width": ax.bbox.width, "height": ax.bbox.height, "dots": 1.0, "inches": ax.get_figure(root=True).dpi}
        sizes |= {"x": ax.bbox.width / ax.viewLim.width, "y": ax.bbox.height / ax.viewLim.height}
        return float(sizes[self.artist.units])

    def payload(self) -> dict[str, Any]:
        quiver = self.artist
        tails = np.ma.getdata(quiver.get_offsets())
        tips = tails + np.stack([np.ma.getdata(quiver.U), np.ma.getdata(quiver.V)], axis=1) / (quiver.scale or 1)
        return {
            **super().payload(),
            "tails": self.projected(tails),
            "tips": self.projected(tips),
            "unit": self.pixels_per_unit() * quiver.width,
            "head": [quiver.headwidth, quiver.headlength, quiver.headaxislength],
            "least": [quiver.minshaft, quiver.minlength],
            "colors": [css_color(color) for color in quiver.get_facecolor()],
        }


class MovingPolygons(Moving):
    """Patches: bars (their lengths), a rectangle (x, y, width, height), a polygon or the areas of `fill_between`."""

    kind = "polygons"

    def __init__(self, name: str, artist: Any) -> None:
        super().__init__(name, artist)
        self.main, what = {
            BarContainer: ("lengths", "one a bar"),
            Rectangle: ("box", "(4,): x, y, width, height"),
        }.get(type(artist), ("vertices", "(n, 2)"))
        self.parts = {self.main: what, "color": "a colour, or one a bar"}

    @property
    def artists(self) -> list[Artist]:
        return list(self.artist) if isinstance(self.artist, BarContainer) else [self.artist]

    @property
    def transform(self) -> Any:
        first = self.artists[0]
        return first.get_data_transform() if isinstance(first, Patch) else first.get_transform()

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            colors = [value] * len(self.artists) if is_color_like(value) else list(value)
            if len(colors) != len(self.artists):
                raise ValueError(f"{self.name} (color) must be one colour or {len(self.artists)}, but is {value!r}")
            return [_color(self.name, color) for color in colors]
        if part == "lengths":
            return self.array(part, value, (len(self.artists),))
        return self.array(part, value, (4,)) if part == "box" else super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "lengths" in parts:
            for bar, length in zip(self.artists, parts["lengths"], strict=True):
                (bar.set_width if self.artist.orientation == "horizontal" else bar.set_height)(length)
        if "box" in parts:
            self.artist.set_bounds(*parts["box"])
        if "vertices" in parts:
            is_patch = isinstance(self.artist, Polygon)
            self.artist.set_xy(parts["vertices"]) if is_patch else self.artist.set_verts([parts["vertices"]])
        for artist, color in zip(self.artists, parts.get("color", ()), strict=False):
            artist.set_facecolor(color)

    def payload(self) -> dict[str, Any]:
        unit, outlines, faces, edges, widths = self.pixels_per_point(), [], [], [], []
        for artist in self.artists:
            if isinstance(artist, Patch):
                paths = [artist.get_path().transformed(artist.get_patch_transform())]
                face, edge, width = artist.get_facecolor(), artist.get_edgecolor(), artist.get_linewidth()
            else:
                paths = artist.get_paths()
                face, edge, width = (
                    [*rows, (0, 0, 0, 0)][0]
                    for rows in (artist.get_facecolor(), artist.get_edgecolor(), [*artist.get_linewidth(), 0.0])
                )
            for path in paths:
                outlines += path.to_polygons(closed_only=False)
                faces.append(css_color(face))
                edges.append(css_color(edge))
                widths.append(float(width) * unit)
        return {
            **super().payload(),
            "vertices": self.projected(np.concatenate(outlines) if outlines else np.zeros((0, 2))),
            "lengths": [len(outline) for outline in outlines],
            "faces": faces,
            "edges": edges,
            "widths": widths,
        }


class MovingText(Moving):
    """A text: its words, where it stands, its colour."""

    kind, main = "text", "text"
    parts = {"text": "the words", "position": "(2,): x, y", "color": "a colour"}  # noqa: RUF012

    def __init__(self, name: str, text: Text) -> None:
        super().__init__(name, text)
        self.checked("text", text.get_text())

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            return _color(self.name, value)
        if part == "position":
            return self.array(part, value, (2,))
        if part == "text":
            if str(value).count("$") > 1:
                raise ValueError(
                    f"{self.name} moves, so it is written without TeX, but is {value!r}; "
                    "write the formula as a static label and let the number move"
                )
            return str(value)
        return super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "text" in parts:
            self.artist.set_text(parts["text"])
        if "position" in parts:
            self.artist.set_position(parts["position"])
        if "color" in parts:
            self.artist.set_color(parts["color"])

    def payload(self) -> dict[str, Any]:
        text = self.artist
        return {
            **super().payload(),
            "labels": [text.get_text()],
            "colors": [css_color(text.get_color(), text.get_alpha())],
            "positions": self.projected([text.get_position()]),
            "font": font_of(text, self.pixels_per_point()),
        }


def follow(name: str, artist: Any) -> Moving:
    """The Moving for an artist. Raises ValueError for kinds that the browser can't paint."""
    kinds = {
        HeatMap: MovingHeatMap, AxesImage: MovingImage, PathCollection: MovingPoints, LineCollection: MovingLines,
        Line2D: MovingLine, Quiver: MovingArrows, BarContainer: MovingPolygons, Patch: MovingPolygons,
        PolyCollection: MovingPolygons, Text: MovingText,
    }  # fmt: skip
    for kind, moving in kinds.items():
        if isinstance(artist, kind):
            return moving(name, artist)
    raise ValueError(
        f"{name} is a {type(artist).__name__}, which can't move; what can: {', '.join(k.__name__ for k in kinds)}"
    )


def _outline(path: Path) -> list[np.ndarray]:
    """A marker's outline, in units of its size; curves become short straight pieces."""
    codes = None if path.codes is None else path.codes.tobytes()
    return _outline_of(np.asarray(path.vertices, dtype=float).tobytes(), codes)


@functools.lru_cache(64)
def _outline_of(vertices: bytes, codes: bytes | None) -> list[np.ndarray]:
    path = Path(np.frombuffer(vertices).reshape(-1, 2), None if codes is None else np.frombuffer(codes, Path.code_type))
    # Enlarged first: curves are cut to a tenth of a pixel or so.
    pieces = path.to_polygons(Affine2D().scale(64), closed_only=False)
    return [(np.asarray(piece) / 64).astype(np.float32) for piece in pieces]


def _color(name: str, value: Any) -> Any:
    if not is_color_like(value):
        raise ValueError(f"{name} (color) must be a colour of matplotlib, but is {value!r}")
    return value
