"""J at the points by a witness that is right, the Jacobians close by, and what follows from J by arithmetic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .adapt import Map
from .autograd import jacobian
from .behaviour import companions
from .calls import FirstCall
from .witnesses import REVERSE, Line, Witnesses, hear, whole_jacobian

__all__ = ["Derivative", "Near", "in_a_block", "log_abs_det", "neighbours", "square", "unknown", "whole"]

# Points looked at to tell structure from accident; fewer given are filled up with neighbours.
_ENOUGH_POINTS = 8
# ... up to as many as keep their Jacobians below this, in numbers.
_LARGE = 2_000_000
# Coordinates in a block: at least as many as are tried, at most _SIZE, and as many as take so long.
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Derivative:
    """What was measured of J at B points.

    Attributes:
        jacobian: (B, D, D) float64; entry [b, i, j] is dy_i/dx_j at point b, as told by ``witness``; of a map to more
            dimensions the symmetric root of J^T J.
        jacobian_autograd: the same by reverse mode: it differs only where autograd is wrong about the map.
        log_det_autograd: (B,) nats, log|det J| of ``jacobian_autograd`` by elimination.
        log_det_jacobian: (B,) nats, the same of ``jacobian``.
        sign: (B,) the sign of det J: +1, -1, or 0.
        condition_number: (B,) the largest stretch over the smallest.
        smallest_stretch: (B,) the smallest singular value of J.
        witnesses: what reverse mode, forward mode and central differences say; None if they could not be compared.
        block: of a map of more than 1,000 dimensions, the block of J that was looked at; None of others.
    """

    jacobian: Tensor
    jacobian_autograd: Tensor
    log_det_autograd: Tensor
    log_det_jacobian: Tensor
    sign: Tensor
    condition_number: Tensor
    smallest_stretch: Tensor
    witnesses: Witnesses | None = None
    block: Block | None = None

    @property
    def witness(self) -> str:
        """Who told ``jacobian``: "reverse mode", "forward mode" or "central differences"."""
        return self.witnesses.trusted if self.witnesses is not None else REVERSE


class Near(NamedTuple):
    """Neighbours of the points (N, D), the Jacobians there, and the points (N,) that they are near to."""

    points: Tensor
    jacobian: Tensor
    rows: Tensor


def neighbours(first: FirstCall) -> Near:
    """Return neighbours of the points, as many as make enough; those where something is not finite are left out."""
    f, points = first.f, first.points
    count = min(_ENOUGH_POINTS, _LARGE // f.dim**2) - len(points)
    none = Near(points[:0], torch.zeros(0, f.dim, f.dim, dtype=torch.float64), torch.arange(0))
    if count < 1 or first.J is None:
        return none
    try:
        extra = companions(f, points, count)
        J, y, _ = jacobian(f, extra)
    except Exception:  # the map may be at home only near the points given; these are a bonus
        return none
    good = J.flatten(1).isfinite().all(1) & y.isfinite().all(1).cpu()
    rows = torch.arange(len(extra)) % len(points)
    return Near(extra[good.to(extra.device)], J[good], rows[good])


def whole(
    first: FirstCall, along: Sequence[Line], near: Near, loose: float, *, compare: bool, coupled: bool, noisy: bool
) -> tuple[Derivative, Tensor]:
    """Return what was measured of J, and the Jacobians (P, D, D) that decide the structure: those at x first.

    Witnesses are heard if ``compare``, and a relative distance ``loose`` between them is accepted. Samples that are
    ``coupled`` depend on each other; a ``noisy`` map draws other numbers where there are more points.
    """
    f, points, y, J, extra_J = first.f, first.points, first.y, first.J, near.jacobian
    if coupled and J is not None:
        J, extra_J = jacobian(f, points, rows_apart=True)[0], extra_J[:0]
    witnesses = hear(f, along, y, J, first.no_reverse_mode, loose) if compare else None
    told = torch.full((len(points), f.dim, f.dim), torch.nan, dtype=torch.float64) if J is None else J
    J = told
    if witnesses is not None and witnesses.trusted != REVERSE:
        J = whole_jacobian(witnesses.trusted, f, points, y, first.J, stacked=not (coupled or noisy))
        if len(near.points):
            there = f.at(near.rows)
            extra_J = whole_jacobian(witnesses.trusted, there, near.points, there(near.points)[0], None)
        extra_J = extra_J[extra_J.flatten(1).isfinite().all(1)]
    J, told, extra_J = map(square, (J, told, extra_J))
    finite = J.flatten(1).isfinite().all(1)
    stretches = torch.linalg.svdvals(_filled(J))
    derivative = Derivative(
        jacobian=J,
        jacobian_autograd=told,
        log_det_autograd=log_abs_det(told),
        log_det_jacobian=log_abs_det(J),
        sign=_where(finite, torch.linalg.slogdet(_filled(J)).sign),
        condition_number=_where(finite, stretches[:, 0] / stretches[:, -1]),
        smallest_stretch=_where(finite, stretches[:, -1]),
        witnesses=witnesses,
    )
    return derivative, torch.cat([J[finite], extra_J])


def in_a_block(f: Map, x: Tensor) -> tuple[Derivative, Tensor]:
    """Return the same of a map of many dimensions: rows of J for evenly spaced outputs, by reverse mode.

    All others are computed, for log|det J|, at the points where that is quick.
    """
    B, D = x.shape
    jacobian(f, x, which=torch.arange(2))  # the first call takes longer
    # Processor time, which other programs do not lengthen, for each row.
    started = time.process_time()
    jacobian(f, x, which=torch.linspace(0, D - 1, _TRIED).round().long())
    seconds = (time.process_time() - started) / _TRIED
    count = max(_TRIED, min(_SIZE, int(_BLOCK_SECONDS / seconds)))
    which = torch.linspace(0, D - 1, count).round().long().unique()
    J = jacobian(f, x, which=which)[0][:, :, which]
    log_det = torch.full((B,), torch.nan, dtype=torch.float64)
    sign = log_det.clone()
    at_once = min(B, int(_SECONDS / (seconds * D / B)), _BYTES // (8 * D * D))
    if at_once:
        parts = torch.arange(D).split(4 * _SIZE)
        whole = torch.cat([jacobian(f, x[:at_once], which=part)[0] for part in parts], 1)
        for b in whole.flatten(1).isfinite().all(1).nonzero().flatten().tolist():
            sign[b], log_det[b] = torch.linalg.slogdet(whole[b])
    return _in_part(J, log_det, sign, Block(tuple(which.tolist()), J, log_det, sign, seconds * D))


def unknown(B: int, D: int) -> tuple[Derivative, Tensor]:
    """Return the same of a map that raises."""
    nothing = torch.full((B,), torch.nan, dtype=torch.float64)
    return _in_part(nothing[:, None, None].expand(-1, D, D), nothing, nothing)


def _in_part(J: Tensor, log_det: Tensor, sign: Tensor, block: Block | None = None) -> tuple[Derivative, Tensor]:
    nothing = torch.full_like(log_det, torch.nan)
    derivative = Derivative(
        jacobian=J,
        jacobian_autograd=J,
        log_det_autograd=log_det,
        log_det_jacobian=log_det,
        sign=sign,
        condition_number=nothing,
        smallest_stretch=nothing,
        block=block,
    )
    return derivative, J[J.flatten(1).isfinite().all(1)]


def log_abs_det(J: Tensor) -> Tensor:
    """Return log|det J| (N,) of J (N, D, D) by elimination; NaN where J is not finite."""
    return _where(J.flatten(1).isfinite().all(1), torch.linalg.slogdet(_filled(J)).logabsdet)


def square(J: Tensor) -> Tensor:
    """Return J (N, D, D), or (J^T J)^(1/2), (N, D, D), of J (N, D', D); NaN where J is not finite."""
    if J.shape[1] == J.shape[2]:
        return J
    finite = J.flatten(1).isfinite().all(1)
    _, stretches, directions = torch.linalg.svd(J[finite], full_matrices=False)
    root = J.new_full((len(J), J.shape[2], J.shape[2]), torch.nan)
    root[finite] = directions.mT @ (stretches.unsqueeze(2) * directions)
    return root


def _filled(J: Tensor) -> Tensor:
    return J.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _where(finite: Tensor, values: Tensor) -> Tensor:
    return values.where(finite, torch.full_like(values, torch.nan))
