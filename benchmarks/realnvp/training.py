"""One training for all libraries: plain torch, in the process that has the library."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.realnvp import build

__all__ = ["Trainer"]


class Trainer:
    """Trains models of one library; lives in an :class:`~benchmarks.peers.actor.Actor`.

    Nothing of nfteach is used here but the model itself, when it is its turn.
    """

    def train(
        self,
        library: str,
        parts: dict[str, np.ndarray],
        *,
        layers: int,
        hidden: tuple[int, ...],
        steps: int,
        batch: int,
        lr: float,
        looks: int,
        seed: int,
    ) -> dict:
        """Maximum likelihood by Adam, the step size falling along half a cosine, gradients no longer than 5.

        The parameters with the lowest loss on the validation part, of all looks at it, are those that are tested, once.

        Args:
            library: of :mod:`benchmarks.peers.realnvp`.
            parts: "train", "validation" and "test", each (N, D).
            layers, hidden: of the model.
            steps: updates, each on ``batch`` points; epochs are shuffled alike for all libraries.
            lr: the first step size.
            looks: at the validation part, evenly.
            seed: of the initial parameters and of the order of the data.

        Returns:
            "parameters": how many; "validation": the mean loss at each look, in nats; "step": of the best look;
            "test": the mean log-likelihood of the test part, in nats; "broke": the step at which the loss was no longer
            finite, which ends the training, or None.
        """
        train, validation, test = (torch.from_numpy(parts[name]) for name in ("train", "validation", "test"))
        torch.manual_seed(seed)
        model = build(library, train.shape[1], layers, tuple(hidden))
        parameters = list(model.parameters())
        adam = torch.optim.Adam(parameters, lr=lr, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        every, lowest, best, step_of_best = steps // looks, math.inf, copy.deepcopy(model.state_dict()), 0
        curve, broke = [], None
        for step, points in zip(range(1, steps + 1), batches(train, batch, seed), strict=False):
            adam.zero_grad()
            loss = -log_prob(model, points).mean()
            if not loss.isfinite():
                broke = step
                break
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            adam.step()
            schedule.step()
            if step % every == 0:
                curve.append(-mean_log_prob(model, validation))
                if curve[-1] < lowest:
                    lowest, best, step_of_best = curve[-1], copy.deepcopy(model.state_dict()), step
        model.load_state_dict(best)
        return {
            "parameters": sum(parameter.numel() for parameter in parameters),
            "validation": curve,
            "step": step_of_best,
            "test": mean_log_prob(model, test),
            "broke": broke,
        }


def batches(data: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Batches (size, D) without end, each epoch in a new order; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data), generator=generator)
        yield from (data[rows] for rows in order.split(size) if len(rows) == size)


def log_prob(model: torch.nn.Module, x: Tensor) -> Tensor:
    """log q(x) (N,); NaN for all where a library's base refuses the NaN that some point came to."""
    try:
        return model.log_prob(x)
    except ValueError as error:
        if "within the support" not in str(error):
            raise
        return x.new_full((len(x),), math.nan)


def mean_log_prob(model: torch.nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return torch.cat([log_prob(model, rows) for rows in x.split(5000)]).double().mean().item()
