"""A folder for the records that tests of exercises leave behind."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def progress_elsewhere(monkeypatch, tmp_path) -> Path:
    """A folder for progress that does not exist yet, as on a learner's first day."""
    folder = tmp_path / "folder"
    monkeypatch.setenv("NFTEACH_PROGRESS", str(folder))
    return folder
