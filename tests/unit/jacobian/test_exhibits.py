"""The house of horrors: each broken layer is caught by its right name, and its repaired twin is found sound."""

import re
import subprocess
import sys
from functools import cache
from inspect import getsource

import pytest
import torch
from torch import nn

from nfteach.jacobian import ERRORS, NOTES, inspect_jacobian
from nfteach.jacobian.exhibits import EXHIBITS, Exhibit
from nfteach.jacobian.exhibits.batches import BatchNorm
from nfteach.jacobian.exhibits.exhibit import agree, log_abs_det, returns
from nfteach.jacobian.exhibits.inverses import Interleaved
from nfteach.jacobian.exhibits.log_dets import LeakyPlanar

every = pytest.mark.parametrize("name", EXHIBITS)


@cache
def inspected(name, repaired=False):
    """Return the report of an exhibit, which is made once for all tests."""
    return EXHIBITS[name].inspect(repaired=repaired)


def codes(report):
    """Return the codes of the findings, but for notes on what the map does not claim and does not reach."""
    return {finding.code for finding in report.findings} - {"log-det-missing", "not-onto"}


def moved(layer, by=1.0):
    """The layer with normal noise added to its parameters."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)
    return layer


# The exhibits as a whole.


@every
def test_the_broken_layer_is_caught_by_its_name(name):
    exhibit = EXHIBITS[name]
    report = inspected(name)
    assert exhibit.code in codes(report)
    assert codes(report) <= {exhibit.code} | exhibit.consequences
    assert report.ok == (exhibit.code in NOTES)
    if exhibit.code in ERRORS:
        with pytest.raises(AssertionError, match=exhibit.code):
            report.check()


@every
def test_the_repaired_twin_passes_without_a_finding(name):
    assert inspected(name, repaired=True).findings == ()


@every
def test_the_check_of_its_authors_passed(name):
    assert EXHIBITS[name].innocent() is True
    assert EXHIBITS[name].innocent(repaired=True) is True


@every
def test_nothing_is_left_to_chance_and_nothing_left_behind(name):
    exhibit, state = EXHIBITS[name], torch.get_rng_state()
    before = exhibit.x.clone()
    exhibit.innocent()
    inspect_jacobian(exhibit.broken(), exhibit.x)
    for make in (exhibit.broken, exhibit.repaired):
        one, other = make(), make()
        assert one is not other
        if isinstance(one, nn.Module):
            assert not one.training
            assert one.state_dict().keys() == other.state_dict().keys()
            assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())
    assert torch.equal(exhibit.x, before)
    assert torch.equal(torch.get_rng_state(), state)


@every
def test_a_reader_finds_the_slip_at_one_place(name):
    source = EXHIBITS[name].source
    assert len(re.findall(r"\bif (?:self\.)?repaired\b", source)) == 1
    assert 8 <= len(source.splitlines()) <= 42


@every
def test_a_visitor_is_told_what_to_know(name):
    exhibit = EXHIBITS[name]
    assert exhibit.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert exhibit.code in ERRORS | NOTES
    assert exhibit.consequences <= ERRORS | NOTES
    for text in (exhibit.story, exhibit.missed, exhibit.innocent.__doc__, type(exhibit.broken()).__doc__):
        assert text.rstrip().endswith(".")
    assert exhibit.title
    assert not exhibit.title.endswith(".")


@every
def test_the_points_are_several_and_have_three_dimensions_or_more(name):
    x = EXHIBITS[name].x
    assert x.dtype == torch.float32
    assert len(x) >= 3
    assert x[0].numel() >= 3


WITH_PARAMETERS = [name for name in EXHIBITS if list(getattr(EXHIBITS[name].repaired(), "parameters", list)())]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_a_repaired_twin_can_be_trained(name):
    layer = EXHIBITS[name].repaired()
    y, log_det = layer(EXHIBITS[name].x)
    (0.5 * (y**2).flatten(1).sum(1) - log_det).mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    assert any(parameter.grad.abs().max() > 1e-3 for parameter in layer.parameters())


def test_every_report_and_every_kind_of_mistake_has_its_exhibit():
    reported = " | ".join(exhibit.reported for exhibit in EXHIBITS.values())
    for where in (
        "Pyro PR 2192",
        "karpathy/pytorch-normalizing-flows 5, 10",
        "normflows 27",
        "Sylvester",
        "flowjax 169, 170",
        "TensorFlow Probability 238",
        "nflows, normflows",
        "Pyro 2084",
        "several spline layers",
    ):
        assert where in reported
    assert reported.count("several libraries") == 2  # summed over the batch, and per dimension
    assert sum(exhibit.reported == "ikostrikov/pytorch-flows" for exhibit in EXHIBITS.values()) == 2
    assert {exhibit.code for exhibit in EXHIBITS.values()} == {
        *("determinant-changes-sign", "gradient-cut", "inverse-missing", "inverse-wrong", "log-det-per-dimension"),
        *("log-det-sign", "log-det-summed-over-batch", "log-det-wrong", "non-deterministic", "non-finite"),
        *("samples-coupled", "singular"),
    }
    assert all(isinstance(exhibit, Exhibit) for exhibit in EXHIBITS.values())


@pytest.mark.parametrize("name", [name for name, exhibit in EXHIBITS.items() if exhibit.perturb])
def test_without_moving_the_parameters_nothing_is_found(name):
    exhibit = EXHIBITS[name]
    assert inspect_jacobian(exhibit.broken(), exhibit.x).findings == ()
    assert any("parameters moved by" in finding.evidence for finding in inspected(name).findings)


def test_the_microscope_alone_does_not_load_them():
    code = "import nfteach.jacobian, sys; print('nfteach.jacobian.exhibits' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_ordinary_checks_can_fail():
    x = EXHIBITS["interleaved-halves"].x
    assert returns(Interleaved(repaired=True), x)
    assert not returns(Interleaved(), x)
    layer = EXHIBITS["image-norm"].broken()
    assert not agree(layer(EXHIBITS["image-norm"].x)[1], log_abs_det(layer, EXHIBITS["image-norm"].x))
    assert not agree(torch.tensor([torch.nan]), 0.0)


# Broken and repaired are the same layer but for the mistake.

SHARED = {
    "interleaved-halves": {"log_det"},
    "inverse-sign": {"y", "log_det", "back"},
    "transposed-product": {"y", "back"},
    "one-branch": {"y", "log_det", "back"},
    "summed-over-batch": {"y", "back"},
    "per-dimension": {"y", "back"},
    "image-norm": {"y", "back"},
    "squeeze-axes": {"y", "log_det"},
    "mode-as-context": {"y", "log_det"},
    "cached-inverse": {"y", "log_det"},
    "float32-spline": {"y", "log_det"},
    "detached-conditioner": {"y", "log_det", "back"},
    "wrong-backward": {"y", "log_det", "back"},
    "clamped-tails": {"log_det"},
}


@pytest.mark.parametrize("name", SHARED)
def test_the_twins_differ_in_nothing_else(name):
    x = EXHIBITS[name].x
    seen = []
    for layer in (EXHIBITS[name].broken(), EXHIBITS[name].repaired()):
        if isinstance(layer, nn.Module):
            moved(layer, by=0.1 if name != "float32-spline" else 0.0)
            y, log_det = layer(x)
            seen.append({"y": y, "log_det": log_det, "back": layer.inverse(y)[0]})
        else:
            y = layer(x)
            seen.append({"y": y, "log_det": layer.log_abs_det_jacobian(x, y)})
    for part in SHARED[name]:
        torch.testing.assert_close(seen[0][part], seen[1][part])
    for part in {"y", "log_det"} - SHARED[name]:
        one, other = (both[part].sum(-1) if name == "per-dimension" and part == "y" else both[part] for both in seen)
        assert one.shape != other.shape or not torch.allclose(one, other, atol=1e-3)


def test_planar_twins_agree_where_the_norm_of_w_is_one():
    layers = EXHIBITS["planar-fold"].broken(), EXHIBITS["planar-fold"].repaired()
    with torch.no_grad():
        for layer in layers:
            layer.w /= layer.w.norm()
    torch.testing.assert_close(layers[0].u_hat(), layers[1].u_hat())


def test_batch_norm_twins_agree_where_the_batch_has_the_stored_statistics():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    repaired = BatchNorm(repaired=True)
    x = (x - x.mean(0)) / x.std(0, unbiased=False) * repaired.var.sqrt() + repaired.mean
    for one, other in zip(BatchNorm()(x), repaired(x), strict=True):
        torch.testing.assert_close(one, other)


def test_the_source_shown_is_that_of_the_layer():
    assert EXHIBITS["one-branch"].source == getsource(LeakyPlanar)
