"""The gradients that training follows: those of the log-det, and those by the parameters."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nfteach import inspect_jacobian
from nfteach.jacobian.signal import CUT, NOT_FINITE, RAISES, RIGHT, UNDECIDED, WRONG


class Half(torch.autograd.Function):
    """The same values, half the gradient."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 0.5 * gradient


class Coupling(nn.Module):
    """A coupling layer of four dimensions; ``spoil`` changes no value of its scale s, shift t or log-det."""

    def __init__(self, *, log_det=lambda values: values, scale=lambda values: values, shift=lambda values: values):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 4))
        self.log_det, self.scale, self.shift = log_det, scale, shift

    def forward(self, x):
        s, t = self.net(x[:, :2]).chunk(2, -1)
        y = x[:, 2:] * self.scale(s).exp() + self.shift(t)
        return torch.cat([x[:, :2], y], 1), self.log_det(s.sum(-1))

    def inverse(self, y):
        s, t = self.net(y[:, :2]).chunk(2, -1)
        return torch.cat([y[:, :2], (y[:, 2:] - t) * (-s).exp()], 1)


class Checkpointed(nn.Module):
    def __init__(self, inner, reentrant):
        super().__init__()
        self.inner, self.reentrant = inner, reentrant

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=self.reentrant)


def untaken(values):
    """Values with a branch that is not taken, whose derivative is infinite."""
    return torch.where(values.abs() < 99, values, (values.abs() - values.abs()).sqrt())


def found(report):
    return {(gradient.of, gradient.by): gradient.result for gradient in report.signal}


@pytest.mark.parametrize(
    ("spoil", "result", "code"),
    [
        (lambda values: values.detach(), CUT, "gradient-cut"),
        (lambda values: values.data, CUT, "gradient-cut"),
        (lambda values: torch.tensor(values.tolist()), CUT, "gradient-cut"),
        (lambda values: torch.from_numpy(values.detach().numpy()), CUT, "gradient-cut"),
        (lambda values: 2 * values - values.detach(), WRONG, "gradient-wrong"),
        (lambda values: 0.9 * values + 0.1 * values.detach(), WRONG, "gradient-wrong"),
        (Half.apply, WRONG, "gradient-wrong"),
        (untaken, NOT_FINITE, "gradient-wrong"),
    ],
)
def test_a_log_det_with_right_values_and_a_wrong_gradient_is_an_error(spoil, result, code):
    torch.manual_seed(0)
    layer, x = Coupling(log_det=spoil), torch.randn(5, 4)
    report = inspect_jacobian(layer, x)
    assert (report.log_det - report.log_det_jacobian).abs().max() < 1e-6
    assert found(report) == {("log-det", "x"): result, ("log-det", "parameters"): result, ("y", "parameters"): RIGHT}
    assert not report.ok
    assert {finding.code for finding in report.findings} == {code}
    assert {name for name, judged, _ in report.compared if judged == "differs"} == {
        "log-det gradient",
        "parameter gradients",
    }
    # The repaired twin.
    layer.log_det = lambda values: values
    assert inspect_jacobian(layer, x, perturb=0.5).ok


def test_a_shift_that_is_not_trained_is_an_error():
    torch.manual_seed(0)
    report = inspect_jacobian(Coupling(shift=lambda t: t[:, :1].detach() + 0 * t), torch.randn(5, 4))
    assert found(report)["y", "parameters"] == WRONG


def test_the_numbers_are_those_of_gradcheck():
    torch.manual_seed(0)
    layer, x = Coupling(log_det=lambda values: 3 * values - 2 * values.detach()).double(), torch.randn(5, 4).double()
    gradient = next(g for g in inspect_jacobian(layer, x).signal if (g.of, g.by) == ("log-det", "parameters"))
    assert gradient.told == pytest.approx(3 * gradient.true, rel=1e-4)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_trainable(reentrant):
    torch.manual_seed(0)
    layer = Coupling()
    layer.net[0] = Checkpointed(layer.net[0], reentrant)
    report = inspect_jacobian(layer, torch.randn(5, 4))
    assert report.ok
    assert set(found(report).values()) == {RIGHT}


