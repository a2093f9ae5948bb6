"""The Jacobian of a map by reverse mode: one forward pass, and one backward pass for all its rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .adapt import Map

__all__ = ["graph", "jacobian", "rows"]

# Numbers in the cotangents of one backward pass. More would not be faster: they are out of the processor's caches.
_AT_ONCE = 500_000
# So few backward passes cost less than vmap does for itself.
_FEW = 2


def jacobian(f: Map, x: Tensor, *, rows_apart: bool = False) -> tuple[Tensor, Tensor, Any]:
    """J (B, D, D) by reverse mode, y (B, D), and the log-det as f claims it.

    The B points share the backward pass: row i of J at every point is the gradient of sum_b y_bi. That is right as long
    as they do not talk to each other. If they do, ``rows_apart=True`` takes the block dy_b/dx_b of each b by itself.

    Args:
        f: the map.
        x: (B, D), on any device.

    Returns:
        J in float64 on the CPU; y and the log-det as they came, detached.
    """
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        y, claimed = f(leaf)
    B, D = x.shape
    if not y.requires_grad:
        J = torch.zeros(B, D, D, dtype=torch.float64)
    elif rows_apart:
        J = torch.stack([_gradients(y[b : b + 1], leaf)[b] for b in range(B)])
    else:
        J = _gradients(y, leaf)
    return J.double().cpu(), y.detach(), claimed.detach() if isinstance(claimed, Tensor) else claimed


def rows(f: Map, x: Tensor, which: Tensor) -> Tensor:
    """Return the rows of J for some outputs, (B, n, D) in float64 on the CPU.

    Args:
        f: the map.
        x: (B, D), points that do not depend on each other.
        which: (n,) outputs, counted from 0.
    """
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        y, _ = f(leaf)
    if not y.requires_grad:
        return torch.zeros(len(x), len(which), x.shape[1], dtype=torch.float64)
    return _gradients(y[:, which.to(y.device)], leaf).double().cpu()


def _gradients(y: Tensor, x: Tensor) -> Tensor:
    """(B, D, D), entry [b, i, j] the derivative of sum_n y_ni by x_bj.

    Args:
        y: (N, D), a function of x.
        x: (B, D).
    """

    def pull_back(cotangent: Tensor) -> Tensor:
        return torch.autograd.grad(y, x, cotangent, retain_graph=True, materialize_grads=True)[0]

    def accumulated(cotangent: Tensor) -> Tensor:
        x.grad = None
        y.backward(cotangent, retain_graph=True)
        gradient, x.grad = x.grad, None
        return torch.zeros_like(x) if gradient is None else gradient

    # vmap is here for the backward pass alone. A forward pass under vmap would refuse boolean indexing, branches that
    # look at the data, and some writing in place.
    every = torch.vmap(pull_back, out_dims=1)
    D = y.shape[-1]
    units = torch.eye(D, dtype=y.dtype, device=y.device).unsqueeze(1).expand(D, *y.shape)

    def one_by_one(some: Tensor) -> Tensor:
        try:
            return torch.stack([pull_back(unit.clone()) for unit in some], 1)
        except RuntimeError:
            # Some layers can be trained by ``backward`` alone: a reentrant checkpoint refuses ``autograd.grad``.
            return torch.stack([accumulated(unit.clone()) for unit in some], 1)

    if D <= _FEW:
        return one_by_one(units)
    parts = []
    for some in units.split(max(1, _AT_ONCE // x.numel())):
        try:
            with warnings.catch_warnings():
                # Where torch has no rule for many at once it takes a loop, and says so: no news for who inspects a map.
                warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                # Cloned, as all the units are views of one matrix, and a backward pass may write into what it is given.
                parts.append(every(some.clone()))
        except Exception:
            # A backward written by hand may not take many cotangents at once: give them one by one.
            parts.append(one_by_one(some))
    return torch.cat(parts, 1)


def graph(output: Tensor) -> Iterator[Any]:
    """Yield the nodes of the graph that autograd has recorded for a tensor."""
    seen, queue = set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            queue.extend(following for following, _ in node.next_functions)
