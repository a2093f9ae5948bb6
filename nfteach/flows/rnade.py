"""RNADE: NADE for real values, with mixtures of Gaussians as conditionals, and its triangular map."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from .checks import check_sizes
from .flow import Flow
from .mixture import Mixture, log_normal
from .nade import running_activations
from .orderings import as_ordering

__all__ = ["RNADE", "RNADEStep", "TriangularMap"]


class RNADEStep(NamedTuple):
    """One step of an RNADE along its ordering; the leading dimensions (...) are those of x."""

    position: int  # d - 1: 0 for the first dimension of the ordering
    index: int  # o_d, the dimension
    a: Tensor  # (..., H)
    h: Tensor  # (..., H)
    conditional: Mixture  # q(x_{o_d} | x_{o_<d}), with its alpha, mu and sigma (..., K)
    value: Tensor  # (...), x_{o_d}, observed or drawn
    log_prob: Tensor  # (...), log q(x_{o_d} | x_{o_<d}) in nats
    running_log_prob: Tensor  # (...), the sum of the terms so far


class RNADE(nn.Module):
    r"""The real-valued neural autoregressive density estimator.

    As in :class:`NADE`, a hidden activation is updated along the ordering, and each conditional is a function of it:
    here a mixture of K Gaussians.

    .. math::
        a_1 = c, \quad a_{d+1} = a_d + W_{:,o_d} x_{o_d}, \quad h_d = \mathrm{relu}(\rho_{o_d} a_d),

        \alpha_d = \mathrm{softmax}(V^\alpha_{o_d} h_d + b^\alpha_{o_d}), \quad
        \mu_d = V^\mu_{o_d} h_d + b^\mu_{o_d}, \quad
        \sigma_d = \exp(V^\sigma_{o_d} h_d + b^\sigma_{o_d}) + \sigma_{\min}.

    The factor rho compensates for the growth of the activation along the ordering. The lower bound sigma_min is not in
    the paper: where a value repeats in the data, the likelihood of an ever narrower component grows without bound.
    Neither is the upper bound e^10, which only extreme extrapolation reaches.

    The initial mixtures cover standardised data (mean 0 and standard deviation 1 in each dimension).

    Args:
        dim: D, the number of dimensions.
        hidden: H, the number of hidden units.
        components: K, the number of Gaussians in each conditional.
        ordering: (D,), a permutation of 0, 1, ... D - 1; by default the identity.
        min_sigma: sigma_min, in the units of the data.

    Raises:
        ValueError: if a size is below 1, ``min_sigma`` is negative, or ``ordering`` is not a permutation.

    References:
        RNADE: The real-valued neural autoregressive density-estimator (Uria, Murray & Larochelle, 2013),
        https://arxiv.org/abs/1306.0186

    Example:
        >>> rnade = RNADE(3, hidden=5, components=2)
        >>> rnade.log_prob(torch.zeros(7, 3)).shape
        torch.Size([7])
        >>> rnade.as_flow()(torch.zeros(7, 3)).shape
        torch.Size([7, 3])
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        components: int = 10,
        ordering: Sequence[int] | Tensor | None = None,
        *,
        min_sigma: float = 1e-3,
    ) -> None:
        super().__init__()
        check_sizes(dim=dim, hidden=hidden, components=components)
        if not min_sigma >= 0:
            raise ValueError(f"min_sigma must be at least 0, but is {min_sigma}")
        self.dim, self.hidden, self.components, self.min_sigma = dim, hidden, components, min_sigma
        self.event_shape = torch.Size((dim,))
        self.register_buffer("ordering", as_ordering(ordering, dim))
        self.W = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(hidden))
        self.c = nn.Parameter(torch.randn(hidden) / math.sqrt(hidden))
        # The activation of step d is a sum of d terms; with this rho all h_d have about the same size at first.
        self.rho = nn.Parameter((1 + self.ordering.argsort()).to(self.c.dtype).rsqrt())
        for name in ("V_alpha", "V_mu", "V_sigma"):
            self.register_parameter(name, nn.Parameter(0.1 * torch.randn(dim, components, hidden)))
        self.b_alpha = nn.Parameter(torch.zeros(dim, components))
        self.b_mu = nn.Parameter(ndtri((torch.arange(components) + 0.5) / components).repeat(dim, 1))
        self.b_sigma = nn.Parameter(torch.zeros(dim, components))

    def extra_repr(self) -> str:
        return f"{self.dim}, hidden={self.hidden}, components={self.components}"

    check_input = Flow.check_input  # the same checks and messages as for flows

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q(x) in nats, shape (...), for x (..., D); all conditionals are computed in one pass.

        Raises:
            ValueError: if the shape or dtype of ``x`` is not this model's.
        """
        return self.conditionals(x).log_density(x).sum(-1)

    def conditionals(self, x: Tensor) -> Mixture:
        """Return q(x_i | the dimensions before i), a :class:`Mixture` of shape (..., D) in the order of the data."""
        x, o = self.check_input(x), self.ordering
        V, b = self._outputs()
        steps, parts = running_activations(self.c, x.reshape(-1, self.dim)[:, o], self.W.T[o])
        parts = zip(parts, self.rho[o, None, None].split(steps), V[o].mT.split(steps), strict=True)
        outputs = torch.cat([torch.relu(rho * a) @ V for a, rho, V in parts])  # (D, N, 3 K)
        outputs = outputs.index_select(0, o.argsort()).transpose(0, 1) + b
        return self._mixture(outputs.reshape(*x.shape, 3 * self.components))

    def steps(self, x: Tensor) -> list[RNADEStep]:
        """Return one :class:`RNADEStep` per dimension, along the ordering, for x (..., D)."""
        x = self.check_input(x)
        return list(self._steps(x.shape[:-1], lambda index, conditional: x[..., index]))

    @torch.no_grad()
    def sample_steps(
        self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None
    ) -> list[RNADEStep]:
        """Draw a sample and return one :class:`RNADEStep` per dimension, each drawn given the earlier ones."""
        return list(self._steps(torch.Size(sample_shape), lambda index, conditional: conditional.sample(generator)))

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw samples (*sample_shape, D), dimension by dimension.

        For samples with gradients, apply ``as_flow().inv`` to standard normal samples.
        """
        return self._values(torch.Size(sample_shape), lambda index, conditional: conditional.sample(generator))

    def as_flow(self) -> TriangularMap:
        """Return the flow x -> z that maps this density to a standard normal one; the parameters are shared."""
        return TriangularMap(self)

    def _outputs(self) -> tuple[Tensor, Tensor]:
        """Return the weights (D, 3 K, H) and biases (D, 3 K) of alpha, mu and sigma, concatenated."""
        return torch.cat([self.V_alpha, self.V_mu, self.V_sigma], 1), torch.cat(
            [self.b_alpha, self.b_mu, self.b_sigma], 1
        )

    def _mixture(self, outputs: Tensor) -> Mixture:
        """Return the conditionals (...) of outputs (..., 3 K)."""
        logits, mu, log_sigma = outputs.chunk(3, -1)
        # Without the bound e^10, sampling can diverge: an outlier causes a huge sigma, and so a larger outlier.
        sigma = torch.exp(log_sigma.clamp(max=10)) + self.min_sigma
        return Mixture(torch.log_softmax(logits, -1), mu, sigma)

    def _recurrence(
        self, shape: torch.Size, choose: Callable[[int, Mixture], Tensor]
    ) -> Iterator[tuple[int, Tensor, Tensor, Mixture, Tensor]]:
        """Yield index, a, h, conditional and value (...) along the ordering; ``choose`` returns the value."""
        a, (V, b) = self.c.expand(*shape, self.hidden), self._outputs()
        for index in self.ordering.tolist():
            h = torch.relu(self.rho[index] * a)
            conditional = self._mixture(h @ V[index].T + b[index])
            value = choose(index, conditional)
            yield index, a, h, conditional, value
            a = a + value[..., None] * self.W[:, index]

    def _steps(self, shape: torch.Size, choose: Callable[[int, Mixture], Tensor]) -> Iterator[RNADEStep]:
        """Yield the steps of the recurrence with their log-probabilities."""
        running = self.c.new_zeros(shape)
        for position, (index, a, h, conditional, value) in enumerate(self._recurrence(shape, choose)):
            log_prob = conditional.log_density(value)
            running = running + log_prob
            yield RNADEStep(position, index, a, h, conditional, value, log_prob, running)

    def _values(self, shape: torch.Size, choose: Callable[[int, Mixture], Tensor]) -> Tensor:
        """Return x (*shape, D), its dimensions chosen along the ordering."""
        values = torch.stack([value for *_, value in self._recurrence(shape, choose)], -1)
        return values.index_select(-1, self.ordering.argsort())


