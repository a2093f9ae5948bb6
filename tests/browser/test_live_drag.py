"""Things are dragged, painted and clicked in the picture, by mouse, finger and key, in Chromium."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfteach.widgets import LiveFigure
from nfteach.widgets.parts import Pixels
from tests.browser.bench import Bench, benches, centre, route, spot, walk
from tests.explorers.front_end import say


@pytest.fixture
def bench(browser):
    yield from benches(browser)


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
    (first,) = page.gestures()
    deliver(page, first)
    assert len(page.gestures()) == 2, "of all positions that came meanwhile, one is sent: the newest"
    mouse.move(*spot(page, -2, 1.5))
    mouse.up()
    deliver(page, page.gestures()[1])
    deliver(page, page.gestures()[2])
    assert [sent["number"] for sent in page.gestures()] == [1, 2, 3]
    # To the pixel: a mouse has whole ones.
    assert live.at[1:] == [pytest.approx((-5 / 6, 23 / 12), abs=0.02), pytest.approx((-2, 1.5), abs=0.02)]
    mouse.move(*spot(page, 0, 0))
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert len(page.gestures()) == 3, "let go is let go"
    assert page.page.locator(".nfteach-readout dd").inner_text() == f"{live.at[-1][0]:.2f}".replace("-", "−")
    assert centre(page)[1] == pytest.approx(1.5, abs=0.03), "the curve has followed"
    assert page.errors == []


def test_a_handle_is_seen_at_rest_and_shows_that_it_can_be_dragged(bench):
    live = walk()
    page = bench(live)
    handle = page.page.locator(".nfteach-handle")
    ring = handle.locator("circle.nfteach-shape")
    style = "(one, name) => getComputedStyle(one)[name]"
    page.page.mouse.move(1000, 800)
    assert ring.is_visible()
    box = ring.bounding_box()
    x, y = spot(page, 1, 1)
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx((x, y), abs=0.6)
    assert handle.evaluate(style, "cursor") == "grab"
    assert handle.locator("title").text_content() == "drag the probe"
    page.page.mouse.move(x + 18, y)  # a hand is not exact
    page.page.wait_for_function("() => document.querySelector('.nfteach-handle').matches(':hover')")
    page.page.mouse.down()
    page.page.mouse.up()
    assert page.gestures() == [], "a click does not move it"
    page.page.mouse.move(x + 40, y)
    page.page.mouse.down()
    page.page.mouse.move(x, y)
    page.page.mouse.up()
    assert page.gestures() == [], "beside the handle there is nothing to drag"
    picture = route(1.0, 1.0)
    del picture["plane"].marks["probe"]
    live.update(picture)
    page.settle()
    assert handle.count() == 0
    assert page.errors == []


def test_grabbed_at_its_edge_the_handle_does_not_jump_and_at_the_frames_edge_it_stays(bench):
    live = walk()
    page = bench(live)
    x, y = spot(page, 1, 1)
    page.page.mouse.move(x + 10, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 20, y)
    deliver(page, page.gestures()[0])
    scale = spot(page, 1, 0)[0] - spot(page, 0, 0)[0]
    assert live.at == [pytest.approx((1 + 10 / scale, 1), abs=0.02)]
    page.page.mouse.move(1200, -40)
    deliver(page, page.gestures()[1])
    box = page.page.locator(".nfteach-pic").bounding_box()
    assert live.at[1] == pytest.approx((box["width"] / 2 / scale, box["height"] / 2 / scale), abs=0.02)
    page.page.mouse.up()
    # Outside of the frame, it is shown at the edge, where it can be fetched.
    live.update(route(9.0, 0.0))
    page.settle()
    ring = page.page.locator("circle.nfteach-shape").bounding_box()
    assert box["x"] < ring["x"]
    assert ring["x"] + ring["width"] < box["x"] + box["width"]
    assert page.errors == []


def test_arrow_keys_move_a_handle_and_the_notebook_does_not_get_them(bench):
    live = walk()
    page = bench(live)
    page.page.evaluate("() => { window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key)); }")
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-label')") == "p: drag the probe"
    page.page.evaluate("() => { heard.length = 0; }")
    for number, (key, to) in enumerate(
        [("ArrowRight", (1.25, 1)), ("ArrowDown", (1.25, 0.75)), ("Shift+ArrowLeft", (0, 0.75)), ("ArrowUp", (0, 1))]
    ):
        page.page.keyboard.press(key)
        deliver(page, page.gestures()[number])
        assert live.at[-1] == pytest.approx(to)
    assert page.page.evaluate("heard") == []
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
    assert len(page.gestures()) == 1
    assert np.array_equal(page.picture(), before)
    handle = page.page.locator(".nfteach-handle")
    assert "nfteach-dead" in handle.get_attribute("class")
    deliver(page, page.gestures()[0])  # it was only busy
    page.page.clock.run_for(100)
    assert "nfteach-dead" not in handle.get_attribute("class")
    mouse.move(*spot(page, *live.at[-1]))
    mouse.down()
    mouse.move(*spot(page, 2, 2))
    mouse.up()
    assert len(page.gestures()) == 2
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
    for number in range(2):
        deliver(page, page.gestures()[number])
    assert live.at[-1][0] < 0.2
    assert page.page.evaluate("window.scrollY") == 0
    x, y = spot(page, -2, 1)
    swipe((x, y), (x, y - 30), (x, y - 80), (x, y - 120))
    assert len(page.gestures()) == 2
    page.page.wait_for_function("window.scrollY > 0")
    assert page.errors == []


@pytest.mark.parametrize("gesture", ["paint", "pick", "choose"])
def test_pixels_are_painted_picked_or_chosen_by_mouse_and_by_key(bench, gesture):
    ink = torch.zeros(2, 4, 4)
    ink[0, 0, 3] = 1.0
    images = Pixels(ink, per_row=2, gesture=gesture, help="try it", width=416)
    live = LiveFigure({"image": images})
    page = bench(live)
    canvas = page.page.get_by_role("application")
    box = canvas.bounding_box()
    cell = (box["width"] - 16) / 8

    def at(tile: int, row: int, column: int) -> tuple[float, float]:
        return box["x"] + tile * (4 * cell + 16) + (column + 0.5) * cell, box["y"] + (row + 0.5) * cell

    mouse = page.page.mouse
    mouse.move(*at(1, 2, 0))
    mouse.down()
    for column in (1, 2, 3):
        mouse.move(*at(1, 2, column))
    mouse.up()
    by_mouse = page.gestures()
    assert {sent["name"] for sent in by_mouse} == {"image"}
    if gesture == "paint":
        deliver(page, by_mouse[0])
        strokes = [value for sent in page.gestures() for value in sent["values"]]
        expected = [value for column in range(4) for value in (1, 2, column, 1)]
        assert strokes == expected, "every pixel that the brush has passed, none twice"
        deliver(page, page.gestures()[-1])
    else:
        assert [sent["values"] for sent in by_mouse] == [[1, 2, 0] if gesture == "pick" else [1]]
        deliver(page, by_mouse[0])
    count = len(page.gestures())
    canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Space") if gesture != "choose" else ("ArrowRight", "Space"):
        page.page.keyboard.press(key)
    (by_key,) = page.gestures()[count:]
    wanted = {"paint": [0, 0, 3, 0], "pick": [0, 0, 3], "choose": [1]}
    assert by_key["values"] == wanted[gesture], "ink is taken away where there is some"
    assert page.errors == []
