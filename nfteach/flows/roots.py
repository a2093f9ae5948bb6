"""Roots of increasing functions, for the inverses of flows that have no closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

__all__ = ["increasing_root", "repeat"]


def increasing_root(
    value_and_slope: Callable[[Tensor], tuple[Tensor, Tensor]], low: Tensor, high: Tensor, max_steps: int = 100
) -> Tensor:
    """Find the root of an increasing function in a bracket, elementwise and differentiable.

    The method is Newton's, inside a bracket that shrinks at every step; a step that would leave the bracket is replaced
    by a bisection. (A fixed-point iteration, or Newton without a bracket, diverges on maps of this package.)

    The gradient with respect to any theta that ``f`` depends on is that of the implicit function theorem,
    dx/dtheta = -(df/dtheta) / (df/dx). First and second derivatives are exact.

    Args:
        value_and_slope: a function x (...) -> f(x) (...) and f'(x) (...), f increasing in x, of torch operations.
        low, high: a bracket (...): f(low) <= 0 <= f(high), up to rounding.
        max_steps: the largest number of iterations, which end earlier once no element moves.

    Returns:
        x (...) with f(x) = 0, to the precision of the dtype.

    Example:
        >>> cube = torch.tensor([8.0, 27.0])
        >>> increasing_root(lambda x: (x**3 - cube, 3 * x**2), torch.zeros(2), torch.full((2,), 10.0))
        tensor([2., 3.])
    """
    with torch.no_grad():
        eps = torch.finfo(low.dtype).eps
        tiny = eps * (low.detach().abs() + high.detach().abs())
        low, high = low.detach() - 4 * tiny, high.detach() + 4 * tiny  # the root may be an end of the bracket
        x = (low + high) / 2

        def step_on(
            step: Tensor, x: Tensor, root: Tensor, low: Tensor, high: Tensor, best: Tensor, stalled: Tensor
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            value, slope = value_and_slope(x)
            size = value.abs()
            low = torch.where(value < 0, x, low)
            high = torch.where(value > 0, x, high)
            newton, middle = x - value / slope, (low + high) / 2
            # Occasional bisections bound the number of steps for any shape of f.
            inside = (newton >= low) & (newton <= high) & ((step < 8) | (step % 2 == 0))
            moved = torch.where(inside, newton, middle)
            # At the root the value is rounding noise: stop after two small steps in a row that do not halve it.
            small = (newton - x).abs() <= eps**0.5 * x.abs() + 16 * eps * (high - low)
            stalled = torch.where(small & (size > 0.5 * best), stalled + 1, 0)
            root, best = torch.where(size < best, x, root), torch.minimum(best, size)
            unmoved = (moved - x).abs() <= 4 * eps * torch.maximum(x.abs(), tiny)
            settled = (best == 0) | (stalled >= 2) | unmoved
            return ~settled.all(), (step + 1, torch.where(settled, x, moved), root, low, high, best, stalled)

        begin = torch.zeros((), dtype=x.dtype), x, x, low, high, torch.full_like(x, torch.inf), torch.zeros_like(x)
        x = repeat(step_on, begin, max_steps)[2]
    if torch.is_grad_enabled():
        # Newton's step at the root: its value is zero, its derivative the implicit function theorem's.
        # The second step does the same for second derivatives.
        for _ in range(2):
            value, slope = value_and_slope(x)
            newton = value / slope
            x = x - (newton - newton.detach())
    return x


def repeat(
    body: Callable[..., tuple[Tensor, Sequence[Tensor]]], state: Sequence[Tensor], most: int
) -> Sequence[Tensor]:
    """Return the state after ``more, state = body(*state)``, repeated while ``more``, a bool (), is True.

    Under vmap, where values cannot be read, it is repeated ``most`` times. A ``TorchFunctionMode`` can take over the
    whole loop, such as one that records it.
    """
    if has_torch_function(tuple(state)):
        return handle_torch_function(repeat, tuple(state), body, state, most)
    for _ in range(most):
        more, state = body(*state)
        if not _is_true(more):
            break
    return state


def _is_true(more: Any) -> bool:
    try:
        return bool(more)
    except RuntimeError:  # under vmap
        return True
