"""The tables and the picture of the NADE benchmark."""

from __future__ import annotations

from itertools import chain
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.frame import Table
from benchmarks.numbers import plus_minus
from nfteach.plots import palette

__all__ = ["AIMS", "PAPER", "known", "paper_name", "picture", "tables"]

#: Uria, Cote, Gregor, Murray & Larochelle (2016), https://arxiv.org/abs/1605.02226, the table on binary UCI sets: mean
#: test log-likelihoods in nats of a mixture of Bernoullis, an RBM, NADE in a fixed ordering, EoNADE with 16 orderings.
PAPER = {
    "adult": (-20.44, -16.26, -13.19, -13.19),
    "connect4": (-23.41, -22.66, -11.99, -12.58),
    "dna": (-98.19, -96.74, -84.81, -82.31),
    "mushrooms": (-14.46, -15.15, -9.81, -9.69),
    "nips": (-290.02, -277.37, -273.08, -272.39),
    "ocr_letters": (-40.56, -43.05, -27.22, -27.32),
    "rcv1": (-47.59, -48.88, -46.66, -46.12),
    "web": (-30.16, -29.38, -28.39, -27.87),
}
AIMS = {"mushrooms": "-9.81 ± 0.05", "dna": "-85.3"}  # for NADE with a fixed ordering


def paper_name(name: str) -> str:
    """Return the key in ``PAPER`` of a data set whose file has the paper's name, ``ocr-letters`` or ``nips-0-12``."""
    return name.replace("-", "_").removesuffix("_0_12")


def known(name: str) -> bool:
    """Return True if the paper has the data set."""
    return paper_name(name) in PAPER


def tables(results: dict[str, Any]) -> list[Table]:
    """Tabulate the test scores next to the paper's, and the candidates."""
    heads = ["set", "N", "D", "independent", "MoB, paper", "RBM, paper", "NADE", "aim", "paper", "EoNADE", "paper"]
    rows = []
    for name, found in results.items():
        mob, rbm, nade, eonade = (f"{value:.2f}" for value in PAPER[paper_name(name)]) if known(name) else [""] * 4
        tests = {model: result["tests"][0] for model, result in found["models"].items()}
        ours = {model: plus_minus(test["mean"], test["error"]) for model, test in tests.items()}
        sizes = [name, f"{found['train']}", f"{found['D']}", f"{found['independent']['mean']:.2f}"]
        rows.append([*sizes, mob, rbm, ours["NADE"], AIMS.get(name, ""), nade, ours["EoNADE"], eonade])
    note = (
        "Higher is better. N: rows of the training part. MoB: mixture of Bernoullis. NADE: one fixed ordering; "
        "EoNADE: 16 orderings. ±: the standard error of the mean over the test rows."
    )
    tried = [
        [
            f"{name}, {model}",
            f"{candidate['hidden']}",
            f"{candidate['penalty']:g}",
            f"{candidate['rate']:g}",
            candidate["ordering"],
            f"{candidate['epoch']:.0f} of {candidate['epochs']}",
            f"{candidate['validation']:.2f}" + (" *" if k == result["chosen"] else ""),
            over_seeds(result["tests"]) if k == result["chosen"] else "",
        ]
        for name, found in results.items()
        for model, result in found["models"].items()
        for k, candidate in enumerate(result["candidates"])
    ]
    columns = [
        "set, model",
        "hidden",
        "L1",
        "step size",
        "ordering",
        "best epoch",
        "validation [nats]",
        "test [nats]",
    ]
    why = (
        "*: chosen, for the highest mean log-likelihood of the validation part. Test: of the chosen alone; of NADE "
        "the mean ± standard deviation over three trainings, the first of which is in the table above."
    )
    return [
        Table("NADE: mean log-likelihood of the test part [nats]", heads, rows, note),
        Table("NADE: what was tried, and chosen on the validation part", columns, tried, why),
    ]


def over_seeds(tests: list[dict[str, float]]) -> str:
    """Format the mean over seeds and their standard deviation, where there are several."""
    means = [test["mean"] for test in tests]
    return plus_minus(mean(means), stdev(means)) if len(means) > 1 else f"{means[0]:.2f}"


def picture(results: dict[str, Any]) -> Figure:
    """Draw the scores and the validation curves of each data set."""
    figure = Figure(figsize=(9.6, 3.2 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False, width_ratios=(5, 4))
    for (left, right), (name, found) in zip(axes, results.items(), strict=True):
        draw_scores(left, name, found)
        draw_curves(right, name, found["models"]["NADE"])
    return figure


def draw_scores(ax: Axes, name: str, found: dict[str, Any]) -> None:
    """Draw our scores as dots with error bars among the paper's."""
    ours = {model: result["tests"][0] for model, result in found["models"].items()}
    lines: list[tuple[str, float, float | None]] = []
    if known(name):
        mob, rbm, nade, eonade = PAPER[paper_name(name)]
        lines += [("mixture of Bernoullis, paper", mob, None), ("RBM, paper", rbm, None), ("NADE, paper", nade, None)]
    else:
        lines += [("independent attributes", found["independent"]["mean"], found["independent"]["error"])]
    lines += [("NADE, ours", ours["NADE"]["mean"], ours["NADE"]["error"])]
    lines += [("EoNADE, paper", eonade, None)] if known(name) else []
    lines += [("EoNADE, ours", ours["EoNADE"]["mean"], ours["EoNADE"]["error"])]
    for height, (_, value, error) in enumerate(reversed(lines)):
        colour, marker = (palette.DATA, "o") if error is not None else (palette.LATENT, "D")
        ax.errorbar(value, height, xerr=error, color=colour, marker=marker, markersize=6, capsize=4)
        text = f"{value:.2f}" if error is None else plus_minus(value, error)
        ax.annotate(text, (value, height), (0, 7), textcoords="offset points", ha="center", fontsize=8.5)
    ax.set_yticks(range(len(lines)), [label for label, *_ in reversed(lines)])
    ax.set(title=f"{name}: test part", xlabel="mean log-likelihood [nats]", ylim=(-0.5, len(lines) - 0.2))
    ax.margins(x=0.18)
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", color=palette.SOFT, alpha=0.2)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def draw_curves(ax: Axes, name: str, result: dict[str, Any]) -> None:
    """Draw the validation scores during training of all candidates, with the chosen one on top."""
    candidates, best = result["candidates"], result["chosen"]
    for k in chain((k for k in range(len(candidates)) if k != best), [best]):  # the chosen one on top
        colour, width = (palette.DATA, 2.2) if k == best else (palette.SOFT, 1.0)
        label = "chosen" if k == best else "others tried"
        ax.plot(*zip(*candidates[k]["curve"], strict=True), color=colour, linewidth=width, label=label)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(handles.values(), handles.keys(), frameon=False, loc="lower right")
    values = sorted(value for candidate in candidates for _, value in candidate["curve"])
    low, high = values[len(values) // 8], values[-1]  # the first epochs lie far below
    ax.set(ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)) if high > low else None)
    ax.set(title=f"{name}: validation part, NADE", xlabel="epoch", ylabel="mean log-likelihood [nats]")
    ax.spines[["top", "right"]].set_visible(False)
