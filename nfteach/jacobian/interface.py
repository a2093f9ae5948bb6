"""The interface of whatever is handed in: its forward, inverse and log-dets, under the names that libraries use."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Distribution
from torch.distributions.transforms import Transform

__all__ = [
    "Answer",
    "Interface",
    "NoMap",
    "attribute",
    "attributes",
    "called",
    "has",
    "interface_of",
    "set_by_a_call",
    "takes_context",
    "unwrapped",
]

_LOG_DET = r"(ladj|s?ldj|log(abs)?det(erminant)?(of)?(j|jac|jacobian)?|log(abs)?jac(obian)?(det(erminant)?)?)"
_KEY = re.compile(rf"(sum|total|forward|fwd|f)?{_LOG_DET}s?")
_VALUE, _PAIR = re.compile(rf"(forward|fwd|f)?{_LOG_DET}"), re.compile(rf"(forward|call)(and|with){_LOG_DET}")
_INVERSE_VALUE = re.compile(rf"(inverse|inv|i){_LOG_DET}")
_INVERSE_PAIR = re.compile(rf"inv(erse)?(and|with){_LOG_DET}")
# A method that computes a log-det from other things than points, such as a matrix, claims nothing about the map.
_POINTS = {"x", "y", "z", "u", "data", "input", "inputs", "point", "points", "sample", "samples", "value", "values"}
_CONTEXTS = ("context", "c", "cond", "condition", "conditions", "cond_inputs", "y", "h", "label", "labels")
_REVERSED = {"reverse": True, "rev": True, "inverse": True, "invert": True, "inv": True, "mode": "inverse"}
_IMAGES = ("y", "z", "x", "u", "out", "output", "outputs", "value", "sample", "samples")
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth")


class NoMap(ValueError):
    """A map without a Jacobian that has a determinant."""


class Answer(NamedTuple):
    """What a map returned: y, the log-det as it came (None if there is none), and where it stood, in words."""

    y: Any
    log_det: Any = None
    by: str = ""


@dataclass
class Interface:
    """How to call a map.

    Attributes:
        kind: "flow", "transform", "module" or "function".
        event_shape: the shape of one event.
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
    """Return the interface of a map at points x (B, *event) or (D,).

    Args:
        t: the map.
        x: points, which define the shape of an event where the map does not.
        context: rows of context, one for each point; None for a map that takes none.
    """
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
        forward, backward = _in_pieces(_call(t.inverse_and_log_det), _call(t.forward_and_log_det), None)
        forward = _named_by(forward, "inverse_and_log_det(x)")
        return Interface("module", event_shape, forward, backward, log_det_by="inverse_and_log_det(x)")
    return _of_callable(t, event_shape)


def unwrapped(t: Any) -> Any:
    """Return the transform of a distribution that is made of a base and transforms; anything else as it is.

    Raises:
        NoMap: if ``t`` is another distribution.
    """
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
    later = _later_parameters(_entry(t))
    return later is None or any(not _is_flag(p) and not _KEY.fullmatch(_bare(p.name)) for p in later)


def _of_transforms(make: Callable[[Any], Any], t: Any, x: Tensor) -> Interface:
    """Return the interface of transforms that are made from a context.

    Args:
        make: context -> the transform.
        t: one of them; None if it cannot be made.
        x: points.
    """
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
    parameters = _parameters(t)
    # A map of points cannot be called without points.
    if parameters and parameters[0].default is None and parameters[0].name in _CONTEXTS:
        return lambda context: unwrapped(t() if context is None else t(context))
    return None


def _of_nflows(t: Any, x: Tensor, context: Tensor | None) -> Interface:
    """Return the interface of a model that embeds its context first."""
    embed = attribute(t, "_embedding_net")

    def embedded(context: Any) -> Any:
        return context if context is None or embed is None else embed(context)

    inner = interface_of(t._transform, x, embedded(context))
    outer = Interface(**vars(inner))
    outer.forward = lambda points, context, batch: inner.forward(points, embedded(context), batch)
    if inner.backward is not None:
        outer.backward = lambda points, context, batch: inner.backward(points, embedded(context), batch)
    outer.claims, outer.inverse_claims = {}, {}  # the output has both
    return outer


