"""A triangular map: its Jacobian in two orders, its conditionals, and its inverse step by step."""

from nfteach.widgets.triangular.explorer import TriangularExplorer

__all__ = ["TriangularExplorer"]
