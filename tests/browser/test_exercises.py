"""A checked exercise in JupyterLab, as a learner meets it: typed in, judged, explained, remembered."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.kernel import ask, restart_and_run_all, run_cell

SKELETON = '''def stretched_density(x, a, c):
    """q(x) for x = a z + c, with z standard normal."""
    # your code here
    ...'''
CHECK = "exercise.stretched.check(stretched_density)"
ANSWER = "def stretched_density(x, a, c): return torch.distributions.Normal(c, abs(a)).log_prob(x).exp()"
WRONG = "def stretched_density(x, a, c): return torch.distributions.Normal(c, abs(a)).log_prob(x).exp() * a * a"
ENDLESS = "def stretched_density(x, a, c): exec('while True: pass')"


@pytest.fixture
def exercise(opened, page, tmp_path):
    """The exercise of lesson 00 in a notebook of its own, with progress kept in a folder of this test."""
    imports = (
        f"import os\nos.environ['NFTEACH_PROGRESS'] = {str(tmp_path)!r}\n"
        "from dataclasses import replace\nfrom importlib import reload\n"
        "import torch\nfrom nfteach.exercises import lesson_00 as exercise, progress\nexercise = reload(exercise)"
    )
    assert opened(imports, SKELETON, CHECK, "exercise.stretched.hint()", "exercise.stretched.solution()", "progress()")
    return page


def cell(page: Page, index: int) -> Locator:
    """A code cell of the open notebook, with its output; counted from 0."""
    return page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(index)


def hand_in(page: Page, source: str) -> None:
    """Type `source` over the answer, run it, and have it judged."""
    cell(page, 1).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)
    assert run_cell(page, 1)
    assert run_cell(page, 2)


@pytest.mark.timeout(180)
def test_an_answer_is_judged_explained_and_remembered(exercise, artefacts):
    page = exercise
    verdict = cell(page, 2).get_by_role("status")
    expect(verdict).to_have_text("○ Exercise 0.1 (the density of a stretched variable): not attempted yet.")
    expect(cell(page, 3)).to_contain_text("Hint 1 of 3 for exercise 0.1.")
    expect(cell(page, 3).locator("mjx-container").first).to_be_visible()
    expect(cell(page, 4)).to_contain_text("abs(a)")
    expect(cell(page, 5)).to_contain_text("○ 0.1 the density of a stretched variable (1 hint, solution seen)")

    hand_in(page, WRONG)
    expect(verdict).to_contain_text("✗ Exercise 0.1 (the density of a stretched variable): not yet. You multiplied by")
    expect(verdict.locator("em")).to_have_text("lower")
    page.screenshot(path=artefacts / "not-yet.png")
    hand_in(page, ANSWER)
    expect(verdict).to_have_text("✓ Exercise 0.1 (the density of a stretched variable): right.")

    hand_in(page, SKELETON)
    assert restart_and_run_all(page)
    expect(verdict).to_contain_text("not attempted yet")
    expect(cell(page, 5)).to_contain_text("✓ 0.1 the density of a stretched variable (2 tries, 2 hints")
    page.screenshot(path=artefacts / "remembered.png")
    assert page.complaints == []


@pytest.mark.timeout(180)
def test_an_answer_that_never_ends_leaves_the_kernel_usable(exercise):
    page = exercise
    assert ask(page, "[setattr(exercise, 'stretched', replace(exercise.stretched, seconds=1.0))]") == "[None]"
    hand_in(page, ENDLESS)
    verdict = cell(page, 2).get_by_role("status")
    expect(verdict).to_contain_text("did not come back within 1 seconds")
    hand_in(page, ANSWER)
    expect(verdict).to_contain_text("✓")
