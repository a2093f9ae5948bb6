"""LiveFigure without a browser: what is checked, what is sent, and the picture that a notebook keeps."""

from __future__ import annotations

import io
import threading

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from nfteach.widgets import LiveFigure
from nfteach.widgets.parts import Arrows, Curves, Density, Dots, Matrix, Number, Plane
from tests.explorers.front_end import say, state_of, unpack

EXTENT = (-2.0, 2.0, -1.0, 1.0)


def scene(points=((0.0, 0.0),), J=None, curve=None, **readout):
    """Return a picture of several parts, which can be moved one by one."""
    marks = {
        "density": Density(torch.ones(2, 2), EXTENT),
        "curve": Curves(torch.zeros(3, 2) if curve is None else curve),
        "samples": Dots(torch.as_tensor(points)),
    }
    J = Matrix(torch.eye(2) if J is None else J, place="side")
    return {"plane": Plane(marks), "J": J, **({"readout": readout} if readout else {})}


def kept(**options):
    """Return a live figure that keeps its messages in `sent`."""
    live = LiveFigure(scene(), alt="a test", **options)
    live.sent, live.states = [], []
    live.send = lambda content, buffers: live.sent.append(unpack(content, buffers))
    live.send_state = lambda key: live.states.append(key) if key != "frame" else None
    return live


@pytest.fixture
def live():
    return kept()


def test_an_update_is_one_message_with_what_has_changed_and_nothing_else(live):
    live.update(scene([[0.5, -0.5]], **{"det J": 2.0}))
    (message,) = live.sent
    assert {path: set(fields) for path, fields in message["nodes"].items()} == {"plane/samples": {"points"}}
    points = message["nodes"]["plane/samples"]["points"]
    assert (points.dtype, points.tolist()) == (np.float32, [[0.5, -0.5]])
    assert message["rows"][0][:3] == ["det J", "2.00", ""]
    assert "order" not in message
    live.update(scene([[0.5, -0.5]], **{"det J": 2.0}))
    assert len(live.sent) == 1, "nothing has changed"


def test_parts_that_come_and_go_are_named_in_their_order(live):
    picture = scene()
    del picture["J"]
    live.update(picture)
    assert live.sent[-1]["order"] == ["plane", "plane/density", "plane/curve", "plane/samples"]
    live.update(scene())
    assert live.sent[-1]["order"][-1] == "J"
    assert set(live.sent[-1]["nodes"]) == {"J"}


def test_a_wrong_picture_is_refused_in_words_and_nothing_changes(live):
    before, png = live.parts, live.static_png(1)
    with pytest.raises(ValueError, match=r"plane/samples.points has 1 of 2 numbers that are NaN"):
        live.update(scene([[0.0, np.nan]], J=torch.ones(2, 2)))
    with pytest.raises(ValueError, match="the readout 'det J' must be a number or a text, but is list"):
        live.update(scene(J=torch.ones(2, 2), **{"det J": [1, 2]}))
    assert live.sent == []
    assert all(live.parts[name] is part for name, part in before.items())
    assert live.static_png(1) == png
    assert live.readout == {}


def test_a_change_of_a_tensor_in_place_moves_the_picture_with_the_next_update_only(live):
    points = torch.zeros(2, 2)
    live.update(scene(points))
    before = live.static_png(1)
    points += 1
    assert live.static_png(1) == before
    live.update(scene(points))
    assert live.sent[-1]["nodes"]["plane/samples"]["points"].tolist() == [[1, 1], [1, 1]]
    assert live.static_png(1) != before


def test_tensors_are_taken_with_or_without_gradients_and_of_any_type(live):
    for number, points in enumerate(
        [torch.ones(3, 2, requires_grad=True), torch.full((3, 2), 2.0).double(), torch.full((3, 2), 3), np.ones((4, 2))]
    ):
        live.update(scene(points))
        assert live.sent[number]["nodes"]["plane/samples"]["points"].dtype == np.float32


