"""What a training leaves behind, and how to go through it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

__all__ = ["History", "State", "copy_state", "trainable"]

State = dict[str, Tensor]


@dataclass
class History:
    """What happened in a call of :func:`fit`.

    Attributes:
        losses: the loss of each step, in the loss's unit (nats for maximum likelihood); ``losses[0]`` is step 1's.
        validation: (steps taken, validation loss) of each look at the validation data.
        best_step: the steps taken when the parameters that were kept were reached.
        seconds: of wall time.
        snapshots: (steps taken, copy of the parameters and buffers), for :meth:`replay`.
        interrupted: whether a keyboard interrupt ended the training.
        stopped_early: whether ``patience`` or ``callback`` ended it.
    """

    losses: list[float] = field(default_factory=list, repr=False)
    validation: list[tuple[int, float]] = field(default_factory=list, repr=False)
    best_step: int = 0
    seconds: float = field(default=0.0, repr=False)  # no two runs print the same otherwise
    snapshots: list[tuple[int, State]] = field(default_factory=list, repr=False)
    interrupted: bool = False
    stopped_early: bool = False

    @property
    def steps(self) -> int:
        """The steps taken."""
        return len(self.losses)

    def replay(self, model: Any) -> Iterator[tuple[int, Any]]:
        """Go through the snapshots: (steps taken, the model as it was then). Afterwards the model is as before.

        Args:
            model: the model that was trained. It is changed in place while the loop runs, so draw or compute inside it.
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
    """The module that holds the parameters: the model, or the modules of a transformed distribution."""
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
