"""RNADE on the authors' ten folds of red wine: `python -m benchmarks.rnade --data FOLDER`.

The folder holds red_wine.npz with the arrays fold1_train, fold1_valid, fold1_test, fold2_train, and so on. Without it,
scikit-learn's wine data are used as a single fold. A score is the mean log-likelihood of the test part in nats, for
standardised data, as in table 1 of Uria, Murray & Larochelle (2013). RNADE is compared with

- a Gaussian with full covariance, by maximum likelihood. Nothing is chosen for it, so that it must score as in the
  paper if folds and standardisation are the paper's;
- a mixture of such Gaussians (scikit-learn's EM), in place of the paper's mixture of factor analysers.

In each fold everything is chosen on the validation part, after training on the training part alone. For the mixture
these are the number of components and a constant added to the variances. For an RNADE with 50 hidden units, as in the
paper, they are the ordering of the attributes, the number K of Gaussians in a conditional, the weight decay, the step
size, and the lower bound of sigma, one after another, each with the best values of the earlier ones. Training is by
Adam with a constant step size; an average over the last steps is scored, and the number of steps is chosen on the
validation part, too. As in the paper, the chosen model is then trained from scratch on training and validation part
together, both standardised by their joint mean and deviation; RNADE for as many epochs as were best before. Only this
model is scored on the test part.

The attributes are rounded, and a quarter of the rows occur more than once. Without the lower bound, narrow components
at repeated values would have unbounded likelihood. So the tables give the chosen bounds and the scores of the others on
the validation parts, and the scores of test rows that occur among the training rows apart from those of new rows.
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
    """The test log-likelihoods of a Gaussian, a mixture of Gaussians, and RNADE on each fold."""

    name = "rnade"
    data = True

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        if run.options.data is None:
            print("rnade: no --data; scikit-learn's wine data are used instead of red wine")
            source, folds = "wine", [wine()]
        else:
            source, folds = "red wine", run.load(load_folds, run.data("red_wine.npz"))
        limits: dict[str, Any] = {}
        if run.quick:
            search = {
                name: sorted(values, key=lambda value: value != FIRST[name])[:2] for name, values in SEARCH.items()
            }
            folds, limits = folds[:2], {"search": search, "mixtures": MIXTURES[:4], "steps": 20}
        jobs = [Fold(run, number, fold, **limits) for number, fold in enumerate(folds, 1)]
        # In each row of the search except the first, one setting is known from the row before.
        run.expect(sum(sum(len(values) - 1 for values in job.search.values()) + 4 for job in jobs))
        return {"data": source, "gaps": gaps(folds[0].train), "folds": [job.result() for job in jobs]}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        return tables(results)

    def picture(self, results: dict[str, Any]) -> Figure:
        return draw(results)


def gaps(x: Tensor) -> list[float]:
    """Return the median distance of neighbouring values for each attribute of x (N, D), in standard deviations."""
    return [(column.unique().diff().median() / column.std(correction=0)).item() for column in x.T]


if __name__ == "__main__":
    sys.exit(RedWine().main())
