"""Run suites of tests side by side, and end with one list of what failed and the command that runs it again alone.

`make test` calls it. A suite is a target of the Makefile; its output goes to artefacts/logs/TARGET.txt. A browser on a
busy machine may answer too late: a few failed tests of the suites named by --once-more are run again at the end, alone,
and the list names those that passed only then.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = Path("artefacts/logs")
FEW = 3  # failed tests that are run once more; when more fail, the machine is not the reason
FAILED = re.compile(r"^(?:FAILED|ERROR) (?P<test>.+?)(?: - (?P<why>.*))?$", re.MULTILINE)
SKIPPED = re.compile(r"^SKIPPED .*$", re.MULTILINE)
CLOSING = re.compile(r"^=* ?(?P<counts>(?:\d+ \w+, )*\d+ \w+) in [\d.]+s", re.MULTILINE)
DETAILS = re.compile(r"^=+ (?:FAILURES|ERRORS) =+$(.*?)(?=^=+ (?:short test summary|warnings summary))", re.M | re.S)


class Outcome(NamedTuple):
    """A finished suite: its name, exit status, seconds and output."""

    name: str
    status: int
    seconds: float
    text: str

    @property
    def counts(self) -> Counter[str]:
        """The numbers of tests that passed, failed and so on, over all runs of pytest in the suite."""
        found: Counter[str] = Counter()
        for closing in CLOSING.finditer(self.text):
            for part in closing["counts"].split(", "):
                number, word = part.split(" ", 1)
                found[word.removesuffix("s") if word.startswith("error") else word] += int(number)
        return found

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The (test, reason) of each failure; an empty test stands for a suite that failed without one."""
        named = {match["test"]: match["why"] or "" for match in FAILED.finditer(self.text)}
        if self.status and not named:
            return [("", self.text.strip().rpartition("\n")[2])]
        return list(named.items())


def run(names: list[str], at_once: int) -> Iterator[Outcome]:
    """Run the suites, at most `at_once` at a time, in the order given; yield each as it ends."""
    LOGS.mkdir(parents=True, exist_ok=True)
    waiting, running = list(names), {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name = waiting.pop(0)
                log = (LOGS / f"{name}.txt").open("w", encoding="utf-8")
                command = ["make", "--no-print-directory", name]
                process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
                running[process] = (name, log, time.perf_counter())
            for process in [one for one in running if one.poll() is not None]:
                name, log, start = running.pop(process)
                log.close()
                text = Path(log.name).read_text(encoding="utf-8", errors="replace")
                yield Outcome(name, process.returncode, time.perf_counter() - start, text)
            time.sleep(0.1)
    finally:
        for process in running:
            process.terminate()


def passed_alone(outcomes: list[Outcome], names: list[str]) -> list[tuple[str, str]]:
    """Run the failed tests of the suites in `names` once more, one by one; return the (suite, test) that pass now."""
    failures = [(one.name, test) for one in outcomes if one.name in names for test, _ in one.failures if test]
    if len(failures) > FEW:
        return []
    for suite in names:
        (LOGS / f"{suite}-once-more.txt").unlink(missing_ok=True)
    passed = []
    for suite, test in failures:
        with (LOGS / f"{suite}-once-more.txt").open("a", encoding="utf-8") as log:
            command = ["make", "--no-print-directory", suite, f"ONLY={test}"]
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        print(f"  once more: {test}: {'failed again' if done.returncode else 'passes alone'}", flush=True)
        if not done.returncode:
            passed.append((suite, test))
    return passed


def report(outcomes: list[Outcome], unsteady: Collection[tuple[str, str]] = ()) -> str:
    """Return the closing text: details of failures, the skipped tests, and each failure with its command.

    `unsteady` holds the (suite, test) that passed when they were run alone.
    """
    failed = [outcome for outcome in outcomes if outcome.status]
    lines = []
    for outcome in failed:
        details = "".join(DETAILS.findall(outcome.text)) or outcome.text[-3000:]
        lines += [f"---- {outcome.name} ----", details.strip()[-20_000:], ""]
    skipped = [f"  {outcome.name}: {line}" for outcome in outcomes for line in SKIPPED.findall(outcome.text)]
    if skipped:
        lines += ["Skipped:", *skipped, ""]
    failures = [(outcome.name, *failure) for outcome in failed for failure in outcome.failures]
    for title, listed in (
        ("Failed, each with the command that runs it alone:", [one for one in failures if one[:2] not in unsteady]),
        ("Failed beside other suites, passed when run alone:", [one for one in failures if one[:2] in unsteady]),
    ):
        if listed:
            lines.append(title)
            for suite, test, why in listed:
                lines += [f"  {test or suite}{': ' * bool(why)}{why}", f"      {again(suite, test)}"]
            lines.append("")
    total = sum((outcome.counts for outcome in outcomes), Counter())
    broken = sum(1 for outcome in failed if not outcome.counts["failed"] + outcome.counts["error"])
    count = total["failed"] + total["error"] + broken - len(unsteady)
    lines.append(
        f"{total['passed'] + len(unsteady)} passed{f' ({len(unsteady)} alone)' if unsteady else ''}, {count} failed"
    )
    return "\n".join(lines)


def again(suite: str, test: str) -> str:
    """Return the command that runs one test of a suite, or the suite."""
    return f"make {suite}" + (f" ONLY='{test}'" if test else "")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", metavar="SUITE", help="a target of the Makefile")
    at_once = (os.cpu_count() or 1) + 2  # a suite with a browser also waits
    parser.add_argument("--at-once", type=int, default=at_once, help="suites at a time")
    parser.add_argument(
        "--once-more", nargs="*", default=[], metavar="SUITE", help="suites whose failures are repeated"
    )
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    print(f"Running {', '.join(options.suites)}; their output goes to {LOGS}/.", flush=True)
    outcomes = []
    for outcome in run(options.suites, options.at_once):
        outcomes.append(outcome)
        counts = ", ".join(f"{number} {word}" for word, number in outcome.counts.items()) or "done"
        how = "ok" if not outcome.status else "FAILED"
        print(f"  {outcome.name:<14} {how:<7} {outcome.seconds:5.0f} s  {counts}", flush=True)
    unsteady = passed_alone(outcomes, options.once_more)
    print(f"All of it took {time.perf_counter() - start:.0f} s.\n\n{report(outcomes, unsteady)}")
    failures = [(one.name, test) for one in outcomes if one.status for test, _ in one.failures]
    return int(any(failure not in unsteady for failure in failures))


if __name__ == "__main__":
    sys.exit(main())
