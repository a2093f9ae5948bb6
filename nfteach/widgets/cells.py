"""Which cells of a notebook show a widget. When all of them have been run again, what they showed is closed."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets
from IPython import get_ipython

__all__ = ["close_all_of", "keep_track"]

_OWN = re.compile(r"Out|_|__|___|_oh|_\d+")  # IPython's names for what cells have returned

# Of every widget that was shown: cell -> the run of that cell which showed it.
_shown: weakref.WeakKeyDictionary[ipywidgets.Widget, dict[str, str]] = weakref.WeakKeyDictionary()


def keep_track(widget: ipywidgets.Widget) -> None:
    """Note that the cell that runs now shows ``widget``.

    ipywidgets keeps every widget, and all that it holds, until the kernel ends. So when the last cell that showed a
    widget has been run again, and no variable of the notebook holds it, the widget is closed. Nothing is done where
    cells have no names, as outside of notebooks, nor with a widget that is shown as a part of another.
    """
    shell = get_ipython()
    cell, run = _running(shell)
    if cell:
        _shown.setdefault(widget, {})[cell] = run
        shell.events.register("post_run_cell", _close_what_is_gone)  # once, however often


def close_all_of(widget: ipywidgets.Widget) -> None:
    """Close the children of a widget, theirs, and what they are styled with."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, ipywidgets.Widget):
            close_all_of(part)
            part.close()


def _running(shell: Any) -> tuple[str | None, str | None]:
    """The cell that runs, as the front end calls it, and which run of it this is; None where that is not known."""
    parent = getattr(shell, "get_parent", dict)() or {}
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    return (cell, run) if cell and run else (None, None)


def _close_what_is_gone(_: Any = None) -> None:
    """After a cell has run: what an earlier run of it showed is no longer to be seen there."""
    shell = get_ipython()
    cell, run = _running(shell)
    if not cell:
        return
    for widget, cells in list(_shown.items()):
        if cells.get(cell, run) != run:
            del cells[cell]
        if not cells and not _held(widget, shell.user_ns):
            del _shown[widget]
            widget.close()
            _forget(widget, shell)


def _held(widget: ipywidgets.Widget, names: Mapping[str, Any]) -> bool:
    """Whether a variable holds the widget, itself or in a collection; IPython's own, such as _ and Out, don't count."""
    return any(_holds(value, widget) for name, value in names.items() if not _OWN.fullmatch(name))


def _holds(value: Any, widget: ipywidgets.Widget) -> bool:
    if isinstance(value, ipywidgets.Box):
        return value is widget or any(_holds(child, widget) for child in value.children)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return value is widget
    return any(one is widget for one in _few(value))


def _few(values: Iterable[Any], most: int = 1000) -> Iterable[Any]:
    """The first of some values: a list of a million numbers need not be searched."""
    return (value for value, _ in zip(values, range(most), strict=False))


def _forget(widget: ipywidgets.Widget, shell: Any) -> None:
    """Take a closed widget from IPython's history of outputs, which would keep its arrays."""
    outputs = shell.user_ns.get("_oh", {})
    for number in [number for number, value in outputs.items() if value is widget]:
        del outputs[number]
        if shell.user_ns.get(f"_{number}") is widget:
            shell.del_var(f"_{number}")  # _, __ and ___ with it
