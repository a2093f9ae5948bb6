"""What the measurements of time and memory share: turns, quartiles, growth, and the most that was held at once."""

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

__all__ = ["allocated", "exponent", "in_turns", "peak_memory", "quartiles", "ratio"]


def in_turns(
    contest: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 5, most: int = 10_000
) -> dict[str, list[float]]:
    """Milliseconds, one number a round, for as many ``seconds`` as given; at least ``rounds`` and at ``most`` as many.

    All take turns, so that what else the machine does hits all alike. One thread is timed by the processor's clock,
    which stops while other programs run; more by the clock on the wall, which means something only on idle cores.
    """
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    times: dict[str, list[float]] = {name: [] for name in contest}
    order, shuffle = list(contest), Random(0).shuffle
    start, done = perf_counter(), 0
    while done < rounds or (perf_counter() - start < seconds and done < most):
        shuffle(order)  # nobody always has the same one before it
        for name in order:
            times[name].append(1e3 * timeit(contest[name], timer=clock, number=1))
        done += 1
    return times


def quartiles(values: Sequence[float]) -> list[float]:
    """The lower quartile, the median and the upper quartile."""
    return statistics.quantiles(values, n=4, method="inclusive")


def ratio(times: Mapping[str, Sequence[float]], one: str, other: str) -> list[float]:
    """The quartiles of one's time over the other's, round by round."""
    return quartiles([a / b for a, b in zip(times[one], times[other], strict=True)])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    """The p of the power law, value ~ size^p, that fits best, and its standard error.

    A straight line through the logarithms by least squares; the error is that of its slope, from how far the values
    are from the line: by noise, or because the growth is no power.
    """
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    (p, start), n = statistics.linear_regression(x, y), len(x)
    middle = statistics.fmean(x)
    off = sum((b - start - p * a) ** 2 for a, b in zip(x, y, strict=True))
    return [p, math.sqrt(off / (n - 2) / sum((a - middle) ** 2 for a in x)) if n > 2 else math.nan]


def allocated(work: Callable[[], object]) -> int:
    """The most bytes in tensors made by ``work`` that were alive at the same time.

    Exact and the same each time, however little it is. What is not in tensors, such as the scratch room of a matrix
    product, is not seen; :func:`peak_memory` sees all, in whole pages.
    """
    with _Tensors() as tensors:
        work()
    return tensors.peak


class _Tensors(TorchDispatchMode):
    """Looks at what each operation returns: a new storage counts until its last tensor is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.peak, self._bytes = 0, 0
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}  # by address, which a weak reference keeps taken

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        for thing in tree_iter((args, kwargs)):
            self._meet(thing, counts=False)  # it was there before
        out = function(*args, **(kwargs or {}))
        for thing in tree_iter(out):
            self._meet(thing, counts=True)
        if self._bytes > self.peak:  # with what may be gone by now: only here is it worth while to look
            self._seen = {at: seen for at, seen in self._seen.items() if not seen[0].expired()}
            self._bytes = sum(size for _, size in self._seen.values())
            self.peak = max(self.peak, self._bytes)
        return out

    def _meet(self, thing: object, counts: bool) -> None:
        if isinstance(thing, Tensor) and (storage := thing.untyped_storage())._cdata not in self._seen:
            size = storage.nbytes() if counts else 0
            self._seen[storage._cdata] = StorageWeakRef(storage), size
            self._bytes += size


def peak_memory(prepare: Callable[..., Callable[[], object]], *args: Any) -> list[int]:
    """The most bytes that a fresh process held: once ``work = prepare(*args)`` was there, and after ``work()``.

    Args:
        prepare: a function at the top of a module.
        args: what pickle can send.
    """
    with Actor(_Held, prepare, *args) as process:
        return process.ask("before_and_at_most")


class _Held:
    def __init__(self, prepare: Callable[..., Callable[[], object]], *args: Any) -> None:
        self.work = prepare(*args)

    def before_and_at_most(self) -> list[int]:
        before = _held_at_most()
        self.work()
        return [before, _held_at_most()]


def _held_at_most() -> int:
    """Bytes of memory that this process has held at most since it began."""
    # Linux also counts what the parent held when it started us into ru_maxrss, but not into VmHWM.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
