"""Faults that show only when a map is called otherwise: after other points, in other batches, from y, in its dtype."""

import json
import math
import re

import pytest
import torch
from torch import nn
from torch.distributions import Transform, constraints
from torch.distributions import transforms as T

from nfteach import inspect_jacobian
from nfteach.jacobian import inspect_layers
from nfteach.jacobian.compared import AGREES, DIFFERS, NAMES, UNCHECKED


def points(B=6, D=4, seed=0):
    return torch.randn(B, D, generator=torch.Generator().manual_seed(seed))


def codes(report):
    return {finding.code for finding in report.findings}


def result(report, name):
    return next(each.result for each in report.compared if each.name == name)


class Coupling(nn.Module):
    """A sound coupling layer of four dimensions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 4))

    def forward(self, x):
        s, t = self.net(x[:, :2]).chunk(2, -1)
        return torch.cat([x[:, :2], x[:, 2:] * s.exp() + t], 1), s.sum(-1)

    def inverse(self, y):
        s, t = self.net(y[:, :2]).chunk(2, -1)
        return torch.cat([y[:, :2], (y[:, 2:] - t) * (-s).exp()], 1)


# After other points.


class InverseFromMemory(Coupling):
    def forward(self, x):
        self.kept = self.net(x[:, :2]).chunk(2, -1)
        return super().forward(x)

    def inverse(self, y):
        s, t = self.kept
        return torch.cat([y[:, :2], (y[:, 2:] - t) * (-s).exp()], 1)


class LogDetFromMemory(Coupling):
    last = None

    def forward(self, x):
        y, log_det = super().forward(x)
        log_det, self.last = (log_det if self.last is None or len(self.last) != len(x) else self.last), log_det.detach()
        return y, log_det


class ShiftFromMemory(Coupling):
    """y is moved by the mean of the last batch; the first call has none."""

    last = 0.0

    def forward(self, x):
        y, log_det = super().forward(x)
        shift, self.last = self.last, x.detach().mean()
        return y + shift, log_det


class RunningSum(Coupling):
    """Adds its log-det to that of earlier calls."""

    total = 0.0

    def forward(self, x):
        y, log_det = super().forward(x)
        self.total = self.total + log_det.detach().mean()
        return y, log_det + self.total


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (InverseFromMemory, {"inverse-wrong"}),
        (LogDetFromMemory, {"log-det-wrong"}),
        (ShiftFromMemory, {"non-deterministic"}),
        (RunningSum, {"log-det-wrong"}),
    ],
)
def test_what_an_earlier_call_left_behind(layer, found):
    report = inspect_jacobian(layer(), points())
    assert found <= codes(report)
    assert not report
    assert inspect_jacobian(Coupling(), points(), perturb=0.5).findings == ()


# In other batches.


class Squeezed(Coupling):
    def forward(self, x):
        y, log_det = super().forward(x)
        return y.squeeze(), log_det


class DividedByTheBatch(Coupling):
    def forward(self, x):
        y, log_det = super().forward(x)
        return y, log_det - math.log(len(x)) + math.log(6)


class AloneOtherwise(Coupling):
    """Takes a batch of one for a single point, whose mean is over its dimensions."""

    def forward(self, x):
        y, log_det = super().forward(x)
        return y + (x.mean() if len(x) == 1 else 0), log_det


class RefusesOne(Coupling):
    def forward(self, x):
        if len(x) == 1:
            raise ValueError("expected more than one value")
        return super().forward(x)


class LogDetSqueezed(Coupling):
    def forward(self, x):
        y, log_det = super().forward(x)
        return y, log_det.squeeze()


class LogDetOfSixPoints(Coupling):
    """Adds a buffer that is as long as the batch: one point has six log-dets, and seven points have none."""

    def forward(self, x):
        y, log_det = super().forward(x)
        return y, log_det + torch.zeros(6)


class NaNAlone(Coupling):
    """Adds nothing but the spread of its batch, which one point does not have."""

    of_y = True

    def forward(self, x):
        y, log_det = super().forward(x)
        nothing = 0 * x.std(0) if len(x) > 1 else x.new_full((4,), torch.nan)
        return (y + nothing, log_det) if self.of_y else (y, log_det + nothing.sum())


class LogDetNaNAlone(NaNAlone):
    of_y = False


@pytest.mark.parametrize(
    "layer",
    [Squeezed, DividedByTheBatch, AloneOtherwise, LogDetSqueezed, LogDetOfSixPoints, NaNAlone, LogDetNaNAlone],
)
def test_another_number_of_points_gives_something_else(layer):
    report = inspect_jacobian(layer(), points())
    assert codes(report) - {"inverse-missing"} == {"batch-size"}
    assert result(report, "batch sizes") == DIFFERS
    assert not report.ok


def test_a_map_that_only_refuses_one_point_is_sound():
    report = inspect_jacobian(RefusesOne(), points())
    assert [(f.code, f.severity) for f in report.findings] == [("batch-size", "note")]
    assert report.ok
    assert "expected more than one value" in report.findings[0].message


@pytest.mark.parametrize("B", [1, 2])
def test_a_log_det_without_a_batch_is_found_from_one_point_and_from_two(B):
    assert codes(inspect_jacobian(LogDetSqueezed(), points(B))) == {"batch-size"}
    assert inspect_jacobian(Coupling(), points(B)).findings == ()


def counted(x):
    return x + 0.1 * torch.arange(len(x)).to(x).unsqueeze(1), 0.0


def repeated(x):
    scale = torch.tensor([0.5, 2.0]).to(x).repeat(len(x))[: len(x)]
    return x * scale.unsqueeze(1), x.shape[1] * scale.log()


def first_kept(x):
    return torch.cat([x[:1], 2 * x[1:]]), math.log(2) * x.shape[1] * (torch.arange(len(x)) > 0)


@pytest.mark.parametrize("f", [counted, repeated, first_kept])
@pytest.mark.parametrize("B", [1, 2, 5, 6])
def test_the_place_of_a_sample_in_its_batch_moves_its_image(f, B):
    report = inspect_jacobian(f, points(B))
    (finding,) = [each for each in report.findings if each.severity == "error"]
    assert finding.code == "samples-coupled"
    assert "its place in the batch" in finding.message
    assert "other batches give the same y" not in " ".join(str(report).split())


def test_a_row_of_context_belongs_to_its_sample_in_whatever_place():
    scale = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) + 0.5

    def conditional(x, context):
        return x * context, context.log().sum(-1)

    for B in (1, 2, 6):
        assert inspect_jacobian(conditional, points(B), context=scale[:B]).findings == ()
        closed = inspect_jacobian(lambda x, scale=scale[:B]: (x * scale.to(x), scale.log().sum(-1)), points(B))
        assert closed.findings == ()


@pytest.mark.parametrize("over", [torch.sum, torch.mean])
def test_one_number_for_a_batch_that_one_point_does_not_show(over):
    report = inspect_jacobian(lambda x: (x.sinh(), over(x.cosh().log().sum(-1))), points(1))
    assert codes(report) == {"log-det-summed-over-batch"}
    assert result(report, "batch sizes") == DIFFERS
    for sound in (lambda x: (x.sinh(), x.cosh().log().sum(-1)), lambda x: (2 * x, 4 * math.log(2))):
        report = inspect_jacobian(sound, points(1))
        assert report.findings == ()
        assert "the same y and log-det with 2 and 1 points" in str(report)


def test_what_was_not_claimed_or_not_alike_is_not_said_to_be_the_same():
    fixed = points().sum(1)
    for f in (lambda x: 2 * x, lambda x: (x.sinh(), x.sum()), lambda x: (2 * x, 4 * math.log(2) + 0 * fixed)):
        report = inspect_jacobian(f, points())
        assert "the same y with 1, 2, 5 and 6 points" in " ".join(str(report).split())


# The inverse, in other batches and circumstances.


class Inverse(Coupling):
    """A sound coupling layer whose inverse has its log-det."""

    def inverse(self, y):
        x = super().inverse(y)
        return x, -self.net(x[:, :2])[:, :2].sum(-1)


class ShapeKept(Inverse):
    def forward(self, x):
        self.shape = x.shape
        return super().forward(x)

    def inverse(self, y):
        x, log_det = super().inverse(y)
        return x.reshape(self.shape), log_det


class NeedsForward(Inverse):
    def forward(self, x):
        self.scale = 1.0
        return super().forward(x)

    def inverse(self, y):
        x, log_det = super().inverse(y)
        return self.scale * x, log_det


class RaisesForOne(Inverse):
    def inverse(self, y):
        if len(y) == 1:
            raise ValueError("expected more than one value")
        return super().inverse(y)


class BothRaiseForOne(RaisesForOne, RefusesOne):
    pass


class SqueezedX(Inverse):
    def inverse(self, y):
        x, log_det = super().inverse(y)
        return x.squeeze(), log_det


class SqueezedLogDet(Inverse):
    def inverse(self, y):
        x, log_det = super().inverse(y)
        return x, log_det.squeeze()


class Altered(Inverse):
    """Adds something to x or to the log-det of the inverse, for one y or under ``no_grad``."""

    of_x, alone, by = True, True, 0.5

    def inverse(self, y):
        x, log_det = super().inverse(y)
        more = self.by if (len(y) == 1 if self.alone else not torch.is_grad_enabled()) else 0.0
        return (x + more, log_det) if self.of_x else (x, log_det + more)


def altered(**how):
    return lambda: type("Altered", (Altered,), how)()


NAN = torch.nan


@pytest.mark.parametrize(
    ("layer", "found", "words"),
    [
        (Inverse, None, "both directions"),
        (ShapeKept, ("inverse-wrong", "error"), "after a call with another number of points, it raises: RuntimeError"),
        (NeedsForward, ("inverse-wrong", "error"), "before any call, it raises: AttributeError"),
        (RaisesForOne, ("batch-size", "note"), "With a batch of 1 point the inverse raises: ValueError: expected"),
        (BothRaiseForOne, ("batch-size", "note"), "With a batch of 1 point the map raises"),
        (SqueezedX, ("batch-size", "error"), "must return x of shape (1, 4), but returned the shape (4,)"),
        (SqueezedLogDet, ("batch-size", "error"), "the result of the inverse has another shape: that of the log-det"),
        (altered(), ("inverse-wrong", "error"), "The inverse of a point depends on the other points"),
        (altered(by=NAN), ("inverse-wrong", "error"), "The inverse of a point depends on the other points"),
        (altered(of_x=False), ("inverse-wrong", "error"), "The log-det of the inverse of a point depends on"),
        (altered(of_x=False, by=NAN), ("inverse-wrong", "error"), "The log-det of the inverse of a point depends on"),
        (altered(alone=False), ("inverse-wrong", "error"), "no_grad() the inverse leads the same y to another x"),
        (
            altered(alone=False, by=NAN),
            ("inverse-wrong", "error"),
            "no_grad() the inverse leads the same y to another x",
        ),
        (altered(alone=False, of_x=False), ("inverse-wrong", "error"), "leads the same y to another log-det"),
    ],
)
def test_an_inverse_that_answers_otherwise(layer, found, words):
    report = inspect_jacobian(layer(), points())
    assert [(each.code, each.severity) for each in report.findings] == ([] if found is None else [found])
    assert words in " ".join(str(report).split())
    assert report.ok is (found is None or found[1] == "note")


class GradientInside(Inverse):
    """Has no inverse and no log-det of it without a gradient."""

    def inverse(self, y):
        y.sum().backward()
        return super().inverse(y)


class NoLogDetWithoutGrad(Inverse):
    def inverse(self, y):
        x, log_det = super().inverse(y)
        return (x, log_det) if torch.is_grad_enabled() else x


class SetUpByFirstCall(Inverse):
    """Takes its shift from the first batch, as activation normalisation does: the inverse waits for that."""

    def __init__(self):
        super().__init__()
        self.shift, self.ready = nn.Parameter(torch.zeros(4)), False

    def forward(self, x):
        if not self.ready:
            self.shift.data, self.ready = x.detach().mean(0), True
        y, log_det = super().forward(x)
        return y + self.shift, log_det

    def inverse(self, y):
        if not self.ready:
            raise RuntimeError("call forward first")
        return super().inverse(y - self.shift)


class RemembersInVain(NeedsForward):
    """Keeps what it does not need."""

    scale = 1.0


class SlightlyCoupledBothWays(Inverse):
    """An adaptive solver's: what the other samples need moves y and x, and the log-dets, by a few millionths."""

    def forward(self, x):
        y, log_det = super().forward(x)
        return y + 4e-6 * x.square().mean(), log_det + 4e-6 * x.square().mean()

    def inverse(self, y):
        x, log_det = super().inverse(y)
        return x + 4e-6 * y.square().mean(), log_det + 4e-6 * y.square().mean()


