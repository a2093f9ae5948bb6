"""The gallery of the browser tests and of the latency benchmark shows every explorer."""

from __future__ import annotations

import pytest
import torch

import nfteach.widgets
from tests.explorers.cells import GALLERY, STEPPED, gallery_notebook
from tests.explorers.entry import from_cell, given, picture_of, prepared
from tests.explorers.registry import EXPLORERS

# A base class, and what has no controls: `tests/browser/test_lessons.py` looks at the self-test.
NOT_SHOWN = {"Explorer", "SelfTest", "predict"}
PLAIN = "from nfteach.widgets import {0}\n\n{0}()"
# The cells that neither are plain nor make an explorer of the registry, which is made twice there.
OTHERS = [
    name for name in GALLERY if GALLERY[name] != PLAIN.format(name) and not (name in EXPLORERS and EXPLORERS[name].cell)
]


def test_every_explorer_has_a_cell_and_an_entry_in_the_registry():
    assert set(GALLERY) == set(nfteach.widgets.__all__) - NOT_SHOWN
    assert set(GALLERY) - set(EXPLORERS) == {"LiveFigure", "Prediction"}
    assert set(GALLERY) >= STEPPED
    for name in EXPLORERS:
        assert name.split(",")[0].split(" of ")[0] in GALLERY, "a variant is called after its explorer"


def test_the_plain_cells_show_what_the_registry_checks():
    plain = {name for name in GALLERY if GALLERY[name] == PLAIN.format(name)}
    assert len(plain) == 11
    for name in plain - {"RoutesExplorer"}:  # which is checked at a lower resolution
        assert EXPLORERS[name].make is getattr(nfteach.widgets, name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_cell_stands_alone_and_draws_the_same_each_time(name):
    shown = []
    for seed, prepare in enumerate((given, prepared)):
        torch.manual_seed(seed)
        shown.append(from_cell(name, prepare(name)))
    assert [type(one).__name__ for one in shown] == [name, name]
    if name != "Prediction":
        live, other = (getattr(one, "live", one) for one in shown)
        assert live.error == ""
        assert picture_of(live) == picture_of(other)


def test_the_notebook_has_the_requested_cells_in_their_order():
    names = ["Prediction", "StretchExplorer"]
    assert [cell.source for cell in gallery_notebook(names).cells] == [GALLERY[name].strip() for name in names]
    assert len(gallery_notebook().cells) == len(GALLERY)
