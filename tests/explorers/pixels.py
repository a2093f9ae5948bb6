"""Explorers of images: the NADE stepper, against the paper's loops, and the mask explorer, against index arithmetic."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nfteach.flows import NADE, pixel_ordering, squeeze
from nfteach.widgets import MaskExplorer, NADEStepper
from tests.explorers.entry import Entry, drawn

__all__ = [
    "ENTRIES", "ORDERINGS", "SHAPE", "TOL", "by_loops", "check_nade", "images", "numbered", "ordering_of", "seen",
    "steps_of", "wild",
]  # fmt: skip

TOL = 1e-5  # float32, sums of a few dozen terms
SHAPE = (3, 4)
ORDERINGS = ["raster", "reverse", "spiral", "random"]


def images() -> Tensor:
    """Return five binary images of 3 x 4."""
    return torch.bernoulli(torch.full((5, 12), 0.4), generator=torch.Generator().manual_seed(3))


def wild(dim: int, hidden: int, **options: Any) -> NADE:
    """Return a NADE far from its initial parameters."""
    generator = torch.Generator().manual_seed(7)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        made = NADE(dim, hidden, **options)
        for parameter in made.parameters():
            parameter.copy_(1.5 * torch.randn(parameter.shape, generator=generator))
    return made


@functools.lru_cache(64)
def by_loops(nade: NADE, x: tuple[int, ...], ordering: tuple[int, ...]) -> list[tuple]:
    """Return (a, h, p, log p, running) of each step by the paper's loops, every activation computed afresh."""
    W, V, b, c = (parameter.tolist() for parameter in (nade.W, nade.V, nade.b, nade.c))
    M = None if nade.M is None else nade.M.tolist()
    rows, running = [], 0.0
    for d, i in enumerate(ordering):
        a = [c[j] + sum(W[j][k] * x[k] + (M[j][k] if M else 0.0) for k in ordering[:d]) for j in range(nade.hidden)]
        h = [1 / (1 + math.exp(-one)) for one in a]
        p = 1 / (1 + math.exp(-(b[i] + sum(V[i][j] * h[j] for j in range(nade.hidden)))))
        log_p = math.log(p if x[i] else 1 - p)
        running += log_p
        rows.append((a, h, p, log_p, running))
    return rows


def ordering_of(name: str, shape: tuple[int, int] = SHAPE) -> list[int]:
    """Return an ordering of the pixels, as a list."""
    return pixel_ordering(name, *shape, generator=torch.Generator().manual_seed(0)).tolist()


def seen(stepper: NADEStepper, frame: int | None = None) -> np.ndarray:
    """Return the pixels of the picture, or of another frame: 0 and 1 where they are known, -1 elsewhere."""
    shown = drawn(stepper, "pixels") if frame is None else stepper.live.frames[frame]["pixels"]["values"]
    colours = shown.reshape(-1, 3)
    grey = colours.max(1) - colours.min(1) < 1e-6
    return np.where(grey, np.where(colours.mean(1) < 0.5, 1, 0), -1)


def check_nade(stepper: NADEStepper) -> None:
    """Compare all numbers, activations and known pixels of the present step with the paper's loops."""
    nade, d, width, told = stepper.nade, stepper.live.frame, stepper.shape[1], stepper.readout
    order = ordering_of(stepper.state["ordering"], stepper.shape)
    assert np.flatnonzero(seen(stepper) >= 0).tolist() == sorted(order[:d])
    if d == 0:
        assert told == {"log p so far": 0.0, "multiply-adds, running": 0, "multiply-adds, direct": 0}
        np.testing.assert_allclose(drawn(stepper, "a")[:, 0], nade.c)
        return
    x = seen(stepper, -1).tolist()
    rows = by_loops(nade, tuple(x), tuple(order))
    (a, h, p, log_p, running), i = rows[d - 1], order[d - 1]
    assert told["pixel"] == f"({i // width + 1}, {i % width + 1})"
    assert told["x"] == x[i]
    assert told["p(x = 1 | before)"] == pytest.approx(p, abs=TOL)
    assert told["log p(x | before)"] == pytest.approx(log_p, abs=10 * TOL)
    assert told["log p so far"] == pytest.approx(running, abs=10 * TOL)
    assert told["log p at the end"] == pytest.approx(rows[-1][-1], abs=10 * TOL)
    for name, expected in (("a", a), ("h", h)):
        np.testing.assert_allclose(drawn(stepper, name)[:, 0], expected, atol=10 * TOL)
    if stepper.images is not None and stepper.state["mode"] == "observed":
        assert x == stepper.images[stepper.state["image"]].tolist()


