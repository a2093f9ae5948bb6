"""Build the learner's and the solved notebooks from notebooks/source, or check that they match their sources."""

import argparse
import sys
from pathlib import Path

from lessons.execute import Timing, execute
from lessons.instep import orphans, stale
from lessons.normalise import normalise, to_text
from lessons.source import NOTEBOOKS, SETS, Lesson, LessonError, discover, read_lesson

LIMIT_LESSON, LIMIT_CELL, LIMIT_KILOBYTES = 60.0, 20.0, 600.0


def build(lesson: Lesson, folder: Path) -> list[str]:
    """Execute and write both notebooks of `lesson`; return a line for each exceeded limit."""
    over = []
    for which in SETS:
        title = f"{lesson.name} ({which})"
        target = lesson.target(folder, which)
        target.parent.mkdir(parents=True, exist_ok=True)
        notebook = lesson.notebooks[which]
        timing = execute(notebook, target.parent, title)
        normalise(notebook, title)
        text = to_text(notebook)
        target.write_text(text, encoding="utf-8", newline="\n")
        over += report(title, timing, len(text.encode()) / 1000)
    return over


def report(title: str, timing: Timing, kilobytes: float) -> list[str]:
    """Print a line of measurements; return a line for each exceeded limit."""
    print(
        f"{title:40} {timing.total:6.1f} s  slowest cell {timing.slowest_cell} ({timing.slowest:.1f} s)  "
        f"{kilobytes:.0f} kB",
        flush=True,
    )
    measured = [
        (timing.total, LIMIT_LESSON, "s for the whole lesson"),
        (timing.slowest, LIMIT_CELL, f"s for cell {timing.slowest_cell}"),
        (kilobytes, LIMIT_KILOBYTES, "kB"),
    ]
    return [f"{title}: {value:.1f} {unit}, the limit is {limit:g}" for value, limit, unit in measured if value > limit]


def check(lessons: list[Lesson], folder: Path, whole: bool) -> list[str]:
    """Return a line for each notebook that does not match its source; with `whole`, also for those without one."""
    found = [line for lesson in lessons for line in stale(lesson, folder)]
    return found + [f"{path} has no source" for path in (orphans(lessons, folder) if whole else [])]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="?", help="one lesson, such as 02_nade (default: all)")
    parser.add_argument(
        "--folder", type=Path, default=NOTEBOOKS, help="folder that holds source/ (default: that of the course)"
    )
    parser.add_argument("--check", action="store_true", help="list the notebooks that are out of step; run nothing")
    parser.add_argument("--force", action="store_true", help="also build lessons that are in step")
    parser.add_argument("--strict", action="store_true", help="fail if a lesson exceeds a limit of time or size")
    options = parser.parse_args(arguments)
    try:
        lessons = [read_lesson(path) for path in discover(options.folder, options.lesson)]
        if options.check:
            found = check(lessons, options.folder, whole=options.lesson is None)
            print("\n".join([*found, "run `make notebooks`"]) if found else f"{len(lessons)} lessons in step")
            return 1 if found else 0
        due = [lesson for lesson in lessons if options.force or stale(lesson, options.folder)]
        over = [line for lesson in due for line in build(lesson, options.folder)]
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(due)} of {len(lessons)} lessons built; the others were in step")
    for line in over:
        print(f"over the limit: {line}", file=sys.stderr)
    return 1 if over and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
