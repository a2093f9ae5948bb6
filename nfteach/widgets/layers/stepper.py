"""The layer stepper: what each layer of a stack does to space, and how the log-determinants add up."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Flow, Stack
from nfteach.jacobian.bases import as_base
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.controls import integer, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.layers.passage import Passage, densities, passage, patterns, through
from nfteach.widgets.layers.picture import Gap, LayersPicture, View
from nfteach.widgets.layers.planes import FAR, centres, checked_extent, square_around
from nfteach.widgets.layers.target import Aim
from nfteach.widgets.live import LiveFigure

__all__ = ["LayerStepper"]

_REACH = 3.0  # of the grid before the first layer, and of the probe's sliders
_SLICE = 40  # cells along each side at most, where the density must be made anew for each probe
_FOR_GAP = 4000  # samples


class LayerStepper(Explorer):
    r"""Step through a stack of flows: after each layer its samples, its grid, its density, its Jacobian.

    Frame 0 is the base; frame k is what the first k layers make of it, x_k = f_k(... f_1(z)). The density after k
    layers is log q_k(x) = log p(z) - sum of log\|det J_j\| for j up to k, with z found by inverting those layers. At a
    probe z that you choose, the Jacobian of layer k, at its own input x_{k-1}, stands beside the product
    J_k ... J_1 of all so far, and a chart adds their log-determinants up. Entries that are 0 or 1 by construction are
    grey with a dot and yellow with a 1.

    In more dimensions than two you choose two, i and j. Samples are seen in these two. The grid is that of the plane
    through the probe in which only z_i and z_j vary; what the layers make of that surface is seen in x_i and x_j. The
    density is that of the points that share all other coordinates with the probe's image: a slice of q_k. Up to six
    dimensions the Jacobians are in numbers, beyond in colours.

    All frames travel to the browser once; its slider, buttons and arrow keys need no kernel. Only a new probe does.

    Args:
        flow: a stack of layers, z to x, in D dimensions, at least two. A copy is taken, in evaluation mode: what is
            trained later does not show. Without a layer's inverse there is no density from that layer on, and the
            picture says so.
        base: the distribution of z; standard normal by default.
        data: (N, D), drawn in grey behind the samples: what the flow was trained on.
        target: what the flow was aimed at by its free energy, if it was: an energy or a distribution of
            :mod:`nfteach.targets`, or a function, log p of points (N, D) up to a constant. Then the gap of the ELBO
            after each layer is shown, E[log q_k - log p] over samples of q_k, which is KL(q_k||p); where log Z is not
            known (a function, in more than two dimensions), the free energy.
        samples: how many points are drawn from the base. Their colour is their z_1, all the way through.
        extent: (left, right, bottom, top) that is shown; by default a square around the samples at all layers.
        resolution: cells along each side of the density; in more than two dimensions at most 40.
        probe: where the probe begins, (z_1, z_2), or all D numbers: z_i and z_j move, the others stay. By default 0.6
            and -0.4 in turns.
        layer: the frame to begin with; by default the last.

    Controls (for :meth:`set`): ``probe_1``, ``probe_2``, which are z_i and z_j; if D > 2, ``i`` and ``j``, counted from
    1; and ``layer``, the frame, from 0 to K. The probe can also be dragged in the picture: in two dimensions at any
    layer, if the layers before can be inverted; in more, before the first.

    The readout, at the probe: ``layer``; ``layer's log|det|``, ``running log|det|`` (the sum so far) and
    ``product's log|det|`` (of the matrix on the right), in nats; ``sign of det``; ``log q`` there, in nats. With a
    target: ``ELBO gap`` (or ``free energy``) and its ``standard error``, in nats.

    Raises:
        ValueError: if ``flow`` is no ``Stack`` of vectors, or another argument does not fit.

    Example:
        >>> from nfteach import Planar, Stack
        >>> stepper = LayerStepper(Stack(Planar(2), Planar(2), Planar(2)), resolution=20, samples=100)
        >>> stepper.set(layer=2)
        >>> stepper.readout["layer"]
        '2 of 3: Planar'
    """

    wide = True
    help = "Press play, or focus the slider below the picture and use the arrow keys. Then move the probe, or drag it."
    handles = {name: ("probe_1", "probe_2") for name in ("probe", "probe_in_grid", "probe_in_density")}  # noqa: RUF012

    def __init__(
        self,
        flow: Stack,
        *,
        base: Distribution | None = None,
        data: Tensor | None = None,
        target: Any = None,
        samples: int = 500,
        extent: tuple[float, float, float, float] | None = None,
        resolution: int = 96,
        probe: Sequence[float] | None = None,
        layer: int | None = None,
    ) -> None:
        self.dim = _dimensions(flow)
        self.flow = copy.deepcopy(flow).cpu().double().eval().requires_grad_(False)
        self._base = as_base(base, self.dim)
        self._rest = _probe_of(probe, self.dim)
        self._resolution = resolution if self.dim == 2 else min(resolution, _SLICE)
        square = (-_REACH, _REACH, -_REACH, _REACH)
        self._lines = torch.from_numpy(grid_lines(None, square, lines=11, points=51)).double()
        with torch.no_grad(), seeded(0):
            z = self._base.sample((samples,)).double()
            self._points = through(self.flow, z)
            if not self._points.isfinite().all():
                raise ValueError("flow takes samples of the base to infinity or NaN, which can't be shown")
            shown = square_around(self._points) if extent is None else checked_extent(extent)
            self._data = None if data is None else _checked_data(data, self.dim)
            behind = None if self._data is None else self._data[:, :2]
            gap = None if target is None else self._gap(Aim(target, self.dim, None if extent is None else shown), shown)
            ladj_range = _ladj_range(self.flow, z)
            self._structure = tuple(part.numpy() for part in patterns(self.flow, z))
            last, begin = len(self.flow), z[:, 0].numpy()
            self._picture = LayersPicture(begin, self.dim, last, shown, behind, ladj_range, gap)
            pixels = torch.from_numpy(self._picture.pixels(self._resolution)).reshape(-1, 2)
            self._pixels = pixels.expand(last + 1, -1, 2)
            self._view = self._viewed(self._rest, [0, 1], None) if self.dim == 2 else None
        super().__init__(probe_1=self._rest[0].item(), probe_2=self._rest[1].item())
        self.set(layer=len(flow) if layer is None else layer)

    def build_controls(self) -> dict[str, Any]:
        if self.dim == 2:
            names = ("probe z\u2081", "probe z\u2082")
            return {f"probe_{k}": slider(name, -_REACH, _REACH, 0.0) for k, name in enumerate(names, start=1)}
        return {
            "i": integer("across, i", 1, self.dim, 1),
            "j": integer("up, j", 1, self.dim, 2),
            "probe_1": slider("probe z\u1d62", -_REACH, _REACH, 0.0),
            "probe_2": slider("probe z\u2c7c", -_REACH, _REACH, 0.0),
        }

    def build_live(self) -> LiveFigure:
        return self._picture.live

    def set(self, *, layer: int | None = None, **state: Any) -> None:
        """Move the probe, and go to a layer, from 0 (the base) to K.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        last = len(self.flow)
        if layer is not None and (isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer <= last):
            raise ValueError(f"layer must be a whole number from 0 (the base) to {last}, but is {layer!r}")
        if state or layer is None:
            super().set(**state)
        if layer is not None:
            self.live.frame = layer

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """Where the probe must begin to be at x, y after the layers shown: through their inverses."""
        k = self.live.frame
        if k:
            if self.dim > 2:
                raise ValueError(
                    "in more than two dimensions the probe is dragged before the first layer: go to layer 0"
                )
            try:
                with torch.no_grad():
                    point = torch.tensor([x, y], dtype=torch.float64)
                    x, y = self.flow[:k].inverse_and_ladj(point)[0].tolist()
            except Exception as error:  # a layer that is not ours may raise anything
                raise ValueError(f"the probe can't be brought back through these layers: {error}") from error
            if not (math.isfinite(x) and math.isfinite(y)):
                raise ValueError("the probe can't be brought back from there: its beginning would be at infinity")
        return super().dragged(name, x, y)

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        axes = [state.get("i", 1) - 1, state.get("j", 2) - 1]
        if axes[0] == axes[1]:
            raise ValueError(f"two dimensions are shown, but i and j are both {axes[0] + 1}; move one of them")
        probe = self._rest.clone()
        probe[axes] = torch.tensor([state["probe_1"], state["probe_2"]], dtype=probe.dtype)
        way = passage(self.flow, probe)
        view = self._view or self._viewed(probe, axes, way)
        log_q = self._base.log_prob(probe) - way.running
        by_product = torch.linalg.slogdet(way.product)
        names = ["base", *(type(layer).__name__ for layer in self.flow)]
        frames = self._picture.frames(way, view, self._structure, axes)
        for k, frame in enumerate(frames):
            frame["label"] = names[k]
            frame["readout"] = {
                "layer": f"{k} of {len(self.flow)}: {names[k]}" if k else "0: the base",
                "layer's log|det|": (way.ladj[k].item(), "nats"),
                "running log|det|": (way.running[k].item(), "nats"),
                "product's log|det|": (by_product.logabsdet[k].item(), "nats"),
                "sign of det": int(by_product.sign[k]),
                "log q": (log_q[k].item(), "nats"),
                **self._gap_words(k),
            }
        self.live.set_frames(frames)
        return {"data": self._data[:2000, axes]} if self._data is not None and self.dim > 2 else {}

    def _viewed(self, probe: Tensor, axes: list[int], way: Passage | None) -> View:
        """Samples, grid and density in two dimensions, through a probe (D,); ``way`` is not needed if D = 2."""
        lines = probe.expand(*self._lines.shape[:2], -1).clone()
        lines[..., axes] = self._lines
        grid = through(self.flow, lines)[..., axes].nan_to_num(0.0).clamp(-FAR, FAR)
        points = self._pixels
        if way is not None:
            points = way.x[:, None].expand(-1, points.shape[1], -1).clone()
            points[..., axes] = self._pixels
        logs, excuses = densities(self.flow, self._base, points)
        density = logs.exp().nan_to_num(0.0, posinf=0.0).reshape(len(logs), self._resolution, self._resolution)
        return View(self._points[..., axes].numpy(), grid.numpy(), density.double().numpy(), excuses)

    def _gap(self, aim: Aim, shown: tuple[float, float, float, float]) -> Gap:
        """E[log q_k - log p] + log Z after each layer; the samples have their log q from the pass that made them."""
        z = self._base.sample((_FOR_GAP,)).double()
        steps = self.flow.steps(z)
        running = torch.stack([z.new_zeros(len(z)), *(step.running_ladj for step in steps)])
        x = torch.stack([z, *(step.output for step in steps)])
        each = self._base.log_prob(z) - running - aim.log_prob(x) + (aim.log_z or 0.0)
        contours = None
        if self.dim == 2:
            contours = aim.log_prob(torch.from_numpy(centres(shown, 96))).exp().nan_to_num(0.0, posinf=0.0).numpy()
        whole = aim.log_z is not None
        return Gap(each.mean(1).numpy(), (each.std(1) / math.sqrt(_FOR_GAP)).numpy(), whole, contours)

    def _gap_words(self, k: int) -> dict[str, Any]:
        gap = self._picture.gap
        if gap is None:
            return {}
        name = "ELBO gap, KL(q‖p)" if gap.whole else "free energy"
        return {name: (float(gap.mean[k]), "nats"), "its standard error": (float(gap.error[k]), "nats")}


