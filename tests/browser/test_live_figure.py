"""What live.js paints in Chromium is what matplotlib draws: the front end alone, on a bare page."""

from __future__ import annotations

import base64
import functools
import io
import pathlib

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from PIL import Image

import nfteach.widgets.live
from nfteach.widgets import HeatMap, LiveFigure

SOURCES = pathlib.Path(nfteach.widgets.live.__file__).parent

# A model as anywidget hands it over, without a kernel: what is sent is kept, what is set tells its listeners.
PAGE = """
<!doctype html><meta charset="utf-8"><style>body { margin: 0 } </style><style>%s</style><div id="here"></div>
<script type="module">
import make from "/live.js";
class Model {
  constructor(state) { this.state = state; this.on_ = {}; this.sent = []; this.saved = 0; }
  get(key) { return this.state[key]; }
  set(key, value) { if (this.state[key] !== value) { this.state[key] = value; this.fire("change:" + key); } }
  save_changes() { this.saved += 1; }
  send(content) { this.sent.push(content); }
  on(event, handler) { (this.on_[event] ||= []).push(handler); }
  off(event, handler) { this.on_[event] = (this.on_[event] || []).filter((other) => other !== handler); }
  fire(event, ...args) { for (const handler of this.on_[event] || []) handler(...args); }
}
const revive = (trait) => ({ content: trait.content, buffers: trait.buffers.map((text) => {
  // At an odd offset, as slices of a websocket message are.
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const all = new Uint8Array(bytes.length + 3);
  all.set(bytes, 3);
  return new DataView(all.buffer, 3);
}) });
window.revive = revive;
window.start = (state) => {
  for (const key of ["_scene", "_state", "_frames"]) state[key] = revive(state[key]);
  window.model = new Model(state);
  window.widget = make();
  window.close_model = widget.initialize({ model });
  window.show = () => {
    const el = document.createElement("div");
    here.append(el);
    return widget.render({ model, el });
  };
  window.close_view = show();
};
window.ready = true;
</script>
"""


@functools.cache
def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _json(packed: dict) -> dict:
    return {"content": packed["content"], "buffers": [_text(bytes(buffer)) for buffer in packed["buffers"]]}


class Bench:
    """A bare page with one live figure, fed as a kernel would."""

    def __init__(self, page, live: LiveFigure) -> None:
        self.page, self.live = page, live
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        css = (SOURCES / "live.css").read_text()
        self.serve("http://bench/", PAGE % css, "text/html")
        self.serve("http://bench/live.js", (SOURCES / "live.js").read_text(), "text/javascript")
        page.route("http://bench/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto("http://bench/")
        page.wait_for_function("window.ready")
        state = live.get_state(["_scene", "_state", "_frames", "frame", "handles"])
        for key in ("_scene", "_state", "_frames"):
            state[key] = _json(state[key])
        page.evaluate("(state) => start(state)", state)
        live.send = self.send
        self.settle()

    def serve(self, url: str, body: str, kind: str) -> None:
        self.page.route(url, lambda route: route.fulfill(body=body, content_type=kind))

    def send(self, content: dict, buffers: list[bytes]) -> None:
        packed = _json({"content": content, "buffers": buffers})
        self.page.evaluate(
            "(packed) => { const m = revive(packed); model.fire('msg:custom', m.content, m.buffers); }", packed
        )

    def settle(self) -> None:
        self.page.wait_for_function(
            "(seq) => [...document.querySelectorAll('canvas')].every(c => c.dataset.seq == seq)",
            arg=self.live._seq,
        )

    def picture(self, index: int = 0) -> np.ndarray:
        url = self.page.evaluate("(i) => document.querySelectorAll('canvas')[i].toDataURL()", index)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), dtype=float)


@pytest.fixture
def bench(browser):
    contexts = []

    def make(live: LiveFigure, ratio: float = 1.0, **options) -> Bench:
        size = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=size, device_scale_factor=ratio, **options))
        return Bench(contexts[-1].new_page(), live)

    yield make
    for context in contexts:
        context.close()


