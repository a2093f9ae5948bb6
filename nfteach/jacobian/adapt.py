"""Whatever the inspector is given -> one shape of map: (B, D) to (B, D), with what it claims about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.distributions.transforms import Transform

from .interface import (
    Answer,
    Interface,
    NoMap,
    attribute,
    attributes,
    called,
    has,
    interface_of,
    set_by_a_call,
    takes_context,
    unwrapped,
)
from .rng import seeded
from .twin import InverseTransform, twins

__all__ = ["MANNERS", "Map", "NoMap", "adapt", "as_context", "as_points", "in_words", "name_of"]

Pair = tuple[Any, Any]

# How a map can be called: with all points at once, with one at a time, or never with fewer than two.
MANNERS = ("all at once", "one by one", "never alone")


@dataclass(eq=False)
class Map:
    """A map of events, in one shape for all that the inspector takes.

    Attributes:
        name: as its author would write it, such as ``Planar``.
        subject: the copy that is called, whose state may be looked at.
        interface: how it is called.
        given: (B, D) the points given.
        context: (B, ...) a row for each of them; None without.
        manner: one of ``MANNERS``.
        rectangular: True if y may have another number of elements than x.
        default_rows: (N,) the rows of ``given`` that points belong to, over and over, if a call does not say; by
            default all in order.
        log_det, inverse: x -> log-det and y -> x, or (x, log-det), where they were given.
        log_det_by: where the log-det came from, in words; known once the map was called.
        unanswered: which claims raised, and their errors.
        set_by_calls: the attribute that calls set to the log-det, where it stands nowhere else; "" if none.
        formula: of the log-det, in TeX; "" if the map does not say.
        terms: x (B, *event) -> the named quantities of the formula; None if the map does not say.
        image_shape: the shape of one y, once one was seen: a squeeze makes (4 C, H/2, W/2) of (C, H, W).
        with_gradient: True if it runs on points that require a gradient. Then it always gets such points, since it may
            take a gradient inside, as a leapfrog step does.
    """

    name: str
    subject: Any
    interface: Interface
    given: Tensor
    context: Tensor | None = None
    manner: str = "all at once"
    rectangular: bool = False
    default_rows: Tensor | None = None
    log_det: Callable | None = None
    inverse: Callable | None = None
    log_det_by: str = ""
    unanswered: dict[str, str] = field(default_factory=dict)
    set_by_calls: str = ""
    image_shape: torch.Size | None = None
    with_gradient: bool = True

    def __post_init__(self) -> None:
        self.log_det_by = self.interface.log_det_by if self.log_det is None else "log_det(x), as given"
        formula, terms = attribute(self.subject, "formula"), attribute(self.subject, "terms")
        self.formula = formula if isinstance(formula, str) else ""
        self.terms = terms if callable(terms) else None
        if self.default_rows is None:
            self.default_rows = torch.arange(len(self.given))

    @property
    def kind(self) -> str:
        """One of "flow", "transform", "module" and "function"."""
        return self.interface.kind

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one x; D is its number of elements."""
        return self.interface.event_shape

    @property
    def per_dimension(self) -> bool:
        """True if one log-det per dimension is the convention, and so not a mistake."""
        return self.interface.per_dimension

    @property
    def dim(self) -> int:
        return self.event_shape.numel()

    @cached_property
    def rows(self) -> int | str:
        """The one number of points that the map takes, as one with a row of context for each in a closure; or "any"."""
        B = len(self.given)
        for count in (B + 1, 2 * B, B - 1) if B > 1 else ():
            of = torch.arange(count) % B
            try:
                y = self._run(self.forward, self.given[of.to(self.given.device)], of)[0]
                if isinstance(y, Tensor) and y.shape[:1] == (count,):
                    return "any"
            except Exception:  # refused
                continue
        return B if B > 1 else "any"

    def at(self, rows: Tensor) -> Map:
        """Return the same map for points that belong to these rows of ``given``, (N,), over and over."""
        same = replace(self, default_rows=torch.as_tensor(rows).cpu())
        same.__dict__["rows"] = self.rows
        return same

    @contextmanager
    def without_grad(self) -> Iterator[None]:
        """Call the map and its inverse under ``no_grad`` inside the block."""
        before, self.with_gradient = self.with_gradient, False
        try:
            yield
        finally:
            self.with_gradient = before

    def overwrites(self, points: Tensor, *, backwards: bool = False) -> bool:
        """Return True if a call at points (N, D), or that of the inverse, writes into what it is given."""
        overwritten: list[bool] = []

        def watched(events: Tensor, context: Tensor | None) -> Pair:
            before, version = events.detach().clone(), events._version
            out = (self._backward if backwards else self.forward)(events, context)
            same = torch.allclose(events.detach(), before, rtol=0, atol=0, equal_nan=True)
            overwritten.append(events._version != version or not same)
            return out

        shape = self.image_shape if backwards else self.event_shape
        with suppress(Exception):  # it may refuse a tensor that was written into
            self._run(watched, points, self._of(points, None), shape=shape)
        return any(overwritten)

    def __call__(self, x: Tensor, *, rows: Tensor | None = None, seed: int = 0) -> Pair:
        """Return y (N, D) and the claimed log-det as it came, at x (N, D).

        Each call starts from the same random state. Only if x requires a gradient do the results have a history.

        Args:
            x: points.
            rows: (N,) the given point that each of them belongs to, whose context it is mapped with; by default they
                belong to all given points in order, over and over.
            seed: of the random state.
        """
        y, log_det = self._in_rows(self.forward, x, rows, seed, lambda: self.given)
        self._check(x, y)
        self.image_shape = y.shape[1:]
        return y.reshape(len(x), -1), log_det

    def invert(self, y: Tensor, *, rows: Tensor | None = None) -> Pair:
        """Return x (N, D) and the inverse's claimed log-det as it came (or None), at y (N, D).

        Args:
            y: images.
            rows: as for a call.

        Raises:
            NoMap: if what the inverse returns is not an x.
        """
        x, log_det = self._in_rows(self.backward, y, rows, 0, self._images)
        if not isinstance(x, Tensor) or not x.is_floating_point() or _has_no_values(x):
            came = (_has_no_values(x) or x.dtype) if isinstance(x, Tensor) else _a(x)
            raise NoMap(
                f"transform: the inverse of {self.name} must return a tensor of real numbers, but returned {came}"
            )
        if x.numel() != len(y) * self.dim:
            raise NoMap(
                f"transform: the inverse of {self.name} must return x of shape {(len(y), *self.event_shape)}, but "
                f"returned the shape {tuple(x.shape)}"
            )
        return x.reshape(len(y), -1), log_det

    @property
    def other_claims(self) -> dict[str, Callable[..., Any]]:
        """The log-dets that the map claims besides that of a call, in words -> (x, y, rows=None) -> as it came."""
        return {words: partial(self._claimed, words) for words in self.interface.claims if words != self.log_det_by}

    def _claimed(self, words: str, points: Tensor, image: Tensor, *, rows: Tensor | None = None) -> Any:
        def call(events: Tensor, context: Tensor | None) -> Pair:
            images = image.to(events).reshape(len(events), *self.image_shape)
            return None, _in_manner(self.manner, self.interface.claims[words])(events, images, context)

        return self._run(call, points, self._of(points, rows), shape=self.event_shape)[1]

    def forward(self, events: Tensor, context: Tensor | None = None) -> Pair:
        """Return y and the claimed log-det as they came, at events (N, *event) with their rows of context."""
        interface, before = self.interface, attributes(self.interface.holder)
        # A layer may write into what it is given.
        kept = events.clone() if interface.claims or self.log_det is not None else events
        y, log_det, by = _in_manner(self.manner, interface.forward)(events, context)
        if self.log_det is not None:
            return y, _in_manner(self.manner, called(self.log_det))(kept, context)
        for words, claim in interface.claims.items() if log_det is None else ():
            try:
                log_det, by = _in_manner(self.manner, claim)(kept, y, context), words
            except NotImplementedError:
                continue
            except Exception as error:
                if interface.kind in ("flow", "transform"):
                    raise
                self.unanswered[words] = f"{type(error).__name__}: {error}".rstrip(": ")
            if log_det is not None:
                break
        if log_det is None:
            self.set_by_calls = self.set_by_calls or set_by_a_call(interface.holder, before)
        if log_det is None and self.set_by_calls:
            log_det = attributes(interface.holder).get(self.set_by_calls)
            by = f"the attribute .{self.set_by_calls}, as the call left it"
        self.log_det_by = by or self.log_det_by
        dense = isinstance(log_det, Tensor) and log_det.layout != torch.strided
        return y, log_det.to_dense() if dense else log_det

    @property
    def backward(self) -> Callable[..., Pair] | None:
        """y (N, *image), with rows of context -> x and the inverse's claimed log-det; None if there is no inverse."""
        return self._backward if self.inverse is not None or self.interface.backward is not None else None

    def _backward(self, images: Tensor, context: Tensor | None = None) -> Pair:
        if self.inverse is not None:
            return _in_manner(self.manner, called(self.inverse, reading=True))(images, context)[:2]
        kept = images.clone() if self.interface.inverse_claims else images
        x, log_det, _ = _in_manner(self.manner, self.interface.backward)(images, context)
        for claim in self.interface.inverse_claims.values() if log_det is None else ():
            try:
                log_det = _in_manner(self.manner, claim)(kept, x, context)
                break
            except Exception:
                continue
        return x, log_det

    def _in_rows(
        self, call: Callable[..., Pair], x: Tensor, rows: Tensor | None, seed: int, padding: Callable[[], Tensor]
    ) -> Pair:
        of, B = self._of(x, rows), len(self.given)
        shape = self.event_shape if call == self.forward else self.image_shape
        as_given = len(x) == B and bool((of == torch.arange(B)).all())
        if as_given or self.rows == "any":
            return self._run(call, x, of, seed, shape)
        # Row b goes where the map has the context of row b; the places left are filled with the points given.
        seen: Counter[int] = Counter()
        turns: dict[int, list[int]] = {}
        for place, b in enumerate(of.tolist()):
            turns.setdefault(seen[b], []).append(place)
            seen[b] += 1
        ys, log_dets, places = [], [], []
        for turn in turns.values():
            at = torch.tensor(turn, device=x.device)
            places.append(at)
            here = of.to(x.device)[at]
            batch = padding().to(x).index_copy(0, here, x[at])
            y, log_det = self._run(call, batch, torch.arange(B), seed, shape)
            per_row = isinstance(log_det, Tensor) and log_det.shape[:1] == (B,)
            ys.append(y[here] if isinstance(y, Tensor) and y.shape[:1] == (B,) else y)
            log_dets.append(log_det[here.to(log_det.device)] if per_row else log_det)
        if not all(isinstance(y, Tensor) for y in ys):
            return ys[0], log_dets[0]
        order = torch.cat(places).argsort()
        joined = all(isinstance(log_det, Tensor) and log_det.dim() for log_det in log_dets)
        return torch.cat(ys)[order], torch.cat(log_dets)[order.to(log_dets[0].device)] if joined else log_dets[0]

    def _of(self, x: Tensor, rows: Tensor | None) -> Tensor:
        if rows is not None:
            return torch.as_tensor(rows).cpu()
        return self.default_rows[torch.arange(len(x)) % len(self.default_rows)]

    def _images(self) -> Tensor:
        y = self._run(self.forward, self.given, torch.arange(len(self.given)))[0]
        return y.reshape(len(self.given), -1)

    def _run(
        self, call: Callable[..., Pair], x: Tensor, rows: Tensor, seed: int = 0, shape: torch.Size | None = None
    ) -> Pair:
        context = None if self.context is None else self.context[rows.to(self.context.device)]
        kept = x.requires_grad or _is_dual(x)
        with seeded(seed), torch.set_grad_enabled(kept or self.with_gradient):
            start = x if kept or not self.with_gradient else x.detach().requires_grad_()
            # Cloned: a layer may write into what it is given.
            out = call(start.clone().reshape(len(x), *(self.event_shape if shape is None else shape)), context)
        return out if kept else tuple(part.detach() if isinstance(part, Tensor) else part for part in out)

    def _check(self, x: Tensor, y: Any) -> None:
        """Raise NoMap if y is not an image of x (N, D) with a Jacobian."""
        if not isinstance(y, Tensor):
            raise NoMap(f"transform: {self.name} must return a tensor y, but returned {_a(y)}")
        if y.is_complex():
            raise NoMap(
                f"transform: {self.name} must return real numbers, but returned {y.dtype}; try a function of real "
                "numbers, lambda x: torch.view_as_real(f(torch.view_as_complex(x)))"
            )
        if not y.is_floating_point():
            raise NoMap(
                f"transform: {self.name} must return floating-point numbers, but returned {y.dtype}, and a map to "
                "whole numbers has no Jacobian"
            )
        if y.is_meta:
            raise NoMap(f"transform: {self.name} must return values, but returned a tensor on the meta device")
        if y.layout != torch.strided:
            raise NoMap(f"transform: {self.name} must return a dense tensor y, but returned {y.layout}")
        if y.shape[:1] != x.shape[:1]:
            raise NoMap(
                f"transform: {self.name} must return one y for each of {len(x)} points, but returned the shape "
                f"{tuple(y.shape)} for x of shape {(len(x), *self.event_shape)}"
            )
        if y.numel() != x.numel() and not self.rectangular:
            raise NoMap(
                f"transform: {self.name} maps {self.dim} numbers to {y.numel() / len(x):g}, so its Jacobian is not "
                f"square and has no determinant (x came as {(len(x), *self.event_shape)}, y as {tuple(y.shape)}); try "
                "to drop the coordinate that follows from the others, or pass coordinates=..."
            )


