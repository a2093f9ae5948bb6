"""inspect_jacobian on torch's transforms, on modules and on functions: right values, and every mistake by its code."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import constraints
from torch.distributions import transforms as T

from nfteach.jacobian import ERRORS, NOTES, Finding, inspect_jacobian

# float64 arithmetic on well-conditioned maps: far above rounding, far below any mistake.
EXACT = 1e-9


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_jacobian(f, x):
    """J of f at one point (D,) by central differences: no autograd."""
    x, step = x.double(), 1e-6
    columns = []
    for j in range(len(x)):
        shift = torch.zeros_like(x)
        shift[j] = step
        columns.append((f(x + shift) - f(x - shift)) / (2 * step))
    return torch.stack(columns, 1)


def codes(report):
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


class Affine(nn.Module):
    """y = A x + c with the log-det of choice; what others' flow layers look like."""

    def __init__(self, A, log_det=None):
        super().__init__()
        self.A = nn.Parameter(A.clone())
        self.c = nn.Parameter(torch.ones(len(A)))
        self.log_det = log_det or (lambda A, x: torch.slogdet(A).logabsdet.expand(len(x)))

    def forward(self, x):
        return x @ self.A.T + self.c, self.log_det(self.A, x)

    def inverse(self, y):
        return torch.linalg.solve(self.A, (y - self.c).T).T, -torch.slogdet(self.A).logabsdet.expand(len(y))


A = torch.tensor([[2.0, 1.0, 0.0], [0.5, -3.0, 1.0], [1.0, 0.0, 1.5]])

