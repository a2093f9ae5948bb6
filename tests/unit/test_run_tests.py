"""`make test` runs suites side by side, and ends with the failures and the commands that repeat them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from run_tests import main

MAKEFILE = """
sound:
	@echo "===== 2 passed, 1 skipped in 0.10s ====="
	@echo "SKIPPED [1] tests/test_a.py:3: needs CUDA"
broken:
	@python3 -m pytest -p no:cacheprovider -p no:nbval -p no:hypothesispytest -rfE $(or $(ONLY),test_broken.py)
dead:
	@echo "no rule for this"; exit 3
busy:
	@python3 -m pytest -p no:cacheprovider -p no:nbval -p no:hypothesispytest -rfE $(or $(ONLY),test_busy.py)
slow:
	@sleep 1; echo "1 passed in 1.00s"
"""
TESTS = """
import pytest


@pytest.mark.parametrize("theme", ["a dark one"])
def test_theme(theme):
    assert theme == "a light one"


def test_sound():
    pass
"""
BUSY = """
from pathlib import Path


def test_late():
    late = not Path("once").exists()
    Path("once").touch()
    assert not late, "too late"
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Make a project of five suites the current directory."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "test_broken.py").write_text(TESTS)
    (tmp_path / "test_busy.py").write_text(BUSY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setenv("CI", "true")  # pytest then leaves its lines whole
    return tmp_path


def test_sound_suites_end_with_their_numbers_and_skipped_tests(project, capsys):
    assert main(["sound", "slow"]) == 0
    output = capsys.readouterr().out
    assert "sound: SKIPPED [1] tests/test_a.py:3: needs CUDA" in output
    assert output.rstrip().endswith("\n3 passed, 0 failed")
    assert (project / "artefacts/logs/slow.txt").read_text() == "1 passed in 1.00s\n"


def test_failures_are_listed_with_the_command_that_runs_each_alone(project, capsys):
    assert main(["broken", "dead", "sound"]) == 1
    output = capsys.readouterr().out
    listed = output[output.index("Failed, each with the command") :]
    assert "test_broken.py::test_theme[a dark one]: AssertionError" in listed
    assert "make broken ONLY='test_broken.py::test_theme[a dark one]'" in listed
    assert re.search(r"dead: .*Error 3\n      make dead\n", listed)
    assert "assert 'a dark one' == 'a light one'" in output, "the details of a failure are printed, too"
    assert output.rstrip().endswith("\n3 passed, 2 failed")


def test_suites_run_side_by_side_up_to_the_limit(project, capsys):
    main(["slow", "sound", "--at-once", "2"])
    together = capsys.readouterr().out
    assert together.index("  sound ") < together.index("  slow ")
    main(["slow", "sound", "--at-once", "1"])
    alone = capsys.readouterr().out
    assert alone.index("  slow ") < alone.index("  sound ")


@pytest.mark.parametrize(("repeated", "status"), [((), 1), (("busy", "broken"), 0)])
def test_failure_under_load_alone_is_named_and_forgiven(project, capsys, repeated, status):
    assert main(["busy", "sound", "--once-more", *repeated]) == status
    output = capsys.readouterr().out
    title = "Failed beside other suites, passed when run alone:" if repeated else "Failed, each with the command"
    assert "test_busy.py::test_late: AssertionError: too late" in output[output.index(title) :]
    assert output.rstrip().endswith("\n3 passed (1 alone), 0 failed" if repeated else "\n2 passed, 1 failed")


def test_failure_that_comes_again_counts(project, capsys):
    assert main(["broken", "--once-more", "broken"]) == 1
    output = capsys.readouterr().out
    assert "once more: test_broken.py::test_theme[a dark one]: failed again" in output
    assert output.rstrip().endswith("\n1 passed, 1 failed")
