"""A small explorer for the tests of what all explorers share."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from nfteach.widgets import Explorer, LiveFigure
from nfteach.widgets.controls import choice, integer, slider, switch

__all__ = ["Dot", "all_of"]


class Dot(Explorer):
    """Every kind of control, a diary of what was computed, and states that fail."""

    help = "Move the dot."
    presets = {"far": {"x": 0.9}, "many": {"n": 5, "kind": "ring"}}  # noqa: RUF012

    def build_controls(self):
        self.computed = []
        return {
            "x": slider("x", -1, 1, 0.25),
            "n": integer("number of dots", 1, 9, 2),
            "kind": choice("kind", {"a dot": "dot", "a ring": "ring"}, "dot"),
            "safe": switch("safe", True),
        }

    def build_live(self):
        figure = Figure(figsize=(2, 2))
        return LiveFigure(figure, {"dots": figure.add_subplot(xlim=(-1, 1), ylim=(0, 9)).scatter([], [])}, alt="dots")

    def compute(self, state):
        self.computed.append((state["x"], torch.is_grad_enabled()))
        if not state["safe"] and state["x"] > 0.5:
            raise ValueError("x must stay below 0.5 here; move it back")
        if not state["safe"] and state["x"] < -0.5:
            raise ZeroDivisionError("nothing left")
        y = np.arange(state["n"])
        points = np.stack([np.full(len(y), np.nan if state["x"] == -0.125 else state["x"]), y], axis=1)
        return {"dots": points, "readout": {"x": state["x"], "n": state["n"]}}


def all_of(widget):
    """Return a widget and all below it."""
    return [widget, *(one for child in getattr(widget, "children", ()) for one in all_of(child))]
