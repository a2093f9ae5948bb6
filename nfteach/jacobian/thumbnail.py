"""One Jacobian as a picture small enough for a row of a table."""

from __future__ import annotations

from torch import Tensor

from .heatmap import CELLS_UP_TO, MUTED, _colours, _ones, _zeros
from .structure import Structure

__all__ = ["thumbnail"]


# From so many dimensions on, dots would be a haze; a zero is then told by its shade alone.
DOTS_UP_TO = 24


def thumbnail(J: Tensor, structure: Structure) -> str:
    """An SVG of J (D, D), D up to ``CELLS_UP_TO``: the heat map's colours, dots and ones, without numbers and labels.

    Args:
        J: the Jacobian at one point.
        structure: what is zero and one at every point.
    """
    n = structure.dim
    if n > CELLS_UP_TO:
        raise ValueError(f"J: a thumbnail shows up to {CELLS_UP_TO} dimensions, but this Jacobian has {n}")
    side = 72 if n <= 8 else 96 if n <= 16 else 120
    size = max(side // n, 6) if n > 2 else 28  # below 6 units a cell cannot hold its marks: drawn large, then scaled
    parts = [
        _colours(J, structure.zero, structure.one, size),
        _zeros(structure.zero, size) if n <= DOTS_UP_TO else "",
        _ones(structure.one & ~structure.zero, size),
        f'<rect width="{n * size}" height="{n * size}" fill="none" stroke="{MUTED}"/>',
    ]
    shown, whole = min(n * size, side), n * size + 2
    return (
        f'<svg role="img" aria-label="Heat map, {structure.name}" width="{shown}" height="{shown}" '
        f'viewBox="-1 -1 {whole} {whole}">{"".join(parts)}</svg>'
    )
