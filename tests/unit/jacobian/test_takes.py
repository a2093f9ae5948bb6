"""What the inspector takes: log-dets, inverses and contexts under the names and in the places that libraries use."""

import contextlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from nfteach.jacobian import inspect_jacobian, inspect_layers
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.given import as_points

# float64 arithmetic of well-conditioned maps.
EXACT = 1e-9


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = points(5, 3)


def codes(report):
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


class Exp(nn.Module):
    """y = exp(x), whose log-det is ``sign`` times the true one."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        return x.exp()

    def inverse(self, y):
        return y.log()

    def claim(self, x):
        return self.sign * x.sum(-1)


class TorchNames(Exp):
    def log_abs_det_jacobian(self, x, y):
        return self.sign * y.log().sum(-1)


class Pair(Exp):
    def forward_and_log_det(self, x):
        return x.exp(), self.claim(x)


class TfpNames(Exp):
    def forward_log_det_jacobian(self, x):
        return self.claim(x)


class Short(Exp):
    def log_det_jacobian(self, x):
        return self.claim(x)


class Third(Exp):
    def forward(self, x):
        return x.exp(), None, self.claim(x)


class AfterACache(Exp):
    def forward(self, x):
        return x.exp(), {"x": x, "mean": x.mean(0)}, self.claim(x)


class AfterATensor(Exp):
    def forward(self, x):
        return x.exp(), x.flip(-1), self.claim(x)


class Dict(Exp):
    def forward(self, x):
        return {"log_det": self.claim(x), "z": x.exp()}


class Named(NamedTuple):
    ladj: torch.Tensor
    y: torch.Tensor


class NamedOutput(Exp):
    def forward(self, x):
        return Named(self.claim(x), x.exp())


@dataclass
class Output:
    out: torch.Tensor
    log_abs_det: torch.Tensor


class DataclassOutput(Exp):
    def forward(self, x):
        return Output(x.exp(), self.claim(x))


class Attribute(Exp):
    def forward(self, x):
        self.log_jac_det = self.claim(x)
        return x.exp()


class Buffer(Exp):
    def __init__(self, sign=1.0):
        super().__init__(sign)
        self.register_buffer("ldj", torch.zeros(()))

    def forward(self, x):
        self.ldj = self.claim(x)
        return x.exp()


class NotAModule:
    """A bijector of methods only."""

    def __init__(self, sign=1.0):
        self.sign = sign

    def forward_and_log_det(self, x):
        return x.exp(), self.sign * x.sum(-1)

    def inverse_and_log_det(self, y):
        return y.log(), -self.sign * y.log().sum(-1)


PLACES = {
    TorchNames: "log_abs_det_jacobian(x, y)",
    Pair: "forward_and_log_det(x)",
    TfpNames: "forward_log_det_jacobian(x)",
    Short: "log_det_jacobian(x)",
    Third: "the third output",
    AfterACache: "the third output",
    AfterATensor: "the third output",
    Dict: "the output's 'log_det'",
    NamedOutput: "the output's 'ladj'",
    DataclassOutput: "the output's 'log_abs_det'",
    Attribute: "the attribute .log_jac_det, as the call left it",
    Buffer: "the attribute .ldj, as the call left it",
    NotAModule: "forward_and_log_det(x)",
}


@pytest.mark.parametrize("kind", PLACES)
def test_log_det_is_found_wherever_it_stands(kind):
    sound = inspect_jacobian(kind(), X).check()
    assert sound.log_det_by == PLACES[kind]
    torch.testing.assert_close(sound.log_det, X.double().sum(1), rtol=0, atol=EXACT)
    assert sound.inverse_error.max() < EXACT
    assert "log-det-sign" in codes(inspect_jacobian(kind(-1.0), X))


def test_an_attribute_that_a_call_does_not_set_is_not_a_claim():
    class Kept(Exp):
        def __init__(self):
            super().__init__()
            self.log_det = 3.0

    assert inspect_jacobian(Kept(), X).log_det is None


def test_an_attribute_that_calls_set_to_the_same_number_is_a_claim_in_each():
    class Shift(nn.Module):
        def forward(self, x):
            self.log_det = 0.0
            return x + 1

    f = adapt(Shift(), X)
    assert [f(X.double())[1] for _ in range(3)] == [0.0] * 3


def test_a_method_that_computes_the_log_det_of_other_things_is_not_a_claim():
    class Helper(Exp):
        def log_det(self, scale):
            return scale.log().sum()

    report = inspect_jacobian(Helper(), X)
    assert report.log_det is None
    assert codes(report) <= {"log-det-missing"}


def test_a_claim_that_raises_is_kept_in_words_and_the_next_is_taken():
    class Raising(Exp):
        def forward_log_det_jacobian(self, x):
            raise RuntimeError("later")

        def log_abs_det_jacobian(self, x, y):
            return self.claim(x)

    f = adapt(Raising(), X)
    _, log_det = f(X.double())
    torch.testing.assert_close(log_det, X.double().sum(1))
    assert f.log_det_by == "log_abs_det_jacobian(x, y)"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_attribute_that_a_call_sets_is_held_against_the_log_det_that_it_returns(sign):
    class Both(nn.Module):
        def forward(self, x):
            self.logdet = sign * x.sum(-1)
            return x.exp(), x.sum(-1)

    report = inspect_jacobian(Both(), X)
    errors = [finding.message for finding in report.findings if finding.severity == "error"]
    assert len(errors) == (sign < 0)
    assert all(message.startswith("the attribute .logdet, as the call left it: ") for message in errors)


def test_both_of_two_claims_are_kept():
    class Two(Exp):
        def forward(self, x):
            return x.exp(), x.sum(-1)

        def log_abs_det_jacobian(self, x, y):
            return -self.claim(x)

    f = adapt(Two(), X)
    y, log_det = f(X.double())
    torch.testing.assert_close(log_det, X.double().sum(1))
    assert f.log_det_by == "the second output"
    ((words, claim),) = f.other_claims(X.double(), y).items()
    assert words == "log_abs_det_jacobian(x, y)"
    torch.testing.assert_close(claim, -X.double().sum(1))


class Inverted(nn.Module):
    """y = exp(x), whose inverse misses by ``miss``."""

    def __init__(self, miss=0.0):
        super().__init__()
        self.miss = miss

    def there(self, x):
        return x.exp(), x.sum(-1)

    def back(self, y):
        return y.log() + self.miss, -y.log().sum(-1)


class Inv(Inverted):
    def forward(self, x):
        return self.there(x)

    def inv(self, y):
        return self.back(y)


class InverseAndLogDet(Inverted):
    def forward(self, x):
        return self.there(x)

    def inverse_and_log_det(self, y):
        return self.back(y)


class Private(Inverted):
    def forward(self, x):
        return self.there(x)

    def _inverse(self, y):
        return self.back(y)


class InverseClaim(Inverted):
    def forward(self, x):
        return self.there(x)

    def inverse(self, y):
        return self.back(y)[0]

    def inverse_log_det_jacobian(self, y):
        return self.back(y)[1]


class Reverse(Inverted):
    def forward(self, x, reverse=False):
        return self.back(x) if reverse else self.there(x)


class Rev(Inverted):
    def forward(self, x, rev):
        return self.back(x) if rev else self.there(x)


class Glow(Inverted):
    def forward(self, x, logdet=None, reverse=False):
        y, log_det = self.back(x) if reverse else self.there(x)
        return y, None if logdet is None else logdet + log_det


class InPlace(Inverted):
    def forward(self, z, ldj, inverse=False):
        y, log_det = self.back(z) if inverse else self.there(z)
        ldj += log_det
        return y, ldj


class Mode(Inverted):
    def forward(self, inputs, mode="direct", logdets=None):
        y, log_det = self.there(inputs) if mode == "direct" else self.back(inputs)
        return y, logdets + log_det


class Lists(Inverted):
    """Tuples in and tuples out, as FrEIA's blocks have them."""

    dims_in = ((1,), (2,))

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        parts = [self.back(part) if rev else self.there(part) for part in x_or_z]
        ys, log_dets = zip(*parts, strict=True)
        return ys, sum(log_dets) if jac else None


