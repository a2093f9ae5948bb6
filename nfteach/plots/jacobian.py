"""Heat maps of Jacobians that show which output depends on which input, and the entries fixed by construction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from nfteach.jacobian.numbers import cell
from nfteach.jacobian.views.scale import signed

from . import palette
from ._shared import axes, to_array
from .style import LABEL, TITLE

__all__ = ["jacobian", "structural"]

Block = tuple[
    str, tuple[int, int], tuple[int, int]
]  #: name, (first row, last row + 1), (first column, last column + 1)


def structural(jacobians: Any) -> np.ndarray:
    """Return the entries that are fixed by construction: (D, D), 0 or 1 where all Jacobians (B, D, D) have that value.

    Free entries are NaN. More points, in general position, make the result more reliable: at a single point an inactive
    ReLU gives an accidental zero.
    """
    batch = to_array(jacobians).astype(float)
    batch = batch.reshape(-1, *batch.shape[-2:])
    pattern = np.full(batch.shape[1:], np.nan)
    pattern[(batch == 0).all(axis=0)] = 0
    pattern[(batch == 1).all(axis=0)] = 1
    return pattern


def jacobian(
    J: Any,
    ax: Axes | None = None,
    *,
    sample: int = 0,
    entries: bool | None = None,
    blocks: Sequence[Block] | bool = (),
    structure: Any = None,
    ordering: Sequence[int] | tuple[Sequence[int], Sequence[int]] | str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw J, J[i, j] = dy_i / dx_j, and distinguish zeros and ones by construction from free entries.

    Free entries are purple below zero and green above, with the opacity 0.78 \\|v\\| / (1 + \\|v\\|) in every picture.
    An entry that is zero by construction is a dot, one that is one by construction a bold 1, or a stroke in small
    cells, both on the page's own ground.

    Args:
        J: a ``JacobianReport``, a Jacobian (D, D), or Jacobians at B points (B, D, D), as tensor or array.
        ax: the Axes to draw on; by default those of a new figure, large enough for the numbers if D is at most 8.
        sample: the index of the point to draw, from 0 to B - 1.
        entries: print the numbers; by default if they fit into the cells at 9 points.
        blocks: outlines, each ``(name, (row, row end), (column, column end))`` counted from 0, with exclusive ends;
            True for those of a report's structure, in the structure's ordering.
        structure: (D, D), with 0 or 1 for entries fixed by construction and NaN for free ones; by default the structure
            of the report, or else the entries that are exactly 0 or 1 at all B points.
        ordering: the order of rows and columns; or a pair, the order of the rows and that of the columns; or
            ``"structure"``, the order that reveals the structure of a report. ``blocks`` refer to the new order.
        title: the title; by default the one that ``ax`` has already, or else the structure's name if ``J`` is a report.

    Raises:
        ValueError: if J is not square, or ``sample``, ``structure``, ``ordering`` or ``blocks`` do not fit it.
    """
    found = getattr(J, "structure", None)
    if found is None and (blocks is True or ordering == "structure"):
        raise ValueError(
            "J must be a JacobianReport with a structure for blocks=True or ordering='structure', "
            f"but is a {type(J).__name__}; try inspect_jacobian"
        )
    if hasattr(J, "jacobian"):
        J = J.jacobian
    if found is not None:
        structure = np.where(found.one, 1, np.where(found.zero, 0, np.nan)) if structure is None else structure
        if blocks is True:
            blocks, ordering = _blocks_of(found), "structure"
        if ordering == "structure":
            ordering = (found.row_ordering, found.ordering)
    batch = to_array(J).astype(float)
    if batch.ndim not in (2, 3) or batch.shape[-1] != batch.shape[-2]:
        raise ValueError(f"J must be (D, D) or (B, D, D), but has the shape {batch.shape}")
    batch = batch.reshape(-1, *batch.shape[-2:])
    if not -len(batch) <= sample < len(batch):
        raise ValueError(f"sample must be one of the {len(batch)} points, 0 to {len(batch) - 1}, but is {sample}")
    values, D = batch[sample], batch.shape[-1]
    pattern = structural(batch) if structure is None else to_array(structure).astype(float)
    if pattern.shape != (D, D):
        raise ValueError(f"structure must be ({D}, {D}) as J is, but has the shape {pattern.shape}")
    rows, columns = _orders(ordering, D)
    values, pattern = values[np.ix_(rows, columns)], pattern[np.ix_(rows, columns)]
    zeros, ones = pattern == 0, pattern == 1
    free = ~(zeros | ones)

    ax = axes(ax, _figure_size(D))
    side = min(ax.get_window_extent().width, ax.get_window_extent().height) / D * 72 / ax.figure.dpi  # points
    printed = side >= 32 if entries is None else entries
    colours = signed(torch.from_numpy(values)).numpy()
    if printed:  # the colour of a number fits one ground only, which it is therefore given
        colours = _on_paper(colours)
    colours[~free] = 0
    ax.imshow(colours, interpolation="nearest")
    _mark(ax, zeros, ones, side, numbers=printed)
    if printed:
        _print_entries(ax, values, free, colours)
    for block in blocks:
        _outline(ax, block, D)
    if title is None:
        title = ax.get_title() or getattr(found, "name", "")
    _label(ax, rows, columns, D, title)
    return ax


