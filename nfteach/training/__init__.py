"""Training: ``fit`` minimises a loss over the parameters of a model, and ``History`` records the run."""

from .history import History
from .loop import fit

__all__ = ["History", "fit"]
