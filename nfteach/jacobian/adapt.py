"""Whatever the inspector is given -> one shape of map: (B, D) to (B, D), with what it claims about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .conventions import NoMap, attribute, attributes, called, set_by_a_call
from .given import check_transform, misfit, name_of, rows_of
from .interface import Interface, interface_of, takes_context
from .manners import MANNERS
from .rng import seeded
from .twin import copied

__all__ = ["Map", "adapt"]

Pair = tuple[Any, Any]


@dataclass(eq=False)
class Map:
    """A map of events, in one shape for all that the inspector takes.

    Attributes:
        subject: the copy that is called, whose state may be looked at.
        given: (B, D) the points given.
        context: (B, ...) a row for each of them; None without.
        rows_given: (N,) the rows of ``given`` that points belong to, over and over; None for all in order.
        log_det_by: where the log-det came from, in words; known once the map was called.
        set_by_calls: the attribute that calls set to the log-det, where it stands nowhere else; "" if none.
        image_shape: the shape of one y, once one was seen: a squeeze makes (4 C, H/2, W/2) of (C, H, W).
        with_gradient: True if it runs on points that require a gradient. Then it always gets such points, since it may
            take a gradient inside, as a leapfrog step does.
        tensors: (tensor, copy) of each tensor in it.
        overwrites: the directions in which a call wrote into what it was given: "forward", "backward".
        half: the rounding unit of half precision that it computes in, whatever the dtype of y; 0 if in none.
    """

    name: str
    subject: Any
    interface: Interface
    given: Tensor
    context: Tensor | None = None
    manner: str = "all at once"
    rectangular: bool = False
    rows_given: Tensor | None = None
    log_det: Callable | None = None
    inverse: Callable | None = None
    log_det_by: str = ""
    set_by_calls: str = ""
    image_shape: torch.Size | None = None
    with_gradient: bool = True
    tensors: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    overwrites: set[str] = field(default_factory=set)
    half: float = 0.0

    def __post_init__(self) -> None:
        self.log_det_by = self.interface.log_det_by if self.log_det is None else "log_det(x), as given"
        formula, terms = attribute(self.subject, "formula"), attribute(self.subject, "terms")
        self.formula = formula if isinstance(formula, str) else ""
        self.terms = terms if callable(terms) else None

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one x; D is its number of elements."""
        return self.interface.event_shape

    @property
    def dim(self) -> int:
        return self.event_shape.numel()

    @cached_property
    def rows(self) -> int | str:
        """The one number of points that the map takes, as one with a row of context for each in a closure; or "any"."""
        B = len(self.given)
        for count in (B + 1, 2 * B, B - 1) if B > 1 else ():
            every = torch.arange(count) % B
            try:
                y = self._run("forward", self.given[every.to(self.given.device)], every)[0]
                if isinstance(y, Tensor) and y.shape[:1] == (count,):
                    return "any"
            except Exception:  # refused
                continue
        return B if B > 1 else "any"

    def at(self, rows: Tensor) -> Map:
        """Return the same map for points that belong to these rows of ``given``, (N,), over and over."""
        same = replace(self, rows_given=rows.cpu())
        same.__dict__["rows"] = self.rows
        return same

    def with_any_rows(self) -> Map:
        """Return the same map, called with any number of points as they come."""
        same = replace(self)
        same.__dict__["rows"] = "any"
        return same

    @contextmanager
    def without_grad(self) -> Iterator[None]:
        """Call the map and its inverse under ``no_grad`` inside the block."""
        before, self.with_gradient = self.with_gradient, False
        try:
            yield
        finally:
            self.with_gradient = before

    def __call__(self, x: Tensor, *, seed: int = 0) -> Pair:
        """Return y (N, D) and the claimed log-det as it came, at x (N, D).

        Each call starts from the random state of ``seed``. Only if x requires a gradient do the results have a history.
        """
        y, log_det = self._in_rows("forward", x, seed)
        self._check(x, y)
        self.image_shape = y.shape[1:]
        return y.reshape(len(x), -1), log_det

    def invert(self, y: Tensor, *, seed: int = 0) -> Pair:
        """Return x (N, D) and the inverse's claimed log-det as it came (or None), at y (N, D).

        Raises:
            NoMap: if what the inverse returns is not an x.
        """
        try:
            x, log_det = self._in_rows("backward", y, seed)
        except Exception:
            if y.requires_grad or not self.with_gradient:
                raise
            with self.without_grad():  # an inverse by NumPy refuses what requires a gradient
                x, log_det = self._in_rows("backward", y, seed)
        if what := misfit(x, "x"):
            raise NoMap(f"transform: the inverse of {self.name} must return {what}")
        if x.shape[:1] != y.shape[:1] or x.numel() != len(y) * self.dim:
            raise NoMap(
                f"transform: the inverse of {self.name} must return x of shape {(len(y), *self.event_shape)}, but "
                f"returned the shape {tuple(x.shape)}"
            )
        return x.reshape(len(y), -1), log_det

    def other_claims(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        """Return the log-dets that the map claims besides that of a call, as they came, at x (N, D) with images y."""
        found = {}
        for words, claim in self.interface.claims.items():

            def call(events: Tensor, context: Tensor | None, claim: Callable = claim) -> Pair:
                return None, MANNERS[self.manner](claim)(
                    events, y.to(events).reshape(len(y), *self.image_shape), context
                )

            if words != self.log_det_by:
                with suppress(Exception):  # it may not answer
                    found[words] = self._run("claim", x, self._of(x), call=call)[1]
        holder = self.interface.holder
        if not self.set_by_calls and attributes(holder):
            before = attributes(holder)
            self(x)
            if name := set_by_a_call(holder, before):
                left = attributes(holder)[name]
                found[_left_as(name)] = left.detach() if isinstance(left, Tensor) else left
        return found

    def forward(self, events: Tensor, context: Tensor | None = None) -> Pair:
        """Return y and the claimed log-det as they came, at events (N, *event) with their rows of context."""
        interface, before = self.interface, attributes(self.interface.holder)
        # A layer may write into what it is given.
        kept = events.clone() if interface.claims or self.log_det is not None else events
        y, log_det, by = MANNERS[self.manner](interface.forward)(events, context)
        if self.log_det is not None:
            return y, MANNERS[self.manner](called(self.log_det))(kept, context)
        for words, claim in interface.claims.items() if log_det is None else ():
            try:
                log_det, by = MANNERS[self.manner](claim)(kept, y, context), words
            except Exception as error:
                if interface.kind in ("flow", "transform") and not isinstance(error, NotImplementedError):
                    raise
            if log_det is not None:
                break
        if log_det is None:
            self.set_by_calls = self.set_by_calls or set_by_a_call(interface.holder, before)
        if log_det is None and self.set_by_calls:
            log_det = attributes(interface.holder).get(self.set_by_calls)
            by = _left_as(self.set_by_calls)
        self.log_det_by = by or self.log_det_by
        dense = isinstance(log_det, Tensor) and log_det.layout != torch.strided
        return y, log_det.to_dense() if dense else log_det

    @property
    def in_pieces(self) -> bool:
        """Whether y came as several tensors; then its inverse takes them in the shapes in which they came."""
        return getattr(self.interface.backward, "pieces", None) is not None

    @property
    def backward(self) -> Callable[..., Pair] | None:
        """y (N, *image), with rows of context -> x and the inverse's claimed log-det; None if there is no inverse."""
        return self._backward if self.inverse is not None or self.interface.backward is not None else None

    def _backward(self, images: Tensor, context: Tensor | None = None) -> Pair:
        if self.inverse is not None:
            return MANNERS[self.manner](called(self.inverse, reading=True))(images, context)[:2]
        kept = images.clone() if self.interface.inverse_claims else images
        x, log_det, _ = MANNERS[self.manner](self.interface.backward)(images, context)
        for claim in self.interface.inverse_claims.values() if log_det is None else ():
            try:
                log_det = MANNERS[self.manner](claim)(kept, x, context)
                break
            except Exception:
                continue
        return x, log_det

    def _in_rows(self, direction: str, x: Tensor, seed: int = 0) -> Pair:
        """Call the map or its inverse at x (N, D), in as many calls as the number of points that it takes demands."""
        B, of = len(self.given), self._of(x)
        as_given = len(x) == B and (self.rows_given is None or of.equal(torch.arange(B)))
        if as_given or self.rows == "any":
            return self._run(direction, x, of, seed)
        # Row b goes where the map has the context of row b; the places left are filled with the points given.
        padding = (
            self.given
            if direction == "forward"
            else self._run("forward", self.given, torch.arange(B))[0].reshape(B, -1)
        )
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
            y, log_det = self._run(direction, padding.to(x).index_copy(0, here, x[at]), torch.arange(B), seed)
            per_row = isinstance(log_det, Tensor) and log_det.shape[:1] == (B,)
            ys.append(y[here] if isinstance(y, Tensor) and y.shape[:1] == (B,) else y)
            log_dets.append(log_det[here.to(log_det.device)] if per_row else log_det)
        if not all(isinstance(y, Tensor) for y in ys):
            return ys[0], log_dets[0]
        order = torch.cat(places).argsort()
        joined = all(isinstance(log_det, Tensor) and log_det.dim() for log_det in log_dets)
        return torch.cat(ys)[order], torch.cat(log_dets)[order.to(log_dets[0].device)] if joined else log_dets[0]

    def _of(self, x: Tensor) -> Tensor:
        """Return the rows of ``given`` that points (N, D) belong to."""
        rows = torch.arange(len(self.given)) if self.rows_given is None else self.rows_given
        return rows if len(x) == len(rows) else rows[torch.arange(len(x)) % len(rows)]

    def _run(self, direction: str, x: Tensor, rows: Tensor, seed: int = 0, call: Callable | None = None) -> Pair:
        """Call the map or its inverse once, at x (N, D) that belong to ``rows`` of the points given."""
        context = None if self.context is None else self.context[rows.to(self.context.device)]
        shape = self.image_shape if direction == "backward" else self.event_shape
        call = call or getattr(self, direction)
        kept = x.requires_grad or _is_dual(x)
        with seeded(seed), torch.set_grad_enabled(kept or self.with_gradient):
            start = x if kept or not self.with_gradient else x.detach().requires_grad_()
            # Cloned: a layer may write into what it is given.
            events = start.clone().reshape(len(x), *shape)
            version = events._version
            out = call(events, context)
            if events._version != version or not _equal(events.detach().flatten(1), x.detach()):
                self.overwrites.add(direction)
        return out if kept else tuple(part.detach() if isinstance(part, Tensor) else part for part in out)

    def _check(self, x: Tensor, y: Any) -> None:
        """Raise NoMap if y is not an image of x (N, D) with a Jacobian."""
        if what := misfit(y, "y"):
            raise NoMap(f"transform: {self.name} must return {what}")
        if y.shape[:1] != x.shape[:1]:
            raise NoMap(
                f"transform: {self.name} must return one y for each of {len(x)} points, but returned the shape "
                f"{tuple(y.shape)} for x of shape {(len(x), *self.event_shape)}"
            )
        more, fewer = y.numel() > x.numel(), y.numel() < x.numel()
        if fewer or (more and not self.rectangular):
            advice = (
                "to return the coordinates that it drops as well, or, where x lies on a subspace or a manifold, "
                "inspect_jacobian with coordinates=(to_vector, from_vector)"
                if fewer
                else 'inspect_jacobian with coordinates="volume", which compares 1/2 log det J^T J, or with '
                "coordinates=(to_vector, None), where some coordinates of y follow from the others"
            )
            raise NoMap(
                f"transform: {self.name} maps {self.dim} numbers to {y.numel() / len(x):g}, so its Jacobian is not "
                f"square and has no determinant (x came as {(len(x), *self.event_shape)}, y as {tuple(y.shape)}); try "
                f"{advice}"
            )


def _left_as(name: str) -> str:
    return f"the attribute .{name}, as the call left it"


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _is_dual(x: Tensor) -> bool:
    """Return True in forward mode, where x has a tangent that ``detach`` would remove."""
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None


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

    What may be given is described in ``inspect_jacobian``. The points x define the event's shape where the transform
    does not; ``manner`` is one of ``MANNERS``; ``rectangular`` lets y have more elements than x. ``as_a_copy=False``
    makes the map of ``transform`` itself.

    Raises:
        ValueError: if ``transform`` cannot be called or copied, or takes events of another shape than x has.
    """
    check_transform(transform)
    for argument, function in (("log_det", log_det), ("inverse", inverse)):
        if function is not None and not callable(function):
            raise ValueError(f"{argument} must be a function, but is {function!r}")
    name = name_of(transform)
    if context is not None and not takes_context(transform):
        raise ValueError(f"context must be left out, since {name} takes x alone")
    tensors: list[tuple[Tensor, Tensor]] = []
    if as_a_copy:
        (transform, log_det, inverse), copier = copied(transform, log_det, inverse, dtype=dtype)
        tensors = copier.tensors
    if context is not None and dtype is not None and context.is_floating_point():
        context = context.to(dtype)
    single = x.dim() == 1
    interface = interface_of(transform, x, rows_of(context, 1 if single else len(x), single))
    points = x.reshape(-1, interface.event_shape.numel())
    rows = rows_of(context, len(points), single)
    points = points.detach() if dtype is None else points.detach().to(dtype)
    return Map(
        name, transform, interface, points, rows, manner, rectangular, log_det=log_det, inverse=inverse, tensors=tensors
    )