TORCH = {
    "affine": (
        T.AffineTransform(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, -1.0, 0.5])),
        points(6, 3),
        "diagonal",
    ),
    "affine, one event": (T.AffineTransform(0.0, 3.0, event_dim=1), points(6, 3), "diagonal"),
    "exp": (T.ExpTransform(), points(6, 3), "diagonal"),
    "log, on its domain only": (T.ExpTransform().inv, points(6, 3).exp(), "diagonal"),
    "logit": (T.SigmoidTransform().inv, torch.sigmoid(points(6, 3)), "diagonal"),
    "tanh": (T.TanhTransform(), points(6, 3), "diagonal"),
    "softplus": (T.SoftplusTransform(), points(6, 3), "diagonal"),
    "identity": (T.identity_transform, points(6, 3), "identity"),
    "composed": (T.ComposeTransform([T.ExpTransform(), T.AffineTransform(1.0, 2.0)]), points(6, 3), "diagonal"),
    "independent": (T.IndependentTransform(T.TanhTransform(), 1), points(6, 3), "diagonal"),
    "images": (T.IndependentTransform(T.TanhTransform(), 2), points(4, 2, 3), "diagonal"),
    "composed with an inverse": (
        T.ComposeTransform([T.ExpTransform(), T.TanhTransform().inv.inv]),
        points(6, 3),
        "diagonal",
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_transforms(name):
    transform, x, structure = TORCH[name]
    report = inspect_jacobian(transform, x).check()
    assert not codes(report)
    assert report.structure.name == structure
    flat = x.reshape(len(x), -1).double()
    for b in range(len(x)):
        J = slow_jacobian(lambda row: transform(row.reshape(x.shape[1:])).flatten(), flat[b])
        np.testing.assert_allclose(report.jacobian[b].numpy(), J.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(report.log_det_autograd, np.linalg.slogdet(report.jacobian.numpy())[1], atol=EXACT)
    np.testing.assert_allclose(report.log_det, report.log_det_autograd, atol=EXACT)
    assert report.inverse_error.max() < EXACT


def test_a_sound_module_passes_with_every_route_equal():
    report = inspect_jacobian(Affine(A), points(5, 3)).check()
    assert report.kind == "module"
    assert report.findings == ()
    assert report.sign.tolist() == [-1.0] * 5
    np.testing.assert_allclose(report.jacobian[0].numpy(), A.numpy(), atol=EXACT)
    np.testing.assert_allclose(report.condition_number.numpy(), np.linalg.cond(A.double().numpy()), rtol=1e-6)
    for values in (report.log_det, report.log_det_autograd, report.log_det_structure, -report.inverse.log_det):
        np.testing.assert_allclose(values.numpy(), math.log(8.75), atol=EXACT)


TRUE = math.log(8.75)  # |det A| by hand


@pytest.mark.parametrize(
    ("log_det", "code", "words"),
    [
        (lambda A, x: -torch.slogdet(A).logabsdet.expand(len(x)), "log-det-sign", "wrong sign"),
        (lambda A, x: torch.slogdet(A).logabsdet.expand(len(x)) + 0.7, "log-det-wrong", "same amount"),
        (lambda A, x: torch.det(A).abs().expand(len(x)), "log-det-wrong", "logarithm is missing"),
        (lambda A, x: A.diagonal().abs().log().sum().expand(len(x)), "log-det-wrong", "not triangular"),
        (lambda A, x: (torch.slogdet(A).logabsdet / 3).expand(len(x)), "log-det-wrong", "mean over the dimensions"),
        (lambda A, x: 2 * torch.slogdet(A).logabsdet.expand(len(x)), "log-det-wrong", "twice"),
        (lambda A, x: x.sum(1), "log-det-wrong", "at all 5 points"),
        (lambda A, x: (torch.slogdet(A).logabsdet / 3).expand(len(x), 3), "log-det-per-dimension", "Sum over"),
        (lambda A, x: (torch.slogdet(A).logabsdet / 3).expand(3), "log-det-per-dimension", "Sum over"),
        (lambda A, x: torch.slogdet(A).logabsdet * len(x), "log-det-summed-over-batch", "whole batch"),
        (lambda A, x: (torch.slogdet(A).logabsdet * len(x)).expand(len(x)), "log-det-summed-over-batch", "whole batch"),
        (lambda A, x: torch.zeros(len(x), 7), "log-det-wrong", "expected one value per sample"),
        (lambda A, x: torch.full((len(x),), torch.nan), "non-finite", "log_det"),
    ],
)
def test_a_wrong_log_det_is_called_by_its_name(log_det, code, words):
    report = inspect_jacobian(Affine(A, log_det), points(5, 3))
    assert codes(report) == {code}
    assert not report.ok
    assert words in report.findings[0].message
    with pytest.raises(AssertionError, match=code):
        report.check()


@pytest.mark.parametrize(
    "log_det",
    [
        lambda A, x: torch.slogdet(A).logabsdet.expand(len(x), 1),
        lambda A, x: torch.slogdet(A).logabsdet,
        lambda A, x: torch.slogdet(A).logabsdet.reshape(1),
        lambda A, x: torch.slogdet(A).logabsdet.item(),
        lambda A, x: np.float64(torch.slogdet(A).logabsdet.item()),
    ],
)
def test_a_log_det_may_come_in_many_shapes(log_det):
    layer = Affine(A, log_det)
    layer.requires_grad_(isinstance(log_det(A, points(5, 3)), torch.Tensor))
    report = inspect_jacobian(layer, points(5, 3)).check()
    assert report.log_det.shape == (5,)
    np.testing.assert_allclose(report.log_det.numpy(), TRUE, atol=1e-6)


def test_the_sum_over_a_batch_of_one_is_found_from_a_second_point():
    summed = Affine(A, lambda A, x: torch.slogdet(A).logabsdet * len(x))
    assert codes(inspect_jacobian(summed, points(1, 3))) == {"log-det-summed-over-batch"}
    inspect_jacobian(Affine(A, lambda A, x: torch.slogdet(A).logabsdet), points(1, 3)).check()


def test_a_fold_is_found_though_log_abs_det_agrees():
    class Fold(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :1] ** 2, x[:, 1:]], 1), (2 * x[:, 0]).abs().log()

    report = inspect_jacobian(Fold(), torch.tensor([[1.0, 0.0], [-2.0, 1.0]]))
    assert codes(report) == {"determinant-changes-sign", "inverse-missing"}
    assert report.sign.tolist() == [1.0, -1.0]
    words = " ".join(str(report).split())
    assert "det > 0 at x = (1, 0)" in words
    assert "det < 0 at x = (-2, 1)" in words


def test_a_flat_map_is_singular():
    flat = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    report = inspect_jacobian(lambda x: x @ flat.T, points(4, 2))
    assert codes(report) == {"singular"}


def test_a_constant_map_is_singular():
    report = inspect_jacobian(lambda x: torch.ones_like(x), points(4, 2))
    assert codes(report) == {"singular"}


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_scale_alone_is_not_singular(size):
    scale = size ** torch.linspace(0, 1, 20, dtype=torch.float64)
    report = inspect_jacobian(lambda x: x * scale, points(4, 20).double(), inverse=lambda y: y / scale)
    assert not codes(report)
    assert inspect_jacobian(lambda x: x * size, points(4, 50)).ok


