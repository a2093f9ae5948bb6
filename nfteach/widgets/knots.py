"""The knot explorer: an increasing curve drawn by hand, what it makes of a density, and a coupling made of it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nfteach.flows.spline import rational_quadratic, rational_quadratic_inverse
from nfteach.jacobian.numbers import pick
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import choice, integer, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Area, Arrows, Chart, Curves, Density, Dots, Handle, Label, Matrix, Number, Plane
from nfteach.widgets.planes import cells

__all__ = ["BOUND", "GAP", "KnotExplorer", "apart"]

BOUND = 3.0  # the curve is the identity outside of [-BOUND, BOUND]
GAP = 0.1  # the least distance of two knots, in x and in y
_MOST = 5  # inner knots
#: Number of bins -> which of the five inner knots are used: any number of them is spread over the bound.
_USED = {2: (3,), 3: (2, 4), 4: (2, 3, 4), 5: (1, 2, 4, 5), 6: (1, 2, 3, 4, 5)}
_LEAST, _STEEPEST = 0.05, 6.0  # slopes at a knot
_LOW, _HIGH, _FLOOR = -4.65, 4.2, -4.3  # the window, and where in it the densities stand
_TALL = 3.2  # units of the window for one unit of density
_REACH = 0.75  # from a knot to the handle of its slope
_HALF = 0.2  # half the width of the slice at x
_PIXELS = (110, 110)
_SQUARE = {"width": 470, "height": 470}

_START = {"x": (-2.0, -1.0, 0.0, 1.0, 2.0), "y": (-2.3, -1.7, -0.6, 1.2, 2.3), "s": (0.7, 0.6, 1.8, 1.2, 0.8)}


class KnotExplorer(Explorer):
    r"""One monotone rational-quadratic spline: drag its knots, and see what becomes of a density.

    The curve y = f(x) goes through knots, with a given slope at each, and is the identity outside of [-3, 3]. Knots are
    dragged; a knot stops at its neighbours, so that f increases whatever is done to it. The slope of the knot that was
    dragged last has a handle of its own. x is standard normal (blue, along the x axis); the density of y (orange, along
    the y axis) is p(x) / f'(x). The two dark slices hold the same probability.

    "coupling" shows the same curve in a coupling layer of two dimensions: x_A passes, and shifts the knots of x_B.

    Args:
        **state: initial values of controls: ``show`` ("curve", "coupling"); ``bins`` (2 to 6), of which each needs one
            more knot than the last; ``x``, where f is looked at, in the coupling x_B; ``x_A``, and ``shift``, how far
            it moves the knots; ``knot`` (1 to 5), the one whose slope is in view; and of the five inner knots ``x1`` to
            ``x5``, ``y1`` to ``y5`` and the slopes ``s1`` to ``s5``. Fewer bins use some of them. Knots in a wrong
            order are moved apart.

    The readout: ``f'(x)``, ``log|det J|`` (nats), ``q(y)``; ``y``, ``p(x)``, ``f⁻¹(y)``; in the coupling
    ``dy_B/dx_A``.

    References:
        Neural Spline Flows (Durkan et al., 2019), section 3.1, https://arxiv.org/abs/1906.04032

    Example:
        >>> explorer = KnotExplorer()
        >>> explorer.preset("identity")
        >>> explorer.readout["f′(x)"], explorer.readout["log|det J|"]
        (1.0, 0.0)
    """

    help = "Drag the *knots*, or [x](z). Can you give [y](x) two bumps? Three?"
    alt = "An increasing curve through knots, the density of x below it, and the density of y beside it"
    main = 470
    essential = ("show", "x", "bins", *(f"s{k}" for k in range(1, 6)), "x_A", "shift")
    presets = {  # noqa: RUF012 - never changed
        "identity": {"bins": 4, "x2": -1.0, "x3": 0.0, "x4": 1.0, "y2": -1.0, "y3": 0.0, "y4": 1.0, "s2": 1.0,
                     "s3": 1.0, "s4": 1.0},
        "a step": {"bins": 3, "x2": 0.8, "x4": 1.2, "y2": -0.3, "y4": 2.0, "s2": 0.8, "s4": 0.8},
        "a plateau": {"bins": 3, "x2": -0.9, "x4": 0.9, "y2": -0.25, "y4": 0.25, "s2": 0.3, "s4": 0.3},
        "two bumps": {"bins": 4, "x2": -0.4, "x3": 0.0, "x4": 0.4, "y2": -1.2, "y3": 0.0, "y4": 1.2, "s2": 0.8,
                      "s3": 5.0, "s4": 0.8},
    }  # fmt: skip

    def __init__(self, **state: Any) -> None:
        self._along = torch.linspace(_LOW, _HIGH, 441, dtype=torch.float64)
        extent = (_LOW, _HIGH, _LOW, _HIGH)
        self._extent, self._pixels = extent, cells(extent, _PIXELS).double().reshape(-1, 2)
        self._grid = torch.from_numpy(grid_lines(None, (-5.0, 5.0, -5.0, 5.0), lines=21, points=121)).double()
        self._samples = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).double()
        super().__init__(**state)
        for name in ("show", "bins", "knot"):
            self.controls[name].observe(self._put_away, "value")
        self._put_away()

    def build_controls(self) -> dict[str, Any]:
        numbers = range(1, _MOST + 1)
        controls = {
            "show": choice("show", ["curve", "coupling"], "curve"),
            "bins": integer("bins", 2, _MOST + 1, 4),
        }
        for k in numbers:
            controls[f"s{k}"] = slider(f"slope at knot {k}", _LEAST, _STEEPEST, _START["s"][k - 1], step=0.05)
        controls |= {
            "x": slider("x", -3.5, 3.5, 0.5),
            "x_A": slider("x_A, which passes", -3.5, 3.5, 1.0),
            "shift": slider("shift by x_A", -1.4, 1.4, 1.0),
            "knot": integer("knot", 1, _MOST, 3),
        }
        for name in "xy":
            for k in numbers:
                controls[f"{name}{k}"] = slider(f"{name} of knot {k}", -BOUND, BOUND, _START[name][k - 1])
        return controls

    def _put_away(self, _: Any = None) -> None:
        """Hide the controls that would move nothing."""
        state, used = self.state, _USED[self.controls["bins"].value]
        curve, selected = state["show"] == "curve", _selected(state["knot"], used)
        for k in range(1, _MOST + 1):
            shown = {f"s{k}": curve and k == selected, f"x{k}": k in used, f"y{k}": k in used}
            for name, is_shown in shown.items():
                self.controls[name].layout.display = "" if is_shown else "none"
        for name, is_shown in {"bins": curve, "knot": curve, "x_A": not curve, "shift": not curve}.items():
            self.controls[name].layout.display = "" if is_shown else "none"

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        knots = _knots(s)
        return self._coupling(s, knots) if s.show == "coupling" else self._curve(s, knots)

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        kind, _, number = name.partition(" ")
        if kind not in ("knot", "slope"):
            return super().drag(name, s, *values)
        used, (xs, ys, _) = _USED[s.bins], _knots(s)
        if kind == "slope":
            k = _selected(s.knot, used)
            at = used.index(k) + 1
            across, up = values[0] - xs[at], values[1] - ys[at]
            return {f"s{k}": (up.clamp_min(0) / across.clamp_min(1e-6)).clamp(_LEAST, _STEEPEST)}
        at = used.index(int(number)) + 1
        state: dict[str, Any] = {"knot": int(number)}
        for letter, knots, wanted in (("x", xs, values[0]), ("y", ys, values[1])):
            # All, since those in a wrong order are drawn elsewhere than their controls say.
            state |= {f"{letter}{k}": knots[i] for i, k in enumerate(used, 1)}
            state[f"{letter}{number}"] = wanted.clamp(knots[at - 1] + GAP, knots[at + 1] - GAP)
        return state

    # ---- the curve -----------------------------------------------------------------------------------------------

    def _curve(self, s: SimpleNamespace, knots: tuple[Tensor, ...]) -> dict[str, Any]:
        used = _USED[s.bins]
        x, y, log_slope = s.x, *rational_quadratic(s.x, *knots)
        p, slope = _normal(x), log_slope.exp()
        ys, log_slopes = rational_quadratic(self._along, *knots)
        q = _normal(self._along) / log_slopes.exp()
        slice_x = x + _HALF * torch.linspace(-1, 1, 41, dtype=torch.float64)
        slice_y, slice_slope = rational_quadratic(slice_x, *knots)
        corner = torch.tensor([_LOW, _HIGH], dtype=torch.float64)
        inner = torch.stack(knots[:2], -1)[1:-1]
        tangent = torch.stack([torch.ones_like(knots[2]), knots[2]], -1)[1:-1]
        tangent = tangent / tangent.norm(dim=-1, keepdim=True)
        at = used.index(_selected(s.knot, used))
        lever = inner[at] + _REACH * tangent[at]
        angle = torch.rad2deg(torch.atan2(tangent[at, 1], tangent[at, 0]))
        edge = torch.tensor([[-BOUND, -BOUND], [BOUND, -BOUND], [BOUND, BOUND], [-BOUND, BOUND], [-BOUND, -BOUND]])
        marks: dict[str, Any] = {
            "bound": Curves(edge.double(), color="rule"),
            "identity": Curves(torch.stack([corner, corner], -1), color="soft", alpha=0.6, dash=True),
            "p area": Area(_below(self._along, _normal(self._along)), color="z", alpha=0.16),
            "q area": Area(_below(ys, q).flip(-1), color="x", alpha=0.2),
            "p slice": Area(_below(slice_x, _normal(slice_x)), color="z", alpha=0.5),
            "q slice": Area(_below(slice_y, _normal(slice_x) / slice_slope.exp()).flip(-1), color="x", alpha=0.55),
            "p(x)": Label(torch.tensor([1.7, _FLOOR + 0.9]), "p(x)", color="z", italic=True, size=13),
            "q(y)": Label(torch.tensor([_FLOOR + 0.6, 3.3]), "q(y)", color="x", italic=True, size=13),
            "up": Curves(_path((x, x), (x * 0 + _FLOOR, y)), color="z", width=1.25, dash=True, fade=False),
            "across": Curves(_path((x, x * 0 + _FLOOR), (y, y)), color="x", width=1.25, dash=True, fade=False),
            "curve": Curves(torch.stack([self._along, ys], -1), width=2.5),
            "ends": Dots(torch.tensor([[-BOUND, -BOUND], [BOUND, BOUND]]), size=3.5, alpha=1.0, color="soft"),
            "tangents": Curves(
                torch.stack([inner - 0.35 * tangent, inner + 0.35 * tangent], 1), color="soft", width=1.5
            ),
            "lever": Arrows((lever - 2 * _REACH * tangent[at])[None], lever[None], width=1.5, head=False),
            "outside": Label(torch.tensor([3.7, 3.7]), "identity", angle=torch.tensor(45.0), lift=9, color="soft"),
            "y": Dots(torch.stack([x * 0 + _FLOOR, y])[None], size=5.5, alpha=1.0, labels=("y",), front=True),
        }
        for i, k in enumerate(used):
            words = f"drag knot {k}; it stops at its neighbours"
            marks[f"knot {k}"] = Handle(inner[i], f"x{k}", f"y{k}", color="ink", help=words)
        words = f"turn it: the slope at knot {used[at]}"
        marks["slope"] = Handle(lever, color="ink", shape="grip", angle=angle + 90, help=words)
        marks["probe"] = Handle(torch.stack([x, x * 0 + _FLOOR]), "x", label="x", shape="dot", help="drag x")
        change = f"a short piece is {pick(slope > 1, 'squeezed', 'stretched')} × {slope:.2f}"
        return {
            "plane": Plane(marks, (_LOW, _HIGH), (_LOW, _HIGH), (-3, 0, 3), fade=False, **_SQUARE),
            "log slope": _log_slope(self._along, log_slopes, x, log_slope),
            "readout": {
                "f′(x)": Number(slope, note=pick(slope == 1, change, "a short piece keeps its length")),
                "log|det J|": Number(log_slope, unit="nats", note="log f′(x): J is one number"),
                "q(y)": Number(p / slope, note=f"p(x) ÷ f′(x) = {p:.2f} ÷ {slope:.2f}"),
                **_more(x, y, p, knots),
            },
        }

    # ---- the coupling --------------------------------------------------------------------------------------------

    def _coupling(self, s: SimpleNamespace, knots: tuple[Tensor, ...]) -> dict[str, Any]:
        def forward(x: Tensor) -> tuple[Tensor, Tensor]:
            y, log_slope = rational_quadratic(x[..., 1], *_shifted(knots, s.shift, x[..., 0]))
            return torch.stack([x[..., 0], y], -1), log_slope

        x = torch.stack([s.x_A, s.x])
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            y, log_slope = forward(leaf)
            (gradient,) = torch.autograd.grad(y[1], leaf)
        y, log_slope = y.detach(), log_slope.detach()
        back, log_back = rational_quadratic_inverse(self._pixels[:, 1], *_shifted(knots, s.shift, self._pixels[:, 0]))
        q = _normal(self._pixels[:, 0]) * _normal(back) * log_back.exp()
        J = torch.stack([torch.tensor([1.0, 0.0], dtype=torch.float64), gradient])
        here = _shifted(knots, s.shift, s.x_A)
        p = _normal(x).prod()
        slope = log_slope.exp()
        fibre = torch.tensor([_LOW, _HIGH], dtype=torch.float64)
        plane = {
            "density": Density(q.reshape(_PIXELS), self._extent),
            "grid": Curves(forward(self._grid)[0], alpha=0.3),
            "samples": Dots(forward(self._samples)[0]),
            "fibre": Curves(torch.stack([x[0].expand(2), fibre], -1), color="z", width=1.25, alpha=0.7),
            "step": Arrows(x[None], y[None], width=1.75, gap=5.0, color="x"),
            "y": Dots(y[None], size=5.5, alpha=1.0, labels=("y",), front=True),
            "x point": Handle(
                x, "x_A", "x", label="x", shape="dot", help="drag x: sideways it passes, upwards it is bent"
            ),
        }
        ys, _ = rational_quadratic(self._along, *here)
        curve = {
            "identity": Curves(torch.stack([fibre, fibre], -1), color="soft", alpha=0.6, dash=True),
            "base curve": Curves(torch.stack([self._along, rational_quadratic(self._along, *knots)[0]], -1), alpha=0.3),
            "curve": Curves(torch.stack([self._along, ys], -1), width=2.0),
            "knots": Dots(torch.stack(here[:2], -1), size=3.5, alpha=1.0, color="ink", ring=True),
            "f(x)": Dots(torch.stack([x[1], y[1]])[None], size=5.0, alpha=1.0, front=True),
        }
        notes = (
            "∂y_A/∂x_A = 1: x_A passes",
            "∂y_A/∂x_B = 0: x_A passes, whatever x_B is",
            f"∂y_B/∂x_A = {gradient[0]:.2f}: how x_A moves the knots; the determinant does not see it",
            f"∂y_B/∂x_B = f′(x_B) = {slope:.2f}: all that the determinant needs",
        )
        square, side = {"x": (_LOW, _HIGH), "y": (_LOW, _HIGH)}, {"place": "side", "width": 136}
        return {
            "coupling": Plane(plane, **square, ticks=(-2, 0, 2), xlabel="A: passes", ylabel="B: bent", **_SQUARE),
            "J": Matrix(
                J, torch.tensor([[False, True], [False, False]]), torch.tensor([[True, False], [False, False]]),
                title="J", notes=notes, note="Point at an entry to see what makes it.", height=68, **side
            ),
            "curve at x_A": Plane(
                curve, **square, ticks=(), title="the curve for this x_A", height=136, fade=False, **side
            ),
            "readout": {
                "log|det J|": Number(log_slope, unit="nats", note=f"log (1 × f′) = log {slope:.2f}"),
                "q(y)": Number(p / slope, digits=3, note=f"p(x) ÷ f′ = {p:.3f} ÷ {slope:.2f}"),
                "f′(x)": Number(slope, more=True),
                "dy_B/dx_A": Number(gradient[0], more=True),
                **_more(x[1], y[1], p, here),
            },
        }  # fmt: skip


def apart(values: Tensor) -> Tensor:
    """Return knots (n,) at least GAP apart and inside of the bound: each pushes those after it."""
    steps = GAP * torch.arange(1, len(values) + 1, dtype=values.dtype)
    room = (values - steps).clamp(-BOUND, BOUND - (len(values) + 1) * GAP)
    return torch.cummax(room, 0).values + steps


def _knots(s: SimpleNamespace) -> tuple[Tensor, Tensor, Tensor]:
    """Return the knots' x, their y and the slopes there, each (bins + 1,), from (-3, -3) to (3, 3)."""
    x, y, slopes = (torch.stack([getattr(s, f"{name}{k}") for k in _USED[s.bins]]) for name in "xys")
    end = torch.full((1,), BOUND, dtype=x.dtype)
    xs, ys = (torch.cat([-end, apart(each), end]) for each in (x, y))
    return xs, ys, torch.cat([torch.ones_like(end), slopes, torch.ones_like(end)])


