"""An explorer as data: how it is made, and the independent computation that its numbers and arrays are checked by."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import ipywidgets
import numpy as np
import torch

from nfteach.widgets import Explorer, LiveFigure
from nfteach.widgets.controls import Hidden
from tests.explorers.cells import GALLERY
from tests.explorers.front_end import state_of

__all__ = [
    "Entry",
    "anywhere",
    "centres",
    "corners",
    "drawn",
    "from_cell",
    "given",
    "picture",
    "picture_of",
    "prepared",
    "values_of",
]


@dataclass(frozen=True)
class Entry:
    """An explorer as data.

    Args:
        make: returns a new explorer, the same each time.
        check: compares the readout and the drawn arrays, at the present state and frame, with an independent
            computation.
        number: the number of random states that are checked.
        random: (explorer, generator) -> a random state; by default every control is anywhere in its range.
        also: explorer -> further states to check.
        wakes: control -> the state in which it moves the picture, if that is not the initial state; None if it never
            does.
        text: the explorer in one line, as a notebook stores it.
        alt: a word of its description.
        cell: True if it is made by the gallery's cell.
    """

    make: Callable[[], Explorer]
    check: Callable[[Explorer], None]
    number: int = 3
    random: Callable[[Explorer, np.random.Generator], dict[str, Any]] | None = None
    also: Callable[[Explorer], Iterable[dict[str, Any]]] = lambda explorer: ()
    wakes: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    text: str = ""
    alt: str = ""
    cell: bool = False

    def states(self, explorer: Explorer) -> Iterator[dict[str, Any]]:
        """Yield the random states, the same in every run."""
        for seed in range(self.number):
            yield (self.random or anywhere)(explorer, np.random.default_rng(seed))


def values_of(control: ipywidgets.Widget) -> list[Any]:
    """Return both ends of a slider, all options of a choice, or a few texts of the same length for a hidden one."""
    if isinstance(control, Hidden):
        return list(dict.fromkeys([control.value, *(digit * len(control.value) for digit in "01")]))
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    return [False, True] if isinstance(control.value, bool) else [control.min, control.max]


def anywhere(explorer: Explorer, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random state: sliders anywhere in their range, also between their steps."""
    state = {}
    for name, control in explorer.controls.items():
        values = values_of(control)
        if hasattr(control, "min"):
            whole = isinstance(control.value, int)
            state[name] = int(rng.integers(values[0], values[1] + 1)) if whole else float(rng.uniform(*values))
        else:
            state[name] = values[rng.integers(len(values))]
    return state


def corners(explorer: Explorer, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield eight states in which all sliders are at their ends at once."""
    ends = {name: values_of(explorer.controls[name]) for name in names}
    for corner in range(8):
        yield {name: ends[name][corner >> (k % 3) & 1] for k, name in enumerate(names)}


def picture(explorer: Explorer) -> Any:
    """Return all arrays and words of the picture, frames included, as they are sent to the browser."""
    return picture_of(explorer.live)


def picture_of(live: LiveFigure) -> Any:
    """Return the same of a live figure."""
    told = state_of(live, "_frames")
    return _plain([state_of(live, "_state")["nodes"], told["frames"]], told["pool"])


def _plain(node: Any, pool: Mapping[str, np.ndarray] = MappingProxyType({})) -> Any:
    """Return a tree of arrays, and of references to arrays of the pool, in a form that can be compared by ==."""
    if isinstance(node, np.ndarray):
        return node.dtype.name, node.shape, node.tobytes()
    if isinstance(node, dict):
        return _plain(pool[str(node["@"])]) if "@" in node else {key: _plain(each, pool) for key, each in node.items()}
    return [_plain(each, pool) for each in node] if isinstance(node, list) else node


def drawn(explorer: Explorer, name: str) -> np.ndarray:
    """Return the array that is drawn under a name: a matrix's values, points, heights, pixels, tips or a place."""
    mark = explorer.live.mark(name)
    assert mark is not None, f"nothing is called {name}"
    fields = ("values", "points", "heights", "ink", "tips", "at")
    return np.asarray(next(getattr(mark, field) for field in fields if hasattr(mark, field)))


def centres(extent: tuple[float, ...], resolution: int | tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """Return the centres of a view's cells, (rows, columns, 2), the lowest row first."""
    rows, columns = (resolution, resolution) if isinstance(resolution, int) else resolution
    left, right, bottom, top = extent
    up = bottom + (top - bottom) * (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    across = left + (right - left) * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
    return torch.stack(torch.meshgrid(across, up, indexing="xy"), -1).to(dtype)


def prepared(name: str) -> dict[str, Any]:
    """Run the gallery's cell but for its last expression; return its names."""
    space: dict[str, Any] = {}
    exec(compile(ast.Module(ast.parse(GALLERY[name]).body[:-1], []), name, "exec"), space)
    return space


#: The names of a cell, which is run once for all tests.
given = functools.cache(prepared)


def from_cell(name: str, space: dict[str, Any] | None = None) -> Any:
    """Evaluate the last expression of the gallery's cell, which shows its explorer."""
    last = ast.parse(GALLERY[name]).body[-1]
    assert isinstance(last, ast.Expr), "a cell ends in the expression that it shows"
    return eval(compile(ast.Expression(last.value), name, "eval"), given(name) if space is None else space)
