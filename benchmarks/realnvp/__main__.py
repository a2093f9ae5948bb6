"""RealNVP on the plane, compared with normflows, nflows, zuko and Pyro, and on digits.

The plane: RealNVPs of the same form, as each library's users build them (benchmarks/peers/realnvp.py), are trained on
the distributions of nfteach.targets. Each library runs in a process of its own, where the same plain loop of torch
trains its model: with the same data, batches, steps, step sizes and clipping. The step size is the best of several in
trials on two moons with another seed. Of each training, the parameters with the lowest validation loss are tested once,
on 20,000 points. The true densities are known, and their log-likelihood of the same points is an upper bound on that of
any model, but for chance. Two libraries are called equal within noise if their means over seeds differ by at most three
standard errors of the difference.

Digits: the multi-scale RealNVP of Dinh et al. (2017) in bits per dimension, on scikit-learn's digits, 8 x 8 pixels of
17 levels, with uniform dequantisation and the logit of section 4.1. Step size, weight decay and stopping step are
chosen on validation data. The comparison is a flat RealNVP with about as many parameters, Gaussians of pixels and of
logits, and independent pixels. No paper reports results for these images.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.frame import Benchmark, Run, Table

from . import digits, plane
from .picture import draw

__all__ = ["RealNVPs"]


class RealNVPs(Benchmark):
    """The log-likelihoods of RealNVPs on the plane and on digits."""

    name = "realnvp"

    def measure(self, run: Run) -> dict[str, Any]:
        torch.set_num_threads(1)
        return {"plane": plane.measure(run), "digits": digits.measure(run)}

    def tables(self, results: dict[str, Any]) -> list[Table]:
        return plane.tables(results["plane"]) + digits.tables(results["digits"])

    def picture(self, results: dict[str, Any]) -> Figure:
        return draw(results)


if __name__ == "__main__":
    sys.exit(RealNVPs().main())
