"""inspect_layers on sound stacks: every layer at its own input, sums and products against plain loops."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions import transforms as T

from nfteach.flows import BatchNorm, Permutation, Planar, Stack
from nfteach.jacobian import JacobianReport, LayersReport, inspect_layers
from tests.unit.flows.flow_zoo import FLOWS, wild
from tests.unit.jacobian.layer_zoo import (
    Channels,
    CompositeTransform,
    Float32Only,
    FlowSequential,
    ListOfAll,
    Mix,
    NormalizingFlow,
    Shift,
    Squeeze,
    points,
)

# float64 arithmetic, enlarged by the condition numbers of a few wild layers.
EXACT = {"rtol": 1e-7, "atol": 1e-8}


def jacobians(f, x):
    """J (B, D, D) of a map of batches, point by point, by torch's own function."""
    return torch.stack([torch.autograd.functional.jacobian(lambda row: f(row[None])[0], row) for row in x])


def calm(name, dim, seed):
    """A flow of the zoo at moderate weights: eight wild ones in a row would leave no digit."""
    least, make = FLOWS[name]
    return wild(make(dim), torch.Generator().manual_seed(seed), 0.3) if dim >= least else None


def some_layers(count, dim):
    names = [name for name, (least, _) in FLOWS.items() if least <= dim]
    return [calm(names[(5 * k + dim) % len(names)], dim, k) for k in range(count)]


@pytest.mark.parametrize(("count", "dim"), [(1, 3), (2, 1), (3, 5), (8, 2), (8, 7)])
@pytest.mark.parametrize("kind", ["stack", "list", "module list"])
def test_sums_and_products_are_those_of_a_plain_loop(count, dim, kind):
    layers = some_layers(count, dim)
    stack = {"stack": lambda: Stack(*layers), "list": lambda: layers, "module list": lambda: nn.ModuleList(layers)}
    x = points(6, dim, dtype=torch.float64)
    report = inspect_layers(stack[kind](), x).check()
    assert isinstance(report, LayersReport)
    assert len(report) == count
    assert report.own_map == (kind == "stack")

    at, running, product = x, torch.zeros(6, dtype=torch.float64), torch.eye(dim, dtype=torch.float64).expand(6, -1, -1)
    for k, layer in enumerate(layers):
        assert isinstance(report[k], JacobianReport)
        np.testing.assert_allclose(report[k].x, at, **EXACT)
        J = jacobians(layer, at)
        np.testing.assert_allclose(report[k].jacobian, J, **EXACT)
        product = torch.einsum("bij,bjk->bik", J, product)
        with torch.no_grad():
            at, ladj = layer.call_and_ladj(at)
        running = running + ladj
        np.testing.assert_allclose(report.running_log_det[k], running, **EXACT)
    np.testing.assert_allclose(report.composition.y, at, **EXACT)
    np.testing.assert_allclose(report.composition.jacobian, product, **EXACT)
    np.testing.assert_allclose(report.composition.log_det, running, **EXACT)
    assert [check.name for check in report.checks] == ["image", "log-det", "Jacobian"]
    assert all(check.ok and check.gap.shape == (6,) for check in report.checks)


def below(x):
    return torch.stack([x[:, 0], 3 * x[:, 1] + x[:, 0] ** 2], 1), x.new_full((len(x),), np.log(3.0))


def above(x):
    return torch.stack([2 * x[:, 0] + x[:, 1] ** 2, 5 * x[:, 1]], 1), x.new_full((len(x),), np.log(10.0))


def test_each_layer_is_triangular_and_the_product_is_not():
    x = points(5, 2, dtype=torch.float64)
    report = inspect_layers([below, above], x).check()
    assert [layer.structure.name for layer in report] == ["coupling", "upper triangular"]
    assert report.composition.structure.name == "dense"
    # By hand: J = [[2, 2 y2], [0, 5]] @ [[1, 0], [2 x1, 3]] with y2 = 3 x2 + x1^2.
    x1, y2 = x[:, 0], 3 * x[:, 1] + x[:, 0] ** 2
    J = torch.stack([2 + 4 * x1 * y2, 6 * y2, 10 * x1, torch.full_like(x1, 15.0)], 1).reshape(5, 2, 2)
    np.testing.assert_allclose(report.composition.jacobian, J, **EXACT)
    np.testing.assert_allclose(report.running_log_det[1], np.log(30.0), **EXACT)
    text = " ".join(str(report).split())
    assert "Each layer is cheap: coupling, O(D - d); upper triangular, O(D)." in text
    assert "The composition is dense: its determinant by itself would take O(D³)." in text
    assert "✓ composition: Jacobian with the product over the layers, within 1e-9" in text


def test_layers_of_one_triangle_stay_in_it():
    report = inspect_layers([below, below], points(5, 2)).check()
    assert report.composition.structure.name == "coupling"
    assert "The composition is coupling as well" in " ".join(str(report).split())


