"""The coupling explorer: one coupling layer as columns and ribbons, and its Jacobian, entry by entry."""

from __future__ import annotations

import copy
import functools
import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from nfteach.flows import AffineCoupling, alternating_mask, half_mask
from nfteach.jacobian.numbers import MINUS, bracketed, coordinate, fixed, summed
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import choice, integer, slider
from nfteach.widgets.coupling_columns import WRITTEN, columns, value_at
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Arrows, Curves, Density, Dots, Handle, Mark, Matrix, Number, Plane

__all__ = ["CouplingExplorer"]

LARGEST = 6  # dimensions that the explorer's own layers may have
MOST = 32  # dimensions that have room at all
START = (0.9, -0.7, 1.3, -0.6, 0.8, 0.4)
REACH = 3.0  # of the inputs
FIRST, LAST, ALTERNATING, FLIPPED = "first d pass", "last d pass", "alternating", "alternating, flipped"

# The plane: a density's pixels and edges.
PIXELS, EXTENT = (170, 134), (-4.7, 4.7, -3.7, 3.7)


class CouplingExplorer(Explorer):
    r"""One affine coupling layer, y_A = x_A and y_B = x_B * exp(s(x_A)) + t(x_A), with every input to drag.

    A column for each number: x above, y below, ink where it passes. Ribbons lead from x_A to the networks, and from
    there s and t to the numbers that they scale and shift; their widths and colours are the values. Beside it the
    Jacobian: pointing at an entry lights what makes it, holding an input lights its column. "show: plane" draws the
    image of the plane of two dimensions, one that passes (across) and one that changes (up), with samples and their
    density, while the others stay; for D = 2 that is the whole layer.

    Args:
        layer: a coupling layer to be shown, of which a copy is taken; its D, mask and networks have no controls then.
        **state: initial values of controls: ``x1``, ``x2``, ... (the input x, also where y is given); ``s`` and ``t``
            (factors of the networks' outputs); ``direction`` ("forward", "inverse"); ``order`` of J ("as it is",
            "passed first"); ``show`` ("columns", "plane"); of the explorer's own layers also ``D``, ``d`` (how many
            pass; at most D - 1), ``mask`` and ``network`` ("gentle", "wild").

    The readout, of the map that is shown: ``det J`` and ``log|det J|`` by s; ``by elimination``, the latter from the
    whole J; ``round trip off by``.

    Raises:
        ValueError: if ``layer`` is not an ``AffineCoupling`` of up to 32 dimensions.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), equations 4 to 9, https://arxiv.org/abs/1605.08803

    Example:
        >>> explorer = CouplingExplorer(s=0.0)
        >>> explorer.readout["det J"]
        1.0
    """

    help = "What passes decides how the [rest](z) moves. Drag a ring: when does *det J* change?"
    alt = "A coupling layer: a column for each number from x to y, ribbons with s and t, and the Jacobian"

    def __init__(self, layer: AffineCoupling | None = None, **state: Any) -> None:
        if layer is not None and not isinstance(layer, AffineCoupling):
            raise ValueError(f"layer must be an AffineCoupling, but is a {type(layer).__name__}")
        if layer is not None and layer.dim > MOST:
            raise ValueError(f"layer must have at most {MOST} dimensions, but has {layer.dim}; try a smaller one")
        self._given = None if layer is None else copy.deepcopy(layer).double().eval().requires_grad_(False)
        self.presets = {"gentle": {"s": 1.0, "t": 1.0}, "NICE: s = 0": {"s": 0.0}}
        if layer is None:
            self.presets = {
                "gentle": {"network": "gentle", "s": 1.0, "t": 1.0},
                "wild s and t": {"network": "wild", "s": 1.5, "t": 1.5},
                "NICE: s = 0": {"s": 0.0},
                "the last pass": {"D": 5, "mask": LAST, "show": "columns"},
                "alternating mask": {"D": 6, "mask": ALTERNATING, "show": "columns"},
                "D = 2, as a plane": {"D": 2, "mask": FIRST, "show": "plane"},
            }
        elif layer.additive:
            self.presets = {}
        with seeded(0):
            self._samples = torch.randn(400, 2).double()
        self._grid = torch.from_numpy(grid_lines(None, (-8.0, 8.0, -8.0, 8.0), lines=33, points=129)).double()
        super().__init__(**state)

    def build_controls(self) -> dict[str, Any]:
        dim = LARGEST if self._given is None else self._given.dim
        starts = [START[k % len(START)] for k in range(dim)]
        inputs = {f"x{k + 1}": slider(coordinate("x", k), -REACH, REACH, start) for k, start in enumerate(starts)}
        controls = {
            "s": slider("strength of s", 0, 2, 1.0),
            "t": slider("strength of t", 0, 2, 1.0),
            "direction": choice("", {"x \u2192 y": "forward", "y \u2192 x": "inverse"}, "forward"),
            **inputs,
            "D": integer("D", 2, LARGEST, 5),
            "d": integer("d: so many pass", 1, LARGEST - 1, 2),
            "mask": choice("mask", [FIRST, LAST, ALTERNATING, FLIPPED], FIRST),
            "network": choice("s and t", ["gentle", "wild"], "gentle"),
            "order": choice("J's order", ["as it is", "passed first"], "as it is"),
            "show": choice("show", ["columns", "plane"], "columns"),
        }
        if self._given is not None:
            for name in ("D", "d", "mask", "network", *(["s"] if self._given.additive else [])):
                del controls[name]
        else:
            controls["D"].observe(lambda _: self._hide(inputs, controls["D"].value), "value")
            self._hide(inputs, controls["D"].value)
        self.essential = tuple(name for name in ("direction", "s", "t") if name in controls)
        return controls

    @staticmethod
    def _hide(inputs: dict[str, Any], dim: int) -> None:
        for name, control in inputs.items():
            control.layout.display = None if int(name[1:]) <= dim else "none"

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        local = self._local(s)
        picture = {s.show: (columns if s.show == "columns" else self._plane)(local), "J": _matrix(local, s.order)}
        ladj = -local.s.sum() if local.back else local.s.sum()
        again = local.map(local.y, back=True)
        terms = [-one if local.back else one for one in local.s]
        total, count = f"{MINUS if local.back else ''}Σs", len(terms)
        product, added = f"exp({total}), {count} factors", f"{total}, {count} terms"
        if count <= 4:
            product = f"exp({total}) = {' × '.join(fixed(term.exp()) for term in terms)}"
            added = f"{total} = {summed(terms)}"
        picture["readout"] = {
            "det J": Number(ladj.exp(), product),
            "log|det J|": Number(ladj, added, "nats"),
            "by elimination": Number(torch.linalg.slogdet(local.J).logabsdet, "of the whole J", "nats", more=True),
            "round trip off by": Number((again - local.x).abs().max(), "there and back again", more=True),
        }
        return picture

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        local = self._local(s)
        letter = "y" if local.back else "x"
        moved = local.y if local.back else local.x
        if s.show == "plane":
            wanted = dict(zip((local.kept[0], local.changed[0]), values, strict=True))
        else:
            wanted = {int(name[1:]) - 1: value_at(letter, values[1])}
        given = torch.stack([torch.as_tensor(wanted.get(k, one), dtype=one.dtype) for k, one in enumerate(moved)])
        if not local.back:
            return {f"x{k + 1}": given[k] for k in wanted}
        x = local.map(given, back=True)
        # Where an input would leave its slider, the drag ends: the other y are given, and stay.
        return {f"x{k + 1}": x[k] for k in range(len(x))} if x.abs().max() <= REACH else {}

    @property
    def layer(self) -> AffineCoupling:
        """The layer that is shown, in float64, without the factors ``s`` and ``t``."""
        return self._layer(self._now())

    def _layer(self, s: SimpleNamespace) -> AffineCoupling:
        return self._given if self._given is not None else _own_layer(s.D, min(s.d, s.D - 1), s.mask, s.network)

    def _local(self, s: SimpleNamespace) -> SimpleNamespace:
        """Return the layer at the point, with J of the map that is shown, and the slopes of s and t."""
        layer = self._layer(s)
        strength = getattr(s, "s", 1.0)

        def networks(kept: Tensor) -> tuple[Tensor, Tensor]:
            scale, shift = layer.scale_and_shift(kept)
            return strength * scale, s.t * shift

        def mapped(points: Tensor, *, back: bool) -> Tensor:
            a, b = layer.split(points)
            scale, shift = networks(a)
            return layer.join(a, (b - shift) * torch.exp(-scale) if back else b * torch.exp(scale) + shift)

        x = torch.stack([getattr(s, f"x{k + 1}") for k in range(layer.dim)])
        a, b = layer.split(x)
        scale, shift = networks(a)
        ds, dt = _slopes(networks, a)
        back = s.direction == "inverse"
        stretch = torch.exp(-scale if back else scale)
        free = -(b[:, None] * ds + stretch[:, None] * dt) if back else (b * stretch)[:, None] * ds + dt
        above = torch.cat([torch.eye(len(a), dtype=x.dtype), torch.zeros(len(a), len(b), dtype=x.dtype)], 1)
        sorted_J = torch.cat([above, torch.cat([free, torch.diag(stretch)], 1)])
        return SimpleNamespace(
            layer=layer, map=mapped, back=back, x=x, y=mapped(x, back=False), s=scale, t=shift, ds=ds, dt=dt,
            J=sorted_J.index_select(0, layer.joined).index_select(1, layer.joined), networks=networks,
            kept=layer.kept.tolist(), changed=layer.changed.tolist(), dim=layer.dim,
            still=torch.as_tensor(layer.additive) | (torch.as_tensor(strength) == 0),
        )  # fmt: skip

    def _plane(self, local: SimpleNamespace) -> Plane:
        """Return the plane of a dimension that passes and one that changes after the map; the others stay."""
        a, b = local.kept[0], local.changed[0]
        start, end = (local.y, local.x) if local.back else (local.x, local.y)
        before, after = ("y", "x") if local.back else ("x", "y")

        def image(points: Tensor) -> Tensor:
            flat = points.reshape(-1, 2)
            held = [start[k].expand(len(flat)) for k in range(local.dim)]
            held[a], held[b] = flat.unbind(1)
            moved = local.map(torch.stack(held, 1), back=local.back)
            return torch.stack([moved[:, a], moved[:, b]], 1).reshape(points.shape)

        points = torch.stack([torch.stack([one[a], one[b]]) for one in (start, end)])
        color = "z" if local.back else "x"
        marks: dict[str, Mark] = {
            "density": Density(self._density(local, a, b), EXTENT, color=color),
            "grid": Curves(image(self._grid), alpha=0.28),
            "samples": Dots(image(self._samples), color=color),
            "step": Arrows(points[:1], points[1:], width=1.5, gap=5, color=color),
            "image": Dots(points[1:], size=5.5, alpha=1.0, labels=(after,), front=True, color=color),
            "point": Handle(points[0], label=before, help=f"drag {before}", color="x" if local.back else "z"),
        }
        return Plane(marks, xlabel=f"{coordinate(after, a)}, passes", ylabel=f"{coordinate(after, b)}, changes")

    @staticmethod
    def _density(local: SimpleNamespace, a: int, b: int) -> Tensor:
        """Return the density (rows, columns) on the plane after the map, for a standard normal before it."""
        (columns, rows), (left, right, bottom, top) = PIXELS, EXTENT
        across = left + (right - left) * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
        up = bottom + (top - bottom) * (torch.arange(rows, dtype=torch.float64) + 0.5)[:, None] / rows
        # s and t are constant along a column of pixels, for they depend only on what passes.
        kept = torch.stack([across if k == a else local.x[k].expand(columns) for k in local.kept], 1)
        scale, shift = (part[:, local.changed.index(b)] for part in local.networks(kept))
        before, ladj = (up * scale.exp() + shift, -scale) if local.back else ((up - shift) * torch.exp(-scale), scale)
        return torch.exp(-0.5 * (before**2 + across**2) - math.log(2 * math.pi) - ladj)


