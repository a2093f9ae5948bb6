"""Find what gives the answer of a prediction away, on the page around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from playwright.sync_api import Page

from nfteach.widgets import predict

__all__ = ["given_away"]

#: What a reader sees at once above and below a prediction, in pixels.
REACH = 600
#: The share of the right answer's own words that may stand around it, as long as a wrong one's are there as well.
SHARE = 0.5

# For each prediction its name, the text that is visible around it, and the outputs that follow within reach.
# Outputs of exercises, and explorers at rest, are left to the eye.
AROUND = """(reach) => {
    const OTHER = /\\.(check|or_solution)\\(|^(explorer = |stepper = )?[A-Z]\\w*(Explorer\\w*|Stepper|Replay)\\(/m;
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = panel.content.widgets.map(({ model, node }) => ({ node, source: model.sharedModel.getSource() }));
    const UNREAD = "mjx-assistive-mml, style, script, .jp-InputPrompt, .jp-OutputPrompt";  // the numbers of cells
    const asked = (source) => source.match(/^predict\\("(.*)"\\)/m)?.[1];
    const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().height > 0;
    return cells.flatMap(({ node, source }, own) => {
        const name = asked(source);
        if (!name) return [];
        const box = node.getBoundingClientRect();
        const near = (rect) => rect.height > 0 && rect.bottom > box.top - reach && rect.top < box.bottom + reach;
        const words = [];
        const shown = [];
        cells.forEach((cell, index) => {
            if (index === own || !near(cell.node.getBoundingClientRect())) return;
            const walker = document.createTreeWalker(cell.node, NodeFilter.SHOW_TEXT);
            for (let text = walker.nextNode(); text; text = walker.nextNode()) {
                const { parentElement: parent } = text;
                if (!parent.checkVisibility() || parent.closest(UNREAD)) continue;
                const range = document.createRange();
                range.selectNodeContents(text);
                if ([...range.getClientRects()].some(near)) words.push(text.data);
            }
            if (index < own || asked(cell.source) || OTHER.test(cell.source)) return;
            for (const output of cell.node.querySelectorAll(".jp-OutputArea-output")) {
                if (seen(output) && near(output.getBoundingClientRect())) shown.push(cell.source.split("\\n")[0]);
            }
        });
        return [{ name, words: words.join(" "), shown }];
    });
}"""

_FORMULA = re.compile(r"\$\$.*?\$\$|\$(?:\\.|[^$\\])+\$", re.DOTALL)
_WORD = re.compile(r"[a-z]{4,}")
_COMMON = set(
    _WORD.findall("""
    about above after again also always because been before below both cannot could does each every exactly from have
    here into just less many more most much never none nothing once only other over same should some still such than
    that their them then there these they this those twice under until very well were what when where which while will
    with without would your
    """)
)


class Around(NamedTuple):
    """A prediction, the visible text around it, and the first lines of cells whose outputs follow it within reach."""

    name: str
    words: str
    shown: list[str]


def given_away(page: Page) -> list[str]:
    """Return a sentence for each prediction of the open notebook whose answer can be read on the same screen."""
    found = []
    for one in (Around(**raw) for raw in page.evaluate(AROUND, REACH)):
        found += [f"{one.name!r}: the output of {line!r} follows without the tag reveals" for line in one.shown]
        found += [f"{one.name!r}: {reason}" for reason in _read_off(one)]
    return found


def _read_off(one: Around) -> Iterator[str]:
    spec = predict(one.name).get_state("_spec")["_spec"]
    if "number" in spec:
        number = spec["number"]["shown"].replace("\N{MINUS SIGN}", "-")
        if len(re.sub(r"\D", "", number)) > 1 and re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", one.words):
            yield f"the number {number} stands around it"
        return
    labels = [choice["label"] for choice in spec["choices"]]
    shares = [_share(index, labels, spec["question"], one.words) for index in range(len(labels))]
    right = spec["right"]
    share, there = shares[right]
    if share > SHARE and share > max(other for index, (other, _) in enumerate(shares) if index != right):
        yield f"around it stand {', '.join(sorted(there))}, words of the right answer alone"


def _share(index: int, labels: list[str], question: str, around: str) -> tuple[float, set[str]]:
    """Return which of the words that only one answer has are there, and their share."""
    others = set().union(_stems(question), *(_stems(label) for place, label in enumerate(labels) if place != index))
    own = _stems(labels[index]) - others
    there = own & _stems(around)
    return (len(there) / len(own) if own else 0.0), there


def _stems(text: str) -> set[str]:
    """Return the words of a text without endings, formulas and common words."""
    words = set(_WORD.findall(_FORMULA.sub(" ", text.lower()))) - _COMMON
    return {re.sub(r"(?<=\w{4})(?:ies|ing|es|ed|ly|s|e|y)$", "", word) for word in words}
