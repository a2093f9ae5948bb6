"""Each lesson in a real JupyterLab: opened, run whole, its checked results compared, every explorer moved."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from book.executed import keep, store
from lessons.source import NOTEBOOKS, discover, read_lesson
from playwright.sync_api import Page, expect

from tests.browser.explorers import EXCUSE, ROOTS, pinned, sweep, visible_error
from tests.browser.given_away import given_away
from tests.browser.kernel import ask
from tests.notebooks.compare import changed_results

LESSONS = [source.stem for source in discover(NOTEBOOKS)]  # fails when there is no lesson at all
# Parts of console errors that are JupyterLab's own and say nothing about a lesson.
# Seen once on a busy machine: a line of stderr that the page could not take apart. None of it is the course's doing.
HARMLESS = ('"stream.stderr" is not valid JSON',)
WAIT = 20_000  # milliseconds for what the kernel has sent to show
EXPLORER = re.compile(r"\w+(Explorer|Stepper|Replay)\w*\(")  # how an explorer's text begins


@pytest.fixture(params=LESSONS)
def lesson(request) -> str:
    return request.param


@pytest.mark.timeout(420)
def test_a_lesson_runs_and_its_explorers_move(lesson, lab, page, artefacts, request, tmp_path):
    stored = stored_outputs(lesson)
    lab.open(page, f"{lesson}.ipynb")
    shown = stored_outputs(lesson, folded=False)
    pictures = [one for one in shown if "image/png" in one and "text/html" not in one]
    expect(page.locator(".jp-NotebookPanel:visible .jp-RenderedImage img")).to_have_count(len(pictures), timeout=WAIT)
    assert_no_broken_widget(page)  # as stored, before anything ran
    assert given_away(page) == []
    with unpainted(page):
        succeeded = lab.run_all(page)
    assert succeeded, failed_output(page)
    assert changed_results(request.session, NOTEBOOKS / f"{lesson}.ipynb", lab.contents(page)) == []
    # Views are made after the kernel's last reply: nothing is looked at before all of them are there.
    explorers = page.locator(ROOTS)
    expect(explorers).to_have_count(sum(bool(EXPLORER.match(one["text/plain"])) for one in stored), timeout=WAIT)
    predictions = sum(cell.source.startswith("predict(") for cell in lab.contents(page).cells)
    expect(page.locator(".jp-NotebookPanel:visible .nfteach-prediction")).to_have_count(predictions, timeout=WAIT)
    assert given_away(page) == []
    keep_for_the_book(lesson, lab.contents(page), page, tmp_path / "state.json")
    answer_predictions(page)
    if lesson.startswith("00_"):
        selftest = page.locator(".jp-NotebookPanel:visible .nfteach-selftest")
        expect(selftest).to_contain_text("✓ Widgets work", timeout=WAIT)
    assert_no_broken_widget(page)
    whole_page(page, artefacts / "page.jpg")
    for number, root in enumerate(explorers.all(), start=1):
        root = pinned(root)
        sweep(root)
        root.screenshot(path=artefacts / f"explorer-{number}.png")
    lab.close(page)
    assert [said for said in page.complaints if not any(part in said for part in HARMLESS)] == []


def stored_outputs(lesson: str, folded: bool = True) -> list[nbformat.NotebookNode]:
    """Return the displays and results of the stored notebook, for each its data by mime type.

    Args:
        lesson: its name.
        folded: whether to return those that wait for a prediction, too.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if folded or "reveals" not in cell.metadata.get("tags", ())]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [output.data for output in outputs if output.output_type in ("display_data", "execute_result")]


def keep_for_the_book(lesson: str, ran: nbformat.NotebookNode, page: Page, state: Path) -> None:
    """Keep what has run for the book, which need not run it again; the first lesson is left to the book's own run."""
    if lesson == LESSONS[0]:
        return
    source = read_lesson(NOTEBOOKS / "source" / f"{lesson}.md")
    notebook = source.notebooks["learner"]
    for cell, shown in zip(notebook.cells, ran.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = shown.outputs
    assert ask(page, f"exec({store(notebook, state)!r})") == "None"
    keep(source, notebook, state)


def answer_predictions(page: Page) -> None:
    """Give any answer to each prediction, then give up: every output that waits for it is shown."""
    for root in page.locator(".jp-NotebookPanel:visible .nfteach-prediction").all():
        root = pinned(root)
        if (choice := root.get_by_role("radio")).count():
            choice.first.check()
        else:
            root.get_by_role("textbox").fill("0.123")
        root.get_by_role("button", name="Commit").click()
        if (give_up := root.get_by_role("button", name="Show the answer")).is_visible():
            give_up.click()
    expect(page.locator(".jp-NotebookPanel:visible .nfteach-waits")).to_have_count(0)


@contextmanager
def unpainted(page: Page) -> Iterator[None]:
    """Leave the notebook out of layout and painting meanwhile: the kernel has the processor to itself."""
    panel = page.locator(".jp-NotebookPanel:visible").element_handle()
    panel.evaluate("(one) => { one.style.contentVisibility = 'hidden'; }")
    yield
    panel.evaluate("(one) => { one.style.contentVisibility = ''; }")


def failed_output(page: Page) -> str:
    """The text of the first failed cell; JupyterLab paints a traceback as what it would be on stderr."""
    errors = page.locator(".jp-NotebookPanel:visible [data-mime-type='application/vnd.jupyter.stderr']")
    return errors.first.inner_text() if errors.count() else "a cell failed without output"


def assert_no_broken_widget(page: Page) -> None:
    """No widget's place is taken by an excuse, no explorer shows an error."""
    panel = page.locator(".jp-NotebookPanel:visible")
    expect(panel.locator(".jp-OutputArea-output", has_text=EXCUSE)).to_have_count(0, timeout=WAIT)
    assert visible_error(panel) == ""


def whole_page(page: Page, path: Path, most: int = 12_000) -> None:
    """Screenshots of the whole lesson, `most` pixels at a time: the window is made that high for it, and set back."""
    size = page.viewport_size
    notebook = page.locator(".jp-NotebookPanel:visible .jp-WindowedPanel-outer")
    height = int(notebook.evaluate("(one) => one.scrollHeight"))
    page.set_viewport_size({"width": size["width"], "height": min(height + 200, most)})
    for number, top in enumerate(range(0, height, most - 200), start=1):
        # JupyterLab draws the cells that it believes to be in the window, and has to be told where that is now.
        notebook.evaluate("(one, top) => one.scrollTo(0, top)", top)
        page.wait_for_timeout(1000)
        page.screenshot(path=path.with_stem(f"{path.stem}-{number}"), type="jpeg", quality=80)
    page.set_viewport_size(size)
