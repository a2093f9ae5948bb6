"""Move an explorer in the page as a learner without a mouse does, and watch that it answers."""

import re
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, expect

__all__ = [
    "EXCUSE",
    "FRAMES",
    "ROOTS",
    "SLIDER",
    "in_cell",
    "label",
    "move",
    "open_more",
    "pinned",
    "reset",
    "scroll_through",
    "settled",
    "shown",
    "slider_values",
    "sweep",
    "visible_error",
    "wait_for_change",
]

EXCUSE = re.compile("model not found|Error displaying widget|Error creating widget|Loading widget")
PINS = count()
WAIT = 20_000  # milliseconds for a moved control to show

# What moves: explorers, and live figures with frames that stand alone.
ROOTS = (
    ".jp-NotebookPanel:visible .nfteach-explorer, "
    ".jp-NotebookPanel:visible .nfteach-live:has(.nfteach-frames:not([hidden])):not(.nfteach-explorer *)"
)
SLIDER = ".widget-slider .noUi-handle"
FRAMES = "input.nfteach-frame"
SWITCH = "input[type=checkbox]"
CHOICE = "select"
BUTTONS = ".widget-toggle-buttons"

LABEL = """(one) => [...(one.closest('.jupyter-widgets')?.querySelectorAll('.widget-label, .widget-label-basic') ?? [])]
    .map((words) => words.textContent.replace('\\u200b', '').trim()).find(Boolean) ?? ''"""
# Focus a slider that is seen; return whether it is at its top, and its label.
SLIDE = f"""(one) => {{
    if (!one.checkVisibility({{ visibilityProperty: true }})) return null;
    one.focus();
    return [+one.getAttribute('aria-valuenow') >= +one.getAttribute('aria-valuemax'), ({LABEL})(one)];
}}"""
ERROR = """(root) => [...root.querySelectorAll('.nfteach-error')]
    .filter((one) => one.checkVisibility()).map((one) => one.innerText).join('; ')"""
