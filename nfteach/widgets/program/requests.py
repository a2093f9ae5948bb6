"""What the page has to know of an explorer, and the programs that it asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from nfteach.widgets.controls import input_of, is_traced, kind_of, options_of
from nfteach.widgets.program.record import Refused
from nfteach.widgets.program.wiring import move_of, program_of
from nfteach.widgets.stage.packing import in_words

__all__ = ["answer_to", "browser_value", "program_for", "wiring_of"]

FOLLOW, PRESET = "follow ", "preset "  # before the name of a control, or of a preset that is a function of the state


def wiring_of(explorer: Any) -> dict[str, Any]:
    """Return what the page has to know of the controls of an :class:`~nfteach.widgets.Explorer` to run programs."""

    def told(state: Any) -> dict[str, Any] | None:
        if callable(state):
            return None  # a program says where it leads
        try:
            checked = explorer.checked(state)
        except (TypeError, ValueError):  # the kernel will explain
            return None
        return {name: browser_value(explorer.controls[name], value) for name, value in checked.items()}

    return {
        "controls": {
            name: {
                "model": f"IPY_MODEL_{one.model_id}",
                "kind": kind_of(one),
                "traced": is_traced(one),
                "layout": one.layout.model_id,
            }
            for name, one in explorer.controls.items()
        },
        "step": explorer.step,
        "drags": explorer.has_own_drag,
        "followers": list(explorer.followers),
        "presets": {name: told(state) for name, state in explorer.presets.items()},
        "reset": told(explorer.initial),
    }


def answer_to(explorer: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the program that the page asks for: of ``move``, with ``values``, at a ``state``; or why there is none."""
    state = {}
    for name, value in wanted["state"].items():
        control = explorer.controls[name]
        state[name] = options_of(control)[value][1] if kind_of(control) == "choice" else value
    try:
        return explorer.program(wanted["move"], wanted["values"], **state)
    except Refused as error:
        return {"refused": str(error)}
    except Exception as error:  # the kernel's own picture shows it
        return {"failed": in_words(error)}


def program_for(explorer: Any, move: str, values: Sequence[float], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded picture or move, with ``reads``, the choices (control -> value) for which it was recorded.

    Raises:
        Refused: what cannot be recorded; the message names the line.
    """
    controls = explorer.controls
    inputs = {name: input_of(controls[name], value) for name, value in state.items() if is_traced(controls[name])}
    choices = {name: value for name, value in state.items() if name not in inputs}
    if move:
        program = move_of(_function(explorer, move), inputs, choices, values)
    elif explorer.step:
        program = program_of(lambda s: explorer.pictures(s) or explorer.picture(s), inputs, choices)
    else:
        program = program_of(explorer.picture, inputs, choices)
    read = program.get("reads", [name for name in choices if name != explorer.step])
    return program | {
        "move": move,
        "reads": {name: browser_value(controls[name], choices[name]) for name in read},
        "hidden": [name for name, one in controls.items() if one.layout.display == "none"],
    }


def _function(explorer: Any, move: str) -> Callable[..., Mapping[str, Any]]:
    """Return the function (state, values...) -> control -> value of a move."""
    for prefix, functions in ((FOLLOW, explorer.followers), (PRESET, explorer.presets)):
        if callable(function := functions.get(move.removeprefix(prefix))) and move.startswith(prefix):
            return function
    return functools.partial(explorer.drag, move)


def browser_value(control: ipywidgets.Widget, value: Any) -> Any:
    """Return a value as the page has it: of a choice, its place among the options."""
    if kind_of(control) != "choice":
        return value
    return [option for _, option in options_of(control)].index(value)