# ---- the columns -------------------------------------------------------------------------------------------------


def _matrix(local: SimpleNamespace, order: str) -> Matrix:
    """Return J of the map that is shown, with what makes each entry."""
    dim, mask = local.dim, local.layer.mask
    places = [*local.kept, *local.changed] if order == "passed first" else list(range(dim))
    sort = torch.tensor(places)
    eye = torch.eye(dim, dtype=torch.bool)
    zero = ~eye & (mask[:, None] | ~mask[None])
    one = eye & (mask[:, None] | local.still)
    J, zero, one = (part.index_select(0, sort).index_select(1, sort) for part in (local.J, zero, one))
    above, beside = ("y", "x") if local.back else ("x", "y")
    makes = [_maker(local, i, j, beside, above) for i in places for j in places]
    written = dim <= WRITTEN
    return Matrix(
        J, zero, one, place="side", height=190 if written else 264,
        rows=tuple(coordinate(beside, k) for k in places) if written else (),
        columns=tuple(coordinate(above, k) for k in places) if written else (),
        notes=tuple(note for note, _ in makes), links=tuple(links for _, links in makes),
        row_links=("",) * dim, column_links=tuple(f"{above}{k + 1}" for k in places),
        note="Point at an entry to see what makes it.",
    )  # fmt: skip


