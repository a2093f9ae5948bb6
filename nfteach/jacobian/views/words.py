"""The document of one map's report, and its sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..autograd import LARGE
from ..compared import AGREES, DIFFERS, UNCHECKED, Compared
from ..diagnose import Diagnosis
from ..numbers import bound, condition, coordinate, gap, number, value_at
from ..phrases import at_points, counted, listed
from ..witnesses import CENTRAL, FORWARD, REVERSE
from .document import Card, Document, Formula, Matrix, Order, Section, Table
from .tex import plain_tex

__all__ = ["compared_table", "jacobian_document", "verdict"]

POINTS_SHOWN = 4
BY = {REVERSE: "reverse-mode autodiff", FORWARD: "forward-mode autodiff", CENTRAL: "central differences"}
MARKS = {AGREES: "✓", DIFFERS: "✗", UNCHECKED: "–"}


def jacobian_document(report: Diagnosis) -> Document:
    """Return what is shown of one map."""
    s = report.structure
    kind = "torch Transform" if report.kind == "transform" else report.kind
    errors = sum(finding.severity == "error" for finding in report.findings)
    words, state = verdict(errors, [each.result for each in report.compared])
    in_block = report.block is not None
    sections: tuple[Section, ...] = ()
    if not report.behaviour.raised:
        sections = (
            *_formula(report),
            *_jacobian(report),
            Section(f"Structure{' of the block' * in_block}: {s.name if s else 'unknown'}", tuple(_structure(report))),
            Section("Determinant, by every route", (_routes(report), *_determinant(report))),
            Section("Derivative and behaviour", (_derivative(report), *_behaviour(report))),
            Section("Compared", (compared_table(report.compared),), open=True),
        )
    return Document(
        title=f"{report.name}: a {kind} of D = {counted(report.dim, 'dimension', 'dimensions')}",
        tag=s.name if s else "",
        about=_about(report),
        verdict=words,
        state=state,
        cards=tuple(map(Card.of, report.findings)),
        sections=sections,
    )


def verdict(errors: int, results: Sequence[str]) -> tuple[str, str]:
    """Return how many comparisons were made and came out right, and "good", "bad" or "part"."""
    made = sum(result != UNCHECKED for result in results)
    of = f"{made} of {counted(len(results), 'comparison', 'comparisons')} made"
    if errors:
        return f"{counted(errors, 'error', 'errors')}; {of}", "bad"
    if not made:
        return "nothing was compared", "part"
    return f"nothing is wrong; {of}", "good" if made == len(results) else "part"


def compared_table(compared: Sequence[Compared]) -> Table:
    """Return what agrees, what differs, and what was not compared and why; equal results share a row."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, result, words in compared:
        names.setdefault((result, words if result == AGREES else f"{result}: {words}"), []).append(name)
    rows = tuple((f"{MARKS[result]} {', '.join(which)}", words) for (result, words), which in names.items())
    return Table(rows, head=False, left=2, wrap=(0, 1))


def _about(report: Diagnosis) -> str:
    given = len(report.x)
    if report.behaviour.raised:
        return f"The map could not be evaluated at any of {counted(given, 'point', 'points')}."
    evaluated = report.structure.points if report.structure else given
    evaluated -= sum(copy.structure.points for copy in report.moved if copy.structure)
    nearby = counted(evaluated - given, "point", "points")
    near = f", and at {nearby} nearby to tell structure from accident" if evaluated > given else ""
    precision = "the precision of x" if report.behaviour.low_precision else "float64"
    manner = {
        "one by one": " The map takes one point at a time.",
        "never alone": " The map refuses a batch of one, so a single point was evaluated beside another one.",
    }.get(report.behaviour.manner, "")
    return f"Evaluated at {counted(given, 'point', 'points')}{near}, on a copy in {precision}.{manner}{_block(report)}"


def _block(report: Diagnosis) -> str:
    """Return what was looked at of a map of many dimensions, and what that does not show."""
    if report.block is None:
        return ""
    text = (
        f" D is above {LARGE:,}, so J is shown for a block of {len(report.block.coordinates)} evenly spaced "
        "coordinates, and derivatives are compared along random directions: a mistake in a few other coordinates is "
        "not seen."
    )
    known, given = int(report.sign.isfinite().sum()), counted(len(report.x), "point", "points")
    if known:
        return f"{text} log|det J| was computed from all of J at {known} of {given}."
    return f"{text} log|det J| was not computed: {report.block.seconds:.0f} s of processor time."


