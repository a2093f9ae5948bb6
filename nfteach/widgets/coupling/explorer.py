"""The coupling explorer: one coupling layer, the four blocks of its Jacobian, and what it does to the plane."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfteach.flows import AffineCoupling, Flow, alternating_mask, half_mask
from nfteach.widgets.controls import choice, integer, nearest_value, slider
from nfteach.widgets.coupling.picture import CouplingPicture, Shown
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure

__all__ = ["CouplingExplorer"]

LARGEST = 6  # dimensions that the explorer's own layers may have
NUMBERS_UP_TO = 8  # dimensions up to which every entry of J is written out
FIRST, LAST, ALTERNATING, FLIPPED = "first d pass", "last d pass", "alternating", "alternating, flipped"
FREQUENCY = {"smooth": 1.2, "wild": 9.0}
BOX = 4.0  # the plane is shown from -BOX to BOX
PROBE = (0.6, -0.9, 1.2, 0.7, -1.1, 0.4)


class CouplingExplorer(Explorer):
    r"""One affine coupling layer to play with: masks, s and t, its Jacobian block by block, forward and inverse.

    On the left the Jacobian at a point x, with the input above its columns, the output beside its rows and, below,
    the input again as the inverse brings it back. Framed in green are the entries exp(s), whose product is the
    determinant. Colours saturate slowly (v / (1 + \|v\|)), so that they mean the same at every moment.

    On the right a plane of two dimensions, one that passes and one that changes; the others stay at x. With D = 2 this
    is the whole layer. It shows the image of a square grid, of samples, or the density that they follow. The point
    before the map can be dragged: along its axis x_j follows, as by ``push``.

    Args:
        layer: a coupling layer of your own, of which a copy is taken; then D, d, mask and networks are that layer's.
            None for the explorer's own layers with up to 6 dimensions.
        state: initial values of controls.

    Controls (for :meth:`set`): ``D, d, mask, network`` (not with a layer of your own), ``s`` and ``t`` (factors of
    the networks' outputs), ``j`` (the input dimension whose column is lit, counted from 1), ``i`` (a row; only where J
    is too large for numbers), ``push`` (added to x_j), ``direction``, ``order``, ``show``.

    Raises:
        ValueError: if ``layer`` is not an ``AffineCoupling``, or a control's value does not fit, as a d that is not
            below D.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), equations 4 to 9, https://arxiv.org/abs/1605.08803

    Example:
        >>> explorer = CouplingExplorer(D=5, d=2, s=0.0)
        >>> explorer.readout["det J"]
        1.0
    """

    help = "Push x_j, for a j that passes and for one that does not. Which numbers change? Which never do?"
    handles: Mapping[str, tuple[str | None, str | None]] = {"from": ("push", None)}

    def __init__(self, layer: AffineCoupling | None = None, **state: Any) -> None:
        if layer is not None and not isinstance(layer, AffineCoupling):
            raise ValueError(f"layer must be an AffineCoupling, but is a {type(layer).__name__}")
        self._given = None if layer is None else copy.deepcopy(layer).double().eval().requires_grad_(False)
        self._made: dict[tuple, AffineCoupling] = {}
        self.presets = {"additive: volume preserving (NICE)": {"s": 0.0}}
        if layer is None:
            self.presets = {
                "the note's d = 2 of D = 5": {"D": 5, "d": 2, "j": 1},
                **self.presets,
                "wild s and t": {"network": "wild", "s": 1.5, "t": 1.5},
                "the whole plane: D = 2": {"D": 2, "d": 1, "j": 1},
                "alternating mask": {"D": 6, "mask": ALTERNATING},
            }
        super().__init__(**state)

    @property
    def dim(self) -> int:
        """D, of the layer that is shown."""
        return self._given.dim if self._given is not None else self.controls["D"].value

    def build_controls(self) -> dict[str, Any]:
        dim = LARGEST if self._given is None else self._given.dim
        controls = {
            "D": integer("D", 2, LARGEST, 4),
            "d": integer("d, they pass", 1, LARGEST - 1, 2),
            "mask": choice("mask", [FIRST, LAST, ALTERNATING, FLIPPED], FIRST),
            "network": choice("s and t", {"smooth functions": "smooth", "wild functions": "wild"}, "smooth"),
            "s": slider("strength of s", 0, 2, 1.0),
            "t": slider("strength of t", 0, 2, 1.0),
            "j": integer("j, lit input", 1, dim, 1),
            "i": integer("i, lit output", 1, dim, dim),
            "push": slider("push x_j by", -2, 2, 0.0),
            "direction": choice("map", {"x \u2192 y": "forward", "y \u2192 x": "inverse"}, "forward"),
            "order": choice("J's order", ["as it is", "passed first"], "as it is"),
            "show": choice("plane", {"grid": "grid", "points": "samples", "density": "density"}, "grid"),
        }
        if self._given is None:
            controls["D"].observe(self._bound, "value")
            controls["mask"].observe(self._bound, "value")
        else:
            for name in ("D", "d", "mask", "network"):
                del controls[name]
            if self._given.additive:
                del controls["s"]
                self.presets = {}
        if dim <= NUMBERS_UP_TO:
            del controls["i"]
        return controls

    def build_live(self) -> LiveFigure:
        self._bound()
        self._picture = CouplingPicture(LARGEST if self._given is None else self.dim, NUMBERS_UP_TO, BOX)
        return self._picture.live

    def set(self, **state: Any) -> None:
        with self._lock:
            self._bound(free=True)  # what is asked for may go with a D that is asked for in the same breath
            try:
                super().set(**state)
            finally:
                self._bound()

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """The ``push`` that brings the point before the map to the place across (j passes) or up (j changes)."""
        layer, j, point = self.layer(), *self._point(self.state)
        value = x if layer.mask[j] else y
        if self.state["direction"] == "inverse":  # then the point before the map is the layer's output
            wanted = layer(point)
            wanted[j] = value
            value = layer.inv(wanted)[j].item()
        return {"push": nearest_value(self.controls["push"], value - PROBE[j % len(PROBE)])}

    def _checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        checked = super()._checked(state)
        if self._given is None:
            dim = checked.get("D", self.dim)
            if checked.get("d", 1) >= dim:
                raise ValueError(
                    f"d must be below D = {dim}, for at least one dimension must change, but is {checked['d']}"
                )
            if checked.get("j", 1) > dim:
                raise ValueError(f"j must be one of the D = {dim} dimensions, counted from 1, but is {checked['j']}")
        return checked

    def _bound(self, _: Any = None, *, free: bool = False) -> None:
        """Keep d below D and j at most D: the sliders end there."""
        if self._given is None:
            dim = LARGEST if free else self.dim
            self.controls["d"].max, self.controls["j"].max = dim - 1, dim
            self.controls["d"].disabled = self.controls["mask"].value in (ALTERNATING, FLIPPED)

    def layer(self, state: dict[str, Any] | None = None) -> AffineCoupling:
        """The layer that is shown, in float64, with the strengths of s and t in it."""
        state = self.state if state is None else state
        key = tuple(state.get(name) for name in ("D", "d", "mask", "network", "s", "t"))
        if key not in self._made:
            self._made = {key: self._make(state)}
        return self._made[key]

    def _make(self, state: dict[str, Any]) -> AffineCoupling:
        if self._given is not None:
            given = self._given
            mask, conditioner, additive = given.mask, given.conditioner, given.additive
            scale = None if additive else given.scale
        else:
            mask, additive, scale = _mask(state), False, 1.0
            d = int(mask.sum())
            conditioner = _Waves(d, len(mask) - d, FREQUENCY[state["network"]])
        layer = AffineCoupling(mask, conditioner=_Stronger(conditioner, state["t"]), additive=additive).double()
        layer.requires_grad_(False)
        if not additive:
            layer.scale.copy_(torch.as_tensor(state["s"] * scale))
        return layer

    def _point(self, state: dict[str, Any]) -> tuple[int, Tensor]:
        """j, counted from 0, and x (D,) with x_j pushed."""
        D = self.layer(state).dim
        j = min(state["j"], D) - 1
        x = torch.tensor([PROBE[k % len(PROBE)] for k in range(D)], dtype=torch.float64)
        x[j] += state["push"]
        return j, x

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        layer, j, x = self.layer(state), *self._point(state)
        D = layer.dim
        y, ladj = layer.call_and_ladj(x)
        back, inverse_ladj = layer.inverse_and_ladj(y)
        J = _jacobian(layer, x)
        if not torch.cat([y, J.flatten()]).isfinite().all():
            raise ValueError("at this point the layer, or its Jacobian, is NaN or infinite: look at its networks")
        readout = {
            "sum of s": (ladj.item(), "nats"),
            "slogdet of J": (torch.linalg.slogdet(J).logabsdet.item(), "nats"),
            "inverse's, negated": (-inverse_ladj.item(), "nats"),
            "det J": torch.linalg.det(J).item(),
            "round trip off by": (back - x).abs().max().item(),
        }
        inverse = state["direction"] == "inverse"
        f, start, end = (layer.inv, y, x) if inverse else (layer, x, y)
        shown = _jacobian(f, start) if inverse else J
        again = f.inv(end)
        i = min(state["i"], D) - 1 if "i" in state else None
        if i is not None:
            readout[f"row {i + 1}, column {j + 1} of J"] = J[i, j].item()
        a, b = _plane(layer.mask, j)
        order = [*layer.kept.tolist(), *layer.changed.tolist()] if state["order"] == "passed first" else list(range(D))
        left = Shown(shown.numpy(), layer.mask.numpy(), order, j, i, start.numpy(), end.numpy(), again.numpy(), inverse)
        arrays = self._picture.jacobian(left)
        arrays |= self._picture.plane(start[[a, b]].numpy(), end[[a, b]].numpy(), a, b, inverse)
        for name, parts in self._image_of(layer, f, start, end, a, b, state["show"]).items():
            arrays[name] = {**arrays.get(name, {}), **parts}
        return {**self._picture.news(arrays), "readout": readout}

    def _image_of(
        self, layer: AffineCoupling, f: Flow, start: Tensor, end: Tensor, a: int, b: int, show: str
    ) -> dict[str, Any]:
        """The plane of dimensions a and b after the map, the others as they are at the point."""
        hidden = {name: {"visible": False} for name in ("grid", "samples", "density") if name != show}
        if show == "density":
            return {**hidden, "density": {"values": self._density(layer, end, a, b, f is not layer), "visible": True}}
        flat = torch.from_numpy(self._picture.points[show])
        whole = start.expand(flat[..., 0].numel(), -1).clone()
        whole[:, [a, b]] = flat.reshape(-1, 2)
        image = f(whole)[:, [a, b]].reshape(flat.shape).numpy()
        return {**hidden, show: {"segments" if show == "grid" else "points": image, "visible": True}}

    def _density(self, layer: AffineCoupling, end: Tensor, a: int, b: int, inverse: bool) -> np.ndarray:
        """The density (rows, columns) of the plane after the map, for a standard normal before it."""
        columns, rows = torch.from_numpy(self._picture.columns), torch.from_numpy(self._picture.rows)[:, None]
        whole = end.expand(len(columns), -1).clone()
        whole[:, a] = columns
        # s and t are the same all along a column: they see nothing but what passes.
        s, t = (part[:, layer.changed.tolist().index(b)] for part in layer.scale_and_shift(whole[:, layer.kept]))
        before, ladj = (rows * torch.exp(s) + t, -s) if inverse else ((rows - t) * torch.exp(-s), s)
        log_prob = -0.5 * (before**2 + columns**2) - math.log(2 * math.pi) - ladj
        return log_prob.exp().numpy()


class _Waves(nn.Module):
    """s and t as fixed sums of sines: smooth or, at a high frequency, wild; certainly not invertible."""

    def __init__(self, inputs: int, outputs: int, frequency: float, waves: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(10 * inputs + outputs)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.register_buffer("weight", frequency * normal(inputs, waves) / math.sqrt(inputs))
        self.register_buffer("phase", math.pi * normal(waves))
        self.register_buffer("mix", 1.6 * normal(waves, 2 * outputs) / math.sqrt(waves))

    def forward(self, kept: Tensor) -> Tensor:
        return torch.sin(kept @ self.weight + self.phase) @ self.mix


class _Stronger(nn.Module):
    """Another conditioner with its t multiplied by a factor (s has the layer's own factor, ``scale``)."""

    def __init__(self, conditioner: nn.Module, factor: float) -> None:
        super().__init__()
        self.conditioner, self.factor = conditioner, factor

    def forward(self, kept: Tensor) -> Tensor:
        raw, t = self.conditioner(kept).chunk(2, dim=-1)
        return torch.cat([raw, self.factor * t], dim=-1)


def _mask(state: dict[str, Any]) -> Tensor:
    dim, d = state["D"], min(state["d"], state["D"] - 1)
    if state["mask"] in (ALTERNATING, FLIPPED):
        return alternating_mask(dim, flip=state["mask"] == FLIPPED)
    return half_mask(dim, d) if state["mask"] == FIRST else half_mask(dim, dim - d, flip=True)


def _plane(mask: Tensor, j: int) -> tuple[int, int]:
    """A dimension that passes and one that changes; j is one of them."""
    kept, changed = mask.nonzero().flatten().tolist(), (~mask).nonzero().flatten().tolist()
    return (j, changed[0]) if mask[j] else (kept[0], j)


def _jacobian(f: Flow, x: Tensor) -> Tensor:
    """J (D, D) by autograd: D copies of x, and of the i-th image the gradient of its i-th coordinate."""
    with torch.enable_grad():
        copies = x.repeat(len(x), 1).requires_grad_()
        return torch.autograd.grad(f(copies).diagonal().sum(), copies)[0]
