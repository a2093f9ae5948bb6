"""The 1-D map explorer: a monotone map of the line, and a density that it carries along: mass stays, height changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.widgets.controls import slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.map1d.base import LineBase
from nfteach.widgets.map1d.maps import Bent, GivenLine, InUnits
from nfteach.widgets.map1d.picture import Curves, Map1DPicture, Shown, View
from nfteach.widgets.rounding import without_noise

__all__ = ["MapExplorer1D"]

_Z, _X = 4.0, 5.0  # z is shown this many spreads around the centre, and so is x for the family
_PROBE = 3.5
_CURVE, _CURVE_ENDS = 321, 6.0  # points of a curve in the picture, which goes on a little beyond its frame
_ALONG = 25  # points along the strip in the picture
_SHOWN_MASS = 0.99  # of a map that is handed in, x is shown where this much of the mass lands
_HUGE = 1e6  # times what most of a density is
# The double exponential rule on [-1, 1] (Takahasi & Mori, 1974): exact to rounding for smooth densities, and good for
# those that are infinite at an end.
_T = torch.arange(-128, 129, dtype=torch.float64) / 40
_RULE = (_T.sinh() * math.pi / 2).tanh(), math.pi / 80 * _T.cosh() / (_T.sinh() * math.pi / 2).cosh() ** 2


class MapExplorer1D(Explorer):
    r"""x = f(z) on the line, with z of density p: q(x) = p(z) / \|dx/dz\|, for the mass between two points stays.

    Below the graph of the map stands the base density p(z), beside it the density q(x) of the image, in joined axes
    of one scale. A thin strip of mass around the probe goes through the graph: where the map is steep it gets wider
    and lower, and its mass is the same on both sides.

    The map is one of a family, all in closed form: x = shift + stretch (at + bend(z - at)), where the bend keeps
    at - 1, at and at + 1 where they are and is steep in between (bend > 0) or outside (bend < 0); its mirror image
    decreases. For a base that is handed in, shift and "bend at" are counted in its spreads from its centre.

    Args:
        base: the distribution of z, one number an event; standard normal by default.
        transform: a map of your own in place of the family, increasing or decreasing all the way: any
            ``torch.distributions.Transform`` or ``Flow`` of one dimension, or a function. A copy is taken. q(x) then
            uses the inverse and the log-det that it claims, and p(z) / \|slope\| the slope by autograd: where the two
            differ, the map is wrong about itself.
        **state: initial values of controls: ``stretch``, ``shift``, ``bend``, ``at``, ``mirror`` (the family's), ``z``
            (the probe) and ``width`` (of the strip).

    The readout: ``z``, ``x = f(z)``, ``slope dx/dz``; ``p(z)``, ``p(z) / |slope|`` and, by the inverse and its
    log-det alone, ``q(x)``; ``log|dx/dz|`` at z and ``log|dz/dx|`` at x, in nats; the strip's ``mass, over z``
    and ``over x``; and ``area under p`` and ``under q``: all four by quadrature.

    Raises:
        ValueError: if ``base`` is no distribution of one number, or ``transform`` no monotone map that base can go
            through.

    Example:
        >>> explorer = MapExplorer1D(stretch=2.0, bend=0.0, z=0.0)
        >>> round(explorer.readout["p(z)"] / explorer.readout["q(x)"], 6)
        2.0
    """

    help = "Drag the dot along the curve. Where the curve is steep, what becomes of the orange strip?"
    presets = {  # noqa: RUF012 - never changed
        "squeeze": {"stretch": 0.5, "bend": 0.0, "shift": 0.0, "z": 0.5},
        "two hills": {"stretch": 1.9, "bend": 2.6, "at": 0.0, "shift": 0.0, "z": 0.0},
        "lean": {"stretch": 1.2, "bend": -1.3, "at": -1.0, "shift": -0.5, "z": 0.8},
        "mirror": {"mirror": True},
    }
    handles = {"probe": ("z", None)}  # noqa: RUF012

    def __init__(self, base: Distribution | None = None, transform: Any = None, **state: Any) -> None:
        self._base = LineBase(base)
        self._given = None if transform is None else GivenLine(transform, self._base.nodes)
        if self._given is not None:
            self.presets = {}
        elif base is not None:  # the presets' z are chosen for the standard normal: another base may have no mass there
            chosen = self.presets.items()
            self.presets = {name: {k: v for k, v in state.items() if k != "z"} for name, state in chosen}
        self._p_area = float(torch.trapezoid(self._base.density(self._base.nodes), self._base.nodes))
        low, high = self._within(_CURVE_ENDS)
        # Even steps for the eye, and the nodes for where there is mass in a corner.
        nodes = self._base.nodes[(self._base.nodes >= low) & (self._base.nodes <= high)][::8]
        even = torch.linspace(low, high, _CURVE, dtype=torch.float64)
        self._top = 1.25 * float(self._base.density(even).quantile(0.97))
        self._z = torch.cat([even, nodes]).sort().values
        self._drawn: tuple[Any, Curves] | None = None
        super().__init__(**state)

    def _within(self, spreads: float) -> tuple[float, float]:
        """So many spreads around the centre, as far as there is mass."""
        base, nodes = self._base, self._base.nodes
        low, high = base.centre - spreads * base.spread, base.centre + spreads * base.spread
        return max(low, nodes[0].item()), min(high, nodes[-1].item())

    def build_controls(self) -> dict[str, Any]:
        base = self._base
        low, high = self._within(_PROBE)
        # Steps of a hundredth of the spread, and as many decimals as show them.
        decimals = min(max(2 - math.floor(math.log10(base.spread) + 1e-9), 0), 9)
        fine = {"step": 10.0**-decimals, "format": f".{decimals}f"}
        low, high = (round(end, decimals) for end in (low + fine["step"] / 2, high - fine["step"] / 2))
        # Where three quarters of the mass lie below: there is something to see on either side.
        mass = torch.cumulative_trapezoid(base.density(base.nodes), base.nodes)
        start = base.nodes[1:][torch.searchsorted(mass, 0.758 * mass[-1])].item()
        start = round(min(max(start, low), high), decimals)
        widths = (round(part * base.spread, decimals + 1) for part in (0.02, 1.5, 0.4))
        probe = {
            "z": slider("probe z", low, high, start, **fine),
            "width": slider("strip width", *widths, **fine),
        }
        if self._given is not None:
            return probe
        return {
            "stretch": slider("stretch", 0.4, 2.5, 1.5),
            "shift": slider("shift", -2, 2, 0.0),
            "bend": slider("bend", -1.5, 3, 1.2),
            "at": slider("bend at", -2, 2, -0.5),
            "mirror": switch("mirror: f decreases", False),
            **probe,
        }

    def build_live(self) -> LiveFigure:
        base = self._base
        z, x = ((base.centre - reach * base.spread, base.centre + reach * base.spread) for reach in (_Z, _X))
        # Mass is as much area in q's axes as in p's: inches of z per unit are inches of x per unit, and so are p's.
        view = View(z, x, self._top, Map1DPicture.breadth_for(self._top))
        if self._given is not None:
            x = self._landing()
            view = view._replace(x=x, q=self._top_of_q(x))
        self._picture = Map1DPicture(view, _curve(self._z, base.density(self._z)))
        return self._picture.live

    def _map(self, state: dict[str, Any]) -> Any:
        """The map of a state: ``there`` and ``back``."""
        if self._given is not None:
            return self._given
        family = Bent(state["stretch"], state["shift"], state["bend"], state["at"], state["mirror"])
        return InUnits(family, self._base.centre, self._base.spread)

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        f, z, half = self._map(state), state["z"], state["width"] / 2
        low, high = self._base.nodes[[0, -1]].tolist()
        low, high = max(z - half, low), min(z + half, high)
        # One call there, one of p, one back: the probe, the strip as it is drawn, and the rule's points.
        along = torch.linspace(low, high, _ALONG, dtype=torch.float64)
        points = torch.cat([torch.tensor([z], dtype=torch.float64), along, _spread(low, high)])
        x, slopes = f.there(points[: 1 + _ALONG])
        p = self._base.density(points)
        x_low, x_high = sorted((x[1].item(), x[-1].item()))
        if not bool(x.isfinite().all()) or not slopes[0].isfinite() or slopes[0] == 0:
            raise ValueError(f"at z = {z:.4g} the map has the slope {slopes[0]:.4g}: no density there; move the probe")
        across = torch.linspace(x_low, x_high, _ALONG, dtype=torch.float64)
        q, ladj = self._pushed(f, torch.cat([x[:1], across, _spread(x_low, x_high)]))
        masses = (_sum(p[1 + _ALONG :], low, high), _sum(q[1 + _ALONG :], x_low, x_high))
        if not math.isfinite(masses[1]):
            raise ValueError("somewhere in this strip the slope is 0, and q is infinite; move the probe")
        curves, fresh = self._curves(f, state)
        slope = slopes[0].item()
        shown = Shown(
            curves=curves if fresh else None,
            strip=_curve(along, x[1:]),
            base_strip=_curve(along, p[1 : 1 + _ALONG]),
            image_strip=_curve(across, q[1 : 1 + _ALONG].clamp(max=_HUGE * self._top)),
            probe=(z, x[0].item()),
            slope=slope,
            masses=masses,
        )
        readout = {
            "z": z,
            "x = f(z)": without_noise(x[0].item()),
            "slope dx/dz": slope,
            "p(z)": p[0],
            "p(z) / |slope|": p[0] / abs(slope),
            "q(x)": q[0],
            "log|dx/dz| at z": (without_noise(math.log(abs(slope))), "nats"),
            "log|dz/dx| at x": (without_noise(ladj[0].item()), "nats"),
            "mass, over z": masses[0],
            "mass, over x": masses[1],
            "area under p": self._p_area,
            "area under q": curves.area,
        }
        return {**self._picture.moves(shown), "readout": readout}

    def _pushed(self, f: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(x) = p(z) |dz/dx| (n,) at x (n,), from the inverse and its log-det alone; and that log-det."""
        z, ladj = f.back(x)
        return self._base.density(z) * ladj.exp(), ladj

    def _curves(self, f: Any, state: dict[str, Any]) -> tuple[Curves, bool]:
        """The map as a whole, and whether it has to be drawn anew."""
        key = tuple(value for name, value in state.items() if name not in ("z", "width"))
        if self._drawn is not None and self._drawn[0] == key:
            # After an error nobody knows what has been drawn.
            return self._drawn[1], bool(self.error)
        self._drawn = key, self._whole(f)
        return self._drawn[1], True

    def _whole(self, f: Any) -> Curves:
        """The graph, the density and the area under it."""
        sizes = [len(self._z), len(self._base.nodes)]
        z = torch.cat([self._z, self._base.nodes])
        x = f.there(z)[0]
        q = self._pushed(f, x)[0]
        # A point where the slope is zero has no density; rounding may leave a huge one.
        good = x.isfinite() & (q < _HUGE * q.nanquantile(0.98))
        (z, _), (shown, nodes), (here, far) = (part.split(sizes) for part in (z, x, good))
        density, values = q.split(sizes)
        area = torch.trapezoid(values[far], nodes[far]).abs().item()
        return Curves(_curve(z[here], shown[here]), _curve(shown[here], density[here]), area)

    def _landing(self) -> tuple[float, float]:
        """Of a map handed in: the shortest stretch of x in which nearly all of the mass lands, and a margin."""
        nodes = self._base.nodes
        x = self._given.there(nodes)[0]
        mass = torch.cumulative_trapezoid(self._base.density(nodes), nodes)
        ends = torch.searchsorted(mass, mass + _SHOWN_MASS * mass[-1]).clamp(max=len(mass) - 1)
        reach = (x[1:][ends] - x[1:]).abs()
        reach[mass + _SHOWN_MASS * mass[-1] > mass[-1]] = torch.inf
        start = int(reach.argmin())
        low, high = sorted((x[1:][start].item(), x[1:][ends[start]].item()))
        margin = 0.12 * (high - low)
        return low - margin, high + margin

    def _top_of_q(self, view: tuple[float, float]) -> float:
        """Of a map handed in: a little over what nearly all of the view's density is."""
        x, q = self._whole(self._given).density[:: self._given.sign].T
        return 1.25 * float(np.quantile(np.interp(np.linspace(*view, _CURVE), x, q, 0.0, 0.0), 0.985))


def _spread(low: float, high: float) -> Tensor:
    """The rule's points from low to high."""
    return (low + high) / 2 + (high - low) / 2 * _RULE[0]


def _sum(values: Tensor, low: float, high: float) -> float:
    """The integral from low to high, by the values at the rule's points."""
    return float((high - low) / 2 * (_RULE[1] * values).sum())


def _curve(across: Tensor, up: Tensor) -> np.ndarray:
    return torch.stack([across, up], dim=1).numpy()