def _is_dual(x: Tensor) -> bool:
    """Return True in forward mode, where x has a tangent that ``detach`` would remove."""
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None


def in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _a(value: Any) -> str:
    return f"a {type(value).__name__}"


def as_points(x: Any) -> Tensor:
    """Return x, the points to look at, as a real floating-point tensor that is finite.

    Raises:
        ValueError: if x is something else.
    """
    if not isinstance(x, Tensor):
        if x is None or callable(x) or isinstance(x, str | dict):
            swapped = "; try the transform first and x second" if callable(x) else ""
            raise ValueError(f"x must be a tensor of shape (D,) or (B, D), but is {_a(x)}{swapped}")
        try:
            x = torch.as_tensor(x)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"x must be a tensor of shape (D,) or (B, D), but is {_a(x)} ({error})") from None
    if x.is_nested or x.layout != torch.strided:
        raise ValueError(f"x must be a dense tensor, but is {'nested' if x.is_nested else x.layout}; try x.to_dense()")
    if x.is_floating_point() and torch.finfo(x.dtype).bits < 16:
        raise ValueError(f"x must have a dtype of 16 bits or more, but is {x.dtype}; try x.float()")
    if x.is_meta:
        raise ValueError("x must have values, but is on the meta device")
    if x.dim() == 0 or x.numel() == 0:
        raise ValueError(f"x must have the shape (D,) or (B, D), but has the shape {tuple(x.shape)}")
    if x.is_complex():
        raise ValueError(
            f"x must be real floating point, but is {x.dtype}; try x = torch.view_as_real(x), and a function of real "
            "numbers, lambda x: torch.view_as_real(f(torch.view_as_complex(x)))"
        )
    if not x.is_floating_point():
        raise ValueError(f"x must be real floating point, but is {x.dtype}; try x.float()")
    if not x.isfinite().all():
        raise ValueError(
            f"x must be finite, but {int((~x.isfinite()).sum())} of its {x.numel()} values are NaN or infinite"
        )
    with torch.inference_mode(False):
        return x.clone() if x.is_inference() else x.detach()