def test_frozen_parameters_and_constant_log_dets_have_nothing_to_compare():
    torch.manual_seed(0)
    report = inspect_jacobian(Coupling().requires_grad_(False), torch.randn(5, 4))
    assert found(report) == {("log-det", "x"): RIGHT}
    assert inspect_jacobian(lambda x: (x.flip(-1), 0.0), torch.randn(5, 4)).ok


def test_relu_networks_and_kinks_raise_no_false_alarm():
    for seed in range(20):
        torch.manual_seed(seed)
        layer = Coupling()
        layer.net[1] = nn.ReLU()
        report = inspect_jacobian(layer, torch.randn(5, 4), perturb=0.5)
        assert report.ok, report.findings


def test_the_parameters_of_the_layer_keep_their_gradients():
    torch.manual_seed(0)
    layer, x = Coupling(), torch.randn(5, 4)
    layer(x)[1].sum().backward()
    before = [(p.detach().clone(), p.grad.clone()) for p in layer.net[0].parameters()]
    inspect_jacobian(layer, x, perturb=0.5)
    for parameter, (value, grad) in zip(layer.net[0].parameters(), before, strict=True):
        assert parameter.equal(value)
        assert parameter.grad.equal(grad)


# Gradients that are not finite where the values are, whatever differences say.


class Stretch(nn.Module):
    """y = (1 + n) x, with n a function of parameters that are 0."""

    def __init__(self, size):
        super().__init__()
        self.a, self.size = nn.Parameter(torch.zeros(3)), size

    def forward(self, x):
        n = self.size(self.a)
        return x * (1 + n), 3 * torch.log1p(n).expand(len(x))


def inside(finite):
    """Return a map that is the identity beyond 1, where a square root is not taken; ``finite`` keeps it finite."""

    def log_det(x):
        root = (1 - finite(x) ** 2).sqrt()
        return torch.where(x.abs() < 1, torch.log(1 + 0 * root), torch.zeros_like(x)).sum(-1)

    return lambda x: (x, log_det(x))


TAILS = 3 * torch.ones(4, 2) * torch.tensor([1.0, -1.0])


@pytest.mark.parametrize(
    ("broken", "sound", "x", "about"),
    [
        (
            Stretch(lambda a: (a**2).sum().sqrt()),
            Stretch(lambda a: (a**2).sum()),
            torch.linspace(-2, 2, 15).reshape(5, 3),
            "parameter gradients",
        ),
        (inside(lambda x: x), inside(lambda x: x.clamp(-0.9, 0.9)), TAILS, "log-det gradient"),
        (
            inside(lambda x: x),
            inside(lambda x: x.clamp(-0.9, 0.9)),
            torch.cat([TAILS, 0.1 * TAILS]),
            "log-det gradient",
        ),
    ],
)
def test_a_gradient_that_is_not_finite_is_an_error_even_where_the_true_slope_is_zero_or_at_a_kink(
    broken, sound, x, about
):
    report = inspect_jacobian(broken, x)
    assert {(finding.code, finding.about) for finding in report.findings if finding.severity == "error"} == {
        ("gradient-wrong", about)
    }
    assert NOT_FINITE in found(report).values()
    assert inspect_jacobian(sound, x).ok


def test_a_gradient_that_is_not_finite_beside_the_domain_is_no_error():
    # sqrt has no values below 0, and log(1 + 1 / (2 sqrt)) none at 0.
    root = Stretch(lambda a: a.sum().sqrt())
    assert inspect_jacobian(root, torch.randn(5, 3)).ok
    x = torch.tensor([[0.0, 1.0], [0.5, 2.0], [3.0, 4.0]])
    report = inspect_jacobian(lambda x: (x, (0 * x.sqrt()).sum(-1)), x)
    assert found(report) == {("log-det", "x"): RIGHT}


