"""Every explorer in a real JupyterLab: by keyboard, by mouse, in a fast drag, in the dark. One page for all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import THEME
from tests.browser.explorers import (
    FRAMES,
    SLIDER,
    in_cell,
    label,
    move,
    open_more,
    settled,
    shown,
    visible_error,
    wait_for_change,
)
from tests.browser.kernel import ask, run_cell
from tests.browser.pointer import drag_fast, point_and_click
from tests.explorers.cells import GALLERY, STEPPED, write_gallery

NAMES = [name for name in GALLERY if name != "Prediction"]  # it has tests of its own


# The ground of an explorer's first canvas, and the colour of its text.
COLOURS = """(root) => {
    const of = (one) => getComputedStyle(one);
    const live = root.matches('.nfteach-live') ? root : root.querySelector('.nfteach-live');
    return [of(root.querySelector('canvas')).backgroundColor, of(live).color.match(/[\\d.]+/g).slice(0, 3).map(Number)];
}"""


# Labels of controls that move nothing in the first state; the registry has the states that wake them.
IDLE = {
    "MapExplorer2D": ["amount of the second"],
    "NADEStepper": ["drawing", "show p in place of drawn pixels"],
    "TriangularExplorer": ["point: row of the data"],
}
FAR = {"NADEStepper": (-70, -70)}  # how far a handle is dragged where it moves by whole rows of pixels
TALLER = [("MapExplorer2D", "two maps"), ("TriangularExplorer", "far out")]  # presets that show more parts
BY_KERNEL = {"TrainingReplay", "PosteriorReplay"}  # whose frames are all in the browser
SIDE_BY_SIDE = {"RoutesExplorer"}  # three pictures of one size
# Scroll the picture to the upper edge of the notebook; return where it then begins.
TO_THE_TOP = """(root) => {
    const main = root.querySelector('.nfteach-main');
    main.scrollIntoView({ block: 'start' });
    return main.getBoundingClientRect().top;
}"""

# What the Tab key must reach, by where it stands.
STOPS = {
    "picture": ".nfteach-main :is(.nfteach-handle, canvas[tabindex], .nfteach-border)",
    "frames": ".nfteach-frames :is(button, input)",
    "side": ".nfteach-side :is(canvas[tabindex], summary)",
    "controls": ":scope > .nfteach-controls :is(.noUi-handle, .widget-readout, select, input, button)",
    "chips": ".nfteach-chips button",
    "more": ".nfteach-more :is(.jupyter-widget-Collapse-header, .noUi-handle, .widget-readout, select, input, button)",
}
# Where the focus is: the place, the number among all that is there, and whether it is seen; null outside of the root.
FOCUS = """([root, stops]) => {
    const at = document.activeElement;
    if (!root.contains(at)) return null;
    const of = (one) => getComputedStyle(one);
    const ring = at.querySelector('.nfteach-focus');
    const seen = ring ? of(ring).stroke !== 'none' : of(at).outlineStyle !== 'none';
    for (const [place, selector] of Object.entries(stops)) {
        const here = [...root.querySelectorAll(selector)].filter((one) => one.checkVisibility());
        if (here.includes(at)) return [place, here.indexOf(at), here.length, seen];
    }
    return [at.className, 0, 0, seen];
}"""


@pytest.fixture(scope="module")
def gallery(lab, desk) -> Iterator[Page]:
    """Open the gallery; `explorer` runs a cell when a test first looks at it."""
    write_gallery(lab.root / "gallery.ipynb")
    lab.open(desk, "gallery.ipynb")
    desk.complaints.clear()
    yield desk
    lab.close(desk)


def explorer(page: Page, name: str) -> Locator:
    """Return what the cell of this name shows."""
    index = list(GALLERY).index(name)
    assert execution_count(page, index) or run_cell(page, index)
    return in_cell(page, index)


def execution_count(page: Page, index: int) -> int | None:
    """Return the number in brackets beside a cell; None if the cell has not run."""
    script = "(index) => window.jupyterapp.shell.currentWidget.content.widgets[index].model.executionCount"
    return page.evaluate(script, index)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
def test_an_explorer_is_moved_by_keyboard_and_by_mouse(gallery, artefacts, name):
    root = explorer(gallery, name)
    move(root, artefacts / name, idle=IDLE.get(name, ()))
    point_and_click(root, artefacts / name, FAR.get(name, (26, -22)))
    assert gallery.complaints == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "LiveFigure"])
def test_a_slider_is_followed_in_the_page(gallery, name):
    live = explorer(gallery, name).locator(".nfteach-live").first
    expect(live).to_have_attribute("data-by", "kernel" if name in BY_KERNEL else "page", timeout=60_000)


def test_steppers_and_replays_have_their_frames_in_the_browser(gallery):
    assert {name for name in NAMES if explorer(gallery, name).locator(FRAMES).first.is_visible()} == STEPPED


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in STEPPED])
def test_in_a_fast_drag_the_newest_value_wins_and_nothing_queues(gallery, name):
    root = explorer(gallery, name)
    out = f"Out[{execution_count(gallery, list(GALLERY).index(name))}]"
    open_more(root)
    handle = root.locator(SLIDER).locator("visible=true").first
    if not handle.count():
        pytest.skip("it has no slider")
    seen = drag_fast(root, handle)
    assert 1 < seen["paintings"] <= 80, "one painting a move, and one where words beside the picture need another line"
    assert seen["late"] <= 4, "what the hand has passed is not painted after it"
    at_rest = shown(root)
    assert not at_rest["error"]
    # What the slider says is where the kernel is, and one quiet move there shows the same.
    words, said = (
        label(handle),
        root.locator(".widget-slider .widget-readout").locator("visible=true").first.inner_text(),
    )
    value = float(ask(gallery, f"[c.value for c in {out}.controls.values() if c.description == {words!r}]").strip("[]"))
    assert value == pytest.approx(float(said.replace("−", "-")), abs=0.006)
    state = ask(gallery, f"{out}.state")
    ask(gallery, f"{out}.reset()")
    assert settled(root) != at_rest
    assert ask(gallery, f"{out}.set(**{state})") == "None"
    assert settled(root) == at_rest
    ask(gallery, f"{out}.reset()")
    assert gallery.complaints == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "places"), [("NADEStepper", 4), ("LatentExplorer", 3), ("MaskExplorer", 3)])
def test_pixels_are_painted_or_clicked(gallery, name, places):
    root = explorer(gallery, name)
    pixels = root.locator("canvas[role=application]").locator("visible=true").first
    began = settled(root)
    box = pixels.bounding_box()
    changes = 0
    for k in range(places):
        before = shown(root)
        pixels.click(position={"x": (k + 0.5) * box["width"] / places, "y": min(30, box["height"] / 4)})
        after = settled(root)
        assert not after["error"]
        changes += after["readout"] != before["readout"] or after["picture"] != before["picture"]
    assert changes >= 2
    root.locator(".nfteach-reset").click()
    assert settled(root)["readout"] == began["readout"]
    assert gallery.complaints == []


@pytest.mark.timeout(60)
def test_arrow_keys_move_what_can_be_dragged(gallery):
    root = explorer(gallery, "PlanarExplorer")
    for handle in root.get_by_role("slider").and_(root.locator(".nfteach-handle")).all():
        before = shown(root)
        handle.focus()
        gallery.keyboard.press("ArrowLeft")
        wait_for_change(root, before)
        assert not settled(root)["error"]
    root.locator(".nfteach-reset").click()
    settled(root)
    assert gallery.complaints == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("StretchExplorer", ["picture", "controls", "chips"]),
        ("LayerStepper", ["picture", "frames", "side", "controls", "chips"]),
        ("TriangularExplorer", ["picture", "side", "controls", "chips", "more"]),
    ],
)
def test_the_tab_key_reaches_everything_in_the_order_in_which_it_stands(gallery, name, places):
    root = explorer(gallery, name)
    settled(root)
    root.locator(".nfteach-help").evaluate("(words) => { words.tabIndex = -1; words.focus(); }")
    reached: dict[str, list[int]] = {}
    there = {}
    for _ in range(80):
        gallery.keyboard.press("Tab")
        focus = gallery.evaluate(FOCUS, [root.element_handle(), STOPS])
        if focus is None:
            break
        place, number, count, seen = focus
        assert seen, f"{place} {number}: the focus is not seen"
        reached.setdefault(place, []).append(number)
        there[place] = count
        header = root.locator(".jupyter-widget-Collapse-header")
        if place == "more" and number == 0 and header.get_attribute("aria-expanded") == "false":
            gallery.keyboard.press("Enter")
            settled(root)
    assert list(reached) == places
    assert reached == {place: list(range(count)) for place, count in there.items()}
    assert gallery.complaints == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 700)])
def test_picture_and_essential_controls_are_in_view_together(gallery, artefacts, width, height):
    began = gallery.viewport_size
    gallery.set_viewport_size({"width": width, "height": height})
    short = {}
    for name, preset in [*((name, "") for name in NAMES), *TALLER]:
        root = explorer(gallery, name)
        if preset:
            root.get_by_role("button", name=preset).click()
        settled(root)
        top = root.evaluate(TO_THE_TOP)
        root.page.screenshot(path=artefacts / f"{name}{preset}.png")
        controls = root.locator(":scope > .nfteach-controls")
        below = controls.bounding_box() if controls.count() else root.bounding_box()
        main = root.locator(".nfteach-main .nfteach-part").first.bounding_box()
        assert main["y"] >= top - 1
        if below["y"] + below["height"] > height:
            short[name] = f"the controls end {below['y'] + below['height'] - height:.0f} px below the window"
        if width == 1280 and main["width"] < 360 and name not in SIDE_BY_SIDE:
            short[name] = f"the picture is {main['width']:.0f} px wide"
        if preset:
            root.locator(".nfteach-reset").click()
    gallery.set_viewport_size(began)
    assert short == {}


@pytest.mark.timeout(120)
def test_in_the_dark(gallery, artefacts):
    gallery.evaluate(THEME, "JupyterLab Dark")
    gallery.wait_for_function("document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    for name in NAMES:
        root = explorer(gallery, name)
        root.screenshot(path=artefacts / f"{name}.png")
        assert visible_error(root) == ""
        ground, ink = root.evaluate(COLOURS)
        assert ground == "rgba(0, 0, 0, 0)", "the picture stands on the page's own ground"
        assert min(ink) > 180, f"{name}: text is as light as the theme's"
    gallery.evaluate(THEME, "JupyterLab Light")
    assert gallery.complaints == []
