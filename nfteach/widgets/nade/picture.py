"""The NADE stepper's picture: pixels, curves, and the network's numbers, and one frame a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter
from torch import Tensor

from nfteach.flows import NADE
from nfteach.flows.nade import NADEStep
from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure

__all__ = ["NADEPicture"]

SIZE = (7.3, 4.95)  # inches: beside the controls on a laptop's screen
FONT = 9  # points: the smallest that reads well at 100 % zoom
SATURATED = 6.0  # sigmoid(6) = 0.998: beyond, an activation changes h no more, nor its colour
UNSEEN, PAPER, PEN = (np.array(to_rgb(color)) for color in ("#C9D6E3", "white", palette.INK))
ALT = (
    "One step of a NADE. Above: the pixels seen so far with the present one outlined, the probability that each was "
    "given before it was seen, the running log-likelihood, and the multiply-adds of both algorithms. Below: the lit "
    "column of W, the activation a, the hidden units h, the lit row of V, and the probability of a one."
)


class NADEPicture:
    """The figure of the stepper, and how the records of a walk become its frames."""

    def __init__(self, nade: NADE, shape: tuple[int, int]) -> None:
        self.nade, self.shape = nade, shape
        self.figure = Figure(figsize=SIZE)
        moving = self._images() | self._curves() | self._network()
        self.live = LiveFigure(self.figure, moving, frame_label="step", alt=ALT)

    def _axes(self, box: tuple[float, float, float, float], title: str, **options: Any) -> Axes:
        """Axes at (left, bottom, width, height) in inches, with a title."""
        left, bottom, width, height = box
        ax = self.figure.add_axes((left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1]))
        ax.set_title(title, fontsize=FONT, color=palette.INK)
        ax.set(**options)
        ax.tick_params(labelsize=FONT, length=2, pad=2)
        ax.xaxis.label.set(size=FONT)
        ax.yaxis.label.set(size=FONT)
        return ax

    def _images(self) -> dict[str, Any]:
        blank, none = np.broadcast_to(UNSEEN, (*self.shape, 3)), {"xticks": [], "yticks": []}
        moving = {}
        for name, left, title in (("pixels", 0.12, "pixels so far"), ("chances", 1.82, "p(x = 1), as predicted")):
            ax = self._axes((left, 3.0, 1.55, 1.55), title, **none)
            moving[name] = ax.imshow(blank, interpolation="nearest")
            moving[f"{name} now"] = ax.add_patch(_outline(2.5))
        return moving

    def _curves(self) -> dict[str, Any]:
        dim, self.costs = self.nade.dim, _costs(self.nade)
        d, dot = np.arange(dim + 1), {"s": 28, "zorder": 3, "clip_on": False}
        ax = self.score = self._axes((3.95, 3.0, 1.35, 1.55), "log-likelihood, nats", xlim=(0, dim), xlabel="step d")
        self._reach(-0.75 * dim * np.log(2))
        ax.plot(d, -d * np.log(2), "--", color=palette.MUTED, linewidth=1)
        ax.text(0.03, 0.03, "dashed: coins", transform=ax.transAxes, fontsize=FONT, color=palette.MUTED)
        moving = {
            "score": ax.plot([0], [0], color=palette.DATA, linewidth=2)[0],
            "score now": ax.scatter([], [], color=palette.HIGHLIGHT, **dot),
        }
        ax = self._axes((5.83, 3.0, 1.35, 1.55), "multiply-adds", xlim=(0, dim), xlabel="step d")
        ax.set_ylim(0, 1.08 * self.costs[-1, 1])
        ax.yaxis.set_major_formatter(EngFormatter(sep=""))
        for column, color, words in ((1, palette.INK, "direct"), (0, palette.FORWARD, "running")):
            ax.plot(d, self.costs[:, column], color=color, linewidth=1.5, alpha=0.6, label=words)
        moving["costs"] = ax.scatter([0, 0], [0, 0], c=[palette.FORWARD, palette.INK], **dot)
        ax.legend(frameon=False, fontsize=FONT, loc="upper left", handlelength=1.2)
        for ax in self.figure.axes[-2:]:
            ax.spines[["top", "right"]].set_visible(False)
        return moving

    def _network(self) -> dict[str, Any]:
        dim, hidden = self.nade.dim, self.nade.hidden
        none, strip = {"xticks": [], "yticks": []}, {"aspect": "auto", "interpolation": "nearest"}
        ax = self._axes((0.42, 0.55, 1.75, 1.75), f"W   {hidden} × {dim}", ylabel="hidden unit", **none)
        _weights(ax, self.nade.W.numpy())
        moving = {"column": ax.add_patch(_outline(1.4))}
        ax = self._axes((0.42, 0.36, 1.75, 0.12), "", xlabel="pixel, and what is known of x", **none)
        moving["known"] = ax.imshow(np.broadcast_to(UNSEEN, (1, dim, 3)), **strip)
        ax = self._axes((2.6, 0.55, 0.24, 1.75), "$a_d$", **none)
        moving["a"] = ax.imshow(np.zeros((hidden, 1)), cmap=palette.SIGNED, vmin=-SATURATED, vmax=SATURATED, **strip)
        ax = self._axes((3.25, 0.55, 0.24, 1.75), "$h_d$", **none)
        moving["h"] = ax.imshow(np.zeros((hidden, 1)), cmap="Greys", vmin=0, vmax=1, **strip)
        ax = self._axes((3.95, 0.55, 1.75, 1.75), f"V   {dim} × {hidden}", xlabel="hidden unit", ylabel="pixel", **none)
        _weights(ax, self.nade.V.numpy())
        moving["row"] = ax.add_patch(_outline(1.4))
        ax = self._axes((6.45, 0.55, 0.3, 1.75), "p(x = 1 | before)", xlim=(0, 1), ylim=(0, 1), xticks=[])
        ax.set_title(ax.get_title(), fontsize=FONT, color=palette.INK, pad=9)  # clear of the dot at x = 1
        moving["bar"] = ax.add_patch(Rectangle((0, 0), 1, 0, color=palette.MUTED))
        moving["value"] = ax.scatter([], [], s=60, color=palette.DATA, zorder=3, clip_on=False)
        moving["words"] = ax.text(0.5, -0.13, "", ha="center", va="center", fontsize=FONT, color=palette.INK)
        for x, words in ((2.385, "+"), (3.045, "\u03c3"), (5.94, "\u03c3")):
            self.figure.text(x / SIZE[0], 1.43 / SIZE[1], f"{words}\n\u2192", ha="center", va="center", fontsize=11)
        return moving

    def _reach(self, lowest: float) -> None:
        self.score.set_ylim(1.05 * lowest, -0.02 * lowest)

    def frames(self, steps: list[NADEStep], given: int) -> list[dict[str, Any]]:
        """D + 1 frames: the beginning, and one for every step."""
        total = steps[-1].running_log_prob.item()
        if total < self.score.get_ylim()[0]:
            self._reach(1.1 * total)
            self.live.refresh()
        width = self.shape[1]
        pixels = np.tile(UNSEEN, (self.nade.dim, 1))
        chances, curve, frames = pixels.copy(), [(0.0, 0.0)], [self._beginning()]
        for d, step in enumerate(steps, start=1):
            p, value, i = step.probability.item(), int(step.value), step.index
            pixels[i] = PEN if value else PAPER
            chances[i] = p * PEN + (1 - p) * PAPER
            curve.append((d, step.running_log_prob.item()))
            row, column = divmod(i, width)
            cell, done = (column - 0.5, row - 0.5, 1, 1), "given" if d <= given else "drawn"
            frames.append(
                {
                    "pixels": pixels.reshape(*self.shape, 3).copy(),
                    "chances": chances.reshape(*self.shape, 3).copy(),
                    "known": pixels[None].copy(),
                    "pixels now": {"box": cell, "visible": True},
                    "chances now": {"box": cell, "visible": True},
                    "column": {"box": (i - 0.5, -0.5, 1, self.nade.hidden), "visible": True},
                    "row": {"box": (-0.5, i - 0.5, self.nade.hidden, 1), "visible": True},
                    **self._moment(step.a, step.h, curve, d),
                    "bar": (0, 0, 1, p),
                    "value": {"points": [(0.5, value)], "visible": True},
                    "words": f"p = {p:.3f}\nx = {value}",
                    "label": f"({row + 1}, {column + 1}) {value}, {done}",
                    "readout": {
                        "pixel": f"({row + 1}, {column + 1})",
                        "p(x = 1 | before)": p,
                        "x": value,
                        "log p(x | before)": (step.log_prob.item(), "nats"),
                        "log p so far": (curve[-1][1], "nats"),
                        "log p at the end": (total, "nats"),
                        "multiply-adds, running": step.multiply_adds,
                        "multiply-adds, direct": step.multiply_adds_direct,
                    },
                }
            )
        return frames

    def _beginning(self) -> dict[str, Any]:
        """Frame 0: nothing is known, a_1 = c."""
        blank, hide = np.broadcast_to(UNSEEN, (self.nade.dim, 3)), {"visible": False}
        c = self.nade.c
        return {
            "pixels": blank.reshape(*self.shape, 3),
            "chances": blank.reshape(*self.shape, 3),
            "known": blank[None],
            **dict.fromkeys(("pixels now", "chances now", "column", "row", "value"), hide),
            **self._moment(c, torch.sigmoid(c), [(0.0, 0.0)], 0),
            "bar": (0, 0, 1, 0),
            "words": "",
            "label": "nothing is known",
            "readout": {
                "log p so far": (0.0, "nats"),
                "multiply-adds, running": 0,
                "multiply-adds, direct": 0,
            },
        }

    def _moment(self, a: Tensor, h: Tensor, curve: list[tuple[float, float]], d: int) -> dict[str, Any]:
        return {
            "a": a[:, None].numpy(),
            "h": h[:, None].numpy(),
            "score": np.array(curve),
            "score now": [curve[-1]],
            "costs": [(d, self.costs[d, 0]), (d, self.costs[d, 1])],
        }


def _costs(nade: NADE) -> np.ndarray:
    """The multiply-adds after 0, 1, ... D steps, (D + 1, 2): running and direct. They are the same for every image."""
    steps = nade.steps(torch.zeros_like(nade.b))
    return np.array([(0, 0), *((step.multiply_adds, step.multiply_adds_direct) for step in steps)])


def _weights(ax: Axes, matrix: np.ndarray) -> None:
    # The few largest weights would bleach all the others.
    limit = max(float(np.quantile(np.abs(matrix), 0.99)), 1e-6)
    ax.imshow(matrix, cmap=palette.SIGNED, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")


def _outline(width: float) -> Rectangle:
    return Rectangle(
        (0, 0), 1, 1, fill=False, edgecolor=palette.HIGHLIGHT, linewidth=width, zorder=4, clip_on=False, visible=False
    )
