"""The table of the times, and a check against the aims."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from benchmarks.widgets.page import Drag, Times

__all__ = ["AIMS", "HEAD", "Row", "misses", "row_of"]

#: The aims for a slider, and for frames that the browser holds.
AIMS = {
    "slider": {"x label": 0.6, "x interact": 10.0, "set/s": 45.0},
    "frames": {"median ms": 17.0, "frames/s": 50.0},
}
HEAD = (
    f"{'slider event to pixels':36} {'median':>7} {'p95':>6} {'kernel':>6} {'label':>6} {'x label':>7}"
    f" {'interact':>8} {'x faster':>8} {'ipympl':>7} {'x faster':>8} {'frames/s':>8} {'label':>6}"
    f" {'set/s':>6} {'kernel':>6} {'lag':>5}"
)


@dataclass(frozen=True)
class Row:
    """An explorer and its references, in milliseconds and frames per second.

    Attributes:
        name: the names of the explorer and of the moved slider.
        kind: "slider" or "frames".
        median, p95: the time from key to pixels.
        kernel, label, interact, ipympl: the medians of the references in the same page. There is no kernel's number for
            frames.
        rate, label_rate: the frames per second in a drag.
        set_rate, kernel_set_rate: the frames per second while the slider is set on every screen frame, and over the
            kernel; not a number for frames.
        lag: the time from the release to the last picture.
    """

    name: str
    kind: str
    median: float
    p95: float
    kernel: float
    label: float
    interact: float
    ipympl: float
    rate: float
    label_rate: float
    set_rate: float
    kernel_set_rate: float
    lag: float

    def __str__(self) -> str:
        return (
            f"{self.name:36.36} {self.median:7.1f} {self.p95:6.1f} {self.kernel:6.1f} {self.label:6.1f}"
            f" {self.median / self.label:7.2f} {self.interact:8.1f} {self.interact / self.median:8.1f}"
            f" {self.ipympl:7.1f} {self.ipympl / self.median:8.1f} {self.rate:8.1f} {self.label_rate:6.1f}"
            f" {self.set_rate:6.1f} {self.kernel_set_rate:6.1f} {self.lag:5.0f}"
        )


def row_of(name: str, kind: str, times: dict[tuple[str, str], Times]) -> Row:
    """Return the row of an explorer, given the times of its page by (variant, kind)."""
    own, label = times["explorer", kind], times["label", "slider"]
    kernel = times["kernel", "slider"] if kind == "slider" else None
    return Row(
        name=name,
        kind=kind,
        median=statistics.median(own.presses),
        p95=p95(own.presses),
        kernel=statistics.median(kernel.presses) if kernel else math.nan,
        label=statistics.median(label.presses),
        interact=statistics.median(times["interact", kind].presses),
        ipympl=statistics.median(times["ipympl", kind].presses),
        rate=rate(own.drags),
        label_rate=rate(label.drags),
        set_rate=rate(own.sweeps),
        kernel_set_rate=rate(kernel.sweeps) if kernel else math.nan,
        lag=max(drag.lag for drag in own.drags),
    )


def p95(values: list[float]) -> float:
    """Return the 95th percentile, or the value itself if there is only one."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def rate(drags: list[Drag]) -> float:
    """Return the median frames per second over all drags; not a number without any."""
    return statistics.median(drag.rate for drag in drags) if drags else math.nan


def misses(row: Row) -> list[str]:
    """Return a message for each aim that a row misses."""
    found = {
        "x label": row.median / row.label,
        "x interact": row.interact / row.median,
        "frames/s": row.rate,
        "set/s": row.set_rate,
        "median ms": row.median,
    }
    at_most = ("x label", "median ms")
    messages = {
        "x label": "{:.2f} times the label, not {} at most",
        "x interact": "{:.1f} times faster than interact, not {}",
        "frames/s": "{:.0f} frames/s, not {}",
        "set/s": "{:.0f} frames/s with the slider set on every frame, not {}",
        "median ms": "{:.1f} ms, not {} at most",
    }
    return [
        messages[aim].format(found[aim], f"{limit:g}")
        for aim, limit in AIMS[row.kind].items()
        if (found[aim] > limit if aim in at_most else found[aim] < limit)
    ]
