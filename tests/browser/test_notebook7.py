"""The same explorers in Notebook 7, which takes keys before a widget sees them: by keyboard, by mouse, a prediction."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import fresh_page
from tests.browser.explorers import SLIDER, in_cell, shown, sweep
from tests.browser.kernel import ask
from tests.browser.pointer import point_and_click
from tests.explorers.cells import write_gallery

# Sliders, handles, lists, buttons, switches; frames; a live figure that stands alone; and a question.
NAMES = ["MapExplorer1D", "CouplingExplorer", "LayerStepper", "LiveFigure", "Prediction"]
# What Notebook 7.6 stumbles over by itself: its settings and a command while it starts, fonts that its server refuses.
OWN = re.compile(r"reading 'schema'|'filebrowser:open-path' not registered|status of 403 .*/static/notebook/\w+\.woff")
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map((one) =>
    one.model.sharedModel.cell_type + one.model.sharedModel.source + one.model.executionCount)"""


@pytest.fixture(scope="module")
def notebook(lab, browser) -> Page:
    """A part of the gallery in Notebook 7, run whole."""
    write_gallery(lab.root / "gallery7.ipynb", NAMES)
    with fresh_page(browser, reduced_motion="reduce") as page:
        lab.open_in_notebook(page, "gallery7.ipynb")
        assert lab.run_all(page)
        yield page
        lab.close(page)


def complaints(page: Page) -> list[str]:
    """What the page reports as wrong, but for what is Notebook's own."""
    return [said for said in page.complaints if not OWN.search(said)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES[:-1])
def test_an_explorer_is_moved_by_keyboard_and_by_mouse(notebook, artefacts, name):
    root = in_cell(notebook, NAMES.index(name))
    before = notebook.evaluate(CELLS)
    sweep(root)
    point_and_click(root, artefacts / name)
    assert notebook.evaluate(CELLS) == before, "the notebook took no key for its own"
    assert complaints(notebook) == []


@pytest.mark.timeout(60)
def test_letters_and_arrows_stay_in_the_explorer_and_shift_enter_runs_its_cell(notebook):
    root = in_cell(notebook, 0)
    before = notebook.evaluate(CELLS)
    press = notebook.keyboard.press
    root.locator(SLIDER).first.focus()
    for key in ("a", "b", "d", "d", "m", "x", "ArrowUp", "ArrowDown", "Enter"):
        press(key)
    expect(root.locator(SLIDER).first).to_be_focused()
    assert notebook.evaluate(CELLS) == before
    ask(notebook, "Out[1].set(stretch=0.7)")
    said = shown(root)["readout"]
    press("Shift+Enter")
    again = f"([before]) => {{ const now = ({CELLS})()[0]; return now !== before && !now.endsWith('null'); }}"
    notebook.wait_for_function(again, arg=[before[0]])  # while it runs, a cell has no number
    expect(in_cell(notebook, 0).locator(".nfteach-readout").first).not_to_have_text(said)  # another view
    assert [cell[:20] for cell in notebook.evaluate(CELLS)] == [cell[:20] for cell in before], "the same cells"
    assert complaints(notebook) == []


@pytest.mark.timeout(60)
def test_a_prediction_is_answered_by_keyboard_and_by_mouse(notebook, artefacts):
    root = notebook.locator(".jp-NotebookPanel:visible .nfteach-prediction")
    press = notebook.keyboard.press
    before = notebook.evaluate(CELLS)
    root.get_by_role("radio").first.focus()
    for key in ("Space", "ArrowDown", "d", "d", "Enter"):
        press(key)
    told = root.get_by_role("status")
    expect(told).to_contain_text("✗ Not quite. You chose b).")
    root.get_by_text("by the same vector").click()
    root.get_by_role("button", name="Commit").click()
    expect(told).to_contain_text("✓ Right at the second try. You chose a).")
    root.screenshot(path=artefacts / "answered.png")
    assert notebook.evaluate(CELLS) == before
    assert complaints(notebook) == []
