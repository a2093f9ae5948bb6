"""The pages around the lessons: the teacher's page, the glossary, the equation index."""

from __future__ import annotations

import importlib
import re

import pytest

from nfteach.exercises.table import exercises_of, lessons
from tests.notebooks.prose import in_source
from tests.notebooks.shape import EXPLORERS
from tests.unit.pages import ROOT, agree, blocks, cells, in_backticks, output, sections

DOCS = ROOT / "docs"
TEACHING, GLOSSARY, EQUATIONS = (
    (DOCS / f"{name}.md").read_text("utf-8") for name in ("teaching", "glossary", "equations")
)
SOURCES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "notebooks/source").glob("*.md"))}
LESSON = re.compile(r"\[(?P<number>\d\d)[^\]]*\]\(\.\./notebooks/(?P<name>(?P=number)_\w+)\.ipynb\)")


def source(cell: str) -> str:
    """Return the source and the predictions of the lesson that a cell links to, in one line, in lower case."""
    match = LESSON.fullmatch(cell)
    asked = (ROOT / f"nfteach/widgets/prediction/questions/{match['number']}.md").read_text(encoding="utf-8")
    return " ".join((SOURCES[match["name"]] + asked).lower().split())


# ---- the teacher's page ------------------------------------------------------------------------------------------

AT_A_GLANCE = cells(sections(TEACHING)["The lessons at a glance"])


@pytest.mark.parametrize("block", blocks(TEACHING), ids=lambda block: f"line {block.line}")
def test_each_block_runs_and_prints_what_is_shown(block, monkeypatch, tmp_path):
    monkeypatch.setenv("NFTEACH_PROGRESS", str(tmp_path))
    monkeypatch.chdir(ROOT)
    printed = output(TEACHING, block)
    assert agree(printed, block.shown or ""), f"run: python -m tests.unit.pages docs/teaching.md\n{printed}"


def test_every_lesson_is_on_the_teachers_page_with_its_minutes():
    assert [LESSON.fullmatch(row[0])["name"] for row in AT_A_GLANCE] == list(SOURCES)
    for (lesson, minutes, _, _), text in zip(AT_A_GLANCE, SOURCES.values(), strict=True):
        assert re.search(r"\*\*Time:\*\* (\d+) minutes", text)[1] == minutes, lesson


@pytest.mark.parametrize("name", SOURCES)
def test_what_the_teacher_is_told_to_project_is_in_the_lesson(name):
    (title,) = [title for title in sections(TEACHING) if title.startswith(f"{name[:2]} ")]
    section = sections(TEACHING)[title]
    (row,) = [row for row in AT_A_GLANCE if name in row[0]]
    projected = set(in_backticks(row[3])) | (EXPLORERS & set(in_backticks(section)))
    assert projected
    for explorer in projected:
        assert re.search(rf"\b{explorer}\(", SOURCES[name]), f"lesson {name} does not show {explorer}"
    for words in ("**They learn to**", "**Project**", "**Where they stumble.**"):
        assert words in section


def test_exercises_that_the_teachers_page_names_are_there():
    known = {exercise.number for lesson in lessons() for exercise in exercises_of(lesson)}
    named = set(
        re.findall(r"(?<![\w.])(\d+\.\d)(?![\w.]*\d)", " ".join(re.findall(r"[Ee]xercises? [\d., toand]+", TEACHING)))
    )
    assert named - known - {"9.9"} == set()
    assert {number[0] for number in named} >= set("012345678") - {"5"}
    assert "9.9" not in known, "the example of the teacher's page is called 9.9"