def _dimensions(flow: Any) -> int:
    if not isinstance(flow, Stack):
        advice = "; try Stack(flow)" if isinstance(flow, Flow) else ""
        raise ValueError(f"flow must be a Stack of layers, but is a {type(flow).__name__}{advice}")
    if len(flow.event_shape) != 1 or flow.dim < 2:
        raise ValueError(
            "flow must be a Stack on vectors of at least two dimensions, but its events have the shape "
            f"{tuple(flow.event_shape)}"
        )
    return flow.dim


def _probe_of(probe: Sequence[float] | None, dim: int) -> Tensor:
    given = [] if probe is None else [float(number) for number in probe]
    if probe is not None and len(given) not in (2, dim):
        wanted = "two numbers, (z_1, z_2)" if dim == 2 else f"two numbers, (z_1, z_2), or {dim}"
        raise ValueError(f"probe must be {wanted}, but is {probe!r}")
    rest = torch.tensor([0.6, -0.4] * (dim // 2 + 1), dtype=torch.float64)[:dim]
    rest[: len(given)] = torch.tensor(given, dtype=torch.float64)
    return rest


def _checked_data(data: Any, dim: int) -> np.ndarray:
    points = torch.as_tensor(data).detach().cpu().numpy()
    if points.ndim != 2 or points.shape[1] != dim:
        what = "points of the plane, (N, 2)" if dim == 2 else f"points (N, {dim})"
        raise ValueError(f"data must be {what}, but has the shape {points.shape}")
    return points


def _ladj_range(flow: Stack, z: Tensor) -> tuple[float, float]:
    """Where nearly all log-dets of samples (N, D) lie, of layers and running ones, zero included."""
    steps = flow.steps(z)
    values = torch.cat([part for step in steps for part in (step.ladj, step.running_ladj)]).nan_to_num(0.0)
    low, high = np.quantile(values.clamp(-100, 100).numpy(), [0.002, 0.998])
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin
