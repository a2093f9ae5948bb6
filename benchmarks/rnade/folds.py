"""The jobs of one fold: choices on validation data, training of the chosen models, and the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.frame import Run
from benchmarks.numbers import mean_and_error
from nfteach.datasets import Dataset

from .models import FIXED, Setting, gaussian, mixture_log_prob, rnade, train

__all__ = ["MIXTURES", "SEARCH", "Fold", "best_of", "seen", "summary", "together"]

#: The candidate values for an RNADE, in the order of the search; K as in the paper.
SEARCH: dict[str, tuple] = {
    "ordering": ("stored", "reversed", "shuffled 1"),
    "components": (2, 5, 10, 20),
    "weight_decay": (0.1, 0.3),
    "lr": (0.02, 0.05),
    "min_sigma": (1e-4, 1e-3, 1e-2, 5e-2),
}
#: The candidate mixtures: (components, constant added to each variance).
MIXTURES = [(count, added) for count in (1, 2, 3, 4, 6, 8, 12, 16) for added in (1e-3, 1e-2)]
#: The maximum number of steps, the steps between validations, and the validations without improvement before stopping.
STEPS, EVERY, PATIENCE = 1000, 10, 15


class Fold:
    """The jobs of one fold.

    Args:
        run: the run that the jobs belong to.
        number: the number of the fold, from 1; also the seed.
        raw: the three parts as stored.
        search, mixtures: the candidates.
        steps: the maximum number of steps of a training.
    """

    def __init__(
        self,
        run: Run,
        number: int,
        raw: Dataset,
        *,
        search: dict[str, tuple] = SEARCH,
        mixtures: list[tuple[int, float]] = MIXTURES,
        steps: int = STEPS,
    ) -> None:
        self.run, self.number, self.raw = run, number, raw
        self.search, self.mixtures, self.steps = search, mixtures, steps
        self.parts, self.all = raw.standardised(), together(raw)
        parts = (raw.train, raw.validation, raw.test)
        self.digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]
        self.tried: dict[Setting, dict] = {}

    def result(self) -> dict[str, Any]:
        """Choose on validation data, then test."""
        mixtures = self._job("mixtures of Gaussians", self._try_mixtures, _validation, tried=self.mixtures)
        mixture = mixtures["chosen"]
        setting, trials = self._search()
        validation = {
            "Gaussian": gaussian(self.parts.train).log_prob(self.parts.validation.double()).mean().item(),
            "mixture": mixtures["validation"],
            "RNADE": self.tried[setting]["validation"],
        }
        # The same number of epochs, on more data.
        steps = max(round(self.tried[setting]["steps"] * len(self.all.train) / len(self.parts.train)), 1)
        chosen = {**asdict(setting), "steps": steps, **self._fixed()}
        self._job("chosen RNADE", partial(self._refit, setting, steps), _fitted, **chosen)
        test = self._job("test", partial(self._test, mixture, setting), _tested, mixture=mixture, **chosen)
        return {
            "mixture": mixture,
            "RNADE": chosen,
            "trials": trials,
            "validation": validation,
            "test": summary(test),
        }

    def _job(self, what: str, work: Callable[[], dict], summary: Callable[[dict], str], **settings) -> dict:
        return self.run.job(f"fold {self.number}, {what}", work, summary, data=self.digest, **settings)

    def _fixed(self) -> dict[str, Any]:
        return {**FIXED, "seed": self.number}

    def _try_mixtures(self) -> dict:
        x, y = self.parts.train, self.parts.validation
        scores = [mixture_log_prob(x, y, *which).mean().item() for which in self.mixtures]
        return {"scores": scores, "validation": max(scores), "chosen": best_of(self.mixtures, scores)}

    def _search(self) -> tuple[Setting, list[dict]]:
        """Find the best setting on the validation part, value by value; return it with the candidates of each."""
        best, trials = Setting(), []
        for name, values in self.search.items():
            tried = [replace(best, **{name: value}) for value in values]
            scores = [self._try(setting)["validation"] for setting in tried]
            best = best_of(tried, scores)
            trials.append({"of": name, "values": values, "scores": scores, "chosen": getattr(best, name)})
        return best, trials

    def _try(self, setting: Setting) -> dict:
        """Train on the training part with early stopping on the validation part, once for each setting."""
        if setting not in self.tried:
            limits = {"steps": self.steps, "validate_every": EVERY, "patience": PATIENCE}
            words = "{ordering}, K={components}, decay={weight_decay:g}, lr={lr:g}, floor={min_sigma:g}"
            words = words.format(**asdict(setting))
            work = partial(self._train, setting, limits)
            self.tried[setting] = self._job(words, work, _validation, **asdict(setting), **limits, **self._fixed())
        return self.tried[setting]

    def _train(self, setting: Setting, limits: dict[str, int]) -> dict:
        x, y = self.parts.train, self.parts.validation
        model, history = train(x, setting, seed=self.number, bars=self.run.bars, validation=y, **limits)
        with torch.no_grad():
            scores = {"train": model.log_prob(x).mean().item(), "validation": model.log_prob(y).mean().item()}
        return {**scores, "steps": history.best_step}

    def _state(self) -> Path:
        """Return the path of the chosen model's parameters."""
        return self.run.file(f"fold {self.number}, chosen RNADE", ".pt")

    def _refit(self, setting: Setting, steps: int) -> dict:
        """Train the chosen model from scratch on training and validation part."""
        model, _ = train(self.all.train, setting, seed=self.number, steps=steps, bars=self.run.bars)
        torch.save(model.average.state_dict(), self._state())
        with torch.no_grad():
            return {"train": model.log_prob(self.all.train).mean().item()}

    def _test(self, mixture: tuple[int, float], setting: Setting) -> dict:
        """Score each row of the test part under the three models, and mark those that occur among the training rows."""
        x, y = self.all.train, self.all.test
        chosen = rnade(self.raw.dim, setting)
        chosen.load_state_dict(torch.load(self._state(), weights_only=True))
        with torch.no_grad():
            scores = {
                "Gaussian": gaussian(x).log_prob(y.double()),
                "mixture": mixture_log_prob(x, y, *mixture),
                "RNADE": chosen.log_prob(y),
            }
        known = seen(self.raw.test, torch.cat([self.raw.train, self.raw.validation]))
        return {"seen": known.tolist(), **{name: values.tolist() for name, values in scores.items()}}