def test_every_test_of_nbgraders_assignments_passes_with_the_solution(monkeypatch):
    """What nbgrader does, without it: the marked answers of a lesson, then the marked tests."""
    monkeypatch.setattr("nfteach.exercises.exercise.secrets.randbits", lambda bits: 7)  # no chance in a test
    (block,) = [block for block in blocks(TEACHING) if "nbgrader" in block.code]
    scope: dict = {}
    exec(block.code.partition("\nlesson = ")[0], scope)
    for lesson in lessons():
        (name,) = [name for name in SOURCES if name[:2] == lesson.__name__[-2:]]
        made = scope["assignment"](str(ROOT / "notebooks/source" / f"{name}.md"))
        marks = [cell.metadata["nbgrader"] for cell in made.cells if "nbgrader" in cell.metadata]
        assert len({mark["grade_id"] for mark in marks}) == len(marks)
        tests = [cell.source for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade")]
        asked = [re.match(r"assert exercise\.(\w+)\.judged", test)[1] for test in tests]
        assert [getattr(lesson, one) for one in asked] == exercises_of(lesson)
        for test in tests:
            answer = re.search(r"judged\((\w+)\)", test)[1]
            one = getattr(lesson, re.match(r"assert exercise\.(\w+)", test)[1])
            exec(test, {"exercise": lesson, answer: one.answer})
            with pytest.raises(AssertionError):
                exec(test, {"exercise": lesson, answer: None})


# ---- the glossary ------------------------------------------------------------------------------------------------

TERMS = cells(GLOSSARY)


def test_the_terms_are_in_order_and_each_has_a_chinese_one():
    terms = [term for term, *_ in TERMS]
    assert terms == sorted(terms, key=str.lower)
    assert len(set(terms)) == len(terms) >= 60
    for term, chinese, meaning, _ in TERMS:
        assert re.search(r"[\u4e00-\u9fff]", chinese), term
        assert meaning.endswith("."), term


@pytest.mark.parametrize(("term", "lesson"), [(row[0], row[3]) for row in TERMS])
def test_a_term_is_used_in_the_lesson_that_it_names(term, lesson):
    assert term.lower() in source(lesson)


# ---- the equation index ------------------------------------------------------------------------------------------

ROWS = [(heading, *row) for heading, text in sections(EQUATIONS).items() for row in cells(text)]
_NUMBERS = r"[\dA-Z][\d.]*(?:(?:, | and | to )[\dA-Z][\d.]*)*"
_CITED = re.compile(
    rf"(?P<note>\bnote(?:'s)?,? )?\b(?P<kind>eqs?)\. (?P<numbers>{_NUMBERS})(?P<after> of \*?the note)?"
)
_AUTHORS = re.compile(
    r"(?P<first>[A-Z][a-zé]+)(?:(?:, | & | and |, & )[A-Z][\w' -]*?)*(?: et al\.)? \(?(?P<year>(?:19|20)\d\d)"
)


def numbers(words: str) -> list[str]:
    """The numbers in "4 and 5", "4, 5", "4 to 8"."""
    found = re.findall(r"[\dA-Z][\d.]*\d|\d", words)
    if " to " in words:
        first, last = found
        return [str(number) for number in range(int(first), int(last) + 1)]
    return found


def citations(text: str) -> set[tuple[str, str]]:
    """(who, number) of each equation that prose cites: ("note", "3"), ("Dinh 2017", "9").

    Whose it is stands before it in the same parenthesis or cell of a table; an equation without a name is left out.
    """
    found = set()
    for match in _CITED.finditer(text):
        *earlier, before = re.split(r"[(|\n]", text[: match.start()])
        if not before.strip() and earlier and re.search(r"(?:19|20)\d\d $", earlier[-1]):
            before = earlier[-1]  # "Rezende & Mohamed 2015 (eq. 14)"
        authors = list(_AUTHORS.finditer(before))
        if match["note"] or match["after"]:
            who = "note"
        elif authors and not re.search(r"\bnote\b", before[authors[-1].end() :]):
            who = f"{authors[-1]['first']} {authors[-1]['year']}"
        else:
            continue
        found |= {(who, number) for number in numbers(match["numbers"].rstrip("."))}
    return found


def key(heading: str) -> str:
    match = _AUTHORS.match(heading)
    return f"{match['first']} {match['year']}" if match else "note"


LISTED = {
    (key(heading), number)
    for heading, equation, *_ in ROWS
    if equation.startswith("eq")
    for number in numbers(equation.partition(". ")[2])
}


def resolve(name: str) -> object:
    """What a dotted name stands for.

    Raises:
        AttributeError: nothing of that name.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AttributeError(f"{name}: no such module")


def test_nothing_that_is_not_there_resolves():
    assert resolve("nfteach.Planar.call_and_ladj")
    for name in ("nfteach.Planar.call_and_lady", "nfteach.plane.Planar", "elsewhere.Planar"):
        with pytest.raises(AttributeError):
            resolve(name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}, {row[1]}")
def test_each_equation_has_its_lesson_its_code_and_its_test(row):
    _, _, says, lesson, code, test = row
    assert says
    assert source(lesson)
    for name in in_backticks(code):
        assert resolve(name) is not None, name
    for name in in_backticks(test):
        path, _, function = name.partition("::")
        assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE), name
    assert in_backticks(code)
    assert in_backticks(test)


@pytest.mark.parametrize("name", SOURCES)
def test_every_equation_that_a_lesson_cites_is_in_the_index(name):
    assert citations(in_source(SOURCES[name])) - LISTED == set()


@pytest.mark.parametrize("number", range(1, 8))
def test_every_equation_of_the_note_is_named_in_the_lesson_that_the_index_gives(number):
    (lesson,) = [row[3] for row in ROWS if row[0] == "The note" and row[1] == f"eq. {number}"]
    assert ("note", str(number)) in citations(in_source(SOURCES[LESSON.fullmatch(lesson)["name"]]))


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("(Dinh et al. 2017, eqs. 4 and 5; note eq. 3)", {("Dinh 2017", "4"), ("Dinh 2017", "5"), ("note", "3")}),
        ("(Rezende & Mohamed 2015, eq. 10; eq. 2 of *the note*, a text)", {("Rezende 2015", "10"), ("note", "2")}),
        ("(Uria, Murray & Larochelle 2013, eq. 7)", {("Uria 2013", "7")}),
        ("(Dinh et al. 2017, eqs. 14 to 16)", {("Dinh 2017", "14"), ("Dinh 2017", "15"), ("Dinh 2017", "16")}),
        ("(note eqs. 3 to 5)", {("note", "3"), ("note", "4"), ("note", "5")}),
        (
            "(Papamakarios et al. 2021, eq. 2; Rezende & Mohamed 2015, eq. 5.)",
            {("Papamakarios 2021", "2"), ("Rezende 2015", "5")},
        ),
        ("(note eq. 1, which writes)", {("note", "1")}),
        ("As Rezende & Mohamed 2015 (eq. 14) say.", {("Rezende 2015", "14")}),
        ("Radial flows (eq. 14), and Dinh et al. 2017 (section 3).", set()),
    ],
)
def test_citations_are_read(text, cited):
    assert citations(text) == cited
