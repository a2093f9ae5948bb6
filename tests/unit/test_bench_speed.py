"""The speed benchmark without other libraries: turns, ratios, checks of the models, and tables."""

from __future__ import annotations

import pytest
import torch

from benchmarks.speed import __main__ as speed
from benchmarks.speed.bench import Bench
from benchmarks.speed.nade import WAYS, from_scratch, time_ways
from benchmarks.speed.rows import DENSITY, OURS, ROWS, SAMPLE, SMALL, TRAIN, Row
from benchmarks.speed.turns import Contest, verdict
from nfteach.flows import NADE

THREADS = torch.get_num_threads()


@pytest.fixture(autouse=True)
def threads_kept():
    yield
    torch.set_num_threads(THREADS)


def results() -> dict:
    """Return the results of a run in which we are twice as fast as pyro on one thread, and half as fast on two."""
    timed = []
    for threads, ours in ((1, 1.0), (2, 4.0)):
        for row in SMALL:
            ms = {name: [ours if name == OURS else 2.0 + (name != "pyro")] * 3 for name in row.libraries}
            counts = dict.fromkeys(row.libraries, 7)
            timed.append({**vars(row), "words": row.words, "threads": threads, "parameters": counts, "ms": ms})
    powers = dict(zip(WAYS, (1, 1, 2), strict=True))
    dims = [512, 1024, 2048]
    ways = [{"ms": {name: [float(dim**power)] for name, power in powers.items()}, "apart": 1e-6} for dim in dims]
    return {"rows": timed, "nade": {"dims": dims, "hidden": 5, "batch": 3, "ways": ways}}


def test_ratios_are_taken_round_by_round():
    slow_machine = [1.0, 10.0, 100.0]
    found = verdict({OURS: [2.0, 20.0, 200.0], "far": [9.0, 90.0, 900.0], "near": slow_machine})
    assert (found["fastest"], found["ratio"], found["rounds"]) == ("near", [2.0, 2.0, 2.0], 3)
    assert found["medians"] == {OURS: 20.0, "far": 90.0, "near": 10.0}


def test_a_library_alone_has_no_ratio():
    assert verdict({OURS: [1.0, 2.0]})["ratio"] is None


def test_the_rows_cover_all_models_sizes_and_tasks():
    planar = [row for row in ROWS if row.model == "planar"]
    assert all(row.sizes == (2, 32) for row in planar)
    assert {tuple(row.libraries) for row in planar if row.task != DENSITY} == {(OURS, "normflows", "pyro")}
    assert {tuple(row.libraries) for row in planar if row.task == DENSITY} == {(OURS,)}
    assert {(row.sizes[0], row.batch) for row in ROWS if row.model == "realnvp"} == {(2, 256), (2, 4096), (64, 256)}
    assert {row.sizes[0] for row in ROWS if row.model == "autoregressive"} == {64, 784}
    assert {row.task for row in ROWS} == {TRAIN, DENSITY, SAMPLE}
    assert len({row.words for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.words)
def test_our_models_are_prepared_timed_and_left_unchanged(row):
    bench = Bench(OURS)
    parameters = bench.prepare(row, threads=1, seconds=1e-4)
    assert parameters > 0
    assert bench.calls >= 1
    assert 0 < bench.turn() < 10
    before = [p.detach().clone() for p in bench.model.parameters()]
    bench.task()
    change = max(float((p.detach() - old).abs().max()) for p, old in zip(bench.model.parameters(), before, strict=True))
    assert (0 < change < 1e-5) if row.task == TRAIN else change == 0


def test_an_invalid_density_is_rejected(monkeypatch):
    from nfteach.flows import RNADE

    monkeypatch.setattr(RNADE, "log_prob", lambda self, x: x)
    with pytest.raises(ValueError, match="autoregressive, D = 6, H = 8, batch 16: log_prob: shapes must be"):
        Bench(OURS).prepare(Row("autoregressive", (6, 8), 16, DENSITY), threads=1, seconds=1e-4)


def test_a_contest_starts_the_library_in_a_process_of_its_own():
    row = next(row for row in SMALL if row.libraries == [OURS])
    with Contest() as contest:
        result = contest.compare(row, threads=1, seconds=0.0, turn=1e-3)
    assert result["parameters"] == {OURS: 10}
    assert len(result["ms"][OURS]) == 3
    assert min(result["ms"][OURS]) > 0


@pytest.mark.parametrize("dim", [1, 2, 16, 17, 40])
def test_all_three_ways_give_the_density_of_nade(dim):
    torch.manual_seed(dim)
    nade = NADE(dim, 7, torch.randperm(dim)).double()
    x = torch.bernoulli(torch.full((5, dim), 0.5, dtype=torch.float64))
    expected = from_scratch(nade, x)
    for way in WAYS.values():
        torch.testing.assert_close(way(nade, x), expected, rtol=1e-12, atol=1e-12)


def test_the_ways_are_timed_and_compared():
    found = time_ways(dim=5, hidden=4, batch=3, seconds=0.0)
    assert {name: len(times) for name, times in found["ms"].items()} == dict.fromkeys(WAYS, 3)
    assert found["apart"] < 1e-12


def test_tables_and_picture_follow_from_the_results():
    benchmark = speed.Speed()
    one, two, growth = benchmark.tables(results())
    assert len(one.rows) == len(two.rows) == len(SMALL)
    for table, ratio in ((one, "0.50 (0.50 to 0.50)"), (two, "2.00 (2.00 to 2.00)")):
        cells = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
        for row in SMALL:
            found = cells[row.words]
            alone = row.libraries == [OURS]
            assert found["ratio (quartiles); aim: at most 1"] == ("alone" if alone else ratio)
            assert found["fastest other"] == ("" if alone else "pyro")
            assert bool(found["zuko"]) == ("zuko" in row.libraries)
    assert "planar, D = 2, K = 2: nfteach 7 normflows 7 pyro 7" in one.note
    assert [row[-2:] for row in growth.rows] == [["1.00", "1"], ["1.00", "1"], ["2.00", "2"]]
    figure = benchmark.picture(results())
    assert [ax.get_title() for ax in figure.axes][:2] == ["1 thread", "2 threads"]
    assert len(figure.axes) == 3