def _orders(ordering: Any, D: int) -> tuple[list[int], list[int]]:
    """Return the order of the rows and that of the columns."""
    if ordering is None:
        return list(range(D)), list(range(D))
    pair = ordering if len(ordering) == 2 and np.ndim(ordering[0]) == 1 else (ordering, ordering)
    orders = [[int(index) for index in order] for order in pair]
    for order in orders:
        if sorted(order) != list(range(D)):
            raise ValueError(
                f"ordering must be a permutation of 0 to {D - 1}, or a pair of permutations, but has {order}"
            )
    return orders[0], orders[1]


def _blocks_of(structure: Any) -> list[Block]:
    """Return the blocks of a structure: the four of a coupling with their names, else those along the diagonal."""
    ends = np.cumsum([0, *map(len, structure.blocks)]).tolist()
    spans = list(pairwise(ends))
    if structure.name == "coupling" and len(spans) == 2:
        kept, changed = spans
        cross = r"$\partial y_{\mathrm{changed}} / \partial x_{\mathrm{kept}}$"
        rest = to_array(structure.zero)[np.ix_(structure.blocks[1], structure.blocks[1])]
        shape = "diagonal" if rest[~np.eye(len(rest), dtype=bool)].all() else "triangular"
        return [("I", kept, kept), ("0", kept, changed), (cross, changed, kept), (shape, changed, changed)]
    return [("", span, span) for span in spans]


def _figure_size(D: int) -> tuple[float, float]:
    """Return the size in inches, with cells wide enough for numbers up to D = 8, and a constant size for larger D."""
    side = max(0.56 * min(D, 8) + 0.9, 3.0)
    return side, side


def _on_paper(colours: np.ndarray) -> np.ndarray:
    """Return colours (..., 4) blended with the ground of printed numbers."""
    opacity = colours[..., 3:]
    blended = opacity * colours[..., :3] + (1 - opacity) * to_rgb(palette.PAPER)
    return np.concatenate([blended, np.ones_like(opacity)], axis=-1)


def _mark(ax: Axes, zeros: np.ndarray, ones: np.ndarray, side: float, numbers: bool) -> None:
    """Mark zeros with dots and ones with a 1, so that neither depends on colour alone."""
    dot = np.clip(side / 10, 0.6, 3)
    i, j = np.nonzero(zeros)
    ax.plot(j, i, linestyle="", marker="o", markersize=dot, color=palette.SOFT, markeredgewidth=0)
    i, j = np.nonzero(ones)
    if numbers or side >= 12:
        for row, column in zip(i, j, strict=True):
            ax.text(column, row, "1", ha="center", va="center", color=palette.SOFT, fontsize=TITLE, weight="bold")
    else:
        ax.plot(j, i, linestyle="", marker="|", markersize=0.6 * side, color=palette.SOFT, markeredgewidth=0.8)


def _print_entries(ax: Axes, values: np.ndarray, free: np.ndarray, colours: np.ndarray) -> None:
    """Print the free entries, dark on light cells and light on dark ones."""
    lightness = colours[..., :3] @ (0.299, 0.587, 0.114)
    for i, j in zip(*np.nonzero(free), strict=True):
        colour = palette.INK if lightness[i, j] > 0.5 else "white"
        ax.text(j, i, cell(values[i, j]), ha="center", va="center", color=colour, fontsize=LABEL)


def _outline(ax: Axes, block: Block, D: int) -> None:
    """Draw a frame around a block, with its name on a tab."""
    name, (top, bottom), (left, right) = block
    if not (0 <= top < bottom <= D and 0 <= left < right <= D):
        raise ValueError(
            f"blocks must have rows and columns between 0 and {D}, and at least one of each, "
            f"but {name!r} has rows {(top, bottom)} and columns {(left, right)}"
        )
    corner, width, height = (left - 0.5, top - 0.5), right - left, bottom - top
    # Without clipping, since the edge of the axes would halve the outer lines.
    ax.add_patch(Rectangle(corner, width, height, fill=False, linewidth=2, edgecolor=palette.SOFT, clip_on=False))
    if not name:
        return
    # The tab is on the frame's upper line and leaves the numbers in the cells uncovered.
    tab = {"boxstyle": "round,pad=0.2", "facecolor": palette.PAPER, "edgecolor": palette.SOFT, "linewidth": 0.8}
    offset = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": LABEL, "color": palette.INK}
    ax.annotate(name, corner, **offset, bbox=tab, zorder=4)


def _label(ax: Axes, rows: list[int], columns: list[int], D: int, title: str) -> None:
    """Label the dimensions, counted from 1 as in the papers; for large D only some of them."""
    every = 1 if D <= 16 else -(-D // 8)
    at = range(0, D, every)
    ax.set_xticks(at, [str(columns[k] + 1) for k in at])
    ax.set_yticks(at, [str(rows[k] + 1) for k in at])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.set(xlabel="input $x_j$", ylabel="output $y_i$", xlim=(-0.5, D - 0.5), ylim=(D - 0.5, -0.5))
    ax.set_title(title, pad=12, fontsize=TITLE)  # above the tabs of blocks