def every_kind() -> tuple[LiveFigure, dict]:
    """A figure with every kind of artist that moves, and the values that it is moved to."""
    rng = np.random.default_rng(3)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for ax, title in zip(axes, ("image", "points", "lines", "arrows", "bars", "numbers"), strict=True):
        ax.set(xlim=(-3, 3), ylim=(-3, 3), title=title)
    x = np.linspace(-3, 3, 50)
    lines = LineCollection(np.zeros((8, 50, 2)), colors=["#0072B2", "#D55E00"], linewidths=[1, 2], alpha=0.8)
    axes[2].add_collection(lines)
    polygon = axes[4].add_patch(Polygon([[0, 0], [1, 0], [0, 1]], facecolor="#E69F00", alpha=0.6))
    box = axes[4].add_patch(Rectangle((0, 0), 1, 1, facecolor="none", edgecolor="black", linewidth=2))
    moving = {
        "image": axes[0].imshow(
            np.zeros((60, 60)), extent=(-3, 3, -3, 3), origin="lower", vmin=0, vmax=1, aspect="auto"
        ),
        "points": axes[1].scatter([], [], s=9, color="#009E73", alpha=0.5, linewidths=0),
        "valued": axes[1].scatter([], [], s=60, c=[], cmap="PuOr", vmin=0, vmax=1, marker="s", edgecolors="black"),
        "lines": lines,
        "line": axes[2].plot([], [], "--", color="#CC79A7", linewidth=3)[0],
        "dots": axes[2].plot([], [], "^", color="#E69F00", markersize=12)[0],
        "arrows": axes[3].quiver([0, 0, 0], [0, 0, 0], [1, 0, -1], [0, 1, 0], angles="xy", scale_units="xy", scale=1),
        "bars": axes[4].bar([-2, -1], [1, 1], color="#0072B2"),
        "polygon": polygon,
        "box": box,
        "matrix": HeatMap(axes[5], np.eye(3), fontsize=11),
        "word": axes[3].text(0, -2.5, "", ha="center"),
    }
    grid_x, grid_y = np.meshgrid(np.linspace(-3, 3, 60), np.linspace(-3, 3, 60))
    wave = np.stack([np.stack([x, 0.4 * np.sin(3 * x + k) + k - 4], axis=1) for k in range(8)])
    values = {
        "image": np.exp(-((grid_x - 1) ** 2) - (grid_y + grid_x / 2) ** 2),
        "points": rng.normal(size=(800, 2)),
        "valued": {"points": [[-2, 2], [0, 2], [2, 2]], "values": [0.0, 0.5, 1.0]},
        "lines": wave,
        "line": np.stack([x, x / 2], axis=1),
        "dots": [[-1, 2], [1, 2]],
        "arrows": [[-2, -1, 2, 2], [1, 2, 1, -3], [0, 0, 0.1, 0.05]],
        "bars": [1.5, -2.0],
        "polygon": [[0, -2], [2, -1], [1, 1]],
        "box": [0.5, 1.5, 2, 1],
        "matrix": [[1.0, -0.5, 0.0], [2.0, 1.0, -2.0], [0.25, 0.0, 1.0]],
        "word": "running: -1.25",
    }
    return LiveFigure(figure, moving, alt="one of each"), values


def twin(live: LiveFigure, ratio: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(live.static_png(ratio, colors=None))).convert("RGB"), dtype=float)


