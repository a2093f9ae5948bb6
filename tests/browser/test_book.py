"""The book in Chromium, from files and without a network. `make site` builds it, `make test-book` does both."""

import json
import re
import time
from collections.abc import Iterator
from functools import cache
from html import unescape
from importlib import import_module
from itertools import chain, pairwise
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Locator, Page, expect

from nfteach.exercises.table import exercises_of
from tests.browser.conftest import fresh_page
from tests.browser.explorers import (
    EXCUSE,
    FRAMES,
    PRESSES,
    open_more,
    pinned,
    reset,
    scroll_through,
    settled,
    slider_values,
)
from tests.browser.lab import ROOT
from tests.browser.pointer import HANDLE, drag
from tests.browser.test_gallery import IDLE

BOOK = ROOT / "build" / "site"
LESSONS = [f"{path.stem}.html" for path in sorted((ROOT / "notebooks" / "source").glob("*.md"))]
DOCUMENTS = ["glossary.html", "equations.html", "inspector.html", "results.html", "widgets.html", "teaching.html"]
PAGES = ["index.html", *LESSONS, *DOCUMENTS]
WIDTHS = (390, 1024, 1280)
DEAF = 3_200  # milliseconds until an explorer takes it that nobody hears what is dragged
USABLE = 3.0  # seconds until the first lesson's first explorer is there, on two cores

# Controls that need another state; presets, which may be what is shown already; a slider that moves others in Python.
WAITING_FOR_MORE = ["preset", "buttons", "input j", *chain.from_iterable(IDLE.values())]
# Controls of which not all values are recorded: they tell where they work.
ALONE = "This combination is computed by Python: open the lesson in JupyterLab to see it."
NOT_EVERY_VALUE = ("D, for the cost",)
FAR = {"02_nade.html": (-70, -70)}  # how far a handle is dragged where it moves by whole rows of pixels
# The words of a question, without its formulas.
WORDS = """(one) => {
    const copy = one.cloneNode(true);
    for (const formula of copy.querySelectorAll(".nfteach-tex, .nfteach-tag")) formula.remove();
    return copy.textContent.replace(/\\s+/g, "");
}"""
MODELS = '<script type="application/json" id="models">'
SIDEWAYS = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def book(browser: Browser) -> Iterator[Page]:
    """A page in a browser without a network; `complaints` also holds what could not be loaded."""
    assert (BOOK / "index.html").exists(), "the book must be built first; run `make site`"
    with fresh_page(browser, offline=True, reduced_motion="reduce") as page:
        page.on("requestfailed", lambda request: page.complaints.append(f"{request.failure}: {request.url}"))
        yield page


@pytest.fixture(scope="module", params=PAGES)
def name(request) -> str:
    """The file of a page; what is asked of one page is asked one after another, for to open it takes seconds."""
    return request.param


@pytest.fixture
def read(book: Page):
    """Open a page of the book; at the end of the test nothing may have gone wrong in it.

    With ``again=False``, a page that is open already is taken as it is.
    """

    def opened(name: str, width: int = 1280, again: bool = True) -> Page:
        book.set_viewport_size({"width": width, "height": 900})
        if again or book.url != (BOOK / name).as_uri():
            book.goto((BOOK / name).as_uri())
        return book

    book.complaints.clear()
    yield opened
    assert [one for one in book.complaints if "ERR_ABORTED" not in one] == []  # the reader went on


@cache
def parted(name: str) -> tuple[str, str]:
    """Return a page without the state of its widgets, which takes long to parse as HTML, and that state."""
    text = (BOOK / name).read_text(encoding="utf-8")
    before, tag, rest = text.partition(MODELS)
    state, end, after = rest.partition("</script>")
    return before + tag + end + after, state


@cache
def soup(name: str) -> BeautifulSoup:
    return BeautifulSoup(parted(name)[0], "html.parser")


def models(name: str) -> dict:
    return json.loads(parted(name)[1])["models"]


# ---- every page ----


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere_and_pictures_are_described(name):
    page = soup(name)
    for address in {link["href"] for link in page.select("a[href]")}:
        if re.match(r"https?://", address):
            continue
        path, _, anchor = address.partition("#")
        assert (BOOK / path).is_file() or not path, f"{name} links to {address}"
        if anchor:
            assert soup(path or name).find(id=unquote(anchor)), f"{name} links to {address}"
    for image in page.select("img"):
        assert image["alt"].strip(), f"{name} does not describe {image['src']}"
        assert (BOOK / image["src"]).is_file()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_comes_from_elsewhere(name):
    for element in soup(name).select("[src], link[href]"):
        assert not re.match(r"(https?:)?//", element.get("src") or element["href"]), element
    assert not re.search(r"url\(\s*['\"]?https?:", (BOOK / "assets" / "book.css").read_text())


