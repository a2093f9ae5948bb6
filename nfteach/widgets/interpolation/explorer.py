"""The latent explorer: from one real image to another, through the latents of a flow and pixel by pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import bits_per_dim
from nfteach.widgets.controls import choice, integer, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.interpolation.given import GivenImages
from nfteach.widgets.interpolation.paths import PATHS, straight_line
from nfteach.widgets.interpolation.picture import STOPS, LatentPicture
from nfteach.widgets.live import LiveFigure

__all__ = ["LatentExplorer"]

GRID = 51  # values of t at which everything is known beforehand: those that the slider has
_TRIED = 4  # pairs of images that tell how far log q is shown
_T = torch.linspace(0, 1, GRID, dtype=torch.float64)


class _Way(NamedTuple):
    """One of the ways from a to b, at T values of t: images x (T, D), log q (T,) in nats, norms of z (T,)."""

    x: Tensor
    log_q: Tensor
    norm: Tensor


class _Between(NamedTuple):
    """All ways between two images, by name; samples (n, D); how far a and its reconstruction are apart."""

    ways: dict[str, _Way]
    samples: Tensor
    off: float


class LatentExplorer(Explorer):
    r"""Two real images, and the way from one to the other through the latents of a flow, beside the mix of pixels.

    Images a and b are taken to their latents z_a and z_b; t goes from one to the other on the straight line, or on the
    great circle, which keeps the norm that samples have; and the flow takes each z_t to an image. The mix of pixels is
    (1 - t) a + t b. Strips show eleven stops of each way; below are log q and the norm of z along them, the latter with
    a band that holds nine in ten samples of the base. Norms are distances from the base's mean.

    The temperature multiplies latents (their distance from the base's mean): those on the way, whose ends are then no
    longer a and b, and those of the samples in the last strip.

    Args:
        flow: z -> x, with an inverse: a ``FlowDistribution`` or ``TransformedDistribution``, which bring their base; a
            ``Flow``; a ``torch.distributions.Transform``; a module that returns x or (x, log-det) and has ``.inverse``;
            or a pair of such functions, (forward, inverse). A copy is taken. A log-det that is not told is found by
            autograd, which is slower.
        images: (N, D) or (N, C, H, W), real data as the flow makes it, such as dequantised pixels or their logits.
        shape: (H, W), or (C, H, W) with C = 1, or 3 for colours.
        base: the distribution of z; by default the flow's own, or standard normal.
        levels: how many values a pixel had, if x is dequantised to [0, 1): then bits/dim are told, too.
        state: initial values of controls.

    Controls (for :meth:`set`): ``a`` and ``b``, numbers of images, counted from 0; ``t``, from 0 to 1; ``path``,
    "line" or "circle", which the large image and the points follow; ``temperature``.

    The readout: ``t``; ``log q(x)`` of the image at t in nats, with ``levels`` also its ``bits/dim``; ``log q of the
    mix``; the ``norm of z`` at t and the ``norm of the mix's z``; ``a comes back off by``, the largest difference of a
    pixel between image a and what the flow makes of z_a.

    Raises:
        ValueError: if ``flow`` or ``images`` is missing, they do not go with each other, or the flow has no inverse.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 4.2 and figure 5,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> from torch.distributions import AffineTransform
        >>> images = torch.linspace(0, 1, 12).reshape(3, 4)
        >>> explorer = LatentExplorer(AffineTransform(0.5, 0.25), images, shape=(2, 2), a=0, b=2, t=0.5, path="line")
        >>> {name: round(value, 3) for name, value in explorer.readout.items() if "log q" in name}
        {'log q(x)': 1.539, 'log q of the mix': 1.539}
    """

    help = "Drag an orange point. Which way passes only images that could be real? Then try other digits."
    handles = {"q point": ("t", None), "norm point": ("t", None), "marker": ("t", None)}  # noqa: RUF012

    def __init__(
        self,
        flow: Any = None,
        images: Any = None,
        shape: tuple[int, ...] = (8, 8),
        *,
        base: Distribution | None = None,
        levels: int | None = None,
        **state: Any,
    ) -> None:
        if flow is None or images is None:
            missing = "flow, z -> x," if flow is None else "images, (N, D),"
            raise ValueError(f"{missing} must be given: LatentExplorer(flow, images) shows a flow of your own")
        self.shape = _checked_shape(shape)
        self.images = _checked_images(images, self.shape)
        if levels is not None:
            bits_per_dim(0.0, self.dim, levels)  # refuses what is no number of levels
        self.levels = levels
        with torch.no_grad():
            self.flow = GivenImages(flow, base, self.shape)
        self._known: tuple[Any, _Between] | None = None
        self.presets = {
            "half way, straight": {"t": 0.5, "path": "line"},
            "half way, great circle": {"t": 0.5, "path": "circle"},
            "cooler: 0.7": {"temperature": 0.7, "path": "circle"},
            "temperature 0": {"temperature": 0.0},
        }
        if len(self.images) > 3:
            self.presets = {"another pair": {"a": len(self.images) // 2, "b": len(self.images) - 1}, **self.presets}
        super().__init__(**state)

    @property
    def dim(self) -> int:
        """D, the number of pixels."""
        return self.images.shape[1]

    def build_controls(self) -> dict[str, Any]:
        last = len(self.images) - 1
        return {
            "a": integer("image a", 0, last, 0),
            "b": integer("image b", 0, last, min(1, last)),
            "t": slider("t, from a to b", 0, 1, 0.5, step=1 / (GRID - 1)),
            "path": choice("path", {"line": "line", "great circle": "circle"}, "circle"),
            "temperature": slider("temperature", 0, 1.5, 1.0, step=0.05),
        }

    def build_live(self) -> LiveFigure:
        pixels = self.images
        limits = (float(pixels.min()), float(pixels.max()))
        log_q = [0.0]
        with torch.no_grad():
            for k in range(min(_TRIED, len(pixels) - 1)):
                try:
                    ways = self._ways(k, k + 1, 1.0, _T[::10])[0].values()
                except ValueError:  # told when it is shown
                    break
                log_q = [*log_q[k == 0 :], *(float(end) for way in ways for end in way.log_q.aminmax())]
        norms = (self.flow.drawn - self.flow.mean).norm(dim=1).numpy()
        self._picture = LatentPicture(self.shape, limits, (min(log_q), max(log_q)), norms)
        return self._picture.live

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        key = (state["a"], state["b"], state["temperature"])
        new = self._known is None or self._known[0] != key
        known = (key, self._between(*key)) if new else self._known
        between, self._known = known[1], None  # until all of it is made
        t, path = state["t"], state["path"]
        k = round(t * (GRID - 1))
        if abs(t - float(_T[k])) < 1e-9:
            here = {name: _Way(*(part[k : k + 1] for part in way)) for name, way in between.ways.items()}
        else:
            here = self._ways(*key, torch.tensor([t], dtype=torch.float64))[0]
        x, mix = here[path], here["mix"]
        paint = self._picture.painted
        ends = paint(self.images[[state["a"], state["b"]]].numpy())
        moves: dict[str, Any] = {}
        if new:  # else strips and curves are there already
            self._picture.keep_in_sight(*_extremes(between))
            moves = self._curves(between)
        moves |= {"a": ends[0], "b": ends[1], "x": paint(x.x.numpy())[0], "mix": paint(mix.x.numpy())[0]}
        moves |= self._picture.at(t, path, x.log_q.item(), x.norm.item())
        readout: dict[str, Any] = {"t": t, "log q(x)": (x.log_q.item(), "nats")}
        if self.levels is not None:
            readout["bits/dim"] = bits_per_dim(x.log_q.item(), self.dim, self.levels)
        readout |= {
            "log q of the mix": (mix.log_q.item(), "nats"),
            "norm of z": x.norm.item(),
            "norm of the mix's z": mix.norm.item(),
            "a comes back off by": between.off,
        }
        self._known = known
        return {**moves, "readout": readout}

    def _curves(self, between: _Between) -> dict[str, Any]:
        """Strips and curves."""
        t, stops = _T.numpy(), slice(None, None, (GRID - 1) // (STOPS - 1))
        moves: dict[str, Any] = {"samples strip": self._picture.strip(between.samples.numpy())}
        for name, way in between.ways.items():
            moves[f"{name} strip"] = self._picture.strip(way.x[stops].numpy())
            moves[f"q {name}"] = np.stack([t, way.log_q.numpy()], axis=1)
            moves[f"norm {name}"] = np.stack([t, way.norm.numpy()], axis=1)
        return moves

    def _between(self, a: int, b: int, temperature: float) -> _Between:
        """All that does not depend on t."""
        ways, extra = self._ways(a, b, temperature, _T, samples=True)
        off = float((extra[0] - self.images[a]).abs().max())
        return _Between(ways, extra[1:], off)

    def _ways(
        self, a: int, b: int, temperature: float, t: Tensor, *, samples: bool = False
    ) -> tuple[dict[str, _Way], Tensor]:
        """The ways at t (T,), by one pass each way; with ``samples`` also a as it comes back, and samples."""
        flow, mean = self.flow, self.flow.mean
        ends = self.images[[a, b]]
        mix = straight_line(*ends, t)
        z, log_q = flow.to_latents(torch.cat([ends, mix]))
        z_a, z_b = z[:2] - mean
        latents = [temperature * path(z_a, z_b, t) for path in PATHS.values()]
        if samples:
            latents += [z_a[None], temperature * (flow.drawn[:STOPS] - mean)]
        x, log_qs = flow.to_images(torch.cat(latents) + mean)
        T = len(t)
        ways = {
            name: _Way(x[k * T : (k + 1) * T], log_qs[k * T : (k + 1) * T], latents[k].norm(dim=1))
            for k, name in enumerate(PATHS)
        }
        ways["mix"] = _Way(mix, log_q[2:], (z[2:] - mean).norm(dim=1))
        for name, way in ways.items():
            if not all(part.isfinite().all() for part in way):
                where = "the mix of pixels" if name == "mix" else f"the {name} between their latents"
                raise ValueError(f"on {where} an image, its latent or log q is NaN or infinite; choose other images")
        return ways, x[len(PATHS) * T :].nan_to_num()


def _extremes(between: _Between) -> tuple[np.ndarray, np.ndarray]:
    """log q and norms, of all ways."""
    ways = between.ways.values()
    return tuple(torch.cat([way[k] for way in ways]).numpy() for k in (1, 2))


def _checked_shape(shape: Any) -> tuple[int, int, int]:
    whole = (
        isinstance(shape, tuple | list) and len(shape) in (2, 3) and all(isinstance(n, int) and n > 0 for n in shape)
    )
    if not whole or (len(shape) == 3 and shape[0] not in (1, 3)):
        raise ValueError(f"shape must be (H, W), or (C, H, W) with C 1 or 3, but is {shape!r}")
    return (1, *shape)[-3:]


def _checked_images(images: Any, shape: tuple[int, int, int]) -> Tensor:
    """(N, D) in float64."""
    images = torch.as_tensor(images).detach().cpu()
    dim = shape[0] * shape[1] * shape[2]
    if images.dim() < 2 or not len(images) or images[0].numel() != dim:
        raise ValueError(f"images must be (N, {dim}), for images of {shape}, but has the shape {tuple(images.shape)}")
    if images.is_complex() or not images.isfinite().all():
        raise ValueError("images must be finite real numbers, but some are NaN, infinite or complex")
    return images.reshape(len(images), dim).double()
