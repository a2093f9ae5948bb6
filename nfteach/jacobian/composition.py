"""Layers against their composition: do images, log-dets and Jacobians add up, and whose fault is what is wrong?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .calls import apart
from .diagnosis import Diagnosis
from .numbers import number
from .tolerances import tolerance
from .witnesses import CENTRAL

__all__ = ["Check", "blame", "checks", "claimed", "meaning", "numbered"]


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
