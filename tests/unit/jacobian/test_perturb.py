"""`perturb=`: mistakes that cannot be seen at initial parameters are seen once these are moved."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions.transforms import AffineTransform

from nfteach.flows import AffineCoupling, Planar
from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.twin import with_parameters_moved


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """y = (I + W) x with W = 0 at first; its log-det takes the diagonal only, or all of W."""

    def __init__(self, right):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(3, 3))
        self.right = right

    def forward(self, x):
        J = torch.eye(3, dtype=x.dtype) + self.W
        log_det = torch.linalg.slogdet(J).logabsdet if self.right else J.diagonal().abs().log().sum()
        return x @ J.T, log_det.expand(len(x))

    def inverse(self, y):
        return torch.linalg.solve(torch.eye(3, dtype=y.dtype) + self.W, y.T).T


def test_a_mistake_that_the_initial_parameters_hide():
    x = points(5, 3)
    assert inspect_jacobian(Linear(right=False), x).findings == ()
    report = inspect_jacobian(Linear(right=False), x, perturb=0.5)
    assert [finding.code for finding in report.findings] == ["log-det-wrong"]
    assert report.findings[0].message.startswith("With moved parameters")
    assert report.findings[0].evidence["parameters moved by"] == 0.5
    assert not report.ok
    assert len(report.moved) == 8
    assert inspect_jacobian(Linear(right=True), x, perturb=0.5).findings == ()


def test_the_structure_is_that_of_the_moved_copies_too():
    x = points(5, 4)
    layer = AffineCoupling(torch.tensor([True, False, True, False]))
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    assert inspect_jacobian(layer, x).structure.name == "identity"
    report = inspect_jacobian(layer, x, perturb=0.5)
    assert report.structure.name == "coupling"
    assert report.structure.points == sum(copy.structure.points for copy in report.moved) + 8
    # What is shown is still the map that was given.
    np.testing.assert_array_equal(report.jacobian.numpy(), np.broadcast_to(np.eye(4), (5, 4, 4)))
    assert report.log_det_structure.abs().max() == 0
    assert "no error in 8 of 8 copies" in " ".join(str(report).split())


@pytest.mark.parametrize("constrained", [True, False])
def test_a_planar_layer_that_may_fold_is_found_out(constrained):
    layer = Planar(2, constrained=constrained)
    x = torch.cat([points(200, 2), torch.zeros(1, 2)])
    report = inspect_jacobian(layer, x, perturb=2.0)
    # Whether a copy folds at these points can be told from w.u alone; only the unconstrained ones do.
    assert ("determinant-changes-sign" in {f.code for f in report.findings}) is not constrained
    assert inspect_jacobian(layer, x).ok


def test_the_same_copies_each_time_and_nothing_touched():
    layer, x = Linear(right=True), points(5, 3)
    state, random = {k: v.clone() for k, v in layer.state_dict().items()}, torch.get_rng_state()
    first, second = (inspect_jacobian(layer, x, perturb=0.5) for _ in range(2))
    for a, b in zip(first.moved, second.moved, strict=True):
        assert torch.equal(a.jacobian, b.jacobian)
    assert not torch.equal(first.moved[0].jacobian, first.moved[1].jacobian)
    assert all(torch.equal(state[k], v) for k, v in layer.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_the_size_of_the_noise():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Parameter(torch.zeros(400, 900))
            self.large = nn.Parameter(torch.full((40000,), 10.0))
            self.fixed = nn.Parameter(torch.ones(5), requires_grad=False)
            self.register_buffer("buffer", torch.ones(5))
            self.order = torch.arange(5)

    (moved,) = with_parameters_moved(Two(), by=0.5, seed=0)
    assert moved.wide.std().item() == pytest.approx(0.5 / math.sqrt(900), rel=0.02)  # fan-in 900
    assert moved.large.std().item() == pytest.approx(0.5 * 10, rel=0.02)  # its own size
    assert moved.large.mean().item() == pytest.approx(10, abs=0.1)
    assert torch.equal(moved.fixed, torch.ones(5))
    assert torch.equal(moved.buffer, torch.ones(5))
    assert torch.equal(moved.order, torch.arange(5))


def test_nothing_to_move_is_said():
    report = inspect_jacobian(AffineTransform(torch.zeros(3), torch.ones(3)), points(4, 3), perturb=0.5)
    assert report.moved == ()
    assert "no parameters to move" in str(report)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan])
def test_perturb_must_be_positive(bad):
    with pytest.raises(ValueError, match="perturb must be a positive number"):
        inspect_jacobian(torch.exp, points(4, 3), perturb=bad)
