"""Growth with D: the time and memory of density, sampling and Jacobian of the three models.

The models are those of lesson 09: an RNADE (16 hidden units, mixtures of 3), 8 planar layers that map z to x, and a
RealNVP of 8 couplings (16 hidden units), with random weights scaled to suit D. For D from 4 to 512 the benchmark
measures

- density and sampling, both in a batch and for a single point, whose time shows how many passes must wait for one
  another: lesson 09 counts them;
- the map with its log-det by the structure of J, as every flow computes it;
- the Jacobian by autograd, as the inspector computes it, and its log-det by elimination (slogdet), which must agree
  with the structure's. Both are in float64. The map is x -> z for the RNADE and z -> x for the layers, the direction of
  their formulas.

Everything runs on one thread and is timed by the processor's clock. Operations that are compared take turns, round by
round; numbers are medians, with quartiles. Growth is an exponent p, time ~ D^p, fitted to the medians of the three
largest D (a straight line through logarithms), with the standard error of that fit. The expected exponent follows from
the number of multiply-adds. For small arrays the measured one is lower, since each call of PyTorch costs a few
microseconds whatever the size; for arrays that outgrow a cache it may be higher.

Memory is the peak number of bytes in tensors, without parameters and points. It is counted exactly, however small; the
peak of a whole process moves in pages, and cannot show what fits into memory that imports have freed. For the largest D
the peak of a fresh process is given as well.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.frame import Benchmark, Run, Table
from benchmarks.numbers import plus_minus, spread
from benchmarks.routes import EXPECTED, NAMES, PASSES, POINTS, SHAPES, both_ways, determinants, elimination, operation
from benchmarks.timing import allocated, exponent, in_turns, peak_memory, quartiles, ratio
from nfteach.plots import palette

__all__ = ["Growth"]

SIZES, QUICK_SIZES = (4, 8, 16, 32, 64, 128, 256, 512), (4, 8, 16)
LARGE = 3  # the exponent is fitted to so many of the largest sizes
# Seconds and minimum rounds of each contest, of which a job has three.
TURNS, QUICK_TURNS = (1.5, 5), (0.0, 2)

#: Colours and markers, as in lesson 09.
LOOKS = {"RNADE": (palette.LATENT, "o"), "planar": (palette.DATA, "s"), "RealNVP": (palette.POSITIVE, "^")}


def measure(name: str, D: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure one model at one D: quartiles of milliseconds, ratios round by round, bytes in tensors.

    Raises:
        SystemExit: if the log-dets by elimination and by structure differ.
    """
    by_model = determinants(name, D)
    by_hand = elimination(by_model["Jacobian"]())
    contests = {
        "batch": both_ways(name, D, POINTS["density"]),
        "alone": both_ways(name, D, 1),
        "log-det": by_model | by_hand,
    }
    apart = (by_hand["log-det, slogdet"]() - by_model["log-det, structure"]()[: POINTS["Jacobian"]]).abs().max().item()
    if apart > 1e-8 * D:
        raise SystemExit(
            f"{name}, D = {D}: log-dets by slogdet and by structure must agree, but differ by {apart:.1g} nats"
        )
    bytes_ = {what: allocated(work) for key in ("batch", "log-det") for what, work in contests[key].items()}
    for work in contests["alone"].values():
        work()  # warm up, as the count has done for the other contests
    times = {key: in_turns(contest, seconds, rounds) for key, contest in contests.items()}
    det = times["log-det"]
    dense = [(a + b) / POINTS["Jacobian"] for a, b in zip(det["Jacobian"], det["log-det, slogdet"], strict=True)]
    per_point = {"dense": dense, "structure": [ms / POINTS["log-det, structure"] for ms in det["log-det, structure"]]}
    return {
        "ms": {key: {what: quartiles(values) for what, values in some.items()} for key, some in times.items()},
        "bytes": bytes_,
        "sampling over density, alone": ratio(times["alone"], "sampling", "density"),
        "sampling over density, batch": ratio(times["batch"], "sampling", "density"),
        "dense over structure": ratio(per_point, "dense", "structure"),
        "nats apart": apart,
    }