def test_the_error_line_is_cleared_by_the_next_good_update(live):
    live.show_error("w.u must be at least -1")
    assert live.error == live.sent[-1]["error"] == "w.u must be at least -1"
    live.update(scene())
    assert live.error == live.sent[-1]["error"] == ""


def test_a_front_end_that_starts_late_gets_the_present_state_once(live):
    live.update(scene([[1.0, 0.0]], n=3))
    say(live, type="state", seq=0)
    assert live.states == [["_frames", "_state"]]
    state = state_of(live, "_state")
    assert state["nodes"]["plane/samples"]["points"].tolist() == [[1.0, 0.0]]
    assert state["rows"][0][:2] == ["n", "3"]
    assert state["alt"] == "a test", "the browser adds the numbers that it shows"
    say(live, type="state", seq=state["seq"])
    assert len(live.states) == 1, "a front end that has the state is not sent it again"


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "1.00"), (3, "3"), (True, "1"), (2.5e-7, "2.5e−07"), (0.0, "0.00"), (-1e-12, "0.00"), (-1e9, "−1.0e+09"),
     (float("-inf"), "−infinite"), (float("nan"), "not a number"), (torch.tensor(0.5), "0.50"), ("full", "full"),
     (np.float32(0.25), "0.25"), (torch.tensor(-4), "−4"), (Number(0.123456, digits=4), "0.1235")],
)  # fmt: skip
def test_numbers_of_the_readout_are_written_for_reading(live, value, written):
    live.update(scene(it=value))
    assert live.sent[0]["rows"][0][1] == written


def test_the_words_of_the_picture_change_with_its_numbers(live):
    live.update(
        scene(**{"log|det J|": Number(torch.tensor(-1.5), unit="nats"), "J is": "full", "n": Number(3, more=True)})
    )
    assert live.alt == "a test: log|det J| −1.50 nats, J is full."
    assert live.readout == {"log|det J|": -1.5, "J is": "full", "n": 3}


def test_the_bundle_has_the_widget_the_picture_and_a_constant_text(live):
    live.update(scene(n=3))
    data, metadata = live._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == live.model_id
    assert data["text/plain"] == "LiveFigure(plane, J)"
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert metadata["image/png"]["alt"] == "a test: n 3."


def test_the_static_picture_moves_too_and_is_as_sharp_as_requested(live):
    before = live.static_png(1)
    live.update(scene(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), n=3))
    assert live.static_png(1) != before
    (width, height), (double_width, double_height) = (
        Image.open(io.BytesIO(live.static_png(ratio))).size for ratio in (1, 2)
    )
    assert (double_width, double_height) == pytest.approx((2 * width, 2 * height), abs=2)


def test_matplotlib_is_left_as_it_was():
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    kept().static_png(3)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend


def test_updates_from_several_threads_stay_whole(live):
    def work(k):
        for turn in range(30):
            value = k + turn / 32
            live.update(scene(torch.full((20, 2), value), curve=torch.full((3, 2), value)))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(live.sent) == 90
    for message in live.sent:
        nodes = message["nodes"]
        assert np.unique(nodes["plane/samples"]["points"]) == np.unique(nodes["plane/curve"]["points"])
    last = state_of(live, "_state")["seq"]
    assert [message["seq"] for message in live.sent] == list(range(last - 89, last + 1))


# ---- frames ----


def frames(number=4, shift=0.0):
    return [scene([[k / 4 + shift, 0.0]], J=torch.full((2, 2), k + 0.5), k=k) for k in range(number)]


def test_frames_share_their_arrays_and_travel_once(live):
    live.set_frames(frames())
    (message,) = live.sent
    assert [frame["rows"][0][1] for frame in message["frames"]] == ["0", "1", "2", "3"]
    ids = [frame["nodes"]["plane/density"]["values"]["@"] for frame in message["frames"]]
    assert len(set(ids)) == 1, "the same density in every frame is one array"
    assert len(message["pool"]) == 2 + 4 + 4  # density and curve, points, matrices
    live.set_frames(frames(shift=1.0))
    assert len(live.sent[1]["pool"]) == 4, "the browser has the others"
    whole = state_of(live, "_frames")
    for k, frame in enumerate(whole["frames"]):
        reference = frame["nodes"]["plane/samples"]["points"]["@"]
        assert whole["pool"][str(reference)].tolist() == [[k / 4 + 1, 0.0]], "a new front end gets all of them"


