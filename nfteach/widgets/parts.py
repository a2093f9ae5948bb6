"""Parts of an explorer's picture: what is shown, as tensors; the browser and matplotlib draw them alike.

A picture is a dictionary, name -> part. A part is a frozen dataclass: its tensors are what moves, its other fields say
how it is drawn. A :class:`Plane` or :class:`Chart` holds marks, in the order in which they are painted. Colours are
roles, not values, and mean the same in the whole course: ``"z"`` (blue) lives in latent space, ``"x"`` (orange) in data
space, ``"neg"`` (purple) is negative, turned over or folded, ``"pos"`` (green) positive, ``"ink"``, ``"soft"`` and
``"rule"`` are the page's own text, secondary text and lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "COLORS",
    "Area",
    "Arrows",
    "Bars",
    "Chart",
    "Curves",
    "Density",
    "Dots",
    "Gauge",
    "Handle",
    "Label",
    "Mark",
    "Matrix",
    "Number",
    "Part",
    "Pixels",
    "Plane",
    "Strip",
    "finite",
    "flatten",
]

COLORS = ("z", "x", "neg", "pos", "ink", "soft", "rule")

Pair = tuple[float, float]

# The shapes of the tensors that a part cannot do without; a letter is any size.
_SHAPES = {
    "Density.values": ("rows, columns",),
    "Curves.points": ("lines, points, 2", "points, 2"),
    "Area.points": ("polygons, points, 2", "points, 2"),
    "Dots.points": ("n, 2",),
    "Arrows.tails": ("n, 2",),
    "Arrows.tips": ("n, 2",),
    "Bars.at": ("n",),
    "Bars.heights": ("n",),
    "Label.at": ("2",),
    "Handle.at": ("2",),
    "Matrix.values": ("rows, columns",),
    "Strip.values": ("n",),
    "Pixels.ink": ("images, rows, columns",),
}
_TWINS = {"tips": "tails", "heights": "at", "zero": "values", "one": "values", "dots": "values", "hue": "ink",
          "outline": "ink", "paintable": "ink"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The base of everything drawn inside of a :class:`Plane` or :class:`Chart`.

    Args:
        color: a role, one of :data:`COLORS`.
        toward, shade: another role, and how far (0 to 1) the colour has moved there.
        visible: whether it is drawn, bool or a bool tensor ().
        links: names; where an entry of a matrix is pointed at, marks without one of its names fade.
        fixed: if True, it does not move in a tween between two steps.
    """

    color: str = "ink"
    toward: str | None = None
    shade: Tensor | float = 0.0
    visible: Tensor | bool = True
    links: tuple[str, ...] = ()
    fixed: bool = False


@dataclass(frozen=True)
class Density(Mark):
    """A density, from the page's ground to one saturated hue, on a fixed scale: squeezing looks darker.

    Args:
        values: (rows, columns), per unit of area; the lowest row first. They travel as 255 levels of the tint.
        extent: left, right, bottom, top of its outer edges.
        scale: the density at which the tint has 63 % of its strength.
        blend: whether one density turns into the next in a tween between two steps, as in a training; else it is only
            seen where the points rest.
    """

    values: Tensor
    extent: tuple[float, float, float, float]
    scale: float = 0.11
    blend: bool = False
    color: str = field(default="x", kw_only=True)


@dataclass(frozen=True)
class Curves(Mark):
    """Polylines.

    Args:
        points: (lines, points, 2), or (points, 2) for one.
        width: pixels; alpha: 0 to 1; dash: dashed.
        fade: if True, it dissolves at the frame's edge like the density.
    """

    points: Tensor
    width: float = 1.0
    alpha: float = 1.0
    dash: bool = False
    fade: bool = True


@dataclass(frozen=True)
class Area(Mark):
    """Filled polygons, (polygons, points, 2), or (points, 2) for one."""

    points: Tensor
    alpha: float = 0.2


@dataclass(frozen=True)
class Dots(Mark):
    """Points.

    Args:
        points: (n, 2).
        size: radius in pixels; ring: hollow, filled with the page's ground.
        labels: what they are called, one each; a dot with a name that leaves the frame is pointed at from its edge.
        front: if True, drawn above the arrows, with a thin halo.
    """

    points: Tensor
    size: float = 1.6
    alpha: float = 0.8
    ring: bool = False
    labels: tuple[str, ...] = ()
    front: bool = False
    color: str = field(default="x", kw_only=True)


