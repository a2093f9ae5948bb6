"""The latent explorer, against torch's distributions, one image at a time; with flows of every make."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, ComposeTransform, Independent, Normal
from torch.distributions import TransformedDistribution as Transformed

from nfteach.flows import Flow, Logit, RealNVP, Stack
from nfteach.widgets import LatentExplorer
from tests.explorers.entry import Entry, anywhere, drawn

__all__ = ["ENTRIES", "EXACT", "D", "check", "digits_like", "flow", "standard"]

EXACT = 1e-9  # float64, a network of a few layers
D = 64


def standard(dim: int = D, dtype: torch.dtype = torch.float64) -> Independent:
    return Independent(Normal(torch.zeros(dim, dtype=dtype), torch.ones(dim, dtype=dtype)), 1)


def digits_like(n: int = 8, dim: int = D) -> Tensor:
    """Return random images: pixels in (0, 1)."""
    return torch.rand(n, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@functools.cache
def flow() -> Flow:
    """Return a small RealNVP of images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Stack(RealNVP(D, layers=4, hidden=(16,)), Logit(D).inv).double()


def turned(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return a point of the great circle by a rotation in the plane of an orthonormal basis."""
    first = a / a.norm()
    second = b - (b @ first) * first
    second = second / second.norm()
    angle = t * math.acos(float(a @ b / (a.norm() * b.norm())))
    return (math.cos(angle) * first + math.sin(angle) * second) * ((1 - t) * a.norm() + t * b.norm())


def check(explorer: LatentExplorer, flow: Any, images: Tensor, tolerance: float = EXACT) -> None:
    """Compare log q, norms and the image with torch's TransformedDistribution, of one image at a time."""
    state, told, dim = explorer.state, explorer.readout, images[0].numel()
    with torch.no_grad():
        a, b, t = images[state["a"]], images[state["b"]], state["t"]
        z_a, z_b = flow.inv(a), flow.inv(b)
        z = (1 - t) * z_a + t * z_b if state["path"] == "line" or state["a"] == state["b"] else turned(z_a, z_b, t)
        z, mix, base = state["temperature"] * z, (1 - t) * a + t * b, standard(dim, images.dtype)
        x = flow(z)
        log_q = base.log_prob(z) - flow.log_abs_det_jacobian(z, x)
        mixed, off = Transformed(base, [flow]).log_prob(mix), (flow(z_a) - a).abs().max()
        mixed_norm = flow.inv(mix).norm()
    assert told["log q(x)"] == pytest.approx(log_q.item(), abs=tolerance)
    assert told["log q of the mix"] == pytest.approx(mixed.item(), abs=tolerance)
    assert told["norm of z"] == pytest.approx(z.norm().item(), abs=tolerance)
    assert told["norm of the mix's z"] == pytest.approx(mixed_norm.item(), abs=tolerance)
    assert told["a comes back off by"] == pytest.approx(off.item(), abs=tolerance)
    if explorer.levels:
        assert told["bits/dim"] == pytest.approx(math.log2(17) - log_q.item() / dim / math.log(2), abs=tolerance)
    assert drawn(explorer, "t") == pytest.approx((t, log_q.item()), abs=tolerance)
    low, high = images.min(), images.max()
    for sheet, image in enumerate((x, mix)):
        ink = ((image - low) / (high - low)).clamp(0, 1)
        np.testing.assert_allclose(drawn(explorer, "large")[sheet].ravel(), ink.numpy(), atol=max(tolerance, 1e-6))


def on_and_off_the_steps(explorer: LatentExplorer, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random state whose t is on a step of the slider every other time."""
    state = anywhere(explorer, rng)
    return state | {"t": float(rng.integers(51) / 50)} if rng.random() < 0.5 else state


class Scale(nn.Module):
    """x = 0.1 z + 0.5, with or without its log-det, for images or vectors."""

    def __init__(self, told: bool, rank: int) -> None:
        super().__init__()
        self.told, self.rank = told, rank
        self.factor = nn.Parameter(torch.tensor(0.1))

    def forward(self, z):
        if z.dim() != self.rank:
            raise RuntimeError("of another rank")
        x = self.factor * z + 0.5
        return (x, self.factor.log().expand(len(z)) * z[0].numel()) if self.told else x

    def inverse(self, x):
        z = (x - 0.5) / self.factor
        return (z, -self.factor.log().expand(len(x)) * x[0].numel()) if self.told else z


def pair() -> tuple[Callable, Callable]:
    scale = Scale(True, 2)
    return (lambda z: scale(z)), (lambda x: scale.inverse(x))


GIVEN = {
    "Transform": lambda: AffineTransform(0.5, 0.1),
    "composed": lambda: ComposeTransform([AffineTransform(5.0, 1.0), AffineTransform(0.0, 0.1)]),
    "distribution": lambda: Transformed(Normal(torch.zeros(16), torch.ones(16)), [AffineTransform(0.5, 0.1)]),
    "module": lambda: Scale(True, 2),
    "module of images": lambda: Scale(True, 4),
    "silent module": lambda: Scale(False, 2),
    "pair": pair,
    "two transforms": lambda: Transformed(standard(16), [AffineTransform(5.0, 1.0), AffineTransform(0.0, 0.1)]),
}


def given_flow(name: str) -> Entry:
    """Return the explorer with a flow that is handed in: all of them are x = 0.1 z + 0.5, of 16 pixels."""
    images = digits_like(5, 16)

    def check_affine(explorer: LatentExplorer) -> None:
        state, told = explorer.state, explorer.readout
        a, b, t = (images[state["a"]] - 0.5) / 0.1, (images[state["b"]] - 0.5) / 0.1, state["t"]
        straight = state["path"] == "line" or state["a"] == state["b"]
        z = state["temperature"] * ((1 - t) * a + t * b if straight else turned(a, b, t))
        log_q = standard(16).log_prob(z) - 16 * math.log(0.1)
        assert told["log q(x)"] == pytest.approx(log_q.item(), abs=1e-4)
        assert told["norm of z"] == pytest.approx(z.norm().item(), abs=1e-5)

    return Entry(lambda: LatentExplorer(GIVEN[name](), images.reshape(5, 1, 4, 4), shape=(4, 4)), check_affine)


ENTRIES = {
    "LatentExplorer": Entry(
        lambda: LatentExplorer(flow(), digits_like(), levels=17),
        lambda explorer: check(explorer, flow(), digits_like()),
        25,
        on_and_off_the_steps,
        text="LatentExplorer(t=0.5, path='circle', temperature=1, a=0, b=1)",
        alt="latents",
    ),
    **{f"LatentExplorer, {name}": given_flow(name) for name in GIVEN},
}
