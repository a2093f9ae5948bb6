"""Each lesson's two notebooks are what the builder makes of its source."""

import pytest
from build_notebooks import check
from lessons.source import NOTEBOOKS, discover, read_lesson

SOURCES = discover(NOTEBOOKS)  # fails when there is no lesson at all


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_notebooks_are_in_step_with_their_source(source):
    assert check([read_lesson(source)], NOTEBOOKS, whole=False) == []


def test_no_notebook_is_without_a_source():
    lessons = [read_lesson(source) for source in SOURCES]
    assert [line for line in check(lessons, NOTEBOOKS, whole=True) if "no source" in line] == []


def test_the_eleven_lessons_are_there():
    assert [source.stem[:2] for source in SOURCES] == [f"{number:02}" for number in range(11)]
