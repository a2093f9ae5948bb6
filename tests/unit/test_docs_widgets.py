"""The page on explorers: its examples run and print what it shows; its table is that of the code."""

from __future__ import annotations

import dataclasses
import re

import pytest

from nfteach.widgets import parts
from tests.explorers.cells import GALLERY
from tests.unit.pages import ROOT, agree, blocks, cells, in_backticks, links, output, sections

PATH = ROOT / "docs" / "widgets.md"
PAGE = PATH.read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
SECTIONS = sections(PAGE)
SHARED = {"visible", "shade", "aside"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_each_block_runs_and_prints_what_is_shown(block):
    printed = output(PAGE, block)
    assert agree(printed, block.shown or ""), f"run: python -m tests.unit.pages docs/widgets.md\n{printed}"
    assert max(map(len, block.code.splitlines())) <= 120


def test_the_explorer_of_the_page_has_thirty_lines():
    (opening,) = [block for block in BLOCKS if block.opens]
    assert sum(bool(line.strip()) for line in opening.code.splitlines()) <= 30
    scope: dict = {}
    exec(opening.code, scope)
    explorer = scope["Twist"]()
    for name, control in explorer.controls.items():
        for value in (control.min, control.max):
            explorer.reset()
            explorer.set(**{name: value})
            assert not explorer.error
            assert explorer.readout["det J"] == pytest.approx(1, abs=1e-5)
    for preset in explorer.presets:
        explorer.preset(preset)
        assert not explorer.error


def kinds(base: type) -> list[type]:
    """All kinds of parts or marks, in the order of their file."""
    every = [one for one in vars(parts).values() if isinstance(one, type) and one.__module__ == parts.__name__]
    return [one for one in every if issubclass(one, base) and one is not base and one.__name__ in parts.__all__]


def test_the_tables_have_every_kind_of_part_and_mark_and_all_their_tensors():
    table = [row for row in cells(SECTIONS["Parts and marks"]) if in_backticks(row[0])]
    rows = {in_backticks(name)[0]: set(in_backticks(tensors)) for name, _, tensors in table}
    every = [*kinds(parts.Part), *kinds(parts.Mark)]
    assert set(rows) == {kind.__name__ for kind in every}
    for kind in every:
        # Every mark has a visibility and a shade, every part may be aside.
        own = {each.name for each in dataclasses.fields(kind) if "Tensor" in each.type and each.name not in SHARED}
        assert rows[kind.__name__] == own, kind.__name__


def test_every_link_leads_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in SECTIONS}
    for target in links(re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)):  # not the code's
        file, _, anchor = target.partition("#")
        assert not file or (PATH.parent / file).exists(), target
        assert not anchor or file or anchor in anchors, target


def test_what_is_named_is_there():
    makefile = (ROOT / "Makefile").read_text()
    assert "bench-widgets:" in makefile
    assert "$(BENCH_OPTIONS)" in makefile
    options = (ROOT / "benchmarks/widgets/__main__.py").read_text()
    for option in re.findall(r"--[a-z]+", SECTIONS["How fast it is"]):
        assert f'"{option}"' in options, option
    assert set(re.findall(r"--only (\w+)", PAGE)) <= GALLERY.keys()


def test_the_picture_is_small():
    assert (PATH.parent / "images" / "twist_explorer.png").stat().st_size < 120_000
