"""LiveFigure without a browser: validation, messages and the static picture."""

from __future__ import annotations

import io
import threading

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from nfteach.widgets import LiveFigure
from tests.explorers.front_end import say, state_of
from tests.unit.widgets.sending import make_live


@pytest.fixture
def live():
    return make_live()


def test_an_update_is_one_message_with_what_moved_and_nothing_else(live):
    live.update(samples=[[0.5, -0.5]], readout={"det J": 2.0})
    (message,) = live.sent
    assert set(message["artists"]) == {"samples"}
    assert message["artists"]["samples"]["points"].dtype == np.float32
    assert message["artists"]["samples"]["points"].tolist() == [[0.5, -0.5]]
    assert message["readout"] == [["det J", "2.0000", ""]]


def test_numbers_of_an_image_travel_as_indices_into_its_colour_map(live):
    values = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 1.5]])
    live.update(density=values)
    index = live.sent[0]["artists"]["density"]["index"]
    image = live.artist("density")
    table = state_of(live, "_scene")["artists"]["density"]["table"]
    expected = image.cmap(image.norm(values), bytes=True)
    assert index.dtype == np.uint8
    assert np.array_equal(table[index], expected)


def test_the_map_to_pixels_is_that_of_matplotlib(live):
    scene = state_of(live, "_scene")
    a, b, c, d, e, f = scene["artists"]["samples"]["matrix"]
    x, y = 0.3, -0.7
    expected_x, expected_y = live.figure.axes[0].transData.transform((x, y))
    assert a * x + c * y + e == pytest.approx(expected_x)
    assert b * x + d * y + f == pytest.approx(scene["height"] - expected_y)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sample": [[0, 0]]}, "what moves: density, samples"),
        ({"samples": [0.0, 1.0]}, r"samples must have shape \(n, 2\), but has \(2,\)"),
        ({"samples": [[0.0, np.nan]]}, "samples has 1 of 2 numbers that are NaN"),
        ({"density": np.full((3, 3), np.inf)}, "density has 9 of 9"),
        ({"density": "dark"}, "density must be an array of numbers"),
        ({"J": np.eye(3)}, r"J must have shape \(2, 2\), but has \(3, 3\)"),
        ({"word": {"words": "x"}}, "word has no part 'words'"),
        ({"word": {"color": "no colour"}}, "must be a colour"),
        ({"word": "$x$"}, "without TeX"),
        ({"readout": {"det J": [1, 2]}}, "must be a number or a text"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_changes(live, values, words):
    before = live.static_png(1, colors=None)
    with pytest.raises(ValueError, match=words):
        live.update(**{"samples": [[1.0, 1.0]], "grid": np.ones((2, 3, 2)), **values})
    assert live.sent == []
    assert live.static_png(1, colors=None) == before
    assert live.readout == {}


def test_the_static_picture_moves_too_and_has_the_requested_size(live):
    before = live.static_png(1)
    live.update(samples=np.random.default_rng(0).normal(size=(50, 2)), J=[[0.0, 1.0], [1.0, 0.0]])
    assert live.static_png(1) != before
    assert Image.open(io.BytesIO(live.static_png(1))).size == (400, 200)
    assert Image.open(io.BytesIO(live.static_png(2))).size == (800, 400)


def test_tensors_are_taken_with_or_without_gradients(live):
    live.update(samples=torch.ones(3, 2, requires_grad=True), grid=torch.zeros(4, 5, 2).double())
    assert live.sent[0]["artists"]["grid"]["lengths"] == [5, 5, 5, 5]


def test_a_later_change_of_an_array_does_not_move_the_picture(live):
    points = np.zeros((2, 2))
    live.update(samples=points)
    before = live.static_png(1)
    points[:] = 1
    assert live.static_png(1) == before


def test_the_error_line_is_cleared_by_the_next_good_update(live):
    live.show_error("w.u must be at least -1")
    assert live.error == "w.u must be at least -1"
    assert live.sent[-1]["error"] == live.error
    live.update(word="well")
    assert live.error == ""
    assert live.sent[-1]["error"] == ""


def test_a_front_end_that_starts_late_gets_the_present_state(live):
    live.update(samples=[[1.0, 0.0]], readout={"n": 3})
    sent = []
    live.send_state = sent.append
    say(live, type="state", seq=0)
    assert sent == [["_state"]]
    state = state_of(live, "_state")
    assert state["artists"]["samples"]["points"].tolist() == [[1.0, 0.0]]
    assert state["readout"] == [["n", "3", ""]]
    say(live, type="state", seq=state["seq"])
    assert sent == [["_state"]], "a front end that has the state is not sent it again"


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "1.0000"), (3, "3"), (True, "1"), (2.5e-7, "2.50e-07"), (0.0, "0.0000"), (-1e9, "-1.00e+09"),
     (float("-inf"), "-infinite"), (float("nan"), "not a number"), (torch.tensor(0.5), "0.5000"), ("full", "full"),
     (np.float32(0.25), "0.2500")],
)  # fmt: skip
def test_numbers_of_the_readout_are_written_for_reading(live, value, written):
    live.update(readout={"it": value})
    assert live.sent[0]["readout"][0][1] == written


