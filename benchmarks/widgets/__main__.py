"""How long from a slider's event to its pixels, in a real JupyterLab: `make bench-widgets`.

Every explorer of the gallery has a page of its own, with three yardsticks beside it:

- label: a slider whose value the kernel writes into a label, the floor of any round trip;
- interact: the same picture, drawn by matplotlib and shown inline by `interact`;
- ipympl: the same picture, its artists moved and its canvas drawn by matplotlib's own widget.

The explorer's first slider is moved, and theirs with it; where the browser holds frames, these too. All take turns, a
few keys each in every round, so that what else the machine does hits all alike. The clock runs from the key to the
frame of the screen that shows the answer, for all of them. In a drag the mouse moves once for each frame of the screen;
pictures that differ from the one before are counted. Frames are stepped through by keys, twice as fast as the screen.

The server has the settings of `make lab`, with Nagle's algorithm off; hosted ones usually have it on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.widgets import compute, stages
from benchmarks.widgets.page import Times, as_json, cells_for, notebook_page, variants
from benchmarks.widgets.table import HEAD, misses, row_of
from tests.browser.gallery import GALLERY
from tests.browser.lab import Lab, chromium, jupyterlab

__all__ = ["main"]


def measure(lab: Lab, browser: Browser, name: str, rounds: int, presses: int, drag: float) -> tuple[dict, dict]:
    """All times of one explorer and its yardsticks, and what is moved in it: kind -> label."""
    with notebook_page(lab, browser, name, *cells_for(GALLERY[name])) as page:
        cells = variants(page)
        labels = {kind: cells["explorer", kind].label for kind in ("slider", "frames") if ("explorer", kind) in cells}
        for kind, label in labels.items():
            if kind == "slider" and cells["interact", kind].label != label:
                raise RuntimeError(f"{name}: {label!r} is moved here, and {cells['interact', kind].label!r} there")
        if not labels:
            return {}, {}
        times = {key: Times() for key in cells}
        for number in range(rounds + 1):
            for key, cell in cells.items():
                cell.begin()
                answered = cell.press(presses if number else 4)
                if number:  # the first round warms up
                    times[key].presses += [one.painted - one.pressed for one in answered]
        for _ in range(1 if rounds == 1 else 2):
            for key, cell in cells.items():
                cell.begin()
                times[key].drags.append(cell.drag(drag))
        return times, labels


def main() -> int:
    """Measure, print a table, write JSON where asked; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.widgets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(GALLERY)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all take turns (default: 5)")
    parser.add_argument("--presses", type=int, default=10, help="keys for each in a round (default: 10)")
    parser.add_argument("--quick", action="store_true", help="one round of four keys and a short drag: does it run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all times to this file")
    parser.add_argument("--profile", action="store_true", help="where the time goes between key and pixels, instead")
    parser.add_argument("--compute", action="store_true", help="what moving each control costs in the kernel, instead")
    options = parser.parse_args()
    names = options.only or list(GALLERY)
    if unknown := [name for name in names if name not in GALLERY]:
        parser.error(f"--only: the gallery has no {unknown[0]}; it has {', '.join(GALLERY)}")
    if options.compute:
        return compute.report(names)
    rounds, presses, drag = (1, 4, 1.0) if options.quick else (options.rounds, options.presses, 2.0)
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
        for words in misses(row):
            print(f"{row.name}: {words}")
    for words in failed:
        print(words, file=sys.stderr)
    if options.json:
        options.json.write_text(as_json(done))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
