"""What live.js paints in Chromium is what matplotlib draws: the front end alone, on a bare page."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from nfteach.widgets import HeatMap, LiveFigure
from tests.browser.bench import as_json, benches, blurred, close, cloud, seq, spot, twin, walk


@pytest.fixture
def bench(browser):
    yield from benches(browser)


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


def further_kinds() -> tuple[LiveFigure, dict]:
    """The same artists in other clothes: colours in place of numbers, other axes, other edges; and a handle."""
    rng = np.random.default_rng(4)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for ax, title in zip(axes, ("colours", "log axes", "strokes", "areas", "words", "labels"), strict=True):
        ax.set(xlim=(-3, 3), ylim=(-3, 3), title=title)
    axes[1].set(xscale="log", yscale="log", xlim=(1, 1000), ylim=(1000, 1))
    x = np.linspace(-3, 3, 40)
    dashed = LineCollection([], colors="#009E73", linewidths=2, linestyles="--")
    axes[2].add_collection(dashed)
    style = {"linewidths": 1.5, "edgecolors": "#222222"}
    moving = {
        "colours": axes[0].imshow(np.zeros((2, 2, 3)), extent=(-3, 0, -3, 3), interpolation="nearest", aspect="auto"),
        "veil": axes[0].imshow(
            np.zeros((2, 2)), extent=(0, 3, 3, -3), vmin=-1, vmax=1, cmap="PuOr", alpha=0.5, aspect="auto"
        ),
        "sizes": axes[1].scatter(*np.ones((2, 6)), s=[20, 90, 200, 20, 90, 200], c="#0072B2", alpha=0.7, **style),
        "path": axes[1].plot([], [], "o-", color="#D55E00", markersize=7, markerfacecolor="white")[0],
        "dashed": dashed,
        "dotted": axes[2].plot([], [], ":", color="#CC79A7", linewidth=3)[0],
        "vectors": axes[2].quiver(
            [-2, 0, 2], [-2, -2, -2], [1, 1, 1], [1, 1, 1], angles="xy", scale_units="xy", scale=2, color="#0072B2"
        ),
        "probe": axes[2].scatter([], [], s=90, color="#E69F00", zorder=5, **style),
        "rows": axes[3].barh([1, 2], [1, 1], color=["#0072B2", "#D55E00"], edgecolor="#222222"),
        "between": axes[3].fill_between(x, x - 9, x - 8, color="#E69F00", alpha=0.5),
        "lines": axes[4].text(-2.8, 2.8, "", va="top", fontsize=13, color="#0072B2"),
        "turned": axes[4].text(2, 0, "", rotation=90, ha="center", va="center", weight="bold"),
        "right": axes[4].text(2.8, -2.8, "", ha="right", va="bottom", style="italic", alpha=0.6),
        "labelled": HeatMap(axes[5], np.zeros((2, 3)), cmap="viridis", limits=(0, 1), fontsize=12),
    }  # fmt: skip
    logs = 10 ** rng.uniform(0.3, 2.7, size=(6, 2))
    values = {
        "colours": rng.uniform(size=(5, 4, 3)),
        "veil": np.linspace(-1, 1, 400).reshape(20, 20),
        "sizes": logs,
        "path": [[2, 2], [20, 200], [500, 20]],
        "dashed": {"segments": [np.stack([x, 2 + np.cos(x + k)], axis=1) for k in range(3)], "color": "#0072B2"},
        "dotted": np.stack([x, 0.5 * x], axis=1),
        "vectors": [[1, 2], [-2, 3], [1, -1]],
        "probe": [[-1.5, 0.5]],
        "rows": {"lengths": [2.5, -2], "color": ["#009E73", "#CC79A7"]},
        "between": np.concatenate([np.stack([x, x - 1], 1), np.stack([x, np.sin(x) - 2], 1)[::-1]]),
        "lines": "the first line\nand a second,\nand a third",
        "turned": {"text": "upright", "position": (1, 0.5), "color": "#D55E00"},
        "right": "at the bottom",
        "labelled": {"values": rng.uniform(size=(2, 3)), "labels": ["a", "b", "c", "d", "e", "f"]},
    }
    return LiveFigure(figure, moving, handles={"probe": "drag the probe"}, alt="others of each"), values


@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("make", [every_kind, further_kinds])
def test_every_kind_is_painted_as_matplotlib_draws_it(bench, make, ratio):
    side = 4 if ratio < 3 else 8  # of what stands still there are two pixels for each of the figure's, never more
    live, values = make()
    page = bench(live, ratio)
    before = page.picture()
    live.update(**values)
    page.settle()
    painted, drawn = page.picture(), twin(live, ratio)
    assert painted.shape == drawn.shape
    difference = np.abs(blurred(painted, side) - blurred(drawn, side)).max(axis=2)
    for ax in live.figure.axes:
        box = ax.get_window_extent().extents * ratio / side
        rows, columns = (
            slice(int(len(difference) - box[3]), int(len(difference) - box[1])),
            slice(int(box[0]), int(box[2])),
        )
        panel, moved = (
            difference[rows, columns],
            np.abs(blurred(painted, side) - blurred(before, side)).max(axis=2)[rows, columns],
        )
        # Of 255. Letters are hinted differently, edges smoothed differently; a missing line or a wrong colour is more.
        assert panel.mean() < 6, ax.get_title()
        assert (panel > 60).mean() < 0.03, ax.get_title()
        # Thin letters, each placed a part of a pixel elsewhere, differ more than what has an area.
        clear = 2 if ax.get_title() == "words" else 3.5
        assert moved.mean() > clear * panel.mean(), f"{ax.get_title()}: what moved is not what matplotlib moved"
        # Nothing is lighter or darker on the whole.
        assert abs((painted - drawn).mean()) < 1, ax.get_title()
    assert page.errors == []


def test_of_many_updates_at_once_the_newest_is_painted(bench):
    live = cloud()
    page = bench(live, 2.0)
    paintings = "window.paintings = 0; const clear = new MutationObserver(() => paintings++);"
    page.page.evaluate(
        paintings + "clear.observe(document.querySelector('canvas'), { attributeFilter: ['data-seq'] });"
    )
    messages = []
    live.send = lambda content, buffers: messages.append(as_json({"content": content, "buffers": buffers}))
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
    assert page.page.evaluate("model.sent")[0] == {"type": "state", "seq": seq(live)}
    live.send = lambda content, buffers: None  # an update that never arrives
    live.update(samples=np.random.default_rng(3).normal(size=(150, 2)))
    state = as_json(live.get_state("_state")["_state"])
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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_light_and_a_dark_theme_everything_can_be_read(bench, theme):
    live = walk()
    live.set_frames([{"probe": [[k, k]], "label": "a"} for k in range(3)])
    page = bench(live, 2.0)
    # JupyterLab's own values for its two themes.
    back, front, second, raised = {
        "light": ("#ffffff", "rgba(0, 0, 0, 0.87)", "rgba(0, 0, 0, 0.54)", "#eeeeee"),
        "dark": ("#111111", "rgba(255, 255, 255, 0.87)", "rgba(255, 255, 255, 0.7)", "#424242"),
    }[theme]
    variables = {"ui-font-color1": front, "ui-font-color2": second, "layout-color1": back, "layout-color2": raised}
    page.page.evaluate(
        "([back, all]) => { document.body.style.background = back; for (const [key, value] of Object.entries(all))"
        " document.documentElement.style.setProperty('--jp-' + key, value); }",
        [back, variables],
    )
    live.show_error("the map folds here")
    page.settle()
    for part in (
        ".nfteach-readout dt",
        ".nfteach-readout dd",
        ".nfteach-frame-label",
        ".nfteach-play",
        ".nfteach-error",
    ):
        assert page.page.locator(part).first.evaluate(CONTRAST) >= 4.5, part
    live.update()
    page.settle()
    # What matplotlib drew keeps its own white ground, and with it its contrast.
    assert close(page.picture(), twin(live, 2.0))
    assert page.page.locator("canvas").evaluate("(c) => getComputedStyle(c).backgroundColor") == "rgb(255, 255, 255)"
    x, y = spot(page, 0, 0)
    page.page.mouse.move(x, y)
    page.page.wait_for_timeout(250)
    assert page.page.locator(".nfteach-handle").evaluate("(ring) => getComputedStyle(ring).opacity") == "1"
    assert page.errors == []


# WCAG's contrast of a text with the nearest ground that is painted behind it.
CONTRAST = """(node) => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], ground) => [r, g, b].map((c, i) => c * a + ground[i] * (1 - a));
  const grounds = [];
  for (let one = node; one; one = one.parentElement) grounds.unshift(parse(getComputedStyle(one).backgroundColor));
  const ground = grounds.reduce((under, color) => over(color, under), [255, 255, 255]);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [one, other] = [light(over(parse(getComputedStyle(node).color), ground)), light(ground)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