def microseconds(results: dict[str, Any], name: str, what: str, alone: bool = False) -> list[list[float]]:
    """Return the quartiles of one operation at each D, in microseconds per point."""
    key = "alone" if alone else "batch" if what in ("density", "sampling") else "log-det"
    scale = 1e3 / (1 if alone else POINTS[what])
    return [[scale * ms for ms in row["ms"][key][what]] for row in results["models"][name]]


def growth(results: dict[str, Any], values: list[float]) -> str:
    """Format the exponent at the largest D with its standard error."""
    return plus_minus(*exponent(results["sizes"][-LARGE:], values[-LARGE:]))


class Growth(Benchmark):
    """The exponents of time and memory, compared with those expected from operation counts."""

    name = "growth"

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        sizes, turns = (QUICK_SIZES, QUICK_TURNS) if run.quick else (SIZES, TURNS)
        fresh = [(name, what) for name in NAMES for what in POINTS]
        if run.quick:  # each starts a process
            fresh = fresh[:1]
        run.expect(len(NAMES) * len(sizes) + len(fresh))
        # Processes come first: systems that add the parent's peak to the child's then add little.
        processes: dict[str, dict[str, list[int]]] = {name: {} for name in NAMES}
        for name, what in fresh:
            processes[name][what] = run.job(
                f"peak of {name}, {what}",
                lambda name=name, what=what: {"bytes": peak_memory(operation, name, sizes[-1], what)},
                lambda result: f"{_increase(result['bytes']):.1f} MB more than before it",
                D=sizes[-1],
                **SHAPES,
            )["bytes"]
        models = {
            name: [
                run.job(
                    f"{name}, D = {D}",
                    lambda name=name, D=D: measure(name, D, *turns),
                    lambda result: f"Jacobian {result['ms']['log-det']['Jacobian'][1]:.3g} ms",
                    D=D,
                    turns=turns,
                    **SHAPES,
                )
                for D in sizes
            ]
            for name in NAMES
        }
        return {"sizes": list(sizes), "models": models, "processes": processes}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        sizes, models = results["sizes"], results["models"]
        first, D = sizes[0], sizes[-1]
        apart = max(row["nats apart"] for rows in models.values() for row in rows)
        time, memory = ["time ~ D^", "expected", f"µs a point, D = {D}"], ["memory ~ D^", "expected", f"MB, D = {D}"]
        ends = [f"µs, D = {first}", f"µs, D = {D}"]
        return [
            Table(
                f"Growth with D, from {sizes[-LARGE:][0]} to {D}, in batches",
                ["", *time, *memory, "process MB", "because"],
                [self._growth_row(results, name, what) for name in NAMES for what in POINTS],
                f"One thread. A batch has {POINTS['density']} points; that of Jacobians and for slogdet has "
                f"{POINTS['Jacobian']}. MB: the most in tensors at one time; process MB: by how much it raised the "
                "peak of a fresh process. ± is the fit's standard error. The log-dets, by structure and by slogdet, "
                f"differed by {apart:.0e} nats at most. Exponents stay below the expected where arrays are small, so "
                "that PyTorch's calls take a good part of the time; elimination is faster in large matrices; arrays "
                "that outgrow a cache cost more. The Jacobian's backward passes are taken together, up to 500,000 "
                "numbers at a time: from there on only J itself grows with D^2.",
            ),
            Table(
                "One point alone: passes that wait for each other",
                ["", "passes", *time[:2], *ends, "sampling / density, alone", "in a batch"],
                [self._alone_row(results, name, what) for name, what in PASSES],
                f"The last columns: at D = {D}, with the rounds' quartiles. In a batch the one pass of an RNADE's "
                "density is not much less work than the D of its sampling; a single point saves the waiting.",
            ),
            Table(
                "One log-det: the Jacobian by autograd and its elimination, over the structure's formula, in time",
                ["", *(f"D = {size}" for size in sizes)],
                [[name, *(spread(*row["dense over structure"]) for row in models[name])] for name in NAMES],
                "The structure's time includes that of the map. A point each; median and quartiles of the rounds.",
            ),
        ]

    def _growth_row(self, results: dict[str, Any], name: str, what: str) -> list[str]:
        times = microseconds(results, name, what)
        bytes_ = [row["bytes"][what] for row in results["models"][name]]
        time_expected, memory_expected, why = EXPECTED[name, what]
        process = results["processes"][name].get(what)
        return [
            f"{name}: {what}",
            growth(results, [median for _, median, _ in times]),
            time_expected,
            spread(*times[-1]),
            growth(results, bytes_),
            memory_expected,
            f"{bytes_[-1] / 1e6:.3g}",
            f"{_increase(process):.3g}" if process else "",
            why,
        ]

    def _alone_row(self, results: dict[str, Any], name: str, what: str) -> list[str]:
        times = microseconds(results, name, what, alone=True)
        passes, expected = PASSES[name, what]
        last, hows = results["models"][name][-1], ("alone", "batch")
        ratios = [spread(*last[f"sampling over density, {how}"]) if what == "sampling" else "" for how in hows]
        growing = growth(results, [median for _, median, _ in times])
        return [f"{name}: {what}", passes, growing, expected, spread(*times[0]), spread(*times[-1]), *ratios]

    def picture(self, results: dict[str, Any]) -> Figure:
        figure = Figure(figsize=(8.8, 7.2), layout="constrained")
        (density, sampling), (determinant, memory) = figure.subplots(2, 2)
        density.sharey(sampling)
        sizes, many = results["sizes"], POINTS["density"]
        for name in NAMES:
            for ax, what in ((density, "density"), (sampling, "sampling")):
                _line(ax, sizes, microseconds(results, name, what), name)
                _line(ax, sizes, microseconds(results, name, what, alone=True), name, "--")
            for what, style in (("Jacobian", "-"), ("log-det, slogdet", "--"), ("log-det, structure", ":")):
                _line(determinant, sizes, microseconds(results, name, what), name, style)
            for what, style in (("Jacobian", "-"), ("density", "--"), ("sampling", ":")):
                kilobytes = [row["bytes"][what] / POINTS[what] / 1e3 for row in results["models"][name]]
                _line(memory, sizes, [[value] * 3 for value in kilobytes], name, style)
            colour, mark = LOOKS[name]
            density.plot([], [], color=colour, marker=mark, label=name)
        for ax, title in {
            density: f"Density. Solid: in a batch of {many}; dashed: alone",
            sampling: f"Sampling. Solid: in a batch of {many}; dashed: alone",
            determinant: "Solid: Jacobian; dashed: its slogdet; dotted: log-det by structure",
            memory: "Memory. Solid: Jacobian; dashed: density; dotted: sampling",
        }.items():
            ax.set(xlabel="D", xticks=sizes, xticklabels=sizes)
            ax.set_ylabel("kB in tensors a point" if ax is memory else "µs a point")
            ax.set_title(title, fontsize=9)
            ax.minorticks_off()
            ax.grid(color=palette.SOFT, alpha=0.2)
            ax.spines[["top", "right"]].set_visible(False)
        handles, names = density.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        return figure


def _line(ax: Any, sizes: list[int], values: list[list[float]], name: str, style: str = "-") -> None:
    """Draw the medians with a band between the quartiles."""
    colour, mark = LOOKS[name]
    low, median, high = zip(*values, strict=True)
    ax.loglog(sizes, median, style, color=colour, marker=mark, markersize=5, linewidth=1.5)
    ax.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)


def _increase(process: list[int]) -> float:
    """Return the increase of the process's peak memory in MB."""
    return (process[1] - process[0]) / 1e6


if __name__ == "__main__":
    sys.exit(Growth().main())