# ---- lessons ----


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", LESSONS, indirect=True)
def test_predictions_are_judged(read, name):
    specs = [model["state"]["_spec"] for model in models(name).values() if "_spec" in model["state"]]
    page = read(name)
    folded = page.locator("details.reveals")
    hidden = folded.count()
    assert page.locator("details.reveals[open]").count() == 0
    for widget in page.query_selector_all(".widget"):
        if widget.is_visible():
            widget.scroll_into_view_if_needed()
            page.wait_for_function("(one) => 'live' in one.dataset", arg=widget)
    predictions = page.locator(".nfteach-prediction")
    expect(predictions).to_have_count(len(specs))
    roots = [pinned(root) for root in predictions.all()]
    assert roots
    asked = {in_page(spec["question"]): spec for spec in specs}
    assert len(asked) == len(specs)
    for root in roots:
        wrong, right = answers(asked[root.locator(".nfteach-question").evaluate(WORDS)])
        commit(root, wrong)
        expect(root).to_have_attribute("data-state", "again")
        commit(root, right)
        expect(root).to_have_attribute("data-state", "right")
        places = root.locator(".nfteach-tex")
        expect(places.locator("mjx-container")).to_have_count(places.count())
    expect(page.locator("details.reveals[open]")).to_have_count(hidden)


def in_page(text: str) -> str:
    """Return the words of a text of a prediction, as the page shows them, without its formulas."""
    text = re.sub(r"\$\$.*?\$\$|\$(?:\\.|[^$\\])+\$", "", text, flags=re.DOTALL)
    text = re.sub(r"\*\*(\S.*?\S)\*\*|\*(\S.*?\S|\S)\*|`(.*?)`", lambda found: next(filter(None, found.groups())), text)
    return re.sub(r"\s+", "", re.sub(r"\\([\\`*$])", r"\1", text))


def answers(spec: dict) -> tuple[int | str, int | str]:
    """A wrong and a right answer."""
    if "choices" in spec:
        return (spec["right"] + 1) % len(spec["choices"]), spec["right"]
    return str(round(2 * spec["number"]["value"] + 7)), spec["number"]["shown"]


def commit(root: Locator, answer: int | str) -> None:
    if isinstance(answer, int):
        root.get_by_role("radio").nth(answer).check()
    else:
        root.get_by_role("textbox").fill(answer)
    root.get_by_role("button", name="Commit").click()


@pytest.mark.parametrize("name", LESSONS, indirect=True)
def test_frames_are_stepped_through(read, name):
    page = read(name, again=False)
    scroll_through(page)
    for slider in page.locator(f".nfteach-frames:visible {FRAMES}").all():
        slider.scroll_into_view_if_needed()
        label = slider.locator("xpath=../*[contains(@class, 'nfteach-frame-label')]")
        slider.press("Home")
        first = label.inner_text()
        slider.press("ArrowRight")
        expect(label).not_to_have_text(first)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", LESSONS, indirect=True)
def test_explorers_are_moved_without_a_kernel(read, name):
    page = read(name, again=False)
    scroll_through(page)
    roots = [pinned(root) for root in page.locator(".nfteach-explorer").all()]
    for root in roots:
        open_more(root)
        began, before = slider_values(root), settled(root)
        expect(root.locator(".nfteach-live").first).to_have_attribute("data-by", "page")
        drags = drag_handles(root, *FAR.get(name, (26, -22)))
        # Each from where the explorer began.
        for moved in chain(*(press(root) for press in PRESSES), drags, press_presets(root)):
            waits = any(label in moved for label in WAITING_FOR_MORE)
            now = settled(root) if waits else changed(root, before)
            if now["error"]:
                assert now["error"] == ALONE, f"{moved}: {now['error']}"
                assert any(repr(label) in moved for label in NOT_EVERY_VALUE), f"{moved}: {now['error']}"
            assert waits or now != before, f"{moved}: nothing has changed"
            reset(root, began)
    page.wait_for_timeout(DEAF)
    expect(page.locator(".nfteach-dead")).to_have_count(0)
    assert roots


def drag_handles(root: Locator, dx: float, dy: float) -> Iterator[str]:
    """Drag each handle in the picture, which must show; all of them can still be dragged afterwards."""
    handles = root.locator(HANDLE)
    count = handles.count()
    for number in range(count):
        root.locator(".nfteach-pic").first.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
        before = settled(root)
        expect(handles).to_have_count(count)
        if handles.nth(number).is_visible():
            drag(handles.nth(number), dx, dy)
            assert changed(root, before) != before, f"handle {number}: nothing has changed"
            yield f"handle {number}"


