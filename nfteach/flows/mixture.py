"""Mixtures of Gaussians in one dimension: density, tails, and the increasing map to a standard normal variable."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import erfc, erfcx

from .roots import increasing_root

__all__ = ["Mixture", "log_cdf_and_slope", "log_normal", "normal_quantile"]


def log_normal(z: Tensor) -> Tensor:
    """Return log phi(z), the standard normal log-density in nats, elementwise."""
    return -0.5 * z * z - 0.5 * math.log(2 * math.pi)


def log_cdf_and_slope(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Phi(z) and its slope phi(z) / Phi(z), elementwise, to full precision in both tails."""
    # torch.special.log_ndtr falls back to a loop under vmap, and its second derivatives are NaN above 38. Below zero
    # Phi underflows while erfcx, erfcx(t) = erfc(t) exp(t^2), does not.
    below, above = z.clamp(max=0), z.clamp(min=0)
    scaled, tail = erfcx(-below / math.sqrt(2)), erfc(above / math.sqrt(2)) / 2
    log_cdf = torch.where(z < 0, torch.log(scaled / 2) - below * below / 2, torch.log1p(-tail))
    slope = torch.where(z < 0, math.sqrt(2 / math.pi) / scaled, torch.exp(log_normal(above)) / (1 - tail))
    return log_cdf, slope


def normal_quantile(log_p: Tensor) -> Tensor:
    """Solve log Phi(z) = ``log_p`` <= log(1/2) for z <= 0, elementwise, also where p itself would underflow."""

    def value_and_slope(z: Tensor) -> tuple[Tensor, Tensor]:
        log_cdf, slope = log_cdf_and_slope(z)
        return log_cdf - log_p, slope

    # Phi(z) <= exp(-z^2 / 2) / 2 for z <= 0, so that |z| is at most the root of -2 (log p + log 2).
    low = -torch.sqrt((-2 * (log_p + math.log(2))).clamp_min(0))
    return increasing_root(value_and_slope, low, torch.zeros_like(low))


class Mixture(NamedTuple):
    """One-dimensional mixtures of K Gaussians, a batch of shape (...).

    Probabilities are computed as logarithms of the smaller tail: at 30 standard deviations the CDF rounds to 1, but the
    logarithm of the upper tail is an ordinary number.
    """

    log_alpha: Tensor  # (..., K), logarithms of the weights
    mu: Tensor  # (..., K)
    sigma: Tensor  # (..., K)

    @property
    def alpha(self) -> Tensor:
        """The weights (..., K)."""
        return torch.exp(self.log_alpha)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log q(x) in nats, shape (...), for x (...)."""
        w = (x[..., None] - self.mu) / self.sigma
        return torch.logsumexp(self.log_alpha + log_normal(w) - torch.log(self.sigma), -1)

    def log_tail_and_slope(self, x: Tensor, side: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return the log of a tail of F, and q(x) divided by this tail; both (...), for x (...).

        The tail is F(x) where ``side`` is 1, and 1 - F(x) where ``side`` is -1.
        """
        side = torch.as_tensor(side, dtype=x.dtype, device=x.device)[..., None]
        log_cdf, slope = log_cdf_and_slope(side * (x[..., None] - self.mu) / self.sigma)
        terms = self.log_alpha + log_cdf
        return torch.logsumexp(terms, -1), (torch.softmax(terms, -1) * slope / self.sigma).sum(-1)

    def to_normal(self, x: Tensor) -> Tensor:
        """Map x to z (...) with Phi(z) = F(x): samples of the mixture become standard normal."""
        below, above = self.log_tail_and_slope(x, 1.0)[0], self.log_tail_and_slope(x, -1.0)[0]
        return torch.where(below < above, 1.0, -1.0).to(x.dtype) * normal_quantile(torch.minimum(below, above))

    def from_normal(self, z: Tensor) -> Tensor:
        """Map z to x (...) with F(x) = Phi(z), the inverse of :meth:`to_normal`, by bracketed root-finding."""
        side = torch.where(z < 0, 1.0, -1.0).to(z.dtype)
        log_p, _ = log_cdf_and_slope(side * z)

        def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
            log_tail, slope = self.log_tail_and_slope(x, side)
            # The root-finder divides by the slope, which underflows between modes that are very far apart.
            return side * (log_tail - log_p), slope.clamp_min(math.sqrt(torch.finfo(x.dtype).tiny))

        # F is at most Phi(z) at the lowest of the components' quantiles, and at least Phi(z) at the highest.
        quantiles = self.mu + self.sigma * z[..., None]
        return increasing_root(value_and_slope, quantiles.amin(-1), quantiles.amax(-1))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw one sample (...) from each mixture."""
        cumulative = self.alpha.cumsum(-1)
        place = torch.rand(cumulative.shape[:-1], dtype=self.mu.dtype, device=self.mu.device, generator=generator)
        component = (cumulative[..., :-1] < place[..., None] * cumulative[..., -1:]).sum(-1, keepdim=True)
        noise = torch.randn(place.shape, dtype=self.mu.dtype, device=self.mu.device, generator=generator)
        return (self.mu.gather(-1, component) + self.sigma.gather(-1, component) * noise[..., None]).squeeze(-1)
