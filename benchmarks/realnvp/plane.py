"""RealNVPs of five libraries on distributions of the plane, with the same data, training and number of parameters."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.frame import Run, Table
from benchmarks.numbers import mean_and_error, plus_minus
from benchmarks.peers.actor import Actor
from nfteach import targets

from .training import Trainer

__all__ = ["LIBRARIES", "NOISE", "OURS", "difference", "gaps", "measure", "tables"]

OURS = "nfteach"
#: Models by process; the variants show why their library differs.
LIBRARIES = {
    "nfteach": ("nfteach", "nfteach, zeros"),
    "normflows": ("normflows",),
    "nflows": ("nflows", "nflows, exp"),
    "zuko": ("zuko",),
    "pyro": ("pyro",),
}
#: The processes of a quick run; each takes seconds to start, and the speed benchmark's quick run builds all RealNVPs.
IN_QUICK = ("nfteach", "nflows")
#: Differences of means within so many standard errors are called noise; with three seeds each (4 degrees of freedom)
#: these are 96 % of the differences between equal models.
NOISE = 3.0

#: The targets on which the variants are trained.
WITH_VARIANTS = ("two moons", "rings")
TARGETS = ("banana", "two moons", "pinwheel", "eight gaussians", "rings")
FULL = {
    "targets": TARGETS,
    "seeds": 3,
    "sizes": {"train": 10_000, "validation": 5000, "test": 20_000},
    "training": {"layers": 6, "hidden": (64, 64), "steps": 1500, "batch": 256, "lr": 3e-3, "looks": 15},
}
QUICK = {
    "targets": ("banana", "two moons"),
    "seeds": 2,
    "sizes": {"train": 500, "validation": 100, "test": 200},
    "training": {"layers": 2, "hidden": (8, 8), "steps": 10, "batch": 50, "lr": 5e-3, "looks": 2},
}


def parts_of(name: str, seed: int, sizes: dict[str, int]) -> tuple[dict[str, np.ndarray], float]:
    """Draw the three parts, (N, 2) each; return them with the test part's true mean log-likelihood in nats."""
    target, generator = targets.make(name), torch.Generator().manual_seed(seed)
    parts = {part: target.sample((n,), generator=generator) for part, n in sizes.items()}
    own = target.log_prob(parts["test"].double()).mean().item()
    return {part: x.numpy() for part, x in parts.items()}, own


class Lazily:
    """A library's process, which starts with the first job that needs it."""

    def __init__(self) -> None:
        self.actor: Actor | None = None

    def train(self, *args: Any, **more: Any) -> dict:
        """Call :meth:`Trainer.train` in the process."""
        if self.actor is None:
            self.actor = Actor(Trainer, threads=1)
        return self.actor.call("train", *args, **more)

    def __enter__(self) -> Lazily:
        return self

    def __exit__(self, *_: object) -> None:
        if self.actor is not None:
            self.actor.close()


def measure(run: Run) -> dict[str, Any]:
    """Run a job for each library, target and seed."""
    setting = QUICK if run.quick else FULL
    names, seeds = setting["targets"], range(1, setting["seeds"] + 1)  # seed 0 served to choose the step size
    libraries = [variants for name, variants in LIBRARIES.items() if not run.quick or name in IN_QUICK]
    jobs = [
        [(library, name) for library in variants for name in names if "," not in library or name in WITH_VARIANTS]
        for variants in libraries
    ]
    run.expect(len(seeds) * sum(map(len, jobs)))
    trained: dict[str, dict[str, list[dict]]] = {name: {} for name in names}
    for pairs in jobs:
        with Lazily() as process:
            for library, name in pairs:
                trained[name][library] = [
                    run.job(
                        f"{name}, {library}, seed {seed}",
                        lambda library=library, name=name, seed=seed: one(process, library, name, seed, setting),
                        lambda result: f"{result['test']:.3f} nats, true density {result['own']:.3f}",
                        library=library,
                        target=name,
                        seed=seed,
                        sizes=setting["sizes"],
                        training=setting["training"],
                    )
                    for seed in seeds
                ]
    return {"training": setting["training"], "sizes": setting["sizes"], "trained": trained}


