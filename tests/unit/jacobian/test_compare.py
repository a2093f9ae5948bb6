"""Two reports side by side: what differs, where first, where most, and what is only rounding."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from torch import nn

from nfteach.flows import AffineCoupling, Planar, half_mask
from nfteach.jacobian import Comparison, inspect_jacobian
from tests.unit.jacobian.layer_zoo import Float32Only, Mix, points


def linear(A, x, **claims):
    return inspect_jacobian(lambda x: x @ torch.as_tensor(A).T.to(x.dtype), x, **claims)


def words(comparison):
    return " ".join(str(comparison).split())


A = torch.tensor([[2.0, 1.0, 0.0], [0.5, -3.0, 1.0], [1.0, 0.0, 1.5]])
X = points(6, 3)


def test_a_report_is_the_same_as_itself_and_as_a_second_look():
    report = linear(A, X)
    for other in (report, linear(A, X)):
        comparison = report.compare(other)
        assert isinstance(comparison, Comparison)
        assert comparison.same
        for gap in (comparison.y.gap, comparison.jacobian.gap, comparison.log_det.gap):
            assert gap.tolist() == [0.0] * 6
        assert comparison.structures == ("dense", "dense")
        assert comparison.only_in_report == comparison.only_in_other == ()
        assert "The same map at every point looked at" in words(comparison)
        assert repr(comparison) == "Comparison(lambda, lambda, points=6, the same)"


def test_the_gaps_are_those_by_hand():
    B = A + 0.1 * points(3, 3, seed=5)
    comparison = linear(A, X).compare(linear(B, X))
    x, a, b = X.double().numpy(), A.double().numpy(), B.double().numpy()
    np.testing.assert_allclose(comparison.y.gap, np.abs(x @ (a - b).T).max(1), rtol=1e-9)
    np.testing.assert_allclose(comparison.jacobian.gap, np.abs(a - b).max(), rtol=1e-9)
    apart = abs(np.linalg.slogdet(a)[1] - np.linalg.slogdet(b)[1])
    np.testing.assert_allclose(comparison.log_det.gap, apart, rtol=1e-9)
    i, j = np.unravel_index(np.abs(a - b).argmax(), (3, 3))
    assert comparison.jacobian.index == (i, j)
    np.testing.assert_allclose(comparison.jacobian.values, (a[i, j], b[i, j]))
    assert comparison.y.worst == np.abs(x @ (a - b).T).max(1).argmax()
    assert comparison.summary == "They are different maps: y, J and the log-det differ."
    assert not comparison.same


def test_what_differs_is_said_with_its_place():
    # The second map adds 0.25 x_3 to y_2 where x_1 > 1: at points 3 and 5 only, most in y at point 5.
    x = torch.tensor([[0.0, 1.0, 2.0], [0.5, 1.0, 2.0], [1.5, 1.0, 2.0], [0.2, 1.0, 2.0], [2.0, 1.0, 8.0]])

    def bumped(x):
        return x @ A.T.to(x.dtype) + torch.tensor([0.0, 0.25, 0.0]) * (x[:, :1] > 1) * x[:, 2:]

    comparison = linear(A, x).compare(inspect_jacobian(bumped, x))
    assert (comparison.y.first, comparison.y.worst, comparison.y.index) == (2, 4, (1,))
    assert (comparison.jacobian.first, comparison.jacobian.index) == (2, (1, 2))
    assert comparison.y.apart.tolist() == [False, False, True, False, True]
    text = words(comparison)
    assert "y differs at 2 of 5 points, first at point 3, most at point 5: y₂ = 6.0000 in A, 8.0000 in B" in text
    assert "first and most at point 3: entry (2, 3), dy₂/dx₃ = 1.0000 in A, 1.2500 in B" in text
    assert "dy₂/dx₃ 1.0000 1.2500 0.25" in text


def claims(sign):
    return {"log_det": lambda x: sign * x.cosh().log().sum(-1), "inverse": torch.asinh}


def test_a_broken_layer_beside_its_repaired_twin():
    right, wrong = inspect_jacobian(torch.sinh, X, **claims(1)), inspect_jacobian(torch.sinh, X, **claims(-1))
    comparison = right.compare(wrong)
    assert (comparison.y.same, comparison.jacobian.same, comparison.log_det.same) == (True, True, False)
    np.testing.assert_allclose(comparison.log_det.gap, 2 * X.double().cosh().log().sum(1), rtol=1e-9)
    assert comparison.only_in_report == ()
    assert [finding.code for finding in comparison.only_in_other] == ["log-det-sign"]
    assert comparison.summary == "y and J are the same; only the log-dets differ. B's is wrong: its own report says so."
    assert "A's is wrong" in wrong.compare(right).summary
    assert "Both are wrong" in wrong.compare(inspect_jacobian(torch.sinh, X, log_det=lambda x: x.sum(-1))).summary
    assert "only in B: ✗ [log-det-sign]" in words(comparison)
    twice = wrong.compare(inspect_jacobian(torch.sinh, X, **claims(-1)))
    assert twice.only_in_report == twice.only_in_other == ()
    assert "in both: ✗ [log-det-sign]" in words(twice)


def test_an_inverse_that_only_one_has_right_is_told_and_the_maps_are_the_same():
    right = inspect_jacobian(torch.sinh, X, **claims(1))
    wrong = inspect_jacobian(torch.sinh, X, **(claims(1) | {"inverse": torch.sinh}))
    comparison = right.compare(wrong)
    assert comparison.same
    assert [finding.code for finding in comparison.only_in_other] == ["inverse-wrong"]
    assert "Yet not all is found in both" in words(comparison)
    # Both have a wrong log-det, but one of the map and one of its inverse: these are two things.
    backwards = {"inverse": lambda y: (y.asinh(), y.asinh().cosh().log().sum(-1))}
    ours, theirs = (
        inspect_jacobian(torch.sinh, X, **(claims(1) | backwards)),
        inspect_jacobian(torch.sinh, X, **claims(-1)),
    )
    comparison = ours.compare(theirs)
    assert "of the inverse" in comparison.only_in_report[0].message
    assert "of the inverse" not in comparison.only_in_other[0].message


def test_a_shift_leaves_the_jacobian():
    comparison = linear(A, X).compare(inspect_jacobian(lambda x: x @ A.T.to(x.dtype) + 1, X))
    np.testing.assert_allclose(comparison.y.gap, 1.0)
    assert comparison.jacobian.same
    assert "J is the same, and so is the log-det; y differs: the maps are shifted." in words(comparison)


def test_maps_that_touch():
    x = torch.zeros(1, 2)
    comparison = inspect_jacobian(torch.sinh, x).compare(inspect_jacobian(lambda x: 2 * x, x))
    assert comparison.y.same
    assert "the maps touch there" in comparison.summary
    assert "J differs: entry (1, 1), dy₁/dx₁ = 1.0000 in A, 2.0000 in B" in words(comparison)


def test_maps_that_change_volume_alike():
    comparison = linear(torch.eye(3), X).compare(linear(torch.eye(3).flip(0), X))
    assert comparison.summary == "They are different maps: y and J differ. Both change volume alike all the same."
    assert comparison.structures == ("identity", "permutation")


def test_before_and_after_training():
    layer, x = Planar(3), points(5, 3)
    before = inspect_jacobian(layer, x)
    kept = before.jacobian.clone()
    with torch.no_grad():
        layer.w.add_(0.5)
    comparison = before.compare(inspect_jacobian(layer, x))
    assert not comparison.same
    assert torch.equal(comparison.report.jacobian, kept)
    assert torch.equal(comparison.jacobian.gap, (kept - comparison.other.jacobian).abs().amax((1, 2)))


class Slow(nn.Module):
    """The mask's coupling by a plain loop over the dimensions, as a reference is written."""

    def __init__(self, fast):
        super().__init__()
        self.fast = fast

    def forward(self, x):
        y, total = self.fast(x), torch.zeros(len(x), dtype=x.dtype)
        scale = torch.autograd.functional.jacobian(lambda x: self.fast(x).sum(0), x, create_graph=True)
        for i in range(x.shape[1]):
            total = total + scale[i, :, i].abs().log()
        return y, total


