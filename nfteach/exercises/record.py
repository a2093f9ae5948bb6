"""The record of a learner's work, kept in a folder of the learner's own."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import platformdirs

from nfteach.exercises.verdict import State

__all__ = ["Record", "progress_folder"]


def progress_folder() -> Path:
    """Return the folder of the records: the one that the environment variable NFTEACH_PROGRESS names, else one in the
    user's folder for data."""
    named = os.environ.get("NFTEACH_PROGRESS")
    return Path(named) if named else platformdirs.user_data_path("nfteach") / "progress"


class Record:
    """The record of one exercise, kept in a file of its own: two notebooks at work do not overwrite each other.

    It is written back at once, so that a kernel may end at any time. What is right stays right, whatever is tried
    later. A file that can't be read is kept next to the new one under another name. Where nothing can be written,
    exercises are judged all the same.

    Args:
        number: the number of the exercise, such as "4.2".
    """

    def __init__(self, number: str) -> None:
        self.path = progress_folder() / f"{number}.json"

    def read(self) -> dict[str, Any]:
        """Return the ``state``, ``tries``, ``hints`` seen, and whether the ``solution`` was."""
        return {"state": State.NOT_ATTEMPTED.value, "tries": 0, "hints": 0, "solution": False, **self._stored()}

    def note(self, state: State) -> None:
        """Remember a verdict."""
        if state is State.NOT_ATTEMPTED:
            return
        known = self.read()
        right = State.RIGHT.value in (known["state"], state.value)
        self._write(known | {"state": State.RIGHT.value if right else state.value, "tries": known["tries"] + 1})

    def hint(self, most: int) -> int:
        """Return the number of the next hint, counted from 1; the last one again when all were seen."""
        known = self.read()
        known["hints"] = min(known["hints"] + 1, most)
        self._write(known)
        return known["hints"]

    def solution_seen(self) -> None:
        """Remember that the solution was looked at."""
        self._write(self.read() | {"solution": True})

    def _stored(self) -> dict[str, Any]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            State(known.get("state", State.NOT_ATTEMPTED.value))
        except OSError:  # none yet, or none that may be read
            return {}
        except (ValueError, AttributeError, TypeError):  # no JSON, no object, or no state of ours
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".unreadable"))
            return {}
        return known

    def _write(self, known: dict[str, Any]) -> None:
        """Write the whole file anew, and put it in its place in one step: never half a file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.path.parent, prefix=".writing", delete=False
            ) as new:
                json.dump(known, new, indent=1)
            os.replace(new.name, self.path)
        except OSError:  # a read-only home: the verdict is shown, and not kept
            return
