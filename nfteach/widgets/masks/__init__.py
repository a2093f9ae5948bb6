"""Masks and squeeze: where the pixels go in a multi-scale RealNVP."""

from nfteach.widgets.masks.explorer import MaskExplorer

__all__ = ["MaskExplorer"]
