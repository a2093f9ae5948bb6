"""A training step on a copy: the parameters move a little in place, and what was computed before must follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .adapt import Map
from .autograd import LARGE, graph, jacobian
from .calls import noticeable
from .measure import read_claim
from .reach import Reach, inside
from .signal import moved, random_moves
from .twin import in_training

__all__ = ["Kept", "Step", "kept_values", "take_step"]

# The length of a step, relative to the size of each parameter: in float64, and in less.
_LENGTH, _COARSE_LENGTH = 1e-3, 3e-2
# Points that are looked at before and after it.
_POINTS = 2
# What contradicts itself by less than this, relative to what the step changes, may be a solver's error.
_SHARE = 0.05
# ... or by less than this many times what it was before.
_TIMES = 20


class Step(NamedTuple):
    """How far a map contradicts itself after a step, where it did not before.

    Attributes:
        log_det: the claimed log-det beside that of J, in nats.
        inverse: x -> y -> x, in coordinates.
        by_log_det, by_inverse: the paths to values beside the parameters that alone can cause it.
    """

    log_det: float = 0.0
    inverse: float = 0.0
    by_log_det: tuple[str, ...] = ()
    by_inverse: tuple[str, ...] = ()


class Kept(NamedTuple):
    """A value that a map computed from its parameters, and does not compute anew.

    Attributes:
        path: to the value, such as ``Scale.scale``.
        parameters: the paths to what it was computed from.
    """

    path: str
    parameters: tuple[str, ...]


class _State(NamedTuple):
    """A map at (n,) points: log|det J|, the claim, the miss of the inverse, condition numbers, and y (n, D)."""

    log_det: Tensor
    claim: Tensor
    miss: Tensor
    condition: Tensor
    y: Tensor

    @property
    def gap(self) -> Tensor:
        """The distance of the claim from log|det J|, (n,)."""
        return (self.claim - self.log_det).abs()

    def still(self, after: _State) -> tuple[bool, bool]:
        """Return whether a change leaves log|det J| and the claim as they were."""
        pairs = ((self.log_det, after.log_det), (self.claim, after.claim))
        log_det, claim = (bool((was - now).abs().max() <= noticeable(was)) for was, now in pairs)
        return log_det, claim


def take_step(f: Map, x: Tensor, parameters: Sequence[Tensor], *, log_det: bool, inverse: bool) -> Step:
    """Move the parameters of ``f`` in place, as an optimiser does, and compare the map with itself.

    A contradiction is reported only if the log-det or the inverse depends on a value that is kept beside the
    parameters; mistakes that initial parameters hide are left to ``perturb=``.

    Modules are in training mode while the parameters move, since ``train`` may make a layer drop a kept value; their
    mode is restored afterwards.
    """
    few, exact = f.at(torch.arange(min(_POINTS, len(x)))), x.dtype == torch.float64
    points = x[:_POINTS]
    try:
        look = partial(_state, few, points, log_det=log_det, inverse=inverse)
        with _trained_a_little(f.subject, parameters, _LENGTH if exact else _COARSE_LENGTH):
            after = look()
        without = after._replace(claim=after.log_det, miss=torch.zeros_like(after.miss))
        if not any(_contradictions(without, after, exact=exact)):
            return Step()
        before = look()
        wrong, lost = _contradictions(before, after, exact=exact)
        if not (wrong or lost):
            return Step()
        by_log_det, by_inverse = _unfollowed(f, parameters, look, before.still(after), exact=exact)
    except Exception:  # the map may be at home only with the parameters that it has
        return Step()
    return Step(wrong if by_log_det else 0.0, lost if by_inverse else 0.0, by_log_det, by_inverse)


def _contradictions(before: _State, after: _State, *, exact: bool) -> tuple[float, float]:
    """Return how far the log-det is off and the inverse misses after a change, where that is more than before it."""
    # Rounding, as the condition number enlarges it.
    unit, eps = (1e-6, 1e-14) if exact else (2e-3, 1e-5)
    rounding = eps * torch.maximum(before.condition, after.condition)

    def off(was: Tensor, now: Tensor, size: Tensor, change: Tensor) -> float:
        least = (unit + rounding) * (1 + size) + _TIMES * was.max()
        bad = (now > least) & (now > _SHARE * change) & now.isfinite()
        return float(now[bad].max()) if bad.any() else 0.0

    return (
        off(before.gap, after.gap, after.log_det.abs(), (after.log_det - before.log_det).abs()),
        off(before.miss, after.miss, after.y.abs().amax(1), (after.y - before.y).abs().amax(1)),
    )


def _unfollowed(
    f: Map, parameters: Sequence[Tensor], look: Callable[[], _State], still: tuple[bool, bool], *, exact: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths to values beside the parameters that can cause a contradiction: of log-dets, of inverses.

    A value can cause it if changing that value alone makes the same contradiction, and if the side that did not follow
    the parameters (``still``: log|det J|, the claim) depends on the value.
    """
    reach, own = Reach(f.subject), {id(parameter) for parameter in parameters}
    found: tuple[list[str], list[str]] = ([], [])

    @contextmanager
    def changed(thing: Any, name: str) -> Iterator[None]:
        if name:
            value = vars(thing)[name]
            setattr(thing, name, 1.1 * value + 0.01)
        else:
            value = thing.detach().clone()
            thing.data.mul_(1.1).add_(0.01)
        try:
            yield
        finally:
            setattr(thing, name, value) if name else thing.data.copy_(value)

    before = look()
    for thing in list(inside(f.subject)):
        kind = type(thing)
        names = [""] if issubclass(kind, Tensor) and thing.is_floating_point() and id(thing) not in own else []
        if issubclass(kind, nn.Module):
            names += [name for name, value in vars(thing).items() if type(value) is float]
        for name in names:
            with suppress(Exception), changed(thing, name):  # it may be at home only with the value that it has
                after = look()
                wrong, lost = _contradictions(before, after, exact=exact)
                wrong *= not any(a and b for a, b in zip(still, before.still(after), strict=True))
                for paths, off in zip(found, (wrong, lost), strict=True):
                    if off:
                        paths.append(reach.path(thing) + f".{name}" * bool(name))
    return tuple(found[0]), tuple(found[1])


