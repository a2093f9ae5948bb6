"""Move an explorer in the page by mouse: sliders, handles in the picture, buttons."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Error, Locator

from tests.browser.explorers import SLIDER, label, reset, settled, shown, slider_values, wait_for_change

__all__ = ["drag", "drag_fast", "point_and_click"]

HANDLE = ".nfteach-handle:not(.nfteach-dead)"
PRESET = ".nfteach-preset"
# From now on, the time of every painting of a canvas, and of the mouse let go.
WATCH = """(canvas) => {
    window.painted = [];
    window.released = null;
    const watch = new MutationObserver(() => window.painted.push(performance.now()));
    watch.observe(canvas, { attributeFilter: ['data-seq'] });
    window.addEventListener('mouseup', () => { window.released = performance.now(); }, { capture: true, once: true });
}"""


def point_and_click(root: Locator, picture: Path, by: tuple[float, float] = (26, -22)) -> None:
    """Drag every handle in the picture and a slider, click every preset: each must show. Then reset.

    One slider is enough: the page makes the same of a mouse and of a key, and `move` presses keys on every slider.
    A screenshot before the reset is kept beside `picture`.
    """
    root.scroll_into_view_if_needed()
    began = slider_values(root)
    for ring in root.locator(HANDLE).all():
        if ring.is_visible():
            answers(root, "handle in the picture", lambda ring=ring: drag(ring, *by))
    handle = next((one for one in root.locator(SLIDER).all() if one.is_visible() and room(one)), None)
    if handle is not None:
        answers(root, f"slider {label(handle)!r}", lambda: drag(handle, room(handle), 0))
    for button in root.locator(PRESET).all():
        answers(root, f"preset {button.inner_text()!r}", button.click)
    root.screenshot(path=picture.with_name(f"{picture.name}-mouse.png"))
    reset(root, began, mouse=True)


def answers(root: Locator, what: str, act: Callable[[], None]) -> None:
    """Picture or readout must change, and no error may show."""
    before = shown(root)
    act()
    try:
        wait_for_change(root, before)
    except Error as error:
        raise AssertionError(f"{what}: it was moved by mouse, and neither picture nor readout changed") from error
    now = settled(root)
    assert not now["error"], f"{what}: {now['error']}"
    assert now["picture"] != before["picture"] or now["readout"] != before["readout"], f"{what}: all is as it was"


def middle(one: Locator) -> tuple[float, float]:
    """Where the middle of something is in the window, which it is brought into."""
    one.scroll_into_view_if_needed()
    box = one.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def room(handle: Locator) -> float:
    """How far to drag a slider's handle, in pixels: a third of its way, to where there is more room; 0 if nowhere."""
    way = handle.evaluate("(one) => one.closest('.noUi-base').clientWidth")
    value, low, high = (float(handle.get_attribute(f"aria-value{end}")) for end in ("now", "min", "max"))
    return (low < high) * (way / 3 if 2 * value <= low + high else -way / 3)


def drag(one: Locator, dx: float, dy: float, moves: int = 3) -> None:
    """Take something by its middle, move it this far in some moves, and let it go."""
    mouse = one.page.mouse
    x, y = middle(one)
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + dx, y + dy, steps=moves)
    mouse.up()


def drag_fast(root: Locator, handle: Locator, moves: int = 40) -> dict[str, int]:
    """Sweep a slider to and fro, as fast as a hand does, and wait until the explorer is at rest.

    Returns:
        ``paintings``: how often the canvas was painted; ``late``: how often of these after the slider was let go.
    """
    page = root.page
    x, y = middle(handle)
    reach = 0.9 * room(handle)
    root.locator("canvas.nfteach-canvas").first.evaluate(WATCH)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, moves + 1):
        page.mouse.move(x + reach * float(np.interp(step / moves, (0, 1 / 3, 2 / 3, 1), (0, 1, 0, 0.8))), y)
        page.wait_for_timeout(1000 / 60)
    page.mouse.up()
    settled(root)
    painted, released = page.evaluate("() => [window.painted, window.released]")
    return {"paintings": len(painted), "late": sum(moment > released for moment in painted)}
