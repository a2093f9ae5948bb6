"""A trained model at one of its snapshots: density, samples and grid, and in words why one of them is missing."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from nfteach.flows import Flow, FlowDistribution
from nfteach.jacobian.bases import as_base
from nfteach.jacobian.rng import seeded
from nfteach.jacobian.twin import own_dtype, twins_at_rest
from nfteach.plots.grid import grid_lines
from nfteach.widgets.stage.packing import in_words

__all__ = ["Look", "Model"]

_REACH = 3.0  # of the grid before the map
_FAR = 1e4  # where what runs off to infinity is cut
_AT_ONCE = 20_000  # points in one call


class Look(NamedTuple):
    """What a model showed at one step; None for what it did not, with the reason in ``excuses`` under its name."""

    step: int
    log_q: Tensor | None  # (points), float64, in nats; -inf where it is no number
    samples: Tensor | None  # (n, 2), float64
    log_q_of_samples: Tensor | None  # (n,), float64
    grid: np.ndarray | None  # (lines, points, 2)
    log_q_of_data: float | None  # the mean, in nats
    excuses: dict[str, str]


class Model:
    """A copy of a model of the plane, in evaluation mode: what happens to it, or to the original, is not shared.

    Args:
        model: a distribution with ``log_prob`` and ``sample``, or one of the two; or a ``Flow`` from z to x.
        base: the distribution of z, where the model is a flow and does not bring its own.

    Raises:
        ValueError: if it is neither, or not of the plane.
    """

    def __init__(self, model: Any, base: Distribution | None = None) -> None:
        self.name = type(model).__name__
        if not isinstance(model, Flow) and not hasattr(model, "log_prob") and not hasattr(model, "sample"):
            raise ValueError(f"model must have log_prob, or sample, or be a Flow, but is a {self.name}")
        shape = tuple(getattr(model, "event_shape", ())) or (2,)
        if shape != (2,):
            raise ValueError(f"model must be of points of the plane, D = 2, but its events have the shape {shape}")
        if base is not None and not isinstance(model, Flow):
            raise ValueError(f"base goes with a flow, but the model is a {self.name}, which has one of its own")
        try:
            (self.trained,) = twins_at_rest(model)
        except ValueError as error:
            raise ValueError(f"model: a {self.name} can't be copied: {error.__cause__}") from error
        self.dtype = own_dtype(
            *getattr(self.trained, "transforms", [self.trained]), otherwise=torch.get_default_dtype()
        )
        flow = isinstance(model, Flow)
        self._q = FlowDistribution(as_base(base, 2, dtype=self.dtype), self.trained) if flow else self.trained

    def look(
        self, step: int, points: Tensor | None = None, samples: int = 0, data: Tensor | None = None, grid: bool = False
    ) -> Look:
        """Return what is asked for: log q at ``points`` (N, 2), samples, the mean log q of ``data``, a warped grid."""
        excuses: dict[str, str] = {}

        def ask(name: str, question: Any, *arguments: Any) -> Any:
            try:
                with torch.no_grad():
                    return question(*arguments)
            except Exception as error:
                # Any error of a model that is not ours; the learner reads it in the place of the picture.
                excuses[name] = in_words(error)
                return None

        log_q = None if points is None else ask("density", self._densities, points)
        drawn, of_drawn = (ask("samples", self._draw, samples) or (None, None)) if samples else (None, None)
        of_data = None if data is None else ask("data", lambda: self._log_prob(data).mean().item())
        lines = ask("grid", self._grid) if grid else None
        return Look(step, log_q, drawn, of_drawn, lines, of_data, excuses)

    def _densities(self, points: Tensor) -> Tensor:
        log_q = self._log_prob(points)
        if log_q.isnan().all():
            raise ValueError("log_prob is not a number anywhere")
        return log_q.nan_to_num(-math.inf, posinf=math.inf, neginf=-math.inf)

    def _log_prob(self, points: Tensor) -> Tensor:
        if not hasattr(self._q, "log_prob"):
            raise ValueError(f"{self.name} has no log_prob")
        parts = [self._q.log_prob(part) for part in points.to(self.dtype).split(_AT_ONCE)]
        if any(part.dim() != 1 for part in parts):
            raise ValueError(f"log_prob must give one number a point, but gave the shape {tuple(parts[0].shape)}")
        return torch.cat(parts).double()

    def _draw(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Return n samples and log q at them, of the same noise each time: the samples of snapshots can be compared."""
        if not hasattr(self._q, "sample"):
            raise ValueError(f"{self.name} has no sample")
        with seeded(0):
            if isinstance(self._q, FlowDistribution):
                # Exact in the direction in which samples are drawn, whether or not the flow can be inverted.
                z = self._q.base_dist.sample((n,)).to(self.dtype)
                x, ladj = self._q.flow.call_and_ladj(z)
                log_q = self._q.base_dist.log_prob(z) - ladj
            else:
                x, log_q = self._q.sample((n,)), None
        if x.shape != (n, 2):
            raise ValueError(f"sample(({n},)) must give ({n}, 2), but gave the shape {tuple(x.shape)}")
        if x.isfinite().all(-1).double().mean() < 0.5:
            raise ValueError("most samples are infinite or not a number")
        if log_q is None and hasattr(self._q, "log_prob"):
            try:
                log_q = self._log_prob(x)
            except Exception:
                log_q = None  # said where the density is asked for
        return x.double().nan_to_num(_FAR).clamp(-_FAR, _FAR), None if log_q is None else log_q.double()

    def _grid(self) -> np.ndarray:
        """Return where the map from z to x takes a square grid."""
        if isinstance(self._q, TransformedDistribution):
            parts = self._q.transforms
        elif hasattr(self._q, "as_flow"):
            parts = [self._q.as_flow().inv]  # x -> z is the direction that such models write down
        else:
            raise ValueError(f"{self.name} must have a map from z to x to warp a grid, but has none")

        def forward(z: Tensor) -> Tensor:
            x = z.to(self.dtype)
            for part in parts:
                x = part(x)
            return x.double().nan_to_num(0.0).clamp(-_FAR, _FAR)

        return grid_lines(forward, (-_REACH, _REACH, -_REACH, _REACH), lines=11, points=51)
