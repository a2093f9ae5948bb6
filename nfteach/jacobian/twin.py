"""Copies of any transform to experiment on, so that the original is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from .contents import is_real_or_complex
from .copier import Copier, NoCopy
from .phrases import in_words
from .pickled import Uncopied
from .reach import Reach, inside, storage_of

__all__ = [
    "Account",
    "changes",
    "copied",
    "in_training",
    "may_remember",
    "own_device",
    "own_dtype",
    "own_dtypes",
    "parameters_account",
    "rebuilt",
    "state",
    "trained",
    "twins",
    "twins_at_rest",
    "with_parameters_moved",
]


_PLAIN = (bool, int, float, str)
_REBUILT: ContextVar[list[str] | None] = ContextVar("rebuilt", default=None)


@contextmanager
def rebuilt() -> Iterator[list[str]]:
    """Collect the names of the things of which a copy made inside the block has rebuilt functions or classes."""
    token = _REBUILT.set([])
    try:
        yield _REBUILT.get()
    finally:
        _REBUILT.reset(token)


def twins(*originals: Any, dtype: torch.dtype | None = None) -> tuple[Any, ...]:
    """Return deep copies of the originals, with all real tensors in them turned to ``dtype`` (None: left as they are).

    What the originals share, the copies share. Functions are copied with the modules, transforms and tensors that they
    hold or read by name. Raises NoCopy if something cannot be copied.
    """
    return copied(*originals, dtype=dtype)[0]


def twins_at_rest(*originals: Any, dtype: torch.dtype | None = None) -> tuple[Any, ...]:
    """Return twins in evaluation mode that need no gradients and do not validate values."""
    copies, copier = copied(*originals, dtype=dtype)
    for thing in list(copier.made()):
        kind = type(thing)
        if issubclass(kind, nn.Module):
            thing.eval()
        elif issubclass(kind, Distribution):
            thing._validate_args = False
        elif issubclass(kind, Tensor) and thing.is_leaf:
            thing.requires_grad_(False)
    return copies


def copied(*originals: Any, dtype: torch.dtype | None = None) -> tuple[tuple[Any, ...], Copier]:
    """Return what ``twins`` returns, and the copier that made it."""
    copier = Copier(dtype)
    try:
        copies = tuple(map(copier, originals))
        copier.finish()
        _share_storages(copier)
    except Uncopied as error:
        thing, reason, advice = error.args
        where = Reach(*originals).path(thing) or "something in it"
        raise NoCopy(
            f"transform must be a map that can be copied, but {where}, a {type(thing).__name__}, {reason}; {advice}"
        ) from (error.__cause__ or error)
    except Exception as error:
        raise NoCopy(
            f"transform must be a map that can be copied, but this {type(originals[0]).__name__} cannot be copied "
            f"({in_words(error)}); try to give a function of x that does the same"
        ) from error
    names = _REBUILT.get()
    if copier.rebuilt and names is not None:
        names.append(type(originals[0]).__name__)
    return copies, copier


def _share_storages(copier: Copier) -> None:
    """Make copies share storages where the originals do, as views of a matrix do."""
    groups: dict[tuple[int, torch.dtype], list[tuple[Tensor, Tensor]]] = {}
    for tensor, double in copier.tensors:
        storage = None if tensor is double else storage_of(tensor)
        if storage is not None and storage.data_ptr():
            groups.setdefault((storage.data_ptr(), tensor.dtype), []).append((tensor, double))
    for group in groups.values():
        if len(group) > 1:
            tensor = group[0][0]
            storage, shape = tensor.untyped_storage(), (tensor.untyped_storage().nbytes() // tensor.itemsize,)
            whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage, 0, shape, (1,))
            whole = whole.to(copier.dtype_for(tensor), copy=True)
            for tensor, double in group:
                double.data = whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


class Account(NamedTuple):
    """The parameters that ``with_parameters_moved`` finds, by the paths to them, such as ``Scale.net.0.weight``.

    Attributes:
        moved: those that it moves.
        frozen: parameters with ``requires_grad=False``, which are left alone.
        unmoved: (path, reason) of those that cannot be moved.
    """

    moved: tuple[str, ...]
    frozen: tuple[str, ...]
    unmoved: tuple[tuple[str, str], ...]


def parameters_account(*originals: Any) -> Account:
    """Return an account of the parameters in ``originals``: those that are moved, frozen, or cannot be moved."""
    copier, reach = copied(*originals)[1], Reach(*originals)
    has_a_copy = {id(tensor) for tensor, _ in copier.tensors}
    modules = (thing for thing in reach.things.values() if issubclass(type(thing), nn.Module))
    recomputed = {id(value) for module in modules for value in vars(module).values()}
    moved, frozen, unmoved = [], [], []
    for thing in reach.things.values():
        if not issubclass(type(thing), Tensor):
            continue
        if not thing.requires_grad:
            if isinstance(thing, nn.Parameter):
                frozen.append(reach.path(thing))
        elif thing.is_leaf:
            if id(thing) in has_a_copy:
                moved.append(reach.path(thing))
            else:
                unmoved.append((reach.path(thing), "copies of the map share it with the map"))
        elif id(thing) not in recomputed:
            unmoved.append((reach.path(thing), "it was computed before, and its copies have no history"))
    return Account(tuple(moved), tuple(frozen), tuple(unmoved))


def with_parameters_moved(*originals: Any, by: float, seed: int) -> tuple[Any, ...] | None:
    """Return twins whose parameters are moved by Gaussian noise; None if there is nothing to move.

    Parameters are all leaves that require a gradient. Those with ``requires_grad=False`` are left alone:
    ``parameters_account`` lists them. The noise has ``by`` times the standard deviation
    max(rms of the parameter, 1 / sqrt(fan-in)); the fan-in of a matrix is the length of its rows, of a vector 1.
    """
    copies, copier = copied(*originals)
    generator = torch.Generator().manual_seed(seed)
    trained = [copy for _, copy in copier.tensors if copy.is_leaf and copy.requires_grad]
    with in_training(*copies), torch.no_grad():
        for tensor in trained:
            tensor += _noise(tensor, generator, by)
    return copies if trained else None


@contextmanager
def in_training(*things: Any) -> Iterator[None]:
    """Turn modules in the things to training mode and back: ``train`` may make a layer drop a kept value."""
    modules = [thing for thing in inside(*things) if issubclass(type(thing), nn.Module)]
    modes = [module.training for module in modules]

    def turn(modes: list[bool]) -> None:
        for module, mode in zip(modules, modes, strict=True):
            with suppress(Exception):  # a train() of its own, or modules in a circle
                module.train(mode)

    turn([True] * len(modes))
    try:
        yield
    finally:
        turn(modes)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _noise(tensor: Tensor, generator: torch.Generator, by: float) -> Tensor:
    fan_in = tensor[0].numel() if tensor.dim() > 1 and len(tensor) else 1
    size = max(float(tensor.abs().double().square().mean().sqrt()), fan_in**-0.5)
    dtype = torch.complex128 if tensor.is_complex() else torch.float64
    return (by * size * torch.randn(tensor.shape, generator=generator, dtype=dtype, device="cpu")).to(tensor)


def trained(*things: Any) -> list[Tensor]:
    """Return the tensors in the things that are leaves and require a gradient."""
    found = (thing for thing in inside(*things, classes=True) if issubclass(type(thing), Tensor))
    return [tensor for tensor in found if tensor.is_leaf and tensor.requires_grad]


def own_dtype(*things: Any, otherwise: torch.dtype) -> torch.dtype:
    """Return the dtype of the first floating tensor in the things; that of the parts of a complex one."""
    return next(iter(own_dtypes(*things)), otherwise)


def own_dtypes(*things: Any) -> list[torch.dtype]:
    """Return the dtypes of the floating tensors in the things, each once, in the order found."""
    return list(dict.fromkeys(t.dtype.to_real() for t in _tensors(things) if is_real_or_complex(t)))


def own_device(*things: Any) -> torch.device:
    """Return the device of the first tensor in the things; the CPU if there is none."""
    return next((tensor.device for tensor in _tensors(things)), torch.device("cpu"))


def state(thing: Any) -> dict[str, Any]:
    """Return the parameters, buffers and plain values (numbers, flags, words) of all modules and transforms in it.

    Other tensors are left out: what a layer keeps of its last call is a memo and no state.
    """
    found: dict[str, Any] = {}
    for holder in inside(thing):
        kind = type(holder)
        if not issubclass(kind, nn.Module | Transform):
            continue
        prefix = "" if holder is thing else f"{kind.__name__}."
        values = {name: value for name, value in vars(holder).items() if isinstance(value, _PLAIN)}
        if issubclass(kind, nn.Module):
            held = vars(holder)
            tensors = (item for kind in ("_parameters", "_buffers") for item in held.get(kind, {}).items())
            values |= {name: value.detach().clone() for name, value in tensors if value is not None}
        for name, value in values.items():
            key = prefix + name
            while key in found:
                key += "'"
            found[key] = value
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Return the names whose values differ between two states; those that were not there before are left out."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            if a.shape != b.shape or a.layout != b.layout:
                return False
            a, b = (a, b) if a.layout == torch.strided else (a.to_dense(), b.to_dense())
            return bool(((a == b) | (a != a) & (b != b)).all())
        return type(a) is type(b) and a == b

    return tuple(name for name, value in before.items() if name in after and not same(value, after[name]))


def may_remember(copy: Any, original: Any) -> bool:
    """Return True if calls left something in a module that the original, which was not called, does not have."""
    if not (isinstance(copy, nn.Module) and isinstance(original, nn.Module)):
        return False
    return [_outline(each) for each in copy.modules()] != [_outline(each) for each in original.modules()]


def _outline(module: nn.Module) -> dict[str, Any]:
    """Return the type of each attribute, and how much is in it where it holds several things.

    The cache of a torch ``Transform`` is left out: it serves only the very tensor that the last call returned.
    """
    return {
        name: (type(value), len(value) if isinstance(value, dict | list | set | tuple) else 0)
        for name, value in vars(module).items()
        if name != "_cached_x_y"
    }


def _tensors(things: Any) -> Iterator[Tensor]:
    return (thing for thing in inside(*things) if issubclass(type(thing), Tensor))
