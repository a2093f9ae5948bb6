"""The mask explorer: what the multi-scale RealNVP does with the pixels of an image, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from nfteach.widgets.controls import choice, integer
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.masks.picture import CHANGED, GONE, PASSES, PLAIN, MaskPicture
from nfteach.widgets.masks.stages import Look, Shape, Stage, look_at, stages_of

__all__ = ["MaskExplorer"]

NETWORKS = {"all that pass": "all", "3 × 3 around": "3 x 3"}
LARGEST = 4096  # dimensions: the picture of J is worked out from a matrix of that size


class MaskExplorer(Explorer):
    r"""Follow one pixel through the multi-scale RealNVP: masks, squeeze, factoring out, and the Jacobian of each step.

    Above, the image as it was, the tensor that it is now, and what is latent already. Pixels keep their shade of grey,
    so that they can be followed (a flow would change it); their colour tells what a step does with them: they pass
    (yellow), are changed (green), or are latent (blue). Letters mark the 2 x 2 block that the next squeeze cuts up.

    Below, the step's Jacobian, D x D with the latents first: of a coupling, in the order of the dimensions and with
    those that pass first, which makes it block triangular whatever the mask; of a squeeze, the permutation matrix that
    it is, and the identity that is left when the rows are put back. Zeros are found by autograd, with networks s and t
    drawn at random (above 1,024 dimensions they follow from the mask).

    In the paper each kind of coupling comes three times, masks in turn, and four times at the last scale; here twice.

    The steps travel to the browser once; its slider, buttons and arrow keys need no kernel.

    Args:
        image: (H, W) or (C, H, W), at most 4,096 numbers, with sides of even length, as often as they are halved. By
            default a ring of 8 x 8, made here.
        scales: how many; each but the last halves the sides. By default three, or as many as the sides allow.
        step: where to begin.
        state: initial values of controls.

    Controls (for :meth:`set`): ``pixel``, which is followed, counted from 1 (channel by channel, row by row);
    ``network``: what s and t of a dimension may see, "all" that passes, or "3 x 3", only the pixels around it, as a
    convolution does; and ``step``, from 0.

    The readout, of the step: the ``shape before`` and ``after``; how many dimensions ``pass``, are ``changed``, and are
    ``latent`` afterwards; where the ``pixel`` was ``before`` and is ``after``; ``log|det J|`` in nats, as the layer
    tells it (of a coupling, for the random network, at this image); ``nonzero in J``, the entries that need not be 0.

    Raises:
        ValueError: if ``image`` is no image of finite numbers with even sides, or there can't be so many ``scales``.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 and 3.6, figures 3 and 4,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> explorer = MaskExplorer(pixel=20, step=3)
        >>> explorer.readout["shape after"], explorer.readout["pixel after"], explorer.readout["log|det J|"]
        ('4 × 4 × 4', 'channel 2, (2, 2)', 0.0)
    """

    help = "Step on below the picture. Drag the orange frame to another pixel and follow it."
    handles = {"image pixel": ("pixel", None), "pixel": ("pixel", None)}  # noqa: RUF012 - never changed

    def __init__(self, image: Any = None, *, scales: int | None = None, step: int = 1, **state: Any) -> None:
        values = _ring() if image is None else _checked_image(image)
        shape: Shape = values.shape
        self._stages = stages_of(shape, _checked_scales(shape, scales))
        low, high = float(values.min()), float(values.max())
        self.image = ((values - low) / ((high - low) or 1.0)).ravel()
        self._picture = MaskPicture(self._stages, self.image)
        self._looks: dict[str, tuple[list[Look], list[dict[str, Any]]]] = {}
        self.presets = self._presets()
        super().__init__(**state)
        self._first = self._checked_step(step)
        self.live.frame = self._first

    def _presets(self) -> dict[str, dict[str, Any]]:
        steps: dict[str, list[int]] = {}
        for k, stage in enumerate(self._stages):
            steps.setdefault(stage.name, []).append(k)
        found = {"block triangular after all": steps.get("checkerboard", [1])[0]}
        if "squeeze" in steps:
            found |= {"squeeze": steps["squeeze"][0], "channel mask": steps["squeeze"][0] + 1}
            found["half is latent"] = steps["factor out"][0]
        if len(steps.get("squeeze", ())) > 1:
            found["squeeze again"] = steps["squeeze"][1]
        presets: dict[str, dict[str, Any]] = {name: {"step": step} for name, step in found.items()}
        return presets | {"networks that see 3 × 3": {"network": "3 x 3", "step": 1}}

    def build_controls(self) -> dict[str, Any]:
        shape = self._stages[0].before
        middle = np.ravel_multi_index((0, shape[1] // 2, max(shape[2] // 2 - 2, 0)), shape)
        return {
            "pixel": integer("pixel", 1, len(self.image), int(middle) + 1),
            "network": choice("s, t see", NETWORKS, "all"),
        }

    def build_live(self) -> LiveFigure:
        return self._picture.live

    def set(self, *, step: int | None = None, **state: Any) -> None:
        """Move controls, and go to a step, counted from 0, the image.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        if step is not None:
            step = self._checked_step(step)
        if state or step is None:
            super().set(**state)
        if step is not None:  # the frames are there already
            self.live.frame = step

    def reset(self) -> None:
        """Back to where the explorer began."""
        self.set(step=self._first, **self._initial)

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """The pixel that is nearest to the place, in whichever of the sheets it is."""
        return {"pixel": self._picture.pixel_at(self.live.frame, x, y) + 1}

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        pixel = state["pixel"] - 1
        looks, stills = self._seen(state["network"])
        blocks = _blocks(self._stages, pixel)
        frames = []
        for k, (stage, look, still, block) in enumerate(zip(self._stages, looks, stills, blocks, strict=True)):
            moves = self._picture.moves(k, pixel, block, look)
            scale = "" if stage.name in ("the image", "all is latent") else f"scale {stage.scale}, "
            label = f"{scale}{stage.name}"
            frames.append({**still, **moves, "label": label, "readout": self._told(stage, look, pixel)})
        self.live.set_frames(frames)
        return {}

    def _seen(self, network: str) -> tuple[list[Look], list[dict[str, Any]]]:
        """The Jacobians of all steps, and what of the frames is the same for all pixels; worked out once."""
        if network not in self._looks:
            looks, stills = [], []
            for k, stage in enumerate(self._stages):
                kinds, look = look_at(stage, self.image, network)
                stills.append(self._picture.still(k, kinds, look, _statuses(stage), _words(stage, len(self.image))))
                looks.append(look)
            self._looks[network] = looks, stills
        return self._looks[network]

    def _told(self, stage: Stage, look: Look, pixel: int) -> dict[str, Any]:
        changed = 0 if stage.mask is None else int((~stage.mask).sum())
        return {
            "shape before": _written(stage.before),
            "shape after": _written(stage.after) if stage.after[0] else "none",
            "pass": len(self.image) - stage.gone - changed,
            "changed": changed,
            "latent": stage.gone,
            "pixel before": _place(stage.from_pixels, stage.before, pixel),
            "pixel after": _place(stage.to_pixels, stage.after, pixel),
            "log|det J|": (look.log_det, "nats"),
            "nonzero in J": f"{look.nonzero} of {len(self.image) ** 2}",
        }

    def _checked_step(self, step: Any) -> int:
        last = len(self._stages) - 1
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= last:
            raise ValueError(f"step must be a whole number from 0 to {last}, but is {step!r}")
        return step


