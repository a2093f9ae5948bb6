"""The 2-D map explorer: a map of the plane, its Jacobian at a probe as the map of small squares, and the density."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.jacobian.bases import as_base, log_density
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import choice, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.map2d.built import BuiltIn
from nfteach.widgets.map2d.given import GivenPlane
from nfteach.widgets.map2d.maps import PLANE_MAPS
from nfteach.widgets.map2d.picture import Local, Map2DPicture, Window
from nfteach.widgets.rounding import without_noise

__all__ = ["MapExplorer2D"]

_BOX = 4.0  # the plane is shown from -_BOX to _BOX, for the standard normal
_PIXELS = 112
_SAMPLES = 1200
_TRIED = 300  # samples at which a map that is handed in must run
_EDGE = 64  # pieces of each edge of the square, for its image's area
NOTHING = "nothing"
_FAR = 1e5  # where lines that run off to infinity are cut
_ALONG = torch.arange(_EDGE, dtype=torch.float64) / _EDGE
_EDGES = ((_ALONG, 0 * _ALONG), (0 * _ALONG + 1, _ALONG), (1 - _ALONG, 0 * _ALONG + 1), (0 * _ALONG, 1 - _ALONG))
_OUTLINE = torch.cat([torch.stack(edge, dim=1) for edge in _EDGES])  # of the unit square, counter-clockwise


class MapExplorer2D(Explorer):
    r"""A map of the plane and a probe: near it the map is its Jacobian, which takes a square to a parallelogram.

    Left the plane of z with a grid and a small square at the probe z, right its image: the true, curved image of the
    square and, dashed, the parallelogram that J spans. Its edges, the arrows, are the columns of J times the side of
    the square. The smaller the square, the better they agree: then area after / area before is \|det J\|, and so
    q(x) = p(z) / \|det J\|.

    Args:
        flow: a map of your own in place of the built-in ones: any ``Flow`` or ``torch.distributions.Transform`` of the
            plane, a module, or a function of points (N, 2) or (2,). A copy is taken. J is found by autograd. Without
            an inverse there is no q(x) by the inverse, and the density is counted out from where a fine mesh lands.
        base: the distribution of z, on the plane; standard normal by default.
        **state: initial values of controls: ``map`` ("rotation", "shear", "stretch", "swirl", "banana", "lens",
            "mirror"), ``amount``, ``then`` (a second map, or "nothing"), ``then_amount``, ``z1``, ``z2`` (the probe),
            ``side`` (of the square), ``show`` ("grid", "samples", "density").

    The readout: the four entries of J, ``dx1/dz1`` to ``dx2/dz2``; ``det J`` with its sign and ``log|det J|`` (nats);
    ``area ratio``, of the curved image by the shoelace formula to the square; ``condition number`` of J; ``p(z)``,
    ``p(z) / |det J|`` and ``q(x)``, by the inverse alone. Of two maps, ``log|det| of the first``, ``of the second``
    and their ``sum``. Of a map handed in, what it ``claims`` of log|det J|, and how far the ``round trip`` is off.

    Raises:
        ValueError: if ``base`` draws no points of the plane. (What a map does wrong is told in the explorer.)

    References:
        Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021), section 2.1,
        https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = MapExplorer2D(map="stretch", amount=1.0)
        >>> round(explorer.readout["det J"], 6), round(explorer.readout["area ratio"], 6)
        (2.0, 2.0)
    """

    help = "Drag the white dot. Where does its square grow, where does it shrink, and what does the density do there?"
    presets = {  # noqa: RUF012 - never changed
        "shear: same area": {"map": "shear", "amount": 1.0, "side": 1.0},
        "twice the area": {"map": "stretch", "amount": 1.0, "side": 1.0, "show": "density"},
        "wild, |det J| = 1": {"map": "swirl", "amount": 2.0, "z1": -0.5, "z2": 0.9, "side": 0.5},
        "zoom in": {"side": 0.06},
        "mirror: det J < 0": {"map": "mirror", "amount": 1.0, "side": 1.0},
        "two maps": {"map": "lens", "amount": 1.4, "then": "stretch", "then_amount": -1.0, "side": 0.5},
    }
    handles = {"probe": ("z1", "z2"), "x probe": ("z1", "z2")}  # noqa: RUF012

    def __init__(self, flow: Any = None, base: Distribution | None = None, **state: Any) -> None:
        # For numbers, and for pictures.
        self._base, self._fast_base = (as_base(base, 2, dtype=dtype) for dtype in (torch.float64, torch.float32))
        with seeded(0):
            self._samples = self._base.sample((_SAMPLES,)).double()
        self._flow, self._failure = None, ""
        self._built: tuple[Any, BuiltIn] | None = None
        self._drawn: Any = None
        self._before = self._after = Window((0.0, 0.0), _BOX) if base is None else _window_of(self._samples)
        if flow is not None:
            self._take(flow)
        elif base is not None:
            # The built-in maps have the origin in their middle.
            self._before = self._after = Window((0.0, 0.0), max(abs(end) for end in self._before.extent))
        left, right, bottom, top = self._before._replace(half=0.75 * self._before.half).extent
        self._grid = torch.from_numpy(grid_lines(None, (left, right, bottom, top), lines=13, points=49)).double()
        self._pixels = _pixels_of(self._after.extent)
        super().__init__(**state)

    def _take(self, flow: Any) -> None:
        """A map of the reader's own; what is wrong with it is told when it is shown."""
        self.presets = {"zoom in": {"side": round(self._before.half / 100, 9)}}
        try:
            self._flow = GivenPlane(flow, dim=2, base=self._base, points=self._samples[:_TRIED])
            image = _window_of(self._flow(self._samples))
            # The same window, if the image is seen well in it.
            inside = np.abs(np.subtract(image.middle, self._before.middle)).max() + image.half < 1.2 * self._before.half
            self._after = self._before if inside and image.half > 0.3 * self._before.half else image
        except ValueError as error:
            self._failure = str(error)
        if self._flow is None or not self._flow.has_inverse:
            self.handles = {"probe": ("z1", "z2")}

    def build_controls(self) -> dict[str, Any]:
        (x, y), half = self._before
        decimals = max(2 - math.floor(math.log10(half / 4) + 1e-9), 0)
        fine = {"step": 10.0**-decimals, "format": f".{decimals}f"}
        unit = half / 4
        probe = {
            "z1": slider("probe z\u2081", *(round(x + part * unit, decimals) for part in (-3, 3, 0.6)), **fine),
            "z2": slider("probe z\u2082", *(round(y + part * unit, decimals) for part in (-3, 3, 0.3)), **fine),
            "side": slider("side", *(round(part * unit, decimals) for part in (0.02, 2, 0.6)), **fine),
            "show": choice(
                "show", {"grid": "grid", "grid and samples": "samples", "grid and density": "density"}, "samples"
            ),
        }
        if self._flow is not None or self._failure:
            return probe
        controls = {
            "map": choice("map", list(PLANE_MAPS), "lens"),
            "amount": slider("amount", -2, 2, 1.3),
            "then": choice("then", [NOTHING, *PLANE_MAPS], NOTHING),
            "then_amount": slider("its amount", -2, 2, 1.0),
        }
        controls["then"].observe(self._second, "value")
        return controls | probe

    def _second(self, _: Any = None) -> None:
        """The second map's amount is there as long as there is a second map."""
        if "then" in self.controls:
            there = self.controls["then"].value != NOTHING
            self.controls["then_amount"].layout.display = None if there else "none"

    def build_live(self) -> LiveFigure:
        self._second()
        before = log_density(self._base, _pixels_of(self._before.extent)).exp()
        # A little over the peak of the base is at the top of the scale: the same for both planes, and at every moment.
        self._picture = Map2DPicture(
            self._before,
            self._after,
            self._samples.numpy(),
            self._grid.numpy(),
            before.numpy(),
            1.5 * float(before.max()),
        )
        return self._picture.live

    def _map(self, state: dict[str, Any]) -> GivenPlane | BuiltIn:
        """Return the map of a state."""
        if self._failure:
            raise ValueError(self._failure)
        if self._flow is not None:
            return self._flow
        key = tuple(state[name] for name in ("map", "amount", "then", "then_amount"))
        if self._built is None or self._built[0] != key:
            second = [] if state["then"] == NOTHING else [PLANE_MAPS[state["then"]](state["then_amount"])]
            self._built = key, BuiltIn(self._fast_base, PLANE_MAPS[state["map"]](state["amount"]), *second)
        return self._built[1]

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """A drag of the image goes to the z that lands there."""
        if name == "x probe":
            z = self._map(self.state).inverse_and_ladj(torch.tensor([[x, y]], dtype=torch.float64))[0][0]
            if not z.isfinite().all():
                raise ValueError(f"no z lands on x = ({x:.3g}, {y:.3g})")
            x, y = z.tolist()
        return super().dragged(name, x, y)

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        f, side = self._map(state), state["side"]
        z = torch.tensor([[state["z1"], state["z2"]]], dtype=torch.float64)
        x = f(torch.cat([z, z + side * _OUTLINE]))
        J = f.jacobian(z)[0]
        if not (x.isfinite().all() and J.isfinite().all()):
            raise ValueError(
                "here the map, or its Jacobian, is NaN or infinite; move the probe, or make the square small"
            )
        (x, outline), J = (x[0], x[1:]), J.numpy()
        det = float(J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0])
        ratio = abs(_shoelace(outline - x)) / side**2
        if not J.any() and ratio:
            raise ValueError(
                "here autograd finds J = 0, and yet the image of the square has an area. Move the probe; if it stays "
                "so, the gradient is cut inside the map: by detach, float() or NumPy"
            )
        local = Local(
            z=z[0].numpy(),
            x=x.numpy(),
            side=side,
            outline=outline.numpy(),
            J=J,
            det=det,
            ratio=ratio,
            factors=[part.numpy() for part in f.factors(z)],
            words=f.words(),
        )
        p = log_density(self._base, z)[0].exp()
        readout = {f"dx{i + 1}/dz{j + 1}": without_noise(J[i, j]) for i in range(2) for j in range(2)}
        longest, shortest = np.linalg.svd(J, compute_uv=False)
        readout |= {
            "det J": det,
            "area ratio": ratio,
            "log|det J|": (without_noise(math.log(abs(det))) if det else -math.inf, "nats"),
            **f.log_dets(z),
            "condition number": longest / shortest if shortest else math.inf,
            "p(z)": p,
            "p(z) / |det J|": p / abs(det) if det else math.inf,
            **self._by_the_inverse(f, z, x[None]),
        }
        return {**self._picture.moves(local), **self._ground(f, state), "readout": readout}

    def _by_the_inverse(self, f: GivenPlane | BuiltIn, z: Tensor, x: Tensor) -> dict[str, Any]:
        """For the readout: q(x) from the inverse and its log-det alone, if there is an inverse."""
        if not f.has_inverse:
            return {}
        back, ladj = f.inverse_and_ladj(x)
        told = {"q(x)": (log_density(self._base, back)[0] + ladj[0]).exp()}
        return told if self._flow is None else told | {"round trip off by": (back - z).abs().max()}

    def _ground(self, f: GivenPlane | BuiltIn, state: dict[str, Any]) -> dict[str, Any]:
        """Grid, samples and density, if they have to be drawn anew."""
        key = tuple(value for name, value in state.items() if name not in ("z1", "z2", "side"))
        # After an error nobody knows what has been drawn.
        if key == self._drawn and not self.error:
            return {}
        self._drawn, show = key, state["show"]
        moves = self._picture.look(show)
        lines = f(self._grid.reshape(-1, 2)).reshape(self._grid.shape)
        moves["x grid"]["segments"] = _pieces(lines)
        if show == "samples":
            x = f(self._samples)
            moves["x samples"]["points"] = x[x.isfinite().all(1)]
        if show == "density":
            q = f.image(self._pixels, self._after.extent)
            moves["x density"]["values"] = q
            if self._flow is not None:
                moves["x density"]["limits"] = (0.0, 1.25 * float(q.max()) or 1.0)
        return moves


