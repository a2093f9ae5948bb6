"""inspect_layers: a stack of layers, each by itself and all together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor

from .chain import is_a_map, layers_of
from .composition import checks
from .conventions import NoMap, attribute
from .given import as_context, as_points, name_of
from .inspection import inspect_jacobian
from .interface import takes_context
from .report import Accepted, failures
from .shown import Shown
from .stack import StackDiagnosis
from .twin import twins
from .unharmed import unharmed
from .views.document import Document
from .views.layers import layers_document
from .walk import walk_through

__all__ = ["LayersReport", "inspect_layers"]


class LayersReport(Shown, StackDiagnosis):
    """The result of :func:`inspect_layers`: the attributes of :class:`StackDiagnosis`, each layer a ``JacobianReport``.

    ``print`` shows it as a table; a notebook shows it with a picture of each J. ``bool(report)`` is ``report.ok``.
    """

    def check(
        self, *, require: Collection[str] = (), ignore: Collection[str] = (), atol: float = 0.0, rtol: float = 0.0
    ) -> LayersReport:
        """Return the report if it is ``ok``, for use in tests.

        Args:
            require: what must have been compared in every layer and in the composition, as for ``JacobianReport``.
            ignore: codes of findings that are accepted.
            atol, rtol: errors that are accepted, as for ``JacobianReport``, also between the layers and the
                composition.

        Raises:
            AssertionError: with every error found and where, and all that was required and not compared.
            ValueError: if ``require`` or ``ignore`` has an unknown name, or a tolerance is negative.
        """
        accepted, wrong = Accepted(require, ignore, atol, rtol).checked(), []
        places = [*map(self.where, range(len(self))), "composition"]
        for where, report in zip(places, self.each, strict=True):
            findings = [finding for place, finding in self.findings if place == where]
            wrong += [f"{where}: {words}" for words in failures(findings, report, accepted)]
        for check in self.checks:
            bad = ~(check.gap <= accepted.atol + accepted.rtol * check.size)
            if not check.ok and bad.any():
                wrong.append(check.message)
        if wrong:
            raise AssertionError(f"{self.name}, {len(self)} layers: " + "\n".join(wrong))
        return self

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
    walk = walk_through(layers, x, perturb, _embedded(stack, context))
    if not own_map and walk.stopped_at is None:
        composition = walk.composition(perturb)
    return LayersReport(
        name=name,
        names=tuple(name_of(layer) for layer in layers),
        x=walk.start.flatten(1).double().cpu(),
        layers=walk.reports + (None,) * (len(layers) - len(walk.reports)),
        composition=composition,
        own_map=own_map,
        remark=remark,
        stopped_at=walk.stopped_at,
        stopped_by=walk.stopped_by,
        checks=checks(walk.reports, composition, walk.explain) if walk.stopped_at is None else (),
    )


def _embedded(stack: Any, context: Tensor | None) -> Tensor | None:
    """Return the context as the layers of the stack get it, where a network embeds it first."""
    embed = attribute(stack, "_embedding_net")
    if context is None or embed is None:
        return context
    (embed,) = twins(embed, dtype=torch.float64)
    with torch.no_grad():
        return embed(context.double() if context.is_floating_point() else context)
