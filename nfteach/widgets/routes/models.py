"""Density models of the plane of any make, asked in one way: a map x -> z, its Jacobian, and a base."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Distribution, TransformedDistribution

from nfteach.flows import RNADE, Flow, FlowDistribution, Planar, RealNVP, Stack
from nfteach.flows.rnade import TriangularMap
from nfteach.jacobian import AnyMap, recognise
from nfteach.jacobian.rng import seeded
from nfteach.widgets.triangular.maps import untrained

__all__ = ["AtProbe", "Route", "untrained_routes"]

_LOOKED_AT = 24  # points at which J is taken to tell structure from accident
_AT_ONCE = 4096  # points that are mapped together


class AtProbe(NamedTuple):
    """A model at one x: z (2,), J (2, 2); log p(z), log|det J| as the model tells it and by elimination, in nats."""

    z: Tensor
    J: Tensor
    log_p: float
    log_det: float
    slogdet: float

    @property
    def log_q(self) -> float:
        """log q(x) = log p(z) + log|det J|."""
        return self.log_p + self.log_det


class Route:
    """A copy of a density model of the plane.

    Args:
        name: for sentences.
        model: an ``RNADE``; a ``FlowDistribution`` or any ``TransformedDistribution``; a ``Flow`` z -> x with a
            standard normal base, or a pair (base, flow).
        data: (N, 2).

    Attributes:
        parameters: the number of trained numbers.
        structure: what J is called, over many points; ``zero`` and ``one`` (2, 2), its entries that are so throughout.
        layers: the names that the layers' own Jacobians have, if there are layers, with their number.
        average, error: of log q over the data, in nats, with its standard error.

    Raises:
        ValueError: if it is no such model, or does not work at the data.
    """

    def __init__(self, name: str, model: Any, data: Tensor) -> None:
        self.name = name
        self.parameters = _parameters(model)
        try:
            base, flow, parts = _taken_apart(model)
            self._map = AnyMap(flow, dim=2, base=base, points=data[:_LOOKED_AT])
            J = self._jacobians(self._map, data[:_LOOKED_AT])
            self.structure = recognise(J)
            self.layers = self._layers(parts, data[:_LOOKED_AT])
            logs = self.log_prob(data)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.average = logs.mean().item()
        self.error = logs.std(correction=0).item() / math.sqrt(len(logs))

    def at(self, x: Tensor) -> AtProbe:
        """Return the model at x (2,), J by autograd."""
        z, log_det, J = self._map.call_and_jacobian(x)
        return AtProbe(z, J, self._map.log_base(z).item(), log_det.item(), torch.linalg.slogdet(J).logabsdet.item())

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q (N,) in nats at x (N, 2); NaN where the model has none."""
        logs = []
        for points in x.split(_AT_ONCE):
            z, log_det = self._map.call_and_ladj(points)
            logs.append(self._map.log_base(z) + log_det)
        return torch.cat(logs)

    @staticmethod
    def _jacobians(f: AnyMap, x: Tensor) -> Tensor:
        J = f.jacobian(x)
        J = J[J.flatten(1).isfinite().all(1)]
        if not len(J):
            raise ValueError("its Jacobian is NaN or infinite at all of the data looked at")
        return J

    def _layers(self, parts: list[Any], x: Tensor) -> str:
        """The structures of the layers, each at its own input on the way from x (N, 2) to z."""
        names: list[str] = []
        for part in parts:
            f = AnyMap(part, points=x)
            names.append(recognise(self._jacobians(f, x)).name)
            x = f(x)
            x = x[x.isfinite().all(1)]
        kinds = list(dict.fromkeys(names))
        return "" if len(parts) < 2 else f"{len(parts)} layers: {', '.join(kinds)}"


def _taken_apart(model: Any) -> tuple[Distribution | None, Any, list[Any]]:
    """The base, the map x -> z, and the maps that it is made of, the first of them first."""
    base = None
    if isinstance(model, tuple) and len(model) == 2:
        base, model = model if isinstance(model[0], Distribution) else model[::-1]
    if isinstance(model, RNADE | TriangularMap):
        return base, model.as_flow() if isinstance(model, RNADE) else model, []
    if isinstance(model, FlowDistribution):
        base, model = model.base_dist, model.flow
    if isinstance(model, Flow):
        return base, model.inv, [layer.inv for layer in reversed(model)] if isinstance(model, Stack) else []
    if isinstance(model, TransformedDistribution):
        parts = [part.inv for part in reversed(model.transforms)]
        return model.base_dist, ComposeTransform(list(model.transforms)).inv, parts
    raise ValueError(
        "must be an RNADE, a FlowDistribution, a TransformedDistribution, a Flow z -> x or a pair (base, flow), "
        f"but is a {type(model).__name__}"
    )


def _parameters(model: Any) -> int:
    """The number of trained numbers in all modules that a model holds."""
    parts = list(model) if isinstance(model, tuple) else [model]
    for part in list(parts):
        parts += getattr(part, "transforms", [])
    modules = [part for part in parts if isinstance(part, nn.Module)]
    found = {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}
    return sum(found.values())


def untrained_routes() -> dict[str, Any]:
    """An RNADE, a stack of planar flows and a RealNVP that nobody has trained: the same random weights each time."""
    with seeded(4), torch.no_grad():
        planar, realnvp = Stack(*(Planar(2) for _ in range(6))), RealNVP(2, layers=4, hidden=(12,))
        for layer in planar:
            layer.w.normal_(0, 1.3)
            layer.u.normal_(0, 1.3)
            layer.b.normal_(0, 0.8)
        for parameter in realnvp.parameters():
            parameter.mul_(np.sqrt(3.0)) if parameter.dim() > 1 else None
    return {"RNADE": untrained((0, 1), seed=1), "planar stack": planar, "RealNVP": realnvp}