def test_scales_apart_are_no_ill_condition():
    scale = torch.tensor([1.0, 1e-6, 1e6])
    assert not codes(inspect_jacobian(lambda x: x * scale, points(4, 3), inverse=lambda y: y / scale))


def test_ill_conditioned_is_a_note():
    report = inspect_jacobian(Affine(torch.tensor([[1.0, 1.0], [1.0, 1.0 + 3e-7]])), points(4, 2))
    # In float32 the inverse loses its digits.
    assert codes(report) == {"ill-conditioned", "low-precision"}
    assert report.ok


class Interleaved(nn.Module):
    """Splits even and odd, puts back in halves: right for D = 2 only, and its log-det is right always."""

    def forward(self, x):
        return torch.cat([x[:, ::2], x[:, 1::2] * 2], 1), torch.full((len(x),), x.shape[1] // 2 * math.log(2.0))

    def inverse(self, y):
        return torch.cat([y[:, ::2], y[:, 1::2] / 2], 1)


def test_an_inverse_that_is_wrong_beyond_two_dimensions():
    assert inspect_jacobian(Interleaved(), points(5, 2)).ok
    report = inspect_jacobian(Interleaved(), points(5, 4))
    assert codes(report) == {"inverse-wrong"}
    assert report.inverse_error.max() > 0.1


def test_the_inverse_has_a_log_det_of_its_own():
    class Slip(Affine):
        def inverse(self, y):
            x, ladj = super().inverse(y)
            return x, -ladj

    report = inspect_jacobian(Slip(A), points(5, 3))
    assert codes(report) == {"log-det-sign"}
    assert "of the inverse" in report.findings[0].message


def test_a_missing_inverse_is_a_note_and_a_cache_does_not_hide_it():
    class OneWay(T.Transform):
        domain = codomain = constraints.real_vector
        bijective = True

        def _call(self, x):
            return 2 * x

        def log_abs_det_jacobian(self, x, y):
            return torch.full(x.shape[:-1], x.shape[-1] * math.log(2.0))

    report = inspect_jacobian(OneWay(cache_size=1), points(4, 3))
    assert codes(report) == {"inverse-missing"}
    assert report.ok
    assert "NotImplementedError" in report.findings[0].message


class BatchNorm(nn.Module):
    """With batch statistics, and the log-det that treats them as constants."""

    def forward(self, x):
        var = x.var(0, unbiased=False)
        return (x - x.mean(0)) / var.sqrt(), (-0.5 * var.log()).sum().expand(len(x))


@pytest.mark.parametrize("B", [3, 5, 12])
def test_samples_that_talk_to_each_other(B):
    x = points(B, 3)
    report = inspect_jacobian(BatchNorm(), x)
    assert "samples-coupled" in codes(report)
    assert not report.ok
    # Each block is dy_b/dx_b with the other samples held still.
    module = BatchNorm()
    for b in range(B):

        def alone(row, b=b):
            batch = x.double().clone()
            batch[b] = row
            return module(batch)[0][b]

        np.testing.assert_allclose(report.jacobian[b].numpy(), slow_jacobian(alone, x[b]).numpy(), atol=1e-6)


def test_torch_batch_norm_is_coupled_in_training_and_not_in_eval():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3, affine=False)

        def forward(self, x):
            return self.norm(x), (-0.5 * (self.norm.running_var + 1e-5).log()).sum().expand(len(x))

    module = Norm()
    module(points(20, 3) * 2)
    assert "samples-coupled" in codes(inspect_jacobian(module, points(6, 3)))
    assert inspect_jacobian(module.eval(), points(6, 3)).ok


def test_noise_is_not_mistaken_for_coupling():
    report = inspect_jacobian(lambda x: x * 2 + torch.randn(len(x), 2), points(6, 2))
    assert "samples-coupled" not in codes(report)


def test_what_is_not_finite_is_reported_with_its_place():
    x = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [0.5, 1.0]])
    report = inspect_jacobian(lambda x: x.log(), x, log_det=lambda x: -x.log().sum(-1))
    assert codes(report) == {"non-finite"}
    assert report.findings[0].evidence["point"] == 2
    assert report.structure.name == "diagonal"
    assert "nan" in str(report)


