"""Layers that keep functions, hooks, references and much else, in all the ways in which a copy can go astray."""

import contextlib
import contextvars
import dataclasses
import functools
import io
import itertools
import operator
import os
import random
import threading
import types
import weakref
from collections import ChainMap, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import weight_norm as old_weight_norm

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


CONFIG = types.ModuleType("config")
CONFIG.scale = nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))
exec("def scaled(): return scale.exp()", vars(CONFIG))
exec("calls = 0\ndef counted():\n    global calls\n    calls += 1\n    return scale.exp()", vars(CONFIG))
BASE = nn.ParameterDict({"k": torch.tensor([0.1, 0.2, 0.3])})
OFFSETS = {}


class HoldsModule(Scale):
    def __init__(self):
        super().__init__()
        self.options = types.SimpleNamespace(config=CONFIG)

    def scale(self):
        return self.options.config.counted()


class Coupling(nn.Module):
    """An affine block as FrEIA writes it: activations as lambdas over self, a frozen permutation, a subnet's maker."""

    def __init__(self, subnet=lambda n, m: nn.Sequential(nn.Linear(n, 8), nn.Tanh(), nn.Linear(8, m))):
        super().__init__()
        self.softplus, self.made_by = nn.Softplus(beta=0.5), subnet
        self.global_scale = nn.Parameter(torch.full((1, 4), 0.2))
        self.activation = lambda a: 0.1 * self.softplus(a)
        self.permute = lambda x, back=False: x @ (self.w_inv if back else self.w)
        rotation = torch.linalg.qr(torch.arange(16.0).reshape(4, 4).sin())[0]
        self.w = nn.Parameter(rotation, requires_grad=False)
        self.w_inv = nn.Parameter(rotation.T.clone(), requires_grad=False)
        self.nets = nn.ModuleList([subnet(2, 4)])
        self.calls = [lambda a, net=net: torch.tanh(net(a)).chunk(2, -1) for net in self.nets]

    def forward(self, x):
        scale = self.activation(self.global_scale)
        a, b = (self.permute(x) * scale).chunk(2, -1)
        s, t = self.calls[0](a)
        return torch.cat([a, b * s.exp() + t], -1), s.sum(-1) + scale.log().sum()

    def inverse(self, y):
        a, b = y.chunk(2, -1)
        s, t = self.calls[0](a)
        return self.permute(torch.cat([a, (b - t) * (-s).exp()], -1) / self.activation(self.global_scale), back=True)


class ReadsMember(Scale):
    def scale(self):
        return (self.k + CONFIG.scale).exp()


class ReadsBase(Scale):
    offset = nn.Parameter(torch.tensor([0.1, 0.0, -0.1]))

    def scale(self):
        return (self.k + BASE["k"] + self.offset).exp()


class Derived(ReadsBase):
    def scale(self):
        return super().scale() * ReadsBase.offset.exp()


class Squares(torch.autograd.Function):
    @staticmethod
    def forward(ctx, k):
        ctx.save_for_backward(k)
        return (k + CONSTANT).square() + 0.1

    @staticmethod
    def backward(ctx, g):
        return 2 * g * (ctx.saved_tensors[0] + CONSTANT)


class ByFunction(Scale):
    def scale(self):
        return Squares.apply(self.k)


class ClassCached(Scale):
    @functools.lru_cache(maxsize=4)  # noqa: B019 - the idiom is what is tried
    def cached(self):
        return lambda: self.k.exp()

    def scale(self):
        return self.cached()()


class Named(NamedTuple):
    act: Callable
    k: torch.Tensor


@dataclasses.dataclass
class Options:
    act: Callable
    pairs: dict


def options(layer):
    kept = Options(lambda a: (a + layer.k).exp(), {layer.act: lambda: layer.k})
    return lambda: kept.act(0 * kept.pairs[layer.act]())


def parent_of_a_child():
    class Net(Scale):
        def __init__(self):
            super().__init__()
            self.children_ = nn.ModuleList([nn.Identity()])
            self.children_[0].rescaled = lambda a: a + self.k

        def scale(self):
            return self.children_[0].rescaled(0 * self.k).exp()

    return Net()


