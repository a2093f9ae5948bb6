"""Three ways to compute NADE's density: all steps at once, step by step, and each step from scratch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from benchmarks.timing import in_turns
from nfteach.flows import NADE

__all__ = ["WAYS", "from_scratch", "time_ways"]


def from_scratch(nade: NADE, x: Tensor) -> Tensor:
    """Return log p(x) (B,) in nats for x (B, D), with a_d = c + sum_{k < d} W_k x_k from scratch, in O(D^2 H).

    This is the starting point of Uria et al. (2016), section 2, https://arxiv.org/abs/1605.02226
    """
    total = x.new_zeros(len(x))
    for d, i in enumerate(nade.ordering.tolist()):
        before = nade.ordering[:d]
        a = nade.c + x[:, before] @ nade.W[:, before].T
        logit = torch.sigmoid(a) @ nade.V[i] + nade.b[i]
        total = total + logsigmoid((2 * x[:, i] - 1) * logit)
    return total


#: The three ways, by name.
WAYS: dict[str, Callable[[NADE, Tensor], Tensor]] = {
    "all at once": lambda nade, x: nade.log_prob(x),
    "step by step": lambda nade, x: nade.steps(x)[-1].running_log_prob,
    "from scratch": from_scratch,
}


def time_ways(dim: int, hidden: int, batch: int, seconds: float) -> dict:
    """Return the milliseconds of each way, round by round, and the largest float64 difference in nats."""
    generator = torch.Generator().manual_seed(dim)
    nade = NADE(dim, hidden, torch.randperm(dim, generator=generator))
    x = torch.bernoulli(torch.full((batch, dim), 0.5), generator=generator)

    with torch.no_grad():
        exact = copy.deepcopy(nade).double()
        answers = torch.stack([way(exact, x.double()) for way in WAYS.values()])  # also warms them up
        times = in_turns({name: lambda way=way: way(nade, x) for name, way in WAYS.items()}, seconds, rounds=3)
    return {"ms": times, "apart": float((answers - answers[0]).abs().max())}
