"""NADE's density in three ways: all steps at once, one after another, and each from scratch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from time import process_time

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from nfteach.flows import NADE

from .turns import in_turns

__all__ = ["WAYS", "from_scratch", "time_ways"]


def from_scratch(nade: NADE, x: Tensor) -> Tensor:
    """log p(x) (B,) in nats, for x (B, D): a_d = c + sum_{k < d} W_k x_k anew at each step, O(D^2 H) in all.

    The form that Uria et al. (2016) set out from, section 2; https://arxiv.org/abs/1605.02226
    """
    total = x.new_zeros(len(x))
    for d, i in enumerate(nade.ordering.tolist()):
        before = nade.ordering[:d]
        a = nade.c + x[:, before] @ nade.W[:, before].T
        logit = torch.sigmoid(a) @ nade.V[i] + nade.b[i]
        total = total + logsigmoid((2 * x[:, i] - 1) * logit)
    return total


#: By name; the growth that is promised stands in the table.
WAYS: dict[str, Callable[[NADE, Tensor], Tensor]] = {
    "all at once": lambda nade, x: nade.log_prob(x),
    "step by step": lambda nade, x: nade.steps(x)[-1].running_log_prob,
    "from scratch": from_scratch,
}


def time_ways(dim: int, hidden: int, batch: int, seconds: float) -> dict:
    """Milliseconds of each way, one number a round, and how far their float64 answers lie apart, in nats."""
    generator = torch.Generator().manual_seed(dim)
    nade = NADE(dim, hidden, torch.randperm(dim, generator=generator))
    x = torch.bernoulli(torch.full((batch, dim), 0.5), generator=generator)

    def turn(way: Callable[[NADE, Tensor], Tensor]) -> float:
        start = process_time()
        way(nade, x)
        return 1e3 * (process_time() - start)

    with torch.no_grad():
        exact = copy.deepcopy(nade).double()
        answers = torch.stack([way(exact, x.double()) for way in WAYS.values()])  # this also warms them up
        times = in_turns({name: lambda way=way: turn(way) for name, way in WAYS.items()}, seconds)
    return {"ms": times, "apart": float((answers - answers[0]).abs().max())}
