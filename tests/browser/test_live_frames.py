"""Frames are stepped, played and replaced in Chromium, without a kernel."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from nfteach.widgets import LiveFigure
from tests.browser.bench import as_json, benches, close, cloud, twin


@pytest.fixture
def bench(browser):
    yield from benches(browser)


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
    state = as_json(live.get_state("_state")["_state"])
    page.page.evaluate("(state) => model.set('_state', revive(state))", state)
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert close(page.picture(), twin(live, 2.0))
    # A front end that is ahead of the kernel keeps its own frame.
    page.page.evaluate("(state) => { model.set('frame', 1); model.set('_state', revive(state)); }", state)
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    live.frame = 1
    assert close(page.picture(), twin(live, 2.0))
