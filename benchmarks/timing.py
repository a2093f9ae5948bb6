"""Measurements of time and memory: timing in turns, ratios, exponents of growth, and peak memory."""

from __future__ import annotations

import math
import resource
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from timeit import timeit
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from benchmarks.peers.actor import Actor

__all__ = [
    "allocated",
    "clock",
    "exponent",
    "fastest_other",
    "in_turns",
    "milliseconds",
    "peak_memory",
    "quartiles",
    "ratio",
]


def clock() -> Callable[[], float]:
    """Return the processor's clock for one thread, else the wall clock.

    The processor's clock stops while other programs run; the wall clock is meaningful only on idle cores.
    """
    return process_time if torch.get_num_threads() == 1 else perf_counter


def milliseconds(work: Callable[[], object]) -> float:
    """Time one call of ``work`` by :func:`clock`."""
    return 1e3 * timeit(work, timer=clock(), number=1)


def in_turns(
    contest: Mapping[str, Callable[[], Any]],
    seconds: float,
    rounds: int = 5,
    most: int = 10_000,
    measure: Callable[[Callable[[], Any]], float] = milliseconds,
) -> dict[str, list[float]]:
    """Measure all entries of a contest in each round, so that a load on the machine affects all of them alike.

    Args:
        contest: the functions to measure, by name.
        seconds: the time after which no further round begins.
        rounds: the minimum number of rounds, whatever time they take.
        most: the maximum number of rounds.
        measure: maps a function of the contest to a number; by default the milliseconds of one call.

    Returns:
        the measurements by name, one for each round.
    """
    results: dict[str, list[float]] = {name: [] for name in contest}
    order, shuffle = list(contest), Random(0).shuffle
    start, done = perf_counter(), 0
    while done < rounds or (perf_counter() - start < seconds and done < most):
        shuffle(order)  # no entry always follows the same one
        for name in order:
            results[name].append(measure(contest[name]))
        done += 1
    return results


def quartiles(values: Sequence[float]) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    return statistics.quantiles(values, n=4, method="inclusive")


def ratio(times: Mapping[str, Sequence[float]], one: str, other: str) -> list[float]:
    """Return the quartiles of the time of ``one`` over that of ``other``, taken round by round."""
    return quartiles([a / b for a, b in zip(times[one], times[other], strict=True)])


def fastest_other(times: Mapping[str, Sequence[float]], ours: str) -> str | None:
    """Return the name of the entry with the lowest median apart from ``ours``; None if there is no other entry."""
    return min((name for name in times if name != ours), key=lambda name: statistics.median(times[name]), default=None)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    """Fit a power law, value ~ size^p; return p and its standard error.

    The fit is a least-squares line through the logarithms. The standard error is that of its slope and reflects the
    distance of the values from the line, be it noise or growth that follows no power law. It is NaN for two sizes.
    """
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    (p, start), n = statistics.linear_regression(x, y), len(x)
    middle = statistics.fmean(x)
    off = sum((b - start - p * a) ** 2 for a, b in zip(x, y, strict=True))
    return [p, math.sqrt(off / (n - 2) / sum((a - middle) ** 2 for a in x)) if n > 2 else math.nan]


def allocated(work: Callable[[], object]) -> int:
    """Return the peak number of bytes in tensors that ``work`` created and that were alive at the same time.

    The count is exact and reproducible, however small. It leaves out memory that is not in tensors, such as the
    workspace of a matrix product; :func:`peak_memory` includes it, in whole pages.
    """
    with _Tensors() as tensors:
        work()
    return tensors.peak


class _Tensors(TorchDispatchMode):
    """A dispatch mode that counts the bytes of new storages until their last tensor is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.peak, self._bytes = 0, 0
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}  # by address; the weak reference keeps it from reuse

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        for argument in tree_iter((args, kwargs)):
            self._meet(argument, counts=False)  # existed before
        out = function(*args, **(kwargs or {}))
        for result in tree_iter(out):
            self._meet(result, counts=True)
        if self._bytes > self.peak:  # an upper bound, since it includes freed storages; only here they are dropped
            self._seen = {at: seen for at, seen in self._seen.items() if not seen[0].expired()}
            self._bytes = sum(size for _, size in self._seen.values())
            self.peak = max(self.peak, self._bytes)
        return out

    def _meet(self, value: object, counts: bool) -> None:
        if isinstance(value, Tensor) and (storage := value.untyped_storage())._cdata not in self._seen:
            size = storage.nbytes() if counts else 0
            self._seen[storage._cdata] = StorageWeakRef(storage), size
            self._bytes += size


def peak_memory(prepare: Callable[..., Callable[[], object]], *args: Any) -> list[int]:
    """Return the peak memory of a fresh process in bytes, before and after it calls ``work = prepare(*args)``.

    Args:
        prepare: a function at the top level of a module; it runs in the fresh process.
        args: its arguments, which must be picklable.
    """
    with Actor(_Held, prepare, *args) as process:
        return process.call("before_and_after")


class _Held:
    """A piece of work and the peak memory of the process that does it."""

    def __init__(self, prepare: Callable[..., Callable[[], object]], *args: Any) -> None:
        self.work = prepare(*args)

    def before_and_after(self) -> list[int]:
        before = _peak_bytes()
        self.work()
        return [before, _peak_bytes()]


def _peak_bytes() -> int:
    """Return the peak memory of this process since its start, in bytes."""
    # On Linux, ru_maxrss also counts the memory of the parent at the time of the fork; VmHWM does not.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
