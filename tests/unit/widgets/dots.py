"""A small explorer for the tests of what all explorers share."""

from __future__ import annotations

import torch

from nfteach.widgets import Explorer
from nfteach.widgets.controls import choice, integer, slider, switch
from nfteach.widgets.parts import Chart, Dots

__all__ = ["Dot", "all_of"]


class Dot(Explorer):
    """Every kind of control, a diary of what was computed, and states that fail."""

    help = "Move the dot."
    alt = "dots"
    essential = ("x", "n")
    presets = {"far": {"x": 0.9}, "many": {"n": 5, "kind": "ring"}}  # noqa: RUF012

    def build_controls(self):
        self.computed = []
        return {
            "x": slider("x", -1, 1, 0.25),
            "n": integer("number of dots", 1, 9, 2),
            "kind": choice("kind", {"a dot": "dot", "a ring": "ring"}, "dot"),
            "safe": switch("safe", True),
        }

    def picture(self, s):
        self.computed.append((s.x, torch.is_grad_enabled()))
        if not s.safe and s.x > 0.5:
            raise ValueError("x must stay below 0.5 here; move it back")
        if not s.safe and s.x < -0.5:
            raise ZeroDivisionError("nothing left")
        x = s.x if s.x != -0.125 else torch.tensor(torch.nan)
        points = torch.stack([x.expand(s.n), torch.arange(s.n)], dim=1)
        chart = Chart({"dots": Dots(points, ring=s.kind == "ring")}, (-1, 1), (0, 9))
        return {"chart": chart, "readout": {"x": s.x, "n": s.n}}


def all_of(widget):
    """Return a widget and all below it."""
    return [widget, *(one for child in getattr(widget, "children", ()) for one in all_of(child))]
