"""The planar explorer: one planar layer, its Jacobian as identity plus rank one, and the fold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch.distributions import Distribution

from nfteach.flows.planar import Planar
from nfteach.jacobian.rng import seeded
from nfteach.plots import jacobian, palette
from nfteach.plots.grid import grid_lines
from nfteach.widgets.bases import plane_base
from nfteach.widgets.controls import choice, slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import HeatMap, LiveFigure
from nfteach.widgets.planar.fold import folded_density, preimages

__all__ = ["PlanarExplorer"]

_BOX = 4.0  # the plane is shown from -_BOX to _BOX
_PIXELS = 150
# How far the controls reach, unless a given layer is longer.
_REACH = {"length_w": 2.5, "length_u": 2.5, "b": 3.0}


class PlanarExplorer(Explorer):
    r"""f(z) = z + u h(w.z + b) in the plane, with everything in it to move.

    Above, the warped grid with samples, and the density of f(z): where the map folds, the sum over all points that
    land there. Below, the Jacobian at the probe, I + u psi^T with psi = h'(w.z + b) w, entry by entry; and w.u on a
    line, with the zone below -1 in which the map folds.

    Args:
        layer: a two-dimensional :class:`~nfteach.Planar` to begin with, of which a copy of the numbers is taken. The
            controls reach as far as its numbers do.
        base: the distribution of z, on the plane; standard normal by default.
        samples: how many points are drawn from it.
        **state: initial values of controls: ``angle_w``, ``angle_u`` (degrees), ``length_w``, ``length_u``, ``b``,
            ``h`` ("tanh" or "leaky_relu"), ``use_u_hat``, ``z1``, ``z2`` (the probe).

    The readout: ``w.u given`` and ``w.u used`` (of u-hat, if it is used); ``det J`` and ``log|det J|`` (nats) at the
    probe; ``preimages``, how many points land where the probe lands; ``J is``: diagonal, triangular or full.

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

    help = "Turn and stretch w and u. What happens when w.u passes -1?"
    presets = {  # noqa: RUF012 - never changed
        "gentle": {"use_u_hat": True},
        "fold it": {"angle_w": 25.0, "angle_u": -170.0, "length_w": 1.6, "length_u": 2.0, "z1": 0.3, "z2": 0.2},
        "axis-aligned: diagonal after all": {"angle_w": 0.0, "angle_u": 0.0},
        "the note's counterexample: w = (2, 1), u = (1, -1)": {
            "angle_w": math.degrees(math.atan2(1, 2)),
            "length_w": math.sqrt(5),
            "angle_u": -45.0,
            "length_u": math.sqrt(2),
            "z1": 0.2,
            "z2": -0.1,
        },
    }

    handles = {"probe": ("z1", "z2")}  # noqa: RUF012

    def __init__(
        self, layer: Planar | None = None, *, base: Distribution | None = None, samples: int = 1500, **state: Any
    ) -> None:
        given = {} if layer is None else _state_of(layer)
        self._reach = {name: max(reach, math.ceil(abs(given.get(name, 0)))) for name, reach in _REACH.items()}
        self._base = plane_base(base)
        with seeded(0):
            self._layer = Planar(2).double()
            self._z = self._base.sample((samples,)).double()
        centres = (np.arange(_PIXELS) + 0.5) / _PIXELS * 2 * _BOX - _BOX
        self._pixels = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2).astype(np.float32)
        self._square = torch.from_numpy(grid_lines(None, (-_BOX, _BOX, -_BOX, _BOX), lines=25, points=81)).double()
        super().__init__(**{**given, **state})

    def build_controls(self) -> dict[str, Any]:
        reach = self._reach
        return {
            "angle_w": slider("angle of w (°)", -180, 180, 30.0, step=1, format=".0f"),
            "length_w": slider("length of w", 0, reach["length_w"], 1.5),
            "angle_u": slider("angle of u (°)", -180, 180, 75.0, step=1, format=".0f"),
            "length_u": slider("length of u", 0, reach["length_u"], 1.2),
            "b": slider("b", -reach["b"], reach["b"], 0.0),
            "z1": slider("probe z₁", -3, 3, 1.0),
            "z2": slider("probe z₂", -3, 3, -0.4),
            "h": choice("h", {"tanh": "tanh", "leaky ReLU": "leaky_relu"}, "tanh"),
            "use_u_hat": switch("use û in place of u: never folds", False),
        }

    def build_live(self) -> LiveFigure:
        figure = Figure(figsize=(5.8, 5.0), facecolor="white")

        def axes(left: float, bottom: float, width: float, height: float, **options: Any) -> Any:
            return figure.add_axes((left / 5.8, bottom / 5.0, width / 5.8, height / 5.0), **options)

        limits = {"xlim": (-_BOX, _BOX), "ylim": (-_BOX, _BOX)}
        plane, density = axes(0.35, 2.2, 2.55, 2.55, **limits), axes(3.15, 2.2, 2.55, 2.55, **limits)
        plane.set_title("where f takes grid and samples", fontsize=10)
        density.set_title("density of f(z)", fontsize=10)
        for ax in (plane, density):
            ax.tick_params(labelsize=9)
            ax.set_xticks(range(-4, 5, 2))
            ax.set_yticks(range(-4, 5, 2))
        density.set_yticklabels([])
        ruler = _ruler(axes(3.85, 0.85, 1.85, 0.4), self._reach["length_w"] * self._reach["length_u"])
        return LiveFigure(
            figure,
            {**_movers_of_plane(plane, density), **_matrices(figure, axes), **ruler},
            alt="A planar map: the warped grid with samples, the density of its output, its Jacobian at a probe as "
            "identity plus a matrix of rank one, and w.u on a line with the zone below -1 in which the map folds.",
        )

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        layer = self._layer
        layer.w.copy_(_vector(state["angle_w"], state["length_w"]))
        layer.u.copy_(_vector(state["angle_u"], state["length_u"]))
        layer.b.fill_(state["b"])
        layer.activation, layer.constrained = state["h"], state["use_u_hat"]
        z = torch.tensor([state["z1"], state["z2"]], dtype=torch.float64)
        terms, image = layer.terms(z), layer(z)
        rank_one = torch.outer(terms["u_hat"], terms["psi"]).numpy()
        map_ = (terms["u_hat"].numpy(), layer.w.numpy(), state["b"], state["h"])
        landing = [found[0] for _, found, _ in preimages(image[None].numpy(), *map_) if len(found)]
        given, used = float(layer.w @ layer.u), float(terms["w.u_hat"])
        pixels = folded_density(self._base.log_prob, self._pixels, *map_).reshape(_PIXELS, _PIXELS)
        return {
            "density": np.sqrt(pixels),
            "grid": layer(self._square),
            "samples": layer(self._z),
            "plane": {"points": _plane(layer.w.numpy(), state["b"]), "visible": bool(layer.w.any())},
            "preimages": landing,
            "probe": z[None],
            "image": image[None],
            "image_in_density": image[None],
            "move": torch.cat([z, image - z])[None],
            "J": np.eye(2) + rank_one,
            "rank_one": rank_one,
            "given": [[given, 0.0]],
            "used": [[used, 0.0]],
            "readout": {
                "w.u given": given,
                "w.u used": used,
                "det J": terms["det = 1 + u_hat.psi"],
                "log|det J|": (terms["log|det J|"], "nats"),
                "preimages": len(landing),
                "J is": _shape(rank_one),
            },
        }