def _maker(local: SimpleNamespace, i: int, j: int, out: str, given: str) -> tuple[str, tuple[str, ...]]:
    """Return what makes the entry of J in row i and column j, in words, and the names that light up with it."""
    yi, xj = coordinate(out, i), coordinate(given, j)
    entry, own = f"∂{yi}/∂{xj}", (f"x{i + 1}", f"y{i + 1}", f"line{i + 1}")
    changes = set(local.changed)
    if i == j and i not in changes:
        return f"{entry} = 1: {yi} is {xj}, it passes", own
    if i not in changes or (i != j and j in changes):
        return f"{entry} = 0: {yi} never depends on {xj}", (f"{given}{j + 1}", f"{out}{i + 1}")
    n = local.changed.index(i)
    s, sign = coordinate("s", i), MINUS if local.back else ""
    if i == j:
        value = -local.s[n] if local.back else local.s[n]
        links = (*own, f"s{i + 1}", *(f"read{k + 1}" for k in local.kept))
        return (
            f"{entry} = exp({sign}{s}) = exp({fixed(value)}) = {fixed(value.exp())}: a factor of det J",
            links,
        )
    column = local.kept.index(j)
    x, ds, dt = local.x[i], local.ds[n, column], local.dt[n, column]
    xi, t = coordinate("x", i), coordinate("t", i)
    slopes, value = (f"∂{s}/∂{xj}", f"∂{t}/∂{xj}"), fixed(local.J[i, j])
    if local.back:
        e = fixed((-local.s[n]).exp())
        words = (
            f"{entry} = {MINUS}({xi} {slopes[0]} + exp({MINUS}{s}) {slopes[1]}) = "
            f"{MINUS}({fixed(x)} × {bracketed(ds)} + {e} × {bracketed(dt)}) = {value}; not in det J"
        )
    else:
        e = fixed(local.s[n].exp())
        words = (
            f"{entry} = {xi} exp({s}) {slopes[0]} + {slopes[1]} = "
            f"{fixed(x)} × {e} × {bracketed(ds)} + {bracketed(dt)} = {value}; not in det J"
        )
    return words, (*own, f"{given}{j + 1}", f"read{j + 1}", f"s{i + 1}", f"t{i + 1}")


