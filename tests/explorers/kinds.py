"""One of every kind of mark and part, for the tests of how they are printed and painted."""

from __future__ import annotations

import torch

from nfteach.widgets.parts import (
    Area,
    Arrows,
    Bars,
    Chart,
    Curves,
    Density,
    Dots,
    Handle,
    Label,
    Matrix,
    Pixels,
    Plane,
    Strip,
)

__all__ = ["LINE", "MARKS", "PARTS"]

X = torch.linspace(-2, 2, 20)
LINE = torch.stack([X, X / 2], dim=1)
CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]])
#: One of every kind of mark, which prints something near the middle of a plane.
MARKS = {
    "Density": Density(torch.ones(4, 4), (-2, 2, -2, 2)),
    "Curves": Curves(LINE, width=3),
    "Area": Area(CORNERS),
    "Dots": Dots(LINE, size=4),
    "Arrows": Arrows(torch.zeros(1, 2), torch.ones(1, 2)),
    "Bars": Bars(torch.arange(2.0), torch.tensor([1.0, -1.0])),
    "Label": Label(torch.zeros(2), "words"),
    "Handle": Handle(torch.zeros(2)),
}
PARTS = {
    "Plane": Plane({"line": MARKS["Curves"]}),
    "Chart": Chart({"line": MARKS["Curves"]}),
    "Matrix": Matrix(torch.tensor([[1.0, -0.5], [0.0, 2.0]])),
    "Strip": Strip(torch.tensor([0.5, -0.25])),
    "Pixels": Pixels(torch.eye(4)[None]),
}
