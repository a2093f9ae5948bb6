"""LiveFigure without a browser: what it accepts, what it sends, what it draws."""

from __future__ import annotations

import io
import threading

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from PIL import Image

from nfteach.widgets import HeatMap, LiveFigure


def unpack(node, buffers):
    """The inverse of what LiveFigure packs, as live.js does it."""
    if isinstance(node, dict) and "$" in node:
        index, dtype, shape = node["$"]
        return np.frombuffer(buffers[index], dtype).reshape(shape)
    if isinstance(node, dict):
        return {key: unpack(value, buffers) for key, value in node.items()}
    return [unpack(value, buffers) for value in node] if isinstance(node, list) else node


@pytest.fixture
def live():
    figure = Figure(figsize=(4, 2), dpi=100)
    left, right = figure.subplots(1, 2)
    left.set(xlim=(-2, 2), ylim=(-1, 1))
    lines = LineCollection(np.zeros((2, 3, 2)))
    left.add_collection(lines)
    made = LiveFigure(
        figure,
        {
            "density": left.imshow(
                np.zeros((2, 2)), extent=(-2, 2, -1, 1), origin="lower", vmin=0, vmax=1, aspect="auto", cmap="viridis"
            ),
            "samples": left.scatter([], [], s=4, color="#D55E00"),
            "grid": lines,
            "J": HeatMap(right, np.eye(2)),
            "word": left.text(0, 0, "still"),
        },
        alt="a test",
    )
    made.sent = []
    made.send = lambda content, buffers: made.sent.append(unpack(content, buffers))
    return made


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
    image = live._moving["density"].artist
    table = unpack(**_state(live, "_scene"))["artists"]["density"]["table"]
    expected = image.cmap(image.norm(values), bytes=True)
    assert index.dtype == np.uint8
    assert np.array_equal(table[index], expected)


def test_the_map_to_pixels_is_that_of_matplotlib(live):
    scene = unpack(**_state(live, "_scene"))
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


def test_the_static_picture_moves_too_and_is_of_the_size_asked_for(live):
    before = live.static_png(1)
    live.update(samples=np.random.default_rng(0).normal(size=(50, 2)), J=[[0.0, 1.0], [1.0, 0.0]])
    assert live.static_png(1) != before
    assert Image.open(io.BytesIO(live.static_png(1))).size == (400, 200)
    assert Image.open(io.BytesIO(live.static_png(2))).size == (800, 400)


def test_tensors_are_taken_with_or_without_gradients(live):
    live.update(samples=torch.ones(3, 2, requires_grad=True), grid=torch.zeros(4, 5, 2).double())
    assert live.sent[0]["artists"]["grid"]["lengths"] == [5, 5, 5, 5]


def test_what_the_author_does_to_an_array_later_does_not_move_the_picture(live):
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
    live._hear(live, {"type": "state", "seq": 0}, [])
    assert sent == [["_state"]]
    state = unpack(**_state(live, "_state"))
    assert state["artists"]["samples"]["points"].tolist() == [[1.0, 0.0]]
    assert state["readout"] == [["n", "3", ""]]
    live._hear(live, {"type": "state", "seq": state["seq"]}, [])
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
    told = unpack(**_state(live, "_frames"))
    assert [frame["label"] for frame in told["list"]] == ["number 0", "number 1", "number 2", "number 3"]
    assert [frame["artists"]["samples"]["points"].tolist() for frame in told["list"]] == [
        [[k / 4, 0.0]] for k in range(4)
    ]
    first = live.static_png(1)
    live.set_state({"frame": 3})  # as the front end does
    assert live.readout == {"k": 3}
    assert live._moving["word"].artist.get_text() == "step 3"
    assert live.static_png(1) != first
    with pytest.raises(Exception, match="from 0 to 3"):
        live.frame = 4


def test_a_bad_frame_is_named_and_the_frames_before_stay(live):
    live.send_state = lambda key: None
    live.set_frames([{"word": "a"}, {"word": "b"}])
    with pytest.raises(ValueError, match="frame 1: samples has 1 of 2 numbers"):
        live.set_frames([{"word": "c"}, {"samples": [[0, np.nan]]}])
    assert [frame["artists"]["word"]["labels"] for frame in unpack(**_state(live, "_frames"))["list"]] == [["a"], ["b"]]


def pixels(ax, x, y):
    """Where a point of the axes is in the figure, from the top left: as the front end tells it."""
    px, py = ax.transData.transform((x, y))
    return [px, ax.figure.bbox.height - py]


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


