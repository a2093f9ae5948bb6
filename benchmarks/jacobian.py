"""How fast the inspector takes Jacobians, beside torch's own ways: `python -m benchmarks.jacobian`.

The map is four affine couplings away from their initial parameters; J (B, D, D) at B points. The others, each as its
documentation shows it and in the form that suits independent points best:

- vmap(jacrev), vmap(jacfwd): the transforms of torch.func for one point, mapped over the points;
- jacrev, sum: jacrev of y summed over the points, which needs no second vmap;
- jacfwd, shift: jacfwd of t -> y(x + t) at t = 0, likewise;
- functional, functional vec: torch.autograd.functional.jacobian of that sum, plain and with vectorize=True.

All take turns in each round, so that what else the machine does hits all alike. One thread is timed by the processor's
clock, which stops while other programs run; two by the clock on the wall, which means something only while two cores
are idle. The last column is about the ratio of our time to that of the fastest of the others, round by round: its
median and its quartiles.

Then: the time of a whole report beside that of its Jacobian, and the peak memory of a process that makes a report.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from timeit import timeit

import torch
from torch import Tensor
from torch.autograd.functional import jacobian as functional
from torch.func import jacfwd, jacrev, vmap

from nfteach.flows import AffineCoupling, Stack
from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.autograd import jacobian
from nfteach.jacobian.rng import seeded

__all__ = ["main"]

SETTINGS = [(2, 128), (8, 128), (64, 32), (128, 8), (784, 4)]
REPORT, LARGE = (64, 32), (784, 4)
# What is asked for: our time over the fastest other's (D < 784), a report's over its Jacobian's, gigabytes.
RATIO_LIMIT, REPORT_LIMIT, MEMORY_LIMIT = 1.1, 20.0, 2.0


def couplings(D: int, dtype: torch.dtype) -> Stack:
    """Four affine couplings, hidden (64, 64), every parameter moved at random."""
    generator = torch.Generator().manual_seed(0)
    flow = Stack(*[AffineCoupling(torch.arange(D) % 2 == layer % 2) for layer in range(4)])
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return flow.to(dtype)


def points(D: int, B: int, dtype: torch.dtype) -> Tensor:
    """x (B, D)."""
    return torch.randn(B, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def ways(flow: Stack, x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """J (B, D, D) by each way."""
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
    """All must give the same J; this also warms them up."""
    precision = torch.finfo(dtype).eps ** 0.5
    ours = contest["ours"]()
    for name, way in contest.items():
        if not torch.allclose(way().double(), ours, rtol=precision, atol=precision):
            raise SystemExit(f"{name} gives another Jacobian than ours")


def in_turns(contest: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds, one number a round; at least five rounds."""
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    times: dict[str, list[float]] = {name: [] for name in contest}
    order, shuffle = list(contest), Random(0).shuffle
    start = perf_counter()
    while len(times[order[0]]) < 5 or perf_counter() - start < seconds:
        shuffle(order)  # nobody always has the same one before it
        for name in order:
            times[name].append(1e3 * timeit(contest[name], timer=clock, number=1))
    return times


def quartiles(times: dict[str, list[float]], one: str, other: str) -> list[float]:
    """The lower quartile, the median and the upper quartile of one's time over the other's, round by round."""
    return statistics.quantiles([a / b for a, b in zip(times[one], times[other], strict=True)], n=4)


def compare(threads: int, dtype: torch.dtype, D: int, B: int, seconds: float) -> dict:
    """One row of the table, printed."""
    torch.set_num_threads(threads)
    contest = ways(couplings(D, dtype), points(D, B, dtype))
    check(contest, dtype)
    with seeded(0):  # as in inspect_jacobian, which keeps the random states once for all calls of the map
        times = in_turns(contest, seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    fastest = min((name for name in contest if name != "ours"), key=medians.__getitem__)
    low, median, high = quartiles(times, "ours", fastest)
    setting = f"{threads}, {str(dtype).removeprefix('torch.')}, ({D}, {B})"
    columns = "".join(f"{value:12.2f} ms" for value in medians.values())
    print(f"{setting:24}{columns}   {median:.2f} ({low:.2f} to {high:.2f}) of {fastest}", flush=True)
    return {"setting": setting, "D": D, "ms": medians, "fastest": fastest, "ratio": [low, median, high]}


def report_over_jacobian(seconds: float) -> list[float]:
    """The time of a report and its text over that of its Jacobian, on one thread: the median between its quartiles."""
    torch.set_num_threads(1)
    D, B = REPORT
    flow, x = couplings(D, torch.float32), points(D, B, torch.float32)
    f = adapt(flow, x)
    contest = {"report": lambda: str(inspect_jacobian(flow, x)), "Jacobian": lambda: jacobian(f, x.double())}
    for call in contest.values():
        call()  # warms up
    return quartiles(in_turns(contest, seconds), "report", "Jacobian")


def peak_memory() -> list[float]:
    """Gigabytes that a fresh process held at most: once all was imported, and after a report at D = 784."""
    # Called before anything large is done here: on Linux a child's peak starts from its parent's.
    command = [sys.executable, "-m", "benchmarks.jacobian", "--peak"]
    return [float(word) for word in subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split()]


def print_peak() -> None:
    """What the fresh process does."""

    def gigabytes() -> float:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9

    before, (D, B) = gigabytes(), LARGE
    str(inspect_jacobian(couplings(D, torch.float32), points(D, B, torch.float32)))
    print(before, gigabytes())


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each setting (default: 20)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="how many (default: 1 2)")
    parser.add_argument("--quick", action="store_true", help="one thread, float64, 3 seconds for each setting")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        return print_peak()
    seconds = 3.0 if options.quick else options.seconds
    before, peak = peak_memory()
    names = ways(couplings(2, torch.float64), points(2, 1, torch.float64))
    print(f"{'threads, dtype, (D, B)':24}" + "".join(f"{name:>15}" for name in names) + "   ours / the fastest other")
    rows = [
        compare(threads, dtype, D, B, seconds)
        for threads in ([1] if options.quick else options.threads)
        for dtype in ([torch.float64] if options.quick else [torch.float64, torch.float32])
        for D, B in SETTINGS
    ]
    worst = max((row for row in rows if row["D"] < 784), key=lambda row: row["ratio"][1])
    report = report_over_jacobian(seconds)
    print(
        f"\nours / the fastest other, D < 784, at worst: {worst['ratio'][1]:.2f}, limit {RATIO_LIMIT:g}",
        f"report and its text / its Jacobian, (D, B) = {REPORT}: {report[1]:.1f} ({report[0]:.1f} to {report[2]:.1f}), "
        f"limit {REPORT_LIMIT:g}",
        f"peak memory of a report, (D, B) = {LARGE}: {peak:.2f} GB, of which {before:.2f} GB before it began; "
        f"limit {MEMORY_LIMIT:g} GB",
        sep="\n",
    )
    if options.json:
        whole = {"Jacobians": rows, "report over Jacobian": report, "GB before and at most": [before, peak]}
        options.json.write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
