"""The explorers of the book, where there is no kernel: from key to pixels, and pictures a second."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Locator

from benchmarks.widgets.page import WATCH, Cell
from benchmarks.widgets.table import p95
from tests.browser.explorers import scroll_through

__all__ = ["HEAD", "rows"]

HEAD = f"{'in the book, key to pixels':48} {'median':>7} {'p95':>6} {'frames/s':>8} {'set/s':>6}"
NAME = r"""(root) => {
    for (let one = root.closest(".cell"); one; one = one.previousElementSibling) {
        const code = [...one.querySelectorAll("pre, .code")].map((each) => each.textContent).join();
        const names = [...code.matchAll(/\b([A-Z]\w+)\(/g)];
        if (names.length) return names.at(-1)[1];
    }
    return "explorer";
}"""


def rows(browser: Browser, book: Path, presses: int, seconds: float) -> Iterator[str]:
    """Yield a line for each explorer in the lessons of a book that ``make site`` built; times are milliseconds."""
    for path in sorted(book.glob("[0-9]*.html")):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        page.add_init_script(path=WATCH)
        page.goto(path.resolve().as_uri())
        scroll_through(page)
        for root in page.locator(".nfteach-explorer").all():
            cell = Cell(root, "explorer", "slider")
            if not cell.handle.count() or root.locator("[data-by=page]").count() == 0:
                yield f"{name_of(root, path):48} {'no program' if cell.handle.count() else 'no slider'}"
                continue
            label = f"{name_of(root, path)}: {cell.label}"
            try:
                cell.begin()
                cell.press(4)  # the warm-up
                times = [one.painted - one.pressed for one in cell.press(presses)]
            except RuntimeError as error:
                yield f"{label:48.48} {error}"
                continue
            dragged = cell.drag(seconds)
            cell.begin()
            swept = cell.sweep(seconds)
            yield (
                f"{label:48.48} {statistics.median(times):7.1f} {p95(times):6.1f} {dragged.rate:8.1f} {swept.rate:6.1f}"
            )
        page.close()


def name_of(root: Locator, path: Path) -> str:
    """Return the number of the lesson, and the class that the code around or above an explorer calls last."""
    return f"{path.stem[:2]} {root.evaluate(NAME)}"
