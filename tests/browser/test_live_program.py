"""Explorers whose programs lie in a bare page, without a kernel: all that a learner does is answered as in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nfteach.flows import NADE
from nfteach.widgets import Explorer, MaskExplorer, NADEStepper
from nfteach.widgets.controls import kind_of, options_of
from tests.browser.bench import Bench, benches
from tests.explorers.front_end import state_of

IMAGES = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]])
AWAY = 1270, 890
ROWS = """() => [...document.querySelectorAll('.nfteach-readout > div')]
    .map((row) => [...row.children].slice(0, 3).map((one) => one.textContent))"""
# A slider or a switch as its view moves it, and the button of a preset.
MOVE = "([id, trait, value]) => controls[id].set(trait, value, { updated_view: true })"
PRESET = """(name) => {
    const button = document.querySelector('.nfteach-live').appendChild(document.createElement('button'));
    button.className = name === 'reset' ? 'nfteach-reset' : 'nfteach-preset';
    button.textContent = name;
    button.click();
    button.remove();
}"""


@pytest.fixture(scope="module")
def bench(browser):
    yield from benches(browser)


def opened(bench: Callable[..., Bench], explorer: Explorer) -> Bench:
    explorer.prepare()
    page = bench(explorer.live, explorer=explorer, reduced_motion="reduce")
    page.page.wait_for_selector("[data-by=page]")
    return page


@pytest.fixture(scope="module")
def painter(bench) -> tuple[Bench, NADEStepper]:
    torch.manual_seed(2)
    explorer = NADEStepper(NADE(6, 4), IMAGES, (3, 2))
    return opened(bench, explorer), explorer


@pytest.fixture(scope="module")
def masks(bench) -> tuple[Bench, MaskExplorer]:
    explorer = MaskExplorer(scales=2)
    return opened(bench, explorer), explorer


def state_in(page: Bench, explorer: Explorer) -> dict[str, Any]:
    """Return where the controls of the page stand."""
    state = {}
    for name, control in explorer.controls.items():
        found = page.page.evaluate("(id) => controls[id].state", control.model_id)
        state[name] = options_of(control)[found["index"]][1] if kind_of(control) == "choice" else found["value"]
    return state


def agrees(page: Bench, explorer: Explorer) -> dict[str, Any]:
    """Compare the numbers and words of the page with those of Python at the same state; return the state."""
    state = state_in(page, explorer)
    explorer.set(**state)
    wanted = [
        [label, f"{value} {unit}".strip(), note]
        for label, value, unit, note, *_ in state_of(explorer.live, "_state")["rows"]
    ]
    assert sorted(page.page.evaluate(ROWS)) == sorted(wanted)
    notes = [part.note for part in explorer.parts.values() if part.note]
    shown = page.page.locator(".nfteach-note").all_inner_texts()
    assert all(note in shown for note in notes)
    assert page.errors == []
    assert not page.page.locator(".nfteach-error").is_visible()
    return state


def move(page: Bench, explorer: Explorer, name: str, value: Any) -> None:
    control = explorer.controls[name]
    choice = kind_of(control) == "choice"
    place = [one for _, one in options_of(control)].index(value) if choice else value
    page.page.evaluate(MOVE, [control.model_id, "index" if choice else "value", place])
    page.page.wait_for_timeout(100)


def spot(page: Bench, index: int, column: float, row: float, shape: tuple[int, int]) -> tuple[float, float]:
    """Return where the middle of a pixel is in the page, in the canvas with this number."""
    box = page.page.locator(".nfteach-pixels canvas").nth(index).bounding_box()
    cell = box["width"] / shape[1]
    return box["x"] + (column + 0.5) * cell, box["y"] + (row + 0.5) * cell


def test_pixels_are_painted_and_the_endings_follow(painter):
    page, explorer = painter
    before = agrees(page, explorer)
    mouse = page.page.mouse
    mouse.move(*spot(page, 0, 0, 0, (3, 2)))
    mouse.down()
    mouse.move(*spot(page, 0, 0, 1, (3, 2)), steps=4)
    mouse.up()
    mouse.move(*AWAY)
    page.page.wait_for_timeout(100)
    after = agrees(page, explorer)
    ink = "1" if before["pixels"][0] == "0" else "0"
    assert after["pixels"] == f"{ink}{before['pixels'][1]}{ink}{before['pixels'][3:]}"
    page.page.evaluate(PRESET, "reset")
    page.page.wait_for_timeout(100)
    assert agrees(page, explorer) == before


def test_a_pixel_of_the_model_is_clicked_twice_and_the_border_is_moved(painter):
    page, explorer = painter
    last = agrees(page, explorer)["step"]
    for step in (5, last):
        page.page.mouse.click(*spot(page, 0, 0, 2, (3, 2)))
        page.page.mouse.move(*AWAY)  # where a pixel is pointed at, its own sentence is shown
        page.page.wait_for_timeout(100)
        assert agrees(page, explorer)["step"] == step
    border = page.page.locator(".nfteach-border")
    border.focus()
    border.press("ArrowUp")
    page.page.wait_for_timeout(100)
    assert agrees(page, explorer)["given"] == 2


@pytest.mark.parametrize("preset", ["again", "keep its next row", "see all", "clear"])
def test_a_preset_that_depends_on_the_state_is_reached(painter, preset):
    page, explorer = painter
    page.page.evaluate(PRESET, "reset")
    for name, value in {"draw": 99, "ending": 3, "given": 2, "step": 4}.items():
        move(page, explorer, name, value)
    explorer.set(**agrees(page, explorer))
    explorer.preset(preset)
    wanted = explorer.state
    page.page.evaluate(PRESET, preset)
    page.page.wait_for_timeout(100)
    assert agrees(page, explorer) == wanted


def test_a_follower_goes_along_with_its_control(painter):
    page, explorer = painter
    for k in (2, 1):
        move(page, explorer, "image", k)
        assert agrees(page, explorer)["pixels"] == "".join(f"{one:g}" for one in IMAGES[k].tolist())
    page.page.locator(".nfteach-pixels canvas").nth(2).focus()
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press(" ")
    page.page.wait_for_timeout(100)
    assert agrees(page, explorer)["image"] == 0


def test_every_choice_has_its_program(painter):
    page, explorer = painter
    for name, value in [("ordering", "spiral"), ("show_p", True), ("ordering", "random"), ("show_p", False)]:
        move(page, explorer, name, value)
        agrees(page, explorer)


def test_masks_are_stepped_through_and_a_pixel_is_followed(masks):
    page, explorer = masks
    for step in range(0, explorer.controls["step"].max + 1, 2):
        move(page, explorer, "step", step)
        agrees(page, explorer)
        page.page.mouse.click(*spot(page, 0, 2, step % 4, (8, 16)))
        page.page.mouse.move(*AWAY)
        page.page.wait_for_timeout(100)
        assert agrees(page, explorer)["step"] == step
    move(page, explorer, "network", "3 x 3")
    page.page.evaluate(PRESET, "squeeze")
    page.page.wait_for_timeout(100)
    assert agrees(page, explorer)["step"] == explorer.presets["squeeze"]["step"]
