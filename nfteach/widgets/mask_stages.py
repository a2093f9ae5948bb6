"""The way of the pixels through a multi-scale RealNVP: masks, squeezes, and halves that are factored out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nfteach.flows import AffineCoupling, Flow, Squeeze, channel_mask, checkerboard_mask
from nfteach.jacobian.autograd import jacobian

__all__ = [
    "DEPENDS",
    "LATENT",
    "MEASURED",
    "ONE",
    "SCALE",
    "ZERO",
    "Look",
    "Shape",
    "Stage",
    "layer_of",
    "look_at",
    "stages_of",
]

Shape = tuple[int, int, int]

# What an entry of J is; where several share a dot of the picture, the largest is shown.
ZERO, ONE, LATENT, DEPENDS, SCALE = range(5)
MEASURED = 1024  # dimensions up to which J is found by autograd: beyond, that takes seconds


class Stage(NamedTuple):
    """One step. A vector (D,) is what is latent already, the oldest first, and after it the tensor, flattened.

    ``before`` and ``after`` are the tensor's shapes; ``from_pixels`` and ``to_pixels`` (D,) tell for each place of the
    vector before and after which pixel of the image is there; ``latents`` are the shapes of what is latent afterwards,
    the oldest first; ``mask`` (C * H * W,) is that of a coupling, True for what passes, else None.
    """

    name: str
    scale: int
    before: Shape
    after: Shape
    from_pixels: np.ndarray
    to_pixels: np.ndarray
    latents: tuple[Shape, ...]
    mask: np.ndarray | None = None

    @property
    def alive(self) -> int:
        """How many dimensions the tensor had before the step, which are the last; all others were latent."""
        return int(np.prod(self.before))

    @property
    def gone(self) -> int:
        """How many dimensions are latent after the step, which are the first."""
        return len(self.to_pixels) - int(np.prod(self.after))


class Look(NamedTuple):
    """What there is to say of a step's Jacobian.

    ``rows`` and ``columns`` (D,) are the orders that show it as a block matrix, or as the identity; ``nonzero`` counts
    the entries that are not zero everywhere; ``log_det`` is in nats.
    """

    rows: np.ndarray
    columns: np.ndarray
    nonzero: int
    log_det: float


def stages_of(shape: Shape, scales: int) -> list[Stage]:
    """All steps, from the image to the latents. A scale squeezes and factors half out; the last one only couples.

    Raises:
        ValueError: if the sides can't be halved so often.
    """
    shape = tuple(shape)
    stages, latents, pixels = [], (), np.arange(int(np.prod(shape)))

    def add(name: str, after: Shape, new_pixels: np.ndarray, mask: Tensor | None = None) -> None:
        nonlocal shape, pixels
        kept = None if mask is None else mask.numpy()
        stages.append(Stage(name, scale, shape, after, pixels, new_pixels, latents, kept))
        shape, pixels = after, new_pixels

    scale = 1
    add("the image", shape, pixels)
    for scale in range(1, scales + 1):
        last = scale == scales
        # A single pixel has no checkerboard; what is left of it are channels.
        make, kind = (checkerboard_mask, "checkerboard") if shape[1] * shape[2] > 1 else (channel_mask, "channel mask")
        for flip in (False, True):
            add(f"{kind}, flipped" if flip else kind, shape, pixels, make(*shape, flip=flip))
        if last:
            break
        if shape[1] % 2 or shape[2] % 2:
            raise ValueError(
                f"scales must not halve an odd side, but scale {scale} of {scales} has images of "
                f"{shape[1]} x {shape[2]}; take fewer scales"
            )
        squeeze = Squeeze(*shape)
        old, alive = np.split(pixels, [len(pixels) - squeeze.dim])
        moved = np.concatenate([old, alive[squeeze.ordering.numpy()]])
        add("squeeze", squeeze.shape_out, moved)
        for flip in (False, True):
            add("channel mask, flipped" if flip else "channel mask", shape, pixels, channel_mask(*shape, flip=flip))
        half = (shape[0] // 2, *shape[1:])
        latents = (*latents, half)  # the first half of the channels, where it stands
        add("factor out", half, pixels)
    latents = (*latents, shape)
    add("all is latent", (0, 0, 0), pixels)
    return stages


def look_at(stage: Stage, image: np.ndarray, network: str) -> tuple[np.ndarray, Look]:
    """What each entry (D, D) of a step's Jacobian is, by autograd at the pixels of ``image`` (D,), and more of it.

    Above 1,024 dimensions, where autograd takes seconds, it is told from the mask and not measured.

    The networks of couplings are drawn at random, always the same: what is zero for them is zero for all.

    Args:
        network: "all" lets each changed dimension see all that pass; "3 x 3" only those of the nine pixels around it.
    """
    D, gone = len(image), len(image) - stage.alive
    kinds = np.zeros((D, D), dtype=np.int8)
    np.fill_diagonal(kinds, LATENT)
    np.fill_diagonal(kinds[gone:, gone:], ONE)
    rows = columns = np.arange(D)
    layer = layer_of(stage, network)
    if layer is None:
        return kinds, Look(rows, columns, D, 0.0)
    x = torch.from_numpy(image[stage.from_pixels[gone:]]).double()
    kinds[gone:, gone:] = _measured(layer, x) if stage.alive <= MEASURED else _told(stage, layer, network)
    if stage.mask is None:
        rows = np.concatenate([rows[:gone], gone + layer.inverse_ordering.numpy()])
    else:
        changed = gone + (~stage.mask).nonzero()[0]
        kinds[changed, changed] = SCALE
        rows = columns = np.concatenate([rows[:gone], gone + stage.mask.nonzero()[0], changed])
    return kinds, Look(rows, columns, int((kinds != ZERO).sum()), layer.call_and_ladj(x)[1].item())


def _measured(layer: Flow, x: Tensor) -> np.ndarray:
    """What each entry of J is, by autograd at x and at a second point: what happens to be zero at one is not there."""
    points = torch.stack([x, torch.linspace(-1, 1, len(x), dtype=x.dtype).roll(len(x) // 3)])
    J = jacobian(layer.call_and_ladj, points)[0].numpy()
    return np.where((J == 0).all(0), ZERO, np.where((J == 1).all(0), ONE, DEPENDS))


def _told(stage: Stage, layer: Flow, network: str) -> np.ndarray:
    """The same from the mask, or of a squeeze from where it takes each dimension."""
    alive = stage.alive
    kinds = np.zeros((alive, alive), dtype=np.int8)
    if stage.mask is None:
        kinds[np.arange(alive), layer.ordering.numpy()] = ONE
        return kinds
    np.fill_diagonal(kinds, ONE)
    kept, changed = stage.mask.nonzero()[0], (~stage.mask).nonzero()[0]
    seen = np.True_
    if network == "3 x 3":
        places = np.stack(np.unravel_index(np.arange(alive), stage.before)[1:])
        seen = (abs(places[:, changed, None] - places[:, None, kept]) <= 1).all(0)
    kinds[np.ix_(changed, kept)] = np.where(seen, DEPENDS, ZERO)
    return kinds


def layer_of(stage: Stage, network: str) -> Flow | None:
    """Return the flow of a step: a squeeze, or a coupling with random networks; None where no value changes."""
    if stage.name == "squeeze":
        return Squeeze(*stage.before)
    if stage.mask is None:
        return None
    kept = int(stage.mask.sum())
    conditioner = _Around(stage) if network == "3 x 3" else _Dense(kept, len(stage.mask) - kept)
    layer = AffineCoupling(torch.from_numpy(stage.mask), conditioner=conditioner).double()
    return layer.requires_grad_(False)


class _Dense(nn.Module):
    """x_A (..., d) -> raw s and t (..., 2 (D - d)), each a function of all of x_A."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 4) -> None:
        super().__init__()
        self.register_buffer("first", _normal(inputs, hidden) / inputs**0.5)
        self.register_buffer("second", _normal(hidden, 2 * outputs) / hidden**0.5)

    def forward(self, kept: Tensor) -> Tensor:
        return torch.tanh(kept @ self.first) @ self.second


class _Around(nn.Module):
    """The same by one convolution of 3 x 3, which sees zeros where there is nothing that passes."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.shape = stage.before
        mask = torch.from_numpy(stage.mask)
        self.register_buffer("kept", mask.nonzero().flatten())
        self.register_buffer("changed", (~mask).nonzero().flatten())
        self.register_buffer("kernel", _normal(2 * self.shape[0], self.shape[0], 3, 3) / 3)

    def forward(self, kept: Tensor) -> Tensor:
        seen = kept.new_zeros(*kept.shape[:-1], len(self.kept) + len(self.changed))
        seen[..., self.kept] = kept
        out = torch.conv2d(seen.reshape(-1, *self.shape), self.kernel, padding=1)
        s, t = out.reshape(*kept.shape[:-1], 2, -1).unbind(-2)
        return torch.cat([s[..., self.changed], t[..., self.changed]], dim=-1)


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
