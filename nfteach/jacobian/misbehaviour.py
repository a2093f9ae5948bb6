"""Findings about how a map behaves: it draws noise, couples samples, hides from autograd, loses digits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from .facts import Facts
from .finding import Finding, at_points, counted
from .signal import CUT, NOT_FINITE, WRONG
from .tolerances import conditioning, inverse_tolerance, missed, tolerance, worst
from .witnesses import FORWARD, REVERSE

__all__ = ["MISBEHAVIOUR"]


def _coupled(facts: Facts) -> Iterator[Finding]:
    if facts.samples_coupled:
        message = (
            "A sample's output changes when only the other samples of its batch change (batch statistics do this): "
            "the map acts on whole batches, and no log-det of a single sample describes it. In a module, try .eval()."
        )
        yield Finding("samples-coupled", message, {"moved by": float(facts.behaviour.moved_by_others.max())})


def _non_deterministic(facts: Facts) -> Iterator[Finding]:
    behaviour = facts.behaviour
    if behaviour.again > behaviour.noticeable:
        message = (
            "Called a second time with the same x, the map gives another y: it keeps a state that its calls change, "
            "so it has no one Jacobian."
        )
        evidence: dict[str, Any] = {"moved by": behaviour.again}
        if behaviour.state_changed:
            evidence["changed by a call"] = ", ".join(behaviour.state_changed[:4])
        yield Finding("non-deterministic", message, evidence)
    elif behaviour.noise > behaviour.noticeable:
        message = (
            "With another random state the same x gives another y: the map draws noise (dropout that is left on does "
            "this), so it has no one Jacobian. In a module, try .eval()."
        )
        yield Finding("non-deterministic", message, {"moved by": behaviour.noise})
    elif facts.log_det_drawn:
        message = (
            "The same x gives the same y, but another log-det from call to call: it is a random estimate (of a trace, "
            "for instance), and was not held against the Jacobian."
        )
        yield Finding("non-deterministic", message, {"log-det moved by": behaviour.log_det_moved})


def _changes_state(facts: Facts) -> Iterator[Finding]:
    behaviour = facts.behaviour
    if behaviour.state_changed and behaviour.again <= behaviour.noticeable:
        message = (
            "A call changes what the map keeps (running statistics and a first call that sets parameters from the data "
            "do this), though not its answer to these x. The map that was given is left as it was."
        )
        yield Finding("changes-state", message, {"changed": ", ".join(behaviour.state_changed[:6])})


def _gradient_cut(facts: Facts) -> Iterator[Finding]:
    heard = facts.witnesses
    if heard is None:
        return
    if REVERSE in heard.unheard:
        message = (
            f"Reverse mode cannot go through the map, so nothing that stands before it can be trained; J here is by "
            f"{heard.trusted}. Asked for a gradient it raises: {heard.unheard[REVERSE]}"
        )
        yield Finding("gradient-cut", message, about="derivative")
    elif REVERSE in heard.wrong:
        told, true = facts.jacobian_autograd, facts.jacobian
        # The entry that is furthest off beside what stands in its row.
        gap = (told - true).abs() / torch.maximum(told.abs(), true.abs()).amax(2, keepdim=True).clamp(min=1e-300)
        gap = gap.nan_to_num(nan=math.inf)
        b, i, j = (int(n) for n in torch.unravel_index(gap.argmax(), gap.shape))
        lost = (told == 0) & (gap > 1e-6)
        if lost.any():
            why = (
                f"{counted(int(lost.any(0).sum()), 'entry is', 'entries are')} 0 by autograd and not in truth: "
                "something inside cuts the gradient (detach, no_grad, .data, a way through NumPy)."
            )
        elif lost.logical_not().all() and (told != 0).any() and FORWARD not in heard.wrong:
            why = "No entry is cut to 0: a backward that was written by hand is wrong, or a path beside others is cut."
        else:
            why = "A path beside others is cut (detach), or a derivative that was written by hand is wrong."
        message = (
            f"Autograd's J is not the map's, {at_points(heard.at)}: differences of its own values "
            f"tell another one, which is taken here. {why}"
        )
        evidence = {
            f"dy{i + 1}/dx{j + 1} by autograd": told[b, i, j].item(),
            f"by {heard.trusted}": true[b, i, j].item(),
        }
        yield Finding("gradient-cut", message, evidence | worst(facts, gap.amax((1, 2))), about="derivative")
    elif FORWARD in heard.wrong:
        message = (
            f"Forward mode is wrong {at_points(heard.at)}, while reverse mode and differences agree: "
            "a jvp that was written by hand is wrong."
        )
        yield Finding("gradient-cut", message, {"off by, relatively": heard.gap[FORWARD]}, about="derivative")


def _training_signal(facts: Facts) -> Iterator[Finding]:
    for gradient in facts.signal:
        whose = (
            f"The gradient of {'the log-det' if gradient.of == 'log-det' else 'y'} with respect to {_BY[gradient.by]}"
        )
        evidence = {"by autograd": gradient.told, "by central differences": gradient.true}
        about = "log-det gradient" if (gradient.of, gradient.by) == ("log-det", "x") else "parameter gradients"
        gap, size = abs(gradient.told - gradient.true), abs(gradient.true)
        if gradient.result == CUT:
            message = (
                f"{whose} is zero by autograd, but differences of its values are not: something on the way cuts it "
                "(detach, item, no_grad, .data), so training does not see it."
            )
            yield Finding("gradient-cut", message, evidence, about=about, gap=gap, size=size)
        elif gradient.result == NOT_FINITE:
            message = (
                f"{whose} is NaN or infinite by autograd, while the values themselves are finite: often a branch of "
                "torch.where that is not taken, or a square root or a norm at 0."
            )
            yield Finding("gradient-wrong", message, evidence, about=about)
        elif gradient.result == WRONG:
            message = (
                f"{whose} is not that of its values: a part of it is cut (detach) or counted twice, or a derivative "
                "that was written by hand is wrong."
            )
            yield Finding("gradient-wrong", message, evidence, about=about, gap=gap, size=size)


def _precision(facts: Facts) -> Iterator[Finding]:
    if facts.behaviour.low_precision:
        message = (
            "The map does not run in float64, so everything here was measured in the precision of x and the smaller "
            "differences mean nothing."
        )
        yield Finding("low-precision", message, {"in float64": facts.behaviour.low_precision})
    elif facts.inverse.low_precision:
        message = (
            "The map runs in float64 and its inverse does not, so x -> y -> x was tried in the layer's own precision."
        )
        yield Finding("low-precision", message, {"in float64": facts.inverse.low_precision})


def _own_dtype(facts: Facts) -> Iterator[Finding]:
    own = facts.behaviour.in_own_dtype
    if own is None:
        return
    name, eps = str(own.dtype).removeprefix("torch."), torch.finfo(own.dtype).eps
    sound = facts.finite & ~facts.singular
    error = own.inverse.error
    if error is not None and facts.inverse_error is not None and not facts.inverse.low_precision:
        allowed = inverse_tolerance(facts, eps)
        # Where conditioning alone may cost every digit, a miss is nobody's fault; where float64 misses, it is known.
        explained = (allowed > 0.1) | (facts.inverse_error > inverse_tolerance(facts, facts.eps))
        bad = (error > allowed) & ~explained & sound & ~own.lost
        if bad.any():
            message = (
                f"In {name}, as the layer is used, the inverse does not lead back {at_points(bad)}, "
                "though in float64 it does and J is well enough conditioned: the formula cancels."
            )
            yield missed(facts, message, error.where(bad, torch.zeros_like(error)))
    if (own.lost & sound).any():
        message = f"In {name}, as the layer is used, NaN or infinity comes out where float64 gives a number."
        yield Finding("low-precision", message, worst(facts, (own.lost & sound).double()))
    elif own.log_det_gap is not None and not facts.log_det_drawn:
        far = (own.log_det_gap > 10 * tolerance(facts) + 1e-2 + 1000 * eps * (1 + conditioning(facts))) & sound
        if far.any():
            gap = own.log_det_gap.where(far, torch.zeros_like(own.log_det_gap))
            message = f"In {name}, as the layer is used, its log-det loses digits that float64 keeps."
            yield Finding("low-precision", message, {"off by": gap.max().item()} | worst(facts, gap))


_BY = {"x": "x", "parameters": "the parameters"}

MISBEHAVIOUR = (_coupled, _non_deterministic, _changes_state, _gradient_cut, _training_signal, _precision, _own_dtype)
