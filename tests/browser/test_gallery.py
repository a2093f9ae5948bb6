"""Every explorer in a real JupyterLab: by keyboard, by mouse, in a fast drag, in the dark. One page for all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page

from tests.browser.conftest import THEME
from tests.browser.explorers import FRAMES, SLIDER, in_cell, label, move, settled, shown, visible_error
from tests.browser.kernel import ask, run_cell
from tests.browser.pointer import drag_fast, point_and_click
from tests.explorers.cells import GALLERY, STEPPED, write_gallery

NAMES = [name for name in GALLERY if name != "Prediction"]  # it has tests of its own


@pytest.fixture(scope="module")
def gallery(lab, desk) -> Iterator[Page]:
    """Open the gallery; `explorer` runs a cell when a test first looks at it."""
    write_gallery(lab.root / "gallery.ipynb")
    lab.open(desk, "gallery.ipynb")
    desk.complaints.clear()
    yield desk
    lab.close(desk)


def explorer(page: Page, name: str) -> Locator:
    """Return what the cell of this name shows."""
    index = list(GALLERY).index(name)
    assert execution_count(page, index) or run_cell(page, index)
    return in_cell(page, index)


def execution_count(page: Page, index: int) -> int | None:
    """Return the number in brackets beside a cell; None if the cell has not run."""
    script = "(index) => window.jupyterapp.shell.currentWidget.content.widgets[index].model.executionCount"
    return page.evaluate(script, index)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
def test_an_explorer_is_moved_by_keyboard_and_by_mouse(gallery, artefacts, name):
    root = explorer(gallery, name)
    move(root, artefacts / name)
    point_and_click(root, artefacts / name)
    assert gallery.complaints == []


def test_steppers_and_replays_have_their_frames_in_the_browser(gallery):
    assert {name for name in NAMES if explorer(gallery, name).locator(FRAMES).first.is_visible()} == STEPPED


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in STEPPED])
def test_in_a_fast_drag_the_newest_value_wins_and_nothing_queues(gallery, name):
    root = explorer(gallery, name)
    out = f"Out[{execution_count(gallery, list(GALLERY).index(name))}]"
    handle = root.locator(SLIDER).first
    seen = drag_fast(root, handle)
    assert 1 < seen["paintings"] <= 42, "no more paintings than moves"
    assert seen["late"] <= 4, "what the hand has passed is not painted after it"
    at_rest = shown(root)
    assert not at_rest["error"]
    # What the slider says is where the kernel is, and one quiet move there shows the same.
    words, said = label(handle), root.locator(".widget-slider .widget-readout").first.inner_text()
    value = float(ask(gallery, f"[c.value for c in {out}.controls.values() if c.description == {words!r}]").strip("[]"))
    assert value == pytest.approx(float(said.replace("−", "-")), abs=0.006)
    state = ask(gallery, f"{out}.state")
    ask(gallery, f"{out}.reset()")
    assert settled(root) != at_rest
    assert ask(gallery, f"{out}.set(**{state})") == "None"
    assert settled(root) == at_rest
    ask(gallery, f"{out}.reset()")
    assert gallery.complaints == []


@pytest.mark.timeout(120)
def test_in_the_dark(gallery, artefacts):
    gallery.evaluate(THEME, "JupyterLab Dark")
    gallery.wait_for_function("document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    for name in NAMES:
        root = explorer(gallery, name)
        root.screenshot(path=artefacts / f"{name}.png")
        assert visible_error(root) == ""
        ground = root.locator("canvas").first.evaluate("(canvas) => getComputedStyle(canvas).backgroundColor")
        assert ground == "rgb(255, 255, 255)", "what matplotlib drew keeps its white ground"
    gallery.evaluate(THEME, "JupyterLab Light")
    assert gallery.complaints == []
