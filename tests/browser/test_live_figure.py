"""What the page paints in Chromium is what matplotlib prints: the front end alone, on a bare page."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from nfteach.widgets import LiveFigure
from nfteach.widgets.parts import Curves, Density, Dots, Handle, Matrix, Number, Plane
from tests.browser.bench import Bench, as_json, benches, centre, cloud, route, seq, walk
from tests.explorers.cells import GALLERY
from tests.explorers.entry import from_cell, given
from tests.explorers.kinds import MARKS, PARTS


@pytest.fixture
def bench(browser):
    yield from benches(browser)


def on_white(image: Image.Image) -> np.ndarray:
    """Return how dark each pixel is (rows, columns, RGB), 0 to 255, where the page is white."""
    white = Image.new("RGBA", image.size, "white")
    return 255 - np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"), dtype=float)


def coarse(dark: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Return the mean darkness in each cell of a grid (rows, columns, RGB)."""
    columns, rows = cells
    resized = Image.fromarray(dark.clip(0, 255).astype(np.uint8)).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(resized, dtype=float)


def painted_and_printed(page: Bench) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each part that is shown, the browser's picture and matplotlib's, on one coarse grid."""
    live = page.live
    names = list(live.parts)
    # In the page, what stands in the column of numbers comes last.
    in_page = sorted(names, key=lambda name: live.parts[name].place == "side")
    figure = live.printed()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=96, transparent=True)
    whole = on_white(Image.open(stream))
    height, width = whole.shape[:2]
    inner = page.page.locator(".nfteach-part").all()
    found = {}
    for name, ax in zip(names, figure.axes, strict=False):
        part = inner[in_page.index(name)].locator(":scope > .nfteach-pic, :scope > svg, :scope canvas").first
        shot = on_white(Image.open(io.BytesIO(part.screenshot())))
        box = ax.get_position()
        top, bottom = round((1 - box.y1) * height), round((1 - box.y0) * height)
        crop = whole[top:bottom, round(box.x0 * width) : round(box.x1 * width)]
        cells = max(4, round(crop.shape[1] / 10)), max(4, round(crop.shape[0] / 10))
        found[name] = coarse(shot, cells), coarse(crop, cells)
    return found


def alike(painted: np.ndarray, printed: np.ndarray) -> float:
    """Return the correlation of two pictures, each blurred by one cell: 1 for the same, 0 for unrelated ones."""
    one, other = (
        sum(np.roll(dark, shift, axis=(0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))).mean(axis=2)
        for dark in (painted, printed)
    )
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_every_mark_is_painted_where_matplotlib_prints_it(bench, ratio):
    plane = dataclasses.replace(PARTS["Plane"], width=270, height=240, ticks=())
    planes = {kind: dataclasses.replace(plane, marks={f"the {kind}": mark}) for kind, mark in MARKS.items()}
    page = bench(LiveFigure(planes, main=900), ratio)
    pictures = painted_and_printed(page)
    for kind, (painted, printed) in pictures.items():
        assert alike(painted, printed) > 0.8, kind
        others = [alike(painted, one) for other, (_, one) in pictures.items() if other != kind]
        assert alike(painted, printed) > max(others), f"{kind} is more like itself than like any other"
    assert page.errors == []


@pytest.mark.parametrize("name", [name for name in GALLERY if name not in ("LiveFigure", "Prediction")])
def test_an_explorer_is_painted_as_it_is_printed(bench, name):
    explorer = from_cell(name, given(name))
    page = bench(explorer.live, reduced_motion="reduce")
    frames = len(explorer.live.frames)
    if frames:  # the last has the most to show
        explorer.live.frame = frames - 1
        page.page.evaluate("(k) => model.set('frame', k)", frames - 1)
        page.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    for part, (painted, printed) in painted_and_printed(page).items():
        if painted.std() > 2 or printed.std() > 2:
            assert alike(painted, printed) > 0.6, part
    assert page.errors == []
    explorer.close()


def test_of_many_updates_at_once_the_newest_is_painted(bench):
    live = LiveFigure(cloud())
    page = bench(live, 2.0)
    paintings = "window.paintings = 0; const clear = new MutationObserver(() => paintings++);"
    page.page.evaluate(
        paintings + "clear.observe(document.querySelector('canvas'), { attributeFilter: ['data-seq'] });"
    )
    messages = []
    live.send = lambda content, buffers: messages.append(as_json({"content": content, "buffers": buffers}))
    for k in range(50):
        live.update(cloud([[k / 49, 2 * k / 49]]))
    send = "(all) => all.map(revive).forEach(m => model.fire('msg:custom', m.content, m.buffers))"
    page.page.evaluate(send, messages)
    page.settle()
    assert page.page.evaluate("paintings") <= 3, "messages that came between two frames are painted once"
    assert centre(page) == pytest.approx((1, 2), abs=0.02)
    assert page.errors == []


def test_the_readout_and_the_error_line(bench):
    live = LiveFigure(cloud())
    page = bench(live)
    numbers = {"det J": -1.25, "log|det J|": Number(0.2231, unit="nats", note="it shrinks"), "preimages": 3}
    live.update(cloud(**numbers, rest=Number(7, more=True)))
    page.settle()
    table = page.page.locator(".nfteach-side > .nfteach-readout")
    assert table.locator("dt").all_inner_texts() == ["det J", "log|det J|", "preimages"]
    assert table.locator("dd").all_inner_texts() == ["−1.25", "0.22 nats", "3"]
    assert page.page.get_by_text("it shrinks").is_visible()
    rest = page.page.locator(".nfteach-rest dd")
    assert rest.is_hidden()
    page.page.get_by_text("more numbers").click()
    assert rest.inner_text() == "7"
    error = page.page.locator(".nfteach-error")
    assert error.is_hidden()
    live.show_error("w.u must be above -1; <b>turn</b> u")
    page.settle()
    assert page.page.get_by_role("alert").inner_text() == "w.u must be above -1; <b>turn</b> u", "words, never markup"
    pale = "(part) => Number(getComputedStyle(part).opacity)"
    assert page.page.locator(".nfteach-main").evaluate(pale) < 0.6
    live.update(cloud([[1, 1]]))
    page.settle()
    assert error.is_hidden()
    assert page.page.locator(".nfteach-main").evaluate(pale) == 1
    assert page.errors == []


def test_a_second_view_paints_the_present_picture_at_once_and_views_clean_up(bench):
    live = LiveFigure(cloud())
    page = bench(live)
    live.update(cloud(torch.randn(200, 2), size=2.0, n=200))
    page.settle()
    page.page.evaluate("() => { window.close_second = show(); }")
    page.settle()
    assert np.array_equal(page.picture(0), page.picture(2))
    page.page.evaluate("close_second()")
    assert page.page.locator("canvas").count() == 2, "the two of one plane"
    live.update(cloud())
    page.settle()
    page.page.evaluate("() => { close_view(); close_model(); }")
    assert page.page.locator(".nfteach-live").count() == 0
    assert page.page.evaluate("Object.values(model.on_).flat().length") == 0, "no listener is left behind"
    assert page.errors == []


def test_a_front_end_asks_for_what_it_has_missed_and_takes_it(bench):
    live = LiveFigure(cloud())
    page = bench(live)
    assert page.page.evaluate("model.sent")[0] == {"type": "state", "seq": seq(live)}
    live.send = lambda content, buffers: None  # an update that never arrives
    live.update(cloud([[1.5, -1.0]]))
    state = as_json(live.get_state("_state")["_state"])
    page.page.evaluate("(state) => model.set('_state', revive(state))", state)
    page.settle()
    assert centre(page) == pytest.approx((1.5, -1), abs=0.02)
    assert page.errors == []


def test_the_picture_shrinks_with_its_cell_and_stays_sharp(bench):
    live = LiveFigure(cloud([[1.0, -1.0]]))
    page = bench(live, 2.0)
    canvas = page.page.locator("canvas").first
    assert canvas.bounding_box()["width"] == pytest.approx(560)
    page.page.evaluate("() => { here.style.width = '250px'; }")
    page.page.wait_for_function("document.querySelector('canvas').width == 500")
    assert canvas.bounding_box()["width"] == pytest.approx(250)
    assert centre(page) == pytest.approx((1, -1), abs=0.04)
    live.update(cloud([[-1.0, 2.0]]))
    page.settle()
    assert centre(page) == pytest.approx((-1, 2), abs=0.04)
    assert page.errors == []


def test_the_picture_has_words_that_change_for_those_who_cannot_see_it(bench):
    live = walk()
    page = bench(live)
    assert page.page.get_by_role("figure", name="a walk: x 1.00.").count() == 1
    handle = page.page.get_by_role("slider", name="p: drag the probe")
    assert handle.get_attribute("aria-valuetext") == "1.00, 1.00"
    live.update(route(-2.0, 0.5))
    page.settle()
    expect(page.page.get_by_role("figure", name="a walk: x −2.00.")).to_have_count(1)
    expect(handle).to_have_attribute("aria-valuetext", "−2.00, 0.50")


def test_while_the_picture_moves_its_words_change_a_few_times_a_second(bench):
    live = walk()
    page = bench(live)
    page.freeze()
    count = "window.said = 0; new MutationObserver((all) => { said += all.length; })"
    page.page.evaluate(
        count + ".observe(document.querySelector('.nfteach-live'), { attributeFilter: ['aria-label'] });"
    )
    for k in range(20):
        live.update(route(0.1 * k, 0.0))
        page.page.clock.run_for(50)
    page.page.clock.run_for(300)
    assert 3 <= page.page.evaluate("said") <= 5, "within a second"
    assert page.page.get_by_role("figure", name="a walk: x 1.90.").count() == 1


def several(x: float, y: float, size: float = 1.0) -> dict:
    """Return a picture of a density and a curve that rest, of points of this spread, and of a handle."""
    ridge = torch.linspace(0, 0.1, 50).outer(torch.linspace(0, 1, 60))
    marks = {
        "density": Density(ridge, (-3.0, 3.0, -3.0, 3.0)),
        "curve": Curves(torch.tensor([[-3.0, -1.0], [3.0, 2.0]]), width=2.0),
        "samples": Dots(size * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))),
        "probe": Handle(torch.tensor([x, y]), label="p"),
    }
    return {"plane": Plane(marks), "J": Matrix(torch.eye(2)), "readout": {"x": x}}


def test_only_canvases_on_which_something_moves_are_painted(bench):
    live = LiveFigure(several(0.0, 0.0))
    page = bench(live)
    watch = """() => {
      window.cleared = new Set();
      const context = CanvasRenderingContext2D.prototype;
      const clear = context.clearRect;
      context.clearRect = function (...all) { cleared.add(this.canvas); clear.apply(this, all); };
    }"""
    page.page.evaluate(watch)
    painted = "[...document.querySelectorAll('canvas')].map((one) => cleared.has(one))"
    live.update(several(1.0, 0.0))
    page.settle()
    assert page.page.evaluate(painted) == [False, True, False], "what stands behind, what stands in front, the matrix"
    live.update(several(1.0, 0.0, 0.5))
    page.settle()
    assert page.page.evaluate(painted) == [True, True, False]


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_marks_that_rest_are_painted_as_if_for_the_first_time(bench, ratio):
    live = LiveFigure(several(0.0, 0.0))
    page = bench(live, ratio)
    for k in range(4):
        live.update(several(1.0, k, 1.0 + 0.1 * k))
    page.settle()
    page.page.evaluate("() => { show(); }")
    page.settle()
    for canvas in range(3):
        assert np.array_equal(page.picture(canvas), page.picture(canvas + 3))
    assert page.errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_light_and_a_dark_theme_everything_can_be_read(bench, theme):
    live = LiveFigure(frames=[route(k, k) for k in (0.0, 1.0, 2.0)], help="drag [p](z)", alt="a walk")
    page = bench(live, 2.0)
    # JupyterLab's own values for its two themes.
    back, front, raised = {
        "light": ("#ffffff", "rgba(0, 0, 0, 0.87)", "#eeeeee"),
        "dark": ("#111111", "rgba(255, 255, 255, 0.87)", "#424242"),
    }[theme]
    variables = {
        "ui-font-color1": front, "content-font-color1": front, "layout-color0": back, "layout-color2": raised,
    }  # fmt: skip
    page.page.evaluate(
        "([light, back, all]) => { for (const [key, value] of Object.entries(all))"
        " document.documentElement.style.setProperty('--jp-' + key, value);"
        " document.body.style.background = back; document.body.dataset.jpThemeLight = light;"
        " document.body.dataset.jpThemeName = 'one or the other'; }",
        [str(theme == "light").lower(), back, variables],
    )
    live.show_error("the map folds here")
    page.settle()
    assert page.page.locator(".nfteach-error").evaluate(CONTRAST, "color") >= 4.5
    live.set_frames([route(k, k) for k in (0.5, 1.0)])
    page.settle()
    words = ("readout dt", "readout dd", "frame-label", "play", "help", "help i")
    for part in words:
        assert page.page.locator(f".nfteach-{part}").first.evaluate(CONTRAST, "color") >= 4.5, part
    for part in (".nfteach-word", ".nfteach-tick"):
        assert page.page.locator(part).first.evaluate(CONTRAST, "fill") >= 4.5, part
    assert page.page.locator(".nfteach-handle").evaluate(CONTRAST, "color") >= 3, "of what is no text"
    # The picture has no ground of its own, and its lines stand out from the page's.
    clear = "(canvas) => getComputedStyle(canvas).backgroundColor"
    assert page.page.locator("canvas").first.evaluate(clear) == "rgba(0, 0, 0, 0)"
    painted = page.picture()
    line = painted[painted[..., 3] > 200][:, :3].mean()
    assert (line < 100) if theme == "light" else (line > 150)
    assert page.errors == []


# WCAG's contrast of a colour with the nearest ground that is painted behind it.
CONTRAST = """(node, which) => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], ground) => [r, g, b].map((c, i) => c * a + ground[i] * (1 - a));
  const grounds = [];
  for (let one = node; one; one = one.parentElement) grounds.unshift(parse(getComputedStyle(one).backgroundColor));
  const ground = grounds.reduce((under, color) => over(color, under), [255, 255, 255]);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [one, other] = [light(over(parse(getComputedStyle(node)[which]), ground)), light(ground)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
