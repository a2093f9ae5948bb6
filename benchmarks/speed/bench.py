"""A model at work: what lives in each library's process."""

from __future__ import annotations

from math import ceil
from time import perf_counter, process_time

import torch
from torch import Tensor

from .rows import DENSITY, SAMPLE, TRAIN, Row

__all__ = ["Bench"]


class Bench:
    """One library's models, one at a time, and the clock over them.

    Args:
        library: its name in ``benchmarks.peers``.
    """

    def __init__(self, library: str) -> None:
        self.library = library

    def prepare(self, row: Row, threads: int, seconds: float) -> int:
        """Build the model, check it, warm it up; returns its number of parameters.

        Args:
            row: what is to be done.
            threads: of torch.
            seconds: a turn shall last so long, so that the clock can tell it.
        """
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        # One thread is timed by the processor's clock, which stops while other programs run.
        self.clock = process_time if threads == 1 else perf_counter
        self.model, self.batch = row.peers.build(self.library, *row.sizes), row.batch
        self.x = torch.randn(row.batch, row.sizes[0])
        # The step size is so small that the model stays the one that was built, however many steps are taken.
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-7)
        tasks = {TRAIN: self._elbo_step if row.model == "planar" else self._step, DENSITY: self._density}
        self.task = (tasks | {SAMPLE: self._sample})[row.task]
        start = perf_counter()
        self._check(row)
        self.calls = 1
        if perf_counter() - start < 0.5:  # a MADE of many dimensions draws for seconds, and needs no more warmth
            self.turn()
            self.calls = ceil(seconds / max(min(self.turn() for _ in range(2)), 1e-6))
        return sum(parameter.numel() for parameter in self.model.parameters())

    def turn(self) -> float:
        """Seconds per call. One call before them is not timed: it wakes caches and threads."""
        if self.calls > 1:
            self.task()
        start = self.clock()
        for _ in range(self.calls):
            self.task()
        return (self.clock() - start) / self.calls

    def clear(self) -> None:
        """Free the model's memory."""
        self.model = self.optimiser = self.task = None

    def _check(self, row: Row) -> None:
        """Shapes are right and numbers finite; else what is timed is no density.

        Raises:
            ValueError: if not.
        """
        drawn = self._sample() if row.task == SAMPLE else self.x
        if row.model == "planar":
            drawn, log_q = self.model.draw_with_log_prob(self.batch)
        else:
            log_q = self._density()
        shapes = tuple(drawn.shape), tuple(log_q.shape)
        finite = bool(drawn.isfinite().all() and log_q.isfinite().all())
        if shapes != (tuple(self.x.shape), (self.batch,)) or not finite:
            raise ValueError(f"{self.library}, {row.words}: shapes {shapes}, finite: {finite}")

    def _step(self) -> None:
        """Maximum likelihood."""
        self._update(-self.model.log_prob(self.x).mean())

    def _elbo_step(self) -> None:
        """Reverse KL to a standard normal, up to a constant."""
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
