"""A point is dragged in the picture, by mouse and finger, in Chromium."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.bench import Bench, benches, close, spot, twin, walk
from tests.explorers.front_end import say


@pytest.fixture
def bench(browser):
    yield from benches(browser)


def drags(page: Bench) -> list[dict]:
    return [sent for sent in page.page.evaluate("model.sent") if sent["type"] == "drag"]


def deliver(page: Bench, message: dict) -> None:
    """Deliver a message to the kernel, and wait for its answer."""
    say(page.live, **message)
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
