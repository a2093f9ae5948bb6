"""The plugin for pytest: what a failing and a passing test shows of a layer."""

import tomllib
from pathlib import Path

import pytest
import torch

from nfteach import Planar
from nfteach.testing import assert_sound as checked

pytest_plugins = ["pytester"]

HEAD = """
import torch
from nfteach import Planar

summed = lambda x: (x.sinh(), x.cosh().log().sum())
x = torch.linspace(-1, 1, 12).reshape(4, 3)
"""
# Loaded by name, whether or not the environment knows the entry point.
PLUGIN = ("-p", "no:nfteach", "-p", "nfteach.pytest_plugin", "-p", "no:cacheprovider")


def run(pytester: pytest.Pytester, body: str, *options: str) -> str:
    pytester.makepyfile(HEAD + body)
    return pytester.runpytest_inprocess(*PLUGIN, *options).stdout.str()


def test_a_failure_shows_every_error_and_what_was_compared(pytester):
    shown = run(pytester, "def test_it(assert_sound):\n    assert_sound(summed, x, inverse=torch.tanh)\n")
    assert "1 failed" in shown
    for words in (
        "AssertionError: lambda, D = 3: [log-det-summed-over-batch] ",
        "[inverse-wrong] ",
        "Compared:",
    ):
        assert words in shown
    rows = [line.removeprefix("E").split()[:2] for line in shown.splitlines()]
    assert ["derivative", "agrees"] in rows
    assert ["log-det", "differs"] in rows
    assert "def assert_sound(" not in shown  # the frames of the plugin are left out


def test_success_lists_what_was_compared(pytester):
    shown = run(pytester, "def test_it(assert_sound):\n    assert_sound(Planar(3), x, perturb=0.5)\n", "-rP")
    assert "1 passed" in shown
    assert "JacobianReport(Planar, D=3, points=4" in shown
    rows = [line.split()[:2] for line in shown.splitlines()]
    for name in ("derivative", "log-det", "inverse"):
        assert [name, "agrees"] in rows


def test_a_layer_whose_log_det_was_not_compared_fails(pytester):
    body = "def test_it(assert_sound):\n    assert_sound(torch.sinh, x{})\n"
    shown = run(pytester, body.format(""))
    assert "[required] log-det was not compared: the map claims no log-det (pass log_det=)" in shown
    assert "1 passed" in run(pytester, body.format(", require=()"))


def test_pytest_starts_without_torch(pytester):
    body = "import sys\ndef test_it():\n    assert 'nfteach.testing' in sys.modules\n"
    pytester.makepyfile(f"{body}    assert 'torch' not in sys.modules\n")
    assert "1 passed" in pytester.runpytest_subprocess(*PLUGIN).stdout.str()


def test_the_function_returns_the_report_and_accepts_what_check_accepts():
    x = torch.randn(4, 3)
    report = checked(Planar(3), x)
    assert report.ok

    def sinh(x):
        return x.sinh(), x.cosh().log().sum(-1)

    options = {"inverse": lambda y: y.asinh() + 0.01}
    with pytest.raises(AssertionError, match="inverse-wrong"):
        checked(sinh, x, **options)
    assert not checked(sinh, x, atol=0.02, **options).ok
    assert not checked(sinh, x, ignore=["inverse-wrong"], **options).ok
    with pytest.raises(ValueError, match="require must hold some of"):
        checked(sinh, x, require=["logdet"])


def test_the_entry_point_is_declared():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"nfteach": "nfteach.pytest_plugin"}
