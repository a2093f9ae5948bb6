"""Reverse mode, forward mode, central differences: who is wrong is found out, and J is told by who is right."""

import numpy as np
import pytest
import torch
from torch import nn

from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.witnesses import CENTRAL, FORWARD, REVERSE, hear, lines, whole_jacobian


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def codes(report):
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


def scaled(x, scale, shift):
    """y = (x_1, x_rest * scale + shift), and its log-det."""
    return torch.cat([x[:, :1], x[:, 1:] * scale + shift], 1), (x.shape[1] - 1) * scale.abs().log().squeeze(1)


def honest(x):
    return scaled(x, (1 + x[:, :1] ** 2), x[:, :1].sin())


def detached(x):
    return scaled(x, (1 + x[:, :1] ** 2).detach(), x[:, :1].sin())


def without_grad(x):
    with torch.no_grad():
        scale = 1 + x[:, :1] ** 2
    return scaled(x, scale, x[:, :1].sin())


def through_numpy(x):
    scale = torch.from_numpy(1 + x.detach().numpy()[:, :1] ** 2)
    return scaled(x, scale, x[:, :1].sin())


def only_numpy(x):
    """Raises where x asks for a gradient."""
    return scaled(torch.from_numpy(x.numpy()), torch.from_numpy(1 + x.numpy()[:, :1] ** 2), torch.sin(x[:, :1]))


class Square(torch.autograd.Function):
    """x -> x^2 with a backward, and a jvp, that are right or three times too large."""

    backward_factor, forward_factor = 1.0, 1.0

    @classmethod
    def forward(cls, x):
        return x**2

    @classmethod
    def setup_context(cls, ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @classmethod
    def backward(cls, ctx, grad):
        return cls.backward_factor * 2 * ctx.saved_tensors[0] * grad

    @classmethod
    def jvp(cls, ctx, tangent):
        return cls.forward_factor * 2 * ctx.saved_tensors[0] * tangent


class BadBackward(Square):
    backward_factor = 3.0


class BadForward(Square):
    forward_factor = 3.0


def with_square(function):
    return lambda x: scaled(x, 1 + function.apply(x[:, :1]), x[:, :1].sin())


def true_jacobian(x):
    """J (B, 3, 3) of ``honest`` by hand."""
    J = torch.zeros(len(x), 3, 3, dtype=torch.float64)
    J[:, 0, 0] = 1
    J[:, 1, 1] = J[:, 2, 2] = 1 + x[:, 0] ** 2
    J[:, 1:, 0] = 2 * x[:, :1] * x[:, 1:] + x[:, :1].cos()
    return J


@pytest.mark.parametrize(
    ("f", "wrong", "trusted"),
    [
        (honest, (), REVERSE),
        (with_square(Square), (), REVERSE),
        (detached, (REVERSE, FORWARD), CENTRAL),
        (without_grad, (REVERSE,), FORWARD),  # no_grad is no business of forward mode's
        (through_numpy, (REVERSE,), CENTRAL),
        (with_square(BadBackward), (REVERSE,), FORWARD),
        (with_square(BadForward), (FORWARD,), REVERSE),
    ],
)
def test_the_verdict_and_the_jacobian(f, wrong, trusted):
    x = points(6, 3)
    report = inspect_jacobian(f, x)
    assert report.witness == trusted
    assert set(wrong) <= set(report.witnesses.wrong) | set(report.witnesses.unheard)
    np.testing.assert_allclose(report.jacobian.numpy(), true_jacobian(x).numpy(), atol=1e-8)
    assert ("gradient-cut" in codes(report)) == bool(wrong)
    assert codes(report) <= {"gradient-cut", "gradient-wrong"}
    assert report.ok == (not wrong)
    assert report.structure.name == "coupling"
    # The claimed log-det is that of the map, whatever autograd says of it.
    np.testing.assert_allclose(report.log_det_jacobian.numpy(), report.log_det.numpy(), atol=1e-7)
    np.testing.assert_allclose(
        report.log_det_autograd.numpy(), np.linalg.slogdet(report.jacobian_autograd.numpy())[1], atol=1e-9
    )


def test_a_cut_is_shown_with_the_entry_it_loses():
    class Cut(nn.Module):
        def forward(self, x):
            return detached(x.double())

    x = points(4, 3)
    finding = inspect_jacobian(detached, x).findings[0]
    assert "detach" in finding.message
    words = " ".join(f"{key} {value}" for key, value in finding.evidence.items())
    true = true_jacobian(x)
    gap = torch.zeros_like(true)
    gap[:, 1:, 0] = 2 * x[:, :1] * x[:, 1:]  # what the detached scale would have added
    told = true - gap
    beside = gap.abs() / torch.maximum(told.abs(), true.abs()).amax(2, keepdim=True)  # what stands in its row
    b, i, j = torch.unravel_index(beside.argmax(), gap.shape)
    assert f"dy{i + 1}/dx{j + 1} by autograd" in words
    assert finding.evidence["by central differences"] == pytest.approx(float(true[b, i, j]), abs=1e-7)
    assert finding.evidence["point"] == int(b) + 1


def test_what_reverse_mode_cannot_enter_is_looked_at_by_differences():
    x = points(5, 3)
    report = inspect_jacobian(only_numpy, x)
    assert codes(report) == {"gradient-cut"}
    assert "raises" in report.findings[0].message
    np.testing.assert_allclose(report.jacobian.numpy(), true_jacobian(x).numpy(), atol=1e-8)
    assert report.jacobian_autograd.isnan().all()


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_differences_are_precise_at_every_scale(size, scale):
    A = points(4, 4, seed=1)
    x = size * points(5, 4)
    f = adapt(lambda x: scale * torch.tanh(x / size) @ A.T, x)
    y = f(x)[0]
    J = scale / size * A * (1 - torch.tanh(x / size) ** 2).unsqueeze(1)
    taken = whole_jacobian(CENTRAL, f, x, y, None)
    np.testing.assert_allclose(taken.numpy(), J.numpy(), atol=1e-8 * float(J.abs().max()))
    np.testing.assert_allclose(whole_jacobian(FORWARD, f, x, y, None).numpy(), J.numpy(), rtol=1e-9)
    heard = hear(f, lines(f, x), y, J)
    assert heard.wrong == ()
    assert not heard.undecided.any()
    # An entry that is off by a ten thousandth is noticed.
    J[2, 1, 3] *= 1.0001
    heard = hear(f, lines(f, x), y, J)
    assert heard.wrong == (REVERSE,)
    assert heard.at.tolist() == [False, False, True, False, False]


def test_a_kink_is_nobodys_fault():
    x = points(5, 3)
    x[1, 0] = 0.0  # ReLU has no slope there; autograd takes one side, differences the mean
    report = inspect_jacobian(lambda x: torch.cat([x[:, :1].relu() + 0.1 * x[:, :1], x[:, 1:]], 1), x)
    assert report.witnesses.undecided.tolist() == [False, True, False, False, False]
    assert codes(report) == set()
    assert "decide nothing" in str(report)


def test_a_rough_map_is_not_accused():
    # A map that is solved for by iteration is good to 1e-7 only: its differences jump, its derivative does not.
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x * 1e7).round() / 1e7

        @staticmethod
        def backward(ctx, grad):
            return grad

    report = inspect_jacobian(lambda x: 2 * Rounded.apply(x), points(40, 3))
    assert codes(report) == set()


