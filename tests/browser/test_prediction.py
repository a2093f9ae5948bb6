"""Predictions in Chromium: in JupyterLab by mouse and by keyboard, kernel idle, busy or gone; on a bare page, too."""

from __future__ import annotations

import json
import pathlib
import re

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

import nfteach.widgets.prediction
from nfteach.widgets import Prediction, predict
from nfteach.widgets.prediction import questions
from nfteach.widgets.prediction.number import read
from nfteach.widgets.prediction.spec import judge
from tests.browser.conftest import OPENED, THEME
from tests.browser.given_away import given_away
from tests.browser.kernel import ask, wait_for
from tests.explorers.front_end import say
from tests.explorers.numbers_typed import FINITE_NOT, NUMBERS, NUMBERS_NOT, TWO_WAYS

SOURCES = pathlib.Path(nfteach.widgets.prediction.__file__).parent
CHOICE = r"""
Prediction(
    r"Two points lie on the same plane $w^\top z = \text{const}$, far apart from each other. How do they move?",
    {
        "the point further from the origin moves further": "Where is the origin in the *formula*?",
        "by exactly the same vector": ("right", r"All that $f$ asks about $z$ is the number $w^\top z + b$."),
        r"in the same direction, by lengths that depend on $\lVert z \rVert$": r"But the length is $h(w^\top z + b)$.",
    },
)
"""
NUMBER = r"""
Prediction(
    r"A layer is $x = z/2$; see `math.log`. It costs \$5, not \$6. What is $\log\lvert dx/dz \rvert$?",
    number="log(1/2)", unit="nats", explanation=r"It is $-\log 2$.",
    wrong={"log(2)": "Does space *grow*?", 1: "That is the derivative of another map."},
    otherwise="Begin with the slope $dx/dz$.",
)
"""
NAMED = (
    "from nfteach.widgets import Prediction, predict",
    f"choice = {CHOICE.strip()}\nchoice",
    f"number = {NUMBER.strip()}\nnumber",
)


def built(source: str) -> Prediction:
    return eval(source.strip(), {"Prediction": Prediction, "predict": predict})


# ---- in JupyterLab ----


def predictions(page: Page) -> list[Locator]:
    found = page.locator(".jp-NotebookPanel:visible .nfteach-prediction")
    expect(found.first).to_be_visible()
    return found.all()


def assert_typeset(root: Locator) -> None:
    """No TeX is left as it was typed, and there is some that was set."""
    places = root.locator(".nfteach-tex")
    expect(places.locator("mjx-container")).to_have_count(places.count())
    assert places.count() > 0
    assert "\\" not in root.inner_text()


@pytest.mark.timeout(240)
def test_by_mouse(opened, page):
    assert opened(*NAMED)
    choice, number = predictions(page)
    assert_typeset(choice)
    assert_typeset(number)
    assert "It costs $5, not $6." in number.inner_text()
    for feedback in ("Where is the origin", "All that", "Does space", "−0.6931"):
        expect(page.locator(".nfteach-prediction").get_by_text(feedback)).to_have_count(0)

    commit, give_up = (choice.get_by_role("button", name=name) for name in ("Commit", "Show the answer"))
    expect(give_up).to_be_hidden()
    commit.click()
    expect(choice.get_by_role("alert")).to_have_text("Choose one first.")
    choice.locator(".nfteach-choice").nth(2).locator("mjx-container").click()  # on the formula in the label
    expect(choice.get_by_role("radio").nth(2)).to_be_checked()
    expect(choice.get_by_role("alert")).to_have_text("")
    expect(choice.get_by_role("status")).to_have_text("")
    expect(choice).to_contain_text("You have two tries.")
    commit.click()
    told = choice.get_by_role("status")
    expect(told).to_contain_text("✗ Not quite. You chose c). But the length is")
    expect(told).not_to_contain_text("The answer")
    expect(choice).not_to_contain_text("All that")
    expect(choice).to_contain_text("One try left.")
    expect(choice.locator(".nfteach-mark")).to_have_text(["", "", "✗ your choice"])
    expect(choice.get_by_role("radio").nth(2)).to_be_disabled()
    assert_typeset(choice)
    wait_for(page, "(choice.right, choice)", "(False, Prediction(c, wrong))")

    choice.locator(".nfteach-choice").nth(1).click()
    commit.click()
    expect(told).to_contain_text("✓ Right at the second try. You chose b). All that")
    expect(choice.locator(".nfteach-mark")).to_have_text(["", "✓ your choice", "✗ your choice"])
    for button in (commit, give_up):
        expect(button).to_be_hidden()
    choice.locator(".nfteach-choice").nth(0).click(force=True)
    expect(choice.get_by_role("radio").nth(1)).to_be_checked()  # locked
    wait_for(page, "[choice]", "[Prediction(c, b, right)]")

    # What the kernel commits shows, too. Then the learner gives up.
    ask(page, "number.commit('1')")
    told = number.get_by_role("status")
    expect(told).to_contain_text("✗ Not quite. You said 1 nats. That is the derivative of another map.")
    number.get_by_role("button", name="Show the answer").click()
    expect(told).to_contain_text("✓ The answer: −0.6931 nats. It is")
    expect(told).to_be_focused()
    assert_typeset(number)
    wait_for(page, "(number._given_up, number)", "(True, Prediction(1, wrong))")
    assert page.complaints == []


