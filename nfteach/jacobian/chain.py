"""Where a stack keeps its layers, and layers put one after the other as one map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from .adapt import Map, adapt
from .conventions import attribute, has
from .interface import takes_context
from .measure import read_claim
from .twin import own_dtype

__all__ = ["chain", "is_a_map", "layers_of"]

# Where libraries keep the layers of a composition: torch and Pyro; ours and many a model; zuko and
# TransformedDistribution; nflows; normflows; FrEIA.
HOLDERS = ("parts", "layers", "transforms", "_transforms", "flows", "module_list")
# Where a model keeps the map that holds them: nflows; zuko.
_INSIDE = ("_transform", "transform")

_SEQUENCES = (list, tuple, nn.Sequential, nn.ModuleList)


def layers_of(stack: Any, x: Tensor | None = None) -> list[Any]:
    """Return the layers of a stack, in its own order; x (B, *event) decides where they map a part of x only.

    Raises:
        ValueError: if there is none, one cannot be called, they are not in a row, or ``stack`` does not say where it
            keeps them.
    """
    if x is not None and _is_multiscale(stack):
        return _scales_of(stack, x)
    if any(len(node.inputs) > 1 or len(node.outputs) > 1 for node in attribute(stack, "node_list") or ()):
        raise ValueError(
            f"stack must be layers in a row, but this {type(stack).__name__} is a graph that branches; try "
            "inspect_jacobian for the whole graph"
        )
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
        held = attribute(stack, name)
        if isinstance(held, Iterable) and not isinstance(held, str | Tensor):
            held = list(held)
            if held and all(callable(layer) for layer in held):
                return held
    for name in _INSIDE:
        held = attribute(stack, name)
        if callable(held):
            try:
                return layers_of(held)
            except ValueError:
                return [held]
    raise ValueError(
        f"stack must be a sequence of layers, or hold one as {', '.join('.' + name for name in HOLDERS)}, but is a "
        f"{type(stack).__name__} that holds none; for a single layer use inspect_jacobian"
    )


def is_a_map(stack: Any) -> bool:
    """Return True if the stack can be called as a map, and does not just hold its layers or run one after the other."""
    if isinstance(stack, Transform | Distribution) or has(stack, "call_and_ladj"):
        return True
    if isinstance(stack, nn.Module):
        return getattr(type(stack), "forward", None) not in (nn.Module.forward, nn.Sequential.forward)
    return callable(stack)


def chain(steps: Sequence[tuple[Any, Map, torch.Size]]) -> tuple[Callable, Callable | None]:
    """Return the layers one after the other, and their inverses from the last to the first (None if one has none).

    Both are functions of points and a context, and return the image and the sum of the log-dets, one value per sample;
    None if a layer claims none. Each step is a layer, its map, and the shape of the events that it returns.
    """
    maps = [f for _, f, _ in steps]
    steps = [(layer, f.manner, f.event_shape, shape) for layer, f, shape in steps]

    def forward(x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        total = x.new_zeros(len(x), dtype=torch.float64)
        for layer, manner, shape, _ in steps:
            x, total = _applied(layer, manner, x.reshape(-1, *shape), context, total, "forward")
        return x, total

    def backward(y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        total = y.new_zeros(len(y), dtype=torch.float64)
        for layer, manner, _, shape in reversed(steps):
            y, total = _applied(layer, manner, y.reshape(-1, *shape), context, total, "backward")
        return y, total

    forward.__name__ = "one layer" if len(maps) == 1 else f"{len(maps)} layers in a row"
    return forward, None if any(f.backward is None for f in maps) else backward


def _applied(
    layer: Any, manner: str, x: Tensor, context: Tensor | None, total: Tensor | None, direction: str
) -> tuple[Tensor, Tensor | None]:
    """Return the image of x (B, *event) under a layer or its inverse, and the total of the log-dets with its own."""
    own = context if takes_context(layer) else None
    f = adapt(layer, x, context=own, dtype=None, manner=manner, as_a_copy=False)
    y, raw = getattr(f, direction)(x, own)
    log_det = read_claim(raw, x.flatten(1), x.shape[1:]).values
    return y, None if total is None or log_det is None else total + log_det.to(total.device)


def _is_multiscale(stack: Any) -> bool:
    """Return True for normflows' ``MultiscaleFlow`` and what has its attributes."""
    return has(stack, "flows", "merges", "inverse_and_log_det", "forward_and_log_det")


def _scales_of(flow: Any, x: Tensor) -> list[_Scale]:
    """Return the scales in the order in which data x (B, *event) goes through them to the latents."""
    scales: list[_Scale] = []
    x = x.to(own_dtype(flow, otherwise=x.dtype))
    with torch.no_grad():
        for k in reversed(range(len(flow.flows))):
            last = [] if scales or flow.transform is None else [flow.transform]
            scales.append(_Scale([*flow.flows[k], *last], flow.merges[k - 1] if k else None, x, len(scales) + 1))
            x = scales[-1].split(x)[0][0]
    return scales


class _Scale:
    """The layers of one scale and the split after them, as a map of all coordinates (N, D): the others pass.

    Layers are in the order of sampling: x (B, *shape), the coordinates that are still there, goes through their
    inverses, from the last. ``merge`` joins those that stay with those that leave; it is None at the last scale.
    """

    def __init__(self, layers: list[Any], merge: Any, x: Tensor, number: int) -> None:
        self.layers, self.merge, self.shape = layers, merge, x.shape[1:]
        self.__name__ = f"scale {number}"
        self._parts = [part.shape[1:] for part in self.split(x)[0]]

    def split(self, x: Tensor) -> tuple[list[Tensor], Any]:
        """Return the coordinates that stay and those that leave, each (N, *shape), and the log-det."""
        total: Any = 0.0
        for layer in reversed(self.layers):
            x, log_det = layer.inverse(x)
            total = total + log_det
        if self.merge is None:
            return [x], total
        parts, log_det = self.merge.inverse(x)
        return list(parts), total + log_det

    def __call__(self, x: Tensor) -> tuple[Tensor, Any]:
        """Return the latents (N, D) and the log-det."""
        x = x.flatten(1)
        here, others = x[:, : self.shape.numel()], x[:, self.shape.numel() :]
        parts, log_det = self.split(here.reshape(-1, *self.shape))
        return torch.cat([*(part.flatten(1) for part in parts), others], 1), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Any]:
        """Return x (N, D) and the log-det of the inverse."""
        here, others = y[:, : self.shape.numel()], y[:, self.shape.numel() :]
        parts = here.split([shape.numel() for shape in self._parts], 1)
        parts = [part.reshape(-1, *shape) for part, shape in zip(parts, self._parts, strict=True)]
        x, total = (parts[0], 0.0) if self.merge is None else self.merge(parts)
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return torch.cat([x.flatten(1), others], 1), total
