"""The layer stepper: what each layer of a stack does to the plane, and how the log-determinants add up."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import Flow, Stack
from nfteach.plots.grid import grid_lines
from nfteach.widgets.bases import plane_base
from nfteach.widgets.controls import slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.layers.picture import LayersPicture
from nfteach.widgets.live import LiveFigure

__all__ = ["LayerStepper"]

_REACH = 3.0  # of the grid before the first layer, and of the probe's sliders
_FAR = 1e4  # where lines that run off to infinity are cut


class _Passage(NamedTuple):
    """The probe on its way through the stack, one entry a frame: position, layer's J, product so far, log-dets."""

    x: Tensor  # (K + 1, 2)
    J: Tensor  # (K + 1, 2, 2), the identity before the first layer
    product: Tensor  # (K + 1, 2, 2)
    ladj: Tensor  # (K + 1,), 0 before the first layer
    running: Tensor  # (K + 1,)


class LayerStepper(Explorer):
    r"""Step through a stack of flows of the plane: after each layer its samples, its grid, its density, its Jacobian.

    Frame 0 is the base; frame k is what the first k layers make of it, x_k = f_k(... f_1(z)). The density after k
    layers is log q_k(x) = log p(z) - sum of log\|det J_j\| for j up to k, with z found by inverting those layers. At a
    probe z that you choose, the Jacobian of layer k, at its own input x_{k-1}, stands beside the product
    J_k ... J_1 of all so far, and a chart adds their log-determinants up.

    All frames travel to the browser once; its slider, buttons and arrow keys need no kernel. Only a new probe does.

    Args:
        flow: a stack of layers on the plane, z to x. A copy is taken, in evaluation mode: what is trained later does
            not show.
        base: the distribution of z, on the plane; standard normal by default.
        data: (N, 2), drawn in grey behind the samples: what the flow was trained on.
        samples: how many points are drawn from the base. Their colour is their z_1, all the way through.
        extent: (left, right, bottom, top) that is shown; by default a square around the samples at all layers.
        resolution: cells along each side of the density.
        probe: where the probe begins, (z_1, z_2).
        layer: the frame to begin with; by default the last.

    Controls (for :meth:`set`): ``probe_1``, ``probe_2``; and ``layer``, the frame, from 0 to K.

    The readout, at the probe: ``layer``; ``layer's log|det|``, ``running log|det|`` (the sum so far) and
    ``product's log|det|`` (of the 2 x 2 matrix on the right), in nats; ``sign of det``; ``log q`` there, in nats.

    Raises:
        ValueError: if ``flow`` is no ``Stack`` of the plane, a layer can't be inverted, or another argument does not
            fit.

    Example:
        >>> from nfteach import Planar, Stack
        >>> stepper = LayerStepper(Stack(Planar(2), Planar(2), Planar(2)), resolution=20, samples=100)
        >>> stepper.set(layer=2)
        >>> stepper.readout["layer"]
        '2 of 3: Planar'
    """

    help = "Press play, or focus the slider below the picture and use the arrow keys. Then move the probe."

    def __init__(
        self,
        flow: Stack,
        *,
        base: Distribution | None = None,
        data: Tensor | None = None,
        samples: int = 500,
        extent: tuple[float, float, float, float] | None = None,
        resolution: int = 96,
        probe: tuple[float, float] = (0.6, -0.4),
        layer: int | None = None,
    ) -> None:
        _check_flow(flow)
        self.flow = copy.deepcopy(flow).cpu().double().eval().requires_grad_(False)
        self._base = plane_base(base)
        if len(probe) != 2:
            raise ValueError(f"probe must be two numbers, (z_1, z_2), but is {probe!r}")
        # The global generator stays where it was: the same points each time, whatever ran before.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            points = self._through(self._base.sample((samples,)).double())
            square = (-_REACH, _REACH, -_REACH, _REACH)
            grid = self._through(torch.from_numpy(grid_lines(None, square, lines=11, points=51)).double())
            self._picture = LayersPicture(
                points.numpy(),
                grid.nan_to_num(0.0).clamp(-_FAR, _FAR).numpy(),
                _square_around(points) if extent is None else extent,
                None if data is None else torch.as_tensor(data).detach().cpu().numpy(),
                _ladj_range(self.flow, points[0]),
            )
            densities = self._densities(torch.from_numpy(self._picture.pixels(resolution)))
            self._picture.densities = densities.exp().nan_to_num(0.0, posinf=0.0).numpy()
        super().__init__(probe_1=float(probe[0]), probe_2=float(probe[1]))
        self.set(layer=len(flow) if layer is None else layer)

    def build_controls(self) -> dict[str, Any]:
        return {
            "probe_1": slider("probe z\u2081", -_REACH, _REACH, 0.0),
            "probe_2": slider("probe z\u2082", -_REACH, _REACH, 0.0),
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

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        probe = torch.tensor([state["probe_1"], state["probe_2"]], dtype=torch.float64)
        way = self._passage(probe)
        log_q = self._base.log_prob(probe) - way.running
        by_product = torch.linalg.slogdet(way.product)
        names = ["base", *(type(layer).__name__ for layer in self.flow)]
        frames = self._picture.frames(way.x, way.J, way.product, way.ladj, way.running)
        for k, frame in enumerate(frames):
            frame["label"] = names[k]
            frame["readout"] = {
                "layer": f"{k} of {len(self.flow)}: {names[k]}" if k else "0: the base",
                "layer's log|det|": (way.ladj[k].item(), "nats"),
                "running log|det|": (way.running[k].item(), "nats"),
                "product's log|det|": (by_product.logabsdet[k].item(), "nats"),
                "sign of det": int(by_product.sign[k]),
                "log q": (log_q[k].item(), "nats"),
            }
        self.live.set_frames(frames)
        return {}

    def _panel(self) -> Any:
        panel = super()._panel()
        # Above the picture, which needs the width: controls beside each other where there is room.
        panel.layout.width, panel.layout.flex_flow, panel.layout.align_items = "100%", "row wrap", "center"
        for control in self.controls.values():
            control.layout.width = "300px"
        return panel

    def _through(self, z: Tensor) -> Tensor:
        """(K + 1, ..., 2): z and where each layer takes it."""
        return torch.stack([z, *(step.output for step in self.flow.steps(z))])

    def _densities(self, pixels: Tensor) -> Tensor:
        """log q_k at the pixels (rows, columns, 2), for every k: (K + 1, rows, columns)."""
        # Each x_k has a grid of its own to pull back: K (K + 1) / 2 inversions. For colours float32 will do.
        flow, pixels = copy.deepcopy(self.flow).float(), pixels.float()
        logs = [self._base.log_prob(pixels)]
        for k in range(1, len(flow) + 1):
            z, ladj = pixels, 0.0
            for index in reversed(range(k)):
                layer = flow[index]
                try:
                    z, step = layer.inverse_and_ladj(z)
                except (ValueError, TypeError) as error:
                    name = f"layer {index + 1} ({type(layer).__name__})"
                    raise ValueError(f"flow: {name} can't be inverted, which the density needs: {error}") from error
                ladj = ladj + step
            logs.append(self._base.log_prob(z.nan_to_num()) + ladj)
        return torch.stack(logs)

    def _passage(self, probe: Tensor) -> _Passage:
        """The probe on its way, with Jacobians by autograd."""
        one = torch.eye(2, dtype=probe.dtype)
        x, J, product, ladj = [probe], [one], [one], [probe.new_zeros(())]
        for step in self.flow.steps(probe):
            with torch.enable_grad():
                J.append(torch.autograd.functional.jacobian(step.layer, step.input))
            x.append(step.output)
            product.append(J[-1] @ product[-1])
            ladj.append(step.ladj)
            if not (step.output.isfinite().all() and J[-1].isfinite().all()):
                name = type(step.layer).__name__
                raise ValueError(f"layer {step.index + 1} ({name}) takes the probe to infinity; move the probe")
        stacked = (torch.stack(part) for part in (x, J, product, ladj))
        return _Passage(*stacked, running=torch.stack(ladj).cumsum(0))


def _check_flow(flow: Any) -> None:
    if not isinstance(flow, Stack):
        advice = "; try Stack(flow)" if isinstance(flow, Flow) else ""
        raise ValueError(f"flow must be a Stack of layers, but is a {type(flow).__name__}{advice}")
    if flow.event_shape != (2,):
        raise ValueError(
            f"flow must be a Stack on the plane, D = 2, but its events have the shape {tuple(flow.event_shape)}; "
            "flow.steps(x) gives the layers' numbers in any number of dimensions"
        )


def _square_around(points: Tensor) -> tuple[float, float, float, float]:
    """A square that holds nearly all of the points (K + 1, N, 2) of every frame."""
    finite = points.nan_to_num(0.0).clamp(-_FAR, _FAR).numpy()
    low, high = np.quantile(finite, 0.005, axis=1).min(0), np.quantile(finite, 0.995, axis=1).max(0)
    middle, half = (low + high) / 2, 0.55 * float((high - low).max()) or 1.0
    return (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)


def _ladj_range(flow: Stack, z: Tensor) -> tuple[float, float]:
    """Where nearly all log-dets of samples (N, 2) lie, of layers and running ones, zero included."""
    steps = flow.steps(z)
    values = torch.cat([part for step in steps for part in (step.ladj, step.running_ladj)]).nan_to_num(0.0)
    low, high = np.quantile(values.clamp(-100, 100).numpy(), [0.01, 0.99])
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin
