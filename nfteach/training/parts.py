"""The parts of the training loop: checks of arguments, batches, updates, the progress bar."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from numbers import Integral
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from ..flows.checks import check_sizes
from .history import History

__all__ = [
    "Bar",
    "advice",
    "batches_of",
    "check_loss",
    "checked",
    "modes_kept",
    "objective_of",
    "positive",
    "score_of",
    "seeded",
    "snapshot_steps",
    "total_steps",
    "updater",
]


def positive(name: str, value: int) -> int:
    check_sizes(**{name: value})
    return value


def total_steps(steps: int | None, epochs: int | None, epoch: int, data: Tensor | None) -> int:
    if epochs is None:
        return positive("steps", 1000 if steps is None else steps)
    if steps is not None or data is None:
        raise ValueError("epochs must be given with data and without steps, but is not")
    return positive("epochs", epochs) * epoch


def snapshot_steps(snapshots: int | Sequence[int], total: int) -> set[int]:
    """Return the steps after which to keep a copy."""
    if isinstance(snapshots, Integral):
        if snapshots < 0 or snapshots == 1:
            raise ValueError(f"snapshots must be 0, or at least 2 (before and after the training), but is {snapshots}")
        return {round(k * total / (snapshots - 1)) for k in range(snapshots)}
    try:
        steps = {index(step) for step in snapshots}
    except TypeError:
        message = (
            f"snapshots must be a whole number of copies, or a list of whole numbers of steps, but is {snapshots!r}"
        )
        raise ValueError(message) from None
    beyond = sorted(step for step in steps if not 0 <= step <= total)
    if beyond:
        came = ", ".join(map(str, beyond))
        raise ValueError(f"snapshots must be steps from 0 to {total}, the end of the training, but has {came}")
    return steps


def checked(name: str, data: Any, like: Tensor) -> Tensor | None:
    """Return ``data`` on the device of the parameters, of which ``like`` is one, if the model can be trained on it."""
    if data is None:
        return None
    if not isinstance(data, Tensor):
        raise ValueError(f"{name} must be a tensor, but is a {type(data).__name__}; try torch.as_tensor({name})")
    if not data.dim() or not len(data):
        raise ValueError(f"{name} must be (N, ...) with N at least 1, but has the shape {tuple(data.shape)}")
    if data.dtype != like.dtype:
        raise ValueError(
            f"{name} must be {like.dtype} like the parameters, but is {data.dtype}; try {name}.to({like.dtype})"
        )
    if not data.isfinite().all():
        position = tuple((~data.isfinite()).nonzero()[0].tolist())
        raise ValueError(f"{name} must be finite, but has {data[position].item()} at {list(position)}")
    return data.detach().to(like.device)


def objective_of(model: Any, data: Tensor | None, loss: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """Return the function (steps taken, *batch) -> loss."""
    if loss is None:
        if data is None:
            raise ValueError("data must be given unless the loss needs none, but is None; try fit(model, data)")
        if not hasattr(model, "log_prob"):
            name = type(model).__name__
            raise ValueError(
                f"model must have log_prob, but {name} has none; try FlowDistribution(base, flow), or a loss"
            )
        return lambda step, batch: -model.log_prob(batch).mean()
    if "step" in inspect.signature(loss).parameters:
        return lambda step, *batch: loss(model, *batch, step=step)
    return lambda step, *batch: loss(model, *batch)


def score_of(
    model: Any, module: nn.Module, objective: Callable[..., Tensor], validation: Any, like: Tensor
) -> Callable[[int], float] | None:
    """Return the function steps taken -> validation loss, in evaluation mode, or None without validation."""
    if validation is None:
        return None
    rows = None if callable(validation) else checked("validation", validation, like)

    def score(step: int) -> float:
        module.eval()
        with torch.no_grad():
            if rows is None:
                value = float(validation(model))
            else:  # in parts, to bound the memory
                value = sum(float(objective(step, part)) * len(part) for part in rows.split(4096)) / len(rows)
        module.train()
        return value

    return score


def updater(
    parameters: list[nn.Parameter],
    optimizer: Callable[..., torch.optim.Optimizer] | None,
    lr: float,
    schedule: str | Callable[[float], float] | None,
    max_grad_norm: float | None,
) -> Callable[[Tensor, float], None]:
    """Return the function (loss, progress from 0 to 1) that makes one update of the parameters."""
    if optimizer is None:
        # Fused is faster: one call for all parameters.
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
        optimizer = partial(torch.optim.Adam, fused=fused)
    if not callable(optimizer):
        raise ValueError(f"optimizer must be a class such as torch.optim.SGD, or a function, but is {optimizer!r}")
    made = optimizer(parameters, lr=lr)
    if schedule is not None and schedule != "cosine" and not callable(schedule):
        raise ValueError(f'schedule must be "cosine" or a function of the progress, but is {schedule!r}')
    factor = (lambda done: (1 + math.cos(math.pi * done)) / 2) if schedule == "cosine" else schedule
    rates = [group["lr"] for group in made.param_groups]

    def update(loss: Tensor, done: float) -> None:
        made.zero_grad()
        loss.backward()
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        if factor is not None:
            for group, rate in zip(made.param_groups, rates, strict=True):
                group["lr"] = rate * factor(done)
        made.step()

    return update


def batches_of(data: Tensor | None, size: int, generator: torch.Generator | None) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches without end, each the tuple of the loss's arguments after the model."""
    if data is None or size >= len(data):
        batch = () if data is None else (data,)
        while True:
            yield batch
    while True:
        # Shuffled once an epoch, so that batches are views without a copy.
        shuffled = data[torch.randperm(len(data), generator=generator).to(data.device)]
        for start in range(0, len(data) - size + 1, size):
            yield (shuffled[start : start + size],)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[torch.Generator | None]:
    """Seed torch's global generator within the context, and yield a generator for the order of the data.

    Without a seed, change nothing and yield None.
    """
    if seed is None:
        yield None
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Restore the mode, training or evaluation, of every part of the module on exit."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_loss(value: Any) -> None:
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        came = f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        if isinstance(value, Tensor) and not value.dim():
            came = "one that does not depend on the parameters"
        raise ValueError(f"loss must return a differentiable scalar tensor, but returned {came}; try .mean()")


