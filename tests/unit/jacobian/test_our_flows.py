"""The course's own flows under the microscope, at parameters far from where they start."""

import numpy as np
import pytest
import torch

from nfteach.flows import RNADE, AffineCoupling, Permutation, Planar, RealNVP, SplineCoupling, Stack
from nfteach.flows.realnvp import BatchNorm
from nfteach.jacobian import inspect_jacobian


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def wild(module, size=0.5, seed=1):
    """The module with every parameter moved at random."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=g))
    return module


def planar(u, w):
    layer = Planar(len(u))
    with torch.no_grad():
        layer.u.copy_(torch.tensor(u))
        layer.w.copy_(torch.tensor(w))
    return layer


SOUND = {
    "planar": (lambda: wild(Planar(2), 2.0), 2, "identity plus rank one"),
    "planar, D = 7": (lambda: wild(Planar(7)), 7, "identity plus rank one"),
    "planar, leaky ReLU": (lambda: wild(Planar(4, "leaky_relu")), 4, "identity plus rank one"),
    "planar along an axis": (lambda: planar([0.0, 1.0, 0.0], [0.0, 2.0, 0.0]), 3, "diagonal"),
    "planar run backwards": (lambda: wild(Planar(3)).inv, 3, "identity plus rank one"),
    "coupling": (lambda: wild(AffineCoupling(torch.tensor([True, True, False, False, False]))), 5, "coupling"),
    "coupling, alternating": (lambda: wild(AffineCoupling(torch.tensor([True, False] * 4))), 8, "coupling"),
    "coupling, additive": (lambda: wild(AffineCoupling(torch.tensor([True, False] * 2), additive=True)), 4, "coupling"),
    "coupling, splines": (lambda: wild(SplineCoupling(torch.tensor([True, False, True, False])), 0.1), 4, "coupling"),
    "coupling, new splines": (lambda: SplineCoupling(torch.tensor([True, False])), 2, "identity"),
    "RNADE": (lambda: wild(RNADE(5, 16)).as_flow(), 5, "lower triangular"),
    "RNADE, reversed": (lambda: wild(RNADE(4, 16, ordering=[3, 2, 1, 0])).as_flow(), 4, "upper triangular"),
    "RNADE, shuffled": (
        lambda: wild(RNADE(5, 16, ordering=[2, 0, 4, 1, 3])).as_flow(),
        5,
        "triangular up to a permutation",
    ),
    "permutation": (lambda: Permutation([2, 0, 3, 1]), 4, "permutation"),
    "batch norm in eval": (lambda: BatchNorm(3).eval(), 3, "diagonal"),
    "two couplings": (lambda: wild(RealNVP(2, layers=2)), 2, "dense"),
    "RealNVP": (lambda: wild(RealNVP(6, layers=4), 0.2), 6, "dense"),
    "planar stack": (lambda: wild(Stack(Planar(2), Planar(2), Planar(2)), 1.0), 2, "dense"),
    "two planars of seven": (lambda: wild(Stack(Planar(7), Planar(7))), 7, "identity plus rank r"),
    "three permutations": (lambda: Stack(*[Permutation([1, 2, 0])] * 3), 3, "identity"),
}


@pytest.mark.parametrize("name", SOUND)
def test_every_layer_is_sound_and_named(name):
    make, dim, structure = SOUND[name]
    report = inspect_jacobian(make(), points(12, dim)).check()
    assert report.findings == ()
    assert report.structure.name == structure
    for values in (report.log_det, report.log_det_structure, -report.inverse.log_det):
        np.testing.assert_allclose(values, np.linalg.slogdet(report.jacobian.numpy())[1], atol=1e-8)


def test_the_order_of_rnade_is_found():
    order = [2, 0, 4, 1, 3]
    report = inspect_jacobian(wild(RNADE(5, 32, ordering=order), 1.0).as_flow(), points(16, 5))
    assert list(report.structure.ordering) == order


def test_the_mask_of_a_coupling_is_found():
    mask = torch.tensor([False, True, True, False, True])
    structure = inspect_jacobian(wild(AffineCoupling(mask)), points(8, 5)).structure
    kept, changed = structure.blocks
    assert list(kept) == mask.nonzero().flatten().tolist()
    assert list(changed) == (~mask).nonzero().flatten().tolist()


def test_a_planar_layer_without_its_constraint_folds():
    layer = Planar(2, constrained=False)
    with torch.no_grad():
        layer.w.copy_(torch.tensor([2.0, 0.0]))
        layer.u.copy_(torch.tensor([-2.0, 1.0]))
    report = inspect_jacobian(layer, torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
    codes = {finding.code for finding in report.findings}
    assert "determinant-changes-sign" in codes
    assert not codes & {"log-det-wrong", "log-det-sign"}  # log|det| agrees all the same


def test_batch_norm_in_training_couples_the_samples():
    report = inspect_jacobian(BatchNorm(3).train(), points(8, 3))
    assert "samples-coupled" in {finding.code for finding in report.findings}


def test_terms_belong_to_their_point():
    # Three points in three dimensions: the vector of parameters u_hat must not be taken for three points.
    layer, x = wild(Planar(3)), points(3, 3)
    report = inspect_jacobian(layer, x)
    assert report.terms_per_point >= {"psi", "log|det J|"}
    assert "u_hat" not in report.terms_per_point
    np.testing.assert_allclose(report.first_terms["u_hat"].numpy(), layer.u_hat().detach().numpy(), rtol=1e-5)
    assert abs(report.first_terms["log|det J|"] - report.log_det_autograd[0]) < 1e-9


@pytest.mark.parametrize("dim", [1, 400])
def test_from_one_dimension_to_many(dim):
    order = torch.randperm(dim, generator=torch.Generator().manual_seed(0)).tolist()
    report = inspect_jacobian(Permutation(order), points(2, dim)).check()
    assert report.structure.name == ("permutation" if dim > 1 else "identity")
    assert max(map(len, str(report).splitlines())) <= 110
    assert len(report._repr_html_()) < 150_000
