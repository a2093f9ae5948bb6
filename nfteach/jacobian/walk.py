"""From x through one layer after the other, each inspected where it works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt
from .borrowed import NoCopy
from .chain import chain
from .conventions import NoMap
from .inspection import inspect_copies, inspect_jacobian
from .interface import takes_context
from .report import JacobianReport
from .rng import seeded

__all__ = ["Walk", "walk_through"]


@dataclass(frozen=True)
class Walk:
    """What was seen on the way.

    Attributes:
        layers: as they were given.
        start: (B, *event) the points, as events of the first layer.
        context: a row for each point, for the layers that take one; None without.
        reports: up to the layer that stopped the walk, which has None if it has no Jacobian with a determinant.
        maps, shapes: the layers as maps, and the shapes of the events that they return.
        stopped_at, stopped_by: the layer, and what it did; None and "" if all were reached.
    """

    layers: Sequence[Any]
    start: Tensor
    context: Tensor | None
    reports: tuple[JacobianReport | None, ...]
    maps: tuple[Map, ...]
    shapes: tuple[torch.Size, ...]
    stopped_at: int | None = None
    stopped_by: str = ""

    def composition(self, perturb: float | None) -> JacobianReport:
        """The report of the layers put one after the other."""
        forward, backward = chain(self.layers, self.maps, self.shapes)
        report = inspect_copies(forward, None, backward, self.start, perturb, self.context)
        return replace(report, log_det_by="the layers' log-dets, summed")

    def explain(self, y: Tensor) -> str:
        """Why y (B, D) may not be the image of x under the layers, in words; "" if no guess fits."""
        for guess, words in (
            (
                lambda: chain(self.layers[::-1], self.maps[::-1], self.shapes[::-1])[0],
                "It is where they take it in the reverse order.",
            ),
            (
                lambda: chain(self.layers, self.maps, self.shapes)[1],
                "It is where their inverses take it, from the last layer to the first: the stack runs backwards.",
            ),
        ):
            try:
                f = adapt(guess(), self.start, context=self.context)
                with torch.no_grad():
                    image = f(self.start.double().flatten(1))[0].cpu()
            except Exception:  # a guess that does not even run explains nothing
                continue
            if image.shape == y.shape and (image - y).abs().max() <= 1e-6 * (1 + y.abs().max()):
                return words
        return ""


def walk_through(layers: Sequence[Any], x: Tensor, perturb: float | None, context: Tensor | None = None) -> Walk:
    """Inspect each layer at the images of x under the layers before it.

    Args:
        layers: of any kind that ``inspect_jacobian`` takes.
        x: (D,), (B, D), or events of more dimensions.
        perturb, context: as for ``inspect_jacobian``; layers that take no context are called without.

    Raises:
        ValueError: if the first layer cannot take x, or copies of a layer do not stand for it.
    """
    single = x.dim() == 1
    reports, maps, shapes = [], [], []
    start, at = (x.unsqueeze(0) if single else x), x

    def walked(stopped_by: str = "") -> Walk:
        stopped_at = len(reports) - 1 if stopped_by else None
        return Walk(layers, start, context, tuple(reports), tuple(maps), tuple(shapes), stopped_at, stopped_by)

    for k, layer in enumerate(layers):
        try:
            own = context if takes_context(layer) else None
            report = _inspect(layer, at, x.dtype, perturb, own)
        except ValueError as error:
            if isinstance(error, NoCopy) or (k == 0 and not isinstance(error, NoMap)):
                raise
            reports.append(None)
            return walked(str(error).removeprefix("transform: "))
        reports.append(report)
        if report.behaviour.raised:
            return walked(f"it raised {report.behaviour.raised}")
        f = adapt(
            layer,
            at,
            context=own,
            dtype=None if report.behaviour.low_precision else torch.float64,
            manner=report.behaviour.manner,
        )
        points = report.x.to(at.device).reshape(-1, *f.event_shape)
        if k == 0:
            start = x.reshape(points.shape)
        with torch.no_grad(), seeded(0):
            shape = f.forward(points.clone(), f.context)[0].shape[1:]
        maps.append(f)
        shapes.append(shape)
        if not report.y.isfinite().all() and k + 1 < len(layers):
            lost = int((~report.y.isfinite().all(1)).sum())
            return walked(f"NaN or infinity came out of it at {lost} of {len(report.y)} points")
        at = report.y.to(at.device, torch.float64).reshape(-1, *shape)
        # One point given as such goes on as such: a layer may be a function of a single point.
        at = at[0] if single and at.dim() == 2 else at
    return walked()


def _inspect(
    layer: Any, at: Tensor, dtype: torch.dtype, perturb: float | None, context: Tensor | None
) -> JacobianReport:
    """Return the report of a layer in float64; at points rounded to ``dtype``, that of x, if it runs nowhere else."""
    report = inspect_jacobian(layer, at, perturb=perturb, context=context)
    if report.behaviour.raised and at.dtype != dtype:
        rounded = inspect_jacobian(layer, at.to(dtype), perturb=perturb, context=context)
        return report if rounded.behaviour.raised else rounded
    return report
