"""The environment of these tests is the one that constraints.txt and constraints-peers.txt describe."""

from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PINS = {
    canonicalize_name(name): version
    for file in ("constraints.txt", "constraints-peers.txt")
    for name, _, version in (line.partition("==") for line in (ROOT / file).read_text().splitlines())
    if version
}
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
