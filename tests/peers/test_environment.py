"""The environment of these tests is that of constraints.txt, with constraints-peers.txt on top."""

import subprocess
import sys
import sysconfig
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
COURSE, PEERS = (
    {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if version}
    for lines in ((ROOT / file).read_text().splitlines() for file in ("constraints.txt", "constraints-peers.txt"))
)
PINS = COURSE | PEERS
# The installer, and the package that is tested.
NOT_PINNED = {"pip", "nfteach"}


def test_everything_here_is_pinned_at_its_version():
    here = {canonicalize_name(found.metadata["Name"]): Version(found.version).public for found in distributions()}
    assert {name: PINS.get(name) for name in here.keys() - NOT_PINNED} == {
        name: version for name, version in here.items() if name not in NOT_PINNED
    }


@pytest.mark.parametrize("python", ["3.11.2", "3.12.5", "3.13.5", "3.14.5"])
def test_every_distribution_takes_this_python(python):
    asked = {found.metadata["Name"]: found.metadata["Requires-Python"] or "" for found in distributions()}
    assert {name: range_ for name, range_ in asked.items() if not SpecifierSet(range_).contains(python)} == {}


def test_the_peers_alone_are_installed_here():
    here = {found.metadata["Name"] for found in distributions(path=[sysconfig.get_path("purelib")])}
    assert {canonicalize_name(name) for name in here} == PEERS.keys()


def test_the_environment_of_the_course_does_not_see_the_peers():
    python = Path(distribution("torch").locate_file("")).parents[2] / "bin/python"
    assert python.parent != Path(sys.executable).parent
    find = f"from importlib.util import find_spec; print([name for name in {['torch', *PEERS]} if find_spec(name)])"
    done = subprocess.run([python, "-c", find], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "['torch']\n"
