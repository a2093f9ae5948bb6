"""Points, and slow references: a Jacobian by central differences, the tensors that an object holds."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["double_precision", "held", "inside", "points", "slow_jacobian", "value"]

STEP = 1e-5


def points(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal float32 numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def inside(low: float, high: float, *shape: int, seed: int = 0) -> Tensor:
    """Return float32 numbers that are uniform between two bounds."""
    unit = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return low + (high - low) * unit


def value(f: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Return y = f(x), without the log-det that may come with it."""
    with torch.no_grad():
        out = f(x.clone())
    return out[0] if isinstance(out, tuple | list) else out


def slow_jacobian(f: Callable[[Tensor], Any], x: Tensor, *, rows_apart: bool = False) -> Tensor:
    """Return J (B, D, D) of f at x (B, *event), column by column, by central differences.

    Args:
        f: the map.
        x: (B, *event), float64.
        rows_apart: move one row of the batch at a time, for a map whose rows depend on each other.
    """
    flat = x.reshape(len(x), -1)
    rows = torch.eye(len(x), dtype=x.dtype) if rows_apart else torch.ones(1, len(x), dtype=x.dtype)
    J = x.new_zeros(len(x), flat.shape[1], flat.shape[1])
    for row in rows:
        for j in range(flat.shape[1]):
            shift = torch.zeros_like(flat)
            shift[:, j] = STEP * row
            ahead, behind = (value(f, (flat + sign * shift).reshape(x.shape)) for sign in (1, -1))
            slope = (ahead - behind).reshape(len(x), -1) / (2 * STEP)
            J[row > 0, :, j] = slope[row > 0]
    return J


def held(owner: Any) -> dict[int, Any]:
    """Return by id the bits of every tensor, and the mode of every module, that an object reaches.

    Attributes, containers, partial functions, bound methods and closures are followed; classes, libraries and the
    globals of functions are not.
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()
    queue = [owner]
    while queue:
        each = queue.pop()
        if id(each) in seen or isinstance(each, type | ModuleType):
            continue
        seen.add(id(each))
        if isinstance(each, Tensor):
            bits = each.detach().cpu().numpy().tobytes()
            found[id(each)] = (each.dtype, each.shape, bits, each.is_leaf and each.grad is not None)
            continue
        if isinstance(each, nn.Module):
            found[id(each)] = each.training
        queue += (each.__closure__ or ()) if isinstance(each, FunctionType) else gc.get_referents(each)
    return found


@contextmanager
def double_precision() -> Iterator[None]:
    """Make float64 the default dtype inside the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
