"""The conventions of flow libraries: how arguments are passed, and where the log-det stands, by names and places."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "CONTEXTS",
    "INVERSE_PAIR",
    "PAIR",
    "REVERSED",
    "Answer",
    "NoMap",
    "attribute",
    "attributes",
    "call_of",
    "called",
    "has",
    "in_pieces",
    "is_flag",
    "is_log_det",
    "later_parameters",
    "log_det_methods",
    "method_claims",
    "parameters_of",
    "set_by_a_call",
]

_LOG_DET = r"(ladj|s?ldj|log(abs)?det(erminant)?(of)?(j|jac|jacobian)?|log(abs)?jac(obian)?(det(erminant)?)?)"
_KEY = re.compile(rf"(sum|total|forward|fwd|f)?{_LOG_DET}s?")
_VALUE, PAIR = re.compile(rf"(forward|fwd|f)?{_LOG_DET}"), re.compile(rf"(forward|call)(and|with){_LOG_DET}")
_INVERSE_VALUE = re.compile(rf"(inverse|inv|i){_LOG_DET}")
INVERSE_PAIR = re.compile(rf"inv(erse)?(and|with){_LOG_DET}")
# A method that computes a log-det from other things than points, such as a matrix, claims nothing about the map.
_POINTS = {"x", "y", "z", "u", "data", "input", "inputs", "point", "points", "sample", "samples", "value", "values"}
CONTEXTS = ("context", "c", "cond", "condition", "conditions", "cond_inputs", "y", "h", "label", "labels")
REVERSED = {"reverse": True, "rev": True, "inverse": True, "invert": True, "inv": True, "mode": "inverse"}
_IMAGES = ("y", "z", "x", "u", "out", "output", "outputs", "value", "sample", "samples")
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth")


class NoMap(ValueError):
    """A map without a Jacobian that has a determinant."""


class Answer(NamedTuple):
    """What a map returned: y, the log-det as it came (None if there is none), and where it stood, in words."""

    y: Any
    log_det: Any = None
    by: str = ""


def attribute(t: Any, name: str) -> Any:
    """Return an attribute; None if there is none, or if its access raises an error."""
    try:
        return getattr(t, name, None)
    except Exception:
        return None


def has(t: Any, *names: str) -> bool:
    """Return True if all of these attributes are there."""
    return all(attribute(t, name) is not None for name in names)


def is_flag(parameter: inspect.Parameter) -> bool:
    """Return True for a parameter that turns a map around."""
    if parameter.name == "mode":
        return parameter.default in ("direct", "forward")
    return parameter.name in REVERSED and (parameter.default is inspect.Parameter.empty or not parameter.default)


def call_of(f: Callable, flags: dict[str, Any] | None = None) -> Callable[[Any, Any, torch.Size], Any]:
    """Return (points, context, batch shape) -> f's output, each argument passed where f takes it."""
    later = later_parameters(f)
    flags = flags or {}
    # A flag without a default has to be given forwards as well.
    turned = {p.name: False for p in later or () if is_flag(p) and p.default is inspect.Parameter.empty} | flags
    sums = {p.name: isinstance(p.default, bool) for p in later or () if is_log_det(p.name)}
    free = [p for p in later or () if p.name not in sums and not is_flag(p)]
    by_name = next((name for name in CONTEXTS if any(p.name == name for p in free)), None)
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
    call, with_context = call_of(f), bool(later_parameters(f))

    def result(points: Any, context: Any, batch: torch.Size) -> Any:
        out = call(points, context if with_context else None, batch)
        if not reading:
            return out
        answer = _read(out, batch)
        return answer._replace(y=_joined(answer.y, points, batch))

    return result


