"""Tests use what is public: no test reads a private attribute of an object, or imports a private name of ours."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
#: A leading underscore; names such as _repr_html_ and __all__ are protocols.
# Those of named tuples are public, in spite of their names.
PRIVATE = re.compile(r"_(?!_|asdict$|fields$|make$|replace$).*(?<!_)")
#: File or folder -> the private names that are still used there: of other libraries, and of rooms without accessors.
STILL = {
    "peers/": {"_cached_log_scale", "_embedding_net", "_flows", "_inverse", "_params", "_transform"},
    "unit/jacobian/test_exhibits_by_hand.py": {"_fresh"},
    "unit/jacobian/test_hidden_faults.py": {"_version"},
    "unit/jacobian/test_unharmed.py": {"_version"},
    "unit/test_architecture.py": {"_HOME"},
}


def private_names(source: str) -> Iterator[str]:
    """Yield the private names that a file reads from other objects than self and cls, or imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if PRIVATE.fullmatch(alias.name))


def test_the_scan_finds_private_names_and_leaves_protocols_and_own_names_alone():
    source = """
from a import _b, c
class D:
    def e(self):
        return self._f, other._g, live._h.i, table._repr_html_(), D.__name__
"""
    assert list(private_names(source)) == ["_b", "_g", "_h"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_a_test_uses_no_private_name_of_another_object(file):
    found = set(private_names(file.read_text(encoding="utf-8")))
    name = str(file.relative_to(TESTS))
    allowed = {private for place, names in STILL.items() if name.startswith(place) for private in names}
    assert found <= allowed, "use what is public, or add a public accessor"


def test_the_exceptions_name_no_test_of_explorers():
    assert not [name for name in STILL if name.startswith(("unit/widgets", "explorers", "browser"))]
