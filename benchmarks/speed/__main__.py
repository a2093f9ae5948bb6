"""How fast the models are: `python -m benchmarks.speed`.

A training step (loss, backward, Adam), log_prob without gradients, and sample, for RealNVP, planar flows and an
autoregressive density, beside every library that has the model: normflows, nflows, zuko, Pyro. Each library lives in a
process of its own; in each round all take a turn, in shuffled order, so that what else the machine does hits all alike.
A turn is as many calls as the clock can tell. One thread is timed by the processor's clock, which stops while other
programs run; two by the clock on the wall, which means something only while two cores are idle. The ratio is our time
over that of the fastest other library (in the median), round by round: its median and its quartiles.

Planar flows are trained by reverse KL, as variational inference does it; their log_prob at given points needs an
inverse, which for h = tanh nobody else has. The autoregressive densities are not one model: ours is RNADE with one
component, the others have MADE only (see benchmarks/peers/autoregressive.py).

Then NADE's density beside the same number taken step by step, and with each activation computed from scratch, which is
what its recurrence saves: time against D, and the exponent of its growth.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.frame import Benchmark, Run, Table
from benchmarks.timing import exponent

from .nade import WAYS, time_ways
from .picture import draw
from .rows import OURS, ROWS, SMALL
from .turns import Contest, verdict

__all__ = ["Speed"]

THREADS = (1, 2)
SECONDS, TURN = 8.0, 0.02  # for each row, for each turn
DIMS, HIDDEN, BATCH = (16, 32, 64, 128, 256, 512, 1024, 2048), 256, 64
LARGE = 512  # exponents are fitted from here on, where the sizes count and no longer the number of operations
MODELS = (
    "The autoregressive densities differ: ours is RNADE, with D hidden layers of H units; the others are MADE, with "
    "one for all dimensions: two products of matrices where RNADE has D times as many nonlinearities, but D passes to "
    "draw."
)
GROWTH = {"all at once": "1", "step by step": "1", "from scratch": "2"}


class Speed(Benchmark):
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
                        said,
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


def said(result: dict) -> str:
    """A row's verdict in a few words."""
    found = verdict(result["ms"])
    ours = f"{found['medians'][OURS]:.3g} ms"
    return f"{ours}, {found['ratio'][1]:.2f} of {found['fastest']}" if found["fastest"] else f"{ours}, alone"


def contest_table(rows: list[dict], threads: int) -> Table:
    """Milliseconds by library and our ratio to the fastest other, for one number of threads."""
    chosen = [row for row in rows if row["threads"] == threads]
    libraries = list(dict.fromkeys(name for row in chosen for name in row["ms"]))
    cells = []
    for row in chosen:
        found = verdict(row["ms"])
        ratio = "alone"
        if found["ratio"]:
            low, median, high = found["ratio"]
            ratio = f"{median:.2f} ({low:.2f} to {high:.2f})"
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
    """Milliseconds by D, the exponents at the large end, and whether all agree."""
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
    sys.exit(Speed().main(__doc__))