def drag(live, name, at, number=1):
    live._hear(live, {"type": "drag", "name": name, "at": at, "drag": number}, [])


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
def test_a_drag_is_heard_in_the_coordinates_of_the_axes_and_ends_at_their_edge(grip, name, to, inside):
    axes = grip.figure.axes[0 if name == "probe" else 1]
    drag(grip, name, pixels(axes, *to))
    ((heard, x, y),) = grip.heard
    assert heard == name
    assert (x, y) == pytest.approx(inside, abs=1e-9)


def test_a_drag_is_answered_once_by_the_update_that_it_causes(grip):
    grip.on_drag(lambda name, x, y: grip.update(**{name: [[x, y]]}))
    drag(grip, "probe", pixels(grip.figure.axes[0], 0.5, 0.25), 7)
    (message,) = grip.sent
    assert message["drag"] == 7
    assert message["artists"]["probe"]["points"][0].tolist() == pytest.approx([0.5, 0.25])
    grip.update(probe=[[0, 0]])
    assert "drag" not in grip.sent[-1]


def test_a_drag_of_which_nothing_comes_is_answered_too(grip):
    drag(grip, "rate", [0, 0], 8)
    assert [(message["drag"], message["artists"]) for message in grip.sent] == [(8, {})]


def test_what_a_drag_raises_is_said_in_words_and_the_next_is_heard(grip):
    words = iter([ValueError("stay left of 1"), KeyError("lost")])

    def refuse(*_):
        raise next(words)

    grip.on_drag(refuse)
    drag(grip, "probe", [0, 0], 1)
    assert (grip.error, grip.sent[-1]["drag"]) == ("stay left of 1", 1)
    drag(grip, "probe", [0, 0], 2)
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


def test_what_has_not_moved_is_not_sent_again(live):
    values = {
        "samples": np.ones((3, 2)),
        "J": np.eye(2),
        "word": {"text": "a", "color": "red"},
        "grid": np.ones((2, 3, 2)),
    }
    live.update(**values)
    live.update(**{**values, "samples": np.zeros((3, 2)), "word": {"text": "b", "color": "red"}})
    live.update(samples=np.zeros((3, 2)))
    live.update(samples={"visible": False})
    live.update(samples=np.zeros((3, 2)))
    told = [set(message["artists"]) for message in live.sent]
    assert told == [set(values), {"samples", "word"}, set(), {"samples"}, {"samples"}]


def everything():
    """Every kind of artist whose main array takes the short cut, and what it is moved to."""
    rng = np.random.default_rng(0)
    ax = Figure(figsize=(4, 4), dpi=100).add_subplot(xlim=(0.1, 30), ylim=(-3, 3), xscale="log")
    other = ax.figure.add_axes((0, 0, 0.2, 0.2))
    lines = ax.add_collection(LineCollection([]))
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 2}
    return ax.figure, {
        "points": (ax.scatter([], [], s=9), rng.uniform(1, 9, size=(50, 2))),
        "valued": (ax.scatter([1, 2], [1, 2], c=[0, 1], cmap="viridis"), rng.uniform(1, 9, size=(2, 2))),
        "line": (ax.plot([], [], "--", color="red")[0], rng.uniform(1, 9, size=(9, 2))),
        "marked": (ax.plot([], [], "o-", color="red")[0], rng.uniform(1, 9, size=(9, 2))),
        "spots": (ax.plot([], [], "s", color="red")[0], rng.uniform(1, 9, size=(9, 2))),
        "arrows": (ax.quiver([1, 2], [1, 2], [1, 1], [1, 0], **arrows), rng.uniform(1, 9, size=(2, 4))),
        "vectors": (ax.quiver([1, 2], [1, 2], [1, 1], [1, 0], **arrows), rng.uniform(1, 9, size=(2, 2))),
        "word": (ax.text(2, 2, "before"), "after"),
        "lines": (lines, rng.uniform(1, 9, size=(4, 7, 2))),
        "uneven": (ax.add_collection(LineCollection([])), [np.ones((2, 2)), 2 * np.ones((5, 2))]),
        "none": (ax.add_collection(LineCollection([np.ones((2, 2))])), []),
        "image": (other.imshow(np.zeros((4, 5)), vmin=-1, vmax=1), rng.normal(size=(6, 7))),
        "colors": (other.imshow(np.zeros((4, 5, 3))), rng.uniform(-0.2, 1.2, size=(6, 7, 3))),
        "clear": (other.imshow(np.zeros((4, 5, 4))), rng.uniform(size=(6, 7, 4))),
        "matrix": (HeatMap(other, np.eye(3), format="{:+.1f}"), rng.normal(size=(3, 3))),
    }