def _movers_of_plane(plane: Any, density: Any) -> dict[str, Any]:
    grid = LineCollection(np.zeros((1, 2, 2)), colors=palette.FORWARD, linewidths=0.8, alpha=0.75)
    plane.add_collection(grid)
    ring = {"facecolors": "none", "edgecolors": palette.INK, "linewidths": 1.5, "s": 60, "zorder": 5}
    dot = {"color": palette.HIGHLIGHT, "edgecolors": palette.INK, "s": 60, "zorder": 6}
    return {
        "grid": grid,
        "samples": plane.scatter([], [], s=5, color=palette.DATA, alpha=0.45, linewidths=0, zorder=2.2),
        "plane": plane.plot([], [], "--", color=palette.INK, linewidth=1.5, zorder=2.4)[0],
        "move": plane.quiver(
            [0], [0], [1], [1], angles="xy", scale_units="xy", scale=1, width=0.012, color=palette.INK, zorder=5.5
        ),
        "preimages": plane.scatter([], [], **ring),
        "probe": plane.scatter([], [], **{**ring, "facecolors": "white"}),
        "image": plane.scatter([], [], **dot),
        "density": density.imshow(
            np.zeros((2, 2)),
            extent=(-_BOX, _BOX, -_BOX, _BOX),
            origin="lower",
            cmap=palette.DENSITY,
            # The image holds the root of the density: tails are seen beside peaks.
            vmin=0.0,
            vmax=math.sqrt(0.25),
        ),
        "image_in_density": density.scatter([], [], **dot),
    }


