"""A bare page with one live figure, fed as a kernel would; and the figures that its tests use."""

import base64
import functools
import io
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import nfteach.widgets.live
from nfteach.widgets import LiveFigure

__all__ = ["Bench", "as_json", "benches", "blurred", "close", "cloud", "seq", "spot", "twin", "walk"]


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


def as_json(packed: dict) -> dict:
    """What was packed for the browser, with its buffers as text."""
    return {"content": packed["content"], "buffers": [_text(bytes(buffer)) for buffer in packed["buffers"]]}


def seq(live: LiveFigure) -> int:
    """Return the number of the live figure's last update."""
    return live.get_state("_state")["_state"]["content"]["seq"]


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
            state[key] = as_json(state[key])
        page.evaluate("(state) => start(state)", state)
        live.send = self.send
        self.settle()

    def serve(self, url: str, body: str, kind: str) -> None:
        self.page.route(url, lambda route: route.fulfill(body=body, content_type=kind))

    def send(self, content: dict, buffers: list[bytes]) -> None:
        packed = as_json({"content": content, "buffers": buffers})
        self.page.evaluate(
            "(packed) => { const m = revive(packed); model.fire('msg:custom', m.content, m.buffers); }", packed
        )

    def settle(self) -> None:
        self.page.wait_for_function(
            "(seq) => [...document.querySelectorAll('canvas')].every(c => c.dataset.seq == seq)",
            arg=seq(self.live),
        )

    def picture(self, index: int = 0) -> np.ndarray:
        url = self.page.evaluate("(i) => document.querySelectorAll('canvas')[i].toDataURL()", index)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), dtype=float)


def benches(browser) -> Iterator[Callable[..., Bench]]:
    """What makes benches, and closes them in the end: the body of a fixture."""
    contexts = []

    def make(live: LiveFigure, ratio: float = 1.0, **options) -> Bench:
        size = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=size, device_scale_factor=ratio, **options))
        return Bench(contexts[-1].new_page(), live)

    yield make
    for context in contexts:
        context.close()


def twin(live: LiveFigure, ratio: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(live.static_png(ratio, colors=None))).convert("RGB"), dtype=float)


def blurred(picture: np.ndarray, side: int = 4) -> np.ndarray:
    """Means over squares of pixels: edges may be smoothed differently, shapes and colours may not differ."""
    height, width = (size // side * side for size in picture.shape[:2])
    return picture[:height, :width].reshape(height // side, side, width // side, side, 3).mean(axis=(1, 3))


def close(painted: np.ndarray, drawn: np.ndarray) -> bool:
    """Whether two pictures show the same, up to smoothing."""
    return np.abs(blurred(painted) - blurred(drawn)).mean() < 2


def cloud() -> LiveFigure:
    figure = Figure(figsize=(4, 3))
    return LiveFigure(figure, {"samples": figure.add_subplot(xlim=(-3, 3), ylim=(-3, 3)).scatter([], [], s=30)})


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
