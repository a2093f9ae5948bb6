"""In JupyterLab, explorers are computed in the page, and the kernel hears where their controls come to rest."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.explorers import SLIDER, SWITCH, in_cell, open_more, settled, shown
from tests.browser.kernel import ask, restart_and_run_all, wait_for
from tests.browser.pointer import drag, drag_fast

# `heard` is what the kernel hears of controls and gestures.
ONE = """
from nfteach.widgets import MapExplorer1D
from nfteach.widgets.stage.packing import rows_of

one, heard = MapExplorer1D(), []
for control in one.controls.values():
    control.observe(lambda change: heard.append(change.new), "value")
one.live.on_gesture(lambda *all: heard.append(all))
rows = lambda: " | ".join(f"{value} {unit}".strip() for _, value, unit, *_ in rows_of(one.live._readout))
one
"""
BY_HAND = """
import math, torch
from nfteach.widgets import Explorer
from nfteach.widgets.controls import slider
from nfteach.widgets.parts import Dots, Plane

class ByHand(Explorer):
    def build_controls(self):
        return {"angle": slider("angle", -3, 3, value=1.0)}
    def picture(self, s):
        turned = torch.tensor([[math.cos(s.angle), math.sin(s.angle)]])
        return {"plane": Plane({"points": Dots(turned, size=9.0)}), "readout": {"cos": turned[0, 0]}}

by_hand = ByHand()
by_hand
"""
VALUES = "(root) => [...root.querySelectorAll('.nfteach-readout dd')].map((one) => one.textContent).join(' | ')"


def by(root: Locator, where: str) -> None:
    """Wait until an explorer is computed there: by the page or by the kernel."""
    expect(root.locator(f".nfteach-live[data-by={where}]")).to_be_attached()


def kernel_agrees(page: Page, root: Locator) -> None:
    """Wait until the kernel has heard of everything, and compare its numbers with those in the page."""
    settled(root)
    wait_for(page, "rows()", repr(root.evaluate(VALUES)))
    ask(page, "heard.clear()")


@pytest.mark.timeout(120)
def test_an_explorer_is_moved_in_the_page_and_the_kernel_hears_where_it_rests(opened, page):
    assert opened(ONE, "one")
    root, other = in_cell(page, 0), in_cell(page, 1)
    by(root, "page")
    began = settled(root)
    slider = root.locator(SLIDER).locator("visible=true").first

    drag_fast(root, slider)
    assert settled(root)["readout"] != began["readout"]
    assert int(ask(page, "len(heard)")) <= 10, "of forty moves, the kernel hears of those after which nothing came"
    kernel_agrees(page, root)

    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    kernel_agrees(page, root)

    handle = root.locator(".nfteach-handle").first
    drag(handle, 26, -22, moves=12)  # the kernel follows, and sends the program by which the page does from now on
    kernel_agrees(page, root)
    drag(handle, -40, 10, moves=12)
    settled(root)
    assert "('" not in ask(page, "heard"), "no gesture went to the kernel"
    kernel_agrees(page, root)

    for button in (".nfteach-preset", ".nfteach-reset"):
        before = shown(root)
        root.locator(button).first.click()
        assert settled(root) != before
        by(root, "page")
        kernel_agrees(page, root)
    assert settled(root) == settled(other) == began

    state = ask(page, "one.state")
    ask(page, "one.preset(list(one.presets)[0])")
    ask(page, "one.set(**{name: c.max for name, c in one.controls.items() if hasattr(c, 'step')})")
    assert settled(root)["readout"] != began["readout"]
    assert settled(other) == settled(root)
    kernel_agrees(page, root)
    ask(page, f"one.set(**{state})")
    assert settled(root) == began

    open_more(root)
    for turned in (True, False):
        root.locator(SWITCH).first.press("Space")  # to another choice, of which the kernel sends the program
        assert (settled(root) == began) != turned
        by(root, "page")
        kernel_agrees(page, root)
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_a_preset_that_the_kernel_has_to_reach_wins_over_the_move_before_it(opened, page):
    assert opened("from nfteach.widgets import PlanarExplorer\nit = PlanarExplorer(use_u_hat=True, length_u=2.0)\nit")
    root = in_cell(page, 0)
    by(root, "page")
    settled(root)
    slider = root.locator(SLIDER).nth(2)
    slider.focus()
    page.keyboard.press("ArrowRight")  # the kernel has not heard of it yet, and has no program without û
    root.locator(".nfteach-preset", has_text="fold it").dispatch_event("click")
    wait_for(page, "it.state['use_u_hat']", "False")
    settled(root)
    assert slider.get_attribute("aria-valuenow") == "2.0"
    wait_for(page, "it.state['length_u']", "2.0")


@pytest.mark.timeout(120)
def test_an_explorer_that_cannot_be_recorded_says_why_and_is_moved_by_the_kernel(opened, page):
    assert opened(BY_HAND)
    for again in (False, True):
        root = in_cell(page, 0)
        line = root.locator(".nfteach-refused")
        expect(line).to_be_visible()
        assert "turned = torch.tensor([[math.cos(s.angle), math.sin(s.angle)]])" in line.inner_text()
        by(root, "kernel")
        began = settled(root)
        root.locator(SLIDER).first.focus()
        page.keyboard.press("PageUp")
        moved = settled(root)
        assert moved["readout"] != began["readout"]
        assert moved["picture"] != began["picture"]
        assert not moved["error"]
        assert again or restart_and_run_all(page)
    assert page.complaints == []