def _has_no_values(tensor: Tensor) -> str:
    """Return "a nested tensor" or "on the meta device"; "" for a tensor with one block of values."""
    return "a nested tensor" if tensor.is_nested else "on the meta device" if tensor.is_meta else ""


def as_context(context: Any) -> Tensor | None:
    """Return the context as a tensor; None stays None.

    Raises:
        ValueError: if it is something else.
    """
    if context is None:
        return None
    try:
        context = torch.as_tensor(context)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"context must be a tensor, but is {_a(context)} ({error})") from None
    if what := _has_no_values(context):
        raise ValueError(f"context must be a tensor with values, but is {what}")
    if context.layout != torch.strided:
        raise ValueError(f"context must be a dense tensor, but is {context.layout}; try context.to_dense()")
    return context.detach()


def adapt(
    transform: Any,
    x: Tensor,
    log_det: Callable | None = None,
    inverse: Callable | None = None,
    *,
    context: Tensor | None = None,
    dtype: torch.dtype | None = torch.float64,
    manner: str = "all at once",
    rectangular: bool = False,
    as_a_copy: bool = True,
) -> Map:
    """Return a :class:`Map` around a copy of ``transform`` whose floating tensors are ``dtype`` (None: as they are).

    Args:
        transform: a flow (``call_and_ladj`` and ``event_shape``), a ``torch.distributions.Transform``, a module or
            function that returns y or (y, log_det), or a model that has one of them inside (see ``interface.py``).
        x: the points; they define the event's shape where the transform does not.
        log_det: x -> log|det J|, where the transform does not return it or another claim is to be checked.
        inverse: y -> x or (x, log_det), likewise.
        context: what a conditional transform takes besides x: one row for each point, (B, ...), or one for all.
        dtype: of the copy.
        manner: one of ``MANNERS``.
        rectangular: True if y may have another number of elements than x.
        as_a_copy: if False, the map is made of ``transform`` itself.

    Raises:
        ValueError: if ``transform`` cannot be called or copied, or takes events of another shape than x has.
    """
    _check_transform(transform)
    for argument, function in (("log_det", log_det), ("inverse", inverse)):
        if function is not None and not callable(function):
            raise ValueError(f"{argument} must be a function, but is {function!r}")
    name = name_of(transform)
    if context is not None and not takes_context(transform):
        raise ValueError(f"context must be left out, since {name} takes x alone")
    if as_a_copy:
        transform, log_det, inverse = twins(transform, log_det, inverse, dtype=dtype)
    if context is not None and dtype is not None and context.is_floating_point():
        context = context.to(dtype)
    single = x.dim() == 1
    interface = interface_of(transform, x, _rows(context, 1 if single else len(x), single))
    points = x.reshape(-1, interface.event_shape.numel())
    rows = _rows(context, len(points), single)
    points = points.detach() if dtype is None else points.detach().to(dtype)
    return Map(name, transform, interface, points, rows, manner, rectangular, log_det=log_det, inverse=inverse)