def parametrized():
    class Exp(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.through = lambda w: w.exp() + shift.exp()

        def forward(self, w):
            return self.through(w)

    class Positive(Scale):
        def __init__(self):
            super().__init__()
            self.raw = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))
            parametrize.register_parametrization(self, "raw", Exp(self.k))

        def scale(self):
            return self.raw

    return Positive()


@contextlib.contextmanager
def announced():
    yield


def decorated_by_contexts(layer):
    @announced()
    @torch.enable_grad()
    @functools.wraps(Scale.scale)
    def scale():
        return layer.k.exp()

    return scale


def counts_down(layer):
    left = 2

    def scale(depth=0, *, other=layer.shift):
        nonlocal left
        left -= 1
        return scale(depth + 1) if depth < 2 else (layer.k + other).exp()

    return scale


def weakly(layer):
    table, method, proxy = weakref.WeakKeyDictionary({layer.act: layer.k}), weakref.WeakMethod(layer.act.forward), None
    proxy = weakref.proxy(layer)
    return lambda: method()(proxy.k + table[layer.act]) + 0.1


class Exponential(nn.Module):
    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))

    def forward(self):
        return self.k.exp()


def dispatched(layer):
    @functools.singledispatch
    def scale(a):
        raise NotImplementedError

    @scale.register
    def _(a: torch.Tensor):
        return (a + layer.k).exp()

    return lambda: scale(0 * layer.k)


def patched(layer):
    layer.scale = types.MethodType(lambda self: (self.k + TRAINED.bias).exp(), layer)


class Registered(Scale):
    kinds: ClassVar[list] = []

    def __init_subclass__(cls, **others):
        super().__init_subclass__(**others)
        Registered.kinds.append(cls)


class Entered(Registered, Generic[TypeVar("T")]):
    def scale(self):
        return (self.k + TRAINED.bias).exp()


class Delegates(nn.Module):
    """A wrapper that looks for its attributes in the layer inside."""

    def __init__(self):
        super().__init__()
        self.inner = kept_as("kept", inner_function)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x):
        return self.inner(x)


class Recurrent(Scale):
    def __init__(self):
        super().__init__()
        self.net = nn.LSTM(1, 1)

    def scale(self):
        return self.net(self.k[:, None, None])[0].flatten().exp()


def noisy(layer):
    return lambda: layer.k.exp() + 1e-3 * int.from_bytes(os.urandom(2), "big")


def counted(layer):
    def scale():
        global CALLS
        CALLS += 1
        return layer.k.exp() + CALLS

    return scale


class Adds(Exponential):
    def forward(self, a):
        return (a + self.k).exp()


IN_CONTEXT = contextvars.ContextVar("in context")
IN_CONTEXT.set({"scale": Other(), "calls": torch.zeros(1)})
BY_DEFAULT = contextvars.ContextVar("by default", default=Other())  # noqa: B039


class ReadsContext(Scale):
    def scale(self):
        IN_CONTEXT.get()["calls"].add_(1)
        return IN_CONTEXT.get()["scale"].scale() * (BY_DEFAULT.get().k + self.k).exp()


def of_this_thread(layer):
    here = threading.local()
    here.k, here.calls = layer.k, 0

    def scale():
        here.calls += 1
        return here.k.exp()

    return scale


class Outside:
    """A descriptor that keeps the values of all owners by itself."""

    def __init__(self):
        self.values = weakref.WeakKeyDictionary()

    def __get__(self, owner, kind=None):
        return self if owner is None else self.values[owner]

    def __set__(self, owner, value):
        self.values[owner] = value


class KeepsOutside(Scale):
    pair = Outside()

    def __init__(self):
        super().__init__()
        self.pair = [self.k, 0]

    def scale(self):
        self.pair[1] += 1
        return self.pair[0].exp()


class InACircle(Scale):
    """A proxy of a module passes for a module, so this one is among its own parts, and ``train`` never ends."""

    def __init__(self):
        super().__init__()
        self.proxy = weakref.proxy(self)

    def scale(self):
        return self.proxy.k.exp()


