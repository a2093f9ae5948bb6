"""Several views, cells run again and out of order, a kernel restarted, busy or gone: explorers keep up."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.explorers import EXCUSE, FRAMES, SLIDER, in_cell, settled, shown
from tests.browser.kernel import ask, end, keep_busy, restart_and_run_all, run_cell
from tests.browser.pointer import drag
from tests.explorers.cells import GALLERY

IMPORT = "from nfteach.widgets import MapExplorer1D, StretchExplorer"
# What the kernel and the page hold for widgets. IPython's history does not count, nor does rubbish not yet collected.
IN_KERNEL = """(__import__('gc').collect(), len(__import__('ipywidgets').widgets.widget._instances),
    len(get_ipython().kernel.comm_manager.comms))[1:]"""
IN_PAGE = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel._comms.size"


def press(root: Locator, key: str, times: int = 1, which: int = 0) -> dict[str, str]:
    """Press a key on a slider; what the explorer shows then."""
    root.locator(SLIDER).nth(which).focus()
    for _ in range(times):
        root.page.keyboard.press(key)
    return settled(root)


def assert_no_dead_view(page: Page) -> None:
    """Where a widget should be, no output says that there is none."""
    expect(page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output", has_text=EXCUSE)).to_have_count(0)


@pytest.mark.timeout(120)
def test_two_views_of_one_explorer_stay_in_step_and_two_explorers_do_not_disturb_each_other(opened, page):
    assert opened(IMPORT, "one = MapExplorer1D()\none", "one", "other = MapExplorer1D()\nother")
    first, second, other = (in_cell(page, index) for index in (1, 2, 3))
    began = settled(other)
    assert settled(first) == settled(second) == began
    moved = press(first, "ArrowRight", 5)
    assert moved != began
    assert settled(second) == moved
    drag(second.locator(".nfteach-handle").first, 30, -20)
    dragged = settled(second)
    assert dragged["readout"] != moved["readout"]
    assert settled(first) == dragged
    assert settled(other) == began, "the other of the class has not moved"
    press(other, "End")
    assert settled(first) == settled(second) == dragged
    second.locator(".nfteach-reset").click()
    assert settled(second) == settled(first) == began
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_cells_run_again_and_out_of_order_leave_no_dead_view_and_no_comm(opened, page):
    assert opened(IMPORT, "StretchExplorer()", "named = StretchExplorer()\nnamed", "named", "StretchExplorer()")
    for index in (1, 2, 3, 4):
        in_cell(page, index)
    held = [(ask(page, IN_KERNEL), page.evaluate(IN_PAGE))]
    for _ in range(5):
        assert run_cell(page, 1)
        in_cell(page, 1)
        held.append((ask(page, IN_KERNEL), page.evaluate(IN_PAGE)))
    assert len(set(held)) == 1, f"(widgets, comms) in the kernel, comms in the page: {held}"
    for index in (4, 2, 1, 3, 2, 3):  # the last: what `named` was before is shown nowhere any more
        assert run_cell(page, index)
    assert_no_dead_view(page)
    views = [in_cell(page, index) for index in (1, 2, 3, 4)]
    began = settled(views[0])
    for number, root in enumerate(views):
        assert press(root, "ArrowRight", 5) != began, f"cell {number + 1} is alive"
        assert settled(views[2]) == settled(views[1]), "two views of `named`"
    assert (ask(page, IN_KERNEL), page.evaluate(IN_PAGE)) == held[0]
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_restart_and_run_all_restores_everything(opened, page):
    assert opened(GALLERY["StretchExplorer"], GALLERY["LiveFigure"])
    began = [settled(in_cell(page, index)) for index in (0, 1)]
    press(in_cell(page, 0), "End")
    assert restart_and_run_all(page)
    assert_no_dead_view(page)
    assert [settled(in_cell(page, index)) for index in (0, 1)] == began
    assert press(in_cell(page, 0), "End") != began[0]
    assert step(in_cell(page, 1), "ArrowRight").startswith("step 1 of 11")
    assert page.complaints == []


def step(root: Locator, key: str) -> str:
    """Press a key on the slider of the frames; the label that it then has. The picture must have changed."""
    before = shown(root)["picture"]
    root.locator(FRAMES).focus()
    root.page.keyboard.press(key)
    root.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert shown(root)["picture"] != before, key
    return root.locator(".nfteach-frame-label").inner_text()


def assert_frames_go_by_themselves(root: Locator) -> None:
    """From the last frame: keys, buttons, and a play from the first to the last."""
    last = root.locator(FRAMES).get_attribute("max")
    assert f" {int(last) - 1} of {last}" in step(root, "ArrowLeft")
    assert f" 0 of {last}" in step(root, "Home")
    root.get_by_role("button", name="next").click()
    expect(root.locator(".nfteach-frame-label")).to_contain_text(f" 1 of {last}")
    root.get_by_role("button", name="previous").click()
    root.get_by_role("button", name="play").click()
    expect(root.locator(".nfteach-frame-label")).to_contain_text(f" {last} of {last}", timeout=15_000)


@pytest.mark.timeout(180)
def test_with_the_kernel_busy_or_gone_frames_are_stepped_and_played(opened, page):
    assert opened(GALLERY["LayerStepper"])
    stepper = in_cell(page, 0)
    with keep_busy(page):
        assert_frames_go_by_themselves(stepper)
    assert page.complaints == []
    end(page)
    assert_frames_go_by_themselves(stepper)
    # The widget manager's own words for a kernel that is gone; nothing of ours failed.
    assert all(said.startswith("Could not send widget sync message") for said in page.complaints), page.complaints
