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

from nfteach.widgets import Explorer, PlanarExplorer
from nfteach.widgets.controls import integer, slider, switch
from nfteach.widgets.parts import Arrows, Chart, Handle
from tests.explorers.entry import picture
from tests.explorers.front_end import drag, unpack
from tests.unit.widgets.dots import Dot, all_of


class Threads(Explorer):
    """Holds the number of threads that torch has while it computes."""

    def build_controls(self):
        self.working, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        return {"good": switch("good", True)}

    def picture(self, s):
        self.here = torch.get_num_threads()
        self.working.set()
        self.go_on.wait(20)
        if not s.good:
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

    def build_controls(self):
        self.computed = []
        return {"x": slider("place x", -1, 1, 0.25, step=0.05), "n": integer("number n", 0, 9, 2)}

    def picture(self, s):
        self.computed.append({"x": s.x.item(), "n": s.n})
        x = s.x.reshape(1)
        marks = {
            "arrow": Arrows(torch.zeros(1, 2), torch.stack([x, x], dim=1)),
            "probe": Handle(torch.stack([s.x, torch.tensor(float(s.n))]), "x", "n", help="drag the probe"),
            "flag": Handle(torch.cat([torch.zeros(1), x]), None, "x"),
        }
        return {"chart": Chart(marks, (-2, 2), (-1, 10)), "readout": {"x": s.x, "n": s.n}}


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


def test_only_handles_are_dragged_and_each_must_move_controls(monkeypatch):
    walk = Walk()
    before = walk.state
    drag(walk.live, "arrow", 1, 1)
    assert (walk.state, walk.error) == (before, "")
    lost = Handle(torch.zeros(2), "x", "y")
    monkeypatch.setattr(walk, "picture", lambda s: {"chart": Chart({"probe": lost}), "readout": {}})
    walk.set(x=0.5)
    drag(walk.live, "probe", 1, 1)
    assert walk.error == "'probe' must move controls, but 'y' is none; there are: x, n"


def test_a_drag_of_ones_own_is_rounded_to_the_sliders_and_may_set_choices():
    class Mover(Dot):
        def drag(self, name, s, *values):
            return {"x": s.x + torch.tensor(0.123), "n": torch.tensor(4.4), "kind": "ring"}

    mover = Mover()
    drag(mover.live, "dots", 0, 0)
    assert mover.state == {"x": 0.37, "n": 4, "kind": "ring", "safe": True}


def test_in_a_drag_the_picture_is_sent_before_the_sliders(monkeypatch):
    walk, sent = Walk(), []
    monkeypatch.setattr(walk.live, "send", lambda content, buffers: sent.append(("picture", content["answers"])))
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

    def picture(self, s):
        self.began.release()
        assert self.let.acquire(timeout=20)
        self.computed.append(s.x)
        return {"readout": {"x": s.x}}


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


@pytest.mark.parametrize(("make", "moves"), [(Dot, 1000), (PlanarExplorer, 200)])
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

    (first, widgets_before), *later = [move(moves // 3) for _ in range(6)]
    assert {widgets for _, widgets in later} == {widgets_before}
    # An array or a number that each move kept would be a block or more for each, in every round. Caches, such as
    # matplotlib's of the words that it has laid out, grow by less.
    blocks = [first, *(count for count, _ in later)]
    assert min(after - before for before, after in pairwise(blocks)) < moves // 3


def test_a_move_sends_only_what_has_changed():
    dot, sent = Dot(), []
    dot.live.send = lambda content, buffers: sent.append(unpack(content, buffers))
    dot.set(x=0.5)
    dot.set(x=0.5)
    (message,) = sent
    assert {path: list(fields) for path, fields in message["nodes"].items()} == {"chart/dots": ["points"]}
    assert message["nodes"]["chart/dots"]["points"].tolist() == [[0.5, 0], [0.5, 1]]
    assert [row[:2] for row in message["rows"]] == [["x", "0.50"], ["n", "2"]]


def test_presets_travel_and_moves_do_not():
    dot, sent = Dot(), []
    dot.live.send = lambda content, buffers: sent.append(content)
    dot.preset("far")
    dot.set(x=0.1)
    dot.reset()
    assert [message.get("travel", 0) > 0 for message in sent] == [True, False, True]


def test_a_closed_explorer_leaves_no_widget_behind():
    widgets = get_comm_manager().comms
    before = set(widgets)
    dot = Dot()
    assert len(widgets) > len(before) + 10
    dot.close()
    assert set(widgets) == before
    dot.set(x=0.5)
    assert dot.readout["x"] == 0.5, "it is closed in the browser, and still computes"
