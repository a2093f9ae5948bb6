"""Everything that a layer can reach is left as it was, to the bit."""

import array
import contextlib
import contextvars
import io
import os
import random
import sys
import types
import warnings
from collections import OrderedDict, deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.parameter import UninitializedParameter

from nfteach.jacobian import inspect_jacobian, inspect_layers
from nfteach.jacobian.unharmed import unharmed
from tests.unit.jacobian import keepers
from tests.unit.jacobian.keepers import LAYERS, Counts, HoldsModule, Scale, Slotted, of, points

pytestmark = pytest.mark.usefixtures("two_copies")


def fingerprint(thing, seen=None):
    """Return all that can be compared of a thing, collected without the inspector's own walk."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return seen[id(thing)]
    seen[id(thing)] = len(seen)
    if isinstance(thing, torch.Tensor) and (thing.is_meta or isinstance(thing, UninitializedParameter)):
        return id(thing), thing.device
    if isinstance(thing, torch.Tensor):
        bits = tuple(thing.detach().clone().flatten().view(torch.uint8).tolist())
        grad = fingerprint(thing.grad, seen) if thing.is_leaf else None
        place = thing.data_ptr(), thing.stride(), tuple(thing.shape), thing.storage_offset()
        version = None if thing.is_inference() else thing._version
        return id(thing), thing.dtype, place, bits, version, thing.requires_grad, thing.is_leaf, grad
    if isinstance(thing, nn.Module):
        return id(thing), thing.training, fingerprint(vars(thing), seen)
    if isinstance(thing, dict):
        return id(thing), tuple((key, fingerprint(value, seen)) for key, value in thing.items())
    if isinstance(thing, list | tuple | deque):
        return tuple(fingerprint(value, seen) for value in thing)
    if isinstance(thing, types.CellType):
        return fingerprint(thing.cell_contents, seen)
    if isinstance(thing, set):
        return frozenset(thing)
    if isinstance(thing, types.FunctionType):
        return id(thing), thing.__defaults__, thing.__kwdefaults__, fingerprint(vars(thing), seen)
    if isinstance(thing, torch.UntypedStorage):
        return tuple(thing)
    if isinstance(thing, bytearray | array.array):
        return bytes(thing)
    if isinstance(thing, np.ndarray):
        return thing.dtype, thing.tobytes()
    if isinstance(thing, torch.Generator):
        return tuple(thing.get_state().tolist())
    if isinstance(thing, random.Random):
        return thing.getstate()
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, io.StringIO):
        return thing.getvalue(), thing.tell()
    if isinstance(thing, Slotted):
        return fingerprint((thing.owner, thing.weight), seen)
    return thing if isinstance(thing, int | float | str | None) else id(thing)


def raises(x):
    raise RuntimeError("midway")


def interrupts(x):
    raise KeyboardInterrupt


ASKED = {
    "moved": lambda layer, x: inspect_jacobian(layer, x, perturb=0.5),
    "in a stack": lambda layer, x: inspect_layers([layer, torch.distributions.ExpTransform()], x),
    "with a log-det that raises": lambda layer, x: inspect_jacobian(layer, x, log_det=raises),
    "interrupted on the way back": lambda layer, x: inspect_jacobian(layer, x, inverse=interrupts),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", LAYERS)
def test_everything_is_left_as_it_was(name, asked):
    layer, made = of(name)
    before, calls, of_class = fingerprint(made), keepers.CALLS, Counts.made
    with contextlib.suppress(ValueError, KeyboardInterrupt):
        ASKED[asked](layer, points(3, 3))
    assert fingerprint(made) == before
    assert (keepers.CALLS, Counts.made) == (calls, of_class)


def test_a_module_that_is_held_is_left_as_it_was_and_listed_as_shared():
    layer, config = HoldsModule(), keepers.CONFIG
    before = fingerprint((layer, config.scale, config.calls))
    report = inspect_jacobian(layer, points(3, 3), perturb=0.5)
    assert fingerprint((layer, config.scale, config.calls)) == before
    assert "HoldsModule.options.config.scale" in dict(report.account.unmoved)


def test_a_hook_of_all_modules_is_left_as_it_was():
    seen, count = [], torch.zeros(1)
    handle = register_module_forward_hook(lambda module, args, out: seen.append(count.add_(1)))
    try:
        inspect_jacobian(Scale(), points(3, 3))
        assert (seen, count) == ([], torch.zeros(1))
    finally:
        handle.remove()


def test_a_context_variable_that_a_call_sets_is_left_as_it_was():
    variable, unset = contextvars.ContextVar("variable"), contextvars.ContextVar("unset")
    variable.set(before := [1])
    inspect_jacobian(lambda x: variable.set([x]) and 2 * x, points(3, 3))
    assert variable.get() is before
    with pytest.raises(ValueError, match=r"a call changes .*unset"):
        inspect_jacobian(lambda x: unset.set([x]) and 2 * x, points(3, 3))


SETTINGS = {
    "default dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "determinism": (torch.are_deterministic_algorithms_enabled, lambda: torch.use_deterministic_algorithms(True)),
    "how numbers are printed": (lambda: str(torch.tensor(1 / 3)), lambda: torch.set_printoptions(precision=7)),
    "NumPy's errors": (np.geterr, lambda: np.seterr(all="ignore")),
    "recursion": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(12_345)),
    "warnings": (lambda: list(warnings.filters), lambda: warnings.simplefilter("ignore")),
    "environment": (lambda: dict(os.environ), lambda: os.environ.update(NFTEACH="1")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_a_call_changes_is_left_as_it_was(name):
    read, change = SETTINGS[name]
    before = read()
    inspect_jacobian(lambda x: (change() and None) or 2 * x, points(3, 3))
    assert read() == before


def test_the_namespace_of_a_notebook_is_not_entered():
    numbers = (n for n in [1])
    layer = Scale()
    layer.shell = types.SimpleNamespace(user_ns={"__builtins__": {}, "numbers": numbers, "layer": layer})
    inspect_jacobian(layer, points(3, 3), perturb=0.5).check()
    assert next(numbers) == 1


def with_default(n=1):
    return n


def tensor():
    return torch.tensor([1.0, torch.nan, -0.0])


def trained():
    parameter = nn.Parameter(tensor())
    parameter.grad = tensor()
    return parameter


def view():
    whole = torch.arange(6.0)
    return whole, whole[1:3], whole.view(2, 3).T


# name -> (make, change)
CHANGES = {
    "bits of a tensor": (tensor, lambda t: t.fill_(torch.inf)),
    "sign of a zero": (tensor, lambda t: t[2:].neg_()),
    "dtype of a tensor": (tensor, lambda t: setattr(t, "data", t.double())),
    "storage of a tensor": (tensor, lambda t: t.set_(torch.zeros(4))),
    "size of a tensor": (tensor, lambda t: t.resize_(1)),
    "shape of a tensor": (tensor, lambda t: t.unsqueeze_(0)),
    "dtype of a tensor with views": (view, lambda parts: setattr(parts[0], "data", parts[0].double())),
    "bits of a view": (view, lambda parts: parts[2].mul_(2)),
    "requires_grad": (tensor, lambda t: t.requires_grad_()),
    "history": (tensor, lambda t: t.mul_(trained())),
    "gradient added to": (trained, lambda p: p.grad.add_(1)),
    "gradient dropped": (trained, lambda p: setattr(p, "grad", None)),
    "gradient and dtype": (trained, lambda p: (setattr(p, "grad", None), setattr(p, "data", p.data.double()))),
    "key of a dict": (lambda: {"a": 1}, lambda d: d.update(b=2)),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda d: d.update(a=d.pop("a"))),
    "order of an OrderedDict": (lambda: OrderedDict(a=1, b=2), lambda d: d.move_to_end("a")),
    "element of a list": (lambda: [tensor(), 1], lambda kept: kept.__setitem__(0, kept[0].clone())),
    "element of a set": (lambda: {1, 2}, lambda kept: kept.add(3)),
    "end of a deque": (lambda: deque([1, 2], maxlen=2), lambda kept: kept.append(3)),
    "bytes": (lambda: bytearray(b"abc"), lambda kept: kept.reverse()),
    "array of numbers": (lambda: array.array("d", [1, 2]), lambda kept: kept.append(3)),
    "NumPy array": (lambda: np.array([1.0, np.nan]), lambda kept: kept.fill(np.nan)),
    "default argument": (lambda: with_default, lambda function: setattr(function, "__defaults__", (2,))),
    "attribute of a function": (lambda: with_default, lambda function: setattr(function, "note", 1)),
    "attribute of a module": (lambda: Scale(), lambda layer: setattr(layer, "note", 1)),
    "mode of a module": (lambda: Scale(), lambda layer: layer.eval()),
    "parameter of a module": (lambda: Scale(), lambda layer: delattr(layer, "k")),
    "slot": (lambda: Slotted(None), lambda kept: setattr(kept, "weight", None)),
    "slot emptied": (lambda: Slotted(None), lambda kept: delattr(kept, "owner")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_any_kind_is_undone(name):
    make, change = CHANGES[name]
    thing = make()
    before = fingerprint(thing)
    with unharmed([thing]):
        change(thing)
        with contextlib.suppress(AttributeError):
            assert fingerprint(thing) != before
    assert fingerprint(thing) == before


def test_a_history_that_was_there_before_cannot_be_restored():
    derived = 2 * trained()
    with pytest.raises(ValueError, match=r"a call changes list\[0\]"), unharmed([derived]):
        derived.mul_(2)


@pytest.mark.parametrize("perturb", [None, 0.5])
def test_a_loss_that_waits_can_still_be_differentiated(perturb):
    layer, x = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)), points(5, 3)
    loss = layer(x).square().sum()
    inspect_jacobian(layer, x, perturb=perturb)
    loss.backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_a_module_that_was_made_in_inference_mode_is_looked_at():
    with torch.inference_mode():
        layer = Scale()
    inspect_jacobian(layer, points(5, 3)).check()
