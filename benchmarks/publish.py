"""Publish the results of the last `make bench` in docs/results.md: `make results`.

The page has a place for each benchmark, between `<!-- NAME -->` and `<!-- /NAME -->`, which is filled with its picture,
its tables, and a line on when, where and how they were measured. The text around it is written by hand. All numbers are
in docs/results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from benchmarks.frame import OUT, Table

__all__ = ["PAGE", "RECORDS", "filled", "main", "published", "section"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results.md"
RECORDS = ROOT / "docs/results"
PLACE = re.compile(r"(?P<open><!-- (?P<name>\w+) -->\n).*?(?P<close><!-- /(?P=name) -->)", re.DOTALL)


def section(record: dict) -> str:
    """Return the picture, tables and provenance of one benchmark in Markdown."""
    name, machine = record["benchmark"], record["machine"]
    picture = f"![{alternative(record)}](results/{name}.png)"
    versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
    took = f"{record['seconds'] / 60:.0f} minutes" if record["seconds"] >= 120 else f"{record['seconds']:.0f} s"
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory GiB']} GiB, {machine['system']}"
    command = record["command"]
    how = f"`{command}`, {record['date']}, {took} on {where}; {versions}. [All numbers](results/{name}.json)"
    return "\n\n".join([picture, *(Table(**table).markdown() for table in record["tables"]), how]) + "\n"


def alternative(record: dict) -> str:
    """Return the picture's alternative text, for readers who cannot see it."""
    return "The tables below as a picture: " + "; ".join(table["title"] for table in record["tables"])


def filled(page: str, records: dict[str, dict]) -> str:
    """Fill the places of the page from the records; leave a place without a record unchanged.

    Raises:
        ValueError: if a record has no place in the page.
    """
    places = {match["name"] for match in PLACE.finditer(page)}
    if homeless := sorted(records.keys() - places):
        raise ValueError(f"page must have a place for {', '.join(homeless)}, but has {', '.join(sorted(places))}")

    def fill(match: re.Match) -> str:
        name = match["name"]
        return match["open"] + section(records[name]) + match["close"] if name in records else match[0]

    return PLACE.sub(fill, page)


def main() -> int:
    """Copy the records and pictures, fill the page, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FOLDER", help=f"the folder of the results (default: {OUT})"
    )
    files = sorted(parser.parse_args().out.glob("*.json"))
    if not files:
        print("no results to publish; run `make bench` first", file=sys.stderr)
        return 2
    RECORDS.mkdir(parents=True, exist_ok=True)
    for file in files:
        for each in (file, file.with_suffix(".png")):
            shutil.copyfile(each, RECORDS / each.name)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), published()), encoding="utf-8")
    print(f"{PAGE.name}: {', '.join(file.stem for file in files)}")
    return 0


def published() -> dict[str, dict]:
    """Read the published records, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(RECORDS.glob("*.json"))}


if __name__ == "__main__":
    sys.exit(main())
