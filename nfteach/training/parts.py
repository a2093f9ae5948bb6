"""What the training loop is made of: checked arguments, batches, updates, the bar."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

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
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 up, but is {value!r}")
    return value


def total_steps(steps: int | None, epochs: int | None, epoch: int, data: Tensor | None) -> int:
    if epochs is None:
        return positive("steps", 1000 if steps is None else steps)
    if steps is not None or data is None:
        raise ValueError("epochs are passes over data: give data with them, and give no steps")
    return positive("epochs", epochs) * epoch


def snapshot_steps(snapshots: int | Sequence[int], total: int) -> set[int]:
    """After which steps to keep a copy."""
    if isinstance(snapshots, Integral):
        if snapshots < 0 or snapshots == 1:
            raise ValueError(f"snapshots must be 0, or at least 2 (the first is before training), but is {snapshots}")
        return {round(k * total / (snapshots - 1)) for k in range(snapshots)}
    try:
        asked = {index(step) for step in snapshots}
    except TypeError:
        message = (
            f"snapshots must be a whole number of copies, or a list of whole numbers of steps, but is {snapshots!r}"
        )
        raise ValueError(message) from None
    beyond = sorted(step for step in asked if not 0 <= step <= total)
    if beyond:
        came = ", ".join(map(str, beyond))
        raise ValueError(f"snapshots must be after steps from 0 to {total}, those of this training, but has {came}")
    return asked


def checked(name: str, data: Any, like: Tensor) -> Tensor | None:
    """``data`` where the parameters are, if the model can be trained on it."""
    if data is None:
        return None
    if not isinstance(data, Tensor):
        raise ValueError(f"{name} must be a tensor, but is a {type(data).__name__}; try torch.as_tensor({name})")
    if not data.dim() or not len(data):
        raise ValueError(f"{name} must be (N, ...) with N at least 1, but has the shape {tuple(data.shape)}")
    if data.dtype != like.dtype:
        raise ValueError(f"{name} is {data.dtype}, but the parameters are {like.dtype}; try {name}.to({like.dtype})")
    if not data.isfinite().all():
        position = tuple((~data.isfinite()).nonzero()[0].tolist())
        raise ValueError(f"{name} has {data[position].item()} at {list(position)}; every value must be finite")
    return data.detach().to(like.device)


def objective_of(model: Any, data: Tensor | None, loss: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """(steps taken, *batch) -> loss."""
    if loss is None:
        if data is None:
            raise ValueError("data is None: give data to fit, or a loss that needs none")
        if not hasattr(model, "log_prob"):
            name = type(model).__name__
            raise ValueError(f"model: {name} has no log_prob; try FlowDistribution(base, flow), or give a loss")
        return lambda step, batch: -model.log_prob(batch).mean()
    if "step" in inspect.signature(loss).parameters:
        return lambda step, *batch: loss(model, *batch, step=step)
    return lambda step, *batch: loss(model, *batch)


def score_of(
    model: Any, module: nn.Module, objective: Callable[..., Tensor], validation: Any, like: Tensor
) -> Callable[[int], float] | None:
    """Steps taken -> validation loss, in evaluation mode."""
    if validation is None:
        return None
    rows = None if callable(validation) else checked("validation", validation, like)

    def score(step: int) -> float:
        module.eval()
        with torch.no_grad():
            if rows is None:
                value = float(validation(model))
            else:  # in parts, so that memory does not grow with the data
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
    """(loss, progress from 0 to 1) -> one update of the parameters."""
    if optimizer is None:
        # Fused: one call for all parameters.
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
    """Batches without end, as the arguments that a loss gets after the model."""
    if data is None or size >= len(data):
        batch = () if data is None else (data,)
        while True:
            yield batch
    while True:
        # Shuffled whole, once an epoch: batches are then views, which cost nothing.
        shuffled = data[torch.randperm(len(data), generator=generator).to(data.device)]
        for start in range(0, len(data) - size + 1, size):
            yield (shuffled[start : start + size],)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[torch.Generator | None]:
    """A generator for the order of the data, and torch's global one seeded for a while, if there is a seed."""
    if seed is None:
        yield None
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Afterwards, every part of the module is in the mode, training or evaluation, in which it was."""
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
        raise ValueError(f"loss must give a scalar tensor to differentiate, but gave {came}; is a .mean() missing?")


def advice(number: float, step: int, total: int, lr: float, *, updated: bool = False) -> str:
    """What to say when the loss of a step is no number, or (``updated``) the parameters are none after its update."""
    if step == 1 and not updated:
        return (
            f"the loss is {number} at step 1 of {total}, before any update: the model as it comes gives no finite "
            "log-density to some of the data. Look at the rows where model.log_prob(data) is not finite."
        )
    when = f"{'with the last update, step' if updated else 'at step'} {step} of {total}"
    return (
        f"the loss became {number} {when}. The model has parameters with a finite loss again. "
        f"Try a smaller lr (it was {lr:g}), max_grad_norm=1.0, standardised data, or float64."
    )


class Bar:
    """A progress bar that costs next to nothing: it is touched ten times a second, however short the steps."""

    def __init__(self, total: int, visible: bool) -> None:
        from tqdm.auto import tqdm  # late: it looks for a notebook when loaded

        self.bar = tqdm(total=total, desc="fit", unit="step") if visible else None
        self.due = 0.0

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
