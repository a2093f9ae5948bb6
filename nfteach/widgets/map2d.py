"""The two-dimensional change of variables: a map of the plane, which near a point is its Jacobian, and the density."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Flow, Stack
from nfteach.jacobian import AnyMap
from nfteach.jacobian.autograd import jacobian
from nfteach.jacobian.bases import as_base, log_density
from nfteach.jacobian.numbers import fixed, pick
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import choice, slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Area, Arrows, Curves, Density, Dots, Handle, Label, Matrix, Number, Plane
from nfteach.widgets.plane_maps import PLANE_MAPS

__all__ = ["MapExplorer2D"]

NOTHING = "nothing"
_PIXELS = 170, 134  # of the density
_GLASS = 1.3  # half the width of the magnifying glass, in which the square's image has the radius 1
_FAR = 1e5
_LEVER = 0.16  # from the square's corner to its handle
_MESH, _COARSE = 800, 120  # points along each side of the mesh that counts a density out; of a map of one point
_CORNERS = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], dtype=torch.float64)  # counterclockwise
_ALONG = (torch.arange(64, dtype=torch.float64) / 64)[:, None]
_OUTLINE = torch.cat([a + _ALONG * (b - a) for a, b in pairwise(_CORNERS)])
_CIRCLE = torch.stack([torch.cos(t := torch.linspace(0, 2 * math.pi, 73, dtype=torch.float64)), torch.sin(t)], -1)
_NEAR = torch.from_numpy(grid_lines(None, (-2.0, 3.0, -2.0, 3.0), lines=11, points=41)).double()


class Window(NamedTuple):
    """A square region of the plane."""

    middle: tuple[float, float]
    half: float


class MapExplorer2D(Explorer):
    r"""A map of the plane and a point z: near it the map is its Jacobian, which takes a square to a parallelogram.

    The picture shows the plane before (the faint blue grid, z and a small square) and after the map: the warped grid,
    samples and the density of x = f(z), the true image of the square and, dashed, the parallelogram that J spans. The
    smaller the square, the better they agree: then area after / area before is \|det J\|, and so
    q(x) = p(z) / \|det J\|. The magnifying glass shows what is in the small circle. z, f(z) and the square's corner
    can be dragged.

    Args:
        flow: a map in place of the built-in ones, as :class:`~nfteach.jacobian.AnyMap` takes it: any ``Flow`` or
            ``torch.distributions.Transform`` of the plane, a module, or a function of points (N, 2) or (2,). Without an
            inverse there is no q(x) from it, and the density is counted out from where a fine mesh lands.
        base: the distribution of z, on the plane; standard normal by default.
        **state: initial values of controls: ``map`` ("lens", "fan", "swirl", "banana", "shear", "stretch", "rotation",
            "mirror"), ``amount``, ``side`` (of the square), ``z1``, ``z2`` (the point z), ``then`` (a second map, or
            "nothing"), ``then_amount``, ``glass`` (whether the magnifying glass is there).

    The readout: ``det J`` with its sign; ``area ratio``, of the curved image by the shoelace formula to the square;
    ``p(z) / q(x)`` with q by the inverse and its log-det alone. Below "more": ``log|det J|`` (nats), of two maps also
    that of each and their sum, ``condition number`` of J, ``p(z)``, ``p(z) / |det J|``, ``q(x)``; of a map handed in,
    what it ``claims`` of log|det J|, and how far the ``round trip`` is off.

    Raises:
        ValueError: if ``base`` draws no points of the plane. (What is wrong with a map is shown in the explorer.)

    References:
        Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021), section 2.1,
        https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = MapExplorer2D(map="stretch", amount=1.0)
        >>> round(explorer.readout["det J"], 6), round(explorer.readout["area ratio"], 6)
        (2.0, 2.0)
    """

    help = "Drag [z](z): where does its square grow? Then pull the square's corner: make it small."
    alt = (
        "A map of the plane: the grid before, faint, and after, with samples and their density; a small square at a "
        "point z and its image, with the parallelogram that the Jacobian spans, also magnified"
    )
    essential = ("map", "amount", "side")
    presets = {  # noqa: RUF012 - never changed
        "shear": {"map": "shear", "amount": 1.0, "side": 1.0, "then": NOTHING},
        "twice the area": {"map": "stretch", "amount": 1.0, "side": 1.0, "then": NOTHING},
        "fan": {"map": "fan", "amount": 1.0, "then": NOTHING},
        "wild, det J = 1": {"map": "swirl", "amount": 2.0, "z1": -0.5, "z2": 0.9, "side": 0.5, "then": NOTHING},
        "mirror": {"map": "mirror", "amount": 1.0, "side": 1.0, "then": NOTHING},
        "two maps": {"map": "lens", "amount": 1.4, "then": "stretch", "then_amount": -1.0, "side": 0.5},
        "zoom in": {"side": 0.06},
    }

    def __init__(self, flow: Any = None, base: Distribution | None = None, **state: Any) -> None:
        self._base, self._fast_base = (as_base(base, 2, dtype=dtype) for dtype in (torch.float64, torch.float32))
        with seeded(0):
            self._z = self._base.sample((500,)).double()
        self._before = self._seen = Window((0.0, 0.0), 3.4) if base is None else _window_of(self._z)
        self._flow: AnyMap | None = None
        self._still: dict[str, Any] = {}
        self._start = (0.3, -0.9) if base is None else tuple(self._z[0].tolist())
        self._failure = ""
        if base is not None and flow is None:
            # The built-in maps have the origin in their middle.
            (x, y), half = self._before
            self._before = self._seen = Window((0.0, 0.0), max(abs(x), abs(y)) + half)
        (x, y), half = self._before
        reach = 7 / 3.4 * half
        lines = torch.from_numpy(grid_lines(None, (x - reach, x + reach, y - reach, y + reach), lines=29, points=141))
        even = torch.arange(29).repeat(2) % 2 == 0
        self._units, self._halves = lines[even].double(), lines[~even].double()
        self._extent = _extent(self._seen, 4.7 / 3.4, 3.7 / 3.4)
        self._pixels = _centres(self._extent).float()
        self._peak = float(log_density(self._base, _centres(self._extent)).exp().max())
        if flow is not None:
            self._take(flow, base)
        super().__init__(**state)

    def _take(self, flow: Any, base: Distribution | None) -> None:
        """Take a map that is handed in; what is wrong with it is shown later, in words."""
        self.presets = {"zoom in": {"side": round(self._before.half / 60, 9)}}
        self.essential = ("side", "z1", "z2")
        try:
            self._flow = f = AnyMap(flow, dim=2, base=base)
            image = _window_of(f(self._z))
            tried = torch.cat([torch.tensor([self._start], dtype=torch.float64), self._z])
            self._start = tuple(tried[f(tried).isfinite().all(1)][0].tolist())
            self._seen = _joined(self._before, image)
            extent = _extent(image, 1.2, 1.2)
            q = f.density(_centres(extent)) if f.has_inverse else _counted(f, extent)
            density = Density(q.reshape(_PIXELS[1], _PIXELS[0]), extent, 0.69 * float(q.max()) or 1.0)
            self._still = self._sheet(f, density)
            J = f.jacobian(self._z)
            self._given_structure = (J == 0).all(0), (J == 1).all(0)
        except ValueError as error:
            self._failure = str(error)

    def build_controls(self) -> dict[str, Any]:
        (x, y), half = self._before
        unit = half / 3.4
        decimals = max(2 - math.floor(math.log10(unit) + 1e-9), 0)
        fine = {"step": 10.0**-decimals, "format": f".{decimals}f"}
        start = [min(max((a - b) / unit, -3), 3) for a, b in zip(self._start, (x, y), strict=True)]
        side = slider("side of the square", *(round(part * unit, decimals) for part in (0.02, 2, 0.6)), **fine)
        z = {
            "z1": slider("z\u2081", *(round(x + part * unit, decimals) for part in (-3, 3, start[0])), **fine),
            "z2": slider("z\u2082", *(round(y + part * unit, decimals) for part in (-3, 3, start[1])), **fine),
            "glass": switch("magnifying glass", True),
        }
        if self._flow is not None or self._failure:
            return {"side": side, **z}
        return {
            "map": choice("map", list(PLANE_MAPS), "lens"),
            "amount": slider("amount", -2, 2, 1.8),
            "side": side,
            "then": choice("then", [NOTHING, *PLANE_MAPS], NOTHING),
            "then_amount": slider("amount of the second", -2, 2, 1.0),
            **z,
        }

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        if self._failure:
            raise ValueError(self._failure)
        f = self._flow or _built(s)
        z = torch.stack([s.z1, s.z2])
        J = _jacobian(f, z)
        points = torch.cat([z[None], z + s.side * _OUTLINE, z + s.side * _NEAR.reshape(-1, 2)])
        x, outline, near = f(points).split([1, len(_OUTLINE), _NEAR[..., 0].numel()])
        x, det = x[0], J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]
        ratio = _area(outline - x) / s.side**2
        if self._flow is not None:
            _check(x, outline, J, ratio)
        spanned = _cut(x + s.side * _CORNERS @ J.T)
        outline, near = _cut(outline), _cut(torch.where(near.isfinite(), near, x))
        # The glass shows the smallest circle around the middle of both images.
        both = torch.cat([outline, spanned])
        middle = (both.amin(0) + both.amax(0)) / 2
        radius = (both - middle).norm(dim=1).amax()
        structure = self._structure(s)
        parts = {
            "plane": self._plane(s, f, z, x, J, outline, spanned, middle + _GLASS * radius * _CIRCLE),
            "J": Matrix(
                J,
                *structure,
                rows=("x\u2081", "x\u2082"),
                columns=("z\u2081", "z\u2082"),
                title="J at z",
                notes=_notes(J, *structure),
                column_links=("c1", "c2"),
                row_links=("", ""),
                place="side",
                width=140,
                height=96,
                note="Point at an entry of J: what does it say?",
            ),
        }
        if s.glass:
            shown = [(part - middle) / radius for part in (x, outline, spanned, near)]
            zoom = self._seen.half / radius / _GLASS * 190 / 430
            parts["glass"] = _glass(*shown, s.side * J / radius, zoom, aside=self._aside(z + s.side, middle + radius))
        if self._flow is None and s.then != NOTHING:
            parts |= _factors(f, z)
        return parts | {"readout": self._numbers(s, f, z, x, J, det, ratio)}

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        """A drag of the image goes to the z that lands there."""
        point = torch.stack(values)
        if name == "side":
            return {"side": (point - torch.stack([s.z1, s.z2])).mean() - self._lever}
        if name == "f(z)":
            z = (self._flow or _built(s)).inverse_and_ladj(point[None])[0][0]
            if not z.isfinite().all():
                raise ValueError(f"no z lands on x = ({values[0]:.3g}, {values[1]:.3g})")
            return {"z1": z[0], "z2": z[1]}
        return super().drag(name, s, *values)

    @property
    def _lever(self) -> float:
        return _LEVER * self._seen.half / 3.4

    def _plane(
        self,
        s: SimpleNamespace,
        f: AnyMap | Stack,
        z: Tensor,
        x: Tensor,
        J: Tensor,
        outline: Tensor,
        spanned: Tensor,
        circle: Tensor,
    ) -> Plane:
        turned = (torch.linalg.det(J) < 0).double()
        square, closed = z + s.side * _CORNERS, torch.cat([outline, outline[:1]])
        corner = z + s.side + self._lever
        step = 0.1 * self._seen.half / 3.4
        edges = {
            f"e{k + 1}": Arrows(z[None], (z + s.side * axis)[None], width=2.0, color="z", links=(f"c{k + 1}",))
            for k, axis in enumerate(torch.eye(2, dtype=z.dtype))
        } | {
            f"J e{k + 1}": Arrows(x[None], (x + s.side * J[:, k])[None], width=2.0, color="x", links=(f"c{k + 1}",))
            for k in range(2)
        }  # fmt: skip
        marks = {
            **(self._still or self._sheet(f, self._density_of(f))),
            "seen": Curves(circle, width=1.5, color="soft", visible=s.glass),
            "square": Area(square, alpha=0.25, color="z"),
            "square's edge": Curves(square, width=1.5, color="z"),
            "image": Area(outline, alpha=0.4, color="x", toward="neg", shade=turned),
            "image's edge": Curves(closed, width=1.75, color="x", toward="neg", shade=turned),
            "spanned": Curves(spanned, width=1.25, dash=True),
            "step": Arrows(z[None], x[None], width=1.25, gap=9.0, color="soft"),
            **edges,
            "lever": Curves(torch.stack([z + s.side, corner]), width=1.5, color="z"),
            "side": Handle(corner, step=step / 2, help="drag the square's corner: its side"),
        }
        if self._flow is None or self._flow.has_inverse:
            marks["f(z)"] = Handle(x, label="f(z)", color="x", step=step, help="drag f(z): z is found by the inverse")
        else:
            marks["f(z)"] = Dots(x[None], size=5.5, alpha=1.0, labels=("f(z)",), front=True)
        marks["z"] = Handle(z, "z1", "z2", label="z", shape="dot", step=step, help="drag the point z")
        left, right, bottom, top = _extent(self._seen, 1.0, 1.0)
        low, high = max(left, bottom), min(right, top)
        ticks = tuple(tick for tick in MaxNLocator(4).tick_values(low, high) if low < tick < high)
        # Of two maps also their Jacobians must be in view, with the controls below them.
        room = {"height": 350} if isinstance(f, Stack) and len(f) > 1 else {}
        return Plane(marks, (left, right), (bottom, top), ticks=ticks, note=_words(f), **room)

    def _sheet(self, f: AnyMap | Stack, density: Density) -> dict[str, Any]:
        """Return what does not depend on z: the density of x, the grid before and after, the samples."""
        units, halves, samples = f(self._units), f(self._halves), f(self._z)
        if self._flow is not None:
            units, halves, samples = _pieces(units), _pieces(halves), samples[samples.isfinite().all(1)]
        units, halves, samples = _cut(units), _cut(halves), _cut(samples)
        return {
            "density": density,
            "before": Curves(self._units, alpha=0.22, color="z", fixed=True),
            "halves": Curves(halves, alpha=0.14),
            "units": Curves(units, alpha=0.34),
            "samples": Dots(samples),
        }

    def _density_of(self, f: Stack) -> Density:
        z, ladj = f.inverse_and_ladj(self._pixels)
        q = (log_density(self._fast_base, z) + ladj).exp()
        return Density(q.reshape(_PIXELS[1], _PIXELS[0]), self._extent, 0.69 * self._peak)

    def _aside(self, *corners: Tensor) -> Tensor:
        """Return whether something that matters would be below the magnifying glass: one of its corners (2,)."""
        (x, y), half = self._seen
        edge = torch.tensor([x + 0.4 * half, y + 0.12 * half], dtype=torch.float64)
        return (torch.stack(corners) > edge).all(1).any()

    def _structure(self, s: SimpleNamespace) -> tuple[Tensor, Tensor]:
        """Return where J is zero or one for every z: by the maps' formulas, or at many samples of a map handed in."""
        if self._flow is not None:
            return self._given_structure
        pattern = PLANE_MAPS[s.map].structure
        if s.then != NOTHING:
            after = PLANE_MAPS[s.then].structure
            pattern = [[_dot(row, column) for column in zip(*pattern, strict=True)] for row in after]
        return _marked(pattern)

    def _numbers(
        self, s: SimpleNamespace, f: AnyMap | Stack, z: Tensor, x: Tensor, J: Tensor, det: Tensor, ratio: Tensor
    ) -> dict[str, Number]:
        p, turned, size = log_density(self._base, z).exp(), det < 0, fixed(det.abs())
        numbers = {
            "det J": Number(
                det, bad=turned, note=pick(turned, f"small areas × {size}", f"turned over, areas × {size}")
            ),
            "area ratio": Number(ratio, note="image / square; nears |det J| as it shrinks"),
        }
        more = {"log|det J|": Number(det.abs().log(), unit="nats")}
        if self._flow is None and s.then != NOTHING:
            steps = f.steps(z)
            names = ("log|det| of the first", "of the second", "sum of the two")
            values = (*(step.ladj for step in steps), steps[-1].running_ladj)
            more |= {name: Number(value, unit="nats") for name, value in zip(names, values, strict=True)}
        # The largest singular value over the smallest: their squares have the sum |J|^2 and the product det^2.
        size = J.square().sum()
        condition = (size + (size**2 - 4 * det**2).clamp_min(0).sqrt()) / (2 * det.abs())
        more |= {"condition number": Number(condition), "p(z)": Number(p, digits=3),
                 "p(z) / |det J|": Number(p / det.abs(), digits=3)}  # fmt: skip
        if self._flow is None or self._flow.has_inverse:
            back, ladj = f.inverse_and_ladj(x[None])
            q = (log_density(self._base, back[0]) + ladj[0]).exp()
            numbers["p(z) / q(x)"] = Number(p / q, note=f"p(z) = {fixed(p, 3)}, q(x) = {fixed(q, 3)}")
            more["q(x)"] = Number(q, digits=3)
            if self._flow is not None:
                more["round trip off by"] = Number((back[0] - z).abs().max())
        if self._flow is not None and self._flow.has_log_det:
            more["log|det J| it claims"] = Number(f.call_and_ladj(z)[1], unit="nats")
        return numbers | {name: dataclasses.replace(number, more=True) for name, number in more.items()}


