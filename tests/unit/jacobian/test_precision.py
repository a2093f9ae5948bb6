"""Rounding is no mistake, and no mistake hides behind it: half precision inside, stored numbers, saturated outputs."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import transforms as T

from nfteach import inspect_jacobian
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.calls import half_precision
from nfteach.jacobian.compared import AGREES, DIFFERS, UNCHECKED

HALVES = [torch.bfloat16, torch.float16]


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def codes(report):
    return {finding.code for finding in report.findings} - {"inverse-missing", "not-onto"}


def errors(report):
    return {finding.code for finding in report.findings if finding.severity == "error"}


def result(report, name):
    return next(each for each in report.compared if each.name == name).result


# Half precision inside.


class Coupling(nn.Module):
    """A coupling layer whose net computes in half precision, whatever the dtype of x."""

    def __init__(self, half, *, sign=1.0, off=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.half_dtype, self.sign, self.off = nn.Linear(2, 4), half, sign, off

    def scale_and_shift(self, x):
        weight, bias = (parameter.to(self.half_dtype) for parameter in self.net.parameters())
        return nn.functional.linear(x[:, :2].to(self.half_dtype), weight, bias).tanh().to(x).chunk(2, -1)

    def forward(self, x):
        s, t = self.scale_and_shift(x)
        return torch.cat([x[:, :2], x[:, 2:] * s.exp() + t], 1), self.sign * s.sum(-1)

    def inverse(self, y):
        s, t = self.scale_and_shift(y)
        return torch.cat([y[:, :2], self.off * (y[:, 2:] - t) * (-s).exp()], 1)


class Sinh(nn.Module):
    """A map that returns half precision."""

    def __init__(self, half, *, sign=1.0, off=1.0):
        super().__init__()
        self.half_dtype, self.sign, self.off = half, sign, off

    def forward(self, x):
        x = x.to(self.half_dtype)
        return x.sinh(), self.sign * x.cosh().log().sum(-1)

    def inverse(self, y):
        return self.off * y.asinh()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("layer", [Coupling, Sinh])
def test_half_precision_inside_is_no_mistake(layer, half, seed):
    report = inspect_jacobian(layer(half), points(5, 4, seed=seed), perturb=0.5)
    assert codes(report) == {"low-precision"}
    assert result(report, "derivative") == UNCHECKED
    assert {result(report, name) for name in ("log-det", "inverse")} == {AGREES}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("layer", [Coupling, Sinh])
@pytest.mark.parametrize(("spoilt", "code"), [({"sign": -1.0}, "log-det-sign"), ({"off": 1.5}, "inverse-wrong")])
def test_mistakes_that_stand_out_of_half_precision_are_found(layer, half, spoilt, code):
    assert errors(inspect_jacobian(layer(half, **spoilt), points(5, 4))) == {code}


@pytest.mark.parametrize(("layer", "off"), [(Coupling, 1.03), (Sinh, 1.06)])
def test_what_half_precision_may_explain_is_not_said_to_agree(layer, off):
    report = inspect_jacobian(layer(torch.bfloat16, off=off), points(5, 4))
    assert result(report, "inverse") == UNCHECKED
    with pytest.raises(AssertionError, match="inverse was not compared"):
        report.check(require=["inverse"])


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("seed", range(3))
def test_an_inverse_in_half_precision_that_is_far_off_does_not_agree(half, seed):
    report = inspect_jacobian(Sinh(half, off=1.3), points(5, 3, seed=seed).to(half))
    assert errors(report) == {"inverse-wrong"}
    assert result(report, "both directions") == UNCHECKED


@pytest.mark.parametrize(
    ("f", "unit"),
    [
        (lambda x: x.bfloat16().to(x), 2.0**-7),
        (lambda x: x + x.detach().half().to(x), 2.0**-10),
        (lambda x: x.float().to(x), 0.0),
        (torch.sinh, 0.0),
    ],
)
def test_half_precision_is_seen_wherever_it_is(f, unit):
    x = points(5, 3).double()
    assert half_precision(adapt(f, x), x) == unit


# Numbers that are stored in less than float64.


def rotation(D):
    A = points(D, D)
    return torch.matrix_exp(A - A.T)


def cosine_transform(D):
    k = torch.arange(D)
    matrix = torch.cos(math.pi / D * (k[:, None] + 0.5) * k) * math.sqrt(2 / D)
    matrix[:, 0] /= math.sqrt(2)
    return matrix


class Rotation(nn.Module):
    def __init__(self, q, *, more=0.0, off=1.0):
        super().__init__()
        self.register_buffer("q", q)
        self.more, self.off = more, off

    def forward(self, x):
        return x @ self.q.T, x.new_full((len(x),), self.more)

    def inverse(self, y):
        return self.off * y @ self.q


STORED = [
    rotation(4),
    rotation(16),
    torch.linalg.qr(points(128, 128))[0],
    cosine_transform(32),
    torch.linalg.qr(points(8, 8))[0].bfloat16(),
    torch.linalg.qr(points(8, 8))[0].half(),
]


@pytest.mark.parametrize("q", STORED, ids=lambda q: f"{len(q)}-{q.dtype}")
def test_numbers_that_are_rounded_when_they_are_stored_are_no_mistake(q):
    report = inspect_jacobian(Rotation(q), points(5, len(q)).to(q.dtype))
    assert codes(report) <= {"low-precision"}
    assert {result(report, name) for name in ("log-det", "inverse")} == {AGREES}


@pytest.mark.parametrize("q", STORED[:4], ids=lambda q: f"{len(q)}-{q.dtype}")
@pytest.mark.parametrize(("spoilt", "code"), [({"more": 1e-3}, "log-det-wrong"), ({"off": 1.001}, "inverse-wrong")])
def test_small_mistakes_beside_stored_numbers_are_found(q, spoilt, code):
    assert code in errors(inspect_jacobian(Rotation(q, **spoilt), points(5, len(q))))


@pytest.mark.parametrize("more", [3e-7, 1e-6, 1e-5])
def test_a_small_mistake_in_a_formula_is_not_put_down_to_stored_numbers(more):
    class Scale(nn.Module):
        def __init__(self, more):
            super().__init__()
            self.register_buffer("scale", points(64).exp())
            self.more = more

        def forward(self, x):
            return x * self.scale, (self.scale + self.more).log().sum().expand(len(x))

    # The gap is within what rounding could do to 64 numbers, but does not move with them.
    assert errors(inspect_jacobian(Scale(more), points(5, 64))) == {"log-det-wrong"}
    assert inspect_jacobian(Scale(0.0), points(5, 64)).ok


def test_no_share_is_guessed_of_a_claim_of_zero():
    report = inspect_jacobian(lambda x: (x * 1.0001, x.new_zeros(len(x))), points(5, 128).double())
    assert errors(report) == {"log-det-wrong"}
    assert "mean over the dimensions" not in report.findings[0].message


# What is lost in the own dtype.


class Sigmoid(nn.Module):
    def forward(self, x):
        y = x.sigmoid()
        return y, (y * (1 - y)).log().sum(-1)

    def inverse(self, y):
        return y.log() - (1 - y).log()


def test_digits_that_are_lost_in_the_own_dtype_do_not_agree():
    lost = inspect_jacobian(Sigmoid(), torch.tensor([[17.0, 0.5], [0.1, -0.3]]))
    assert lost.ok
    assert result(lost, "own dtype") == DIFFERS
    assert lost.check() is lost
    with pytest.raises(AssertionError, match=r"\[required\] own dtype differs: low-precision"):
        lost.check(require=["own dtype"])
    kept = inspect_jacobian(Sigmoid(), torch.tensor([[1.7, 0.5], [0.1, -0.3]]))
    assert result(kept.check(require=["own dtype"]), "own dtype") == AGREES


# Saturated outputs, of whose slope no digit is left.


def off_by(transform, nats):
    class Off(transform):
        def log_abs_det_jacobian(self, x, y):
            return super().log_abs_det_jacobian(x, y) + nats

    return Off()


@pytest.mark.parametrize(
    ("transform", "far"),
    [(T.TanhTransform, 15.0), (T.TanhTransform, 17.0), (T.TanhTransform, 19.0), (T.SigmoidTransform, 36.0)],
)
def test_the_log_det_of_a_saturated_output_is_not_held_against_noise(transform, far):
    saturated, all_saturated = torch.tensor([[far, 0.1], [0.3, -0.2]]), torch.full((2, 3), far)
    assert inspect_jacobian(transform(), saturated).ok
    assert inspect_jacobian(transform(), all_saturated).ok
    # The other points are judged.
    report = inspect_jacobian(off_by(transform, 0.01), saturated)
    assert errors(report) == {"log-det-wrong"}
    assert next(finding for finding in report.findings if finding.severity == "error").evidence["point"] in (1, 2)


def test_where_all_outputs_are_saturated_the_log_det_is_not_compared():
    report = inspect_jacobian(T.TanhTransform(), torch.full((2, 3), 19.0))
    assert result(report, "log-det") == UNCHECKED
    assert any("rounding noise at both points" in finding.message for finding in report.findings)


@pytest.mark.parametrize("transform", [T.TanhTransform, T.SigmoidTransform])
@pytest.mark.parametrize("size", [0.1, 3.0])
def test_classic_wrong_log_dets_of_bounded_maps_are_errors(transform, size):
    class Minus(transform):
        def log_abs_det_jacobian(self, x, y):
            return -super().log_abs_det_jacobian(x, y)

    x = size * points(5, 3)
    assert errors(inspect_jacobian(Minus(), x)) == {"log-det-sign"}
    assert errors(inspect_jacobian(off_by(transform, 1e-3), x)) == {"log-det-wrong"}
