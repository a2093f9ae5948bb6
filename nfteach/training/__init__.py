"""Training: ``fit`` moves a model's parameters down a loss, and ``History`` remembers the way."""

from .history import History
from .loop import fit

__all__ = ["History", "fit"]