def _built(s: SimpleNamespace) -> Stack:
    maps = [PLANE_MAPS[s.map](s.amount)]
    return Stack(*maps) if s.then == NOTHING else Stack(*maps, PLANE_MAPS[s.then](s.then_amount))


def _jacobian(f: AnyMap | Flow, z: Tensor) -> Tensor:
    """Return J (2, 2) at z (2,), by autograd."""
    return f.jacobian(z) if isinstance(f, AnyMap) else jacobian(f.call_and_ladj, z[None])[0][0]


def _area(outline: Tensor) -> Tensor:
    """Return the area inside of a closed polygon (n, 2), by the shoelace formula."""
    following = outline.roll(-1, 0)
    return 0.5 * (outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0]).sum().abs()


def _cut(points: Tensor) -> Tensor:
    """Return points as they are, but none infinite or far out of any picture."""
    return points.nan_to_num(_FAR, _FAR, -_FAR).clamp(-_FAR, _FAR)


def _dot(row: Any, column: Any) -> float:
    """Return an entry of a product of matrices with unknown entries (NaN); zero times anything is zero."""
    return sum(0.0 if 0 in (a, b) else a * b for a, b in zip(row, column, strict=True))


def _notes(J: Tensor, zero: Tensor, one: Tensor) -> tuple[str, ...]:
    digits = "\u2081\u2082"
    return tuple(
        f"\u2202x{digits[i]}/\u2202z{digits[j]} = {fixed(J[i, j])}"
        + (", for every z" if zero[i, j] or one[i, j] else f": how z{digits[j]} moves x{digits[i]}")
        for i in range(2) for j in range(2)
    )  # fmt: skip


