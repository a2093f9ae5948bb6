"""Flows of the course that zuko 1.6.0 has, too: the same function at the same parameters."""

import pytest
import torch
from zuko.transforms import MonotonicRQSTransform

from nfteach.flows import rational_quadratic, rational_quadratic_inverse
from tests.peers.numerics import points


@pytest.mark.parametrize("bins", [2, 8, 20])
def test_spline_is_that_of_zuko_through_the_same_knots(bins):
    raw = 3 * points(4000, 3 * bins - 1).double()
    theirs = MonotonicRQSTransform(*raw.split([bins, bins, bins - 1], -1), bound=3.0)
    knots = theirs.horizontal, theirs.vertical, theirs.derivatives
    x = 2 * points(4000, seed=1).double()
    assert 0.05 < (x.abs() > 3).double().mean() < 0.5
    y, ladj = rational_quadratic(x, *knots)
    expected, claim = theirs.call_and_ladj(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ladj, claim, rtol=0, atol=1e-10)
    torch.testing.assert_close(rational_quadratic_inverse(x, *knots)[0], theirs.inv(x), rtol=0, atol=1e-11)
