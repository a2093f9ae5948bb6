"""Everything that a layer can reach is left as it was, to the bit; a layer that no copy stands for is refused."""

import array
import contextlib
import functools
import io
import itertools
import random
import types
import weakref
from collections import OrderedDict, deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from nfteach.jacobian import inspect_jacobian, inspect_layers
from nfteach.jacobian.unharmed import unharmed

CONSTANT = torch.tensor([2.0, 0.5, 1.5])
TRAINED = nn.Linear(3, 3)
CALLS = 0
LINES = itertools.count()


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Scale(nn.Module):
    """y = x * scale(), with a parameter whose gradient and neighbours in memory must be kept, too."""

    def __init__(self, make=None):
        super().__init__()
        self.k = nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))
        self.k.grad = torch.tensor([7.0, torch.nan, -0.0])
        self.frozen = nn.Parameter(torch.full((3,), 0.1), requires_grad=False)
        self.register_buffer("shift", torch.tensor([1.0, 0.0, -1.0]))
        self.act = nn.Softplus()
        if make is not None:
            make(self)

    def scale(self):
        return self.k.exp()

    def forward(self, x):
        s = self.scale()
        return x * s + self.shift, s.log().sum().expand(len(x))

    def inverse(self, y):
        return (y - self.shift) / self.scale()


def kept_as(attribute, value):
    """Return a layer whose scale is computed by a function that it keeps as ``attribute``: ``value(layer)``."""

    class Keeps(Scale):
        def __init__(self):
            super().__init__()
            setattr(self, attribute, value(self))

        def scale(self):
            kept = getattr(self, attribute)
            kept = kept["scale"] if isinstance(kept, dict) else kept[0] if isinstance(kept, list) else kept
            return kept()

    return Keeps()


def inner_function(layer):
    def scale():
        return layer.k.exp()

    return scale


class Other:
    def __init__(self):
        self.k = torch.tensor([0.3, -0.2, 0.5], requires_grad=True)

    def scale(self):
        return self.k.exp()


class Slotted:
    __slots__ = ("owner", "weight")

    def __init__(self, owner):
        self.owner, self.weight = owner, torch.tensor([0.1, 0.2, 0.3], requires_grad=True)

    def __call__(self):
        return (self.owner.k + self.weight).exp()


def hooked(register, make):
    """Return a layer with a hook that ``make`` makes of the layer and a list."""

    def hook(layer):
        layer.seen = []
        getattr(layer, register)(make(layer, layer.seen))

    return Scale(hook)


def other_module_hooked():
    other, seen = nn.Linear(3, 3), []

    def hook(module, args, out):
        seen.append(other(args[0].float()))
        return out[0] + other(args[0].to(other.weight.dtype)), out[1]

    layer = Scale()
    layer.register_forward_hook(hook)
    return layer, other, seen


def recorder_of_modules():
    layers, seen = nn.ModuleDict({"a": Scale()}), {}

    def hook(module, args, out):
        seen["out"] = out[0].detach()
        layers.last = out[0]
        seen.setdefault("count", []).append(len(seen))

    layers["a"].register_forward_hook(hook)
    return layers["a"], layers, seen


class ReadsConstant(Scale):
    def scale(self):
        return self.k.exp() * CONSTANT


class ReadsTrained(Scale):
    def scale(self):
        return (self.k + TRAINED.bias).exp()


class Counts(Scale):
    made, names = 0, deque()

    def scale(self):
        global CALLS
        CALLS += 1
        Counts.made += 1
        Counts.names.append("y")
        return self.k.exp()


def modules_in_a_dict():
    nets = {"a": Scale(), "b": [nn.Tanh()]}
    return lambda x: nets["a"](x), nets


class Wrapper:
    """An object that is not a module and cannot be copied by itself if it holds a file."""

    def __init__(self, **others):
        self.nets = [Scale()]
        vars(self).update(others)

    def __call__(self, x):
        return self.nets[0](x)


def object_in_a_closure(**others):
    wrapper = Wrapper(**others)
    return lambda x: wrapper(x), vars(wrapper)


def function_that_calls_itself():
    net = Scale()

    def twice(x, again=False):
        return net(x) if again else twice(x, again=True)

    return twice, net


class Odd:
    @property
    def __dict__(self):
        raise RuntimeError("without attributes")

    @property
    def __class__(self):
        raise RuntimeError("without a class")


