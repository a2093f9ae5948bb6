"""Planar flows: the matrix determinant lemma, the condition for an inverse, and the shape of the Jacobian."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nfteach.flows import FlowDistribution, Planar, PlanarStacks, Stack
from nfteach.flows.planar import ACTIVATIONS, one_plus_m, u_hat

activations = pytest.mark.parametrize("activation", ACTIVATIONS)


def planar(w: list[float], u: list[float], b: float = 0.0, **options) -> Planar:
    layer = Planar(len(w), **options).double()
    with torch.no_grad():
        layer.w.copy_(torch.tensor(w))
        layer.u.copy_(torch.tensor(u))
        layer.b.fill_(b)
    return layer


def jacobian(layer: Planar, z: torch.Tensor) -> torch.Tensor:
    return torch.autograd.functional.jacobian(layer, z)


def test_the_map_is_that_of_the_paper_in_plain_python() -> None:
    layer = planar([0.7, -1.2, 0.4], [0.9, 0.3, -0.5], 0.2)
    z = [0.3, -0.8, 1.1]
    w, u = layer.w.tolist(), layer.u.tolist()
    wu = sum(a * b for a, b in zip(w, u, strict=True))
    norm2 = sum(a * a for a in w)
    m = -1 + math.log(1 + math.exp(wu))
    hat = [ui + (m - wu) * wi / norm2 for ui, wi in zip(u, w, strict=True)]
    a = sum(p * q for p, q in zip(w, z, strict=True)) + 0.2
    expected = [zi + ui * math.tanh(a) for zi, ui in zip(z, hat, strict=True)]
    psi = [(1 - math.tanh(a) ** 2) * wi for wi in w]
    det = 1 + sum(p * q for p, q in zip(hat, psi, strict=True))
    y, ladj = layer.call_and_ladj(torch.tensor(z, dtype=torch.float64))
    assert y.tolist() == pytest.approx(expected, rel=1e-12)
    assert float(ladj.detach()) == pytest.approx(math.log(det), rel=1e-12)
    terms = layer.terms(torch.tensor(z, dtype=torch.float64))
    assert terms["psi"].tolist() == pytest.approx(psi, rel=1e-12)
    assert float(terms["det = 1 + u_hat.psi"].detach()) == pytest.approx(det, rel=1e-12)


def test_the_jacobian_is_dense_unless_u_and_w_lie_along_one_axis() -> None:
    z = torch.tensor([0.2, -0.1], dtype=torch.float64)
    note = planar([2.0, 1.0], [1.0, -1.0], constrained=False)
    assert bool((jacobian(note, z).abs() > 0.05).all())
    psi = note.terms(z)["psi"].detach()
    torch.testing.assert_close(jacobian(note, z), torch.eye(2).double() + torch.outer(note.u.detach(), psi))
    aligned = planar([0.0, 1.5], [0.0, 0.8])
    assert bool((jacobian(aligned, z) == torch.diag(jacobian(aligned, z).diagonal())).all())


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_u_hat_meets_the_condition_and_moves_u_along_w_only(data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, 6))
    vector = st.lists(st.floats(-20, 20), min_size=dim, max_size=dim)
    w, u = (torch.tensor(data.draw(vector), dtype=torch.float64) for _ in range(2))
    if float(w.norm()) < 1e-3:
        w = w + 1
    hat = u_hat(u, w)
    a = w @ u
    scale = 1 + float(a.abs())
    assert float(w @ hat) >= -1 - 1e-12 * scale
    assert float(w @ hat) == pytest.approx(float(torch.nn.functional.softplus(a)) - 1, abs=1e-11 * scale)
    across = (hat - u) - ((hat - u) @ w) * w / (w @ w)
    assert float(across.abs().max()) < 1e-9 * scale / min(1.0, float(w.norm()))


def test_u_hat_needs_the_squared_norm() -> None:
    w, u = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([-1.0, -1.0, 2.0])
    for size in (1.0, 0.05):  # ||w|| is 5, where the plain norm overshoots, and 0.25, where the map stays folded
        w_sized, u_sized = w * size, u / size
        a = w_sized @ u_sized
        by_the_norm = u_sized + (one_plus_m(a) - 1 - a) * w_sized / w_sized.norm()
        m = float(one_plus_m(a)) - 1
        assert float(w_sized @ u_hat(u_sized, w_sized)) == pytest.approx(m, abs=1e-5)
        assert abs(float(w_sized @ by_the_norm) - m) > 4
    assert float(w_sized @ by_the_norm) < -1


def test_w_zero_is_a_translation() -> None:
    layer = planar([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], b=0.7)
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, ladj = layer.call_and_ladj(z)
    torch.testing.assert_close(y, z + layer.u * math.tanh(0.7))
    torch.testing.assert_close(ladj, torch.zeros(4).double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(layer.inv(y), z)
    assert bool(torch.autograd.grad(y.sum() + ladj.sum(), layer.w)[0].isfinite().all())


@activations
@pytest.mark.parametrize("b", [-1.3, 0.0, 2.0])
def test_both_sides_of_the_plane_are_inverted(activation: str, b: float) -> None:
    layer = planar([1.5, -0.5, 2.0], [2.0, 1.0, 3.0], b, activation=activation)
    z = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    sides = (z @ layer.w + b > 0).double().mean()
    assert 0.2 < float(sides.detach()) < 0.8
    torch.testing.assert_close(layer.inv(layer(z)), z, rtol=1e-9, atol=1e-9)


def test_the_bracket_converges_where_a_fixed_point_iteration_diverges() -> None:
    layer = planar([2.0, 0.0, 1.0], [3.0, 1.0, 1.0])
    z = torch.tensor([0.2, 0.3, -0.1], dtype=torch.float64)
    y = layer(z)
    guess = y.detach()
    with torch.no_grad():
        for _ in range(200):
            guess = y - layer.u_hat() * torch.tanh(guess @ layer.w + layer.b)
    assert float((guess - z).norm()) > 0.5
    torch.testing.assert_close(layer.inv(y), z, rtol=1e-9, atol=1e-9)


def test_below_the_condition_the_map_folds_and_the_sign_of_det_changes() -> None:
    layer = planar([1.0, 0.0, 0.0], [-3.0, 0.5, 0.0], constrained=False)
    z = torch.tensor([[0.0, 0.4, 1.0], [3.0, 0.4, 1.0]], dtype=torch.float64)
    signs, logs = torch.linalg.slogdet(torch.stack([jacobian(layer, row) for row in z]))
    assert signs.tolist() == [-1.0, 1.0]
    torch.testing.assert_close(layer.call_and_ladj(z)[1], logs)
    with pytest.raises(ValueError, match=r"w\.u must be at least -1, or the map folds and has no inverse, but is -3"):
        layer.inv(z)


@activations
def test_gradients_of_the_inverse_are_exact(activation: str) -> None:
    layer = planar([1.5, -0.5, 2.0], [2.0, 1.0, 0.5], 0.3, activation=activation)
    y = torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    inputs = (y, layer.u, layer.w, layer.b)
    assert torch.autograd.gradcheck(lambda y, *parameters: layer.inverse_and_ladj(y), inputs)
    if activation == "tanh":
        assert torch.autograd.gradgradcheck(lambda y, *parameters: layer.inverse_and_ladj(y), inputs)


def test_float32_stays_finite_when_w_u_is_far_below_the_condition() -> None:
    layer = Planar(3)
    with torch.no_grad():
        layer.w.fill_(4.0)
        layer.u.fill_(-5.0)
    z = torch.randn(1000, 3, generator=torch.Generator().manual_seed(3))
    y, ladj = layer.call_and_ladj(z)
    assert bool(ladj.isfinite().all())
    assert bool(layer.inv(y).isfinite().all())
    assert float((layer(layer.inv(y)) - y).abs().max()) < 1e-4


def test_planar_flows_learn_by_maximum_likelihood() -> None:
    generator = torch.Generator().manual_seed(4)
    side = torch.where(torch.rand(600, 1, generator=generator) < 0.5, -1.5, 1.5)
    data = torch.cat([side, torch.zeros(600, 1)], -1) + 0.4 * torch.randn(600, 2, generator=generator)
    torch.manual_seed(0)
    q = FlowDistribution(
        torch.distributions.Normal(torch.zeros(2), torch.ones(2)), Stack(*[Planar(2) for _ in range(4)])
    )
    optimiser = torch.optim.Adam(q.flow.parameters(), lr=0.03)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = -q.log_prob(data).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    gaussian = torch.distributions.MultivariateNormal(data.mean(0), data.T.cov())
    assert losses[-1] < losses[0] - 0.3
    assert losses[-1] < float(-gaussian.log_prob(data).mean()) - 0.2


def test_options_are_checked_and_shown() -> None:
    with pytest.raises(ValueError, match="activation must be one of 'tanh', 'leaky_relu', but is 'relu'"):
        Planar(2, activation="relu")
    assert repr(Planar(2, "leaky_relu", constrained=False)) == "Planar(2, activation='leaky_relu', constrained=False)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Planar(2)(torch.zeros(2))


def test_stacks_side_by_side_are_the_stacks_one_by_one() -> None:
    stacks = PlanarStacks(3, layers=4, dim=5).double()
    with torch.no_grad():
        for parameter in stacks.parameters():
            parameter.copy_(2 * torch.randn_like(parameter))
    z = torch.randn(3, 7, 5, dtype=torch.float64)
    x, ladj = stacks(z)
    for k in range(3):
        expected, expected_ladj = stacks[k].call_and_ladj(z[k])
        torch.testing.assert_close(x[k], expected)
        torch.testing.assert_close(ladj[k], expected_ladj)
