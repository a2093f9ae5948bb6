"""Fixtures of the inspector's tests."""

import pytest


@pytest.fixture
def two_copies(monkeypatch):
    """Look at two copies with moved parameters, not at eight: the others are made in the same way."""
    monkeypatch.setattr("nfteach.jacobian.inspection.MOVED_COPIES", 2)
