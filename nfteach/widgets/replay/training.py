"""The training replay: what a model of the plane has learned, snapshot by snapshot."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.plots import palette, training_curve
from nfteach.widgets.layers.planes import checked_extent, shown_density, square_around
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.replay.base import Replay, cells_of, check_history
from nfteach.widgets.replay.looking import Look, Model
from nfteach.widgets.replay.picture import ReplayPicture

__all__ = ["TrainingReplay"]

ALT = (
    "Above, three views of the plane at a moment of a training: the model's density, its samples over the data, and a "
    "square grid as the model warps it. Below, the loss of every step, with a point at the present one."
)


class TrainingReplay(Replay):
    """A training gone through again: density, samples and warped grid at each snapshot, beside the loss.

    The model is looked at once, in each of its snapshots. All that was seen travels to the browser, whose slider,
    buttons and arrow keys then need no kernel. Samples are drawn from the same noise at each snapshot, so that they
    move as the model does.

    Args:
        model: what was trained: a ``FlowDistribution``, an ``RNADE``, anything of the plane with ``log_prob``,
            ``sample``, or both; or a ``Flow`` from z to x. It is not touched: a copy goes through the snapshots. What
            it can't do is said in words in place of the picture.
        history: what ``fit(..., snapshots=21)`` returned: its ``losses``, ``validation``, ``snapshots``, ``replay``.
        data: (N, 2), drawn behind the samples, and scored at each snapshot.
        base: the distribution of z, if the model is a ``Flow``; standard normal by default.
        samples: how many are drawn.
        extent: (left, right, bottom, top) that is shown; by default a square around the data, or else around the last
            samples.
        resolution: cells along each side of the density.
        frames: how many snapshots to show at most, evenly chosen. Each takes the time of resolution^2 densities.
        unit: of the loss.
        step: the training step to begin with, one with a snapshot; by default the last.
        state: initial values of controls.

    Controls (for :meth:`set`): ``scale``, what the colours of the density show, "root" or "log" (down to 12 nats under
    the highest); and ``step``, a training step with a snapshot.

    The readout: ``training step``; ``loss`` of that step's batch, ``mean of last ... losses`` (the curve),
    ``latest validation`` loss; ``mean log q(data)``, by the model of this snapshot, in nats; ``mass in view``, the
    integral of the density over the view.

    Raises:
        ValueError: if the history has no snapshots, the model is not of the plane, or another argument does not fit.

    Example:
        >>> from nfteach import FlowDistribution, RealNVP, fit, targets
        >>> q = FlowDistribution(torch.distributions.Normal(torch.zeros(2), 1.0), RealNVP(2, layers=2, hidden=(8,)))
        >>> data = targets.make("two moons").sample((200,))
        >>> history = fit(q, data, steps=20, snapshots=3, progress=False)
        >>> replay = TrainingReplay(q, history, data, resolution=24)
        >>> replay.set(step=10)
        >>> replay.readout["training step"]
        '10 of 20'
    """

    def __init__(
        self,
        model: Any,
        history: Any,
        data: Tensor | None = None,
        *,
        base: Distribution | None = None,
        samples: int = 800,
        extent: tuple[float, float, float, float] | None = None,
        resolution: int = 96,
        frames: int = 41,
        unit: str = "nats",
        step: int | None = None,
        **state: Any,
    ) -> None:
        check_history(history)
        copied = Model(model, base)
        points = None if data is None else _points(data, copied.dtype)
        self.extent = checked_extent(extent) if extent is not None else _around(copied, points)
        cells, self._cell = cells_of(self.extent, resolution)
        self._resolution, self._unit = resolution, unit
        self.go_through(copied, history, frames, points=cells, samples=samples, data=points, grid=True)
        self._validation = [(int(at), float(value)) for at, value in getattr(history, "validation", ())]
        # As the curve is drawn: the mean of so many losses, of fewer at the beginning.
        self._window = max(len(self.losses) // 50, 1)
        titles = ("density of the model", "its samples", "grid")
        if points is not None:
            titles = (titles[0], "its samples; data in orange", titles[2])
        self._picture = picture = ReplayPicture(self.extent, titles)
        picture.density(0)
        picture.samples(1, behind=None if points is None else points.numpy())
        picture.grid(2)
        training_curve(history, picture.chart, unit=unit)
        picture.point(palette.FORWARD)
        # The same colours in every frame, by the ends of the training: a spike on the way would darken all the others.
        ends = [self._density(look) for look in (self.looks[0], self.looks[-1])]
        self._top = max((float(np.quantile(one, 0.999)) for one in ends if one is not None), default=1.0) or 1.0
        self.presets = self._presets()
        super().__init__(**state)
        self.set(step=self.steps[-1] if step is None else step)

    def build_live(self) -> LiveFigure:
        return self._picture.finish(ALT)

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        density, shown = self._density(look), self._picture.shown
        image = None if density is None else shown_density(density, scale, self._top)
        samples = None if look.samples is None else look.samples.numpy()
        frame = {
            **shown("density", image, f"no density: {look.excuses.get('density', '')}"),
            **shown("samples", samples, f"no samples: {look.excuses.get('samples', '')}"),
            **shown("grid", look.grid, f"no grid: {look.excuses.get('grid', '')}"),
            **self._picture.at(look.step, self.smoothed(look.step)),
            "density highest": "" if density is None else f"highest: {density.max():.2f}",
        }
        return frame | {"readout": self._numbers(look, density)}

    def smoothed(self, step: int) -> float | None:
        """The running mean of the losses after ``step`` steps, as the curve shows it; at 0 the first loss."""
        return float(self.losses[max(step - self._window, 0) : max(step, 1)].mean())

    def _numbers(self, look: Look, density: np.ndarray | None) -> dict[str, Any]:
        loss = self.loss_at(look.step)
        numbers: dict[str, Any] = {"loss": "none yet" if loss is None else (loss, self._unit)}
        if self._window > 1:
            mean = self.smoothed(look.step)
            numbers[f"mean of last {self._window} losses"] = "none yet" if loss is None else (mean, self._unit)
        if self._validation:
            seen = [value for at, value in self._validation if at <= look.step]
            numbers["latest validation"] = (seen[-1], self._unit) if seen else "none yet"
        if look.log_q_of_data is not None:
            numbers["mean log q(data)"] = (look.log_q_of_data, "nats")
        elif "data" in look.excuses:
            numbers["mean log q(data)"] = "not to be had"
        if density is not None:
            numbers["mass in view"] = density.sum() * self._cell
        return numbers

    def _density(self, look: Look) -> np.ndarray | None:
        if look.log_q is None:
            return None
        return look.log_q.exp().clamp(max=1e30).reshape(self._resolution, self._resolution).numpy()

    def _presets(self) -> dict[str, dict[str, Any]]:
        """The beginning; where half of the loss's fall is behind; the lowest validation loss; the faint parts."""
        curve = [self.smoothed(step) for step in self.steps]
        half = next(k for k, loss in enumerate(curve) if loss <= (curve[0] + min(curve)) / 2)
        presets = {"before training": {"step": self.steps[0]}} if self.steps[0] == 0 else {}
        presets["half of the fall"] = {"step": self.steps[half]}
        if self._validation:
            best = min(self._validation, key=lambda seen: seen[1])[0]
            near = min(self.steps, key=lambda step: abs(step - best))
            presets["lowest validation loss"] = {"step": near}
        presets["faint parts, at the end"] = {"step": self.steps[-1], "scale": "log"}
        return presets


def _points(data: Any, dtype: torch.dtype) -> Tensor:
    points = torch.as_tensor(data).detach().cpu().to(dtype)
    if points.dim() != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"data must be points of the plane, (N, 2), but has the shape {tuple(points.shape)}")
    return points


def _around(model: Model, data: Tensor | None) -> tuple[float, float, float, float]:
    """A square around the data, or else around what the trained model draws."""
    points = data if data is not None else model.look(0, samples=1000).samples
    if points is None:
        return (-4.0, 4.0, -4.0, 4.0)
    left, right, bottom, top = square_around(points.double()[None])
    margin = 0.1 * (right - left)
    return (left - margin, right + margin, bottom - margin, top + margin)
