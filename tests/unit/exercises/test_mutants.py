"""Mutants of the right answers: whatever is changed in one, the inputs of the exercise must show it."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator

import pytest

from nfteach.exercises import Exercise
from nfteach.exercises.table import exercises_of, lessons
from nfteach.exercises.verdict import State

ALL = [exercise for lesson in lessons() for exercise in exercises_of(lesson)]

# Mutants that are right as well: a symmetric density, ties, one halving more, a difference as even as the sum, four
# chunks where five do not fit, other parameters to start from.
HARMLESS = {
    ("1.4", "-torch.sinh(a * x) -> torch.sinh(a * x)"),
    ("2.4", "u[:, d] < p -> u[:, d] <= p"),
    ("4.4", "60 -> 61"),
    ("4.5", "2 -> 3"),
    ("4.5", "torch.randn(D) / 2 -> torch.randn(D)"),
    ("4.5", "torch.randn(D) / 2 -> torch.randn(D) * 2"),
    ("7.1", "layer + dimension -> layer - dimension"),
    ("7.3", "nearest > radius -> nearest >= radius"),
    ("8.4", "4 -> 5"),
    ("4.4", "middle + wu * torch.tanh(middle + b) < wx -> middle + wu * torch.tanh(middle + b) <= wx"),
}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPARISONS = {ast.Lt: (ast.LtE, ast.Gt), ast.Gt: (ast.GtE, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,)}


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of a node."""
    match node:
        case ast.BinOp(left, op, right):
            yield from (left, right)
            if type(op) in OPERATORS:
                yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.UnaryOp(ast.USub() | ast.Invert(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.Compare(left, [op], right):
            yield from (ast.Compare(left, [other()], right) for other in COMPARISONS.get(type(op), ()))
        case ast.Constant(int() as value) if not isinstance(value, bool):
            yield ast.Constant(value + 1)
        case ast.Call(ast.Attribute(value, "abs" | "log" | "exp" | "clone" | "sum")) if not isinstance(value, ast.Name):
            yield value
        case ast.For(target, iterated, body):
            yield ast.For(target, iterated, [*body, ast.Break()], [])
            yield from (
                ast.For(target, iterated, body[:i] + body[i + 1 :], []) for i in range(len(body) * (len(body) > 1))
            )


def mutants(exercise: Exercise) -> Iterator[tuple[str, object]]:
    """Yield copies of the right answer with one node replaced, and a description of each."""
    source = textwrap.dedent(inspect.getsource(exercise.answer))
    nodes = list(ast.walk(ast.parse(source)))
    starts = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    unseen = {id(part) for start in starts for part in ast.walk(start)}  # initial parameters, which `use` replaces
    for place, node in enumerate(nodes):
        for new in replacements(node) if id(node) not in unseen else ():
            tree = ast.parse(source)
            old = list(ast.walk(tree))[place]
            for parent in ast.walk(tree):
                for field, value in ast.iter_fields(parent):
                    if value is old:
                        setattr(parent, field, copy.deepcopy(new))
                    elif isinstance(value, list) and any(one is old for one in value):
                        setattr(parent, field, [copy.deepcopy(new) if one is old else one for one in value])
            made: dict[str, object] = {}
            exec(ast.unparse(ast.fix_missing_locations(tree)), vars(sys.modules[exercise.answer.__module__]), made)
            head = [ast.unparse(ast.fix_missing_locations(copy.deepcopy(one))).split("\n") for one in (node, new)]
            yield f"{' '.join(head[0])} -> {' '.join(head[1])}", made[exercise.answer.__name__]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [one for one in ALL if one.judge is None], ids=lambda exercise: exercise.number)
def test_mutants_of_the_right_answer_are_wrong(exercise: Exercise) -> None:
    brief = dataclasses.replace(exercise, seconds=1.0, misconceptions=())  # not to be named
    survivors = {
        (exercise.number, change)
        for change, mutant in mutants(exercise)
        if all(brief.judged(mutant, seed).state is State.RIGHT for seed in (1, 2))
    }
    assert survivors <= HARMLESS
