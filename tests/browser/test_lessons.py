"""Each lesson in a real JupyterLab: opened, run whole, every explorer moved, nothing wrong on the console."""

from pathlib import Path

import pytest
from lessons.source import NOTEBOOKS, discover
from playwright.sync_api import Page

from tests.browser.explorers import ROOTS, move, visible_error

LESSONS = [source.stem for source in discover(NOTEBOOKS)]  # fails when there is no lesson at all
# Parts of console errors that are JupyterLab's own and say nothing about a lesson.
HARMLESS: tuple[str, ...] = ()


@pytest.fixture(params=LESSONS)
def lesson(request) -> str:
    return request.param


@pytest.mark.timeout(420)
def test_a_lesson_runs_and_its_explorers_move(lesson, lab, page, artefacts):
    lab.open(page, f"{lesson}.ipynb")
    assert_no_broken_widget(page)  # as stored, before anything ran
    assert lab.run_all(page), failed_output(page)
    assert page.locator(".jp-NotebookPanel:visible [data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert_no_broken_widget(page)
    whole_page(page, artefacts / "page.png")
    for number, root in enumerate(page.locator(ROOTS).all(), start=1):
        move(root, artefacts / f"explorer-{number}")
    lab.close(page)
    assert [said for said in page.complaints if not any(part in said for part in HARMLESS)] == []


def failed_output(page: Page) -> str:
    """The text of the first failed cell."""
    errors = page.locator(".jp-NotebookPanel:visible [data-mime-type='application/vnd.jupyter.error']")
    return errors.first.inner_text() if errors.count() else "a cell failed without output"


def assert_no_broken_widget(page: Page) -> None:
    """No widget's place is taken by an excuse, no explorer shows an error."""
    panel = page.locator(".jp-NotebookPanel:visible")
    page.wait_for_timeout(500)  # views are made after the kernel's last reply
    text = "\n".join(panel.locator(".jp-OutputArea-output").all_inner_texts())
    for excuse in ("model not found", "Error displaying widget", "Error creating widget", "Loading widget"):
        assert excuse not in text
    assert visible_error(panel) == ""


def whole_page(page: Page, path: Path) -> None:
    """A screenshot of the whole lesson: the window is made as high as the notebook for it, and set back."""
    size = page.viewport_size
    notebook = page.locator(".jp-NotebookPanel:visible .jp-WindowedPanel-outer")
    height = notebook.evaluate("(one) => one.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(int(height) + 200, 16_000)})
    page.wait_for_timeout(500)
    page.screenshot(path=path)
    page.set_viewport_size(size)