def test_frames_travel_once_and_the_frame_chosen_in_the_browser_is_the_static_picture(live):
    live.send_state = lambda key: None
    frames = [
        {"samples": [[k / 4, 0.0]], "word": f"step {k}", "readout": {"k": k}, "label": f"number {k}"} for k in range(4)
    ]
    live.set_frames(frames)
    told = state_of(live, "_frames")
    assert [frame["label"] for frame in told["list"]] == ["number 0", "number 1", "number 2", "number 3"]
    assert [frame["artists"]["samples"]["points"].tolist() for frame in told["list"]] == [
        [[k / 4, 0.0]] for k in range(4)
    ]
    first = live.static_png(1)
    live.set_state({"frame": 3})  # as the front end does
    assert live.readout == {"k": 3}
    assert live.artist("word").get_text() == "step 3"
    assert live.static_png(1) != first
    with pytest.raises(Exception, match="from 0 to 3"):
        live.frame = 4


def test_a_bad_frame_is_named_and_the_frames_before_stay(live):
    live.send_state = lambda key: None
    live.set_frames([{"word": "a"}, {"word": "b"}])
    with pytest.raises(ValueError, match="frame 1: samples has 1 of 2 numbers"):
        live.set_frames([{"word": "c"}, {"samples": [[0, np.nan]]}])
    assert [frame["artists"]["word"]["labels"] for frame in state_of(live, "_frames")["list"]] == [["a"], ["b"]]


def test_the_bundle_has_the_widget_the_picture_and_a_constant_text(live):
    data, metadata = live._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == live.model_id
    assert data["text/plain"] == "LiveFigure(density, samples, grid, J, word)"
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert metadata["image/png"]["alt"] == "a test"


def test_still_artists_above_what_moves_are_painted_above_it():
    figure = Figure(figsize=(2, 2), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1))
    ax.plot([0, 1], [0.5, 0.5], color="black", linewidth=10, zorder=3)
    under = ax.scatter([], [], zorder=1)
    over = ax.scatter([], [], zorder=4)
    live = LiveFigure(figure, {"under": under, "over": over})
    scene = state_of(live, "_scene")
    assert scene["order"] == [0, "under", 1, "over"]
    line_layer = np.asarray(Image.open(io.BytesIO(scene["layers"][1].tobytes())))
    assert line_layer[200, 200].tolist() == [0, 0, 0, 255]
    assert line_layer[50, 200, 3] == 0, "where it has nothing, the layer is clear"


def test_an_artist_that_cannot_move_or_is_of_another_figure_is_refused():
    figure, other = Figure(), Figure()
    ax = figure.add_subplot()
    with pytest.raises(ValueError, match="title is a Axes, which can't move"):
        LiveFigure(figure, {"title": ax})
    with pytest.raises(ValueError, match="not an artist of this figure"):
        LiveFigure(other, {"points": ax.scatter([], [])})
    with pytest.raises(ValueError, match="scale_units='xy'"):
        LiveFigure(figure, {"arrows": ax.quiver([0], [0], [1], [1])})


def test_matplotlib_is_left_as_it_was():
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    figure = Figure()
    canvas, dpi = figure.canvas, figure.dpi
    LiveFigure(figure, {"points": figure.add_subplot().scatter([], [])}).static_png(3)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend
    assert figure.canvas is canvas
    assert figure.dpi == dpi


def test_updates_from_several_threads_keep_whole(live):
    def work(k):
        for turn in range(30):
            live.update(samples=np.full((20, 2), k + turn / 32), grid=np.full((2, 3, 2), k + turn / 32))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(live.sent) == 90
    for message in live.sent:
        artists = message["artists"]
        assert np.unique(artists["samples"]["points"]).tolist() == np.unique(artists["grid"]["vertices"]).tolist()
    last = state_of(live, "_state")["seq"]
    assert sorted(message["seq"] for message in live.sent) == list(range(last - 89, last + 1))
