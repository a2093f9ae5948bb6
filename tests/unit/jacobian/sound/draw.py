"""What random layers are made of, in what manner they are shipped, and at what points they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform

__all__ = ["KINDS", "Draw", "Sound", "kind", "sound_layer"]


@dataclass(frozen=True)
class Sound:
    """A layer, what else inspect_jacobian is told about it, and points.

    Attributes:
        manner: how it is shipped, one of ``MANNERS``.
        invertible: whether it, or what is told, leads back from y to x.
    """

    kind: str
    manner: str
    layer: Any
    x: Tensor
    told: dict[str, Callable]
    invertible: bool


class Draw:
    """Random numbers of one layer: D, B and its dtype, drawn once, and whatever else it asks for."""

    def __init__(self, seed: int) -> None:
        self.g = torch.Generator().manual_seed(seed)
        self.dim, self.batch = 1 + self.below(16), 1 + self.below(12)
        self.dtype = self.one_of(torch.float32, torch.float64)

    def below(self, n: int) -> int:
        return int(torch.randint(n, (), generator=self.g))

    def one_of(self, *values: Any) -> Any:
        return values[self.below(len(values))]

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.g, dtype=torch.float64).to(self.dtype)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(shape, generator=self.g, dtype=torch.float64)).to(self.dtype)

    def sizes(self, *shape: int) -> Tensor:
        """From 0.2 to 5, with both signs."""
        return self.uniform(-1.6, 1.6, *shape).exp() * self.normal(*shape).sign()

    def order(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.g)

    def mask(self) -> Tensor:
        """Some of the dimensions: at least one, and not all."""
        return self.order(self.dim) < 1 + self.below(self.dim - 1)

    def points(self, most: float, shape: tuple[int, ...]) -> Tensor:
        """Of a size from 0.01 to 100 about 0 or about another place, none beyond ``most``."""
        size, place = (float(10 ** self.uniform(-2, 2)) for _ in range(2))
        x = size * self.normal(self.batch, *shape) + place * self.one_of(0, 0, 1, -1)
        return x.clamp(-most, most) if most > 50 else most * torch.tanh(x / most)

    def wild(self, module: nn.Module, size: float) -> nn.Module:
        """The module with every parameter at random, far from where it starts."""
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(size * self.normal(*parameter.shape))
        return module


class Shipped(nn.Module):
    """A module that returns (y, log_det), with the habits of one that is in use."""

    def __init__(self, layer: nn.Module, manner: str) -> None:
        super().__init__()
        self.layer, self.manner = layer, manner
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def received(self, values: Tensor) -> Tensor:
        if self.manner == "in float32 only" and values.dtype != torch.float32:
            raise TypeError(f"expected float32, got {values.dtype}")
        return values

    def forward(self, x: Tensor):
        if self.manner == "counts its calls":
            self.calls += 1
        if self.manner == "writes into what it is given":
            x *= 2
        if self.manner == "never alone" and len(x) < 2:
            raise ValueError("expected more than one sample")
        y, log_det = self.layer(self.received(x))
        if self.manner == "writes into what it is given":
            log_det = log_det + x[0].numel() * torch.tensor(2.0).to(x).log()
        return y, log_det


class ShippedBothWays(Shipped):
    """... which has an inverse."""

    def inverse(self, y: Tensor):
        back = self.layer.inverse(self.received(y))
        x = back[0] if isinstance(back, tuple) else back
        return x / 2 if self.manner == "writes into what it is given" else x


MANNERS = ("as it is", "counts its calls", "writes into what it is given", "never alone", "in float32 only")

# Name -> (maker, the least and the largest D, the largest |x|).
KINDS: dict[str, tuple[Callable[[Draw], Any], int, int, float]] = {}


def kind(least: int = 1, most: int = 16, size: float = 1e3) -> Callable[[Callable], Callable]:
    """Enter a maker under its name: it returns a layer, or a layer and what is told of it (or its points: "x")."""

    def enter(make: Callable[[Draw], Any]) -> Callable:
        KINDS[make.__name__] = (make, least, most, size)
        return make

    return enter


def sound_layer(name: str, seed: int) -> Sound:
    """A random layer of the kind ``name``; the same for the same seed."""
    make, least, most, size = KINDS[name]
    draw = Draw(seed)
    draw.dim = min(max(draw.dim, least), most)
    made = make(draw)
    layer, told = made if isinstance(made, tuple) else (made, {})
    shape, x = told.pop("shape", (draw.dim,)), told.pop("x", None)
    x = draw.points(size, shape) if x is None else x
    if draw.below(4) == 0:
        x = x.to(draw.one_of(torch.float32, torch.float64))  # the layer's may be the other
    manner = MANNERS[0]
    if isinstance(layer, nn.Module):
        layer = layer.to(draw.dtype).eval()
        if not isinstance(layer, Transform):
            manner = draw.one_of(*MANNERS[:1], *MANNERS)
            layer = (ShippedBothWays if hasattr(layer, "inverse") else Shipped)(layer, manner)
            if manner == "in float32 only":
                layer, x = layer.float(), x.float()
    elif x.dim() > 1 and len(x) == 1 and draw.below(2):
        x = x[0]
    invertible = "inverse" in told or hasattr(layer, "inverse") or isinstance(layer, Transform)
    return Sound(name, manner, layer, x, told, invertible)
