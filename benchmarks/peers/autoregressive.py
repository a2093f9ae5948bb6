"""Autoregressive densities with Gaussian conditionals, as each library's users build them.

All have one hidden layer of H units (ReLU), and read a mean and a scale for each of D dimensions off it. They are not
one model, though:

- ours is RNADE with one component: a hidden layer for each dimension, H units each, from shared weights;
- the others are MADE, that is MAF with one layer: a single hidden layer of H units for all dimensions, in which masks
  on the weights leave to each unit, and to each dimension, only those before it.

So MADE's density is two products of matrices, and in RNADE's each of D H units has a nonlinearity of its own; drawing a
sample takes D passes through MADE's network, and one pass along RNADE's ordering. nflows and normflows begin with a
linear layer and follow it with blocks, the smallest of which has two more layers' worth of weights or one; here that
block is the nonlinearity alone, so that theirs, too, is one hidden layer. No library has NADE or RNADE, or any
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
    """The model of :data:`BUILDERS`; call it in a process of its own, since it imports the library.

    Args:
        library: a key of :data:`BUILDERS`.
        dim: D.
        hidden: H, at least D, as Pyro asks for.

    Returns:
        a module with ``log_prob(x)``, (N, D) to (N,) in nats, and ``sample(n)``, (n, D) without gradients.
    """
    return BUILDERS[library](dim, hidden)


class Nonlinearity(nn.Module):
    """The smallest block of the networks of nflows and normflows."""

    def forward(self, x: Tensor, context: Any = None) -> Tensor:
        return torch.relu(x)


def nfteach(dim: int, hidden: int) -> Model:
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
    """MaskedAffineAutoregressive; it maps x to z here, so that the density, not the sample, is the single pass."""
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
    """MaskedAffineAutoregressiveTransform."""
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
    """Its MAF with one transform."""
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
    """AffineAutoregressive, inverted, as its documentation advises for maximum likelihood."""
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
            return self.q.log_prob(x[:])  # for the same tensor as last time it would answer from memory

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Theirs()


#: By library: (dim, hidden) to the model.
BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    "nfteach": nfteach,
    "normflows": normflows,
    "nflows": nflows,
    "zuko": zuko,
    "pyro": pyro,
}
