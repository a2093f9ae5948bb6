"""What all replays have in common: a model looked at in each of its snapshots, once, and shown step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.widgets.controls import choice
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.layers.planes import centres
from nfteach.widgets.replay.looking import Look, Model

__all__ = ["Replay", "cells_of", "check_history", "chosen"]


class Replay(Explorer):
    """A slider over the snapshots of a training. A subclass draws the picture and says what a frame shows.

    It sets ``looks``, ``steps`` and ``last`` before the explorer is built, most easily by :meth:`go_through`.

    Attributes:
        looks: what was seen at each snapshot shown.
        steps: the training steps at which they were kept.
        last: the steps of the whole training.
    """

    wide = True
    help = "Press play, or focus the slider below the picture and use the arrow keys."

    def go_through(self, model: Model, history: Any, frames: int, **asked: Any) -> None:
        """Look at the model in at most ``frames`` of the history's snapshots, evenly chosen, the ends included.

        Args:
            asked: the arguments of :meth:`Model.look`.
        """
        wanted = chosen(len(history.snapshots), frames)
        self.looks: list[Look] = [
            model.look(int(step), **asked)
            for index, (step, _) in enumerate(history.replay(model.trained))
            if index in wanted
        ]
        self.steps, self.last = [look.step for look in self.looks], len(history.losses)
        self.losses = np.asarray(history.losses, dtype=float)

    def build_controls(self) -> dict[str, Any]:
        return {"scale": choice("colour is", {"√ density": "root", "log density": "log"}, "root")}

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        """What is shown of one snapshot, its ``readout`` included."""
        raise TypeError(f"{type(self).__name__} shows nothing: define frame(self, look, scale)")

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        frames = []
        for look in self.looks:
            frame = self.frame(look, state["scale"])
            frame["readout"] = {"training step": f"{look.step} of {self.last}", **frame["readout"]}
            frames.append(frame | {"label": f"step {look.step}"})
        self.live.set_frames(frames)
        return {}

    def set(self, *, step: int | None = None, **state: Any) -> None:
        """Move controls, and go to the snapshot kept after ``step`` training steps.

        Raises:
            ValueError: a name that is no control, a value outside its range, or a step that was not kept; nothing has
                changed then.
        """
        if step is not None and (isinstance(step, bool) or step not in self.steps):
            raise ValueError(f"step must be one that was kept, {_listed(self.steps)}, but is {step!r}")
        if state or step is None:
            super().set(**state)
        if step is not None:
            self.live.frame = self.steps.index(step)

    def reset(self) -> None:
        """Back to where the replay began."""
        self.set(step=self.steps[-1], **self._initial)

    def loss_at(self, step: int) -> float | None:
        """The loss of the last update made by then, or None before the first."""
        return float(self.losses[step - 1]) if step > 0 else None


def check_history(history: Any) -> None:
    """Raises ValueError if there is nothing in ``history`` to be gone through."""
    missing = [name for name in ("losses", "snapshots", "replay") if not hasattr(history, name)]
    if missing:
        raise ValueError(f"history must be what fit returned, but is a {type(history).__name__} without {missing[0]}")
    if not history.snapshots:
        raise ValueError("history has no snapshots to go through; keep some on the way: fit(..., snapshots=21)")
    if not len(history.losses):
        raise ValueError("history holds no training step, so there is nothing to go through")


def chosen(there: int, most: int) -> set[int]:
    """Which of so many snapshots to show: at most ``most``, evenly, the first and the last included."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 2:
        raise ValueError(f"frames must be a whole number from 2 up, but is {most!r}")
    return {round(at) for at in np.linspace(0, there - 1, min(there, most)).tolist()}


def cells_of(extent: tuple[float, float, float, float], resolution: int) -> tuple[Tensor, float]:
    """The centres of the cells (resolution^2, 2) of a view, and the area of one."""
    left, right, bottom, top = extent
    points = torch.from_numpy(centres(extent, resolution)).reshape(-1, 2)
    return points, (right - left) * (top - bottom) / resolution**2


def _listed(steps: Sequence[int]) -> str:
    words = [str(step) for step in steps]
    return ", ".join(words if len(words) <= 7 else [*words[:3], "...", *words[-2:]])
