"""The first explorer that a learner meets: a density on a line, stretched and shifted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from nfteach.plots import palette
from nfteach.widgets.controls import slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure

__all__ = ["StretchExplorer"]

_HALF_WIDTH = 5.0  # of the base density that is drawn: it holds all but 6e-7 of its mass


class StretchExplorer(Explorer):
    """x = stretch * z + shift, with z standard normal: where a density gets wider, it gets lower.

    Args:
        **state: initial values of the controls ``stretch`` and ``shift``.
    """

    help = "Stretch the line. The area stays one."
    presets = {"twice as wide": {"stretch": 2.0}, "half as wide": {"stretch": 0.5}}  # noqa: RUF012

    def build_controls(self) -> dict[str, Any]:
        return {"stretch": slider("stretch", 0.4, 3, 1.5), "shift": slider("shift", -3, 3, 0.0)}

    def build_live(self) -> LiveFigure:
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        ax = figure.add_subplot(xlim=(-8, 8), ylim=(0, 1.1), xlabel="position on the line", ylabel="density")
        z = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, 200)
        ax.plot(z, _normal(z), color=palette.BASE, lw=2, ls="--", label="base, $p(z)$")
        area = Polygon([[0, 0], [1, 0], [0, 1]], closed=True, facecolor=palette.DATA, alpha=0.2, edgecolor="none")
        ax.add_patch(area)
        (curve,) = ax.plot([], [], color=palette.DATA, lw=2.5, label="stretched, $q(x)$")
        ax.legend(frameon=False, loc="upper right")
        alt = "A bell-shaped base density, dashed, and the same density stretched and shifted: wider and lower."
        return LiveFigure(figure, {"area": area, "curve": curve}, alt=alt)

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        stretch, shift = state["stretch"], state["shift"]
        x = np.linspace(shift - _HALF_WIDTH * stretch, shift + _HALF_WIDTH * stretch, 200)
        density = _normal((x - shift) / stretch) / stretch
        curve = np.stack([x, density], axis=1)
        return {
            "curve": curve,
            "area": np.concatenate([curve, [[x[-1], 0.0], [x[0], 0.0]]]),
            "readout": {
                "slope dx/dz": stretch,
                "height of the peak": float(density.max()),
                "slope x height": stretch * float(density.max()),
                "area under q": float(np.trapezoid(density, x)),
            },
        }


def _normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
