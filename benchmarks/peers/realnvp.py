"""RealNVP in five libraries, as each library's users build it: affine couplings, and one network each for s and t.

Every coupling passes half of the dimensions through and scales and shifts the other half; the next one does it the
other way round. The base is a standard normal without parameters. What differs is each library's own:

========= ===================== ======================================== ====================== ================
library   the coupling maps     scale of a coupling                      halves                 starts as
========= ===================== ======================================== ====================== ================
nfteach   z to x                exp(c tanh s), c learnt                  every other dimension  near the identity
normflows z to x                exp(s)                                   first, second; swapped the identity
nflows    x to z                sigmoid(s + 2) + 0.001: at most 1.001    every other dimension  scales near 0.88
zuko      x to z                exp of s, softly clipped to +-log(1000)  every other dimension  near the identity
Pyro      z to x                exp of s, clipped to -5 ... 3            first, second; swapped near the identity
========= ===================== ======================================== ====================== ================

The c are the only parameters that one library has and the others do not: one for each scaled dimension. A normflows
network starts with zeros in its last layer (``init_zeros``), as its README has it; the others start as torch starts
linear layers. "First, second; swapped" wants an even number of dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BUILDERS", "VARIANTS", "Model", "build"]


def build(library: str, dim: int, layers: int, hidden: tuple[int, ...]) -> nn.Module:
    """The model of :data:`BUILDERS` or :data:`VARIANTS`; call it in a process of its own, since it imports the library.

    Args:
        library: a key of one of them.
        dim: D, even.
        layers: K, the number of couplings.
        hidden: the widths of the hidden layers (ReLU) of each coupling's network.

    Returns:
        a module with ``log_prob(x)``, (N, D) to (N,) in nats, and ``sample(n)``, (n, D) without gradients. Its
        parameters are all trainable.
    """
    return (BUILDERS | VARIANTS)[library](dim, layers, hidden)


class Model(nn.Module):
    """What all have in common: a density, and samples without gradients."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log q(x) (N,) in nats, for x (N, D)."""
        raise NotImplementedError

    def sample(self, n: int) -> Tensor:
        """n points (n, D)."""
        with torch.no_grad():
            return self.draw(n)

    def draw(self, n: int) -> Tensor:
        raise NotImplementedError


def nfteach(dim: int, layers: int, hidden: tuple[int, ...], *, zeros: bool = False) -> Model:
    """Its RealNVP; with ``zeros=True`` it starts as the identity, as normflows does: zeros in each last layer."""
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
    """AffineCouplingBlock and Permute, as in its README; MaskedAffineFlow has two networks and is slower."""
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
    """Its SimpleRealNVP, with a plain network in place of the residual one.

    Its scales are at most 1.001 from x to z, so no volume grows on the way: q is nowhere above
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
    """Its RealNVP."""
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
    """AffineCoupling and Permute, as in its tutorial on flows."""
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
            # The transforms remember their last x and what came of it, also when the parameters are others by now.
            self.q.clear_cache()
            return self.q.log_prob(x)

        def draw(self, n: int) -> Tensor:
            return self.q.sample((n,))

    return Theirs()


#: By library: (dim, layers, hidden) to the model.
BUILDERS: dict[str, Callable[[int, int, tuple[int, ...]], nn.Module]] = {
    "nfteach": nfteach,
    "normflows": normflows,
    "nflows": nflows,
    "zuko": zuko,
    "pyro": pyro,
}

#: To tell why one of them differs: the same with one thing changed.
VARIANTS: dict[str, Callable[[int, int, tuple[int, ...]], nn.Module]] = {
    "nfteach, zeros": partial(nfteach, zeros=True),
    "nflows, exp": partial(nflows, bounded=False),
}