@dataclass(frozen=True)
class Arrows(Mark):
    """Arrows from tails (n, 2) to tips (n, 2).

    Args:
        width: pixels; dash: dashed; head: whether it has a head, else it is a line with a halo.
        gap: pixels by which it ends before its tip, to leave room for a handle.
        label: what it is called, beyond its tip.
    """

    tails: Tensor
    tips: Tensor
    width: float = 2.5
    dash: bool = False
    head: bool = True
    gap: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Bars(Mark):
    """Bars of heights (n,) from ``base``, centred at ``at`` (n,); ``signed``: coloured by their signs."""

    at: Tensor
    heights: Tensor
    width: float = 0.8
    base: float = 0.0
    signed: bool = False
    alpha: float = 0.8


@dataclass(frozen=True)
class Label(Mark):
    """Words at a place (2,).

    Args:
        angle: degrees, counterclockwise in the data's coordinates; None: level, and moved aside where it would
            cover something.
        lift: pixels by which it stands above its place, across its own direction; shift: along it.
        anchor: what of it stands there: its ``"start"``, ``"middle"`` or ``"end"``.
        size: pixels; italic: as mathematics are set.
    """

    at: Tensor
    text: str
    angle: Tensor | None = None
    lift: float = 0.0
    shift: float = 0.0
    anchor: str = "middle"
    size: int = 12
    italic: bool = False