def _shifted(knots: tuple[Tensor, ...], shift: Tensor, x_a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the knots that x_A (...) chooses, (..., bins + 1): their y is moved, most in the middle, none at the ends.

    y + d (1 - y^2 / 9) increases in y for abs(d) < 1.5, so the knots stay in their order.
    """
    xs, ys, slopes = knots
    moved = ys + shift * torch.tanh(x_a)[..., None] * (1 - (ys / BOUND) ** 2)
    return xs.expand_as(moved), moved, slopes.expand_as(moved)


def _selected(knot: int, used: tuple[int, ...]) -> int:
    """Return the knot that is used and nearest to the one wanted."""
    return min(used, key=lambda k: abs(k - knot))


def _normal(x: Tensor) -> Tensor:
    return torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _below(at: Tensor, density: Tensor) -> Tensor:
    """Return the area between a density and the floor, as a polygon; what is denser than 1 is cut."""
    tops = torch.stack([at, _FLOOR + _TALL * density.clamp(max=1.0)], -1)
    floor = torch.stack([at, torch.full_like(at, _FLOOR)], -1).flip(0)
    return torch.cat([tops, floor])


def _path(*points: tuple[Tensor, Tensor]) -> Tensor:
    return torch.stack([torch.stack(list(point)) for point in zip(*points, strict=True)])


def _log_slope(along: Tensor, values: Tensor, x: Tensor, value: Tensor) -> Chart:
    """Return the chart of log f'(x): green where f stretches, purple where it squeezes."""
    level = torch.stack([along, torch.zeros_like(along)], -1).flip(0)
    marks: dict[str, Any] = {}
    for name, color, low, high in (("stretched", "pos", 0.0, 2.5), ("squeezed", "neg", -2.5, 0.0)):
        rim = torch.stack([along, values.clamp(low, high)], -1)
        marks[name] = Area(torch.cat([rim, level]), 0.4, color=color)
    marks["log f′"] = Curves(torch.stack([along, values.clamp(-2.5, 2.5)], -1), width=1.5)
    dot = torch.stack([x, value.clamp(-2.5, 2.5)])[None]
    marks["here"] = Dots(dot, size=4.5, alpha=1.0, color="z", front=True)
    look = {"place": "side", "width": 330, "height": 150, "title": "log f′(x): stretched or squeezed"}
    return Chart(marks, (_LOW, _HIGH), (-2.6, 2.6), (-3, 0, 3), yticks=(-2, 0, 2), **look)


def _more(x: Tensor, y: Tensor, p: Tensor, knots: tuple[Tensor, ...]) -> dict[str, Number]:
    found, _ = rational_quadratic_inverse(y, *knots)
    return {
        "y": Number(y, more=True),
        "p(x)": Number(p, digits=3, more=True),
        "f⁻¹(y)": Number(found, more=True, note="in closed form"),
    }
