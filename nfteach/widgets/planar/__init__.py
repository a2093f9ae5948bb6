"""One planar layer, and where it folds."""

from nfteach.widgets.planar.explorer import PlanarExplorer

__all__ = ["PlanarExplorer"]
