"""Only new values are sent, by the short cut, and they are those that matplotlib shows."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from nfteach.widgets import HeatMap, LiveFigure
from tests.explorers.front_end import say, state_of, unpack
from tests.unit.widgets.sending import make_live


@pytest.fixture
def live():
    return make_live()


def everything():
    """Return every kind of artist whose main array takes the short cut, with a value to move it to."""
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
        "box": (ax.add_patch(Rectangle((1, 1), 1, 1)), (2.0, -1.0, 3.0, 2.0)),
        "turned": (ax.add_patch(Rectangle((1, 1), 1, 1, angle=20)), (2.0, -1.0, 3.0, 2.0)),
        "polygon": (ax.add_patch(Polygon(np.ones((3, 2)))), rng.uniform(1, 9, size=(5, 2))),
        "closed": (ax.add_patch(Polygon(np.ones((3, 2)))), [[1, 1], [5, 1], [2, 2], [1, 1]]),
        "open": (ax.add_patch(Polygon(np.ones((3, 2)), closed=False)), rng.uniform(1, 9, size=(5, 2))),
        "area": (ax.fill_between([1, 2], [0, 1]), rng.uniform(1, 9, size=(5, 2))),
        "bars": (ax.bar([1, 2, 3], [1, 1, 1], bottom=0.5), [2.0, -1.0, 0.3]),
        "across": (ax.barh([1, 2], [1, 1], left=2), [2.0, 0.3]),
        "hued bars": (ax.bar([1, 2], [1, 1], alpha=0.5), {"lengths": [2.0, -1.0], "color": ["red", (0, 0, 1)]}),
        "hollow": (ax.add_patch(Rectangle((1, 1), 1, 1, fill=False)), {"box": (1, 1, 2, 3), "color": "red"}),
        "hidden": (ax.scatter([], [], s=9), {"points": rng.uniform(1, 9, size=(5, 2)), "visible": False}),
        "gone": (ax.plot([1, 2], [1, 2])[0], {"visible": False}),
        "faint": (ax.add_patch(Rectangle((1, 1), 1, 1)), {"box": (1, 1, 2, 3), "alpha": 0.3}),
        "placed": (ax.text(2, 2, "", alpha=0.5), {"text": "a", "position": (3, 1), "color": "red", "visible": True}),
    }


#: Artists without a short cut: their arrays are read from matplotlib.
SLOW = {"valued", "marked", "spots", "vectors", "turned", "open", "area", "faint"}


def test_values_that_have_not_changed_are_not_sent_again(live):
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


def test_the_short_cut_sends_what_matplotlib_shows():
    figure, kinds = everything()
    live = LiveFigure(figure, {name: artist for name, (artist, _) in kinds.items()})
    sent = []
    live.send = lambda content, buffers: sent.append(unpack(content, buffers))
    live.update(**{name: value for name, (_, value) in kinds.items()})
    whole = state_of(live, "_state")["artists"]
    for name in kinds:
        told, read = sent[0]["artists"][name], whole[name]
        assert told.keys() <= read.keys()
        assert (len(told) < len(read)) == (name not in SLOW), name
        for key, value in told.items():
            words = f"{name}: {key}"
            if isinstance(value, np.ndarray):
                # A step of a colour may be rounded otherwise.
                np.testing.assert_allclose(value.astype(float), read[key], atol=1.01 * (key == "rgba"), err_msg=words)
            else:
                np.testing.assert_equal(value, read[key], err_msg=words)


def test_after_an_update_the_artists_have_the_new_values(live):
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
    first, message = live.sent
    # The frame that is shown goes first, alone; then the others.
    assert [set(frame["artists"]) for frame in first["frames"]] == [set(), {"samples"}, set()]
    assert [frame.get("readout") for frame in first["frames"]] == [None, [["k", "2", ""]], None]
    assert [set(frame["artists"]) for frame in message["frames"]] == [{"samples"}, set(), {"samples"}]
    assert [frame.get("readout") for frame in message["frames"]] == [[["k", "1", ""]], None, [["k", "3", ""]]]
    assert live.readout == {"k": 2}
    # A new front end gets all frames whole.
    whole = state_of(live, "_frames")["list"]
    for k, frame in enumerate(whole):
        assert frame["artists"]["samples"]["points"] == pytest.approx(density[k, :, :2] + 1, abs=1e-6)
        assert frame["artists"]["density"]["index"].shape == (4, 4)
        assert frame["artists"]["word"]["labels"] == [f"step {k}"]
        assert frame["readout"] == [["k", str(k + 1), ""]]
    say(live, type="state", seq=message["seq"] - 1)
    assert states[1:] == [["_frames", "_state"]]
    live.set_frames(frames(1)[:2])
    assert states[2:] == [["_frames", "_state"]], "another number of frames: all are new"
    live.set_frames([{"word": "a"}, {"samples": [[0, 0]]}])
    assert states[3:] == [["_frames", "_state"]], "other artists: all are new"
