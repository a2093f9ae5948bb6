"""The planar map where it folds: all the points that land on y, and the density that they make there together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from nfteach.flows.planar import ACTIVATIONS

__all__ = ["folded_density", "preimages"]

_NODES = 1024  # of a branch's table
_LINE = 4096  # of the line that a picture looks its values up in
_TAIL_SLOPES = {"tanh": (0.0, 0.0), "leaky_relu": (0.01, 1.0)}


def preimages(
    y: np.ndarray, u: np.ndarray, w: np.ndarray, b: float, activation: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    r"""All solutions z of z + u h(w.z + b) = y, one branch of the map after the other.

    With a = w.z + b every solution has a + (w.u) h(a) = w.y + b: one equation in one unknown, and then z = y - u h(a).
    Between turning points, where 1 + (w.u) h'(a) = 0, its left side is monotone, so a branch has one solution or none.
    For tanh there are three branches where w.u < -1; for leaky ReLU one on either side of its kink.

    Args:
        y: (n, 2), points in the image.
        u, w: (2,); b: a number; activation: a name in :data:`nfteach.flows.planar.ACTIVATIONS`.

    Yields:
        for each branch: the indices (m,) of the points it reaches; z (m, 2); det J (m,) at z.
    """
    for reached, value, det in _solutions(y @ w + b, float(w @ u), activation):
        yield reached, y[reached] - value[:, None] * u, det


def folded_density(
    log_prob: Callable[[torch.Tensor], torch.Tensor],
    y: np.ndarray,
    u: np.ndarray,
    w: np.ndarray,
    b: float,
    activation: str,
) -> np.ndarray:
    """The density (n,) at y (n, 2) of f(z), z with density ``log_prob``: the sum over all preimages of p(z) / |det J|.

    Where the map is one to one, this is the change of variables formula (Rezende & Mohamed 2015, equation 5).

    For pictures: h and det J depend on y through the one number w.y + b only, so they are solved for on a fine line of
    it and looked up (relative error about 1e-4). The density is infinite at the edge of a fold; it is cut off there.
    """
    target, wu = y @ w + b, float(w @ u)
    start, end = target.min(), target.max()
    line = np.linspace(start, max(end, start + 1e-9), _LINE)
    place = (target - start) * ((_LINE - 1) / (line[-1] - line[0]))
    index = np.minimum(place.astype(np.intp), _LINE - 2)
    beyond = place - index
    density = np.zeros(len(y))
    for reached, value, det in _solutions(line, wu, activation, newton=1):
        if not len(reached):
            continue
        # Beyond the branch's ends, nothing: weight 0, and h as at the end.
        shift, weight = np.interp(line, line[reached], value), np.zeros(_LINE)
        weight[reached] = 1 / np.maximum(np.abs(det), 0.03)
        here = np.flatnonzero((weight[:-1] + weight[1:] > 0)[index])
        at, rest = index[here], beyond[here]
        h = shift[at] + rest * np.diff(shift)[at]
        z = np.stack([y[here, 0] - h * u[0], y[here, 1] - h * u[1]], axis=1).astype(y.dtype)
        mass = log_prob(torch.from_numpy(z)).exp().numpy()
        density[here] += mass * (weight[at] + rest * np.diff(weight)[at])
    return density


def _solutions(
    target: np.ndarray, wu: float, activation: str, newton: int = 2
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each branch of a -> a + wu h(a): the indices (m,) of the targets (n,) it reaches, h (m,) and det J (m,)."""
    h = _numpy(activation)
    for a in _branches(wu, activation, float(np.abs(target).max(initial=0.0))):
        left = a + wu * h(a)[0]
        if left[-1] < left[0]:
            a, left = a[::-1], left[::-1]
        reached = np.flatnonzero((target > left[0]) & (target <= left[-1]))
        goal = target[reached]
        # The solution is looked up in a table of the branch, then improved by Newton's method, kept on the branch.
        root = np.interp(goal, left, a)
        value, slope = h(root)
        for _ in range(newton):
            det = 1 + wu * slope
            det[det == 0] = np.inf
            root -= (root + wu * value - goal) / det
            value, slope = h(np.clip(root, min(a[0], a[-1]), max(a[0], a[-1]), out=root))
        yield reached, value, 1 + wu * slope


def _branches(wu: float, activation: str, most: float) -> Iterator[np.ndarray]:
    """Each branch as nodes (n,), dense at its turning points, wide enough to reach targets up to ``most``."""
    # h' = -1/(w.u) at the turning points; for tanh that is tanh(a)^2 = 1 + 1/(w.u).
    turn = math.atanh(math.sqrt(1 + 1 / wu)) if activation == "tanh" and wu < -1 else 0.0
    even = np.linspace(0.0, 1.0, _NODES)
    reaches = []
    for slope in _TAIL_SLOPES[activation]:
        steepness = abs(1 + wu * slope)
        reaches.append(turn + (most + abs(wu) + 1) / (steepness if steepness > 1e-9 else 1.0))
    left, right = (turn + (reach - turn) * even**2 for reach in reaches)
    if activation == "tanh" and wu >= -1:
        yield np.concatenate([-left[:0:-1], right])
        return
    yield -left
    if turn:
        yield turn * np.sin((even - 0.5) * math.pi)
    yield right


def _numpy(activation: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    def value_and_slope(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = ACTIVATIONS[activation](torch.from_numpy(np.ascontiguousarray(a)))
        return value.numpy(), slope.numpy()

    return value_and_slope