def _window_of(points: Tensor) -> Window:
    """A square that holds nearly all of the finite points (N, 2)."""
    points = points[points.isfinite().all(1)]
    if not len(points):
        raise ValueError("the map is NaN or infinite at all of the base's samples")
    low, high = np.quantile(points.numpy(), [0.005, 0.995], axis=0)
    middle, half = (low + high) / 2, 0.65 * float((high - low).max())
    return Window((float(middle[0]), float(middle[1])), half or 1.0)


def _pixels_of(extent: tuple[float, float, float, float], side: int = _PIXELS) -> Tensor:
    """The centres of side x side pixels, (rows, columns, 2), the lowest row first."""
    left, right, bottom, top = extent
    steps = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    rows, columns = torch.meshgrid(bottom + (top - bottom) * steps, left + (right - left) * steps, indexing="ij")
    return torch.stack([columns, rows], dim=-1)


def _shoelace(outline: Tensor) -> float:
    """The area inside a closed polygon (n, 2), positive if it goes counter-clockwise."""
    following = outline.roll(-1, 0)
    return 0.5 * float((outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0]).sum())


def _pieces(lines: Tensor) -> np.ndarray | list[np.ndarray]:
    """Lines (lines, points, 2) as they are, or the finite pieces of them where the map has no value."""
    finite = lines.isfinite().all(-1)
    lines = lines.clamp(-_FAR, _FAR)
    if finite.all():
        return lines.numpy()
    pieces = []
    for line, good in zip(lines.numpy(), finite.numpy(), strict=True):
        cuts = np.flatnonzero(np.diff(good)) + 1
        pieces += [part for part, fine in zip(np.split(line, cuts), np.split(good, cuts), strict=True) if fine.all()]
    return [piece for piece in pieces if len(piece) > 1]
