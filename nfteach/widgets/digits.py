"""The digit explorer: digits of a chosen label, drawn by a conditional flow and read back by Bayes' rule."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.nn.utils import vector_to_parameters

from nfteach.flows import ImageRealNVP, bits_per_dim, quantise
from nfteach.widgets.controls import integer, row
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Bars, Chart, Label, Number, Pixels

__all__ = ["LEVELS", "WEIGHTS", "DigitExplorer", "digit_flow", "untrained"]

#: One float16 array, ``parameters``, in the order of ``ImageRealNVP.parameters()``. Written by tools/train_digits.py.
WEIGHTS = Path(__file__).with_name("digits.npz")
LEVELS = 17  # values of a pixel, 0 to 16
DRAWS = 16


def untrained() -> ImageRealNVP:
    """Build the flow of the digits before training, in float32."""
    with torch.random.fork_rng(devices=()):
        return ImageRealNVP((1, 8, 8), scales=2, couplings=2, hidden=24, blocks=3, classes=10)


def digit_flow() -> ImageRealNVP:
    """Load the trained flow from z, standard normal, to dequantised digits, given their label: without gradients."""
    flow = untrained().requires_grad_(False)
    with np.load(WEIGHTS) as stored:
        vector_to_parameters(torch.from_numpy(stored["parameters"]).float(), flow.parameters())
    return flow


class DigitExplorer(Explorer):
    r"""Digits drawn by a flow that is given their label, and what Bayes' rule reads in them with the same flow.

    Choose a label and step through the draws. Each draw is one noise vector z. The large image is x = flow(z) for the
    chosen label; the row below shows the same z with every label, and a click there chooses its label. The bars are
    p(label | x), which is q(x | label) over the sum of q(x | label) over all labels, as all are equally likely a
    priori. They are computed from x itself, before its pixels are rounded to whole levels for the picture.

    Args:
        flow: an ``ImageRealNVP`` of images of one channel, with classes, of which a copy is taken; by default the
            flow of the course, trained on real digits of 8 x 8 pixels.
        levels: the number of values of a pixel.
        state: initial values of controls.

    Controls (for :meth:`set`): ``digit``, the label; ``draw``, from 0.

    The readout: the label that Bayes' rule ``reads`` in x; ``bits/dim, given the label``.

    Raises:
        ValueError: if ``flow`` is not an ``ImageRealNVP`` with classes, or its images have several channels.

    Example:
        >>> explorer = DigitExplorer(digit=4)
        >>> explorer.readout["Bayes' rule reads"]
        'a 4'
    """

    help = "Choose a digit. Step or play to draw others: [new noise](z), a [new image](x)."
    alt = "a digit drawn for the chosen label, the same noise with all ten labels, and what Bayes' rule reads"
    essential = ("digit",)
    main = 392
    step = "draw"
    autoplay = True

    def __init__(self, flow: ImageRealNVP | None = None, *, levels: int = LEVELS, **state: Any) -> None:
        if flow is None:
            flow = digit_flow()
        if not isinstance(flow, ImageRealNVP) or not flow.classes:
            raise ValueError("flow must be an ImageRealNVP with classes; try ImageRealNVP((1, 8, 8), classes=10)")
        if flow.shape[0] != 1:
            raise ValueError(f"flow must make images of one channel, but makes {flow.shape[0]}")
        self.levels, self.shape, self.classes = levels, flow.shape[1:], flow.classes
        flow = copy.deepcopy(flow).cpu().double().requires_grad_(False)
        z = torch.randn(DRAWS, flow.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        base = Independent(Normal(torch.zeros_like(z[0]), torch.ones_like(z[0])), 1)
        labels = torch.arange(flow.classes)
        self._x = torch.stack([flow.given(label)(z) for label in labels])  # (labels, draws, D)
        log_q = []
        for label in labels:
            back, ladj = flow.given(label).inverse_and_ladj(self._x)
            log_q.append(base.log_prob(back) + ladj)
        self._log_q = torch.stack(log_q, -1)  # (labels, draws, labels)
        super().__init__(**state)

    def build_controls(self) -> dict[str, Any]:
        digit = ipywidgets.ToggleButtons(
            options=[(str(label), label) for label in range(self.classes)], value=min(3, self.classes - 1),
            description="digit", layout={"display": "flex", "align_items": "center"},
        )  # fmt: skip
        digit.style.button_width, digit.traced = "auto", True
        return {"digit": digit, "draw": integer("draw", 0, DRAWS - 1, 0)}

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        log_q = row(self._log_q, s.digit)[s.draw]
        p = torch.softmax(log_q, 0)
        read = p.argmax()
        bits = bits_per_dim(row(log_q, s.digit), self._x.shape[-1], self.levels)
        return {
            "large": Pixels(
                self._ink(row(self._x, s.digit)[s.draw][None]), outline=torch.zeros(1, *self.shape, dtype=torch.bool),
                width=392,
            ),
            "all labels": Pixels(
                self._ink(self._x[:, s.draw]), per_row=self.classes, chosen=s.digit, gesture="choose",
                outline=torch.zeros(self.classes, *self.shape, dtype=torch.bool), width=392,
                title="the same noise with every label", help="click an image to choose its label",
            ),
            "posterior": self._chart(p, s.digit),
            "readout": {
                "Bayes' rule reads": Number(f"a {read}", note=f"with probability {row(p, read):.3f}",
                                            bad=read != s.digit),
                "bits/dim, given the label": Number(bits, digits=2, note="for this image"),
            },
        }  # fmt: skip

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        return {"digit": values[0]}

    def _ink(self, x: Tensor) -> Tensor:
        """Return images (N, D) as ink (N, H, W): whole levels, from 0 to 1."""
        return quantise(x, levels=self.levels).reshape(-1, *self.shape) / (self.levels - 1)

    def _chart(self, p: Tensor, digit: Tensor) -> Chart:
        at = torch.arange(self.classes, dtype=torch.float64)
        chosen = at == digit
        marks: dict[str, Any] = {
            "the chosen label": Bars(at, p * chosen, 0.7, color="x"),
            "the other labels": Bars(at, p * ~chosen, 0.7, color="soft"),
        }
        for label in range(self.classes):
            marks[f"name of {label}"] = Label(torch.tensor([float(label), -0.16]), str(label), color="soft")
        return Chart(
            marks, x=(-0.6, self.classes - 0.4), y=(-0.28, 1.08), ticks=(), yticks=(0, 1), place="side", width=260,
            height=130, title="p(label | x), by Bayes' rule",
        )  # fmt: skip