@pytest.mark.parametrize(
    "layer", [GradientInside, NoLogDetWithoutGrad, SetUpByFirstCall, RemembersInVain, SlightlyCoupledBothWays]
)
def test_a_sound_inverse_may_need_a_gradient_or_a_first_call_or_a_solver(layer):
    report = inspect_jacobian(layer(), points())
    assert report.ok
    assert codes(report) <= {"changes-state", "samples-coupled"}
    assert result(report, "inverse") == AGREES


# From y.


def the_reason(report, name="both directions"):
    return next(each.words for each in report.compared if each.name == name and each.result == UNCHECKED)


@pytest.mark.parametrize(
    ("f", "inverse", "x", "reason"),
    [
        (torch.sinh, torch.asinh, points(1), "y are drawn like two or more images, but there are fewer"),
        (torch.sinh, None, points(), "no inverse is known"),
        (lambda x: x + torch.rand(1), lambda y: y, points(), "y changes from call to call, or with the other samples"),
        (lambda x: x.exp(), lambda y: [v.log() for v in y.tolist()], points(), "'list' object has no attribute 'log'"),
    ],
)
def test_why_y_to_x_to_y_was_not_tried(f, inverse, x, reason):
    assert reason in the_reason(inspect_jacobian(f, x, inverse=inverse))


