"""Restarts of small flows of the plane, trained together.

Training several flows together takes little longer than training one, since most of a step's time is the overhead of
calling operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfteach.flows import Flow, Planar, RealNVP, Stack
from nfteach.flows.planar import one_plus_m

__all__ = ["Couplings", "Planars", "Restarts"]


class Restarts(nn.Module, ABC):
    """R independent flows of one form with different initial parameters.

    Args:
        flows: flows of the package, whose parameters are copied.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        super().__init__()
        self.restarts = len(flows)

    @property
    def count(self) -> int:
        """The number of parameters of each flow."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.restarts

    @abstractmethod
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (R, N, 2) to x (R, N, 2) and log|det dx/dz| (R, N)."""

    @abstractmethod
    def flow(self, index: int) -> Flow:
        """Return one of the flows as a flow of the package, which is invertible, in float64."""


class Planars(Restarts):
    """R stacks of K planar layers, equations 10 to 12 of Rezende & Mohamed (2015), with 5 K parameters each."""

    def __init__(self, restarts: int, layers: int) -> None:
        flows = [Stack(*[Planar(2) for _ in range(layers)]) for _ in range(restarts)]
        super().__init__(flows)
        self.layers = layers
        for name in ("w", "u", "b"):
            stacked = torch.stack([torch.stack([getattr(flow[k], name) for flow in flows]) for k in range(layers)])
            setattr(self, name, nn.Parameter(stacked.detach()))  # (K, R, 2), (K, R, 2) and (K, R)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        # u_hat of appendix A.1 for all layers of all flows at once, as nfteach.flows.planar.u_hat for one layer.
        wu = (self.w * self.u).sum(-1, keepdim=True)
        raised = one_plus_m(wu)
        moves = self.u + (raised - 1 - wu) * self.w / (self.w * self.w).sum(-1, keepdim=True)
        activations = []
        # baddbmm: product and sum for R pairs of matrices in one call.
        for w, move, b in zip(self.w[..., None], moves[..., None, :], self.b[..., None, None], strict=True):
            h = torch.tanh(torch.baddbmm(b, z, w))
            z = torch.baddbmm(z, h, move)
            activations.append(h)
        h = torch.stack(activations)[..., 0]
        slope = 1 - h * h
        # 1 + u_hat.psi = (1 - h') + h' (1 + w.u_hat), a sum of two positive terms.
        return z, (h * h + slope * raised).log().sum(0)

    def flow(self, index: int) -> Flow:
        flow = Stack(*[Planar(2) for _ in range(self.layers)]).double().requires_grad_(False)
        for k, layer in enumerate(flow):
            for name in ("w", "u", "b"):
                getattr(layer, name).copy_(getattr(self, name)[k, index])
        return flow


class Couplings(Restarts):
    """R RealNVPs of the plane, equations 4 to 8 of Dinh et al. (2017).

    A coupling has 4 H + 3 parameters if its network has one hidden layer of H units, and 5, like a planar layer, if its
    network has no hidden layer.
    """

    def __init__(self, restarts: int, layers: int, hidden: Sequence[int]) -> None:
        flows = [RealNVP(2, layers, hidden) for _ in range(restarts)]
        super().__init__(flows)
        self.layers, self.hidden = layers, tuple(hidden)
        names = dict(flows[0][0].named_parameters())
        self.stacked = nn.ParameterDict(
            {
                name.replace(".", " "): torch.stack(
                    [torch.stack([flow[k].get_parameter(name) for flow in flows]) for k in range(layers)]
                ).detach()
                for name in names
            }
        )  # scale (K, R, 1), the networks' weights (K, R, outputs, inputs) and biases (K, R, outputs)
        self.networks = [2 * i for i in range(len(self.hidden) + 1)]  # the odd ones are the ReLUs

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, total = list(z.split(1, dim=-1)), 0.0
        scales = self.stacked["scale"][..., None]
        weights = [self.stacked[f"conditioner {i} weight"].mT for i in self.networks]
        biases = [self.stacked[f"conditioner {i} bias"][..., None, :] for i in self.networks]
        for k in range(self.layers):
            kept, changed = k % 2, 1 - k % 2
            h = torch.baddbmm(biases[0][k], x[kept], weights[0][k])
            for weight, bias in zip(weights[1:], biases[1:], strict=True):
                h = torch.baddbmm(bias[k], h.relu(), weight[k])
            raw, t = h.split(1, dim=-1)
            s = scales[k] * torch.tanh(raw)
            x[changed] = torch.addcmul(t, x[changed], s.exp())
            total = total + s
        return torch.cat(x, dim=-1), total[..., 0]

    def flow(self, index: int) -> Flow:
        flow = RealNVP(2, self.layers, self.hidden).double().requires_grad_(False)
        for k, layer in enumerate(flow):
            for name, parameter in layer.named_parameters():
                parameter.copy_(self.stacked[name.replace(".", " ")][k, index])
        return flow
