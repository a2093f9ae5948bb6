"""The benchmark of the explorers without a browser: its sliders, its counts, and its table."""

import ast
import time

import ipywidgets
import numpy as np
import pytest

from benchmarks.widgets import compute, kernel, stages, table
from benchmarks.widgets.page import Answer, Drag, Times, cells_for
from nfteach.widgets import StretchExplorer
from nfteach.widgets.controls import choice, integer, slider, switch
from tests.explorers.cells import GALLERY

TWO = "from nfteach.widgets import StretchExplorer\n\nStretchExplorer()"


@pytest.mark.parametrize(("name", "kind"), [("StretchExplorer", "slider"), ("LiveFigure", "frames")])
def test_a_reference_draws_the_picture_of_the_explorer(name, kind):
    live, moved, move = kernel.peer(GALLERY[name], kind)
    own = kernel.shown_by(GALLERY[name])
    value = moved.min if moved.value > moved.min else moved.max
    before = live.static_png(1)
    move(value)
    if kind == "frames":
        (own if name == "LiveFigure" else own.live).frame = value
    else:
        own.set(**{kernel.first_slider(own): value})
    assert live.static_png(1) == (own if name == "LiveFigure" else own.live).static_png(1) != before


def test_a_reference_prints_the_picture_by_matplotlib():
    live, _, move = kernel.peer(TWO, "slider")
    figures = [kernel.printed(live)]
    move(0.5)
    figures.append(kernel.printed(live))
    shown = []
    for figure in figures:
        figure.canvas.draw()
        shown.append(np.asarray(figure.canvas.buffer_rgba()))
    assert shown[0].shape == shown[1].shape
    assert not np.array_equal(*shown)


@pytest.mark.parametrize(("name", "kind"), [("StretchExplorer", "frames"), ("LiveFigure", "slider")])
def test_a_cell_without_frames_or_sliders_has_no_reference(name, kind):
    assert kernel.peer(GALLERY[name], kind) is None


def test_an_explorer_drawn_by_a_reference_sends_nothing_to_the_browser():
    live, _, move = kernel.peer(TWO, "slider")
    sent = []
    live.send = lambda *message: sent.append(message)
    before = live.readout
    move(0.5)
    assert live.readout != before
    assert sent == []


def test_a_hidden_slider_is_skipped():
    explorer = StretchExplorer()
    first, second, *_ = explorer.controls
    assert kernel.first_slider(explorer) == first
    explorer.controls[first].layout.visibility = "hidden"
    assert kernel.first_slider(explorer) == second
    assert kernel.first_slider(ipywidgets.Label("no controls")) is None


def test_a_cell_shows_its_last_expression():
    assert kernel.shown_by("a = 2\ndef f():\n    return a\nf() + 1") == 3
    with pytest.raises(ValueError, match="must end in the expression"):
        kernel.shown_by("a = 2")


@pytest.mark.parametrize("name", GALLERY)
def test_the_cells_of_the_notebook_are_python(name):
    first, *others = cells_for(GALLERY[name])
    for cell in (first, *others):
        ast.parse(cell)
    assert GALLERY[name].strip() in others


@pytest.mark.parametrize(
    "control",
    [
        slider("x", -1, 2, 0.0, step=0.3),
        integer("n", 2, 9, 3),
        switch("on", True),
        choice("one", {"a": 1, "b": None}, 1),
    ],
    ids=lambda control: type(control).__name__,
)
def test_costs_are_taken_over_the_whole_range_of_a_control(control):
    values = compute.values_of(control, 30)
    assert len(values) == 30
    for value in values:
        control.value = value
        assert control.value == pytest.approx(value)
    if hasattr(control, "min"):
        assert {control.min, control.max} <= {round(value, 10) for value in values}
    else:
        assert len(set(values)) == 2


def test_the_cost_of_a_move_includes_its_compute(monkeypatch):
    clock = iter(np.arange(0, 1000, 0.001))  # each reading advances it by a millisecond
    monkeypatch.setattr(compute, "process_time", lambda: next(clock))
    explorer = StretchExplorer()
    whole, inside, p95 = compute.costs(explorer, "stretch", moves=5)
    assert (whole, inside, p95) == (pytest.approx(3), pytest.approx(1), pytest.approx(3))
    assert "picture" not in vars(explorer)


def test_an_answer_is_split_into_stages():
    origin = time.time()
    stamps = [
        ("set_state begins", 0.010, 0),
        ("compute begins", 0.011, 0),
        ("compute ends", 0.015, 0),
        ("update begins", 0.015, 0),
        ("send begins", 0.018, 900),
        ("send ends", 0.020, 900),
        ("send begins", 0.021, 2000),
        ("send ends", 0.022, 2000),
        ("update ends", 0.023, 0),
        ("set_state ends", 0.025, 0),
        ("set_state begins", 0.900, 0),
    ]
    stamps = [(what, origin + 0.5 + moment, size) for what, moment, size in stamps]
    arrivals = [(505.0, 5000), (522.0, 300), (524.0, 1100), (526.0, 2300)]
    answer = Answer(origin, pressed=500.0, answered=530.0, painted=541.0, arrivals=arrivals)
    found = stages.stages_of(answer, stamps)
    wanted = {"to kernel": 10, "compute": 5, "pack": 3, "send": 2, "back": 4, "draw": 6, "screen": 11}
    assert found == pytest.approx({**wanted, "after": 5, "bytes": 900}, abs=0.01)


def times(milliseconds: float, rate: float) -> Times:
    return Times([milliseconds] * 9 + [3 * milliseconds], [Drag(rate, 30.0), Drag(rate, 40.0)], [Drag(rate + 9, 5.0)])


def row(kind: str, own: Times, interact: float = 200.0) -> table.Row:
    others = {
        ("label", "slider"): times(40, 30),
        ("kernel", "slider"): times(70, 12),
        ("interact", kind): times(interact, 4),
        ("ipympl", kind): times(120, 9),
    }
    return table.row_of("one", kind, {("explorer", kind): own, **others})


def test_missed_aims_are_listed():
    assert table.misses(row("slider", times(20, 40))) == []
    assert table.misses(row("slider", times(60, 30))) == [
        "1.50 times the label, not 0.6 at most",
        "3.3 times faster than interact, not 10",
        "39 frames/s with the slider set on every frame, not 45",
    ]
    assert table.misses(row("frames", times(12, 55), interact=20)) == []
    assert table.misses(row("frames", times(18, 49))) == ["18.0 ms, not 17 at most", "49 frames/s, not 50"]


def test_a_row_has_a_column_for_each_title():
    own = row("slider", times(48, 26.5))
    assert own.p95 == pytest.approx(48 * 2.1)
    assert (own.kernel, own.label, own.interact, own.ipympl) == (70, 40, 200, 120)
    assert (own.rate, own.label_rate, own.set_rate, own.kernel_set_rate, own.lag) == (26.5, 30, 35.5, 21, 40.0)
    assert str(own).split()[1:] == [
        "48.0",
        "100.8",
        "70.0",
        "40.0",
        "1.20",
        "200.0",
        "4.2",
        "120.0",
        "2.5",
        "26.5",
        "30.0",
        "35.5",
        "21.0",
        "40",
    ]
    assert len(str(own)) == len(table.HEAD)
    assert table.p95([3.0]) == 3.0
