"""pyproject.toml, constraints.txt, environment.yml, the Makefile and the workflow describe one environment.

constraints-peers.txt describes a second one, for the tests on other libraries, and constraints-bench.txt a third, for
the timing of the explorers.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import hypothesis
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pin import PYTHONS, closure

from tests.peers.conftest import PARTS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(file: str) -> dict[str, str]:
    """Return name -> version in a file of constraints."""
    lines = (line for line in (ROOT / file).read_text().split("\n") if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


PINS, PEERS, BENCH = pins("constraints.txt"), pins("constraints-peers.txt"), pins("constraints-bench.txt")
DIRECT = [
    Requirement(line)
    for line in [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    if not line.startswith("nfteach[")
]
SUPPORTED = [
    text.rsplit(" ", 1)[1] for text in PROJECT["classifiers"] if re.fullmatch(r"Programming .* :: 3\.\d+", text)
]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
MATRIX = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]
DEBIAN_12 = "3.11.2"  # older than the workflow's 3.11; some wheels require a later 3.11


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_each_direct_dependency_is_pinned_within_its_range(requirement):
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_everything_that_is_needed_here_is_pinned_at_the_version_installed():
    here = closure("nfteach", ("course", "test"), "{}.{}".format(*sys.version_info))
    assert {name: PINS.get(name) for name in here} == here


def test_other_pins_are_those_of_other_versions_of_python():
    here = closure("nfteach", ("course", "test"), "{}.{}".format(*sys.version_info))
    for name in PINS.keys() - here.keys():
        with pytest.raises(PackageNotFoundError):
            distribution(name)


@pytest.mark.parametrize("python", [DEBIAN_12, *(f"{minor}.5" for minor in MATRIX)])
def test_every_pin_supports_this_python(python):
    here = closure("nfteach", ("course", "test"), "{}.{}".format(*sys.version_info))
    required = {name: distribution(name).metadata["Requires-Python"] or "" for name in here}
    assert {name: range_ for name, range_ in required.items() if not SpecifierSet(range_).contains(python)} == {}


def test_no_cuda_in_the_environment():
    import torch

    assert torch.version.cuda is None


def test_pins_are_of_public_versions():
    assert all(Version(version).local is None for version in (PINS | PEERS | BENCH).values())


def test_one_range_of_pythons_everywhere():
    assert list(PYTHONS) == SUPPORTED
    assert [SUPPORTED[0], SUPPORTED[-1]] == MATRIX
    assert PROJECT["requires-python"] == f">={SUPPORTED[0]}"
    check = (ROOT / "tools/check_python.sh").read_text()
    bounds = f"(3, {SUPPORTED[0][2:]}) <= sys.version_info[:2] <= (3, {SUPPORTED[-1][2:]})"
    assert bounds in check
    assert f"Python {SUPPORTED[0]} to {SUPPORTED[-1]}" in check


def test_the_conda_form_is_the_same_environment():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = conda["dependencies"]
    assert packages[0].removeprefix("python=") in SUPPORTED
    assert packages[1] == "pip"
    assert pip["pip"] == [f"--extra-index-url {torch_index()}", "-c constraints.txt", "-e .[course]"]


def torch_index() -> str:
    """Return the address of the CPU build of torch in the Makefile."""
    (address,) = set(re.findall(r"https://download\.pytorch\.org/\S+?(?=\))", (ROOT / "Makefile").read_text()))
    return address


def plan(tmp_path: Path, *arguments: str, target: str = "lab", **environment: str) -> str:
    """Return the commands that make would run for `target`, with environments in `tmp_path`, without running them."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PIP_FIND_LINKS", "TORCH_INDEX", "MAKEFLAGS", "SUITES", "ONLY", "PEERS")
    }
    command = ["make", "--dry-run", "--no-print-directory", target, f"VENV={tmp_path / 'venv'}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=True).stdout


def test_make_installs_the_cpu_build_of_torch(tmp_path):
    ordinary = plan(tmp_path)
    assert f"--extra-index-url {torch_index()} -c constraints.txt" in ordinary
    assert "check_torch.py" in ordinary


def test_make_keeps_the_configuration_of_pip_where_it_has_wheels(tmp_path):
    configured = plan(tmp_path, PIP_FIND_LINKS="/some/wheels")
    assert "--extra-index-url" not in configured
    assert "check_torch.py" in configured


def test_make_accepts_any_torch_without_an_index(tmp_path):
    anything = plan(tmp_path, "TORCH_INDEX=")
    assert "--extra-index-url" not in anything
    assert "check_torch.py" not in anything


def test_the_second_start_installs_nothing(tmp_path):
    (tmp_path / "venv/bin").mkdir(parents=True)
    for name in ("bin/python", ".lab-ready"):
        (tmp_path / "venv" / name).touch()
    second = plan(tmp_path)
    assert "pip install" not in second
    assert "jupyter" in second


def test_the_peers_have_a_separate_environment(tmp_path):
    assert not PEERS.keys() & PINS.keys()
    done = plan(tmp_path, target="test-peers")
    courses, own = (f"{tmp_path / name}/bin/python -m pip install" for name in ("venv", "venv-peers"))
    (course,), (install,) = ([line for line in done.splitlines() if line.startswith(pip)] for pip in (courses, own))
    assert not PEERS.keys() & {canonicalize_name(word) for word in course.split()}
    assert PEERS.keys() <= {canonicalize_name(word) for word in install.split()}
    assert "-c constraints.txt -c constraints-peers.txt --no-deps" in install
    assert done.index(course) < done.index(f"-m venv --clear --without-pip {tmp_path / 'venv-peers'}\n")


def test_the_peers_are_installed_once(tmp_path):
    for name in ("venv/bin/python", "venv/.test-ready", "venv-peers/.peers-ready"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert "pip install" not in plan(tmp_path, target="test-peers")


def test_the_benchmarks_run_in_the_environment_of_the_peers(tmp_path):
    python = f"{tmp_path / 'venv-peers'}/bin/python"
    done = plan(tmp_path, "DATA=some/data", "BENCH_OPTIONS=--fresh nade", target="bench")
    assert f"--without-pip {tmp_path / 'venv-peers'}" in done
    assert f'{python} -m benchmarks --data "some/data" --fresh nade' in done
    assert f"{python} -m benchmarks --quick" in plan(tmp_path, target="bench-quick")
    assert f"{python} -m benchmarks.publish" in plan(tmp_path, target="results")
    assert "bench-quick" in suites_of_ci()


def test_the_benchmark_of_the_explorers_has_a_separate_environment(tmp_path):
    assert not BENCH.keys() & (PINS | PEERS).keys()
    done = plan(tmp_path, "BENCH_OPTIONS=--quick", target="bench-widgets")
    (install,) = [line for line in done.splitlines() if f"{tmp_path / 'venv-bench'}/bin/python -m pip" in line]
    assert BENCH.keys() <= {canonicalize_name(word) for word in install.split()}
    assert f"--extra-index-url {torch_index()} -c constraints.txt -c constraints-bench.txt" in install
    assert f"{tmp_path / 'venv-bench'}/bin/python -m benchmarks.widgets --quick" in done
    (tmp_path / "venv-bench/bin").mkdir(parents=True)
    for name in ("bin/python", ".bench-ready"):
        (tmp_path / "venv-bench" / name).touch()
    assert "pip install" not in plan(tmp_path, target="bench-widgets")


def test_every_test_of_the_peers_runs_once(tmp_path):
    processes = re.findall(r"\btest-peers-(\S+)", plan(tmp_path, target="test-peers"))
    assert "zuko" in processes
    assert sorted(",".join(processes).split(",")) == sorted(PARTS)
    files = {path.stem.removeprefix("test_").removesuffix("_faults") for path in (ROOT / "tests/peers").glob("test_*")}
    assert files - {"layers"} == set(PARTS)
    assert f"--peers {processes[0]} tests/peers" in plan(tmp_path, target=f"test-peers-{processes[0]}")
    assert "test-peers" in suites_of_ci()


def suites_of_ci() -> list[str]:
    """Return the suites that continuous integration runs, in order."""
    (suites,) = re.findall(r'make test SUITES="(.*)"', (ROOT / ".ci/run").read_text())
    return suites.split()


def test_continuous_integration_runs_every_suite_and_style(tmp_path):
    ((ordinary, repeated),) = re.findall(r"run_tests\.py (.*) --once-more (.*)", plan(tmp_path, target="test"))
    assert set(repeated.split()) == {"test-lessons", "test-explorers", "test-book"}
    assert set(suites_of_ci()) == {*ordinary.split(), "lint", "test-book", "test-peers", "bench-quick"}


def test_every_browser_test_is_in_one_suite(tmp_path):
    lessons, book, explorers = (plan(tmp_path, target=f"test-{name}") for name in ("lessons", "book", "explorers"))
    assert re.search(r"-m pytest tests/browser/test_lessons\.py$", lessons, re.MULTILINE)
    assert re.search(r"-m pytest tests/browser/test_book\.py$", book, re.MULTILINE)
    others = r"-m pytest --ignore tests/browser/test_lessons\.py --ignore tests/browser/test_book\.py tests/browser$"
    assert re.search(others, explorers, re.MULTILINE)


def test_every_unit_test_is_in_one_suite(tmp_path):
    names = ("unit", "registry", "widgets", "inspector", "exercises")
    unit, registry, widgets, inspector, exercises = (plan(tmp_path, target=f"test-{name}") for name in names)
    rooms = ("widgets", "jacobian", "exercises")
    assert unit.endswith("".join(f"--ignore tests/unit/{room} " for room in rooms) + "tests/unit\n")
    assert inspector.endswith(" tests/unit/jacobian\n")
    assert exercises.endswith(" tests/unit/exercises\n")
    assert registry.endswith(" tests/unit/widgets/test_explorers.py\n")
    assert "--ignore tests/unit/widgets/test_explorers.py tests/unit/widgets --doctest-modules nfteach" in widgets


def test_one_test_of_a_suite_can_be_run_alone(tmp_path):
    alone = plan(tmp_path, "ONLY=tests/unit/test_plots.py::test_theme[a dark one]", target="test-unit")
    assert " 'tests/unit/test_plots.py::test_theme[a dark one]'\n" in alone


def test_the_workflow_starts_from_a_debian_with_what_the_readme_names():
    steps = WORKFLOW["jobs"]["fresh-debian"]["steps"]
    assert WORKFLOW["jobs"]["fresh-debian"]["container"] == "debian:12"
    assert steps[0]["run"].endswith("git make python3 python3-venv npm")
    assert [step["run"] for step in steps[1:] if "run" in step] == ["bash .ci/run"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('case "$*" in *version_info*) exit 1;; *) echo Python 3.10.12;; esac', "is Python 3.10.12. Run: sudo apt-get"),
        ('case "$*" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac', "Run: sudo apt-get install python3.12-venv"),
    ],
    ids=["too old", "no venv"],
)
def test_an_unsupported_python_is_reported_in_one_line(tmp_path, script, words):
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    done = subprocess.run(["sh", ROOT / "tools/check_python.sh", fake], capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_hypothesis_tries_the_same_examples_in_every_run():
    assert hypothesis.settings.default.derandomize
    assert hypothesis.settings.default.deadline is None


def test_this_python_is_supported():
    subprocess.run(["sh", ROOT / "tools/check_python.sh", sys.executable], check=True)


def ensure_browser(folder: Path, apt: str, **environment: str) -> subprocess.CompletedProcess:
    """Run tools/ensure_browser.sh with the script `apt` as apt-get; a browser is found once `installed` exists."""
    stubs = {
        "apt-get": apt,
        "id": "echo 0",
        "python": f'case "$*" in *tests.browser.lab*) test -e {folder}/installed;; *) exit 1;; esac',
    }
    for name, script in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if key != "CHROMIUM"}
    given = kept | {"PATH": f"{folder}:{os.environ['PATH']}"} | environment
    command = ["sh", ROOT / "tools/ensure_browser.sh", folder / "python"]
    return subprocess.run(command, env=given, capture_output=True, text=True)


def test_a_missing_browser_is_installed(tmp_path):
    assert ensure_browser(tmp_path, f'case "$*" in *chromium*) touch {tmp_path}/installed;; esac').returncode == 0


def test_a_browser_that_cannot_be_installed_is_requested_in_words(tmp_path):
    done = ensure_browser(tmp_path, "exit 100")
    assert done.returncode == 1
    assert "sudo apt-get install chromium" in done.stderr


def test_a_named_browser_that_does_not_run_is_reported(tmp_path):
    done = ensure_browser(tmp_path, f"touch {tmp_path}/installed", CHROMIUM="/no/such/chromium")
    assert done.returncode == 1
    assert "'/no/such/chromium', which does not run" in done.stderr


def test_the_settings_of_make_lab_are_known_to_jupyterlab():
    overrides = json.loads((ROOT / "tools/jupyter/labconfig/default_setting_overrides.json").read_text())
    share = Path(sys.prefix) / "share/jupyter"
    places = [share / "lab/schemas", *share.glob("labextensions/*/schemas"), *share.glob("labextensions/@*/*/schemas")]
    for plugin, settings in overrides.items():
        package, _, name = plugin.partition(":")
        (schema,) = [path for place in places if (path := place / package / f"{name}.json").exists()]
        assert settings.keys() <= json.loads(schema.read_text())["properties"].keys()


def test_the_citation_names_the_version():
    import nfteach

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == nfteach.__version__ == distribution("nfteach").version
    assert f"## {nfteach.__version__}" in (ROOT / "CHANGELOG.md").read_text()
