"""StackDiagnosis: what was found of a stack's layers, one by one and together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .compared import AGREES, DIFFERS, NAMES, UNCHECKED, Compared
from .composition import Check, claimed, numbered
from .diagnosis import Diagnosis
from .finding import Finding
from .numbers import bound

__all__ = ["StackDiagnosis"]

# Name of a check -> what the composition is compared with.
BETWEEN = {
    "image": "the layers one after the other",
    "log-det": "the sum over the layers",
    "Jacobian": "the product over the layers",
}


@dataclass(frozen=True, eq=False)
class StackDiagnosis:
    """The diagnosis of each layer of a stack and of their composition.

    ``len(report)`` is the number of layers K, and ``report[k]`` the report of layer k, counted from 0.

    Attributes:
        name: the stack's.
        names: those of its K layers.
        x: (B, D) the points, flattened.
        layers: the report of each layer at its own input, the images of x under the layers before it; None for a layer
            that was not reached or has no Jacobian with a determinant.
        composition: the report of all layers together at x; None if they cannot run one after the other.
        own_map: whether that is the stack itself, called as a map; if not, it is its layers put one after the other.
        remark: "" or why it is not the stack itself though that can be called.
        stopped_at: the layer that stopped the walk, counted from 0; None if all were reached.
        stopped_by: the reason; "" if all were reached.
        checks: whether the composition is what its layers make of it: its image, its log-det, its Jacobian.
    """

    name: str
    names: tuple[str, ...]
    x: Tensor
    layers: tuple[Diagnosis | None, ...]
    composition: Diagnosis | None
    own_map: bool
    remark: str
    stopped_at: int | None
    stopped_by: str
    checks: tuple[Check, ...]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Diagnosis | None:
        return self.layers[index]

    def __iter__(self) -> Iterator[Diagnosis | None]:
        return iter(self.layers)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def each(self) -> tuple[Diagnosis | None, ...]:
        """The layers' reports, and that of the composition."""
        return (*self.layers, self.composition)

    @cached_property
    def running_log_det(self) -> Tensor:
        """(K, B) nats, the log-dets of the layers summed up to and with each; NaN for layers that were not reached.

        Of a layer that claims none, that of its Jacobian is taken.
        """
        unknown = torch.full((len(self.x),), torch.nan, dtype=torch.float64)
        return torch.stack([unknown if layer is None else claimed(layer) for layer in self.layers]).cumsum(0)

    @cached_property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """The findings of layers and composition with their places, as in ``("layer 2, Planar", finding)``."""
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
        """True if no layer has an error, nor the composition, nor any check; notes do not count. Also ``bool``."""
        return not any(finding.severity == "error" for _, finding in self.findings) and all(c.ok for c in self.checks)

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """The comparisons in the layers and in the composition, and between them."""
        found = []
        for name in NAMES:
            each = [None if one is None else next(c for c in one.compared if c.name == name) for one in self.each]
            where = {result: [] for result in (AGREES, DIFFERS, UNCHECKED)}
            for k, one in enumerate(each):
                where[UNCHECKED if one is None else one.result].append(k)
            result = DIFFERS if where[DIFFERS] else AGREES if where[AGREES] else UNCHECKED
            why = next((one.words for one in each if one is not None and one.result == UNCHECKED), "not reached")
            words = why if result == UNCHECKED else f"in {self._places(where[result])}"
            if where[UNCHECKED] and result != UNCHECKED:
                words += f"; not compared in {self._places(where[UNCHECKED])}: {why}"
            found.append(Compared(name, result, words))
        checks = {check.name: check for check in self.checks}
        for name, of_layers in BETWEEN.items():
            check = checks.get(name)
            result = UNCHECKED if check is None else AGREES if check.ok else DIFFERS
            apart = "" if check is None else f", {'within' if check.ok else 'by'} {bound(float(check.gap.max()))}"
            found.append(Compared(f"composition: {name}", result, f"with {of_layers}{apart}"))
        return tuple(found)

    @property
    def results(self) -> list[str]:
        """The result of each single comparison."""
        results = [compared.result for compared in self.compared[len(NAMES) :]]
        for one in self.each:
            results += [UNCHECKED] * len(NAMES) if one is None else [compared.result for compared in one.compared]
        return results

    def where(self, index: int) -> str:
        """Return a layer's number, counted from 1, and its name."""
        return f"layer {index + 1}, {self.names[index]}"

    def _places(self, indices: list[int]) -> str:
        layers = [k for k in indices if k < len(self)]
        every = "every layer" if len(layers) == len(self) > 1 else numbered(layers) if layers else ""
        return " and ".join(filter(None, (every, "the composition" if len(self) in indices else "")))
