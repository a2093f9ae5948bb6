"""Executed lessons with the state of their widgets, kept between builds."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from lessons.execute import CELL_TIMEOUT, execute
from lessons.normalise import normalise
from lessons.source import Lesson
from nbclient import NotebookClient
from nbformat import NotebookNode

__all__ = ["ROOT", "Executed", "executed", "keep", "store"]

WIDGET = "application/vnd.jupyter.widget-view+json"
ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "executed"

# Runs in the lesson's kernel. A page need not follow what explorers go through while they are recorded.
STORE = """
def _store(models, path):
    import json, pathlib
    from unittest.mock import patch
    from ipywidgets.embed import embed_data
    from ipywidgets.widgets.widget import Widget, _instances
    from nfteach.widgets import LiveFigure
    shown = [_instances[model] for model in models]
    explorers = [widget for widget in shown if hasattr(widget, "prepare")]
    with patch.object(Widget, "send_state"), patch.object(LiveFigure, "_tell"):  # what a page asks for is answered
        for explorer in explorers:
            explorer.prepare()  # its programs are recorded
    for explorer in explorers:
        explorer.live.send_state(["_frames", "_state"])
    controls = [control for widget in shown for control in getattr(widget, "controls", {{}}).values()]  # also hidden
    state = embed_data(views=[*shown, *controls], drop_defaults=False)["manager_state"]["state"]  # _esm is a default
    pathlib.Path(path).write_text(json.dumps(state))
_store({models!r}, {path!r})
del _store
"""


class Executed(NamedTuple):
    """A notebook with its outputs, and the state of its widgets.

    Attributes:
        notebook: the learner's notebook; where an output shows a widget, its metadata name the ``model``.
        models: model id -> its state, as in a notebook's ``metadata.widgets``.
    """

    notebook: NotebookNode
    models: dict[str, Any]


def executed(lesson: Lesson) -> Executed:
    """Return the executed learner's notebook of `lesson`; it runs only if the lesson or the package has changed."""
    path = _kept(lesson)
    if not path.exists():
        _run(lesson)
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Executed(nbformat.from_dict(kept["notebook"]), kept["models"])


def store(notebook: NotebookNode, path: Path) -> str:
    """Return the code that writes the state of the widgets that `notebook` shows; its own kernel runs it at the end."""
    shown = [output.data[WIDGET]["model_id"] for output in _live(notebook)]
    return STORE.format(models=list(dict.fromkeys(shown)), path=str(path))


def keep(lesson: Lesson, notebook: NotebookNode, state: Path) -> None:
    """Keep the executed learner's notebook of `lesson`, and what :func:`store` has written, for the next build."""
    for output in _live(notebook):
        output.metadata["model"] = output.data[WIDGET]["model_id"]
    normalise(notebook, lesson.name)
    for old in KEPT.glob(f"{lesson.name}-*.json"):
        old.unlink()
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = {"notebook": notebook, "models": json.loads(state.read_text(encoding="utf-8"))}
    _kept(lesson).write_text(json.dumps(kept), encoding="utf-8")


def _run(lesson: Lesson) -> None:
    notebook = lesson.notebooks["learner"]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"

        async def at_end(client: NotebookClient) -> None:
            code = store(notebook, state)
            await client.kc.execute_interactive(code, silent=True, store_history=False, timeout=CELL_TIMEOUT)

        timing = execute(notebook, ROOT / "notebooks", lesson.name, at_end)
        keep(lesson, notebook, state)
    print(f"{lesson.name:28} executed in {timing.total:.0f} s", flush=True)


def _live(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the outputs that show a widget."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return [output for output in outputs if WIDGET in output.get("data", {})]


def _kept(lesson: Lesson) -> Path:
    return KEPT / f"{lesson.name}-{_digest(lesson)}.json"


def _digest(lesson: Lesson) -> str:
    """Return a digest of all that the outputs of `lesson` depend on."""
    sources = sorted(
        path for path in (ROOT / "nfteach").rglob("*") if path.suffix not in (".pyc", "") and path.is_file()
    )
    digest = hashlib.sha256(lesson.hash.encode())
    for path in [*sources, ROOT / "constraints.txt", Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
