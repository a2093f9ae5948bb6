"""Two layers of zuko 1.6.0 are as exact as their tolerance, shown without the inspector."""

import torch
from zuko.transforms import UnconstrainedMonotonicTransform

from tests.peers.numerics import points
from tests.peers.registry.zuko import free_form


def test_solver_couples_samples():
    """The step depends on the other samples of the batch, and so y moves by about the tolerance."""
    torch.manual_seed(0)
    transform = free_form()
    x, others = points(1, 2), 10 * points(6, 2, seed=1)
    with torch.no_grad():
        moved = (transform(torch.cat([x, others]))[0] - transform(x)[0]).abs().max()
    assert 1e-8 < moved < 1e-3


def test_derivative_of_an_integral_is_not_that_of_its_quadrature():
    """backward and log-det take g(x), the derivative of the integral; the map is 32 points of it."""

    def g(u):
        return 1.001 + torch.sin(40 * u)  # turns 13 times before 2

    transform = UnconstrainedMonotonicTransform(g)
    x = torch.linspace(0.5, 4.0, 200, dtype=torch.float64, requires_grad=True)
    y = transform(x)
    (by_autograd,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(by_autograd, g(x))
    with torch.no_grad():
        by_differences = (transform(x + 1e-6) - transform(x - 1e-6)) / 2e-6
        exact = 1.001 * x + (1 - torch.cos(40 * x)) / 40
    smooth, rough = x < 1, x > 2.5
    torch.testing.assert_close(by_differences[smooth], g(x)[smooth], rtol=1e-4, atol=1e-4)
    assert (y - exact)[rough].abs().max() > 0.1
    assert (by_differences - g(x))[rough].abs().max() > 1.0
