"""Trainings gone through again: a model looked at once in each of its snapshots, and shown step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.widgets.aim import Aim
from nfteach.widgets.contours import contours
from nfteach.widgets.controls import choice
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Area, Arrows, Chart, Curves, Density, Dots, Mark, Number, Plane
from nfteach.widgets.planes import Extent, cells, checked_extent, square_around
from nfteach.widgets.snapshots import Look, Model

__all__ = ["PosteriorReplay", "TrainingReplay"]

_WHOLE = 0.001  # a density counts as all in view where its cells sum to 1 within so much
_SHOWN = 500  # samples
_DOWN = 12.0  # nats below the highest that the logarithmic tint reaches


class Replay(Explorer):
    """The base of replays: frames are the snapshots of a training, and ``step`` is the training step of each.

    A subclass calls :meth:`go_through` before it calls ``super().__init__``, and defines ``frame(look, scale)``.

    Attributes:
        looks: what was seen at each snapshot shown.
        steps: the training steps at which they were kept.
        last: the steps of the whole training.
    """

    step = "step"

    def go_through(self, model: Model, history: Any, frames: int, **asked: Any) -> None:
        """Look at the model in at most ``frames`` of the history's snapshots, evenly chosen, the ends included.

        Args:
            asked: the arguments of :meth:`Model.look`.
        """
        wanted = _chosen(len(history.snapshots), frames)
        self.looks: list[Look] = [
            model.look(int(step), **asked)
            for index, (step, _) in enumerate(history.replay(model.trained))
            if index in wanted
        ]
        self.steps, self.last = [look.step for look in self.looks], len(history.losses)
        self.losses = np.asarray(history.losses, dtype=float)

    def build_controls(self) -> dict[str, Any]:
        steps = ipywidgets.SelectionSlider(options=[(str(step), step) for step in self.steps], description="step")
        steps.value = self.steps[-1]
        return {"scale": choice("tint shows", {"density": "density", "log density": "log"}, "density"), "step": steps}

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        """Return the picture of one snapshot."""
        raise TypeError(f"{type(self).__name__} shows nothing: define frame(self, look, scale)")

    def pictures(self, s: SimpleNamespace) -> list[dict[str, Any]]:
        pictures = []
        for look in self.looks:
            picture = self.frame(look, s.scale)
            step = Number(f"{look.step} of {self.last}", more=True)  # seen beside the slider
            picture["readout"] = {"training step": step, **picture["readout"]}
            pictures.append(picture)
        return pictures

    def loss_at(self, step: int) -> float | None:
        """Return the loss of the last update made by then, or None before the first."""
        return float(self.losses[step - 1]) if step > 0 else None

    def tint(self, log_q: Tensor | None, scale: str, top: float) -> dict[str, Mark]:
        """Return the density's mark, for log q of the cells; ``top`` is a high density, or its logarithm's end."""
        if log_q is None:
            return {}
        density = log_q.exp().clamp(max=1e30)
        if scale == "log":
            density = 0.9 * top * ((log_q - math.log(top) + _DOWN) / _DOWN).clamp(0, 1.5)
        return {"density": Density(density.reshape(self.cells.shape[:2]), self.extent, scale=0.45 * top, blend=True)}

    def see(self, extent: Extent, resolution: int) -> None:
        """Take the view: its extent and its cells (rows, columns, 2)."""
        self.extent, self.cells = extent, cells(extent, (resolution, resolution))
        left, right, bottom, top = extent
        self.cell = (right - left) * (top - bottom) / resolution**2

    def plane(self, marks: dict[str, Mark], look: Look, **excuses: str) -> Plane:
        """Return the plane, with a line below on what could not be seen: its name -> what is said of it."""
        left, right, bottom, top = self.extent
        note = "; ".join(f"{words}: {look.excuses[name]}" for name, words in excuses.items() if name in look.excuses)
        size = next(size for size in (100, 50, 20, 10, 5, 2, 1, 0.5, 0.1) if size <= max(right, top, 0.1))
        return Plane(marks, (left, right), (bottom, top), ticks=(-size, 0.0, size), height=390, note=note)

    def chart(self, marks: dict[str, Mark], low: float, high: float, title: str) -> Chart:
        ticks = tuple(float(f"{v:.2g}") for v in (low + 0.1 * (high - low), high - 0.1 * (high - low)))
        across, ends = (0.0, float(max(self.last, 1))), (0, self.last)
        return Chart(
            marks, across, (low, high), ends, yticks=ticks, title=title, height=76, axis=False, steps=tuple(self.steps)
        )  # fmt: skip


class TrainingReplay(Replay):
    """A training gone through again: density, samples and warped grid at each snapshot, beside the loss.

    The model is looked at once, in each of its snapshots. All that was seen travels to the browser, whose slider,
    buttons and arrow keys then need no kernel. Samples are drawn from the same noise at each snapshot, so that they
    move as the model does.

    Args:
        model: what was trained: a ``FlowDistribution``, an ``RNADE``, anything of the plane with ``log_prob``,
            ``sample``, or both; or a ``Flow`` from z to x. It is not touched: a copy goes through the snapshots. What
            it can't do is said in words in the picture.
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

    Controls: ``scale``, what the tint shows, "density" or "log" (down to 12 nats under the highest); and ``step``, a
    training step with a snapshot.

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

    help = "Press play: [samples](x) come to lie on the grey data. Click in the curve to go back."
    alt = "A model of the plane at a moment of its training: density, samples over the data, warped grid, and the loss"

    def __init__(
        self,
        model: Any,
        history: Any,
        data: Tensor | None = None,
        *,
        base: Distribution | None = None,
        samples: int = _SHOWN,
        extent: Extent | None = None,
        resolution: int = 96,
        frames: int = 41,
        unit: str = "nats",
        step: int | None = None,
        **state: Any,
    ) -> None:
        _check_history(history)
        copied = Model(model, base)
        self._data = None if data is None else _points(data, copied.dtype)
        self.see(checked_extent(extent) if extent is not None else _around(copied, self._data), resolution)
        self._unit = unit
        points = self.cells.reshape(-1, 2)
        self.go_through(copied, history, frames, points=points, samples=samples, data=self._data, grid=True)
        self._validation = [(int(at), float(value)) for at, value in getattr(history, "validation", ())]
        # As the curve is drawn: the mean of so many losses, of fewer at the beginning.
        self._window = max(len(self.losses) // 50, 1)
        # The same tint in every frame, by the ends of the training: a spike on the way would pale all the others.
        ends = [look.log_q.exp() for look in (self.looks[0], self.looks[-1]) if look.log_q is not None]
        self._top = max((float(one.clamp(max=1e30).quantile(0.999)) for one in ends), default=1.0) or 1.0
        self.presets = self._presets()
        super().__init__(**({} if step is None else {"step": step}), **state)

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        marks = self.tint(look.log_q, scale, self._top)
        if self._data is not None:
            marks["data"] = Dots(self._data[:2000], size=1.3, alpha=0.35, color="ink")
        if look.grid is not None:
            marks["grid"] = Curves(torch.as_tensor(look.grid), alpha=0.2)
        if look.samples is not None:
            marks["samples"] = Dots(look.samples, size=1.7)
        plane = self.plane(marks, look, density="no density", samples="no samples", grid="no grid")
        return {"plane": plane, "curve": self._curve(look.step), "readout": self._numbers(look)}

    def smoothed(self, step: int) -> float:
        """Return the running mean of the losses after ``step`` steps, as the curve shows it; at 0 the first loss."""
        return float(self.losses[max(step - self._window, 0) : max(step, 1)].mean())

    def _curve(self, step: int) -> Chart:
        at = np.unique(np.linspace(1, self.last, min(self.last, 400)).round().astype(int))
        mean = np.array([self.smoothed(k) for k in at])
        # All losses after the first twentieth of the steps are in view.
        later = mean[at >= self.last / 20]
        later = np.concatenate([later, [value for k, value in self._validation if k >= self.last / 20]])
        low, high = _with_margin(later)
        marks: dict[str, Mark] = {"losses": Curves(_line(at, mean, low, high), width=1.8, fade=False)}
        if self._validation:
            places, values = np.array(self._validation).T
            marks["validation"] = Curves(_line(places, values, low, high), width=1.4, dash=True, color="x", fade=False)
        marks["here"] = Dots(
            _line([step], [self.smoothed(step)], low, high), size=5.0, alpha=1.0, color="ink", front=True
        )
        words = " and validation (dashed)" if self._validation else ""
        return self.chart(marks, low, high, f"loss{words}, {self._unit}")

    def _numbers(self, look: Look) -> dict[str, Any]:
        loss, unit = self.loss_at(look.step), {"unit": self._unit, "digits": 3}
        none = "none yet"
        numbers: dict[str, Any] = {"loss": none if loss is None else Number(loss, more=self._window > 1, **unit)}
        if self._window > 1:
            mean = Number(self.smoothed(look.step), **unit)
            numbers[f"mean of last {self._window} losses"] = none if loss is None else mean
        if self._validation:
            seen = [value for at, value in self._validation if at <= look.step]
            numbers["latest validation"] = Number(seen[-1], **unit) if seen else none
        if look.log_q_of_data is not None:
            numbers["mean log q(data)"] = Number(look.log_q_of_data, unit="nats", digits=3)
        elif "data" in look.excuses:
            numbers["mean log q(data)"] = "not available"
        if look.log_q is not None:
            mass = look.log_q.exp().clamp(max=1e30).sum() * self.cell
            numbers["mass in view"] = Number(mass, digits=3, more=True)
        return numbers

    def _presets(self) -> dict[str, dict[str, Any]]:
        """Return the beginning; half of the loss's fall; the lowest validation loss; the faint parts at the end."""
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


class PosteriorReplay(Replay):
    r"""Variational inference gone through again: q over its target at each snapshot, and the gap of the ELBO.

    The target is p(x) = exp(-U(x)) / Z. The free energy of q is F = E_q[log q + U], the negative of the ELBO; it is
    never less than -log Z, and what is left is the divergence: F + log Z = log Z - ELBO = KL(q||p). It is found twice.
    From samples of q, whose log q comes exactly with the pass that draws them: that needs no inverse. And by the sum
    of q log(q / p) over the cells of the view: that needs q on a grid, and all of q in view.

    Args:
        model: what was fitted: a ``Flow`` from z to x, a ``FlowDistribution``, or any distribution of the plane with
            ``sample`` and ``log_prob``. It is not touched: a copy goes through the snapshots.
        history: what ``fit(..., snapshots=21)`` returned.
        target: an energy or a distribution of :mod:`nfteach.targets`, or a function: log p of points (N, 2) up to a
            constant. u2 to u4 have no Z over the whole plane: use ``u2().walled()``.
        base: the distribution of z, if the model is a ``Flow``; standard normal by default.
        beta: the annealing used in the loss, steps taken -> beta, if there was any: then the annealed free energy
            E_q[log q + beta U] is shown, too.
        samples: for the gap; the first 500 are shown. The same noise at each snapshot.
        extent: (left, right, bottom, top) that is shown; by default the target's own.
        resolution: cells along each side, for the picture and for the sum.
        frames: how many snapshots to show at most, evenly chosen.
        step: the training step to begin with, one with a snapshot; by default the last.
        state: initial values of controls.

    Controls: ``scale``, what the tint shows, "density" or "log"; and ``step``.

    The readout: ``training step``; ``free energy F`` and ``gap F + log Z``, with its ``standard error``, from samples;
    ``KL(q‖p) on grid`` and ``KL(p‖q) on grid``, by the sum over cells, where all of q (p) is in view; ``−log Z``;
    ``q's mass in view``; with ``beta``, ``beta`` and ``annealed F``. All in nats, but for the mass and ``beta``.

    Raises:
        ValueError: if the history has no snapshots, the model is not of the plane or can't be sampled at the end, or
            another argument does not fit.

    References:
        Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015), equations 15 and 20,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> from nfteach import Planar, Stack, fit, targets
        >>> target, flow = targets.make("u1"), Stack(Planar(2), Planar(2))
        >>> base = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
        >>> def free_energy(flow):
        ...     z = base.sample((128,))
        ...     x, ladj = flow.call_and_ladj(z)
        ...     return (base.log_prob(z).sum(-1) - ladj + target.energy(x)).mean()
        >>> history = fit(flow, loss=free_energy, steps=20, snapshots=3, progress=False)
        >>> replay = PosteriorReplay(flow, history, target, resolution=32)
        >>> replay.set(step=10)
        >>> replay.readout["training step"]
        '10 of 20'
    """

    help = "Press play: [q](x) learns the dashed target. What does it find first, and what never?"
    alt = "A flow at a moment of its fit: density q and samples over the outlines of the target, and the free energy"

    def __init__(
        self,
        model: Any,
        history: Any,
        target: Any,
        *,
        base: Distribution | None = None,
        beta: Callable[[int], float] | None = None,
        samples: int = 4000,
        extent: Extent | None = None,
        resolution: int = 96,
        frames: int = 41,
        step: int | None = None,
        **state: Any,
    ) -> None:
        _check_history(history)
        self.aim = Aim(target, extent=extent)
        if beta is not None and not callable(beta):
            raise ValueError(f"beta must be a function of the steps taken, but is {beta!r}")
        self._beta = beta
        self.see(self.aim.extent, resolution)
        points = self.cells.reshape(-1, 2)
        self.go_through(Model(model, base), history, frames, points=points, samples=samples)
        self._log_p = self.aim.log_prob(points) - self.aim.log_z
        self.gaps = [self._gap(look) for look in self.looks]
        if all(gap is None for gap in self.gaps):
            reason = self.looks[-1].excuses.get("samples", "its samples come without log_prob")
            raise ValueError(f"model: the free energy is a mean over samples of q, but it gives none: {reason}")
        p = self._log_p.exp().clamp(max=1e30)
        self._outlines = contours(p.reshape(self.cells.shape[:2]), self.extent)
        # The same tint in every frame, by p and the last q.
        log_q = self.looks[-1].log_q
        q = p if log_q is None else log_q.exp().clamp(max=1e30)
        self._top = max(float(p.max()), float(q.quantile(0.999))) or 1.0
        self.presets = self._presets()
        super().__init__(**({} if step is None else {"step": step}), **state)

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        marks = self.tint(look.log_q, scale, self._top)
        marks["target"] = Curves(self._outlines, color="ink", alpha=0.7, dash=True)
        if look.samples is not None:
            marks["samples"] = Dots(look.samples[:_SHOWN], size=1.7)
        density = "no density on the grid (the samples of q are exact all the same)"
        plane, gap = self.plane(marks, look, density=density, samples="no samples"), self._gap(look)
        return {"plane": plane, "curve": self._curve(look, gap), "readout": self._numbers(look, gap)}

    def _gap(self, look: Look) -> tuple[float, float] | None:
        """Return F + log Z from the samples of q, and its standard error, in nats."""
        if look.samples is None or look.log_q_of_samples is None:
            return None
        each = look.log_q_of_samples - self.aim.log_prob(look.samples) + self.aim.log_z
        return each.mean().item(), each.std().item() / math.sqrt(len(each))

    def _curve(self, look: Look, gap: tuple[float, float] | None) -> Chart:
        """Return F at the snapshots above -log Z; what lies between is the gap."""
        least = -self.aim.log_z
        found = [(one.step, gap[0] + least) for one, gap in zip(self.looks, self.gaps, strict=True)
                 if gap is not None and math.isfinite(gap[0])]  # fmt: skip
        steps, energies = np.array(found).reshape(-1, 2).T
        # From a twentieth of the way on everything is in view; before that, what fits.
        low, high = _with_margin(np.append(energies[steps >= self.last / 20], least))
        curve = _line(steps, energies, low, high)
        floor = _line(steps[::-1], np.full(len(steps), least), low, high)
        ends = _line([0, self.last], [least, least], low, high)
        marks: dict[str, Mark] = {
            "gap so far": Area(torch.cat([curve, floor]), alpha=0.15, color="x"),
            "−log Z": Curves(ends, width=1.4, dash=True, color="ink", fade=False),
            "F": Curves(curve, width=1.8, color="x", fade=False),
        }
        if len(over := steps[energies > high]):  # arrows where F is higher than the chart
            tips = _line(over, np.full(len(over), high), low, high)
            marks["higher"] = Arrows(tips - torch.tensor([0.0, 0.3 * (high - low)]), tips, width=1.5, color="x")
        if self._beta is None:  # then a step's loss is a free energy, too, of few samples
            at = np.unique(np.linspace(1, self.last, min(self.last, 600)).round().astype(int))
            each = _line(at, self.losses[at - 1], low, high)
            marks["loss of each step"] = Curves(each, width=0.6, color="soft", alpha=0.6, fade=False)
        words = "no gap: there are no samples"
        if gap is not None and math.isfinite(gap[0]):
            here = _line([look.step, look.step], [least, gap[0] + least], low, high)
            marks["now"] = Curves(here, width=2.0, color="ink", fade=False)
            marks["here"] = Dots(here[1:], size=5.0, alpha=1.0, color="ink", front=True)
            words = f"gap = KL(q‖p) = {gap[0]:.3f} nats"
        return self.chart(marks, low, high, f"free energy F above \N{MINUS SIGN}log Z (dashed), nats: {words}")

    def _numbers(self, look: Look, gap: tuple[float, float] | None) -> dict[str, Any]:
        least, unit = -self.aim.log_z, {"unit": "nats", "digits": 3}
        numbers: dict[str, Any] = {}
        if gap is not None:
            numbers = {
                "free energy F": Number(gap[0] + least, **unit),
                "gap F + log Z": Number(gap[0], note="KL(q‖p), from samples of q", **unit),
                "its standard error": Number(gap[1], more=True, **unit),
                "−log Z": Number(least, more=True, **unit),
            }
        if look.log_q is not None:
            q, p = look.log_q.exp(), self._log_p.exp()
            mass_q, mass_p = (one.sum().item() * self.cell for one in (q, p))
            forward = _sum(q, look.log_q - self._log_p) * self.cell
            backward = _sum(p, self._log_p - look.log_q) * self.cell
            for name, mass, value in (("KL(q‖p)", mass_q, forward), ("KL(p‖q)", mass_p, backward)):
                whole = abs(mass - 1) < _WHOLE
                words = f"grid has {mass:.3f} of {name[3]}"
                numbers[f"{name} on grid"] = Number(value, more=True, **unit) if whole else Number(words, more=True)
            numbers["q's mass in view"] = Number(mass_q, digits=3, more=True)
        if self._beta is not None and gap is not None:
            beta = float(self._beta(look.step))
            log_q, log_p = look.log_q_of_samples, self.aim.log_prob(look.samples)
            annealed = (log_q - beta * log_p).mean()
            numbers |= {"beta": Number(beta, more=True), "annealed F": Number(annealed, more=True, **unit)}
        return numbers

    def _presets(self) -> dict[str, dict[str, Any]]:
        """Return the beginning; where half of the gap is closed; the end; the tails at the end."""
        gaps = [math.inf if gap is None else gap[0] for gap in self.gaps]
        presets = {"before training": {"step": self.steps[0]}} if self.steps[0] == 0 else {}
        half = (gaps[0] + min(gaps)) / 2 if math.isfinite(gaps[0]) else min(gaps)
        presets["half the gap closed"] = {"step": self.steps[next(k for k, gap in enumerate(gaps) if gap <= half)]}
        presets["the end"] = {"step": self.steps[-1]}
        presets["the end, with its tails"] = {"step": self.steps[-1], "scale": "log"}
        return presets


def _check_history(history: Any) -> None:
    missing = [name for name in ("losses", "snapshots", "replay") if not hasattr(history, name)]
    if missing:
        raise ValueError(f"history must be what fit returned, but is a {type(history).__name__} without {missing[0]}")
    if not history.snapshots:
        raise ValueError("history has no snapshots to go through; keep some on the way: fit(..., snapshots=21)")
    if not len(history.losses):
        raise ValueError("history holds no training step, so there is nothing to go through")


def _chosen(there: int, most: int) -> set[int]:
    """Return which of so many snapshots to show: at most ``most``, evenly, the first and the last included."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 2:
        raise ValueError(f"frames must be a whole number from 2 up, but is {most!r}")
    return {round(at) for at in np.linspace(0, there - 1, min(there, most)).tolist()}


def _points(data: Any, dtype: torch.dtype) -> Tensor:
    points = torch.as_tensor(data).detach().cpu().to(dtype)
    if points.dim() != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"data must be points of the plane, (N, 2), but has the shape {tuple(points.shape)}")
    return points


def _around(model: Model, data: Tensor | None) -> Extent:
    """Return a square around the data, or else around what the trained model draws."""
    points = data if data is not None else model.look(0, samples=1000).samples
    if points is None:
        return (-4.0, 4.0, -4.0, 4.0)
    left, right, bottom, top = square_around(points.double()[None])
    margin = 0.1 * (right - left)
    return (left - margin, right + margin, bottom - margin, top + margin)


def _with_margin(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.1 * (high - low) or 0.5
    return low - margin, high + margin


def _line(x: Any, y: Any, low: float, high: float) -> Tensor:
    """Return points (n, 2), cut off at the chart's edges."""
    y = np.clip(np.nan_to_num(np.asarray(y, dtype=float), nan=high), low, high)
    return torch.from_numpy(np.stack([np.asarray(x, dtype=float), y], 1))


def _sum(density: Tensor, log_ratio: Tensor) -> float:
    """Return the sum of density * log_ratio; cells without density count nothing, whatever the ratio."""
    return torch.where(density > 0, density * log_ratio, 0.0).sum().item()