def changed(root: Locator, before: dict[str, str]) -> dict[str, str]:
    """Return what an explorer shows once it shows something else than before, or after five seconds."""
    for _ in range(20):
        now = settled(root)
        if now != before:
            break
        root.page.wait_for_timeout(250)
    return now


def press_presets(root: Locator) -> Iterator[str]:
    """Click each preset."""
    for preset in root.locator(".nfteach-preset").all():
        preset.click()
        yield f"preset {preset.inner_text()!r}"


def test_page_opens_with_all_its_widgets_and_fits_every_width(read, name):
    page = read(name, again=False)
    scroll_through(page)
    assert not [text for text in page.locator(".widget").all_inner_texts() if EXCUSE.search(text)]
    assert (page.locator(".widget").count() > 0) == (name in ["index.html", *LESSONS])
    assert set(page.locator(".nfteach-error:visible").all_inner_texts()) <= {ALONE}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SIDEWAYS) == 0, f"{name} scrolls sideways at {width} pixels"


def test_some_lessons_have_frames():
    found = [name for name in LESSONS if any(model["state"].get("_frames") for model in models(name).values())]
    assert {"00_start_here.html", "04_planar_flows.html"} <= set(found)


@pytest.mark.parametrize("name", LESSONS)
def test_every_exercise_has_its_hints_and_its_solution(name):
    page = soup(name)
    numbers = [exercise.number for exercise in exercises_of(import_module(f"nfteach.exercises.lesson_{name[:2]}"))]
    found = {aside.strong.text.removeprefix("Exercise "): aside for aside in page.select("aside.exercise")}
    assert list(found) == numbers
    for aside in found.values():
        titles = [summary.text for summary in aside.select("summary")]
        assert titles[-1] == "Solution"
        assert titles[0] == "Hint 1"
        assert aside.select("details:last-of-type .code")


# ---- the page around the text ----


def test_search_finds_a_section_and_leads_to_it(read):
    page = read("index.html")
    page.keyboard.press("/")
    page.keyboard.type("matrix determinant lemma")
    results = page.locator("#found [role=option]")
    expect(results.first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(results.first).to_have_attribute("aria-selected", "true")
    wanted = results.first.locator("a").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{wanted}")
    assert "determinant" in page.inner_text("main").lower()


def test_search_forgives_a_slip_and_admits_defeat(read):
    page = read("glossary.html")
    field = page.get_by_role("combobox", name="Search the book")
    field.fill("jacobain")
    expect(page.locator("#found [role=option]").first).to_be_visible()
    field.fill("zzzzqqqq")
    expect(page.locator("#found")).to_contain_text("Nothing found")
    field.press("Escape")
    expect(page.locator("#found")).to_be_hidden()


def test_theme_is_that_of_the_system_until_another_is_chosen(read):
    page = read("index.html")
    page.emulate_media(color_scheme="light")
    scroll_through(page)
    body, picture = page.locator("body"), page.locator(".nfteach-live").first
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    ink = picture.evaluate("(one) => getComputedStyle(one).color")
    page.emulate_media(color_scheme="dark")
    expect(body).to_have_css("background-color", "rgb(17, 17, 17)")
    expect(picture).not_to_have_css("color", ink)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(picture).to_have_css("color", ink)
    page = read("glossary.html")  # what was chosen stays, whatever the system has
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    page.evaluate("localStorage.clear()")
    page.emulate_media(color_scheme="light")


def test_contents_open_on_a_telephone(read):
    page = read("04_planar_flows.html", width=390)
    contents = page.get_by_role("navigation", name="Contents")
    expect(contents).to_be_hidden()
    page.get_by_role("button", name="Contents").click()
    contents.get_by_role("link", name="Repairing u").click()
    expect(contents).to_be_hidden()
    expect(page.get_by_role("heading", name="Repairing u")).to_be_in_viewport()


def test_pages_are_turned_from_first_to_last():
    for before, after in pairwise(PAGES):
        assert soup(before).select_one("a[rel=next]")["href"] == after
        assert soup(after).select_one("a[rel=prev]")["href"] == before


def test_first_lesson_is_usable_soon(read):
    took = []
    for _ in range(3):  # what else runs on the machine may slow one of them
        began = time.perf_counter()
        page = read("00_start_here.html")
        page.wait_for_selector(".widget[data-live] canvas")
        took.append(time.perf_counter() - began)
    print(f"the first explorer was there after {', '.join(f'{one:.1f}' for one in took)} s")
    assert min(took) < USABLE


def test_licences_lie_beside_the_pages():
    text = unescape((BOOK / "assets" / "LICENSES.txt").read_text(encoding="utf-8"))
    for name in ("nfteach", "anywidget", "@jupyter-widgets/html-manager", "mathjax-full", "minisearch", "requirejs"):
        assert re.search(rf"(^|, ){re.escape(name)} ?", text, re.MULTILINE), name
