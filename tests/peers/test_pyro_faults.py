"""The faults of Pyro 1.9.2, shown without the inspector: by autograd, by differences, by hand."""

import math

import pyro.distributions.transforms as P
import pytest
import torch
from pyro.nn import AutoRegressiveNN

from tests.peers.numerics import double_precision, inside, points, slow_jacobian


def log_det(transform, x):
    """Return log|det J| (B,) by central differences."""
    return torch.linalg.slogdet(slow_jacobian(transform, x)).logabsdet


def sylvester(size):
    """Return a layer whose R, S and b are normal with this standard deviation, in float64."""
    with double_precision():
        transform = P.Sylvester(5, count_transforms=1)
        for parameter in (transform.R_dense, transform.S_dense, transform.R_diag, transform.S_diag, transform.b):
            torch.nn.init.normal_(parameter, std=size)
    return transform


def claimed(transform, x):
    """Return log|det J| (B,) as the transform claims it."""
    with torch.no_grad():
        return transform.log_abs_det_jacobian(x, transform(x))


def test_sylvester_is_right_only_near_its_initial_parameters():
    """y = x + tanh(x B + b) A, rows as vectors, with A = Q R and B = S Q'. The paper's map takes A' and B'.

    The claim is the sum of log(1 + h' R_ii S_ii): the log-det of I + diag(h') S R, which is triangular, and to which
    the paper's map comes down since Q'Q = I. Here the factor next to diag(h') is Q S'R'Q', which is full.
    """
    x = points(500, 5).double()
    miss = {size: (claimed(t := sylvester(size), x) - log_det(t, x)).abs().max().item() for size in (0.01, 0.5, 1.0)}
    assert miss[0.01] < 1e-2
    assert miss[0.5] > 0.1
    assert miss[1.0] > 1.0
    # Transposed, as in the paper, the same parameters have the log-det that is claimed.
    transform = sylvester(1.0)
    Q, R, S = transform.Q(x), transform.R(), transform.S()

    def paper(z):
        return z + torch.tanh(z @ (S @ Q.T).T + transform.b) @ (Q @ R).T

    h = 1 - torch.tanh(x @ (S @ Q.T).T + transform.b) ** 2
    formula = torch.log1p(h * R.diagonal() * S.diagonal()).sum(1)
    torch.testing.assert_close(log_det(paper, x), formula, rtol=0, atol=1e-6)


def test_inverse_of_an_affine_autoregressive_runs_in_float32_only():
    transform = P.AffineAutoregressive(AutoRegressiveNN(5, [16])).double()
    y = transform(points(3, 5).double()).clone()
    with pytest.raises(RuntimeError, match="same dtype"):
        transform.inv(y)


@pytest.mark.parametrize("make", [P.Planar, P.Radial, P.Sylvester, P.BlockAutoregressive], ids=lambda m: m.__name__)
def test_inverse_is_only_remembered(make):
    transform = make(5)
    x = points(3, 5)
    y = transform(x)
    assert transform.inv(y) is x
    with pytest.raises(KeyError, match="intermediates cache"):
        transform.inv(y.clone())


def test_neural_autoregressive_returns_the_log_det_of_its_last_call():
    """Its log_abs_det_jacobian(x, y) looks at neither x nor y. The inspector calls it in the right order."""
    torch.manual_seed(0)
    transform = P.NeuralAutoregressive(AutoRegressiveNN(5, [16], param_dims=[8, 8, 8]), 8)
    x, other = points(3, 5), 4 * points(3, 5, seed=1)
    y = transform(x)
    right = transform.log_abs_det_jacobian(x, y)
    of_the_other = transform.log_abs_det_jacobian(other, transform(other))
    assert torch.equal(transform.log_abs_det_jacobian(x, y), of_the_other)
    assert (right - of_the_other).abs().max() > 0.1


