"""Jacobians that move, with what is zero or one by construction told apart from what happens to be."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba

from nfteach.plots import palette
from nfteach.widgets.layers.planes import BACK, FONT
from nfteach.widgets.live import HeatMap

__all__ = ["NUMBERS_UP_TO", "marked", "matrix_in"]

NUMBERS_UP_TO = 6  # dimensions: beyond, numbers that can be read do not fit
LIMIT = 2.0  # where the colours of free entries end

# Entries by construction travel in the matrix itself, far beyond any derivative that is still told apart by colour.
_MARK, _BEYOND = 1e6, 5e5
_COLORS = ListedColormap(
    np.vstack([
        colormaps[palette.SIGNED](np.linspace(0, 1, 254)),
        [to_rgba(palette.ZERO), to_rgba(palette.ONE)],
    ])
)  # fmt: skip


class _Norm(Normalize):
    """Free entries to the first 254 colours, marks to the last two."""

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        values = np.ma.getdata(value).astype(float)
        free = np.clip((values + LIMIT) / (2 * LIMIT), 0, 1) * (253.9 / 256)
        marks = np.where(values > 0, 255.5, 254.5) / 256
        return np.ma.array(np.where(np.abs(values) > _BEYOND, marks, free))


class _Matrix(HeatMap):
    """A heat map that writes 1 and a dot for entries that are one and zero by construction."""

    def numbers(self, matrix: np.ndarray) -> list[str]:
        free = super().numbers(matrix)
        flat = matrix.ravel().tolist()
        words = zip(flat, free, strict=True)
        return [("1" if value > 0 else "·") if abs(value) > _BEYOND else word for value, word in words]


def marked(matrices: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Matrices (..., D, D) for :func:`matrix_in`: an entry is marked where it and ``pattern`` are both 0, or both 1.

    Args:
        pattern: (..., D, D), as ``plots.structural`` gives it: 0, 1, and NaN where an entry is free.
    """
    free = np.clip(matrices, -0.9 * _BEYOND, 0.9 * _BEYOND)
    free = np.where((pattern == 0) & (matrices == 0), -_MARK, free)
    return np.where((pattern == 1) & (matrices == 1), _MARK, free)


def matrix_in(ax: Axes, dim: int, title: str) -> Any:
    """A (dim, dim) matrix that moves: in numbers while these can be read, else in colours."""
    begin = marked(np.eye(dim), np.eye(dim))
    ax.set_title(title, fontsize=10)
    if dim > NUMBERS_UP_TO:
        ax.set(xticks=[], yticks=[])
        return ax.imshow(begin, cmap=_COLORS, norm=_Norm(-LIMIT, LIMIT), interpolation="nearest", zorder=BACK)
    written = {"format": "{:.2f}" if dim <= 4 else "{:.1f}", "fontsize": 10 if dim <= 3 else FONT}
    matrix = _Matrix(ax, begin, cmap=_COLORS, limits=(-LIMIT, LIMIT), **written)
    matrix.image.set_norm(_Norm(-LIMIT, LIMIT))
    matrix.image.set_zorder(BACK)
    matrix.set_values(begin)
    return matrix
