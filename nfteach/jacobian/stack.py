"""StackDiagnosis: the layers of a stack one by one, together, and against their composition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .calls import apart
from .compared import AGREES, DIFFERS, NAMES, UNCHECKED, Compared
from .diagnose import Diagnosis
from .finding import Finding
from .numbers import bound, number
from .tolerances import tolerance
from .witnesses import CENTRAL

__all__ = ["Check", "StackDiagnosis", "blame", "checks", "claimed", "meaning", "numbered"]


@dataclass(frozen=True)
class Check:
    """One way in which a composition must be what its layers make of it.

    Attributes:
        name: "image", "log-det" or "Jacobian".
        gap: (B,) how far the two are apart: the largest coordinate, nats, or relative to the largest entry of J.
        ok: whether that is rounding, at every point.
        message: the comparison and its result, in words.
        size: (B,) the size of what is compared, so that gap / size is relative.
    """

    name: str
    gap: Tensor
    ok: bool
    message: str
    size: Tensor


def claimed(report: Diagnosis) -> Tensor:
    """Return the log-det (B,) in nats as the map claims it, or that of its Jacobian if it claims none."""
    return report.log_det if report.log_det is not None else report.log_det_jacobian


def checks(
    layers: Sequence[Diagnosis], composition: Diagnosis | None, explain: Callable[[Tensor], str]
) -> tuple[Check, ...]:
    """Compare the image, the log-det and the Jacobian of the composition with what its layers make of them.

    Where the images differ the rest belongs to other points and is not compared; nor are maps that draw noise.
    ``explain`` guesses in words why y (B, D) of the composition is not the image under the layers.
    """
    everyone = [*layers, *([composition] if composition is not None else [])]
    if composition is None or any(report.behaviour.raised or not report.steady for report in everyone):
        return ()
    coarse = any(report.eps > 1e-12 for report in everyone)
    precision = 1e-3 if coarse else 1e-6
    image = _image(layers[-1].y.double(), composition.y.double(), precision, explain)
    if not image.ok:
        return (image,)
    found = [image, _log_det(layers, composition)]
    if not any(report.samples_coupled for report in everyone):
        found.append(_jacobian(layers, composition, precision))
    return tuple(found)


def _image(ours: Tensor, its: Tensor, precision: float, explain: Callable[[Tensor], str]) -> Check:
    gap, size = apart(ours, its).amax(1), ours.abs().amax(1)
    ok = not (gap > precision * (1 + size)).any()
    if ok:
        message = "The image under the composition is the image under the layers, one after the other."
        return Check("image", gap, True, message, size)
    message = (
        "The image under the composition is not the image under the layers, one after the other (they differ by "
        f"{float(gap.max()):.1e} at point {int(gap.argmax()) + 1}), so layers and composition were evaluated at "
        "different points."
    )
    return Check("image", gap, False, f"{message} {explain(its)}".rstrip(), size)


def _log_det(layers: Sequence[Diagnosis], composition: Diagnosis) -> Check:
    each = torch.stack([claimed(layer) for layer in layers])
    total, its = each.sum(0), claimed(composition)
    gap = apart(total, its)
    size = each.abs().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).sum(0)
    coarse = max(report.eps for report in (*layers, composition)) > 1e-12
    allowed = (1e-3 if coarse else 1e-6) * (1 + size)
    for report in (*layers, composition):
        if report.log_det is None:
            allowed = allowed + tolerance(report)  # J's own log-det stands in, with its rounding
    if not (gap > allowed).any():
        return Check("log-det", gap, True, "The log-dets of the layers add up to that of the composition.", size)
    at = int(gap.argmax())
    message = (
        f"The log-dets of the layers add up to {number(float(total[at]))} at point {at + 1}, but that of the "
        f"composition is {number(float(its[at]))}."
    )
    return Check("log-det", gap, False, f"{message} {_guess(each, its, allowed)}".rstrip(), size)


def _guess(each: Tensor, its: Tensor, allowed: Tensor) -> str:
    """Return how log-dets (K, B) may have been summed to ``its`` (B,), in words; "" if no guess fits."""
    total, K = each.sum(0), len(each)

    def equal(guess: Tensor) -> bool:
        return bool((apart(its, guess) <= allowed).all())

    def those(guesses: Tensor) -> str:
        return " or ".join(str(k + 1) for k in range(K) if equal(guesses[k]))

    if equal(-total):
        return "It is minus their sum."
    if K > 1 and equal(each[-1]):
        return "It is the log-det of the last layer alone: the sum is overwritten instead of added to."
    if K > 1 and equal(total / K):
        return "It is their mean: the log-dets must be summed."
    if k := those(total - each):
        return f"It leaves out layer {k}."
    if k := those(total + each):
        return f"It counts layer {k} twice."
    if k := those(total - 2 * each):
        return f"It subtracts the log-det of layer {k} instead of adding it."
    return ""


def _jacobian(layers: Sequence[Diagnosis], composition: Diagnosis, precision: float) -> Check:
    product, reach = layers[0].jacobian, layers[0].jacobian.flatten(1).norm(dim=1)
    for layer in layers[1:]:
        product = layer.jacobian @ product
        reach = reach * layer.jacobian.flatten(1).norm(dim=1)
    J = composition.jacobian
    largest = J.abs().flatten(1).amax(1).clamp(min=torch.finfo(torch.float64).tiny)
    gap = apart(product, J).flatten(1).amax(1) / largest
    if any(report.witness == CENTRAL for report in (*layers, composition)):
        precision = max(precision, 1e-5)
    # Cancellation in the product enlarges the rounding of its factors.
    allowed = precision + 100 * max(report.eps for report in (*layers, composition)) * reach / largest
    ok = not (gap > allowed).any()
    message = "The product of the layers' Jacobians is that of the composition."
    if not ok:
        message = (
            "The product of the layers' Jacobians is not that of the composition (they differ by "
            f"{float(gap.max()):.1e} of the largest entry at point {int(gap.argmax()) + 1}), though the images agree."
        )
    return Check("Jacobian", gap, ok, message, torch.ones_like(gap))


def blame(layers: Sequence[Diagnosis | None], composition: Diagnosis | None, checks: Sequence[Check]) -> Iterator[str]:
    """Yield which layers each error of the composition comes from, and which do not have it."""
    if composition is None:
        return
    kinds: dict[str, list[str]] = {}
    for finding in composition.findings:
        if finding.severity == "error":
            whose = "of the inverse" if finding.code.startswith("log-det") and finding.about == "inverse" else ""
            family = "log-det" if finding.code.startswith("log-det") else finding.code
            kinds.setdefault(f"{family} {whose}".strip(), []).append(finding.code)
    sums = {check.name: check.ok for check in checks}
    for kind, codes in kinds.items():
        family = kind.removesuffix(" of the inverse")
        guilty = [k for k, layer in enumerate(layers) if layer is not None and _shares(layer, kind, family)]
        innocent = [k for k, layer in enumerate(layers) if layer is not None and k not in guilty]
        shown = f"{codes[0]}{' of the inverse' if kind.endswith('of the inverse') else ''} of the composition"
        if guilty:
            rest = f"; {numbered(innocent)} {'is' if len(innocent) == 1 else 'are'} right" if innocent else ""
            yield f"{shown}: it comes from {numbered(guilty)}{rest}."
        elif family == "log-det" and (kind != family or not sums.get("log-det", True)):
            yield f"{shown}: the log-det of every layer is right; the error is in how they are summed."
        elif family == "inverse-wrong":
            yield f"{shown}: the inverse of every layer is right; are they applied from the last layer to the first?"
        elif None not in layers:
            yield f"{shown}: no single layer shows it."


def _shares(layer: Diagnosis, kind: str, family: str) -> bool:
    of_inverse = kind != family
    return any(
        finding.code.startswith(family)
        and finding.severity == "error"
        and (not finding.code.startswith("log-det") or (finding.about == "inverse") == of_inverse)
        for finding in layer.findings
    )


def numbered(indices: Sequence[int]) -> str:
    """Return "layer 2", "layers 1 and 3", "layers 1 to 5"."""
    ks = [k + 1 for k in indices]
    if len(ks) == 1:
        return f"layer {ks[0]}"
    if len(ks) > 2 and ks == list(range(ks[0], ks[-1] + 1)):
        return f"layers {ks[0]} to {ks[-1]}"
    return f"layers {', '.join(map(str, ks[:-1]))} and {ks[-1]}"


def meaning(layers: Sequence[Diagnosis | None], composition: Diagnosis | None) -> Iterator[str]:
    """Yield what each layer's structure makes cheap, and what the structure of the composition is."""
    together = composition.structure if composition is not None else None
    structures = [layer.structure if layer is not None else None for layer in layers]
    if together is None or None in structures:
        return
    kinds = list(dict.fromkeys(f"{s.name}, {s.cost}" for s in structures))
    dense = [k for k, s in enumerate(structures) if s.name == "dense"]
    if len(structures) == 1:
        yield f"One layer, so the composition is that layer: {together.name}."
        return
    if dense:
        few = f"{numbered(dense).capitalize()} {'is' if len(dense) == 1 else 'are'}"
        few = "Every layer is" if len(dense) == len(structures) else few
        yield f"{few} dense: by structure alone such a determinant takes an elimination, O(D³)."
    else:
        yield f"Each layer is cheap: {'; '.join(kinds)}."
    if together.name == "dense":
        yield (
            "The composition is dense: its determinant by itself would take O(D³)."
            + ("" if dense else " As the sum of the layers' log-dets it stays as cheap as they are.")
        )
    elif len(kinds) == 1 and structures[0].name == together.name:
        yield f"The composition is {together.name} as well: nothing is mixed that the layers do not mix."
    else:
        yield f"The composition is {together.name}, {together.cost}."


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