def _state(f: Map, x: Tensor, *, log_det: bool, inverse: bool) -> _State:
    nothing = torch.zeros(len(x), dtype=torch.float64)
    true, claim, miss, condition = nothing, nothing, nothing, nothing
    if log_det and f.dim <= LARGE:
        J, y, raw = jacobian(f, x)
        true, condition = torch.linalg.slogdet(J).logabsdet, torch.linalg.cond(J)
        claim = read_claim(raw, x, f.event_shape).values.detach().double().cpu()
    else:
        y = f(x)[0]
    if inverse:
        miss = (f.invert(y.to(x.dtype))[0] - x).abs().amax(1).double().cpu()
    # Cloned: they may be views of what is changed.
    return _State(*(values.clone() for values in (true, claim, miss, condition, y.detach().double().cpu())))


@contextmanager
def _trained_a_little(subject: Any, parameters: Sequence[Tensor], length: float) -> Iterator[None]:
    with ExitStack() as step:
        with in_training(subject):
            step.enter_context(moved(parameters, random_moves(parameters), length))
        yield


def kept_values(given: tuple[Any, ...], f: Map, x: Tensor) -> tuple[Kept, ...]:
    """Return what the modules in ``given`` computed from their parameters, still use and do not compute anew."""
    modules = [thing for thing in inside(*given) if issubclass(type(thing), nn.Module)]
    held = {id(value) for m in modules for value in (*vars(m).values(), *m._buffers.values())}
    computed = [(tensor, copy) for tensor, copy in f.tensors if tensor.grad_fn is not None and id(tensor) in held]
    values = [(tensor, copy, copy.clone()) for tensor, copy in computed if tensor.is_floating_point()]
    if not values:
        return ()
    own = [(tensor, copy) for tensor, copy in f.tensors if copy.is_leaf and copy.requires_grad]

    def results() -> list[Tensor]:
        y, raw = f(x)
        claim = read_claim(raw, x, f.event_shape).values
        back = () if f.backward is None else (f.invert(y.to(x.dtype))[0],)
        return [part.detach().clone() for part in (y, *(() if claim is None else (claim,)), *back)]

    found, reach = [], Reach(*given)
    try:
        with _trained_a_little(f.subject, [copy for _, copy in own], _LENGTH):
            here = results()
            alive = {id(thing) for thing in inside(f.subject, f.log_det, f.inverse)}
            for tensor, copy, was in values:
                history = {id(node.variable) for node in graph(tensor) if hasattr(node, "variable")}
                sources = [parameter for parameter, _ in own if id(parameter) in history]
                if not sources or id(copy) not in alive or not copy.equal(was):
                    continue
                copy.data.mul_(1.1).add_(0.01)
                if any((a - b).abs().max() > noticeable(b) for a, b in zip(results(), here, strict=True)):
                    found.append(Kept(reach.path(tensor), tuple(reach.path(source) for source in sources)))
                copy.data.copy_(was)
    except Exception:  # the map may be at home only with the parameters that it has
        return ()
    return tuple(found)
