"""Copies of layers that keep functions: they compute with parameters of their own, and the reports on them are true."""

import gc
import weakref

import pytest
import torch
from torch import nn

from nfteach.jacobian import inspect_jacobian, inspect_layers
from nfteach.jacobian.twin import parameters_account, twins, with_parameters_moved
from tests.unit.jacobian.keepers import (
    LAYERS,
    Derived,
    Exponential,
    ReadsBase,
    Scale,
    of,
    points,
    with_inference_tensors,
)

pytestmark = pytest.mark.usefixtures("two_copies")

INSPECTED = [name for name, (_, due) in LAYERS.items() if not isinstance(due, str)]
REFUSED = [name for name in LAYERS if name not in INSPECTED]
# The scale of these layers has no parameters.
CONSTANT = {"global tensor in a function", "distribution in a closure"}
# The log-det of these is the same at every x, and sound.
CONSTANT_IN_X = [
    name
    for name in INSPECTED
    if not LAYERS[name][1] and name not in {*CONSTANT, "block with lambdas over self and a frozen permutation"}
]


def points_for(layer):
    return points(3, 4 if type(layer).__name__ == "Coupling" else 3)


@pytest.mark.parametrize("name", INSPECTED)
def test_a_layer_that_keeps_functions_is_reported_rightly(name):
    layer = of(name)[0]
    report = inspect_jacobian(layer, points_for(layer), perturb=0.5)
    errors = {finding.code for finding in report.findings if finding.severity == "error"}
    assert LAYERS[name][1] <= errors
    assert report.ok is not bool(LAYERS[name][1])
    if name not in CONSTANT:
        assert len({tuple(copy.y.flatten().tolist()) for copy in (report, *report.moved)}) == 3


@pytest.mark.parametrize("name", CONSTANT_IN_X)
def test_a_log_det_that_is_right_at_the_initial_parameters_alone_is_found_out(name):
    layer = of(name)[0]
    x = points_for(layer)
    initial = inspect_jacobian(layer, x).log_det_jacobian
    report = inspect_jacobian(layer, x, log_det=lambda x: initial[:1].expand(len(x)), perturb=0.5)
    assert inspect_jacobian(layer, x, log_det=lambda x: initial[:1].expand(len(x))).ok
    wrong = [finding for finding in report.findings if finding.code == "log-det-wrong"]
    assert wrong
    assert wrong[0].evidence["parameters moved by"] == 0.5
    assert not any(copy.ok for copy in report.moved)


@pytest.mark.parametrize("ask", [inspect_jacobian, lambda layer, x: inspect_layers([torch.nn.Tanh(), layer], x)])
@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_has_no_copy_is_refused_in_one_sentence(name, ask):
    with pytest.raises(ValueError, match=LAYERS[name][1]) as raised:
        ask(of(name)[0], points(3, 3))
    message = str(raised.value)
    assert message.startswith("transform must ")
    assert "; try to " in message
    assert "\n" not in message
    assert ". " not in message


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.again, self.transposed = self.first, nn.Linear(3, 3, bias=False)
        self.transposed.weight = self.first.weight
        self.register_buffer("row", self.first.weight.data[1])
        self.weights = [self.first.weight]


def test_parts_that_are_one_in_a_layer_are_one_in_its_copies():
    layer = Tied()
    (copy,) = twins(layer, dtype=torch.float64)
    assert copy.first is copy.again
    assert copy.first is not layer.first
    assert copy.transposed.weight is copy.first.weight is copy.weights[0]
    assert torch.equal(copy.row, layer.row.double())
    (moved,) = with_parameters_moved(layer, by=0.5, seed=0)
    assert not torch.equal(moved.row, layer.row)
    for each in (copy, moved):
        assert torch.equal(each.row, each.first.weight[1])
        each.row.fill_(7.0)
        assert (each.first.weight[1] == 7).all()
        assert (each.first.weight[0] != 7).all()


def test_functions_that_hold_nothing_stay_the_same():
    def square(x):
        return x.square()

    layer = nn.Module()
    layer.functions = [square, torch.relu, len, lambda x: square(x)]
    (copy,) = twins(layer)
    assert copy.functions is not layer.functions
    assert all(ours is theirs for ours, theirs in zip(copy.functions, layer.functions, strict=True))
    assert type(copy) is type(layer)


def test_a_class_is_made_anew_only_where_its_methods_read_a_state():
    assert [type(twins(layer)[0]) is type(layer) for layer in (ReadsBase(), Derived(), Scale())] == [False, False, True]
    copy = twins(Derived())[0]
    assert isinstance(copy, nn.Module)
    assert type(copy).__name__ == type(copy).__qualname__ == "Derived"
    assert type(copy).offset is not Derived.offset
    assert type(copy).__mro__[1].offset is type(copy).offset


@pytest.mark.parametrize("make", [Scale, lambda: torch.jit.script(Exponential()), with_inference_tensors])
def test_copies_are_ordinary_double_tensors(make):
    (copy,) = twins(make(), dtype=torch.float64)
    for tensor in (*copy.parameters(), *copy.buffers()):
        assert tensor.dtype == torch.float64
        assert tensor.is_leaf
        assert not tensor.is_inference()


def test_a_complex_parameter_gets_the_complex_partner():
    layer = nn.ParameterDict({"k": torch.zeros(3, dtype=torch.complex64)})
    assert twins(layer, dtype=torch.float64)[0].k.dtype == torch.complex128
    (moved,) = with_parameters_moved(layer, by=0.5, seed=0)
    assert moved.k.dtype == torch.complex64
    assert (moved.k.real * moved.k.imag != 0).all()


def test_the_account_of_parameters():
    layer = nn.Sequential(Scale(), torch.jit.script(Exponential()))
    layer[0].z = nn.Parameter(torch.zeros(1, dtype=torch.complex64))
    account = parameters_account(layer)
    assert set(account.moved) == {"Sequential.0.k", "Sequential.0.z", "Sequential.1.k"}
    assert account.frozen == ("Sequential.0.frozen",)
    assert account.unmoved == ()


def test_nothing_holds_a_copy_when_it_is_no_longer_needed():
    copy = twins(Derived())[0]
    held = [weakref.ref(thing) for thing in (copy, type(copy), type(copy).offset, copy.k)]
    del copy
    gc.collect()
    assert [reference() for reference in held] == [None] * 4


def test_a_tensor_that_was_computed_before_is_not_moved():
    scale = nn.Parameter(torch.zeros(3)).exp()
    account = parameters_account(torch.distributions.AffineTransform(torch.zeros(3), scale))
    assert account == ((), (), (("AffineTransform.scale", "it was computed before, and its copies have no history"),))


HELD = {"net": nn.Linear(3, 3), "numbers": (n for n in [1])}


class ReadsHeld(Scale):
    def scale(self):
        return (self.k + HELD["net"].bias).exp()


def test_a_global_that_cannot_be_copied_is_shared_and_accounted_for():
    before = HELD["net"].bias.detach().clone()
    report = inspect_jacobian(ReadsHeld(), points(3, 3), perturb=0.5)
    assert report.ok
    assert torch.equal(before, HELD["net"].bias)
    account = parameters_account(ReadsHeld())
    assert account.moved == ("ReadsHeld.k",)
    assert [path.rpartition(", through ")[2] for path, _ in account.unmoved] == [
        "the global HELD['net'].weight",
        "the global HELD['net'].bias",
    ]