def _of_callable(t: Any, event_shape: torch.Size) -> Interface:
    entry, backward = _entry(t), _inverse(t)
    dims = attribute(t, "dims_in")
    takes = None
    if isinstance(dims, list | tuple) and dims:
        shapes = [dims] if all(isinstance(size, int) for size in dims) else dims
        takes = [torch.Size(shape) for shape in shapes]
    forward, backward = _in_pieces(_call(entry), backward, takes)
    claims, inverse_claims = _methods(t)
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
    names = [name for name in ("forward", *_names(t, _PAIR)) if not unfinished or name != "forward"]
    return next((getattr(t, name) for name in names if has(t, name)), t)


def _inverse(t: Any) -> Callable | None:
    """Return (points, context, batch) -> output, of the inverse; None if there is none."""
    for name in ("inverse", "inv", *_names(t, _INVERSE_PAIR), "_inverse"):
        try:
            value = getattr(t, name, None)
        except Exception as error:
            return _raising(error)
        if callable(value):
            return _call(value)
    entry = _entry(t)
    for parameter in _later_parameters(entry) or ():
        if _is_flag(parameter):
            return _call(entry, {parameter.name: _REVERSED[parameter.name]})
    return None


def _raising(error: Exception) -> Callable:
    def call(*_: Any) -> Any:
        raise error

    return call


def _is_flag(parameter: inspect.Parameter) -> bool:
    """Return True for a parameter that turns a map around."""
    if parameter.name == "mode":
        return parameter.default in ("direct", "forward")
    return parameter.name in _REVERSED and (parameter.default is inspect.Parameter.empty or not parameter.default)


def _call(f: Callable, flags: dict[str, Any] | None = None) -> Callable[[Any, Any, torch.Size], Any]:
    """Return (points, context, batch shape) -> f's output, each argument passed where f takes it."""
    later = _later_parameters(f)
    flags = flags or {}
    # A flag without a default has to be given forwards as well.
    turned = {p.name: False for p in later or () if _is_flag(p) and p.default is inspect.Parameter.empty} | flags
    sums = {p.name: isinstance(p.default, bool) for p in later or () if _KEY.fullmatch(_bare(p.name))}
    free = [p for p in later or () if p.name not in sums and not _is_flag(p)]
    by_name = next((name for name in _CONTEXTS if any(p.name == name for p in free)), None)
    if by_name is None and free:
        by_name = next((p.name for p in free if p.default is inspect.Parameter.empty), free[0].name)

    def call(points: Any, context: Any, batch: torch.Size) -> Any:
        like = points[0] if isinstance(points, list) else points
        named = turned | {name: True if flag else like.new_zeros(batch) for name, flag in sums.items()}
        if context is None:
            return f(points, **named)
        return f(points, context, **named) if by_name is None else f(points, **named, **{by_name: context})

    return call


def called(f: Callable, *, reading: bool = False) -> Callable[[Any, Any, torch.Size], Any]:
    """Return (points, context, batch) -> what f returns, or the ``Answer`` in it, of a function that was handed in.

    It gets the context only if it takes more than points.
    """
    call, with_context = _call(f), bool(_later_parameters(f))

    def read(points: Any, context: Any, batch: torch.Size) -> Any:
        out = call(points, context if with_context else None, batch)
        if not reading:
            return out
        answer = _read(out, batch)
        return answer._replace(y=_joined(answer.y, points, batch))

    return read


