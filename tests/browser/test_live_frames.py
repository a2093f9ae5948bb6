"""Frames are stepped, played and replaced in Chromium, without a kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nfteach.widgets import LiveFigure
from nfteach.widgets.parts import Chart, Curves, Strip
from tests.browser.bench import Bench, as_json, benches, centre, cloud


@pytest.fixture
def bench(browser):
    yield from benches(browser)


def steps(number: int = 5, y: float = 0.0) -> list[dict]:
    """Return frames in which a point goes to the right, from -2 by 1 in each."""
    return [cloud([[k - 2.0, y]], k=k) for k in range(number)]


def label(page: Bench) -> str:
    return page.page.locator(".nfteach-frame-label").inner_text()


def test_frames_are_stepped_and_played_without_a_kernel(bench):
    live = LiveFigure(frames=steps(), step="layer")
    page = bench(live)
    slider = page.page.get_by_role("slider", name="layer")
    page.page.evaluate("window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key));")
    sent = page.page.evaluate("model.sent.length")

    def shows(k: int) -> bool:
        page.page.wait_for_function("(k) => document.querySelector('.nfteach-readout dd').textContent == k", arg=str(k))
        page.page.wait_for_timeout(550)  # it has come to rest
        assert label(page) == f"layer {k} of 4"
        return centre(page) == pytest.approx((k - 2, 0), abs=0.03)

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
    page.page.get_by_role("button", name="pause").wait_for()
    page.page.get_by_role("button", name="play", exact=True).wait_for()  # it stops; the button is there to play again
    assert page.page.evaluate("played") == [1, 2, 3, 4], "it plays from the first frame to the last, once"
    assert shows(4)
    assert page.page.evaluate("heard") == [], "the notebook does not see the arrow keys"
    assert page.page.evaluate("model.sent.length") == sent, "no message to the kernel took part"
    assert page.errors == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_points_move_from_frame_to_frame_but_not_where_less_motion_is_wanted(bench, motion):
    page = bench(LiveFigure(frames=steps()), reduced_motion=motion)
    page.freeze()
    page.page.get_by_role("button", name="next").click()
    page.page.clock.run_for(180)
    x, _ = centre(page)
    assert (-1.9 < x < -1.1) if motion == "no-preference" else (x == pytest.approx(-1, abs=0.03))
    page.page.clock.run_for(600)
    assert centre(page) == pytest.approx((-1, 0), abs=0.03)
    assert page.errors == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_frames_are_played_by_themselves_once_if_that_is_wanted_and_motion_is(bench, motion):
    page = bench(LiveFigure(frames=steps(3), autoplay=True), reduced_motion=motion)
    if motion == "reduce":
        page.page.wait_for_timeout(1500)
        assert label(page) == "step 0 of 2"
    else:
        page.page.wait_for_function("document.querySelector('.nfteach-frame-label').textContent === 'step 2 of 2'")
    assert page.errors == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_preset_travels_but_not_where_less_motion_is_wanted(bench, motion):
    live = LiveFigure(cloud([[-2.0, 0.0]]))
    page = bench(live, reduced_motion=motion)
    page.freeze()
    live.update(cloud([[2.0, 0.0]]), travel=450)
    page.page.clock.run_for(60)
    x, _ = centre(page)
    assert (-1.9 < x < 1.9) if motion == "no-preference" else (x == pytest.approx(2, abs=0.03))
    page.page.clock.run_for(600)
    assert centre(page) == pytest.approx((2, 0), abs=0.03)
    assert page.errors == []


def test_the_frame_of_a_plane_travels_with_what_is_in_it(bench):
    near = cloud([[2.0, 0.0]])
    live = LiveFigure(near)
    page = bench(live)
    page.freeze()
    live.update({"plane": replace(near["plane"], x=(-7.0, 7.0), y=(-6.8, 6.8))}, travel=450)
    page.page.clock.run_for(60)
    assert 1.05 < centre(page)[0] < 1.95, "between its old place on the screen and half as far out"
    page.page.clock.run_for(600)
    assert centre(page) == pytest.approx((1, 0), abs=0.03)
    assert page.errors == []


def test_in_a_step_nothing_beside_the_label_moves(bench):
    page = bench(LiveFigure(frames=steps(12)))
    bar = page.page.locator(".nfteach-frames")

    def boxes(k: int) -> list[dict]:
        page.page.evaluate("(k) => { model.set('frame', k); return new Promise(requestAnimationFrame); }", k)
        page.page.evaluate("() => new Promise(requestAnimationFrame)")
        return [part.bounding_box() for part in (*bar.locator("*").all(), page.page.locator("canvas").first)]

    for width in ("", "420px", "300px"):
        page.page.evaluate("(width) => { here.style.width = width; }", width)
        first = boxes(0)
        assert boxes(11) == first
        right = bar.bounding_box()["x"] + bar.bounding_box()["width"] + 1
        assert all(box["x"] + box["width"] <= right for box in first if box)  # the label is hidden where it is narrow
    assert page.errors == []


def test_new_frames_replace_the_old_ones_and_the_step_stays(bench):
    live = LiveFigure(frames=steps(3))
    page = bench(live)
    page.page.evaluate("model.set('frame', 1)")
    live.frame = 1
    live.set_frames(steps(3, y=1.0))
    page.settle()
    for k in (1, 2, 0):
        page.page.evaluate("(k) => model.set('frame', k)", k)
        page.page.wait_for_timeout(600)  # it glides there in 450 ms
        assert centre(page) == pytest.approx((k - 2, 1), abs=0.03)
    assert page.errors == []


def test_one_picture_after_frames_stays_when_the_state_is_kept(bench):
    live = LiveFigure(frames=steps(2))
    page = bench(live)
    live.update(cloud([[1.0, 1.0]]))
    page.settle()
    state = as_json(live.get_state("_state")["_state"])
    page.page.evaluate("(state) => model.set('_state', revive(state))", state)
    page.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert centre(page) == pytest.approx((1, 1), abs=0.03)
    assert page.page.locator(".nfteach-frames").is_hidden()
    assert page.errors == []


def test_a_state_that_arrives_while_it_moves_does_not_stop_it(bench):
    live = LiveFigure(frames=steps())
    page = bench(live)
    page.freeze()
    page.page.get_by_role("button", name="next").click()
    page.page.clock.run_for(150)
    before, _ = centre(page)
    page.page.evaluate("(state) => model.set('_state', revive(state))", as_json(live.get_state("_state")["_state"]))
    page.page.clock.run_for(40)
    x, _ = centre(page)
    assert before < x < -1.03, "it is still on its way"
    page.page.clock.run_for(600)
    assert centre(page) == pytest.approx((-1, 0), abs=0.03)
    assert page.errors == []


def test_a_bar_of_a_strip_is_clicked_and_dragged_along(bench):
    bars = torch.tensor([0.5, -0.25, 0.75, -1.0])
    frames = [
        {"chart": Chart({"curve": Curves(torch.tensor([[0.0, k], [1.0, k]]))}, (0, 1), (0, 4)), "steps": Strip(bars)}
        for k in range(5)
    ]
    page = bench(LiveFigure(frames=frames))
    box = page.page.locator(".nfteach-strip svg").bounding_box()
    each, middle = (box["width"] - 16) / 4, box["y"] + 30
    page.page.mouse.click(box["x"] + 8 + 2.5 * each, middle)
    page.page.wait_for_function("() => model.get('frame') === 3")
    page.page.mouse.move(box["x"] + 8 + 3 * each, middle)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 8 + 1.4 * each, middle, steps=4)
    assert label(page) == "step 1 of 4"
    page.page.mouse.up()
    page.page.wait_for_function("() => model.get('frame') === 1")
    assert page.errors == []
