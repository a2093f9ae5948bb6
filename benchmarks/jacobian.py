"""The speed of the inspector's Jacobians, compared with torch's own ways.

The map is four affine couplings away from their initial parameters; the Jacobian is J (B, D, D) at B points. Torch's
ways are used as their documentation shows them, in the form that suits independent points best:

- vmap(jacrev), vmap(jacfwd): the transforms of torch.func for one point, mapped over the points;
- jacrev, sum: jacrev of y summed over the points, which needs no second vmap;
- jacfwd, shift: jacfwd of t -> y(x + t) at t = 0, likewise;
- functional, functional vec: torch.autograd.functional.jacobian of that sum, plain and with vectorize=True.

All ways are timed in each round, so that a load on the machine affects them alike. One thread is timed by the
processor's clock, which stops while other programs run; two threads by the wall clock, which is meaningful only while
two cores are idle. The ratio is our time over that of the fastest other way, round by round: its median and quartiles.

A second table gives the time of a whole report over that of its Jacobian, and the peak memory of a process that makes a
report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.autograd.functional import jacobian as functional
from torch.func import jacfwd, jacrev, vmap

from benchmarks.frame import Benchmark, Run, Table
from benchmarks.numbers import spread
from benchmarks.timing import fastest_other, in_turns, peak_memory, quartiles, ratio
from nfteach.flows import AffineCoupling, Stack
from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.autograd import jacobian
from nfteach.jacobian.rng import modes_at_rest, seeded
from nfteach.plots import palette

__all__ = ["Jacobian"]

# (D, B). At D = 784 all ways are bound by the same arithmetic; the limit applies to smaller D.
SETTINGS, LARGE = [(2, 128), (8, 128), (64, 32), (128, 8), (784, 4)], 784
THREADS, DTYPES, SECONDS = [1, 2], ["float64", "float32"], 8.0
QUICK_SETTINGS, QUICK_SECONDS = [(2, 32), (16, 8)], 0.0
REPORT, QUICK_REPORT = (64, 32), (8, 4)
PEAK, QUICK_PEAK = (784, 4), (16, 4)
# Limits: our time over the fastest other's (D < 784), a report's time over its Jacobian's, gigabytes of memory.
RATIO_LIMIT, REPORT_LIMIT, MEMORY_LIMIT = 1.1, 20.0, 2.0


def couplings(D: int, dtype: torch.dtype) -> Stack:
    """Return four affine couplings, hidden (64, 64), with every parameter perturbed at random."""
    generator = torch.Generator().manual_seed(0)
    with seeded(0):
        flow = Stack(*[AffineCoupling(torch.arange(D) % 2 == layer % 2) for layer in range(4)])
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return flow.to(dtype)


def points(D: int, B: int, dtype: torch.dtype) -> Tensor:
    """Draw fixed standard normal points x (B, D)."""
    return torch.randn(B, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def ways(flow: Stack, x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return functions that compute J (B, D, D), by name of the way."""
    f = adapt(flow, x, dtype=None)

    def y(x: Tensor) -> Tensor:
        return flow.call_and_ladj(x)[0]

    def summed(x: Tensor) -> Tensor:
        return y(x).sum(0)

    return {
        "ours": lambda: jacobian(f, x)[0],
        "vmap(jacrev)": lambda: vmap(jacrev(y))(x),
        "jacrev, sum": lambda: jacrev(summed)(x).transpose(0, 1),
        "vmap(jacfwd)": lambda: vmap(jacfwd(y))(x),
        "jacfwd, shift": lambda: jacfwd(lambda shift: y(x + shift))(torch.zeros_like(x[0])),
        "functional": lambda: functional(summed, x).transpose(0, 1),
        "functional vec": lambda: functional(summed, x, vectorize=True).transpose(0, 1),
    }


def check(contest: dict[str, Callable[[], Tensor]], dtype: torch.dtype) -> None:
    """Compare the Jacobians of all ways, which also warms them up.

    Raises:
        SystemExit: if one of them differs from ours.
    """
    precision = torch.finfo(dtype).eps ** 0.5
    ours = contest["ours"]()
    for name, way in contest.items():
        if not torch.allclose(way().double(), ours, rtol=precision, atol=precision):
            raise SystemExit(f"Jacobians must agree, but that of {name} differs from ours")


def compare(threads: int, dtype: torch.dtype, D: int, B: int, seconds: float) -> dict[str, Any]:
    """Measure one row: the quartiles of milliseconds of each way, the fastest other way, and our ratio to it."""
    torch.set_num_threads(threads)
    contest = ways(couplings(D, dtype), points(D, B, dtype))
    check(contest, dtype)
    with modes_at_rest():  # as in inspect_jacobian, which saves the random states once for all calls of the map
        times = in_turns(contest, seconds)
    fastest = fastest_other(times, "ours")
    return {
        "ms": {name: quartiles(values) for name, values in times.items()},
        "fastest": fastest,
        "ratio": ratio(times, "ours", fastest),
    }


def report_over_jacobian(D: int, B: int, seconds: float) -> list[float]:
    """Return the quartiles of the time of a report and its text over that of its Jacobian, on one thread."""
    torch.set_num_threads(1)
    flow, x = couplings(D, torch.float32), points(D, B, torch.float32)
    f = adapt(flow, x)
    contest = {"report": lambda: str(inspect_jacobian(flow, x)), "Jacobian": lambda: jacobian(f, x.double())}
    for call in contest.values():
        call()  # warm up
    return ratio(in_turns(contest, seconds), "report", "Jacobian")


