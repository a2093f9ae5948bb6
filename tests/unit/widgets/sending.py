"""A live figure whose messages are kept."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nfteach.widgets import HeatMap, LiveFigure
from tests.explorers.front_end import unpack

__all__ = ["make_live"]


def make_live():
    """Return a live figure of five kinds of artists, which keeps its messages in `sent`."""
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
