"""The framework of the benchmarks: resumable jobs, tables of results and references, records of runs."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import sys
import textwrap
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nfteach.jacobian.views.text import text_table
from nfteach.training import History

__all__ = ["OUT", "Benchmark", "DataMissing", "Run", "Table", "add_options", "completed", "machine", "versions"]

T = TypeVar("T")

#: The default folder of the results.
OUT = Path("artefacts/benchmarks")


@dataclass(frozen=True)
class Table:
    """A table of results and their references, for the terminal and for docs/results.md.

    Attributes:
        title: one line.
        columns: the column headings.
        rows: formatted cells, one for each column; "" for an empty cell.
        note: remarks below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: rows must have {len(self.columns)} cells, but one is {row}")

    def __str__(self) -> str:
        note = ["", *textwrap.wrap(self.note, 110)] if self.note else []
        return "\n".join([self.title, *text_table([self.columns, *self.rows]), *note])

    def markdown(self) -> str:
        """Return the table in Markdown, with its title in bold above and its note below."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        parts = [f"**{self.title}**", "\n".join([line(self.columns), line(rule), *map(line, self.rows)])]
        return "\n\n".join([*parts, self.note] if self.note else parts)


class DataMissing(SystemExit):
    """A missing or malformed data file; the benchmark ends with this one-line message."""


class Run:
    """One run of a benchmark, made of jobs whose results are cached in files.

    Args:
        name: the benchmark's name.
        options: the parsed command line.

    Attributes:
        folder: the folder of the cached results and of the jobs' own files.
        bars: True if progress bars are visible.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        self.folder = options.out / ("quick" if options.quick else "") / name
        self.bars = sys.stderr.isatty()
        self.seconds, self.count, self.expected = 0.0, 0, 0
        if options.fresh or options.quick:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def quick(self) -> bool:
        return self.options.quick

    def expect(self, jobs: int) -> None:
        """Add a number of jobs to the total in the progress lines."""
        self.expected += jobs

    def job(
        self, key: str, work: Callable[[], dict], summary: Callable[[dict], str] = lambda result: "", **settings
    ) -> dict:
        """Return the result of a job, from its file if it was done with the same settings, versions and machine.

        Args:
            key: the job's name, unique within the benchmark.
            work: does the job and returns a result that JSON can hold.
            summary: formats the result for the progress line.
            settings: everything that the result depends on: sizes, seeds, step sizes, threads.
        """
        self.count += 1
        place = f"[{self.count}{f' of {self.expected}' if self.expected >= self.count else ''}]"
        file = self.file(key, ".json")
        conditions = {"settings": _as_json(settings), "versions": versions(), "machine": machine()}
        stored = _read(file)
        if stored is None or any(stored.get(name) != value for name, value in conditions.items()):
            start = time.perf_counter()
            result = _as_json(work())
            stored = {**conditions, "seconds": time.perf_counter() - start, "result": result}
            _write(file, stored)
            how = f"{stored['seconds']:.1f} s"
        else:
            how = "cached"
        self.seconds += stored["seconds"]
        words = [place, f"{self.name}: {key}", summary(stored["result"]), f"({how})"]
        print("  ".join(filter(None, words)), flush=True)
        return stored["result"]

    def file(self, key: str, ending: str) -> Path:
        """Return the path for a job's own file, which is kept as long as the job's result."""
        return self.folder / ("".join(c if c.isalnum() or c in "-.=" else "_" for c in key) + ending)

    def data(self, name: str) -> Path:
        """Return the path of a file in the folder given by ``--data``."""
        if self.options.data is None:
            raise DataMissing(f"{self.name}: {name} is needed; name the folder that holds it with --data")
        return self.options.data / name

    def load(self, loader: Callable[[Path], T], path: Path) -> T:
        """Return ``loader(path)``.

        Raises:
            DataMissing: if the file is missing or malformed, with the loader's message.
        """
        try:
            return loader(path)
        except ValueError as error:
            raise DataMissing(f"{self.name}: {error}") from None


class Benchmark(ABC):
    """A benchmark, which measures in jobs and presents its results in tables and a picture.

    Attributes:
        name: the name of its module, its files and its section on the page of results.
        data: True if it can use a folder of data.
    """

    name: str
    data: bool = False

    @abstractmethod
    def measure(self, run: Run) -> dict[str, Any]:
        """Run the jobs; return everything that the tables and the picture need, in a form that JSON can hold."""

    @abstractmethod
    def tables(self, results: dict[str, Any]) -> list[Table]:
        """Tabulate the results next to their references."""

    @abstractmethod
    def picture(self, results: dict[str, Any]) -> Figure:
        """Draw the results in one picture."""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Measure, print the tables, write NAME.json and NAME.png; return the exit status.

        Args:
            arguments: the command line; by default that of the process.
        """
        options = self._options(arguments)
        run = Run(self.name, options)
        start = time.perf_counter()
        try:
            results = _as_json(self.measure(run))
        except KeyboardInterrupt:
            print(f"\n{self.name}: interrupted; finished jobs are kept, and the same command resumes the run")
            return 130
        except DataMissing as missing:
            print(missing, file=sys.stderr)
            return 2
        record = {
            "benchmark": self.name,
            "command": self._command(options),
            "date": datetime.date.today().isoformat(),
            "seconds": round(run.seconds or time.perf_counter() - start, 1),
            "machine": machine(),
            "versions": versions(),
            "results": results,
        }
        tables = self.tables(results)
        for table in tables:
            print(f"\n{table}")
        record["tables"] = [vars(table) for table in tables]
        file = run.folder.parent / f"{self.name}.json"
        _write(file, record)
        save(self.picture(results), file.with_suffix(".png"))
        print(f"\nwritten to {file} and {file.with_suffix('.png').name} ({run.seconds:.0f} s of jobs)")
        return 0

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.{self.name}",
            description=sys.modules[type(self).__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(parser, data=self.data)
        return parser.parse_args(arguments)

    def _command(self, options: argparse.Namespace) -> str:
        words = ["python -m", f"benchmarks.{self.name}"]
        if self.data and options.data is not None:
            words += ["--data", "DATA"]
        return " ".join(words + ["--quick"] * options.quick)


def add_options(parser: argparse.ArgumentParser, data: bool) -> None:
    """Add the options that all benchmarks share; ``--data`` only for those that can use data."""
    if data:
        parser.add_argument("--data", type=Path, metavar="FOLDER", help="the folder of the data sets")
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FOLDER", help="for the results (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="run everything once, small and short, as a check")
    parser.add_argument("--fresh", action="store_true", help="repeat the jobs that an earlier run has finished")


def completed(history: History) -> History:
    """Return the history of a training that was not interrupted.

    ``fit`` returns early when interrupted; a job must not store that as its result.

    Raises:
        KeyboardInterrupt: if the training was interrupted.
    """
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    figure.savefig(file, dpi=110, metadata={"Software": None})


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, memory, operating system."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
        if hasattr(os, "sysconf")
        else None,
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, PyTorch, this package, and the installed peers, without importing any peer."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("numpy", "scikit-learn", "nfteach", "normflows", "nflows", "zuko", "pyro-ppl"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _as_json(value: Any) -> Any:
    """Return the value as JSON will give it back: tuples as lists, keys as strings."""
    return json.loads(json.dumps(value))


def _read(file: Path) -> dict | None:
    """Read a job's file; return None if it is missing or incomplete."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(file: Path, content: dict) -> None:
    """Write a file atomically, so that an interrupt leaves no incomplete one."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)
