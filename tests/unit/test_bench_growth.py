"""The benchmarks of growth and of the Jacobian, and their measurements: turns, exponents, peak memory."""

import json
import math
from functools import partial

import pytest
import torch

from benchmarks import growth, jacobian, routes, timing
from benchmarks.growth import Growth
from benchmarks.jacobian import Jacobian
from nfteach.jacobian import inspect_jacobian

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def _threads():
    """Restore the number of threads, which the benchmarks set."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ---- measurements ------------------------------------------------------------------------------------------------


def test_a_power_law_has_its_exponent_and_no_error():
    sizes = [4, 8, 16, 32]
    assert timing.exponent(sizes, [0.3 * D**2 for D in sizes]) == pytest.approx([2, 0], abs=1e-7)


def test_the_error_of_an_exponent_is_that_of_least_squares():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    y = torch.tensor([0.1, 0.9, 2.2, 2.8], dtype=torch.float64)
    A = torch.stack([torch.ones_like(x), x], 1)
    solution = torch.linalg.lstsq(A, y[:, None]).solution
    variance = ((A @ solution).squeeze() - y).square().sum() / 2 * torch.linalg.inv(A.T @ A)[1, 1]
    expected = [solution[1].item(), variance.sqrt().item()]
    assert timing.exponent(x.exp().tolist(), y.exp().tolist()) == pytest.approx(expected)


def test_two_sizes_give_an_exponent_without_an_error():
    p, error = timing.exponent([2, 4], [1, 8])
    assert p == pytest.approx(3)
    assert math.isnan(error)


def test_all_entries_take_turns_in_shuffled_rounds():
    calls = []
    contest = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = timing.in_turns(contest, seconds=0, rounds=20)
    assert {name: len(values) for name, values in times.items()} == {"a": 20, "b": 20, "c": 20}
    rounds = [tuple(calls[k : k + 3]) for k in range(0, 60, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len(set(rounds)) == 6, "the order is shuffled"


def test_a_contest_can_have_its_own_measure():
    assert timing.in_turns({"one": lambda: 3.5}, seconds=0, rounds=2, measure=lambda take: take()) == {
        "one": [3.5, 3.5]
    }


def test_the_fastest_other_has_the_lowest_median():
    times = {"ours": [1.0, 1.0, 1.0], "steady": [3.0, 3.0, 3.0], "erratic": [2.0, 9.0, 9.0]}
    assert timing.fastest_other(times, "ours") == "steady"
    assert timing.fastest_other({"ours": [1.0]}, "ours") is None


def test_a_ratio_is_taken_round_by_round():
    # A slow second round affects both entries alike.
    assert timing.ratio({"one": [2, 20, 2], "other": [1, 10, 1]}, "one", "other") == [2, 2, 2]


def test_quartiles_are_in_order():
    assert timing.quartiles([5, 1, 4, 2, 3]) == [2, 3, 4]


def test_tensors_count_until_they_are_freed():
    def work():
        a = torch.zeros(1000, dtype=torch.float64)
        b = a + 1
        del a
        return b * 2

    assert timing.allocated(work) == 2 * 8000  # of three tensors, at most two exist at a time


def test_earlier_tensors_and_their_views_do_not_count():
    x = torch.zeros(1000)
    assert timing.allocated(lambda: x.view(10, 100).T[2:]) == 0
    assert timing.allocated(lambda: x.add_(1)) == 0


def test_tensors_kept_for_the_backward_pass_count():
    w = torch.ones(1000, requires_grad=True)
    with_gradient = timing.allocated(lambda: w.exp().exp().exp().sum().backward())
    with torch.no_grad():
        without = timing.allocated(lambda: w.exp().exp().exp().sum())
    assert with_gradient >= 3 * 4000 > without


def test_the_peak_memory_of_a_fresh_process_is_measured():
    before, most = timing.peak_memory(partial, torch.ones, 100 * MEGABYTE // 4)  # float32
    assert 90 * MEGABYTE < most - before < 110 * MEGABYTE


# ---- growth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", routes.NAMES)
def test_the_three_maps_are_sound_and_structured(name):
    report = inspect_jacobian(routes.build(name, 6)[1], routes.points(5, 6))
    assert report.ok
    assert name != "RNADE" or report.structure.name == "lower triangular"


@pytest.mark.parametrize("name", routes.NAMES)
def test_a_model_is_reproducible_and_leaves_the_random_state_unchanged(name):
    state = torch.get_rng_state()
    one, other = (routes.both_ways(name, 5, 3)["density"]() for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == (3,)
    assert not one.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", routes.NAMES)
def test_elimination_and_structure_agree(name):
    contest = routes.determinants(name, 7)
    by_elimination = routes.elimination(contest["Jacobian"]())["log-det, slogdet"]()
    torch.testing.assert_close(by_elimination, contest["log-det, structure"]()[: routes.FEW])


def test_the_memory_of_a_density_grows_with_d_and_that_of_a_jacobian_with_its_square():
    sizes = [64, 128, 256]
    ways = [routes.both_ways("planar", D, 10) | routes.determinants("planar", D) for D in sizes]
    density, dense = ([timing.allocated(way[what]) for way in ways] for what in ("density", "Jacobian"))
    assert timing.exponent(sizes, density)[0] == pytest.approx(1, abs=0.1)
    assert timing.exponent(sizes, dense)[0] == pytest.approx(2, abs=0.1)


def test_every_operation_has_an_expectation():
    assert set(routes.EXPECTED) == {(name, what) for name in routes.NAMES for what in routes.POINTS}
    assert set(routes.PASSES) == {(name, what) for name in routes.NAMES for what in ("density", "sampling")}


def run(benchmark, out, *options):
    """Make a quick run and return its record."""
    assert benchmark.main(["--quick", "--out", str(out), *options]) == 0
    folder = out / "quick"
    assert 10_000 < (folder / f"{benchmark.name}.png").stat().st_size < 200_000
    return json.loads((folder / f"{benchmark.name}.json").read_text(encoding="utf-8"))


def test_growth_runs_quickly(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(routes, "BATCH", 20)
    monkeypatch.setitem(routes.POINTS, "density", 20)
    monkeypatch.setattr(growth, "QUICK_SIZES", (2, 4, 8))
    monkeypatch.setattr(growth, "QUICK_TURNS", (0.0, 2))
    monkeypatch.setattr(growth, "peak_memory", lambda *_: [1 * MEGABYTE, 3 * MEGABYTE])  # tested above
    record = run(Growth(), tmp_path)
    assert [len(table["rows"]) for table in record["tables"]] == [15, 6, 3]
    assert "2.0 MB more than before it" in capsys.readouterr().out
    # The record alone gives the tables.
    assert [vars(table) for table in Growth().tables(record["results"])] == record["tables"]


def test_growth_stops_if_the_log_dets_differ(monkeypatch):
    monkeypatch.setattr(growth, "elimination", lambda J: {"log-det, slogdet": lambda: torch.full((len(J),), 99.0)})
    with pytest.raises(SystemExit, match=r"planar, D = 3: .* differ by .* nats"):
        growth.measure("planar", 3, 0.0, 2)


# ---- the Jacobian ----------------------------------------------------------------------------------------------------


def test_the_benchmark_of_jacobians_runs_quickly(tmp_path, monkeypatch):
    monkeypatch.setattr(jacobian, "QUICK_SETTINGS", [(2, 3), (4, 3)])
    monkeypatch.setattr(jacobian, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(jacobian, "QUICK_REPORT", (3, 2))
    monkeypatch.setattr(jacobian, "peak_memory", lambda *_: [10**8, 10**9])
    record = run(Jacobian(), tmp_path)
    jacobians, limits = record["tables"]
    assert [row[0] for row in jacobians["rows"]] == ["1, float64, (2, 3)", "1, float64, (4, 3)"]
    assert [row[-1] for row in limits["rows"]] == ["1.1", "20", "2"]
    assert limits["rows"][2][1] == "1.00, of which 0.10 before it began"
    assert [vars(table) for table in Jacobian().tables(record["results"])] == record["tables"]


def test_a_jacobian_other_than_ours_ends_the_benchmark():
    contest = {"ours": lambda: torch.eye(2).double(), "theirs": lambda: torch.zeros(2, 2).double()}
    with pytest.raises(SystemExit, match="that of theirs differs from ours"):
        jacobian.check(contest, torch.float64)


def test_a_report_is_made_by_a_function_for_a_fresh_process():
    assert "Stack: a flow of D = 4 dimensions" in jacobian.report(4, 2)()