INVERSES = [Inv, InverseAndLogDet, Private, InverseClaim, Reverse, Rev, Glow, InPlace, Mode, Lists]


@pytest.mark.parametrize("kind", INVERSES)
def test_inverse_is_found_under_any_of_its_names(kind):
    sound = inspect_jacobian(kind(), X).check()
    assert sound.inverse_error.max() < EXACT
    torch.testing.assert_close(sound.log_det, X.double().sum(1), rtol=0, atol=EXACT)
    torch.testing.assert_close(sound.inverse.log_det, -X.double().sum(1), rtol=0, atol=EXACT)
    assert "inverse-wrong" in codes(inspect_jacobian(kind(miss=0.1), X))


def test_a_backward_pass_is_not_an_inverse():
    class Backward(Inverted):
        def forward(self, x):
            return self.there(x)

        def backward(self, y):
            raise AssertionError("called")

    assert "inverse-missing" in codes(inspect_jacobian(Backward(), X))


def test_a_flag_that_is_an_attribute_is_not_an_inverse():
    class Flag(Inverted):
        inverse = False

        def forward(self, x):
            return self.there(x)

    assert "inverse-missing" in codes(inspect_jacobian(Flag(), X))


@pytest.mark.parametrize("scale", [1.0, 1.1])
def test_an_inverse_by_numpy_is_tried(scale):
    report = inspect_jacobian(torch.sinh, X, inverse=lambda y: scale * torch.as_tensor(np.arcsinh(y.numpy())))
    assert report.inverse_error is not None
    assert any(finding.code == "inverse-wrong" for finding in report.findings) == (scale > 1)


