"""Controls of explorers: ipywidgets with one look, and the check of a value that is given by name."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from nfteach.widgets.echo import QuietSlider

__all__ = [
    "Hidden",
    "checked_value",
    "choice",
    "hidden",
    "input_of",
    "integer",
    "is_traced",
    "kind_of",
    "nearest_value",
    "options_of",
    "row",
    "slider",
    "switch",
]


def slider(
    label: str, low: float, high: float, value: float, *, step: float = 0.01, format: str = ".2f"
) -> ipywidgets.FloatSlider:
    """A slider over real numbers. Put the unit into the label: "angle of w (degrees)"."""
    return QuietSlider(
        value, min=low, max=high, step=step, description=label, readout_format=format, continuous_update=True
    )


def integer(label: str, low: int, high: int, value: int, *, traced: bool = False) -> ipywidgets.IntSlider:
    """A slider over whole numbers; traced: ``picture`` takes a tensor float64 () in place of an int."""
    return _marked(ipywidgets.IntSlider(value, min=low, max=high, description=label, continuous_update=True), traced)


def choice(
    label: str, options: Sequence[Any] | Mapping[str, Any], value: Any, *, traced: bool = False
) -> ipywidgets.Widget:
    """One of some options (label -> value, or values): buttons for up to three short ones, else a list.

    Traced: ``picture`` takes its place among the options, a tensor float64 ().
    """
    pairs = list(options.items()) if isinstance(options, Mapping) else [(str(option), option) for option in options]
    short = len(pairs) <= 3 and sum(len(name) for name, _ in pairs) <= 26
    kind = ipywidgets.ToggleButtons if short else ipywidgets.Dropdown
    made = kind(options=pairs, value=value, description=label)
    if short:
        made.style.button_width = "auto"
        made.layout.display, made.layout.align_items = "flex", "center"  # its label beside the buttons, not above them
    return _marked(made, traced)


def switch(label: str, value: bool) -> ipywidgets.Checkbox:
    """On or off."""
    return ipywidgets.Checkbox(value, description=label, indent=False)


class Hidden(ipywidgets.Text):
    """A text that is part of an explorer's state without being shown, such as what is painted in its picture."""

    check: Callable[[str, Any], str]


def hidden(value: str, check: Callable[[str, Any], str], *, traced: bool = False) -> Hidden:
    """A text that is not shown; ``check(name, value)`` returns a given value as text, or raises ValueError.

    Traced: it consists of digits, and ``picture`` takes them as a tensor float64 (n,).
    """
    made = Hidden(value)
    made.check = check
    return _marked(made, traced)


def _marked(control: ipywidgets.Widget, traced: bool) -> ipywidgets.Widget:
    control.traced = traced
    return control


def is_traced(control: ipywidgets.Widget) -> bool:
    """Return whether ``picture`` takes a tensor in place of the value, which a program follows in the page."""
    return kind_of(control) == "slider" or getattr(control, "traced", False)


def input_of(control: ipywidgets.Widget, value: Any) -> Tensor:
    """Return a value of a traced control as ``picture`` takes it, float64."""
    kind = kind_of(control)
    if kind == "choice":
        value = [option for _, option in options_of(control)].index(value)
    return torch.tensor([int(one) for one in value] if kind == "hidden" else value, dtype=torch.float64)


def kind_of(control: ipywidgets.Widget) -> str:
    """Return "slider" (real numbers), "integer", "choice", "switch" or "hidden"."""
    if isinstance(control, Hidden):
        return "hidden"
    if hasattr(control, "options"):
        return "choice"
    if isinstance(control.value, bool):
        return "switch"
    return "slider" if isinstance(control.value, float) else "integer"


def row(table: Tensor, index: Tensor) -> Tensor:
    """Return ``table[index]`` for a whole number (): one that is traced is looked up in the page."""
    return table.index_select(0, index.long().reshape(1)).squeeze(0)


def options_of(control: ipywidgets.Widget) -> list[tuple[str, Any]]:
    """Return label and value of each option of a choice."""
    return [option if isinstance(option, tuple) else (str(option), option) for option in control.options]


def checked_value(name: str, control: ipywidgets.Widget, value: Any) -> Any:
    """``value`` as the control takes it. Raises ValueError with the control's name and what it takes."""
    if isinstance(control, Hidden):
        return control.check(name, value)
    if hasattr(control, "options"):
        pairs = options_of(control)
        if isinstance(value, Tensor) and value.dim() == 0 and 0 <= value < len(pairs):
            return pairs[int(value)][1]  # its place, as a traced choice is computed with
        for label, option in pairs:
            if (type(value) is type(option) and value == option) or value == label:
                return option
        raise ValueError(f"{name} must be one of {', '.join(repr(option) for _, option in pairs)}, but is {value!r}")
    if isinstance(control.value, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, but is {value!r}")
        return value
    if hasattr(control, "min"):
        whole = isinstance(control.value, int)
        kind, word = (numbers.Integral, "whole number") if whole else (numbers.Real, "number")
        good = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
        if not good or not control.min <= value <= control.max:
            raise ValueError(f"{name} must be a {word} from {control.min:g} to {control.max:g}, but is {value!r}")
        return int(value) if whole else float(value)
    raise ValueError(
        f"{name} is a {type(control).__name__}, which an explorer can't check; use nfteach.widgets.controls"
    )


def nearest_value(control: ipywidgets.Widget, value: float) -> float | int:
    """The value of a slider that is nearest to a number: in its range, on its steps."""
    steps = round((value - control.min) / control.step)
    # Ten digits: 0.1 + 0.2 is shown as a learner writes it.
    near = round(min(max(control.min + steps * control.step, control.min), control.max), 10)
    return int(near) if isinstance(control.value, int) else near
