"""Programs recorded ahead for the book: the pictures of the first choices, and every drag in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from nfteach.flows import Planar, Stack
from nfteach.widgets import CouplingExplorer, Explorer, LayerStepper, PlanarExplorer
from nfteach.widgets.controls import kind_of, options_of
from nfteach.widgets.parts import Handle
from nfteach.widgets.program.ahead import key_of, programs_ahead

LAYERS = 3


def stepper() -> LayerStepper:
    torch.manual_seed(0)
    return LayerStepper(Stack(*[Planar(2) for _ in range(LAYERS)]))


def test_drags_are_recorded_at_every_step():
    explorer = stepper()
    before = explorer.state
    programs = programs_ahead(explorer)
    drags = {tuple(json.loads(key)) for key in programs} - {("", False), ("", True)}
    assert drags == set(itertools.product(("z", "z_k", "x"), (False, True), range(LAYERS + 1)))
    assert explorer.state == before


@pytest.mark.parametrize("make", [stepper, PlanarExplorer, CouplingExplorer])
def test_a_drag_that_serves_many_choices_is_that_of_each(make):
    explorer: Explorer = make()
    programs = programs_ahead(explorer)
    codes = {key: program["code"] for key, program in programs.items() if not key.startswith('[""')}
    assert len(set(codes.values())) < len(codes), "no program serves twice"
    checked = 0
    for state in itertools.islice(states(explorer, list(programs)), 6):
        explorer.set(**state)
        marks = [one for part in explorer.parts.values() for one in getattr(part, "marks", {}).items()]
        for name, mark in marks:
            if not isinstance(mark, Handle) or (key := key_of(explorer, name)) not in codes:
                continue
            anew = explorer.program(name, mark.at.tolist())
            for field in ("code", "tree", "inputs", "guards", "texts"):
                assert programs[key][field] == anew[field], f"{key}: {field}"
            for one, other in zip(programs[key]["arrays"], anew["arrays"], strict=True):
                np.testing.assert_array_equal(one, other)
            checked += 1
    assert checked > 6


def states(explorer: Explorer, keys: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the state of each recorded picture, those of the last choices first; with steps, at some of them."""
    controls = explorer.controls
    choices = [name for name, one in controls.items() if kind_of(one) != "slider" and name != explorer.step]
    steps = [{}] if not explorer.step else [{explorer.step: k} for k in (0, 1, controls[explorer.step].max)]
    for key in reversed(keys):
        drag, *values = json.loads(key)
        if not drag:
            state = {
                name: options_of(controls[name])[value][1] if kind_of(controls[name]) == "choice" else value
                for name, value in zip(choices, values, strict=True)
            }
            yield from (state | step for step in steps)
