"""The Jacobian of a map by reverse mode: one forward pass, and one backward pass for all its rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["LARGE", "graph", "jacobian"]

# D above which J is not computed as a whole, unless it is quick.
LARGE = 1000
# Numbers in the cotangents of one backward pass. More would not be faster: they are out of the processor's caches.
_AT_ONCE = 500_000
# So few backward passes cost less than vmap does for itself.
_FEW = 2


def jacobian(
    f: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor, *, rows_apart: bool = False, which: Tensor | None = None
) -> tuple[Tensor, Tensor, Any]:
    """Return J (B, D, D) at x (B, D) by reverse mode, in float64 on the CPU; y and the log-det as they came, detached.

    The B points share the backward pass: row i of J at every point is the gradient of sum_b y_bi. That is right as long
    as they do not talk to each other. If they do, ``rows_apart=True`` takes the block dy_b/dx_b of each b by itself.
    ``which`` are the outputs, counted from 0, whose rows (B, n, D) are returned in place of all.
    """
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        y, claimed = f(leaf)
        some = y if which is None else y[:, which]
    if not y.requires_grad:
        J = torch.zeros(*some.shape, x.shape[1], dtype=torch.float64)
    elif rows_apart:
        J = torch.stack([_gradients(some[b : b + 1], leaf)[b] for b in range(len(x))])
    else:
        J = _gradients(some, leaf)
    return J.double().cpu(), y.detach(), claimed.detach() if isinstance(claimed, Tensor) else claimed


def _gradients(y: Tensor, x: Tensor) -> Tensor:
    """Return (B, D, D), entry [b, i, j] the derivative of sum_n y_ni by x_bj, for y (N, D) and x (B, D)."""

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
