"""The tables and the picture of the RNADE benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from benchmarks.frame import Table
from benchmarks.numbers import mean_and_error, plus_minus
from nfteach.plots import palette

__all__ = ["draw", "tables"]


@dataclass(frozen=True)
class Model:
    """The name and style of a model, and the paper's result for it or the nearest model."""

    key: str
    name: str
    colour: str
    marker: str
    paper: float
    paper_name: str
    aim: str = ""


#: Results of the paper: Uria, Murray & Larochelle (2013), table 1, red wine; nats.
MODELS = (
    Model("Gaussian", "Gaussian", palette.SOFT, "s", -13.18, "Gaussian"),
    Model("mixture", "mixture of Gaussians", palette.LATENT, "^", -10.19, "mixture of factor analysers"),
    Model("RNADE", "RNADE", palette.DATA, "o", -9.36, "RNADE-MoG", "-9.6 or better"),
)
WORDS = {
    "ordering": "ordering",
    "components": "components K",
    "weight_decay": "weight decay",
    "lr": "step size",
    "min_sigma": "floor under sigma",
}


def tables(results: dict[str, Any]) -> list[Table]:
    """Tabulate the scores, the candidates, and the repeated rows."""
    return [_scores(results), _trials(results), _repeats(results)]


def over_folds(values: Sequence[float]) -> str:
    """Format the mean over folds and its standard error, where there are several."""
    return plus_minus(*mean_and_error(values)) if len(values) > 1 else f"{values[0]:.2f}"


def _scores(results: dict[str, Any]) -> Table:
    """Tabulate the scores of the test parts next to the paper's."""
    folds, rows = results["folds"], []
    for model in MODELS:
        tests = [fold["test"][model.key] for fold in folds]
        ours = over_folds([test["mean"] for test in tests])
        if len(folds) == 1:
            ours = plus_minus(tests[0]["mean"], tests[0]["error"])
        paper = [f"{model.paper_name} {model.paper:.2f}", model.aim] if _red(results) else ["", ""]
        validation = over_folds([fold["validation"][model.key] for fold in folds])
        rows.append([model.name, validation, ours, *paper])
    over = f"the {len(folds)} folds" if len(folds) > 1 else "the rows of the one test part"
    counts = [fold["mixture"][0] for fold in folds]
    return Table(
        f"{results['data'].capitalize()}: mean log-likelihood (nats, standardised data)",
        ["model", "validation part", "test part", "paper, test part", "to reach"],
        rows,
        f"± is the standard error over {over}. Fitted to the training part and chosen on the validation part; fitted "
        "again to both, and tested once. Nothing is chosen for the Gaussian: where it does better on the test parts, "
        f"they are easier. Components chosen for the mixtures: {', '.join(map(str, sorted(counts)))}.",
    )


def _trials(results: dict[str, Any]) -> Table:
    """Tabulate the candidates for RNADE and their differences."""
    folds, rows = results["folds"], []
    for place, first in enumerate(folds[0]["trials"]):
        trials = [fold["trials"][place] for fold in folds]
        for column, value in enumerate(first["values"]):
            scores = [trial["scores"][column] for trial in trials]
            behind = [max(trial["scores"]) - score for score, trial in zip(scores, trials, strict=True)]
            count = sum(trial["chosen"] == value for trial in trials)
            rows.append([f"{WORDS[first['of']]}: {value}", f"{mean(scores):.2f}", over_folds(behind), f"{count}"])
    steps = sorted(fold["RNADE"]["steps"] for fold in folds)
    gaps = results["gaps"]
    return Table(
        "RNADE on the validation parts: what was tried, each with the best of what stands above it",
        ["tried", "log-likelihood (nats)", "behind its fold's best (nats)", "folds that chose it"],
        rows,
        "Trained on the training part alone, stopped at the best step. Choosing among orderings is our addition. The "
        f"chosen models were fitted again with {steps[0]} to {steps[-1]} steps. The floor is in standard deviations of "
        f"an attribute; neighbouring values of an attribute are {min(gaps):.3f} to {max(gaps):.3f} of them apart "
        "(median over its values), so that a much narrower component can single out one value.",
    )


def _repeats(results: dict[str, Any]) -> Table:
    """Tabulate the scores of repeated and of new test rows."""
    tests = [fold["test"] for fold in results["folds"]]

    def cell(key: str, kind: str) -> str:
        means = [test[key][kind] for test in tests if test[key][kind] is not None]
        return over_folds(means) if means else "none"

    share = sum(test["rows"] * test["share"] for test in tests) / sum(test["rows"] for test in tests)
    return Table(
        "Test rows that occur, digit by digit, among the rows fitted to, and new ones: mean log-likelihood (nats)",
        ["model", f"repeated rows ({share:.0%})", f"new rows ({1 - share:.0%})"],
        [[model.name, cell(model.key, "repeated"), cell(model.key, "new")] for model in MODELS],
        "The folds are the authors': the paper's means are over rows of both kinds." if _red(results) else "",
    )


def draw(results: dict[str, Any]) -> Figure:
    """Draw the score of each model on the test part of each fold, and the paper's means as lines."""
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.subplots()
    numbers = range(1, len(results["folds"]) + 1)
    for model in MODELS:
        scores = [fold["test"][model.key]["mean"] for fold in results["folds"]]
        label = f"{model.name} (mean {mean(scores):.2f})"
        axes.plot(numbers, scores, model.marker, color=model.colour, label=label)
        if _red(results):
            axes.axhline(model.paper, color=model.colour, linestyle="--", linewidth=1, zorder=0)
            text = f"paper's mean,\n{model.paper_name.replace(' of ', ' of' + chr(10))}: {model.paper:.2f}"
            where = {"xy": (1.01, model.paper), "xycoords": ("axes fraction", "data")}
            axes.annotate(text, **where, va="center", fontsize="small", color=palette.INK)
    axes.set_xticks(numbers)
    axes.set_xlim(0.5, len(numbers) + 0.5)
    axes.set_xlabel("fold")
    axes.set_ylabel("mean test log-likelihood (nats)")
    axes.set_title(f"{results['data'].capitalize()}, standardised: the test part of each fold")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _red(results: dict[str, Any]) -> bool:
    """Return True if these are the paper's data."""
    return results["data"] == "red wine"
