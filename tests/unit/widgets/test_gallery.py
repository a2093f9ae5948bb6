"""The gallery of the browser tests and of the latency benchmark shows every explorer."""

from __future__ import annotations

import ast

import pytest
import torch

import nfteach.widgets
from tests.browser.gallery import GALLERY, gallery_notebook

# A base class, an artist, and what has no controls: `tests/browser/test_lessons.py` looks at the self-test.
NOT_SHOWN = {"Explorer", "HeatMap", "SelfTest"}


def test_every_explorer_has_a_cell():
    assert set(GALLERY) == set(nfteach.widgets.__all__) - NOT_SHOWN


@pytest.mark.parametrize("name", GALLERY)
def test_a_cell_stands_alone_draws_the_same_each_time_and_ends_in_its_explorer(name):
    *lines, last = ast.parse(GALLERY[name]).body
    assert isinstance(last, ast.Expr)
    shown = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        space = {}
        exec(compile(ast.Module(lines, []), name, "exec"), space)
        shown.append(eval(compile(ast.Expression(last.value), name, "eval"), space))
    assert [type(one).__name__ for one in shown] == [name, name]
    live = [getattr(one, "live", one) for one in shown]
    if hasattr(live[0], "static_png"):
        assert live[0].error == ""
        assert live[0].static_png() == live[1].static_png()


def test_the_notebook_has_the_cells_that_are_asked_for_in_their_order():
    names = ["Prediction", "StretchExplorer"]
    assert [cell.source for cell in gallery_notebook(names).cells] == [GALLERY[name].strip() for name in names]
    assert len(gallery_notebook().cells) == len(GALLERY)
