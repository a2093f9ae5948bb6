"""The time from a slider's event to its pixels, in a real JupyterLab: `make bench-widgets`.

Every explorer of the gallery has a page of its own, with four references for comparison:

- kernel: the same explorer without programs, each move travelling to the kernel and back;
- label: a slider whose value the kernel writes into a label, the minimum for any round trip;
- interact: the same picture, printed by matplotlib and shown inline by `interact`;
- ipympl: the same picture, printed on the canvas of matplotlib's own widget.

The explorer's first slider is moved, and the references' sliders likewise; where the browser holds frames, these are
measured, too. All take turns, with a few key presses each in every round, so that a load on the machine affects them
alike. A measurement runs from the key press to the screen frame that shows the answer. In a drag the mouse moves once
for each screen frame, and the pictures that differ from their predecessor are counted; and once more while the slider
is set on every screen frame, which no mouse delays. Frames are stepped through by
keys, at twice the rate of the screen.

The server has the settings of `make lab`, with Nagle's algorithm off; hosted servers usually have it on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.widgets import book, compute, stages
from benchmarks.widgets.page import Times, as_json, cells_for, notebook_page, variants
from benchmarks.widgets.table import HEAD, misses, row_of
from tests.browser.lab import Lab, chromium, jupyterlab
from tests.explorers.cells import GALLERY

__all__ = ["main"]


def measure(lab: Lab, browser: Browser, name: str, rounds: int, presses: int, drag: float) -> tuple[dict, dict]:
    """Measure one explorer and its references; return their times, and the labels of the moved sliders by kind."""
    with notebook_page(lab, browser, name, *cells_for(GALLERY[name])) as page:
        cells = variants(page)
        labels = {kind: cells["explorer", kind].label for kind in ("slider", "frames") if ("explorer", kind) in cells}
        for kind, label in labels.items():
            if kind == "slider" and cells["interact", kind].label != label:
                other = cells["interact", kind].label
                raise RuntimeError(f"{name}: sliders must have the label {label!r}, but that of interact has {other!r}")
        if not labels:
            return {}, {}
        times = {key: Times() for key in cells}
        for number in range(rounds + 1):
            for key, cell in cells.items():
                cell.begin()
                answered = cell.press(presses if number else 4)
                if number:  # the first round is the warm-up
                    times[key].presses += [one.painted - one.pressed for one in answered]
        for _ in range(1 if rounds == 1 else 2):
            for key, cell in cells.items():
                cell.begin()
                times[key].drags.append(cell.drag(drag))
                if key in (("explorer", "slider"), ("kernel", "slider")):
                    cell.begin()
                    times[key].sweeps.append(cell.sweep(drag))
        return times, labels


def main() -> int:
    """Measure, print a table, write JSON if requested; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.widgets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"the explorers, of {', '.join(GALLERY)}")
    parser.add_argument("--rounds", type=int, default=5, help="the number of rounds (default: 5)")
    parser.add_argument("--presses", type=int, default=10, help="key presses in a round (default: 10)")
    parser.add_argument("--quick", action="store_true", help="run one round of four keys and a short drag, as a check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times to this file")
    parser.add_argument("--book", type=Path, metavar="FOLDER", help="measure a book instead, built by `make site`")
    parser.add_argument("--profile", action="store_true", help="measure the stages between key and pixels instead")
    parser.add_argument("--compute", action="store_true", help="measure the cost of each control in the kernel instead")
    options = parser.parse_args()
    names = options.only or list(GALLERY)
    if unknown := [name for name in names if name not in GALLERY]:
        parser.error(f"--only must name explorers of the gallery, but has {unknown[0]}; try {', '.join(GALLERY)}")
    if options.compute:
        return compute.report(names)
    rounds, presses, drag = (1, 4, 1.0) if options.quick else (options.rounds, options.presses, 2.0)
    if options.book:
        if not (options.book / "index.html").exists():
            parser.error(f"--book must name the folder of a book, but there is none in {options.book}; run `make site`")
        with chromium() as browser:
            print(book.HEAD, flush=True)
            for line in book.rows(browser, options.book, rounds * presses, drag):
                print(line, flush=True)
        return 0
    done, rows, failed = {}, [], []
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as lab, chromium() as browser:
        print(stages.HEAD if options.profile else HEAD, flush=True)
        for name in names:
            try:
                if options.profile:
                    for line in stages.split(lab, browser, name, rounds * presses):
                        print(line, flush=True)
                    continue
                times, labels = measure(lab, browser, name, rounds, presses, drag)
            except RuntimeError as error:
                failed.append(f"{name}: {error}")
                continue
            done[name] = {" ".join(key): each for key, each in times.items()}
            for kind, label in labels.items():
                rows.append(row_of(f"{name}: {label}", kind, times))
                print(rows[-1], flush=True)
    for row in rows:
        for message in misses(row):
            print(f"{row.name}: {message}")
    for message in failed:
        print(message, file=sys.stderr)
    if options.json:
        options.json.write_text(as_json(done))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
