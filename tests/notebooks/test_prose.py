"""What is written is spelt well, leads somewhere, and has the shape of a lesson; and each check can fail."""

from __future__ import annotations

import re
import types
from pathlib import Path

import nbformat
import pytest
import torch
from lessons.source import NOTEBOOKS, discover

from nfteach.exercises import Exercise
from nfteach.exercises.table import exercises_of, lessons
from nfteach.widgets.prediction.questions import names
from tests.notebooks import prose, shape

ROOT = Path(__file__).parents[2]
SOURCES = discover(NOTEBOOKS)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
QUESTIONS = ROOT / "nfteach" / "widgets" / "prediction" / "questions"
TEXTS = ROOT / "nfteach" / "exercises" / "texts"
VOICE = [*QUESTIONS.glob("*.md"), *TEXTS.glob("*.md"), *(ROOT / f"docs/{one}.md" for one in ("teaching", "glossary"))]
VOICE = [*SOURCES, *sorted(VOICE), ROOT / "README.md"]
EXERCISES = {int(lesson.__name__[-2:]): lesson for lesson in lessons()}


def number(source: Path) -> int:
    return int(source.name[:2])


def told(module: types.ModuleType) -> str:
    """All that the exercises of a lesson say, but for their code."""
    said = []
    for exercise in exercises_of(module):
        said += [exercise.title, exercise.reasoning, *exercise.hints]
        said += [text for one in exercise.misconceptions for text in (one.name, one.message)]
    return "\n\n".join(said)


def asked(lesson: int) -> str:
    """Return the prose of a lesson's predictions."""
    return prose.in_markdown((QUESTIONS / f"{lesson:02}.md").read_text(encoding="utf-8"))


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def source(request) -> Path:
    return request.param


@pytest.fixture
def text(source: Path) -> str:
    return source.read_text(encoding="utf-8")


# ---- what is there -----------------------------------------------------------------------------------------------


def test_spelling_is_british_and_right(tmp_path):
    pages = {path.name: prose.in_markdown(path.read_text(encoding="utf-8")) for path in PAGES}
    pages |= {path.name: prose.in_source(path.read_text(encoding="utf-8")) for path in SOURCES}
    pages |= {f"questions/{lesson:02}.md": asked(lesson) for lesson in EXERCISES}
    pages |= {module.__name__: prose.in_markdown(told(module)) for module in EXERCISES.values()}
    complaints = prose.misspelt(pages, tmp_path)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_of_a_page_lead_somewhere(path):
    assert prose.dead_links(path.read_text(encoding="utf-8"), path, ROOT) == []


def test_links_of_a_lesson_lead_somewhere(source, text):
    assert prose.dead_links(text, NOTEBOOKS / f"{source.stem}.ipynb", ROOT) == []


def test_equations_are_numbered_in_order_and_references_find_them(source, text):
    said = told(EXERCISES[number(source)]) if number(source) in EXERCISES else ""
    assert shape.equations(text, number(source), [prose.in_markdown(said), asked(number(source))]) == []


def test_headings_checks_and_exercises_are_one_to_one(source, text):
    assert number(source) in EXERCISES, f"there is no nfteach/exercises/lesson_{number(source):02}.py"
    assert shape.exercises(text, EXERCISES[number(source)]) == []


def test_a_lesson_asks_before_it_shows_and_lets_you_move_something(source, text):
    assert shape.predictions(text, number(source), names()) == []
    assert shape.explorers(text) == []
    least = 3 if number(source) else 1
    assert len(exercises_of(EXERCISES[number(source)])) >= least


def test_a_lesson_begins_and_closes_like_the_others(source, text):
    closing = shape.CLOSING if number(source) else ("What to remember", "Next")
    assert shape.sections(text, closing) == []


def test_a_lesson_is_short_opens_with_a_picture_and_goes_on_with_pictures(source, text):
    least = shape.LEAST if number(source) else 0
    assert shape.words(text, least) + shape.opening(text) + shape.pace(text) == []


def test_code_fits_the_screen_and_no_truth_value_is_shown(source, text):
    notebook = nbformat.read(NOTEBOOKS / f"{source.stem}.ipynb", as_version=4)
    assert shape.code(text) + shape.truths(notebook) == []