def _glass(
    x: Tensor, outline: Tensor, spanned: Tensor, near: Tensor, columns: Tensor, zoom: Tensor, *, aside: Tensor
) -> Plane:
    """Return the magnifying glass: the square's image, the parallelogram and the grid around them."""
    turned = (torch.linalg.det(columns) < 0).double()
    marks = {
        "near grid": Curves(near.reshape(_NEAR.shape), alpha=0.3),
        "near image": Area(outline, alpha=0.4, color="x", toward="neg", shade=turned),
        "near edge": Curves(torch.cat([outline, outline[:1]]), width=1.75, color="x", toward="neg", shade=turned),
        "near spanned": Curves(spanned, width=1.5, dash=True),
        **{
            f"near J e{k + 1}": Arrows(x[None], (x + columns[:, k])[None], width=2.0, color="x", links=(f"c{k + 1}",),
                                       label=f"J e{chr(0x2081 + k)}")
            for k in range(2)
        },
        "near f(z)": Dots(x[None], size=4.5, alpha=1.0, front=True),
        "zoom": Label(torch.tensor([0.0, -1.12]), f"{fixed(zoom, 1)} ×", color="soft"),
    }  # fmt: skip
    sides = (-_GLASS, _GLASS)
    return Plane(marks, sides, sides, ticks=(), fade=False, place="corner", aside=aside, width=190, height=190)


