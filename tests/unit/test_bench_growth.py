"""The benchmarks of growth and of the Jacobian, and how both measure: turns, exponents, and the most held at once."""

import json
import math

import pytest
import torch

from benchmarks import growth, jacobian, routes, timing
from benchmarks.growth import Growth
from benchmarks.jacobian import Jacobian
from nfteach.jacobian import inspect_jacobian

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def _threads():
    """As many threads afterwards as before: the benchmarks set them."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ---- how it is measured ------------------------------------------------------------------------------------------


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


def test_two_sizes_tell_an_exponent_but_no_error():
    p, error = timing.exponent([2, 4], [1, 8])
    assert p == pytest.approx(3)
    assert math.isnan(error)


def test_all_have_as_many_turns():
    calls = {"a": 0, "b": 0}

    def count(name):
        calls[name] += 1

    times = timing.in_turns({name: lambda name=name: count(name) for name in calls}, seconds=0, rounds=7)
    assert calls == {"a": 7, "b": 7}
    assert {name: len(values) for name, values in times.items()} == calls


def test_a_ratio_is_taken_round_by_round():
    # A slow second round hits both alike, and changes nothing.
    assert timing.ratio({"one": [2, 20, 2], "other": [1, 10, 1]}, "one", "other") == [2, 2, 2]


def test_quartiles_are_in_order():
    assert timing.quartiles([5, 1, 4, 2, 3]) == [2, 3, 4]


def test_tensors_count_while_they_live():
    def work():
        a = torch.zeros(1000, dtype=torch.float64)
        b = a + 1
        del a
        return b * 2

    assert timing.allocated(work) == 2 * 8000  # of three, never more than two at a time


def test_what_was_there_and_views_of_it_do_not_count():
    x = torch.zeros(1000)
    assert timing.allocated(lambda: x.view(10, 100).T[2:]) == 0
    assert timing.allocated(lambda: x.add_(1)) == 0


def test_what_a_backward_pass_keeps_counts():
    w = torch.ones(1000, requires_grad=True)
    with_gradient = timing.allocated(lambda: w.exp().exp().exp().sum().backward())
    with torch.no_grad():
        without = timing.allocated(lambda: w.exp().exp().exp().sum())
    assert with_gradient >= 3 * 4000 > without


def hold(megabytes):
    """For a fresh process: work that fills so much memory."""
    return lambda: torch.ones(megabytes * MEGABYTE, dtype=torch.uint8)


def test_a_fresh_process_tells_what_it_held():
    before, most = timing.peak_memory(hold, 100)
    assert 90 * MEGABYTE < most - before < 110 * MEGABYTE


# ---- growth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", routes.NAMES)
def test_the_three_maps_are_what_they_are_called(name):
    report = inspect_jacobian(routes.build(name, 6)[1], routes.points(5, 6))
    assert report.ok
    assert name != "RNADE" or report.structure.name == "lower triangular"


@pytest.mark.parametrize("name", routes.NAMES)
def test_a_model_is_the_same_each_time_and_nobody_elses_dice_are_thrown(name):
    state = torch.get_rng_state()
    one, other = (routes.both_ways(name, 5, 3)["density"]() for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == (3,)
    assert not one.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", routes.NAMES)
def test_elimination_and_structure_tell_the_same(name):
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
    """A quick run; its record."""
    assert benchmark.main("", ["--quick", "--out", str(out), *options]) == 0
    folder = out / "quick"
    assert 10_000 < (folder / f"{benchmark.name}.png").stat().st_size < 200_000
    return json.loads((folder / f"{benchmark.name}.json").read_text(encoding="utf-8"))


def test_growth_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(routes, "BATCH", 20)
    monkeypatch.setitem(routes.POINTS, "density", 20)
    monkeypatch.setattr(growth, "QUICK_SIZES", (2, 4, 8))
    monkeypatch.setattr(growth, "QUICK_TURNS", (0.0, 2))
    monkeypatch.setattr(growth, "peak_memory", lambda *_: [1 * MEGABYTE, 3 * MEGABYTE])  # tried above
    record = run(Growth(), tmp_path)
    assert [len(table["rows"]) for table in record["tables"]] == [15, 6, 3]
    assert "2.0 MB more than before it" in capsys.readouterr().out
    # From the record alone:
    assert [vars(table) for table in Growth().tables(record["results"])] == record["tables"]


def test_growth_stops_where_the_log_dets_differ(monkeypatch):
    monkeypatch.setattr(growth, "elimination", lambda J: {"log-det, slogdet": lambda: torch.full((len(J),), 99.0)})
    with pytest.raises(SystemExit, match=r"planar, D = 3: .* nats apart"):
        growth.measure("planar", 3, 0.0, 2)


# ---- the Jacobian ----------------------------------------------------------------------------------------------------


def test_the_jacobians_benchmark_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(jacobian, "QUICK_SETTINGS", [(2, 3), (4, 3)])
    monkeypatch.setattr(jacobian, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(jacobian, "REPORT", (3, 2))
    monkeypatch.setattr(jacobian, "peak_memory", lambda *_: [10**8, 10**9])
    record = run(Jacobian(), tmp_path)
    jacobians, asked = record["tables"]
    assert [row[0] for row in jacobians["rows"]] == ["1, float64, (2, 3)", "1, float64, (4, 3)"]
    assert [row[-1] for row in asked["rows"]] == ["1.1", "20", "2"]
    assert asked["rows"][2][1] == "1.00, of which 0.10 before it began"
    assert [vars(table) for table in Jacobian().tables(record["results"])] == record["tables"]


def test_another_jacobian_than_ours_ends_it():
    contest = {"ours": lambda: torch.eye(2).double(), "theirs": lambda: torch.zeros(2, 2).double()}
    with pytest.raises(SystemExit, match="theirs gives another Jacobian"):
        jacobian.check(contest, torch.float64)


def test_a_report_is_made_in_a_process_of_its_own():
    assert "Stack: a flow of D = 4 dimensions" in jacobian.report(4, 2)()