def _formula(report: Diagnosis) -> Iterator[Section]:
    parts = (Formula(report.formula, plain_tex(report.formula)),) if report.formula else ()
    if report.terms:
        rows = tuple((name, f"= {value_at(value)}") for name, value in report.first_terms.items())
        terms = Table(rows, head=False, left=2, wrap=(1,))
        parts = (*parts, f"Its terms at point 1, x = {value_at(report.x[0])}:", terms)
    if parts:
        yield Section("Formula", parts)


def _jacobian(report: Diagnosis) -> Iterator[Section]:
    s = report.structure
    if s is None:
        return
    natural = tuple(range(s.dim))
    orders = (Order("dyᵢ/dxⱼ in row i, column j, at point 1", natural, natural, not s.reordered),)
    if s.reordered and s.name not in {"upper triangular", "permutation"}:
        orders += (Order("In the order found", s.row_ordering, s.ordering, True),)
    yield Section("Jacobian", (Matrix(report.jacobian[0], s, orders),), open=True)


def _derivative(report: Diagnosis) -> str:
    """Return how J was computed, and which ways to compute it agree."""
    heard = report.witnesses
    if report.block is not None:
        return f"Computed with {BY[REVERSE]}."
    if heard is None:
        return f"Computed with {BY[REVERSE]}. Not compared: y changes from call to call, or with the other samples."
    agree = [witness for witness in (REVERSE, FORWARD) if witness in heard.gap and witness not in heard.wrong]
    lines = [f"Computed with {BY[heard.trusted]}."]
    if agree and not heard.undecided.all():
        apart = max(heard.gap[witness] for witness in agree)
        names = " and ".join(agree).capitalize()
        verb = "agrees" if len(agree) == 1 else "agree"
        lines.append(f"{names} {verb} with central differences within {bound(apart, 1e-6)}.")
    if heard.wrong:
        names = " and ".join(heard.wrong).capitalize()
        lines.append(f"{names} {'is' if len(heard.wrong) == 1 else 'are'} wrong {at_points(heard.at)}.")
    lines += [f"{w.capitalize()} failed ({why})." for w, why in heard.unheard.items() if "not asked" not in why]
    if kinks := int(heard.undecided.sum()):
        lines.append(f"At {kinks} of {len(report.x)} points differences decide nothing (a kink, or a rough map).")
    return " ".join(lines)


def _structure(report: Diagnosis) -> Iterator[str]:
    """Yield how the structure was recognised, and what else holds."""
    s = report.structure
    if s is None:
        yield "J is not finite at any point."
        return
    zero, one = int(s.zero.sum()), int((s.one & ~s.zero).sum())
    at = "At the one point" if s.points == 1 else f"At all {s.points} points"
    yield f"{at} {counted(zero, 'entry is', 'entries are')} 0 and {one} {'is' if one == 1 else 'are'} 1; " + (
        f"{s.dim**2 - zero - one} of {s.dim**2} are free."
    )
    yield s.how
    if s.name in {"triangular up to a permutation", "dense", "block diagonal", "coupling"} and s.reordered:
        orders = [f"inputs {_first(s.ordering, 'x')}"]
        if s.row_ordering != s.ordering:
            orders.append(f"outputs {_first(s.row_ordering, 'y')}")
        yield f"The order found: {'; '.join(orders)}."
    if report.block is None:
        yield _cost(report)
    if s.also:
        yield f"It is also: {', '.join(s.also)}."


def _first(order: Sequence[int], letter: str) -> str:
    more = f", ... {len(order)} in all" if len(order) > 12 else ""
    return ", ".join(coordinate(letter, index) for index in order[:12]) + more


