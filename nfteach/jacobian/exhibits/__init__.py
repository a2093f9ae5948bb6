"""The house of horrors: broken flow layers, most after bugs that public code shipped, each with its repaired twin."""

from .batches import BATCHES
from .exhibit import Exhibit
from .folds import FOLDS
from .gradients import GRADIENTS
from .inverses import INVERSES
from .log_dets import LOG_DETS

__all__ = ["EXHIBITS", "Exhibit"]

_ALL = (*FOLDS, *INVERSES, *LOG_DETS, *BATCHES, *GRADIENTS)

# Those after mistakes that were reported come first, then those of our own.
EXHIBITS: dict[str, Exhibit] = {each.name: each for each in sorted(_ALL, key=lambda each: not each.reported)}
"""Every exhibit by its name."""