def one(process: Lazily, library: str, name: str, seed: int, setting: dict) -> dict:
    """Train and test one model."""
    parts, own = parts_of(name, seed, setting["sizes"])
    return {**process.train(library, parts, seed=seed, **setting["training"]), "own": own}


def gaps(runs: Sequence[dict]) -> list[float]:
    """Return the model's test log-likelihood minus the true density's for each seed, in nats."""
    return [run["test"] - run["own"] for run in runs]


def difference(runs: Sequence[dict], others: Sequence[dict]) -> tuple[float, float]:
    """Return the difference of the mean gaps and its standard error, by the root sum of squares of both errors."""
    (ours, error), (theirs, their_error) = mean_and_error(gaps(runs)), mean_and_error(gaps(others))
    return ours - theirs, math.hypot(error, their_error)


def tables(results: dict[str, Any]) -> list[Table]:
    """Tabulate the log-likelihoods, and our difference to each other library."""
    trained, training, sizes = results["trained"], results["training"], results["sizes"]
    first = trained[next(name for name in trained if name in WITH_VARIANTS)]  # includes the variants
    libraries, seeds = list(first), len(first[OURS])
    others = [library for library in libraries if library != OURS]
    counts = {library: first[library][0]["parameters"] for library in libraries}
    scores, against, stars = [], [], dict.fromkeys(others, 0)
    for name, by_library in trained.items():
        own = statistics.fmean(run["own"] for run in by_library[OURS])
        cells = dict.fromkeys(libraries, "")
        differences = dict.fromkeys(others, "")
        for library, runs in by_library.items():
            values = gaps(runs)
            cells[library] = plus_minus(own + statistics.fmean(values), statistics.stdev(values), digits=3)
            if library != OURS:
                value, se = difference(by_library[OURS], runs)
                beyond = abs(value) > NOISE * se
                stars[library] += beyond
                differences[library] = plus_minus(value, se, digits=3, sign="+") + " *" * beyond
        scores.append([name, f"{own:.3f}", *cells.values()])
        against.append([name, *differences.values()])
    broke = [
        f"{library} on {name}, seed {seed}, at step {run['broke']}"
        for name, by_library in trained.items()
        for library, runs in by_library.items()
        for seed, run in enumerate(runs, 1)
        if run["broke"] is not None
    ]
    apart = [
        f"{library} {stars[library]} of {sum(library in by_library for by_library in trained.values())}"
        for library in others
    ]
    return [
        Table(
            "Mean test log-likelihood on the plane, nats",
            ["", "true density", *libraries],
            scores,
            f"Means over {seeds} seeds ± standard deviation. A seed gives the data ({sizes['train']:,} for training, "
            f"{sizes['validation']:,} for validation, {sizes['test']:,} for the test), the first parameters and the "
            f"order of the batches; each library gets the same. The true density's own log-likelihood of the same test "
            f"points is taken off before the deviation is, so that it is the trainings' and not the test points'. "
            f"{training['layers']} couplings, hidden {tuple(training['hidden'])}, {training['steps']:,} steps of "
            f"{training['batch']} points, Adam from {training['lr']:g}. Parameters: "
            + ", ".join(f"{library} {count:,}" for library, count in counts.items())
            + ". "
            + (f"The loss was no longer finite, which ended the training: {'; '.join(broke)}." if broke else ""),
        ),
        Table(
            f"{OURS} less the other, nats; aim: equal within noise",
            ["", *others],
            against,
            f"± the standard error of the difference, of {seeds} seeds each. Within noise: at most {NOISE:g} of it; "
            f"beyond that, a star. Stars: {', '.join(apart)}. Above zero, ours is better. The variants change one "
            "thing and tell what it does. nflows' couplings scale by sigmoid(s + 2) + 0.001, so no volume grows from "
            "x to z, and log q stays below about -log(2 pi) = -1.84 nats also where the target is higher; "
            "'nflows, exp' has exp(s) in its place. Our networks start as torch starts linear layers; those of "
            "'nfteach, zeros' start with zeros in the last layer, as normflows' do, so that the flow starts as the "
            "identity.",
        ),
    ]