@pytest.mark.parametrize("path", VOICE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_written_over_which_readers_stumbled(path):
    text = path.read_text(encoding="utf-8")
    assert prose.clumsy((prose.in_source if path in SOURCES else prose.in_markdown)(text)) == []


def test_thirty_exercises_or_more_and_none_without_a_lesson():
    assert sum(len(exercises_of(module)) for module in EXERCISES.values()) >= 30
    assert EXERCISES.keys() == {number(source) for source in SOURCES}


# ---- each check can fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("teh", "the"),
        ("recieve", "receive"),
        ("color", "colour"),
        ("normalize", "normalise"),
        ("reparametrized", "s in place of z"),
        ("analyze", "analyse"),
        ("is is", "twice"),
        ("the\nthe", "twice"),
    ],
)
def test_a_wrong_word_is_found_where_it_stands(tmp_path, word, why):
    page = f"A density has an area.\n\nThis {word} map is smooth."
    (complaint,) = prose.misspelt({"page.md": page}, tmp_path)
    assert complaint.startswith("page.md:3: ")
    assert why in complaint


@pytest.mark.parametrize(
    "page",
    [
        "Normalizing flows, a normalizing flow; its size, resized; a biased, focused program; a licence.",
        "Behaviour of the factorised, reparametrised centre. It said that that is so. And t\n\nt is a letter.",
    ],
)
def test_good_words_are_left_alone(tmp_path, page):
    assert prose.misspelt({"page.md": page}, tmp_path) == []


def test_only_prose_is_read_and_lines_stay_where_they_were():
    line = "`teh` $teh$ [a](teh.md) <b teh>b</b> *Of teh color: a paper*"
    page = f"---\nteh: 1\n---\n{line}\n```python\nteh = 1\n```\n$$\nteh\n$$\nteh end\n"
    (line,) = [number for number, line in enumerate(prose.in_markdown(page).splitlines(), 1) if "teh" in line]
    assert line == 11


def test_comments_and_sentences_in_cells_are_prose():
    cell = 'legend(color="teh", loc="teh place")  # a color\nPrediction(\n    f"Which {x} teh one?")\n'
    page = f'One.\n\n```python alt="A teh picture."\n{cell}```\n'
    lines = prose.in_source(page).splitlines()
    assert "A teh picture." in lines[2]
    assert "a color" in lines[3]
    assert "teh" not in lines[3]
    assert " teh one?" in lines[5]


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "notebooks/source").mkdir(parents=True)
    (tmp_path / "notebooks/source/01_one.md").write_text("# 01 · One\n\n## A way out\n")
    (tmp_path / "page.md").write_text("# A page\n\n## *Two* words\n")
    place = tmp_path / "other.md"
    lesson = "notebooks/01_one.ipynb"
    good = f"[a](page.md) ![b](page.md#two-words) [c]({lesson}#A-way-out) [d](https://x.org/y) [e](#here)"
    assert prose.dead_links(f"# Here\n{good}\n`[f](nowhere.md)`\n", place, tmp_path) == []
    bad = [
        "page2.md",
        "page.md#three",
        "notebooks/02_two.ipynb",
        "notebooks/01_one.ipynb#a-way-out",
        "#there",
        "../x.md",
    ]
    complaints = prose.dead_links("# Here\n" + " ".join(f"[g]({target})" for target in bad), place, tmp_path)
    assert [complaint.partition(":")[0] for complaint in complaints] == bad


@pytest.mark.parametrize(
    "phrase",
    [
        "It knows nothing of the clipping.",
        "Because z has never heard of the others.",
        "The layer asks for a point.",
        "Only then are they right, and you are told which one it was.",
        "Below the graph stands the density.",
        "The verdict stands at the top.",
        "Nor has it an inverse.",
        "It is invertible, for you can undo the steps.",
        "It is wrong by *another* factor at each point.",
        "The factor is no scale.",
        "The softmax lets them add up to one.",
        "Each layer has a network of its own.",
        "They differ by two in a hundred.",
    ],
)
def test_a_phrase_over_which_readers_stumbled_is_found_in_its_line(phrase):
    (complaint,) = prose.clumsy(f"The map is smooth.\n\n{phrase}")
    assert complaint.startswith("3: ")


def test_plain_sentences_are_left_alone():
    plain = "There is no inverse. It is no longer dense; no other layer is. The layer waits for the one before it. "
    plain += "A layer of your own, with a table below. The grid is stretched, and the density is lower."
    assert prose.clumsy(plain) == []


