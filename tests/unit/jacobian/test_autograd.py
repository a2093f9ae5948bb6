"""jacobian(f, x): the same J as by central differences and by vmap(jacrev), also for maps that vmap refuses."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap
from torch.utils.checkpoint import checkpoint

from nfteach.flows import RNADE, AffineCoupling, Permutation, Planar, RealNVP, Stack
from nfteach.jacobian import autograd
from nfteach.jacobian.adapt import adapt
from nfteach.jacobian.autograd import jacobian

# float64: two ways of automatic differentiation agree to rounding, central differences to their own error.
ROUNDING = dict(rtol=1e-10, atol=1e-12)
DIFFERENCES = dict(rtol=1e-6, atol=1e-7)


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def J_of(transform, x, **options):
    return jacobian(adapt(transform, x), x, **options)[0]


def by_differences(transform, x, step=1e-6):
    """J (B, D, D), block [b] = dy_b/dx_b, each entry from two calls of the map: no autograd, no sharing."""
    f, (B, D) = adapt(transform, x), x.shape
    J = torch.zeros(B, D, D, dtype=torch.float64)
    with torch.no_grad():
        for b in range(B):
            for j in range(D):
                shift = torch.zeros_like(x)
                shift[b, j] = step
                J[b, :, j] = ((f(x + shift)[0] - f(x - shift)[0]) / (2 * step))[b]
    return J


def by_vmap(transform, x):
    f = adapt(transform, x)
    return vmap(jacrev(lambda point: f.forward(point.unsqueeze(0))[0].reshape(-1)))(x)


def wild(flow, size=0.5):
    """The flow with every parameter moved at random."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return flow


FLOWS = {
    "planar": (lambda: wild(Planar(3), 1.0), 3),
    "planar, one dimension": (lambda: wild(Planar(1)), 1),
    "planar run backwards": (lambda: wild(Planar(3)).inv, 3),
    "coupling": (lambda: wild(AffineCoupling([True, False, False, True, False])), 5),
    "four couplings": (lambda: wild(RealNVP(6, layers=4), 0.2), 6),
    "permutation": (lambda: Permutation([2, 0, 3, 1]), 4),
    "planars and a permutation": (lambda: wild(Stack(Planar(3), Permutation([2, 0, 1]), Planar(3))), 3),
    "RNADE": (lambda: wild(RNADE(4, 8)).as_flow(), 4),
}


@pytest.mark.parametrize("B", [1, 5])
@pytest.mark.parametrize("name", FLOWS)
def test_our_flows(name, B):
    make, D = FLOWS[name]
    flow, x = make(), points(B, D)
    J = J_of(flow, x)
    torch.testing.assert_close(J, by_differences(flow, x), **DIFFERENCES)
    torch.testing.assert_close(J, by_vmap(flow, x), **ROUNDING)


# ---- maps that a forward pass under vmap refuses ---------------------------------------------------------------------


def boolean_indexing(x):
    y = 3 * x
    y[x > 0] = x[x > 0] ** 2
    return y


def in_place(x):
    y = torch.zeros(x.shape, dtype=x.dtype)
    y.copy_(x)
    y[:, 1:] += x[:, :-1].exp()
    return y.mul_(2)


def branches(x):
    return torch.stack([torch.cat([p[:1], p[1:] * p[0]]) if p[0] > 0 else torch.sin(p) + p.sum() for p in x])


def until_it_settles(x):
    """Solves y + sin(y) / 2 = x; the number of steps depends on the data."""
    y = x
    while ((y + torch.sin(y) / 2 - x).abs() > 1e-14).any():
        y = x - torch.sin(y) / 2
    return y


def numpy_in_the_backward(x):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            return torch.from_numpy(3 * np.square(ctx.saved_tensors[0].numpy()) * grad.numpy())

    return Cube.apply(x)


@pytest.mark.parametrize("f", [boolean_indexing, in_place, branches, until_it_settles, numpy_in_the_backward])
def test_maps_that_vmap_refuses(f):
    x = points(5, 3)
    with pytest.raises(RuntimeError):
        by_vmap(f, x)
    torch.testing.assert_close(J_of(f, x), by_differences(f, x), **DIFFERENCES)


