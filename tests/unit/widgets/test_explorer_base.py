"""What all explorers share: setting by name, reset, presets, errors in words, the stored picture."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc

import ipywidgets
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure

from nfteach.widgets import Explorer, LiveFigure, PlanarExplorer
from nfteach.widgets.controls import choice, integer, slider, switch


class Dot(Explorer):
    help = "Move the dot."
    presets = {"far": {"x": 0.9}, "many": {"n": 5, "kind": "ring"}}  # noqa: RUF012

    def build_controls(self):
        self.computed = []
        return {
            "x": slider("x", -1, 1, 0.25),
            "n": integer("number of dots", 1, 9, 2),
            "kind": choice("kind", {"a dot": "dot", "a ring": "ring"}, "dot"),
            "safe": switch("safe", True),
        }

    def build_live(self):
        figure = Figure(figsize=(2, 2))
        return LiveFigure(figure, {"dots": figure.add_subplot(xlim=(-1, 1), ylim=(0, 9)).scatter([], [])}, alt="dots")

    def compute(self, state):
        self.computed.append((state["x"], torch.is_grad_enabled()))
        if not state["safe"] and state["x"] > 0.5:
            raise ValueError("x must stay below 0.5 here; move it back")
        if not state["safe"] and state["x"] < -0.5:
            raise ZeroDivisionError("nothing left")
        y = np.arange(state["n"])
        points = np.stack([np.full(len(y), np.nan if state["x"] == -0.125 else state["x"]), y], axis=1)
        return {"dots": points, "readout": {"x": state["x"], "n": state["n"]}}


@pytest.fixture
def dot():
    return Dot()


def test_setting_several_controls_computes_once(dot):
    dot.computed.clear()
    dot.set(x=0.5, n=4, kind="ring")
    assert len(dot.computed) == 1
    assert dot.state == {"x": 0.5, "n": 4, "kind": "ring", "safe": True}
    assert dot.readout == {"x": 0.5, "n": 4}


def test_it_computes_without_gradients_and_leaves_the_mode_as_it_was(dot):
    assert torch.is_grad_enabled()
    dot.set(x=0.1)
    assert not dot.computed[-1][1]
    assert torch.is_grad_enabled()


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


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"y": 1}, "there is no control 'y'; there are: x, n, kind, safe"),
        ({"x": 2.0}, "x must be a number from -1 to 1, but is 2.0"),
        ({"x": float("nan")}, "x must be a number from -1 to 1"),
        ({"x": "left"}, "x must be a number"),
        ({"n": 2.5}, "n must be a whole number from 1 to 9"),
        ({"n": True}, "n must be a whole number"),
        ({"kind": "square"}, "kind must be one of 'dot', 'ring'"),
        ({"safe": 1}, "safe must be True or False"),
    ],
)
def test_a_wrong_value_names_the_control_and_nothing_moves(dot, state, words):
    before = dot.state
    with pytest.raises(ValueError, match=words):
        dot.set(**{"n": 3, **state})
    assert dot.state == before


def test_an_option_may_be_given_by_its_label(dot):
    dot.set(kind="a ring")
    assert dot.state["kind"] == "ring"


def test_an_error_is_shown_in_words_kept_and_cleared_by_the_next_good_value(dot):
    dot.set(safe=False)
    dot.controls["x"].value = 0.75  # as the browser does
    assert dot.error == "x must stay below 0.5 here; move it back"
    assert isinstance(dot.exception, ValueError)
    assert dot.readout == {}, "no number of the picture before is passed off as this one's"
    dot.controls["x"].value = -0.75
    assert dot.error == "ZeroDivisionError: nothing left"
    dot.controls["x"].value = 0.0
    assert dot.error == ""
    assert dot.exception is None
    assert dot.readout["x"] == 0.0


def test_numbers_that_are_not_finite_are_an_error_in_words(dot):
    dot.set(x=-0.125)
    assert dot.error == "dots has 2 of 4 numbers that are NaN or infinite; give finite ones"


def test_reset_and_presets_start_from_the_beginning():
    dot = Dot(n=7)
    dot.set(x=-0.5, kind="ring")
    dot.preset("far")
    assert dot.state == {"x": 0.9, "n": 7, "kind": "dot", "safe": True}
    dot.reset()
    assert dot.state == {"x": 0.25, "n": 7, "kind": "dot", "safe": True}
    with pytest.raises(ValueError, match="there is no preset 'near'; there are: 'far', 'many'"):
        dot.preset("near")


def test_the_buttons_do_what_they_say(dot):
    def buttons(widget):
        found = [widget] if isinstance(widget, ipywidgets.Button) else []
        return found + [button for child in getattr(widget, "children", ()) for button in buttons(child)]

    by_name = {button.description: button for button in buttons(dot)}
    assert list(by_name) == ["reset", "far", "many"]
    by_name["many"].click()
    assert dot.state["n"] == 5
    by_name["reset"].click()
    assert dot.state["n"] == 2


def test_every_control_is_labelled_and_moves_while_it_is_dragged(dot):
    for control in dot.controls.values():
        assert control.description
        assert getattr(control, "continuous_update", True)
    assert all(control in _all(dot) for control in dot.controls.values())


def test_the_bundle_has_the_view_a_constant_text_and_the_picture(dot):
    data, metadata = dot._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == dot.model_id
    assert data["text/plain"] == "Dot(x=0.25, n=2, kind='dot', safe=True)"
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert metadata["image/png"] == {"alt": "dots"}


def test_a_callback_in_another_thread_and_a_cell_agree_in_the_end(dot):
    def drag():
        for k in range(40):
            dot.controls["x"].value = k / 100

    thread = threading.Thread(target=drag)
    thread.start()
    for k in range(40):
        dot.set(n=1 + k % 9)
    thread.join()
    assert dot.readout == {"x": dot.state["x"], "n": dot.state["n"]} == {"x": 0.39, "n": 4}


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


def _drag(explorer, name, x, y, number=1):
    """As the front end tells it: pixels of the figure, from the top left."""
    live = explorer.live
    px, py = live.figure.axes[0].transData.transform((x, y))
    live._hear(live, {"type": "drag", "name": name, "at": [px, live.figure.bbox.height - py], "drag": number}, [])


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
    _drag(walk, name, *to)
    assert walk.state == walk.readout == state
    assert walk.computed == [state]
    assert type(walk.state["n"]) is int


def test_a_handle_says_what_it_moves_and_must_move_sliders():
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
    _drag(walk, "probe", 0.5, 7, number=3)
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


@pytest.mark.parametrize("make", [Dot, PlanarExplorer])
def test_two_of_a_kind_do_not_disturb_each_other(make):
    one, other = make(), make()
    state, picture, sent = other.state, other.live.static_png(1), []
    other.live.send = lambda *message: sent.append(message)
    name = next(iter(one.controls))
    one.set(**{name: one.controls[name].max})
    one.preset(next(iter(one.presets)))
    one.live.show_error("only here")
    assert (other.state, other.error, sent) == (state, "", [])
    assert other.live.static_png(1) == picture
    assert not {widget.model_id for widget in _all(one)} & {widget.model_id for widget in _all(other)}


@pytest.mark.parametrize("make", [Dot, PlanarExplorer])
def test_memory_is_flat_over_a_thousand_moves(make):
    explorer = make()
    name, control = next(iter(explorer.controls.items()))
    rng = np.random.default_rng(0)

    def move(times):
        for k in range(times):
            control.value = rng.uniform(control.min, control.max)
            if k % 50 == 0:
                explorer.set(**{name: control.min})
        getattr(explorer, "computed", []).clear()  # Dot's own diary
        gc.collect()
        return tracemalloc.get_traced_memory()[0], len(_instances)

    tracemalloc.start()
    try:
        bytes_before, widgets_before = move(200)
        bytes_after, widgets_after = move(1000)
    finally:
        tracemalloc.stop()
    assert widgets_after == widgets_before
    # Python's and numpy's own stores of small things grow a little. One kept number a move would be as much; one
    # picture's arrays, seventy thousand bytes, a thousand times, far more.
    assert bytes_after - bytes_before < 150_000


def test_a_closed_explorer_leaves_no_widget_behind():
    before = set(_instances)
    dot = Dot()
    assert len(_instances) > len(before) + 10
    dot.close()
    assert set(_instances) == before
    dot.set(x=0.5)
    assert dot.readout["x"] == 0.5, "what is closed in the browser still computes"


def _all(widget):
    return [widget, *(one for child in getattr(widget, "children", ()) for one in _all(child))]
