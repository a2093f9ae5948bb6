"""Jacobians by autograd: the truth that answers are compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["jacobian", "log_abs_det_jacobian"]


def jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return J (B, D, D) of f at x (B, D), whose rows f maps one by one."""
    # Each row of J has its own copy of the points, so that one backward pass finds all rows.
    B, D = x.shape
    with torch.enable_grad():
        copies = x.detach().repeat(D, 1).requires_grad_()
        y = f(copies).reshape(D, B, D)
        (rows,) = torch.autograd.grad(y.diagonal(dim1=0, dim2=2).sum(), copies)
    return rows.reshape(D, B, D).transpose(0, 1)


def log_abs_det_jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return log|det J| (B,) in nats, by elimination."""
    return jacobian(f, x).slogdet().logabsdet
