"""The routes explorer: several density models of the same plane, and the Jacobians that make them cheap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.targets import two_moons
from nfteach.widgets.controls import choice, integer, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.routes.costs import COSTS
from nfteach.widgets.routes.models import AtProbe, Route, untrained_routes
from nfteach.widgets.routes.picture import MOST, MOST_D, RoutesPicture

__all__ = ["RoutesExplorer"]

POINTS = 2000  # of the data, over which log q is averaged
CAPTION = "Random weights, not trained: these densities have not seen the orange points. Hand in models of your own."


class RoutesExplorer(Explorer):
    r"""Three routes to a cheap determinant, side by side: the same data, the same probe, three Jacobians.

    Each column is a model: its density with the data, and at the probe x, which can be dragged in each of the
    pictures, the Jacobian of its map x -> z, with the name of the structure that it has at every point of the data
    looked at. A stack's Jacobian is dense, while that of each of its layers is not: the layers' names stand below it.
    The numbers say how log q(x) = log p(z) + log\|det J\| adds up, log\|det J\| by the model's own route, and below,
    for comparison, by elimination of J.

    At the bottom, what one determinant costs in D dimensions, see :mod:`nfteach.widgets.routes.costs`; and the average
    of log q over the data, with its standard error.

    Args:
        models: name -> model, two to four of them: an ``RNADE``, a ``FlowDistribution``, any
            ``TransformedDistribution`` of the plane, a ``Flow`` z -> x (with a standard normal base), or a pair
            (base, flow). Copies are taken. None for an RNADE, six planar flows and a RealNVP with random weights,
            **not trained**.
        data: (N, 2), the first 2000 are used; two moons by default.
        resolution: cells along each side of the densities.
        **state: initial values of controls: ``x1``, ``x2`` (the probe), ``show`` ("density", "log density"), ``D``.

    The readout, for each model: ``log p(z)``, ``log|det J|``, ``log q(x)``, ``slogdet of J``, ``mean log q`` and its
    ``standard error`` (nats), ``parameters``; and the ``multiply-adds`` of each structure's determinant.

    Raises:
        ValueError: if there are not two to four models, one is none of the plane, or fails at the data.

    References:
        Papamakarios et al. (2021), section 3, https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = RoutesExplorer(resolution=20, D=64)
        >>> explorer.readout["dense, by LU: multiply-adds"], explorer.readout["coupling: multiply-adds"]
        (87424, 32)
    """

    wide = True
    help = "Drag the white dot. Which cells of J never change? Then raise D: what if nobody had made J special?"
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
        if not isinstance(given, Mapping) or not 2 <= len(given) <= MOST:
            what = f"{len(given)} of them" if isinstance(given, Mapping) else f"a {type(given).__name__}"
            raise ValueError(f"models must be name -> model, two to {MOST} of them, but is {what}")
        if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution < 2:
            raise ValueError(f"resolution must be a whole number, at least 2, but is {resolution!r}")
        self.data = _points(data)
        self.routes = [Route(str(name), model, self.data) for name, model in given.items()]
        self._probes: tuple[Tensor, list[AtProbe]] | None = None  # where the probe was, and what was found there
        self.handles = {f"probe {k}": ("x1", "x2") for k in range(len(self.routes))}
        self._middle, self._half = _window(self.data)
        (a, b), half = self._middle, self._half
        self._picture = RoutesPicture(
            self.routes, self.data.numpy(), (a - half, a + half, b - half, b + half), CAPTION if models is None else ""
        )
        pixels = torch.from_numpy(self._picture.pixels(resolution)).reshape(-1, 2)
        with torch.no_grad():
            logs = [route.log_prob(pixels).reshape(resolution, resolution) for route in self.routes]
        # Minus infinity, and where there is no density, are as dark as can be.
        self._logs = [one.nan_to_num(-1e9, 700.0, -1e9).numpy() for one in logs]
        corner = {"x1": self._on_grid(a + 0.9 * half), "x2": self._on_grid(b + 0.9 * half)}
        self.presets = {
            "far out in the tail": {**corner, "show": "log density"},
            "digits, 8 \u00d7 8: D = 64": {"D": 64},
            "colour images: D = 3072": {"D": MOST_D},
        }
        super().__init__(**state)

    def _on_grid(self, value: float) -> float:
        return round(value, self._decimals())

    def _decimals(self) -> int:
        return max(2 - math.floor(math.log10(self._half / 4) + 1e-9), 0)

    def build_controls(self) -> dict[str, Any]:
        (a, b), half, decimals = self._middle, self._half, self._decimals()
        fine = {"step": 10.0**-decimals, "format": f".{decimals}f"}
        ends = [[self._on_grid(middle + part * half) for part in (-1, 1)] for middle in (a, b)]
        start = self.data[(self.data - self.data.median(0).values).norm(dim=1).argmin()].tolist()
        x1, x2 = (self._on_grid(value) for value in start)
        return {
            "x1": slider("probe x\u2081", *ends[0], x1, **fine),
            "x2": slider("probe x\u2082", *ends[1], x2, **fine),
            "show": choice("show", ["density", "log density"], "density"),
            "D": integer("D, for the cost", 2, MOST_D, 64),
        }

    def build_live(self) -> LiveFigure:
        return self._picture.live

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        x = torch.tensor([state["x1"], state["x2"]], dtype=torch.float64)
        if self._probes is None or not self._probes[0].equal(x):
            self._probes = x, [self._at(route, x) for route in self.routes]
        probes, readout = self._probes[1], {}
        for route, here in zip(self.routes, probes, strict=True):
            told = {
                "log p(z)": here.log_p,
                "log|det J|": here.log_det,
                "log q(x)": here.log_q,
                "slogdet of J": here.slogdet,
                "mean log q": route.average,
                "standard error": route.error,
            }
            readout |= {f"{route.name}: {label}": (value, "nats") for label, value in told.items()}
            readout[f"{route.name}: parameters"] = route.parameters
        D = state["D"]
        readout |= {f"{name}: multiply-adds": cost(D) for name, cost in COSTS.items()}
        moves = self._picture.moves(x.tolist(), D, probes, self._logs, state["show"], bool(self.error))
        return {**moves, "readout": readout}

    @staticmethod
    def _at(route: Route, x: Tensor) -> AtProbe:
        try:
            here = route.at(x)
        except ValueError as error:
            raise ValueError(f"{route.name}: {error}") from error
        values = torch.tensor([here.log_p, here.log_det, here.slogdet, *here.J.flatten()])
        if not values.isfinite().all():
            raise ValueError(f"{route.name}: here the map, its Jacobian or log q is NaN or infinite; move the probe")
        return here


def _points(data: Any) -> Tensor:
    """(N, 2) in float64; two moons if there are none."""
    if data is None:
        data = two_moons().sample((800,), generator=torch.Generator().manual_seed(0))
    data = torch.as_tensor(data).detach().cpu()
    good = data.dim() == 2 and data.shape[1] == 2 and len(data) > 1 and data.is_floating_point()
    if not good or not data.isfinite().all():
        raise ValueError(f"data must be finite points of the plane, (N, 2), but is {data.dtype} {tuple(data.shape)}")
    return data[:POINTS].double()


def _window(data: Tensor) -> tuple[tuple[float, float], float]:
    """The middle and half the side of a square that holds the data with room around them."""
    low, high = np.quantile(data.numpy(), [0.005, 0.995], axis=0)
    half = 0.7 * float((high - low).max()) or 1.0
    return (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2), half