# A number made of all pixels stands for the picture: to encode it as PNG takes ten times as long.
SHOWN = """(root) => {
    const all = (selector) => [...root.querySelectorAll(selector)];
    const digest = (canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
        const pixels = new Uint32Array(data.buffer);
        let sum = 0;
        for (let k = 0; k < pixels.length; k++) sum = (Math.imul(sum, 31) + pixels[k]) | 0;
        return `${width} x ${height}: ${sum}`;
    };
    const canvases = all('canvas.nfteach-canvas').filter((canvas) => canvas.width && canvas.height);
    const handles = all('.nfteach-handle, .nfteach-knob');
    const places = handles.map((one) => one.getAttribute('transform') || one.getAttribute('cx'));
    return {
        picture: [...canvases.map(digest), ...places].join(),
        readout: all('.nfteach-readout, .nfteach-frame-label').map((one) => one.textContent).join(),
        error: (ERROR)(root),
    };
}""".replace("ERROR", ERROR)
# Whether a canvas was painted is enough here.
REST = """async (root) => {
    const canvases = [...root.querySelectorAll('canvas.nfteach-canvas')];
    const words = () => root.textContent + canvases.map((canvas) => canvas.dataset.seq).join();
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    let [before, since] = [words(), performance.now()];
    const end = since + 10_000;
    const long = window.jupyterapp ? 200 : 80;  // milliseconds, in which the kernel may begin to answer
    while (performance.now() - since < long) {
        await new Promise((done) => setTimeout(done, 25));
        const now = words();
        if (now !== before || context?.session?.kernel?.status === 'busy') [before, since] = [now, performance.now()];
        if (since > end) throw new Error('the explorer does not come to rest');
    }
}"""
# Keep every error that shows from now on: the next good value takes it away.
WATCH_ERRORS = """(root) => {
    root.errors = [];
    const look = () => root.querySelectorAll('.nfteach-error').forEach((line) => {
        if (line.checkVisibility() && line.innerText) root.errors.push(line.innerText);
    });
    new MutationObserver(look).observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
CHANGED = f"""([root, before]) => {{
    const now = ({SHOWN})(root);
    return Object.keys(now).some((key) => now[key] !== before[key]);
}}"""


def in_cell(page: Page, index: int) -> Locator:
    """The explorer, or live figure, that a code cell of the open notebook shows; cells are counted from 0."""
    cell = page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(index)
    root = cell.locator(".nfteach-explorer, .nfteach-live:not(.nfteach-explorer *)")
    expect(root).to_have_count(1, timeout=WAIT)
    expect(root.locator("canvas[data-seq]").first).to_be_visible(timeout=WAIT)
    return pinned(root)


def move(root: Locator, picture: Path, wait: int = WAIT, idle: Collection[str] = ()) -> None:
    """Move every control by keyboard: each must show, and in the end picture and readout must have changed.

    Controls with a label in `idle` need not show: they wait for a state that is not the first one.

    Screenshots before and after are kept beside `picture`.
    """
    root.scroll_into_view_if_needed()
    open_more(root)
    began = slider_values(root)
    root.screenshot(path=picture.with_name(f"{picture.name}-before.png"))
    seen = [shown(root)]
    for press in PRESSES:
        for moved in press(root):
            try:
                if not any(repr(name) in moved for name in idle):
                    wait_for_change(root, seen[-1], wait)
            except Error as error:
                raise AssertionError(f"{moved}: it was moved, and neither picture nor readout changed") from error
            seen.append(settled(root))
            assert not seen[-1]["error"], f"{moved}: {seen[-1]['error']}"
    root.screenshot(path=picture.with_name(f"{picture.name}-after.png"))
    assert len(seen) > 1, "an explorer without a control that the keyboard reaches"
    assert len({now["picture"] for now in seen}) > 1, "no control changed the picture"
    assert len({now["readout"] for now in seen}) > 1, "no control changed the readout"
    reset(root, began)


def pinned(root: Locator) -> Locator:
    """Return a locator that finds the same element at once: a long selector is searched for with each use."""
    name = root.evaluate("(one, name) => (one.dataset.pinned ??= name)", str(next(PINS)))
    return root.page.locator(f'[data-pinned="{name}"]')


def sweep(root: Locator, wait: int = WAIT) -> None:
    """Move every control by keyboard, one after another without a pause: in the end something must have changed.

    `move`, which looks after each control, takes several times as long; the gallery does that for every explorer.
    """
    root.scroll_into_view_if_needed()
    open_more(root)
    began, before = slider_values(root), shown(root)
    root.evaluate(WATCH_ERRORS)
    moved = [what for press in PRESSES for what in press(root)]
    assert moved, "an explorer without a control that the keyboard reaches"
    try:
        wait_for_change(root, before, wait)
    except Error as error:
        raise AssertionError(f"{', '.join(moved)}: moved, and neither picture nor readout changed") from error
    settled(root)
    errors = root.evaluate("(root) => root.errors")
    assert not errors, f"{', '.join(moved)}: {'; '.join(errors)}"
    reset(root, began)


def scroll_through(page: Page) -> None:
    """Bring all of a page of the book into view, also what waits for a prediction, until all widgets are there."""
    page.evaluate("() => document.querySelectorAll('details.reveals').forEach((one) => { one.open = true; })")
    for widget in page.locator(".widget").all():
        widget.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('.widget')].every((one) => 'live' in one.dataset)")


def open_more(root: Locator) -> None:
    """Unfold the controls that stand under "more"."""
    for fold in root.locator(".nfteach-more .jupyter-widget-Collapse:not(.jupyter-widget-Collapse-open)").all():
        fold.locator(".jupyter-widget-Collapse-header").click()
    expect(root.locator(".nfteach-more .jupyter-widget-Collapse:not(.jupyter-widget-Collapse-open)")).to_have_count(0)


def press_sliders(root: Locator) -> Iterator[str]:
    """Move each slider up by a page and a step, or down where it is at its top."""
    for handle in root.locator(SLIDER).all():
        if not (found := handle.evaluate(SLIDE)):
            continue
        at_top, words = found
        for key in ("PageDown", "ArrowLeft") if at_top else ("PageUp", "ArrowRight"):
            root.page.keyboard.press(key)
        yield f"slider {words!r}"


def press_frames(root: Locator) -> Iterator[str]:
    """One frame on, or back from the last."""
    for slider in root.locator(FRAMES).all():
        if not slider.is_visible() or slider.get_attribute("max") == "0":
            continue
        at_end = slider.input_value() == slider.get_attribute("max")
        slider.focus()
        slider.press("ArrowLeft" if at_end else "ArrowRight")
        yield "frames"


def press_switches(root: Locator) -> Iterator[str]:
    """Turn each checkbox over."""
    for box in root.locator(SWITCH).all():
        if box.is_visible():
            box.press("Space")
            yield f"switch {label(box)!r}"


def press_choices(root: Locator) -> Iterator[str]:
    """The next entry of each list, or the one before the last; opened first, for JupyterLab takes a bare arrow key."""
    for choice in root.locator(CHOICE).all():
        if choice.is_visible():
            at_end = choice.evaluate("(list) => list.selectedIndex === list.options.length - 1")
            choice.focus()
            for key in ("Space", "ArrowUp" if at_end else "ArrowDown", "Enter"):
                root.page.keyboard.press(key)
                root.page.wait_for_timeout(200)  # the list that opens is a window of its own
            yield f"choice {label(choice)!r}"


def press_buttons(root: Locator) -> Iterator[str]:
    """The first button of each row that is not the chosen one."""
    for row in root.locator(BUTTONS).all():
        if row.is_visible():
            row.locator("button:not(.mod-active)").first.press("Enter")
            yield f"buttons {label(row)!r}"


PRESSES = (press_sliders, press_frames, press_switches, press_choices, press_buttons)


def reset(root: Locator, began: list[str], mouse: bool = False) -> None:
    """The reset button, where there is one, gives every slider the value that it began with."""
    button = root.locator(".nfteach-reset")
    if button.count() == 0:
        return
    if mouse:
        button.first.click()
    else:
        button.first.press("Enter")
    for _ in range(400):
        if slider_values(root) == began:
            break
        root.page.wait_for_timeout(25)
    assert slider_values(root) == began, "reset left a slider elsewhere"
    assert not settled(root)["error"]


def slider_values(root: Locator) -> list[str]:
    """What each slider stands at, in the order of the page."""
    return root.locator(SLIDER).evaluate_all("(all) => all.map((one) => one.getAttribute('aria-valuenow'))")


def label(control: Locator) -> str:
    """The words beside a control."""
    return control.evaluate(LABEL)


def shown(root: Locator) -> dict[str, str]:
    """Return what an explorer shows: a digest of its canvas, and its readout and error line as text."""
    return root.evaluate(SHOWN)


def wait_for_change(root: Locator, before: dict[str, str], timeout: int = WAIT) -> None:
    """Wait until an explorer shows something else than `before`, which `shown` returned."""
    root.page.wait_for_function(CHANGED, arg=[root.element_handle(), before], polling=50, timeout=timeout)


def settled(root: Locator) -> dict[str, str]:
    """What an explorer shows once nothing has been painted or written for a while, and the kernel waits for work."""
    root.evaluate(REST)
    return shown(root)


def visible_error(root: Locator) -> str:
    """The words of an explorer's error line; empty if it shows none."""
    return root.evaluate(ERROR)
