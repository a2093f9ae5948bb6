"""What tests of exercises leave behind is not the user's own progress."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def progress_elsewhere(monkeypatch, tmp_path) -> Path:
    """A folder for progress that does not exist yet, as on a learner's first day."""
    folder = tmp_path / "folder"
    monkeypatch.setenv("NFTEACH_PROGRESS", str(folder))
    return folder
