"""Compare what a run computed with what a notebook stores, by nbval's own rules."""

from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbFile, coalesce_streams, get_sanitize_patterns

__all__ = ["changed_results"]

SANITIZE = Path(__file__).with_name("sanitize.cfg")


def changed_results(session: pytest.Session, stored: Path, executed: NotebookNode) -> list[str]:
    """Return a description of each cell tagged ``nbval-check-output`` whose output is not the stored one.

    Args:
        session: the running pytest session, which nbval's collector needs as its parent.
        stored: the notebook whose outputs are expected; compared as by ``pytest --nbval-lax``.
        executed: the same notebook after a run.
    """
    reference = IPyNbFile.from_parent(session, path=stored)
    reference.compare_outputs = False  # lax: tagged cells only
    reference.sanitize_patterns.update(get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8")))
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    return [
        f"{stored.name}, code cell {number}:\n" + "\n".join(expected.comparison_traceback)
        for number, (expected, cell) in enumerate(zip(reference.collect(), cells, strict=True), start=1)
        if expected.options["check"] and not expected.compare_outputs(coalesce_streams(cell.outputs), expected.cell.outputs)
    ]
