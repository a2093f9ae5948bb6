"""The numbers that a map stores in less than float64, and what their rounding explains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .adapt import Map
from .autograd import jacobian
from .derivative import log_abs_det, square
from .measure import read_claim

__all__ = ["Stored", "gaps", "stored_numbers"]

# How many rounding units of the stored numbers a dimension may be off by: what computes them has errors of its own.
_UNITS = 20
# A change, in these units, that shows that a contradiction comes from their rounding.
_SHARE = 0.01
# Contradictions below this are rounding in float64.
_NOTICED = 1e-7


class Stored(NamedTuple):
    """How far the numbers that a map stores in less than float64 explain a contradiction in float64.

    Attributes:
        log_det: (B,) nats between the claimed log-det and that of J.
        inverse: (B,) the miss of x -> y -> x, relative to 1 + |x| + |y|.
        dtype: what they are stored in; None where they explain nothing.
    """

    log_det: Tensor | float = 0.0
    inverse: Tensor | float = 0.0
    dtype: torch.dtype | None = None


def stored_numbers(f: Map, x: Tensor, here: tuple[Tensor, Tensor], condition: Tensor) -> Stored:
    """Return what the rounding of stored numbers explains: a rotation that is kept in float32 is one to seven digits.

    They explain a contradiction only if it changes when they are rounded otherwise. A mistake in a formula does not.
    ``f`` is a float64 copy that repeats its values, ``here`` its ``gaps`` at x (B, D), ``condition`` (B,) that of J.
    """
    coarse = [(tensor, copy) for tensor, copy in f.tensors if _is_rounded(tensor, copy)]
    dtype = max((tensor.dtype for tensor, _ in coarse), key=lambda kind: torch.finfo(kind).eps, default=None)
    if dtype is None or max(float(off.abs().max()) for off in here) < _NOTICED:
        return Stored()
    eps, D = torch.finfo(dtype).eps, x.shape[1]
    try:
        with _rounded_otherwise(coarse):
            there = _gaps_at(f, x)
    except Exception:  # the map may be at home only with the numbers that it has
        return Stored()
    moved = [((a - b).abs() > _SHARE * eps).double() for a, b in zip(here, there, strict=True)]
    # No more than half of the digits that they have.
    most = eps**0.5
    inverse = (_UNITS * eps * D**0.5 * condition.nan_to_num(nan=1.0)).clamp(max=most)
    return Stored(moved[0] * min(_UNITS * eps * D, most), moved[1] * inverse, dtype)


def _is_rounded(tensor: Tensor, copy: Tensor) -> bool:
    both = tensor is not copy and tensor.is_floating_point() and copy.is_floating_point() and not copy.is_sparse
    return both and torch.finfo(tensor.dtype).eps > torch.finfo(copy.dtype).eps


def _gaps_at(f: Map, x: Tensor) -> tuple[Tensor, Tensor]:
    J, y, raw = jacobian(f, x)
    miss = None if f.backward is None else (f.invert(y.to(x.dtype))[0] - x).abs().amax(1).double().cpu()
    return gaps(read_claim(raw, x, f.event_shape).values, log_abs_det(square(J)), miss)


def gaps(claim: Tensor | None, true: Tensor, miss: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the gap between a claimed and the true log-det, and the miss of x -> y -> x, (B,) each; 0 if not known."""
    nothing = torch.zeros_like(true)
    return nothing if claim is None else claim - true, nothing if miss is None else miss


@contextmanager
def _rounded_otherwise(pairs: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Move copies by half a rounding unit of their originals inside the block; what has few digits is exact."""
    generator, before = torch.Generator().manual_seed(0), [copy.detach().clone() for _, copy in pairs]
    try:
        for (tensor, copy), values in zip(pairs, before, strict=True):
            eps = torch.finfo(tensor.dtype).eps
            digits = torch.frexp(values).mantissa / eps**0.5
            sign = torch.randint(2, values.shape, generator=generator).to(values) * 2 - 1
            copy.data.copy_(values * (1 + 0.5 * eps * sign * (digits != digits.round())))
        yield
    finally:
        for (_, copy), values in zip(pairs, before, strict=True):
            copy.data.copy_(values)
