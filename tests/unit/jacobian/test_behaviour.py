"""Whatever is wrong with a layer is reported, not crashed on; and the layer is left exactly as it was."""

import copy
import functools
import random

import numpy as np
import pytest
import torch
from torch import nn

from nfteach.jacobian import inspect_jacobian


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def codes(report):
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


class Shift(nn.Module):
    """y = 2 x + shift(x), for the subclasses to misbehave in."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))

    def shift(self, x):
        return self.weight

    def forward(self, x):
        return 2 * x + self.shift(x), x.new_full((len(x),), 3 * np.log(2))

    def inverse(self, y):
        return (y - self.shift(y)) / 2


class Raises(Shift):
    def shift(self, x):
        raise RuntimeError("the reactor is too hot")


class RaisesInTheInverse(Shift):
    def inverse(self, y):
        raise ZeroDivisionError("no way back")


class DrawsNoise(Shift):
    def shift(self, x):
        return torch.randn(3)


class DrawsNumpyNoise(Shift):
    def shift(self, x):
        return torch.as_tensor(np.random.rand(3))  # noqa: NPY002


class DrawsPythonNoise(Shift):
    def shift(self, x):
        return random.random()


class HasItsOwnGenerator(Shift):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(5)

    def shift(self, x):
        return torch.rand(3, generator=self.generator)


class Drifts(Shift):
    """Its answer depends on how often it was called."""

    def shift(self, x):
        self.calls += 1
        return self.calls


class Counts(Shift):
    """Counts its calls; its answer stays."""

    def shift(self, x):
        self.calls += 1
        return self.weight


class SetsItselfUp(Shift):
    """The first call sets the shift from the data, as activation normalisation does."""

    ready = False

    def shift(self, x):
        if not self.ready:
            self.ready = True
            self.weight.data = -x.mean(0)
        return self.weight


class OnlyBatches(Shift):
    def forward(self, x):
        assert len(x) > 1, "a batch of one has no variance"
        return super().forward(x)


class OnlyFloat32(Shift):
    def forward(self, x):
        return super().forward(x @ torch.eye(3))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Shift(), set()),
        (Raises(), {"raises"}),
        (RaisesInTheInverse(), {"inverse-missing"}),
        (DrawsNoise(), {"non-deterministic"}),
        (DrawsNumpyNoise(), {"non-deterministic"}),
        (DrawsPythonNoise(), {"non-deterministic"}),
        (HasItsOwnGenerator(), {"non-deterministic"}),
        (Drifts(), {"non-deterministic"}),
        (Counts(), {"changes-state"}),
        (SetsItselfUp(), {"changes-state"}),
        (OnlyFloat32(), {"low-precision"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
@pytest.mark.parametrize("B", [1, 5])
def test_misbehaviour_is_reported_and_the_layer_left_alone(layer, expected, B):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    layer.weight.grad = torch.full((3,), 7.0)
    layer.train()
    kept, flags = copy.deepcopy(layer.state_dict()), dict(vars(layer))
    own = layer.generator.get_state() if isinstance(layer, HasItsOwnGenerator) else None
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    x = points(B, 3)
    given = x.clone()

    report = inspect_jacobian(layer, x, perturb=0.5)

    assert codes(report) == expected
    assert isinstance(str(report), str)
    assert report._repr_html_().startswith("<style>")
    assert torch.equal(x, given)
    assert all(torch.equal(kept[name], value) for name, value in layer.state_dict().items())
    assert dict(vars(layer)) == flags
    assert layer.training
    assert torch.equal(layer.weight.grad, torch.full((3,), 7.0))
    assert layer.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1][1])  # noqa: NPY002
    assert random.getstate() == states[2]
    if own is not None:
        assert torch.equal(layer.generator.get_state(), own)


def test_what_raises_is_told_in_its_own_words():
    report = inspect_jacobian(Raises(), points(4, 3))
    assert "RuntimeError: the reactor is too hot" in " ".join(str(report).split())
    assert report.structure is None
    assert report.jacobian.shape == (4, 3, 3)
    assert report.jacobian.isnan().all()
    with pytest.raises(AssertionError, match="raises"):
        report.check()


def test_the_state_that_a_call_changes_is_named():
    assert "calls" in str(inspect_jacobian(Counts(), points(4, 3)).findings[0])
    assert "weight" in str(inspect_jacobian(SetsItselfUp(), points(4, 3)).findings[0])
    drifting = inspect_jacobian(Drifts(), points(4, 3)).findings[0]
    assert drifting.evidence["moved by"] == pytest.approx(2.0)


@pytest.mark.parametrize("x", [points(3), points(1, 3)])
def test_a_layer_that_refuses_a_batch_of_one(x):
    report = inspect_jacobian(OnlyBatches(), x)
    assert codes(report) == set()
    assert report.jacobian.shape == (1, 3, 3)
    assert report.log_det.shape == (1,)
    assert "refuses a batch of one" in str(report)


def test_a_function_of_one_point_is_given_one_point_at_a_time():
    def polar(x):
        r, angle, z = x  # fails, or means something else, for a batch
        return torch.stack([r * angle.cos(), r * angle.sin(), z])

    x = points(7, 3)
    report = inspect_jacobian(polar, x, log_det=lambda x: x[0].abs().log())
    assert report.ok is bool((x[:, 0] > 0).all() or (x[:, 0] < 0).all())
    assert "one point at a time" in str(report)
    np.testing.assert_allclose(report.log_det_jacobian.numpy(), x[:, 0].double().abs().log().numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("claim", "came_as", "layout"),
    [
        (lambda n: torch.full((n,), 1.0), "a tensor", "per sample"),
        (lambda n: torch.full((n, 1), 1.0), "a tensor", "per sample"),
        (lambda n: torch.tensor(1.0), "a tensor", "one number"),
        (lambda n: 1.0, "a Python float", "one number"),
        (lambda n: np.float32(1.0), "a NumPy float32", "one number"),
        (lambda n: np.ones(n), "a NumPy ndarray", "per sample"),
        (lambda n: [1.0] * n, "a Python list", "per sample"),
        (lambda n: torch.full((n, 2), 0.5), "a tensor", "per dimension"),
        (lambda n: torch.full((2,), 0.5), "a tensor", "per dimension"),
        (lambda n: "one", "a Python str", "unknown"),
    ],
)
def test_the_claim_comes_in_many_forms_and_the_report_says_which(claim, came_as, layout):
    scale = torch.tensor([1.0, np.e])
    report = inspect_jacobian(lambda x: x * scale, points(5, 2), log_det=lambda x: claim(len(x)))
    assert (report.claim.came_as, report.claim.layout) == (came_as, layout)
    if layout == "unknown":
        assert codes(report) == {"log-det-wrong"}
        assert report.log_det is None
        return
    np.testing.assert_allclose(report.log_det.numpy(), np.ones(5), atol=1e-6)
    assert codes(report) == ({"log-det-per-dimension"} if layout == "per dimension" else set())
    plain = layout in {"per sample", "one number"} and report.claim.shape == (5,)
    assert (came_as in str(report)) is not plain


def test_per_dimension_is_recognised_when_there_are_as_many_samples_as_dimensions():
    scale = torch.tensor([1.0, 2.0, 4.0])
    report = inspect_jacobian(lambda x: x * scale, points(3, 3), log_det=lambda x: scale.log())
    assert codes(report) == {"log-det-per-dimension"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_cuda_device():
    layer = Shift().cuda()
    report = inspect_jacobian(layer, points(5, 3).cuda(), perturb=0.5).check()
    assert report.findings == ()
    assert report.jacobian.device.type == report.x.device.type == "cpu"


class BecomesNaN(Shift):
    """Gives NaN for y or for the log-det, in later calls or under ``no_grad``."""

    def __init__(self, of_y, late):
        super().__init__()
        self.of_y, self.late, self.called = of_y, late, []

    def forward(self, x):
        y, log_det = super().forward(x)
        bad = bool(self.called) if self.late else not torch.is_grad_enabled()
        self.called.append(True)
        nothing = torch.nan if bad else 0.0
        return (y + nothing, log_det) if self.of_y else (y, log_det + nothing)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("of_y", [True, False])
def test_nan_in_place_of_a_number_is_infinitely_far(of_y, late):
    report = inspect_jacobian(BecomesNaN(of_y, late), points(5, 3))
    found = {finding.code for finding in report.findings if finding.severity == "error"}
    assert found == {"log-det-wrong" if late and not of_y else "non-deterministic"}
    assert "infinity" in str(report.findings[0])
    assert report.to_dict()["ok"] is False


def test_nan_in_every_call_is_one_value():
    x = points(5, 3)
    report = inspect_jacobian(lambda x: (x.log(), -x.log().sum(-1)), x)
    assert codes(report) == {"non-finite"}
    assert "other batches give the same y" in " ".join(str(report).split())


class EstimatesItsLogDet(Shift):
    """y is certain; its log-det is a random estimate with the right mean."""

    def forward(self, x):
        y, log_det = super().forward(x)
        return y, log_det + torch.randn(len(x))


class InverseInFloat32(Shift):
    def inverse(self, y):
        return (y - torch.zeros(1, 3) @ torch.eye(3) - (y @ torch.zeros(3, 3)) - self.weight) / 2


def test_a_log_det_that_is_drawn():
    report = inspect_jacobian(EstimatesItsLogDet(), points(6, 3))
    assert codes(report) == {"log-det-estimated"}
    assert report.ok
    assert "random estimate" in report.findings[0].message


def test_a_log_det_whose_mean_is_wrong():
    class Biased(EstimatesItsLogDet):
        def forward(self, x):
            y, log_det = super().forward(x)
            return y, log_det + 1

    report = inspect_jacobian(Biased(), points(6, 3))
    assert codes(report) == {"log-det-wrong"}
    assert "biased" in report.findings[0].message
    assert report.findings[0].gap == pytest.approx(1, abs=0.6)


@pytest.mark.parametrize("sign", [1, -1])
def test_noise_in_y_does_not_hide_a_wrong_log_det(sign):
    class Noisy(Shift):
        def forward(self, x):
            y, log_det = super().forward(x)
            drawn = 1 + torch.rand(3).to(x)
            return y * drawn, sign * (log_det + drawn.log().sum())

    report = inspect_jacobian(Noisy(), points(6, 3))
    compared = {name: result for name, result, _ in report.compared}
    assert ("log-det-sign" in codes(report)) == (sign < 0)
    assert compared["log-det"] == ("agrees" if sign > 0 else "differs")


def test_an_inverse_that_runs_in_float32_only():
    report = inspect_jacobian(InverseInFloat32(), points(6, 3))
    assert codes(report) == {"low-precision"}
    assert "inverse does not" in report.findings[0].message
    assert 0 <= float(report.inverse_error.max()) < 1e-5


def test_a_network_held_by_a_partial_is_copied_and_moved():
    class Lazy(torch.distributions.transforms.Transform):
        domain = codomain = torch.distributions.constraints.real_vector
        bijective = True

        def __init__(self, shift):
            super().__init__()
            self.shift = shift

        def _call(self, x):
            return x + self.shift(torch.ones(1, dtype=x.dtype))

        def _inverse(self, y):
            return y - self.shift(torch.ones(1, dtype=y.dtype))

        def log_abs_det_jacobian(self, x, y):
            return x.new_zeros(len(x))

    network = nn.Linear(1, 3)
    lazy = Lazy(functools.partial(lambda net, one: net(one), network))
    report = inspect_jacobian(lazy, points(5, 3), perturb=0.5)
    assert codes(report) == set()
    assert not torch.equal(report.moved[0].y, report.moved[1].y)
    assert network.weight.dtype == torch.float32


def test_an_image_layer_whose_images_have_another_shape_is_inverted():
    class Fold(nn.Module):
        def forward(self, x):
            return 2 * x.reshape(len(x), 4, 1, 2), torch.full((len(x),), 8 * np.log(2))

        def inverse(self, y):
            assert y.shape[1:] == (4, 1, 2)
            return y.reshape(len(y), 1, 2, 4) / 2

    assert inspect_jacobian(Fold(), points(3, 1, 2, 4)).findings == ()


class KeepsAMemo(Shift):
    """Keeps what its last call computed, as many layers do for the log-det: no state that matters."""

    def forward(self, x):
        y, log_det = super().forward(x)
        self._memo = log_det
        return y, log_det


class InverseCounts(Shift):
    def inverse(self, y):
        self.calls += 1
        return super().inverse(y)


def test_a_memo_is_no_state_and_the_inverse_may_change_some():
    assert codes(inspect_jacobian(KeepsAMemo(), points(4, 3))) == set()
    assert codes(inspect_jacobian(InverseCounts(), points(4, 3))) == {"changes-state"}


def test_a_drawn_log_det_is_no_matter_of_precision():
    class Large(EstimatesItsLogDet):
        def forward(self, x):
            y, log_det = super().forward(x)
            return y, log_det + 1000 * torch.randn(len(x))

    assert codes(inspect_jacobian(Large(), points(6, 3))) == {"log-det-estimated"}


def test_a_scripted_module_is_looked_at_too():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))

        def forward(self, x):
            return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    with pytest.warns(DeprecationWarning, match="script"):
        scripted = torch.jit.script(Scale())
    assert codes(inspect_jacobian(scripted, points(4, 3))) == {"inverse-missing"}
