"""Execution of a notebook in a fresh kernel, independent of the user's settings."""

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from lessons.source import LessonError

__all__ = ["CELL_TIMEOUT", "Timing", "execute"]

CELL_TIMEOUT = 300  # seconds, after which a cell is assumed to hang


class Timing(NamedTuple):
    """Seconds for the whole run with the start of the kernel, the number of the slowest cell (from 1), its seconds."""

    total: float
    slowest_cell: int
    slowest: float


def execute(
    notebook: NotebookNode,
    folder: Path,
    title: str,
    at_end: Callable[[NotebookClient], Awaitable[None]] | None = None,
) -> Timing:
    """Execute `notebook` in place, with `folder` as the kernel's working directory.

    Args:
        notebook: the notebook; its outputs are replaced.
        folder: the working directory.
        title: the name of the notebook in error messages.
        at_end: awaited with the client after the last code cell, while its kernel runs.

    Raises:
        LessonError: if a cell fails, hangs or kills its kernel; the message holds the cell and the traceback.
    """
    last = max((k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code"), default=-1)
    began: dict[int, float] = {}
    took: dict[int, float] = {}

    def start(cell: NotebookNode, cell_index: int) -> None:
        began[cell_index] = time.perf_counter()

    async def stop(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        took[cell_index] = time.perf_counter() - began[cell_index]
        if at_end is not None and cell_index == last:
            await at_end(client)

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # ipykernel 7 warns at each start about unencrypted loopback TCP
        on_cell_execute=start,
        on_cell_executed=stop,
    )
    clock = time.perf_counter()
    try:
        with _clean_environment() as environment:
            client.execute(env=environment)
    except CellExecutionError as error:
        raise LessonError(f"{title}, cell {max(began) + 1} failed:\n{error}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        cell = max(began, default=-1) + 1
        raise LessonError(f"{title}, cell {cell}: {error}\n{notebook.cells[cell - 1].source}") from None
    slowest = max(took, key=took.__getitem__, default=-1)
    return Timing(time.perf_counter() - clock, slowest + 1, took.get(slowest, 0.0))


@contextmanager
def _clean_environment():
    """The environment of a kernel in which numbers and pictures depend on the lesson alone.

    It has one thread, because several threads sum in another order, and no profile, matplotlibrc or progress of the
    user.
    """
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as progress:
        style = Path(find_spec("matplotlib").origin).parent / "mpl-data" / "matplotlibrc"
        yield os.environ | {
            "IPYTHONDIR": profile,
            "MATPLOTLIBRC": str(style),
            "NFTEACH_PROGRESS": progress,
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
        }
