"""The README's promises that can be run."""

from __future__ import annotations

import re

import pytest
import torch

from tests.unit.pages import ROOT, blocks, links

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = [block.code for block in [*blocks(README), *blocks((ROOT / "docs" / "contributing.md").read_text("utf-8"))]]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    scope: dict = {}
    exec(EXAMPLES[number].replace("steps=500", "steps=20, progress=False"), scope)
    if "report" in scope:
        assert "COUPLING" in capsys.readouterr().out
        assert scope["report"].ok
    else:
        assert torch.isfinite(scope["flow"].log_prob(scope["moons"].sample((5,)))).all()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


def test_every_link_leads_somewhere() -> None:
    for target in links(README):
        assert (ROOT / target.partition("#")[0]).exists(), target


def test_the_lessons_listed_are_those_there_are() -> None:
    linked = set(re.findall(r"\(notebooks/(\d\d_\w+)\.ipynb\)", README))
    assert linked == {path.stem for path in (ROOT / "notebooks" / "source").glob("*.md")}


def test_the_test_command_is_the_one_that_continuous_integration_runs() -> None:
    assert "make test " in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
