"""What the benchmarks share: jobs that are resumed, tables beside their references, and a record of the run."""

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

from nfteach.training import History

__all__ = ["OUT", "Benchmark", "DataMissing", "Run", "Table", "machine", "versions", "whole"]

T = TypeVar("T")

#: Where results go unless ``--out`` names another folder.
OUT = Path("artefacts/benchmarks")


@dataclass(frozen=True)
class Table:
    """Numbers beside their references, as text for the terminal and as Markdown for the page of results.

    Attributes:
        title: one line.
        columns: the heads.
        rows: as many cells each, already words; "" where there is nothing to say.
        note: what to know when reading it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row has {len(row)} cells for {len(self.columns)} columns: {row}")

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]).rstrip()

        note = ["", *textwrap.wrap(self.note, 110)] if self.note else []
        return "\n".join([self.title, line(self.columns), *map(line, self.rows), *note])

    def markdown(self) -> str:
        """The same as a Markdown table, the title in bold above it and the note below."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        parts = [f"**{self.title}**", "\n".join([line(self.columns), line(rule), *map(line, self.rows)])]
        return "\n\n".join([*parts, self.note] if self.note else parts)


class DataMissing(SystemExit):
    """A data file that is missing or not what it should be: the benchmark ends with one sentence."""


class Run:
    """One run of a benchmark: its options, and its jobs, each of which leaves a file and is not done twice.

    Attributes:
        options: of the command line; ``quick`` among them.
        folder: where the jobs leave their results, and may leave files of their own.
        bars: whether progress bars would be seen.
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
        """How many more jobs are to come, for the progress."""
        self.expected += jobs

    def job(
        self, key: str, work: Callable[[], dict], say: Callable[[dict], str] = lambda result: "", **settings
    ) -> dict:
        """The result of a job: from its file if an earlier run did it with the same settings, else by ``work()``.

        Args:
            key: the job's name in this benchmark, in words.
            work: does it; its result must be made of what JSON has.
            say: what the line of progress says of the result.
            settings: all that the result depends on: sizes, seeds, step sizes, threads.
        """
        self.count += 1
        place = f"[{self.count}{f' of {self.expected}' if self.expected >= self.count else ''}]"
        file = self.file(key, ".json")
        asked = {"settings": _plain(settings), "versions": versions(), "machine": machine()}
        stored = _read(file)
        if stored is None or any(stored.get(name) != value for name, value in asked.items()):
            start = time.perf_counter()
            result = _plain(work())
            stored = {**asked, "seconds": time.perf_counter() - start, "result": result}
            _write(file, stored)
            how = f"{stored['seconds']:.1f} s"
        else:
            how = "done before"
        self.seconds += stored["seconds"]
        print("  ".join(filter(None, [place, f"{self.name}: {key}", say(stored["result"]), f"({how})"])), flush=True)
        return stored["result"]

    def file(self, key: str, ending: str) -> Path:
        """Where a job may leave a file of its own; it stays as long as the job's result does."""
        return self.folder / ("".join(c if c.isalnum() or c in "-.=" else "_" for c in key) + ending)

    def data(self, name: str) -> Path:
        """The place of a data file in the folder that ``--data`` named."""
        if self.options.data is None:
            raise DataMissing(f"{self.name}: {name} is wanted; name the folder that holds it with --data")
        return self.options.data / name

    def load(self, loader: Callable[[Path], T], path: Path) -> T:
        """``loader(path)``; where the file is missing or malformed, the benchmark ends with the loader's sentence."""
        try:
            return loader(path)
        except ValueError as error:
            raise DataMissing(f"{self.name}: {error}") from None


class Benchmark(ABC):
    """A benchmark: it measures in jobs, and makes tables and a picture of what it measured.

    Attributes:
        name: of its module, files and section.
        data: whether it can use a folder of data.
    """

    name: str
    data: bool = False

    @abstractmethod
    def measure(self, run: Run) -> dict[str, Any]:
        """Do the jobs; all that the tables and the picture need, made of what JSON has."""

    @abstractmethod
    def tables(self, results: dict[str, Any]) -> list[Table]:
        """The results beside their references."""

    @abstractmethod
    def picture(self, results: dict[str, Any]) -> Figure:
        """The results in one picture."""

    def main(self, doc: str | None, arguments: Sequence[str] | None = None) -> int:
        """The command line: measure, print, write NAME.json and NAME.png; returns the exit status."""
        options = self._options(doc, arguments)
        run = Run(self.name, options)
        start = time.perf_counter()
        try:
            results = _plain(self.measure(run))
        except KeyboardInterrupt:
            print(f"\n{self.name}: interrupted; what is done is kept, and the same command goes on from there")
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
        print(f"\n{file} and {file.with_suffix('.png').name} hold this ({run.seconds:.0f} s of jobs)")
        return 0

    def _options(self, doc: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.{self.name}",
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if self.data:
            parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds the data sets' files")
        parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"for the results (default: {OUT})")
        parser.add_argument("--quick", action="store_true", help="small and short: does it run?")
        parser.add_argument("--fresh", action="store_true", help="do again what an earlier run has done")
        return parser.parse_args(arguments)

    def _command(self, options: argparse.Namespace) -> str:
        words = ["python -m", f"benchmarks.{self.name}"]
        if self.data and options.data is not None:
            words += ["--data", "DATA"]
        return " ".join(words + ["--quick"] * options.quick)


def whole(history: History) -> History:
    """A training's history, if it was not interrupted: ``fit`` returns early then, and a job must not call that done.

    Raises:
        KeyboardInterrupt: if it was.
    """
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def save(figure: Figure, file: Path) -> None:
    """The picture as PNG, without the time of day in it."""
    FigureCanvasAgg(figure)
    figure.savefig(file, dpi=110, metadata={"Software": None})


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
        if hasattr(os, "sysconf")
        else None,
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Of Python, PyTorch, this package, and the peers that are installed; none of them is imported for it."""
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


def _plain(value: Any) -> Any:
    """As it will be read back."""
    return json.loads(json.dumps(value))


def _read(file: Path) -> dict | None:
    """What a job left, or None if it left nothing whole."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(file: Path, content: dict) -> None:
    """All of it or nothing: an interrupt leaves no half file."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    half.replace(file)
