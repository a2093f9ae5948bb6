"""Jacobians by autograd: the truth that answers are compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["jacobian"]


def jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return J (B, D, D) of f at x (B, D), whose rows f maps one by one: all of them are differentiated at once."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        rows = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in f(x).unbind(-1)]
    return torch.stack(rows, dim=1)
