"""NADE on binary data sets: `python -m benchmarks.nade --data FOLDER`.

Each .npz file in the folder that holds train_data, valid_data and test_data, (N, D) of 0 and 1, is one data set; other
files are skipped. Without a folder, scikit-learn's digits are used, binarised. Scores are mean log-likelihoods of the
test part in nats, as in the table on binary UCI sets of Uria et al. (2016), for

- NADE with one fixed ordering;
- EoNADE: one order-agnostic NADE whose probability is averaged over 16 random orderings, drawn in advance;
- independent attributes with their frequencies in the training part (one 0 and one 1 added), which need no training.

Biases b are initialised from the attributes' frequencies. Training is by Adam on small batches; a running average of
the parameters over recent steps is scored. With a fixed ordering the weights start small, and after each step of Adam
the proximal step of an L1 penalty shrinks them: it favours a few strong connections over many weak ones. The
order-agnostic loss uses one random cut of each row and is so noisy that such shrinking would hold back all weights; so
they start larger, and their penalties are weaker.

Everything is chosen on the validation part: when to stop, the penalty, the step size, and, for the fixed ordering,
whether it is that of the data or a random one. The second table lists the candidates. Only the chosen one is scored on
the test part; for NADE also the same setting trained from two more seeds, which shows the spread and affects no choice.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.frame import Benchmark, DataMissing, Run, Table
from benchmarks.numbers import plus_minus
from nfteach.datasets import Dataset, digits, load_binary

from . import report
from .models import RECIPE, Setting, blank, chosen, estimate, independent, score, train

__all__ = ["AGNOSTIC", "FIXED", "BinarySets"]

KEYS = {"train_data", "valid_data", "test_data"}
#: All candidates are trained from the first seed; the chosen one is trained again from the others.
SEEDS = {"NADE": (0, 1, 2), "EoNADE": (0,)}
FIXED = [
    Setting(100, 0.03, "data", rate=1e-2, epochs=40),
    Setting(100, 0.1, "data", rate=1e-2, epochs=40),
    Setting(100, 0.1, "data", rate=5e-3, epochs=50),
    Setting(100, 0.03, "random", rate=1e-2, epochs=40),
]
AGNOSTIC = [
    Setting(500, penalty, "all", rate, epochs=600, batch=100, start=3.0)
    for penalty, rate in ((0.0, 5e-3), (0.0, 1e-2), (0.01, 5e-3), (0.03, 5e-3))
]


class BinarySets(Benchmark):
    """The test log-likelihoods of NADE and EoNADE on each data set, next to the paper's."""

    name = "nade"
    data = True

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        sets = self._sets(run)
        grids = {"NADE": FIXED, "EoNADE": AGNOSTIC}
        if run.quick:
            grids = {model: [quickened(setting) for setting in grid[:2]] for model, grid in grids.items()}
        run.expect(len(sets) * sum(len(grid) + 2 * len(SEEDS[model]) - 1 for model, grid in grids.items()))
        return {name: self._set(run, name, data, grids) for name, data in sets.items()}

    def _sets(self, run: Run) -> dict[str, Dataset]:
        folder = run.options.data
        if folder is None:
            print("nade: no --data; scikit-learn's digits are used instead of the paper's data sets")
            return {"digits": digits()}
        if not folder.is_dir():
            raise DataMissing(f"nade: --data must be a folder, but {folder} is not; name the folder of the data sets")
        files = [file for file in sorted(folder.glob("*.npz")) if report.known(file.stem) or KEYS & arrays(file)]
        if not files:
            raise DataMissing(f"nade: {folder} must contain an .npz file with {', '.join(sorted(KEYS))}")
        return {file.stem: run.load(load_binary, file) for file in files}

    def _set(self, run: Run, name: str, data: Dataset, grids: dict[str, list[Setting]]) -> dict[str, Any]:
        alone = torch.distributions.Bernoulli(independent(data.train)).log_prob(data.test).sum(-1)
        parts = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
        return {
            "D": data.dim,
            **parts,
            "independent": estimate(alone),
            "models": {model: self._model(run, name, data, model, grid) for model, grid in grids.items()},
        }

    def _model(self, run: Run, name: str, data: Dataset, model: str, grid: list[Setting]) -> dict[str, Any]:
        common = {"data": fingerprint(data), **RECIPE}
        first, *others = SEEDS[model]

        def trained(setting: Setting, seed: int) -> tuple[Path, dict]:
            key = f"{name}, {model} {setting}, seed {seed}"
            file = run.file(key, ".pt")

            def work() -> dict:
                nade, how = train(data, setting, seed, run.bars)
                torch.save(nade.state_dict(), file)
                return how

            summary = "validation {validation:.2f} nats after {epoch:.0f} epochs".format_map
            return file, run.job(key, work, summary, setting=asdict(setting), seed=seed, **common)

        def tested(file: Path, setting: Setting) -> dict:
            nade = blank(data.train, setting, seed=0)
            nade.load_state_dict(torch.load(file, weights_only=True))
            return estimate(score(nade, data.test))

        tried = [trained(setting, first) for setting in grid]
        candidates = [{**asdict(setting), **how} for setting, (_, how) in zip(grid, tried, strict=True)]
        best = chosen(candidates)
        files = [tried[best][0], *(trained(grid[best], seed)[0] for seed in others)]
        tests = [
            run.job(
                f"{name}, {model}, test, seed {seed}",
                partial(tested, file, grid[best]),
                lambda result: f"{plus_minus(result['mean'], result['error'])} nats",
                setting=asdict(grid[best]),
                seed=seed,
                **common,
            )
            for seed, file in zip(SEEDS[model], files, strict=True)
        ]
        return {"candidates": candidates, "chosen": best, "tests": tests}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        return report.tables(results)

    def picture(self, results: dict[str, Any]) -> Figure:
        return report.picture(results)


def quickened(setting: Setting) -> Setting:
    """Return a small and short version of a setting."""
    return replace(setting, hidden=8, epochs=2, batch=100)


def arrays(file: Path) -> set[str]:
    """Return the names of the arrays in an .npz file, or the empty set if the file is damaged."""
    try:
        with zipfile.ZipFile(file) as stored:
            return {entry.removesuffix(".npy") for entry in stored.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def fingerprint(data: Dataset) -> str:
    """Return a hash of the data, by which a later run notices that a file has changed."""
    parts = torch.cat([data.train, data.validation, data.test]).to(torch.uint8)
    return hashlib.sha256(parts.numpy().tobytes() + repr(data).encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(BinarySets().main())
