"""What the text and the HTML report say alike: numbers, formulas, routes to the determinant, the verdict."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..diagnosis import Diagnosis
from ..finding import at_points, counted
from ..numbers import ROUNDING, condition, coordinate, gap, number
from ..witnesses import FORWARD, REVERSE

__all__ = [
    "Route",
    "behaviour_lines",
    "claim_line",
    "determinant_lines",
    "determinant_table",
    "headline",
    "inverse_line",
    "points_line",
    "routes",
    "shown_reordered",
    "sign_line",
    "structure_lines",
    "verdict",
    "witness_lines",
]


class Route(NamedTuple):
    """One way to log|det J|: its name, its values (B,) in nats, the largest distance from the autograd route."""

    name: str
    values: Tensor
    gap: float | None


def headline(report: Diagnosis) -> str:
    kind = "torch Transform" if report.kind == "transform" else report.kind
    return f"{report.name}: a {kind} of D = {report.dim} dimension{'s' if report.dim > 1 else ''}"


def points_line(report: Diagnosis) -> str:
    if report.behaviour.raised:
        return f"None of the {len(report.x)} points could be looked at."
    given = len(report.x)
    looked = report.structure.points if report.structure else given
    looked -= sum(copy.structure.points for copy in report.moved if copy.structure)
    near = f", and {looked - given} near by to tell structure from accident" if looked > given else ""
    precision = "float64" if report.eps < 1e-12 else "the precision of x"
    manner = {
        "one by one": " The map takes one point at a time.",
        "never alone": " The map refuses a batch of one, so a lone point was given a neighbour.",
    }.get(report.behaviour.manner, "")
    return f"Looked at {given} point{'s' if given > 1 else ''}{near}, on a copy in {precision}.{manner}"


def witness_lines(report: Diagnosis) -> list[str]:
    """Who told J, who agrees, and who is wrong."""
    heard = report.witnesses
    if heard is None:
        return ["Told by reverse mode alone: what the map gives cannot be compared from call to call."]
    others = [witness for witness in (REVERSE, FORWARD) if witness in heard.gap and witness not in heard.wrong]
    apart = max((heard.gap[witness] for witness in others), default=0.0)
    lines = []
    if others and not heard.undecided.all():
        within = "1e-6" if apart < 1e-6 else gap(apart)
        lines.append(
            f"{' and '.join(others)} agree{'s' if len(others) == 1 else ''} with differences of the map's own "
            f"values, within {within} of their size"
        )
    if heard.wrong:
        plural = "are" if len(heard.wrong) > 1 else "is"
        lines.append(f"{' and '.join(heard.wrong)} {plural} wrong {at_points(heard.at)}")
    lines += [f"{w} could not be asked ({why})" for w, why in heard.unheard.items() if "not asked" not in why]
    if kinks := int(heard.undecided.sum()):
        lines.append(f"at {kinks} of {len(report.x)} points differences decide nothing (a kink, or a rough map)")
    said = "; ".join(lines)
    return [f"Told by {heard.trusted}. {said[:1].upper()}{said[1:]}." if lines else f"Told by {heard.trusted}."]


def behaviour_lines(report: Diagnosis) -> list[str]:
    """What happens when the map is called again, and when its parameters are moved."""
    behaviour = report.behaviour
    if behaviour.raised:
        return [f"It raised: {behaviour.raised}"]
    asked = (
        (behaviour.again, "called again"),
        (behaviour.noise, "with another random state"),
        (float(behaviour.moved_by_others.max()), "beside other samples"),
    )
    same = [how for moved, how in asked if moved <= behaviour.noticeable]
    other = [f"{how} y moves by {number(moved)}" for moved, how in asked if moved > behaviour.noticeable]
    lines = [
        f"The same x gives the same y {', '.join(same)}." if same else "",
        f"But {'; '.join(other)}." if other else "",
    ]
    if behaviour.state_changed:
        lines.append(f"A call changes {', '.join(behaviour.state_changed[:6])} (in the copy).")
    if report.moved:
        structures = " / ".join(
            dict.fromkeys(copy.structure.name if copy.structure else "none" for copy in report.moved)
        )
        sound = sum(copy.ok for copy in report.moved)
        lines.append(
            f"With parameters moved by {report.perturb:g} of their size: {sound} of {len(report.moved)} copies are "
            f"sound; structure {structures}."
        )
    elif report.perturb:
        lines.append("It has no parameters to move.")
    return [line for line in lines if line]


def routes(report: Diagnosis) -> list[Route]:
    """Every way to log|det J| that there is, the claim first."""
    true = report.log_det_jacobian

    def route(name: str, values: Tensor) -> Route:
        apart = (values - true).abs().where(values != true, torch.zeros_like(true))
        apart = apart[report.finite]
        return Route(name, values, float(apart.max()) if len(apart) else None)

    found = []
    if report.log_det is not None:
        found.append(route(f"the map's claim, {report.log_det_by}", report.log_det))
    found.append(Route(f"J by {report.witness}, by elimination, O(D³)", true, None))
    if report.structure is not None and report.structure.name != "dense":
        found.append(route(f"J's structure alone, {report.structure.cost}", report.log_det_structure))
    if report.inverse.log_det is not None:
        found.append(route("minus the inverse's claim, at y", -report.inverse.log_det))
    return found


def determinant_table(report: Diagnosis, points: int) -> list[list[str]]:
    """A heading, then each route to log|det J|, then sign and condition number: at the first ``points`` points."""
    shown = min(len(report.x), points)
    table = [["log|det J| in nats", *(f"point {b + 1}" for b in range(shown)), "apart by"]]
    for route in routes(report):
        table.append([route.name, *(number(float(v)) for v in route.values[:shown]), gap(route.gap)])
    signs = ({1.0: "+", -1.0: "-", 0.0: "0"}.get(float(v), "?") for v in report.sign[:shown])
    table.append(["sign of det J", *signs, ""])
    table.append(["condition number", *(condition(float(v)) for v in report.condition_number[:shown]), ""])
    return table


def determinant_lines(report: Diagnosis, points: int) -> list[str]:
    """How to read that table, and what it says."""
    B = len(report.x)
    first = f" The first {points} of {B} points are shown." if points < B else ""
    lines = [
        f"Apart by: the largest distance from that of J, over all points.{first}",
        f"det J is {sign_line(report)}.",
    ]
    return [*lines, claim] if (claim := claim_line(report)) else lines


def shown_reordered(report: Diagnosis) -> bool:
    """Whether J deserves a second picture, in the order found."""
    s = report.structure
    return s.reordered and s.name not in {"upper triangular", "permutation"}


def claim_line(report: Diagnosis) -> str:
    """What the claim came as, where that deserves a word."""
    claim, B = report.claim, len(report.x)
    if claim.layout == "none":
        return "The map claims no log-det; that of J stands alone."
    shape = f" of shape {claim.shape}" if claim.shape else ""
    came = f"The claim came as {claim.came_as}{shape}"
    if claim.layout == "per dimension" and report.per_dimension_by_design:
        return f"{came}: per dimension, as an elementwise Transform's does; summed over D here."
    if claim.layout == "one number" and B > 1:
        return f"{came}: one number, taken for all {B} points."
    return (
        ""
        if claim.layout in {"per sample", "one number"} and claim.shape in {(B,), ()}
        else f"{came} ({claim.layout})."
    )


def sign_line(report: Diagnosis) -> str:
    up, down = int((report.sign > 0).sum()), int((report.sign < 0).sum())
    if up and down:
        return f"positive at {up} points, negative at {down}: the map folds"
    if up == len(report.sign):
        return "positive everywhere: orientation is kept"
    if down == len(report.sign):
        return "negative everywhere: the map mirrors, and that is allowed"
    return f"positive at {up}, negative at {down}, zero or unknown at {len(report.sign) - up - down}"


def structure_lines(report: Diagnosis) -> list[str]:
    """How the structure was recognised, and what else is true of it."""
    s = report.structure
    if s is None:
        return ["J is nowhere finite, so nothing can be said."]
    free = s.dim**2 - int(s.zero.sum()) - int((s.one & ~s.zero).sum())
    looked_at = "At the one point" if s.points == 1 else f"Over all {s.points} points"
    lines = [
        f"{looked_at}: {counted(int(s.zero.sum()), 'entry is', 'entries are')} always 0, "
        f"{counted(int(s.one.sum()), 'is', 'are')} always 1, {counted(free, 'is', 'are')} free.",
        s.how,
    ]
    if s.name in {"triangular up to a permutation", "dense", "block diagonal", "coupling"} and s.reordered:
        few = s.ordering[:12]
        more = f", ... {s.dim} in all" if s.dim > len(few) else ""
        line = f"The order found: inputs {', '.join(coordinate('x', j) for j in few)}{more}"
        if s.row_ordering != s.ordering:
            line += f"; outputs {', '.join(coordinate('y', i) for i in s.row_ordering[:12])}{more}"
        lines.append(line + ".")
    lines.append(_cost_line(report))
    if s.also:
        lines.append(f"It is also: {', '.join(s.also)}.")
    return lines


def _cost_line(report: Diagnosis) -> str:
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


def inverse_line(report: Diagnosis) -> str:
    inverse = report.inverse
    if inverse.failure:
        return f"asked for, it answers: {inverse.failure}"
    if inverse.error is None:
        return "none known (give inverse=... to have it tried)" if report.kind == "function" else "the map offers none"
    worst, at = float(inverse.error.max()), int(inverse.error.argmax())
    if any(finding.code == "inverse-wrong" for finding in report.findings):
        return f"x → y → x misses by up to {gap(worst)}, most at point {at + 1}"
    return f"x → y → x comes back within {'1e-9' if worst < ROUNDING else gap(worst)} at every point"


def verdict(report: Diagnosis) -> str:
    errors = sum(finding.severity == "error" for finding in report.findings)
    if errors:
        return f"{errors} errors." if errors > 1 else "One error."
    checked = []
    if report.log_det is not None:
        checked.append("the log-det is that of the Jacobian")
    if report.inverse_error is not None:
        checked.append("the inverse leads back")
    checked.append("det J keeps its sign" if len(report.x) > 1 else "det J is not zero")
    text = ", ".join(checked)
    return f"Sound at {'every point looked at' if len(report.x) > 1 else 'this point'}: {text}."