@pytest.mark.timeout(240)
def test_by_keyboard_alone(opened, page):
    assert opened(*NAMED)
    choice, number = predictions(page)
    before = cells(page)
    press = page.keyboard.press
    choice.get_by_role("radio").first.focus()
    press("Enter")
    expect(choice.get_by_role("alert")).to_have_text("Choose one first.")
    press("Space")
    expect(choice.get_by_role("radio").nth(0)).to_be_checked()
    press("ArrowDown")
    press("ArrowDown")
    expect(choice.get_by_role("radio").nth(2)).to_be_checked()
    press("ArrowUp")
    press("ArrowUp")
    expect(choice.get_by_role("radio").nth(0)).to_be_checked()
    for key in ("a", "b", "d", "d", "m", "x"):  # which would insert, delete, cut or change cells
        press(key)
    press("Tab")
    expect(choice.get_by_role("button", name="Commit")).to_be_focused()
    press("Shift+Tab")
    expect(choice.get_by_role("radio").nth(0)).to_be_focused()
    press("Enter")
    told = choice.get_by_role("status")
    expect(told).to_contain_text("✗ Not quite. You chose a). Where is the origin in the formula?")
    expect(choice.get_by_role("radio").nth(1)).to_be_focused()  # the first that is left
    press("Enter")
    expect(choice.get_by_role("alert")).to_have_text("Choose one first.")
    press("ArrowDown")
    expect(choice.get_by_role("radio").nth(2)).to_be_checked()
    press("Tab")
    press("Tab")
    expect(choice.get_by_role("button", name="Show the answer")).to_be_focused()
    press("Shift+Tab")
    press("Enter")
    expect(told).to_be_focused()
    expect(told).to_contain_text("✗ Not quite. You chose c). But the length is")
    expect(told).to_contain_text("✓ The answer: b) by exactly the same vector. All that")
    expect(choice.locator(".nfteach-mark")).to_have_text(["✗ your choice", "✓ the answer", "✗ your choice"])
    press("Enter")
    wait_for(page, "[choice]", "[Prediction(a, c, wrong)]")

    field = number.get_by_role("textbox", name="Your number in nats")
    expect(field).to_have_accessible_description("Two digits are enough; an expression such as log(2)/3 works, too.")
    field.focus()
    page.keyboard.type("add")
    press("Enter")
    expect(number.get_by_role("alert")).to_have_text("Type a number, such as 0.5, 1/3 or log(2).")
    expect(field).to_be_focused()
    press("Control+A")
    page.keyboard.type("0,69")
    expect(number.get_by_role("alert")).to_have_text("")
    press("Enter")
    told = number.get_by_role("status")
    expect(told).to_contain_text("✗ Not quite. You said 0,69 nats. Does space grow?")
    expect(told).not_to_contain_text("The answer")
    expect(field).to_be_focused()
    press("Enter")
    expect(number.get_by_role("alert")).to_have_text("That was your first try.")
    press("Control+A")
    page.keyboard.type("-log 2")
    press("Enter")
    expect(told).to_contain_text("✓ Right at the second try. You said −log 2 nats. The answer is −0.6931 nats. It is")
    expect(told).to_be_focused()
    wait_for(page, "[number]", "[Prediction(0,69, -log 2, right)]")
    field.focus()
    page.keyboard.type("5")  # locked
    expect(field).to_have_value("-log 2")

    assert cells(page) == before, "the notebook took no key for its own"
    # But the keys that save and run do so from here, too. A cell that runs again asks again.
    field.press("Shift+Enter")
    expect(page.locator(".nfteach-prediction").nth(1).get_by_role("status")).to_have_text("")
    wait_for(page, "[number]", "[Prediction(not answered)]")
    assert page.complaints == []