class TriangularMap(Flow):
    r"""The map x -> z of an RNADE, through the CDFs of its conditionals: Phi(z_d) = u_d = F_d(x_d | x_{<d}).

    Each z_d increases with x_d and otherwise depends on earlier dimensions only, so the Jacobian is lower triangular in
    the model's ordering. The determinant is the product of the diagonal entries q_d(x_d \| x_{<d}) / phi(z_d); the
    entries below the diagonal do not affect it. The map x -> z takes one pass. The inverse solves D equations in one
    unknown, in sequence, because each conditional depends on the earlier dimensions of x.

    If x follows the RNADE, z is standard normal, so ``FlowDistribution(standard_normal, rnade.as_flow().inv)`` has the
    density of the RNADE.

    Args:
        rnade: the model, which becomes a submodule; its parameters are shared.

    References:
        Rosenblatt (1952), Remarks on a multivariate transformation; Papamakarios et al. (2021), section 2.2,
        https://arxiv.org/abs/1912.02762
    """

    formula = r"\log|\det J| = \sum_{d=1}^{D} \log \frac{q_d(x_d \mid x_{<d})}{\varphi(z_d)}"

    def __init__(self, rnade: RNADE) -> None:
        super().__init__(rnade.dim)
        self.rnade = rnade

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        conditionals = self.rnade.conditionals(self.check_input(x))
        z = conditionals.to_normal(x)
        return z, (conditionals.log_density(x) - log_normal(z)).sum(-1)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self.check_input(y)
        x = self.rnade._values(z.shape[:-1], lambda index, conditional: conditional.from_normal(z[..., index]))
        return x, (log_normal(z) - self.rnade.conditionals(x).log_density(x)).sum(-1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        conditionals = self.rnade.conditionals(self.check_input(x))
        z = conditionals.to_normal(x)
        log_q, log_phi = conditionals.log_density(x), log_normal(z)
        return {
            "u = F(x_d | x_<d)": ndtr(z),
            "z": z,
            "log q(x_d | x_<d)": log_q,
            "log phi(z_d)": log_phi,
            "diagonal of J": torch.exp(log_q - log_phi),
            "log|det J|": (log_q - log_phi).sum(-1),
        }
