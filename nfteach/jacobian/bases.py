"""Base distributions: one form for all that are accepted, and densities that are zero outside of the support."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution, constraints
from torch.distributions.constraints import Constraint

from .interface import unwrapped
from .twin import twins_at_rest

__all__ = ["as_base", "log_density", "map_and_base", "support_of"]


def map_and_base(transform: Any, base: Distribution | None) -> tuple[Any, Distribution | None]:
    """Return a map and the base that it comes with, or ``base``; raise ValueError if there are two."""
    if not isinstance(transform, TransformedDistribution):
        return unwrapped(transform), base
    if base is not None:
        raise ValueError(f"base must be left out, since the {type(transform).__name__} has its own")
    return unwrapped(transform), transform.base_dist


def as_base(base: Distribution | None, dim: int, *, dtype: torch.dtype = torch.float64) -> Distribution:
    """Return a copy of ``base`` whose events have D numbers, in ``dtype``, which does not validate values.

    A batch of distributions with D numbers in all counts as one event, as in ``TransformedDistribution``; None is the
    standard normal.

    Raises:
        ValueError: if ``base`` is not a distribution, or draws events of another size.
    """
    if base is None:
        base = Normal(torch.zeros(dim), torch.ones(dim))
    if not isinstance(base, Distribution):
        raise ValueError(f"base must be a torch distribution, but is a {type(base).__name__}")
    if base.batch_shape and base.batch_shape.numel() * base.event_shape.numel() == dim:
        base = Independent(base, len(base.batch_shape), validate_args=False)
    if base.batch_shape or base.event_shape.numel() != dim:
        raise ValueError(
            f"base must draw one point of {dim} dimensions, event shape ({dim},), but has batch shape "
            f"{tuple(base.batch_shape)} and event shape {tuple(base.event_shape)}"
        )
    return twins_at_rest(base, dtype=dtype)[0]


def log_density(base: Distribution, points: Tensor) -> Tensor:
    """Return log p (...) in nats of ``base``, as ``as_base`` returns it, at points (..., D); -inf outside its support.

    No value decides which operations run, so that a dispatch mode can record them.
    """
    events = points.reshape(*points.shape[:-1], *base.event_shape)
    support = support_of(base)
    log_p = base.log_prob(events)
    return log_p if support is None or _is_everything(support) else log_p.where(support.check(events), -math.inf)


def support_of(base: Distribution) -> Constraint | None:
    """Return the set where ``base`` has a density, or None if the distribution does not define it."""
    try:
        return base.support
    except NotImplementedError:
        return None


def _is_everything(support: Constraint) -> bool:
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real
