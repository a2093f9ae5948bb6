"""Copies of arguments, in their own or in single precision, and how arguments differ once an answer has had them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["differs", "in_single_precision", "leaves"]


def in_single_precision(value: Any) -> Any:
    """Return a deep copy in which the float64 tensors of lists, tuples and modules are float32 ones."""
    if isinstance(value, Tensor):
        twin = value.detach().clone()
        return (twin.float() if twin.dtype == torch.float64 else twin).requires_grad_(value.requires_grad)
    if type(value) in (list, tuple):
        return type(value)(in_single_precision(one) for one in value)
    twin = copy.deepcopy(value)
    return twin.float() if isinstance(twin, nn.Module) else twin


def differs(before: Any, after: Any) -> bool:
    """Return whether two tensors, modules, or lists of such differ; other things never do."""
    if isinstance(before, Tensor):
        alike = before.shape == after.shape and torch.equal(before.detach().nan_to_num(), after.detach().nan_to_num())
        return not alike
    if isinstance(before, nn.Module):
        return differs(list(before.state_dict().values()), list(after.state_dict().values()))
    if isinstance(before, list | tuple):
        return len(before) != len(after) or any(differs(a, b) for a, b in zip(before, after, strict=True))
    return isinstance(before, bool | int | float | str) and before != after


def leaves(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of arguments that a training would move: leaves with a gradient, parameters among them."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, nn.Module):
        yield from (parameter for parameter in value.parameters() if parameter.requires_grad)
    elif isinstance(value, Tensor) and value.requires_grad and value.is_leaf:
        yield value
