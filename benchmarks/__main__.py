"""Every benchmark of the package, one after another: `make bench`.

nade, rnade, planar, realnvp: the papers' results. speed, growth, jacobian: time and memory. Each is a program of its
own, too: `python -m benchmarks.nade --help`. Its results lie in a folder as JSON and as a picture. What an interrupted
run has done is not done again.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.frame import OUT

__all__ = ["NAMES", "main"]

#: In the order of docs/results.md; those with a data folder first.
NAMES = ("nade", "rnade", "planar", "realnvp", "speed", "growth", "jacobian")
WITH_DATA = ("nade", "rnade")


def main() -> int:
    """Run them; returns the exit status of the first that failed, or 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds the data sets' files")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"for the results (default: {OUT})")
    parser.add_argument("--quick", action="store_true", help="small and short: does it run?")
    parser.add_argument("--fresh", action="store_true", help="do again what an earlier run has done")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(NAMES)}")
    status = 0
    for name in options.names or NAMES:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(options.out)]
        command += ["--quick"] * options.quick + ["--fresh"] * options.fresh
        if name in WITH_DATA and options.data is not None:
            command += ["--data", str(options.data)]
        print(f"\n== {name}", flush=True)
        try:
            code = subprocess.run(command).returncode
        except KeyboardInterrupt:
            return 130
        if code in (130, -signal.SIGINT):  # told so by the benchmark, or ended before it could
            return 130
        status = status or code
    return status


if __name__ == "__main__":
    sys.exit(main())
