"""The browser tests notice what they are there to notice: a dead control, an error in words, a failed cell."""

import nbformat
import pytest

from tests.browser.explorers import ROOTS, move, settled, sweep, visible_error
from tests.notebooks.compare import changed_results

EXPLORERS = """
import torch

from nfteach.widgets import Explorer
from nfteach.widgets.controls import slider
from nfteach.widgets.parts import Dots, Plane


def shown(height, number):
    points = torch.stack([torch.zeros(()), torch.as_tensor(height)])[None]
    return {"plane": Plane({"point": Dots(points, size=5.0)}), "readout": {"height": number}}


class Answering(Explorer):
    def build_controls(self):
        return {"height": slider("height", -2, 2, value=0.0)}

    def picture(self, s):
        return shown(s.height, s.height)


class Dead(Answering):
    def picture(self, s):
        return shown(0.0, 0.0)


class Silent(Answering):
    def picture(self, s):
        return shown(s.height, 0.0)


class Failing(Answering):
    def picture(self, s):
        if s.height != 0:
            raise ValueError("a height above zero, and I fall")
        return super().picture(s)
"""


@pytest.mark.timeout(240)
def test_moving_an_explorer_tells_a_live_one_from_a_dead_one(opened, page, artefacts):
    assert opened(EXPLORERS, "Answering()", "Dead()", "Silent()", "Failing()")
    answering, dead, silent, failing = page.locator(ROOTS).all()
    move(answering, artefacts / "answering")
    with pytest.raises(AssertionError, match="'height': it was moved, and neither picture nor readout changed"):
        move(dead, artefacts / "dead", wait=2_000)
    with pytest.raises(AssertionError, match="no control changed the readout"):
        move(silent, artefacts / "silent")
    assert visible_error(failing) == ""
    with pytest.raises(AssertionError, match="a height above zero, and I fall"):
        move(failing, artefacts / "failing")
    failing.locator(".nfteach-reset").click()
    settled(failing)
    sweep(answering)
    with pytest.raises(AssertionError, match="'height': moved, and neither picture nor readout changed"):
        sweep(dead, wait=2_000)
    with pytest.raises(AssertionError, match="a height above zero, and I fall"):
        sweep(failing)


@pytest.mark.timeout(120)
def test_a_failed_cell_and_a_console_error_are_noticed(opened, page):
    assert not opened("1 / 0")
    page.evaluate("() => console.error('something broke')")
    page.wait_for_timeout(100)
    assert "something broke" in page.complaints


def test_a_changed_result_is_noticed_and_what_may_differ_is_not(request, tmp_path):
    def notebook(printed: str, tags: list[str]) -> nbformat.NotebookNode:
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
        cells = [nbformat.v4.new_code_cell("", outputs=outputs, execution_count=1, metadata={"tags": tags})]
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("words"), *cells])

    checked = ["nbval-check-output"]
    stored = tmp_path / "stored.ipynb"
    nbformat.write(notebook("log det 0.69 in 3.1 s\n", tags=checked), stored)
    assert changed_results(request.session, stored, notebook("log det 0.69 in 4 s\n", tags=checked)) == []
    (difference,) = changed_results(request.session, stored, notebook("log det 0.70 in 3.1 s\n", tags=checked))
    assert difference.startswith("stored.ipynb, code cell 1:")
    assert "0.70" in difference
    (missing,) = changed_results(request.session, stored, notebook("", tags=checked))
    assert "Missing output" in missing
    nbformat.write(notebook("0.69\n", tags=[]), stored)
    assert changed_results(request.session, stored, notebook("0.70\n", tags=[])) == [], "this cell is not checked"