@pytest.mark.parametrize("left", [-15.0, -25.0, -36.0])
def test_a_staircase_of_rounding_is_not_taken_for_the_map(left):
    # log(1 + exp(x)) comes in steps of 2e-16 there, while its slope by autograd is right to the last digit.
    x = left + 10 * torch.rand(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    report = inspect_jacobian(lambda x: (1 + x.exp()).log(), x)
    assert codes(report) <= {"singular"}  # exp(-36) is lost beside 1
    assert report.witness == REVERSE


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_that_rounds_inside_is_not_accused(seed):
    class Cubic(nn.Module):
        """In float32 by its own will; the float64 parameters of the copy make float64 of what it gives."""

        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.tensor([1.5, 0.8, 2.0]))

        def forward(self, x):
            x = x.float()
            return x + (self.a * x) ** 3, torch.log1p(3 * self.a**3 * x**2).sum(1)

    report = inspect_jacobian(Cubic(), points(6, 3, seed=seed).float())
    assert codes(report) == {"inverse-missing"}
    assert report.witness == REVERSE


def test_a_straight_through_estimator_is_found():
    def straight_through(x):
        return x + (x.round() - x).detach() + 0.01 * x

    report = inspect_jacobian(straight_through, points(6, 3))
    assert codes(report) == {"gradient-cut"}
    np.testing.assert_allclose(report.jacobian.numpy(), 0.01 * np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-8)


def test_in_float32_too():
    def stubborn(x):
        return detached(x.float())

    report = inspect_jacobian(stubborn, points(6, 3).float())
    assert "gradient-cut" in codes(report)
    sound = inspect_jacobian(lambda x: honest(x.float() @ torch.eye(3)), points(6, 3).float())
    assert codes(sound) == {"low-precision"}


def test_a_map_of_binary_numbers_has_no_neighbours():
    def only_binary(x):
        if not ((x == 0) | (x == 1)).all():
            raise ValueError("x must be binary")
        return x.cumsum(-1) * 2

    x = (points(5, 3) > 0).double()
    for given in (x, x[:1]):
        report = inspect_jacobian(only_binary, given)
        assert codes(report) == set()
        assert report.structure.name == "lower triangular"
        assert report.witnesses.undecided.all()
        assert "x must be binary" in " ".join(str(report).split())


def test_a_map_that_no_witness_can_tell_of():
    def binary_in_numpy(x):
        values = x.numpy()  # raises where a gradient is asked for
        assert ((values == 0) | (values == 1)).all()
        return torch.from_numpy(values.cumsum(-1))

    report = inspect_jacobian(binary_in_numpy, (points(5, 3) > 0).double())
    assert "gradient-cut" in codes(report)
    assert isinstance(str(report) + report._repr_html_(), str)
