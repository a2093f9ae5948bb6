"""The colours of the explorers: legible, and distinct for all readers, in light and dark themes and in print."""

import re
from pathlib import Path

import pytest

import nfteach.widgets.stage
from nfteach.widgets.stage.printed import ROLES
from tests.unit.colours import READERS, contrast, least_distance

CSS = Path(nfteach.widgets.stage.__file__).with_name("stage.css").read_text()
MARKS = ("z", "x", "neg", "pos", "ink", "soft")
WORDS = ("z", "x-text", "neg", "pos", "soft")
# JupyterLab's own ground and ink; the ink is black or white at 87 per cent.
LAB = {"light": {"ground": "#ffffff", "ink": "#212121"}, "dark": {"ground": "#111111", "ink": "#e0e0e0"}}


def theme(name: str) -> dict[str, str]:
    """Return the colours that the style sheet states for a theme, and JupyterLab's where it states none."""
    start = {"light": ".nfteach-explorer, .nfteach-live {", "dark": '[data-jp-theme-light="false"] '}[name]
    rule = re.search(rf"^{re.escape(start)}.*?^}}", CSS, re.M | re.S)
    return dict(re.findall(r"--([\w-]+): (#\w{6});", rule[0])) | LAB[name]


@pytest.mark.parametrize("name", LAB)
def test_words_and_marks_stand_out_from_the_page(name):
    colours = theme(name)
    ground = colours["ground"]
    assert {role: contrast(colours[role], ground) for role in WORDS if contrast(colours[role], ground) < 4.5} == {}
    assert {role: contrast(colours[role], ground) for role in MARKS if contrast(colours[role], ground) < 3.0} == {}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", [*LAB, "printed"])
def test_meanings_are_distinct_for_all_readers(name, kind):
    colours = ROLES if name == "printed" else theme(name)
    hues = {colours[role] for role in MARKS}
    assert len(hues) == len(MARKS) - (name == "printed")  # printed, ink and soft are one grey
    assert least_distance(hues, kind) > 10


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_printed_colours_stand_out_from_both_pages(ground):
    assert {role: contrast(ROLES[role], ground) for role in MARKS if contrast(ROLES[role], ground) < 3.0} == {}