def test_a_function_with_its_log_det_and_inverse_given():
    report = inspect_jacobian(torch.sinh, points(4, 3), log_det=lambda x: x.cosh().log().sum(-1), inverse=torch.asinh)
    assert report.check().findings == ()
    wrong = inspect_jacobian(torch.sinh, points(4, 3), log_det=lambda x: x.cosh().log().sum(-1), inverse=torch.sinh)
    assert codes(wrong) == {"inverse-wrong"}


def test_one_point_goes_to_a_function_as_one_point():
    def polar(x):
        assert x.dim() == 1
        return torch.stack([x[0] * torch.cos(x[1]), x[0] * torch.sin(x[1])])

    report = inspect_jacobian(polar, torch.tensor([2.0, 0.3]), log_det=lambda x: x[0].log())
    assert report.check().jacobian.shape == (1, 2, 2)
    assert report.sign.tolist() == [1.0]


def test_the_original_is_left_untouched():
    class Layer(Affine):
        def __init__(self):
            super().__init__(A)
            self.norm = nn.BatchNorm1d(3)
            self.calls = []
            self.plain = torch.ones(3)

        def forward(self, x):
            self.calls.append(1)
            self.norm(x)
            torch.rand(3)
            x.neg_()  # writes into what it is given
            y, ladj = super().forward(-x)
            return y * self.plain, ladj

    layer = Layer()
    layer.A.grad = torch.ones(3, 3)
    before, x = copy.deepcopy(layer.state_dict()), points(5, 3)
    kept, random = x.clone(), torch.get_rng_state()
    inspect_jacobian(layer, x).check()
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert torch.equal(layer.A.grad, torch.ones(3, 3))
    assert (layer.training, layer.calls, layer.A.dtype, layer.plain.dtype) == (True, [], torch.float32, torch.float32)
    assert torch.equal(x, kept)
    assert torch.equal(random, torch.get_rng_state())
    assert torch.get_default_dtype() == torch.float32


def test_a_function_of_a_module_is_copied_with_it():
    layer, x = Affine(A), points(5, 3)
    report = inspect_jacobian(lambda x: layer(x), x, inverse=layer.inverse).check()
    assert report.findings == ()  # float64: no low-precision note
    assert layer.A.dtype == torch.float32


def test_a_transform_made_of_parameters_with_a_history():
    loc = torch.zeros(3, requires_grad=True)
    report = inspect_jacobian(T.AffineTransform(loc * 2, (loc + 1) * 3), points(5, 3)).check()
    np.testing.assert_allclose(report.log_det.numpy(), 3 * math.log(3), atol=EXACT)
    assert loc.grad is None


def test_a_map_that_runs_in_float32_only():
    class Stubborn(nn.Module):
        def forward(self, x):
            scale = torch.tensor([2.0, 3.0]).to(torch.float32)
            return (x @ torch.diag(scale)), scale.log().sum().expand(len(x))

    report = inspect_jacobian(Stubborn(), points(5, 2))
    assert codes(report) == {"low-precision", "inverse-missing"}
    assert report.ok
    assert report.structure.name == "diagonal"


def test_hand_written_backward_that_takes_no_batch():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            if float(grad.abs().sum()) < 0:  # data-dependent: vmap cannot run this
                return grad
            return 3 * x**2 * grad

    report = inspect_jacobian(lambda x: Cube.apply(x), points(4, 3), log_det=lambda x: (3 * x**2).log().sum(-1))
    assert report.check().structure.name == "diagonal"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.ones(3, 2, dtype=torch.long), "try x.float()"),
        (torch.tensor(1.0), "shape"),
        (torch.tensor([[1.0, math.nan]]), "finite"),
        (torch.zeros(0, 2), "shape"),
    ],
)
def test_bad_points_are_refused_in_words(x, words):
    with pytest.raises(ValueError, match=words):
        inspect_jacobian(torch.exp, x)


def test_a_map_between_different_dimensions_has_no_determinant():
    with pytest.raises(ValueError, match="not square"):
        inspect_jacobian(T.StickBreakingTransform(), points(4, 3))


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ValueError, match="transform must be"):
        inspect_jacobian(3.0, points(4, 3))


def test_every_code_is_an_error_or_a_note():
    assert not ERRORS & NOTES
    assert {Finding(code, "").severity for code in ERRORS} == {"error"}
    assert {Finding(code, "").severity for code in NOTES} == {"note"}
    with pytest.raises(ValueError, match=r"code must be one of batch-size, changes-state, .* but is 'log-det-singn'"):
        Finding("log-det-singn", "misspelt")