def _slopes(networks: Any, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of s and t by x_A, each (D - d, d): of a copy for each output, the gradient."""
    with torch.enable_grad():
        outputs = sum(part.shape[-1] for part in networks(kept))
        copies = kept.expand(outputs, -1).clone().requires_grad_()
        # The second term is zero: s and t may be constants.
        total = torch.cat(networks(copies), -1).diagonal().sum() + 0 * copies.sum()
        (slopes,) = torch.autograd.grad(total, copies)
    return slopes[: outputs // 2], slopes[outputs // 2 :]


# ---- the explorer's own layers -----------------------------------------------------------------------------------


class _Waves(nn.Module):
    """s and t as fixed sums of sines: gentle or, at a high frequency, wild; certainly not invertible."""

    def __init__(self, inputs: int, outputs: int, frequency: float, size: float, waves: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(121 + 10 * inputs + outputs)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.register_buffer("weight", frequency * normal(inputs, waves) / math.sqrt(inputs))
        self.register_buffer("phase", math.pi * normal(waves))
        self.register_buffer("mix", size * normal(waves, 2 * outputs) / math.sqrt(waves))

    def forward(self, kept: Tensor) -> Tensor:
        return torch.sin(kept @ self.weight + self.phase) @ self.mix


@functools.cache
def _own_layer(dim: int, d: int, mask: str, network: str) -> AffineCoupling:
    if mask in (ALTERNATING, FLIPPED):
        passes = alternating_mask(dim, flip=mask == FLIPPED)
    else:
        passes = half_mask(dim, d) if mask == FIRST else half_mask(dim, dim - d, flip=True)
    frequency, size = {"gentle": (0.9, 0.9), "wild": (7.0, 1.2)}[network]
    d = int(passes.sum())
    return AffineCoupling(passes, conditioner=_Waves(d, dim - d, frequency, size)).double().requires_grad_(False)
