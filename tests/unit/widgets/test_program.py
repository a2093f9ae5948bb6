"""Computations that cannot be recorded for the page are refused, with the line that is to blame."""

from __future__ import annotations

import inspect
import queue
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nfteach.flows.roots import repeat
from nfteach.widgets import Explorer
from nfteach.widgets.controls import choice, slider
from nfteach.widgets.parts import Dots, Plane
from nfteach.widgets.program.record import Refused
from nfteach.widgets.program.requests import browser_value
from nfteach.widgets.program.wiring import recorded
from tests.explorers.front_end import say

POINTS = torch.arange(6.0).reshape(3, 2)
LOOKS = "the numbers of a tensor that depends on the sliders are looked at"

#: name -> (a function of x, a part of its refusal).
REFUSALS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "item": (lambda x: (POINTS * x).sum().item(), LOOKS),
    "float": (lambda x: float(x), LOOKS),
    "bool of a float": (lambda x: 1 if x else 2, LOOKS),
    "tensor of numbers": (lambda x: torch.tensor([x, 2 * x]), f"{LOOKS}; use torch.stack"),
    "tolist": (lambda x: (POINTS * x).tolist(), LOOKS),
    "numpy": (lambda x: (POINTS * x).numpy(), LOOKS),
    "nonzero": (lambda x: (POINTS * x).nonzero(), LOOKS),
    "mask": (lambda x: POINTS[x < POINTS], "rows that are chosen by a mask"),
    "masked_select": (lambda x: POINTS.masked_select(x < POINTS), LOOKS),
    "unique": (lambda x: (POINTS * x).unique(), LOOKS),
    "equal": (lambda x: torch.equal(POINTS, POINTS * x), LOOKS),
    "complex": (lambda x: torch.fft.rfft(POINTS * x), "fft"),
    "complex product": (lambda x: (POINTS * x * 1j).real, "complex"),
    "not computed": (
        lambda x: torch.linalg.inv_ex(x * torch.eye(2)).info * x,
        "a result of linalg_inv_ex that is used",
    ),
    "unknown": (lambda x: torch.linalg.svdvals(POINTS * x), "svd is not known to the page"),
    "unknown function": (
        lambda x: torch.special.bessel_j0(x),
        "the operation special_bessel_j0 is not known to the page",
    ),
    "out": (lambda x: torch.mul(POINTS, x, out=torch.empty(3, 2)), "mul writes where the page cannot follow"),
    "forward mode": (lambda x: torch.func.jacfwd(lambda z: z * x)(POINTS[0]), "forward mode"),
    "a loop that grows": (
        lambda x: repeat(lambda z: (z < 9, (torch.cat([z, z]),)), (x[None],), 3),
        "must keep the shapes",
    ),
    "convolution": (
        lambda x: torch.conv2d((POINTS * x)[None, None], torch.ones(1, 1, 1, 1), stride=2),
        "a convolution other than of images with stride 1",
    ),
    "norm": (lambda x: (POINTS * x).norm(1), "norms other than the Euclidean are not known to the page"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_impossible_recording_is_refused_with_its_line(name):
    function, words = REFUSALS[name]
    line = inspect.getsourcelines(function)[1]
    text = inspect.getsource(function).splitlines()[0].strip()
    with pytest.raises(Refused) as caught:
        recorded(lambda x: {"result": function(x)}, {"x": 0.5})
    assert words in str(caught.value)
    assert str(caught.value).endswith(f", in test_program.py, line {line}: {text}")


@pytest.mark.parametrize(
    ("look", "values"),
    [
        (lambda x: "right" if x > 0 else "left", [1]),
        (lambda x: "much" if bool((x * POINTS > 2).any()) else "little", [1]),
        (lambda x: "abc"[int((x * 4).round().long())], [2]),
        (lambda x: [POINTS[k] * x for k in range((x * 4).long())], [2]),
        (lambda x: int((x > 0) & (x < 9)) + int(x > 3), [1, 0]),
    ],
)
def test_a_bool_and_a_whole_number_may_be_looked_at_and_are_guarded(look, values):
    assert [value for _, value in recorded(lambda x: {"result": look(x)}, {"x": 0.5})["guards"]] == values


def test_numbers_that_depend_on_no_slider_may_be_looked_at():
    told = recorded(lambda x: {"result": x * POINTS.sum().item(), "n": int(POINTS[POINTS > 2].numel())}, {"x": 0.5})
    assert told["tree"]["n"] == 3
    assert told["guards"] == []


class Turned(Explorer):
    """Points that are turned, in a way that can be recorded or not."""

    def build_controls(self):
        return {"angle": slider("angle", -3, 3, value=1.0), "way": choice("way", ["in torch", "by hand"], "in torch")}

    def picture(self, s):
        turn = torch.stack([s.angle.cos(), s.angle.sin()])
        if s.way == "by hand":
            turn = torch.tensor([s.angle.cos().item(), s.angle.sin().item()])
        return {"plane": Plane({"points": Dots(POINTS.double() * turn)}), "readout": {"cos": turn[0]}}


@pytest.fixture
def turned():
    explorer = Turned()
    answers = queue.Queue()
    explorer.live.send = lambda content, buffers: "program" in content and answers.put(content["program"])
    yield explorer, answers
    explorer.close()


def request(explorer: Explorer, **state: Any) -> None:
    """Request a program, as the page does."""
    now = {name: browser_value(explorer.controls[name], value) for name, value in {**explorer.state, **state}.items()}
    say(explorer.live, type="program", key="k", move="", values=[], state=now)


def test_a_constant_that_cannot_be_drawn_is_refused():
    class Broken(Turned):
        def picture(self, s):
            return {"plane": Plane({"dots": Dots(torch.full((3, 2), torch.nan))}), "readout": {"cos": s.angle.cos()}}

    explorer = Broken()
    with pytest.raises(ValueError, match=r"plane/dots.points has 6 of 6 numbers that are NaN"):
        explorer.program()
    explorer.close()


def test_the_page_is_sent_a_program_or_why_there_is_none(turned):
    explorer, answers = turned
    request(explorer)
    assert {"code", "tree", "inputs", "hidden"} <= set(answers.get(timeout=30))
    request(explorer, way="by hand")
    refused = answers.get(timeout=30)
    assert list(refused) == ["refused"]
    assert re.fullmatch(rf"{LOOKS}, in test_program\.py, line \d+: turn = .*item.*", refused["refused"])


def test_an_explorer_that_is_refused_is_moved_by_the_kernel(turned):
    explorer, _ = turned
    explorer.set(way="by hand")
    with pytest.raises(Refused):
        explorer.program()
    for angle in (2.0, -1.0):
        explorer.set(angle=angle)
        assert explorer.readout["cos"] == pytest.approx(torch.tensor(angle).cos().item(), abs=1e-6)
    assert explorer.error == ""