def _parameters(f: Callable) -> list[inspect.Parameter] | None:
    """Return the parameters that can be passed by position; None if they are unknown."""
    try:
        found = list(inspect.signature(f.forward if isinstance(f, nn.Module) else f).parameters.values())
    except Exception:  # none is known, or looking for it raises
        return None
    if any(p.kind == inspect.Parameter.VAR_POSITIONAL for p in found):
        return None
    return [p for p in found if p.kind != inspect.Parameter.VAR_KEYWORD]


def _later_parameters(f: Callable) -> list[inspect.Parameter] | None:
    parameters = _parameters(f)
    return None if parameters is None else parameters[1:]


def _in_pieces(
    forward: Callable, backward: Callable | None, takes: list[torch.Size] | None
) -> tuple[Callable, Callable | None]:
    """Return forward and backward as functions from one tensor to one.

    Args:
        forward, backward: (points, context, batch) -> output.
        takes: the shapes of the tensors that a list of points consists of; None if it is one tensor.
    """
    returned: list[torch.Size] | None = None

    def call(f: Callable, points: Tensor, context: Any, batch: torch.Size, shapes: list[torch.Size] | None) -> Any:
        if takes is not None and context is not None:
            context = [context]
        if shapes is None or len(shapes) == 1:
            return f(points if shapes is None else [points], context, batch)
        parts = points.reshape(*batch, -1).split([shape.numel() for shape in shapes], -1)
        # Cloned: a layer may write into what it is given, and autograd forbids that in views of one tensor.
        parts = [part.clone().reshape(*batch, *shape) for part, shape in zip(parts, shapes, strict=True)]
        return f(parts, context, batch)

    def there(points: Tensor, context: Any, batch: torch.Size) -> Answer:
        nonlocal returned
        answer = _read(call(forward, points, context, batch, takes), batch)
        returned = [part.shape[len(batch) :] for part in answer.y] if _in_parts(answer.y, points) else None
        return answer._replace(y=_joined(answer.y, points, batch))

    def back(points: Tensor, context: Any, batch: torch.Size) -> Answer:
        shapes = returned or (takes and [points.shape[len(batch) :]])
        answer = _read(call(backward, points, context, batch, shapes), batch)
        return answer._replace(y=_joined(answer.y, points, batch))

    return there, None if backward is None else back


def _in_parts(y: Any, points: Tensor) -> bool:
    """Return True for a list of tensors that have as many elements as the points together."""
    tensors = isinstance(y, list | tuple) and len(y) > 0 and all(isinstance(part, Tensor) for part in y)
    return tensors and sum(part.numel() for part in y) == points.numel()


def _joined(y: Any, points: Tensor, batch: torch.Size) -> Any:
    if not _in_parts(y, points):
        return y
    return y[0] if len(y) == 1 else torch.cat([part.reshape(*batch, -1) for part in y], -1)


def _read(out: Any, batch: torch.Size) -> Answer:
    """Return y and the log-det among the outputs of a call."""
    named = _named(out)
    if named is not None:
        key = next((key for key in named if _KEY.fullmatch(_bare(str(key)))), None)
        if key is not None or isinstance(out, Mapping):
            tensors = [name for name, value in named.items() if name != key and isinstance(value, Tensor)]
            images = [name for name in _IMAGES if name in tensors] + tensors
            if not images:
                raise NoMap(f"transform: it must return y, but returned a {type(out).__name__} without a tensor")
            return Answer(named[images[0]], None if key is None else named[key], f"the output's {key!r}")
    if not isinstance(out, tuple | list) or not out:
        return Answer(out)
    y, *rest = out
    if not rest:
        raise NoMap(
            f"transform: it must return a tensor, or a tensor and a log-det, but returned a {type(out).__name__} of one"
        )
    if len(rest) == 1:
        return Answer(y, rest[0], "the second output")
    sized = [k for k, value in enumerate(rest) if _is_number(value, batch)]
    some = [k for k, value in enumerate(rest) if isinstance(value, Tensor)]
    if not (sized or some):
        return Answer(y)
    k = (sized or some)[0]
    return Answer(y, rest[k], f"the {_ORDINALS[k] if k < len(_ORDINALS) else 'last'} output")


