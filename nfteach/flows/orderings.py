"""Orderings of the dimensions of an event, for autoregressive models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["as_ordering", "pixel_ordering"]


def as_ordering(ordering: Sequence[int] | Tensor | None, dim: int) -> Tensor:
    """Return ``ordering`` as a tensor (D,) of whole numbers; None stands for 0, 1, ... D - 1.

    Raises:
        ValueError: if ``ordering`` is not a permutation of 0, 1, ... D - 1.
    """
    if ordering is None:
        return torch.arange(dim)
    try:
        order = torch.as_tensor(ordering).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"ordering must be a permutation of the {dim} dimensions, but is {ordering!r}") from None
    whole = not (order.is_floating_point() or order.is_complex() or order.dtype == torch.bool)
    if not whole or order.shape != (dim,) or not order.cpu().long().sort().values.equal(torch.arange(dim)):
        raise ValueError(f"ordering must hold each of 0, 1, ..., {dim - 1} exactly once, but is {order.tolist()}")
    return order.long().clone()


def pixel_ordering(name: str, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Return an ordering of the pixels of an image; pixel (row, column) is dimension ``row * width + column``.

    Args:
        name: ``"raster"`` (row by row), ``"reverse"`` (raster backwards), ``"spiral"`` (clockwise from
            the top left corner inwards) or ``"random"``.
        height, width: the image's size in pixels.
        generator: the generator of the random ordering; by default torch's global one.

    Returns:
        (height * width,), the pixels' indices in the order in which they are taken.

    Raises:
        ValueError: if ``name`` is unknown, or a size is below 1.

    Example:
        >>> pixel_ordering("spiral", 3, 3)
        tensor([0, 1, 2, 5, 8, 7, 6, 3, 4])
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, but are {height} and {width}")
    raster = torch.arange(height * width)
    if name == "raster":
        return raster
    if name == "reverse":
        return raster.flip(0)
    if name == "random":
        return torch.randperm(height * width, generator=generator)
    if name == "spiral":
        rows, grid = [], raster.view(height, width)
        while grid.numel():  # take the top row, then rotate the rest by 90 degrees to the left
            rows.append(grid[0])
            grid = grid[1:].T.flip(0)
        return torch.cat(rows)
    raise ValueError(f"name must be 'raster', 'reverse', 'spiral' or 'random', but is {name!r}")
