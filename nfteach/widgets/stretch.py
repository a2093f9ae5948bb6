"""The first explorer that a learner meets: a hill of sand on a line, stretched and shifted."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nfteach.widgets.controls import slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Area, Chart, Curves, Dots, Handle, Label, Number

__all__ = ["StretchExplorer"]

_WIDE, _TALL = 5.6, 0.84  # of the picture
_PEAK = 1 / math.sqrt(2 * math.pi)
_Z = torch.linspace(-5, 5, 201, dtype=torch.float64)  # it holds all but 6e-7 of the mass
_STRIP = torch.linspace(1.0, 1.5, 21, dtype=torch.float64)
_GRAINS = 700


class StretchExplorer(Explorer):
    """x = stretch * z + shift, with z standard normal: where a density gets wider, it gets lower.

    The grains lie evenly below both curves, and there are as many of them whatever the stretch. The peak, the flanks
    and the foot of the hill can be dragged.

    Args:
        **state: initial values of the controls ``stretch`` and ``shift``.

    Example:
        >>> explorer = StretchExplorer()
        >>> explorer.preset("twice as wide")
        >>> round(explorer.readout["height of the peak"], 4), round(explorer.readout["area under q"], 4)
        (0.1995, 1.0)
    """

    help = "Pull the hill of [sand](x) wide, push it down, move it along. What can you not change?"
    alt = "A bell-shaped density, dashed, and the same density stretched and shifted, filled with grains of sand"
    presets = {"twice as wide": {"stretch": 2.0}, "half as wide": {"stretch": 0.5}}  # noqa: RUF012

    def __init__(self, **state: Any) -> None:
        # Evenly below p: z by its probability, the height as a part of p(z).
        even = torch.quasirandom.SobolEngine(2, scramble=True, seed=1).draw(_GRAINS, dtype=torch.float64)
        z = math.sqrt(2) * torch.erfinv(2 * even[:, 0] - 1)
        self._grains = torch.stack([z, _normal(z) * even[:, 1]], -1)
        self._base = torch.stack([_Z, _normal(_Z)], -1)
        self._strip = torch.stack([_STRIP, _normal(_STRIP)], -1)
        super().__init__(**state)

    def build_controls(self) -> dict[str, Any]:
        return {"stretch": slider("stretch", 0.5, 3, 0.7), "shift": slider("shift", -3, 3, 0.0)}

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        def moved(points: Tensor) -> Tensor:
            """Return points (n, 2) below p where the map takes them: as much lower as they lie further apart."""
            return torch.stack([s.stretch * points[:, 0] + s.shift, points[:, 1] / s.stretch], -1)

        curve, peak = moved(self._base), _PEAK / s.stretch
        foot, side = torch.zeros((), dtype=torch.float64), moved(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))[:, 0]
        flank = _normal(torch.ones(2, dtype=torch.float64)) / s.stretch
        share = torch.trapezoid(self._strip[:, 1], _STRIP)
        marks = {
            "base": Curves(self._base, width=2.0, dash=True, color="z"),
            "base strip": Area(_closed(self._strip), alpha=0.45, color="z"),
            "p(z)": Label(self._base[82], "p(z)", anchor="end", shift=-8, size=16, italic=True, color="z"),
            "area": Area(_closed(curve), alpha=0.12, color="x"),
            "grains": Dots(moved(self._grains), size=1.5, alpha=0.65),
            "strip": Area(_closed(moved(self._strip)), alpha=0.6, color="x"),
            "curve": Curves(curve, width=2.5, color="x"),
            "q(x)": Label(curve[126], "q(x)", anchor="start", shift=14, size=16, italic=True, color="x"),
            "foot": Handle(torch.stack([s.shift, foot]), "shift", shape="grip", color="x", help="drag the foot: shift"),
            "left flank": Handle(torch.stack([side[0], flank[0]]), color="x", help="drag the flank: the stretch"),
            "right flank": Handle(torch.stack([side[1], flank[1]]), color="x", help="drag the flank: the stretch"),
            "peak": Handle(torch.stack([s.shift, peak]), color="x", help="drag the peak: up, down and along"),
        }  # fmt: skip
        chart = Chart(
            marks, (-_WIDE, _WIDE), (0, _TALL), ticks=(-4, -2, 0, 2, 4), yticks=(0.2, 0.4, 0.6, 0.8), height=430
        )
        stretch, height = (f"{value:.2f}" for value in (s.stretch, peak))
        numbers = {
            "slope dx/dz": Number(s.stretch, note=f"what was 1 wide is {stretch} wide"),
            "height of the peak": Number(peak, note=f"it was 0.40: now 0.40 / {stretch}", digits=3),
            "slope x height": Number(s.stretch * peak, note=f"{stretch} \N{MULTIPLICATION SIGN} {height}", digits=3),
            "area under q": Number(
                torch.trapezoid(curve[:, 1], curve[:, 0]),
                digits=3,
                note=f"shaded: {100 * share:.0f} % in both hills",
            ),
        }
        return {"line": chart, "readout": numbers}

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        x, height = values
        if name == "peak":
            return {"stretch": _PEAK / height.clamp_min(1e-3), "shift": torch.where(x.abs() < 0.1, 0.0, x)}
        if name in ("left flank", "right flank"):
            return {"stretch": (x - s.shift) * (1 if name == "right flank" else -1)}
        return super().drag(name, s, *values)


def _normal(z: Tensor) -> Tensor:
    return _PEAK * torch.exp(-0.5 * z * z)


def _closed(curve: Tensor) -> Tensor:
    """Return the polygon between a curve (n, 2) and the line."""
    ends = torch.stack([curve[-1, 0], curve[0, 0]])
    return torch.cat([curve, torch.stack([ends, torch.zeros_like(ends)], -1)])
