"""What is done in one fold: the choices by validation, the chosen models fitted again, and the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks.frame import Run
from nfteach.datasets import Dataset

from .models import FIXED, Setting, gaussian, mixture_log_prob, rnade, train

__all__ = ["MIXTURES", "SEARCH", "Fold", "best_of", "seen", "summary", "together"]

#: The values tried for an RNADE, row after row; K as in the paper.
SEARCH: dict[str, tuple] = {
    "ordering": ("stored", "reversed", "shuffled 1"),
    "components": (2, 5, 10, 20),
    "weight_decay": (0.1, 0.3),
    "lr": (0.02, 0.05),
    "min_sigma": (1e-4, 1e-3, 1e-2, 5e-2),
}
#: (components, what is added to each variance) of the mixtures tried.
MIXTURES = [(count, added) for count in (1, 2, 3, 4, 6, 8, 12, 16) for added in (1e-3, 1e-2)]
#: At most so many steps; from one look at the validation part to the next; looks without a better score, then stop.
STEPS, EVERY, PATIENCE = 1000, 10, 15


class Fold:
    """The jobs of one fold.

    Args:
        run: whose jobs they are.
        number: of the fold, from 1 up; also the seed.
        raw: its three parts, as they are stored.
        search, mixtures: what is tried.
        steps: at most so many in a training.
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
        """The choices by validation, and then the test."""
        mixtures = self._job("mixtures of Gaussians", self._try_mixtures, _validation, tried=self.mixtures)
        mixture = mixtures["chosen"]
        setting, trials = self._search()
        validation = {
            "Gaussian": gaussian(self.parts.train).log_prob(self.parts.validation.double()).mean().item(),
            "mixture": mixtures["validation"],
            "RNADE": self.tried[setting]["validation"],
        }
        # As many passes over the data as were best; there is more of it now.
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

    def _job(self, what: str, work: Callable[[], dict], say: Callable[[dict], str], **settings) -> dict:
        return self.run.job(f"fold {self.number}, {what}", work, say, data=self.digest, **settings)

    def _fixed(self) -> dict[str, Any]:
        return {**FIXED, "seed": self.number}

    def _try_mixtures(self) -> dict:
        x, y = self.parts.train, self.parts.validation
        scores = [mixture_log_prob(x, y, *which).mean().item() for which in self.mixtures]
        return {"scores": scores, "validation": max(scores), "chosen": best_of(self.mixtures, scores)}

    def _search(self) -> tuple[Setting, list[dict]]:
        """The setting that was best on the validation part, found value after value; and what was tried for each."""
        best, trials = Setting(), []
        for name, values in self.search.items():
            tried = [replace(best, **{name: value}) for value in values]
            scores = [self._try(setting)["validation"] for setting in tried]
            best = best_of(tried, scores)
            trials.append({"of": name, "values": values, "scores": scores, "chosen": getattr(best, name)})
        return best, trials

    def _try(self, setting: Setting) -> dict:
        """Trained on the training part, stopped by the validation part; done once for each setting."""
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
        """Where the chosen model is kept."""
        return self.run.file(f"fold {self.number}, chosen RNADE", ".pt")

    def _refit(self, setting: Setting, steps: int) -> dict:
        """The chosen model, from the start, on training and validation part."""
        model, _ = train(self.all.train, setting, seed=self.number, steps=steps, bars=self.run.bars)
        torch.save(model.average.state_dict(), self._state())
        with torch.no_grad():
            return {"train": model.log_prob(self.all.train).mean().item()}

    def _test(self, mixture: tuple[int, float], setting: Setting) -> dict:
        """log q of each row of the test part under the three models, and whether it was among those fitted to."""
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
    """Training and validation part as one training part, and all standardised by it."""
    return replace(raw, train=torch.cat([raw.train, raw.validation])).standardised()


def seen(rows: Tensor, others: Tensor) -> Tensor:
    """Which of ``rows`` (M, D) occur among ``others`` (N, D), digit by digit: (M,), bool."""
    known = set(map(tuple, others.tolist()))
    return torch.tensor([tuple(row) in known for row in rows.tolist()])


def summary(test: dict[str, list]) -> dict[str, Any]:
    """What is told of a test: how many rows it has, and which share of them was seen; of each model's log q the mean
    over all rows with its standard error, and the means over the rows seen and over new ones, None if there are none.
    """

    def of(values: list[float]) -> dict[str, float | None]:
        repeated = [value for value, known in zip(values, test["seen"], strict=True) if known]
        new = [value for value, known in zip(values, test["seen"], strict=True) if not known]
        means = {"repeated": mean(repeated) if repeated else None, "new": mean(new) if new else None}
        return {"mean": mean(values), "error": stdev(values) / len(values) ** 0.5, **means}

    seen = mean(map(float, test["seen"]))
    return {"rows": len(test["seen"]), "share": seen, **{name: of(test[name]) for name in test if name != "seen"}}


def best_of(tried: list, scores: list[float]) -> Any:
    """The one with the highest score; the first of them, if they are several."""
    return tried[max(range(len(scores)), key=scores.__getitem__)]


def _validation(result: dict) -> str:
    return f"validation {result['validation']:.2f} nats"


def _fitted(result: dict) -> str:
    return f"training and validation {result['train']:.2f} nats"


def _tested(result: dict) -> str:
    scores = (f"{name} {mean(result[name]):.2f}" for name in ("Gaussian", "mixture", "RNADE"))
    return "test: " + ", ".join(scores) + " nats"
