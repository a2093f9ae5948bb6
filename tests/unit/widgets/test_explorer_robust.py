"""Explorers dragged in the picture, moved fast, side by side, for long: they keep up and leave nothing behind."""

from __future__ import annotations

import gc
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from comm import get_comm_manager
from matplotlib.figure import Figure

from nfteach.widgets import Explorer, LiveFigure, PlanarExplorer, StretchExplorer
from nfteach.widgets.controls import integer, slider, switch
from tests.explorers.entry import picture
from tests.explorers.front_end import drag
from tests.unit.widgets.dots import Dot, all_of


class Threads(Explorer):
    """Holds the number of threads that torch has while it computes."""

    def build_controls(self):
        self.working, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        return {"good": switch("good", True)}

    def build_live(self):
        return LiveFigure(Figure(), {}, alt="nothing")

    def compute(self, state):
        self.here = torch.get_num_threads()
        self.working.set()
        self.go_on.wait(20)
        if not state["good"]:
            raise ValueError("not good")
        return {}


def test_it_computes_in_one_thread_and_a_cell_that_trains_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        explorer = Threads()
        explorer.set(good=False)  # an error must not change it either
        assert (explorer.here, explorer.error, torch.get_num_threads()) == (1, "not good", 3)
        explorer.working.clear()
        explorer.go_on.clear()
        callback = threading.Thread(target=lambda: explorer.set(good=True))
        callback.start()
        assert explorer.working.wait(20)
        assert torch.get_num_threads() == 3
        explorer.go_on.set()
        callback.join()
        assert (explorer.here, explorer.error, torch.get_num_threads()) == (1, "", 3)
    finally:
        torch.set_num_threads(before)


class Walk(Explorer):
    """A probe to drag: x over real numbers, y over whole ones."""

    handles = {"probe": ("x", "n"), "flag": (None, "x")}  # noqa: RUF012

    def build_controls(self):
        self.computed = []
        return {"x": slider("place x", -1, 1, 0.25, step=0.05), "n": integer("number n", 0, 9, 2)}

    def build_live(self):
        figure = Figure(figsize=(4, 4))
        ax = figure.add_subplot(xlim=(-2, 2), ylim=(-1, 10))
        return LiveFigure(figure, {"probe": ax.scatter([], []), "flag": ax.scatter([], [])}, alt="a walk")

    def compute(self, state):
        self.computed.append(dict(state))
        return {"probe": [[state["x"], state["n"]]], "flag": [[0, state["x"]]], "readout": state}


@pytest.mark.parametrize(
    ("name", "to", "state"),
    [
        ("probe", (0.5, 7), {"x": 0.5, "n": 7}),
        ("probe", (-0.72, 3.4), {"x": -0.7, "n": 3}),
        ("probe", (1.9, -0.9), {"x": 1.0, "n": 0}),
        ("probe", (-50, 50), {"x": -1.0, "n": 9}),
        ("flag", (1.7, 0.333), {"x": 0.35, "n": 2}),
    ],
)
def test_a_drag_in_the_picture_moves_the_sliders_within_their_range_and_computes_once(name, to, state):
    walk = Walk()
    walk.computed.clear()
    drag(walk.live, name, *to)
    assert walk.state == walk.readout == state
    assert walk.computed == [state]
    assert type(walk.state["n"]) is int


def test_a_handle_names_the_sliders_that_it_moves_and_must_move_sliders():
    assert Walk().live.handles == {"probe": "drag to move place x and number n", "flag": "drag to move place x"}

    class Lost(Walk):
        handles = {"probe": ("x", "y")}  # noqa: RUF012

    with pytest.raises(ValueError, match="the handle 'probe' must move sliders, but 'y' is none"):
        Lost()


def test_in_a_drag_the_picture_is_sent_before_the_sliders(monkeypatch):
    walk, sent = Walk(), []
    monkeypatch.setattr(walk.live, "send", lambda content, buffers: sent.append(("picture", content["drag"])))
    for name, control in walk.controls.items():
        monkeypatch.setattr(control, "send_state", lambda key=None, name=name: sent.append((name, key)))
    drag(walk.live, "probe", 0.5, 7, number=3)
    assert sent[0] == ("picture", 3)
    assert {name for name, _ in sent[1:]} == {"x", "n"}
    assert len(sent) == 3


class Slow(Explorer):
    """Computes when it is let."""

    def build_controls(self):
        self.began, self.let, self.computed = threading.Semaphore(0), threading.Semaphore(1), []
        return {"x": integer("x", 0, 99, 0)}

    def build_live(self):
        return LiveFigure(Figure(), {}, alt="nothing")

    def compute(self, state):
        self.began.release()
        assert self.let.acquire(timeout=20)
        self.computed.append(state["x"])
        return {"readout": state}


def test_moves_that_come_while_it_computes_never_queue_and_the_newest_wins():
    slow = Slow()
    assert slow.began.acquire(timeout=20)

    def move(x):
        slow.controls["x"].value = x

    movers = [threading.Thread(target=move, args=(x,)) for x in range(1, 21)]
    movers[0].start()
    assert slow.began.acquire(timeout=20)  # it computes x = 1; what follows has to wait
    for mover in movers[1:]:
        mover.start()
        while slow.controls["x"].value != movers.index(mover) + 1:
            time.sleep(0.001)
    for _ in movers:
        slow.let.release()
    for mover in movers:
        mover.join()
    assert slow.computed == [0, 1, 20], "19 moves waited; one computation shows the last of them"
    assert slow.readout == {"x": 20}


def test_an_error_of_one_is_not_shown_by_another():
    one, other = Dot(), Dot()
    state, before, sent = other.state, picture(other), []
    other.live.send = lambda *message: sent.append(message)
    one.preset("many")
    one.live.show_error("only here")
    assert (other.state, other.error, sent) == (state, "", [])
    assert picture(other) == before
    assert not {widget.model_id for widget in all_of(one)} & {widget.model_id for widget in all_of(other)}


@pytest.mark.parametrize(("make", "moves"), [(Dot, 1000), (StretchExplorer, 1000), (PlanarExplorer, 200)])
def test_memory_is_flat_over_many_moves(make, moves):
    explorer = make()
    name, control = next(iter(explorer.controls.items()))
    rng = np.random.default_rng(0)

    def move(times):
        for k in range(times):
            control.set_state({"value": rng.uniform(control.min, control.max)})  # as the browser does
            if k % 50 == 0:
                explorer.set(**{name: control.min})
        getattr(explorer, "computed", []).clear()  # Dot's own diary
        gc.collect()
        return sys.getallocatedblocks(), len(get_comm_manager().comms)

    (first, widgets_before), *later = [move(moves // 3) for _ in range(4)]
    assert {widgets for _, widgets in later} == {widgets_before}
    # An array or a number that each move kept would be a block or more for each, in every round. Caches, such as
    # matplotlib's of the words that it has laid out, grow by less.
    blocks = [first, *(count for count, _ in later)]
    assert min(after - before for before, after in pairwise(blocks)) < moves // 3


def test_a_closed_explorer_leaves_no_widget_behind():
    widgets = get_comm_manager().comms
    before = set(widgets)
    dot = Dot()
    assert len(widgets) > len(before) + 10
    dot.close()
    assert set(widgets) == before
    dot.set(x=0.5)
    assert dot.readout["x"] == 0.5, "it is closed in the browser, and still computes"
