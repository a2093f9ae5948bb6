"""The records of exercises: across kernels, and whatever becomes of the file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from nfteach.exercises import Exercise
from nfteach.exercises.record import Record, progress_folder
from nfteach.exercises.table import Entry, Progress, exercises_of, lessons, progress, title_of
from nfteach.exercises.verdict import State

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def double(x):
    return 2 * x


@pytest.fixture
def twice() -> Exercise:
    return Exercise(
        number="0.9",
        title="twice",
        arguments=("x",),
        returns=("y",),
        cases=lambda generator, index: (torch.randn(3, generator=generator),),
        truth=lambda x: x + x,
        answer=double,
        reasoning="Twice is $2x$.",
        hints=("Multiply.", "By two."),
        misconceptions=(),
    )


def test_it_is_remembered_by_another_kernel(twice: Exercise) -> None:
    twice.check(None)
    assert not progress_folder().exists()  # nothing was attempted
    twice.check(lambda x: x)
    assert Record("0.9").read() == {"state": "not yet", "tries": 1, "hints": 0, "solution": False}
    twice.check(double)
    assert Record("0.9").read()["state"] == "right"
    twice.check(lambda x: x)
    assert Record("0.9").read() == {"state": "right", "tries": 3, "hints": 0, "solution": False}


def test_judging_for_a_test_is_not_remembered(twice: Exercise) -> None:
    twice.judged(double)
    assert not progress_folder().exists()


def test_hints_come_one_by_one_and_the_last_stays(twice: Exercise) -> None:
    assert [twice.hint().body for _ in range(3)] == ["Multiply.", "By two.", "By two."]
    assert "Hint 2 of 2 for exercise 0.9" in str(twice.hint())
    assert Record("0.9").read()["hints"] == 2


def test_the_solution_is_shown_with_its_reasoning(twice: Exercise) -> None:
    shown = twice.solution()
    assert "def double(x):\n    return 2 * x" in str(shown)
    assert shown._repr_markdown_().endswith("Twice is $2x$.")
    assert Record("0.9").read()["solution"] is True


@pytest.mark.parametrize("stored", ["{half a fi", "[1, 2]", '{"state": "splendid"}', "null"])
def test_a_file_that_cannot_be_read_is_kept_aside(twice: Exercise, stored: str) -> None:
    progress_folder().mkdir()
    path = progress_folder() / "0.9.json"
    path.write_text(stored)
    twice.check(double)
    assert Record("0.9").read() == {"state": "right", "tries": 1, "hints": 0, "solution": False}
    assert path.with_suffix(".unreadable").read_text() == stored


def test_other_exercises_stay_as_they_are(twice: Exercise) -> None:
    progress_folder().mkdir()
    (progress_folder() / "4.2.json").write_text(json.dumps({"state": "right", "tries": 5}))
    twice.check(double)
    assert Record("4.2").read()["tries"] == 5


def test_where_nothing_can_be_written_it_is_judged_all_the_same(twice: Exercise, monkeypatch, tmp_path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("NFTEACH_PROGRESS", str(in_the_way / "progress"))
    assert twice.check(double).state is State.RIGHT


def test_the_table_counts() -> None:
    entries = [
        Entry("00 start here", "0.1", "one", State.RIGHT, tries=1),
        Entry("00 start here", "0.2", "two <b>", State.NOT_YET, tries=2, hints=1, solution=True),
        Entry("01 more", "1.1", "three"),
        Entry("01 more", "1.2", "four", State.RIGHT, optional=True),
    ]
    table = Progress(entries)
    assert str(table).splitlines()[0].startswith("1 of 3 exercises right, and 1 of 1 optional ones (")
    assert "\u2713 1.2 four (if you like)" in str(table)
    assert str(table).endswith("Next: 0.2 two <b>, in lesson 00 start here")
    assert "\u2717 0.2 two <b> (2 tries, 1 hint, solution seen)" in str(table)
    assert "two &lt;b&gt;" in table._repr_html_()
    assert table._repr_html_().count("<tr>") == 3  # the head and two lessons
    assert "1 of 2" in table._repr_html_()


def test_progress_knows_every_lesson_and_what_was_done() -> None:
    before = progress()
    assert (before.right, len(before.entries)) == (0, sum(len(exercises_of(lesson)) for lesson in lessons()))
    lesson = lessons()[0]
    exercise = exercises_of(lesson)[0]
    exercise.check(exercise.answer)
    assert progress().right == 1
    assert progress().entries[0] == Entry(title_of(lesson), exercise.number, exercise.title, State.RIGHT, tries=1)


def test_next_is_the_first_exercise_that_is_neither_right_nor_optional() -> None:
    done = [Entry("00 a", "0.1", "one", State.RIGHT), Entry("00 a", "0.2", "two", optional=True)]
    assert Progress(done).next is None
    assert "Next" not in repr(Progress(done))
    assert Progress([*done, Entry("01 b", "1.1", "three")]).next.number == "1.1"


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.__name__[-2:])
def test_a_lesson_is_linked_to_its_notebook(lesson) -> None:
    number, words = title_of(lesson).split(" ", 1)
    assert number == lesson.__name__[-2:]
    assert 0 < len(words) < 60
    shown = Progress([Entry(title_of(lesson), f"{int(number)}.1", "one")])._repr_html_()
    links = re.findall("href='([^']+)'", shown)
    assert len(links) == 2
    assert all((NOTEBOOKS / link).exists() for link in links)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.__name__[-2:])
def test_exercises_are_optional_where_the_lesson_calls_them_so(lesson) -> None:
    text = next(NOTEBOOKS.glob(f"source/{lesson.__name__[-2:]}_*.md")).read_text(encoding="utf-8")
    headings = dict(re.findall(r"^### Exercise (\d+\.\d): (.*)$", text, re.MULTILINE))
    for exercise in exercises_of(lesson):
        assert exercise.optional == headings[exercise.number].endswith(("(optional)", "(if you like)"))
