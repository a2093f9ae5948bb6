"""A Jacobian as cells with numbers, in which zeros and ones by construction look unlike all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba

from nfteach.jacobian.numbers import cell
from nfteach.plots import palette
from nfteach.widgets.live import HeatMap

__all__ = ["JacobianCells", "marked"]

FONT = 9  # points: the smallest that reads well at 100 % zoom
_SHADES = 254  # of the signed colours; the table of 256 begins with the colours of zero and one


class JacobianCells(HeatMap):
    r"""A matrix in which what is exactly 0 is grey with a dot, exactly 1 is yellow, and the rest has signed colours.

    The colours saturate slowly, v / (1 + \|v\|), so that they mean the same at every moment. See :func:`marked` for
    entries that are 0 or 1 by accident.

    Args:
        ax: where to draw; its ticks are taken away.
        shape: (rows, columns).
        decimals: of the numbers in the cells; None for no numbers, where they would not fit.
        zero: what is written for an exact 0.
    """

    def __init__(
        self, ax: Axes, shape: tuple[int, int], decimals: int | None = 2, zero: str = "\N{MIDDLE DOT}"
    ) -> None:
        self.decimals, self.zero = decimals, zero
        super().__init__(ax, np.zeros(shape), cmap=_COLORS, limits=(0.0, 1.0), fontsize=FONT)
        self.image.set_norm(_Slowly(0.0, 1.0))
        self.image.axes.set_aspect("auto")

    def numbers(self, matrix: np.ndarray) -> list[str]:
        """What is written in the cells, row by row."""
        return [self._word(value) for value in matrix.ravel().tolist()]

    def _word(self, value: float) -> str:
        if value == 0:
            return self.zero
        return "" if self.decimals is None else "1" if value == 1 else cell(value, self.decimals)


class _Slowly(Normalize):
    """0 and 1 to the first two colours of the table, the rest to the signed ones."""

    def __call__(self, value: Any, clip: bool | None = None) -> np.ma.MaskedArray:
        # Masked arrays are slow, and only matplotlib's own drawing has need of the mask.
        plain = np.asarray(np.ma.getdata(value), dtype=float)
        index = 2 + (_SHADES - 1e-9) * (0.5 + 0.5 * plain / (1 + np.abs(plain)))
        index[plain == 0], index[plain == 1] = 0.5, 1.5
        return np.ma.array(index / (_SHADES + 2), mask=np.ma.getmask(value))


_COLORS = ListedColormap(
    [to_rgba(palette.ZERO), to_rgba(palette.ONE), *colormaps[palette.SIGNED](np.linspace(0, 1, _SHADES))]
)


def marked(J: np.ndarray, zero: np.ndarray, one: np.ndarray) -> np.ndarray:
    """J (D, D) with exact zeros and ones where ``zero`` and ``one`` (D, D) say they are so by construction, only there.

    Entries that are 0 or 1 by accident, as where a ReLU is off, become the number next to it.
    """
    values = np.where((J == 0) | (J == 1), np.nextafter(J, 2), J)
    return np.where(zero, 0.0, np.where(one, 1.0, values))