@dataclass(frozen=True)
class Handle(Mark):
    """A point (2,) that can be dragged, or moved by the arrow keys.

    Args:
        x, y: the controls that it moves; None for a direction that stays. An explorer that defines ``drag`` may
            leave both out.
        label: its name in the picture; help: what a drag does, in words.
        shape: ``"ring"``, ``"dot"``, or ``"grip"``, a pill across the direction ``angle`` (degrees).
        step: how far an arrow key moves it, in data units.
        value: what it stands at, for those who hear it; by default its place.
    """

    at: Tensor
    x: str | None = None
    y: str | None = None
    label: str = ""
    help: str = ""
    shape: str = "ring"
    angle: Tensor | float = 0.0
    step: float = 0.1
    value: str = ""
    color: str = field(default="z", kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The base of what stands side by side in a picture.

    Args:
        title: a few words above it; note: one line below.
        width, height: pixels, where there is room for them.
        place: ``"main"``; ``"side"``, in the column of numbers; or ``"corner"``, a round glass over the upper right
            corner of the main picture.
        aside: whether a part in the corner makes room and stands in the upper left one, bool or a bool tensor ().
        column: the name of a column: main parts of one column stand below each other with a note of their own, the
            columns side by side over the whole width, and the numbers below all.
    """

    title: str = ""
    note: str = ""
    width: int = 360
    height: int = 360
    place: str = "main"
    aside: Tensor | bool = False
    column: str = ""


@dataclass(frozen=True)
class Plane(Part):
    """A region of the plane, both axes at one scale; its ranges are always in view.

    Args:
        marks: name -> mark, in the order of painting.
        x, y: the ranges.
        ticks: positions of tick labels on both axes.
        fade: whether the picture dissolves into the page at its edge.
        xlabel, ylabel: words at the ends of the axes.
    """

    marks: Mapping[str, Mark]
    x: Pair = (-3.5, 3.5)
    y: Pair = (-3.4, 3.4)
    ticks: tuple[float, ...] = (-2, 0, 2)
    fade: bool = True
    equal: bool = True
    xlabel: str = ""
    ylabel: str = ""
    width: int = field(default=560, kw_only=True)
    height: int = field(default=430, kw_only=True)


@dataclass(frozen=True)
class Chart(Plane):
    """A :class:`Plane` whose axes have scales of their own.

    Args:
        yticks: positions of tick labels on the vertical axis; those beyond ``y`` are not shown.
        axis: whether a line is drawn at height zero.
        steps: where each frame stands on the horizontal axis: click there to go to it, drag to move through all.
    """

    fade: bool = False
    equal: bool = False
    yticks: tuple[float, ...] = ()
    axis: bool = True
    steps: tuple[float, ...] = ()
    height: int = field(default=200, kw_only=True)


@dataclass(frozen=True)
class Matrix(Part):
    """A matrix, such as a Jacobian: green above zero, purple below, on one scale in the whole course.

    Args:
        values: (rows, columns).
        zero, one: bool (rows, columns): zeros and ones by structure, which hold everywhere; marked by a dot and a
            bold 1, without a fill.
        rows, columns: labels; empty for none.
        notes: one sentence an entry, row by row: what makes it; shown below while it is pointed at.
        row_links, column_links: the names that light up in other parts with a row or column; while a handle with
            such a name is held, its row or column lights up.
        links: the names that light up with an entry, row by row, in place of those of its row and column.
    """

    values: Tensor
    zero: Tensor | None = None
    one: Tensor | None = None
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    row_links: tuple[str, ...] = ()
    column_links: tuple[str, ...] = ()
    links: tuple[tuple[str, ...], ...] = ()
    width: int = field(default=264, kw_only=True)
    height: int = field(default=264, kw_only=True)


@dataclass(frozen=True)
class Strip(Part):
    """Bars, one a step, with the step that is shown: click one to go there, drag to move through all.

    Args:
        values: (n,), one bar for each step from 1 to n; green above zero, purple below.
        dots: (n,), a second value for each, drawn as a ring; None for none.
        labels: below the bars; empty: 1 to n. first, last: names of the two ends, in the colours z and x.
        limit: the largest absolute value in view, wedges point at rings beyond; None: that of the values.
    """

    values: Tensor
    dots: Tensor | None = None
    labels: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    limit: float | None = None
    width: int = field(default=560, kw_only=True)
    height: int = field(default=84, kw_only=True)


@dataclass(frozen=True)
class Pixels(Part):
    """Images, side by side.

    Args:
        ink: (images, rows, columns), 0 (the ground) to 1.
        hue: (images, rows, columns), whole numbers: which of ``hues`` a pixel has; None: the first.
        hues: roles.
        titles: words below each image; empty for none.
        per_row: images in a row.
        lit: (3,) or (pixels, 3), image, row and column of an outlined pixel; negative for none.
        chosen: () or (n,), outlined images; negative for none.
        outline: (images, rows, columns) bool: pixels with an edge, such as those that are given; None: all. Without
            any, pixels touch each other.
        gesture: what the pointer does: ``"paint"``, ``"pick"`` (a pixel), ``"choose"`` (an image) or ``""``. An
            explorer's ``drag`` is called with image, row, column and ink of each painted pixel, with image, row and
            column, or with the image.
        paintable: (images, rows, columns) bool: pixels that are painted; the others are picked, with an ink of -1.
            None: all.
        border: (), a row above which a line stands that can be dragged, the gesture ``"name/border"``; None: no line.
        border_help: what that does, in words.
        order: (rows, columns), from 0 to 1: when a pixel changes over between two pictures; None: all at once.
        notes: one sentence a pixel, image by image; shown below while it is pointed at.
        words: a letter or two a pixel, image by image, where pixels are large enough; empty for none.
        lines: (lines, 5), image, then row and column of both ends, counted from the upper left corner; None for none.
    """

    ink: Tensor
    hue: Tensor | None = None
    hues: tuple[str, ...] = ("ink",)
    titles: tuple[str, ...] = ()
    per_row: int = 1
    lit: Tensor | None = None
    chosen: Tensor | None = None
    outline: Tensor | None = None
    gesture: str = ""
    help: str = ""
    paintable: Tensor | None = None
    border: Tensor | None = None
    border_help: str = ""
    order: Tensor | None = None
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lines: Tensor | None = None


@dataclass(frozen=True)
class Gauge:
    """A line on which a number of the readout stands, with the zone in which something breaks.

    Args:
        range: ends of the line. ticks: labelled positions.
        zone: the forbidden range, or None; word: what happens there.
        given: (), a second, pale mark; None for none.
    """

    range: Pair
    ticks: tuple[float, ...] = ()
    zone: Pair | None = None
    word: str = ""
    given: Tensor | float | None = None
    color: str = "x"


@dataclass(frozen=True)
class Number:
    """A number of the readout with a line that says what it means.

    Args:
        value: a number, or a text.
        note: that line. unit: behind the number. bad: whether something is broken: it turns purple.
        digits: decimals. gauge: a line on which it is shown, too. more: whether it stands under "more numbers".
    """

    value: Any
    note: str = ""
    unit: str = ""
    bad: Tensor | bool = False
    digits: int = 2
    gauge: Gauge | None = field(default=None, kw_only=True)
    more: bool = field(default=False, kw_only=True)


def flatten(
    picture: Mapping[str, Part], plain: Callable[[str, Tensor], Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Return path -> fields, as plain values and numpy arrays: the parts, and their marks as ``part/mark``.

    Tensors of no dimension become numbers, others float32 or uint8 arrays.

    Args:
        picture: name -> part.
        plain: ``plain(path, tensor)`` returns what stands for a tensor, in place of numbers and arrays.

    Raises:
        ValueError: something that is no part or mark, two of one name, a colour that is none, a tensor of another
            shape, NaN or infinity; the message names it.
    """
    flat: dict[str, dict[str, Any]] = {}
    names = set()
    for path, node in _walk(picture):
        name = path.rpartition("/")[2]
        if name in names:
            raise ValueError(f"two parts or marks are called {name!r}; gestures need names of their own")
        names.add(name)
        kept: dict[str, Any] = {"kind": type(node).__name__}
        for each in dataclasses.fields(node):
            if each.name != "marks":
                value = getattr(node, each.name)
                if isinstance(node, Density) and each.name == "values":
                    value = _levels(value if plain else finite(f"{path}.values", value), node.scale)
                kept[each.name] = _plain(f"{path}.{each.name}", value, plain or _numbers)
        kept.pop("scale", None)
        if kept.get("color", "ink") not in COLORS:
            raise ValueError(f"the colour of {path} must be one of {', '.join(COLORS)}, but is {kept['color']!r}")
        _check_shapes(path, kept)
        flat[path] = kept
    return flat


def _check_shapes(path: str, node: Mapping[str, Any]) -> None:
    for name, value in node.items():
        shapes = _SHAPES.get(f"{node['kind']}.{name}")
        shape = getattr(value, "shape", None)
        if shapes and not any(_fits(shape, wanted) for wanted in shapes):
            given = f"has {tuple(shape)}" if shape is not None else f"is {value!r}"
            raise ValueError(f"{path}.{name} must be a tensor of shape ({') or ('.join(shapes)}), but {given}")
        twin = node.get(_TWINS.get(name, ""))
        if twin is not None and shape is not None and shape != twin.shape:
            other = f"{_TWINS[name]}, {tuple(twin.shape)}"
            raise ValueError(f"{path}.{name} must have the shape of {other}, but has {tuple(shape)}")


def _fits(shape: tuple[int, ...] | None, wanted: str) -> bool:
    sizes = wanted.split(", ")
    return (
        shape is not None
        and len(shape) == len(sizes)
        and all(not size.isdigit() or int(size) == here for size, here in zip(sizes, shape, strict=True))
    )


def _walk(picture: Mapping[str, Part]) -> Iterator[tuple[str, Part | Mark]]:
    for name, part in picture.items():
        if not isinstance(part, Part):
            raise ValueError(f"{name} must be a part, such as a Plane or a Matrix, but is {type(part).__name__}")
        yield name, part
        for inner, mark in getattr(part, "marks", {}).items():
            if not isinstance(mark, Mark):
                raise ValueError(f"{name}/{inner} must be a mark, such as Curves, but is {type(mark).__name__}")
            yield f"{name}/{inner}", mark


def _levels(density: Any, scale: float) -> Any:
    """Return a density as levels of its tint, 0 to 255."""
    if not isinstance(density, Tensor):
        return density
    return torch.round(255 - 255 * torch.exp(-density.clamp_min(0) / scale)).to(torch.uint8)


def _plain(where: str, value: Any, plain: Callable[[str, Tensor], Any]) -> Any:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return plain(where, value)
    if isinstance(value, torch.Size | tuple):
        return [_plain(where, one, plain) for one in value]
    return value


def _numbers(where: str, tensor: Tensor) -> Any:
    array = tensor.detach().cpu().numpy()
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where} must hold real numbers, but is of type {array.dtype}")
    if array.dtype == bool:
        return bool(array) if array.ndim == 0 else array.astype(np.uint8)
    finite(where, tensor)
    # A copy: what is done to the tensor later changes nothing that is shown.
    if array.ndim == 0:
        return float(array)
    return np.array(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32, order="C")


def finite(where: str, values: Any) -> Any:
    """Return values, which are named in the ValueError if they are a tensor with NaN or infinity."""
    if isinstance(values, Tensor) and (bad := values.numel() - int(values.isfinite().sum())):
        raise ValueError(f"{where} has {bad} of {values.numel()} numbers that are NaN or infinite; give finite ones")
    return values