def report(D: int, B: int) -> Callable[[], str]:
    """Return a function that makes a report, for :func:`benchmarks.timing.peak_memory`."""
    return lambda: str(inspect_jacobian(couplings(D, torch.float32), points(D, B, torch.float32)))


class Jacobian(Benchmark):
    """The time of Jacobians by several ways, the time of a report, and its peak memory."""

    name = "jacobian"

    def measure(self, run: Run) -> dict[str, Any]:
        settings, seconds = (QUICK_SETTINGS, QUICK_SECONDS) if run.quick else (SETTINGS, SECONDS)
        rows = [
            (threads, dtype, D, B)
            for threads in (THREADS[:1] if run.quick else THREADS)
            for dtype in (DTYPES[:1] if run.quick else DTYPES)
            for D, B in settings
        ]
        run.expect(len(rows) + 2)
        D, B = QUICK_PEAK if run.quick else PEAK
        peak = run.job(
            "peak memory of a report",
            lambda: {"bytes": peak_memory(report, D, B)},
            lambda result: f"{result['bytes'][1] / 1e9:.2f} GB",
            D=D,
            B=B,
        )
        threads = torch.get_num_threads()
        try:
            measured = [self._row(run, *row, seconds) for row in rows]
            whole = self._report(run, *(QUICK_REPORT if run.quick else REPORT), seconds)
        finally:
            torch.set_num_threads(threads)
        return {"rows": measured, "report": whole, "peak": {"D": D, "B": B, **peak}}

    def _row(self, run: Run, threads: int, dtype: str, D: int, B: int, seconds: float) -> dict[str, Any]:
        setting = {"threads": threads, "dtype": dtype, "D": D, "B": B}
        row = run.job(
            f"{threads} {'thread' if threads == 1 else 'threads'}, {dtype}, D = {D}, B = {B}",
            lambda: compare(threads, getattr(torch, dtype), D, B, seconds),
            lambda row: f"{row['ratio'][1]:.2f} of {row['fastest']}",
            seconds=seconds,
            **setting,
        )
        return setting | row

    def _report(self, run: Run, D: int, B: int, seconds: float) -> dict[str, Any]:
        result = run.job(
            "report over Jacobian",
            lambda: {"ratio": report_over_jacobian(D, B, seconds)},
            lambda result: f"{result['ratio'][1]:.1f}",
            D=D,
            B=B,
            seconds=seconds,
        )
        return {"D": D, "B": B, **result}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        rows = results["rows"]
        worst = max((row for row in rows if row["D"] < LARGE), key=lambda row: row["ratio"][1])
        whole, peak = results["report"], results["peak"]
        before, most = (bytes_ / 1e9 for bytes_ in peak["bytes"])
        return [
            Table(
                "Jacobians J (B, D, D) of four affine couplings: ms",
                ["threads, dtype, (D, B)", *rows[0]["ms"], "ours / the fastest other", "which"],
                [
                    [
                        _setting(row),
                        *(f"{median:.2f}" for _, median, _ in row["ms"].values()),
                        spread(*row["ratio"], digits=2),
                        row["fastest"],
                    ]
                    for row in rows
                ],
                "Medians. The ratio was taken round by round: its median, and its quartiles in brackets.",
            ),
            Table(
                "What is asked for",
                ["", "measured", "limit"],
                [
                    [
                        f"ours / the fastest other, D < {LARGE}, at worst",
                        spread(*worst["ratio"], digits=2),
                        f"{RATIO_LIMIT:g}",
                    ],
                    [
                        f"a report and its text / its Jacobian, (D, B) = ({whole['D']}, {whole['B']})",
                        spread(*whole["ratio"], digits=1),
                        f"{REPORT_LIMIT:g}",
                    ],
                    [
                        f"peak memory of a report, (D, B) = ({peak['D']}, {peak['B']}), GB",
                        f"{most:.2f}, of which {before:.2f} before it began",
                        f"{MEMORY_LIMIT:g}",
                    ],
                ],
            ),
        ]

    def picture(self, results: dict[str, Any]) -> Figure:
        rows = results["rows"]
        figure = Figure(figsize=(9, 2.2 + 0.3 * len(rows)), layout="constrained")
        ax = figure.subplots()
        for place, row in enumerate(rows):
            ours = row["ms"]["ours"][1]
            ratios = [ours / median for name, (_, median, _) in row["ms"].items() if name != "ours"]
            ax.plot(ratios, [place] * len(ratios), "o", color=palette.SOFT, markersize=4)
            low, median, high = row["ratio"]
            ax.plot([low, high], [place, place], color=palette.DATA, linewidth=2)
            ax.plot(median, place, "D", color=palette.DATA, markersize=6)
        ax.plot([], [], "D-", color=palette.DATA, label="the fastest of the others, with quartiles")
        ax.plot([], [], "o", color=palette.SOFT, markersize=4, label="each of the others")
        ax.axvline(1, color=palette.INK, linewidth=1)
        ax.axvline(RATIO_LIMIT, color=palette.NEGATIVE, linestyle="--", label=f"limit, D < {LARGE}")
        ax.set_xscale("log")
        ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if _within(tick, ax.get_xlim())]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.set_yticks(range(len(rows)), [_setting(row) for row in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel("our time over theirs: left of the black line ours is the faster")
        ax.set_title("The inspector's Jacobian beside torch's own ways: threads, dtype, (D, B)")
        ax.grid(axis="x", color=palette.SOFT, alpha=0.2)
        ax.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return figure


def _setting(row: dict[str, Any]) -> str:
    return f"{row['threads']}, {row['dtype']}, ({row['D']}, {row['B']})"


def _within(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]


if __name__ == "__main__":
    sys.exit(Jacobian().main())
