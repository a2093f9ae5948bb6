"""The mask explorer: the steps of a multi-scale RealNVP on the pixels of an image, and the Jacobian of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.widgets.controls import choice, integer
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.mask_stages import DEPENDS, LATENT, ONE, SCALE, ZERO, Look, Shape, Stage, look_at, stages_of
from nfteach.widgets.parts import Number, Pixels

__all__ = ["MaskExplorer"]

NETWORKS = {"all that pass": "all", "3 × 3 around": "3 x 3"}
LARGEST = 4096  # dimensions: the picture of J is made from a matrix of that size
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
        self._stages = stages_of(shape, _checked_scales(shape, scales))
        low, high = float(values.min()), float(values.max())
        self.image = ((values - low) / ((high - low) or 1.0)).ravel()
        self._at, self._lines = zip(*_layouts(self._stages), strict=True)
        self._sheets = [self._sheet(k) for k in range(len(self._stages))]
        self._looked_at = functools.cache(self._look)
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
            "step": integer("step", 0, len(self._stages) - 1, 1),
            "pixel": integer("pixel", 1, len(self.image), int(middle) + 1),
            "network": choice("s, t see", NETWORKS, "all"),
        }

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        stage, k = self._stages[s.step], s.step
        inks, hues = (torch.stack([sheets[part] for sheets in self._sheets]) for part in (0, 1))  # (steps, 2, R, S)
        places = self._places(k, s.pixel - 1)
        scale = "" if stage.name in ("the image", "all is latent") else f", scale {stage.scale}"
        now = f"now {_written(stage.after)}" if stage.after[0] else "now all latent"
        parts: dict[str, Any] = {
            "sheets": Pixels(
                inks[k], hues[k], HUES, titles=("the image", now), per_row=2, lit=torch.tensor(places), gesture="pick",
                words=self._letters(k, s.pixel - 1), lines=self._lines[k], width=496, help="click a pixel to follow it",
                title=f"step {k} of {len(self._stages) - 1}{scale}: {stage.name}", note=_words(stage, len(self.image)),
            ),
            "steps": Pixels(
                inks[:, 1], hues[:, 1], HUES, per_row=-(-len(inks) // -(-len(inks) // 10)),
                outline=torch.zeros_like(inks[:, 1], dtype=torch.bool),
                chosen=torch.tensor(k), gesture="choose", width=496, help="click a step to go there",
            ),
        }  # fmt: skip
        matrix, look = self._looked_at(s.network, k)
        parts["J"] = self._matrices(matrix, look, stage, s.pixel - 1)
        return parts | {"readout": self._numbers(stage, look, s.pixel - 1)}

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        if name == "steps":
            return {"step": int(values[0])}
        tile, i, j = (int(value) for value in values)
        at, pixels = (
            (self._at[0], self._stages[0].to_pixels)
            if tile == 0
            else (self._at[s.step], self._stages[s.step].to_pixels)
        )
        return {"pixel": int(pixels[(at == (i, j)).all(1)][0]) + 1}

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

    def _places(self, k: int, pixel: int) -> list[list[int]]:
        """Return sheet, row and column of a pixel in both sheets."""
        now = self._at[k][self._stages[k].to_pixels == pixel][0]
        return [[0, *self._at[0][pixel].tolist()], [1, *now.tolist()]]

    def _letters(self, k: int, pixel: int) -> tuple[str, ...]:
        """Return a, b, c and d at the four pixels of the block of ``pixel`` that the squeeze of this scale cuts up."""
        rows, columns = self._at[0].max(0) + 1
        words = np.full((2, rows, columns), "", dtype=object)
        for letter, one in zip("abcd", _block(self._stages, k, pixel), strict=False):
            for place in self._places(k, one):
                words[tuple(place)] = letter
        return tuple(words.ravel())

    # ---- the Jacobian --------------------------------------------------------------------------------------------

    def _look(self, network: str, k: int) -> tuple[Tensor, Look]:
        """Return the kinds of entries of J (2, n, n), in order and sorted, and what there is to say of it."""
        kinds, look = look_at(self._stages[k], self.image, network)
        both = (kinds, kinds[look.rows][:, look.columns])
        return torch.from_numpy(np.stack([_coarse(one) for one in both])).long(), look

    def _matrices(self, kinds: Tensor, look: Look, stage: Stage, pixel: int) -> Pixels:
        ink = torch.tensor([ENTRY_INK[kind] for kind in range(5)])[kinds]
        hue = torch.tensor([ENTRY_HUE[kind] for kind in range(5)], dtype=torch.uint8)[kinds]
        n = kinds.shape[1]
        each = -(-len(self.image) // DOTS)
        row, column = (int((pixels == pixel).argmax()) for pixels in (stage.to_pixels, stage.from_pixels))
        lines = []
        for tile, rows, columns in ((0, None, None), (1, look.rows, look.columns)):
            i, j = (
                one if order is None else int((order == one).argmax())
                for one, order in ((row, rows), (column, columns))
            )
            i, j = (i + 0.5) / each, (j + 0.5) / each
            lines += [[tile, i, 0, i, n], [tile, 0, j, n, j]]
        titles = {True: ("J", "those that pass first"), False: ("J", "its rows put back")}
        return Pixels(
            ink, hue, HUES, titles=titles[stage.name != "squeeze"], per_row=2, place="side", width=328,
            lines=torch.tensor(lines), title="the step's Jacobian; the pixel's row and column",
        )  # fmt: skip

    def _numbers(self, stage: Stage, look: Look, pixel: int) -> dict[str, Number]:
        changed = 0 if stage.mask is None else int((~stage.mask).sum())
        passing = len(self.image) - stage.gone - changed
        before = _place(stage.from_pixels, stage.before, pixel)
        shapes = _written(stage.before), _written(stage.after) if stage.after[0] else "none"
        why = "the sum of s, of random networks" if stage.mask is not None else "no value changes"
        return {
            "log|det J|": Number(look.log_det, unit="nats", note=why),
            "changed": Number(changed, note=f"{passing} pass, {stage.gone} are latent"),
            "pixel after": Number(_place(stage.to_pixels, stage.after, pixel), note=f"before: {before}"),
            "pixel before": Number(before, more=True),
            "pass": Number(passing, more=True),
            "latent": Number(stage.gone, more=True),
            "shape before": Number(shapes[0], more=True),
            "shape after": Number(shapes[1], more=True),
            "nonzero in J": Number(f"{look.nonzero} of {len(self.image) ** 2}", more=True),
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


def _block(stages: Sequence[Stage], k: int, pixel: int) -> list[int]:
    """Return the four pixels that the squeeze of a step's scale takes apart, of which ``pixel`` is one.

    Where there is no squeeze, or the pixel is latent before, those of the scale before it.
    """
    found: list[int] = []
    for stage in stages:
        tensor = stage.from_pixels[len(stage.from_pixels) - stage.alive :].reshape(stage.before)
        if stage.name == "squeeze" and stage.scale <= stages[k].scale and (tensor == pixel).any():
            c, i, j = np.argwhere(tensor == pixel)[0]
            found = tensor[c, i // 2 * 2 : i // 2 * 2 + 2, j // 2 * 2 : j // 2 * 2 + 2].ravel().tolist()
    return found


def _place(pixels: np.ndarray, shape: Shape, pixel: int) -> str:
    """Return where a pixel is, counted from 1."""
    found = np.argwhere(pixels[len(pixels) - int(np.prod(shape)) :].reshape(shape) == pixel)
    if not len(found):
        return "latent"
    c, i, j = found[0]
    return f"channel {c + 1}, ({i + 1}, {j + 1})"


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