def test_images_that_coincide_but_for_the_rounding_of_x():
    def cube(x):
        z = torch.view_as_complex(x.contiguous())
        return torch.view_as_real(z**3), (9 * z.abs() ** 4).log()

    x = points(3, 2)
    turned = torch.view_as_real(torch.view_as_complex(x) * complex(-0.5, 0.75**0.5))
    assert codes(inspect_jacobian(cube, torch.cat([x, turned]))) == {"not-one-to-one"}
    assert inspect_jacobian(cube, torch.cat([x, turned + 1e-4])).ok
    angles = points(4, 2).abs()
    wrap = lambda x: (torch.remainder(x, 2 * math.pi), 0.0)  # noqa: E731
    assert codes(inspect_jacobian(wrap, torch.cat([angles, angles + 2 * math.pi]))) == {"not-one-to-one"}
    assert inspect_jacobian(wrap, angles).ok


def test_images_that_coincide():
    def fold(x):  # the upper half of the plane twice
        radius, angle = x.norm(dim=1), 2 * torch.atan2(x[:, 1], x[:, 0])
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), torch.full((len(x),), math.log(2))

    report = inspect_jacobian(fold, points(5, 2))
    assert codes(report) == {"not-one-to-one"}
    assert (report.sign > 0).all()
    # Nor is a map that saturates a fold, nor one whose mirror images lie outside of the domain.
    far = torch.tensor([[20.0, -30.0], [40.0, 50.0]])
    assert "not-one-to-one" not in codes(inspect_jacobian(torch.tanh, far))
    assert inspect_jacobian(T.SigmoidTransform().inv, points(5, 2).sigmoid()).ok


