"""The training that all libraries share: plain torch, in the process that imports the library."""

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
    """A trainer for the models of one library, used in an :class:`~benchmarks.peers.actor.Actor`.

    It uses nothing of nfteach except nfteach's own models.
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
        """Train by maximum likelihood with Adam, a cosine schedule of the step size, and gradients clipped to norm 5.

        Of all evaluations on the validation part, the parameters with the lowest loss are tested, once.

        Args:
            library: the library's name in :mod:`benchmarks.peers.realnvp`.
            parts: "train", "validation" and "test", each (N, D).
            layers, hidden: the form of the model.
            steps: the number of updates.
            batch: the number of points in an update; the batches are the same for all libraries.
            lr: the initial step size.
            looks: the number of evaluations on the validation part, evenly spaced.
            seed: the seed of the initial parameters and of the order of the data.

        Returns:
            "parameters": the number of parameters; "validation": the mean loss at each evaluation, in nats; "step": the
            step of the best evaluation; "test": the mean log-likelihood of the test part, in nats; "broke": the step at
            which the loss became non-finite, which ends the training, or None.
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
    """Yield batches (size, D) without end, in a new order each epoch; a seed fixes them."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data), generator=generator)
        yield from (data[rows] for rows in order.split(size) if len(rows) == size)


def log_prob(model: torch.nn.Module, x: Tensor) -> Tensor:
    """Return log q(x) (N,), or NaN for all points if the library's base rejects a NaN among them."""
    try:
        return model.log_prob(x)
    except ValueError as error:
        if "within the support" not in str(error):
            raise
        return x.new_full((len(x),), math.nan)


def mean_log_prob(model: torch.nn.Module, x: Tensor) -> float:
    """Return the mean of log q(x) over x (N, D), without gradients."""
    with torch.no_grad():
        return torch.cat([log_prob(model, rows) for rows in x.split(5000)]).double().mean().item()
