"""The look of the course's figures: no ground of their own, no box, texts that light and dark pages both show."""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import product

from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, MaxNLocator

from .palette import DATA, LATENT, SOFT

__all__ = ["LABEL", "TITLE", "dress", "style"]

LABEL, TITLE = 9, 10  # points; 12.5 and 14 pixels in a notebook

SETTINGS = {
    "figure.hooks": [f"{__name__}:without_ground"],
    "figure.constrained_layout.use": True,
    "font.size": LABEL,
    "text.color": SOFT,
    "axes.facecolor": "none",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.labelsize": LABEL,
    "axes.titlecolor": SOFT,
    "axes.titlesize": TITLE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[DATA, LATENT, SOFT]),
    "legend.frameon": False,
    "legend.fontsize": LABEL,
    "lines.linewidth": 2.0,
    **{f"{axis}tick.{name}": value for axis, (name, value) in product("xy", [("color", SOFT), ("labelsize", LABEL)])},
}


def without_ground(figure: Figure) -> None:
    """Leave out the ground of a figure. Behind a ground of a transparent colour, Jupyter would put a white slab."""
    figure.set_frameon(False)


def style() -> AbstractContextManager[None]:
    """Return a context in which figures get the course's look; it also decorates functions.

    Outside, matplotlib's settings are as they were. The plots of this package do not need the context; other artists,
    such as lines, texts and legends, have the look if they are drawn inside.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> with style():
        ...     figure, ax = plt.subplots(figsize=(4, 3))
        >>> ax.xaxis.label.get_color()
        '#767676'
        >>> plt.close(figure)
    """
    return rc_context(SETTINGS)


def dress(ax: Axes, *, plane: bool = False) -> Axes:
    """Give existing Axes the course's look, and return them; their data, limits, texts and given ticks stay.

    Args:
        ax: the Axes.
        plane: the Axes show the plane: the axes have no lines, and few ticks.
    """
    ax.set_facecolor("none")
    ax.tick_params(colors=SOFT, labelsize=LABEL)
    ax.spines[:].set(color=SOFT)
    ax.spines[["top", "right"]].set_visible(False)
    for text, size in ((ax.xaxis.label, LABEL), (ax.yaxis.label, LABEL), (ax.title, TITLE)):
        text.set(color=SOFT, fontsize=size)
    if plane:
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_locator(), AutoLocator):
                axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], prune="both"))
    return ax