def test_the_short_cut_tells_the_browser_what_matplotlib_shows():
    figure, kinds = everything()
    live = LiveFigure(figure, {name: artist for name, (artist, _) in kinds.items()})
    sent = []
    live.send = lambda content, buffers: sent.append(unpack(content, buffers))
    live.update(**{name: value for name, (_, value) in kinds.items()})
    for name in kinds:
        told, read = sent[0]["artists"][name], live._moving[name].payload()
        assert told.keys() <= read.keys()
        assert (len(told) < len(read)) == (name not in ("valued", "marked", "spots", "vectors"))
        for key, value in told.items():
            if isinstance(value, np.ndarray):
                # A step of a colour may be rounded otherwise.
                np.testing.assert_allclose(value.astype(float), read[key], atol=1.01 * (key == "rgba"), err_msg=key)
            else:
                np.testing.assert_equal(value, read[key], err_msg=key)


def test_after_an_update_the_artists_have_what_was_given(live):
    values = np.random.default_rng(0).normal(size=(2, 2))
    live.update(J=values, samples=values, density=values, grid=np.stack([values, values]))
    left, right = live.figure.axes
    assert np.array_equal(right.images[0].get_array(), values)
    assert [text.get_text() for text in right.texts] == [f"{value:.2f}" for value in values.ravel()]
    assert np.array_equal(left.images[0].get_array(), values)
    points, lines = (
        next(c for c in left.collections if isinstance(c, kind)) for kind in (PathCollection, LineCollection)
    )
    assert np.array_equal(points.get_offsets(), values)
    assert np.array_equal(lines.get_segments(), [values, values])


@pytest.mark.parametrize("cmap", ["PuOr", "viridis", "gray", "cividis"])
def test_a_number_stands_out_from_its_cell(cmap):
    matrix = np.concatenate([np.random.default_rng(0).normal(size=62), [2.0, -2.0]]).reshape(8, 8)
    heat_map = HeatMap(Figure().add_subplot(), matrix, cmap=cmap)
    for text, rgba in zip(heat_map.texts, heat_map.image.to_rgba(matrix).reshape(-1, 4), strict=True):
        is_light = rgba[:3] @ (0.2126, 0.7152, 0.0722) > 0.45
        assert text.get_color() == ("#222222" if is_light else "white")


def test_new_frames_send_only_what_is_new_in_them(live):
    states = []
    live.send_state = lambda key: states.append(key) if key != "frame" else None
    rng = np.random.default_rng(1)
    density = rng.uniform(size=(3, 4, 4))

    def frames(shift):
        moved = density[:, :, :2] + shift
        return [
            {"density": density[k], "samples": moved[k], "word": f"step {k}", "readout": {"k": k + shift}}
            for k in range(3)
        ]

    live.set_frames(frames(0))
    assert states == [["_frames", "_state"]]
    live.frame = 1
    live.set_frames(frames(1))
    assert states == [["_frames", "_state"]]
    (message,) = live.sent
    assert [set(frame["artists"]) for frame in message["frames"]] == [{"samples"}] * 3
    assert [frame["readout"] for frame in message["frames"]] == [[["k", str(k + 1), ""]] for k in range(3)]
    assert live.readout == {"k": 2}
    # Who comes now is told the whole of it.
    whole = unpack(**_state(live, "_frames"))["list"]
    for k, frame in enumerate(whole):
        assert frame["artists"]["samples"]["points"] == pytest.approx(density[k, :, :2] + 1, abs=1e-6)
        assert frame["artists"]["density"]["index"].shape == (4, 4)
        assert frame["artists"]["word"]["labels"] == [f"step {k}"]
        assert frame["readout"] == [["k", str(k + 1), ""]]
    live._hear(live, {"type": "state", "seq": message["seq"] - 1}, [])
    assert states[1:] == [["_frames", "_state"]]
    live.set_frames(frames(1)[:2])
    assert states[2:] == [["_frames", "_state"]], "another number of frames: all are new"
    live.set_frames([{"word": "a"}, {"samples": [[0, 0]]}])
    assert states[3:] == [["_frames", "_state"]], "other artists: all are new"


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
    assert live._order == [0, "under", 1, "over"]
    line_layer = np.asarray(Image.open(io.BytesIO(live._layers[1])))
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
    assert sorted(message["seq"] for message in live.sent) == list(range(live._seq - 89, live._seq + 1))


def _state(live, key):
    packed = live.get_state(key)[key]
    return {"node": packed["content"], "buffers": packed["buffers"]}