def test_the_frame_that_is_chosen_in_the_browser_is_the_static_picture(live):
    live.set_frames(frames())
    first = live.static_png(1)
    live.set_state({"frame": 3})  # as the front end does
    assert live.readout == {"k": 3}
    assert live.mark("samples").points.tolist() == [[0.75, 0.0]]
    assert live.alt == "a test: k 3."
    assert live.static_png(1) != first
    with pytest.raises(Exception, match="frame must be a whole number from 0 to 3, but is 4"):
        live.frame = 4
    live.set_frames(frames(2))
    assert live.frame == 1, "the last of fewer frames"


def test_a_bad_frame_is_named_and_the_frames_before_stay(live):
    live.set_frames(frames(2))
    with pytest.raises(ValueError, match=r"frame 1: plane/samples.points has 1 of 2 numbers"):
        live.set_frames([scene(), scene([[0, np.nan]])])
    assert [frame["readout"] for frame in live.frames] == [{"k": 0}, {"k": 1}]
    assert len(state_of(live, "_frames")["frames"]) == 2


def test_one_picture_after_frames_takes_their_place(live):
    live.set_frames(frames())
    live.update(scene([[2.0, 2.0]]))
    assert live.sent[-1]["frames"] == []
    assert "plane/density" in live.sent[-1]["nodes"], "the picture is sent whole"
    assert live.frames == []
    assert live.mark("samples").points.tolist() == [[2.0, 2.0]]


# ---- gestures ----


@pytest.fixture
def grip(live):
    live.heard = []
    live.on_gesture(lambda *gesture: live.heard.append(gesture))
    return live


def gesture(live, name="samples", values=(0.5, 0.25), number=1):
    say(live, type="gesture", name=name, values=list(values), number=number)


def test_a_gesture_is_answered_once_by_the_update_that_it_causes(grip):
    grip.on_gesture(lambda name, x, y: grip.update(scene([[x, y]])))
    gesture(grip, number=7)
    assert grip.heard == [("samples", 0.5, 0.25)]
    (message,) = grip.sent
    assert message["answers"] == 7
    assert message["nodes"]["plane/samples"]["points"].tolist() == [[0.5, 0.25]]
    grip.update(scene())
    assert "answers" not in grip.sent[-1]


def test_a_gesture_that_changes_nothing_is_answered_too(grip):
    gesture(grip, number=8)
    assert [(message["answers"], message.get("nodes")) for message in grip.sent] == [(8, None)]
    grip.on_gesture(lambda name, *_: grip.update(scene()))
    gesture(grip, number=9)
    assert [message["answers"] for message in grip.sent] == [8, 9]


def test_an_exception_in_a_gesture_is_shown_in_words_and_the_next_gesture_arrives(grip):
    words = iter([ValueError("stay left of 1"), KeyError("lost")])

    def refuse(*_):
        raise next(words)

    grip.on_gesture(refuse)
    gesture(grip, number=1)
    assert (grip.error, grip.sent[-1]["answers"]) == ("stay left of 1", 1)
    gesture(grip, number=2)
    assert (grip.error, grip.sent[-1]["answers"]) == ("KeyError: 'lost'", 2)
    assert len(grip.sent) == 2


def test_arrows_of_no_number_are_a_picture(live):
    live.update(
        {"plane": Plane({"none": Arrows(torch.zeros(0, 2), torch.zeros(0, 2)), "dots": Dots(torch.zeros(0, 2))})}
    )
    assert live.error == ""
    assert live.static_png(1).startswith(b"\x89PNG")
