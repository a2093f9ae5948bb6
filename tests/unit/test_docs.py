"""The page of the inspector: its examples run and print what it shows; its tables are those of the code."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from nfteach.jacobian import ERRORS, NAMES, NOTES, JacobianReport, Structure, inspect_jacobian
from nfteach.jacobian.exhibits import EXHIBITS
from tests.unit.pages import ROOT, Block, agree, blocks, cells, in_backticks, links, output, renew, sections

PATH = ROOT / "docs" / "inspector.md"
PAGE = PATH.read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
SECTIONS = sections(PAGE)
# What needs other libraries is run in their environment, by tests/peers/test_docs.py.
OF_PEERS = {"Layers of other libraries", "Pyro's Sylvester layer, worked out"}


def below(heading: str) -> list[Block]:
    return [block for block in BLOCKS if block.heading == heading]


def table(heading: str) -> list[list[str]]:
    return cells(SECTIONS[heading])


# The examples.


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.heading not in OF_PEERS], ids=lambda block: f"line {block.line}"
)
def test_each_block_runs_and_prints_what_is_shown(block):
    printed = output(PAGE, block)
    assert agree(printed, block.shown or ""), f"run: python -m tests.unit.pages docs/inspector.md\n{printed}"


def test_the_page_has_its_examples():
    assert len(BLOCKS) >= 30
    assert PAGE.count("```python") == len(BLOCKS)
    assert PAGE.count("```text") == sum(block.shown is not None for block in BLOCKS)
    assert sum(block.opens for block in BLOCKS) == 1


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_the_lines_are_short_enough_to_read(block):
    assert max(len(line) for line in [*block.code.splitlines(), *(block.shown or "").splitlines()]) <= 120


# Every code.


@pytest.mark.parametrize("code", sorted(ERRORS | NOTES))
def test_every_code_has_a_section_whose_example_gives_it(code):
    text = SECTIONS[code]
    assert text.strip().startswith("**Error.**" if code in ERRORS else "**Note.**")
    (block,) = below(code)
    assert 1 <= len(block.code.splitlines()) <= 16
    scope: dict = {}
    opening = next(each for each in BLOCKS if each.opens)
    seen = []

    def watched(*args, **kwargs):
        seen.append(inspect_jacobian(*args, **kwargs))
        return seen[-1]

    exec(opening.code, scope)
    exec(block.code, scope | {"inspect_jacobian": watched})
    assert seen[0].findings[0].code == code
    assert seen[0].ok == (code in NOTES)
    assert text.strip().splitlines()[-1].rstrip().endswith(".")  # what to do about it


def test_no_section_is_about_a_code_that_is_gone():
    titles = re.findall(r"^### (.+)$", PAGE[PAGE.index("## Every finding") : PAGE.index("## Three witnesses")], re.M)
    assert titles == [*sorted(ERRORS), *sorted(NOTES)]


# The tables.


def test_every_attribute_of_a_report_is_in_the_table():
    listed = [name.partition("(")[0] for row in table("What it gives") for name in in_backticks(row[0])]
    fields = {field.name for field in dataclasses.fields(JacobianReport)}
    others = {name for name in dir(JacobianReport) if not name.startswith("_")}
    assert len(listed) == len(set(listed))
    assert set(listed) == fields | others


def test_what_is_said_of_the_parts_of_a_report_and_of_a_structure_is_there():
    report = inspect_jacobian(torch.sinh, torch.tensor([[0.5, 1.0]]), inverse=torch.asinh)
    parts = {"findings": dataclasses.fields, "claim": None, "log_det_by": None, "inverse": None}
    for row in table("What it gives"):
        names = in_backticks(row[0])
        if names[0] in parts:
            holder = EXHIBITS["planar-fold"].inspect().findings[0] if names[0] == "findings" else None
            holder = holder or getattr(report, names[0])
            for name in re.findall(r"`\.(\w+)`", row[1]):
                assert hasattr(holder, name), (names[0], name)
    for name in re.findall(r"`structure\.(\w+)`", PAGE):
        assert hasattr(report.structure, name), name
    fields = {field.name for field in dataclasses.fields(Structure)} - {"dim", "points", "name"}
    assert fields <= set(re.findall(r"`structure\.(\w+)`", SECTIONS["The structures"]))


def test_every_structure_is_in_the_table():
    assert [in_backticks(row[0]) for row in table("The structures")] == [[name] for name in NAMES]


@pytest.mark.parametrize("row", table("The structures"), ids=lambda row: row[0].strip("`"))
def test_the_map_of_each_structure_has_it(row):
    name, _, cost, _, example = row
    scope: dict = {}
    exec(next(each for each in BLOCKS if each.opens).code, scope)
    structure = inspect_jacobian(eval(in_backticks(example)[0], scope), scope["x"]).structure
    assert structure.name == name.strip("`")
    assert structure.cost.partition(",")[0] == cost


def exhibits_table() -> str:
    """The table of the house of horrors, as the page must have it."""
    lines = ["| exhibit | what is wrong | where it was reported | found as |", "|---|---|---|---|"]
    for name, exhibit in EXHIBITS.items():
        lines.append(f"| `{name}` | {exhibit.title} | {exhibit.reported or 'our own'} | `{exhibit.code}` |")
    return "\n".join(lines)


def test_the_table_of_exhibits_is_in_step():
    assert exhibits_table() in SECTIONS["The house of horrors"], f"the table should be:\n{exhibits_table()}"
    assert f"holds {len(EXHIBITS)} broken layers" in SECTIONS["The house of horrors"]


# Links and picture.


def test_every_link_leads_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in SECTIONS}
    assert links(PAGE)
    for target in links(PAGE):
        file, _, anchor = target.partition("#")
        assert not file or (PATH.parent / file).exists(), target
        assert not anchor or file or anchor in anchors, target


def test_the_picture_is_small():
    assert (PATH.parent / "images" / "inspector.png").stat().st_size < 120_000


# The machinery itself: it must be able to fail.


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("a  1.2345\nb", "a 1.2346 b", True),
        ("a 1.2345", "a 1.2355", False),
        ("3 points", "4 points", False),
        ("1.2e-05", "1.3e-05", True),
        ("1.2e-05", "1.2e-06", False),
        ("x₁ = 0.5", "x₂ = 0.5", False),
        ("sound", "not sound", False),
        ("-1.5", "1.5", False),
        ("float64", "float32", False),
    ],
)
def test_what_counts_as_the_same_output(printed, shown, same):
    assert agree(printed, shown) is same


def test_a_page_is_run_as_it_reads():
    page = (
        "# One\n```python\na = 1\n```\n"
        "<!-- opening -->\n```python\nb = 2\n```\n"
        "# Two\n```python\nc = b + 1\n```\n\n```python\nprint(b, c)\n```\n\n```text\n2 4\n```\n"
        "# Three\n```python\nprint(c)\n```\n```text\n```\n"
        "# Four\n```python\nraise ValueError('no')\n```\n"
    )
    *_, last_but_two, last_but_one, last = blocks(page)
    assert output(page, last_but_two) == "2 3\n"
    assert not agree(output(page, last_but_two), last_but_two.shown)
    assert output(page, last_but_one).startswith("NameError")  # what another heading defines is not there
    with pytest.raises(ValueError, match="no"):
        output(page, last)
    assert "\n2 3\n" in renew(page.partition("# Three")[0])