def test_an_inverse_that_raises_on_access_is_missing():
    class Raising(Inverted):
        @property
        def inverse(self):
            raise RuntimeError("one way only")

        def forward(self, x):
            return self.there(x)

    report = inspect_jacobian(Raising(), X)
    assert codes(report) == {"inverse-missing"}
    assert "one way only" in report.findings[0].message


CONTEXT = points(6, 2, seed=1)
Y = points(6, 4, seed=2)


def closure(x, context=CONTEXT):
    """A layer with a row of context for each point, which it does not take as an argument."""
    s = (x[:, :2] + context.to(x)).tanh()
    return torch.cat([x[:, :2], x[:, 2:] * s.exp()], 1), s.sum(-1)


def test_a_map_that_takes_one_number_of_points_is_given_as_many():
    f = adapt(lambda x: closure(x), Y)
    y, log_det = f(Y.double())
    assert f.rows == 6
    rows = torch.tensor([3, 0, 3, 5, 5, 3, 1])
    some, their_log_det = f.at(rows)(Y.double()[rows])
    torch.testing.assert_close(some, y[rows])
    torch.testing.assert_close(their_log_det, log_det[rows])
    shuffled = torch.tensor([5, 4, 3, 2, 1, 0])
    torch.testing.assert_close(f.at(shuffled)(Y.double()[shuffled])[0], y[shuffled])
    twice = f(Y.double().repeat(2, 1))[0]
    torch.testing.assert_close(twice, y.repeat(2, 1))


def test_a_map_that_fails_for_a_single_point_is_not_given_others():
    def never_alone(x):
        if len(x) == 1:
            raise RuntimeError("one point only")
        return x.exp(), x.sum(-1)

    f = adapt(never_alone, Y)
    assert f.rows == "any"
    with pytest.raises(RuntimeError, match="one point only"):
        f(Y.double()[:1])


def test_a_row_of_context_in_a_closure_does_not_stop_the_inspection():
    sound = inspect_jacobian(lambda x: closure(x), Y).check()
    assert sound.structure.name == "coupling"

    def cut(x):
        s = (x[:, :2].detach() + CONTEXT.to(x)).tanh()
        return torch.cat([x[:, :2], x[:, 2:] * s.exp()], 1), s.sum(-1)

    assert "gradient-cut" in codes(inspect_jacobian(cut, Y))


class Conditional(nn.Module):
    """An affine coupling given a context, which ``wrong`` leaves out on the way back."""

    def __init__(self, wrong=False):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        self.wrong = wrong

    def scale_and_shift(self, x, context):
        s, t = self.net(torch.cat([x[:, :2], context], 1)).chunk(2, 1)
        return s.tanh(), t

    def forward(self, x, context):
        s, t = self.scale_and_shift(x, context)
        return torch.cat([x[:, :2], x[:, 2:] * s.exp() + t], 1), s.sum(1)

    def inverse(self, y, context):
        s, t = self.scale_and_shift(y, 0 * context if self.wrong else context)
        return torch.cat([y[:, :2], (y[:, 2:] - t) * (-s).exp()], 1), -s.sum(1)


