"""The divergence KL(q || p) of a flow q from an energy's density p on the plane, by quadrature and from samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from benchmarks.numbers import mean_and_error
from nfteach.flows import Flow, FlowDistribution
from nfteach.targets import Energy

from .restarts import Restarts

__all__ = ["by_quadrature", "from_samples", "log_base", "log_q", "of_restarts"]

PART = 8192  # points at a time, whose intermediate results fit the processor's cache


def log_base(z: Tensor) -> Tensor:
    """Return log N(z; 0, I) (...) for z (..., 2)."""
    return -0.5 * (z * z).sum(-1) - math.log(2 * math.pi)


def log_q(flow: Flow, points: Tensor) -> Tensor:
    """Return the log-density (...) of ``flow`` with base N(0, I) at points (..., 2), by the flow's inverse."""
    q = FlowDistribution(Normal(points.new_zeros(2), points.new_ones(2)), flow)
    with torch.no_grad():
        parts = [q.log_prob(part) for part in points.reshape(-1, 2).split(PART)]
    return torch.cat(parts).reshape(points.shape[:-1])


def by_quadrature(flow: Flow, energy: Energy, resolution: int) -> dict[str, float]:
    """Integrate q (log q - log p) over the energy's rectangle, in nats, by the midpoint rule.

    Args:
        flow: the flow q, in float64.
        energy: the energy of p, which is normalised by quadrature on the same rectangle.
        resolution: the number of cells along each side.

    Returns:
        ``kl``, and ``outside``, one minus the integral of q: the mass of q outside the rectangle, up to the error of
        the quadrature, which can make it negative.
    """
    points, log_p = energy.grid(resolution)
    left, right, bottom, top = energy.extent
    cell = (right - left) * (top - bottom) / resolution**2
    log_density = log_q(flow, points)
    q = log_density.exp()
    terms = torch.where(q > 0, q * (log_density - log_p), 0.0)  # where q underflows, 0 log 0 = 0
    return {"kl": terms.sum().item() * cell, "outside": 1 - q.sum().item() * cell}


def from_samples(flow: Flow, energy: Energy, samples: int, seed: int) -> dict[str, float]:
    """Average log q - log p over samples of q, in nats, by the flow's forward map; return mean and standard error."""
    z = torch.randn(samples, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        x, ladj = flow.call_and_ladj(z)
        kl, error = mean_and_error(log_base(z) - ladj + energy.energy(x) + energy.log_normaliser)
    return {"kl": kl, "error": error}


def of_restarts(flows: Restarts, energy: Energy, samples: int, seed: int) -> list[float]:
    """Estimate KL(q || p) for each of several flows from the same base samples, to choose one of them."""
    z = torch.randn(samples, 2, generator=torch.Generator().manual_seed(seed)).expand(flows.restarts, -1, -1)
    with torch.no_grad():
        x, ladj = flows(z)
        return (log_base(z) - ladj + energy.energy(x) + energy.log_normaliser).mean(1).tolist()