@pytest.mark.timeout(240)
def test_an_output_that_answers_a_prediction_waits_for_it(lab, page):
    made = nbformat.v4.new_code_cell
    cells = [made("from nfteach.widgets import Prediction, predict")]
    for source, word in ((CHOICE, "same"), (NUMBER, "half")):
        answer = made(f"print('the', 'answer: {word}')", metadata={"tags": ["reveals"]})
        cells += [made(source.strip()), answer, made(f"print('besi' + 'de', '{word}')")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), lab.root / OPENED)
    lab.open(page, OPENED)
    assert lab.run_all(page)
    choice, number = predictions(page)
    first, second = (page.get_by_text(f"the answer: {word}") for word in ("same", "half"))
    for word in ("same", "half"):
        expect(page.get_by_text(f"beside {word}")).to_be_visible()
    for answer in (first, second):
        expect(answer).to_be_hidden()
    choice.get_by_role("radio").nth(1).check()
    choice.get_by_role("button", name="Commit").click()
    expect(first).to_be_visible()
    for typed in ("7", "8"):
        expect(second).to_be_hidden()
        number.get_by_role("textbox").fill(typed)
        number.get_by_role("textbox").press("Enter")
    expect(second).to_be_visible()


@pytest.mark.timeout(240)
def test_what_gives_an_answer_away_is_found(lab, page):
    code, markdown = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    name = "04 same plane"
    spec = predict(name).get_state("_spec")["_spec"]
    answer = spec["choices"][spec["right"]]["label"]
    asked = [code("from nfteach.widgets import predict"), code(f'predict("{name}")')]
    far = markdown("word\n\n" * 60)

    def complaints(*cells: nbformat.NotebookNode) -> list[str]:
        notebook = nbformat.v4.new_notebook(cells=list(cells))
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, lab.root / OPENED)
        lab.open(page, OPENED)
        assert lab.run_all(page)
        predictions(page)
        found = given_away(page)
        lab.close(page)
        return found

    shown, tagged = code("print(1)"), code("print(1)", metadata={"tags": ["reveals"]})
    assert complaints(*asked, tagged, markdown("Read on.")) == []
    assert complaints(*asked, far, shown, markdown(answer)) == []
    assert complaints(*asked, shown) == [f"{name!r}: the output of 'print(1)' follows without the tag reveals"]
    for around in ([markdown(answer), *asked], [*asked, markdown(answer)]):
        (found,) = complaints(*around)
        assert "words of the right answer alone" in found


def cells(page: Page) -> list[str]:
    """The cells of the open notebook: type and text."""
    script = "() => window.jupyterapp.shell.currentWidget.content.widgets.map((one) => one.model.toJSON())"
    return [cell["cell_type"] + "".join(cell["source"]) for cell in page.evaluate(script)]