# One point does not decide for the others.


def bend(x):
    return x * (1 + 0.7 * x.abs()), torch.log1p(1.4 * x.abs()).sum(-1)


def logarithm(x):
    return x.log(), -x.log().sum(-1)


def root(x):
    return x.sqrt(), -(2 * x.sqrt()).log().sum(-1)


class Conditioned(nn.Module):
    """y = exp(|c| b) x, with a kink where the context c is 0."""

    def __init__(self, spoil=lambda values: values):
        super().__init__()
        self.b, self.spoil = nn.Parameter(torch.tensor(0.5)), spoil

    def forward(self, x, context):
        s = (context.abs() * self.b).expand_as(x)
        return x * s.exp(), self.spoil(s.sum(-1))


def positive(value):
    x = torch.rand(6, 3) + 0.5
    x[1, 0] = value
    return x


@pytest.mark.parametrize("spoil", [torch.Tensor.detach, lambda values: 2 * values - values.detach()])
@pytest.mark.parametrize(("f", "value"), [(bend, 0.0), (bend, 0.5), (logarithm, -3.0), (root, -3.0), (root, 0.0)])
def test_a_point_at_a_kink_or_outside_of_the_domain_leaves_the_others_their_gradient(f, value, spoil):
    x = positive(value)
    sound = inspect_jacobian(f, x)
    assert found(sound) == {("log-det", "x"): RIGHT}
    words = next(words for name, _, words in sound.compared if name == "log-det gradient")
    assert ("without 1 of 6 points" in words) == (value != 0.5)
    broken = inspect_jacobian(lambda x: (f(x)[0], spoil(f(x)[1])), x)
    assert found(broken)["log-det", "x"] in (CUT, WRONG)
    assert "log-det gradient" in {finding.about for finding in broken.findings}


@pytest.mark.parametrize("by", ["parameters", "context"])
def test_a_point_whose_context_is_at_a_kink_leaves_the_others_their_gradient(by):
    x, context = positive(0.5), positive(0.0)[:, :1]
    assert found(inspect_jacobian(Conditioned(), x, context=context))["log-det", by] == RIGHT
    broken = Conditioned(lambda values: 2 * values - values.detach())
    assert found(inspect_jacobian(broken, x, context=context))["log-det", by] == WRONG


def test_points_outside_of_the_domain_leave_the_parameters_their_gradient():
    class Power(nn.Module):
        def __init__(self, spoil=lambda values: values):
            super().__init__()
            self.a, self.spoil = nn.Parameter(torch.tensor(1.5)), spoil

        def forward(self, x):
            return x**self.a, self.spoil((self.a.log() + (self.a - 1) * x.log()).sum(-1))

    assert found(inspect_jacobian(Power(), positive(-3.0)))["log-det", "parameters"] == RIGHT
    assert found(inspect_jacobian(Power(torch.Tensor.detach), positive(-3.0)))["log-det", "parameters"] == CUT


# Where autograd does not run, or the map has no values close by.


class InPlace(nn.Module):
    """A shear that writes into what the backward pass of ``sin`` needs, unless it takes a copy first."""

    def __init__(self, taken, spoil=lambda values: values):
        super().__init__()
        self.k, self.taken, self.spoil = nn.Parameter(torch.tensor([0.1, -0.2, 0.3])), taken, spoil

    def forward(self, x):
        y = x * self.k.exp()
        w = self.taken(y[:, :1]).sin()
        y[:, 1:].add_(w)
        return y, self.spoil(self.k.sum().expand(len(x)))


def test_a_log_det_is_compared_where_autograd_does_not_run_through_y():
    torch.manual_seed(0)
    x = torch.randn(5, 3)
    report = inspect_jacobian(InPlace(lambda values: values), x)
    assert found(report) == {
        ("log-det", "x"): RIGHT,
        ("y", "parameters"): RAISES,
        ("log-det", "parameters"): RIGHT,
    }
    assert {finding.code for finding in report.findings if finding.severity == "error"} == {"gradient-cut"}
    cut = inspect_jacobian(InPlace(lambda values: values, torch.Tensor.detach), x)
    assert found(cut)["log-det", "parameters"] == CUT
    assert inspect_jacobian(InPlace(torch.clone), x).ok


