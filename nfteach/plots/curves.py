"""Training curves: losses over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes

from . import palette
from ._shared import axes
from .style import LABEL

__all__ = ["training_curve"]


class Trained(Protocol):
    """A record of a training, such as :class:`nfteach.training.History`."""

    losses: Sequence[float]
    validation: Sequence[tuple[int, float]]
    best_step: int


def training_curve(history: Trained, ax: Axes | None = None, *, unit: str = "nats") -> Axes:
    """Draw the loss of every step, its running mean, the validation losses, and the step that was kept.

    With validation, the names stand at the ends of the curves. The scale is that of the later steps, since the first
    losses are often far larger.

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
    ax.plot(steps, losses, color=palette.SOFT, linewidth=0.6, alpha=0.5)
    window = max(len(losses) // 50, 1)
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    ax.plot(steps[window - 1 :], mean, color=palette.SOFT, linewidth=2)
    # All losses after the first twentieth of the steps are in view.
    shown = losses[len(losses) // 20 :]
    low, high = shown.min(), shown.max()
    if history.validation:
        at, values = np.array(history.validation, dtype=float).T
        ax.plot(at, values, color=palette.DATA, linewidth=1.8, marker="o", markersize=3.5)
        later = values[at >= len(losses) // 20]
        low, high = min(low, later.min(initial=low)), max(high, later.max(initial=high))
    margin = 0.05 * (high - low) or 1.0
    ax.set(xlabel="step", ylabel=f"loss [{unit}]", xlim=(0, len(losses)), ylim=(low - margin, high + margin))
    if history.validation:
        _name_ends(ax, [("training", mean[-1], palette.SOFT), ("validation", values[-1], palette.DATA)])
        _mark_kept(ax, history.best_step, len(losses))
    return ax


def _mark_kept(ax: Axes, step: int, steps: int) -> None:
    """Draw a line at the step that was kept, and its name on the side with more room."""
    ax.axvline(step, color=palette.SOFT, linestyle="--", linewidth=1)
    side = -1 if step > steps / 2 else 1
    ax.annotate(
        f"kept: step {step}",
        (step, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4 * side, 0),
        textcoords="offset points",
        ha="right" if side < 0 else "left",
        va="top",
        color=palette.SOFT,
        fontsize=LABEL,
    )


def _name_ends(ax: Axes, ends: list[tuple[str, float, str]]) -> None:
    """Write names to the right of the ends of curves, a line of text apart."""
    low, high = ax.get_ylim()
    line = 1.4 * LABEL / (ax.get_window_extent().height * 72 / ax.figure.dpi) * (high - low)
    lowest = low
    for name, value, color in sorted(ends, key=lambda end: end[1]):
        lowest = max(value, lowest)
        ax.annotate(
            name,
            (1, lowest),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=LABEL,
        )
        lowest += line
