"""Half precision inside of a map, which makes a staircase of its values whatever the dtype of y."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .adapt import Map

__all__ = ["COARSE", "half_precision"]

# Rounding units above this are those of half precision: float16, bfloat16 and less.
COARSE = 1e-4


class _HalfPrecision(TorchDispatchMode):
    """Record the coarsest rounding unit among the results of all operations, if it is that of half precision."""

    unit = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, Tensor) and each.is_floating_point():
                unit = torch.finfo(each.dtype).eps
                self.unit = max(self.unit, unit if unit > COARSE else 0.0)
        return out


def half_precision(f: Map, x: Tensor) -> float:
    """Return the rounding unit of half precision that ``f`` computes in on the way from x (B, D); 0 if in none.

    Differences see the treads of the staircase, not its slope.
    """
    try:
        with _HalfPrecision() as seen:
            f(x)
    except Exception:  # the map may not run under a mode
        return 0.0
    return seen.unit
