"""The routes explorer: several density models of the same plane, and the Jacobians that make them cheap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Distribution, TransformedDistribution

from nfteach.flows import RNADE, Flow, FlowDistribution, Planar, RealNVP, Stack
from nfteach.flows.rnade import TriangularMap
from nfteach.jacobian import AnyMap, recognise
from nfteach.jacobian.numbers import fixed
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.targets import two_moons
from nfteach.widgets.controls import choice, integer, slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Arrows, Curves, Density, Dots, Handle, Matrix, Number, Plane
from nfteach.widgets.planes import cells

__all__ = ["COSTS", "RoutesExplorer", "untrained_routes"]

_MOST, _MOST_D = 4, 3072  # models side by side; dimensions, of a colour image with 32 x 32 pixels
_POINTS, _SHOWN, _LOOKED_AT = 2000, 500, 24  # of the data: over which log q is averaged, drawn, at which J is named
_AT_ONCE = 4096  # points that are mapped together
_BACK = 12  # nats below the highest, where a log-density is drawn no darker
_SQUARE = 0.5 * torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]]).double()


def _elimination(D: int) -> int:
    """Return the multiply-adds of elimination (LU): in the main D^3 / 3.

    Step k of D - 1 divides the D - k entries below the pivot by it, and subtracts multiples of the pivot's row from
    D - k rows of D - k entries: the sum of (D - k) + (D - k)^2 is (D^3 - D) / 3. The D factors on the diagonal follow.
    """
    return (D**3 - D) // 3 + D


#: Structure -> the multiply-adds of one determinant in D dimensions, once the numbers of J that it needs are known.
COSTS: dict[str, Callable[[int], int]] = {
    "dense, by LU": _elimination,
    "triangular": lambda D: D,  # the factors on the diagonal
    "identity + rank one": lambda D: D,  # the products of 1 + u.v, by the matrix determinant lemma
    "coupling": lambda D: D - D // 2,  # the sum of s, where D // 2 dimensions pass
}
_CHEAP = {
    "identity plus rank one": "identity + rank one", "coupling": "coupling", "diagonal": "triangular",
    "lower triangular": "triangular", "upper triangular": "triangular", "triangular up to a permutation": "triangular",
}  # fmt: skip


class RoutesExplorer(Explorer):
    r"""Three routes to a cheap determinant, side by side: the same data, the same point x, three Jacobians.

    Each column is a model: its density with the data, the point x, which can be dragged in each of the pictures, and
    its z; a small square at x, and the parallelogram that the Jacobian J of x -> z makes of it. Below stands J. A
    stack's Jacobian is dense while that of each of its layers is not: "J of one layer" shows that of the first layer
    that x passes. The title is the name of the structure that J has at every point of the data looked at.

    Args:
        models: name -> model, two to four of them: an ``RNADE``, a ``FlowDistribution``, any
            ``TransformedDistribution`` of the plane, a ``Flow`` z -> x (with a standard normal base), or a pair
            (base, flow). Copies are taken. None for an RNADE, six planar layers and a RealNVP with random weights,
            **not trained**.
        data: (N, 2), the first 2000 are used; two moons by default.
        resolution: cells along each side of the densities.
        **state: initial values of controls: ``x1``, ``x2`` (the point), ``show`` ("density", "log density", or "grid":
            where x's grid and the data go in z), ``one_layer`` (J of the first layer, in place of all), ``D``
            (dimensions, for the cost of a determinant).

    The readout, for each model: ``log q(x)``, ``log p(z)``, ``log|det J|`` by the model's own route, ``mean log q``
    over the data (nats), ``parameters``; and the ``multiply-adds`` of each structure's determinant in D dimensions.

    Raises:
        ValueError: if there are not two to four models, one is not a model of the plane, or fails at the data.

    References:
        Papamakarios et al. (2021), section 3, https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = RoutesExplorer(resolution=20, D=64)
        >>> explorer.readout["dense, by LU: multiply-adds"], explorer.readout["coupling: multiply-adds"]
        (87424, 32)
    """

    help = "Drag [x](x): each model has a [z](z) of its own. Which cells of *J* never change?"
    alt = (
        "Side by side the densities that several models give to the plane, with the data, a point x and its z; below "
        "each the Jacobian of its map from x to z"
    )
    essential = ("x1", "x2", "show", "one_layer")
    presets: Mapping[str, Mapping[str, Any]] = {}

    def __init__(
        self,
        models: Mapping[str, Any] | None = None,
        data: Tensor | None = None,
        *,
        resolution: int = 96,
        **state: Any,
    ) -> None:
        given = untrained_routes() if models is None else models
        if not isinstance(given, Mapping) or not 2 <= len(given) <= _MOST:
            what = f"{len(given)} of them" if isinstance(given, Mapping) else f"a {type(given).__name__}"
            raise ValueError(f"models must be name -> model, two to {_MOST} of them, but is {what}")
        if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution < 2:
            raise ValueError(f"resolution must be a whole number, at least 2, but is {resolution!r}")
        self.data = _points(data)
        self.routes = [_Route(str(name), model, self.data) for name, model in given.items()]
        self._untrained = ", random weights" if models is None else ""
        (a, b), half = self._middle, self._half = _window(self.data)
        self._extent = (a - half, a + half, b - 0.8 * half, b + 0.8 * half)
        pixels = cells(self._extent, (resolution, resolution)).double()
        grid = torch.from_numpy(
            grid_lines(None, (a - half, a + half, b - half, b + half), lines=17, points=81)
        ).double()
        base = Density(
            torch.exp(-(pixels**2).sum(-1) / 2).reshape(resolution, resolution), self._extent, 0.7, color="z"
        )
        with torch.no_grad():
            logs = torch.stack([route.log_prob(pixels).reshape(resolution, resolution) for route in self.routes])
            warped = [route.map(grid.reshape(-1, 2)).reshape(grid.shape) for route in self.routes]
            latent = [route.map(self.data[:_SHOWN]) for route in self.routes]
        # Minus infinity, and where there is no density, is the ground.
        logs = logs.nan_to_num(-1e9, 700.0, -1e9)
        # One scale for all: its top is near the highest of all models, so that none is all dark.
        top = logs.flatten(1).quantile(0.995, dim=1).max()
        share = ((logs - top + _BACK) / _BACK).clamp(0, 0.95)
        tints = {"density": (logs - top).clamp(-80, 3).exp(), "log density": -0.5 * torch.log1p(-share)}
        dots = Dots(self.data[:_SHOWN].float(), size=1.2, alpha=0.5)
        self._scenes = {
            show: [{"density": Density(tint.float(), self._extent, scale=0.5), "data": dots} for tint in values]
            for show, values in tints.items()
        }
        self._scenes["grid"] = [
            {"density": base, "grid": Curves(_finite(lines), alpha=0.4), "data": Dots(_finite(z), size=1.2, alpha=0.5,
                                                                                      color="z")}
            for lines, z in zip(warped, latent, strict=True)
        ]  # fmt: skip
        corner = {"x1": self._on_grid(a + 0.9 * half), "x2": self._on_grid(b + 0.7 * half)}
        self.presets = {
            "far out in the tail": {**corner, "show": "log density"},
            "one layer": {"one_layer": True, "show": "grid"},
            "digits, 28 \u00d7 28: D = 784": {"D": 784},
            "colour images: D = 3072": {"D": _MOST_D},
        }
        super().__init__(**state)

    def _on_grid(self, value: float) -> float:
        return round(value, self._decimals())

    def _decimals(self) -> int:
        return max(2 - math.floor(math.log10(self._half / 4) + 1e-9), 0)

    def build_controls(self) -> dict[str, Any]:
        (a, b), half, decimals = self._middle, self._half, self._decimals()
        fine = {"step": 10.0**-decimals, "format": f".{decimals}f"}
        ends = [
            [self._on_grid(middle + part) for part in (-reach, reach)] for middle, reach in ((a, half), (b, 0.8 * half))
        ]
        start = self.data[(self.data - self.data.median(0).values).norm(dim=1).argmin()].tolist()
        x1, x2 = (self._on_grid(value) for value in start)
        return {
            "x1": slider("x\u2081", *ends[0], x1, **fine),
            "x2": slider("x\u2082", *ends[1], x2, **fine),
            "show": choice("show", ["density", "log density", "grid"], "density"),
            "one_layer": switch("J of one layer", False),
            "D": integer("D, for the cost", 2, _MOST_D, 64),
        }

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        x = torch.stack([s.x1, s.x2])
        parts: dict[str, Any] = {}
        numbers, rest = {}, {}
        for k, (route, scene) in enumerate(zip(self.routes, self._scenes[s.show], strict=True)):
            z, log_det, J = route.at(x)
            log_p = route.map.log_base(z)
            log_q = log_p + log_det
            parts |= self._column(k, route, scene, x, z, J, s)
            numbers[f"{route.name}: log q(x)"] = Number(
                log_q, note=f"log p {fixed(log_p)}, log|det J| {fixed(log_det)}"
            )
            rest |= {
                f"{route.name}: log p(z)": Number(log_p, unit="nats", more=True),
                f"{route.name}: log|det J|": Number(log_det, unit="nats", more=True),
                f"{route.name}: mean log q": Number(
                    route.average, unit="nats", more=True, note=f"\u00b1 {route.error:.2f}, {len(self.data)} points"
                ),
                f"{route.name}: parameters": Number(route.parameters, more=True),
            }
        rest |= {f"{name}: multiply-adds": Number(cost(s.D), more=True) for name, cost in COSTS.items()}
        return {**parts, "readout": {**numbers, **rest}}

    def _column(
        self, k: int, route: _Route, scene: dict[str, Any], x: Tensor, z: Tensor, J: Tensor, s: SimpleNamespace
    ) -> dict[str, Any]:
        """Return a model's picture and its Jacobian."""
        side = 0.22 * self._half
        square = side * _SQUARE
        plane = {
            **{f"{name} {k}": mark for name, mark in scene.items()},
            f"image {k}": Curves(z + square @ J.mT, width=1.75, color="z", fade=False),
            f"square {k}": Curves(x + square, width=1.75, color="x", fade=False),
            f"step {k}": Arrows(x[None], z[None], width=1.25, gap=5.0, color="soft"),
            f"z {k}": Dots(z[None], size=5.0, alpha=1.0, color="z", labels=("z",), front=True),
            f"x {k}": Handle(x, "x1", "x2", label="x", color="x", help="drag the point x, in all pictures"),
        }
        whole = not s.one_layer or len(route.layers) < 2
        shown = J if whole else route.layers[0].jacobian(x)
        structure = route.structure if whole else route.structures[0]
        title = f"{'J' if whole else 'J, layer 1'}: {structure.name.replace('plus', '+')}"
        width, extent = {2: 412, 3: 266, 4: 194}[len(self.routes)], self._extent
        size = {"width": width, "column": route.name}
        view = {"x": extent[:2], "y": extent[2:], "ticks": (), "height": round(0.8 * width), **size}
        return {
            f"plane {k}": Plane(plane, title=route.name + self._untrained, **view),
            f"J {k}": Matrix(
                shown, structure.zero, structure.one, title=title, note=route.cost(s.D), height=70, **size
            ),
        }  # fmt: skip


class _Route:
    """A copy of a density model of the plane, with the names of its Jacobians.

    Args:
        name: for sentences.
        model: as :class:`RoutesExplorer` takes it.
        data: (N, 2).

    Attributes:
        map: x -> z, with the base of z.
        layers: the layers of x -> z, in the order in which x passes them; empty for a single map.
        structure, structures: of J over many points, and those of the layers' own.
        parameters: the number of trained numbers.
        average, error: of log q over the data in nats, and its standard error.
    """

    def __init__(self, name: str, model: Any, data: Tensor) -> None:
        self.name, self.parameters = name, _parameters(model)
        x = data[:_LOOKED_AT]
        try:
            base, to_latent = _to_latent(model)
            self.map = AnyMap(to_latent, dim=2, base=base, points=x)
            self.structure = _structure(self.map, x)
            self.layers = self.map.layers
            self.structures = [_structure(step.layer, step.input) for step in self.map.steps(x)]
            logs = self.log_prob(data)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.average = logs.mean().item()
        self.error = logs.std(correction=0).item() / math.sqrt(len(logs))

    def at(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z (2,), log|det J| () in nats as the model claims it, and J (2, 2), at x (2,)."""
        try:
            z, log_det, J = self.map.call_and_jacobian(x)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        if not torch.cat([z, log_det[None], self.map.log_base(z)[None], J.flatten()]).isfinite().all():
            raise ValueError(f"{self.name}: here the map, its Jacobian or log q is NaN or infinite; move x")
        return z, log_det, J

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q (N,) in nats at x (N, 2); NaN where the model has none."""
        logs = []
        for points in x.split(_AT_ONCE):
            z, log_det = self.map.call_and_ladj(points)
            logs.append(self.map.log_base(z) + log_det)
        return torch.cat(logs)

    def cost(self, D: int) -> str:
        """Return in words what log|det J| costs in D dimensions, by the structures of the layers."""
        names = [one.name for one in self.structures]
        by = [_CHEAP.get(name, "dense, by LU") for name in names]
        count = sum(COSTS[name](D) for name in by)
        kinds = ", ".join(dict.fromkeys(names)).replace("plus", "+")
        layers = f"{len(names)} layers, {kinds}\n" if len(names) > 1 else ""
        return f"{layers}D = {D}: {_counted(count)} multiply-adds, by LU {_counted(_elimination(D))}"


def _counted(count: int) -> str:
    """Write a whole number as one reads it."""
    return f"{count:,}" if count < 10**9 else f"{count / 10**9:.1f} billion"


def _finite(points: Tensor) -> Tensor:
    """Return points as they are sent; those that are not finite are far away, where the picture does not reach."""
    return points.nan_to_num(1e4, 1e4, -1e4).clamp(-1e4, 1e4).float()


def _structure(f: AnyMap, x: Tensor) -> Any:
    J = f.jacobian(x[x.isfinite().all(1)])
    J = J[J.flatten(1).isfinite().all(1)]
    if not len(J):
        raise ValueError("its Jacobian is NaN or infinite at all of the data looked at")
    return recognise(J)


def _to_latent(model: Any) -> tuple[Distribution | None, Any]:
    """Return the base and the map x -> z."""
    base = None
    if isinstance(model, tuple) and len(model) == 2:
        base, model = model if isinstance(model[0], Distribution) else model[::-1]
    if isinstance(model, RNADE | TriangularMap):
        return base, model.as_flow() if isinstance(model, RNADE) else model
    if isinstance(model, FlowDistribution):
        base, model = model.base_dist, model.flow
    if isinstance(model, Flow):
        return base, model.inv
    if isinstance(model, TransformedDistribution):
        return model.base_dist, ComposeTransform(list(model.transforms)).inv
    raise ValueError(
        "must be an RNADE, a FlowDistribution, a TransformedDistribution, a Flow z -> x or a pair (base, flow), "
        f"but is a {type(model).__name__}"
    )


def _parameters(model: Any) -> int:
    """Return the number of trained numbers in all modules that a model holds."""
    parts = list(model) if isinstance(model, tuple) else [model]
    parts += [part for one in parts if isinstance(one, TransformedDistribution) for part in one.transforms]
    found = {id(each): each.numel() for part in parts if isinstance(part, nn.Module) for each in part.parameters()}
    return sum(found.values())


def untrained_routes() -> dict[str, Any]:
    """Return an RNADE, a stack of planar layers and a RealNVP, not trained: the same random weights each time."""
    with seeded(1), torch.no_grad():
        rnade = RNADE(2, hidden=12, components=3)
        rnade.W.mul_(1.5)
        for name, size in (("V_alpha", 1.0), ("V_mu", 0.5), ("V_sigma", 0.12)):
            getattr(rnade, name).normal_(0.0, size)
        rnade.b_mu.copy_(torch.tensor([-1.1, 0.0, 1.1]))
        rnade.b_sigma.fill_(-0.9)
    with seeded(4), torch.no_grad():
        planar, realnvp = Stack(*(Planar(2) for _ in range(6))), RealNVP(2, layers=4, hidden=(12,))
        for layer in planar:
            layer.w.normal_(0, 1.3)
            layer.u.normal_(0, 1.3)
            layer.b.normal_(0, 0.8)
        for parameter in realnvp.parameters():
            parameter.mul_(math.sqrt(3.0)) if parameter.dim() > 1 else None
    return {"RNADE": rnade, "planar stack": planar, "RealNVP": realnvp}


def _points(data: Any) -> Tensor:
    """Return data as (N, 2) in float64; two moons if there are none."""
    if data is None:
        data = two_moons().sample((800,), generator=torch.Generator().manual_seed(0))
    data = torch.as_tensor(data).detach().cpu()
    good = data.dim() == 2 and data.shape[1] == 2 and len(data) > 1 and data.is_floating_point()
    if not good or not data.isfinite().all():
        raise ValueError(f"data must be finite points of the plane, (N, 2), but is {data.dtype} {tuple(data.shape)}")
    return data[:_POINTS].double()


def _window(data: Tensor) -> tuple[tuple[float, float], float]:
    """Return the middle and half the side of a square that holds the data with room around them."""
    low, high = np.quantile(data.numpy(), [0.005, 0.995], axis=0)
    half = 0.7 * float((high - low).max()) or 1.0
    return (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2), half
