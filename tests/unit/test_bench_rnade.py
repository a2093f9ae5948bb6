"""The RNADE benchmark on artificial data with few steps: averages, choices, and tables."""

import argparse
import json
import math

import numpy as np
import pytest
import torch

from benchmarks.averaging import Averaged
from benchmarks.frame import Run
from benchmarks.rnade import models, report
from benchmarks.rnade.__main__ import RedWine, gaps
from benchmarks.rnade.folds import Fold, best_of, seen, summary, together
from benchmarks.rnade.models import FIXED, Setting, weight
from nfteach.datasets import Dataset
from nfteach.flows import RNADE

SEARCH = {"components": (1, 2), "min_sigma": (1e-3, 1e-1)}
SHORT = {"search": SEARCH, "mixtures": [(1, 1e-3), (2, 1e-3)], "steps": 20}


def rows(count: int, seed: int) -> torch.Tensor:
    """Draw rounded rows (count, 3) that are neither centred nor of unit deviation."""
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return (x * torch.tensor([1.0, 5.0, 0.2]) + 7).round(decimals=1)


def fold(test_seed: int = 2) -> Dataset:
    return Dataset(rows(60, 0), rows(20, 1), rows(20, test_seed), (3,))


@pytest.fixture
def run(tmp_path):
    return Run("rnade", argparse.Namespace(out=tmp_path, quick=True, fresh=False))


def test_the_average_is_scored_and_the_parameters_are_trained():
    model = Averaged(RNADE(2, 3, 2), weight)
    x = torch.zeros(4, 2)
    with torch.no_grad():
        model.trained.b_mu += 1
        assert torch.equal(model.train().log_prob(x), model.trained.log_prob(x))
        assert torch.equal(model.eval().log_prob(x), model.average.log_prob(x))
    assert not any(parameter.requires_grad for parameter in model.average.parameters())


def test_the_average_forgets_the_first_steps():
    model, values = Averaged(torch.nn.Linear(1, 1), weight), []
    for step in range(1, 401):
        torch.nn.init.constant_(model.trained.weight, step)
        model.update(step, 0.0)
        values.append(model.average.weight.item())
    # The average of a weight that grows by one in each step is its value 400 / (memory + 1) steps ago.
    assert values[-1] == pytest.approx(400 * FIXED["memory"] / (FIXED["memory"] + 1), rel=0.01)


def test_orderings_are_permutations_by_name():
    assert models.ordering_of("stored", 4).tolist() == [0, 1, 2, 3]
    assert models.ordering_of("reversed", 4).tolist() == [3, 2, 1, 0]
    shuffled = models.ordering_of("shuffled 1", 11)
    assert sorted(shuffled.tolist()) == list(range(11)) != shuffled.tolist()
    assert torch.equal(shuffled, models.ordering_of("shuffled 1", 11))


def test_only_weights_decay():
    density = models.rnade(3, Setting())
    optimizer = models.decaying(density, 0.5)(list(density.parameters()), lr=0.1)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert {name for name, p in density.named_parameters() if id(p) in decayed} == {"W", "V_alpha", "V_mu", "V_sigma"}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(density.parameters()))


def test_the_gaussian_maximises_the_likelihood():
    x = rows(60, 0)
    entropy = 0.5 * (3 * math.log(2 * math.pi * math.e) + np.linalg.slogdet(np.cov(x.double().T, bias=True))[1])
    assert models.gaussian(x).log_prob(x.double()).mean().item() == pytest.approx(-entropy)
    assert models.mixture_log_prob(x, x, 1, 0.0).mean().item() == pytest.approx(-entropy)


def test_training_and_validation_part_are_standardised_together():
    raw, whole = fold(), together(fold())
    assert len(whole.train) == 80
    assert whole.train.mean(0).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert whole.train.std(0, correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    fitted = torch.cat([raw.train, raw.validation])
    back = whole.test * fitted.std(0, correction=0) + fitted.mean(0)
    assert torch.allclose(back, raw.test, atol=1e-4)


def test_repeated_rows_gaps_and_ties():
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert seen(torch.tensor([[2.0, 3.0], [3.0, 2.0]]), x).tolist() == [True, False]
    assert gaps(torch.tensor([[0.0, 5.0], [2.0, 5.5], [2.0, 6.0], [0.0, 6.5]])) == pytest.approx([2, 0.5 / 0.3125**0.5])
    assert best_of(["a", "b", "c"], [1.0, 3.0, 3.0]) == "b"


def test_repeated_and_new_rows_are_scored_separately():
    scores = summary({"seen": [True, False, False], "RNADE": [-1.0, -2.0, -6.0]})
    assert scores["share"] == pytest.approx(1 / 3)
    assert scores["RNADE"] == pytest.approx({"mean": -3, "error": 7**0.5 / 3**0.5, "repeated": -1, "new": -4})
    assert summary({"seen": [False, False], "RNADE": [0.0, 1.0]})["RNADE"]["repeated"] is None


def test_choices_do_not_depend_on_the_test_part(run):
    one, other = Fold(run, 1, fold(2), **SHORT).result(), Fold(run, 2, fold(3), **SHORT)
    other.number = 1  # the seed, too
    other = other.result()
    assert {key: one[key] for key in ("mixture", "RNADE", "trials")} == {
        key: other[key] for key in ("mixture", "RNADE", "trials")
    }
    assert one["test"]["RNADE"] != other["test"]["RNADE"]


def test_the_search_keeps_the_best_of_each_row(run):
    result = Fold(run, 1, fold(), **SHORT).result()
    for trial in result["trials"]:
        assert trial["chosen"] == best_of(trial["values"], trial["scores"]) == result["RNADE"][trial["of"]]
    first, second = result["trials"]
    assert second["scores"][0] == max(first["scores"])  # the start of the second row


def test_a_file_gives_tables_and_a_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.rnade.__main__.SEARCH", {"ordering": ("stored", "reversed")})
    data = fold()
    parts = {"train": data.train, "valid": data.validation, "test": data.test}
    np.savez(tmp_path / "red_wine.npz", **{f"fold{k}_{part}": x.numpy() for k in (1, 2) for part, x in parts.items()})
    assert RedWine().main(["--quick", "--data", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "quick/rnade.png").stat().st_size > 1000
    results = json.loads((tmp_path / "quick/rnade.json").read_text())["results"]
    scores, trials, repeats = report.tables(results)
    assert [row[0] for row in scores.rows] == ["Gaussian", "mixture of Gaussians", "RNADE"]
    assert [row[3].split()[-1] for row in scores.rows] == ["-13.18", "-10.19", "-9.36"]
    assert len(trials.rows) == 2
    assert len(repeats.rows) == 3
    out = capsys.readouterr().out
    assert "[10 of 10]" in out
    assert "±" in out


def test_a_missing_file_ends_the_run(tmp_path, capsys):
    assert RedWine().main(["--quick", "--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "there is no file" in capsys.readouterr().err
