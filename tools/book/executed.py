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

__all__ = ["ROOT", "Executed", "executed"]

WIDGET = "application/vnd.jupyter.widget-view+json"
ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "executed"

# Runs in the lesson's kernel: the state of the widgets that a cell shows, as they are when it ends.
STORE = """
def _store(models, path):
    import json, pathlib
    from ipywidgets.embed import embed_data
    from ipywidgets.widgets.widget import _instances
    shown = [_instances[model] for model in models]
    for widget in shown:
        if hasattr(widget, "prepare"):  # an explorer records its programs
            widget.prepare()
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
    path = KEPT / f"{lesson.name}-{_digest(lesson)}.json"
    if not path.exists():
        notebook, models = _run(lesson)
        for old in KEPT.glob(f"{lesson.name}-*.json"):
            old.unlink()
        KEPT.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"notebook": notebook, "models": models}), encoding="utf-8")
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Executed(nbformat.from_dict(kept["notebook"]), kept["models"])


def _run(lesson: Lesson) -> Executed:
    notebook = lesson.notebooks["learner"]
    models: dict[str, Any] = {}

    async def store(client: NotebookClient, cell: NotebookNode) -> None:
        live = [output for output in cell.outputs if WIDGET in output.get("data", {})]
        for output in live:
            output.metadata["model"] = output.data[WIDGET]["model_id"]
        shown = [output.metadata["model"] for output in live]
        if not shown:
            return
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.json"
            code = STORE.format(models=shown, path=str(state))
            await client.kc.execute_interactive(code, silent=True, store_history=False, timeout=CELL_TIMEOUT)
            models.update(json.loads(state.read_text()))

    timing = execute(notebook, ROOT / "notebooks", lesson.name, after=store)
    print(f"{lesson.name:28} executed in {timing.total:.0f} s", flush=True)
    normalise(notebook, lesson.name)
    return Executed(notebook, models)


def _digest(lesson: Lesson) -> str:
    """Return a digest of all that the outputs of `lesson` depend on."""
    sources = sorted(
        path for path in (ROOT / "nfteach").rglob("*") if path.suffix not in (".pyc", "") and path.is_file()
    )
    digest = hashlib.sha256(lesson.hash.encode())
    for path in [*sources, ROOT / "constraints.txt", Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
