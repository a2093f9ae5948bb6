"""The code of the benchmark's notebooks: the references for each explorer's picture, which run in the kernel."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from nfteach.widgets import LiveFigure
from nfteach.widgets.controls import Hidden

__all__ = [
    "first_slider",
    "floor",
    "interact",
    "ipympl",
    "over_the_kernel",
    "peer",
    "printed",
    "shown_by",
    "silent",
    "stamped",
]


def floor() -> None:
    """Show a slider whose value the kernel writes into a label, the minimum for any round trip."""
    slider = ipywidgets.IntSlider(0, min=-500, max=500, description="label")
    label = ipywidgets.Label("0")
    slider.observe(lambda change: setattr(label, "value", str(change["new"])), "value")
    display(ipywidgets.VBox([slider, label]))


def over_the_kernel(source: str) -> Any:
    """Return the explorer of a cell without programs: each move travels to the kernel and back.

    None if it has no slider.
    """
    widget = shown_by(source)
    if first_slider(widget) is None:
        return None
    widget.live.connect(None, None)
    return widget


def interact(source: str, kind: str) -> None:
    """Show the picture of a cell by `interact`, drawn inline by matplotlib."""
    made = peer(source, kind)
    if made is None:
        return
    live, slider, move = made

    def draw(value: float) -> None:
        move(value)
        display(printed(live))

    ipywidgets.interact(draw, value=slider)


def ipympl(source: str, kind: str) -> None:
    """Show the picture of a cell by matplotlib's own widget, whose canvas is drawn at once after each move."""
    from ipympl.backend_nbagg import Canvas, FigureManager

    made = peer(source, kind)
    if made is None:
        return
    live, slider, move = made
    canvas = Canvas(printed(live))
    FigureManager(canvas, 0)

    def draw(change: Any) -> None:
        move(change["new"])
        canvas.figure = printed(live)
        canvas.figure.set_canvas(canvas)
        canvas.draw()

    slider.observe(draw, "value")
    display(ipywidgets.VBox([slider, canvas]))


def printed(live: LiveFigure) -> Figure:
    """Return the picture of a live figure as matplotlib prints it."""
    return live.printed()


def peer(source: str, kind: str) -> tuple[LiveFigure, ipywidgets.Widget, Callable[[Any], None]] | None:
    """Take the picture of a cell, to be drawn by a reference.

    Args:
        source: the source of the cell.
        kind: "slider" or "frames".

    Returns:
        the cell's figure, a copy of its slider, and a function that moves the figure to the slider's value;
        None if the cell has no slider or frames.
    """
    widget = shown_by(source)
    live = widget if isinstance(widget, LiveFigure) else getattr(widget, "live", None)
    if live is None:
        return None
    if kind == "frames":
        last = len(live.frames) - 1
        if last < 1:
            return None
        silent(widget)
        return live, ipywidgets.IntSlider(live.frame, 0, last, description="frame"), lambda k: setattr(live, "frame", k)
    name = first_slider(widget)
    if name is None:
        return None
    silent(widget)
    own = widget.controls[name]
    slider = type(own)(own.value, min=own.min, max=own.max, step=own.step, description=own.description)
    slider.style.description_width = "initial"
    return live, slider, lambda value: widget.set(**{name: value})


def first_slider(widget: Any) -> str | None:
    """Return the name of the first slider that is in view below an explorer's picture, or None if it has none."""
    controls = getattr(widget, "controls", {})
    shown = [name for name in controls if name != widget.step and not isinstance(controls[name], Hidden)]
    for name in list(getattr(widget, "essential", ())) or shown[:4]:
        control = controls[name]
        unseen = control.layout.visibility == "hidden" or control.layout.display == "none" or control.disabled
        if isinstance(control, ipywidgets.FloatSlider | ipywidgets.IntSlider) and not unseen:
            return name
    return None


def shown_by(source: str) -> Any:
    """Run a cell and return the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop()
    if not isinstance(last, ast.Expr):
        raise ValueError("source must end in the expression that shows the explorer")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def silent(widget: Any) -> None:
    """Stop an explorer from packing and sending its picture; it still computes."""
    widget.close()
    live = widget if isinstance(widget, LiveFigure) else widget.live
    live._tell = live.send_state = lambda *_, **__: None


def stamped(widget: Any) -> list[tuple[str, float, int]]:
    """Record the begin and end of each step of an explorer's answers, as (event, seconds since 1970, bytes)."""
    stamps: list[tuple[str, float, int]] = []

    def watch(owner: Any, method: str, name: str = "") -> None:
        name = name or method
        original = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            size = sum(map(len, args[1])) if method == "send" else 0
            stamps.append((f"{name} begins", time.time(), size))
            try:
                return original(*args, **kwargs)
            finally:
                stamps.append((f"{name} ends", time.time(), size))

        setattr(owner, method, watched)

    watch(widget.controls[first_slider(widget)], "set_state")
    watch(widget, "picture", "compute")
    for method in ("update", "set_frames", "send"):
        watch(widget.live, method)
    return stamps
