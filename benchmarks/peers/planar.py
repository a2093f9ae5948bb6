"""Planar flows in the libraries that have them, as each library's users build them: K layers with h = tanh.

All use the equations of Rezende & Mohamed (2015), https://arxiv.org/abs/1505.05770, with their u_hat, and a standard
normal base without parameters. zuko and nflows lack planar flows. Pyro computes the density only of points that it drew
itself, and normflows cannot invert the layer with tanh.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .realnvp import Model

__all__ = ["BUILDERS", "build"]


def build(library: str, dim: int, layers: int) -> nn.Module:
    """Build the model of :data:`BUILDERS` for a library; this imports the library, so use a separate process.

    Args:
        library: a key of :data:`BUILDERS`.
        dim: D.
        layers: K.

    Returns:
        a module with ``draw_with_log_prob(n)``: points (n, D) and log q (n,) in nats, with gradients, for variational
        inference; ``sample(n)``, (n, D) without gradients; and ``log_prob(x)``, (N, D) to (N,) in nats, if the library
        can invert the flow.
    """
    return BUILDERS[library](dim, layers)


class Planar(Model):
    """The base class of planar models, which draw points with their density."""

    def draw_with_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw x (n, D); return it with log q(x) (n,) in nats."""
        raise NotImplementedError


def nfteach(dim: int, layers: int) -> Planar:
    """Build a stack of planar layers."""
    from nfteach import flows

    class Ours(Planar):
        def __init__(self) -> None:
            super().__init__()
            self.flow = flows.Stack(*[flows.Planar(dim) for _ in range(layers)])
            self.base = torch.distributions.Independent(
                torch.distributions.Normal(torch.zeros(dim), torch.ones(dim)), 1
            )
            self.q = flows.FlowDistribution(self.base, self.flow)

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

        def draw_with_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
            z = self.base.sample((n,))
            x, ladj = self.flow.call_and_ladj(z)
            return x, self.base.log_prob(z) - ladj

    return Ours()


def normflows(dim: int, layers: int) -> Planar:
    """Build the flow of normflows' example on planar flows."""
    import normflows as nf

    class Theirs(Planar):
        def __init__(self) -> None:
            super().__init__()
            base = nf.distributions.DiagGaussian(dim, trainable=False)
            self.q = nf.NormalizingFlow(base, [nf.flows.Planar((dim,)) for _ in range(layers)])

        def draw(self, n: int) -> Tensor:
            return self.q.sample(n)[0]

        def draw_with_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
            return self.q.sample(n)

    return Theirs()


def pyro(dim: int, layers: int) -> Planar:
    """Build the flow of Pyro's documentation, whose transforms cache the points they drew and can score those."""
    import pyro.distributions as dist
    from pyro.distributions.transforms import Planar as Layer

    class Theirs(Planar):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Layer(dim) for _ in range(layers))
            self.q = dist.TransformedDistribution(
                dist.Normal(torch.zeros(dim), torch.ones(dim)).to_event(1), list(self.layers)
            )

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

        def draw_with_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
            self.q.clear_cache()
            x = self.q.rsample((n,))
            return x, self.q.log_prob(x)

    return Theirs()


#: Functions (dim, layers) -> model, by library.
BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {"nfteach": nfteach, "normflows": normflows, "pyro": pyro}
