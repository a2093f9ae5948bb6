"""The plugin for pytest: the fixture ``assert_sound``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

from . import testing


@pytest.fixture
def assert_sound(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return :func:`nfteach.testing.assert_sound`, which here reports what was compared (``pytest -rP`` shows it)."""

    @wraps(testing.assert_sound)
    def assert_and_report(layer: Any, x: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        report = testing.assert_sound(layer, x, **options)
        request.node.add_report_section("call", "nfteach", f"{report!r}\n{report.comparisons()}")
        return report

    return assert_and_report
