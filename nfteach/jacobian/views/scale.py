"""The colours of signed quantities: purple below zero, green above, as strong as the value is large."""

from __future__ import annotations

from torch import Tensor, tensor, where

__all__ = ["NEGATIVE", "POSITIVE", "opacity", "signed"]

# Both stand out from white (3.4 and 3.5 to 1) and from JupyterLab's dark ground, #111 (5.5 and 5.4 to 1).
NEGATIVE, POSITIVE = "#B96CD2", "#2E9C4E"
STRONGEST = 0.78  # the opacity of infinity; text in the page's colour stays legible on it


def opacity(values: Tensor) -> Tensor:
    """Return 0.78 \\|v\\| / (1 + \\|v\\|) for each value v, and 0 for NaN, so that all pictures can be compared."""
    size = values.abs().nan_to_num(nan=0.0)  # infinity becomes the largest finite number
    return STRONGEST * size / (1 + size)


def signed(values: Tensor) -> Tensor:
    """Return the colours of values, (...) -> (..., 4): red, green, blue and opacity, each from 0 to 1."""
    colours = values.new_empty(*values.shape, 4)
    colours[..., :3] = where((values >= 0)[..., None], rgb(POSITIVE).to(values), rgb(NEGATIVE).to(values))
    colours[..., 3] = opacity(values)
    return colours


def rgb(colour: str) -> Tensor:
    """Convert "#RRGGBB" to three numbers from 0 to 1."""
    return tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
