"""A picture of parts drawn by matplotlib, from the arrays that the browser has: for stored notebooks, and print."""

from __future__ import annotations

import io
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from nfteach.jacobian.numbers import cell as entry
from nfteach.jacobian.views.scale import opacity
from nfteach.plots.palette import DATA, LATENT, NEGATIVE, POSITIVE, SOFT

__all__ = ["figure_of", "to_png"]

# One picture for a white page and a dark one.
ROLES = {"z": LATENT, "x": DATA, "neg": NEGATIVE, "pos": POSITIVE, "ink": SOFT, "soft": SOFT, "rule": "#9A9A9A"}
WIDTH, GAP, GAUGE = 848, 24, 264  # pixels of the page
TINT = 0.5

Flat = Mapping[str, Mapping[str, Any]]


def to_png(figure: Figure, pixel_ratio: float = 1.25) -> bytes:
    """Return a figure as PNG, on a transparent ground, in its 256 most frequent colours: a quarter of the size."""
    figure.set_dpi(96 * pixel_ratio)
    figure.patch.set_visible(False)
    figure.canvas.draw()
    rgba = np.array(figure.canvas.buffer_rgba()).astype(np.int16)
    rgba[rgba[..., 3] == 0] = 0
    coarse = np.minimum((rgba + 4) // 8 * 8, 255).astype(np.uint8)
    every, place, counts = np.unique(coarse.reshape(-1, 4).view(np.uint32), return_inverse=True, return_counts=True)
    colors = every.view(np.uint8).reshape(-1, 4)
    kept = np.argsort(-counts, kind="stable")[:256]
    # A colour that is left out becomes the nearest one, as both are seen on a ground.
    seen = colors.astype(float) * np.where(np.arange(4) < 3, colors[:, 3:] / 255, 1.0)
    nearest = ((seen[:, None] - seen[kept]) ** 2).sum(-1).argmin(1)
    picture = Image.fromarray(nearest[place].astype(np.uint8).reshape(rgba.shape[:2]))
    picture.putpalette(colors[kept, :3].tobytes())
    stream = io.BytesIO()
    picture.save(stream, "png", optimize=True, transparency=colors[kept, 3].tobytes())
    return stream.getvalue()


def figure_of(flat: Flat, rows: Sequence[Sequence[Any]], help: str = "", main: int = 560) -> Figure:
    """Return a figure with all parts in their places, and the numbers beside them."""
    boxes, height = _places(flat, rows, help, main)
    figure = Figure(figsize=(WIDTH / 96, height / 96), dpi=96)
    FigureCanvasAgg(figure)
    if help:
        words = re.sub(r"\[([^\]]+)\]\(\w+\)|\*([^*]+)\*", lambda found: found[1] or found[2], help)
        figure.text(0.0, 1 - 14 / height, words, fontsize=10.5, va="center", color=ROLES["ink"])
    for name, (left, top, width, tall) in boxes.items():
        node = flat[name]
        ax = figure.add_axes((left / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height), frameon=False)
        ax.set(xticks=[], yticks=[])
        if node["title"]:
            ax.annotate(node["title"], (0, 1), (0, 3), "axes fraction", "offset points", size=9, color=ROLES["soft"])
        marks = {path.split("/", 1)[1]: mark for path, mark in flat.items() if path.startswith(f"{name}/")}
        _DRAW[node["kind"]](ax, node, marks, width, tall)
    below = max((top + tall for name, (_, top, _, tall) in boxes.items() if flat[name]["place"] == "main"), default=0.0)
    figure.text(0.0, 1 - (below + 6) / height, _note(flat), size=9.5, va="top", color=ROLES["soft"])
    columns = _columns(flat)
    for names in columns.values():
        note = _column_note(flat, names, len(columns))
        left = boxes[names[0]][0] / WIDTH
        figure.text(left, 1 - (below + 6) / height, note, size=8.5, va="top", color=ROLES["soft"])
    if columns:
        shown = [row for row in rows if not row[5]]
        for k, row in enumerate(shown):
            _number(figure, row, k * (WIDTH + GAP) / len(shown), height - 72, height)
    else:
        _numbers(figure, rows, boxes, flat, height, main)
    return figure


def _columns(flat: Flat) -> dict[str, list[str]]:
    """Return the name of each column -> the names of its parts."""
    columns: dict[str, list[str]] = {}
    for name, node in flat.items():
        if "/" not in name and node["column"]:
            columns.setdefault(node["column"], []).append(name)
    return columns


def _column_note(flat: Flat, names: Sequence[str], columns: int) -> str:
    """Return the note below a column, in lines that fit into one of so many columns."""
    note = next((flat[name]["note"] for name in names if flat[name]["note"]), "")
    return "\n".join(textwrap.fill(line, int(((WIDTH + GAP) / columns - GAP) / 5.8)) for line in note.split("\n"))


def _places(
    flat: Flat, rows: Sequence[Any], help: str, main: int
) -> tuple[dict[str, tuple[float, float, float, float]], float]:
    """Return name -> left, top, width, height of each part in pixels, and the height of all."""
    boxes = {}
    top = 30.0 if help else 6.0
    columns = _columns(flat)
    for k, names in enumerate(columns.values()):
        room, y = (WIDTH + GAP) / len(columns) - GAP, top
        for name in names:
            node, title = flat[name], 18 if flat[name]["title"] else 0
            width = min(node["width"], room)
            tall = node["height"] * width / node["width"] if node["kind"] == "Plane" else _height_of(node, width)
            boxes[name] = (k * (room + GAP), y + title, width, tall)
            y += tall + title + 10
    if columns:
        lines = max(_column_note(flat, names, len(columns)).count("\n") + 1 for names in columns.values())
        return boxes, max(top + tall for _, top, _, tall in boxes.values()) + 16 * lines + 92
    x, y, row_height = 0.0, top, 0.0
    side_y = top
    beside = ("side", "corner")
    has_side = any(not row[5] for row in rows) or any(node.get("place") in beside for node in flat.values())
    room = main if has_side else WIDTH
    for name, node in flat.items():
        if "/" in name:
            continue
        width = min(node["width"], WIDTH - main - GAP if node["place"] in beside else room)
        tall = _height_of(node, width)
        title = 18 if node["title"] else 0
        if node["place"] in beside:
            boxes[name] = (main + GAP, side_y + title, width, tall)
            side_y += tall + title + 14
            continue
        if x and x + width > room:
            x, y, row_height = 0.0, y + row_height + 10, 0.0
        boxes[name] = (x, y + title, width, tall)
        x += width + GAP
        row_height = max(row_height, tall + title)
    return boxes, max(y + row_height + 20 * bool(_note(flat)), side_y + _height_of_numbers(rows)) + 10


def _note(flat: Flat) -> str:
    """Return the line below the main parts: the first one's note that has one."""
    main = [node for node in flat.values() if node.get("place") == "main" and not node["column"]]
    return next((node["note"] for node in main if node["note"]), "")


def _height_of(node: Mapping[str, Any], width: float) -> float:
    if node["kind"] == "Matrix":
        rows, columns = node["values"].shape
        left, above = (34 if node["rows"] else 1), (22 if node["columns"] else 1)
        return float(min(node["height"], above + (width - left) / columns * rows))
    if node["kind"] == "Pixels":
        tiles, rows, columns = node["ink"].shape
        _, down = _tiles(node, width)
        return float(np.ceil(tiles / node["per_row"]) * down)
    return float(node["height"])


def _numbers(
    figure: Figure, rows: Sequence[Sequence[Any]], boxes: Mapping[str, Any], flat: Flat, height: float, main: int
) -> None:
    side = [boxes[name] for name in boxes if flat[name]["place"] != "main"]
    y = max([30.0, *(top + tall + 14 for _, top, _, tall in side)])
    for row in rows:
        *_, note, _, more, gauge = row
        if more:
            continue
        _number(figure, row, main + GAP, y, height)
        y += 62 if note else 46
        if gauge:
            ax = figure.add_axes(
                ((main + GAP) / WIDTH, 1 - (y + 40) / height, GAUGE / WIDTH, 40 / height), frameon=False
            )
            ax.set(xticks=[], yticks=[])
            _gauge(ax, gauge, GAUGE, 40)
            y += 44


def _number(figure: Figure, row: Sequence[Any], x: float, y: float, height: float) -> None:
    """Write a number with its name and note, from the pixel x, y on."""
    label, value, unit, note, bad, *_ = row
    value = f"{value} {unit}".strip()
    for words, size, role, down in (
        (label, 9, "soft", 0), (value, 15, "neg" if bad else "ink", 16), (note, 8.5, "soft", 40)
    ):  # fmt: skip
        figure.text(x / WIDTH, 1 - (y + down) / height, words, size=size, va="top", color=ROLES[role])


def _height_of_numbers(rows: Sequence[Sequence[Any]]) -> float:
    return float(sum((62 if note else 46) + 44 * bool(gauge) for *_, note, _, more, gauge in rows if not more))


# ---- Plane and Chart ---------------------------------------------------------------------------------------------


def _plane(ax: Axes, node: Mapping[str, Any], marks: Mapping[str, Any], width: float, height: float) -> None:
    (x0, x1), (y0, y1) = node["x"], node["y"]
    if node["equal"]:
        scale = min(width / (x1 - x0), height / (y1 - y0))
        half = np.array([width, height]) / scale / 2
        ax.set(xlim=((x0 + x1) / 2 - half[0], (x0 + x1) / 2 + half[0]))
        ax.set(ylim=((y0 + y1) / 2 - half[1], (y0 + y1) / 2 + half[1]))
    else:
        left, bottom = (34 if node["yticks"] else 8), (20 if node["ticks"] or node["xlabel"] else 4)
        per = (x1 - x0) / (width - left - 10), (y1 - y0) / (height - bottom - 10)
        ax.set(xlim=(x0 - left * per[0], x1 + 10 * per[0]), ylim=(y0 - bottom * per[1], y1 + 10 * per[1]))
    ax.set_autoscale_on(False)
    order = itertools.count(2)
    for mark in marks.values():
        if mark["visible"] and mark["kind"] in _MARKS:
            _MARKS[mark["kind"]](ax, mark, next(order))
    _ticks(ax, node)


def _ticks(ax: Axes, node: Mapping[str, Any]) -> None:
    grey = {"size": 9, "color": ROLES["soft"], "clip_on": False}
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    px, py = (right - left) / ax.bbox.width * 96 / ax.figure.dpi, (high - low) / ax.bbox.height * 96 / ax.figure.dpi
    for value in node["ticks"]:
        if not node["equal"] and not node["x"][0] <= value <= node["x"][1]:
            continue
        ax.text(value, low + 3 * py, _tick(value), ha="center", va="bottom", **grey)
        if node["equal"]:
            ax.text(left + 3 * px, value, _tick(value), ha="left", va="center", **grey)
    for value in node.get("yticks", ()):
        if node["y"][0] <= value <= node["y"][1]:
            ax.text(node["x"][0] - 6 * px, value, _tick(value), ha="right", va="center", **grey)
    if node.get("axis"):
        ax.plot(node["x"], [max(node["y"][0], min(0, node["y"][1]))] * 2, color=ROLES["soft"], lw=0.8, zorder=1)
    if node["xlabel"]:
        ax.text(right - 4 * px, low + 3 * py, node["xlabel"], ha="right", va="bottom", style="italic", **grey)
    if node["ylabel"]:
        ax.text(left, high, node["ylabel"], ha="left", va="top", style="italic", **grey)


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _color(mark: Mapping[str, Any]) -> tuple[float, ...]:
    base = np.array(to_rgb(ROLES[mark["color"]]))
    if mark["toward"]:
        base += (np.array(to_rgb(ROLES[mark["toward"]])) - base) * mark["shade"]
    return tuple(base)


def _lines(points: np.ndarray) -> np.ndarray:
    return points if points.ndim == 3 else points[None]


def _density(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    image = np.empty((*mark["values"].shape, 4))
    image[..., :3] = _color(mark)
    edges = [np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5 for n in mark["values"].shape]
    soft = [np.minimum(1, edge / (0.06 * len(edge))) for edge in edges]  # it dissolves at its own edge, too
    image[..., 3] = TINT * mark["values"] / 255 * np.multiply.outer(*soft)
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(
        image, extent=tuple(mark["extent"]), origin="lower", interpolation="bilinear", aspect="auto", zorder=order
    )
    ax.set(xlim=limits[0], ylim=limits[1])


def _curves(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    ax.add_collection(
        LineCollection(
            list(_lines(mark["points"])), colors=[_color(mark)], linewidths=0.75 * mark["width"], alpha=mark["alpha"],
            linestyles="--" if mark["dash"] else "-", zorder=order,
        ),
        autolim=False,
    )  # fmt: skip


def _area(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    for corners in _lines(mark["points"]):
        ax.add_patch(Polygon(corners, closed=True, color=_color(mark), alpha=mark["alpha"], lw=0, zorder=order))


def _dots(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    face = {"facecolors": "white", "edgecolors": [_color(mark)], "linewidths": 1.5} if mark["ring"] else {
        "color": [_color(mark)], "linewidths": 0
    }  # fmt: skip
    ax.scatter(*mark["points"].T, s=(1.5 * mark["size"]) ** 2, alpha=mark["alpha"], zorder=order, **face)
    for point, label in zip(mark["points"], mark["labels"], strict=False):
        _word(ax, point, label, mark["color"], 12, italic=True, offset=(9, 7))


def _arrows(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    for tail, tip in zip(mark["tails"], mark["tips"], strict=True):
        style = "-|>,head_length=0.55,head_width=0.25" if mark["head"] else "-"
        ax.annotate(
            "", tip, tail, zorder=order,
            arrowprops={"arrowstyle": style, "color": _color(mark), "lw": 0.75 * mark["width"], "shrinkA": 0,
                        "shrinkB": 0.75 * mark["gap"], "linestyle": "--" if mark["dash"] else "-"},
        )  # fmt: skip
        if mark["label"]:
            _word(ax, tip, mark["label"], mark["color"], 12, italic=True, offset=(8, 8))


def _bars(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    heights = mark["heights"]
    signs = [ROLES["neg" if height < mark["base"] else "pos"] for height in heights]
    colors = signs if mark["signed"] else [_color(mark)] * len(heights)
    ax.bar(
        mark["at"], heights - mark["base"], mark["width"], mark["base"], color=colors, alpha=mark["alpha"], zorder=order
    )


def _label(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    angle = mark["angle"]
    if angle is not None:
        angle = 90 - (90 - angle) % 180
    turn = np.deg2rad(angle or 0)
    lift, shift = 0.75 * mark["lift"], 0.75 * mark["shift"]
    offset = shift * np.cos(turn) - lift * np.sin(turn), shift * np.sin(turn) + lift * np.cos(turn)
    ha = {"start": "left", "middle": "center", "end": "right"}[mark["anchor"]]
    look = {"italic": mark["italic"], "angle": angle, "offset": offset, "ha": ha, "va": "center"}
    _word(ax, mark["at"], mark["text"], mark["color"], 0.75 * mark["size"], **look)


def _handle(ax: Axes, mark: Mapping[str, Any], order: int) -> None:
    hollow = mark["shape"] != "dot"
    marker = (4, 0, 45) if mark["shape"] == "grip" else "o"
    face = "white" if hollow else _color(mark)
    ax.plot(
        *mark["at"],
        marker=marker,
        ms=9,
        mfc=face,
        mec=_color(mark),
        mew=1.8 if hollow else 0,
        zorder=order,
        clip_on=False,
    )
    if mark["label"]:
        _word(ax, mark["at"], mark["label"], mark["color"], 12, italic=True, offset=(9, 8))


def _word(
    ax: Axes,
    at: Any,
    text: str,
    role: str,
    size: float,
    *,
    italic: bool = False,
    angle: float | None = None,
    offset: tuple[float, float] = (0, 0),
    ha: str = "left",
    va: str = "bottom",
) -> None:
    (left, right), (low, high) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    if not (left <= at[0] <= right and low <= at[1] <= high):
        return
    ax.annotate(
        text, at, offset, textcoords="offset points", size=size, color=ROLES[role], rotation=angle or 0, zorder=1000,
        ha=ha, va=va, style="italic" if italic else "normal",
        weight="bold" if italic else "normal", annotation_clip=False,
    )  # fmt: skip


_MARKS = {
    "Density": _density, "Curves": _curves, "Area": _area, "Dots": _dots, "Arrows": _arrows, "Bars": _bars,
    "Label": _label, "Handle": _handle,
}  # fmt: skip


# ---- the other parts ---------------------------------------------------------------------------------------------


def _matrix(ax: Axes, node: Mapping[str, Any], _: Any, width: float, height: float) -> None:
    rows, columns = node["values"].shape
    left, above = (34 if node["rows"] else 1), (22 if node["columns"] else 1)
    cell, tall = (width - left - 1) / columns, (height - above) / rows
    ax.set(xlim=(0, width), ylim=(height, 0))
    none = np.zeros_like(node["values"])
    zero, one = (none if node[name] is None else node[name] for name in ("zero", "one"))
    strength = opacity(torch.from_numpy(node["values"])).numpy()
    for i, j in itertools.product(range(rows), range(columns)):
        value, x, y = float(node["values"][i, j]), left + j * cell, above + i * tall
        if not zero[i, j] and not one[i, j]:
            color = (*to_rgb(ROLES["neg" if value < 0 else "pos"]), strength[i, j])
            ax.add_patch(
                Rectangle((x + 1, y + 1), cell - 2, tall - 2, facecolor=color, edgecolor=ROLES["rule"], lw=0.4)
            )
        text = "\N{MIDDLE DOT}" if zero[i, j] else "1" if one[i, j] else entry(value) if cell >= 29 else ""
        size = min(max(cell / 3.4, 9), 14) * 0.75
        ax.text(x + cell / 2, y + tall / 2, text, size=size, ha="center", va="center", color=ROLES["ink"],
                weight="bold" if one[i, j] else "normal")  # fmt: skip
    words = {"size": 10.5, "style": "italic", "weight": "bold", "color": ROLES["soft"]}
    for i, label in enumerate(node["rows"]):
        ax.text(left - 6, above + (i + 0.5) * tall, label, ha="right", va="center", **words)
    for j, label in enumerate(node["columns"]):
        ax.text(left + (j + 0.5) * cell, 11, label, ha="center", va="center", **words)


def _gauge(ax: Axes, node: Mapping[str, Any], width: float, height: float) -> None:
    low, high = node["range"]
    ax.set(xlim=(low - (high - low) * 8 / (width - 16), high + (high - low) * 8 / (width - 16)), ylim=(height, 0))
    if node["zone"]:
        ax.add_patch(
            Rectangle((node["zone"][0], 9), node["zone"][1] - node["zone"][0], 6, color=ROLES["neg"], alpha=0.4, lw=0)
        )
        ax.text(node["zone"][0], 34, node["word"], size=9, color=ROLES["neg"])
    ax.plot([low, high], [12, 12], color=ROLES["soft"], lw=0.8)
    for value in node["ticks"]:
        ax.text(value, 34, _tick(value), size=9, ha="center", color=ROLES["soft"])
    for value, alpha in ((node["given"], 0.4), (node["value"], 1)):
        if value is not None:
            ax.plot([np.clip(value, low, high)], [12], "o", color=ROLES[node["color"]], ms=8, alpha=alpha, mew=0)


def _strip(ax: Axes, node: Mapping[str, Any], _: Any, width: float, height: float) -> None:
    values = node["values"]
    dots = node["dots"]
    limit = node["limit"] or max(1e-9, np.abs(values).max(), 0 if dots is None else np.abs(dots).max())
    ax.set(xlim=(-0.02 * len(values), 1.02 * len(values)), ylim=(-1.5, 1.1))
    signs = [ROLES["neg" if value < 0 else "pos"] for value in values]
    ax.bar(np.arange(len(values)) + 0.5, np.clip(values / limit, -1, 1), 0.88, color=signs, alpha=0.6)
    ax.plot([0, len(values)], [0, 0], color=ROLES["soft"], lw=0.8)
    if dots is not None:
        for k, at in enumerate(dots / limit):
            marker = "o" if abs(at) <= 1 else "^" if at > 1 else "v"
            ax.plot(k + 0.5, np.clip(at, -1, 1), marker, mfc="none", mec=ROLES["ink"], ms=5)
    for at, name, role in ((0, node["first"], "z"), (len(values), node["last"], "x")):
        ax.text(at, -1.45, name, size=10, ha="center", va="bottom", color=ROLES[role], style="italic", weight="bold")
    every = max(1, int(np.ceil(len(values) / 12)))
    for k in range(0, len(values), every):
        label = node["labels"][k] if k < len(node["labels"]) else str(k + 1)
        ax.text(k + 0.5, -1.45, label, size=9, ha="center", va="bottom", color=ROLES["soft"])


def _pixels(ax: Axes, node: Mapping[str, Any], _: Any, width: float, height: float) -> None:
    ink, hues = node["ink"], np.array([to_rgb(ROLES[role]) for role in node["hues"]])
    hue = np.zeros_like(ink) if node["hue"] is None else node["hue"]
    chosen = [] if node["chosen"] is None else np.atleast_1d(node["chosen"]).tolist()
    side, _ = _tiles(node, width)
    ax.set(xlim=(0, width), ylim=(height, 0))
    cell = side / ink.shape[2]
    tall = cell * ink.shape[1]
    edge = {"fill": False, "edgecolor": ROLES["rule"], "clip_on": False}
    for tile, (x, y) in enumerate(_corners(node, width)):
        image = np.concatenate([hues[hue[tile].astype(int)], np.clip(ink[tile], 0, 1)[..., None]], -1)
        ax.imshow(image, extent=(x, x + side, y + tall, y), interpolation="nearest", aspect="auto")
        edges = np.ones_like(ink[tile]) if node["outline"] is None else node["outline"][tile]
        for i, j in np.argwhere(edges) if cell > 10 else ():
            ax.add_patch(Rectangle((x + j * cell, y + i * cell), cell, cell, lw=0.4, alpha=0.5, **edge))
        ax.add_patch(Rectangle((x, y), side, tall, lw=1.6 if tile in chosen else 0.5, **edge))
        if tile < len(node["titles"]):
            ax.text(x, y + tall + 14, node["titles"][tile], size=9, color=ROLES["soft"])
    ax.set(xlim=(0, width), ylim=(height, 0))
    _overlay(ax, node, cell, list(_corners(node, width)))
    if node["border"] is not None:
        row = node["border"] * cell
        ax.plot([0, width], [row, row], color=ROLES["ink"], lw=1.2, zorder=8)
        ax.plot([width], [row], "o", mfc="white", mec=ROLES["ink"], mew=1.8, ms=9, zorder=9, clip_on=False)
    for tile, i, j in () if node["lit"] is None else node["lit"].reshape(-1, 3).astype(int):
        if tile < 0:
            continue
        x, y = list(_corners(node, width))[tile]
        look = edge | {"edgecolor": ROLES["ink"], "lw": 1.5, "zorder": 9}
        ax.add_patch(Rectangle((x + j * cell, y + i * cell), cell, cell, **look))


def _overlay(ax: Axes, node: Mapping[str, Any], cell: float, corners: Sequence[tuple[float, float]]) -> None:
    for tile, i, j, down, across in () if node["lines"] is None else node["lines"]:
        x, y = corners[int(tile)]
        ends = [x + j * cell, x + across * cell], [y + i * cell, y + down * cell]
        ax.plot(*ends, color=ROLES["ink"], lw=1, alpha=0.7, zorder=7)
    _, rows, columns = node["ink"].shape
    for k, word in enumerate(node["words"]):
        if word and cell >= 14:
            tile, place = divmod(k, rows * columns)
            i, j = divmod(place, columns)
            x, y = corners[tile]
            at = x + (j + 0.5) * cell, y + (i + 0.5) * cell
            halo = [withStroke(linewidth=2.5, foreground="white")]
            ax.text(
                *at, word, size=9, weight="bold", ha="center", va="center", color="#333333", path_effects=halo, zorder=8
            )


def _tiles(node: Mapping[str, Any], width: float) -> tuple[float, float]:
    """Return the width of an image, and the distance of two rows of images."""
    tiles, rows, columns = node["ink"].shape
    gap = 16 if node["per_row"] > 1 else 0
    side = (width + gap) / node["per_row"] - gap
    return side, side / columns * rows + (20 if node["titles"] else 0) + (12 if tiles > 1 else 0)


def _corners(node: Mapping[str, Any], width: float) -> Iterator[tuple[float, float]]:
    side, down = _tiles(node, width)
    for tile in range(node["ink"].shape[0]):
        row, column = divmod(tile, node["per_row"])
        yield column * (side + (16 if node["per_row"] > 1 else 0)), row * down


_DRAW = {"Plane": _plane, "Chart": _plane, "Matrix": _matrix, "Strip": _strip, "Pixels": _pixels}
