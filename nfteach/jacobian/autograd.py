"""The Jacobian of a map by autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .adapt import Map

__all__ = ["jacobian"]

# Cotangents held at once, in numbers: bounds the memory of the batched backward pass for large D.
_AT_ONCE = 4_000_000


def jacobian(f: Map, x: Tensor, *, rows_apart: bool = False) -> tuple[Tensor, Tensor, Any]:
    """J (B, D, D) by reverse mode, y (B, D), and the log-det as f claims it.

    One forward pass, and one backward pass for all D rows of J at once. The B points share it: that is right as long
    as they do not talk to each other. If they do, ``rows_apart=True`` takes the block dy_b/dx_b of each b by itself.

    Args:
        f: the map.
        x: (B, D).
    """
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        y, claimed = f(leaf)
    B, D = x.shape
    if not y.requires_grad:
        return x.new_zeros(B, D, D), y.detach(), _detached(claimed)
    if rows_apart:
        J = torch.stack([_rows(y[b], leaf, torch.eye(D, dtype=y.dtype))[:, b] for b in range(B)])
    else:
        J = _rows(y, leaf, torch.eye(D, dtype=y.dtype).unsqueeze(1).expand(D, B, D)).transpose(0, 1)
    return J.double().contiguous(), y.detach(), _detached(claimed)


def _rows(y: Tensor, x: Tensor, cotangents: Tensor) -> Tensor:
    """The vector-Jacobian product of every cotangent (n, *y.shape) -> (n, *x.shape)."""
    size = max(1, _AT_ONCE // max(x.numel(), y.numel()))
    parts = []
    for some in cotangents.split(size):
        try:
            (part,) = torch.autograd.grad(y, x, some, retain_graph=True, is_grads_batched=True, materialize_grads=True)
        except RuntimeError:
            # A backward written by hand may not take a batch of cotangents: give them one by one.
            each = [torch.autograd.grad(y, x, one, retain_graph=True, materialize_grads=True)[0] for one in some]
            part = torch.stack(each)
        parts.append(part)
    return torch.cat(parts)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
