"""inspect_layers: a stack of layers, each by itself and all together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .adapt import NoMap, as_points, name_of
from .chain import is_a_map, layers_of
from .composition import Check, checks, claimed
from .finding import Finding
from .inspection import inspect_jacobian
from .report import JacobianReport
from .unharmed import unharmed
from .views.layers import layers_html, layers_text
from .walk import walk_through

__all__ = ["LayersReport", "inspect_layers"]


@dataclass(frozen=True, eq=False)
class LayersReport:
    """What :func:`inspect_layers` found. ``print`` shows it as a table; a notebook shows it with a picture of each J.

    ``len(report)`` is the number of layers K, and ``report[k]`` the report of layer k, counted from 0.

    Attributes:
        name: of the stack.
        names: of its layers, K.
        x: (B, D) the points, flattened.
        layers: the report of each layer at its own input, the images of x under the layers before it; None for a layer
            that was not reached or has no Jacobian with a determinant.
        composition: the report of all layers together at x; None if they cannot run one after the other.
        own_map: whether that is the stack itself, called as a map; if not, it is its layers put one after the other.
        remark: "" or why it is not the stack itself though that can be called.
        stopped_at: the layer that stopped the walk, counted from 0; None if all were reached.
        stopped_by: what it said or did.
        checks: whether the composition is what its layers make of it: its image, its log-det, its Jacobian.
    """

    name: str
    names: tuple[str, ...]
    x: Tensor
    layers: tuple[JacobianReport | None, ...]
    composition: JacobianReport | None
    own_map: bool
    remark: str
    stopped_at: int | None
    stopped_by: str
    checks: tuple[Check, ...]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> JacobianReport | None:
        return self.layers[index]

    def __iter__(self) -> Iterator[JacobianReport | None]:
        return iter(self.layers)

    @cached_property
    def running_log_det(self) -> Tensor:
        """(K, B) nats, the log-dets of the layers summed up to and with each; NaN for layers that were not reached.

        Of a layer that claims none, that of its Jacobian is taken.
        """
        unknown = torch.full((len(self.x),), torch.nan, dtype=torch.float64)
        return torch.stack([unknown if layer is None else claimed(layer) for layer in self.layers]).cumsum(0)

    @cached_property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """(where, finding) of each layer and of the composition, such as ``("layer 2, Planar", ...)``."""
        found = []
        for k, layer in enumerate(self.layers):
            found += [(self.where(k), finding) for finding in (layer.findings if layer is not None else ())]
            if k == self.stopped_at and layer is None:
                found.append((self.where(k), Finding("raises", self.stopped_by)))
        if self.composition is not None:
            found += [("composition", finding) for finding in self.composition.findings]
        return tuple(found)

    @property
    def ok(self) -> bool:
        """True if nothing is wrong with any layer, nor with the composition, nor between them; notes do not count."""
        return not any(finding.severity == "error" for _, finding in self.findings) and all(c.ok for c in self.checks)

    def check(self) -> LayersReport:
        """Return the report if it is ``ok``, for use in tests.

        Raises:
            AssertionError: with every error found and where.
        """
        errors = [f"{where}: {finding}" for where, finding in self.findings if finding.severity == "error"]
        errors += [check.message for check in self.checks if not check.ok]
        if errors:
            raise AssertionError(f"{self.name}, {len(self)} layers: " + "\n".join(errors))
        return self

    def where(self, index: int) -> str:
        """A layer by its number, counted from 1, and its name."""
        return f"layer {index + 1}, {self.names[index]}"

    def __repr__(self) -> str:
        structure = getattr(self.composition and self.composition.structure, "name", "unknown")
        verdict = "ok" if self.ok else "not ok"
        return f"LayersReport({self.name}, layers={len(self)}, D={self.x.shape[1]}, together={structure!r}, {verdict})"

    def __str__(self) -> str:
        return layers_text(self)

    def _repr_html_(self) -> str:
        return layers_html(self)


def inspect_layers(stack: Any, x: Any, *, perturb: float | None = None) -> LayersReport:
    """Look at each layer of a stack and at their composition: each may be triangular, and the product not.

    Layer k is looked at where it works: at the images of x under the layers before it, in float64.

    Args:
        stack: a sequence of layers (a list, ``nn.Sequential``, ``nn.ModuleList``), each whatever ``inspect_jacobian``
            takes; or an object that holds such a sequence as ``.parts``, ``.layers``, ``.transforms``,
            ``._transforms`` or ``.flows``. If that object can itself be called as a map, the composition is that
            object, so its own sum of log-dets is judged; else its layers are put one after the other.
        x: the points to look at, (D,), (B, D), or events of more dimensions.
        perturb: as for ``inspect_jacobian``: look also at copies with moved parameters.

    Raises:
        ValueError: if ``stack`` holds no layers, or x is no finite floating tensor of the right shape.

    Example:
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
        return _inspect(stack, x, perturb)


def _inspect(stack: Any, x: Tensor, perturb: float | None) -> LayersReport:
    layers = layers_of(stack)
    name, own_map, remark, composition = type(stack).__name__, is_a_map(stack), "", None
    if own_map:
        try:
            composition = _as_itself(stack, x, perturb)
            name = composition.name
        except NoMap as error:
            own_map, remark = False, str(error)
    walk = walk_through(layers, x, perturb)
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


def _as_itself(stack: Any, x: Tensor, perturb: float | None) -> JacobianReport:
    """The stack called as a map. Where its call returns y only, its log-det may have a method of its own."""
    if not callable(getattr(stack, "forward_and_log_det", None)):
        return inspect_jacobian(stack, x, perturb=perturb)

    def log_det(points: Tensor) -> Tensor:
        return stack.forward_and_log_det(points)[1]

    inverse = getattr(stack, "inverse_and_log_det", None)
    report = inspect_jacobian(stack, x, log_det=log_det, inverse=inverse, perturb=perturb)
    return replace(report, log_det_by="forward_and_log_det(x)")