def blurred(picture: np.ndarray) -> np.ndarray:
    """Means over 4 x 4 pixels: edges may be smoothed differently, shapes and colours may not differ."""
    height, width = (size // 4 * 4 for size in picture.shape[:2])
    return picture[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_every_kind_is_painted_as_matplotlib_draws_it(bench, ratio):
    live, values = every_kind()
    page = bench(live, ratio)
    before = page.picture()
    live.update(**values)
    page.settle()
    painted, drawn = page.picture(), twin(live, ratio)
    assert painted.shape == drawn.shape
    difference = np.abs(blurred(painted) - blurred(drawn)).max(axis=2)
    for ax in live.figure.axes:
        box = ax.get_window_extent().extents * ratio / 4
        rows, columns = (
            slice(int(len(difference) - box[3]), int(len(difference) - box[1])),
            slice(int(box[0]), int(box[2])),
        )
        panel, moved = difference[rows, columns], np.abs(blurred(painted) - blurred(before)).max(axis=2)[rows, columns]
        # Of 255. Letters are hinted differently, edges smoothed differently; a missing line or a wrong colour is more.
        assert panel.mean() < 6, ax.get_title()
        assert (panel > 60).mean() < 0.03, ax.get_title()
        assert moved.mean() > 3.5 * panel.mean(), f"{ax.get_title()}: what moved is not what matplotlib moved"
        # Nothing is lighter or darker on the whole.
        assert abs((painted - drawn).mean()) < 1, ax.get_title()
    assert page.errors == []


def cloud() -> LiveFigure:
    figure = Figure(figsize=(4, 3))
    return LiveFigure(figure, {"samples": figure.add_subplot(xlim=(-3, 3), ylim=(-3, 3)).scatter([], [], s=30)})


def close(painted: np.ndarray, drawn: np.ndarray) -> bool:
    """Whether two pictures show the same, up to smoothing."""
    return np.abs(blurred(painted) - blurred(drawn)).mean() < 2


def test_of_many_updates_at_once_the_newest_is_painted(bench):
    live = cloud()
    page = bench(live, 2.0)
    paintings = "window.paintings = 0; const clear = new MutationObserver(() => paintings++);"
    page.page.evaluate(
        paintings + "clear.observe(document.querySelector('canvas'), { attributeFilter: ['data-seq'] });"
    )
    messages = []
    live.send = lambda content, buffers: messages.append(_json({"content": content, "buffers": buffers}))
    rng = np.random.default_rng(0)
    for _ in range(50):
        live.update(samples=rng.normal(size=(300, 2)))
    send = "(all) => all.map(revive).forEach(m => model.fire('msg:custom', m.content, m.buffers))"
    page.page.evaluate(send, messages)
    page.settle()
    assert page.page.evaluate("paintings") <= 3, "messages that came between two frames are painted once"
    assert close(page.picture(), twin(live, 2.0))
    assert page.errors == []


def test_the_readout_and_the_error_line(bench):
    live = cloud()
    page = bench(live)
    live.update(samples=[[0, 0]], readout={"det J": -1.25, "log|det J|": (0.2231, "nats"), "preimages": 3})
    page.settle()
    assert page.page.locator(".nfteach-readout dt").all_inner_texts() == ["det J", "log|det J|", "preimages"]
    assert page.page.locator(".nfteach-readout dd").all_inner_texts() == ["-1.2500", "0.2231 nats", "3"]
    assert page.page.locator(".nfteach-error").count() == 0
    live.show_error("w.u must be above -1; <b>turn</b> u")
    page.settle()
    error = page.page.get_by_role("alert")
    assert error.inner_text() == "w.u must be above -1; <b>turn</b> u", "words, never markup"
    assert "nfteach-error" in error.get_attribute("class")
    live.update(samples=[[1, 1]])
    page.settle()
    assert page.page.locator(".nfteach-error").count() == 0
    assert page.errors == []


def test_frames_are_stepped_without_a_kernel(bench):
    live = cloud()
    rng = np.random.default_rng(1)
    frames = [{"samples": rng.normal(size=(40, 2)), "readout": {"k": k}, "label": f"layer {k}"} for k in range(5)]
    live.set_frames(frames)
    page = bench(live, 2.0)
    drawn = []
    for k in range(5):
        live.frame = k
        drawn.append(twin(live, 2.0))
    live.frame = 0
    slider = page.page.get_by_role("slider", name="frame")
    page.page.evaluate("window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key));")
    sent = page.page.evaluate("model.sent.length")

    def shows(k: int) -> bool:
        page.page.wait_for_function("(k) => document.querySelector('.nfteach-readout dd').textContent == k", arg=str(k))
        assert page.page.locator(".nfteach-frame-label").inner_text() == f"frame {k} of 4: layer {k}"
        return close(page.picture(), drawn[k]) and not close(page.picture(), drawn[(k + 1) % 5])

    slider.focus()
    assert shows(0)
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    assert shows(2)
    page.page.keyboard.press("End")
    assert shows(4)
    page.page.get_by_role("button", name="previous").click()
    assert shows(3)
    page.page.get_by_role("button", name="next").click()
    assert shows(4)
    assert page.page.evaluate("model.get('frame')") == 4, "the kernel is told which frame is shown"
    page.page.evaluate("window.played = []; model.on('change:frame', () => played.push(model.get('frame')));")
    page.page.get_by_role("button", name="play").click()
    page.page.wait_for_function("played.length >= 5")
    page.page.get_by_role("button", name="play", exact=True).wait_for()  # it stops; the button is there to play again
    assert page.page.evaluate("played") == [0, 1, 2, 3, 4], "it plays from the first frame to the last, once"
    assert shows(4)
    assert page.page.evaluate("heard") == [], "the notebook does not see the arrow keys"
    assert page.page.evaluate("model.sent.length") == sent, "no message to the kernel took part"
    assert page.errors == []


def test_in_a_step_nothing_beside_the_label_moves(bench):
    live = cloud()
    live.set_frames([{"samples": [[k, 0]], "label": "a layer with a long name " * (k == 1)} for k in range(3)])
    page = bench(live)
    bar = page.page.locator(".nfteach-frames")

    def boxes(k: int) -> list[dict]:
        page.page.evaluate("(k) => { model.set('frame', k); return new Promise(requestAnimationFrame); }", k)
        page.page.evaluate("() => new Promise(requestAnimationFrame)")
        return [part.bounding_box() for part in (*bar.locator("*").all(), page.page.locator("canvas"))]

    for width in ("", "420px", "300px"):
        page.page.evaluate("(width) => { here.style.width = width; }", width)
        first = boxes(0)
        assert boxes(1) == first
        assert boxes(2) == first
        assert all(
            box["x"] + box["width"] <= bar.bounding_box()["x"] + bar.bounding_box()["width"] + 1 for box in first
        )
    live.set_frames([{"samples": [[k, 0]], "label": "x" * 60} for k in range(3)])
    page.settle()
    assert boxes(1) == boxes(2)
    assert page.errors == []


def test_new_frames_replace_the_old_ones_where_they_differ(bench):
    figure = Figure(figsize=(4, 3))
    ax = figure.add_subplot(xlim=(-3, 3), ylim=(-3, 3))
    image = ax.imshow(np.zeros((8, 8)), extent=(-3, 3, -3, 3), vmin=0, vmax=1, aspect="auto")
    live = LiveFigure(figure, {"image": image, "samples": ax.scatter([], [], s=30, color="#D55E00", zorder=3)})
    rng = np.random.default_rng(1)
    images, points = rng.uniform(size=(3, 8, 8)), rng.normal(size=(3, 300, 2))

    def frames(shift: float) -> list[dict]:
        return [{"image": images[k], "samples": points[k] + shift, "readout": {"k": k + shift}} for k in range(3)]

    live.set_frames(frames(0))
    page = bench(live, 2.0)
    page.page.evaluate("model.set('frame', 1)")
    live.frame = 1
    live.set_frames(frames(1))
    page.settle()
    for k in (1, 2, 0):
        live.frame = k
        page.page.evaluate("(k) => { model.set('frame', k); return new Promise(requestAnimationFrame); }", k)
        page.page.evaluate("() => new Promise(requestAnimationFrame)")
        assert close(page.picture(), twin(live, 2.0)), k
        assert page.page.locator(".nfteach-readout dd").inner_text() == str(k + 1)
    assert page.errors == []


def test_an_update_after_a_frame_stays_when_the_state_is_kept(bench):
    live = cloud()
    live.set_frames([{"samples": [[-2, -2]]}, {"samples": [[2, 2]]}])
    page = bench(live, 2.0)
    live.update(samples=np.random.default_rng(5).normal(size=(60, 2)))
    page.settle()
    state = _json(live.get_state("_state")["_state"])
    page.page.evaluate("(state) => model.set('_state', revive(state))", state)
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert close(page.picture(), twin(live, 2.0))
    # A front end that is ahead of the kernel keeps its own frame.
    page.page.evaluate("(state) => { model.set('frame', 1); model.set('_state', revive(state)); }", state)
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    live.frame = 1
    assert close(page.picture(), twin(live, 2.0))


def test_a_second_view_paints_the_present_picture_at_once_and_views_clean_up(bench):
    live = cloud()
    page = bench(live)
    live.update(samples=np.random.default_rng(2).normal(size=(200, 2)), readout={"n": 200})
    page.settle()
    page.page.evaluate("() => { window.close_second = show(); }")
    page.settle()
    assert np.array_equal(page.picture(0), page.picture(1))
    page.page.evaluate("close_second()")
    assert page.page.locator("canvas").count() == 1
    live.update(samples=[[0, 0]])
    page.settle()
    page.page.evaluate("() => { close_view(); close_model(); }")
    assert page.page.locator(".nfteach-live").count() == 0
    assert page.page.evaluate("Object.values(model.on_).flat().length") == 0, "no listener is left behind"
    assert page.errors == []


def test_a_front_end_asks_for_what_it_has_missed_and_takes_it(bench):
    live = cloud()
    page = bench(live, 2.0)
    assert page.page.evaluate("model.sent")[0] == {"type": "state", "seq": live._seq}
    live.send = lambda content, buffers: None  # an update that never arrives
    live.update(samples=np.random.default_rng(3).normal(size=(150, 2)))
    state = _json(live.get_state("_state")["_state"])
    page.page.evaluate("(state) => model.set('_state', revive(state))", state)
    page.settle()
    assert close(page.picture(), twin(live, 2.0))
    assert page.errors == []


def test_the_picture_shrinks_with_its_cell_and_keeps_its_shape(bench):
    live = cloud()
    page = bench(live, 2.0)
    page.page.evaluate("() => { here.style.width = '250px'; }")
    page.page.wait_for_function("document.querySelector('canvas').width == 500")
    box = page.page.locator("canvas").bounding_box()
    assert box["width"] == pytest.approx(250)
    assert box["height"] == pytest.approx(250 * 3 / 4, abs=1)
    live.update(samples=np.random.default_rng(4).normal(size=(150, 2)))
    page.settle()
    assert close(page.picture(), twin(live, 1.25))
    assert page.errors == []


def test_the_picture_has_words_for_those_who_cannot_see_it(bench):
    live, _ = every_kind()
    assert bench(live).page.get_by_role("img", name="one of each").count() == 1


def walk() -> LiveFigure:
    """A probe that can be dragged, and a curve that follows it; the kernel's answer waits for `deliver`."""
    figure = Figure(figsize=(4, 3))
    ax = figure.add_subplot(xlim=(-3, 3), ylim=(-3, 3))
    moving = {"curve": ax.plot([], [])[0], "probe": ax.scatter([], [], s=60, facecolors="white", edgecolors="#222222")}
    live = LiveFigure(figure, moving, handles={"probe": "drag the probe"}, alt="a walk")
    live.at = []

    def follow(name: str, x: float, y: float) -> None:
        live.at.append((x, y))
        live.update(probe=[[x, y]], curve=[[-3, y], [3, y]], readout={"x": x})

    live.on_drag(follow)
    live.update(probe=[[1, 1]], curve=[[-3, 1], [3, 1]], readout={"x": 1.0})
    return live


def spot(page: Bench, x: float, y: float) -> tuple[float, float]:
    """Where a point of the axes is on the page."""
    ax, box = page.live.figure.axes[0], page.page.locator("canvas").bounding_box()
    px, py = ax.transData.transform((x, y))
    ratio = box["width"] / page.live.figure.bbox.width
    return box["x"] + px * ratio, box["y"] + (page.live.figure.bbox.height - py) * ratio


def drags(page: Bench) -> list[dict]:
    return [sent for sent in page.page.evaluate("model.sent") if sent["type"] == "drag"]


def deliver(page: Bench, message: dict) -> None:
    """The kernel hears a message, and answers."""
    page.live._hear(page.live, message, [])
    page.settle()


def test_a_drag_sends_one_message_at_a_time_and_the_newest_position_wins(bench):
    live = walk()
    page = bench(live, 2.0)
    mouse = page.page.mouse
    mouse.move(*spot(page, 1, 1))
    mouse.down()
    for step in range(12):  # without a pause: after 3 s the front end would give the kernel up
        mouse.move(*spot(page, 1 - step / 6, 1 + step / 12))
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    (first,) = drags(page)
    deliver(page, first)
    assert len(drags(page)) == 2, "of all positions that came meanwhile, one is sent: the newest"
    mouse.move(*spot(page, -2, 1.5))
    mouse.up()
    deliver(page, drags(page)[1])
    deliver(page, drags(page)[2])
    assert len(drags(page)) == 3, "where it was let go is not lost, and then there is silence"
    # To the pixel: a mouse has whole ones.
    assert live.at[1:] == [pytest.approx((-5 / 6, 23 / 12), abs=0.02), pytest.approx((-2, 1.5), abs=0.02)]
    mouse.move(*spot(page, 0, 0))
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert len(drags(page)) == 3, "let go is let go"
    assert page.page.locator(".nfteach-readout dd").inner_text() == f"{live.at[-1][0]:.4f}"
    assert close(page.picture(), twin(live, 2.0))
    assert page.errors == []


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_a_handle_shows_that_it_can_be_dragged_and_the_picture_stays_the_static_one(bench, ratio):
    live = walk()
    page = bench(live, ratio)
    ring, canvas = page.page.locator(".nfteach-handle"), page.page.locator("canvas")

    def look() -> tuple[float, str, str | None]:
        page.page.wait_for_timeout(250)  # the ring fades in
        opacity = float(ring.evaluate("(ring) => getComputedStyle(ring).opacity"))
        return opacity, canvas.evaluate("(canvas) => canvas.style.cursor"), canvas.get_attribute("title")

    page.page.mouse.move(1000, 800)
    assert look() == (0, "", None)
    page.page.mouse.move(*spot(page, -2, -2))
    assert look() == (0.45, "", None), "over the picture, a hint"
    x, y = spot(page, 1, 1)
    page.page.mouse.move(x + 9, y - 9)
    assert look() == (1, "grab", "drag the probe")
    box = ring.bounding_box()
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx((x, y), abs=0.6)
    assert box["width"] >= 22
    assert close(page.picture(), twin(live, ratio))
    page.page.mouse.down()
    assert look()[1] == "grabbing"
    page.page.mouse.up()
    assert drags(page) == [], "a click does not move it"
    page.page.mouse.move(x + 25, y)
    page.page.mouse.down()
    page.page.mouse.move(x, y)
    page.page.mouse.up()
    assert drags(page) == [], "beside the handle there is nothing to drag"
    live.update(probe={"visible": False})
    page.settle()
    page.page.mouse.move(x, y)
    assert ring.is_hidden()
    assert page.errors == []


def test_grabbed_at_its_edge_the_handle_does_not_jump_and_at_the_axes_edge_it_stays(bench):
    live = walk()
    page = bench(live)
    x, y = spot(page, 1, 1)
    page.page.mouse.move(x + 10, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 20, y)
    deliver(page, drags(page)[0])
    to_pixels = live.figure.axes[0].transData
    px, py = to_pixels.transform((1, 1))
    expected = to_pixels.inverted().transform((px + 10, py))
    assert live.at == [pytest.approx(tuple(expected), abs=0.02)]
    page.page.mouse.move(1200, 20)
    deliver(page, drags(page)[1])
    assert live.at[1] == (3, 3)
    page.page.mouse.up()
    assert page.errors == []


def test_without_a_kernel_nothing_moves_and_nothing_is_offered_until_it_is_heard_again(bench):
    live = walk()
    page = bench(live)
    page.page.clock.install()
    before = page.picture()
    mouse = page.page.mouse
    mouse.move(*spot(page, 1, 1))
    mouse.down()
    mouse.move(*spot(page, 0, 0))
    page.page.clock.run_for(3100)
    mouse.move(*spot(page, -1, 0))
    mouse.up()
    assert len(drags(page)) == 1
    assert np.array_equal(page.picture(), before)
    mouse.move(*spot(page, 1, 1))
    assert page.page.locator("canvas").evaluate("(canvas) => canvas.style.cursor") == ""
    assert page.page.locator(".nfteach-handle").is_hidden()
    deliver(page, drags(page)[0])  # it was only busy
    page.page.clock.run_for(100)
    assert page.page.locator(".nfteach-handle").is_visible()
    mouse.move(*spot(page, *live.at[-1]))
    mouse.down()
    mouse.move(*spot(page, 2, 2))
    mouse.up()
    assert len(drags(page)) == 2
    page.page.evaluate("() => { model.send = () => { throw new Error('no kernel'); }; }")
    mouse.down()
    mouse.move(*spot(page, 1, 2))
    mouse.up()
    assert page.errors == []


def test_a_finger_drags_a_handle_and_elsewhere_scrolls_the_page(bench):
    live = walk()
    page = bench(live, has_touch=True)
    page.page.evaluate("() => { document.body.style.height = '3000px'; }")
    touch = page.page.context.new_cdp_session(page.page)

    def swipe(*points: tuple[float, float]) -> None:
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
            page.page.wait_for_timeout(30)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    x, y = spot(page, 1, 1)
    swipe((x + 18, y), (x, y + 10), (x - 40, y + 40), (x - 60, y + 80))
    deliver(page, drags(page)[0])
    deliver(page, drags(page)[1])
    assert live.at[-1][0] < 0.2
    assert page.page.evaluate("window.scrollY") == 0
    x, y = spot(page, -2, 1)
    swipe((x, y), (x, y - 30), (x, y - 80), (x, y - 120))
    assert len(drags(page)) == 2
    page.page.wait_for_function("window.scrollY > 0")
    assert page.errors == []