def _matrices(figure: Figure, axes: Any) -> dict[str, HeatMap]:
    """J = I + u psi^T, as three small heat maps; I, which never changes, in the colours of zeros and ones."""
    maps = {}
    for index, (name, title) in enumerate([("J", "$J$"), ("I", "$I$"), ("rank_one", r"$u\,\psi^\top$")]):
        ax = axes(0.35 + 1.14 * index, 0.55, 0.92, 0.92)
        if name == "I":
            jacobian(np.eye(2), ax).set(xlabel="", ylabel="", xticks=[], yticks=[])
        else:
            maps[name] = HeatMap(ax, np.eye(2), cmap=palette.SIGNED, limits=(-2, 2), fontsize=9)
        ax.set_title(title, fontsize=10, pad=4)
        if index:
            figure.text((0.35 + 1.14 * index - 0.11) / 5.8, 1.01 / 5.0, "=+"[index - 1], ha="center", va="center")
    words = "J is taken at the probe z (white), which f moves to the orange dot.\nRings: other points that land there."
    figure.text(0.35 / 5.8, 0.06 / 5.0, words, fontsize=9, linespacing=1.3)
    return maps


def _ruler(ax: Any, largest: float) -> dict[str, Any]:
    """w.u on a line, with the zone in which the map folds."""
    ends = 1.05 * largest
    step = math.floor(ends / 2.1)
    # -1, where the zone begins, always has its mark; 1 beside it only while there is room.
    ticks = [-2 * step, -step, -1, *([1] if ends < 10 else []), step, 2 * step]
    ax.set(xlim=(-ends, ends), ylim=(-1, 1), yticks=[], xticks=ticks)
    ax.tick_params(labelsize=9)
    ax.axvspan(-ends, -1, color=palette.DATA, alpha=0.25, linewidth=0)
    ax.text(-0.975 * ends, 0, "folds", va="center", fontsize=9, color=palette.INK)
    ax.set_title("w.u: given (ring), used (dot)", fontsize=9)
    ring = {"facecolors": "none", "edgecolors": palette.INK, "linewidths": 1.5, "s": 60, "zorder": 5}
    return {
        "given": ax.scatter([], [], **ring),
        "used": ax.scatter([], [], color=palette.HIGHLIGHT, edgecolors=palette.INK, s=30, zorder=6),
    }


def _vector(degrees: float, length: float) -> torch.Tensor:
    angle = math.radians(degrees)
    # Exactly zero where a sine or cosine only rounds to zero: an axis-aligned w is axis-aligned.
    parts = [part if abs(part) > 1e-15 else 0.0 for part in (math.cos(angle), math.sin(angle))]
    return length * torch.tensor(parts, dtype=torch.float64)


def _plane(w: np.ndarray, b: float) -> np.ndarray:
    """Two far points of the line w.z + b = 0."""
    norm = max(float(w @ w), 1e-12)
    along = np.array([-w[1], w[0]]) / math.sqrt(norm)
    return -b * w / norm + 3 * _BOX * np.array([[-1.0], [1.0]]) * along


def _shape(rank_one: np.ndarray) -> str:
    """What J = I + u psi^T looks like: its zeros off the diagonal."""
    above, below = (abs(value) > 1e-12 for value in (rank_one[0, 1], rank_one[1, 0]))
    if above and below:
        return "full"
    return "upper triangular" if above else "lower triangular" if below else "diagonal"


def _state_of(layer: Planar) -> dict[str, Any]:
    """The controls' values that show a given layer."""
    if not isinstance(layer, Planar) or layer.dim != 2:
        raise ValueError(f"layer must be a Planar of two dimensions, but is {layer!r}")
    state: dict[str, Any] = {"b": layer.b.item(), "h": layer.activation, "use_u_hat": layer.constrained}
    for name, vector in (("w", layer.w), ("u", layer.u)):
        x, y = vector.tolist()
        if not math.isfinite(x + y + state["b"]):
            raise ValueError(f"layer must have finite numbers, but {name} is {[x, y]} and b is {state['b']}")
        state |= {f"angle_{name}": math.degrees(math.atan2(y, x)), f"length_{name}": math.hypot(x, y)}
    return state
