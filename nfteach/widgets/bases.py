"""The base distribution of explorers of the plane."""

from __future__ import annotations

import torch
from torch.distributions import Distribution, Independent, Normal

__all__ = ["plane_base"]


def plane_base(base: Distribution | None) -> Distribution:
    """A distribution with events (2,), which takes whatever point it is asked for.

    Args:
        base: a distribution with event shape (2,), or one of numbers with batch shape (2,), whose two are then taken
            as one event, as ``FlowDistribution`` does; None for the standard normal.

    Raises:
        ValueError: if ``base`` is no distribution, or none of one point of the plane.
    """
    if base is None:
        base = Normal(torch.zeros(2), torch.ones(2), validate_args=False)
    if not isinstance(base, Distribution):
        raise ValueError(f"base must be a torch distribution, but is a {type(base).__name__}")
    if base.event_shape == () and base.batch_shape == (2,):
        base = Independent(base, 1, validate_args=False)
    if base.event_shape != (2,) or base.batch_shape != ():
        raise ValueError(
            f"base must draw one point of the plane, event shape (2,), but has batch shape {tuple(base.batch_shape)} "
            f"and event shape {tuple(base.event_shape)}"
        )
    return base