@pytest.mark.parametrize(
    ("f", "inverse"),
    [
        (torch.tanh, torch.atanh),
        (torch.sigmoid, torch.logit),
        (lambda x: x / (1 + x.abs()), lambda y: y / (1 - y.abs())),
        (torch.tanh, lambda y: y.clamp(-0.9999, 0.9999).atanh()),
    ],
)
def test_a_map_that_does_not_reach_all_y_is_noted(f, inverse):
    report = inspect_jacobian(f, points(5, 3), inverse=inverse)
    assert "not-onto" in codes(report)
    assert report.ok
    assert "not-onto" not in codes(inspect_jacobian(torch.sinh, points(5, 3), inverse=torch.asinh))


class Declared(Transform):
    domain, codomain, bijective, sign = constraints.positive, constraints.positive, True, 1

    def _call(self, x):
        return x**2

    def _inverse(self, y):
        return y.sqrt()

    def log_abs_det_jacobian(self, x, y):
        return (2 * x).log()


@pytest.mark.parametrize(
    ("name", "value", "x"),
    [
        ("codomain", constraints.unit_interval, 1 + points().abs()),
        ("codomain", constraints.less_than(0.0), points().abs()),
        ("sign", -1, points().abs()),
        ("domain", constraints.unit_interval, 1 + points().abs()),
    ],
)
def test_a_transform_that_declares_what_is_not_so(name, value, x):
    assert inspect_jacobian(Declared(), x).ok
    wrong = type("Wrong", (Declared,), {name: value})()
    report = inspect_jacobian(wrong, x)
    assert codes(report) == {"declared-wrong"}
    assert f".{name} " in report.findings[0].message
    assert report.contradictions[0].attribute == name


