"""inspect_layers: a stack of layers, each by itself and all together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt
from .borrowed import NoCopy
from .chain import chain, is_a_map, layers_of
from .conventions import NoMap, attribute
from .given import as_context, as_points, name_of
from .inspection import inspect_copies, inspect_jacobian
from .interface import takes_context
from .report import Accepted, JacobianReport, Shown, failures
from .rng import seeded
from .stack import StackDiagnosis, checks
from .twin import twins
from .unharmed import unharmed
from .views.document import Document
from .views.layers import layers_document

__all__ = ["LayersReport", "inspect_layers"]


class LayersReport(Shown, StackDiagnosis):
    """The result of :func:`inspect_layers`: the attributes of :class:`StackDiagnosis`, each layer a ``JacobianReport``.

    ``print`` shows it as a table; a notebook shows it with a picture of each J. ``bool(report)`` is ``report.ok``.
    """

    def _wrong(self, accepted: Accepted) -> tuple[str, list[str]]:
        wrong, places = [], [*map(self.where, range(len(self))), "composition"]
        for where, report in zip(places, self.each, strict=True):
            findings = [finding for place, finding in self.findings if place == where]
            wrong += [f"{where}: {words}" for words in failures(findings, report, accepted)]
        for check in self.checks:
            if not check.ok and not accepted.small(check.gap, check.size):
                wrong.append(check.message)
        return f"{self.name}, {len(self)} layers", wrong

    def document(self) -> Document:
        """Return what is shown."""
        return layers_document(self)

    def __rich_repr__(self) -> Iterator[Any]:
        yield self.name
        yield "layers", len(self)
        yield "D", self.x.shape[1]
        yield "together", getattr(self.composition and self.composition.structure, "name", "unknown")
        yield "ok", self.ok


def inspect_layers(stack: Any, x: Any, *, perturb: float | None = None, context: Any = None) -> LayersReport:
    """Look at each layer of a stack and at their composition: each may be triangular, and the product not.

    Layer k is looked at where it works: at the images of x under the layers before it, in float64.

    Args:
        stack: a sequence of layers (a list, ``nn.Sequential``, ``nn.ModuleList``), each whatever ``inspect_jacobian``
            takes; or an object that holds such a sequence as ``.parts``, ``.layers``, ``.transforms``,
            ``._transforms``, ``.flows`` or ``.module_list``, or a model that holds such an object as ``._transform``
            or ``.transform``. If that object can itself be called as a map, the composition is that object, so its own
            sum of log-dets is checked; else its layers are put one after the other.
        x: the points to look at, (D,), (B, D), or events of more dimensions.
        perturb: as for ``inspect_jacobian``: look also at copies with moved parameters.
        context: as for ``inspect_jacobian``, for all layers that take one.

    Raises:
        ValueError: if ``stack`` holds no layers, or x is not a finite floating tensor of the right shape.

    Example:
        >>> import torch
        >>> below = lambda x: (torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 2], 1), 0.0)
        >>> above = lambda x: (torch.stack([x[:, 0] + x[:, 1] ** 2, x[:, 1]], 1), 0.0)
        >>> report = inspect_layers([below, above], torch.tensor([[1.0, 2.0], [0.5, -1.0]]))
        >>> [layer.structure.name for layer in report], report.composition.structure.name
        (['coupling', 'coupling'], 'dense')
        >>> report.check().ok
        True
    """
    x = as_points(x)
    with unharmed(stack):
        return _inspect(stack, x, perturb, as_context(context))


def _inspect(stack: Any, x: Tensor, perturb: float | None, context: Tensor | None) -> LayersReport:
    layers = layers_of(stack, x)
    if context is not None and not any(takes_context(layer) for layer in layers):
        raise ValueError(f"context must be left out, since no layer of this {type(stack).__name__} takes one")
    name, own_map, remark, composition = type(stack).__name__, is_a_map(stack), "", None
    if own_map:
        try:
            composition = inspect_jacobian(stack, x, perturb=perturb, context=context)
            name = composition.name
        except NoMap as error:
            own_map, remark = False, str(error)
    context = _embedded(stack, context)
    reports, steps, stopped_by = _walk(layers, x, perturb, context)
    # The points as events of the first layer.
    start = x.reshape(-1, *steps[0][1].event_shape) if steps else x.unsqueeze(0) if x.dim() == 1 else x
    if not own_map and not stopped_by:
        forward, backward = chain(steps)
        composition = inspect_copies(forward, None, backward, start, perturb, context)
        composition = replace(composition, log_det_by="the layers' log-dets, summed")

    def explain(y: Tensor) -> str:
        """Return why y (B, D) may not be the image of x under the layers, in words; "" if no guess fits."""
        for guess, words in (
            (chain(steps[::-1])[0], "It is where they take it in the reverse order."),
            (
                chain(steps)[1],
                "It is where their inverses take it, from the last layer to the first: the stack runs backwards.",
            ),
        ):
            try:
                with torch.no_grad():
                    image = adapt(guess, start, context=context)(start.double().flatten(1))[0].cpu()
            except Exception:  # a guess that does not even run explains nothing
                continue
            if image.shape == y.shape and (image - y).abs().max() <= 1e-6 * (1 + y.abs().max()):
                return words
        return ""

    return LayersReport(
        name=name,
        names=tuple(name_of(layer) for layer in layers),
        x=start.flatten(1).double().cpu(),
        layers=(*reports, *[None] * (len(layers) - len(reports))),
        composition=composition,
        own_map=own_map,
        remark=remark,
        stopped_at=len(reports) - 1 if stopped_by else None,
        stopped_by=stopped_by,
        checks=checks(reports, composition, explain) if not stopped_by else (),
    )


def _embedded(stack: Any, context: Tensor | None) -> Tensor | None:
    """Return the context as the layers of the stack get it, where a network embeds it first."""
    embed = attribute(stack, "_embedding_net")
    if context is None or embed is None:
        return context
    (embed,) = twins(embed, dtype=torch.float64)
    with torch.no_grad():
        return embed(context.double() if context.is_floating_point() else context)


def _walk(
    layers: list[Any], x: Tensor, perturb: float | None, context: Tensor | None
) -> tuple[list[JacobianReport | None], list[tuple[Any, Map, torch.Size]], str]:
    """Inspect each layer at the images of x under the layers before it.

    Returns:
        The reports, up to the layer that stops the walk, None for one without a Jacobian that has a determinant; layers
        with their maps and the shapes of the events that they return; and what the layer that stops it did, or "".

    Raises:
        ValueError: if the first layer cannot take x, or copies of a layer do not stand for it.
    """
    reports, steps, at = [], [], x
    for k, layer in enumerate(layers):
        try:
            own = context if takes_context(layer) else None
            report = inspect_jacobian(layer, at, perturb=perturb, context=own)
            if report.behaviour.raised and at.dtype != x.dtype:  # a layer that runs in the dtype of x alone
                rounded = inspect_jacobian(layer, at.to(x.dtype), perturb=perturb, context=own)
                report = report if rounded.behaviour.raised else rounded
        except ValueError as error:
            if isinstance(error, NoCopy) or (k == 0 and not isinstance(error, NoMap)):
                raise
            return [*reports, None], steps, str(error).removeprefix("transform: ")
        reports.append(report)
        if report.behaviour.raised:
            return reports, steps, f"it raised {report.behaviour.raised}"
        dtype = None if report.behaviour.low_precision else torch.float64
        f = adapt(layer, at, context=own, dtype=dtype, manner=report.behaviour.manner)
        points = report.x.to(at.device).reshape(-1, *f.event_shape)
        with torch.no_grad(), seeded(0):
            shape = f.forward(points.clone(), f.context)[0].shape[1:]
        steps.append((layer, f, shape))
        if not report.y.isfinite().all() and k + 1 < len(layers):
            lost = int((~report.y.isfinite().all(1)).sum())
            return reports, steps, f"NaN or infinity came out of it at {lost} of {len(report.y)} points"
        at = report.y.to(at.device, torch.float64).reshape(-1, *shape)
        # One point given as such goes on as such: a layer may be a function of a single point.
        at = at[0] if x.dim() == 1 and at.dim() == 2 else at
    return reports, steps, ""
