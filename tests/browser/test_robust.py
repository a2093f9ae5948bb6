"""Hard times for an explorer in JupyterLab: maps that fail, windows that change, a thousand updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.explorers import SLIDER, in_cell, settled, visible_error, wait_for_change
from tests.browser.kernel import ask
from tests.explorers.cells import GALLERY

FRAGILE = """
import torch
from nfteach.widgets import Explorer
from nfteach.widgets.controls import slider
from nfteach.widgets.parts import Dots, Plane


class Fragile(Explorer):
    def build_controls(self):
        return {"power": slider("power", -1, 1, value=0.5, step=0.5)}

    def picture(self, s):
        z = torch.linspace(-2, 2, 20)
        x = z.abs() ** s.power if s.power != 0 else z.log()  # NaN
        if s.power < 0:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (20x1 and 2x2)")
        return {"plane": Plane({"points": Dots(torch.stack([z, x], dim=1))}), "readout": {"power": s.power}}


Fragile()
"""

BUSY = """
from nfteach.widgets import PlanarExplorer

it = PlanarExplorer()


def turn(times):
    for k in range(times):
        it.set(length_u=1 + k % 100 / 100, z1=k % 50 / 50)


it
"""

SIDEBAR = "() => window.jupyterapp.commands.execute('application:toggle-left-area')"


@pytest.mark.timeout(120)
def test_a_map_that_fails_at_some_values_says_so_and_recovers_on_the_next_good_one(opened, page, artefacts):
    assert opened(FRAGILE)
    root = in_cell(page, 0)
    main = root.locator(".nfteach-main")
    # The page's own picture may differ from the kernel's in the last bit.
    expect(root.locator(".nfteach-live")).to_have_attribute("data-by", "page", timeout=20_000)
    good = settled(root)
    root.locator(SLIDER).focus()
    for key, words in (("ArrowLeft", "NaN"), ("ArrowLeft", "mat1 and mat2")):
        page.keyboard.press(key)
        expect(root.get_by_role("alert")).to_contain_text(words)
        assert settled(root)["picture"] == good["picture"], "the last good picture stays, and is pale"
        assert main.evaluate("(one) => Number(getComputedStyle(one).opacity)") < 0.6
        assert "Traceback" not in page.locator(".jp-NotebookPanel:visible").inner_text()
        root.screenshot(path=artefacts / f"{words[:3]}.png")
    page.keyboard.press("End")
    expect(root.get_by_role("alert")).to_have_count(0)
    assert settled(root)["readout"] != good["readout"]
    assert main.evaluate("(one) => getComputedStyle(one).opacity") == "1"
    page.keyboard.press("Home")
    expect(root.get_by_role("alert")).to_be_visible()
    root.locator(".nfteach-reset").click()
    assert settled(root) == good
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_the_picture_follows_its_cell_and_stays_crisp(opened, page, artefacts):
    assert opened(GALLERY["PlanarExplorer"])
    root = in_cell(page, 0)
    with screen(page) as resize:
        for ratio in (1, 2):
            resize(1280, ratio)  # the picture is painted anew where its cell changes
            resize(900, ratio)
            began = fitted(root, ratio)
            page.evaluate(SIDEBAR)
            assert fitted(root, ratio) > began, "without the sidebar there is more room"
            resize(560, ratio)
            assert fitted(root, ratio) < began
            before = settled(root)
            root.locator(SLIDER).first.focus()
            page.keyboard.press("PageUp")
            wait_for_change(root, before)
            root.screenshot(path=artefacts / f"narrow-{ratio}.png")
            page.evaluate(SIDEBAR)
            resize(900, ratio)
            assert fitted(root, ratio) == began
        resize(900, 1)  # another screen alone
        assert fitted(root, 1) == began
    assert page.complaints == []


@contextmanager
def screen(page: Page) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that gives the page another screen: its width, and its pixels for each of CSS."""
    device = page.context.new_cdp_session(page)

    def resize(width: int, ratio: int) -> None:
        # Chromium notices the pixels only where the window has another size, too.
        size = {"width": width, "height": 900 + 100 * ratio, "deviceScaleFactor": ratio, "mobile": False}
        device.send("Emulation.setDeviceMetricsOverride", size)

    yield resize
    device.send("Emulation.clearDeviceMetricsOverride")
    device.detach()


def fitted(root: Locator, ratio: int) -> float:
    """The width of the picture, once it has as many pixels as the screen; nothing sticks out of the cell."""
    root.page.wait_for_function(
        """([root, ratio]) => {
            const canvas = root.querySelector('canvas');
            const [width, height] = [canvas.clientWidth, canvas.clientHeight];
            return Math.abs(canvas.width - width * ratio) <= 1 && Math.abs(canvas.height - height * ratio) <= ratio;
        }""",
        arg=[root.element_handle(), ratio],
    )
    settled(root)
    box, cell = (
        root.locator("canvas").first.bounding_box(),
        root.evaluate_handle("(one) => one.closest('.jp-OutputArea-output')"),
    )
    output = cell.as_element().bounding_box()
    assert box["x"] + box["width"] <= output["x"] + output["width"] + 1
    assert box["width"] > 200
    assert visible_error(root) == ""
    return box["width"]


@pytest.mark.timeout(180)
def test_in_the_browser_memory_is_flat_over_a_thousand_updates(opened, page):
    assert opened(BUSY)
    root = in_cell(page, 0)
    meter = page.context.new_cdp_session(page)
    for domain in ("HeapProfiler", "Performance"):
        meter.send(f"{domain}.enable")
    update(page, root, 200)  # what is made once is made
    before = used(meter)
    update(page, root, 1000)
    after = used(meter)
    # A picture of this explorer is over 100 kB as it travels: kept, a thousand would be 100 MB.
    for name in ("usedSize", "backingStorageSize"):  # objects, and the arrays behind them
        assert after[name] - before[name] < 1e6, (name, before, after)
    for name in ("Nodes", "JSEventListeners"):
        assert after[name] - before[name] < 50, (name, before, after)
    assert page.complaints == []


def update(page: Page, root: Locator, times: int) -> None:
    """Let the kernel update the explorer, a hundred times at once, and wait until all has arrived."""
    for _ in range(times // 100):
        assert ask(page, "turn(100)") == "None"
        settled(root)


def used(meter) -> dict[str, float]:
    """What the page holds, once the rubbish is out."""
    for _ in range(2):
        meter.send("HeapProfiler.collectGarbage")
    counts = {one["name"]: one["value"] for one in meter.send("Performance.getMetrics")["metrics"]}
    return {**counts, **meter.send("Runtime.getHeapUsage")}