def _checked_image(image: Any) -> np.ndarray:
    """(C, H, W), in float64."""
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
    """A picture (1, 8, 8) to begin with: a ring, heavier below."""
    i, j = np.mgrid[:8, :8] - 3.5
    return (np.exp(-(((np.hypot(i, 1.25 * j) - 2.7) / 0.8) ** 2)) * (1 + 0.12 * i))[None]


def _statuses(stage: Stage) -> np.ndarray:
    """(D,): what happens to each place of the vector, as it is after the step."""
    statuses = np.full(len(stage.to_pixels), GONE)
    statuses[stage.gone :] = PLAIN if stage.mask is None else np.where(stage.mask, PASSES, CHANGED)
    return statuses


def _blocks(stages: list[Stage], pixel: int) -> list[list[int]]:
    """For each step the four pixels that the squeeze of its scale takes apart, of which ``pixel`` is one.

    Where there is no squeeze, or the pixel is latent before, those of the scale before it.
    """
    found: dict[int, list[int]] = {0: []}
    for stage in stages:
        tensor = stage.from_pixels[len(stage.from_pixels) - stage.alive :].reshape(stage.before)
        if stage.name == "squeeze" and (tensor == pixel).any():
            c, i, j = np.argwhere(tensor == pixel)[0]
            found[stage.scale] = tensor[c, i // 2 * 2 : i // 2 * 2 + 2, j // 2 * 2 : j // 2 * 2 + 2].ravel().tolist()
    return [found[max(scale for scale in found if scale <= stage.scale)] for stage in stages]


def _place(pixels: np.ndarray, shape: Shape, pixel: int) -> str:
    """Where a pixel is, counted from 1."""
    found = np.argwhere(pixels[len(pixels) - int(np.prod(shape)) :].reshape(shape) == pixel)
    if not len(found):
        return "latent"
    c, i, j = found[0]
    return f"channel {c + 1}, ({i + 1}, {j + 1})"


def _written(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _words(stage: Stage, D: int) -> str:
    """What happens in a step, in lines of some 32 letters."""
    if stage.mask is not None:
        passing = int(stage.mask.sum())
        what = "channels" if "channel" in stage.name else "pixels"
        lines = f"A coupling. The yellow {what}\npass and give s and t for the\ngreen: "
        rest = D - stage.alive
        aside = f"\n{rest} are latent and stay." if rest else ""
        return f"{lines}{passing} set, {len(stage.mask) - passing} change.{aside}"
    return {
        "the image": "Every pixel is a dimension.\nNothing has happened yet.",
        "squeeze": "Each 2 × 2 block of pixels\nbecomes four channels. Nothing\nelse happens: |det J| = 1.",
        "factor out": "The first half of the channels\nis done: latent. The second half\ngoes on. No value changes.",
        "all is latent": f"What was left joins them: z has\nas many dimensions, {D}, as the\nimage had.",
    }[stage.name]
