"""The source of a lesson, and the learner's and the solved notebook that it describes, not yet executed."""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbformat import NotebookNode

__all__ = ["BUILDER_VERSION", "METADATA", "NOTEBOOKS", "SETS", "Lesson", "LessonError", "discover", "read_lesson"]

BUILDER_VERSION = "2"  # raise it when the builder changes the bytes of the same source

# The folder of the course, or another one for lessons in preparation.
NOTEBOOKS = Path(os.environ.get("NFTEACH_NOTEBOOKS", Path(__file__).parents[2] / "notebooks")).resolve()

SETS = ("learner", "solved")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACE = "# your code here"
# Tag of a cell -> what JupyterLab folds: the code of a figure, or an output that answers the prediction above it.
FOLDED = {"figure": "source_hidden", "reveals": "outputs_hidden"}
NAME = re.compile(r"\d\d_[a-z0-9_]+")
# The target of a link or picture: a relative path with a dot, and not a lesson. It excludes f[i](x).
LINK = re.compile(r"(\]\()(?!\d\d_[a-z0-9_]+\.ipynb)([\w./-]*\.[\w./-]+(?:#\S*)?\))")
MARKDOWN = {"extension": ".md", "format_name": "markdown", "split_at_heading": True}
# Independent of the machine; an executed notebook would otherwise hold its Python version.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


class LessonError(Exception):
    """An error in a lesson; the message names the lesson, the cell and the remedy."""


class Lesson(NamedTuple):
    """One source file, its hash, and the notebooks cut from it (keys: `SETS`)."""

    path: Path
    hash: str
    notebooks: dict[str, NotebookNode]

    @property
    def name(self) -> str:
        """The name of the file without its suffix, such as `02_nade`."""
        return self.path.stem

    def target(self, folder: Path, which: str) -> Path:
        """Return the path of the notebook of the set `which`, given the folder of all notebooks."""
        return (folder / "solutions" if which == "solved" else folder) / f"{self.name}.ipynb"


def discover(folder: Path, only: str | None = None) -> list[Path]:
    """Return the sources in `folder`/source, sorted; `only` selects one by name.

    Raises:
        LessonError: if there is none, or one has a name unlike `02_nade.md`.
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
            raise LessonError(f"{path}: the name of a lesson must be like 02_nade.md, two digits and lower-case words")
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
        if folds := {FOLDED[tag]: True for tag in metadata.get("tags", ()) if tag in FOLDED}:
            metadata["jupyter"] = folds
        made.metadata = nbformat.from_dict(metadata)
        made.id = _cell_id(cell, used)
        notebook.cells.append(made)
    return notebook


def _relink(source: str) -> str:
    """Return `source` with its relative links adapted to solutions/, one folder down; links to lessons stay."""
    return LINK.sub(r"\1../\2", source)


def _cell_id(cell: NotebookNode, used: dict[str, int]) -> str:
    """Return an id derived from the text of the cell: stable under edits elsewhere, and equal in both notebooks."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    used[digest] = used.get(digest, 0) + 1
    return digest if used[digest] == 1 else f"{digest}-{used[digest]}"


def _cut(source: str, which: str, where: str) -> str:
    """Remove the solutions (learner's set), or their marks only (solved set)."""
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
    """Return the replacement of a solution; a block needs a statement, and a top-level `...` would be displayed."""
    return [f"{indent}{PLACE}", f"{indent}..."] if indent else [PLACE]
