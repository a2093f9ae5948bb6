"""The solved notebooks: all that differs from the learner's is run, with the cells that it needs.

The rest is the same, code and texts, in the learner's notebooks, which the browser runs whole. So is what builds on
``or_solution``: in the learner's notebook it returns the lesson's solution, which is the one of the solved notebook.
"""

import re
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from lessons.execute import execute
from lessons.source import NOTEBOOKS, discover, read_lesson
from nbformat import NotebookNode

from nfteach.exercises.table import exercises_of
from tests.notebooks.compare import changed_results
from tests.notebooks.dependence import dependents, names, needed

SETTLED = re.compile(r"^(\w+) = \w+\.\w+\.or_solution\(\w+\)$", re.MULTILINE)
UNSOLVED = re.compile(r"^Exercise \S+ is not solved yet\..*\n", re.MULTILINE)
FORGET = "get_ipython().run_line_magic('reset', '-f')"  # every name of the lesson before


def shown(cell: NotebookNode) -> list[dict]:
    """Return the texts that a cell shows, without pictures and numbers of executions."""
    texts = [output.get("data", {"text/plain": UNSOLVED.sub("", output.get("text", ""))}) for output in cell.outputs]
    found = [{kind: text for kind, text in data.items() if text and not kind.startswith("image/")} for data in texts]
    return [data for data in found if data]


def to_run(source: Path) -> list[NotebookNode]:
    """Return the solved cells that differ from the learner's, all that use what they bind, and what these need."""
    lesson = read_lesson(source)
    learner, solved = (
        [cell for cell in nbformat.read(lesson.target(NOTEBOOKS, which), 4).cells if cell.cell_type == "code"]
        for which in ("learner", "solved")
    )
    found = [names(cell.source) for cell in solved]
    both = enumerate(zip(learner, solved, strict=True))
    differ = [number for number, (one, other) in both if one.source != other.source or shown(one) != shown(other)]
    settled = {number: set(SETTLED.findall(cell.source)) for number, cell in enumerate(solved)}
    return [solved[number] for number in needed(found, dependents(found, differ, settled))]


STORED = {source.stem: to_run(source) for source in discover(NOTEBOOKS)}


@pytest.fixture(params=STORED)
def lesson(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def executed() -> dict[str, list[NotebookNode]]:
    """What must be run of each solved notebook, executed in one kernel that forgets between lessons."""
    cells = deepcopy(STORED)
    for cell in (cell for lesson in cells.values() for cell in lesson):
        cell.metadata.tags = ["raises-exception"]  # an error ends up in the cell's outputs, and other lessons go on
    whole = [cell for lesson in cells.values() for cell in (nbformat.v4.new_code_cell(FORGET), *lesson)]
    execute(nbformat.v4.new_notebook(cells=whole), NOTEBOOKS / "solutions", "the solved lessons")
    return cells


def test_what_the_exercises_change_gives_the_stored_results(lesson, executed, request, tmp_path):
    assert [output for cell in executed[lesson] for output in cell.outputs if output.output_type == "error"] == []
    stored = tmp_path / f"{lesson}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=STORED[lesson]), stored)
    assert changed_results(request.session, stored, nbformat.v4.new_notebook(cells=executed[lesson])) == []


def test_every_solution_is_judged_right(lesson, executed):
    outputs = [output for cell in executed[lesson] for output in cell.outputs if "data" in output]
    verdicts = [text for output in outputs if (text := output.data["text/plain"]).startswith("Exercise ")]
    numbers = [exercise.number for exercise in exercises_of(import_module(f"nfteach.exercises.lesson_{lesson[:2]}"))]
    assert verdicts == [f"Exercise {number}: right." for number in numbers]
