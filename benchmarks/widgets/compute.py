"""The cost of moving each control of an explorer in the kernel, without a browser."""

from __future__ import annotations

import statistics
import sys
from random import Random
from time import process_time
from typing import Any

import ipywidgets
import torch

from benchmarks.widgets.kernel import shown_by
from tests.explorers.cells import GALLERY

__all__ = ["costs", "report", "values_of"]

LIMIT = 10.0  # milliseconds
MOVES = 30


def costs(explorer: Any, name: str, moves: int = MOVES) -> tuple[float, float, float]:
    """Measure the moves of one control, in milliseconds by the processor's clock, which stops while other programs run.

    Returns:
        the median of the whole move, the median of its ``picture`` alone, and the 95th percentile of the whole move.
    """
    compute, inside, whole = explorer.picture, [], []

    def timed(state: Any) -> dict[str, Any]:
        start = process_time()
        try:
            return compute(state)
        finally:
            inside.append(1000 * (process_time() - start))

    explorer.picture = timed
    try:
        for value in values_of(explorer.controls[name], moves + 3):
            start = process_time()
            explorer.set(**{name: value})
            whole.append(1000 * (process_time() - start))
    finally:
        del explorer.picture
    whole, inside = whole[3:], inside[3:]  # the first moves are the warm-up
    return statistics.median(whole), statistics.median(inside), statistics.quantiles(whole, n=20)[-1]


def values_of(control: ipywidgets.Widget, number: int) -> list[Any]:
    """Return fixed random values of a control, which include its ends."""
    random = Random(0)
    if hasattr(control, "options"):
        options = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return [options[k % len(options)] for k in range(number)]
    if isinstance(control.value, bool):
        return [bool(k % 2) for k in range(number)]
    steps = round((control.max - control.min) / control.step)
    picked = [random.randint(0, steps) for _ in range(number - 2)]
    kind = type(control.value)
    return [kind(min(control.min + k * control.step, control.max)) for k in (*picked, 0, steps)]


def report(names: list[str]) -> int:
    """Print the cost of every control of some explorers; return the exit status, 0 if all are within the limit."""
    torch.set_num_threads(1)
    over = 0
    print(f"{'ms of the processor, one thread':44} {'move':>8} {'compute':>8} {'p95':>8}")
    for name in names:
        explorer = shown_by(GALLERY[name])
        for control in getattr(explorer, "controls", ()):
            explorer.reset()
            whole, inside, p95 = costs(explorer, control)
            over += whole > LIMIT
            note = f"  more than {LIMIT:g}" if whole > LIMIT else ""
            print(f"{name + ': ' + control:44.44} {whole:8.1f} {inside:8.1f} {p95:8.1f}{note}", flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(report(list(GALLERY)))
