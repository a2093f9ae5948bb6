"""One Jacobian as a picture small enough for a row of a table."""

from __future__ import annotations

from torch import Tensor

from .heatmap import CELLS_UP_TO, MUTED, _colours, _ones, _zeros
from .structure import Structure

__all__ = ["thumbnail"]


def thumbnail(J: Tensor, structure: Structure, side: int = 84) -> str:
    """An SVG of J (D, D), D up to ``CELLS_UP_TO``: the heat map's colours, dots and ones, without numbers and labels.

    Args:
        J: the Jacobian at one point.
        structure: what is zero and one at every point.
        side: how wide it is, in pixels; more where D is large.
    """
    n = structure.dim
    if n > CELLS_UP_TO:
        raise ValueError(f"J: a thumbnail shows up to {CELLS_UP_TO} dimensions, but this Jacobian has {n}")
    # Drawn at a size at which its marks are legible, then scaled: from 16 dimensions on, a cell has 6 units.
    size = max(6, side // n) if n > 1 else 32
    parts = [
        _colours(J, structure.zero, structure.one, size),
        _zeros(structure.zero, size),
        _ones(structure.one & ~structure.zero, size),
        f'<rect width="{n * size}" height="{n * size}" fill="none" stroke="{MUTED}"/>',
    ]
    shown = min(n * size, side if n <= 14 else 128)
    return (
        f'<svg role="img" aria-label="Heat map, {structure.name}" width="{shown}" height="{shown}" '
        f'viewBox="-1 -1 {n * size + 2} {n * size + 2}">{"".join(parts)}</svg>'
    )