def odd_objects():
    gone, odd, stored = weakref.proxy(Other()), Odd(), torch.ones(3).untyped_storage()

    def hook(module, args, out):
        stored.fill_(0 if gone is not odd else 1)

    layer = Scale()
    layer.register_forward_hook(hook)
    return layer, stored


def distribution_in_a_closure():
    loc = torch.tensor([0.3, -0.2, 0.5], requires_grad=True)
    normal = torch.distributions.Normal(loc, torch.ones(3))
    return lambda x: (normal.cdf(x), normal.log_prob(x).sum(-1)), loc


def default_argument():
    net = Scale()
    return lambda x, net=net: net(x), net


def default_argument_kept():
    other = Other()

    def scale(other=other):
        return other.scale()

    return kept_as("kept", lambda layer: scale), other


class Child(nn.Module):
    def __init__(self, parent):
        super().__init__()
        self.parent = weakref.ref(parent)

    def forward(self):
        return self.parent().k.exp()


class Parent(Scale):
    def __init__(self):
        super().__init__()
        self.child = Child(self)

    def scale(self):
        return self.child()


class Cached(Scale):
    @functools.cached_property
    def function(self):
        return lambda: self.k.exp()

    def scale(self):
        return self.function()


def cached(used):
    layer = Cached()
    if used:
        layer.function  # noqa: B018 - fills the cache
    return layer


def drawn(layer):
    layer.generator, layer.array = torch.Generator().manual_seed(1), np.array([1.0, 2.0, 4.0])
    layer.random, layer.numpy = random.Random(1), np.random.default_rng(1)

    def hook(module, args):
        torch.rand(2, generator=layer.generator)
        layer.random.random()
        layer.numpy.random()
        layer.array += 1

    layer.register_forward_pre_hook(hook)


class OfNumPy(Scale):
    def __init__(self):
        super().__init__()
        self.array = np.array([1.0, 2.0, 4.0])

    def scale(self):
        return self.k.exp() * torch.as_tensor(self.array)


def written_in_place():
    count = torch.zeros(3)

    def hook(module, args):
        count.add_(1)
        module.shift.data.mul_(1)

    layer = Scale()
    layer.register_forward_pre_hook(hook)
    return layer, count


class WritesBack(Scale):
    """Keeps a moving mean in the buffer of the original."""

    def __init__(self):
        super().__init__()
        self.update = lambda x: self.shift.mul_(0.9).add_(0.1 * x.detach().mean(0))

    def forward(self, x):
        self.update(x)
        return super().forward(x)