def _is_number(value: Any, batch: torch.Size) -> bool:
    """Return True for one number, or one for each point."""
    if isinstance(value, Tensor):
        return value.numel() == 1 or value.numel() == batch.numel() == value.shape[0]
    return isinstance(value, float | int) and not isinstance(value, bool)


def _named(out: Any) -> dict[Any, Any] | None:
    if isinstance(out, Mapping):
        return dict(out)
    if isinstance(out, tuple) and hasattr(out, "_asdict"):
        return out._asdict()
    if is_dataclass(out) and not isinstance(out, type):
        return {each.name: getattr(out, each.name) for each in fields(out)}
    return None


def set_by_a_call(holder: Any, before: dict[str, Any]) -> str:
    """Return the name of an attribute that a call set to a log-det; "" if there is none.

    Args:
        holder: the object.
        before: its attributes before the call.
    """
    for name, value in attributes(holder).items():
        number = isinstance(value, Tensor) or (isinstance(value, float | int) and not isinstance(value, bool))
        if number and value is not before.get(name):
            return name
    return ""


def attributes(holder: Any) -> dict[str, Any]:
    """Return the attributes of an object, buffers among them, that have the name of a log-det."""
    found = vars(holder) | dict(vars(holder).get("_buffers", {})) if hasattr(holder, "__dict__") else {}
    return {name: value for name, value in found.items() if _KEY.fullmatch(_bare(name))}


def _methods(t: Any) -> tuple[dict[str, Callable[..., Any]], dict[str, Callable[..., Any]]]:
    """Return the claims of methods with the name of a log-det, those of the map and those of its inverse."""
    found = []
    for pair, value in ((_PAIR, _VALUE), (_INVERSE_PAIR, _INVERSE_VALUE)):
        claims: dict[str, Callable[..., Any]] = {}
        for name in _names(t, pair):
            call = _call(getattr(t, name))
            claims[f"{name}({'x' if pair is _PAIR else 'y'})"] = _second(call)
        for name in _names(t, value):
            method = getattr(t, name)
            parameters = _parameters(method) or []
            required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
            points = [p for p in required if p in _POINTS]
            if points == required and len(points) == 1:
                claims[f"{name}({'x' if value is _VALUE else 'y'})"] = _of_one(_call(method))
            elif required[:2] == points[:2] and len(points) >= 2:
                words = "x, y" if value is _VALUE else "y, x"
                claims[f"{name}({words})"] = _of_two(method, len(parameters) > 2)
        found.append(claims)
    return found[0], found[1]


def _names(t: Any, pattern: re.Pattern[str]) -> list[str]:
    """Return the public methods whose name matches."""
    return [name for name in _methods_about_log_dets(type(t)) if pattern.fullmatch(_bare(name))]


@lru_cache(maxsize=256)
def _methods_about_log_dets(kind: type) -> tuple[str, ...]:
    public = (name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name, None)))
    return tuple(name for name in public if re.search(_LOG_DET, _bare(name)))


def _second(call: Callable) -> Callable[..., Any]:
    return lambda points, _, context, batch: call(points, context, batch)[1]


def _of_one(call: Callable) -> Callable[..., Any]:
    return lambda points, _, context, batch: call(points, context, batch)


def _of_two(method: Callable, with_context: bool) -> Callable[..., Any]:
    return lambda x, y, context, _: method(x, y) if context is None or not with_context else method(x, y, context)


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def attribute(t: Any, name: str) -> Any:
    """Return an attribute; None if there is none, or if its access raises an error."""
    try:
        return getattr(t, name, None)
    except Exception:
        return None


def has(t: Any, *names: str) -> bool:
    """Return True if all of these attributes are there."""
    return all(attribute(t, name) is not None for name in names)