@pytest.mark.timeout(240)
def test_an_answer_comes_also_while_the_kernel_is_busy_and_when_it_is_gone(opened, page, tmp_path):
    assert opened(*NAMED, "import pathlib, time")
    choice, number = predictions(page)
    go = tmp_path / "go"
    page.evaluate(
        """(code) => { window.busy = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
            .requestExecute({ code }).done; }""",
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)",
    )
    status = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    page.wait_for_function(f"{status} === 'busy'")
    choice.get_by_role("radio").nth(0).check()
    choice.get_by_role("button", name="Commit").click()
    expect(choice.get_by_role("status")).to_contain_text("Where is the origin")
    assert page.evaluate(status) == "busy"
    go.touch()
    page.evaluate("async () => { await window.busy }")
    wait_for(page, "choice.right", "False")

    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel")
    choice.get_by_role("radio").nth(1).check()
    choice.get_by_role("button", name="Commit").click()
    expect(choice.get_by_role("status")).to_contain_text("✓ Right at the second try.")
    assert_typeset(choice)
    for typed, told in (("4", "Begin with the slope"), ("sqrt(4) - 1", "The answer: −0.6931 nats")):
        number.get_by_role("textbox").fill(typed)
        number.get_by_role("textbox").press("Enter")
        expect(number.get_by_role("status")).to_contain_text(told)
    expect(number.get_by_role("status")).to_contain_text(
        "You said sqrt(4) - 1 nats, which is 1. That is the derivative"
    )
    assert_typeset(number)
    # The widget manager's own words for a kernel that is gone; nothing of ours failed.
    assert all(said.startswith("Could not send widget sync message") for said in page.complaints), page.complaints


@pytest.mark.timeout(240)
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_each_state_can_be_read_in_both_themes(opened, page, artefacts, theme):
    lessons = [f"predict({name!r})" for name in ("06 nice height", "05 lost hump")]
    assert opened(*NAMED, *lessons)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate(THEME, theme)
    page.wait_for_function("(theme) => document.body.dataset.jpThemeName === theme", arg=theme)
    choice, number, height, hump = predictions(page)

    def answer(choice: Locator, index: int, number: Locator, typed: str, name: str) -> None:
        choice.get_by_role("radio").nth(index).check()
        choice.get_by_role("button", name="Commit").click()
        number.get_by_role("textbox").fill(typed)
        number.get_by_role("textbox").press("Enter")
        picture(page, choice, number, artefacts / f"{name}.png")

    number.get_by_role("textbox").fill("many")
    number.get_by_role("textbox").press("Enter")
    choice.get_by_role("radio").first.check()
    picture(page, choice, number, artefacts / "open.png")
    answer(choice, 0, number, "1/3", "again")
    answer(choice, 2, number, "log 2", "wrong")
    answer(height, 1, hump, "log(3/2)", "right")
    assert page.complaints == []


def picture(page: Page, choice: Locator, number: Locator, path: pathlib.Path) -> None:
    """A screenshot to look at, and what can be measured: the contrast of all text, and that nothing sticks out."""
    assert_typeset(choice)
    assert_typeset(number)
    page.screenshot(path=path)
    for root in (choice, number):
        found = root.evaluate(CONTRASTS)
        assert len(found) > 4
        assert min(found.values()) >= 4.5, {words: ratio for words, ratio in found.items() if ratio < 4.5}
        assert root.evaluate(STICKING_OUT) == [], "nothing sticks out"


# What a reader sees beyond the card's sides. MathJax's copy of a formula for screen readers is clipped to one pixel,
# yet Chromium counts its full width in `scrollWidth`: only what is painted is measured, to a pixel for rounding.
STICKING_OUT = r"""(root) => {
    const card = root.getBoundingClientRect();
    const painted = (one) => one.checkVisibility() && !one.closest('mjx-assistive-mml');
    const out = ({ left, right, width }) => width > 0 && (left < card.left - 1 || right > card.right + 1);
    return [...root.querySelectorAll('*')]
        .filter((one) => painted(one) && out(one.getBoundingClientRect()))
        .map((one) => `${one.tagName} ${one.textContent.slice(0, 40)}`);
}"""


# WCAG 2.2, 1.4.3: the contrast of every piece of text that shows to what lies behind it.
CONTRASTS = r"""(root) => {
    const rgba = (text) => {
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a];
    };
    const light = ([r, g, b]) => {
        const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = rgba(getComputedStyle(node).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255];
    };
    const found = {};
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const node = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !node.checkVisibility() || node.closest('mjx-assistive-mml')) continue;
        const [a, b] = [light(rgba(getComputedStyle(node).color)), light(behind(node))];
        found[walk.currentNode.data.trim()] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }
    return found;
}"""