def parameters_of(f: Callable) -> list[inspect.Parameter] | None:
    """Return the parameters that can be passed by position; None if they are unknown."""
    try:
        found = list(inspect.signature(f.forward if isinstance(f, nn.Module) else f).parameters.values())
    except Exception:  # none is known, or looking for it raises
        return None
    if any(p.kind == inspect.Parameter.VAR_POSITIONAL for p in found):
        return None
    return [p for p in found if p.kind != inspect.Parameter.VAR_KEYWORD]


def later_parameters(f: Callable) -> list[inspect.Parameter] | None:
    parameters = parameters_of(f)
    return None if parameters is None else parameters[1:]


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
        key = next((key for key in named if is_log_det(str(key))), None)
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
    """Return the name of an attribute that a call set to a log-det; "" if there is none."""
    for name, value in attributes(holder).items():
        number = isinstance(value, Tensor) or (isinstance(value, float | int) and not isinstance(value, bool))
        if number and value is not before.get(name):
            return name
    return ""


def attributes(holder: Any) -> dict[str, Any]:
    """Return the attributes of an object, buffers among them, that have the name of a log-det."""
    found = vars(holder) | dict(vars(holder).get("_buffers", {})) if hasattr(holder, "__dict__") else {}
    return {name: value for name, value in found.items() if is_log_det(name)}


def log_det_methods(t: Any, pattern: re.Pattern[str]) -> list[str]:
    """Return the public methods whose name matches."""
    return [name for name in _methods_about_log_dets(type(t)) if pattern.fullmatch(_bare(name))]


@lru_cache(maxsize=256)
def _methods_about_log_dets(kind: type) -> tuple[str, ...]:
    public = (name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name, None)))
    return tuple(name for name in public if re.search(_LOG_DET, _bare(name)))


def is_log_det(name: str) -> bool:
    """Return True for the name of a log-det, such as ``log_det`` or ``sum_logdets``."""
    return _KEY.fullmatch(_bare(name)) is not None


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def in_pieces(
    forward: Callable, backward: Callable | None, takes: list[torch.Size] | None
) -> tuple[Callable, Callable | None]:
    """Return forward and backward as functions from one tensor to one; ``takes`` are the shapes in a list of points."""

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
        answer = _read(call(forward, points, context, batch, takes), batch)
        back.pieces = [part.shape[len(batch) :] for part in answer.y] if _in_parts(answer.y, points) else None
        return answer._replace(y=_joined(answer.y, points, batch))

    def back(points: Tensor, context: Any, batch: torch.Size) -> Answer:
        shapes = back.pieces or (takes and [points.shape[len(batch) :]])
        answer = _read(call(backward, points, context, batch, shapes), batch)
        return answer._replace(y=_joined(answer.y, points, batch))

    back.pieces = None  # the shapes of what forward returned last, if that was several tensors
    return there, None if backward is None else back


def method_claims(t: Any) -> tuple[dict[str, Callable[..., Any]], dict[str, Callable[..., Any]]]:
    """Return the claims of methods with the name of a log-det, those of the map and those of its inverse."""
    found = []
    for pair, value, point, both in ((PAIR, _VALUE, "x", "x, y"), (INVERSE_PAIR, _INVERSE_VALUE, "y", "y, x")):
        claims: dict[str, Callable[..., Any]] = {}
        for name in log_det_methods(t, pair):
            call = call_of(getattr(t, name))
            claims[f"{name}({point})"] = lambda x, _, context, batch, call=call: call(x, context, batch)[1]
        for name in log_det_methods(t, value):
            method = getattr(t, name)
            parameters = parameters_of(method) or []
            required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
            points = [p for p in required if p in _POINTS]
            if points == required and len(points) == 1:
                call = call_of(method)
                claims[f"{name}({point})"] = lambda x, _, context, batch, call=call: call(x, context, batch)
            elif required[:2] == points[:2] and len(points) >= 2:
                more = len(parameters) > 2
                claims[f"{name}({both})"] = lambda x, y, context, _, method=method, more=more: (
                    method(x, y, context) if more and context is not None else method(x, y)
                )
        found.append(claims)
    return found[0], found[1]
