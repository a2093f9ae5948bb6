"""RNADE on red wine, the authors' ten folds: `python -m benchmarks.rnade --data FOLDER`.

The folder holds red_wine.npz, with the arrays fold1_train, fold1_valid, fold1_test, fold2_train, and so on. Without it,
scikit-learn's wine data stand in as the one fold. A score is the mean log-likelihood of the test part, in nats, of
standardised data, as in table 1 of Uria, Murray & Larochelle (2013). Beside RNADE:

- a Gaussian with full covariance, by maximum likelihood: nothing is chosen for it, so that it scores what it does in
  the paper if folds and standardisation are the paper's;
- a mixture of such Gaussians (scikit-learn's EM), the neighbour of the paper's mixture of factor analysers.

In each fold all is chosen on the validation part, after training on the training part alone. For the mixture: the
number of components, and what is added to the variances. For an RNADE with 50 hidden units, as in the paper: the
ordering of the attributes, the number K of Gaussians in a conditional, the weight decay, the step size, and the floor
under sigma, one after another, each with the best of those before. Training is by Adam with a constant step size; what
is scored is an average over the last steps, and the number of steps is chosen on the validation part, too. Then, as in
the paper, the chosen model is fitted afresh to training and validation part together, both standardised by their own
mean and deviation; RNADE for as many passes over the data as were best before. The test part is looked at once, by that
model.

The attributes are rounded, and a quarter of the rows occur more than once. The likelihood of narrow components at
values that repeat has no bound, but for the floor. So the tables say which floor was chosen and what the others scored
on the validation parts, and the test rows that occur among those fitted to are also scored apart from the new ones.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.frame import Benchmark, Run, Table
from nfteach.datasets import load_folds, wine

from .folds import MIXTURES, SEARCH, Fold
from .models import Setting
from .report import draw, tables

__all__ = ["RedWine", "gaps"]


FIRST = asdict(Setting())


class RedWine(Benchmark):
    """Test log-likelihoods of a Gaussian, a mixture of Gaussians, and RNADE, fold by fold."""

    name = "rnade"
    data = True

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        if run.options.data is None:
            print("rnade: no --data, so scikit-learn's wine data stand in for red wine")
            source, folds = "wine", [wine()]
        else:
            source, folds = "red wine", run.load(load_folds, run.data("red_wine.npz"))
        limits: dict[str, Any] = {}
        if run.quick:
            search = {
                name: sorted(values, key=lambda value: value != FIRST[name])[:2] for name, values in SEARCH.items()
            }
            folds, limits = folds[:2], {"search": search, "mixtures": MIXTURES[:6], "steps": 50}
        jobs = [Fold(run, number, fold, **limits) for number, fold in enumerate(folds, 1)]
        # Of each row of the search but the first, one setting has been tried before.
        run.expect(sum(sum(len(values) - 1 for values in job.search.values()) + 4 for job in jobs))
        return {"data": source, "gaps": gaps(folds[0].train), "folds": [job.result() for job in jobs]}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        return tables(results)

    def picture(self, results: dict[str, Any]) -> Figure:
        return draw(results)


def gaps(x: Tensor) -> list[float]:
    """For each of the D attributes of x (N, D), the median step between neighbouring values, in its deviations."""
    return [(column.unique().diff().median() / column.std(correction=0)).item() for column in x.T]


if __name__ == "__main__":
    sys.exit(RedWine().main(__doc__))