def test_a_fast_layer_beside_a_slow_reference():
    fast, x = AffineCoupling(half_mask(4), hidden=(8,)), points(6, 4)
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.add_(0.3 * points(*parameter.shape, seed=3))
    comparison = inspect_jacobian(fast, x).compare(inspect_jacobian(Slow(fast), x))
    assert comparison.same
    assert 0 <= comparison.log_det.gap.max() < 1e-9


@pytest.mark.parametrize(("by", "same"), [(1e-9, True), (1e-4, False)])
def test_rounding_is_no_difference(by, same):
    comparison = linear(A.double(), X).compare(linear(A.double() * (1 + by), X))
    assert comparison.same == same
    assert [difference.same for difference in comparison.differences] == [same] * 3


def test_what_float32_loses_is_no_difference():
    x = points(5, 3)
    comparison = inspect_jacobian(Float32Only(), x).compare(inspect_jacobian(lambda x: 2 * (1 + 1e-6) * x, x))
    assert comparison.same  # 1e-6 is far below what float32 tells apart after a few operations
    exact = inspect_jacobian(lambda x: 2 * x, x).compare(inspect_jacobian(lambda x: 2 * (1 + 1e-5) * x, x))
    assert not exact.same


def test_what_the_condition_number_enlarges_is_no_difference():
    # Hilbert's matrix has the condition 5e11: any float64 way of inverting it is off by about 1e-4, relatively.
    n = 9
    i = torch.arange(1, n + 1, dtype=torch.float64)
    hilbert = 1 / (i[:, None] + i - 1)
    inverse = torch.linalg.inv(hilbert)
    x = points(4, n, dtype=torch.float64)
    solved = inspect_jacobian(lambda x: torch.linalg.solve(hilbert, x.T).T, x)
    written = inspect_jacobian(lambda x: x @ (inverse * (1 + 1e-4)).T, x)
    comparison = solved.compare(written)
    assert comparison.jacobian.same
    assert comparison.log_det.same


