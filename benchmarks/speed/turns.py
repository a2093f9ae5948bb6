"""Comparison of the libraries: turns in each round, and ratios taken round by round."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from benchmarks.peers.actor import Actor
from benchmarks.timing import fastest_other, in_turns, ratio

from .bench import Bench
from .rows import OURS, Row

__all__ = ["Contest", "verdict"]


class Contest:
    """The libraries, each in a process of its own, which starts when the library is first needed."""

    def __init__(self) -> None:
        self._actors: dict[str, Actor] = {}
        self._exits = ExitStack()

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def compare(self, row: Row, threads: int, seconds: float, turn: float) -> dict:
        """Measure one row; return the number of parameters and the milliseconds of each round, by library."""
        actors = self._start(row.libraries)
        parameters = {library: actor.call("prepare", row, threads, turn) for library, actor in actors.items()}
        turns = {library: lambda actor=actor: 1e3 * actor.call("turn") for library, actor in actors.items()}
        times = in_turns(turns, seconds, rounds=3, measure=lambda take: take())
        for actor in actors.values():
            actor.call("clear")
        return {"parameters": parameters, "ms": times}

    def _start(self, libraries: list[str]) -> dict[str, Actor]:
        """Return the libraries' processes, and start those that are needed for the first time."""
        for library in libraries:
            if library not in self._actors:
                self._actors[library] = self._exits.enter_context(Actor(Bench, library))
        return {library: self._actors[library] for library in libraries}


def verdict(ms: dict[str, list[float]]) -> dict:
    """Return medians, fastest other library, our ratio to it (both None if there is no other), and number of rounds."""
    medians = {name: statistics.median(taken) for name, taken in ms.items()}
    fastest = fastest_other(ms, OURS)
    quartiles = ratio(ms, OURS, fastest) if fastest else None
    return {"medians": medians, "fastest": fastest, "ratio": quartiles, "rounds": len(ms[OURS])}