# ---- backward passes written by hand ---------------------------------------------------------------------------------


class LeakyReLU(torch.autograd.Function):
    """As tutorials write it, without setup_context or a rule for vmap."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, 0.1 * x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, grad, 0.1 * grad)


class WritesIntoItsGradient(LeakyReLU):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad[x <= 0] *= 0.1
        return grad


class WritesThenFails(LeakyReLU):
    """Spoils its gradient, and only then finds out that it cannot take many at once."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad[x <= 0] *= 0.1
        return torch.from_numpy(grad.numpy())


class LooksAtItsGradient(LeakyReLU):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, grad, 0.1 * grad) if grad.abs().max() > 0 else torch.zeros_like(grad)


class RefusesInItsOwnWay(LeakyReLU):
    """Takes no batch of gradients either, and says so by another kind of error than torch's."""

    @staticmethod
    def backward(ctx, grad):
        try:
            grad.numpy()
        except RuntimeError:
            raise TypeError("one at a time, please") from None
        return LeakyReLU.backward(ctx, grad)


class OnceDifferentiable(LeakyReLU):
    backward = staticmethod(torch.autograd.function.once_differentiable(LeakyReLU.backward))


BY_HAND = [
    LeakyReLU,
    WritesIntoItsGradient,
    WritesThenFails,
    LooksAtItsGradient,
    RefusesInItsOwnWay,
    OnceDifferentiable,
]


@pytest.mark.parametrize("B", [1, 4])
@pytest.mark.parametrize("function", BY_HAND)
def test_backward_passes_written_by_hand(function, B):
    x = points(B, 3)
    # Last in the map, so that it is given the very cotangents; and in the middle of it.
    for f in (function.apply, lambda x: function.apply(x.cumsum(1)).tanh()):
        torch.testing.assert_close(J_of(f, x), by_differences(f, x), **DIFFERENCES)


def test_a_backward_pass_that_always_fails_says_so():
    class Broken(LeakyReLU):
        @staticmethod
        def backward(ctx, grad):
            raise ValueError("left as an exercise")

    with pytest.raises(ValueError, match="left as an exercise"):
        J_of(Broken.apply, points(2, 3))


def test_checkpoints():
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = points(4, 3)
    J = J_of(lambda x: x + checkpoint(net, x, use_reentrant=False), x)
    torch.testing.assert_close(J, J_of(lambda x: x + net(x), x), **ROUNDING)


