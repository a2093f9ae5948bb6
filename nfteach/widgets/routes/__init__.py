"""Three routes to a cheap determinant, side by side."""

from nfteach.widgets.routes.explorer import RoutesExplorer

__all__ = ["RoutesExplorer"]
