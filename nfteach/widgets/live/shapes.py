"""Artists that move and are drawn with strokes: points, polylines and arrows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.quiver import Quiver
from matplotlib.transforms import Affine2D

from nfteach.widgets.live.mover import Moving, checked_color, css_color

__all__ = ["MovingArrows", "MovingLine", "MovingLines", "MovingPoints"]


_NONE = ("None", "none", " ", "", None)  # matplotlib's words for no line and no marker


class MovingPoints(Moving):
    """A scatter plot: its points, and the values that its colour map shows where it has them."""

    kind, main = "points", "points"
    parts = {"points": "(n, 2)", "values": "(n,), shown by the colour map"}  # noqa: RUF012

    @property
    def transform(self) -> Any:
        return self._artist.get_offset_transform()

    def checked(self, part: str, value: Any) -> Any:
        return self.array(part, value, (None,)) if part == "values" else super().checked(part, value)

    def check(self, value: Any) -> dict[str, Any]:
        parts = super().check(value)
        held = self._artist.get_array()
        if held is None and "values" not in parts:
            return parts
        points = len(parts["points"] if "points" in parts else self.artist.get_offsets())
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

    def told(self, value: np.ndarray) -> dict[str, Any] | None:
        # With values, the colour map has its say.
        return {"points": self.projected(value)} if self._artist.get_array() is None else None

    def data_at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels from the bottom left -> the artist's coordinates, clipped to its axes."""
        point = self.transform.inverted().transform((x, y))
        ax = self._artist.axes
        if ax is not None:
            point = np.clip(point, *np.sort([ax.get_xlim(), ax.get_ylim()], axis=1).T)
        return float(point[0]), float(point[1])

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
            return checked_color(self.name, value)
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

    def told(self, value: np.ndarray | list[np.ndarray]) -> dict[str, Any]:
        return {
            "vertices": self.projected(np.concatenate(value) if len(value) else np.zeros((0, 2))),
            "lengths": [len(line) for line in value],
        }

    def payload(self) -> dict[str, Any]:
        unit = self.pixels_per_point()
        offset, dashes = self.artist.get_linestyle()[0]
        return {
            **super().payload(),
            **self.told([path.vertices for path in self.artist.get_paths()]),
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
        return checked_color(self.name, value) if part == "color" else super().checked(part, value)

    def apply(self, parts: Mapping[str, Any]) -> None:
        super().apply(parts)
        if "points" in parts:
            self.artist.set_data(*parts["points"].T)
        if "color" in parts:
            self.artist.set_color(parts["color"])

    def told(self, value: np.ndarray) -> dict[str, Any] | None:
        plain = self._artist.get_marker() in _NONE
        return {"vertices": self.projected(value), "lengths": [len(value)] if self._drawn() else []} if plain else None

    def _drawn(self) -> bool:
        return self._artist.get_linestyle() not in _NONE

    def payload(self) -> dict[str, Any]:
        unit, line = self.pixels_per_point(), self.artist
        points, width, alpha = self.projected(line.get_xydata()), line.get_linewidth(), line.get_alpha()
        style = {"--": "dashed", "-.": "dashdot", ":": "dotted"}.get(line.get_linestyle())
        dashes = np.array(rcParams[f"lines.{style}_pattern"]) * width if style else np.zeros(0)
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
            "lengths": [len(points)] if self._drawn() else [],
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
        return self._artist.axes.transData

    def checked(self, part: str, value: Any) -> Any:
        if part == "color":
            return checked_color(self.name, value)
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

    def told(self, value: np.ndarray) -> dict[str, Any] | None:
        if value.shape[1] == 2:
            return None  # from where the arrows are
        tails, vectors = value[:, :2], value[:, 2:]
        return {"tails": self.projected(tails), "tips": self.projected(tails + vectors / (self._artist.scale or 1))}

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