@pytest.mark.parametrize("context", [CONTEXT, CONTEXT[:1], CONTEXT[0]], ids=["a row each", "one row", "one vector"])
def test_context_is_passed_on(context):
    report = inspect_jacobian(Conditional(), Y, context=context).check()
    assert report.structure.name == "coupling"
    assert report.inverse_error.max() < EXACT
    assert "inverse-wrong" in codes(inspect_jacobian(Conditional(wrong=True), Y, context=context))


def test_context_follows_its_points():
    layer = Conditional()
    f = adapt(layer, Y, context=CONTEXT)
    rows = torch.tensor([2, 2, 5, 0])
    expected, log_det = layer.double()(Y.double()[rows], CONTEXT.double()[rows])
    there = f.at(rows)
    y, claimed = there(Y.double()[rows])
    torch.testing.assert_close(y, expected.detach())
    torch.testing.assert_close(claimed, log_det.detach())
    torch.testing.assert_close(there.invert(y)[0], Y.double()[rows])


def test_a_gradient_that_is_cut_is_found_beside_a_context():
    class Cut(Conditional):
        def scale_and_shift(self, x, context):
            return super().scale_and_shift(x.detach(), context)

    report = inspect_jacobian(Cut(), Y, context=CONTEXT)
    assert "gradient-cut" in codes(report)
    sound = inspect_jacobian(sound_twin := Conditional(), Y, context=CONTEXT)
    cut = Cut()
    cut.load_state_dict(sound_twin.state_dict())
    torch.testing.assert_close(inspect_jacobian(cut, Y, context=CONTEXT).jacobian, sound.jacobian, rtol=0, atol=1e-6)


def test_layers_get_the_context_that_they_take():
    plain = Third()
    report = inspect_layers([Conditional(), plain, Conditional()], Y, context=CONTEXT).check()
    assert [check.name for check in report.checks] == ["image", "log-det", "Jacobian"]
    broken = inspect_layers([Conditional(), plain, Conditional(wrong=True)], Y, context=CONTEXT)
    assert [layer.ok for layer in broken] == [True, True, False]


def test_context_of_one_point_given_as_such():
    inspect_jacobian(Conditional(), Y[:1], context=CONTEXT[:1]).check()
    inspect_jacobian(lambda x, context: x * context.exp().sum(), Y[0], context=CONTEXT[0]).check()


@pytest.mark.parametrize("name", ["c", "cond", "condition", "y", "labels", "anything"])
def test_context_is_an_argument_of_any_name(name):
    scope = {"torch": torch}
    exec(f"def layer(x, log_det=None, {name}=None):\n    return x * {name}.exp(), {name}.sum(1)", scope)
    report = inspect_jacobian(scope["layer"], X, context=points(5, 3, seed=3))
    assert report.log_det is not None
    assert {code for code in codes(report) if code.startswith("log-det")} == set()


def test_context_with_another_number_of_rows_is_refused():
    with pytest.raises(ValueError, match=r"context must have one row for each of the 6 points, or one for all"):
        inspect_jacobian(Conditional(), Y, context=points(4, 2))


def test_context_of_a_map_that_takes_none_is_refused():
    with pytest.raises(ValueError, match="context must be left out, since Exp takes x alone"):
        inspect_jacobian(Exp(), X, context=CONTEXT[:5])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (None, "x must be a tensor .* but is a NoneType"),
        (torch.sinh, "try the transform first and x second"),
        ("x", "x must be a tensor"),
        (torch.eye(3).to_sparse(), "x must be a dense tensor with values, but is torch.sparse_coo; try x.to_dense"),
        (torch.ones(2, 2, dtype=torch.complex64), "torch.view_as_real"),
        (torch.ones(2, 2, dtype=torch.bool), "x must be real floating point, but is torch.bool"),
        ([[1, 2], [3, 4]], "x must be real floating point, but is torch.int64"),
        ([[1.0], [2.0, 3.0]], "x must be a tensor"),
        (torch.ones(2, 2, device="meta"), "meta device"),
        (torch.ones(()), r"shape \(D,\) or \(B, D\)"),
        (object(), "x must be a tensor"),
        (
            torch.nested.nested_tensor([torch.ones(2), torch.ones(2)], layout=torch.jagged),
            "x must be a dense tensor with values, but is nested",
        ),
        (torch.ones(2, 2).to(torch.float8_e4m3fn), "x must have a dtype of 16 bits or more"),
    ],
)
def test_what_is_not_points_is_refused(x, words):
    with pytest.raises(ValueError, match=words):
        inspect_jacobian(torch.sinh, x)


