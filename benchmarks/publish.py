"""Puts what `make bench` measured last into docs/results.md: `make results`.

Each section of the page has a place for one benchmark, between `<!-- NAME -->` and `<!-- /NAME -->`: its picture, its
tables, and a line that says when, on what and how they were measured. The words around it are written by hand. The
numbers lie beside the page, in docs/results/NAME.json.
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
    """One benchmark's picture, tables and provenance, in Markdown."""
    name, machine = record["benchmark"], record["machine"]
    picture = f"![{alternative(record)}](results/{name}.png)"
    versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
    took = f"{record['seconds'] / 60:.0f} minutes" if record["seconds"] >= 120 else f"{record['seconds']:.0f} s"
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory GiB']} GiB, {machine['system']}"
    command = record["command"]
    how = f"`{command}`, {record['date']}, {took} on {where}; {versions}. [All numbers](results/{name}.json)"
    return "\n\n".join([picture, *(Table(**table).markdown() for table in record["tables"]), how]) + "\n"


def alternative(record: dict) -> str:
    """For those who cannot see the picture: it shows what the tables say."""
    return "The tables below as a picture: " + "; ".join(table["title"] for table in record["tables"])


def filled(page: str, records: dict[str, dict]) -> str:
    """The page with each place filled from its record; a place without one stays as it is.

    Raises:
        ValueError: if a record has no place in the page.
    """
    places = {match["name"] for match in PLACE.finditer(page)}
    if homeless := sorted(records.keys() - places):
        raise ValueError(
            f"the page has no place for {', '.join(homeless)}; it has places for {', '.join(sorted(places))}"
        )

    def fill(match: re.Match) -> str:
        name = match["name"]
        return match["open"] + section(records[name]) + match["close"] if name in records else match[0]

    return PLACE.sub(fill, page)


def main() -> int:
    """Copy records and pictures, fill the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"of the results (default: {OUT})")
    files = sorted(parser.parse_args().out.glob("*.json"))
    if not files:
        print("there are no results yet: `make bench` makes them", file=sys.stderr)
        return 2
    RECORDS.mkdir(parents=True, exist_ok=True)
    for file in files:
        for each in (file, file.with_suffix(".png")):
            shutil.copyfile(each, RECORDS / each.name)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), published()), encoding="utf-8")
    print(f"{PAGE.name}: {', '.join(file.stem for file in files)}")
    return 0


def published() -> dict[str, dict]:
    """The records beside the page, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(RECORDS.glob("*.json"))}


if __name__ == "__main__":
    sys.exit(main())
