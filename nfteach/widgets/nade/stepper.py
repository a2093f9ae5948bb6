"""The NADE stepper: one image, pixel by pixel, along an ordering."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from nfteach.flows import NADE, pixel_ordering
from nfteach.widgets.controls import choice, integer
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.nade.picture import NADEPicture

__all__ = ["NADEStepper"]

OWN = "the model's own"
ORDERINGS = ("raster", "reverse", "spiral", "random")
DRAWS = 99


class NADEStepper(Explorer):
    """Walk through an image with a NADE, one pixel a step.

    Step d shows all that the model does at the d-th pixel of the ordering: the activation a_d, the hidden units
    h_d = sigmoid(a_d), the row of V that turns them into p(x = 1), the pixel, observed or drawn, and the column of W
    that it adds to the activation. Step 0 is the beginning, a_1 = c. The steps travel to the browser once; its slider,
    buttons and arrow keys need no kernel.

    Args:
        nade: a model, of which a copy is taken. Whatever its own ordering, it can be walked in the others.
        images: (N, D), zeros and ones, to be scored; None to only draw new ones.
        shape: (height, width) of an image; their product is D.
        step: where to begin; by default in the middle.
        state: initial values of controls.

    Controls (for :meth:`set`): ``ordering`` ("raster", "reverse", "spiral", "random", always the same one, or, where it
    is none of these, "the model's own"), ``mode`` ("observed": the pixels are an image's; "half": the first half are,
    the others are drawn; "drawn": all are), ``image`` (counted from 0), ``draw`` (another number, another drawing).
    Without images only ``ordering`` and ``draw``.

    Raises:
        ValueError: if ``nade`` is no NADE, or ``images`` or ``shape`` do not go with it.

    Example:
        >>> stepper = NADEStepper(NADE(9, hidden=4), shape=(3, 3), ordering="spiral")
        >>> stepper.set(step=5)
        >>> stepper.readout["pixel"]
        '(3, 3)'
    """

    help = "Play the steps, or focus their slider and use the arrow keys. Look for pixels that were a surprise."

    def __init__(
        self,
        nade: NADE,
        images: Tensor | None = None,
        shape: tuple[int, int] = (8, 8),
        *,
        step: int | None = None,
        **state: Any,
    ) -> None:
        if not isinstance(nade, NADE):
            raise ValueError(f"nade must be a NADE, but is a {type(nade).__name__}")
        if len(shape) != 2 or shape[0] * shape[1] != nade.dim:
            raise ValueError(f"shape must be (height, width) with {nade.dim} pixels in all, but is {tuple(shape)}")
        self.nade, self.shape = copy.deepcopy(nade).cpu().requires_grad_(False), (int(shape[0]), int(shape[1]))
        self.images = None if images is None else self._usable(images)
        self._orderings = {
            name: pixel_ordering(name, *self.shape, generator=torch.Generator().manual_seed(0)) for name in ORDERINGS
        }
        own = [name for name, ordering in self._orderings.items() if ordering.equal(self.nade.ordering)]
        if not own:
            self._orderings[OWN] = self.nade.ordering
        self._own = own[0] if own else OWN
        super().__init__(**state)
        self.set(step=nade.dim // 2 if step is None else step)

    def _usable(self, images: Tensor) -> Tensor:
        images = torch.as_tensor(images).detach().cpu().to(self.nade.b.dtype)
        if images.dim() != 2 or not len(images):
            raise ValueError(
                f"images must be (N, {self.nade.dim}) with N at least 1, but has shape {tuple(images.shape)}"
            )
        return self.nade.check_input(images)

    def build_controls(self) -> dict[str, Any]:
        controls = {"ordering": choice("ordering", list(self._orderings), self._own)}
        if self.images is not None:
            controls["mode"] = choice("pixels are", ["observed", "half", "drawn"], "observed")
            controls["image"] = integer("image", 0, len(self.images) - 1, 0)
            controls["mode"].observe(self._bound, "value")
        controls["draw"] = integer("drawing", 0, DRAWS, 0)
        return controls

    def _bound(self, _: Any = None) -> None:
        """Only the sliders that matter in this mode are there."""
        if self.images is not None:
            for name, idle in (("image", "drawn"), ("draw", "observed")):
                hidden = self.controls["mode"].value == idle
                self.controls[name].layout.visibility = "hidden" if hidden else "visible"

    def build_live(self) -> LiveFigure:
        self._bound()
        self._picture = NADEPicture(self.nade, self.shape)
        return self._picture.live

    def set(self, *, step: int | None = None, **state: Any) -> None:
        """Move controls, and go to a step, from 0 to D.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        if step is not None and (isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= self.nade.dim):
            raise ValueError(f"step must be a whole number from 0 to {self.nade.dim}, but is {step!r}")
        if state or step is None:
            super().set(**state)
        if step is not None:  # the frames are there already
            self.live.frame = step

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        ordering = self._orderings[state["ordering"]]
        mode, half = state.get("mode", "drawn"), (self.nade.dim + 1) // 2
        given = {"observed": self.nade.dim, "half": half, "drawn": 0}[mode]
        generator = torch.Generator().manual_seed(state["draw"])
        image = None if self.images is None else self.images[state["image"]]
        if given == 0:
            steps = self.nade.sample_steps(ordering=ordering, generator=generator)
        else:
            steps = self.nade.steps(self._completed(image, given, ordering, generator), ordering=ordering)
        self.live.set_frames(self._picture.frames(steps, given))
        return {}

    def _completed(self, image: Tensor, given: int, ordering: Tensor, generator: torch.Generator) -> Tensor:
        """The image with all but its first ``given`` pixels in the ordering drawn anew, one after the other."""
        image = image.clone()
        for index in ordering[given:].tolist():
            probability = self.nade.conditionals(image, ordering=ordering)[index]  # looks at the pixels before only
            image[index] = torch.bernoulli(probability, generator=generator)
        return image