def test_points_may_be_lists_arrays_and_inference_tensors():
    with torch.inference_mode():
        inferred = X.clone()
    for x in (X.tolist(), X.numpy(), inferred):
        assert inspect_jacobian(Third(), x).check().log_det is not None
    assert not as_points(inferred).is_inference()


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (X, "transform must be .* but is a Tensor; try the transform first and x second"),
        (nn.Linear, "is the class Linear; try an instance of it"),
        (3, "transform must be .* but is 3"),
        ([nn.Linear(3, 3)], "but is a list; try inspect_layers"),
        (nn.ModuleList([nn.Linear(3, 3)]), "but is a ModuleList; try inspect_layers"),
        (
            lambda x: x.to("meta"),
            "must return a dense tensor y .* but returned one that is on the meta device",
        ),
        (torch.distributions.Normal(0.0, 1.0), "a distribution made of a base and transforms, but is a Normal"),
        (lambda x: (256 * x).floor().long(), "must return floating-point numbers, but returned torch.int64"),
        (lambda x: x > 0, "must return floating-point numbers, but returned torch.bool"),
        (lambda x: torch.complex(x, x), "must return real numbers, but returned torch.complex128; try .*view_as_real"),
        (lambda x: x.sum(), r"one y for each of 5 points, but returned the shape \(\)"),
        (
            lambda x: x.double().to_sparse(),
            "must return a dense tensor y .* but returned one that is torch.sparse_coo",
        ),
        (lambda x: list(x), "must return one y for each of 5 points"),
        (lambda x: x.tolist(), "must return a tensor"),
        (lambda x: None, "must return a tensor y, but returned a NoneType"),
        (lambda x: {"words": "none"}, "returned a dict without a tensor"),
        (lambda x: x @ torch.ones(3, 5).to(x), 'try inspect_jacobian with coordinates="volume"'),
    ],
)
def test_what_is_not_a_map_is_refused(transform, words):
    with pytest.raises(ValueError, match=words):
        inspect_jacobian(transform, X)


def test_what_is_not_a_function_is_refused():
    with pytest.raises(ValueError, match="log_det must be a function, but is 'abc'"):
        inspect_jacobian(torch.sinh, X, log_det="abc")
    with pytest.raises(ValueError, match="inverse must be a function, but is 3"):
        inspect_jacobian(torch.sinh, X, inverse=3)
    with pytest.raises(ValueError, match=r"perturb must be a positive number, .* but is 'much'"):
        inspect_jacobian(nn.Linear(3, 3), X, perturb="much")
    with pytest.raises(ValueError, match="context must be a tensor, but is a str"):
        inspect_jacobian(Conditional(), Y, context="abc")
    with pytest.raises(ValueError, match="context must be left out, since no layer of this list takes one"):
        inspect_layers([Exp(), Exp()], X, context=X)


class RaisingAttributes(nn.Module):
    """A layer whose attributes raise errors, those that hold nothing among them."""

    def __getattr__(self, name):
        if name in ("inv", "condition", "call_and_ladj", "event_shape", "terms", "dims_in", "formula"):
            raise RuntimeError(f"no {name}")
        return super().__getattr__(name)

    @property
    def log_abs_det_jacobian(self):
        raise KeyError("no log-det")

    def forward(self, x):
        return x.exp(), x.sum(-1)


class StrangeAttributes(RaisingAttributes):
    """A layer that uses the names of libraries for other things."""

    def __getattribute__(self, name):
        strange = {"dims_in": 3, "event_shape": "(3,)", "terms": 3, "formula": None, "transform": 3, "condition": True}
        return strange[name] if name in strange else super().__getattribute__(name)


class SparseLogDet(RaisingAttributes):
    def forward(self, x):
        return x.exp(), x.sum(-1).to_sparse()


class OnlyCallAndLadj:
    def call_and_ladj(self, x):
        return x.exp(), x.sum(-1)


