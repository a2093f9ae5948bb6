"""The interface of whatever is handed in: its forward, inverse and log-dets, under the names that libraries use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Distribution
from torch.distributions.transforms import Transform

from .conventions import (
    CONTEXTS,
    INVERSE_PAIR,
    PAIR,
    REVERSED,
    Answer,
    NoMap,
    attribute,
    call_of,
    has,
    in_pieces,
    is_flag,
    is_log_det,
    later_parameters,
    log_det_methods,
    method_claims,
    parameters_of,
)

__all__ = ["Interface", "interface_of", "takes_context", "unwrapped"]


@dataclass
class Interface:
    """How to call a map.

    Attributes:
        forward, backward: (points, context, batch) -> ``Answer``, where ``batch`` is (B,), or () for one point;
            ``backward`` is None if there is no inverse to call.
        claims: where the log-det stands besides the output, in words -> (x, y, context, batch) -> log-det.
        inverse_claims: the same for the inverse's, (y, x, context, batch) -> log-det.
        log_det_by: where the log-det is expected.
        per_dimension: True if one log-det per dimension is the convention.
        holder: the object whose attributes a call may leave log-dets in; None if there is none.
    """

    kind: str
    event_shape: torch.Size
    forward: Callable[[Tensor, Any, torch.Size], Answer]
    backward: Callable[[Tensor, Any, torch.Size], Answer] | None
    claims: dict[str, Callable[..., Any]] = field(default_factory=dict)
    inverse_claims: dict[str, Callable[..., Any]] = field(default_factory=dict)
    log_det_by: str = "the second output"
    per_dimension: bool = False
    holder: Any = None


def interface_of(t: Any, x: Tensor, context: Tensor | None) -> Interface:
    """Return the interface of a map at points x (B, *event) or (D,), with one row of context for each, or None."""
    t = unwrapped(t)
    if isinstance(t, Transform) or has(t, "call_and_ladj"):
        return _of_transforms(lambda _: t, t, x)
    if (make := _maker(t)) is not None:
        try:
            with torch.no_grad():
                made = make(context)
        except NoMap:
            raise
        except Exception:  # raised again, in words, when it is called
            made = None
        return _of_transforms(make, made, x)
    if has(t, "_transform", "_distribution"):
        return _of_nflows(t, x, context)
    event_shape = x.shape[1:] if x.dim() > 1 else x.shape
    if has(t, "merges", "forward_and_log_det", "inverse_and_log_det"):
        forward, backward = in_pieces(call_of(t.inverse_and_log_det), call_of(t.forward_and_log_det), None)
        forward = _named_by(forward, "inverse_and_log_det(x)")
        return Interface("module", event_shape, forward, backward, log_det_by="inverse_and_log_det(x)")
    return _of_callable(t, event_shape)


def unwrapped(t: Any) -> Any:
    """Return the transform of a distribution made of a base and transforms; raise NoMap for others; else t as it is."""
    if not isinstance(t, Distribution):
        return t
    parts = attribute(t, "transforms")
    if parts:
        return parts[0] if len(parts) == 1 else ComposeTransform(parts)
    if has(t, "transform"):
        return t.transform
    raise NoMap(
        f"transform must be a map z -> x, or a distribution made of a base and transforms, but is a {type(t).__name__}"
    )


def takes_context(t: Any) -> bool:
    """Return True if the map can be called with a context."""
    t = unwrapped(t)
    if isinstance(t, Transform) or has(t, "call_and_ladj"):
        return False
    if _maker(t) is not None or has(t, "_transform", "_distribution"):
        return True
    later = later_parameters(_entry(t))
    return later is None or any(not is_flag(p) and not is_log_det(p.name) for p in later)


def _of_transforms(make: Callable[[Any], Any], t: Any, x: Tensor) -> Interface:
    """Return the interface of transforms that are made from a context; t is one of them, None if it cannot be made."""
    is_flow = isinstance(attribute(t, "event_shape"), tuple)
    if is_flow:
        event_shape, event_dim = torch.Size(t.event_shape), len(t.event_shape)
    else:
        event_dim = t.domain.event_dim if isinstance(t, Transform) else 0
        event_shape = x.shape[x.dim() - event_dim :] if event_dim else x.shape[1:] if x.dim() > 1 else x.shape
    if x.dim() < event_dim or (is_flow and x.shape[x.dim() - event_dim :] != event_shape):
        wanted = ", ".join(str(size) for size in event_shape) if is_flow else f"{event_dim} or more dimensions"
        raise ValueError(
            f"x: {type(t).__name__} takes events of shape ({wanted}), but x has the shape {tuple(x.shape)}"
        )

    def forward(points: Tensor, context: Any, _: torch.Size) -> Answer:
        made = make(context)
        if has(made, "call_and_ladj"):
            return Answer(*made.call_and_ladj(points), "call_and_ladj(x)")
        return Answer(made(points))

    def backward(points: Tensor, context: Any, _: torch.Size) -> Answer:
        made = make(context)
        return Answer(*made.inverse_and_ladj(points)) if has(made, "inverse_and_ladj") else Answer(made.inv(points))

    return Interface(
        kind="flow" if is_flow else "transform",
        event_shape=event_shape,
        forward=forward,
        backward=backward if t is None or has(t, "inverse_and_ladj") or has(t, "inv") else None,
        claims={"log_abs_det_jacobian(x, y)": lambda x, y, context, _: make(context).log_abs_det_jacobian(x, y)},
        log_det_by="call_and_ladj(x)" if has(t, "call_and_ladj") else "log_abs_det_jacobian(x, y)",
        per_dimension=event_dim == 0 and isinstance(t, Transform),
    )


def _maker(t: Any) -> Callable[[Any], Any] | None:
    """Return context -> transform, of objects that make their transform when they are called, as zuko's and Pyro's."""
    if callable(attribute(t, "condition")):
        return lambda context: unwrapped(t.condition(context))
    if not isinstance(t, nn.Module):
        return None
    parameters = parameters_of(t)
    # A map of points cannot be called without points.
    if parameters and parameters[0].default is None and parameters[0].name in CONTEXTS:
        return lambda context: unwrapped(t() if context is None else t(context))
    return None


def _of_nflows(t: Any, x: Tensor, context: Tensor | None) -> Interface:
    """Return the interface of a model that embeds its context first."""
    embed = attribute(t, "_embedding_net")

    def embedded(context: Any) -> Any:
        return context if context is None or embed is None else embed(context)

    def through(call: Callable | None) -> Any:
        return call and (lambda points, context, batch: call(points, embedded(context), batch))

    inner = interface_of(t._transform, x, embedded(context))
    forward, backward = through(inner.forward), through(inner.backward)
    return replace(inner, forward=forward, backward=backward, claims={}, inverse_claims={})  # the output has both


def _of_callable(t: Any, event_shape: torch.Size) -> Interface:
    entry, backward = _entry(t), _inverse(t)
    dims = attribute(t, "dims_in")
    takes = None
    if isinstance(dims, list | tuple) and dims:
        shapes = [dims] if all(isinstance(size, int) for size in dims) else dims
        takes = [torch.Size(shape) for shape in shapes]
    forward, backward = in_pieces(call_of(entry), backward, takes)
    claims, inverse_claims = method_claims(t)
    if entry is not t and entry.__name__ != "forward":
        forward = _named_by(forward, f"{entry.__name__}(x)")
    return Interface(
        "module" if isinstance(t, nn.Module) else "function",
        event_shape,
        forward,
        backward,
        claims,
        inverse_claims,
        holder=t if hasattr(t, "__dict__") else None,
    )


def _named_by(forward: Callable, name: str) -> Callable:
    """Return ``forward`` with the name of the method that its log-det is from."""
    return lambda points, context, batch: forward(points, context, batch)._replace(by=name)


def _entry(t: Any) -> Callable:
    """Return what maps x to y: the object itself, or the method that does."""
    unfinished = isinstance(t, nn.Module) and getattr(type(t), "forward", None) is nn.Module.forward
    if callable(t) and not unfinished:
        return t
    names = [name for name in ("forward", *log_det_methods(t, PAIR)) if not unfinished or name != "forward"]
    return next((getattr(t, name) for name in names if has(t, name)), t)


def _inverse(t: Any) -> Callable | None:
    """Return (points, context, batch) -> output, of the inverse; None if there is none."""
    for name in ("inverse", "inv", *log_det_methods(t, INVERSE_PAIR), "_inverse"):
        try:
            value = getattr(t, name, None)
        except Exception as error:
            return partial(_raise, error)
        if callable(value):
            return call_of(value)
    entry = _entry(t)
    for parameter in later_parameters(entry) or ():
        if is_flag(parameter):
            return call_of(entry, {parameter.name: REVERSED[parameter.name]})
    return None


def _raise(error: Exception, *_: Any) -> Any:
    raise error