def equation(tag: str) -> str:
    return f"\n$$\nx = y\n\\tag{{{tag}}}\n$$\n\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (equation("1") + equation("2") + "By (2), and by (1). (Uria et al. 2016, eq. 9.) $f(3)$ `g(3)` f(3)", ""),
        (equation("3") + equation("7") + equation("6.1") + "Equation 3 and equation 6.1; equations 3 and 7.", ""),
        (equation("1") + equation("1"), "two equations"),
        (equation("2") + equation("1"), "(1) comes after (2)"),
        (equation("6.2") + equation("6.1"), "(1) comes after (2)"),
        (equation("5.1"), "this is lesson 6"),
        (equation("A"), "neither a number"),
        (equation("1") + "See (2).", "(2): there is no such"),
        (equation("1") + "Differentiate equation 3.", "(3): there is no such"),
        (equation("1") + "Equations 1 to 4.", "(4): there is no such"),
        ('```python\nPrediction("Use (5) here?")\n```\n', "(5): there is no such"),
    ],
)
def test_a_wrong_number_is_found(text, complaint):
    found = shape.equations(text, 6)
    assert (found == []) if not complaint else (complaint in found[0])


def test_an_exercise_speaks_of_equations_of_its_lesson():
    assert "(4)" in shape.equations(equation("1"), 6, ["Solve (4)."])[0]


def lesson(names: dict[str, str]) -> types.ModuleType:
    """A module like nfteach.exercises.lesson_06, with exercises of these names and numbers."""
    module = types.ModuleType("nfteach.exercises.lesson_06")
    for name, number in names.items():
        exercise = Exercise(
            number=number,
            title=name,
            arguments=("x",),
            returns=("y",),
            cases=lambda generator, index: (torch.ones(1),),
            truth=lambda x: x,
            answer=lambda x: x,
            reasoning="",
            hints=(),
            misconceptions=(),
        )
        setattr(module, name, exercise)
    return module


GOOD = """\
```python
from nfteach.exercises import lesson_06 as exercise
```

### Exercise 6.1: one

```python
def first(x):
    ### BEGIN SOLUTION
    return x
    ### END SOLUTION
```

```python tags=["nbval-check-output"]
exercise.one.check(first)  # stuck? exercise.one.hint(), then exercise.one.solution()
```

### Exercise 6.2: two

```python
def second(x):
    ### BEGIN SOLUTION
    return x
    ### END SOLUTION
```

```python tags=["nbval-check-output"]
exercise.two.check(second)
# stuck? exercise.two.hint(), then exercise.two.solution()
```
"""


def test_a_good_lesson_fits_its_exercises():
    assert shape.exercises(GOOD, lesson({"one": "6.1", "two": "6.2"})) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("### Exercise 6.2: two", "### Two", "the headings are ['6.1']"),
        ("Exercise 6.2", "Exercise 6.3", "the headings are ['6.1', '6.3']"),
        ("exercise.two.hint()", "exercise.one.hint()", "6.2: is exercise.two"),
        ("exercise.two", "exercise.one", "6.2: is exercise.two"),
        ("check(second)", "check(third)", "third is not written"),
        ("\n# stuck? exercise.two.hint(), then exercise.two.solution()", "", "the check cell reads"),
        ("lesson_06 as exercise", "lesson_06", "not imported as exercise"),
        (' tags=["nbval-check-output"]\nexercise.two', "\nexercise.two", "not tagged"),
        ("exercise.two.check(second)", "two(second)", "have a check cell"),
    ],
)
def test_a_lesson_that_does_not_fit_its_exercises_is_told(old, new, complaint):
    assert old in GOOD
    found = shape.exercises(GOOD.replace(old, new), lesson({"one": "6.1", "two": "6.2"}))
    assert any(complaint in one for one in found), found


def test_exercises_that_no_heading_names_are_told():
    assert shape.exercises(GOOD, lesson({"one": "6.1", "two": "6.2", "three": "6.3"}))
    assert shape.exercises(GOOD, lesson({"one": "6.2", "two": "6.1"}))


ASKED = '```python\npredict("06 one")\n```\n\n```python\npredict("06 two")\n```\n\n'


def test_predictions_that_are_missing_unknown_or_out_of_order_are_told():
    known = ["05 one", "06 one", "06 two"]
    assert shape.predictions(ASKED, 6, known) == []
    assert "1 predictions" in shape.predictions(ASKED[:40], 6, known[:2])[0]
    assert "those of its file" in shape.predictions(ASKED, 6, ["06 two", "06 one"])[0]
    assert "those of its file" in shape.predictions(ASKED, 6, [*known, "06 three"])[0]
    assert "reads 'predict(\"06 two\")'" in shape.predictions(ASKED, 6, known[:2])[0]
    assert "reads 'x = 1" in shape.predictions(ASKED.replace("pre", "x = 1\npre"), 6, known)[0]
    assert "reads 'Prediction" in shape.predictions(ASKED + '```python\nPrediction("?", {})\n```\n', 6, known)[0]


