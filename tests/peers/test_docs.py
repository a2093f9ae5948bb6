"""The inspector's page on layers of other libraries: each line and each example gives the result that is shown."""

from importlib.metadata import version

import pytest

from nfteach.jacobian import JacobianReport
from tests.unit.pages import ROOT, agree, blocks, cells, in_backticks, output, sections

PAGE = (ROOT / "docs" / "inspector.md").read_text(encoding="utf-8")
HEADING, WORKED_OUT = "Layers of other libraries", "Pyro's Sylvester layer, worked out"
ROWS = cells(sections(PAGE)[HEADING])
BLOCKS = [block for block in blocks(PAGE) if block.heading in {HEADING, WORKED_OUT}]
DISTRIBUTIONS = {"Pyro": "pyro-ppl", "nflows": "nflows", "normflows": "normflows"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_block_prints_the_output_shown(block):
    printed = output(PAGE, block)
    assert agree(printed, block.shown or ""), f"run there: python -m tests.unit.pages docs/inspector.md\n{printed}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: in_backticks(row[1])[0])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*torch.qr is deprecated")
def test_each_line_gives_the_findings_shown(row):
    scope: dict = {}
    for block in blocks(PAGE):
        if block.opens or block.heading == HEADING:
            exec(block.code, scope)
    report = eval(in_backticks(row[1])[0], scope)
    assert isinstance(report, JacobianReport)
    errors = [finding.code for finding in report.findings if finding.severity == "error"]
    assert (errors or [finding.code for finding in report.findings]) == in_backticks(row[4])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: in_backticks(row[1])[0])
def test_each_line_names_the_version_that_is_installed(row):
    library, said = row[0].partition("]")[0].removeprefix("[").split()
    assert version(DISTRIBUTIONS[library]) == said
    assert f"test_{library.lower()}_faults.py" in row[0]


def test_there_are_lines_and_examples():
    assert len(ROWS) >= 10
    assert len(BLOCKS) == 3
