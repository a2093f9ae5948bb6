"""The benchmark's notebooks in the browser: keys pressed, sliders dragged, answers timed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from playwright.sync_api import Browser, Error, Locator, Page

from tests.browser.lab import Lab
from tests.explorers.cells import write_notebook

__all__ = [
    "WATCH",
    "Answer",
    "Cell",
    "Drag",
    "Times",
    "as_json",
    "cells_for",
    "code_cell",
    "notebook_page",
    "setup",
    "variants",
]

WATCH = Path(__file__).with_name("watch.js")
HANDLE = ".widget-slider .noUi-handle"
FRAMES = ".nfteach-frames:not([hidden]) input.nfteach-frame"
SETUP = """
import os, sys
sys.path.insert(0, {root!r})
get_ipython().run_line_magic("matplotlib", "inline")
from benchmarks.widgets import kernel
SOURCE = {source!r}
"""
#: The variant that draws the answer, the kind of slider, and the cell's source.
CELLS = [
    ("label", "slider", "kernel.floor()"),
    ("explorer", "", ""),
    ("kernel", "slider", "kernel.over_the_kernel(SOURCE)"),
    ("interact", "slider", "kernel.interact(SOURCE, 'slider')"),
    ("ipympl", "slider", "kernel.ipympl(SOURCE, 'slider')"),
    ("interact", "frames", "kernel.interact(SOURCE, 'frames')"),
    ("ipympl", "frames", "kernel.ipympl(SOURCE, 'frames')"),
]
WAIT = 20_000  # milliseconds for an answer
PAUSE = 0.15  # seconds of quiet before a key, to separate it from the last one
SCREEN = 1 / 60  # seconds
JITTER = Random(0)  # for key presses at any time between two screen frames


@dataclass(frozen=True)
class Answer:
    """The answer to one key press, in milliseconds of the page's clock, which began at ``origin`` (s since 1970).

    Attributes:
        pressed: the time of the key's event.
        answered: the time at which the picture is in the page.
        painted: the time at which the screen frame that shows it has been painted.
        arrivals: the times at which messages arrived from the server since the key press, and their bytes.
    """

    origin: float
    pressed: float
    answered: float
    painted: float
    arrivals: list[tuple[float, int]]


@dataclass(frozen=True)
class Drag:
    """A drag of a slider, or keys held down on one.

    Attributes:
        rate: the pictures painted per second that differ from their predecessor.
        lag: the milliseconds from the release to the last picture.
    """

    rate: float
    lag: float


@dataclass
class Times:
    """The measurements of one variant.

    Attributes:
        presses: the milliseconds from key to pixels for each press.
        drags: what was painted while the mouse dragged the slider.
        sweeps: what was painted while the slider was set on every frame of the screen.
    """

    presses: list[float] = field(default_factory=list)
    drags: list[Drag] = field(default_factory=list)
    sweeps: list[Drag] = field(default_factory=list)


@contextmanager
def notebook_page(lab: Lab, browser: Browser, name: str, *cells: str) -> Iterator[Page]:
    """Open a page with a notebook of these cells, and run them.

    Raises:
        RuntimeError: if a cell fails.
    """
    write_notebook(lab.root / f"{name}.ipynb", *cells)
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.add_init_script(path=WATCH)
    try:
        lab.open(page, f"{name}.ipynb")
        if not lab.run_all(page):
            errors = page.locator(
                ".jp-NotebookPanel:visible .jp-RenderedText[data-mime-type*='stderr']"
            ).all_inner_texts()
            raise RuntimeError(f"a cell of {name} failed: {' '.join(errors)[-1000:]}")
        page.wait_for_timeout(2000)
        yield page
    finally:
        with suppress(Error):
            lab.close(page)
        page.close()


def setup(source: str) -> str:
    """Return the source of the first cell, which prepares the others."""
    return SETUP.format(root=str(Path(__file__).parents[2]), source=source).strip()


def code_cell(page: Page, index: int) -> Locator:
    """Return a code cell of the open notebook."""
    return page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(index)


def variants(page: Page) -> dict[tuple[str, str], Cell]:
    """Find the sliders in a page made of :data:`CELLS`; return (variant, kind) -> cell."""
    found = {}
    for index, (drawn, kind, _) in enumerate(CELLS, start=1):
        cells = [(drawn, each) for each in ("slider", "frames")] if drawn == "explorer" else [(drawn, kind)]
        for key in cells:
            cell = Cell(code_cell(page, index), *key)
            if cell.handle.count():
                found[key] = cell
    return found


def cells_for(source: str) -> list[str]:
    """Return the notebook's cells for one explorer."""
    return [setup(source), *(code or source.strip() for _, _, code in CELLS)]


