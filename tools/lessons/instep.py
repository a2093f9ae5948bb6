"""Comparison of the stored notebooks with their sources, without execution."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lessons.source import SETS, Lesson

__all__ = ["orphans", "stale"]


def stale(lesson: Lesson, folder: Path) -> list[str]:
    """Return a line for each of the two stored notebooks of `lesson` that differs from its source."""
    found = []
    for which in SETS:
        target = lesson.target(folder, which)
        if not target.exists():
            found.append(f"{lesson.name}: the {which} notebook is not built")
            continue
        stored = nbformat.read(target, as_version=nbformat.NO_CONVERT)
        if difference := _difference(lesson.notebooks[which], stored, lesson.hash):
            found.append(f"{lesson.name}: the {which} notebook is out of step with its source ({difference})")
    return found


def orphans(lessons: list[Lesson], folder: Path) -> list[Path]:
    """Return the notebooks without a source."""
    wanted = {lesson.target(folder, which) for lesson in lessons for which in SETS}
    return sorted({*folder.glob("*.ipynb"), *(folder / "solutions").glob("*.ipynb")} - wanted)


def _difference(wanted: NotebookNode, stored: NotebookNode, digest: str) -> str | None:
    if stored.metadata.get("nfteach", {}).get("hash") != digest:
        return "its hash is another: the source or the builder changed"
    if len(wanted.cells) != len(stored.cells):
        return f"{len(stored.cells)} cells where the source has {len(wanted.cells)}"
    for number, (ours, theirs) in enumerate(zip(wanted.cells, stored.cells, strict=True), start=1):
        for key in ("cell_type", "id", "source"):
            if ours[key] != theirs.get(key):
                return f"cell {number} has another {key.replace('_', ' ')}"
        if ours.metadata.get("tags", []) != theirs.metadata.get("tags", []):
            return f"cell {number} has other tags"
    return None