class Doubled(Declared):
    domain = codomain = constraints.real

    def _call(self, x):
        return 2 * x

    def _inverse(self, y):
        return y / 2

    def log_abs_det_jacobian(self, x, y):
        return torch.full_like(x, math.log(2))


class DoubledWithin(Doubled):
    def _inverse(self, y):
        return (y / 2).clamp(-2, 2)


class TanhOntoReal(T.TanhTransform):
    codomain = constraints.real


class SigmoidOntoReal(T.SigmoidTransform):
    codomain = constraints.real


@pytest.mark.parametrize(
    ("transform", "code"),
    [
        (Doubled, None),
        (DoubledWithin, "inverse-limited"),
        (TanhOntoReal, "declared-wrong"),
        (SigmoidOntoReal, "declared-wrong"),
    ],
)
def test_a_transform_is_asked_for_y_in_its_codomain(transform, code):
    report = inspect_jacobian(transform(), points().clamp(-1.9, 1.9))
    assert codes(report) == ({code} if code else set())
    assert result(report, "both directions") == {None: AGREES, "declared-wrong": DIFFERS}.get(code, UNCHECKED)


def test_a_search_that_ends_early_is_no_limited_inverse():
    """Bisection leaves 1e-6 in x, and 1e-4 in y where the map is steep."""

    def bisected(y):
        return torch.asinh(y).mul(1e6).round().div(1e6)

    x = 4 * points(8)
    report = inspect_jacobian(torch.sinh, x, inverse=bisected)
    assert codes(report) & {"inverse-limited", "not-onto"} == set()


NORMAL = torch.distributions.Normal(0.0, 1.0)
SQUASHED = T.ComposeTransform([T.AffineTransform(0.5, 3.0), T.TanhTransform(), T.AffineTransform(0.0, 2.0)])


