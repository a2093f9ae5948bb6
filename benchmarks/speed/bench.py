"""The part of the speed benchmark that runs in each library's process."""

from __future__ import annotations

from math import ceil
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.timing import clock

from .rows import DENSITY, SAMPLE, TRAIN, Row

__all__ = ["Bench"]


class Bench:
    """A timer for the models of one library, one model at a time.

    Args:
        library: the library's name in ``benchmarks.peers``.
    """

    def __init__(self, library: str) -> None:
        self.library = library

    def prepare(self, row: Row, threads: int, seconds: float) -> int:
        """Build the model, check it, and warm it up; return its number of parameters.

        Args:
            row: the task and the model.
            threads: the number of torch's threads.
            seconds: the minimum duration of a turn, so that the clock can resolve it.
        """
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.clock = clock()
        self.model, self.batch = row.peers.build(self.library, *row.sizes), row.batch
        self.x = torch.randn(row.batch, row.sizes[0])
        if row.task == TRAIN:  # the tiny step size keeps the model practically unchanged
            self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-7)
        tasks = {TRAIN: self._elbo_step if row.model == "planar" else self._step, DENSITY: self._density}
        self.task = (tasks | {SAMPLE: self._sample})[row.task]
        start = perf_counter()
        self._check(row)
        self.calls = 1
        if perf_counter() - start < 0.5:  # sampling a large MADE takes seconds, with no need to warm up
            self.turn()
            self.calls = ceil(seconds / max(min(self.turn() for _ in range(2)), 1e-6))
        return sum(parameter.numel() for parameter in self.model.parameters())

    def turn(self) -> float:
        """Return the seconds per call, after an untimed call that warms caches and threads."""
        if self.calls > 1:
            self.task()
        start = self.clock()
        for _ in range(self.calls):
            self.task()
        return (self.clock() - start) / self.calls

    def clear(self) -> None:
        """Release the model's memory."""
        self.model = self.optimiser = self.task = None

    def _check(self, row: Row) -> None:
        """Check that the model returns finite points and densities of the right shapes.

        Raises:
            ValueError: if it does not.
        """
        drawn = self._sample() if row.task == SAMPLE else self.x
        if row.model == "planar":
            drawn, log_q = self.model.draw_with_log_prob(self.batch)
        else:
            log_q = self._density()
        shapes, expected = (tuple(drawn.shape), tuple(log_q.shape)), (tuple(self.x.shape), (self.batch,))
        if shapes != expected:
            raise ValueError(f"{self.library}, {row.words}: shapes must be {expected}, but are {shapes}")
        if not (drawn.isfinite().all() and log_q.isfinite().all()):
            raise ValueError(f"{self.library}, {row.words}: points and densities must be finite, but are not")

    def _step(self) -> None:
        """Take a step of maximum likelihood."""
        self._update(-self.model.log_prob(self.x).mean())

    def _elbo_step(self) -> None:
        """Take a step on the reverse KL divergence from a standard normal, up to a constant."""
        x, log_q = self.model.draw_with_log_prob(self.batch)
        self._update((log_q + 0.5 * (x * x).sum(-1)).mean())

    def _update(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def _density(self) -> Tensor:
        with torch.no_grad():
            return self.model.log_prob(self.x)

    def _sample(self) -> Tensor:
        return self.model.sample(self.batch)
