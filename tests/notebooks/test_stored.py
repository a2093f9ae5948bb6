"""The form of every stored notebook: run, without errors and live views, small, its pictures described in words."""

import itertools
import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from lessons.source import BEGIN, END, NOTEBOOKS, SETS, discover, read_lesson

from nfteach.exercises.table import exercises_of

PATHS = [read_lesson(source).target(NOTEBOOKS, which) for source in discover(NOTEBOOKS) for which in SETS]
LIMIT = 600_000  # bytes; a notebook above it is slow to open and to review
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CODE = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$", re.DOTALL)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)


@pytest.fixture(params=PATHS, ids=lambda path: str(path.relative_to(NOTEBOOKS)))
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code(notebook) for output in cell.outputs]


def prose(notebook) -> list[str]:
    """The Markdown cells without their code and formulas."""
    return [CODE.sub(" ", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]


def headings(notebook) -> list[tuple[int, str]]:
    """(level, text) of each heading, in order."""
    text = "\n".join(
        re.sub(r"```.*?```", " ", c.source, flags=re.DOTALL) for c in notebook.cells if c.cell_type == "markdown"
    )
    return [(len(marks), words.strip()) for marks, words in re.findall(r"^(#{1,6}) (.+)$", text, flags=re.MULTILINE)]


def test_it_is_valid_and_small(path, notebook):
    nbformat.validate(notebook)
    assert path.stat().st_size < LIMIT


def test_every_code_cell_was_run_in_order(notebook):
    # nbval passes silently over a cell without an execution_count
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))


def test_some_result_is_checked(notebook):
    checked = [cell for cell in code(notebook) if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert checked
    assert all(cell.outputs for cell in checked), "a checked cell without output checks nothing"


def test_nothing_failed_and_nothing_warned(notebook):
    assert [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ] == []


def test_no_live_view_is_stored(notebook):
    # without a kernel it would be shown as "model not found" in place of the picture
    assert not [output for output in outputs(notebook) if WIDGET_VIEW in output.get("data", {})]
    assert "widgets" not in notebook.metadata


def test_every_picture_is_described(notebook):
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            assert output.metadata.get("image/png", {}).get("alt", "").strip(), "give the source's cell an alt=..."
    for text in prose(notebook):
        assert all(words.strip() for mark, words, _ in LINK.findall(text) if mark)
        assert all(re.search(r"\balt=\"[^\"]+\"", tag) for tag in HTML_IMAGE.findall(text))


def test_one_title_and_no_level_of_headings_left_out(notebook):
    levels = [level for level, _ in headings(notebook)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_links_inside_the_course_lead_somewhere(path, notebook):
    anchors = {anchor(words) for _, words in headings(notebook)}
    for _, _, target in (link for text in prose(notebook) for link in LINK.findall(text)):
        place, _, part = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        if place:
            assert (path.parent / place).exists(), target
        if part and not place:
            assert part in anchors, target


def anchor(heading: str) -> str:
    """JupyterLab's name for a heading: its text as shown, blanks turned into hyphens."""
    return re.sub(r"[*`_]", "", heading).replace(" ", "-")


def test_every_exercise_of_the_lesson_is_judged_in_it(path, notebook):
    # the learner's set with nothing attempted; the solved one with every answer right
    solved = path.parent.name == "solutions"
    verdicts = [output.data["text/plain"] for output in outputs(notebook) if "text/plain" in output.get("data", {})]
    verdicts = [text for text in verdicts if re.match(r"Exercise \d+\.\d+:", text)]
    numbers = [exercise.number for exercise in exercises_of(import_module(f"nfteach.exercises.lesson_{path.name[:2]}"))]
    assert verdicts == [f"Exercise {number}: {'right' if solved else 'not attempted yet'}." for number in numbers]


def test_the_learner_finds_places_and_the_reader_solutions(path, notebook):
    text = "\n".join(cell.source for cell in code(notebook))
    assert BEGIN not in text
    assert END not in text
    if path.parent.name == "solutions":
        assert "# your code here" not in text