def test_nan_in_both_is_the_same_and_in_one_is_not():
    x = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    log = inspect_jacobian(torch.log, x)
    assert log.compare(inspect_jacobian(torch.log, x)).same
    comparison = log.compare(inspect_jacobian(lambda x: x.abs().log(), x))
    assert comparison.y.apart.tolist() == [False, True]
    assert comparison.y.gap.tolist() == [0.0, np.inf]
    assert "y₁ = nan in A, 0 in B" in words(comparison)
    comparison._repr_html_()


def test_where_one_claims_nothing_its_own_log_det_stands_in():
    assert inspect_jacobian(torch.sinh, X).compare(inspect_jacobian(torch.sinh, X, **claims(1))).same
    comparison = inspect_jacobian(torch.sinh, X).compare(inspect_jacobian(torch.sinh, X, **claims(-1)))
    np.testing.assert_allclose(comparison.log_det.gap, 2 * X.double().cosh().log().sum(1), rtol=1e-9)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: linear(A, X + 0.5), r"other: it looked at other points \(point \d lies 0.5000 away .* the same x"),
        (lambda: linear(A, X[:4]), r"other: it looked at 4 points of 3 dimensions, this report at 6 points of 3"),
        (lambda: inspect_jacobian(torch.sinh, points(6, 2)), "6 points of 2 dimensions"),
        (lambda: Mix(3), "other must be a JacobianReport, .* but is a Mix"),
    ],
)
def test_other_points_are_refused_in_words(other, message):
    with pytest.raises(ValueError, match=message):
        linear(A, X).compare(other())


def raises(x):
    raise RuntimeError("not today")


def test_a_map_that_raises_is_compared_too():
    comparison = linear(A, X).compare(inspect_jacobian(raises, X))
    assert not comparison.same
    assert comparison.structures == ("dense", "unknown")
    assert comparison.summary == "B raised, so there is nothing to compare."
    assert "only in B: ✗ [raises]" in words(comparison)
    comparison._repr_html_()


@pytest.mark.parametrize("dim", [1, 2, 8, 9, 70])
def test_every_size_prints_and_draws(dim):
    B = torch.eye(dim) + 0.1 * points(dim, dim)
    x = points(2, dim)
    comparison = linear(torch.eye(dim), x).compare(linear(B, x))
    assert max(map(len, str(comparison).splitlines())) <= 96
    html = comparison._repr_html_()
    assert len(html) < 120_000
    assert html.count("<figure>") == 3
    for part in re.findall(r"<svg.*?</svg>|<table.*?</table>", html, re.S):
        ET.fromstring(part)
    same = linear(B, x).compare(linear(B, x))
    assert same._repr_html_().count("<figure>") == 1
    assert html == linear(torch.eye(dim), x).compare(linear(B, x))._repr_html_()


def test_html_escapes_names():
    def f(x):
        return 2 * x

    f.__name__ = "<script>"
    html = inspect_jacobian(f, X).compare(linear(A, X))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
