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

from tests.browser.gallery import write_notebook
from tests.browser.lab import Lab

__all__ = ["Answer", "Cell", "Drag", "Times", "as_json", "cells_for", "notebook_page", "setup", "variants"]

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
#: What draws the answer, what is moved, and the cell.
CELLS = [
    ("label", "slider", "kernel.floor()"),
    ("explorer", "", ""),
    ("interact", "slider", "kernel.interact(SOURCE, 'slider')"),
    ("ipympl", "slider", "kernel.ipympl(SOURCE, 'slider')"),
    ("interact", "frames", "kernel.interact(SOURCE, 'frames')"),
    ("ipympl", "frames", "kernel.ipympl(SOURCE, 'frames')"),
]
WAIT = 20_000  # milliseconds for an answer
PAUSE = 0.15  # seconds of quiet before a key, so that each is one of its own
SCREEN = 1 / 60  # seconds
JITTER = Random(0)  # a key may come at any time between two frames of the screen


@dataclass(frozen=True)
class Answer:
    """What came of one key, in milliseconds of the page's own clock, which began at ``origin`` (seconds since 1970).

    Attributes:
        pressed: the key's event.
        answered: the picture is in the page.
        painted: the frame of the screen that shows it has been painted.
        arrivals: when messages came from the server since the key, and their bytes.
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
        rate: pictures, each unlike the one before, painted a second.
        lag: milliseconds from the release to the last picture.
    """

    rate: float
    lag: float


@dataclass
class Times:
    """All that was measured of one variant: milliseconds from key to pixels, one number a press, and drags."""

    presses: list[float] = field(default_factory=list)
    drags: list[Drag] = field(default_factory=list)


@contextmanager
def notebook_page(lab: Lab, browser: Browser, name: str, *cells: str) -> Iterator[Page]:
    """A page with a notebook of these cells, all run.

    Raises:
        RuntimeError: a cell failed.
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
    """The first cell: what the other cells need."""
    return SETUP.format(root=str(Path(__file__).parents[2]), source=source).strip()


def variants(page: Page) -> dict[tuple[str, str], Cell]:
    """What can be moved in a page made of :data:`CELLS`: (what draws it, what is moved) -> cell."""
    found = {}
    for index, (drawn, kind, _) in enumerate(CELLS, start=1):
        cells = [(drawn, each) for each in ("slider", "frames")] if drawn == "explorer" else [(drawn, kind)]
        for key in cells:
            cell = Cell(page, index, *key)
            if cell.handle.count():
                found[key] = cell
    return found


def cells_for(source: str) -> list[str]:
    """The notebook's cells for one explorer."""
    return [setup(source), *(code or source.strip() for _, _, code in CELLS)]


class Cell:
    """A cell of the open notebook, and the slider in it that is moved.

    Args:
        page: with the notebook.
        index: of the cell.
        drawn: what draws the answer: "label", "explorer", "interact" or "ipympl".
        kind: what is moved in an explorer: its first "slider", or its "frames".
    """

    def __init__(self, page: Page, index: int, drawn: str, kind: str) -> None:
        self.page, self.drawn, self.kind = page, drawn, kind
        self.cell: Locator = page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(index)
        selector = FRAMES if (drawn, kind) == ("explorer", "frames") else HANDLE
        self.handle = self.cell.locator(selector).locator("visible=true").first
        self.step = 0.0

    @property
    def native(self) -> bool:
        """Whether the slider is the browser's own, as that of frames is."""
        return (self.drawn, self.kind) == ("explorer", "frames")

    def range(self) -> tuple[float, float, float]:
        """Lowest value, value, highest value of the slider."""
        names = ("min", "value", "max") if self.native else ("aria-valuemin", "aria-valuenow", "aria-valuemax")
        return tuple(
            float(self.handle.input_value() if name == "value" else self.handle.get_attribute(name)) for name in names
        )

    @property
    def label(self) -> str:
        """What the slider is called."""
        if self.native:
            return self.handle.get_attribute("aria-label")
        return self.handle.evaluate("(one) => one.closest('.widget-slider').querySelector('.widget-label').textContent")

    def begin(self) -> None:
        """Look at this cell from now on."""
        self.cell.scroll_into_view_if_needed()
        self.handle.focus()
        self.page.wait_for_timeout(300)
        self.cell.evaluate("(cell, kind) => window.bench.watch(cell, kind)", self.drawn)

    def press(self, number: int) -> list[Answer]:
        """Press a number of keys, there and back again.

        Raises:
            RuntimeError: no picture came, or none that was different.
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
        """What came of a key: of several pictures that answer it, the last."""
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
        raise RuntimeError(f"{self.drawn}, {self.kind}: {key} was pressed, and the picture did not change")

    def drag(self, seconds: float) -> Drag:
        """Drag the slider to and fro with the mouse; frames that the browser holds, by keys: on, and back to the first.

        A move for each frame of the screen, by a step of the slider or two pixels at least.
        """
        self.page.wait_for_timeout(1000)
        self.page.evaluate("() => { window.bench.keep = true; return window.bench.changes(); }")
        began = self.page.evaluate("() => performance.now()")
        (self.hold_keys if self.native else self.move_mouse)(seconds)
        released = self.page.evaluate("() => performance.now()") if self.native else None
        with suppress(Error):
            self.page.wait_for_function("() => window.bench.quiet() > 700", polling=100, timeout=WAIT)
        seen = self.page.evaluate("() => { window.bench.keep = false; return window.bench.changes(); }")
        released = released or seen["released"]
        during = [one for one in seen["changes"] if one["framed"] <= released]
        lag = max([0.0, *(one["painted"] - released for one in seen["changes"])])
        return Drag(1000 * len(during) / (released - began), lag)

    def move_mouse(self, seconds: float) -> None:
        """The handle along its track and back, as often as there is time."""
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
        while time.perf_counter() < end:  # the browser takes one move for each frame of the screen
            if not 0 <= at + by <= width:
                by = -by
            at = min(max(at + by, 0.0), width)
            mouse.move(left + at, y)
        mouse.up()

    def hold_keys(self, seconds: float) -> None:
        """On to the last frame, back to the first, and again: twice as fast as the screen, which is the limit then."""
        self.handle.focus()
        last = int(self.range()[2])
        for count in paced(seconds, SCREEN / 2):
            self.page.keyboard.down("ArrowRight" if count % (last + 1) else "Home")
        for key in ("ArrowRight", "Home"):
            self.page.keyboard.up(key)


def paced(seconds: float, every: float) -> Iterator[int]:
    """0, 1, ... at these intervals, where the machine keeps up, for some seconds."""
    start = time.perf_counter()
    count = 0
    while (now := time.perf_counter()) < start + seconds:
        yield count
        count += 1
        time.sleep(max(0.0, now + every - time.perf_counter()))


def as_json(times: dict[str, dict[str, Times]]) -> str:
    """All times as text."""
    return json.dumps(times, default=vars, indent=1)
