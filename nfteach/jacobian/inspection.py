"""inspect_jacobian: every measurement, in order, on copies of the map."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .adapt import Map, adapt
from .autograd import LARGE, jacobian
from .behaviour import (
    Behaviour,
    batch_trials,
    call_again,
    companions,
    elsewhere,
    is_strong,
    moved_by_others,
    moved_by_place,
    same_image,
    slack,
)
from .borrowed import on_its_own
from .calls import first_that_runs, half_precision, noticeable
from .coordinates import VOLUME, in_coordinates
from .declared import contradictions
from .derivative import in_a_block, log_abs_det, neighbours, square, unknown, whole
from .facts import Facts
from .given import as_context, as_points, check_perturb
from .measure import DRAWS, Onto, fresh_copy, in_own_dtype, read_claim, try_inverse, try_onto
from .report import JacobianReport
from .rng import modes_at_rest, seeded
from .signal import cut_from_y, training_signal
from .step import Step, kept_values, take_step
from .stored import Stored, gaps, stored_numbers
from .structure import Structure, recognise
from .twin import changes, may_remember, parameters_account, state, trained, with_parameters_moved
from .unharmed import unharmed
from .witnesses import CENTRAL, REVERSE, Line, lines

__all__ = ["inspect_copies", "inspect_jacobian"]

# Copies with moved parameters: up to this many (a fold shows in one of three), fewer where Jacobians are large.
MOVED_COPIES = 8
_LARGE = 16_000_000
# What central differences are precise to, where J is taken by them.
_EPS_OF_DIFFERENCES = 1e-11
# Points where a domain that is declared is tried.
_NEAR = 8
# How far from a kink is beside it.
_CLOSE = 1e-4
# A condition number beyond which y -> x -> y is not tried.
_HARD = 1e8
# ... and a miss, relative to 1 + |y|, that rounding may explain.
_TELLING = 0.1


def inspect_jacobian(
    transform: Any,
    x: Any,
    *,
    log_det: Callable[[Tensor], Any] | None = None,
    inverse: Callable[[Tensor], Any] | None = None,
    perturb: float | None = None,
    context: Any = None,
    coordinates: Any = None,
) -> JacobianReport:
    """Look at the Jacobian of any map: its entries, its structure, and whether log-det and inverse are right.

    The work is done on float64 copies, and everything that the map can reach is afterwards as it was, to the bit. A map
    that raises, returns NaN, has no inverse, runs in float32 only, changes its state or draws noise is reported.

    Args:
        transform: a flow; any ``torch.distributions.Transform``; a module whose call returns ``(y, log_det)``, its
            inverse found as ``.inverse``; or any function of x that returns ``y`` or ``(y, log_det)``.
        x: the points to look at, (D,), (B, D), or events of more dimensions, which are flattened.
        log_det: x -> log|det J| in nats, where the transform does not return it.
        inverse: y -> x, where the transform does not have it.
        perturb: look also at copies (up to 8) whose parameters are moved at random, by Gaussian noise of this many
            times the size of each (its rms, or 1 / sqrt(fan-in) if that is larger). 0.5 is a good choice: most
            mistakes cannot be seen at initial parameters. The copies' reports are ``report.moved``.
        context: what a conditional transform takes besides x: one row for each point, (B, ...), or one for all.
        coordinates: where the map works between other spaces than R^D (a subspace, a manifold, a simplex): a pair
            (to_vector, from_vector) of functions, events (N, *event) -> (N, d) and back, or a tangent basis (n, d)
            with orthonormal columns. The map is then looked at from vectors to vectors. Where x or y consists of
            vectors already, it is left as it is. ``from_vector=None`` applies ``to_vector`` to y alone. ``"volume"``
            compares the log-det of a map to more dimensions with 1/2 log det J^T J, which is that of the symmetric
            root of J^T J, shown as the Jacobian.

    Raises:
        ValueError: if x is no finite floating tensor of the right shape, ``perturb`` is not positive, the map does not
            keep the number of dimensions, it has more than 1,000 and does not run with autograd, ``coordinates`` do
            not fit x, or it cannot be copied: it holds an open file or a generator, or looks something up by its own
            identity.

    Example:
        >>> shear = lambda x: torch.stack([x[0], x[1] + x[0] ** 2])
        >>> report = inspect_jacobian(shear, torch.tensor([1.0, 2.0]), log_det=lambda x: 0.0)
        >>> report.structure.name
        'coupling'
        >>> report.jacobian[0]
        tensor([[1., 0.],
                [2., 1.]], dtype=torch.float64)
        >>> report.check().ok
        True
    """
    x = as_points(x)
    check_perturb(perturb)
    volume = coordinates is not None and isinstance(coordinates, str) and coordinates == VOLUME
    given = (transform, log_det, inverse)
    with modes_at_rest(), unharmed(*given) as snapshot:
        if coordinates is not None and not volume:
            given, x = in_coordinates(given, x, coordinates, as_context(context))
        with on_its_own(snapshot, given, x) as doubts:
            report = inspect_copies(*given, x, perturb, as_context(context), volume)
            doubts += [report.behaviour.raised] if report.behaviour.raised else []
            return report


def inspect_copies(
    transform: Any,
    log_det: Callable | None,
    inverse: Callable | None,
    x: Tensor,
    perturb: float | None,
    context: Tensor | None = None,
    volume: bool = False,
) -> JacobianReport:
    """Return the report of a map whose copies are known to stand for it."""
    facts, looked_at = _look((transform, log_det, inverse), x, context, volume)
    moved = []
    copies_to_move = min(MOVED_COPIES, max(2, _LARGE // facts.jacobian.numel())) if perturb else 0
    for seed in range(copies_to_move):
        copies = with_parameters_moved(transform, log_det, inverse, by=perturb, seed=seed)
        if copies is None:
            break
        its_facts, its_looked_at = _look(copies, x, context, volume)
        moved.append(_report(its_facts, _structure(its_looked_at, its_facts)))
        looked_at = torch.cat([looked_at, its_looked_at])
    account = parameters_account(transform, log_det, inverse) if perturb else None
    return _report(facts, _structure(looked_at, facts), perturb=perturb, account=account, moved=tuple(moved))


def _report(facts: Facts, structure: Structure | None, **more: Any) -> JacobianReport:
    measured = {field.name: getattr(facts, field.name) for field in fields(Facts)}
    return JacobianReport(**measured | more | {"structure": structure})


def _structure(looked_at: Tensor, facts: Facts) -> Structure | None:
    if not len(looked_at):
        return None
    own = facts.behaviour.in_own_dtype
    return recognise(
        looked_at,
        eps=max(facts.eps, _EPS_OF_DIFFERENCES if facts.witness == CENTRAL else 0.0),
        stored=0.0 if own is None else torch.finfo(own.dtype).eps,
    )


def _look(given: tuple[Any, ...], x: Tensor, context: Tensor | None, volume: bool) -> tuple[Facts, Tensor]:
    """Return the facts but the structure, and the Jacobians (P, D, D) that tell that: those at x first."""
    transform, log_det, inverse = given
    first, refusals = first_that_runs(given, x, context=context, rectangular=volume)
    if first is None:
        f = adapt(transform, x, log_det, inverse, context=context, dtype=None)
        return _of_a_map_that_raises(f, x, refusals[0])
    f, points, y = first.f, first.points, first.y
    large = f.dim > LARGE
    others = elsewhere(points, companions(f, points, len(points)))
    calls = call_again(first, others)
    f.half = half_precision(f, points)
    rounding = noticeable(y, f.half)
    repeatable = max(calls.again, calls.after_others) <= rounding
    steady = repeatable and calls.noise <= rounding
    near, along = neighbours(first), lines(f, points)
    # Other samples may draw other random numbers, and leave others to these.
    from_others = moved_by_others(f, points, near.points, y) if steady else torch.zeros(len(points))
    coupled, strongly = float(from_others.max()) > rounding, is_strong(float(from_others.max()), y)
    loose = slack(float(from_others.max()), y) if coupled else 0.0
    if large and first.no_reverse_mode:
        raise ValueError(
            f"transform must run with autograd above {LARGE:,} dimensions, but {f.name} raises "
            f"{first.no_reverse_mode}; try fewer dimensions"
        )
    if large:
        derivative, looked_at = in_a_block(f, points)
    else:
        compare = repeatable and not strongly
        derivative, looked_at = whole(first, along, near, loose, compare=compare, coupled=coupled, noisy=not steady)
    dtype = torch.float64 if points.dtype == torch.float64 else None
    fresh = partial(fresh_copy, given, f, x, context, dtype)
    ask_it = not (first.changed or f.in_pieces) and may_remember(f.subject, transform)
    inverse = try_inverse(f, points, y, others, fresh if ask_it else None)
    usual = float(derivative.condition_number.nan_to_num(nan=1.0).median())
    eps = max(torch.finfo(y.dtype).eps, f.half)
    claim, stored = read_claim(first.raw, points, f.event_shape), Stored()
    if steady and y.dtype == torch.float64 and derivative.witness == REVERSE and not (coupled or large or volume):
        here = gaps(claim.values, derivative.log_det_jacobian, inverse.error)
        stored = stored_numbers(f, points, here, derivative.condition_number)
    if inverse.error is not None:
        tolerance = max(1e-5, 1e3 * eps * usual, 10 * float(torch.as_tensor(stored.inverse).max()))
        why_not = _one_way(steady, coupled, volume, usual, tolerance)
        onto = Onto(0, why_not=why_not) if why_not else try_onto(f, y.to(points.dtype), tolerance)
        inverse = replace(inverse, onto=onto)
    changed = tuple(dict.fromkeys((*first.changed, *changes(first.state, state(f.subject)))))
    own = in_own_dtype(given, first, x, context) if repeatable else None
    if inverse.failure and own is not None and own.inverse.error is not None:
        inverse = replace(own.inverse, low_precision=inverse.failure)
    terms, per_point = _terms(f, points)
    nearby = companions(f, points, _NEAR) if steady and not (coupled or changed) else points[:0]
    one_map = steady and not coupled and f.context is None and not large
    facts = Facts(
        **_of_map(f),
        **vars(derivative),
        x=points.cpu(),
        y=y.cpu(),
        claim=claim,
        inverse=inverse,
        terms=terms,
        terms_per_point=per_point,
        eps=eps,
        stored=stored,
        behaviour=Behaviour(
            manner=f.manner,
            low_precision="" if y.dtype == torch.float64 else (refusals or [f"y comes as {y.dtype}"])[0],
            calls=calls,
            state_changed=changed,
            overwrites=("forward" in f.overwrites, "backward" in f.overwrites),
            moved_by_others=from_others.double(),
            moved_by_place=moved_by_place(f, points, y) if coupled else 0.0,
            noticeable=rounding,
            batches=batch_trials(first, near.points) if repeatable else (),
            same_image=same_image(f, points, y, near.points, J=derivative.jacobian, eps=torch.finfo(x.dtype).eps)
            if one_map
            else None,
            in_own_dtype=own,
        ),
        other_claims={
            words: read_claim(raw, points, f.event_shape) for words, raw in f.other_claims(points, y).items()
        },
        contradictions=tuple(contradictions(f, points, y, derivative.jacobian, nearby)),
    )
    more: dict[str, Any] = {}
    if derivative.witnesses is not None and derivative.witnesses.undecided.any() and not f.half:
        more["kink"] = derivative.witnesses.undecided & _right_close_by(f, points, along[0])
    if facts.log_det_drawn and steady:
        more["estimate"] = _estimate(f, points)
    # In evaluation mode an estimate may be made without its gradient, which costs a second one.
    estimated = facts.log_det_drawn and not getattr(f.subject, "training", True)
    claimed = facts.log_det is not None and facts.log_det_repeats and not estimated
    parameters = trained(f.subject, f.interface, f.log_det, f.inverse) if repeatable else []
    if repeatable:
        more["signal"] = tuple(training_signal(f, along, parameters, claimed=claimed, whole=large, slack=loose))
    if repeatable and inverse.error is not None:
        varies = any((each.of, each.by) == ("log-det", "x") and abs(each.true) > 1e-6 for each in more["signal"])
        more["inverse_cut"] = cut_from_y(f, y.to(points.dtype), varies=varies)
    if parameters and not strongly:
        has_inverse = inverse.error is not None and not inverse.low_precision
        claimed = claimed and not first.no_reverse_mode
        more["step"] = Step() if f.half else take_step(f, points, parameters, log_det=claimed, inverse=has_inverse)
        more["kept"] = kept_values(given, f, points)
    return replace(facts, **more), looked_at


def _one_way(steady: bool, coupled: bool, volume: bool, usual: float, tolerance: float) -> str:
    """Return why y -> x -> y is not tried; "" if it is.

    ``usual`` is the condition number of J, ``tolerance`` the miss that rounding may explain, relative to 1 + |y|.
    """
    if not steady or coupled:
        return "y changes from call to call, or with the other samples"
    if volume:
        return "the images do not fill the space that y is in"
    if usual >= _HARD:
        return "J is ill-conditioned at most points"
    return "rounding may explain any miss" if tolerance >= _TELLING else ""


def _of_map(f: Map) -> dict[str, Any]:
    """Return what ``Facts`` says of the map itself."""
    return {
        "name": f.name,
        "kind": f.interface.kind,
        "log_det_by": f.log_det_by,
        "per_dimension_by_design": f.interface.per_dimension,
        "formula": f.formula,
    }


def _right_close_by(f: Map, points: Tensor, along: Line) -> Tensor:
    """Return where (B,) the claimed log-det is that of J at a point close by."""
    with suppress(Exception):
        J, _, raw = jacobian(f, points + _CLOSE * along.v)
        claim, true = read_claim(raw, points, f.event_shape).values, log_abs_det(square(J))
        if claim is not None:
            return (claim - true).abs() <= 1e-6 * (1 + true.abs())
    return torch.zeros(len(points), dtype=torch.bool)


def _estimate(f: Map, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard error (B,) of a log-det that differs from call to call, over many random states."""
    draws = torch.stack([read_claim(f(points, seed=seed)[1], points, f.event_shape).values for seed in range(DRAWS)])
    return draws.mean(0), draws.std(0) / DRAWS**0.5


def _of_a_map_that_raises(f: Map, x: Tensor, what: str) -> tuple[Facts, Tensor]:
    x = x.reshape(-1, f.dim).cpu()
    derivative, looked_at = unknown(len(x), f.dim)
    facts = Facts(
        **_of_map(f),
        **vars(derivative),
        x=x,
        y=torch.full_like(x, torch.nan),
        eps=torch.finfo(x.dtype).eps,
        behaviour=Behaviour(torch.zeros(len(x), dtype=torch.float64), raised=what),
    )
    return facts, looked_at


def _terms(f: Map, points: Tensor) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Return the map's own quantities by name, and the names of those that have a value at each point."""
    if f.terms is None:
        return {}, frozenset()
    events = points.reshape(-1, *f.event_shape)
    try:
        with torch.no_grad(), seeded(0):
            terms = {name: value.detach().cpu() for name, value in f.terms(events.clone()).items()}
            # A vector of D parameters and D points look alike: see which grow when a point is added.
            longer = f.terms(torch.cat([events, events[:1]]))
    except Exception:  # another library's `terms` may be something else
        return {}, frozenset()
    per_point = (name for name, value in terms.items() if value.shape[:1] != longer[name].shape[:1])
    return terms, frozenset(per_point)
