"""The picture of the RealNVP benchmark."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmarks.numbers import mean_and_error
from nfteach.plots import palette

from .plane import gaps

__all__ = ["draw"]

#: The left end of the axis in nats; lower values are given as text.
SHOWN = -0.8
#: Colours by library, markers by variant.
STYLES = {
    "nfteach": (palette.DATA, "o"),
    "nfteach, zeros": (palette.DATA, "x"),
    "normflows": (palette.LATENT, "s"),
    "nflows": (palette.POSITIVE, "^"),
    "nflows, exp": (palette.POSITIVE, "1"),
    "zuko": (palette.NEGATIVE, "D"),
    "pyro": (palette.SOFT, "P"),
}


def draw(results: dict[str, Any]) -> Figure:
    """Draw the gap of each library to the true density, by target, and the bits per dimension on digits."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    trained = results["plane"]["trained"]
    libraries = [library for library in STYLES if any(library in by_library for by_library in trained.values())]
    handles = []
    for k, library in enumerate(libraries):
        colour, marker = STYLES[library]
        for place, runs in enumerate(by_library.get(library) for by_library in trained.values()):
            if runs is None:
                continue
            (mean, error), height = mean_and_error(gaps(runs)), place + 0.1 * (k - (len(libraries) - 1) / 2)
            if mean < SHOWN:  # a single failed training would stretch the axis
                left.annotate(f"◂ {library}: {mean:.1f}", (SHOWN, height), color=colour, va="center", fontsize=8)
            else:
                left.errorbar(mean, height, xerr=error, fmt=marker, color=colour, markersize=5, capsize=2)
        handles.append(left.plot([], [], marker, color=colour, label=library)[0])
    left.set_xlim(left=SHOWN)
    left.axvline(0, color=palette.INK, linewidth=1)
    left.set_yticks(range(len(trained)), list(trained))
    left.invert_yaxis()
    left.set(
        title="Plane: test log-likelihood less the true density's",
        xlabel="nats, mean and standard error over seeds",
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=len(libraries), frameon=False)
    left.grid(axis="x", color=palette.SOFT, alpha=0.2)
    rows = dict(sorted(results["digits"]["rows"].items(), key=lambda item: -item[1]["bits"]))
    for place, (name, row) in enumerate(rows.items()):
        colour = palette.DATA if "RealNVP" in name else palette.SOFT
        right.errorbar(row["bits"], place, xerr=row["error"], fmt="o", color=colour, capsize=3)
        right.annotate(f"{row['bits']:.2f}", (row["bits"], place), (0, 7), textcoords="offset points", ha="center")
    right.set_yticks(range(len(rows)), list(rows))
    right.set_ylim(len(rows) - 0.5, -0.6)
    right.margins(x=0.1)
    right.set(title="Digits, test", xlabel="bits/dim; lower is better")
    right.grid(axis="x", color=palette.SOFT, alpha=0.2)
    return figure
