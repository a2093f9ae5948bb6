"""What of a figure stands still: rendered once by matplotlib, in the layers between what moves."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from nfteach.widgets.live.mover import Moving

__all__ = ["freeze", "paint_order", "to_png"]

_PIXEL_RATIO = 2.0


def freeze(figure: Figure) -> None:
    """Let matplotlib lay the figure out once, with everything in it, and keep that layout."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def to_png(figure: Figure, pixel_ratio: float, *, colors: int | None = None) -> bytes:
    """The figure as PNG, with at most ``colors`` colours, by Agg: no pyplot, no rcParams of `savefig`."""
    dpi, canvas = figure.dpi, figure.canvas
    agg = FigureCanvasAgg(figure)
    try:
        figure.set_dpi(dpi * pixel_ratio)
        agg.draw()
        picture = Image.fromarray(np.array(agg.buffer_rgba()))
    finally:
        figure.set_dpi(dpi)
        figure.set_canvas(canvas)
    if colors is not None:
        # Maximum coverage keeps rare colours (one orange dot), k-means then fits the common ones.
        method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        picture = picture.convert("RGB").quantize(colors, method=method, kmeans=1, dither=dither)
    buffer = io.BytesIO()
    # All of zlib's effort is for pictures that notebooks store; on layers it saves 2 % and takes twice the time.
    picture.save(buffer, "png", optimize=colors is not None)
    return buffer.getvalue()


def paint_order(figure: Figure, moving: Mapping[str, Moving]) -> tuple[list[bytes], list[int | str]]:
    """The still layers as PNG, and the order of painting: numbers are layers, names what moves.

    In each axes the zorders of what moves cut the still artists into bands. Bands are counted from the top, so that
    the frames of all axes, which lie above everything, share one layer; an empty band makes none.
    """
    ranks: dict[str, int] = {}
    bands: dict[Artist, int] = {}
    movers = {artist: name for name, one in moving.items() for artist in one.artists}
    depth = 0
    for ax in figure.axes:
        here = {name: one.artists[0].get_zorder() for name, one in moving.items() if one.artists[0].axes is ax}
        cuts = sorted(set(here.values()))
        depth = max(depth, len(cuts))
        ranks |= {name: len(cuts) - 1 - cuts.index(zorder) for name, zorder in here.items()}
        for child in ax.get_children():
            if child is ax.patch or child in movers:
                continue
            below = len(cuts) - sum(cut < child.get_zorder() for cut in cuts)
            if below < len(cuts) and not _outside(child, ax):
                bands[child] = below
    layers = [_render(figure, hidden=[*movers, *bands])]
    order: list[int | str] = [0]
    for band in reversed(range(depth)):
        order += sorted((name for name, rank in ranks.items() if rank == band), key=list(moving).index)
        shown = [child for child, other in bands.items() if other == band and child.get_visible()]
        if shown:
            layers.append(_render_only(figure, shown))
            order.append(len(layers) - 1)
    # What belongs to no axes is drawn last.
    return layers, [*order, *(name for name in moving if name not in ranks)]


def _outside(child: Artist, ax: Axes) -> bool:
    """Titles, and ticks without grid lines, lie outside the axes' box: below or above makes no difference."""
    if isinstance(child, Axis):
        return not any(line.get_visible() for line in child.get_gridlines())
    return isinstance(child, Text) and not (child.get_text() and child.get_window_extent().overlaps(ax.bbox))


def _render(figure: Figure, hidden: Iterable[Artist]) -> bytes:
    shown = [artist for artist in hidden if artist.get_visible()]
    try:
        for artist in shown:
            artist.set_visible(False)
        return to_png(figure, _PIXEL_RATIO)
    finally:
        for artist in shown:
            artist.set_visible(True)


def _render_only(figure: Figure, shown: list[Artist]) -> bytes:
    hidden = [child for child in figure.get_children() if child not in figure.axes]
    hidden += [child for ax in figure.axes for child in ax.get_children() if child not in shown]
    return _render(figure, hidden)
