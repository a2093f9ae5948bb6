"""RealNVP in five libraries, as each library's users build it: affine couplings, with one network each for s and t.

Each coupling leaves half of the dimensions unchanged and scales and shifts the other half; the halves alternate. The
base is a standard normal without parameters. The libraries differ in:

========= ===================== ======================================== ====================== ================
library   the coupling maps     scale of a coupling                      halves                 starts as
========= ===================== ======================================== ====================== ================
nfteach   z to x                exp(c tanh s), c learnt                  every other dimension  near the identity
normflows z to x                exp(s)                                   first, second; swapped the identity
nflows    x to z                sigmoid(s + 2) + 0.001: at most 1.001    every other dimension  scales near 0.88
zuko      x to z                exp of s, softly clipped to +-log(1000)  every other dimension  near the identity
Pyro      z to x                exp of s, clipped to -5 ... 3            first, second; swapped near the identity
========= ===================== ======================================== ====================== ================

The c, one for each scaled dimension, are the only parameters that a single library has. In normflows the last layer of
each network is initialised with zeros (``init_zeros``), as in its README; the other libraries keep torch's initial
linear layers. "First, second; swapped" needs an even number of dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BUILDERS", "VARIANTS", "Model", "build"]


def build(library: str, dim: int, layers: int, hidden: tuple[int, ...]) -> nn.Module:
    """Build the model of :data:`BUILDERS` or :data:`VARIANTS`; this imports the library, so use a separate process.

    Args:
        library: a key of :data:`BUILDERS` or :data:`VARIANTS`.
        dim: D, even.
        layers: K, the number of couplings.
        hidden: the widths of the hidden layers (ReLU) of each coupling's network.

    Returns:
        a module with ``log_prob(x)``, (N, D) to (N,) in nats, and ``sample(n)``, (n, D) without gradients. Its
        parameters are all trainable.
    """
    return (BUILDERS | VARIANTS)[library](dim, layers, hidden)


class Model(nn.Module):
    """The base class of the models: a density, and samples without gradients."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q(x) (N,) in nats for x (N, D)."""
        raise NotImplementedError

    def sample(self, n: int) -> Tensor:
        """Draw points (n, D)."""
        with torch.no_grad():
            return self.draw(n)

    def draw(self, n: int) -> Tensor:
        """Draw points (n, D), with or without gradients."""
        raise NotImplementedError


def nfteach(dim: int, layers: int, hidden: tuple[int, ...], *, zeros: bool = False) -> Model:
    """Build RealNVP; with ``zeros=True`` the last layers start with zeros, as in normflows."""
    from nfteach.flows import FlowDistribution, RealNVP

    class Ours(Model):
        def __init__(self) -> None:
            super().__init__()
            self.flow = RealNVP(dim, layers, hidden)
            if zeros:
                for coupling in self.flow:
                    nn.init.zeros_(coupling.conditioner[-1].weight)
                    nn.init.zeros_(coupling.conditioner[-1].bias)
            self.q = FlowDistribution(torch.distributions.Normal(torch.zeros(dim), torch.ones(dim)), self.flow)

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Ours()


def normflows(dim: int, layers: int, hidden: tuple[int, ...]) -> Model:
    """Build AffineCouplingBlock and Permute, as in the README; MaskedAffineFlow has two networks and is slower."""
    import normflows as nf

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            half, flows = dim // 2, []
            for _ in range(layers):
                network = nf.nets.MLP([half, *hidden, 2 * half], init_zeros=True)
                flows += [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(dim, mode="swap")]
            self.q = nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=False), flows)

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample(n)[0]

    return Theirs()


def nflows(dim: int, layers: int, hidden: tuple[int, ...], *, bounded: bool = True) -> Model:
    """Build SimpleRealNVP with a plain network instead of the residual one.

    The scales from x to z are at most 1.001, so that the map hardly expands any volume: q is bounded by
    1.001^(layers * dim / 2) times the base's peak, (2 pi)^(-dim / 2). With ``bounded=False`` they are exp(s) instead.
    """
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    class Network(MLP):
        def forward(self, inputs: Tensor, context: Any = None) -> Tensor:
            return super().forward(inputs)

    class Exponential(AffineCouplingTransform):
        def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
            shift, log_scale = transform_params.chunk(2, dim=1)
            return log_scale.exp(), shift

    coupling = AffineCouplingTransform if bounded else Exponential

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            couplings = [
                coupling(torch.arange(dim) % 2 != k % 2, lambda n, m: Network((n,), (m,), list(hidden)))
                for k in range(layers)
            ]
            self.q = Flow(CompositeTransform(couplings), StandardNormal([dim]))

        def log_prob(self, x: Tensor) -> Tensor:
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample(n)

    return Theirs()


def zuko(dim: int, layers: int, hidden: tuple[int, ...]) -> Model:
    """Build RealNVP."""
    from zuko.flows import RealNVP

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            self.flow = RealNVP(dim, transforms=layers, hidden_features=hidden)

        def log_prob(self, x: Tensor) -> Tensor:
            return self.flow().log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.flow().sample((n,))

    return Theirs()


def pyro(dim: int, layers: int, hidden: tuple[int, ...]) -> Model:
    """Build AffineCoupling and Permute, as in Pyro's tutorial on flows."""
    import pyro.distributions as dist
    from pyro.distributions.transforms import AffineCoupling, Permute
    from pyro.nn import DenseNN

    class Theirs(Model):
        def __init__(self) -> None:
            super().__init__()
            half = dim // 2
            self.couplings = nn.ModuleList(
                AffineCoupling(half, DenseNN(half, list(hidden), [half, half])) for _ in range(layers)
            )
            swapped = torch.arange(dim).roll(half)
            transforms = [part for coupling in self.couplings for part in (coupling, Permute(swapped))]
            self.q = dist.TransformedDistribution(dist.Normal(torch.zeros(dim), torch.ones(dim)), transforms)

        def log_prob(self, x: Tensor) -> Tensor:
            # The transforms cache their last x and its result, even after the parameters have changed.
            self.q.clear_cache()
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Theirs()


#: Functions (dim, layers, hidden) -> model, by library.
BUILDERS: dict[str, Callable[[int, int, tuple[int, ...]], nn.Module]] = {
    "nfteach": nfteach,
    "normflows": normflows,
    "nflows": nflows,
    "zuko": zuko,
    "pyro": pyro,
}

#: Models with one change, which show why a library differs.
VARIANTS: dict[str, Callable[[int, int, tuple[int, ...]], nn.Module]] = {
    "nfteach, zeros": partial(nfteach, zeros=True),
    "nflows, exp": partial(nflows, bounded=False),
}
