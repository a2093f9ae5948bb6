"""The page of results is in step with its records and has a place for every benchmark."""

import json
import re

import pytest

from benchmarks import __main__ as everything
from benchmarks import publish

PAGE = publish.PAGE.read_text(encoding="utf-8")
RECORDS = publish.published()


def test_every_benchmark_has_its_place_and_its_record():
    assert tuple(match["name"] for match in publish.PLACE.finditer(PAGE)) == everything.NAMES
    assert sorted(RECORDS) == sorted(everything.NAMES)


def test_the_tables_are_those_of_the_records():
    assert publish.filled(PAGE, RECORDS) == PAGE, "docs/results.md is out of step: `make results`"


@pytest.mark.parametrize("name", everything.NAMES)
def test_the_tables_follow_from_the_recorded_numbers(name):
    tables = everything.benchmark(name).tables(RECORDS[name]["results"])
    assert json.loads(json.dumps([vars(table) for table in tables])) == RECORDS[name]["tables"]


@pytest.mark.parametrize("name", everything.NAMES)
def test_a_record_is_of_a_full_run_with_all_libraries(name):
    record = RECORDS[name]
    assert re.fullmatch(rf"python -m benchmarks\.{name}( --data DATA)?", record["command"])
    assert {"torch", "nfteach", "zuko", "normflows", "nflows", "pyro-ppl"} <= record["versions"].keys()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", record["date"])
    assert record["tables"]


@pytest.mark.parametrize("name", everything.NAMES)
def test_a_picture_is_small(name):
    assert (publish.RECORDS / f"{name}.png").stat().st_size < 220_000
    assert (publish.RECORDS / f"{name}.json").stat().st_size < 400_000
