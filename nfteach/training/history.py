"""The record of a training run, with snapshots for replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

__all__ = ["History", "State", "copy_state", "trainable"]

State = dict[str, Tensor]


@dataclass
class History:
    """The record of a call of :func:`fit`.

    Attributes:
        losses: the loss of each step, in the unit of the loss (nats for maximum likelihood); ``losses[0]`` is that of
            step 1.
        validation: (steps taken, validation loss) of each evaluation on the validation data.
        best_step: the number of steps after which the model had the parameters that were kept.
        seconds: the wall time in seconds.
        snapshots: (steps taken, copy of the parameters and buffers), for :meth:`replay`.
        interrupted: whether a keyboard interrupt ended the training.
        stopped_early: whether ``patience`` or ``callback`` ended the training.
    """

    losses: list[float] = field(default_factory=list, repr=False)
    validation: list[tuple[int, float]] = field(default_factory=list, repr=False)
    best_step: int = 0
    seconds: float = field(default=0.0, repr=False)  # not in repr, so that equal runs print equally
    snapshots: list[tuple[int, State]] = field(default_factory=list, repr=False)
    interrupted: bool = False
    stopped_early: bool = False

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.losses)

    def replay(self, model: Any) -> Iterator[tuple[int, Any]]:
        """Yield (steps taken, the model with the parameters of that step) for each snapshot, then restore the model.

        Args:
            model: the trained model. It is changed in place, so use it inside the loop.
        """
        module = trainable(model)
        present = copy_state(module)
        try:
            for step, state in self.snapshots:
                module.load_state_dict(state)
                yield step, model
        finally:
            module.load_state_dict(present)


def trainable(model: Any) -> nn.Module:
    """Return the module that holds the parameters: the model, or the modules of a transformed distribution."""
    if isinstance(model, nn.Module):
        return model
    parts = [*getattr(model, "transforms", ()), getattr(model, "base_dist", None)]
    modules = [part for part in parts if isinstance(part, nn.Module)]
    if not modules:
        came = type(model).__name__
        raise ValueError(f"model must be a torch.nn.Module, or a FlowDistribution that holds one, but is a {came}")
    return modules[0] if len(modules) == 1 else nn.ModuleList(modules)


def copy_state(module: nn.Module) -> State:
    return {name: value.clone() for name, value in module.state_dict().items()}
