"""A live figure whose messages are kept, and the inverse of what it packs."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nfteach.widgets import HeatMap, LiveFigure

__all__ = ["make_live", "traits", "unpack"]


def unpack(node, buffers):
    """The inverse of what LiveFigure packs, as live.js does it."""
    if isinstance(node, dict) and "$" in node:
        index, dtype, shape = node["$"]
        return np.frombuffer(buffers[index], dtype).reshape(shape)
    if isinstance(node, dict):
        return {key: unpack(value, buffers) for key, value in node.items()}
    return [unpack(value, buffers) for value in node] if isinstance(node, list) else node


def make_live():
    """A live figure of five kinds of artists; `sent` has what it sends."""
    figure = Figure(figsize=(4, 2), dpi=100)
    left, right = figure.subplots(1, 2)
    left.set(xlim=(-2, 2), ylim=(-1, 1))
    lines = LineCollection(np.zeros((2, 3, 2)))
    left.add_collection(lines)
    made = LiveFigure(
        figure,
        {
            "density": left.imshow(
                np.zeros((2, 2)), extent=(-2, 2, -1, 1), origin="lower", vmin=0, vmax=1, aspect="auto", cmap="viridis"
            ),
            "samples": left.scatter([], [], s=4, color="#D55E00"),
            "grid": lines,
            "J": HeatMap(right, np.eye(2)),
            "word": left.text(0, 0, "still"),
        },
        alt="a test",
    )
    made.sent = []
    made.send = lambda content, buffers: made.sent.append(unpack(content, buffers))
    return made


def traits(live, key):
    """A trait as the front end gets it, for `unpack`."""
    packed = live.get_state(key)[key]
    return {"node": packed["content"], "buffers": packed["buffers"]}
