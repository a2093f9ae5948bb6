"""The stages between a key press and its pixels: in the kernel, on the way, in the browser."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser

from benchmarks.widgets.page import Answer, Cell, code_cell, notebook_page, setup
from tests.browser.lab import Lab
from tests.explorers.cells import GALLERY

__all__ = ["HEAD", "split", "stages_of"]

#: The consecutive stages of an answer.
STAGES = {
    "to kernel": "the slider's new value reaches the kernel",
    "compute": "the explorer's arrays",
    "pack": "they are checked and made into a message",
    "send": "it is passed to the kernel's socket",
    "back": "it reaches the page",
    "draw": "it is unpacked, and painted on the canvas",
    "screen": "the screen frame that shows it is painted",
}
HEAD = f"{'median ms':36} {' '.join(f'{name:>9}' for name in STAGES)} {'sum':>9} {'after':>9} {'bytes':>9}"


def split(lab: Lab, browser: Browser, name: str, presses: int) -> Iterator[str]:
    """Yield a line for the first slider of an explorer, and one for its frames."""
    source = GALLERY[name].strip()
    code = "from benchmarks.widgets import kernel\nstamps = kernel.stamped(_) if kernel.first_slider(_) else []"
    with notebook_page(lab, browser, name, setup(source), "kernel.over_the_kernel(SOURCE)", code) as page:
        for kind in ("slider", "frames"):
            cell = Cell(code_cell(page, 1), "explorer" if kind == "frames" else "kernel", kind)
            if not cell.handle.count():
                continue
            cell.begin()
            cell.press(4)  # warm-up
            answers = cell.press(presses)
            if kind == "frames":  # without the kernel
                yield _line(f"{name}: {cell.label}", [{**_of_page(one, one.pressed), "bytes": 0} for one in answers])
                continue
            stamps = _fetched(page, lab)
            yield _line(f"{name}: {cell.label}", [stages_of(one, stamps) for one in answers])


def _fetched(page: Any, lab: Lab) -> list[tuple[str, float, int]]:
    """Fetch the events recorded in the kernel."""
    code = "import json, pathlib; pathlib.Path('stamps.json').write_text(json.dumps(stamps))"
    page.evaluate(
        """async (code) => {
            const { session } = window.jupyterapp.shell.currentWidget.sessionContext;
            await session.kernel.requestExecute({ code, silent: true }).done;
        }""",
        code,
    )
    return [tuple(stamp) for stamp in json.loads((lab.root / "stamps.json").read_text())]


def stages_of(answer: Answer, stamps: list[tuple[str, float, int]]) -> dict[str, float]:
    """Return the milliseconds of each stage of one answer, those of the kernel's work ``after`` it, and its ``bytes``.

    The first message with arrays is the one with the picture; of several frames, the visible one is sent first. Kernel
    and browser read the clock of the same machine.
    """
    key, seen = (answer.origin + moment / 1000 for moment in (answer.pressed, answer.answered))
    mine = [stamp for stamp in stamps if key <= stamp[1] <= seen]
    reached = next(moment for what, moment, _ in mine if what == "set_state begins")
    sizes = [size for what, _, size in mine if what == "send begins"]
    size = next(filter(None, sizes), 0)
    begun, sent = (
        next(moment for what, moment, n in stamps if moment >= reached and (what, n) == (f"send {end}", size))
        for end in ("begins", "ends")
    )
    live = min(
        moment for what, moment, _ in mine if what in ("update begins", "set_frames begins") and moment >= reached
    )
    free = next(moment for what, moment, _ in stamps if what == "set_state ends" and moment >= sent)
    since = 1000 * (begun - answer.origin)
    arrived = min((at for at, n in answer.arrivals if n >= size and since <= at <= answer.answered), default=since)
    moments = [key, reached, live, begun, sent, answer.origin + arrived / 1000]
    kernel = {name: 1000 * (b - a) for name, a, b in zip(STAGES, moments, moments[1:], strict=False)}
    return {**kernel, **_of_page(answer, arrived), "after": 1000 * (free - sent), "bytes": size}


def _of_page(answer: Answer, arrived: float) -> dict[str, float]:
    return {"draw": answer.answered - arrived, "screen": answer.painted - answer.answered}


def _line(name: str, rows: list[dict[str, float]]) -> str:
    """Format the medians over all answers."""
    medians = {stage: statistics.median(row[stage] for row in rows) for stage in rows[0]}
    total = statistics.median(sum(row.get(stage, 0.0) for stage in STAGES) for row in rows)
    cells = [f"{medians[stage]:9.1f}" if stage in medians else " " * 9 for stage in STAGES]
    after = f"{medians['after']:9.1f}" if "after" in medians else " " * 9
    return f"{name:36.36} {' '.join(cells)} {total:9.1f} {after} {medians['bytes']:9.0f}"
