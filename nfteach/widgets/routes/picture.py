"""The routes explorer's picture: a density, a Jacobian and its numbers for each model; costs and likelihoods below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nfteach.jacobian.numbers import cell
from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.routes.costs import COSTS
from nfteach.widgets.routes.models import AtProbe, Route
from nfteach.widgets.triangular.cells import FONT, JacobianCells, marked

__all__ = ["MOST", "MOST_D", "RoutesPicture"]

SIZE = (8.8, 5.85)  # inches: below the controls on a laptop's screen
MOST = 4  # models that the picture has room for
MOST_D = 3072  # dimensions, of a colour image with 32 x 32 pixels
BACK = 12  # nats below the highest, where a log-density is drawn no darker
WORD = {"fontsize": FONT, "color": palette.INK}
LOOKS = (
    {"color": palette.INK, "linestyle": "-"},
    {"color": palette.FORWARD, "linestyle": "-"},
    {"color": palette.INVERSE, "linestyle": "--"},
    {"color": palette.HIGHLIGHT, "linestyle": "-"},
)
ALT = (
    "Side by side the densities that several models give to the plane, with the data and a probe; below each, the "
    "Jacobian of its map from x to z at the probe, and how log q(x) adds up. At the bottom the cost of a determinant "
    "against the number of dimensions, and the models' average log-likelihoods with standard errors."
)


class RoutesPicture:
    """The figure, and how numbers become what moves in it.

    Args:
        routes: two to four models.
        data: (N, 2).
        extent: (left, right, bottom, top) that is shown of the plane.
        caption: a line above it all.
    """

    def __init__(
        self, routes: Sequence[Route], data: np.ndarray, extent: tuple[float, float, float, float], caption: str
    ) -> None:
        self.routes, self.extent = routes, extent
        self.figure = figure = Figure(figsize=SIZE, facecolor="white")
        self._told: dict[str, Any] = {}
        wide = SIZE[0] / len(routes)
        side = min(2.15, wide - 0.5)
        moving: dict[str, Any] = {}
        for k, route in enumerate(routes):
            left = 0.42 + k * wide + max(0.0, (wide - 2.95) / 2)
            moving |= self._plane(k, route, left, 5.37 - side, side, data)
            moving |= self._numbers(k, route, left, 5.37 - side, len(routes) == MOST)
        moving |= self._costs()
        self._likelihoods(data)
        self._text(0.1, 5.72, caption, color=palette.MUTED)
        self.live = LiveFigure(figure, moving, alt=ALT)

    def _axes(self, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
        """Axes placed in inches."""
        ax = self.figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]), **options)
        ax.tick_params(labelsize=FONT)
        return ax

    def _text(self, left: float, bottom: float, words: str, **look: Any) -> Any:
        return self.figure.text(left / SIZE[0], bottom / SIZE[1], words, **(WORD | look))

    def pixels(self, resolution: int) -> np.ndarray:
        """The centres of the density's cells, (resolution, resolution, 2), the lowest row first."""
        left, right, bottom, top = self.extent
        middle = (np.arange(resolution) + 0.5) / resolution
        return np.stack(np.meshgrid(left + (right - left) * middle, bottom + (top - bottom) * middle), axis=-1)

    def _plane(self, k: int, route: Route, left: float, bottom: float, side: float, data: np.ndarray) -> dict[str, Any]:
        ax = self._axes(left, bottom, side, side, xlim=self.extent[:2], ylim=self.extent[2:])
        ax.locator_params(nbins=5)
        ax.set_title(route.name, fontsize=10, color=palette.INK)
        image = ax.imshow(np.zeros((2, 2)), extent=self.extent, origin="lower", cmap=palette.DENSITY, aspect="auto")
        ax.scatter(*data[:600].T, s=4, color=palette.DATA, alpha=0.5, linewidths=0, zorder=2)
        dot = {"s": 60, "facecolors": "white", "edgecolors": palette.INK, "linewidths": 1.5, "zorder": 6}
        return {f"density {k}": image, f"probe {k}": ax.scatter([], [], **dot)}

    def _numbers(self, k: int, route: Route, left: float, top: float, narrow: bool) -> dict[str, Any]:
        """J, the names of its structure above, and beside it how log q adds up; all closer together if ``narrow``."""
        cell, edge, last = (0.4, left - 0.3, "param.") if narrow else (0.43, left - 0.18, "parameters")
        self._text(edge - 0.02, top - 0.42, f"J of x \u2192 z: {route.structure.name}")
        self._text(edge - 0.02, top - 0.6, route.layers, color=palette.MUTED)
        ax = self._axes(edge, top - 0.72 - 2 * cell, 2 * cell, 2 * cell)
        across, look = edge + 2 * cell + 0.1, {"va": "top", "linespacing": 1.25}
        self._text(across, top - 0.72, f"log p(z)\n+ log|det|\n= log q(x)\nslogdet\n{last}", **look)
        return {
            f"J {k}": JacobianCells(ax, (2, 2)),
            f"numbers {k}": self._text(across + (1.12 if narrow else 1.38), top - 0.72, "", ha="right", **look),
        }

    def _costs(self) -> dict[str, Any]:
        ax = self._axes(0.72, 0.42, 2.1, 0.95, xscale="log", yscale="log", xlim=(2, MOST_D), ylim=(1, 2e10))
        D = np.unique(np.geomspace(2, MOST_D, 80).astype(int))
        ax.set_yticks([1, 1e5, 1e10])
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
        self._text(0.72, 1.45, "one determinant, multiply-adds against D")
        moving: dict[str, Any] = {"D": ax.plot([], [], color=palette.MUTED, linewidth=1)[0]}
        for k, ((name, cost), look) in enumerate(zip(COSTS.items(), LOOKS, strict=True)):
            ax.plot(D, [cost(int(one)) for one in D], linewidth=1.8, **look)
            y = 1.28 - 0.21 * k
            self._text(3.18, y, name, color=palette.INK)
            key = Line2D([2.88 / SIZE[0], 3.1 / SIZE[0]], [(y + 0.05) / SIZE[1]] * 2, linewidth=2.2, **look)
            self.figure.add_artist(key)
            moving[f"cost {k}"] = self._text(5.25, y, "", ha="right")
        moving["dots"] = ax.scatter([], [], s=24, color=palette.INK, zorder=5, clip_on=False)
        return moving

    def _likelihoods(self, data: np.ndarray) -> None:
        """The average log-likelihood of each model on the data with its standard error; these stay."""
        ax = self._axes(6.75, 0.42, 1.9, 0.95, ylim=(len(self.routes) - 0.5, -0.5))
        self._text(5.62, 1.45, f"mean log q(x) over {len(data)} points, \u00b1 its error, nats")
        for k, route in enumerate(self.routes):
            if np.isfinite(route.average) and np.isfinite(route.error):
                ax.errorbar(route.average, k, xerr=route.error, fmt="o", color=palette.INK, markersize=4, capsize=3)
        ax.set_yticks(range(len(self.routes)), [_short(route.name) for route in self.routes])
        ax.locator_params(axis="x", nbins=4)
        ax.margins(x=0.25)
        ax.grid(axis="x", color=palette.ZERO)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)

    def moves(
        self, x: Sequence[float], D: int, probes: Sequence[AtProbe], logs: Sequence[np.ndarray], show: str, again: bool
    ) -> dict[str, Any]:
        """What of the picture is not as it was told last, or all of it ``again``.

        Args:
            x: (2,), the probe.
            D: dimensions, for the costs.
            probes: what each model says there.
            logs: log q of each model at the pixels, (rows, columns).
            show: "density" or "log density".
        """
        costs = [cost(D) for cost in COSTS.values()]
        moves: dict[str, Any] = {
            "D": [[D, 1], [D, 2e10]],
            "dots": [[D, cost] for cost in costs],
            **{f"cost {k}": _counted(cost) for k, cost in enumerate(costs)},
        }
        for k, (route, here) in enumerate(zip(self.routes, probes, strict=True)):
            structure = route.structure
            moves[f"probe {k}"] = [x]
            moves[f"J {k}"] = marked(here.J.numpy(), structure.zero.numpy(), structure.one.numpy())
            values = [cell(value) for value in (here.log_p, here.log_det, here.log_q, here.slogdet)]
            moves[f"numbers {k}"] = "\n".join([*values, f"{route.parameters:,}"])
        told, self._told = {} if again else self._told, moves
        news = {name: value for name, value in moves.items() if not np.array_equal(value, told.get(name))}
        if again or told.get("show") != show:
            news |= _images(logs, show)
        self._told["show"] = show
        return news


def _images(logs: Sequence[np.ndarray], show: str) -> dict[str, Any]:
    """The densities, on one scale for all: its top is near the highest of all models, so that none is all dark."""
    top = max(float(np.quantile(one, 0.995)) for one in logs)
    if show == "log density":
        limits = (top - BACK, top)
        values = [np.clip(one, top - BACK, top) for one in logs]
    else:
        limits, values = (0.0, 1.0), [np.exp(np.clip(one - top, -80, 0)) for one in logs]
    return {f"density {k}": {"values": one, "limits": limits} for k, one in enumerate(values)}


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}\u2026"


def _counted(count: int) -> str:
    """A whole number as one reads it."""
    return f"{count:,}" if count < 10**9 else f"{count / 10**9:.1f} billion"
