"""Copies of layers that keep functions: they compute with parameters of their own, and the reports on them are true."""

import pytest
import torch

from nfteach.jacobian import inspect_jacobian, inspect_layers
from tests.unit.jacobian.keepers import LAYERS, of, points

INSPECTED = [name for name, (_, due) in LAYERS.items() if not isinstance(due, str)]
REFUSED = [name for name in LAYERS if name not in INSPECTED]
# The scale of these layers has no parameters.
CONSTANT = {"global tensor in a function", "distribution in a closure"}
# The log-det of these is the same at every x, and sound.
CONSTANT_IN_X = [
    name
    for name in INSPECTED
    if not LAYERS[name][1] and name not in {*CONSTANT, "block with lambdas over self and a frozen permutation"}
]


def points_for(layer):
    return points(3, 4 if type(layer).__name__ == "Coupling" else 3)


@pytest.mark.parametrize("name", INSPECTED)
def test_a_layer_that_keeps_functions_is_reported_rightly(name):
    layer = of(name)[0]
    report = inspect_jacobian(layer, points_for(layer), perturb=0.5)
    assert {finding.code for finding in report.findings if finding.severity == "error"} == LAYERS[name][1]
    if name not in CONSTANT:
        assert len({tuple(copy.y.flatten().tolist()) for copy in (report, *report.moved)}) == 9


@pytest.mark.parametrize("name", CONSTANT_IN_X)
def test_a_log_det_that_is_right_at_the_initial_parameters_alone_is_found_out(name):
    layer = of(name)[0]
    x = points_for(layer)
    initial = inspect_jacobian(layer, x).log_det_jacobian
    report = inspect_jacobian(layer, x, log_det=lambda x: initial[:1].expand(len(x)), perturb=0.5)
    assert inspect_jacobian(layer, x, log_det=lambda x: initial[:1].expand(len(x))).ok
    wrong = [finding for finding in report.findings if finding.code == "log-det-wrong"]
    assert wrong
    assert wrong[0].message.startswith("Once its parameters are moved")
    assert not any(copy.ok for copy in report.moved)


@pytest.mark.parametrize("ask", [inspect_jacobian, lambda layer, x: inspect_layers([torch.nn.Tanh(), layer], x)])
@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_has_no_copy_is_refused_in_one_sentence(name, ask):
    with pytest.raises(ValueError, match=LAYERS[name][1]) as raised:
        ask(of(name)[0], points(3, 3))
    message = str(raised.value)
    assert message.startswith("transform must ")
    assert "; try to " in message
    assert "\n" not in message
    assert ". " not in message
