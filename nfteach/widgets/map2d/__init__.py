"""The two-dimensional change of variables."""

from nfteach.widgets.map2d.explorer import MapExplorer2D

__all__ = ["MapExplorer2D"]
