"""The speed of the models: `python -m benchmarks.speed`.

A training step (loss, backward, Adam), log_prob without gradients, and sample are timed for RealNVP, planar flows and
an autoregressive density, in every library that has the model: nfteach, normflows, nflows, zuko, Pyro. Each library
runs in a process of its own; in each round all libraries take a turn, in shuffled order, so that a load on the machine
affects them alike. A turn is as many calls as the clock can resolve. One thread is timed by the processor's clock,
which stops while other programs run; two threads by the wall clock, which is meaningful only while two cores are idle.
The ratio is our time over that of the fastest other library (by median), round by round: its median and its quartiles.

Planar flows are trained by reverse KL, as in variational inference; their log_prob at given points needs an inverse,
which for h = tanh no other library has. The autoregressive densities are two different models: ours is RNADE with one
component, the other libraries have only MADE (see benchmarks/peers/autoregressive.py).

NADE's density is also compared with the same number computed step by step, and with each activation computed from
scratch, which its recurrence avoids: time against D, and the exponent of its growth.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.frame import Benchmark, Run, Table
from benchmarks.numbers import spread
from benchmarks.timing import exponent

from .nade import WAYS, time_ways
from .picture import draw
from .rows import OURS, ROWS, SMALL
from .turns import Contest, verdict

__all__ = ["Speed"]

THREADS = (1, 2)
SECONDS, TURN = 8.0, 0.02  # of a row, of a turn
DIMS, HIDDEN, BATCH = (16, 32, 64, 128, 256, 512, 1024, 2048), 256, 64
LARGE = 512  # exponents are fitted from this D on, where the time depends on the sizes and not on the number of calls
MODELS = (
    "The autoregressive densities differ: ours is RNADE, with D hidden layers of H units; the others are MADE, with "
    "one for all dimensions: two products of matrices where RNADE has D times as many nonlinearities, but D passes to "
    "draw."
)
GROWTH = {"all at once": "1", "step by step": "1", "from scratch": "2"}


class Speed(Benchmark):
    """The times of the models in several libraries, and the growth of NADE's time with D."""

    name = "speed"

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        rows = SMALL if run.quick else ROWS
        seconds, turn = (0.0, 0.002) if run.quick else (SECONDS, TURN)
        dims = (8, 16, 32) if run.quick else DIMS
        run.expect(len(THREADS) * len(rows) + len(dims))
        timed = []
        with Contest() as contest:
            for threads in THREADS:
                for row in rows:
                    result = run.job(
                        f"{row.words}, threads {threads}",
                        lambda row=row, threads=threads: contest.compare(row, threads, seconds, turn),
                        summary,
                        row=vars(row),
                        threads=threads,
                        seconds=seconds,
                        turn=turn,
                    )
                    timed.append({**vars(row), "words": row.words, "threads": threads, **result})
        ways = [
            run.job(
                f"NADE, D = {dim}",
                lambda dim=dim: time_ways(dim, HIDDEN, BATCH, seconds / 3),
                lambda result: f"{statistics.median(result['ms']['all at once']):.2f} ms",
                dim=dim,
                hidden=HIDDEN,
                batch=BATCH,
                seconds=seconds / 3,
            )
            for dim in dims
        ]
        return {"rows": timed, "nade": {"dims": dims, "hidden": HIDDEN, "batch": BATCH, "ways": ways}}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        return [contest_table(results["rows"], threads) for threads in THREADS] + [growth_table(results["nade"])]

    def picture(self, results: dict[str, Any]) -> Figure:
        return draw(results, THREADS)


def summary(result: dict) -> str:
    """Summarise a row for the progress line."""
    found = verdict(result["ms"])
    ours = f"{found['medians'][OURS]:.3g} ms"
    return f"{ours}, {found['ratio'][1]:.2f} of {found['fastest']}" if found["fastest"] else f"{ours}, alone"


def contest_table(rows: list[dict], threads: int) -> Table:
    """Tabulate the milliseconds by library and our ratio to the fastest other, for one number of threads."""
    chosen = [row for row in rows if row["threads"] == threads]
    libraries = list(dict.fromkeys(name for row in chosen for name in row["ms"]))
    cells = []
    for row in chosen:
        found = verdict(row["ms"])
        ratio = spread(*found["ratio"], digits=2) if found["ratio"] else "alone"
        times = [f"{found['medians'][name]:.3g}" if name in row["ms"] else "" for name in libraries]
        cells.append([row["words"], *times, ratio, found["fastest"] or "", str(found["rounds"])])
    counts = "; ".join(
        f"{row['words'].rpartition(', batch')[0]}: {' '.join(f'{name} {n}' for name, n in row['parameters'].items())}"
        for row in {str((row["model"], row["sizes"])): row for row in reversed(chosen)}.values()
    )
    return Table(
        f"Milliseconds per call, {threads} thread{'s' * (threads > 1)}, and our time over the fastest other's",
        ["", *libraries, "ratio (quartiles); aim: at most 1", "fastest other", "rounds"],
        cells,
        f"Medians, by the processor's clock. {MODELS} Numbers of parameters: {counts}."
        if threads == 1
        else f"Medians, by the clock on the wall. {MODELS}",
    )


def growth_table(nade: dict) -> Table:
    """Tabulate the milliseconds by D, the exponents for large D, and the largest difference of the results."""
    dims, ways = nade["dims"], nade["ways"]
    medians = {name: [statistics.median(way["ms"][name]) for way in ways] for name in WAYS}
    large = [k for k, dim in enumerate(dims) if dim >= LARGE] or list(range(len(dims)))
    cells = []
    for name, values in medians.items():
        rate, _ = exponent([dims[k] for k in large], [values[k] for k in large])
        cells.append([name, *(f"{value:.3g}" for value in values), f"{rate:.2f}", GROWTH[name]])
    apart = max(way["apart"] for way in ways)
    return Table(
        f"NADE's density in three ways: milliseconds at H = {nade['hidden']}, batch {nade['batch']}, one thread",
        ["", *(f"D = {dim}" for dim in dims), "exponent", "promised"],
        cells,
        f"The exponent is fitted for D from {dims[large[0]]} on. In float64 the ways agree within {apart:.1g} nats.",
    )


if __name__ == "__main__":
    sys.exit(Speed().main())
