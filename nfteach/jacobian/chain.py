"""Where a stack keeps its layers, and layers put one after the other as one map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform

from .adapt import Map
from .measure import read_claim

__all__ = ["chain", "is_a_map", "layers_of"]

# Where libraries keep the layers of a composition: torch and Pyro; ours and many a model; zuko and
# TransformedDistribution; nflows; normflows.
HOLDERS = ("parts", "layers", "transforms", "_transforms", "flows")

_SEQUENCES = (list, tuple, nn.Sequential, nn.ModuleList)


def layers_of(stack: Any) -> list[Any]:
    """The layers of a stack, in its own order.

    Raises:
        ValueError: if there is none, one cannot be called, or ``stack`` does not say where it keeps them.
    """
    # Pyro's ComposeTransformModule is a ModuleList, too: of those parts only that are modules.
    if isinstance(stack, _SEQUENCES) and not isinstance(stack, Transform):
        layers = list(stack)
        for index, layer in enumerate(layers):
            if not callable(layer):
                raise ValueError(
                    f"stack[{index}] must be a flow, a Transform, a module or a function, but is {layer!r}"
                )
        if not layers:
            raise ValueError(f"stack: there must be at least one layer, but this {type(stack).__name__} is empty")
        return layers
    for name in HOLDERS:
        held = getattr(stack, name, None)
        if isinstance(held, Iterable) and not isinstance(held, str | Tensor):
            held = list(held)
            if held and all(callable(layer) for layer in held):
                return held
    raise ValueError(
        f"stack must be a sequence of layers, or hold one as {', '.join('.' + name for name in HOLDERS)}, but is a "
        f"{type(stack).__name__} that holds none; for a single layer use inspect_jacobian"
    )


def is_a_map(stack: Any) -> bool:
    """Whether the stack can be called as a map itself, and does not just hold its layers or run one after the other."""
    if isinstance(stack, Transform) or hasattr(stack, "call_and_ladj"):
        return True
    if isinstance(stack, nn.Module):
        return type(stack).forward not in (nn.Module.forward, nn.Sequential.forward)
    return callable(stack)


def chain(maps: Sequence[Map], shapes: Sequence[torch.Size]) -> tuple[Callable, Callable | None]:
    """The maps one after the other, and their inverses one after the other from the last (None if one has none).

    Both return the image and the sum of the log-dets, one value per sample; None if a map claims none.

    Args:
        maps: in the order in which they are applied.
        shapes: of the event that each of them returns.
    """
    forward = backward = _start
    for f in maps:
        forward = _then(forward, f.forward, f.event_shape)
    forward.__name__ = "one layer" if len(maps) == 1 else f"{len(maps)} layers in a row"
    if any(f.backward is None for f in maps):
        return forward, None
    for f, shape in zip(reversed(maps), reversed(shapes), strict=True):
        backward = _then(backward, f.backward, shape)
    return forward, backward


def _start(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, x.new_zeros(len(x), dtype=torch.float64)


def _then(first: Callable, second: Callable, event_shape: torch.Size) -> Callable:
    """``second`` after ``first``. Functions within functions, not a list: the inspector copies what functions hold."""

    def both(points: Tensor) -> tuple[Tensor, Tensor | None]:
        x, total = first(points)
        x = x.reshape(-1, *event_shape)
        y, raw = second(x)
        log_det = read_claim(raw, x.flatten(1), event_shape).values
        return y, None if total is None or log_det is None else total + log_det.to(total.device)

    return both
