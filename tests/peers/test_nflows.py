"""Flows of the course that nflows 0.14 has, too: the same function at the same parameters."""

import math

import pytest
import torch
from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

from nfteach.flows import rational_quadratic, rational_quadratic_inverse, spline_knots
from tests.peers.numerics import points

BOUND = 3.0


@pytest.mark.parametrize("bins", [2, 8, 20])
def test_spline_is_that_of_nflows_at_the_same_parameters(bins):
    raw = 3 * points(4000, 3 * bins - 1).double()
    widths, heights, slopes = raw.split([bins, bins, bins - 1], -1)
    # nflows adds nothing to the slopes before its softplus: slope 1 is at log(e^(1 - least) - 1) there, at 0 here.
    theirs = (widths, heights, slopes + math.log(math.expm1(1 - 0.001)))
    least = {"min_bin_width": 0.01 / bins, "min_bin_height": 0.01 / bins, "min_derivative": 0.001}
    knots = spline_knots(widths, heights, slopes, BOUND)
    x = 2 * points(4000, seed=1).double()
    assert 0.05 < (x.abs() > BOUND).double().mean() < 0.5
    for ours, inverse in ((rational_quadratic, False), (rational_quadratic_inverse, True)):
        y, ladj = ours(x, *knots)
        expected, claim = unconstrained_rational_quadratic_spline(
            x, *theirs, inverse=inverse, tail_bound=BOUND, **least
        )
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-11)
        torch.testing.assert_close(ladj, claim, rtol=0, atol=1e-9)
