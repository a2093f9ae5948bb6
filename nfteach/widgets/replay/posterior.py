"""The posterior replay: a flow that is fitted to a density by its free energy, snapshot by snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution

from nfteach.plots import palette
from nfteach.widgets.layers.planes import shown_density
from nfteach.widgets.layers.target import Aim
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.replay.base import Replay, cells_of, check_history
from nfteach.widgets.replay.looking import Look, Model
from nfteach.widgets.replay.picture import ReplayPicture

__all__ = ["PosteriorReplay"]

_WHOLE = 0.001  # a density counts as all in view where its cells sum to 1 within so much
ALT = (
    "Above, three views of the plane: the density aimed at, the flow's density q at a moment of its training, and "
    "samples of q over the contours of the target. Below, the free energy of q over the training steps, above the line "
    "that it can't go under, minus log Z; the distance between them is the divergence of q from the target."
)


class PosteriorReplay(Replay):
    r"""Variational inference gone through again: q beside its target at each snapshot, and the gap of the ELBO.

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
        samples: for the gap; the first 800 are shown. The same noise at each snapshot.
        extent: (left, right, bottom, top) that is shown; by default the target's own.
        resolution: cells along each side, for the picture and for the sum.
        frames: how many snapshots to show at most, evenly chosen.
        step: the training step to begin with, one with a snapshot; by default the last.
        state: initial values of controls.

    Controls (for :meth:`set`): ``scale``, what the colours show, "root" or "log"; and ``step``.

    The readout: ``training step``; ``free energy F`` and ``gap F + log Z``, with its ``standard error``, from samples;
    ``KL(q||p) on grid`` and ``KL(p||q) on grid``, by the sum over cells, where all of q (p) is in view; ``-log Z``;
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

    def __init__(
        self,
        model: Any,
        history: Any,
        target: Any,
        *,
        base: Distribution | None = None,
        beta: Callable[[int], float] | None = None,
        samples: int = 4000,
        extent: tuple[float, float, float, float] | None = None,
        resolution: int = 96,
        frames: int = 41,
        step: int | None = None,
        **state: Any,
    ) -> None:
        check_history(history)
        self.aim = Aim(target, extent=extent)
        self.extent = self.aim.extent
        if beta is not None and not callable(beta):
            raise ValueError(f"beta must be a function of the steps taken, but is {beta!r}")
        self._beta, self._resolution = beta, resolution
        cells, self._cell = cells_of(self.extent, resolution)
        copied = Model(model, base)
        self.go_through(copied, history, frames, points=cells, samples=samples)
        self._log_p = self.aim.log_prob(cells) - self.aim.log_z
        self.gaps = [self._gap(look) for look in self.looks]
        if all(gap is None for gap in self.gaps):
            reason = self.looks[-1].excuses.get("samples", "its samples come without log_prob")
            raise ValueError(f"model: the free energy is a mean over samples of q, but it gives none: {reason}")
        p = self._image(self._log_p)
        # The same colours for p and q, in every frame.
        q = self._image(self.looks[-1].log_q) if self.looks[-1].log_q is not None else p
        self._top = max(float(p.max()), float(np.quantile(q, 0.999))) or 1.0
        titles = ("target p", "q; colours as for p", "samples of q; contours of p")
        self._picture = picture = ReplayPicture(self.extent, titles)
        picture.density(0, "target")
        picture.density(1)
        picture.samples(2, contours=p)
        self._draw_curve(history)
        picture.point(palette.HIGHLIGHT)
        self.presets = self._presets()
        super().__init__(**state)
        self.set(step=self.steps[-1] if step is None else step)

    def build_live(self) -> LiveFigure:
        return self._picture.finish(ALT)

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        super().compute(state)
        p = self._image(self._log_p)
        words = {"target highest": f"highest: {p.max():.2f}"}
        return {"target": shown_density(p, state["scale"], self._top)} | words

    def frame(self, look: Look, scale: str) -> dict[str, Any]:
        shown, q = self._picture.shown, None if look.log_q is None else self._image(look.log_q)
        gap = self._gap(look)
        samples = None if look.samples is None else look.samples[:800].numpy()
        energy = None if gap is None else gap[0] - self.aim.log_z
        frame = {
            **shown(
                "density",
                None if q is None else shown_density(q, scale, self._top),
                f"q can't be had on a grid: {look.excuses.get('density', '')}. Its samples are exact all the same.",
            ),
            **shown("samples", samples, f"no samples: {look.excuses.get('samples', '')}"),
            **self._picture.at(look.step, energy, foot=-self.aim.log_z),
            "density highest": "" if q is None else f"highest: {q.max():.2f}",
            "gap": "no gap: there are no samples" if gap is None else f"gap F + log Z = KL(q‖p) = {gap[0]:.3f} nats",
        }
        return frame | {"readout": self._numbers(look, gap)}

    def _gap(self, look: Look) -> tuple[float, float] | None:
        """F + log Z from the samples of q, and its standard error, in nats."""
        if look.samples is None or look.log_q_of_samples is None:
            return None
        each = look.log_q_of_samples - self.aim.log_prob(look.samples) + self.aim.log_z
        return each.mean().item(), each.std().item() / math.sqrt(len(each))

    def _numbers(self, look: Look, gap: tuple[float, float] | None) -> dict[str, Any]:
        least = -self.aim.log_z
        numbers: dict[str, Any] = {}
        if gap is not None:
            numbers = {"free energy F": (gap[0] + least, "nats"), "−log Z": (least, "nats")}
            numbers |= {"gap F + log Z": (gap[0], "nats"), "its standard error": (gap[1], "nats")}
        if look.log_q is not None:
            q, p = look.log_q.exp(), self._log_p.exp()
            mass_q, mass_p = (one.sum().item() * self._cell for one in (q, p))
            forward = _sum(q, look.log_q - self._log_p) * self._cell
            backward = _sum(p, self._log_p - look.log_q) * self._cell
            for name, mass, value in (("KL(q‖p)", mass_q, forward), ("KL(p‖q)", mass_p, backward)):
                whole = abs(mass - 1) < _WHOLE
                numbers[f"{name} on grid"] = (value, "nats") if whole else f"grid has {mass:.3f} of {name[3]}"
            numbers["q's mass in view"] = mass_q
        if self._beta is not None and gap is not None:
            beta = float(self._beta(look.step))
            log_q, log_p = look.log_q_of_samples, self.aim.log_prob(look.samples)
            numbers |= {"beta": beta, "annealed F": ((log_q - beta * log_p).mean().item(), "nats")}
        return numbers

    def _image(self, log_density: torch.Tensor) -> np.ndarray:
        return log_density.exp().clamp(max=1e30).reshape(self._resolution, self._resolution).numpy()

    def _draw_curve(self, history: Any) -> None:
        """F at the snapshots above -log Z, and the losses in grey, where they are free energies, too."""
        ax, least = self._picture.chart, -self.aim.log_z
        found = [
            (look.step, gap[0] + least)
            for look, gap in zip(self.looks, self.gaps, strict=True)
            if gap is not None and math.isfinite(gap[0])
        ]
        steps, energies = np.array(found).reshape(-1, 2).T
        if self._beta is None:
            at = np.arange(1, len(self.losses) + 1)
            ax.plot(at, self.losses, color=palette.MUTED, linewidth=0.6, alpha=0.4, zorder=1, label="loss of each step")
        ax.fill_between(steps, least, energies, color=palette.HIGHLIGHT, alpha=0.22, linewidth=0, zorder=1)
        ax.plot(steps, energies, ".-", color=palette.INK, linewidth=1.6, zorder=1.5, label="F, free energy of q")
        ax.axhline(least, color=palette.BASE, linestyle="--", linewidth=1.4, zorder=1.4, label="−log Z")
        # As for any loss: from a twentieth of the way on everything is in view; before that, what fits.
        later = energies[steps >= steps[-1] / 20] if len(steps) else np.array([least])
        high, low = max(later.max(initial=least), least), min(later.min(initial=least), least)
        margin = 0.12 * (high - low) or 0.5
        ax.set(xlim=(0, max(self.last, 1)), ylim=(low - margin, high + margin), ylabel="nats")
        self._picture.word("gap", ax, 0, 1.05, va="bottom")

    def _presets(self) -> dict[str, dict[str, Any]]:
        """The beginning; where half of the gap is closed; the end; the tails at the end."""
        gaps = [math.inf if gap is None else gap[0] for gap in self.gaps]
        presets = {"before training": {"step": self.steps[0]}} if self.steps[0] == 0 else {}
        half = (gaps[0] + min(gaps)) / 2 if math.isfinite(gaps[0]) else min(gaps)
        presets["half the gap closed"] = {"step": self.steps[next(k for k, gap in enumerate(gaps) if gap <= half)]}
        presets["the end"] = {"step": self.steps[-1]}
        presets["the end, with its tails"] = {"step": self.steps[-1], "scale": "log"}
        return presets


def _sum(density: torch.Tensor, log_ratio: torch.Tensor) -> float:
    """The sum of density * log_ratio; cells without density count nothing, whatever the ratio."""
    return torch.where(density > 0, density * log_ratio, 0.0).sum().item()
