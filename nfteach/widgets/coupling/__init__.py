"""One coupling layer, and the blocks of its Jacobian."""

from nfteach.widgets.coupling.explorer import CouplingExplorer

__all__ = ["CouplingExplorer"]