def test_matrix_exponential_has_nine_terms():
    """The claim, tr M, is the log-det of exp(M); the map is I + M + ... + M^8 / 8!."""
    torch.manual_seed(0)
    transform = P.MatrixExponential(5).double()
    with torch.no_grad():
        transform.weights.normal_()
    M = transform.weights.detach()
    nine = sum(torch.linalg.matrix_power(M, k) / math.factorial(k) for k in range(9))
    x = points(3, 5).double()
    torch.testing.assert_close(transform(x), x @ nine.T)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, None), M.trace())
    assert (torch.linalg.slogdet(nine).logabsdet - M.trace()).abs() > 1e-3
    assert (transform._inverse(transform(x)) - x).abs().max() > 1e-3


def test_inverse_of_elu_adds_a_little():
    """x = log(y + 1 + 1e-8): with y + 1 = exp(x) it comes back as x + log(1 + 1e-8 exp(-x))."""
    x = torch.tensor([-2.0, -6.0, -12.0, -20.0], dtype=torch.float64)
    transform = P.ELUTransform()
    miss = transform.inv(transform(x).clone()) - x
    torch.testing.assert_close(miss, torch.log1p(1e-8 * torch.exp(-x)), rtol=1e-5, atol=1e-9)
    assert miss[2] > 1e-3
    assert miss[3] > 1.0


def test_clipped_scales_keep_their_gradient():
    """clamp_preserve_gradients: the value is clipped, and autograd differentiates as if it were not."""
    torch.manual_seed(0)
    with double_precision():
        transform = P.affine_coupling(5, log_scale_max_clip=0.0)
    x = points(1, 5).double()
    by_autograd = torch.autograd.functional.jacobian(lambda row: transform(row.unsqueeze(0))[0], x[0])
    by_differences = slow_jacobian(transform, x)[0]
    assert (transform._cached_log_scale == 0).any(), "nothing was clipped here"
    assert (by_autograd - by_differences).abs().max() > 0.05
    # The determinant needs the diagonal only, and that is right.
    torch.testing.assert_close(by_autograd.diagonal(), by_differences.diagonal(), rtol=0, atol=1e-8)


def test_batch_norm_in_training_mode_has_the_log_det_of_another_map():
    with double_precision():
        transform = P.BatchNorm(5)
    x = 3.0 * points(50, 5).double()
    y = transform(x)
    true = slow_jacobian(transform, x)[0].diagonal().log()
    torch.testing.assert_close(true, torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-4)
    claim = transform.log_abs_det_jacobian(x, y).flatten()
    torch.testing.assert_close(claim, 0.5 * torch.log(y.var(0)).detach(), rtol=0, atol=1e-4)
    assert claim.min() > 0.9


def steep_spline(order):
    """Return a spline whose parameters are three times as large as the initial ones."""
    torch.manual_seed(1)
    spline = P.Spline(50, order=order)
    with torch.no_grad():
        for parameter in spline.parameters():
            parameter *= 3
    return spline


def test_inverse_of_a_spline_drifts_in_float32():
    """A hundred times as far as its slope explains, so that a float32 flow comes back somewhere else."""
    spline = steep_spline("linear")
    x = inside(-2.95, 2.95, 2000, 50)
    with torch.no_grad():
        y = spline(x)
        slope = spline.log_abs_det_jacobian(x, y).exp()
        miss = (spline._inverse(y) - x).abs()
        exact = (spline.double()._inverse(spline(x.double())) - x.double()).abs()
    explained = torch.finfo(torch.float32).eps * (x.abs() + y.abs() / slope)
    assert miss.max() > 0.1
    assert (miss / explained).max() > 50
    assert exact.max() < 1e-3


def test_spline_uses_each_bin_a_millionth_too_far():
    """The knots are moved up by 1e-6 to find the bin: just above one, the function of the bin before goes on."""
    spline = steep_spline("quadratic").double()
    with torch.no_grad():
        widths, heights, _, _ = spline._params()
        knots, levels = (
            6 * (0.001 + (1 - 0.008) * sizes).cumsum(1)[:, :-1].T - 3 + 5e-7 for sizes in (widths, heights)
        )
        y = spline(knots)
        assert spline.log_abs_det_jacobian(knots, y).isnan().any()
        with pytest.raises(AssertionError):
            spline._inverse(levels)
