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
    "ENTRIES", "ORDERINGS", "SHAPE", "TOL", "by_loops", "check_nade", "endings_of", "images", "numbered", "ordering_of",
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


def endings_of(stepper: NADEStepper) -> np.ndarray:
    """Return the six endings (6, D)."""
    return drawn(stepper, "endings").reshape(6, -1)


def check_nade(stepper: NADEStepper) -> None:
    """Compare probabilities, drawn pixels and all numbers with the paper's loops."""
    nade, s, told, width = stepper.nade, stepper.state, stepper.readout, stepper.shape[1]
    order, painted, D = ordering_of(s["ordering"], stepper.shape), [int(one) for one in s["pixels"]], nade.dim
    given, rest = order[: s["given"]], order[s["given"] :]
    uniform = torch.rand(6, D, generator=torch.Generator().manual_seed(s["draw"]), dtype=torch.float64)
    walks = [by_loops(nade, tuple(int(one) for one in x), tuple(order)) for x in endings_of(stepper)]
    for k, (x, walk) in enumerate(zip(endings_of(stepper), walks, strict=True)):
        assert x[given].tolist() == [painted[i] for i in given]
        for d, i in enumerate(order):
            assert i in given or x[i] == (uniform[k, i] < walk[d][2]), "drawn where its number is below p"
        title = stepper.parts["endings"].titles[k].replace("\N{MINUS SIGN}", "-")
        assert float(title) == pytest.approx(sum(row[3] for row in walk[len(given) :]), abs=0.051)
    x, walk = endings_of(stepper)[s["ending"] - 1], walks[s["ending"] - 1]
    log_p = np.array([row[3] for row in walk])
    bars = [drawn(stepper, f"{whose}{when}") for whose in ("yours", "the model's") for when in ("", ", later")]
    np.testing.assert_allclose(sum(bars), log_p.clip(-3.6), atol=10 * TOL)
    for whose, mine in (("yours", True), ("the model's", False)):
        below = np.flatnonzero(drawn(stepper, f"{whose}, cut")[:, 1] < -4.5)
        assert below.tolist() == [d for d, i in enumerate(order) if log_p[d] < -3.6 and (i in given) == mine]
    assert told["log p, yours"] == pytest.approx(log_p[: len(given)].sum(), abs=10 * TOL)
    assert told["log p, the model's"] == pytest.approx(log_p[len(given) :].sum(), abs=10 * TOL)
    assert told["log p of the image"] == pytest.approx(walk[-1][4], abs=10 * TOL)
    canvas, rank = stepper.parts["canvas"], np.argsort(order)
    p = np.array([row[2] for row in walk])[rank]
    known, drawn_yet = rank < s["step"], (rank < s["step"]) | (rank < s["given"])
    shown = np.where(s["show_p"] & (rank >= s["given"]), p, x) * np.where(known, 1.0, 0.22)
    np.testing.assert_allclose(canvas.ink.flatten()[drawn_yet], shown[drawn_yet], atol=10 * TOL)
    assert [word == "?" for word in canvas.words] == (~drawn_yet).tolist()
    hues = [("x" if i in rest else "ink") if drawn_yet[i] else "soft" for i in range(D)]
    assert [canvas.hues[int(k)] for k in canvas.hue.flatten()] == hues, "yours are in ink, the model's orange"
    _, i, j = canvas.lit.tolist()
    at = i * width + j
    if s["step"] < D:
        assert at == order[s["step"] - 1]
    elif rest:
        assert abs(p[at] - 0.5) == pytest.approx(min(abs(p[rest] - 0.5)), abs=TOL)
    else:
        assert log_p[rank[at]] == pytest.approx(log_p.min(), abs=10 * TOL)
    assert told["pixel"] == f"{rank[at] + 1} of {D}, row {i + 1}, column {j + 1}"
    assert told["p(x = 1 | the pixels before)"] == pytest.approx(p[at], abs=TOL)
    assert told["log p of the pixel"] == pytest.approx(log_p[rank[at]], abs=10 * TOL)
    for pixel, note in enumerate(canvas.notes):
        assert note.startswith(f"Pixel {rank[pixel] + 1}: p(x = 1 | before) = {p[pixel]:.2f}")


def all_walks(stepper: NADEStepper) -> Iterator[dict[str, Any]]:
    """Yield every ordering with pixels that are all yours, in half, or all drawn."""
    for ordering, given in itertools.product(ORDERINGS, [12, 8, 0]):
        yield {"ordering": ordering, "given": given, "image": 2, "draw": 4, "step": 7}


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
        pixel, step, told = explorer.state["pixel"] - 1, explorer.state["step"], explorer.readout
        assert explorer.controls["step"].max == len(names) - 1
        assert names[step] in explorer.parts["sheets"].title
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
    text = "MaskExplorer(step=1, pixel=35, network='all')" if D == 64 else ""

    def all_steps(explorer: MaskExplorer) -> Iterator[dict[str, Any]]:
        for step, network in itertools.product(range(len(names)), ["all", "3 x 3"]):
            yield {"step": step, "pixel": 1 + 7 * step % D, "network": network}

    return Entry(make, check, 3, also=all_steps, wakes=wakes, text=text, alt="the step's J")


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
        text="NADEStepper(given=8, step=12, ordering='raster', ending=1, draw=0, show_p=False, pixels=",
        alt="first pixels are yours",
    ),
    "NADEStepper, order-agnostic": Entry(
        lambda: NADEStepper(wild(12, 5, order_agnostic=True), images(), SHAPE), check_nade, also=all_walks
    ),
    "NADEStepper, without images": Entry(lambda: NADEStepper(wild(12, 5), shape=SHAPE), check_nade),
    "MaskExplorer": masks_of((1, 8, 8), 3, MaskExplorer),
    **{
        f"MaskExplorer, {' x '.join(map(str, shape))}": masks(shape, scales)
        for shape, scales in [((2, 2), 2), ((4, 6), 2), ((3, 4, 4), 3), ((1, 12, 4), 3), ((2, 6, 6), None)]
    },
}