def test_torch_transforms_with_log_dets_per_dimension():
    parts = [T.AffineTransform(1.0, 2.0), T.TanhTransform(), T.IndependentTransform(T.ExpTransform(), 1)]
    compose, x = T.ComposeTransform(parts), points(6, 3)
    report = inspect_layers(compose, x).check()
    assert report.own_map
    assert [layer.name for layer in report] == ["AffineTransform", "TanhTransform", "IndependentTransform"]
    assert [layer.claim.layout for layer in report] == ["per dimension", "per dimension", "per sample"]
    inner = 1 + 2 * x.double()
    steps = [np.full(6, 3 * np.log(2)), (1 / inner.cosh() ** 2).log().sum(1), inner.tanh().sum(1)]
    np.testing.assert_allclose(report.running_log_det, np.cumsum(np.stack(steps), 0), **EXACT)
    assert inspect_layers(compose.inv, compose(x)).check().composition.structure.name == "diagonal"
    assert inspect_layers(parts[:2], x).check().ok


@pytest.mark.parametrize("container", [CompositeTransform, NormalizingFlow, lambda layers: FlowSequential(*layers)])
def test_containers_of_other_libraries_are_judged_as_they_are(container):
    layers = [Shift([1.0, 2.0, 3.0]), Mix(3, 1), Mix(3, 2)]
    stack, x = container(layers), points(6, 3)
    report = inspect_layers(stack, x, perturb=0.5).check()
    assert report.own_map
    assert report.name == type(stack).__name__
    assert [layer.structure.name for layer in report] == ["identity", "dense", "dense"]
    assert len(report.composition.moved) == len(report[1].moved) > 1
    true = sum(torch.slogdet(layer.A.double())[1] for layer in layers[1:]).item()
    np.testing.assert_allclose(report.composition.log_det, true, atol=1e-6)
    np.testing.assert_allclose(report.composition.inverse.log_det, -true, atol=1e-6)
    assert report.composition.inverse_error.max() < 1e-6


def test_a_call_that_returns_a_list_is_replaced_by_its_layers_in_a_row():
    report = inspect_layers(ListOfAll([Shift([1.0, 2.0]), Mix(2)]), points(6, 2)).check()
    assert not report.own_map
    assert "must return a tensor y, but returned a list" in " ".join(str(report).split())
    assert report.composition.structure.name == "dense"


def test_a_distribution_holds_its_layers_too():
    base = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    distribution = TransformedDistribution(base, [Planar(3), Permutation([2, 0, 1])])
    report = inspect_layers(distribution, points(4, 3)).check()
    assert report.names == ("Planar", "Permutation")
    assert report.own_map


def test_plain_modules_in_a_sequential_need_claim_nothing():
    sequential = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    report = inspect_layers(sequential, points(5, 3)).check()
    assert report.composition.log_det is None
    assert [layer.structure.name for layer in report] == ["dense", "diagonal", "dense"]
    # Where nothing is claimed, J's own log-det is summed.
    np.testing.assert_allclose(report.running_log_det[-1], report.composition.log_det_jacobian, **EXACT)


def test_one_point_goes_through_functions_of_one_point():
    def polar(x):
        return torch.stack([x[0] * torch.cos(x[1]), x[0] * torch.sin(x[1])]), x[0].log()

    def stretch(x):
        assert x.dim() == 1
        return torch.stack([2 * x[0], x[1]]), np.log(2.0)

    report = inspect_layers([polar, stretch, polar], torch.tensor([2.0, 0.3])).check()
    assert report.running_log_det.shape == (3, 1)
    np.testing.assert_allclose(report.running_log_det[1], np.log(4.0), rtol=1e-6)
    # With a batch of one, the same function would turn over the batch and leave the point.
    turned = inspect_layers([stretch, lambda x: x.flip(0)], torch.tensor([2.0, 0.3])).check()
    assert turned[1].structure.name == "permutation"


def test_events_may_change_their_shape_on_the_way():
    layers = [Channels(1), Squeeze(), Channels(4), Squeeze()]
    report = inspect_layers(layers, points(3, 1, 4, 4)).check()
    # The last one moves no number: 2 x 2 pixels of 4 channels lie there as 16 channels of one pixel do.
    assert [layer.structure.name for layer in report] == ["diagonal", "permutation", "diagonal", "identity"]
    np.testing.assert_allclose(report.running_log_det[:, 0], np.cumsum([16 * -1.0, 0, 0, 0]), atol=1e-6)
    assert report.composition.inverse_error.max() < 1e-6


def test_layers_are_met_in_float64_even_if_x_is_not():
    # In float32, x + 1 would have lost the digits that the next layer enlarges.
    report = inspect_layers([lambda x: x + 1.0, lambda x: 1e6 * (x - 1.0)], torch.tensor([[1e-6, 2e-6]])).check()
    np.testing.assert_allclose(report[1].y, [[1.0, 2.0]], rtol=1e-6)


def test_a_layer_that_runs_in_float32_only_stands_among_others():
    report = inspect_layers([Mix(2), Float32Only(), Mix(2, 1)], points(5, 2)).check()
    assert "low-precision" in {finding.code for finding in report[1].findings}
    assert "low-precision" in {finding.code for finding in report.composition.findings}
    np.testing.assert_allclose(report.composition.y, report[2].y, rtol=1e-5)


def test_the_stack_is_left_as_it_was():
    modules = [Mix(3, 1), BatchNorm(3).train()]
    layers = [lambda x: modules[0](x), lambda x: (x, 0.0), nn.Dropout(0.5), modules[1]]
    before = copy.deepcopy([module.state_dict() for module in modules])
    random = torch.get_rng_state()
    inspect_layers(layers, points(6, 3), perturb=0.5)
    for module, state in zip(modules, before, strict=True):
        assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())
        assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(random, torch.get_rng_state())
