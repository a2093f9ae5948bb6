"""The inspector on layers of other libraries: it finds what their mathematics predicts, and changes nothing in them."""

import math
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from nfteach.jacobian import JacobianReport, inspect_jacobian, inspect_layers
from tests.peers.numerics import double_precision, held, slow_jacobian, value
from tests.peers.registry import Layer, library, made

pytestmark = pytest.mark.filterwarnings(
    "ignore:torch.triangular_solve is deprecated",
    "ignore:.*torch.qr is deprecated",
    "ignore:class CorrLCholeskyTransform is deprecated",
)

# Copies with moved parameters, each of which costs as much as the layer itself: the inspector takes 8 of a small layer,
# and 2 of a large one.
COPIES = 2
# Where one of these is found, the claimed log-det is not, or need not be, that of J.
WITHOUT_ONE_LOG_DET = {"log-det-wrong", "log-det-estimated", "non-deterministic", "samples-coupled", "singular"}


class Looked(NamedTuple):
    """One inspection of a layer.

    Attributes:
        report: by ``inspect_jacobian``.
        before, after: the tensors and modes that the layer holds, and the random states around it.
        jacobian: (B, D, D), by central differences of the layer itself.
        miss: (B,) the largest coordinate of x -> y -> x less x by the layer itself, relative to 1 + that of x;
            None if it refuses to go back.
    """

    report: JacobianReport
    before: dict[Any, Any]
    after: dict[Any, Any]
    jacobian: Tensor | None = None
    miss: Tensor | None = None


@cache
def moved(layer: Layer) -> Looked:
    """Inspect a layer in its own dtype, and copies of it with moved parameters."""
    subject = made(layer)
    before = surroundings(subject)
    with patch("nfteach.jacobian.inspection.MOVED_COPIES", COPIES):
        report = inspect_jacobian(subject, layer.x, perturb=layer.perturb, context=layer.context)
    return Looked(report, before, surroundings(subject))


@cache
def as_it_comes(peer: str, layer: Layer) -> Looked:
    """Inspect a layer that was made in float64, and call it directly: nothing of the inspector stands between."""
    x = layer.x.double()
    context = None if layer.context is None else layer.context.double()
    with double_precision():
        subject = made(layer)
        forward = subject if layer.forward is None else lambda x: layer.forward(subject, x, context)
        value(forward, x)  # a layer that sets itself up from its first batch has now done so
        before = surroundings(subject)
        report = inspect_jacobian(subject, x, context=context)
        after = surroundings(subject)
        J = slow_jacobian(forward, x, rows_apart="samples-coupled" in layer.findings)
        y = value(forward, x)
        try:
            with torch.no_grad():
                if layer.inverse is not None:
                    back = layer.inverse(subject, y.clone(), context)
                else:
                    back = library(peer).inverse(subject, y.clone())
            miss = ((back - x).flatten(1).abs().amax(1) / (1 + x.flatten(1).abs().amax(1))).nan_to_num(nan=math.inf)
        except Exception:  # each library has an error of its own for an inverse that is missing
            miss = None
    return Looked(report, before, after, J, miss)


def surroundings(subject: Any) -> dict[Any, Any]:
    """Return all that an inspection must leave as it is."""
    modes = {"dtype": torch.get_default_dtype(), "gradients": torch.is_grad_enabled()}
    numpy_state = np.random.get_state()[1]  # noqa: NPY002 - normflows draws from NumPy's global generator
    return held(subject) | modes | {"torch": torch.get_rng_state().numpy().tobytes(), "NumPy": numpy_state.tobytes()}


def codes(report: JacobianReport) -> set[str]:
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


def test_findings_and_structure_are_those_of_the_mathematics(peer, layer):
    report = moved(layer).report
    assert codes(report) == set(layer.findings), "\n".join(map(str, report.findings)) or "nothing was found"
    assert report.structure.name == layer.structure
    assert (len(report.moved) > 0) == (layer.perturb is not None)


def test_nothing_else_is_found_as_the_layer_comes(peer, layer):
    report = as_it_comes(peer, layer).report
    # An inverse that looks for x within a bound is limited or not, as the y are that are drawn.
    assert codes(report) <= {*layer.findings, "inverse-limited"}, "\n".join(map(str, report.findings))
    assert report.structure.name == (layer.at_start or layer.structure)


def test_jacobian_is_that_of_central_differences(peer, layer):
    looked = as_it_comes(peer, layer)
    J = looked.jacobian.numpy()
    np.testing.assert_allclose(looked.report.jacobian.numpy(), J, atol=layer.differences * (1 + np.abs(J).max()))


def test_log_det_is_that_of_central_differences(peer, layer):
    report, J = (looked := as_it_comes(peer, layer)).report, looked.jacobian.numpy()
    if report.log_det is not None and not WITHOUT_ONE_LOG_DET & set(layer.findings):
        np.testing.assert_allclose(report.log_det.numpy(), np.linalg.slogdet(J)[1], atol=1e-4)


def test_inverse_is_judged_by_what_it_does(peer, layer):
    looked = as_it_comes(peer, layer)
    found = codes(looked.report)
    if looked.miss is None:
        assert "inverse-missing" in found
        assert looked.report.inverse_error is None
    else:
        assert (looked.miss.max() > layer.back) == bool(found & {"inverse-wrong", "singular"})


def test_layer_and_its_surroundings_stay_as_they_were(peer, layer):
    for looked in (moved(layer), as_it_comes(peer, layer)):
        assert looked.before == looked.after


def test_layers_and_composition_of_a_model_have_their_structures(peer, model):
    report = inspect_layers(made(model), model.x, context=model.context).check()
    assert [layer.structure.name for layer in report] == model.layers
    assert report.composition.structure.name == model.together
    assert [check.name for check in report.checks] == ["image", "log-det", "Jacobian"]


def test_non_square_maps_are_refused(peer, refused):
    with pytest.raises(ValueError, match=refused.words):
        inspect_jacobian(made(refused), refused.x)


def test_each_fault_is_shown_without_the_inspector(peer, layer):
    if layer.shown_by:
        faults = import_module(f"tests.peers.test_{peer}_faults")
        assert callable(getattr(faults, layer.shown_by))
