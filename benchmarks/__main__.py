"""All benchmarks of the package: `make bench`.

nade, rnade, planar, realnvp: the papers' results. speed, growth, jacobian: time and memory. Each of them is also a
program: `python -m benchmarks.nade --help`. Their results are written to a folder, as JSON and as a picture. An
interrupted run is resumed where it stopped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from multiprocessing.connection import wait
from pathlib import Path

from benchmarks.frame import Benchmark, add_options
from benchmarks.peers import actor

__all__ = ["NAMES", "benchmark", "main"]

#: The benchmarks by name, in the order of docs/results.md.
MODULES = {
    "nade": "benchmarks.nade.__main__",
    "rnade": "benchmarks.rnade.__main__",
    "planar": "benchmarks.planar.__main__",
    "realnvp": "benchmarks.realnvp.__main__",
    "speed": "benchmarks.speed.__main__",
    "growth": "benchmarks.growth",
    "jacobian": "benchmarks.jacobian",
}
NAMES = tuple(MODULES)
WITH_DATA = ("nade", "rnade")
#: Modules that PyTorch and the benchmarks import when they are first needed.
LATE = ("torch._dynamo", "sklearn.datasets", "sklearn.mixture")


def benchmark(name: str) -> Benchmark:
    """Import a benchmark."""
    module = import_module(MODULES[name])
    return next(
        kind()
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and issubclass(kind, Benchmark)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return the exit status of the first that failed, or 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)} (default: all)")
    add_options(parser, data=True)
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"NAME must be one of {', '.join(NAMES)}, but is {unknown[0]}")
    commands = {}
    for name in options.names or NAMES:
        commands[name] = ["--out", str(options.out), *["--quick"] * options.quick, *["--fresh"] * options.fresh]
        if name in WITH_DATA and options.data is not None:
            commands[name] += ["--data", str(options.data)]
    try:
        return (_side_by_side if options.quick else _one_by_one)(commands)
    except KeyboardInterrupt:
        return 130


def _one_by_one(commands: dict[str, list[str]]) -> int:
    """Run each benchmark as a program of its own, so that none affects the time or memory of another."""
    status = 0
    for name, arguments in commands.items():
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments]).returncode
        if code in (130, -signal.SIGINT):  # reported by the benchmark, or ended before it could
            return 130
        status = status or code
    return status


def _side_by_side(commands: dict[str, list[str]], at_once: int = 2) -> int:
    """Run quick benchmarks two at a time, in forked processes that share the imports, which take most of the time."""
    actor.START = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(actor.START)
    for module in [*LATE, *(MODULES[name] for name in commands)]:
        import_module(module)
    status, waiting, running = 0, list(commands.items()), {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < at_once:
                name, arguments = waiting.pop(0)
                process = context.Process(target=_logged, args=(name, arguments, Path(folder, name)))
                process.start()
                running[process.sentinel] = name, process
            for sentinel in wait(running):
                name, process = running.pop(sentinel)
                process.join()
                print(f"\n== {name}\n{Path(folder, name).read_text()}", flush=True)
                status = status or process.exitcode
    return status


def _logged(name: str, arguments: Sequence[str], file: Path) -> None:
    """Run a benchmark in this process, with its output in a file."""
    with file.open("w") as log, redirect_stdout(log), redirect_stderr(log):
        sys.exit(benchmark(name).main(arguments))


if __name__ == "__main__":
    sys.exit(main())