def _factors(f: Stack, z: Tensor) -> dict[str, Matrix]:
    """Return the two factors of J = J_2 J_1, each at the input of its own map."""
    first, second = f
    size = {"width": 150, "height": 50}
    return {
        "J2": Matrix(
            _jacobian(second, first(z)), *_marked(second.structure), title="J = J\u2082 at f\u2081(z), times", **size
        ),
        "J1": Matrix(_jacobian(first, z), *_marked(first.structure), title="J\u2081 at z", **size),
    }


def _marked(structure: Any) -> tuple[Tensor, Tensor]:
    """Return where J is zero and where it is one for every z: bool (2, 2), (2, 2)."""
    entries = torch.tensor(structure)
    return entries == 0, entries == 1


def _words(f: AnyMap | Stack) -> str:
    if isinstance(f, AnyMap):
        return f"f: {f.name}, as handed in"
    if len(f) == 1:
        return f[0].words("z", "x")
    return f"f\u2081, {f[0].words('z', 'y')};  f\u2082, {f[1].words('y', 'x')}"


# ---- maps and bases that are handed in ---------------------------------------------------------------------------


def _window_of(points: Tensor) -> Window:
    """Return a square that holds nearly all of the finite points (N, 2)."""
    points = points[points.isfinite().all(1)]
    low, high = points.quantile(torch.tensor([0.005, 0.995], dtype=points.dtype), dim=0)
    middle, half = (low + high) / 2, 0.65 * float((high - low).max())
    return Window((float(middle[0]), float(middle[1])), half or 1.0)


