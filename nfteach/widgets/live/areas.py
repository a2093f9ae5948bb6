"""Artists that move: areas and words; and which Moving follows which artist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import is_color_like
from matplotlib.container import BarContainer
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.quiver import Quiver
from matplotlib.text import Text

from nfteach.widgets.live.mover import Moving, checked_color, css_color, font_of
from nfteach.widgets.live.moving import HeatMap, MovingHeatMap, MovingImage
from nfteach.widgets.live.shapes import MovingArrows, MovingLine, MovingLines, MovingPoints

__all__ = ["MovingPolygons", "MovingText", "follow"]

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])  # of a box, there and back


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
        return list(self._artist) if isinstance(self._artist, BarContainer) else [self._artist]

    @property
    def transform(self) -> Any:
        first = self.artists[0]
        return first.get_data_transform() if isinstance(first, Patch) else first.get_transform()

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            colors = [value] * len(self.artists) if is_color_like(value) else list(value)
            if len(colors) != len(self.artists):
                raise ValueError(f"{self.name} (color) must be one colour or {len(self.artists)}, but is {value!r}")
            return [checked_color(self.name, color) for color in colors]
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

    def told(self, value: np.ndarray) -> dict[str, Any] | None:
        if self.main == "vertices":
            if not isinstance(self._artist, Polygon) or not self._artist.get_closed() or len(value) < 3:
                return None
            outlines = value[None] if np.array_equal(value[0], value[-1]) else np.concatenate([value, value[:1]])[None]
        elif any(patch.get_angle() for patch in self.artists):
            return None
        else:
            boxes = value[None] if self.main == "box" else self._boxes(value)
            outlines = boxes[:, None, :2] + _CORNERS * boxes[:, None, 2:]
        lengths = [outlines.shape[1]] * len(outlines)
        return {"vertices": self.projected(outlines.reshape(-1, 2)), "lengths": lengths}

    def _boxes(self, lengths: np.ndarray) -> np.ndarray:
        """(n, 4): x, y, width and height of bars."""
        boxes = np.array([(*bar.get_xy(), bar.get_width(), bar.get_height()) for bar in self.artists]).reshape(-1, 4)
        boxes[:, 2 if self._artist.orientation == "horizontal" else 3] = lengths
        return boxes

    def told_part(self, part: str, value: Any) -> dict[str, Any] | None:
        if part != "color" or not all(isinstance(artist, Patch) for artist in self.artists):
            return super().told_part(part, value)
        pairs = zip(self.artists, value, strict=True)
        return {"faces": [css_color(color, one.get_alpha()) if one.get_fill() else "" for one, color in pairs]}

    def payload(self) -> dict[str, Any]:
        self.settle()
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
            return checked_color(self.name, value)
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

    def told(self, value: str) -> dict[str, Any]:
        return {"labels": [value]}

    def told_part(self, part: str, value: Any) -> dict[str, Any] | None:
        if part == "position":
            return {"positions": self.projected(value[None])}
        if part == "color":
            return {"colors": [css_color(value, self._artist.get_alpha())]}
        return super().told_part(part, value)

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
