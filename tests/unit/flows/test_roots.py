"""The root-finder that inverts flows: accurate in hard cases, and differentiable."""

from __future__ import annotations

import pytest
import torch

from nfteach.flows.roots import increasing_root


def test_roots_are_found_where_newton_alone_diverges() -> None:
    target = torch.tensor([-0.999999, -0.5, 0.0, 0.9, 0.999999], dtype=torch.float64)
    bracket = torch.full_like(target, 40.0)

    def tanh_minus_target(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tanh(x) - target, 1 - torch.tanh(x) ** 2

    root = increasing_root(tanh_minus_target, -bracket, bracket)
    torch.testing.assert_close(root, torch.atanh(target), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roots_have_the_precision_of_the_dtype_over_many_magnitudes(dtype: torch.dtype) -> None:
    target = torch.logspace(-12, 12, 49, dtype=dtype)
    root = increasing_root(lambda x: (x**3 - target, 3 * x**2), torch.zeros_like(target), target + 1)
    torch.testing.assert_close(root, target ** (1 / 3), rtol=100 * torch.finfo(dtype).eps, atol=0)


def test_functions_with_kinks_and_steps_are_solved() -> None:
    def stairs(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slope = torch.where(x > 1, 1e6 * torch.ones_like(x), 1e-6)
        return slope * (x - 1) - 0.5, slope

    root = increasing_root(stairs, torch.tensor([-1e3]).double(), torch.tensor([1e3]).double())
    torch.testing.assert_close(root, torch.tensor([1 + 0.5e-6], dtype=torch.float64), rtol=1e-12, atol=0)


def test_first_and_second_derivatives_are_those_of_the_implicit_function() -> None:
    def logarithm(y: torch.Tensor) -> torch.Tensor:
        bracket = torch.full_like(y, 50.0).detach()
        return increasing_root(lambda x: (x.exp() - y, x.exp()), -bracket, bracket)

    y = torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64, requires_grad=True)
    first = torch.autograd.grad(logarithm(y).sum(), y, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), y)[0]
    torch.testing.assert_close(first, 1 / y)
    torch.testing.assert_close(second, -1 / y**2)


def test_vmap_works_and_the_gradient_mode_stays_as_it_was() -> None:
    target = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def root(row: torch.Tensor) -> torch.Tensor:
        return increasing_root(lambda x: (x + x**3 - row, 1 + 3 * x**2), torch.zeros_like(row), torch.ones_like(row))

    torch.testing.assert_close(torch.func.vmap(root)(target), root(target), rtol=1e-12, atol=1e-12)
    assert torch.is_grad_enabled()
    with torch.no_grad():
        assert not root(target).requires_grad