def all_walks(stepper: NADEStepper) -> Iterator[dict[str, Any]]:
    """Yield every ordering with pixels that are observed, drawn in half, or all drawn."""
    for ordering, mode in itertools.product(ORDERINGS, ["observed", "half", "drawn"]):
        yield {"ordering": ordering, "mode": mode, "image": 2, "draw": 4}


def numbered(*shape: int) -> np.ndarray:
    """Return an image whose values are the numbers of its pixels."""
    return np.arange(np.prod(shape)).reshape(shape)


def steps_of(shape: tuple[int, int, int], scales: int) -> tuple[list[str], list[np.ndarray]]:
    """Return the names of all steps and the tensor of pixel numbers after each, by reshapes and slices alone."""
    x = torch.arange(int(np.prod(shape))).reshape(shape)
    names, tensors = ["the image"], [x]
    for scale in range(scales):
        kind = "checkerboard" if x.shape[1] * x.shape[2] > 1 else "channel mask"
        names += [kind, f"{kind}, flipped"]
        tensors += [x, x]
        if scale < scales - 1:
            x = squeeze(x)
            names += ["squeeze", "channel mask", "channel mask, flipped", "factor out"]
            tensors += [x, x, x]
            x = x[len(x) // 2 :]
            tensors.append(x)
    return [*names, "all is latent"], [tensor.numpy() for tensor in tensors]


def masks_of(shape: tuple[int, int, int], scales: int, make: Any) -> Entry:
    """Return a mask explorer, checked at every step by the tensors made by hand."""
    D = int(np.prod(shape))
    names, tensors = steps_of(shape, scales)

    def check(explorer: MaskExplorer) -> None:
        pixel, step, told = explorer.state["pixel"] - 1, explorer.live.frame, explorer.readout
        assert len(explorer.live.frames) == len(names)
        if step == len(tensors):
            assert told["latent"] == D
            return
        name, tensor, before = names[step], tensors[step], tensors[max(step - 1, 0)]
        assert told["shape before"] == " × ".join(map(str, before.shape))
        assert told["shape after"] == " × ".join(map(str, tensor.shape))
        for label, where in (("pixel before", before), ("pixel after", tensor)):
            found = np.argwhere(where == pixel)
            c, i, j = found[0] + 1 if len(found) else (0, 0, 0)
            assert told[label] == (f"channel {c}, ({i}, {j})" if c else "latent")
        coupling = "mask" in name or "board" in name
        changed = 0
        if coupling:
            # Of an odd number of pixels the checkerboard passes one less than it changes, or the other way round.
            odd = tensor.shape[1] * tensor.shape[2] % 2 and "board" in name
            changed = (tensor.size + (0 if not odd else len(tensor) * (-1 if "flipped" in name else 1))) // 2
        assert told["changed"] == changed
        assert told["pass"] + told["changed"] + told["latent"] == D
        assert told["latent"] == D - tensor.size
        assert np.isfinite(told["log|det J|"])
        if not coupling:
            assert told["log|det J|"] == 0.0
            assert told["nonzero in J"] == f"{D} of {D * D}"
        elif explorer.state["network"] == "all":
            assert told["nonzero in J"] == f"{D + changed * (tensor.size - changed)} of {D * D}"

    # All pixels of the smallest image are around each other.
    wakes = {"network": None} if shape == (1, 2, 2) else {}
    return Entry(
        make, check, 3, wakes=wakes, text="MaskExplorer(pixel=35, network='all')" if D == 64 else "", alt="Jacobian"
    )


def masks(shape: tuple[int, ...], scales: int | None) -> Entry:
    whole = (1, *shape)[-3:]
    return masks_of(
        whole, scales or 2, lambda: MaskExplorer(torch.from_numpy(numbered(*shape)), scales=scales, pixel=2)
    )


ENTRIES = {
    "NADEStepper": Entry(
        lambda: NADEStepper(wild(12, 5), images(), SHAPE),
        check_nade,
        also=all_walks,
        wakes={"draw": {"mode": "drawn"}},
        text="NADEStepper(ordering='raster', mode='observed', image=0, draw=0)",
        alt="One step of a NADE",
    ),
    "NADEStepper, order-agnostic": Entry(
        lambda: NADEStepper(wild(12, 5, order_agnostic=True), images(), SHAPE),
        check_nade,
        also=all_walks,
        wakes={"draw": {"mode": "drawn"}},
    ),
    "NADEStepper, without images": Entry(lambda: NADEStepper(wild(12, 5), shape=SHAPE), check_nade),
    "MaskExplorer": masks_of((1, 8, 8), 3, MaskExplorer),
    **{
        f"MaskExplorer, {' x '.join(map(str, shape))}": masks(shape, scales)
        for shape, scales in [((2, 2), 2), ((4, 6), 2), ((3, 4, 4), 3), ((1, 12, 4), 3), ((2, 6, 6), None)]
    },
}