def _joined(one: Window, other: Window) -> Window:
    """Return a square that holds both; the first, if the second is seen well in it."""
    gap = max(abs(a - b) for a, b in zip(one.middle, other.middle, strict=True))
    if gap + other.half < 1.2 * one.half:
        return one
    ends = [
        (min(a - one.half, b - other.half), max(a + one.half, b + other.half))
        for a, b in zip(one.middle, other.middle, strict=True)
    ]
    return Window(tuple((low + high) / 2 for low, high in ends), max(high - low for low, high in ends) / 2)


def _centres(extent: tuple[float, float, float, float]) -> Tensor:
    """Return the centres of the density's pixels, (rows * columns, 2), the lowest row first."""
    (left, right, bottom, top), (columns, rows) = extent, _PIXELS
    across = left + (right - left) * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
    up = bottom + (top - bottom) * (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    return torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1).reshape(-1, 2)


def _extent(window: Window, across: float, up: float) -> tuple[float, float, float, float]:
    (x, y), half = window
    return (x - across * half, x + across * half, y - up * half, y + up * half)


def _pieces(lines: Tensor) -> Tensor:
    """Return lines (lines, points, 2) as they are, or cut into the pieces (n, 2, 2) where the map has a value."""
    if lines.isfinite().all():
        return lines
    pieces = torch.stack([lines[:, :-1], lines[:, 1:]], 2).reshape(-1, 2, 2)
    return pieces[pieces.isfinite().all(2).all(1)]


