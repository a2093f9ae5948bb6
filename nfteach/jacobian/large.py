"""Maps of many dimensions: rows of J for a block of coordinates, and log|det J| where all rows are quick to have."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from .adapt import Map
from .autograd import rows

__all__ = ["LARGE", "Block", "look_at_block"]

# D above which J is not computed as a whole, unless it is quick.
LARGE = 1000
# Coordinates in the block: at least as many as are tried, at most _SIZE, and as many as take so long.
_TRIED, _SIZE, _BLOCK_SECONDS = 16, 128, 4.0
# What all rows at some points may take: processor time in seconds, as estimated, and bytes.
_SECONDS, _BYTES = 20.0, 1_000_000_000


@dataclass(frozen=True, eq=False)
class Block:
    """A part of J.

    Attributes:
        coordinates: the n inputs and outputs that were looked at, counted from 0.
        jacobian: (B, n, n) float64, dy_i/dx_j among them.
        log_det: (B,) log|det J| of the whole J in nats; NaN where it was not computed.
        sign: (B,) the sign of det J; NaN likewise.
        seconds: of processor time that all rows of J take at all points, as estimated.
    """

    coordinates: tuple[int, ...]
    jacobian: Tensor
    log_det: Tensor
    sign: Tensor
    seconds: float

    @property
    def whole(self) -> bool:
        return bool(self.log_det.isfinite().any() or self.sign.isfinite().any())


def look_at_block(f: Map, x: Tensor) -> Block:
    """Compute rows of J by reverse mode, for evenly spaced outputs; and all others at the points where that is quick.

    Args:
        f: a map of more than ``LARGE`` dimensions.
        x: (B, D).
    """
    B, D = x.shape
    rows(f, x, torch.arange(2))  # the first call takes longer
    seconds = _seconds(f, x, _TRIED) / _TRIED  # for each row
    count = max(_TRIED, min(_SIZE, int(_BLOCK_SECONDS / seconds)))
    which = torch.linspace(0, D - 1, count).round().long().unique()
    block = rows(f, x, which)[:, :, which]
    log_det = torch.full((B,), torch.nan, dtype=torch.float64)
    sign = log_det.clone()
    at_once = min(B, int(_SECONDS / (seconds * D / B)), _BYTES // (8 * D * D))
    if at_once:
        J = torch.cat([rows(f, x[:at_once], part) for part in torch.arange(D).split(4 * _SIZE)], 1)
        for b in J.flatten(1).isfinite().all(1).nonzero().flatten().tolist():
            sign[b], log_det[b] = torch.linalg.slogdet(J[b])
    return Block(tuple(which.tolist()), block, log_det, sign, seconds * D)


def _seconds(f: Map, x: Tensor, count: int) -> float:
    """Return the processor time that ``count`` rows take, which other programs do not lengthen."""
    started = time.process_time()
    rows(f, x, torch.linspace(0, x.shape[1] - 1, count).round().long())
    return time.process_time() - started