def _check_transform(transform: Any) -> None:
    unwrapped(transform)
    kinds = "a flow, a Transform, a module or a function"
    if isinstance(transform, type):
        raise ValueError(f"transform must be {kinds}, but is the class {transform.__name__}; try an instance of it")
    if isinstance(transform, Tensor):
        raise ValueError(f"transform must be {kinds}, but is a Tensor; try the transform first and x second")
    if isinstance(transform, list | tuple | nn.ModuleList) and not isinstance(transform, Transform):
        raise ValueError(f"transform must be {kinds}, but is {_a(transform)}; try inspect_layers for layers in a row")
    methods = ("forward", "forward_and_log_det", "call_and_ladj", "condition", "transforms", "transform")
    if not callable(transform) and not any(has(transform, name) for name in methods):
        raise ValueError(f"transform must be {kinds}, but is {transform!r}")


def _rows(context: Any, count: int, single: bool) -> Tensor | None:
    """Return context as one row for each of ``count`` points.

    Raises:
        ValueError: if it has another number of rows.
    """
    if context is None:
        return None
    if single or context.shape[:1] != (count,):
        one = context if not single and context.dim() > 1 and len(context) == 1 else context.unsqueeze(0)
        if not single and context.dim() > 1 and len(context) != 1:
            raise ValueError(
                f"context must have one row for each of the {count} points, or one for all, but has the shape "
                f"{tuple(context.shape)}"
            )
        return one.expand(count, *one.shape[1:])
    return context


def _in_manner(manner: str, call: Callable) -> Callable[..., Any]:
    """Return ``call``, which takes points in this manner and the shape of a batch, as a function of whole batches."""
    return {"all at once": _whole, "one by one": _each, "never alone": _accompanied}[manner](call)


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
            raise NoMap(f"transform: it must return a tensor, or a tensor and a log-det, but returned {_a(ys[0])}")
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


def name_of(thing: Any) -> str:
    if isinstance(thing, nn.Module | Transform):
        return f"the inverse of {name_of(thing.inv)}" if isinstance(thing, InverseTransform) else type(thing).__name__
    name = getattr(thing, "__name__", type(thing).__name__)
    return "lambda" if name == "<lambda>" else name
