"""One artist that moves: what it takes, what waits until somebody looks, and what the browser is told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import is_color_like, to_rgba
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

__all__ = ["Moving", "checked_color", "css_color", "font_of", "same"]


class Moving:
    """One artist that moves. A subclass per kind of artist says what it takes and what the browser paints.

    ``check`` looks at new values and changes nothing; ``take`` accepts checked values and says what the browser
    paints anew. Two routes lead there. ``apply`` gives the values to the matplotlib artist and ``payload`` reads it,
    so that what the browser paints and what matplotlib draws agree. But matplotlib's own bookkeeping takes longer than
    all the rest. So what changes with every move of a slider, the main array above all, takes a short cut: ``told`` and
    ``told_part`` say what the browser needs, and the artist gets it later, by ``settle``, once the message is sent.
    """

    kind = ""
    main = ""  # what a bare array is taken for
    parts: dict[str, str] = {}  # noqa: RUF012 - what else may be given, and a word on it

    def __init__(self, name: str, artist: Any) -> None:
        self.name, self._artist = name, artist
        self._waiting: dict[str, Any] = {}
        self._taken: dict[str, Any] = {}

    @property
    def artist(self) -> Any:
        """The matplotlib artist, with all that it was given."""
        self.settle()
        return self._artist

    @property
    def artists(self) -> list[Artist]:
        """The matplotlib artists behind it."""
        return [self.artist]

    def take(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Accept checked parts, and say what the browser paints anew: nothing if they are what was given last."""
        return {} if same(parts, self._taken) else self.put(parts)

    def put(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Accept checked parts, and say what they paint."""
        self._taken = parts
        told = self._short_cut(parts)
        if told is not None:
            self._waiting = self._waiting | parts
            return told
        self.settle()
        self.apply(parts)
        return self.payload()

    def settle(self) -> None:
        """Give the artist what waits for it."""
        if self._waiting:
            parts, self._waiting = self._waiting, {}
            self.apply(parts)

    def _short_cut(self, parts: Mapping[str, Any]) -> dict[str, Any] | None:
        told: dict[str, Any] = {}
        for part, value in parts.items():
            news = self.told(value) if part == self.main else self.told_part(part, value)
            if news is None:
                return None
            told.update(news)
        return told

    def told(self, value: Any) -> dict[str, Any] | None:
        """What the browser needs when the main array is new; None if the artist must be asked."""
        return None

    def told_part(self, part: str, value: Any) -> dict[str, Any] | None:
        """The same for another part."""
        return {"visible": value} if part == "visible" else None

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
        """Give checked parts to the artist, which has none that wait."""
        for artist in self.artists:
            if "visible" in parts:
                artist.set_visible(parts["visible"])
            if "alpha" in parts:
                artist.set_alpha(parts["alpha"])

    @property
    def transform(self) -> Any:
        """From the artist's coordinates to pixels."""
        return self._artist.get_transform()

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
        """Pixels of the figure in a point, matplotlib's unit of lengths."""
        return self.artists[0].get_figure(root=True).dpi / 72

    def projected(self, points: np.ndarray) -> np.ndarray:
        """Points before the affine map, float32: log scales and the like are done here."""
        flat = self.transform.transform_non_affine(np.asarray(points, dtype=np.float64).reshape(-1, 2))
        return flat.reshape(np.shape(points)).astype(np.float32)

    def payload(self) -> dict[str, Any]:
        """What the browser paints now: numbers, words and arrays."""
        return {"visible": self.artists[0].get_visible()}


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
    # The key has all that the measures depend on.
    key = text.get_fontproperties(), text.get_figure(root=True).dpi, str(getattr(text, "_linespacing", None))
    if key not in _measures:
        if len(_measures) > 200:
            _measures.clear()
        _measures[key] = _measured(text)
    single, several = _measures[key]
    return {
        "size": text.get_fontsize() * unit,
        "weight": str(text.get_fontweight()),
        "style": text.get_fontstyle(),
        "align": text.get_horizontalalignment(),
        "baseline": text.get_verticalalignment(),
        "rotation": text.get_rotation(),
        "anchor": text.get_rotation_mode() == "anchor",
        "single": single,
        "several": several,
    }


_measures: dict[Any, tuple[dict[str, float], dict[str, float]]] = {}


def _measured(text: Text) -> tuple[dict[str, float], dict[str, float]]:
    """Of one line, and of several: pixels above the first baseline, below the last, and from one to the next."""
    probe = Text()
    probe.update_from(text)
    probe.set(rotation=0, va="baseline", ha="left", figure=text.get_figure(root=True), transform=IdentityTransform())

    def extent(lines: int) -> tuple[float, float]:
        probe.set_text("\n".join(["lp"] * lines))
        box = probe.get_window_extent()
        return float(box.y1), -float(box.y0)  # from the last baseline

    (up, down), two, three = extent(1), extent(2), extent(3)
    step = three[0] - two[0]
    return {"up": up, "down": down, "step": 0.0}, {"up": two[0] - step, "down": two[1], "step": step}


def _listed(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{part!r}: {what}" for part, what in parts.items())


def same(one: Any, other: Any) -> bool:
    """Whether two checked values, or dicts or lists of them, are equal."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
