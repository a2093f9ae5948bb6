"""One Chromium and one JupyterLab for all browser tests, and a fresh page for each."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lessons.source import NOTEBOOKS
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.gallery import write_notebook
from tests.browser.lab import ROOT, Lab, chromium, jupyterlab

# Milliseconds for one step in the page; a lesson's run is bounded by the test's own timeout.
STEP = 60_000
VIEWPORT = {"width": 1280, "height": 1000}


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


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A page in a profile of its own; `page.complaints` collects what it reports as wrong."""
    with fresh_page(browser) as page:
        yield page


@contextmanager
def fresh_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """What the fixture `page` gives; with other options of Playwright's `new_context`."""
    context = browser.new_context(**{"viewport": VIEWPORT, "service_workers": "block", **options})
    context.set_default_timeout(STEP)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(in_words(message)))
    page.on("pageerror", lambda error: page.complaints.append(f"uncaught: {error}"))
    yield page
    context.close()


def in_words(message: ConsoleMessage) -> str:
    """What the console says and, where something could not be loaded, from where."""
    return f"{message.text}: {message.location['url']}" if "Failed to load" in message.text else message.text


@pytest.fixture
def opened(lab, page) -> Iterator[Callable[..., bool]]:
    """Open a notebook of the given code cells, which belongs to no lesson, run it and say whether all cells passed."""

    def run(*cells: str) -> bool:
        write_notebook(lab.root / "opened.ipynb", *cells)
        lab.open(page, "opened.ipynb")
        return lab.run_all(page)

    yield run
    lab.close(page)


@pytest.fixture
def artefacts(request) -> Path:
    """A folder for this test's screenshots; git ignores it, the workflow uploads it."""
    folder = ROOT / "artefacts" / re.sub(r"[^\w-]+", "-", request.node.name).strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
