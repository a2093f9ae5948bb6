"""Texts with numbers in them: a format such as ``f"{x:.2f}"`` of a recorded number becomes a place to be filled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nfteach.jacobian import numbers
from nfteach.widgets.stage.packing import written

__all__ = ["Words", "pieces"]

_KINDS = {torch.Tensor.__format__: "format", numbers.fixed: "fixed", numbers.bracketed: "bracketed",
          numbers.added: "added", numbers.pick: "pick",
          written: "written"}  # fmt: skip
_PLACE = re.compile("\ue000(\\d+)\ue001")  # characters of private use


class Words(TorchFunctionMode):
    """Replaces the texts of recorded numbers by places, while it is entered.

    Args:
        texts: to which (kind, number, details) are added.
        known: returns a tensor itself if it is a constant.
        handlers: function -> what is called in its place.
    """

    def __init__(
        self, texts: list[tuple[Any, ...]], known: Callable[[Tensor], Any], handlers: Mapping[Any, Callable[..., Any]]
    ) -> None:
        super().__init__()
        self._texts, self._known, self._handlers = texts, known, handlers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self._handlers:
            return self._handlers[func](*args, **kwargs)
        if func not in _KINDS or isinstance(self._known(args[0]), Tensor):
            return func(*args, **kwargs)
        details: Any = args[1:]
        if func is not torch.Tensor.__format__:
            bound = inspect.signature(func).bind(*args, **kwargs)
            bound.apply_defaults()
            details = (*bound.args[1:],)
        self._texts.append((_KINDS[func], args[0], *details))
        return f"\ue000{len(self._texts) - 1}\ue001"


def pieces(text: str) -> list[str | int]:
    """Return a text as its constant pieces and the numbers of its places."""
    return [int(piece) if k % 2 else piece for k, piece in enumerate(_PLACE.split(text))]
