"""What is declared of a map (domain, codomain, sign, a space of coordinates), held against its values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform
from torch.nn import ModuleList

from .adapt import Map
from .conventions import attribute
from .coordinates import OFF, SPACE
from .numbers import gap

__all__ = ["Contradiction", "codomain_of", "contradictions", "inside", "is_made_of_others"]


class Contradiction(NamedTuple):
    """A declaration that the map's values contradict.

    Attributes:
        attribute: "domain", "codomain", "sign" or "coordinates".
        words: what is declared, and what is so.
        point: where, counted from 0; None if at no point that was given.
    """

    attribute: str
    words: str
    point: int | None


def contradictions(f: Map, x: Tensor, y: Tensor, J: Tensor, near: Tensor) -> Iterator[Contradiction]:
    """Yield what the transform declares, or is said of it, and does not hold.

    It is looked at in x, y (B, D), where the Jacobian is J (B, D, D), and at points ``near`` (N, D) in its domain.
    """
    yield from _of_a_space(f, x)
    if not isinstance(f.subject, Transform):
        return
    for name, values in (("domain", x), ("codomain", y)):
        outside = ~inside(f, values, name) & values.isfinite().all(1)
        if outside.any():
            at, what = int(outside.int().argmax()), "x" if name == "domain" else "y"
            words = f"The Transform's .{name} is {_name(getattr(f.subject, name))}, which refuses {what}"
            yield Contradiction(name, words, at)
    if len(near) and not is_made_of_others(f):
        try:
            images = f(near)[0]
        except Exception:
            return
        nan = images.isnan().any(1)
        if nan.any():
            yield Contradiction(
                "domain", f"The Transform's .domain is {_name(f.subject.domain)}, but y is NaN at a point in it", None
            )
    try:
        sign = f.subject.sign
    except NotImplementedError:
        return
    if f.subject.domain.event_dim == 0 and J.shape[1] == J.shape[2]:
        signs = torch.as_tensor(sign).double().cpu().expand(len(J), *f.event_shape).reshape(len(J), -1)
        wrong = (J.diagonal(dim1=1, dim2=2).sign() * signs < 0).any(1)
        if wrong.any():
            at = int(wrong.int().argmax())
            yield Contradiction("sign", f"The Transform's .sign is {sign}, but the derivative has the other sign", at)


def _of_a_space(f: Map, x: Tensor) -> Iterator[Contradiction]:
    leaves = attribute(f.subject, SPACE)
    far = None if leaves is None else leaves(x, f.context)
    if far is not None and far.max() > OFF:
        words = (
            "y leaves the space that coordinates describe: from_vector(to_vector(y)) differs from y by up to "
            f"{gap(float(far.max()))} of its size"
        )
        yield Contradiction("coordinates", words, int(far.argmax()))


def inside(f: Map, points: Tensor, name: str = "domain") -> Tensor:
    """Return (N,) whether points (N, D) are in the domain, or codomain, of a map; True where it declares none."""
    if isinstance(f.subject, Transform):
        events = points.reshape(len(points), *(f.event_shape if name == "domain" else f.image_shape))
        with suppress(Exception):  # a constraint may be unable to say
            return getattr(f.subject, name).check(events).reshape(len(points), -1).all(1)
    return torch.ones(len(points), dtype=torch.bool, device=points.device)


def codomain_of(f: Map) -> str:
    """Return the codomain that an elementwise torch transform declares, in words; "" for vectors, declared roughly."""
    elementwise = f.interface.kind == "transform" and isinstance(f.subject, Transform)
    return _name(f.subject.codomain) if elementwise and f.subject.codomain.event_dim == 0 else ""


def is_made_of_others(f: Map) -> bool:
    """Return True for a transform made of others: it declares the domain of the first and the codomain of the last."""
    seen: list[Any] = []
    todo = [f.subject] if f.interface.kind == "transform" else []
    while todo:
        t = todo.pop()
        if not isinstance(t, Transform) or any(t is each for each in seen):
            continue
        if any(isinstance(getattr(t, name, None), list | tuple | ModuleList) for name in ("parts", "transforms")):
            return True
        seen.append(t)
        todo += [getattr(t, name, None) for name in ("base_transform", "_inv")]
    return False


def _name(constraint: constraints.Constraint) -> str:
    return repr(constraint).removesuffix("()")
