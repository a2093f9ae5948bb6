"""Checks of arguments that several constructors share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["check_mask", "check_sizes"]


def check_sizes(**sizes: int) -> None:
    """Raise ``ValueError`` if one of ``sizes`` is not a whole number of at least 1; the message names it."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, but is {size!r}")


def check_mask(mask: Tensor | Sequence[bool], dim: int | None = None) -> Tensor:
    """Return ``mask`` as a tensor if it is boolean, (D,), and holds both True and False.

    Args:
        mask: True where a dimension passes through unchanged.
        dim: D, if it is known.

    Raises:
        ValueError: if ``mask`` is not such a vector.
    """
    mask = torch.as_tensor(mask)
    if mask.dtype != torch.bool or mask.dim() != 1 or (dim is not None and len(mask) != dim):
        shape = f"({'D' if dim is None else dim},)"
        raise ValueError(f"mask must be a boolean vector {shape}, but is {mask.dtype} of shape {tuple(mask.shape)}")
    if mask.all() or not mask.any():
        found = "True: nothing would be transformed" if mask.all() else "False: nothing would pass through"
        raise ValueError(f"mask must hold both True (passes unchanged) and False (transformed), but is all {found}")
    return mask