@pytest.mark.timeout(120)
def test_two_views_of_one_prediction_agree(opened, page):
    assert opened(NAMED[0], NAMED[1], "choice")
    first, second = predictions(page)
    for index, view, told in ((0, second, "✗ Not quite."), (1, first, "✓ Right at the second try.")):
        view.get_by_role("radio").nth(index).check()
        view.get_by_role("button", name="Commit").click()
        for root in (first, second):
            expect(root.get_by_role("status")).to_contain_text(told)
            expect(root.get_by_role("radio").nth(0)).to_be_disabled()
            assert_typeset(root)
    for root in (first, second):
        expect(root.get_by_role("radio").nth(1)).to_be_checked()
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_a_stored_notebook_reads_well_before_it_is_run(lab, page, artefacts):
    made = []
    for count, source in enumerate(('predict("06 nice height")', 'predict("05 lost hump")', NUMBER), start=1):
        data, _ = built(source)._repr_mimebundle_()
        stored = {kind: data[kind] for kind in ("text/plain", "text/markdown")}  # as the builder keeps it
        output = nbformat.v4.new_output("execute_result", stored, execution_count=count)
        made.append(nbformat.v4.new_code_cell(source, outputs=[output], execution_count=count))
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.root / OPENED)
    lab.open(page, OPENED)
    outputs = page.locator(".jp-NotebookPanel:visible .jp-RenderedMarkdown")
    expect(outputs).to_have_count(3)
    choice, hump, number = outputs.all()
    expect(choice.locator("li")).to_have_count(4)
    expect(choice.locator("blockquote")).to_contain_text("Predict. You push a standard normal of the plane")
    expect(number.locator("blockquote")).to_contain_text("It costs $5, not $6.")
    for root, feedback in (
        (choice, "If you chose a): The cloud may look denser"),
        (hump, "If you said -0.4055: A divergence is never negative."),
        (number, "If you said 0.6931: Does space grow?"),
    ):
        expect(root.get_by_text(feedback)).to_be_hidden()
        root.locator("summary").click()
        expect(root.get_by_text(feedback)).to_be_visible()
        expect(root.locator("mjx-container").first).to_be_visible()
        assert "\\" not in root.inner_text()
    page.screenshot(path=artefacts / "stored.png")
    assert page.complaints == []


# ---- alone, on a bare page: without MathJax, without a kernel ----

PAGE = """
<!doctype html><meta charset="utf-8"><style>%s</style>
<body style="font: 14px sans-serif"><div id="here"></div>
<script type="module">
import widget, { build, judge, read } from "/prediction.js";
class Model {
  constructor(state) { this.state = state; this.on_ = {}; this.sent = []; }
  get(key) { return this.state[key]; }
  set(key, value) { this.state[key] = value; for (const one of this.on_["change:" + key] || []) one(); }
  save_changes() { throw new Error("no kernel"); }
  send(content) { this.sent.push(content); throw new Error("no kernel"); }
  on(event, handler) { (this.on_[event] ||= []).push(handler); }
  off(event, handler) { this.on_[event] = (this.on_[event] || []).filter((other) => other !== handler); }
}
window.show = (state, manager) => {
  window.model = new Model(state);
  model.widget_manager = manager;
  window.close_view = widget.render({ model, el: here });
};
Object.assign(window, { build, judge, read, ready: true });
</script>
"""


