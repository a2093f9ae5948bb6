"""The picture of the speed benchmark: ratios as dots with their quartiles, and the growth of NADE's time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nfteach.plots.palette import DATA, INK, LATENT, POSITIVE, SOFT

from .turns import verdict

__all__ = ["draw"]


def draw(results: dict[str, Any], threads: Sequence[int]) -> Figure:
    """Draw a panel of ratios for each number of threads, and a panel of NADE's three ways."""
    words = list(dict.fromkeys(row["words"] for row in results["rows"] if verdict(row["ms"])["ratio"]))
    figure = Figure(figsize=(13, 1.6 + 0.26 * max(len(words), 12)), layout="constrained")
    axes = figure.subplots(1, len(threads) + 1, width_ratios=[*[1] * len(threads), 0.9])
    for ax, number in zip(axes, threads, strict=False):
        ratios(ax, [row for row in results["rows"] if row["threads"] == number], words, named=ax is axes[0])
        ax.set_title(f"{number} thread{'s' * (number > 1)}")
    growth(axes[-1], results["nade"])
    return figure


def ratios(ax: Axes, rows: list[dict], words: list[str], *, named: bool) -> None:
    """Draw the ratios of some rows, with the rows' names if ``named``."""
    for row in rows:
        found = verdict(row["ms"])
        if not found["ratio"]:
            continue
        low, median, high = found["ratio"]
        place = words.index(row["words"])
        colour = POSITIVE if median <= 1 else DATA
        ax.plot([low, high], [place, place], color=colour, lw=2)
        ax.plot(median, place, "o", color=colour, ms=6)
        ax.annotate(f"{median:.2f}", (high, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    ax.axvline(1, color=INK, lw=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", labelsize=8)
    ax.margins(x=0.22)
    ax.set_ylim(len(words) - 0.5, -0.5)
    ax.set_yticks(range(len(words)), words if named else [""] * len(words), fontsize=8)
    ax.grid(axis="x", color=SOFT, alpha=0.25)
    ax.set_xlabel("our time / the fastest other's")


def growth(ax: Axes, nade: dict) -> None:
    """Draw the time of NADE's three ways against D."""
    dims = nade["dims"]
    for (name, colour), marker in zip(
        {"all at once": POSITIVE, "step by step": LATENT, "from scratch": DATA}.items(), "os^", strict=True
    ):
        values = [statistics.median(way["ms"][name]) for way in nade["ways"]]
        ax.loglog(dims, values, marker=marker, color=colour, label=name)
    ax.set_xticks(dims, [str(dim) for dim in dims])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.tick_params(labelsize=8)
    ax.grid(color=SOFT, alpha=0.25)
    ax.set_xlabel("D")
    ax.set_ylabel("ms, 1 thread")
    ax.set_title(f"NADE's density,\nH = {nade['hidden']}, batch {nade['batch']}")
    ax.legend(frameon=False)
