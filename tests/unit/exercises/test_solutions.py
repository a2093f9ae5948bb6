"""Solutions: each is the one of its lesson, and is right when it is pasted there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest

from nfteach.exercises.table import exercises_of, lessons
from nfteach.exercises.verdict import State

SOURCES = Path(__file__).parents[3] / "notebooks" / "source"


def text_of(lesson: ModuleType) -> str:
    return next(SOURCES.glob(f"{lesson.__name__[-2:]}_*.md")).read_text(encoding="utf-8")


def trees(text: str) -> list[ast.Module]:
    """Return the code cells of a lesson that are Python alone."""
    found = []
    for cell in re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        try:
            found.append(ast.parse(cell))
        except SyntaxError:  # a cell with a magic command
            continue
    return found


def bare(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | ast.ClassDef:
    """Return a function or a class without its docstrings."""
    node.body = node.body[ast.get_docstring(node) is not None :]
    for one in node.body:
        if isinstance(one, ast.FunctionDef):
            bare(one)
    return node


def functions(text: str) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Return the functions and classes that a lesson defines, without their docstrings."""
    nodes = [node for tree in trees(text) for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {node.name: bare(node) for node in nodes}


def checked(text: str) -> dict[str, str]:
    """Return the exercises that a lesson calls, and the name of the function that each is handed."""
    return dict(re.findall(r"^exercise\.(\w+)\.check\((\w+)\)", text, re.MULTILINE))


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.__name__[-2:])
def test_a_solution_is_that_of_the_lesson(lesson) -> None:
    text = text_of(lesson)
    asked = checked(text)
    assert len(asked) == len(exercises_of(lesson))
    for exercise, function in asked.items():
        shown = str(vars(lesson)[exercise].solution()).split("```python\n")[1].split("```")[0]
        (solution,) = ast.parse(shown).body
        assert ast.unparse(bare(solution)) == ast.unparse(functions(text)[function]), exercise


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.__name__[-2:])
def test_a_solution_is_right_when_it_is_pasted(lesson) -> None:
    matplotlib.use("Agg")
    text, there = text_of(lesson), {}
    for tree in trees(text):
        for node in tree.body:
            helper = isinstance(node, ast.FunctionDef) and hasattr(lesson, node.name)
            if isinstance(node, ast.Import | ast.ImportFrom) or helper:
                exec(ast.unparse(node), there)
    there |= {function: vars(lesson)[exercise].answer for exercise, function in checked(text).items()}
    for exercise, function in checked(text).items():
        shown = str(there["exercise"].__dict__[exercise].solution())
        pasted = dict(there)
        exec(compile(shown.split("```python\n")[1].split("```")[0], "<cell>", "exec", dont_inherit=True), pasted)
        verdict = getattr(there["exercise"], exercise).judged(pasted[function], 1)
        assert verdict.state is State.RIGHT, (exercise, str(verdict))
