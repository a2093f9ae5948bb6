"""The page on explorers: its examples run and print what it shows; its table is that of the code."""

from __future__ import annotations

import re

import matplotlib.collections
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from nfteach.widgets import HeatMap
from nfteach.widgets.live.areas import follow
from tests.explorers.cells import GALLERY
from tests.unit.pages import ROOT, agree, blocks, cells, in_backticks, links, output, sections

PATH = ROOT / "docs" / "widgets.md"
PAGE = PATH.read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
SECTIONS = sections(PAGE)


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


def artists() -> list:
    """One artist for each row of the table, in its order."""
    ax = Figure().add_subplot()
    return [
        ax.imshow(np.zeros((2, 2))),
        ax.scatter([], []),
        ax.plot([], [])[0],
        ax.add_collection(matplotlib.collections.LineCollection([])),
        ax.quiver([0], [0], [1], [1], angles="xy", scale_units="xy", scale=1),
        ax.bar([0, 1], [1, 2]),
        ax.add_patch(Rectangle((0, 0), 1, 1)),
        ax.add_patch(Polygon(np.zeros((3, 2)))),
        ax.text(0, 0, ""),
        HeatMap(ax, np.eye(2)),
    ]


def test_the_table_has_every_part_of_every_artist():
    rows = cells(SECTIONS["What can move"])
    for (_, bare, others), artist in zip(rows, artists(), strict=True):
        moving = follow("one", artist)
        assert in_backticks(bare)[0] == moving.main
        listed = {moving.main, *in_backticks(others)}
        assert listed == set(moving.parts) | {moving.main}


def test_every_link_leads_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in SECTIONS}
    for target in links(PAGE):
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