@pytest.mark.parametrize(
    "transform",
    [
        T.TanhTransform(),
        T.SigmoidTransform(),
        T.ExpTransform(),
        T.SoftplusTransform(),
        T.CumulativeDistributionTransform(NORMAL),
        T.AffineTransform(1.0, -2.0),
        SQUASHED,
        T.IndependentTransform(SQUASHED, 1),
        T.CatTransform([SQUASHED, T.ExpTransform()], dim=1, lengths=[2, 2]),
        T.StackTransform([T.ExpTransform(), T.TanhTransform(), T.SigmoidTransform(), SQUASHED], dim=1),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_transforms_of_torch_return_from_their_codomain(transform, inverted):
    x = 0.3 * points(24)
    report = inspect_jacobian(transform.inv, transform(x)) if inverted else inspect_jacobian(transform, x)
    assert report.ok
    assert codes(report) <= {"low-precision", "ill-conditioned"}
    assert result(report, "both directions") == AGREES


def test_a_domain_that_is_too_wide():
    class Wide(Declared):
        domain = constraints.real

        def _call(self, x):
            return x.sqrt() ** 4

    assert "declared-wrong" in codes(inspect_jacobian(Wide(), 0.1 * points().abs()))


# In its own dtype.


class BFloat(nn.Module):
    """Scales of very different size, whose logarithms bfloat16 rounds."""

    def __init__(self, D=64):
        super().__init__()
        torch.manual_seed(0)
        self.scale = nn.Parameter((8 * torch.randn(D)).to(torch.bfloat16))

    def forward(self, x):
        return x * self.scale.exp(), self.scale.exp().log().sum().expand(len(x)) + 100 * x.sum(-1) - 100 * x.sum(-1)

    def inverse(self, y):
        return y / self.scale.exp()


@pytest.mark.parametrize(
    ("f", "x", "words"),
    [
        (T.TanhTransform(), torch.tensor([[0.1, 9.5], [12.0, 1.0]]), "x -> y -> x is infinite"),
        (T.ExpTransform(), torch.tensor([[0.1, -120.0], [1.0, 1.0]]), "infinite"),
        (BFloat(), points(5, 64).to(torch.bfloat16), "the log-det is off by up to"),
    ],
)
def test_what_is_lost_in_the_own_dtype_is_noted_with_its_size(f, x, words):
    report = inspect_jacobian(f, x)
    (note,) = [finding for finding in report.findings if finding.code == "low-precision"]
    assert words in note.message
    assert report.ok
    assert "low-precision" not in codes(inspect_jacobian(f, x.double() / 10))


def test_the_own_dtype_is_always_compared():
    report = inspect_jacobian(Coupling(), points())
    words = {each.name: each.words for each in report.compared}["own dtype"]
    assert words.startswith("float32: x -> y -> x within 1e-")
    assert "nats" in words
    assert result(inspect_jacobian(Coupling().double(), points()), "own dtype") == UNCHECKED


# One fault does not hide another.


class SlightlyCoupled(Coupling):
    """An adaptive solver's: what other samples need moves y by a few millionths."""

    sign = 1

    def forward(self, x):
        y, log_det = super().forward(x)
        return y + 4e-6 * x.square().mean(), self.sign * log_det


def test_a_slight_coupling_does_not_hide_a_wrong_log_det():
    sound = inspect_jacobian(SlightlyCoupled(), points())
    assert ("samples-coupled", "note") in [(finding.code, finding.severity) for finding in sound.findings]
    assert sound.ok
    wrong = SlightlyCoupled()
    wrong.sign = -1
    assert "log-det-sign" in codes(inspect_jacobian(wrong, points()))


def test_a_singular_jacobian_has_no_log_det_to_compare():
    def flat(x):
        return x - x.mean(1, keepdim=True), torch.full((len(x),), 9.0)

    report = inspect_jacobian(flat, points())
    assert codes(report) == {"singular"}
    assert "rank 3 of 4" in report.findings[0].message
    assert "coordinates=" in report.findings[0].message
    assert result(report, "log-det") == UNCHECKED


# What is said of it.


def test_numbers_that_differ_are_printed_differently_with_their_gap():
    def squash(x):
        return x.tanh(), (1 - x.tanh() ** 2 + 1e-6).log().sum(-1)

    (finding,) = [f for f in inspect_jacobian(squash, 0.5 * points(16, 3)).findings if f.code == "log-det-wrong"]
    assert finding.evidence["claimed"] != finding.evidence["by J"]
    assert 1e-6 < finding.gap < 1e-4
    assert "close to" in finding.message
    assert "same amount" not in finding.message


def test_logdet_of_a_negative_determinant_is_named():
    matrix = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    report = inspect_jacobian(lambda x: (x @ matrix.to(x), torch.logdet(matrix.to(x)).expand(len(x))), points(4, 2))
    assert "torch.logdet gives NaN" in report.findings[0].message


def test_nan_of_autograd_is_not_nan_of_the_map():
    def f(x):
        return x + torch.where(x > 99, (0 * x).sqrt(), 0 * x), 0.0

    report = inspect_jacobian(f, points(4, 2))
    assert codes(report) == {"gradient-cut"}
    assert "torch.where" in report.findings[0].message
    assert report.jacobian.isfinite().all()


# The report in tests.


def test_require_ignore_and_tolerances():
    report = inspect_jacobian(torch.sinh, points())
    assert [each.name for each in report.compared] == list(NAMES)
    assert report.check() is report
    with pytest.raises(AssertionError, match="log-det was not compared: the map claims no log-det"):
        report.check(require=("log-det",))
    wrong = inspect_jacobian(lambda x: (x.sinh(), x.cosh().log().sum(-1) + 1e-3), points())
    with pytest.raises(AssertionError, match="log-det-wrong"):
        wrong.check(atol=1e-4)
    assert wrong.check(atol=2e-3) is wrong
    assert wrong.check(ignore=("log-det-wrong",)) is wrong
    assert result(wrong, "log-det") == DIFFERS
    assert result(wrong, "derivative") == AGREES
    for bad in ({"require": ("logdet",)}, {"ignore": "log-det-wrong"}, {"atol": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            report.check(**bad)


def test_a_report_as_data_survives_json():
    report = inspect_jacobian(Coupling(), points(), perturb=0.5)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is True
    assert {each["name"] for each in data["compared"]} == set(NAMES)


# Coordinates.


def test_a_subspace_by_basis_and_by_functions():
    def centred(x):
        x = x - x.mean(1, keepdim=True)
        return 1.7 * x, torch.full((len(x),), 3 * math.log(1.7))

    x = points() - points().mean(1, keepdim=True)
    basis = torch.linalg.svd(torch.eye(4) - 0.25)[0][:, :3]
    functions = (lambda x: x[:, :3], lambda v: torch.cat([v, -v.sum(1, keepdim=True)], 1))
    for coordinates in (basis, functions):
        report = inspect_jacobian(centred, x, coordinates=coordinates)
        assert report.ok
        assert report.dim == 3
    wrong = inspect_jacobian(lambda x: (centred(x)[0], centred(x)[1] * 4 / 3), x, coordinates=basis)
    assert codes(wrong) == {"log-det-wrong"}


def test_a_simplex_and_correlation_matrices():
    x = points(5, 3)
    i, j = torch.tril_indices(3, 3, -1)
    for transform, to_vector in (
        (T.StickBreakingTransform(), lambda y: y[:, :-1]),
        (T.CorrCholeskyTransform(), lambda y: y[:, i, j]),
    ):
        assert inspect_jacobian(transform, x, coordinates=(to_vector, None)).ok
        with pytest.raises(ValueError, match="coordinates"):
            inspect_jacobian(transform, x)


def test_where_an_inverse_is_rounded_to_the_edge_the_codomain_is_none_too_wide():
    edge = 1 - 1e-7  # the y that are drawn reach so far that tanh rounds to 1
    x = torch.tensor([[edge, -edge], [-edge, 0.3], [0.2, edge]], dtype=torch.float64)
    report = inspect_jacobian(T.TanhTransform().inv, x).check(require=["both directions"])
    assert codes(report) == set()


SIMPLEX = (lambda y: y[:, :-1], lambda v: torch.cat([v, 1 - v.sum(1, keepdim=True)], 1))


class WrongInverse(T.StickBreakingTransform):
    def _inverse(self, y):
        return 1.1 * T.StickBreakingTransform().inv(y)


def test_one_of_x_and_y_may_consist_of_vectors_already():
    x, y = points(5, 3), torch.softmax(points(5, 4), 1)
    for transform, at in ((T.StickBreakingTransform(), x), (T.StickBreakingTransform().inv, y)):
        report = inspect_jacobian(transform, at, coordinates=SIMPLEX).check(require=("log-det", "inverse"))
        assert report.dim == 3
    assert codes(inspect_jacobian(WrongInverse(), x, coordinates=SIMPLEX)) == {"inverse-wrong"}


def test_a_map_that_leaves_the_space_of_its_coordinates():
    x = torch.softmax(points(5, 3), 1)

    def stretched(x, normed):
        y = x * torch.tensor([1.0, 2.0, 0.5]).to(x)
        return y / y.sum(1, keepdim=True) if normed else y

    for normed in (True, False):
        report = inspect_jacobian(lambda x, normed=normed: stretched(x, normed), x, coordinates=SIMPLEX)
        assert ("declared-wrong" in codes(report)) != normed
    assert "y leaves the space that coordinates describe" in report.findings[0].message


def test_a_map_to_more_dimensions_by_its_volume():
    W = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))

    def f(x, factor=0.5):
        return x @ W.to(x), factor * torch.logdet(W.to(x) @ W.T.to(x)).expand(len(x))

    x = points(5, 3)
    assert inspect_jacobian(f, x, coordinates="volume", inverse=lambda y: y @ torch.linalg.pinv(W.to(y))).ok
    assert codes(inspect_jacobian(lambda x: f(x, 1.0), x, coordinates="volume")) == {"log-det-wrong"}


class Padded(nn.Module):
    """Appends zeros to vectors, or frames pictures with them."""

    def __init__(self, *widths, log_det=0.0):
        super().__init__()
        self.widths, self.log_det = widths, log_det

    def forward(self, x):
        return nn.functional.pad(x, self.widths), torch.full((len(x),), self.log_det)


class PaddedBothWays(Padded):
    def inverse(self, y):
        return nn.functional.pad(y, [-width for width in self.widths])


CHANNEL = (0, 0, 0, 0, 0, 1)
PADDED = [((0, 1), (5, 3)), ((0, 7), (1, 3)), ((0, 2), (3,)), ((1, 1, 1, 1), (4, 1, 2, 2)), (CHANNEL, (4, 1, 2, 2))]


@pytest.mark.parametrize(("widths", "shape"), PADDED)
@pytest.mark.parametrize("kind", [Padded, PaddedBothWays])
def test_layers_that_append_zeros_are_told_of_the_volume(kind, widths, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    way_out = r'try inspect_jacobian with coordinates="volume"'
    with pytest.raises(ValueError, match=way_out):
        inspect_jacobian(kind(*widths), x)
    stack = inspect_layers([nn.Identity(), kind(*widths)], x)
    assert not stack.ok
    assert re.search(way_out, stack.stopped_by)
    report = inspect_jacobian(kind(*widths), x, coordinates="volume")
    assert codes(report) == (set() if kind is PaddedBothWays else {"inverse-missing"})
    assert result(report, "derivative") == result(report, "log-det") == AGREES
    assert "log-det-wrong" in codes(inspect_jacobian(kind(*widths, log_det=0.1), x, coordinates="volume"))


@pytest.mark.parametrize("coordinates", [None, "volume"])
def test_layers_that_drop_coordinates_are_told_of_the_way_out(coordinates):
    for f in (lambda x: (x[:, :-1], 0.0), PaddedBothWays(0, -1)):
        with pytest.raises(ValueError, match=r"return the coordinates that it drops .* coordinates=\(to_vector, "):
            inspect_jacobian(f, points(), coordinates=coordinates)
    plane = (lambda e: e[:, :3], lambda v: torch.cat([v, -v.sum(1, keepdim=True)], 1))
    x = points() - points().mean(1, keepdim=True)
    assert inspect_jacobian(lambda x: (x[:, :-1], 0.0), x, coordinates=plane).check().dim == 3


def test_zeros_appended_and_dropped_again_cancel():
    class Around(nn.Module):
        def __init__(self, log_det):
            super().__init__()
            self.s, self.log_det = nn.Parameter(torch.tensor([0.3, -0.2, 0.1, 0.4])), log_det

        def forward(self, x):
            y = nn.functional.pad(x, (0, 1)) * self.s.exp()
            return y[:, :3], self.s[: self.log_det].sum().expand(len(x))

        def inverse(self, y):
            return y * (-self.s[:3]).exp()

    assert inspect_jacobian(Around(3), points(5, 3)).findings == ()
    assert codes(inspect_jacobian(Around(4), points(5, 3))) == {"log-det-wrong"}


@pytest.mark.parametrize(
    "bad", ["area", 3, torch.eye(3), (1, 2), (lambda x: 2 * x, lambda v: v), (lambda x: x.nope, abs)]
)
def test_coordinates_that_do_not_fit(bad):
    with pytest.raises(ValueError, match="coordinates"):
        inspect_jacobian(torch.sinh, points(), coordinates=bad)


# Many dimensions.


@pytest.mark.parametrize("sign", [1, -1])
def test_many_dimensions_are_looked_at_in_a_block(sign):
    D = 1200

    def f(x):
        scale = torch.tanh(x[:, :1]).expand(-1, D // 2)
        return torch.cat([x[:, : D // 2], x[:, D // 2 :] * scale.exp()], 1), sign * scale.sum(-1)

    report = inspect_jacobian(f, points(3, D))
    assert report.block is not None
    assert report.structure.name == "coupling"
    assert "a block of" in str(report)
    assert codes(report) == (set() if sign > 0 else {"log-det-sign"})
    detached = inspect_jacobian(lambda x: (x + x.roll(1, 1).detach().sin(), 0.0), points(3, D))
    assert codes(detached) & {"gradient-cut", "gradient-wrong"}
    assert result(detached, "derivative") == DIFFERS


def test_many_dimensions_without_a_gradient_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="transform must run with autograd above 1,000 dimensions"):
        inspect_jacobian(lambda x: torch.from_numpy(x.numpy() ** 3), points(3, 1200))