def whole_numbers(x):
    if not x.equal(x.round()):
        raise ValueError("whole numbers only")
    return x + x[:, :1].detach() ** 2, torch.zeros(len(x))


def by_numpy(x):
    return torch.from_numpy(2 * x.numpy()), torch.full((len(x),), 3 * torch.tensor(2.0).log())


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (by_numpy, "autograd does not run through the map: RuntimeError"),
        (whole_numbers, "the map raises close by: ValueError: whole numbers only"),
    ],
)
def test_why_the_gradient_of_the_log_det_was_not_compared_is_told(f, why):
    report = inspect_jacobian(f, torch.randn(4, 3).round())
    assert found(report) == {("log-det", "x"): UNDECIDED}
    compared = {name: words for name, _, words in report.compared}
    assert compared["log-det gradient"].startswith(why)
    assert compared["parameter gradients"] == "no parameter is trained"


def test_parameters_that_cannot_be_moved_are_named():
    class Square(Stretch):
        def forward(self, x):
            if self.a.any():
                raise ValueError("a must stay 0")
            return super().forward(x)

    report = inspect_jacobian(Square(torch.sum), torch.randn(4, 3))
    assert report.ok
    words = next(words for name, _, words in report.compared if name == "parameter gradients")
    assert words == "the map raises close by: ValueError: a must stay 0"


# Through the inverse.


class Exponential(nn.Module):
    def __init__(self, spoil_x=lambda values: values, spoil_log_det=lambda values: values):
        super().__init__()
        self.spoil_x, self.spoil_log_det = spoil_x, spoil_log_det

    def forward(self, x):
        return x.exp(), x.sum(-1)

    def inverse(self, y):
        return self.spoil_x(y.log()), self.spoil_log_det(-y.log().sum(-1))


@pytest.mark.parametrize(
    ("layer", "without"),
    [
        (Exponential(), ""),
        (Exponential(spoil_x=torch.Tensor.detach), "; x without a gradient with respect to y"),
        (Exponential(spoil_log_det=torch.Tensor.detach), "; its log-det without a gradient with respect to y"),
        (
            Exponential(torch.no_grad()(torch.clone), torch.Tensor.detach),
            "; x and its log-det without a gradient with respect to y",
        ),
    ],
)
def test_an_inverse_without_a_gradient_is_named(layer, without):
    report = inspect_jacobian(layer, torch.randn(5, 3))
    assert report.ok
    words = next(words for name, _, words in report.compared if name == "inverse")
    assert words == f"x -> y -> x within 1e-9, 5 points{without}"


def test_a_constant_log_det_of_the_inverse_needs_no_gradient():
    report = inspect_jacobian(
        lambda x: (2 * x, 3 * torch.tensor(2.0).log()), torch.randn(5, 3), inverse=lambda y: y / 2
    )
    assert report.inverse_cut == ()


# A gradient's error is no number of nats.


@pytest.mark.parametrize("accepted", [{"atol": 1.0}, {"rtol": 1.0}, {"atol": 1.0, "rtol": 1.0}])
@pytest.mark.parametrize("spoil", [torch.Tensor.detach, lambda values: 2 * values - values.detach()])
def test_no_tolerance_accepts_a_wrong_gradient(spoil, accepted):
    torch.manual_seed(0)
    layer = Coupling(log_det=spoil)
    with torch.no_grad():
        layer.net[2].weight.mul_(1e-3)
    report = inspect_jacobian(layer, torch.randn(5, 4))
    with pytest.raises(AssertionError, match="gradient of the log-det"):
        report.check(**accepted)
    layer.log_det = lambda values: values
    inspect_jacobian(layer, torch.randn(5, 4)).check()
