"""The normal form of an executed notebook: the same lesson always has the same bytes."""

import base64
import re
import struct
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lessons.source import METADATA, LessonError

__all__ = ["normalise", "strip_png", "to_text"]

WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r"0x[0-9a-f]{7,}", re.IGNORECASE)
BAR = re.compile(r"\d+%\||\b\d+it \[|\[\d\d:\d\d[<,]")  # progress bars of tqdm, with and without a total
# IPython prints this once on each machine, when matplotlib first reads its fonts.
HARMLESS = ("Matplotlib is building the font cache",)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_NOTES = {b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"}


def normalise(notebook: NotebookNode, title: str) -> None:
    """Rewrite the outputs and the metadata of `notebook` in place.

    Raises:
        LessonError: if an output can differ between runs or machines: an error, a warning on stderr, a memory address,
            a path of this machine.
    """
    notebook.metadata = nbformat.from_dict(METADATA | {"nfteach": notebook.metadata["nfteach"]})
    for number, cell in enumerate(notebook.cells, start=1):
        alt = cell.metadata.pop("alt", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        where = f"{title}, cell {number}"
        cell.outputs = _outputs(cell.outputs, alt, where)
        for output in cell.outputs:
            _refuse(output, where)


def to_text(notebook: NotebookNode) -> str:
    """Return the text of the notebook's file, as nbformat writes it, with sorted keys and one newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def strip_png(data: bytes) -> bytes:
    """Return `data` without the chunks that hold the program, its version or the time."""
    if not data.startswith(PNG_SIGNATURE):
        raise ValueError(f"data must be a PNG file, but starts with {data[:8]!r}")
    kept, at = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        end = at + 12 + length  # length, type, content, checksum
        if data[at + 4 : at + 8] not in PNG_NOTES:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _outputs(outputs: list[NotebookNode], alt: str | None, where: str) -> list[NotebookNode]:
    """Join neighbouring streams, drop progress bars and live views, keep their pictures."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                kept[-1].text += output.text
            else:
                kept.append(output)
        elif output.output_type in ("display_data", "execute_result"):
            live = output.data.pop(WIDGET, None) is not None
            if not output.data or (live and BAR.search(output.data.get("text/plain", ""))):
                continue
            _describe(output, alt)
            kept.append(output)
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = _settle(output.text, bars=output.name == "stderr")
    return [output for output in kept if output.output_type != "stream" or output.text]


def _describe(output: NotebookNode, alt: str | None) -> None:
    """Strip the notes from a picture, and store the `alt` of the source cell for nbconvert."""
    if "image/png" not in output.data:
        return
    picture = strip_png(base64.b64decode(output.data["image/png"]))
    output.data["image/png"] = base64.b64encode(picture).decode() + "\n"
    if alt is not None:
        output.metadata.setdefault("image/png", {})["alt"] = alt


def _settle(text: str, bars: bool) -> str:
    """Return the final text of a terminal, where a carriage return restarts a line; on stderr, without bars."""
    lines = []
    for line in text.split("\n"):
        shown = [part for part in line.split("\r") if part]
        last = shown[-1] if shown else ""
        if bars and (BAR.search(last) or last.startswith(HARMLESS)):
            continue
        lines.append(last)
    settled = "\n".join(lines)
    return settled if settled.strip() or not bars else ""


def _refuse(output: NotebookNode, where: str) -> None:
    if output.output_type == "error":
        raise LessonError(f"{where} stores an error ({output.ename}: {output.evalue}); catch it and print its message")
    if output.output_type == "stream" and output.name == "stderr":
        raise LessonError(f"{where} writes to stderr; a lesson shows no warnings. It wrote:\n{output.text}")
    for text in _texts(output):
        if found := ADDRESS.search(text):
            raise LessonError(f"{where} shows a memory address ({found.group()}); print something that stays the same")
        for path in {str(Path.cwd()), str(Path.home()), tempfile.gettempdir() + "/"} - {"/", "//"}:
            if path in text:
                raise LessonError(f"{where} shows a path of this machine ({path}); print a relative one")


def _texts(output: NotebookNode) -> list[str]:
    if output.output_type == "stream":
        return [output.text]
    return [value for kind, value in output.get("data", {}).items() if isinstance(value, str) and "image/" not in kind]