def together(raw: Dataset) -> Dataset:
    """Merge training and validation part into one training part, and standardise all parts by it."""
    return replace(raw, train=torch.cat([raw.train, raw.validation])).standardised()


def seen(rows: Tensor, others: Tensor) -> Tensor:
    """Return a mask (M,) of the ``rows`` (M, D) that occur exactly among ``others`` (N, D)."""
    known = set(map(tuple, others.tolist()))
    return torch.tensor([tuple(row) in known for row in rows.tolist()])


def summary(test: dict[str, list]) -> dict[str, Any]:
    """Summarise the scores of a test part.

    Returns:
        the number of rows and the share of repeated ones; for each model the mean of log q over all rows, its standard
        error, and the means over repeated and over new rows, None if there are no such rows.
    """

    def of(values: list[float]) -> dict[str, float | None]:
        repeated = [value for value, known in zip(values, test["seen"], strict=True) if known]
        new = [value for value, known in zip(values, test["seen"], strict=True) if not known]
        means = {"repeated": mean(repeated) if repeated else None, "new": mean(new) if new else None}
        average, error = mean_and_error(values)
        return {"mean": average, "error": error, **means}

    seen = mean(map(float, test["seen"]))
    return {"rows": len(test["seen"]), "share": seen, **{name: of(test[name]) for name in test if name != "seen"}}


def best_of(tried: list, scores: list[float]) -> Any:
    """Return the candidate with the highest score, the first one in a tie."""
    return tried[max(range(len(scores)), key=scores.__getitem__)]


def _validation(result: dict) -> str:
    return f"validation {result['validation']:.2f} nats"


def _fitted(result: dict) -> str:
    return f"training and validation {result['train']:.2f} nats"


def _tested(result: dict) -> str:
    scores = (f"{name} {mean(result[name]):.2f}" for name in ("Gaussian", "mixture", "RNADE"))
    return "test: " + ", ".join(scores) + " nats"
