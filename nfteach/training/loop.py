"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from .history import History, State, copy_state, trainable
from .parts import (
    Bar,
    advice,
    batches_of,
    check_loss,
    checked,
    modes_kept,
    objective_of,
    positive,
    score_of,
    seeded,
    snapshot_steps,
    total_steps,
    updater,
)

__all__ = ["fit"]


def fit(
    model: Any,
    data: Tensor | None = None,
    *,
    loss: Callable[..., Tensor] | None = None,
    validation: Tensor | Callable[[Any], float | Tensor] | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: str | Callable[[float], float] | None = None,
    max_grad_norm: float | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    snapshots: int | Sequence[int] = 0,
    seed: int | None = None,
    progress: bool = True,
    callback: Callable[[int, float], bool | None] | None = None,
) -> History:
    """Train ``model`` by maximum likelihood, or with any loss, and return the history of the run.

    Each step computes the loss on a batch and its gradient, and makes one update with the optimiser. Batches are drawn
    without replacement; rows that do not fill a batch at the end of an epoch are skipped in that epoch.

    With validation data, the model ends with the parameters of the lowest validation loss, also after an interrupt
    (Ctrl-C, or the stop button of the notebook); without, with those of the last step. The model is trained in training
    mode and validated in evaluation mode; afterwards its mode is restored, so call ``eval()`` on a flow with
    ``BatchNorm`` before you use it.

    Args:
        model: an ``nn.Module``; or a ``FlowDistribution``, whose flow is trained, and its base if that is a module.
        data: (N, ...), of the dtype of the parameters; None if the loss needs no data.
        loss: a function ``loss(model, batch)``, or ``loss(model)`` without data, that returns a scalar. An argument
            named ``step`` receives the number of steps taken, for annealing. By default
            ``-model.log_prob(batch).mean()``.
        validation: data like ``data``, for the same loss; or a function ``validation(model)`` that returns a number,
            lower is better.
        steps: the number of updates; 1,000 unless ``epochs`` is given.
        epochs: the number of passes over the data, instead of ``steps``.
        batch_size: the number of rows in a batch; all rows if the data has fewer.
        lr: the step size of the optimiser.
        optimizer: called as ``optimizer(parameters, lr=lr)``, for instance ``torch.optim.SGD``, or
            ``functools.partial(torch.optim.AdamW, weight_decay=0.1)``. By default Adam.
        schedule: a function from progress (0 to 1) to a factor of ``lr``, or ``"cosine"``, which falls from 1 to 0.
        max_grad_norm: the norm to which longer gradients are scaled down.
        validate_every: the number of steps between two validations; by default an epoch, or a hundredth of the run if
            that is longer.
        patience: the number of validations in a row without a lower loss after which training stops.
        snapshots: the number of copies of the parameters to keep, evenly spaced from before the first to after the last
            step, the last one also if training stops early; or the steps after which to keep a copy.
        seed: the seed of the order of the data and of random numbers in the loss. It makes runs repeatable on the same
            machine with the same number of threads, and leaves torch's global generator unchanged. Without a seed, the
            global generator is used.
        progress: whether to show a bar with the loss, in notebooks and terminals.
        callback: called after each step with the steps taken and the loss; a true result stops the training.

    Raises:
        ValueError: if arguments contradict each other; if the data holds NaN or infinity, or has another dtype than the
            parameters; if ``loss`` does not return a differentiable scalar.
        FloatingPointError: if the loss becomes NaN or infinite. The model then has parameters with a finite loss: the
            best by validation, or else those of at most 20 steps before.

    Example:
        >>> class Gaussian(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.mean = torch.nn.Parameter(torch.zeros(2))
        ...     def log_prob(self, x):
        ...         return torch.distributions.Normal(self.mean, 1.0).log_prob(x).sum(-1)
        >>> model = Gaussian()
        >>> history = fit(model, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), steps=500, lr=0.05, progress=False)
        >>> model.mean.detach().round(decimals=2)
        tensor([2., 3.])
    """
    module = trainable(model)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"model must have a parameter that requires a gradient, but {type(model).__name__} has none")
    data = checked("data", data, parameters[0])
    objective = objective_of(model, data, loss)
    score = score_of(model, module, objective, validation, parameters[0])
    epoch = max(len(data) // positive("batch_size", batch_size), 1) if data is not None else 1
    total = total_steps(steps, epochs, epoch, data)
    every = max(epoch, total // 100) if validate_every is None else positive("validate_every", validate_every)
    if patience is not None and score is None:
        raise ValueError("validation must be given when patience is, but is None")
    patience = math.inf if patience is None else positive("patience", patience)
    wanted = snapshot_steps(snapshots, total)
    evenly = bool(wanted) and isinstance(snapshots, Integral)
    update = updater(parameters, optimizer, lr, schedule, max_grad_norm)
    history, keeper, started = History(), Keeper(module), time.perf_counter()

    def look(step: int) -> None:
        """Take snapshots and validate after ``step`` updates."""
        if step in wanted:
            history.snapshots.append((step, copy_state(module)))
        if score is not None and (step % every == 0 or step == total):
            history.validation.append((step, score(step)))
            history.stopped_early |= keeper.judge(*history.validation[-1]) >= patience

    with seeded(seed, parameters[0].device) as generator, modes_kept(module), Bar(total, progress) as bar:
        batches = batches_of(data, batch_size, generator)
        module.train()
        try:
            look(0)
            for step in range(1, total + 1):
                value = objective(step - 1, *next(batches))
                if step == 1:
                    check_loss(value)
                number = value.item()
                if not math.isfinite(number):
                    raise FloatingPointError(advice(number, step, total, lr))
                if step % 20 == 1:
                    keeper.remember(step - 1)
                update(value, (step - 1) / total)
                history.losses.append(number)
                look(step)
                history.stopped_early |= callback is not None and bool(callback(step, number))
                bar.show(history)
                if history.stopped_early:
                    break
            if not all(parameter.isfinite().all() for parameter in parameters):  # after the last update
                raise FloatingPointError(advice(math.nan, history.steps, total, lr, updated=True))
        except KeyboardInterrupt:
            history.interrupted = True
        except FloatingPointError:
            keeper.fall_back()
            raise
        finally:
            bar.show(history, at_once=True)
            if evenly and history.steps not in dict(history.snapshots):  # stopped before the total
                history.snapshots.append((history.steps, copy_state(module)))
            history.best_step = keeper.settle(history.steps)
            history.seconds = time.perf_counter() - started
    return history


class Keeper:
    """States to fall back to: the best by validation, and a recent one with a finite loss."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.lowest, self.misses = module, math.inf, 0
        self.best: tuple[int, State] | None = None
        self.sound: tuple[int, State] = (0, copy_state(module))

    def judge(self, step: int, value: float) -> int:
        """Keep the current state if its loss is the lowest; return the number of validations since the lowest."""
        self.misses += 1
        if value < self.lowest:
            self.lowest, self.best, self.misses = value, (step, copy_state(self.module)), 0
        return self.misses

    def remember(self, step: int) -> None:
        self.sound = (step, copy_state(self.module))

    def fall_back(self) -> None:
        self.best = self.best or self.sound

    def settle(self, step: int) -> int:
        """Load the best state, if there is one, into the module; return the step of the state that it then has."""
        if self.best is None:
            return step
        self.module.load_state_dict(self.best[1])
        return self.best[0]
