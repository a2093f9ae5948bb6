"""The manners in which a map can be called: with all points at once, one by one, or never with fewer than two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .conventions import Answer, NoMap
from .phrases import a_kind

__all__ = ["MANNERS"]


def _whole(call: Callable) -> Callable[..., Any]:
    return lambda *batches: call(*batches, batches[0].shape[:1])


def _each(call: Callable) -> Callable[..., Any]:
    """Return a function of one point, with what belongs to it, as a function of batches."""

    def rows(*batches: Tensor | None) -> Any:
        out = [
            call(*(None if batch is None else batch[row] for batch in batches), torch.Size())
            for row in range(len(batches[0]))
        ]
        if not isinstance(out[0], Answer):
            return _stack(out)
        ys, log_dets, by = zip(*out, strict=True)
        if not isinstance(ys[0], Tensor):
            raise NoMap(f"transform: it must return a tensor, or a tensor and a log-det, but returned {a_kind(ys[0])}")
        return Answer(torch.stack(ys), _stack(log_dets), by[0])

    return rows


def _accompanied(call: Callable) -> Callable[..., Any]:
    """Return a function that refuses a batch of one as one that does not: the results of a second point are dropped."""

    def beside(*batches: Tensor | None) -> Any:
        points, *rest = batches
        if len(points) > 1:
            return call(*batches, points.shape[:1])
        two = [torch.cat([points, points + 0.1 * (1 + points.abs())])]
        two += [None if batch is None else torch.cat([batch, batch]) for batch in rest]
        out = call(*two, two[0].shape[:1])
        return Answer(_first(out.y), _first(out.log_det), out.by) if isinstance(out, Answer) else _first(out)

    return beside


def _first(value: Any) -> Any:
    return value[:1] if isinstance(value, Tensor) and value.shape[:1] == (2,) else value


def _stack(values: tuple | list) -> Tensor | None:
    return None if values[0] is None else torch.stack([torch.as_tensor(value) for value in values])


# Manner -> what makes a function of whole batches of a call that takes points in it, and the shape of a batch.
MANNERS: dict[str, Callable[[Callable], Callable]] = {
    "all at once": _whole,
    "one by one": _each,
    "never alone": _accompanied,
}
