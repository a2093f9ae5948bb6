"""The one-dimensional change of variables."""

from nfteach.widgets.map1d.explorer import MapExplorer1D

__all__ = ["MapExplorer1D"]
