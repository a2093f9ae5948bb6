"""The latent explorer's picture: two images and what is between them, strips of stops, log q and norms on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nfteach.plots import palette
from nfteach.widgets.live import LiveFigure

__all__ = ["LatentPicture"]

SIZE = (7.2, 6.05)  # inches: beside the controls on a laptop's screen
FONT = 9  # points: the smallest that reads well at 100 % zoom
STOPS = 11  # images in a strip
_HALF = 0.5 / (STOPS - 1)  # of the room that a stop has along t
PAPER, PEN = 0.93, 0.1  # lightness of the lowest and the highest value
COLORS = {"line": palette.FORWARD, "circle": palette.BASE, "mix": palette.DATA}
STYLES = {"line": "--", "circle": "-", "mix": ":"}  # no curve is told by its colour alone
NAMES = {"line": "straight line", "circle": "great circle", "mix": "pixel mix", "samples": "samples"}
ALT = (
    "Two real images, a and b, and between them the image at t on the path through the latents beside the mix of "
    "their pixels. Below, strips of eleven stops: on the straight line, on the great circle, of the mix of pixels, and "
    "samples. At the bottom log q and the norm of the latent along the three paths, with a point at t."
)


class LatentPicture:
    """The figure, and how images and curves become what moves in it.

    Args:
        shape: (C, H, W) of an image; three channels are colours.
        limits: the values of paper and of full ink (or of dark and bright, in colours).
        log_q: the lowest and the highest log q that are in sight to begin with.
        norms: (n,), of samples of the base: nine in ten of them lie in the grey band.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        limits: tuple[float, float],
        log_q: tuple[float, float],
        norms: np.ndarray,
    ) -> None:
        self.shape, self.limits = shape, limits
        self.figure = Figure(figsize=SIZE)
        moving = self._images() | self._strips() | self._curves(norms)
        self._reach(*log_q)
        self.live = LiveFigure(self.figure, moving, alt=ALT)

    def _axes(self, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
        """Axes at a place in inches."""
        box = (left / SIZE[0], bottom / SIZE[1], width / SIZE[0], height / SIZE[1])
        return self.figure.add_axes(box, **options)

    def _images(self) -> dict[str, Any]:
        moving: dict[str, Any] = {}
        for name, left, side, title, color in (
            ("a", 0.3, 1.0, "image a", palette.DATA),
            ("x", 1.85, 1.4, "", palette.INK),
            ("mix", 3.95, 1.4, "pixel mix at t", COLORS["mix"]),
            ("b", 5.9, 1.0, "image b", palette.DATA),
        ):
            ax = self._axes(left, 4.32 + (1.4 - side) / 2, side, side, xticks=[], yticks=[])
            ax.set_axis_off()
            moving[name] = ax.imshow(np.ones((*self.shape[1:], 3)), interpolation="nearest")
            words = ax.text(
                0.5, 1.03, title, transform=ax.transAxes, ha="center", va="bottom", fontsize=10, color=color
            )
            if not title:
                moving[f"{name} title"] = words
        return moving

    def _strips(self) -> dict[str, Any]:
        ax = self._axes(1.02, 1.8, 6.05, 2.31, xlim=(-_HALF, 1 + _HALF), ylim=(4, -0.16))
        ax.set_axis_off()
        blank, moving = np.ones((2, 2, 3)), {}
        for row, (name, words) in enumerate(NAMES.items()):
            moving[f"{name} strip"] = ax.imshow(
                blank, interpolation="nearest", extent=(-_HALF, 1 + _HALF, row + 0.96, row + 0.04), aspect="auto"
            )
            ax.text(
                -_HALF - 0.012, row + 0.5, words, ha="right", va="center", fontsize=FONT,
                color=COLORS.get(name, palette.INK),
            )  # fmt: skip
            if name in STYLES:  # the curves' key
                key = [-_HALF - 0.09, -_HALF - 0.014], [row + 0.82] * 2
                ax.plot(*key, STYLES[name], color=COLORS[name], linewidth=1.8, clip_on=False)
        frame = Rectangle((0, 0), 1, 1, fill=False, edgecolor=palette.HIGHLIGHT, linewidth=2, zorder=4, clip_on=False)
        moving["frame"] = ax.add_patch(frame)
        moving["marker"] = ax.scatter([], [], s=70, marker="v", zorder=5, clip_on=False, **_dot())
        return moving

    def _curves(self, norms: np.ndarray) -> dict[str, Any]:
        moving: dict[str, Any] = {}
        low, high = np.quantile(norms, [0.05, 0.95])
        for prefix, left, title in (("q", 0.72, "log q(x), nats"), ("norm", 4.3, "norm of z")):
            ax = self._axes(left, 0.42, 2.77, 1.1, xlim=(-0.02, 1.02))
            ax.set_title(title, fontsize=FONT, color=palette.INK, pad=3)
            ax.set_xlabel("t", fontsize=FONT, labelpad=0)
            ax.tick_params(labelsize=FONT, length=2, pad=2)
            ax.spines[["top", "right"]].set_visible(False)
            for name, color in COLORS.items():
                moving[f"{prefix} {name}"] = ax.plot([], [], STYLES[name], color=color, linewidth=1.8)[0]
            moving[f"{prefix} point"] = ax.scatter([], [], s=55, zorder=5, clip_on=False, **_dot())
        ax.set_ylim(0, 1.25 * high)
        ax.axhspan(low, high, color=palette.MUTED, alpha=0.18, linewidth=0)
        ax.text(0.99, high, "90 % of samples", ha="right", va="bottom", fontsize=FONT, color=palette.MUTED)
        self._log_q, self._norm = self.figure.axes[-2], ax
        self._log_q.locator_params(axis="y", nbins=4)
        return moving

    def _reach(self, low: float, high: float) -> None:
        margin = 0.08 * (high - low) or 1.0
        self._log_q.set_ylim(low - margin, high + margin)

    def keep_in_sight(self, log_q: np.ndarray, norms: np.ndarray) -> None:
        """Widen what is shown of log q or of norms if these go beyond it, with room to spare: it is drawn anew."""
        low, high = self._log_q.get_ylim()
        beyond = log_q.min() < low or log_q.max() > high
        if beyond:
            span = max(high, log_q.max()) - min(low, log_q.min())
            self._reach(
                low if log_q.min() >= low else log_q.min() - 0.25 * span,
                high if log_q.max() <= high else log_q.max() + 0.1 * span,
            )
        if norms.max() > self._norm.get_ylim()[1]:
            self._norm.set_ylim(0, 1.25 * norms.max())
            beyond = True
        if beyond:
            self.live.refresh()

    def painted(self, images: np.ndarray) -> np.ndarray:
        """Images (N, D) as colours (N, H, W, 3)."""
        low, high = self.limits
        shares = np.clip((images - low) / ((high - low) or 1.0), 0, 1).reshape(-1, *self.shape)
        if self.shape[0] == 3:
            return shares.transpose(0, 2, 3, 1)
        return np.repeat((PAPER + (PEN - PAPER) * shares[:, 0])[..., None], 3, axis=3)

    def strip(self, images: np.ndarray) -> np.ndarray:
        """Images (N, D) side by side, with white around them."""
        pixels = self.painted(images)
        spare = pixels.shape[1] - pixels.shape[2]  # the places are square
        rows, columns = ((size // 2, size - size // 2) for size in (max(-spare, 0), max(spare, 0)))
        pixels = np.pad(pixels, ((0, 0), rows, columns, (0, 0)), constant_values=1.0)
        # A narrow gap: each pixel of an image becomes several of the strip.
        grain = max(1, 24 // pixels.shape[2])
        pixels = pixels.repeat(grain, axis=2)
        gap = max(1, pixels.shape[2] // 24)
        return np.concatenate(list(np.pad(pixels, ((0, 0), (0, 0), (gap, gap), (0, 0)), constant_values=1.0)), axis=1)

    def at(self, t: float, path: str, log_q: float, norm: float) -> dict[str, Any]:
        """What marks t: the frame across the strips, and the points on the curves of the path."""
        return {
            "frame": [t - _HALF, 0.0, 2 * _HALF, 3.0],
            "marker": [[t, -0.1]],
            "q point": [[t, log_q]],
            "norm point": [[t, norm]],
            "x title": {"text": f"x at t, {NAMES[path]}", "color": COLORS[path]},
        }


def _dot() -> dict[str, Any]:
    return {"facecolors": [to_rgb(palette.HIGHLIGHT)], "edgecolors": palette.INK, "linewidths": 1.2}
