"""The mask explorer: the steps of a multi-scale RealNVP on the pixels of an image, and the Jacobian of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.jacobian.numbers import pick
from nfteach.widgets.controls import choice, integer, row
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.mask_stages import DEPENDS, LATENT, ONE, SCALE, ZERO, Shape, Stage, look_at, stages_of
from nfteach.widgets.parts import Number, Pixels

__all__ = ["MaskExplorer"]

NETWORKS = {"all that pass": "all", "3 × 3 around": "3 x 3"}
LARGEST = 4096  # dimensions: the picture of J is made from a matrix of that size
TRACED = 256  # dimensions up to which all steps are looked at at once, for the page to follow
DOTS = 128  # entries of J's picture along a side, at most
FAINT = 0.2  # ink of an empty pixel: its colour is to be seen

# Colours of pixels and of entries of J, as places in a tuple of hues.
PASSES, GONE, CHANGED = range(3)
HUES = ("ink", "z", "x")
ENTRY_INK = {ZERO: 0.0, ONE: 1.0, LATENT: 1.0, DEPENDS: 0.35, SCALE: 1.0}
ENTRY_HUE = {ZERO: PASSES, ONE: PASSES, LATENT: GONE, DEPENDS: PASSES, SCALE: CHANGED}


class MaskExplorer(Explorer):
    r"""A pixel on its way through the multi-scale RealNVP: masks, squeeze, factoring out, and each step's Jacobian.

    On the left the image, on the right the tensor that it is now: its channels side by side in the room of the image,
    so that pixels only move in a squeeze. Pixels keep their shade, so that they can be followed (a flow would change
    it); their colour says what a step does with them: in ink they pass, in orange they are changed, in blue they are
    latent. Letters mark the 2 x 2 block that the next squeeze cuts up. Click a pixel to follow it, or a small picture
    to go to its step.

    Beside it stands the step's Jacobian, D x D with the latents first: of a coupling, in the order of the dimensions
    and with those that pass first, which makes it block triangular whatever the mask; of a squeeze, the permutation
    matrix that it is, and the identity that is left when the rows are put back. Zeros are found by autograd, with
    networks s and t drawn at random (above 1,024 dimensions they follow from the mask).

    In the paper each kind of coupling comes three times, masks in turn, and four times at the last scale; here twice.

    Args:
        image: (H, W) or (C, H, W), at most 4,096 numbers, with sides of even length, as often as they are halved. By
            default a ring of 8 x 8, made here.
        scales: the number of scales; each but the last halves the sides. By default three, or as many as the sides
            allow.
        state: initial values of controls.

    Controls (for :meth:`set`): ``step``, from 0; ``pixel``, which is followed, counted from 1 (channel by channel, row
    by row); ``network``: what s and t of a dimension may see, "all" that passes, or "3 x 3", only the pixels around
    it, as a convolution does.

    The readout, of the step: ``log|det J|`` in nats, as the layer claims it (of a coupling, for the random network, at
    this image); how many dimensions are ``changed``, ``pass``, and are ``latent`` afterwards; where the ``pixel`` was
    ``before`` and is ``after``; the ``shape before`` and ``after``; ``nonzero in J``, the entries that need not be 0.

    Raises:
        ValueError: if ``image`` is not an image of finite numbers with even sides, or ``scales`` are too many for it.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 and 3.6, figures 3 and 4,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> explorer = MaskExplorer(pixel=20, step=3)
        >>> explorer.readout["shape after"], explorer.readout["pixel after"], explorer.readout["log|det J|"]
        ('4 × 4 × 4', 'channel 2, (2, 2)', 0.0)
    """

    help = "Go through the steps: [orange](x) pixels are changed, [blue](z) ones are latent, the others pass."
    alt = "an image and the tensor that it is at a step of a multi-scale RealNVP, all steps in small, and the step's J"
    essential = ("step", "pixel", "network")
    main = 496

    def __init__(self, image: Any = None, *, scales: int | None = None, **state: Any) -> None:
        values = _ring() if image is None else _checked_image(image)
        shape: Shape = values.shape
        self._stages = stages = stages_of(shape, _checked_scales(shape, scales))
        self._traced = values.size <= TRACED
        low, high = float(values.min()), float(values.max())
        self.image = ((values - low) / ((high - low) or 1.0)).ravel()
        # Tables, a row for each step.
        at, lines = zip(*_layouts(stages), strict=True)
        self._at, self._lines = np.stack(at), _padded(lines)
        self._inks, self._hues = map(torch.stack, zip(*map(self._sheet, range(len(stages))), strict=True))
        self._before = torch.from_numpy(np.stack([np.argsort(stage.from_pixels) for stage in stages]))
        self._after = torch.from_numpy(np.stack([np.argsort(stage.to_pixels) for stage in stages]))
        self._places = torch.from_numpy(
            np.stack([one[np.argsort(stage.to_pixels)] for one, stage in zip(at, stages, strict=True)])
        )
        self._coordinates = torch.from_numpy(np.stack([_coordinates(stage) for stage in stages]))
        self._blocks = torch.from_numpy(np.stack([_blocks(stages, stage.scale, values.size) for stage in stages]))
        self._looked_at = functools.cache(self._look)
        self._all_looked_at = functools.cache(self._look_everywhere)
        self.presets = self._presets()
        super().__init__(**state)

    def _presets(self) -> dict[str, dict[str, Any]]:
        steps: dict[str, list[int]] = {}
        for k, stage in enumerate(self._stages):
            steps.setdefault(stage.name, []).append(k)
        found = {"checkerboard": steps.get("checkerboard", [1])[0]}
        if "squeeze" in steps:
            found |= {"squeeze": steps["squeeze"][0], "channel mask": steps["squeeze"][0] + 1}
            found["half is latent"] = steps["factor out"][0]
        if len(steps.get("squeeze", ())) > 1:
            found["squeeze again"] = steps["squeeze"][1]
        return {name: {"step": step} for name, step in found.items()}

    def build_controls(self) -> dict[str, Any]:
        shape = self._stages[0].before
        middle = np.ravel_multi_index((0, shape[1] // 2, max(shape[2] // 2 - 2, 0)), shape)
        return {
            "step": integer("step", 0, len(self._stages) - 1, 1, traced=self._traced),
            "pixel": integer("pixel", 1, len(self.image), int(middle) + 1, traced=self._traced),
            "network": choice("s, t see", NETWORKS, "all"),
        }

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        k, pixel = torch.as_tensor(s.step).long(), torch.as_tensor(s.pixel).long() - 1
        stages, D, last = self._stages, len(self.image), len(self._stages) - 1
        titles = []
        for n, stage in enumerate(stages):
            scale = "" if stage.name in ("the image", "all is latent") else f", scale {stage.scale}"
            titles.append(f"step {n} of {last}{scale}: {stage.name}")
        now = pick(k, *(f"now {_written(one.after)}" if one.after[0] else "now all latent" for one in stages))
        parts: dict[str, Any] = {
            "sheets": Pixels(
                row(self._inks, k), row(self._hues, k), HUES, titles=("the image", now), per_row=2,
                lit=self._both(k, pixel), gesture="pick", words=self._letters(k, pixel), lines=row(self._lines, k),
                width=496, help="click a pixel to follow it", title=pick(k, *titles),
                note=pick(k, *(_words(stage, D) for stage in stages)),
            ),
            "steps": Pixels(
                self._inks[:, 1], self._hues[:, 1], HUES, per_row=-(-len(stages) // -(-len(stages) // 10)),
                outline=torch.zeros_like(self._inks[:, 1], dtype=torch.bool), chosen=k, gesture="choose", width=496,
                help="click a step to go there",
            ),
        }  # fmt: skip
        kinds, rows, columns, nonzero, log_det = self._seen(s.network, k)
        parts["J"] = self._matrices(kinds, rows, columns, k, pixel)
        return parts | {"readout": self._numbers(nonzero, log_det, k, pixel)}

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        if name == "steps":
            return {"step": values[0]}
        tile, i, j = values
        places = torch.where(tile == 0, self._places[0], row(self._places, torch.as_tensor(s.step)))
        return {"pixel": (places == torch.stack([i, j])).all(1).double().argmax() + 1}

    # ---- the sheets ----------------------------------------------------------------------------------------------

    def _sheet(self, k: int) -> tuple[Tensor, Tensor]:
        """Return ink and hue (2, R, S) of the image and of the tensor at a step."""
        stage, home = self._stages[k], self._at[0]
        status = np.full(len(self.image), GONE)
        status[stage.gone :] = PASSES if stage.mask is None else np.where(stage.mask, PASSES, CHANGED)
        rows, columns = home.max(0) + 1
        sheets = np.zeros((2, 2, rows, columns))
        shade = FAINT + (1 - FAINT) * self.image[stage.to_pixels]
        for sheet, at in enumerate((home[stage.to_pixels], self._at[k])):
            sheets[:, sheet, at[:, 0], at[:, 1]] = shade, status
        return torch.from_numpy(sheets[0]), torch.from_numpy(sheets[1].astype(np.uint8))

    def _both(self, k: Tensor, pixel: Tensor) -> Tensor:
        """Return sheet, row and column (2, 3) of a pixel in both sheets."""
        at = torch.stack([row(self._places[0], pixel), row(row(self._places, k), pixel)])
        return torch.cat([torch.arange(2)[:, None], at], 1)

    def _letters(self, k: Tensor, pixel: Tensor) -> tuple[str, ...]:
        """Return a, b, c and d at the four pixels of the block of ``pixel`` that the squeeze of this scale cuts up."""
        if not self._traced:  # too small to be read
            return ()
        block = row(row(self._blocks, k), pixel)
        images, rows, columns = self._inks.shape[1:]
        letter = torch.zeros(images * rows * columns, dtype=torch.long)
        for n in range(4):
            sheet, i, j = self._both(k, block[n].clamp_min(0)).unbind(1)
            there = (torch.arange(len(letter)) == ((sheet * rows + i) * columns + j)[:, None]).any(0)
            letter = torch.where(there & (block[n] >= 0), n + 1, letter)
        return tuple(pick(one, "", *"abcd") for one in letter)

    # ---- the Jacobian --------------------------------------------------------------------------------------------

    def _seen(self, network: str, k: Tensor) -> tuple[Tensor, ...]:
        """Return what :meth:`_look` does, of the step ``k`` ()."""
        if not self._traced:
            return self._looked_at(network, int(k))
        return tuple(row(each, k) for each in self._all_looked_at(network))

    def _look_everywhere(self, network: str) -> tuple[Tensor, ...]:
        looks = [self._looked_at(network, k) for k in range(len(self._stages))]
        return tuple(torch.stack(each) for each in zip(*looks, strict=True))

    def _look(self, network: str, k: int) -> tuple[Tensor, ...]:
        """Return the kinds of entries of J (2, n, n), in order and sorted; where each row, and each column, is then
        (D,); how many entries are not zero; and the log-determinant."""
        kinds, look = look_at(self._stages[k], self.image, network)
        both = (kinds, kinds[look.rows][:, look.columns])
        orders = (torch.from_numpy(np.argsort(one)) for one in (look.rows, look.columns))
        return (
            torch.from_numpy(np.stack([_coarse(one) for one in both]).astype(np.uint8)),
            *orders,
            torch.tensor(look.nonzero),
            torch.tensor(look.log_det, dtype=torch.float64),
        )

    def _matrices(self, kinds: Tensor, rows: Tensor, columns: Tensor, k: Tensor, pixel: Tensor) -> Pixels:
        kinds = kinds.long()
        ink = torch.tensor([ENTRY_INK[kind] for kind in range(5)])[kinds]
        hue = torch.tensor([ENTRY_HUE[kind] for kind in range(5)], dtype=torch.uint8)[kinds]
        n = torch.tensor(float(kinds.shape[1]))
        each = -(-len(self.image) // DOTS)
        before, after = (row(row(places, k), pixel) for places in (self._before, self._after))
        lines, zero = [], torch.zeros(())
        for tile, i, j in ((0, after, before), (1, row(rows, after), row(columns, before))):
            i, j, sheet = (i + 0.5) / each, (j + 0.5) / each, torch.tensor(float(tile))
            lines += [torch.stack([sheet, i, zero, i, n]), torch.stack([sheet, zero, j, n, j])]
        squeezes = torch.tensor([stage.name == "squeeze" for stage in self._stages])
        return Pixels(
            ink, hue, HUES, titles=("J", pick(row(squeezes, k), "those that pass first", "its rows put back")),
            per_row=2, place="side", width=328, lines=torch.stack(lines),
            title="the step's Jacobian; the pixel's row and column",
        )  # fmt: skip

    def _numbers(self, nonzero: Tensor, log_det: Tensor, k: Tensor, pixel: Tensor) -> dict[str, Number]:
        D, stages = len(self.image), self._stages
        changed = torch.tensor([0 if stage.mask is None else int((~stage.mask).sum()) for stage in stages])
        latent = torch.tensor([stage.gone for stage in stages])
        passing = D - latent - changed
        before, after = (_place(one) for one in row(row(self._coordinates, k), pixel))
        shapes = [pick(k, *(_written(stage.before) for stage in stages)),
                  pick(k, *(_written(stage.after) if stage.after[0] else "none" for stage in stages))]  # fmt: skip
        couples = torch.tensor([stage.mask is not None for stage in stages])
        why = pick(row(couples, k), "no value changes", "the sum of s, of random networks")
        return {
            "log|det J|": Number(log_det, unit="nats", note=why),
            "changed": Number(row(changed, k), note=f"{row(passing, k)} pass, {row(latent, k)} are latent"),
            "pixel after": Number(after, note=f"before: {before}"),
            "pixel before": Number(before, more=True),
            "pass": Number(row(passing, k), more=True),
            "latent": Number(row(latent, k), more=True),
            "shape before": Number(shapes[0], more=True),
            "shape after": Number(shapes[1], more=True),
            "nonzero in J": Number(f"{nonzero} of {D**2}", more=True),
        }


def _layouts(stages: Sequence[Stage]) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield, of each step, where the places of the vector are (D, 2), and the lines between channels (n, 5).

    All steps fill the room of the image. A squeeze cuts the room of the tensor into quarters, one for each pixel of the
    2 x 2 blocks, so that the half of the channels that is factored out is its upper half.
    """
    C, H, W = stages[0].before
    c, i, j = np.indices((C, H, W))
    at = np.stack([i, c * W + j], -1)  # (C, H, W, 2)
    corner, size = np.zeros(2, dtype=int), np.array([H, C * W])
    latents: list[np.ndarray] = []
    for stage in stages:
        if stage.name == "squeeze":
            within = (at - corner)[:, ::2, ::2] // 2
            at = np.concatenate([corner + size // 2 * quarter + within for quarter in np.ndindex(2, 2)])
        if stage.name == "factor out":
            half = len(at) // 2
            latents.append(at[:half])
            at, size = at[half:], size // (2, 1)
            corner = corner + size * (1, 0)
        if stage.name == "all is latent":
            latents, at = [*latents, at], at[:0]
        tensors = [*latents, at] if len(at) else latents
        lines = [line for tensor in tensors for channel in tensor for line in _edges(channel)]
        yield np.concatenate([tensor.reshape(-1, 2) for tensor in tensors]), torch.tensor(lines)


def _edges(channel: np.ndarray) -> list[list[int]]:
    """Return the upper and the left edge of a channel (h, w, 2), in the second sheet."""
    (top, left), (bottom, right) = channel[0, 0].tolist(), (channel[-1, -1] + 1).tolist()
    return [[1, top, left, top, right], [1, top, left, bottom, left]]


def _coarse(kinds: np.ndarray) -> np.ndarray:
    """Return a matrix of at most 128 rows, whose entries are the largest of a block each."""
    each = -(-len(kinds) // DOTS)
    n = -(-len(kinds) // each)
    padded = np.pad(kinds, (0, n * each - len(kinds)))
    return padded.reshape(n, each, n, each).max((1, 3))


def _checked_image(image: Any) -> np.ndarray:
    """Return the image as (C, H, W), in float64."""
    image = image.detach().cpu().numpy() if hasattr(image, "detach") else np.asarray(image)
    if image.dtype.kind not in "biuf":
        raise ValueError(f"image must be an array of real numbers, but is {image.dtype}")
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"image must be (H, W) or (C, H, W), but has the shape {image.shape}")
    values = image.astype(float).reshape((-1, *image.shape[-2:]))
    if values.shape[1] % 2 or values.shape[2] % 2:
        raise ValueError(
            f"image must have sides of even length, to be squeezed, but is {values.shape[1]} x {values.shape[2]}"
        )
    if values.size > LARGEST:
        raise ValueError(
            f"image must have at most {LARGEST} numbers, for J has as many rows and columns, but has {values.size}; "
            "cut a part out of it"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"image has {int((~np.isfinite(values)).sum())} pixels that are NaN or infinite")
    return values


def _checked_scales(shape: Shape, scales: int | None) -> int:
    if scales is None:
        sides, count = list(shape[1:]), 1
        while count < 3 and not any(side % 2 for side in sides):
            sides, count = [side // 2 for side in sides], count + 1
        return count
    if isinstance(scales, bool) or not isinstance(scales, int) or scales < 1:
        raise ValueError(f"scales must be a whole number from 1 up, but is {scales!r}")
    return scales


def _ring() -> np.ndarray:
    """Return an image (1, 8, 8) to begin with: a ring, heavier below."""
    i, j = np.mgrid[:8, :8] - 3.5
    return (np.exp(-(((np.hypot(i, 1.25 * j) - 2.7) / 0.8) ** 2)) * (1 + 0.12 * i))[None]


def _padded(lines: Sequence[Tensor]) -> Tensor:
    """Return lines of all steps (steps, n, 5), where there are fewer with some of no length on the first."""
    most = max(map(len, lines))
    points = [one[:1, [0, 1, 2, 1, 2]].expand(most - len(one), -1) for one in lines]
    return torch.stack([torch.cat(both) for both in zip(lines, points, strict=True)])


def _blocks(stages: Sequence[Stage], scale: int, D: int) -> np.ndarray:
    """Return for each pixel the four of its block (D, 4) that the squeeze of a scale takes apart; -1 for none.

    Where there is no squeeze, or the pixel is latent before, those of the scale before it.
    """
    found = np.full((D, 4), -1)
    for stage in stages:
        if stage.name == "squeeze" and stage.scale <= scale:
            C, H, W = stage.before
            tensor = stage.from_pixels[D - stage.alive :].reshape(C, H // 2, 2, W // 2, 2)
            blocks = tensor.swapaxes(2, 3).reshape(-1, 4)
            found[blocks.ravel()] = blocks.repeat(4, 0)
    return found


def _coordinates(stage: Stage) -> np.ndarray:
    """Return channel, row and column of each pixel, counted from 0, before and after a step (D, 2, 3); -1 if latent."""
    D = len(stage.to_pixels)
    found = np.full((D, 2, 3), -1)
    for when, pixels, shape in ((0, stage.from_pixels, stage.before), (1, stage.to_pixels, stage.after)):
        alive = pixels[D - int(np.prod(shape)) :]
        found[alive, when] = np.indices(shape).reshape(3, -1).T
    return found


def _place(at: Tensor) -> str:
    """Return where a pixel is (3,), counted from 1."""
    c, i, j = at + 1
    return pick(c > 0, "latent", f"channel {c}, ({i}, {j})")


def _written(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _words(stage: Stage, D: int) -> str:
    """Return what happens in a step, in one sentence."""
    if stage.mask is not None:
        passing = int(stage.mask.sum())
        rest = D - stage.alive
        aside = f" {rest} are latent and stay." if rest else ""
        return f"A coupling: {passing} pass and give s and t for the {len(stage.mask) - passing} that change.{aside}"
    return {
        "the image": "Every pixel is a dimension. Nothing has happened yet.",
        "squeeze": "Each 2 × 2 block of pixels becomes four channels. Nothing else happens.",
        "factor out": "The first half of the channels is done: latent. The second half goes on.",
        "all is latent": f"The rest joins them: z has as many dimensions, {D}, as the image had.",
    }[stage.name]
