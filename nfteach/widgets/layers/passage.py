"""What goes through a stack, layer by layer: points, a probe with its Jacobians, densities by the way back."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Stack
from nfteach.jacobian.autograd import jacobian
from nfteach.plots import structural

__all__ = ["Passage", "densities", "passage", "patterns", "through"]

_AT_ONCE = 1024  # points of each frame: a network's activations for all frames stay in the processor's caches
_WITNESSES = 12  # points at which an entry must be the same to be so by construction


class Passage(NamedTuple):
    """The probe on its way through the stack, one entry a frame: position, layer's J, product so far, log-dets."""

    x: Tensor  # (K + 1, D)
    J: Tensor  # (K + 1, D, D), the identity before the first layer
    product: Tensor  # (K + 1, D, D)
    ladj: Tensor  # (K + 1,), 0 before the first layer
    running: Tensor  # (K + 1,)


def through(flow: Stack, z: Tensor) -> Tensor:
    """(K + 1, ..., D): z and where each layer takes it."""
    return torch.stack([z, *(step.output for step in flow.steps(z))])


def passage(flow: Stack, probe: Tensor) -> Passage:
    """The probe (D,) on its way, with Jacobians by autograd.

    Raises:
        ValueError: if a layer takes it to infinity.
    """
    one = torch.eye(len(probe), dtype=probe.dtype)
    x, J, product, ladj = [probe], [one], [one], [probe.new_zeros(())]
    for index, layer in enumerate(flow):
        here, y, step = jacobian(layer.call_and_ladj, x[-1][None])
        if not (y.isfinite().all() and here.isfinite().all()):
            name = type(layer).__name__
            raise ValueError(f"layer {index + 1} ({name}) takes the probe to infinity; move the probe")
        x.append(y[0])
        J.append(here[0])
        product.append(here[0] @ product[-1])
        ladj.append(step[0])
    stacked = (torch.stack(part) for part in (x, J, product, ladj))
    return Passage(*stacked, running=torch.stack(ladj).cumsum(0))


def patterns(flow: Stack, points: Tensor) -> tuple[Tensor, Tensor]:
    """What is zero or one by construction in each layer's J, and in each product: two of (K + 1, D, D), NaN where free.

    Args:
        points: (N, D), from the base.
    """
    x = points[:_WITNESSES]
    product = torch.eye(x.shape[-1], dtype=x.dtype).expand(len(x), -1, -1)
    layers, products = [product], [product]
    for layer in flow:
        J, x, _ = jacobian(layer.call_and_ladj, x)
        layers.append(J)
        products.append(J @ products[-1])
    return tuple(torch.stack([torch.from_numpy(structural(J)) for J in part]) for part in (layers, products))


def densities(flow: Stack, base: Distribution, points: Tensor) -> tuple[Tensor, list[str]]:
    """log q_k at points of frame k, by inverting the first k layers, in float32, which will do for colours.

    Args:
        points: (K + 1, N, D), those of each frame.

    Returns:
        log q_k (K + 1, N) in nats, zero where it can't be had; and for each frame "" or the reason, in words.
    """
    flow, points = copy.deepcopy(flow).float(), points.float()
    excuses, parts = [""] * len(points), []
    for part in points.split(_AT_ONCE, dim=1):
        logs = points.new_zeros(part.shape[:2])
        # The points of all frames go back together: when layer k is reached, those of frame k join.
        z, ladj = part[:0], logs[:0]
        for index in reversed(range(len(flow))):
            z, ladj = torch.cat([part[index + 1][None], z]), torch.cat([logs[:1], ladj])
            layer = flow[index]
            try:
                z, step = layer.inverse_and_ladj(z)
                ladj = ladj + step
            except Exception as error:  # a layer that is not ours may raise anything; it is read in the picture
                words = f"layer {index + 1} ({type(layer).__name__}) can't be inverted, which q needs: {error}"
                excuses[index + 1 :] = [excuse or words for excuse in excuses[index + 1 :]]
                z, ladj = torch.zeros_like(z), torch.zeros_like(ladj)
        z = torch.cat([part[:1], z])
        parts.append(base.log_prob(z.nan_to_num()) + torch.cat([logs[:1], ladj]))
    return torch.cat(parts, dim=1), excuses