class Tied(Scale):
    """A plain view of a parameter."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.tensor([[0.3, -0.2, 0.5], [0.1, 0.0, -0.4]]))
        self.row = self.table.data[1]
        self.transposed = self.table.data.T

    def scale(self):
        return self.table[1].exp()

    def inverse(self, y):
        return (y - self.shift) / self.row.exp() * (self.transposed[:, 1] - self.row).exp()


def normed(weight_norm):
    class Normed(Scale):
        def __init__(self):
            super().__init__()
            self.net = weight_norm(nn.Linear(1, 3))

        def scale(self):
            return self.net(self.k.new_ones(1)).exp()

    return Normed()


def decorated_class():
    def logged(forward):
        seen = []

        @functools.wraps(forward)
        def wrapper(self, x):
            seen.append(x)
            return forward(self, x)

        wrapper.seen = seen
        return wrapper

    class Decorated(Scale):
        forward = logged(Scale.forward)

    return Decorated(), Decorated.forward.seen


def decorated_instance(layer):
    plain = layer.forward
    layer.forward = functools.wraps(plain)(lambda x: plain(x))


def nested():
    layer = nn.Sequential(OrderedDict(inner=kept_as("kept", inner_function)))

    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([layer])

        def forward(self, x):
            return self.layers[0](x)

    return Stack()


def memo_of_the_original(layer):
    """Let a function read a value that the forward pass leaves in the layer: in a copy it would find None."""
    layer.context = None
    layer.register_forward_pre_hook(lambda module, args: setattr(module, "context", 2.0))
    read = lambda: layer.context  # noqa: E731
    layer.register_forward_hook(lambda module, args, out: (out[0] * read(), out[1] + 3 * np.log(2.0)))


def records_in_many_ways():
    total, last, log = 0, deque([1], maxlen=2), io.StringIO("before")

    def hook(module, args, out):
        nonlocal total
        total += 1
        last.append(total)
        log.write("line")
        hook.calls += 1
        module.layer().note = total

    hook.calls = 0
    layer = Scale()
    layer.layer = weakref.ref(layer)
    layer.note = "none"
    layer.register_forward_hook(hook)
    return layer, last, log, hook.__closure__, vars(hook)


def reads_on(iterator):
    layer = Scale()
    layer.register_forward_hook(lambda module, args, out: next(iterator, None) and None)
    return layer


class ReadsOn(Scale):
    def scale(self):
        return self.k.exp() + 0 * next(LINES)


# name -> (make, the place that the refusal names, or None where a report is due). What is made is the layer, or the
# layer and other things that it can reach.
LAYERS = {
    "plain": (Scale, None),
    "lambda over self": (
        lambda: kept_as("kept", lambda layer: lambda: layer.k.exp()),
        "Keeps.kept uses Keeps.k of the original",
    ),
    "lambda over self, given what it needs": (
        lambda: Scale(lambda s: setattr(s, "f", lambda a: s.act(a) + s.shift)),
        None,
    ),
    "inner function": (lambda: kept_as("kept", inner_function), "Keeps.kept"),
    "function in a dict": (
        lambda: kept_as("kept", lambda layer: {"scale": inner_function(layer)}),
        r"Keeps.kept\['scale'\]",
    ),
    "function in a list": (lambda: kept_as("kept", lambda layer: [inner_function(layer)]), r"Keeps.kept\[0\]"),
    "partial over self": (lambda: kept_as("kept", lambda layer: functools.partial(Scale.scale, layer)), None),
    "partial of a lambda": (
        lambda: kept_as("kept", lambda s: functools.partial(lambda: s.k.exp())),
        r"Keeps.kept \(partial\)",
    ),
    "method of another object": (lambda: kept_as("kept", lambda layer: Other().scale), None),
    "lambda over another object": (
        lambda: kept_as("kept", (lambda o: lambda layer: lambda: o.scale())(Other())),
        "Keeps.kept",
    ),
    "cached function": (lambda: kept_as("kept", lambda s: functools.lru_cache(lambda: s.k.exp())), "Keeps.kept"),
    "forward hook that records": (
        lambda: hooked("register_forward_hook", lambda layer, seen: lambda m, a, out: layer.seen.append(out)),
        None,
    ),
    "forward hook that computes": (
        lambda: hooked(
            "register_forward_hook", lambda s, seen: lambda m, a, out: (out[0] * s.k.exp(), out[1] + s.k.sum())
        ),
        r"Scale \(a forward hook\)",
    ),
    "forward pre-hook that records": (
        lambda: hooked("register_forward_pre_hook", lambda layer, seen: lambda m, a: layer.seen.append(a[0].norm())),
        None,
    ),
    "forward pre-hook that computes": (
        lambda: hooked("register_forward_pre_hook", lambda layer, seen: lambda m, a: (a[0] + layer.shift,)),
        r"Scale \(a forward pre-hook\)",
    ),
    "forward hook over another module": (other_module_hooked, r"Scale \(a forward hook\)"),
    "forward hook that records in modules": (recorder_of_modules, None),
    "backward hook that records": (
        lambda: hooked("register_full_backward_hook", lambda s, seen: lambda m, gi, go: s.seen.append(len(go))),
        None,
    ),
    "backward hook that computes": (
        lambda: hooked("register_full_backward_hook", lambda s, seen: lambda m, gi, go: s.seen.append(s.k * 2)),
        r"Scale \(a backward hook\)",
    ),
    "global tensor in a function": (
        lambda: (kept_as("kept", lambda layer: lambda: CONSTANT.exp()), CONSTANT),
        None,
    ),
    "global module in a function": (
        lambda: (kept_as("kept", lambda layer: lambda: TRAINED.bias.exp()), TRAINED),
        "Keeps.kept",
    ),
    "global tensor in a method": (lambda: (ReadsConstant(), CONSTANT), None),
    "global module in a method": (
        lambda: (ReadsTrained(), TRAINED),
        "ReadsTrained.scale uses the global TRAINED.bias of the original",
    ),
    "global, class attribute and list of a class": (lambda: (Counts(), Counts.names), None),
    "dict of modules in a closure": (modules_in_a_dict, None),
    "object that holds modules, in a closure": (object_in_a_closure, None),
    "object that cannot be copied": (lambda: object_in_a_closure(numbers=(n for n in [1])), "numbers is a generator"),
    "function that calls itself": (function_that_calls_itself, None),
    "dead proxies and odd objects in a closure": (odd_objects, None),
    "distribution in a closure": (distribution_in_a_closure, None),
    "module as a default argument": (default_argument, None),
    "function with a default argument": (default_argument_kept, "Keeps.kept"),
    "weak reference to the original": (Parent, r"Parent.child.parent \(weak reference\) uses Parent.k"),
    "cached property, not used yet": (lambda: cached(False), None),
    "cached property, used": (lambda: cached(True), "Cached.function"),
    "callable with slots": (lambda: kept_as("kept", Slotted), None),
    "generators and arrays": (lambda: Scale(drawn), None),
    "NumPy array": (OfNumPy, None),
    "tensor written in place": (written_in_place, None),
    "buffer of the original written in place": (WritesBack, "WritesBack.update"),
    "views of a parameter": (Tied, None),
    "weight_norm as a parametrization": (lambda: normed(parametrizations.weight_norm), None),
    "decorated forward": (decorated_class, None),
    "decorated forward of one object": (lambda: Scale(decorated_instance), "Scale.forward"),
    "nested": (nested, "Stack.layers.0.inner.kept"),
    "memo of the original": (lambda: Scale(memo_of_the_original), r"Scale \(a forward hook\)"),
    "records in many ways": (records_in_many_ways, None),
    "iterator": (lambda: reads_on(iter([1, 2, 3])), "list_iterator"),
    "counter": (lambda: reads_on(itertools.count()), "count"),
    "generator": (lambda: reads_on(x for x in range(9)), "generator"),
    "iterator read by a method": (ReadsOn, "a call changes .*scale, through the global LINES"),
}


def fingerprint(thing, seen=None):
    """Return all that can be compared of a thing, collected without the inspector's own walk."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return seen[id(thing)]
    seen[id(thing)] = len(seen)
    if isinstance(thing, torch.Tensor):
        bits = tuple(thing.detach().clone().flatten().view(torch.uint8).tolist())
        grad = fingerprint(thing.grad, seen) if thing.is_leaf else None
        place = thing.data_ptr(), thing.stride(), tuple(thing.shape), thing.storage_offset()
        return id(thing), thing.dtype, place, bits, thing.requires_grad, thing.is_leaf, grad
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


