"""Axes-level plots with matplotlib: each function takes ``ax=None``, draws, and returns the Axes."""

# ruff: noqa: E402
from nfteach.lazy import require

require(__name__, "matplotlib")

from . import palette
from .curves import training_curve
from .density import density, samples
from .grid import grid_lines, warped_grid
from .jacobian import jacobian, structural
from .panels import panels
from .pictures import images
from .style import style

__all__ = [
    "density",
    "grid_lines",
    "images",
    "jacobian",
    "palette",
    "panels",
    "samples",
    "structural",
    "style",
    "training_curve",
    "warped_grid",
]
