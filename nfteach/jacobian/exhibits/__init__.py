"""The house of horrors: broken flow layers, most after bugs that public code shipped, each with its repaired twin."""

from .batches import BATCHES
from .exhibit import Exhibit
from .folds import FOLDS
from .gradients import GRADIENTS
from .inverses import INVERSES
from .log_dets import LOG_DETS
from .splines import SPLINES

__all__ = ["EXHIBITS", "Exhibit", "names"]

_ALL = {exhibit.name: exhibit for exhibit in (*FOLDS, *INVERSES, *LOG_DETS, *BATCHES, *SPLINES, *GRADIENTS)}

# Those after mistakes that were reported come first, then those of our own.
_ORDER = (
    "planar-fold",
    "interleaved-halves",
    "inverse-sign",
    "transposed-product",
    "one-branch",
    "summed-over-batch",
    "per-dimension",
    "image-norm",
    "batch-statistics",
    "squeeze-axes",
    "mode-as-context",
    "cached-inverse",
    "float32-spline",
    "detached-conditioner",
    "wrong-backward",
    "dropout-left-on",
    "log-domain",
    "clamped-tails",
)

EXHIBITS: dict[str, Exhibit] = {name: _ALL[name] for name in _ORDER}
"""Every exhibit by its name."""


def names() -> tuple[str, ...]:
    """The names of all exhibits, in order.

    Example:
        >>> names()[:3]
        ('planar-fold', 'interleaved-halves', 'inverse-sign')
    """
    return tuple(EXHIBITS)
