"""Taking turns: what else the machine does hits all alike, and ratios are taken round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random
from time import perf_counter

from benchmarks.peers.actor import Actor
from benchmarks.timing import ratio

from .bench import Bench
from .rows import OURS, Row

__all__ = ["Contest", "in_turns", "verdict"]


class Contest:
    """The libraries, each in a process of its own, which starts when the library is first wanted."""

    def __init__(self) -> None:
        self._actors: dict[str, Actor] = {}
        self._exits = ExitStack()

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def compare(self, row: Row, threads: int, seconds: float, turn: float) -> dict:
        """One row: parameters and the rounds' milliseconds by library."""
        actors = self._start(row.libraries)
        parameters = {library: actor.ask("prepare", row, threads, turn) for library, actor in actors.items()}
        times = in_turns({library: lambda actor=actor: actor.ask("turn") for library, actor in actors.items()}, seconds)
        for actor in actors.values():
            actor.ask("clear")
        return {"parameters": parameters, "ms": {name: [1e3 * s for s in taken] for name, taken in times.items()}}

    def _start(self, libraries: list[str]) -> dict[str, Actor]:
        """Their processes, by library; those that are wanted for the first time are started side by side."""
        new = [library for library in libraries if library not in self._actors]
        with ThreadPoolExecutor() as pool:
            for library, actor in zip(new, pool.map(lambda library: Actor(Bench, library), new), strict=True):
                self._actors[library] = self._exits.enter_context(actor)
        return {library: self._actors[library] for library in libraries}


def in_turns(contest: Mapping[str, Callable[[], float]], seconds: float, fewest: int = 3) -> dict[str, list[float]]:
    """What each says when asked, one number a round, for about so many seconds.

    Args:
        contest: by name, what is asked.
        seconds: no round begins after them.
        fewest: how many rounds there are at least.
    """
    said: dict[str, list[float]] = {name: [] for name in contest}
    order, shuffle = list(contest), Random(0).shuffle
    start = perf_counter()
    while len(said[order[0]]) < fewest or perf_counter() - start < seconds:
        shuffle(order)  # nobody always has the same one before it
        for name in order:
            said[name].append(contest[name]())
    return said


def verdict(ms: dict[str, list[float]]) -> dict:
    """Who is the fastest of the others, in the median, and our ratio to it; None where nobody else is."""
    medians = {name: statistics.median(taken) for name, taken in ms.items()}
    others = [name for name in ms if name != OURS]
    fastest = min(others, key=medians.__getitem__, default=None)
    quartiles = ratio(ms, OURS, fastest) if fastest else None
    return {"medians": medians, "fastest": fastest, "ratio": quartiles, "rounds": len(ms[OURS])}
