"""Autoregressive densities with Gaussian conditionals, as each library's users build them.

All have one hidden layer of H units (ReLU) that gives a mean and a scale for each of D dimensions. They are two
different models, though:

- ours is RNADE with one component: a hidden layer of H units for each dimension, with shared weights;
- the other libraries have MADE, which is MAF with one layer: a single hidden layer of H units for all dimensions, with
  masks on the weights that let each unit and each dimension depend on earlier dimensions only.

So the density of MADE takes two matrix products, and that of RNADE a nonlinearity for each of D H units; a sample takes
D passes through MADE's network, and one pass along RNADE's ordering. The networks of nflows and normflows are a linear
layer followed by blocks, the smallest of which adds one or two layers of weights; here a block with the nonlinearity
alone replaces it, so that they, too, have one hidden layer. None of the libraries has NADE, RNADE, or any other
autoregressive density over binary vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .realnvp import Model

__all__ = ["BUILDERS", "build"]


def build(library: str, dim: int, hidden: int) -> nn.Module:
    """Build the model of :data:`BUILDERS` for a library; this imports the library, so use a separate process.

    Args:
        library: a key of :data:`BUILDERS`.
        dim: D.
        hidden: H, at least D, as Pyro requires.

    Returns:
        a module with ``log_prob(x)``, (N, D) to (N,) in nats, and ``sample(n)``, (n, D) without gradients.
    """
    return BUILDERS[library](dim, hidden)


class Nonlinearity(nn.Module):
    """A block for the networks of nflows and normflows that has no weights."""

    def forward(self, x: Tensor, context: Any = None) -> Tensor:
        return torch.relu(x)


def nfteach(dim: int, hidden: int) -> Model:
    """Build RNADE with one component."""
    from nfteach.flows import RNADE

    class Ours(Model):
        def __init__(self) -> None:
            super().__init__()
            self.q = RNADE(dim, hidden, components=1)

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Ours()


def normflows(dim: int, hidden: int) -> Model:
    """Build MaskedAffineAutoregressive, reversed to map x to z, so that the density takes a single pass."""
    import normflows as nf

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            layer = nf.flows.MaskedAffineAutoregressive(dim, hidden, num_blocks=0)
            layer.autoregressive_net.blocks.append(Nonlinearity())
            base = nf.distributions.DiagGaussian(dim, trainable=False)
            self.q = nf.NormalizingFlow(base, [nf.flows.Reverse(layer)])

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample(n)[0]

    return Theirs()


def nflows(dim: int, hidden: int) -> Model:
    """Build MaskedAffineAutoregressiveTransform."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import MaskedAffineAutoregressiveTransform

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            layer = MaskedAffineAutoregressiveTransform(dim, hidden, num_blocks=0, use_residual_blocks=False)
            layer.autoregressive_net.blocks.append(Nonlinearity())
            self.q = Flow(layer, StandardNormal([dim]))

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample(n)

    return Theirs()


def zuko(dim: int, hidden: int) -> Model:
    """Build MAF with one transform."""
    from zuko.flows import MAF

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            self.flow = MAF(dim, transforms=1, hidden_features=(hidden,))

        def log_prob(self, x: Tensor) -> Tensor:
            return self.flow().log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.flow().sample((n,))

    return Theirs()


def pyro(dim: int, hidden: int) -> Model:
    """Build the inverse of AffineAutoregressive, which Pyro's documentation advises for maximum likelihood."""
    import pyro.distributions as dist
    from pyro.distributions.transforms import AffineAutoregressive
    from pyro.nn import AutoRegressiveNN

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            self.layer = AffineAutoregressive(AutoRegressiveNN(dim, [hidden]))
            base = dist.Normal(torch.zeros(dim), torch.ones(dim)).to_event(1)
            self.q = dist.TransformedDistribution(base, [self.layer.inv])

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x[:])  # a new tensor: Pyro caches the result for the last one

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Theirs()


#: Functions (dim, hidden) -> model, by library.
BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    "nfteach": nfteach,
    "normflows": normflows,
    "nflows": nflows,
    "zuko": zuko,
    "pyro": pyro,
}