def test_a_lesson_without_an_explorer_is_told():
    assert {"PlanarExplorer", "MapExplorer2D", "NADEStepper", "TrainingReplay"} <= shape.EXPLORERS
    assert not {"Explorer", "Prediction", "SelfTest", "LiveFigure"} & shape.EXPLORERS
    assert shape.explorers("```python\nPlanarExplorer()\n```\n") == []
    assert shape.explorers("```python\nfrom nfteach.widgets import PlanarExplorer\n```\nPlanarExplorer()\n")


SHAPE = "# 06 · Six\n\n**You will be able to** **You need** **Time:** 1 minute.\n" + "".join(
    f"\n## {title}\n\nwords\n" for title in ("One", "What to remember", "What the paper says that we left out", "Next")
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# 06 · Six", "# Six"),
        ("**Time:**", "Time"),
        ("## Next", "## And then"),
        ("## What to remember", "### What to remember"),
        ("## What to remember\n\nwords\n", ""),
        ("\nwords\n\n## Next", "\n## Next\n\n## More"),
    ],
)
def test_a_section_that_is_missing_or_misplaced_is_told(old, new):
    assert shape.sections(SHAPE) == []
    assert re.search(re.escape(old), SHAPE)
    assert shape.sections(SHAPE.replace(old, new))


OPENS = """\
# 06 · Six

A question.

```python
from nfteach import widgets

widgets.PlanarExplorer()
```

More words here.

<details><summary>Objectives, prerequisites and notation</summary>

**You will be able to** read.

**You need** eyes.

**Time:** 1 minute.

</details>

```python tags=["figure"] alt="A curve."
plt.show()
```
"""
LONG = "word " * 210


def test_a_lesson_that_is_too_long_or_too_short_is_found():
    assert shape.words(OPENS + LONG, 100, 300) == []
    assert "words" in shape.words(OPENS, 100, 300)[0]
    assert "words" in shape.words(OPENS + LONG, 100, 200)[0]
    assert shape.words(OPENS + "\n\n| " + LONG + "|\n\n$$" + LONG + "$$\n\n`" + LONG.strip() + "`\n", 0, 40) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("A question.", LONG, "comes after 211 words"),
        ("<details><summary>Objectives, prerequisites and notation</summary>", "", "is not below"),
        ("from nfteach import widgets", "from nfteach import (\n    flows,\n    plots,\n    widgets,\n)", "5 lines"),
        ("widgets.PlanarExplorer()", "\n".join(f"x{k} = {k}" for k in range(20)), "comes after"),
    ],
)
def test_an_opening_without_its_picture_is_found(old, new, complaint):
    assert shape.opening(OPENS) == []
    assert complaint in " ".join(shape.opening(OPENS.replace(old, new)))


def test_too_many_words_between_two_pictures_are_found():
    folded = f"<details><summary>Answer</summary>\n\n{LONG}\n\n</details>\n"
    assert shape.pace(OPENS.replace("More words here.", folded)) == []
    (found,) = shape.pace(OPENS.replace("More words here.", LONG))
    assert "210 words without a picture, from 'word word" in found
    assert shape.pace(f"{OPENS}\n## What to remember\n\n{LONG}") == []
    assert len(shape.pace(f"{OPENS}\n## One more\n\n{LONG}\n\n## What to remember\n\n{LONG}")) == 1


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("x = " + "1 + " * 22 + "1", "a line has 93 characters"),
        ("ax = plt.gca()\n" * 6 + "plt.show()", "7 lines that draw"),
        ('print(f"{name}: {bool(x)}")', "a truth value is printed"),
        ("print(torch.allclose(x, y))", "a truth value is printed"),
    ],
)
def test_code_that_is_too_wide_or_draws_in_the_open_or_prints_truth_is_found(cell, complaint):
    (found,) = shape.code(f"```python\n{cell}\n```\n")
    assert complaint in found
    if "lines" in complaint or "characters" in complaint:
        assert shape.code(f'```python tags=["figure"]\n{cell}\n```\n') == []


def test_a_stored_truth_value_is_found():
    cell = nbformat.v4.new_code_cell("f()")
    cell.outputs = [nbformat.v4.new_output("stream", text="the two agree: True\nwith a mask (True, False)\n")]
    assert shape.truths(nbformat.v4.new_notebook(cells=[cell])) == ["the two agree: True"]
