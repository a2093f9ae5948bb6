"""Read a lesson's source and cut it into the learner's notebook and the solved one, not yet executed."""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbformat import NotebookNode

__all__ = ["BUILDER_VERSION", "METADATA", "NOTEBOOKS", "SETS", "Lesson", "LessonError", "discover", "read_lesson"]

BUILDER_VERSION = "1"  # raise it when the builder would write other bytes for the same source

# The course, or another folder of lessons to try them in before they join it.
NOTEBOOKS = Path(os.environ.get("NFTEACH_NOTEBOOKS", Path(__file__).parents[2] / "notebooks")).resolve()

SETS = ("learner", "solved")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACE = "# your code here"
NAME = re.compile(r"\d\d_[a-z0-9_]+")
# The target of a link or a picture that is a relative path (so has a dot), but not another lesson: f[i](x) is neither.
LINK = re.compile(r"(\]\()(?!\d\d_[a-z0-9_]+\.ipynb)([\w./-]*\.[\w./-]+(?:#\S*)?\))")
MARKDOWN = {"extension": ".md", "format_name": "markdown", "split_at_heading": True}
# Only what does not change with the machine: an executed notebook otherwise names its Python version.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


class LessonError(Exception):
    """A lesson that cannot be built; the message says which lesson, which cell and what to do."""


class Lesson(NamedTuple):
    """One source file, its hash, and the notebooks cut from it (keys: `SETS`)."""

    path: Path
    hash: str
    notebooks: dict[str, NotebookNode]

    @property
    def name(self) -> str:
        """The file's name without its ending, such as `02_nade`."""
        return self.path.stem

    def target(self, folder: Path, which: str) -> Path:
        """Where the notebook of the set `which` lies under the folder of all notebooks."""
        return (folder / "solutions" if which == "solved" else folder) / f"{self.name}.ipynb"


def discover(folder: Path, only: str | None = None) -> list[Path]:
    """The sources under `folder`/source, sorted; `only` picks one by its name.

    Raises:
        LessonError: there is none, or one is not named like `02_nade.md`.
    """
    paths = sorted((folder / "source").glob("*.md"))
    if only is not None:
        wanted = Path(only).stem
        known = ", ".join(path.stem for path in paths) or "none"
        paths = [path for path in paths if path.stem == wanted]
        if not paths:
            raise LessonError(f"no lesson {wanted!r} in {folder / 'source'}; the lessons there: {known}")
    if not paths:
        raise LessonError(f"no lesson sources (NN_name.md) in {folder / 'source'}")
    for path in paths:
        if not NAME.fullmatch(path.stem):
            raise LessonError(f"{path}: a lesson is named like 02_nade.md (two digits, then lower-case words)")
    return paths


def read_lesson(path: Path) -> Lesson:
    """Parse a source and cut both notebooks from it."""
    text = path.read_text(encoding="utf-8")
    digest = hashlib.sha256(f"{BUILDER_VERSION}\n{text}".encode()).hexdigest()
    cells = jupytext.reads(text, fmt=MARKDOWN).cells
    return Lesson(path, digest, {which: _notebook(path.stem, digest, cells, which) for which in SETS})


def _notebook(name: str, digest: str, cells: list[NotebookNode], which: str) -> NotebookNode:
    notebook = nbformat.v4.new_notebook(nbformat_minor=5)
    notebook.metadata = nbformat.from_dict(METADATA | {"nfteach": {"hash": digest, "lesson": name, "set": which}})
    used: dict[str, int] = {}
    for number, cell in enumerate(cells, start=1):
        metadata = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
        if cell.cell_type == "code":
            source = _cut(cell.source, which, where=f"{name}, cell {number}")
            made = nbformat.v4.new_code_cell(source)
        else:
            made = nbformat.v4.new_markdown_cell(_relink(cell.source) if which == "solved" else cell.source)
        made.metadata = nbformat.from_dict(metadata)
        made.id = _cell_id(cell, used)
        notebook.cells.append(made)
    return notebook


def _relink(source: str) -> str:
    """Relative links as they read from solutions/, one folder further down; lessons link to each other solved."""
    return LINK.sub(r"\1../\2", source)


def _cell_id(cell: NotebookNode, used: dict[str, int]) -> str:
    """An id from the cell's own text: it survives edits elsewhere in the lesson, and is the same in both notebooks."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    used[digest] = used.get(digest, 0) + 1
    return digest if used[digest] == 1 else f"{digest}-{used[digest]}"


def _cut(source: str, which: str, where: str) -> str:
    """Take the solutions out (learner's set), or only their marks (solved set)."""
    kept: list[str] = []
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark in (BEGIN, END):
            if inside == (mark == BEGIN):
                raise LessonError(f"{where}: {mark!r} without its partner; solutions are not nested")
            inside = mark == BEGIN
            if inside and which == "learner":
                kept += _place(line[: len(line) - len(line.lstrip())])
        elif mark.startswith(("### BEGIN", "### END")):
            raise LessonError(f"{where}: {mark!r} is not a mark; write {BEGIN!r} and {END!r}")
        elif not inside or which == "solved":
            kept.append(line)
    if inside:
        raise LessonError(f"{where}: {BEGIN!r} without its partner")
    return "\n".join(kept)


def _place(indent: str) -> list[str]:
    """What stands where the solution was; a block needs a statement, and at the top level `...` would be displayed."""
    return [f"{indent}{PLACE}", f"{indent}..."] if indent else [PLACE]
