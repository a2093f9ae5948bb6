"""KL(q || p) for a flow q and an energy's density p on the plane: by quadrature, and from samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from nfteach.flows import Flow, FlowDistribution
from nfteach.targets import Energy

from .restarts import Restarts

__all__ = ["by_quadrature", "from_samples", "log_base", "log_q", "of_restarts"]

PART = 8192  # points at a time: what they need stays in the processor's cache


def log_base(z: Tensor) -> Tensor:
    """log N(z; 0, I) (...), for z (..., 2)."""
    return -0.5 * (z * z).sum(-1) - math.log(2 * math.pi)


def log_q(flow: Flow, points: Tensor) -> Tensor:
    """The log-density (...) of what ``flow`` makes of N(0, I), at points (..., 2), through the flow's inverse."""
    q = FlowDistribution(Normal(points.new_zeros(2), points.new_ones(2)), flow)
    with torch.no_grad():
        parts = [q.log_prob(part) for part in points.reshape(-1, 2).split(PART)]
    return torch.cat(parts).reshape(points.shape[:-1])


def by_quadrature(flow: Flow, energy: Energy, resolution: int) -> dict[str, float]:
    """The integral of q (log q - log p) over the energy's rectangle, in nats, by the midpoint rule.

    Args:
        flow: in float64.
        energy: gives p, normalised by quadrature on the same rectangle.
        resolution: cells along each side.

    Returns:
        ``kl``; ``outside``, one minus the integral of q: the mass that q has outside the rectangle. It is below zero
        by the quadrature's error, if that is the larger of the two.
    """
    points, log_p = energy.grid(resolution)
    left, right, bottom, top = energy.extent
    cell = (right - left) * (top - bottom) / resolution**2
    log_density = log_q(flow, points)
    q = log_density.exp()
    terms = torch.where(q > 0, q * (log_density - log_p), 0.0)  # where q underflows, 0 log 0 = 0
    return {"kl": terms.sum().item() * cell, "outside": 1 - q.sum().item() * cell}


def from_samples(flow: Flow, energy: Energy, samples: int, seed: int) -> dict[str, float]:
    """The mean of log q - log p over samples of q, in nats, through the flow's forward map; and its standard error."""
    z = torch.randn(samples, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        x, ladj = flow.call_and_ladj(z)
        each = log_base(z) - ladj + energy.energy(x) + energy.log_normaliser
    return {"kl": each.mean().item(), "error": each.std().item() / math.sqrt(samples)}


def of_restarts(flows: Restarts, energy: Energy, samples: int, seed: int) -> list[float]:
    """The same mean for each of several flows, all from the same base noise: what one of them is chosen by."""
    z = torch.randn(samples, 2, generator=torch.Generator().manual_seed(seed)).expand(flows.restarts, -1, -1)
    with torch.no_grad():
        x, ladj = flows(z)
        return (log_base(z) - ladj + energy.energy(x) + energy.log_normaliser).mean(1).tolist()
