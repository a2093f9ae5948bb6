"""The NADE benchmark: separation of the test part, error bars, and the files it accepts."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.averaging import Averaged
from benchmarks.nade.__main__ import BinarySets, Setting
from benchmarks.nade.models import ShrinkingAdam, blank, chosen, estimate, score, train, weight
from nfteach.datasets import Dataset
from nfteach.flows import NADE

SETTING = Setting(hidden=4, penalty=0.1, ordering="data", rate=0.01, epochs=2)


def rows(count, dim=4, seed=0):
    """Return binary rows whose second column repeats the first."""
    x = (torch.rand(count, dim, generator=torch.Generator().manual_seed(seed)) < 0.4).float()
    x[:, 1] = x[:, 0]
    return x


@pytest.fixture
def data():
    return Dataset(rows(60), rows(30, seed=1), rows(30, seed=2), shape=(4,))


def store(folder, name, data, **others):
    """Write a data set with some of its arrays replaced."""
    parts = {"train_data": data.train, "valid_data": data.validation, "test_data": data.test}
    arrays = {key: part.numpy().astype(np.uint8) for key, part in parts.items()}
    np.savez(folder / f"{name}.npz", **{**arrays, **others})


def run(folder, out):
    """Make a quick run; return its exit status and, if it succeeds, its results."""
    status = BinarySets().main(["--data", str(folder), "--out", str(out), "--quick"])
    return status, json.loads((out / "quick/nade.json").read_text())["results"] if status == 0 else None


@pytest.mark.parametrize("ordering", ["data", "random", "all"])
def test_training_does_not_use_the_test_part(data, ordering):
    setting = replace(SETTING, ordering=ordering)
    with_test, how = train(data, setting, seed=0, bars=False)
    without, how_without = train(replace(data, test=None), setting, seed=0, bars=False)
    assert how == how_without
    assert all(torch.equal(a, b) for a, b in zip(with_test.parameters(), without.parameters(), strict=True))


def test_choices_do_not_depend_on_the_test_part(data, tmp_path):
    found = {}
    for name, test in (("one", data.test), ("other", 1 - data.test)):
        folder = tmp_path / name
        folder.mkdir()
        store(folder, "small", replace(data, test=test))
        found[name] = run(folder, folder)[1]["small"]
    for model in ("NADE", "EoNADE"):
        one, other = (found[name]["models"][model] for name in ("one", "other"))
        assert (one["chosen"], one["candidates"]) == (other["chosen"], other["candidates"])
        assert one["tests"] != other["tests"]


def test_the_highest_validation_log_likelihood_is_chosen():
    assert chosen([{"validation": -3.0}, {"validation": -1.0}, {"validation": -2.0}]) == 1


def test_the_error_is_the_standard_error_of_the_mean():
    scores = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert estimate(scores) == pytest.approx({"mean": scores.mean().item(), "error": scores.std().item() / 20})
    # The means of many samples of 400 have that standard deviation.
    means = torch.randn(5000, 400, generator=torch.Generator().manual_seed(1), dtype=torch.float64).mean(1)
    assert estimate(scores)["error"] == pytest.approx(means.std().item(), rel=0.1)


@pytest.mark.parametrize("agnostic", [False, True])
def test_scores_computed_in_parts_are_log_probabilities(agnostic):
    nade = NADE(4, hidden=5, order_agnostic=agnostic).double()
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    scores = score(nade, states, floats=3 * 4 * 5)  # three rows in a part
    assert scores.exp().sum().item() == pytest.approx(1.0)
    assert torch.allclose(scores, score(nade, states))


def test_weights_shrink_and_biases_do_not():
    weights, bias = torch.nn.Parameter(torch.tensor([[1.0, -1.0, 0.01]])), torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = ShrinkingAdam([weights, bias], lr=0.1, penalty=0.5)
    (0 * weights.sum() + 0 * bias.sum()).backward()
    optimizer.step()
    assert weights.tolist() == [[pytest.approx(0.95), pytest.approx(-0.95), 0.0]]
    assert bias.item() == 1.0


def test_the_average_follows_the_trained_parameters(data):
    model = Averaged(blank(data.train, SETTING, seed=0), weight)
    for step in range(1, 3000):
        torch.nn.init.constant_(model.trained.c, step % 2)
        model.update(step, 0.0)
    assert model.average.c.tolist() == pytest.approx([0.5] * 4, abs=0.01)
    assert torch.equal(model.average.W, model.trained.W)


def test_a_random_ordering_is_the_same_for_all_seeds(data):
    setting = replace(SETTING, ordering="random")
    assert blank(data.train, setting, seed=0).ordering.equal(blank(data.train, setting, seed=1).ordering)


def test_files_of_another_layout_are_skipped(data, tmp_path):
    store(tmp_path, "small", data)
    np.savez(tmp_path / "red_wine.npz", fold1_train=np.zeros((3, 2)))
    (tmp_path / "notes.npz").write_text("not an archive")
    status, results = run(tmp_path, tmp_path / "out")
    assert status == 0
    assert list(results) == ["small"]
    frequencies = (data.train.sum(0) + 1) / (len(data.train) + 2)
    alone = torch.distributions.Bernoulli(frequencies).log_prob(data.test).sum(-1).mean().item()
    assert results["small"]["independent"]["mean"] == pytest.approx(alone)
    assert math.isfinite(results["small"]["models"]["NADE"]["tests"][0]["error"])


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder, data: store(folder, "small", data, test_data=np.full((3, 4), 2)), "0 and 1"),
        (lambda folder, data: store(folder, "small", data, valid_data=np.zeros((3, 5))), "(3, 5)"),
        (lambda folder, data: np.savez(folder / "small.npz", train_data=np.zeros((3, 4))), "lacks valid_data"),
        (
            lambda folder, data: (folder / "dna.npz").write_bytes(b"PK cut short"),
            "complete .npz file",
        ),  # known by its name
        (lambda folder, data: None, "must contain an .npz file"),
        (lambda folder, data: folder.rmdir(), "--data must be a folder"),
    ],
)
def test_a_wrong_file_ends_the_run_with_one_sentence(data, tmp_path, capsys, spoil, word):
    folder = tmp_path / "sets"
    folder.mkdir()
    spoil(folder, data)
    status, _ = run(folder, tmp_path / "out")
    printed = capsys.readouterr()
    assert status == 2
    assert not printed.out
    assert printed.err.startswith("nade: ")
    assert printed.err.count("\n") == 1
    assert word in printed.err