def all_kinds_of_dicts(layer):
    default, chain, user = defaultdict(lambda: layer.k), ChainMap({"k": layer.k}, {}), UserDict(k=layer.k)

    def scale():
        chain["calls"] = chain.get("calls", 0) + 1
        return (default[len(default)] + chain["k"] + user["k"]).exp()

    return scale


def circle_of_tuples(layer):
    kept = [layer.k]
    kept.append((kept, {layer: (layer, kept)}))
    return lambda: kept[1][0][1][1][layer][1][0].exp()


class Private(Scale):
    def __init__(self):
        super().__init__()
        self.__kept = types.SimpleNamespace(get=operator.itemgetter("k"), held={"k": self.k}, array=np.ones(3))

    def scale(self):
        self.__kept.array += 1
        return torch.stack([part.exp() for part in self.__kept.get(self.__kept.held)])


class Made(type):
    instances: ClassVar[list] = []

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        Made.instances.append(weakref.ref(made))
        return made


class OfAMetaclass(Scale, metaclass=Made):
    pass


class Clipped(Scale):
    """A layer that writes into its parameter and its gradient in each call."""

    def scale(self):
        self.k.data.clamp_(-0.6, 0.4)
        self.k.grad = torch.ones_like(self.k)
        return super().scale()


class Tracked(Scale):
    """A layer that registers itself under its identity, where a copy cannot be found."""

    def __init__(self):
        super().__init__()
        OFFSETS[id(self)] = 0.5

    def scale(self):
        return (self.k + OFFSETS[id(self)]).exp()


class OneOfAKind(Scale):
    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


class SharesItself(Scale):
    def __deepcopy__(self, memo):
        return self


def with_inference_tensors():
    layer = Scale()
    with torch.inference_mode():
        layer.shift = torch.tensor([1.0, 0.5, 2.0])
    return layer


def lazy():
    return nn.Sequential(nn.LazyLinear(3))


def writes(file):
    return lambda layer: layer.register_forward_hook(lambda module, args, out: print("called", file=file) and None)


SOUND: set[str] = set()

