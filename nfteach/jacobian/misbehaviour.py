"""Findings about how a map behaves: it draws noise, couples samples, depends on the batch, misleads autograd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .facts import Facts
from .finding import Finding
from .phrases import at_points, counted, moved_by
from .signal import CUT, NOT_FINITE, RAISES, WRONG
from .tolerances import disagrees, worst
from .witnesses import FORWARD, REVERSE

__all__ = ["MISBEHAVIOUR"]


def _coupled(facts: Facts) -> Iterator[Finding]:
    if not facts.samples_coupled:
        return
    evidence = moved_by(facts.coupling)
    if facts.behaviour.moved_by_place > facts.behaviour.noticeable:
        message = (
            "A sample's output changes with its place in the batch: what it is joined with comes in another order "
            "(repeat in place of repeat_interleave does this), or is counted along the batch. No log-det of a single "
            "sample describes the map."
        )
        yield Finding("samples-coupled", message, evidence)
    elif facts.strongly_coupled:
        message = (
            "A sample's output changes with the other samples of its batch (batch statistics do this): the map acts on "
            "whole batches, and no log-det of a single sample describes it. In a module, try .eval()."
        )
        yield Finding("samples-coupled", message, evidence)
    else:
        message = (
            "A sample's output changes slightly with the other samples of its batch: a solver that chooses its steps "
            "for the whole batch does this. All comparisons allow for it."
        )
        yield Finding("samples-coupled", message, evidence, severity="note")


def _batch_size(facts: Facts) -> Iterator[Finding]:
    whole = len(facts.x)
    wrong = facts.log_det is not None and bool((disagrees(facts, facts.log_det) & facts.finite).any())
    known = not (facts.log_det_drawn or wrong or facts.strongly_coupled)
    for trial in facts.behaviour.batches:
        points = counted(trial.size, "point", "points")
        evidence: dict[str, Any] = {"batch": trial.size}
        if trial.misshapen and (trial.raised or not wrong):
            message = f"With a batch of {points} the result has another shape: {trial.raised or 'that of the log-det'}"
            yield Finding("batch-size", message, evidence, about="batch sizes")
        elif trial.raised:
            message = f"With a batch of {points} the map raises: {trial.raised}"
            yield Finding("batch-size", message, evidence, severity="note")
        elif facts.well_defined and trial.moved > facts.behaviour.noticeable + 100 * facts.loose:
            message = f"With a batch of {points} in place of {whole} the same x gives another y."
            yield Finding("batch-size", message, evidence | moved_by(trial.moved), about="batch sizes")
        elif known and (trial.log_det_moved or 0.0) > facts.noticeable_in_log_det + 100 * facts.loose:
            evidence |= moved_by(trial.log_det_moved)
            if facts.claim.layout == "one number":
                message = (
                    f"The log-det is one number for a whole batch, and another one with {points} than with {whole}. "
                    "Sum over the dimensions of an event only: .sum(-1), not .sum()."
                )
                yield Finding("log-det-summed-over-batch", message, evidence, about="batch sizes")
            else:
                message = f"With a batch of {points} in place of {whole} the same x gives another log-det."
                yield Finding("batch-size", message, evidence, about="batch sizes")
        else:
            continue
        return


def _non_deterministic(facts: Facts) -> Iterator[Finding]:
    behaviour, calls = facts.behaviour, facts.behaviour.calls
    evidence: dict[str, Any] = {}
    if behaviour.state_changed:
        evidence["changed by a call"] = ", ".join(behaviour.state_changed[:4])
    if calls.failure:
        message = f"The map runs once; called again with the same x, it raises: {calls.failure}"
        yield Finding("non-deterministic", message, evidence)
    elif calls.again > behaviour.noticeable:
        message = (
            "Called again with the same x, the map gives another y: it keeps a state that its calls change, so it has "
            "no single Jacobian."
        )
        yield Finding("non-deterministic", message, moved_by(calls.again) | evidence)
    elif calls.noise > behaviour.noticeable:
        message = (
            "With another random state the same x gives another y: the map draws noise (dropout in training mode does "
            "this), so it has no single Jacobian. In a module, try .eval()."
        )
        yield Finding("non-deterministic", message, moved_by(calls.noise))
    elif calls.without_grad:
        message = (
            "Under torch.no_grad() the same x gives another y or another log-det: the map depends on the mode of "
            "autograd, so what is sampled or evaluated is not what was trained."
        )
        yield Finding("non-deterministic", message, moved_by(calls.without_grad))
    elif calls.after_others > behaviour.noticeable:
        message = (
            "After a call at other points, the same x gives another y: something that a call leaves behind is used by "
            "the next."
        )
        yield Finding("non-deterministic", message, moved_by(calls.after_others) | evidence)


def _changes_state(facts: Facts) -> Iterator[Finding]:
    behaviour = facts.behaviour
    written = [words for words, wrote in zip(("A call", "The inverse"), behaviour.overwrites, strict=True) if wrote]
    if written:
        message = (
            f"{' and '.join(written)} overwrites the tensor that is passed to it: whoever uses that afterwards finds "
            "other numbers in it. The inspector passes copies. In the layer, start with x = x.clone(), or write "
            "x = x * s in place of x *= s."
        )
        yield Finding("changes-state", message)
    if behaviour.state_changed and behaviour.calls.again <= behaviour.noticeable:
        message = (
            "A call changes the state of the map (running statistics, or a first call that sets parameters from the "
            "data), but not its y at these x. The original is unchanged."
        )
        yield Finding("changes-state", message, {"changed": ", ".join(behaviour.state_changed[:6])})


def _gradient_cut(facts: Facts) -> Iterator[Finding]:
    heard = facts.witnesses
    if heard is None:
        return
    if REVERSE in heard.unheard:
        message = (
            "Reverse-mode autodiff does not run through the map, so nothing before it can be trained; J is computed "
            f"with {heard.trusted}. autograd raises: {heard.unheard[REVERSE]}"
        )
        yield Finding("gradient-cut", message, about="derivative")
    elif REVERSE in heard.wrong:
        told, true = facts.jacobian_autograd, facts.jacobian
        # The entry that is furthest off beside what stands in its row.
        gap = (told - true).abs() / torch.maximum(told.abs(), true.abs()).amax(2, keepdim=True).clamp(min=1e-300)
        gap = gap.nan_to_num(nan=math.inf)
        b, i, j = (int(n) for n in np.unravel_index(int(gap.argmax()), gap.shape))
        lost = (told == 0) & (gap > 1e-6)
        if told.isnan().any() and facts.y.isfinite().all():
            why = (
                "It has NaN where the values of the map are finite: often a branch of torch.where that is not taken, "
                "or a square root or a norm at 0."
            )
        elif lost.any():
            why = (
                f"{counted(int(lost.any(0).sum()), 'entry is', 'entries are')} 0 by autograd, but not by differences: "
                "something inside cuts the gradient (detach, no_grad, .data, NumPy)."
            )
        elif lost.logical_not().all() and (told != 0).any() and FORWARD not in heard.wrong:
            why = "No entry is 0: a custom backward is wrong, or one of several paths is cut (detach)."
        else:
            why = "One of several paths is cut (detach), or a custom derivative is wrong."
        message = (
            f"J by autograd differs from central differences of the map's values {at_points(heard.at)}; the report "
            f"uses the latter. {why}"
        )
        evidence = {
            f"dy{i + 1}/dx{j + 1} by autograd": told[b, i, j].item(),
            f"by {heard.trusted}": true[b, i, j].item(),
        }
        yield Finding("gradient-cut", message, evidence | worst(facts, gap.amax((1, 2))), about="derivative")
    elif FORWARD in heard.wrong:
        message = (
            f"Forward mode is wrong {at_points(heard.at)}, while reverse mode and differences agree: "
            "a custom jvp is wrong."
        )
        yield Finding("gradient-cut", message, {"off by, relatively": heard.gap[FORWARD]}, about="derivative")


def _training_signal(facts: Facts) -> Iterator[Finding]:
    for gradient in facts.signal:
        whose = f"The gradient of {_NAMES[gradient.of]} with respect to {_NAMES[gradient.by]}"
        evidence = {"by autograd": gradient.told, "by central differences": gradient.true}
        about = {"log-det": "log-det gradient", "y": "derivative"}[gradient.of]
        about = about if gradient.by == "x" else "parameter gradients"
        if gradient.result == CUT:
            message = (
                f"{whose} is zero by autograd, but differences of its values are not: something on the way cuts it "
                "(detach, item, no_grad, .data), so training does not see it."
            )
            yield Finding("gradient-cut", message, evidence, about=about)
        elif gradient.result == RAISES:
            message = f"{whose} cannot be computed: autograd raises {gradient.error}"
            yield Finding("gradient-cut", message, about=about)
        elif gradient.result == NOT_FINITE:
            message = (
                f"{whose} is NaN or infinite by autograd, while the values themselves are finite: often a branch of "
                "torch.where that is not taken, or a square root or a norm at 0."
            )
            yield Finding("gradient-wrong", message, evidence, about=about)
        elif gradient.result == WRONG:
            message = (
                f"{whose} by autograd differs from central differences: part of it is cut (detach) or counted twice, "
                "or a custom derivative is wrong."
            )
            yield Finding("gradient-wrong", message, evidence, about=about)


def _after_a_step(facts: Facts) -> Iterator[Finding]:
    """Report what does not follow when the parameters of a copy move, as in training."""
    advice = "compute it in each call, or drop it whenever the parameters change."
    step = facts.step
    for off, by, code, what in (
        (step.log_det, step.by_log_det, "log-det-wrong", "the log-det is not that of the Jacobian"),
        (step.inverse, step.by_inverse, "inverse-wrong", "x -> y -> x does not return to x"),
    ):
        if off:
            names = " and ".join(by[:3])
            message = (
                f"Once the parameters have moved in place, as in training, {what}. {names} kept its value: if it was "
                f"computed from the parameters, {advice}"
            )
            about = code.removesuffix("-wrong")
            yield Finding(code, message, {"off by": off}, about=about, gap=off)
    for kept in facts.kept:
        message = (
            f"{kept.path} was computed from {' and '.join(kept.parameters)} once, and is used in place of it: a step "
            f"of an optimiser does not change the map. Instead, {advice}"
        )
        yield Finding("gradient-cut", message, about="parameter gradients")


_NAMES = {"x": "x", "y": "y", "log-det": "the log-det", "parameters": "the parameters", "context": "the context"}

MISBEHAVIOUR = (
    _coupled,
    _batch_size,
    _non_deterministic,
    _changes_state,
    _gradient_cut,
    _training_signal,
    _after_a_step,
)