class Cell:
    """A cell of a notebook, or an explorer of the book, and the slider in it that is moved.

    Args:
        cell: what holds the slider and the picture.
        drawn: the variant that draws the answer: "label", "explorer", "kernel" (the explorer, over the kernel),
            "interact" or "ipympl".
        kind: the kind of slider: the first "slider" of an explorer, or its "frames".
    """

    def __init__(self, cell: Locator, drawn: str, kind: str) -> None:
        self.cell, self.page, self.drawn, self.kind = cell, cell.page, drawn, kind
        selector = FRAMES if (drawn, kind) == ("explorer", "frames") else HANDLE
        self.handle = self.cell.locator(selector).locator("visible=true").first
        self.step = 0.0

    @property
    def native(self) -> bool:
        """True for a slider of the browser's own, like that of frames."""
        return (self.drawn, self.kind) == ("explorer", "frames")

    def range(self) -> tuple[float, float, float]:
        """Return the minimum, the value and the maximum of the slider."""
        names = ("min", "value", "max") if self.native else ("aria-valuemin", "aria-valuenow", "aria-valuemax")
        return tuple(
            float(self.handle.input_value() if name == "value" else self.handle.get_attribute(name)) for name in names
        )

    @property
    def label(self) -> str:
        """The slider's label."""
        if self.native:
            return self.handle.get_attribute("aria-label")
        return self.handle.evaluate("(one) => one.closest('.widget-slider').querySelector('.widget-label').textContent")

    def begin(self) -> None:
        """Start watching this cell."""
        self.cell.scroll_into_view_if_needed()
        self.handle.focus()
        self.page.wait_for_timeout(300)
        if (self.drawn, self.kind) == ("explorer", "slider"):
            with suppress(Error):  # it may stay with the kernel
                self.cell.locator("[data-by=page]").first.wait_for(timeout=5000)
        self.cell.evaluate("(cell, kind) => window.bench.watch(cell, kind)", self.drawn)

    def press(self, number: int) -> list[Answer]:
        """Press a number of keys, alternating between two values.

        Raises:
            RuntimeError: if the picture does not change.
        """
        low, value, _ = self.range()
        keys = ("ArrowLeft", "ArrowRight") if value > low else ("ArrowRight", "ArrowLeft")
        answers = []
        for count in range(number):
            self.page.wait_for_timeout(1000 * (PAUSE + JITTER.uniform(0, SCREEN)))
            self.handle.press(keys[count % 2])
            if not self.step:
                self.step = abs(self.range()[1] - value) or 1.0
            answers.append(self.answer(keys[count % 2]))
        return answers

    def answer(self, key: str) -> Answer:
        """Return the answer to a key press; of several pictures, the last one."""
        end = time.monotonic() + WAIT / 1000
        while time.monotonic() < end:
            with suppress(Error):
                self.page.wait_for_function("() => window.bench.quiet() < 1e9", polling="raf", timeout=2000)
            self.page.wait_for_timeout(1000 * PAUSE)
            seen = self.page.evaluate("() => window.bench.changes()")
            if seen["changes"]:
                arrivals = [(one["at"], one["size"]) for one in seen["arrivals"]]
                last = seen["changes"][-1]
                return Answer(seen["origin"] / 1000, seen["pressed"], last["answered"], last["painted"], arrivals)
        raise RuntimeError(f"{self.drawn}, {self.kind}: the picture must change after {key}, but did not")

    def drag(self, seconds: float) -> Drag:
        """Drag the slider to and fro with the mouse; step through frames that the browser holds by keys.

        Each screen frame has one move, by a step of the slider or at least two pixels.
        """
        self._quiet()
        began = self.page.evaluate("() => performance.now()")
        (self.hold_keys if self.native else self.move_mouse)(seconds)
        return self._counted(began, self.page.evaluate("() => performance.now()") if self.native else None)

    def sweep(self, seconds: float) -> Drag:
        """Set the slider on every frame of the screen, by keys that the page itself presses."""
        self._quiet()
        return self._counted(*self.handle.evaluate("(one, seconds) => window.bench.sweep(one, seconds)", seconds))

    def _quiet(self) -> None:
        self.page.wait_for_timeout(1000)
        self.page.evaluate("() => { window.bench.keep = true; return window.bench.changes(); }")

    def _counted(self, began: float, released: float | None) -> Drag:
        """Count the pictures since ``began``; ``released`` is the page's own time of the mouse if None."""
        with suppress(Error):
            self.page.wait_for_function("() => window.bench.quiet() > 700", polling=100, timeout=WAIT)
        seen = self.page.evaluate("() => { window.bench.keep = false; return window.bench.changes(); }")
        released = released or seen["released"]
        during = [one for one in seen["changes"] if one["framed"] <= released]
        lag = max([0.0, *(one["painted"] - released for one in seen["changes"])])
        return Drag(1000 * len(during) / (released - began), lag)

    def move_mouse(self, seconds: float) -> None:
        """Move the handle along its track and back, until the time is over."""
        self.handle.scroll_into_view_if_needed()
        low, value, high = self.range()
        track = self.cell.locator(".noUi-base").locator("visible=true").first.bounding_box()
        by = max(2.0, track["width"] * (self.step or 1.0) / (high - low))
        y, left, width = track["y"] + track["height"] / 2, track["x"], track["width"]
        at = (value - low) / (high - low) * width
        mouse = self.page.mouse
        mouse.move(left + at, y)
        mouse.down()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:  # the browser handles one move for each screen frame
            if not 0 <= at + by <= width:
                by = -by
            at = min(max(at + by, 0.0), width)
            mouse.move(left + at, y)
        mouse.up()

    def hold_keys(self, seconds: float) -> None:
        """Move to the last frame by keys, go back to the first, and repeat, at twice the rate of the screen."""
        self.handle.focus()
        last = int(self.range()[2])
        for count in paced(seconds, SCREEN / 2):
            self.page.keyboard.down("ArrowRight" if count % (last + 1) else "Home")
        for key in ("ArrowRight", "Home"):
            self.page.keyboard.up(key)


def paced(seconds: float, every: float) -> Iterator[int]:
    """Yield 0, 1, ... at intervals of ``every`` seconds, or later on a slow machine, for some seconds."""
    start = time.perf_counter()
    count = 0
    while (now := time.perf_counter()) < start + seconds:
        yield count
        count += 1
        time.sleep(max(0.0, now + every - time.perf_counter()))


def as_json(times: dict[str, dict[str, Times]]) -> str:
    """Format all times as JSON."""
    return json.dumps(times, default=vars, indent=1)
