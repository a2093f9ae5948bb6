"""What is handed in: points, context and transform, refused in a sentence where they cannot be looked at."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform
from torch.distributions.transforms import _InverseTransform as InverseTransform

from .conventions import has
from .interface import unwrapped
from .phrases import a_kind

__all__ = ["as_context", "as_points", "check_perturb", "check_transform", "misfit", "name_of", "rows_of"]


def name_of(thing: Any) -> str:
    if isinstance(thing, nn.Module | Transform):
        return f"the inverse of {name_of(thing.inv)}" if isinstance(thing, InverseTransform) else type(thing).__name__
    name = getattr(thing, "__name__", type(thing).__name__)
    return "lambda" if name == "<lambda>" else name


def as_points(x: Any) -> Tensor:
    """Return x, the points to look at, as a real floating-point tensor that is finite; raise ValueError for others."""
    if x is None or callable(x) or isinstance(x, str | dict):
        swapped = "; try the transform first and x second" if callable(x) else ""
        raise ValueError(f"x must be a tensor of shape (D,) or (B, D), but is {a_kind(x)}{swapped}")
    x = _as_tensor(x, "x", "a tensor of shape (D,) or (B, D)")
    if x.dim() == 0 or x.numel() == 0:
        raise ValueError(f"x must have the shape (D,) or (B, D), but has the shape {tuple(x.shape)}")
    if x.is_complex():
        raise ValueError(
            f"x must be real floating point, but is {x.dtype}; try x = torch.view_as_real(x), and a function of real "
            "numbers, lambda x: torch.view_as_real(f(torch.view_as_complex(x)))"
        )
    if not x.is_floating_point():
        raise ValueError(f"x must be real floating point, but is {x.dtype}; try x.float()")
    if torch.finfo(x.dtype).bits < 16:
        raise ValueError(f"x must have a dtype of 16 bits or more, but is {x.dtype}; try x.float()")
    if not x.isfinite().all():
        raise ValueError(
            f"x must be finite, but {int((~x.isfinite()).sum())} of its {x.numel()} values are NaN or infinite"
        )
    with torch.inference_mode(False):
        return x.clone() if x.is_inference() else x.detach()


def check_perturb(perturb: Any) -> None:
    """Raise ValueError for what is neither a positive number nor None."""
    number = isinstance(perturb, numbers.Real) and not isinstance(perturb, bool)
    if perturb is not None and not (number and 0 < perturb < math.inf):
        raise ValueError(f"perturb must be a positive number, such as 0.5, or None, but is {perturb!r}")


def as_context(context: Any) -> Tensor | None:
    """Return the context as a tensor; None stays None; raise ValueError for anything else."""
    return None if context is None else _as_tensor(context, "context", "a tensor").detach()


def _as_tensor(value: Any, name: str, kind: str) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be {kind}, but is {a_kind(value)} ({error})") from None
    if form := _form(tensor):
        advice = f"; try {name}.to_dense()" if form.startswith("torch.sparse") else ""
        raise ValueError(f"{name} must be a dense tensor with values, but is {form}{advice}")
    return tensor


def _form(tensor: Tensor) -> str:
    """Return "nested", "on the meta device" or a sparse layout; "" for a dense tensor with values."""
    if tensor.is_nested or tensor.is_meta:
        return "nested" if tensor.is_nested else "on the meta device"
    return "" if tensor.layout == torch.strided else str(tensor.layout)


def check_transform(transform: Any) -> None:
    """Raise ValueError for what is not a map."""
    unwrapped(transform)
    kinds, advice = "a flow, a Transform, a module or a function", ""
    if isinstance(transform, type):
        advice = f"the class {transform.__name__}; try an instance of it"
    elif isinstance(transform, Tensor):
        advice = "a Tensor; try the transform first and x second"
    elif isinstance(transform, list | tuple | nn.ModuleList) and not isinstance(transform, Transform):
        advice = f"{a_kind(transform)}; try inspect_layers for layers in a row"
    methods = ("forward", "forward_and_log_det", "call_and_ladj", "condition", "transforms", "transform")
    if advice or not (callable(transform) or any(has(transform, name) for name in methods)):
        raise ValueError(f"transform must be {kinds}, but is {advice or repr(transform)}")


def rows_of(context: Tensor | None, count: int, single: bool) -> Tensor | None:
    """Return the context as one row for each of ``count`` points; ``single`` if the point came as (D,).

    Raises:
        ValueError: if it has another number of rows.
    """
    if context is None or (not single and context.shape[:1] == (count,)):
        return context
    if single or context.dim() <= 1:
        return context.expand(count, *context.shape)
    if len(context) != 1:
        raise ValueError(
            f"context must have one row for each of the {count} points, or one for all, but has the shape "
            f"{tuple(context.shape)}"
        )
    return context.expand(count, *context.shape[1:])


def misfit(value: Any, name: str) -> str:
    """Return what a map must return, as y or x, and what it did; "" for a dense tensor of real numbers."""
    if not isinstance(value, Tensor):
        return f"a tensor {name}, but returned {a_kind(value)}"
    if value.is_complex():
        return (
            f"real numbers, but returned {value.dtype}; try a function of real numbers, "
            "lambda x: torch.view_as_real(f(torch.view_as_complex(x)))"
        )
    if not value.is_floating_point():
        return f"floating-point numbers, but returned {value.dtype}, and a map to whole numbers has no Jacobian"
    form = _form(value)
    return f"a dense tensor {name} with values, but returned one that is {form}" if form else ""