# name -> (make, the codes of the errors that are due, or the words of a refusal). What is made is the layer, or the
# layer and other things that it can reach.
LAYERS = {
    "plain": (Scale, SOUND),
    "lambda over self": (lambda: kept_as("kept", lambda layer: lambda: layer.k.exp()), SOUND),
    "lambda over self, given what it needs": (
        lambda: Scale(lambda s: setattr(s, "f", lambda a: s.act(a) + s.shift)),
        SOUND,
    ),
    "inner function": (lambda: kept_as("kept", inner_function), SOUND),
    "function in a dict": (lambda: kept_as("kept", lambda layer: {"scale": inner_function(layer)}), SOUND),
    "function in a list": (lambda: kept_as("kept", lambda layer: [inner_function(layer)]), SOUND),
    "partial over self": (lambda: kept_as("kept", lambda layer: functools.partial(Scale.scale, layer)), SOUND),
    "partial of a lambda": (lambda: kept_as("kept", lambda s: functools.partial(lambda: s.k.exp())), SOUND),
    "method of another object": (lambda: kept_as("kept", lambda layer: Other().scale), SOUND),
    "lambda over another object": (
        lambda: kept_as("kept", (lambda o: lambda layer: lambda: o.scale())(Other())),
        SOUND,
    ),
    "cached function": (lambda: kept_as("kept", lambda s: functools.lru_cache(lambda: s.k.exp())), {"gradient-wrong"}),
    "forward hook that records": (
        lambda: hooked("register_forward_hook", lambda layer, seen: lambda m, a, out: layer.seen.append(out)),
        SOUND,
    ),
    "forward hook that computes": (
        lambda: hooked(
            "register_forward_hook", lambda s, seen: lambda m, a, out: (out[0] * s.k.exp(), out[1] + s.k.sum())
        ),
        {"inverse-wrong"},
    ),
    "forward pre-hook that records": (
        lambda: hooked("register_forward_pre_hook", lambda layer, seen: lambda m, a: layer.seen.append(a[0].norm())),
        SOUND,
    ),
    "forward pre-hook that computes": (
        lambda: hooked("register_forward_pre_hook", lambda layer, seen: lambda m, a: (a[0] + layer.shift,)),
        {"inverse-wrong"},
    ),
    "forward hook over another module": (other_module_hooked, {"inverse-wrong", "log-det-wrong"}),
    "forward hook that records in modules": (recorder_of_modules, SOUND),
    "backward hook that records": (
        lambda: hooked("register_full_backward_hook", lambda s, seen: lambda m, gi, go: s.seen.append(len(go))),
        SOUND,
    ),
    "backward hook that computes": (
        lambda: hooked("register_full_backward_hook", lambda s, seen: lambda m, gi, go: s.seen.append(s.k * 2)),
        SOUND,
    ),
    "global tensor in a function": (
        lambda: (kept_as("kept", lambda layer: lambda: CONSTANT.exp()), CONSTANT),
        SOUND,
    ),
    "global module in a function": (
        lambda: (kept_as("kept", lambda layer: lambda: TRAINED.bias.exp()), TRAINED),
        SOUND,
    ),
    "global tensor in a method": (lambda: (ReadsConstant(), CONSTANT), SOUND),
    "global module in a method": (lambda: (ReadsTrained(), TRAINED), SOUND),
    "global, class attribute and list of a class": (lambda: (Counts(), Counts.names), SOUND),
    "dict of modules in a closure": (modules_in_a_dict, SOUND),
    "object that holds modules, in a closure": (object_in_a_closure, SOUND),
    "object that cannot be copied": (
        lambda: object_in_a_closure(numbers=(n for n in [1])),
        "numbers, a generator, cannot be copied",
    ),
    "function that calls itself": (function_that_calls_itself, SOUND),
    "dead proxies and odd objects in a closure": (odd_objects, SOUND),
    "distribution in a closure": (distribution_in_a_closure, SOUND),
    "module as a default argument": (default_argument, SOUND),
    "function with a default argument": (default_argument_kept, SOUND),
    "weak reference to the original": (Parent, SOUND),
    "cached property, not used yet": (lambda: cached(False), SOUND),
    "cached property, used": (lambda: cached(True), SOUND),
    "callable with slots": (lambda: kept_as("kept", Slotted), SOUND),
    "generators and arrays": (lambda: Scale(drawn), SOUND),
    "NumPy array": (OfNumPy, SOUND),
    "tensor written in place": (written_in_place, SOUND),
    "buffer of the original written in place": (WritesBack, {"non-deterministic"}),
    "views of a parameter": (Tied, SOUND),
    "weight_norm as a parametrization": (lambda: normed(parametrizations.weight_norm), SOUND),
    "decorated forward": (decorated_class, SOUND),
    "decorated forward of one object": (lambda: Scale(decorated_instance), SOUND),
    "nested": (nested, SOUND),
    "memo of the original": (lambda: Scale(memo_of_the_original), {"inverse-wrong"}),
    "records in many ways": (records_in_many_ways, SOUND),
    "iterator": (lambda: reads_on(iter([1, 2, 3])), SOUND),
    "counter": (lambda: reads_on(itertools.count(1)), SOUND),
    "generator": (lambda: reads_on(x for x in range(9)), "iterator, a generator, cannot be copied"),
    "iterator read by a method": (ReadsOn, "a call changes .*scale, through the global LINES"),
    "block with lambdas over self and a frozen permutation": (Coupling, SOUND),
    "member of a module in a method": (lambda: (ReadsMember(), CONFIG.scale), SOUND),
    "member of a module in a function": (
        lambda: (kept_as("kept", lambda s: lambda: (s.k + CONFIG.scale).exp()), CONFIG.scale),
        SOUND,
    ),
    "function of a module that reads a global": (
        lambda: (kept_as("kept", lambda s: lambda: CONFIG.scaled()), CONFIG.scale),
        SOUND,
    ),
    "parameter of a class": (lambda: (ReadsBase(), ReadsBase.offset, BASE), SOUND),
    "methods of two classes that read globals": (lambda: (Derived(), ReadsBase.offset, BASE), SOUND),
    "global tensor in an autograd function": (lambda: (ByFunction(), CONSTANT), SOUND),
    "method with a cache": (ClassCached, SOUND),
    "named tuple of a function": (
        lambda: kept_as("kept", lambda s: (lambda n: lambda: n.act(n.k))(Named(lambda a: (a + s.k).exp(), s.k))),
        SOUND,
    ),
    "data class of functions, dict with keys that are modules": (lambda: kept_as("kept", options), SOUND),
    "function in a child over its parent": (parent_of_a_child, SOUND),
    "parametrization with a lambda": (parametrized, SOUND),
    "old weight_norm": (lambda: normed(old_weight_norm), SOUND),
    "spectral_norm as a parametrization": (lambda: normed(parametrizations.spectral_norm), SOUND),
    "decorated by contexts": (lambda: kept_as("kept", decorated_by_contexts), SOUND),
    "recursive with keywords and a counter": (lambda: kept_as("kept", counts_down), SOUND),
    "weak dict, method and proxy": (lambda: kept_as("kept", weakly), SOUND),
    "method of a tensor": (lambda: kept_as("kept", lambda layer: layer.k.exp), SOUND),
    "attribute getter in a partial": (
        lambda: kept_as("kept", lambda s: functools.partial(lambda get: get(s).exp(), operator.attrgetter("k"))),
        SOUND,
    ),
    "inference tensor": (with_inference_tensors, SOUND),
    "compiled": (lambda: torch.compile(Scale(), backend="eager"), SOUND),
    "scripted part": (lambda: kept_as("kept", lambda s: torch.jit.script(Exponential())), SOUND),
    "single dispatch": (lambda: kept_as("kept", dispatched), SOUND),
    "patched method that reads a global": (lambda: (Scale(patched), TRAINED), SOUND),
    "generic class that is registered": (lambda: (Entered(), TRAINED, Registered.kinds), SOUND),
    "wrapper that delegates": (Delegates, SOUND),
    "recurrent network": (Recurrent, SOUND),
    "traced part": (
        lambda: kept_as("kept", lambda s: functools.partial(torch.jit.trace(Adds(), (torch.ones(3),)), s.shift)),
        SOUND,
    ),
    "graph of a part": (
        lambda: kept_as("kept", lambda s: functools.partial(torch.fx.symbolic_trace(Adds()), s.shift)),
        SOUND,
    ),
    "context variable": (lambda: (ReadsContext(), IN_CONTEXT.get(), BY_DEFAULT.get().k), SOUND),
    "values of one thread": (lambda: kept_as("kept", of_this_thread), SOUND),
    "descriptor that keeps the values": (lambda: (made := KeepsOutside(), made.pair), SOUND),
    "module among its own parts": (InACircle, SOUND),
    "dicts of all kinds": (lambda: kept_as("kept", all_kinds_of_dicts), SOUND),
    "circle of tuples": (lambda: kept_as("kept", circle_of_tuples), SOUND),
    "private names": (Private, SOUND),
    "metaclass that registers": (lambda: (OfAMetaclass(), Made.instances), SOUND),
    "parameter that is clipped in a call": (Clipped, SOUND),
    "noise without a seed": (lambda: kept_as("kept", noisy), {"non-deterministic"}),
    "global counter in a function": (lambda: kept_as("kept", counted), {"non-deterministic"}),
    "registered by its identity": (Tracked, "a copy of the Tracked gives other values"),
    "copy that is refused": (OneOfAKind, "OneOfAKind, .*cannot be copied .TypeError: one of a kind"),
    "copy that is the original": (SharesItself, "SharesItself, .*shares its parts with its copies"),
    "meta parameter": (lambda: Scale().to("meta"), "Scale.k, a Parameter, is on the meta device"),
    "lazy parameter": (lazy, r"Sequential.0.weight, a UninitializedParameter, has no values yet"),
    "open file": (lambda: Scale(writes(open(os.devnull, "w"))), "file, a TextIOWrapper, cannot be copied"),  # noqa: SIM115
}


def of(name):
    """Return the layer, and all that was made with it."""
    made = LAYERS[name][0]()
    return (made[0] if isinstance(made, tuple) else made), made
