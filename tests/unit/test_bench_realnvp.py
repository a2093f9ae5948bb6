"""The RealNVP benchmark: densities, the common training, the definition of noise, and a quick run."""

import json
import math

import pytest
import torch

from benchmarks.peers.realnvp import BUILDERS, VARIANTS, build
from benchmarks.realnvp import __main__ as bench
from benchmarks.realnvp import digits, plane
from benchmarks.realnvp.training import Trainer, batches

TRAINING = {"layers": 2, "hidden": (8,), "steps": 30, "batch": 32, "lr": 0.01, "looks": 3}
SIZES = {"train": 200, "validation": 100, "test": 100}


def test_every_library_is_in_the_benchmark():
    assert {name for names in plane.LIBRARIES.values() for name in names} == {*BUILDERS, *VARIANTS}


@pytest.mark.parametrize("name", ["nfteach", "nfteach, zeros"])
def test_our_models_are_densities_with_samples(name):
    torch.manual_seed(0)
    model = build(name, 2, 4, (16,)).double()
    side = (torch.arange(300, dtype=torch.float64) + 0.5) / 300 * 24 - 12
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    assert (model.log_prob(grid).exp().sum() * 0.08**2).item() == pytest.approx(1, abs=1e-3)
    points = model.float().sample(5)
    assert points.shape == (5, 2)
    assert not points.requires_grad


def test_the_variant_starts_as_the_identity():
    x = torch.randn(7, 2)
    assert torch.equal(build("nfteach, zeros", 2, 6, (64, 64)).flow(x), x)
    assert not torch.equal(build("nfteach", 2, 6, (64, 64)).flow(x), x)


def test_a_training_is_reproducible_and_tests_the_parameters_with_the_best_validation():
    parts, own = plane.parts_of("banana", 0, SIZES)
    result = Trainer().train("nfteach", parts, seed=0, **TRAINING)
    assert result == Trainer().train("nfteach", parts, seed=0, **TRAINING)
    assert len(result["validation"]) == 3
    assert result["broke"] is None
    assert result["step"] == 10 * (1 + min(range(3), key=result["validation"].__getitem__))
    assert result["test"] < own + 0.5
    assert plane.parts_of("banana", 0, SIZES)[1] == own != plane.parts_of("banana", 1, SIZES)[1]


def test_a_training_that_breaks_keeps_its_best_parameters():
    parts, _ = plane.parts_of("banana", 0, SIZES)
    parts["train"] = parts["train"] * float("nan")
    result = Trainer().train("nfteach", parts, seed=0, **TRAINING)
    assert (result["broke"], result["step"]) == (1, 0)
    assert math.isfinite(result["test"])


def test_an_epoch_has_each_row_once():
    rows = torch.arange(10.0)
    epoch = batches(rows, 5, seed=0)
    assert torch.equal(torch.cat([next(epoch), next(epoch)]).sort().values, rows)


def test_differences_within_three_standard_errors_are_noise():
    def runs(*gaps):
        return [{"test": gap - 2, "own": -2, "parameters": 9, "broke": None} for gap in gaps]

    value, error = plane.difference(runs(-0.1, -0.2, -0.3), runs(-0.2, -0.3, -0.4))
    assert (value, error) == pytest.approx((0.1, 0.1 * math.sqrt(2 / 3)))
    by_library = {"nfteach": runs(-0.1, -0.11, -0.12), "near": runs(-0.1, -0.12, -0.13), "far": runs(-0.5, -0.51, -0.5)}
    tables = plane.tables({"trained": {"rings": by_library}, "training": TRAINING, "sizes": SIZES})
    _, near, far = tables[1].rows[0]
    assert far.endswith("*")
    assert not near.endswith("*")
    assert "near 0 of 1, far 1 of 1" in tables[1].note


def test_flat_and_multi_scale_have_about_as_many_parameters():
    multi_scale, flat = (sum(p.numel() for p in digits.model_of(kind).flow.parameters()) for kind in digits.SHAPES)
    assert flat == pytest.approx(multi_scale, rel=0.02)


def test_a_uniform_density_costs_all_bits_of_a_pixel():
    assert digits.simple("uniform", 1)["bits"] == pytest.approx(math.log2(17))


def test_realnvp_runs_quickly(tmp_path, monkeypatch, capsys):
    class Here(plane.Lazily):
        """A trainer in this process, since the other libraries are not installed here."""

        def train(self, *args, **more):
            return Trainer().train(*args, **more)

    monkeypatch.setattr(plane, "Lazily", Here)
    monkeypatch.setattr(plane, "IN_QUICK", ("nfteach",))
    threads = torch.get_num_threads()
    try:
        assert bench.RealNVPs().main(["--quick", "--out", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    record = json.loads((tmp_path / "quick/realnvp.json").read_text())
    assert [len(table["rows"]) for table in record["tables"]] == [2, 2, 6]
    assert 0 < (tmp_path / "quick/realnvp.png").stat().st_size < 200_000