@pytest.mark.parametrize("kind", [RaisingAttributes, StrangeAttributes, SparseLogDet, OnlyCallAndLadj])
def test_a_layer_with_strange_attributes_is_inspected(kind):
    report = inspect_jacobian(kind(), X).check()
    torch.testing.assert_close(report.log_det, X.double().sum(1), rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (lambda y: y.long(), "must return floating-point numbers, but returned torch.int64"),
        (lambda y: torch.complex(y, y), "but returned torch.complex128"),
        (lambda y: None, "but returned a NoneType"),
        (lambda y: y[:, :1], "shape"),
    ],
)
def test_an_inverse_that_returns_something_else_is_wrong(back, words):
    report = inspect_jacobian(lambda x: (x.exp(), x.sum(-1)), X, inverse=back)
    assert codes(report) == {"inverse-wrong"}
    assert words in report.findings[0].message


@pytest.mark.parametrize(
    ("log_det", "words"),
    [
        ("0", "is a Python str"),
        ({"log_det": 0.0}, "is a Python dict"),
        (torch.zeros(5, dtype=torch.complex64), "is complex"),
        (torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)]), "is a tensor"),
        (torch.zeros(5, 5), "has the shape (5, 5)"),
    ],
)
def test_a_log_det_that_is_not_one_real_number_a_sample_is_wrong(log_det, words):
    report = inspect_jacobian(lambda x: x.exp(), X, log_det=lambda x: log_det)
    assert codes(report) == {"log-det-wrong"}
    assert words in report.findings[0].message


def test_a_sparse_log_det_is_read():
    assert inspect_jacobian(lambda x: (x.exp(), x.sum(-1).to_sparse()), X).claim.layout == "per sample"


class LooksForever:
    """An object whose attributes cannot be looked up."""

    def __getattr__(self, name):
        return getattr(self, name + "_")

    def __call__(self, x):
        return x


class WithoutParts(nn.Module):
    """A module that did not call ``super().__init__()``."""

    def __init__(self):
        pass

    def forward(self, x):
        return x


def meta(x):
    return x.to("meta")


def nested(x):
    return torch.nested.nested_tensor(list(x))


@pytest.mark.parametrize("perturb", [None, 0.5])
@pytest.mark.parametrize("make", [LooksForever, WithoutParts, lambda: meta, lambda: nested])
@pytest.mark.parametrize(
    "ask",
    [
        lambda odd, perturb: inspect_jacobian(odd, X, perturb=perturb),
        lambda odd, perturb: inspect_jacobian(torch.exp, X, log_det=odd, perturb=perturb),
        lambda odd, perturb: inspect_jacobian(torch.exp, X, inverse=odd, perturb=perturb),
        lambda odd, perturb: inspect_layers([torch.exp, odd], X, perturb=perturb),
    ],
)
def test_nothing_is_raised_but_a_value_error(ask, make, perturb):
    with contextlib.suppress(ValueError):
        assert str(ask(make(), perturb))


@pytest.mark.parametrize("perturb", [True, 0, -1.0, math.inf, math.nan, "a"])
def test_perturb_is_a_positive_number(perturb):
    with pytest.raises(ValueError, match="perturb must be a positive number"):
        inspect_jacobian(torch.sinh, torch.ones(3), perturb=perturb)
    inspect_jacobian(torch.sinh, torch.ones(3), perturb=np.float32(0.5))


def test_points_stay_where_they_are_on_another_default_device():
    with torch.device("meta"):
        inspect_jacobian(torch.sinh, torch.ones(3, device="cpu"))


def test_a_layer_may_hold_a_sparse_buffer():
    class Sparse(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("W", torch.diag(torch.tensor([1.0, 2.0, 3.0])).to_sparse())

        def forward(self, x):
            return (self.W.to(x.dtype) @ x.T).T, torch.full((len(x),), math.log(6)).to(x)

    inspect_jacobian(Sparse(), torch.randn(5, 3)).check(require=["log-det"])


@pytest.mark.parametrize("context", [X.to("meta"), nested(X)])
def test_a_context_has_values(context):
    with pytest.raises(ValueError, match="context must be a dense tensor with values"):
        inspect_jacobian(lambda x, c: x, X, context=context)


def test_rectangular_maps_are_taken_when_asked_for():
    f = adapt(lambda x: (x @ torch.ones(3, 5).to(x), 0.0), X, rectangular=True)
    y, log_det = f(X.double())
    assert y.shape == (5, 5)
    assert log_det == 0.0
