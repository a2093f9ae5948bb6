"""Every flow of the package by name, at wild parameters: one registry that drives the tests of the mathematics."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nfteach.flows import (
    RNADE,
    AffineCoupling,
    BatchNorm,
    ConvConditioner,
    FactorOut,
    Flow,
    Permutation,
    Planar,
    RealNVP,
    SplineCoupling,
    Stack,
    checkerboard_mask,
    half_mask,
)


def wild(flow: Flow, generator: torch.Generator, scale: float = 1.0) -> Flow:
    """Return ``flow`` in float64 with every parameter and running statistic far from its initial value."""
    flow = flow.double().eval()
    with torch.no_grad():
        # The conditionals of an RNADE with such weights are spikes. Between two spikes J underflows (log|det J| does
        # not), and every inverse loses its digits. test_rnade.py covers this case, with wider tolerances.
        spread = 0.25 * scale if any(isinstance(module, RNADE) for module in flow.modules()) else scale
        for parameter in flow.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * spread)
        for name, buffer in flow.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator, dtype=torch.float64))
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.1)
    return flow


def _own_conditioner(dim: int) -> AffineCoupling:
    mask = half_mask(dim, dim - 1)
    return AffineCoupling(mask, conditioner=nn.Sequential(nn.Linear(dim - 1, 5), nn.SiLU(), nn.Linear(5, 2)))


def _convolutional(dim: int) -> AffineCoupling:
    mask = checkerboard_mask(1, 1, dim)
    return AffineCoupling(mask, conditioner=ConvConditioner(mask, (1, 1, dim), hidden=3))


def _triangular(dim: int) -> Flow:
    return RNADE(dim, 6, 3, torch.randperm(dim, generator=torch.Generator().manual_seed(dim))).as_flow()


FLOWS: dict[str, tuple[int, Callable[[int], Flow]]] = {
    # name: (the least D, D -> the flow)
    "permutation": (1, lambda dim: Permutation(torch.randperm(dim, generator=torch.Generator().manual_seed(dim)))),
    "planar tanh": (1, Planar),
    "planar leaky relu": (1, lambda dim: Planar(dim, "leaky_relu")),
    "planar inverse": (1, lambda dim: Planar(dim).inv),
    "coupling, half": (2, lambda dim: AffineCoupling(half_mask(dim), hidden=(8,))),
    "coupling, half flipped": (2, lambda dim: AffineCoupling(half_mask(dim, flip=True), hidden=(8,))),
    "coupling, alternating": (2, lambda dim: AffineCoupling(torch.arange(dim) % 2 == 1, hidden=(8,))),
    "coupling, no hidden layer": (2, lambda dim: AffineCoupling(half_mask(dim), hidden=())),
    "coupling, additive": (2, lambda dim: AffineCoupling(half_mask(dim), hidden=(8,), additive=True)),
    "coupling, own conditioner": (2, _own_conditioner),
    "coupling, convolutional": (2, _convolutional),
    "coupling, splines": (2, lambda dim: SplineCoupling(half_mask(dim), hidden=(8,))),
    "coupling, splines, alternating": (
        2,
        lambda dim: SplineCoupling(torch.arange(dim) % 2 == 1, hidden=(8,), bins=5, bound=2.0),
    ),
    "factor out": (2, lambda dim: FactorOut(half_mask(dim, flip=True), Planar(dim // 2))),
    "triangular map": (1, _triangular),
    "batch norm": (1, BatchNorm),
    "real nvp": (2, lambda dim: RealNVP(dim, layers=3, hidden=(8,))),
    "real nvp with batch norm": (2, lambda dim: RealNVP(dim, layers=3, hidden=(8,), batch_norm=True)),
    "stack of different layers": (
        2,
        lambda dim: Stack(
            Planar(dim), Permutation(range(dim)[::-1]), AffineCoupling(half_mask(dim), (8,)), Planar(dim).inv
        ),
    ),
}