def advice(number: float, step: int, total: int, lr: float, *, updated: bool = False) -> str:
    """Return the message for a loss that is not finite, or (``updated``) for parameters that are not finite."""
    if step == 1 and not updated:
        return (
            f"the loss must be finite, but is {number} at step 1 of {total}, before any update: the model as given "
            "does not assign a finite log-density to some of the data. Look for rows where model.log_prob(data) is not "
            "finite."
        )
    when = f"{'with the last update, step' if updated else 'at step'} {step} of {total}"
    return (
        f"the loss must be finite, but became {number} {when}. The model has been reset to parameters with a finite "
        f"loss. Try a smaller lr (it was {lr:g}), max_grad_norm=1.0, standardised data, or float64."
    )


class Bar:
    """A progress bar of negligible cost: it is updated at most ten times a second. Without tqdm there is none."""

    def __init__(self, total: int, visible: bool) -> None:
        self.bar, self.due = None, 0.0
        if visible and find_spec("tqdm") is not None:
            from tqdm.auto import tqdm  # imported late, because the import looks for a notebook

            self.bar = tqdm(total=total, desc="fit", unit="step")

    def show(self, history: History, at_once: bool = False) -> None:
        if self.bar is None or not history.losses or (time.perf_counter() < self.due and not at_once):
            return
        self.due = time.perf_counter() + 0.1
        recent = history.losses[-50:]
        text = f"loss {sum(recent) / len(recent):.3f}"
        if history.validation:
            text += f", validation {history.validation[-1][1]:.3f}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(history.steps - self.bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
