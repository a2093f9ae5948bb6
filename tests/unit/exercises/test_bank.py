"""A bank of right and wrong answers, written without regard to the mistakes that the exercises know by name.

The files in `bank` hold, for each exercise, right answers after a plus and wrong ones after a minus. An answer is an
expression, perhaps after some statements; or, on indented lines, the body of a function.
"""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Normal

import nfteach
from nfteach.exercises import Exercise, lesson_00, lesson_09
from nfteach.exercises.table import exercises_of, lessons
from nfteach.exercises.verdict import State

EXERCISES = {one.number: one for lesson in lessons() for one in exercises_of(lesson) if one.use is None}


def function(exercise: Exercise, text: str) -> Callable:
    """Return an answer of the bank as a function."""
    body = textwrap.dedent(text.strip("\n")) if text.startswith("\n") else "\n".join(text.strip().split("; "))
    tree = ast.parse(body)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.Return(last.value)
    source = f"def answer({', '.join(exercise.arguments)}):\n{textwrap.indent(ast.unparse(tree), '    ')}"
    names = {"torch": torch, "math": math, "nn": nn, "F": nn.functional, "Normal": Normal, "nfteach": nfteach}
    scope = names | {"normal": lesson_00.normal, "gallery": lesson_09.gallery}
    exec(compile(source, f"<{exercise.number}: {text.strip()[:40]}>", "exec", dont_inherit=True), scope)
    return scope["answer"]


def bank() -> dict[str, tuple[list[str], list[str]]]:
    """Return for each exercise its right answers and its wrong ones."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for file in sorted((Path(__file__).parent / "bank").glob("*.txt")):
        answers: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                found[line[3:]] = ([], [])
            elif line[:1] in ("+", "-"):
                answers = found[list(found)[-1]][line[0] == "-"]
                answers.append(line[1:])
            else:
                answers[-1] += f"\n{line}"
    return found


BANK = bank()


def test_the_bank_is_large_enough() -> None:
    assert BANK.keys() == EXERCISES.keys()
    for number, (right, wrong) in BANK.items():
        assert (len(right) >= 6, len(wrong) >= 10) == (True, True), number


@pytest.mark.slow
@pytest.mark.parametrize("number", BANK)
def test_right_answers_are_accepted(number: str) -> None:
    exercise = EXERCISES[number]
    for text in BANK[number][0]:
        for seed in (1, 2):
            verdict = exercise.judged(function(exercise, text), seed)
            assert verdict.state is State.RIGHT, (text, str(verdict))


@pytest.mark.slow
@pytest.mark.parametrize("number", BANK)
def test_wrong_answers_are_rejected_and_most_are_explained(number: str) -> None:
    exercise, unexplained = EXERCISES[number], 0
    for text in BANK[number][1]:
        verdict = exercise.judged(function(exercise, text), 1)
        assert verdict.state is State.NOT_YET, text
        assert "could not be judged" not in verdict.message
        unexplained += "but should be" in verdict.message
    assert unexplained <= len(BANK[number][1]) / 2
