"""A drag in the picture, as it reaches the kernel."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from nfteach.widgets import LiveFigure
from tests.explorers.front_end import drag, say, unpack


@pytest.fixture
def grip():
    figure = Figure(figsize=(4, 2), dpi=100)
    left, right = figure.subplots(1, 2)
    left.set(xlim=(-2, 2), ylim=(3, -1))
    right.set(xlim=(1, 1000), ylim=(0, 1), xscale="log")
    moving = {
        "probe": left.scatter([0], [0]),
        "rate": right.scatter([10], [0.5]),
        "cloud": left.scatter([], []),
        "curve": left.plot([], [])[0],
    }
    made = LiveFigure(figure, moving, handles={"probe": "drag the probe", "rate": "drag the rate"})
    made.sent, made.heard = [], []
    made.send = lambda content, buffers: made.sent.append(unpack(content, buffers))
    made.on_drag(lambda *drag: made.heard.append(drag))
    return made


@pytest.mark.parametrize(
    ("name", "to", "inside"),
    [
        ("probe", (1.5, 2.0), (1.5, 2.0)),
        ("probe", (-9.0, 2.5), (-2.0, 2.5)),
        ("probe", (0.0, -7.0), (0.0, -1.0)),
        ("rate", (31.6, 0.25), (31.6, 0.25)),
        ("rate", (0.2, 4.0), (1.0, 1.0)),
    ],
)
def test_a_drag_arrives_in_the_coordinates_of_the_axes_and_ends_at_their_edge(grip, name, to, inside):
    drag(grip, name, *to)
    ((heard, x, y),) = grip.heard
    assert heard == name
    assert (x, y) == pytest.approx(inside, abs=1e-9)


def test_a_drag_is_answered_once_by_the_update_that_it_causes(grip):
    grip.on_drag(lambda name, x, y: grip.update(**{name: [[x, y]]}))
    drag(grip, "probe", 0.5, 0.25, 7)
    (message,) = grip.sent
    assert message["drag"] == 7
    assert message["artists"]["probe"]["points"][0].tolist() == pytest.approx([0.5, 0.25])
    grip.update(probe=[[0, 0]])
    assert "drag" not in grip.sent[-1]


def test_a_drag_without_an_update_is_answered_too(grip):
    say(grip, type="drag", name="rate", at=[0, 0], drag=8)
    assert [(message["drag"], message["artists"]) for message in grip.sent] == [(8, {})]


def test_an_exception_in_a_drag_is_shown_in_words_and_the_next_drag_arrives(grip):
    words = iter([ValueError("stay left of 1"), KeyError("lost")])

    def refuse(*_):
        raise next(words)

    grip.on_drag(refuse)
    drag(grip, "probe", 0, 0, 1)
    assert (grip.error, grip.sent[-1]["drag"]) == ("stay left of 1", 1)
    drag(grip, "probe", 0, 0, 2)
    assert (grip.error, grip.sent[-1]["drag"]) == ("KeyError: 'lost'", 2)
    assert len(grip.sent) == 2


def test_only_a_point_that_moves_can_be_dragged(grip):
    with pytest.raises(ValueError, match="'curve' can't be a handle: only a scatter plot can, here probe, rate, cloud"):
        grip.handles = {"curve": "drag the curve"}
    with pytest.raises(ValueError, match="'prob' can't be a handle"):
        LiveFigure(grip.figure, {"probe": grip.figure.axes[0].scatter([], [])}, handles={"prob": "drag"})
    with pytest.raises(ValueError, match="probe can be dragged, so it is one point, but has 2"):
        grip.update(probe=np.zeros((2, 2)))
    assert grip.get_state("handles") == {"handles": {"probe": "drag the probe", "rate": "drag the rate"}}
