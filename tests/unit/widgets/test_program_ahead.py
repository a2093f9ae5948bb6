"""Programs recorded ahead for the book: the pictures of the first choices, and all that moves controls in them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from nfteach.flows import NADE, Planar, Stack
from nfteach.widgets import CouplingExplorer, Explorer, LayerStepper, MaskExplorer, NADEStepper, PlanarExplorer
from nfteach.widgets.controls import choice, kind_of, options_of, slider, switch
from nfteach.widgets.parts import Handle, Pixels, Plane
from nfteach.widgets.program.ahead import GESTURES, programs_ahead
from nfteach.widgets.program.requests import browser_value

LAYERS = 3


def stepper() -> LayerStepper:
    torch.manual_seed(0)
    return LayerStepper(Stack(*[Planar(2) for _ in range(LAYERS)]))


def painter() -> NADEStepper:
    torch.manual_seed(0)
    return NADEStepper(NADE(6, 3), torch.eye(6)[:3], (2, 3))


def fitting(programs: list[dict[str, Any]], explorer: Explorer, move: str = "") -> list[dict[str, Any]]:
    """Return the programs that the page would run at the explorer's state."""
    now = {name: browser_value(control, control.value) for name, control in explorer.controls.items()}
    return [one for one in programs if one["move"] == move and one["reads"].items() <= now.items()]


def moves(explorer: Explorer) -> Iterator[tuple[str, list[float]]]:
    """Yield all that can be dragged, painted or clicked, with values of a gesture."""
    for name, part in explorer.parts.items():
        if isinstance(part, Pixels) and part.gesture:
            yield name, GESTURES[part.gesture]
        for mark, one in getattr(part, "marks", {}).items():
            if isinstance(one, Handle):
                yield mark, one.at.tolist()


def test_drags_are_recorded_at_every_step():
    explorer = stepper()
    before = explorer.state
    programs = programs_ahead(explorer)
    assert explorer.state == before
    for show, step in itertools.product((False, True), range(LAYERS + 1)):
        explorer.set(show_J=show, layer=step)
        for name in ("z", "z_k", "x"):
            assert len(fitting(programs, explorer, name)) == 1, f"{name} at step {step}"


@pytest.mark.parametrize("make", [stepper, PlanarExplorer, CouplingExplorer, MaskExplorer, painter])
def test_a_move_that_serves_many_choices_is_that_of_each(make):
    explorer: Explorer = make()
    programs = programs_ahead(explorer)
    states = [one["reads"] for one in programs if not one["move"]]
    names = [*(f"preset {name}" for name, preset in explorer.presets.items() if callable(preset)),
             *(f"follow {name}" for name in explorer.followers)]  # fmt: skip
    checked = 0
    for state in states_of(explorer, states[::-1][:6]):
        explorer.set(**state)
        for name, values in (*moves(explorer), *((name, []) for name in names)):
            for found in fitting(programs, explorer, name):
                anew = explorer.program(name, values)
                for field in ("code", "tree", "inputs", "guards", "texts"):
                    assert found[field] == anew[field], f"{name}: {field}"
                for one, other in zip(found["arrays"], anew["arrays"], strict=True):
                    np.testing.assert_array_equal(one, other)
                checked += 1
    assert checked > len({one["move"] for one in programs}), "some serve twice"


def states_of(explorer: Explorer, reads: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield states, as controls have them, of what programs read; with steps, at some of them."""
    controls = explorer.controls
    last = controls[explorer.step].max if explorer.step else 0
    for state in reads:
        given = {
            name: options_of(controls[name])[value][1] if kind_of(controls[name]) == "choice" else value
            for name, value in state.items()
        }
        yield from ({**given, explorer.step: k} for k in (0, 1, last)) if explorer.step else [given]


def test_clicks_paint_presets_and_followers_are_recorded():
    explorer = painter()
    programs = programs_ahead(explorer)
    orderings = len(explorer.controls["ordering"].options)
    count = Counter(one["move"] for one in programs)
    assert count[""] == 2 * orderings, "for each ordering and switch; all else is traced"
    assert count["canvas"] == orderings
    assert count["canvas/border"] == 2, "in orderings of whole rows"
    assert count["preset keep its next row"] == orderings
    assert count["endings"] == count["begin"] == count["preset again"] == count["follow image"] == 1
    assert not any(one["guards"] for one in programs), "one program serves all values"


class Refusing(Explorer):
    """A handle whose drag cannot be recorded one way."""

    drags = 0

    def build_controls(self):
        way, bold = choice("way", ["in torch", "by hand"], "in torch"), switch("bold", False)
        return {"x": slider("x", -1, 1, 0.5), "way": way, "bold": bold}

    def picture(self, s):
        return {"plane": Plane({"x": Handle(torch.stack([s.x, s.x]), "x", label="x" if s.bold else "")})}

    def drag(self, name, s, *values):
        self.drags += 1
        return {"x": values[0] if s.way == "in torch" else values[0].item()}


def test_a_refused_drag_is_tried_once_for_the_choices_that_it_reads():
    explorer = Refusing()
    programs = programs_ahead(explorer)
    assert [one["reads"] for one in programs if one["move"] == "x"] == [{"way": 0}]
    assert len([one for one in programs if not one["move"]]) == 4
    assert explorer.drags == 2