@pytest.mark.parametrize("f", [nn.functional.mish, lambda x: x.cummax(1).values])
def test_torch_functions_without_a_batching_rule_are_right_and_silent(f):
    x = points(4, 3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        J = J_of(f, x)
    assert not said
    torch.testing.assert_close(J, by_differences(f, x), **DIFFERENCES)


# ---- points that talk to each other ----------------------------------------------------------------------------------


def test_rows_apart_takes_the_block_of_each_point():
    x, B = points(5, 3), 5

    def centred(x):
        return x - x.mean(0)

    J = J_of(centred, x, rows_apart=True)
    torch.testing.assert_close(J, (1 - 1 / B) * torch.eye(3).double().expand(B, 3, 3), **ROUNDING)
    # What the points would tell if they were taken to be independent: the sum over all outputs of the batch.
    torch.testing.assert_close(J_of(centred, x), torch.zeros(B, 3, 3).double(), **ROUNDING)


def test_rows_apart_with_a_nonlinear_mixing():
    x = points(4, 3)

    def attention(x):
        return torch.softmax(x @ x.T, 1) @ x

    torch.testing.assert_close(J_of(attention, x, rows_apart=True), by_differences(attention, x), **DIFFERENCES)


@pytest.mark.parametrize("name", FLOWS)
def test_rows_apart_changes_nothing_for_independent_points(name):
    make, D = FLOWS[name]
    flow, x = make(), points(3, D)
    torch.testing.assert_close(J_of(flow, x, rows_apart=True), J_of(flow, x), **ROUNDING)


# ---- large D, in parts -----------------------------------------------------------------------------------------------


class Counted(LeakyReLU):
    passes = 0

    @staticmethod
    def backward(ctx, grad):
        Counted.passes += 1
        return LeakyReLU.backward(ctx, grad)


@pytest.mark.parametrize(("at_once", "passes"), [(1, 10), (4 * 10, 10), (3 * 4 * 10, 4), (10_000, 1)])
def test_large_jacobians_are_taken_in_parts(monkeypatch, at_once, passes):
    A, x = points(10, 10, seed=3), points(4, 10)

    def f(x):
        return Counted.apply(x @ A).sin() * x

    whole = J_of(f, x)
    monkeypatch.setattr(autograd, "_AT_ONCE", at_once)
    Counted.passes = 0
    torch.testing.assert_close(J_of(f, x), whole, **ROUNDING)
    assert Counted.passes == passes
    torch.testing.assert_close(J_of(f, x, rows_apart=True), whole, **ROUNDING)
    torch.testing.assert_close(J_of(lambda x: numpy_in_the_backward(x @ A), x), 3 * A.T * (x @ A).unsqueeze(2) ** 2)


# ---- what comes back, and what is left as it was ---------------------------------------------------------------------


def test_the_jacobian_is_float64_and_the_rest_as_it_came():
    x = points(4, 6).float()
    flow = wild(RealNVP(6, layers=2), 0.2)
    J, y, ladj = jacobian(adapt(flow, x, dtype=None), x)
    assert (J.dtype, y.dtype, ladj.dtype) == (torch.float64, torch.float32, torch.float32)
    assert J.is_contiguous()
    assert not any(value.requires_grad for value in (J, y, ladj))
    expected_y, expected_ladj = flow.call_and_ladj(x)
    assert torch.equal(y, expected_y)
    assert torch.equal(ladj, expected_ladj)
    torch.testing.assert_close(J, J_of(flow, x.double()), rtol=1e-4, atol=1e-5)  # float32 arithmetic


def test_a_map_that_answers_in_another_dtype():
    x = points(4, 3)
    J, y, _ = jacobian(adapt(lambda x: x.float().exp(), x), x)
    assert (J.dtype, y.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(J, torch.diag_embed(x.exp()), rtol=1e-6, atol=1e-6)  # float32 arithmetic


def test_the_claim_is_handed_on():
    x = points(4, 3)
    assert jacobian(adapt(lambda x: (2 * x, 3 * math.log(2)), x), x)[2] == 3 * math.log(2)
    assert jacobian(adapt(lambda x: 2 * x, x), x)[2] is None


def test_events_of_more_dimensions():
    x = points(3, 2, 2, 2)
    J = jacobian(adapt(lambda x: x.flip(-1) * x.sum((1, 2, 3), keepdim=True), x), x.flatten(1))[0]
    flat = x.flatten(1)
    flip = torch.arange(8).reshape(2, 2, 2).flip(-1).flatten()
    permutation = torch.eye(8, dtype=torch.float64)[flip]
    expected = permutation * flat.sum(1)[:, None, None] + flat[:, flip].unsqueeze(2)
    torch.testing.assert_close(J, expected, **ROUNDING)


PARAMETER = nn.Parameter(points(3))


@pytest.mark.parametrize("f", [torch.zeros_like, lambda x: (3 * x).detach(), lambda x: PARAMETER.expand_as(x)])
def test_what_does_not_depend_on_x_has_derivative_zero(f):
    J = J_of(f, points(4, 3))
    assert J.shape == (4, 3, 3)
    assert not J.any()


@pytest.mark.parametrize("function", [LeakyReLU, WritesThenFails])
def test_nothing_else_changes(function):
    flow, x = wild(RealNVP(3, layers=2)).double(), points(4, 3)
    before = x.clone()
    f = adapt(lambda x: function.apply(flow(x)), x)
    with torch.no_grad():
        J = jacobian(f, x)[0]
        assert not torch.is_grad_enabled()
    assert J.any()
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None
    assert all(parameter.grad is None for parameter in flow.parameters())
