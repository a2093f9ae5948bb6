"""The planar explorer: one planar layer, its Jacobian as identity plus rank one, and the fold."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows.planar import ACTIVATIONS, Planar, u_hat
from nfteach.jacobian.bases import as_base
from nfteach.jacobian.numbers import bracketed, fixed, pick
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import choice, slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.fold import folded_density, preimages, turning_point
from nfteach.widgets.parts import Area, Arrows, Curves, Density, Dots, Gauge, Handle, Label, Matrix, Number, Plane
from nfteach.widgets.planes import cells

__all__ = ["PlanarExplorer"]

_EXTENT = (-4.7, 4.7, -3.7, 3.7)  # of the density; wider than the picture
_PIXELS = 170, 134
_REACH = {"length_w": 3.0, "length_u": 3.0, "b": 3.0}  # of the controls, unless a given layer goes further


class PlanarExplorer(Explorer):
    r"""f(z) = z + u h(w.z + b) in the plane, with everything in it to drag.

    The picture shows the warped grid, samples and the density of f(z): where the map folds, the sum over all points
    that land there. The arrows w and u, the plane w.z + b = 0 and the point z are handles. "show J" adds the Jacobian
    at z, I + u psi^T with psi = h'(w.z + b) w, entry by entry.

    Args:
        layer: a two-dimensional :class:`~nfteach.Planar` to begin with, of which a copy of the numbers is taken. The
            controls reach as far as its numbers do.
        base: the distribution of z, on the plane; standard normal by default.
        samples: how many points are drawn from it.
        **state: initial values of controls: ``angle_w``, ``angle_u`` (degrees), ``length_w``, ``length_u``, ``b``,
            ``h`` ("tanh" or "leaky_relu"), ``use_u_hat``, ``show_J``, ``z1``, ``z2`` (the point z).

    The readout: ``w·u`` as the map uses it (with û, if it is used); ``det J`` and ``log|det J|`` at z; ``preimages``,
    how many points land on f(z); ``J is``: diagonal, triangular or full.

    Raises:
        ValueError: if ``layer`` is no ``Planar`` of two dimensions with finite numbers, or ``base`` draws no points of
            the plane.

    References:
        Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015), equations 10 to 12 and appendix A.1,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> explorer = PlanarExplorer()
        >>> explorer.preset("fold it")
        >>> explorer.readout["preimages"]
        3
    """

    help = "Drag [u](x) against [w](z). What happens to the sheet when *w·u* passes \N{MINUS SIGN}1?"
    alt = (
        "A planar map: the warped grid, samples and their density, the arrows w and u, the plane, a point and its image"
    )
    essential = ("angle_w", "angle_u", "length_u", "use_u_hat", "show_J")
    presets = {  # noqa: RUF012 - never changed
        "gentle": {
            "angle_w": 30.0, "angle_u": 75.0, "length_w": 1.5, "length_u": 0.6, "b": 0.0, "use_u_hat": False,
        },
        "fold it": {
            "angle_w": 25.0, "angle_u": -170.0, "length_w": 1.6, "length_u": 2.0, "b": 0.0, "z1": 0.3, "z2": 0.2,
            "use_u_hat": False,
        },
        "axis-aligned": {"angle_w": 0.0, "angle_u": 0.0},
        "w = (2, 1), u = (1, \N{MINUS SIGN}1)": {
            "angle_w": math.degrees(math.atan2(1, 2)), "length_w": math.sqrt(5), "angle_u": -45.0,
            "length_u": math.sqrt(2), "z1": 0.2, "z2": -0.1,
        },
    }  # fmt: skip

    def __init__(
        self, layer: Planar | None = None, *, base: Distribution | None = None, samples: int = 500, **state: Any
    ) -> None:
        given = {} if layer is None else _state_of(layer)
        self._reach = {name: max(reach, math.ceil(abs(given.get(name, 0)))) for name, reach in _REACH.items()}
        self._base = as_base(base, 2)
        with seeded(0):
            self._z = self._base.sample((samples,)).double()
        self._pixels = cells(_EXTENT, _PIXELS[::-1]).reshape(-1, 2).float()
        grid = torch.from_numpy(grid_lines(None, (-7.0, 7.0, -7.0, 7.0), lines=29, points=141)).double()
        units = torch.arange(29).repeat(2) % 2 == 0
        self._units, self._halves = grid[units], grid[~units]
        super().__init__(**{**given, **state})

    def build_controls(self) -> dict[str, Any]:
        reach = self._reach
        return {
            "angle_w": slider("angle of w (°)", -180, 180, 30.0, step=0.5, format=".1f"),
            "angle_u": slider("angle of u (°)", -180, 180, 75.0, step=0.5, format=".1f"),
            "length_u": slider("length of u", 0, reach["length_u"], 1.2),
            "use_u_hat": switch("use û: never folds", False),
            "show_J": switch("show J", False),
            "length_w": slider("length of w", 0, reach["length_w"], 1.5),
            "b": slider("b", -reach["b"], reach["b"], 0.0),
            "z1": slider("z₁", -3, 3, 1.0),
            "z2": slider("z₂", -3, 3, -0.4),
            "h": choice("h", {"tanh": "tanh", "leaky ReLU": "leaky_relu"}, "tanh"),
        }

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        w, given = _vector(s.angle_w, s.length_w), _vector(s.angle_u, s.length_u)
        u = u_hat(given, w) if s.use_u_hat else given
        wu, activation = w @ u, ACTIVATIONS[s.h]

        def f(z: Tensor) -> Tensor:
            return z + activation(z @ w + s.b)[0][..., None] * u

        z = torch.stack([s.z1, s.z2])
        x = f(z)
        psi = activation(z @ w + s.b)[1] * w
        det = 1 + u @ psi
        others, _, exists = preimages(x[None], u, w, s.b, s.h)
        count = exists.sum()
        density = folded_density(self._base.log_prob, self._pixels, u.float(), w.float(), s.b.float(), s.h)
        folds = wu < -1
        plane = {
            "density": Density(density.reshape(_PIXELS[1], _PIXELS[0]), _EXTENT),
            "halves": Curves(f(self._halves), alpha=0.16),
            "units": Curves(f(self._units), alpha=0.34),
            "samples": Dots(f(self._z)),
            **self._fold(s, w, u, wu, folds),
            **self._arrows(s, w, given, u),
            "step": Arrows(z[None], x[None], width=1.5, gap=5.0, color="x"),
            **_crosses(others[:, 0], x, count > 1),
            "f(z)": Dots(x[None], size=5.5, alpha=1.0, labels=("f(z)",), front=True),
            "z": Handle(z, "z1", "z2", label="z", shape="dot", help="drag the point z"),
        }
        parts: dict[str, Any] = {"plane": Plane(plane)}
        if s.show_J:
            parts |= _matrices(u, psi, w, "û" if s.use_u_hat else "u")
        with_u = f"with û; {fixed(w @ given)} with u" if s.use_u_hat else ""
        gauge = Gauge((-4.0, 4.0), (-1, 0, 4), (-4.0, -1.0), "folds", given=w @ given if s.use_u_hat else None)
        turned = det < 0
        areas = pick(turned, f"small areas × {det:.2f}", f"turned over, areas × {-det:.2f}")
        land = pick(count - 1, "one z lands", "two z land", "three z land")
        parts["readout"] = {
            "w·u": Number(wu, bad=folds, note=with_u, gauge=gauge),
            "det J": Number(det, bad=turned, note=areas),
            "preimages": Number(count, bad=count > 1, note=f"{land} on f(z){pick(count > 1, '', ': z and each ×')}"),
            "log|det J|": Number(det.abs().log(), unit="nats", more=True),
            "J is": Number(_shape(torch.outer(u, psi)), more=True),
        }
        return parts

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        w = _vector(s.angle_w, s.length_w)
        foot, point = _foot(w, s.b), torch.stack(values)
        if name == "u":
            return _polar("u", point - foot)
        if name == "w":
            # The plane turns and keeps its distance from the origin; the tip of w is where it was dragged.
            distance = -s.b / s.length_w.clamp_min(1e-9)
            side = torch.where(distance + s.length_w < 0, -1.0, 1.0)
            length = (side * point.norm() - distance).clamp_min(0.2)
            return {**_polar("w", side * length * point / point.norm().clamp_min(1e-9)), "b": -distance * length}
        if name == "b":
            return {"b": -(w @ point)}
        return super().drag(name, s, *values)

    def _arrows(self, s: SimpleNamespace, w: Tensor, given: Tensor, u: Tensor) -> dict[str, Any]:
        """Return the plane w.z + b = 0, and w and u from its point nearest to the origin."""
        foot = _foot(w, s.b)
        along = torch.stack([-w[1], w[0]]) / w.norm().clamp_min(1e-9)
        far = 14 * torch.stack([-along, along])
        up = torch.where(along[1] < 0, -along, along)
        # The grip stands where the plane leaves the picture.
        low, high = _in_view(foot, up)
        grip = foot + up * high
        tail = foot[None]
        angle = torch.rad2deg(torch.atan2(up[1], up[0]))
        words = {"size": 13, "italic": True, "color": "z"}
        marks: dict[str, Any] = {
            "w·z + b = 0": Curves(foot + far, width=1.75, color="z"),
            "name": Label(foot + up * (low + 0.6), "w·z + b = 0", angle=angle, lift=9, **words),
            "w arrow": Arrows(tail, (foot + w)[None], gap=6, color="z"),
            "u arrow": Arrows(tail, (foot + u)[None], gap=0 if s.use_u_hat else 6, color="x"),
        }
        if s.use_u_hat:
            marks["given"] = Arrows(tail, (foot + given)[None], width=1.5, dash=True, gap=6, color="x")
        return marks | {
            "b": Handle(grip, shape="grip", angle=angle, help="drag the plane: b"),
            "w": Handle(foot + w, label="w", help="drag w: its direction and length"),
            "u": Handle(foot + given, label="u", color="x", help="drag u: its direction and length"),
        }

    def _fold(self, s: SimpleNamespace, w: Tensor, u: Tensor, wu: Tensor, folds: Tensor) -> dict[str, Any]:
        """Return the strip on which three points land: between the two creases, on either side of the plane."""
        if s.h != "tanh":
            return {}
        turn = turning_point(wu)
        half = -(turn + wu * torch.tanh(turn)) / w.norm().clamp_min(1e-9)
        across = w / w.norm().clamp_min(1e-9)
        along = torch.stack([-across[1], across[0]])
        foot = _foot(w, s.b)
        ends = torch.stack([-14 * along, 14 * along])
        rims = torch.stack([foot + half * across + ends, foot - half * across + ends])
        corners = torch.cat([rims[0], rims[1].flip(0)])
        top = foot + half * across * torch.where(across[1] < 0, -1, 1)
        angle = torch.rad2deg(torch.atan2(along[1], along[0]))
        return {
            "strip": Area(corners, alpha=0.07, color="neg", visible=folds),
            "rims": Curves(rims, width=1.25, color="neg", visible=folds),
            "three": Label(top, "three z land on each point in here", lift=9, angle=angle, color="neg", visible=folds),
        }


def _crosses(others: Tensor, x: Tensor, visible: Tensor) -> dict[str, Any]:
    """Return crosses at the points (3, 2) that land on x (2,), and their ways there: nothing to drag."""
    arms = 0.09 * torch.tensor([[[-1.0, -1.0], [1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]], dtype=others.dtype)
    look = {"color": "z", "visible": visible}
    return {
        "their ways": Curves(torch.stack([others, x.expand_as(others)], 1), width=1.0, dash=True, alpha=0.7, **look),
        "others": Curves((others[:, None, None] + arms).flatten(0, 1), width=2.0, fade=False, **look),
    }


def _matrices(u: Tensor, psi: Tensor, w: Tensor, name: str) -> dict[str, Any]:
    """Return J = I + u psi^T as matrices, each entry with what makes it."""
    rank_one = torch.outer(u, psi)
    eye = torch.eye(2, dtype=u.dtype)
    J, zero = eye + rank_one, (u == 0)[:, None] | (w == 0)[None]
    digits = "₁₂"
    notes = tuple(
        f"J{digits[i]}{digits[j]} = {int(i == j)} + {name}{digits[i]} ψ{digits[j]} = {int(i == j)} + "
        f"{bracketed(u[i])} × {bracketed(psi[j])} = {fixed(J[i, j])}"
        for i in range(2) for j in range(2)
    )  # fmt: skip
    rows, columns = ("r1", "r2"), ("c1", "c2")
    size = {"width": 112, "height": 68}
    return {
        "J": Matrix(J, zero & (eye == 0), zero & (eye == 1), notes=notes, title="J =", row_links=rows,
                    column_links=columns, note="J at z. Point at an entry to see what makes it.", **size),
        "I": Matrix(eye, eye == 0, eye == 1, title="I +", **size),
        "factor u": Matrix(
            u[:, None], (u == 0)[:, None], title=name, width=56, height=68, row_links=rows, column_links=("",)
        ),
        "psi": Matrix(psi[None], (w == 0)[None], title="ψᵀ = h′(w·z + b) wᵀ", width=112, height=34,
                      column_links=columns, row_links=("",)),
    }  # fmt: skip


def _vector(degrees: Tensor, length: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    parts = torch.stack([torch.cos(angle), torch.sin(angle)])
    # Exactly zero where a sine or cosine only rounds to zero: an axis-aligned w is axis-aligned.
    return length * torch.where(parts.abs() > 1e-15, parts, 0.0)


def _polar(name: str, vector: Tensor) -> dict[str, Any]:
    """Return the controls of w or u for a vector (2,); it snaps to the axes."""
    tidy = torch.where(vector.abs() < 0.04, 0.0, vector)
    return {f"angle_{name}": torch.rad2deg(torch.atan2(tidy[1], tidy[0])), f"length_{name}": tidy.norm()}


def _foot(w: Tensor, b: Tensor) -> Tensor:
    """Return the point of the plane w.z + b = 0 that is nearest to the origin."""
    return -b * w / (w @ w).clamp_min(1e-9)


def _in_view(foot: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Return the range of t in which foot + t up, up a unit vector, is inside of the picture."""
    reach = torch.tensor([3.6, 2.8], dtype=foot.dtype)
    slant = torch.where(up.abs() < 1e-6, 1e-6, up)
    ends = torch.stack([(-reach - foot) / slant, (reach - foot) / slant])
    return ends.min(0).values.max(), ends.max(0).values.min()


def _shape(rank_one: Tensor) -> str:
    """Name the zeros of J = I + u psi^T off the diagonal."""
    above, below = rank_one[0, 1].abs() > 1e-12, rank_one[1, 0].abs() > 1e-12
    return pick(above + 2 * below, "diagonal", "upper triangular", "lower triangular", "full")


def _state_of(layer: Planar) -> dict[str, Any]:
    """Return the values of the controls that show a given layer."""
    if not isinstance(layer, Planar) or layer.dim != 2:
        raise ValueError(f"layer must be a Planar of two dimensions, but is {layer!r}")
    state: dict[str, Any] = {"b": layer.b.item(), "h": layer.activation, "use_u_hat": layer.constrained}
    for name, vector in (("w", layer.w), ("u", layer.u)):
        x, y = vector.tolist()
        if not math.isfinite(x + y + state["b"]):
            raise ValueError(f"layer must have finite numbers, but {name} is {[x, y]} and b is {state['b']}")
        state |= {f"angle_{name}": math.degrees(math.atan2(y, x)), f"length_{name}": math.hypot(x, y)}
    return state
