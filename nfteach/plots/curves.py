"""Training curves: losses over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes

from . import palette
from ._shared import axes

__all__ = ["training_curve"]


class Trained(Protocol):
    """A record of a training, such as :class:`nfteach.training.History`."""

    losses: Sequence[float]
    validation: Sequence[tuple[int, float]]
    best_step: int


def training_curve(history: Trained, ax: Axes | None = None, *, unit: str = "nats") -> Axes:
    """Draw the loss of every step, its running mean, the validation losses, and the step that was kept.

    The scale is that of the later steps, since the first losses are often far larger.

    Args:
        history: the training's record, as returned by ``fit``.
        ax: the Axes to draw on; by default those of a new figure.
        unit: the unit of the loss, for the axis label.

    Raises:
        ValueError: if the history has no steps.
    """
    losses = np.asarray(history.losses, dtype=float)
    if not len(losses):
        raise ValueError("history must have at least one training step, but has none; try fit(..., steps=100)")
    ax = axes(ax, (6.0, 3.4))
    steps = np.arange(1, len(losses) + 1)
    ax.plot(steps, losses, color=palette.MUTED, linewidth=0.6, alpha=0.5)
    window = max(len(losses) // 50, 1)
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    ax.plot(steps[window - 1 :], mean, color=palette.INK, linewidth=2, label="training")
    # All losses after the first twentieth of the steps are in view.
    shown = losses[len(losses) // 20 :]
    low, high = shown.min(), shown.max()
    if history.validation:
        at, values = np.array(history.validation, dtype=float).T
        ax.plot(at, values, color=palette.HIGHLIGHT, linewidth=1.8, marker="o", markersize=3.5, label="validation")
        ax.axvline(history.best_step, color=palette.MUTED, linestyle="--", label=f"kept: step {history.best_step}")
        later = values[at >= len(losses) // 20]
        low, high = min(low, later.min(initial=low)), max(high, later.max(initial=high))
    margin = 0.05 * (high - low) or 1.0
    ax.set(xlabel="step", ylabel=f"loss [{unit}]", xlim=(0, len(losses)), ylim=(low - margin, high + margin))
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
