"""A bare page with one live figure, fed as a kernel would; and the figures that its tests use."""

import base64
import functools
import io
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image

import nfteach.widgets.stage
from nfteach.widgets import Explorer, LiveFigure
from nfteach.widgets.parts import Curves, Dots, Handle, Plane
from nfteach.widgets.stage.modules import joined

TRAITS = ("value", "index", "min", "max", "step")  # of controls

__all__ = ["Bench", "as_json", "benches", "centre", "cloud", "route", "seq", "spot", "walk"]

SOURCES = pathlib.Path(nfteach.widgets.stage.__file__).parent

# A model as anywidget hands it over, without a kernel: what is sent is kept, what is set tells its listeners.
PAGE = """
<!doctype html><meta charset="utf-8"><style>body { margin: 0 } </style><style>%s</style><div id="here"></div>
<script type="module">
import make from "/stage.js";
class Model {
  constructor(state) { this.state = state; this.on_ = {}; this.sent = []; this.saved = 0; }
  // Without controls the kernel computes.
  widget_manager = { get_model: (id) => (controls[id] ? Promise.resolve(controls[id]) : new Promise(() => {})) };
  get(key) { return this.state[key]; }
  set(key, value, by) {
    if (this.state[key] === value) return;
    this.state[key] = value;
    this.fire("change:" + key, this, value, by);
  }
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
window.controls = {};
window.start = (state, told) => {
  for (const key of ["_state", "_frames", "_programs"]) state[key] &&= revive(state[key]);
  for (const [id, traits] of Object.entries(told)) controls[id] = new Model(traits);
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
    """A bare page with one live figure, fed as a kernel would.

    Args:
        live: the figure. explorer: that to which it belongs, if the page is to have its controls and programs.
    """

    def __init__(self, page, live: LiveFigure, explorer: Explorer | None = None) -> None:
        self.page, self.live = page, live
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        css = (SOURCES / "stage.css").read_text()
        self.serve("http://bench/", PAGE % css, "text/html")
        self.serve(
            "http://bench/stage.js",
            joined(pathlib.Path(nfteach.widgets.stage.__file__).parent / "page" / "main.js"),
            "text/javascript",
        )
        page.route("http://bench/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto("http://bench/")
        page.wait_for_function("window.ready")
        state = live.get_state(["_state", "_frames", "_programs", "frame"])
        for key in ("_state", "_frames", "_programs"):
            state[key] = state[key] and as_json(state[key])
        told = {}
        for one in explorer.controls.values() if explorer else ():
            told[one.model_id] = {key: value for key, value in one.get_state().items() if key in TRAITS}
            told[one.layout.model_id] = {}
        page.evaluate("([state, told]) => start(state, told)", [state, told])
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
        """Wait until every canvas shows the last update."""
        self.page.wait_for_function(
            "(seq) => [...document.querySelectorAll('canvas.nfteach-canvas')].every(c => c.dataset.seq == seq)",
            arg=seq(self.live),
        )

    def freeze(self) -> None:
        """Stop the page's clock: it goes on by ``page.clock.run_for`` alone."""
        # What waits for the real clock, for words to be read aloud, would keep later words back: it goes first.
        self.page.evaluate("new Promise((done) => setTimeout(done, 260))")
        self.page.clock.install(time=0)
        self.page.clock.pause_at(60_000)

    def picture(self, index: int = 0) -> np.ndarray:
        """Return the pixels of a canvas (rows, columns, RGBA)."""
        script = "(i) => document.querySelectorAll('canvas.nfteach-canvas')[i].toDataURL()"
        data = base64.b64decode(self.page.evaluate(script, index).split(",")[1])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=float)

    def gestures(self) -> list[dict]:
        """Return the gestures that were sent to the kernel."""
        return [sent for sent in self.page.evaluate("model.sent") if sent["type"] == "gesture"]


def benches(browser) -> Iterator[Callable[..., Bench]]:
    """What makes benches, and closes them in the end: the body of a fixture."""
    contexts = []

    def make(live: LiveFigure, ratio: float = 1.0, explorer: Explorer | None = None, **options) -> Bench:
        size = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=size, device_scale_factor=ratio, **options))
        return Bench(contexts[-1].new_page(), live, explorer)

    yield make
    for context in contexts:
        context.close()


def cloud(points: object = ((0.0, 0.0),), size: float = 5.0, **readout: object) -> dict:
    """Return a picture of points in a plane."""
    picture = {"plane": Plane({"samples": Dots(torch.as_tensor(points), size=size, alpha=1.0)})}
    return {**picture, "readout": readout} if readout else picture


def route(x: float, y: float) -> dict:
    """Return a picture with a probe to drag, and a curve that follows it."""
    curve = torch.tensor([[-3.0, y], [3.0, y]])
    probe = Handle(torch.tensor([x, y]), label="p", help="drag the probe", step=0.25)
    return {"plane": Plane({"curve": Curves(curve), "probe": probe}), "readout": {"x": x}}


def walk() -> LiveFigure:
    """Return a live figure whose probe is dragged; its `at` are the places that the kernel has heard of."""
    live = LiveFigure(route(1.0, 1.0), alt="a walk")
    live.at = []

    def follow(name: str, x: float, y: float) -> None:
        live.at.append((x, y))
        live.update(route(x, y))

    live.on_gesture(follow)
    return live


def _frame(page: Bench) -> tuple[float, float, float]:
    """Return where the origin of a plane of the default ranges is on the page, and the pixels of one unit."""
    box = page.page.locator(".nfteach-pic").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, min(box["width"] / 7, box["height"] / 6.8)


def spot(page: Bench, x: float, y: float) -> tuple[float, float]:
    """Return where a point of the plane is on the page."""
    x0, y0, scale = _frame(page)
    return x0 + scale * x, y0 - scale * y


def centre(page: Bench, index: int = 0) -> tuple[float, float]:
    """Return the centre of what is painted on a canvas, in the coordinates of its plane."""
    ink = page.picture(index)[..., 3]
    rows, columns = ink.shape
    ratio = page.page.evaluate("window.devicePixelRatio")
    scale = _frame(page)[2] * ratio
    y, x = (np.average(np.arange(n) + 0.5, weights=ink.sum(axis)) for n, axis in ((rows, 1), (columns, 0)))
    return (x - columns / 2) / scale, (rows / 2 - y) / scale