def _cost(report: Diagnosis) -> str:
    s, D = report.structure, report.dim
    elimination = max(1, D**3 // 3)  # multiply-adds of an LU decomposition
    if s.name == "dense":
        return f"Cost of the determinant: O(D³), an elimination of about {elimination:,} multiply-adds at D = {D}."
    if s.cost == "O(1)":
        return f"Cost of the determinant: none, where an elimination takes O(D³), about {elimination:,} multiply-adds."
    steps = {"coupling": len(s.blocks[-1]), "identity plus rank r": D * s.rank**2 + s.rank**3 // 3}.get(s.name, D)
    if s.name == "block diagonal":
        steps = sum(max(1, len(block) ** 3 // 3) for block in s.blocks)
    numbers = f"; at D = {D}, about {steps:,} steps instead of {elimination:,}" if D > 4 else ""
    return f"Cost of the determinant: {s.cost} instead of O(D³){numbers}."


def _routes(report: Diagnosis) -> Table:
    """Return log|det J| by every route that there is, the claim first; then the sign and the condition number."""
    shown, true = range(min(len(report.x), POINTS_SHOWN)), report.log_det_jacobian
    rows = [("log|det J| in nats", *(f"point {b + 1}" for b in shown), "off by")]

    def route(name: str, values: Tensor) -> None:
        comparable = report.finite & ~true.isnan()
        apart = (values - true).abs().where(values != true, torch.zeros_like(true))[comparable]
        largest = gap(float(apart.max()) if len(apart) and values is not true else None)
        rows.append((name, *(number(float(values[b])) for b in shown), largest))

    if report.log_det is not None:
        route(f"claimed: {report.log_det_by}", report.log_det)
    if true.isfinite().any() or report.block is None:
        route(f"J by {report.witness}, elimination, O(D³)", true)
    if report.block is None and report.structure is not None and report.structure.name != "dense":
        route(f"the structure of J, {report.structure.cost}", report.log_det_structure)
    if report.inverse.log_det is not None:
        route("claimed by the inverse at y, times -1", -report.inverse.log_det)
    signs = {1.0: "+", -1.0: "-", 0.0: "0"}
    rows.append(("sign of det J", *(signs.get(float(report.sign[b]), "?") for b in shown), ""))
    if report.block is None:
        rows.append(("condition number", *(condition(float(report.condition_number[b])) for b in shown), ""))
    return Table(tuple(rows), spare=tuple(b + 1 for b in shown[1:]))


def _determinant(report: Diagnosis) -> Iterator[str]:
    """Yield how to read that table, the sign of det J, and the form of the claim."""
    yield "Off by: the largest difference from J by elimination, over all points."
    up, down, B = int((report.sign > 0).sum()), int((report.sign < 0).sum()), len(report.x)
    if up and down:
        yield f"det J is positive at {counted(up, 'point', 'points')} and negative at {down}: the map folds."
    elif B in (up, down):
        kept = "positive everywhere: orientation is kept" if up else "negative everywhere: the map mirrors, as it may"
        yield f"det J is {kept}."
    else:
        yield f"det J is positive at {up}, negative at {down} and zero or unknown at {B - up - down} of {B} points."
    claim = report.claim
    shape = f" of shape {claim.shape}" if claim.shape else ""
    if claim.layout == "per dimension" and report.per_dimension_by_design:
        yield f"The claim is {claim.came_as}{shape}: per dimension, as for an elementwise Transform; summed here."
    elif claim.layout == "one number" and B > 1:
        yield f"The claim is {claim.came_as}{shape}: one number, used for all {B} points."
    elif claim.layout not in {"per sample", "one number", "none"} or claim.shape not in {(B,), (), None}:
        yield f"The claim is {claim.came_as}{shape} ({claim.layout})."


def _behaviour(report: Diagnosis) -> Iterator[str]:
    """Yield what changes y besides x, what a call changes, and what was found at moved parameters."""
    behaviour = report.behaviour
    if behaviour.calls.failure:
        yield f"Called again, the map raises: {behaviour.calls.failure}"
        return
    moved = {
        "repeated calls": max(behaviour.calls.again, behaviour.calls.after_others),
        "other seeds": behaviour.calls.noise,
        "other batches": float(behaviour.moved_by_others.max()),
    }
    same = [what for what, by in moved.items() if by <= behaviour.noticeable]
    if len(same) == len(moved):
        yield f"Deterministic: {listed(same)} give the same y."
    else:
        changes = (f"with {what} y changes by {number(by)}" for what, by in moved.items() if what not in same)
        yield f"{'; '.join(changes)}.".capitalize() + (f" {listed(same).capitalize()} give the same y." if same else "")
    if behaviour.state_changed:
        yield f"A call changes {', '.join(behaviour.state_changed[:6])} (in the copy)."
    if report.moved:
        names = dict.fromkeys(copy.structure.name if copy.structure else "unknown" for copy in report.moved)
        yield (
            f"With parameters moved by {report.perturb:g} of their size: no error in {sum(c.ok for c in report.moved)} "
            f"of {len(report.moved)} copies; structure {' / '.join(names)}."
        )
    if report.moved and report.account is not None and report.account.frozen:
        count = counted(len(report.account.frozen), "parameter is", "parameters are")
        yield f"{count} frozen (requires_grad=False), and not moved."