def _check(x: Tensor, outline: Tensor, J: Tensor, ratio: Tensor) -> None:
    """Raise ValueError where nothing can be shown."""
    if not (x.isfinite().all() and outline.isfinite().all() and J.isfinite().all()):
        raise ValueError("here the map, or its Jacobian, is NaN or infinite; move z, or make the square small")
    if not J.any() and ratio:
        raise ValueError(
            "here autograd finds J = 0, and yet the image of the square has an area. Move z; if it stays so, the "
            "gradient is cut inside the map: by detach, float() or NumPy"
        )


def _counted(f: AnyMap, extent: tuple[float, float, float, float]) -> Tensor:
    """Return q(x) at the density's pixels (rows * columns,) for a map without an inverse.

    The mass of a fine mesh of z is counted in each pixel, which is also right where the map folds.
    """
    with seeded(0):
        drawn = f.base.sample((2000,)).double()
        low, high = drawn.amin(0), drawn.amax(0)
        low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
        # A point somewhere in each cell: even steps would make a pattern with the pixels.
        side = _COARSE if f.one_by_one else _MESH
        cells = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2) + torch.rand(side**2, 2)
    z = low + (high - low) * cells / side
    mass = f.log_base(z).exp() * (high - low).prod() / side**2
    (columns, rows), (left, right, bottom, top) = _PIXELS, extent
    x = torch.cat([f(part) for part in z.split(32_768)])
    # Each point's mass is shared by the four pixels around it: less noise than giving it to one.
    area = (right - left) / columns * (top - bottom) / rows
    place = (x - x.new_tensor([left, bottom])) / x.new_tensor([(right - left) / columns, (top - bottom) / rows]) - 0.5
    inside = ((place > -1) & (place < x.new_tensor([columns, rows]))).all(1)
    place, mass = place[inside], mass[inside]
    corner = place.floor()
    part = place - corner
    counts = x.new_zeros((rows + 2) * (columns + 2))  # with a margin, for pixels outside
    for across, up in ((0, 0), (1, 0), (0, 1), (1, 1)):
        shares = (part[:, 0] - (1 - across)).abs() * (part[:, 1] - (1 - up)).abs()
        column, row = (corner + 1 + x.new_tensor([across, up])).long().T
        counts += torch.bincount(row * (columns + 2) + column, mass * shares, minlength=len(counts))
    return counts.reshape(rows + 2, columns + 2)[1:-1, 1:-1].reshape(-1) / area
