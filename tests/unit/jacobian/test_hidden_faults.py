"""Faults that a call at given parameters does not show: values that are kept, modes of autograd, coarse arithmetic."""

import pytest
import torch
from torch import nn

from nfteach import inspect_jacobian
from nfteach.jacobian import inspect_layers
from nfteach.jacobian.compared import AGREES, UNCHECKED

pytestmark = pytest.mark.usefixtures("two_copies")


def points(B=6, D=4, seed=0):
    return torch.randn(B, D, generator=torch.Generator().manual_seed(seed))


def codes(report):
    return {finding.code for finding in report.findings}


def compared(report, name):
    return next(each for each in report.compared if each.name == name)


class Scale(nn.Module):
    """y = x exp(a) + b; the subclasses spoil it."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.a = nn.Parameter(0.3 * torch.randn(4, generator=generator))
        self.b = nn.Parameter(torch.randn(4, generator=generator))

    def forward(self, x):
        return x * self.a.exp() + self.b, self.a.sum().expand(len(x))

    def inverse(self, y):
        return (y - self.b) * (-self.a).exp()


# Values that are computed once.


class LogDetAtConstruction(Scale):
    def __init__(self):
        super().__init__()
        self.kept = self.a.sum().detach()

    def forward(self, x):
        return super().forward(x)[0], self.kept.expand(len(x))


class LogDetAtFirstCall(Scale):
    kept = None

    def forward(self, x):
        if self.kept is None:
            self.kept = self.a.sum().item()
        return super().forward(x)[0], torch.full_like(x[:, 0], self.kept)


class LogDetInDict(Scale):
    def __init__(self):
        super().__init__()
        self.cache = {}

    def forward(self, x):
        if "log-det" not in self.cache:
            self.cache["log-det"] = self.a.sum().detach()
        return super().forward(x)[0], self.cache["log-det"].expand(len(x))


class ScaleInBuffer(Scale):
    def __init__(self):
        super().__init__()
        self.register_buffer("kept", self.a.detach().exp())

    def forward(self, x):
        return x * self.kept + self.b, self.a.sum().expand(len(x))

    def inverse(self, y):
        return (y - self.b) / self.kept


class ScaleWithHistory(Scale):
    """Consistent in itself, and not trained."""

    def __init__(self):
        super().__init__()
        self.kept = self.a.exp()

    def forward(self, x):
        return x * self.kept + self.b, self.kept.log().sum().expand(len(x))

    def inverse(self, y):
        return (y - self.b) / self.kept


class Matrix(nn.Module):
    """y = W x."""

    def __init__(self):
        super().__init__()
        noise = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
        self.W = nn.Parameter(torch.eye(4) + 0.2 * noise)

    def forward(self, x):
        return x @ self.W.T, torch.linalg.slogdet(self.W).logabsdet.expand(len(x))

    def inverse(self, y):
        return y @ torch.linalg.inv(self.W).T


class InverseAtFirstCall(Matrix):
    kept = None

    def inverse(self, y):
        if self.kept is None:
            self.kept = torch.linalg.inv(self.W)
        return y @ self.kept.T


class InverseAtConstruction(Matrix):
    def __init__(self):
        super().__init__()
        self.kept = torch.linalg.inv(self.W.detach())

    def inverse(self, y):
        return y @ self.kept.T


class InverseUntilTraining(Matrix):
    """The cache of nflows: used in evaluation mode, dropped by ``train``."""

    kept = None

    def train(self, mode=True):
        if mode:
            self.kept = None
        return super().train(mode)

    def inverse(self, y):
        if self.training:
            return super().inverse(y)
        if self.kept is None:
            self.kept = torch.linalg.inv(self.W)
        return y @ self.kept.T


class InverseByVersion(Matrix):
    kept, version = None, None

    def inverse(self, y):
        if self.version != self.W._version:
            self.kept, self.version = torch.linalg.inv(self.W), self.W._version
        return y @ self.kept.T


class LogDetByValue(Scale):
    kept, of = None, None

    def forward(self, x):
        if self.of is None or not self.of.equal(self.a):
            self.kept, self.of = self.a.sum(), self.a.detach().clone()
        return super().forward(x)[0], self.kept.expand(len(x))


class LogDetOfLastCall(Scale):
    """Keeps what it returns, to be logged."""

    def forward(self, x):
        y, self.kept = super().forward(x)
        return y, self.kept


@pytest.mark.parametrize("perturb", [None, 0.5])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (LogDetAtConstruction, "log-det-wrong"),
        (LogDetAtFirstCall, "log-det-wrong"),
        (LogDetInDict, "log-det-wrong"),
        (ScaleInBuffer, "log-det-wrong"),
        (ScaleWithHistory, "gradient-cut"),
        (InverseAtConstruction, "inverse-wrong"),
        (InverseAtFirstCall, "inverse-wrong"),
    ],
)
def test_a_value_that_is_kept_when_the_parameters_move_is_an_error(layer, code, training, perturb):
    report = inspect_jacobian(layer().train(training), points(), perturb=perturb)
    assert code in codes(report)
    message = next(finding.message for finding in report.findings if finding.code == code)
    assert "kept" in message or "cache" in message
    assert not report.ok


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "layer", [Scale, Matrix, InverseUntilTraining, InverseByVersion, LogDetByValue, LogDetOfLastCall]
)
def test_values_that_follow_the_parameters_are_sound(layer, training):
    layer = layer().train(training)
    layer.inverse(points())
    assert inspect_jacobian(layer, points(), perturb=0.5).findings == ()


def test_weight_norm_is_sound():
    torch.manual_seed(0)
    report = inspect_jacobian(Weighted(), points(), perturb=0.5)
    assert report.findings == ()


class Weighted(nn.Module):
    """A coupling layer whose weight is computed by a hook, from a value that the module holds with its history."""

    def __init__(self):
        super().__init__()
        self.net = nn.utils.weight_norm(nn.Linear(2, 2))

    def forward(self, x):
        return torch.cat([x[:, :2], x[:, 2:] + self.net(x[:, :2]).tanh()], 1), torch.zeros(len(x))

    def inverse(self, y):
        return torch.cat([y[:, :2], y[:, 2:] - self.net(y[:, :2]).tanh()], 1)


def test_parameters_that_move_nothing_are_not_compared():
    class Unused(Scale):
        def forward(self, x):
            return 2 * x, torch.full_like(x[:, 0], 4 * torch.tensor(2.0).log().item())

        def inverse(self, y):
            return y / 2

    report = inspect_jacobian(Unused(), points(), perturb=0.5)
    assert compared(report, "moved parameters").result == UNCHECKED
    assert "change neither" in compared(report, "moved parameters").words


# In float32.


class Coupling(nn.Module):
    """A coupling layer; ``cast`` makes its outputs float32, ``only`` refuses other points."""

    def __init__(self, *, off=1.0, sign=1.0, cast=False, only=False):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 4))
        self.off, self.sign, self.cast, self.only = off, sign, cast, only

    def forward(self, x):
        if self.only and x.dtype != torch.float32:
            raise TypeError("float32 only")
        s, t = self.net(x[:, :2]).chunk(2, -1)
        y = torch.cat([x[:, :2], x[:, 2:] * s.exp() + t], 1)
        # The same value, and its gradient times ``sign``.
        log_det = self.sign * s.sum(-1) + (1 - self.sign) * s.sum(-1).detach()
        return (y.float(), log_det.float()) if self.cast else (y, log_det)

    def inverse(self, y):
        s, t = self.net(y[:, :2]).chunk(2, -1)
        return torch.cat([y[:, :2], self.off * (y[:, 2:] - t) * (-s).exp()], 1)


@pytest.mark.parametrize("how", [{"only": True}, {"cast": True}])
def test_float32_is_held_to_its_own_tolerances(how):
    sound = inspect_jacobian(Coupling(**how), points())
    assert codes(sound) == {"low-precision"}
    assert compared(sound, "inverse").result == AGREES
    assert "inverse-wrong" in codes(inspect_jacobian(Coupling(off=1.01, **how), points()))
    assert "gradient-wrong" in codes(inspect_jacobian(Coupling(sign=-1.0, **how), points()))
    assert "gradient-wrong" in codes(inspect_jacobian(Coupling(sign=0.5, **how), points()))


def test_relu_in_float32_alone_is_sound():
    for seed in range(10):
        layer = Coupling(only=True)
        torch.manual_seed(seed)
        layer.net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 4))
        assert inspect_jacobian(layer, points(seed=seed)).ok


# Calls that harm, and calls in another mode.


class InPlace(Scale):
    def __init__(self, *, clone=False, backwards=False):
        super().__init__()
        self.clone, self.backwards = clone, backwards

    def forward(self, x):
        if self.backwards:
            return super().forward(x)
        x = x.clone() if self.clone else x
        x *= self.a.exp()
        x += self.b
        return x, self.a.sum().expand(len(x))

    def inverse(self, y):
        y = y if self.backwards else y.clone()
        y -= self.b
        return y * (-self.a).exp()


@pytest.mark.parametrize("backwards", [True, False])
def test_a_layer_that_overwrites_what_it_is_given_is_noted(backwards):
    report = inspect_jacobian(InPlace(backwards=backwards), points())
    assert codes(report) == {"changes-state"}
    assert ("The inverse" if backwards else "A call") + " overwrites" in report.findings[0].message
    assert inspect_jacobian(InPlace(clone=True), points()).findings == ()


class WithoutGrad(Scale):
    def __init__(self, *, y=1.0, log_det=0.0, x=1.0):
        super().__init__()
        self.factors = (y, log_det, x)

    def forward(self, x):
        y, log_det, _ = (1.0, 0.0, 1.0) if torch.is_grad_enabled() else self.factors
        image, true = super().forward(x)
        return image * y, true + log_det

    def inverse(self, y):
        return super().inverse(y) * (1.0 if torch.is_grad_enabled() else self.factors[2])


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [({"y": 1.1}, "non-deterministic"), ({"log_det": 0.1}, "non-deterministic"), ({"x": 1.1}, "inverse-wrong")],
)
def test_other_values_under_no_grad_are_an_error(spoilt, code):
    report = inspect_jacobian(WithoutGrad(**spoilt), points())
    assert codes(report) == {code}
    assert "torch.no_grad()" in report.findings[0].message
    assert inspect_jacobian(WithoutGrad(), points()).findings == ()


# Inverses.


@pytest.mark.parametrize(
    "inverse", [lambda y: y[:, :3], lambda y: y.sum(1), lambda y: y[:3], lambda y: y.long(), lambda y: [y]]
)
def test_an_inverse_that_returns_no_x_is_an_error(inverse):
    report = inspect_jacobian(lambda x: (2 * x, 4 * torch.tensor(2.0).log()), points(), inverse=inverse)
    assert codes(report) == {"inverse-wrong"}
    assert "returns no x" in report.findings[0].message


def test_a_clamped_inverse_is_told_from_a_map_that_is_not_onto():
    x = points(6, 3, seed=1)
    largest = 1.01 * x.abs().amax(0)
    clamped = inspect_jacobian(lambda x: 2 * x, x, inverse=lambda y: (y / 2).clamp(-largest, largest))
    note = next(finding for finding in clamped.findings if finding.about == "inverse")
    assert (note.code, note.severity) == ("inverse-limited", "note")
    assert "clamp" in note.message
    assert "met by the inverse" in compared(clamped, "both directions").words
    assert "not-onto" in codes(inspect_jacobian(torch.exp, x, inverse=torch.log))


# Context.


class Conditional(nn.Module):
    def __init__(self, cut):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.cut = nn.Linear(3, 8), cut

    def forward(self, x, context):
        s, t = self.net(self.cut(context)).tanh().chunk(2, -1)
        return x * s.exp() + t, s.sum(-1)

    def inverse(self, y, context):
        s, t = self.net(context).tanh().chunk(2, -1)
        return (y - t) * (-s).exp()


@pytest.mark.parametrize("context", [points(6, 3, seed=2), points(1, 3, seed=2)])
def test_a_context_without_a_gradient_is_an_error(context):
    for cut in (torch.Tensor.detach, lambda c: torch.tensor(c.tolist(), dtype=c.dtype)):
        report = inspect_jacobian(Conditional(cut), points(), context=context)
        assert codes(report) == {"gradient-cut"}
        assert "with respect to the context" in report.findings[0].message
    half = inspect_jacobian(Conditional(lambda c: 0.5 * (c + c.detach())), points(), context=context)
    assert codes(half) == {"gradient-wrong"}
    assert inspect_jacobian(Conditional(lambda c: c), points(), context=context).findings == ()


# Words.


def test_what_was_not_decided_is_named():
    class Rough(Scale):
        def forward(self, x):
            # Steps of 1e-3 in the log-det, by the parameters alone.
            rough = 1e-3 * (1e3 * self.a.sum()).round()
            return super().forward(x)[0], self.a.sum() + 1e-9 * (rough - self.a.sum()) + 0 * x[:, 0]

    found = {(g.of, g.by): g.result for g in inspect_jacobian(Scale(), points()).signal}
    assert found["y", "parameters"] == "right"
    report = inspect_jacobian(Rough(), points())
    words = compared(report, "parameter gradients").words
    undecided = [g for g in report.signal if g.result == "undecided"]
    assert bool(undecided) == ("not decided" in words)


def test_layers_are_checked_with_demands_and_tolerances():
    class Off(Scale):
        def forward(self, x):
            y, log_det = super().forward(x)
            return y, log_det + 0.01

    report = inspect_layers([Scale(), Off()], points())
    with pytest.raises(AssertionError, match="layer 2, Off"):
        report.check()
    assert report.check(ignore=["log-det-wrong"]) is report
    assert report.check(atol=0.02) is report
    assert report.check(rtol=1.0, atol=0.005) is report
    with pytest.raises(AssertionError, match=r"layer 1, Scale: \[required\] moved parameters was not compared"):
        report.check(ignore=["log-det-wrong"], require=["moved parameters"])
    for wrong in ({"require": ["all"]}, {"ignore": "log-det-wrong"}, {"atol": -1.0}):
        with pytest.raises(ValueError, match="must"):
            report.check(**wrong)
