"""The gradients that training follows: those of the log-det, and those by the parameters."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nfteach import inspect_jacobian
from nfteach.jacobian.signal import CUT, NOT_FINITE, RIGHT, WRONG


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
