"""One Chromium, one JupyterLab and one page for all browser tests."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lessons.source import NOTEBOOKS
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.kernel import clear
from tests.browser.lab import ROOT, Lab, chromium, jupyterlab
from tests.explorers.cells import write_notebook

# Milliseconds for one step in the page; a lesson's run is bounded by the test's own timeout.
STEP = 60_000
VIEWPORT = {"width": 1280, "height": 1000}
OPENED = "opened.ipynb"
THEME = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab on a copy of the learner's notebooks."""
    copy = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(NOTEBOOKS, copy, ignore=shutil.ignore_patterns(".*", "source"))
    with jupyterlab(copy) as running:
        yield running


@pytest.fixture(scope="session")
def desk(lab, browser) -> Iterator[Page]:
    """JupyterLab, loaded once, in a page that all tests share: to load it costs more than most of them.

    It wants less motion, so that what is moved is there at once; the tests on a bare page look at what moves.
    """
    with fresh_page(browser, reduced_motion="reduce") as page:
        lab.load(page)
        yield page


@pytest.fixture
def page(lab, desk) -> Iterator[Page]:
    """JupyterLab without a document; `page.complaints` collects what the page reports as wrong."""
    desk.complaints.clear()
    yield desk
    lab.close(desk, kept=OPENED)
    desk.evaluate(THEME, "JupyterLab Light")
    desk.set_viewport_size(VIEWPORT)


@pytest.fixture
def bare(browser) -> Iterator[Page]:
    """An empty page of its own."""
    with fresh_page(browser) as page:
        yield page


@contextmanager
def fresh_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a page in a profile of its own, with these options of Playwright's `new_context`."""
    context = browser.new_context(**{"viewport": VIEWPORT, "service_workers": "block", **options})
    context.set_default_timeout(STEP)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(describe(message)))
    page.on("pageerror", lambda error: page.complaints.append(f"uncaught: {error}"))
    yield page
    context.close()


def describe(message: ConsoleMessage) -> str:
    """Return what the console reports and, where something could not be loaded, its address."""
    return f"{message.text}: {message.location['url']}" if "Failed to load" in message.text else message.text


@pytest.fixture
def opened(lab, page) -> Iterator[Callable[..., bool]]:
    """Open a notebook of the given code cells, which belongs to no lesson, run it and return whether all cells passed.

    All tests share one kernel, which has PyTorch loaded; what a test leaves in it is cleared at the end.
    """

    def run(*cells: str) -> bool:
        write_notebook(lab.root / OPENED, *cells)
        lab.open(page, OPENED)
        return lab.run_all(page)

    yield run
    clear(page)


@pytest.fixture
def artefacts(request) -> Path:
    """A folder for this test's screenshots; git ignores it, the workflow uploads it."""
    folder = ROOT / "artefacts" / re.sub(r"[^\w-]+", "-", f"{request.node.path.stem}-{request.node.name}").strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
