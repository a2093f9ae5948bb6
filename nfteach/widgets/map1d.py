"""The one-dimensional change of variables: mass goes up to the curve and across; where it is steep, it lies thinner."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.distributions import Distribution

from nfteach.jacobian.numbers import fixed
from nfteach.widgets.controls import slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.line_base import LineBase
from nfteach.widgets.line_maps import Bent, GivenLine
from nfteach.widgets.parts import Area, Chart, Curves, Handle, Label, Number

__all__ = ["MapExplorer1D"]

_Z, _X, _PROBE = 4.0, 4.2, 3.5  # z and x are shown this many spreads around the centre; z can be moved so far
_LOW, _BESIDE = 0.4, 0.52  # room for p below the graph, in heights of it, and for q beside it, in widths
_ALONG = 25  # points along the strip
_SHOWN_MASS = 0.99  # of a map that is handed in, x is shown where this much of the mass lands
_HUGE = 1e6  # times what most of a density is
# The double exponential rule on [-1, 1] (Takahasi & Mori, 1974): exact to rounding for smooth densities, and good for
# those that are infinite at an end.
_T = torch.arange(-128, 129, dtype=torch.float64) / 40
_RULE = (_T.sinh() * math.pi / 2).tanh(), math.pi / 80 * _T.cosh() / (_T.sinh() * math.pi / 2).cosh() ** 2


class MapExplorer1D(Explorer):
    r"""x = f(z) on the line, with z of density p: q(x) = p(z) / \|f'(z)\|, for the mass between two points stays.

    Below the graph of f stands the density p(z), on its left, turned on its side, the density q(x) of the image, both
    on one scale. The mass over a small dz goes up to the graph and across to dx: where the graph is steep it gets wider
    and lower, and its area is the same on both axes. z, x and the width of dz can be dragged.

    The map is one of a family, all in closed form: x = shift + stretch (at + bend(z - at)), where the bend keeps
    at - 1, at and at + 1 where they are and is steep in between (bend > 0) or outside (bend < 0); its mirror image
    decreases. For a base that is handed in, shift and "bend at" are counted in its spreads from its centre.

    Args:
        base: the distribution of z, one number an event; standard normal by default.
        transform: a map in place of the family, increasing or decreasing all the way: any
            ``torch.distributions.Transform`` or ``Flow`` of one dimension, or a function. A copy is taken. q(x) then
            uses the inverse and the log-det that it claims, and p(z) / \|slope\| the slope by autograd: where the two
            differ, the map's claim is wrong.
        **state: initial values of controls: ``stretch``, ``shift``, ``bend``, ``at``, ``mirror`` (the family's), ``z``
            and ``width`` (of dz).

    The readout: ``slope f'(z)``; ``p(z)``; ``q(x)``, by the inverse and its log-det alone. Below "more": ``x = f(z)``;
    ``p(z) / |slope|``; ``log|dx/dz|`` at z and ``log|dz/dx|`` at x, in nats; the ``mass, over dz`` and ``over dx``;
    and ``area under p`` and ``under q``: all four by quadrature.

    Raises:
        ValueError: if ``base`` is no distribution of one number, or ``transform`` no monotone map that base can go
            through.

    Example:
        >>> explorer = MapExplorer1D(stretch=2.0, bend=0.0, z=0.0)
        >>> round(explorer.readout["p(z)"] / explorer.readout["q(x)"], 6)
        2.0
    """

    help = "Drag [z](z) along its axis. Where the curve is steep, what becomes of its [sand](x)?"
    alt = (
        "The graph of a map of the line, below it the density of z and beside it the density of x, with a strip of "
        "mass that goes up from one to the graph and across to the other"
    )
    essential = ("stretch", "bend", "shift", "mirror")
    presets = {  # noqa: RUF012 - never changed
        "squeeze": {"stretch": 0.5, "bend": 0.0, "shift": 0.0, "z": 0.5},
        "two hills": {"stretch": 1.9, "bend": 2.6, "at": 0.0, "shift": 0.0, "z": 0.0},
        "lean": {"stretch": 1.2, "bend": -1.3, "at": -1.0, "shift": -0.5, "z": 0.8},
        "mirror": {"mirror": True},
    }

    def __init__(self, base: Distribution | None = None, transform: Any = None, **state: Any) -> None:
        self._base = base_ = LineBase(base)
        self._given = None if transform is None else GivenLine(transform, base_.nodes)
        if self._given is not None:
            self.presets, self.essential = {}, ("z", "width")
        elif base is not None:  # the presets' z are chosen for the standard normal: another base may have no mass there
            chosen = self.presets.items()
            self.presets = {name: {k: v for k, v in state.items() if k != "z"} for name, state in chosen}
        self._p_area = float(torch.trapezoid(base_.density(base_.nodes), base_.nodes))
        low, high = self._within(_Z)
        # Even steps for the eye, and the nodes for where there is mass in a corner.
        self._even, self._nodes = torch.linspace(0, 1, 241, dtype=torch.float64), base_.nodes[::8]
        z = self._between(*torch.tensor([low, high], dtype=torch.float64))
        p = base_.density(z)
        self._z, self._x = (base_.centre - _Z * base_.spread, base_.centre + _Z * base_.spread), self._landing()
        # Mass is as much area beside q's axis as on p's, whatever the two scales are, if this is the same for both.
        self._top = float(base_.density(low + (high - low) * self._even).quantile(0.97))
        self._unit = 0.33 * (self._x[1] - self._x[0]) / self._top
        self._foot = self._x[0] - _LOW * (self._x[1] - self._x[0])
        self._side = self._z[0] - _BESIDE * (self._z[1] - self._z[0])
        self._p = torch.stack([z, self._foot + self._unit * p], -1)
        self._flank = int((z - (base_.centre - 0.9 * base_.spread)).abs().argmin())
        self._still = None if self._given is None else self._whole_of_given()
        super().__init__(**state)

    def _within(self, spreads: float) -> tuple[float, float]:
        """Return so many spreads around the centre, as far as there is mass."""
        base, nodes = self._base, self._base.nodes
        low, high = base.centre - spreads * base.spread, base.centre + spreads * base.spread
        return max(low, nodes[0].item()), min(high, nodes[-1].item())

    def _between(self, low: Tensor, high: Tensor) -> Tensor:
        return torch.cat([low + (high - low) * self._even, self._nodes.clamp(low, high)]).sort().values

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
        z = {"z": slider("z", low, high, start, **fine), "width": slider("width of dz", *widths, **fine)}
        if self._given is not None:
            return z
        return {
            "stretch": slider("stretch", 0.4, 2.5, 1.5),
            "bend": slider("bend", -1.5, 3, 1.2),
            "shift": slider("shift", -2, 2, 0.0),
            "mirror": switch("mirror: f decreases", False),
            "at": slider("bend at", -2, 2, -0.5),
            **z,
        }

    def _map(self, s: SimpleNamespace) -> Bent | GivenLine:
        if self._given is not None:
            return self._given
        return Bent(s.stretch, s.shift, s.bend, s.at, s.mirror, centre=self._base.centre, spread=self._base.spread)

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        f, ends = self._map(s), self._base.nodes[[0, -1]]
        low, high = torch.maximum(s.z - s.width / 2, ends[0]), torch.minimum(s.z + s.width / 2, ends[1])
        # One call there, one of p, one back: z, the strip as it is drawn, and the rule's points.
        along = low + (high - low) * torch.linspace(0, 1, _ALONG, dtype=torch.float64)
        points = torch.cat([s.z[None], along, _spread(low, high)])
        x, slopes = f.there(points[: 1 + _ALONG])
        p = self._base.density(points)
        x_low, x_high = torch.minimum(x[1], x[-1]), torch.maximum(x[1], x[-1])
        across = x_low + (x_high - x_low) * torch.linspace(0, 1, _ALONG, dtype=torch.float64)
        q, ladj = self._pushed(f, torch.cat([x[:1], across, _spread(x_low, x_high)]))
        masses = _sum(p[1 + _ALONG :], low, high), _sum(q[1 + _ALONG :], x_low, x_high)
        if self._given is not None:
            _check(s.z, x, slopes[0], masses[1])
        graph, density, area = self._still or self._whole(f)
        strip = torch.stack([along, x[1:]], -1)
        marks = {
            "z axis": Curves(_line(self._z[0], self._foot, self._z[1], self._foot), color="soft"),
            "x axis": Curves(_line(self._side, self._x[0], self._side, self._x[1]), color="soft"),
            "p area": Area(_closed(self._p, self._foot), alpha=0.15, color="z"),
            "q area": Area(_closed(density.flip(1), self._side).flip(1), alpha=0.15, color="x"),
            "up": Area(_closed(strip, self._foot), alpha=0.1, color="z"),
            "across": Area(_closed(strip.flip(1), self._side).flip(1), alpha=0.1, color="x"),
            "dz": Area(self._under(along, p[1 : 1 + _ALONG], self._foot), alpha=0.6, color="z"),
            "dx": Area(self._under(across, q[1 : 1 + _ALONG], self._side).flip(1), alpha=0.6, color="x"),
            "p": Curves(self._p, width=2.0, color="z"),
            "density": Curves(density, width=2.0, color="x"),
            "graph": Curves(graph, width=2.25),
            **self._words(graph, density),
            "dx name": Label(
                torch.stack([self._side + self._unit * q[0].clamp(max=self._top * 9), x[0]]),
                "dx",
                anchor="start",
                shift=10,
                size=16,
                italic=True,
                color="x",
            ),
            **self._tangent(s.z, x[0], slopes[0]),
            **self._handles(s, x[0]),
        }
        ticks = (tuple(t for t in MaxNLocator(5).tick_values(a, b) if a < t < b) for a, b in (self._z, self._x))
        chart = Chart(
            marks, (self._side, self._z[1]), (self._foot, self._x[1]), ticks=next(ticks), yticks=next(ticks),
            axis=False, height=430,
        )  # fmt: skip
        return {"chart": chart, "readout": self._numbers(s, x[0], slopes[0], p[0], q[0], ladj[0], masses, area)}

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        """A drag of x goes to the z that lands there."""
        if name == "x":
            z = self._map(s).back(values[1][None])[0][0]
            return {"z": z} if z.isfinite() else {}
        if name == "width":
            return {"width": 2 * (values[0] - s.z - self._lever)}
        return {"z": values[0]}

    @property
    def _lever(self) -> float:
        return 0.3 * self._base.spread

    def _under(self, at: Tensor, density: Tensor, base: float) -> Tensor:
        """Return the polygon below a density, over an axis that stands at ``base``."""
        heights = self._unit * density.clamp(max=_HUGE * self._top)
        return _closed(torch.stack([at, base + heights], -1), base)

    def _words(self, graph: Tensor, density: Tensor) -> dict[str, Label]:
        """Return the curves' names, which stand beside them."""
        return {
            "p(z)": Label(
                self._p[self._flank], "p(z)", anchor="end", shift=-8, lift=6, size=16, italic=True, color="z"
            ),
            "q(x)": Label(
                density[len(density) // 4], "q(x)", anchor="start", shift=10, size=16, italic=True, color="x"
            ),
            "f": Label(graph[len(graph) * 15 // 16], "x = f(z)", anchor="end", shift=-12, size=16, italic=True),
        }

    def _tangent(self, z: Tensor, x: Tensor, slope: Tensor) -> dict[str, Any]:
        """Return the tangent, as long as a third of the graph, whatever its slope."""
        wide, tall = self._z[1] - self._z[0], self._x[1] - self._x[0]
        half = wide / 6 / torch.sqrt(1 + (slope * wide / tall) ** 2)
        ends = torch.stack([-half, half])
        angle = torch.rad2deg(torch.atan(slope))
        beside = torch.where(z > self._base.centre + 1.5 * self._base.spread, -0.62, 0.62) * half
        return {
            "tangent": Curves(torch.stack([z + ends, x + slope * ends], -1), width=1.5, dash=True),
            "slope": Label(
                torch.stack([z + beside, x + slope * beside]),
                f"slope {fixed(slope)}",
                angle=angle,
                lift=-15,
            ),
        }

    def _handles(self, s: SimpleNamespace, x: Tensor) -> dict[str, Handle]:
        step = 0.1 * self._base.spread
        foot, side = (torch.tensor(value, dtype=torch.float64) for value in (self._foot, self._side))
        grip = torch.stack([s.z + s.width / 2 + self._lever, foot])
        return {
            "width": Handle(grip, label="dz", shape="grip", angle=90.0, step=step, help="drag the end of dz"),
            "x": Handle(torch.stack([side, x]), label="x", color="x", step=(self._x[1] - self._x[0]) / 80,
                        help="drag x: z is found by the inverse"),
            "point": Handle(torch.stack([s.z, x]), shape="dot", color="ink", step=step, help="drag along the curve: z"),
            "z": Handle(torch.stack([s.z, foot]), label="z", shape="dot", step=step, help="drag z along its axis"),
        }  # fmt: skip

    def _numbers(
        self,
        s: SimpleNamespace,
        x: Tensor,
        slope: Tensor,
        p: Tensor,
        q: Tensor,
        ladj: Tensor,
        masses: Any,
        area: Tensor,
    ) -> dict[str, Number]:
        return {
            "slope f\N{PRIME}(z)": Number(slope, note=f"dx is {fixed(slope.abs())} times as wide as dz"),
            "p(z)": Number(p, digits=3, note=f"shaded over dz: {fixed(masses[0], 3)}"),
            "q(x)": Number(q, digits=3, note=f"shaded over dx: {fixed(masses[1], 3)}, the same sand"),
            "x = f(z)": Number(x, more=True),
            "p(z) / |slope|": Number(p / slope.abs(), digits=3, more=True),
            "log|dx/dz| at z": Number(slope.abs().log(), unit="nats", more=True),
            "log|dz/dx| at x": Number(ladj, unit="nats", more=True),
            "mass, over dz": Number(masses[0], digits=4, more=True),
            "mass, over dx": Number(masses[1], digits=4, more=True),
            "area under p": Number(self._p_area, digits=4, more=True),
            "area under q": Number(area, digits=4, more=True),
        }

    def _pushed(self, f: Bent | GivenLine, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return q(x) = p(z) |dz/dx| (n,) at x (n,), from the inverse and its log-det alone; and that log-det."""
        z, ladj = f.back(x)
        return self._base.density(z) * ladj.exp(), ladj

    def _whole(self, f: Bent) -> tuple[Tensor, Tensor, Tensor]:
        """Return the graph (n, 2), the density beside it (n, 2), and the area under the density ()."""
        ends = f.back(torch.tensor(self._x, dtype=torch.float64))[0].sort().values
        low, high = (torch.tensor(end, dtype=torch.float64) for end in self._within(_Z))
        z = self._between(ends[0].clamp(low, high), ends[1].clamp(low, high))
        x, nodes = f.there(torch.cat([z, self._base.nodes]))[0].split([len(z), len(self._base.nodes)])
        q, values = self._pushed(f, torch.cat([x, nodes]))[0].split([len(z), len(nodes)])
        heights = self._unit * q.clamp(max=_HUGE * self._top)
        # The tails of a wide base may land at infinity.
        parts = ((values[1:] + values[:-1]) / 2 * nodes.diff()).nan_to_num(0.0, 0.0, 0.0)
        area = parts.sum().abs()
        return torch.stack([z, x], -1), torch.stack([self._side + heights, x], -1), area

    # ---- a map that is handed in ---------------------------------------------------------------------------------

    def _whole_of_given(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same for a map that is handed in, without the points at which there is no density."""
        f, z, nodes = self._given, self._p[:, 0], self._base.nodes
        x = f.there(torch.cat([z, nodes]))[0]
        q = self._pushed(f, x)[0]
        # A point where the slope is zero has no density; rounding may leave a huge one.
        good = x.isfinite() & (q < _HUGE * q.nanquantile(0.98))
        (x, images), (q, values), (here, far) = (part.split([len(z), len(nodes)]) for part in (x, q, good))
        here = here & (x >= self._x[0]) & (x <= self._x[1])
        beside = torch.stack([self._side + self._unit * q[here].clamp(max=_HUGE * self._top), x[here]], -1)
        return torch.stack([z[here], x[here]], -1), beside, torch.trapezoid(values[far], images[far]).abs()

    def _landing(self) -> tuple[float, float]:
        """Return where x is shown; of a map handed in, the shortest range in which nearly all of the mass lands."""
        base = self._base
        if self._given is None:
            return base.centre - _X * base.spread, base.centre + _X * base.spread
        x = self._given.there(base.nodes)[0]
        mass = torch.cumulative_trapezoid(base.density(base.nodes), base.nodes)
        ends = torch.searchsorted(mass, mass + _SHOWN_MASS * mass[-1]).clamp(max=len(mass) - 1)
        reach = (x[1:][ends] - x[1:]).abs()
        reach[mass + _SHOWN_MASS * mass[-1] > mass[-1]] = torch.inf
        start = int(reach.argmin())
        low, high = sorted((x[1:][start].item(), x[1:][ends[start]].item()))
        margin = 0.12 * (high - low)
        return low - margin, high + margin


def _check(z: Tensor, x: Tensor, slope: Tensor, mass: Tensor) -> None:
    """Raise ValueError where there is no density."""
    if not bool(x.isfinite().all()) or not slope.isfinite() or slope == 0:
        raise ValueError(f"at z = {float(z):.4g} the map has the slope {float(slope):.4g}: no density there; move z")
    if not mass.isfinite():
        raise ValueError("somewhere over dz the slope is 0, and q is infinite; move z")


def _spread(low: Tensor, high: Tensor) -> Tensor:
    """Return the rule's points from low to high."""
    return (low + high) / 2 + (high - low) / 2 * _RULE[0]


def _sum(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the integral from low to high, by the values at the rule's points."""
    return (high - low) / 2 * (_RULE[1] * values).sum()


def _closed(curve: Tensor, base: float) -> Tensor:
    """Return the polygon (n + 2, 2) between a curve (n, 2) and the height ``base``."""
    ends = torch.stack([curve[-1, 0], curve[0, 0]])
    return torch.cat([curve, torch.stack([ends, torch.full_like(ends, base)], -1)])


def _line(*ends: float) -> Tensor:
    return torch.tensor(ends, dtype=torch.float64).reshape(2, 2)