@pytest.fixture
def bare(bare) -> Page:
    """A page that holds the widget's script and nothing else."""
    page = bare
    css = (SOURCES / "prediction.css").read_text()
    script = (SOURCES / "prediction.js").read_text()
    page.route("http://bare/", lambda route: route.fulfill(body=PAGE % css, content_type="text/html"))
    page.route("http://bare/prediction.js", lambda r: r.fulfill(body=script, content_type="text/javascript"))
    page.route("http://bare/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto("http://bare/")
    page.wait_for_function("window.ready")
    return page


def state(prediction: Prediction) -> dict:
    return json.loads(json.dumps(prediction.get_state(["_spec", "_tries", "_given_up", "_pictures"]), allow_nan=False))


def test_the_page_reads_numbers_as_python_does(bare):
    parts = ["0.5", "-2", "1,5", "1e-3", "−1", "0", "50%", "log 2", "(3)", "2^2", "1,234", "2E400", "", "x", "1.60"]
    pairs = [f"{a}{mark}{b}" for a in parts for b in parts for mark in ("/", " * ", "-", "^", " ")]
    texts = [*NUMBERS, *NUMBERS_NOT, *TWO_WAYS, *FINITE_NOT, *pairs]
    pages = bare.evaluate("(texts) => texts.map((text) => read(text, 'bits'))", texts)
    refused = set()
    for text, page in zip(texts, pages, strict=True):
        try:
            typed = read(text, "bits")
        except ValueError as error:
            kind = next(kind for kind in ("two ways", "finite", "number") if kind in str(error))
            assert kind in page["complaint"], text
            refused.add(text)
        else:
            assert page["value"] == pytest.approx(typed.value, rel=1e-12, abs=1e-300), text
            assert page["reach"] == pytest.approx(typed.reach, rel=1e-12), text
    assert refused.isdisjoint(NUMBERS)
    assert refused.issuperset([*NUMBERS_NOT, *TWO_WAYS, *FINITE_NOT])


def test_the_page_judges_as_python_does(bare):
    numbers = [str(k / 100) for k in range(-110, 410, 3)] + ["10", "2 log 2", "log(3/2)", "1.60", "0.40", "1/0.36"]
    for prediction in (built(NUMBER), *map(predict, questions.names())):
        spec = state(prediction)["_spec"]
        answers = list(range(len(spec["choices"]))) if "choices" in spec else numbers
        told = bare.evaluate("([spec, all]) => all.map((one) => judge(spec, one))", [spec, answers])
        assert told == [list(judge(spec, answer)) for answer in answers]


def test_a_text_is_cut_into_its_pieces(bare):
    text = r"**Is $w^\top u$ so?** `a * b` \$5, *not* 2 * 3 * 4 \*" + "\n\nor $$J$$ <b>"
    html = bare.evaluate("(text) => { here.replaceChildren(build(text)); return here.innerHTML; }", text)
    assert html == (
        r'<strong>Is <span class="nfteach-tex" data-tex="w^\top u"></span> so?</strong> <code>a * b</code> $5, '
        '<em>not</em> 2 * 3 * 4 *<span class="nfteach-break"></span>or '
        '<span class="nfteach-tex nfteach-display" data-tex="J"></span> &lt;b&gt;'
    )


def test_without_mathjax_formulas_are_typed_until_their_pictures_come(bare, artefacts):
    prediction = built(CHOICE)
    bare.evaluate("(state) => show(state)", state(prediction))
    root = bare.locator(".nfteach-prediction")
    assert r"$w^\top z = \text{const}$" in root.inner_text()
    (asked,) = bare.evaluate("model.sent")
    everywhere = {r"w^\top z = \text{const}", r"\lVert z \rVert", "f", r"w^\top z + b", "z", r"h(w^\top z + b)"}
    assert set(asked["formulas"]) == everywhere, "those of the feedback, too: the kernel may be gone when it is shown"
    say(prediction, **asked)
    bare.evaluate("(pictures) => model.set('_pictures', pictures)", state(prediction)["_pictures"])
    expect(root.get_by_role("img")).to_have_count(2)
    assert "\\" not in root.inner_text()
    # The picture of a letter is as high as the letters around it, and stands on their line.
    root.get_by_role("radio").nth(1).check()
    root.get_by_role("button", name="Commit").click()  # and the page does not mind that nobody hears it
    expect(root.get_by_role("status")).to_contain_text("✓ Right. You chose b).")
    letter = root.get_by_role("status").get_by_role("img", name="z", exact=True).bounding_box()
    assert 5 < letter["height"] < 10  # an x-height, at 14 pixels an em
    words = root.get_by_role("status").locator("p").bounding_box()
    assert words["y"] < letter["y"] < words["y"] + words["height"]
    bare.screenshot(path=artefacts / "without-mathjax.png")
    bare.evaluate("close_view()")
    assert bare.evaluate("Object.values(model.on_).flat().length") == 0, "no listener is left behind"
    assert bare.complaints == []


@pytest.mark.parametrize(
    "set_up",
    [
        "window.MathJax = { typesetPromise: async (places) => places.forEach(mark) };",
        "window.MathJax = { Hub: { Queue: ([word, hub, places]) => places.forEach(mark) } };",
        "window.manager = { _rendermime: { latexTypesetter: { typeset: mark } } };",
    ],
    ids=["MathJax 3", "MathJax 2", "JupyterLab"],
)
def test_whatever_sets_tex_is_given_each_formula_once_and_nothing_else(bare, set_up):
    bare.evaluate("() => { window.seen = []; window.mark = (place) => seen.push(place.textContent); }")
    bare.evaluate(f"() => {{ {set_up} }}")
    bare.evaluate("(state) => show(state, window.manager)", state(built(NUMBER)))
    bare.wait_for_function("seen.length")
    assert bare.evaluate("seen") == [r"\(x = z/2\)", r"\(\log\lvert dx/dz \rvert\)"]
    assert bare.evaluate("model.sent") == [], "no pictures are asked for"
    bare.locator(".nfteach-number").fill("-9")
    bare.locator(".nfteach-number").press("Enter")
    assert bare.evaluate("seen.slice(2)") == [r"\(dx/dz\)"]
    bare.locator(".nfteach-number").fill("-8")
    bare.locator(".nfteach-number").press("Enter")
    assert bare.evaluate("seen.slice(3)") == [r"\(dx/dz\)", r"\(-\log 2\)"]


def test_a_page_that_is_shown_later_is_set_when_it_is_shown(bare):
    bare.evaluate("() => { window.seen = []; here.style.display = 'none'; }")
    bare.evaluate("() => { window.MathJax = { typesetPromise: async (places) => seen.push(places.length) }; }")
    bare.evaluate("(state) => show(state)", state(built(NUMBER)))
    bare.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert bare.evaluate("seen") == []
    bare.evaluate("() => { here.style.display = ''; }")
    bare.wait_for_function("seen.length")
    assert bare.evaluate("seen") == [2]


def test_a_notebook_that_listens_first_gets_only_the_keys_that_run_and_save(bare):
    bare.evaluate("(state) => show(state)", state(built(CHOICE)))
    # Notebook 7 takes keys in the capture phase, JupyterLab in the bubbling one; both leave elements marked so alone.
    bare.evaluate("""() => { window.heard = { first: [], last: [] };
        const marked = (event) => event.target.hasAttribute('data-lm-suppress-shortcuts');
        const hears = (list) => (event) => marked(event) || list.push(event.key);
        document.addEventListener('keydown', hears(heard.first), true);
        document.addEventListener('keydown', hears(heard.last)); }""")
    bare.get_by_role("radio").first.focus()
    for key in (
        "d",
        "d",
        "Space",
        "ArrowDown",
        "Shift+M",
        "Shift+ArrowDown",
        "Escape",
        "Control+s",
        "Shift+Enter",
        "x",
    ):
        bare.keyboard.press(key)
    expected = ["Control", "s", "Enter"]
    assert bare.evaluate("heard") == {"first": expected, "last": expected}
    bare.evaluate("() => document.activeElement.blur()")
    bare.keyboard.press("y")
    assert bare.evaluate("heard.first.at(-1)") == "y", "and elsewhere, all"


def test_a_key_held_down_commits_once(bare):
    bare.evaluate("(state) => show(state)", state(built(NUMBER)))
    field = bare.locator(".nfteach-number")
    field.fill("3")
    field.focus()
    bare.keyboard.down("Enter")
    bare.keyboard.down("Enter")  # again while it is down: a repeat
    expect(bare.get_by_role("status")).to_contain_text("Begin with the slope")
    expect(bare.get_by_role("alert")).to_have_text("")
    bare.keyboard.up("Enter")
    bare.keyboard.press("Enter")
    expect(bare.get_by_role("alert")).to_have_text("That was your first try.")


def test_texts_are_words_and_never_markup(bare):
    attack = "<img src=x onerror=alert(1)>"
    nasty = Prediction(attack, {f"a {attack}": attack, "b": ("right", f"`{attack}` $x<y$ {attack}")})
    bare.evaluate("(state) => show(state)", state(nasty))
    root = bare.locator(".nfteach-prediction")
    for index in range(2):
        root.get_by_role("radio").nth(index).check()
        root.get_by_role("button", name="Commit").click()
    assert root.locator("img").count() == 0
    assert len(re.findall(re.escape(attack), root.inner_text())) == 4
    assert bare.complaints == []