def of(name):
    """Return the layer, and all that was made with it."""
    made = LAYERS[name][0]()
    return (made[0] if isinstance(made, tuple) else made), made


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", LAYERS)
def test_everything_is_left_as_it_was(name, asked):
    layer, made = of(name)
    before, calls, of_class = fingerprint(made), CALLS, Counts.made
    with contextlib.suppress(ValueError, KeyboardInterrupt):
        ASKED[asked](layer, points(3, 3))
    assert fingerprint(made) == before
    assert (CALLS, Counts.made) == (calls, of_class)


@pytest.mark.parametrize("name", [name for name, (_, refused) in LAYERS.items() if refused is None])
def test_a_layer_whose_copies_stand_for_it_is_reported_rightly(name):
    report = inspect_jacobian(of(name)[0], points(3, 3), perturb=0.5).check()
    assert {finding.code for finding in report.findings} <= {"changes-state"}
    assert report.structure.name == "diagonal"
    if name not in {"global tensor in a function", "distribution in a closure"}:
        assert not torch.equal(report.moved[0].y, report.moved[1].y)


@pytest.mark.parametrize("ask", [inspect_jacobian, lambda layer, x: inspect_layers([torch.nn.Tanh(), layer], x)])
@pytest.mark.parametrize("name", [name for name, (_, refused) in LAYERS.items() if refused is not None])
def test_a_layer_whose_copies_lead_back_to_it_is_refused_in_one_sentence(name, ask):
    with pytest.raises(ValueError, match=LAYERS[name][1]) as raised:
        ask(of(name)[0], points(3, 3))
    message = str(raised.value)
    assert message.startswith("transform must ")
    assert "; try to " in message
    assert "\n" not in message
    assert ". " not in message


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
