"""Colours as readers see them: with three, and with two, kinds of cones, and their contrasts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

__all__ = ["READERS", "contrast", "least_distance"]

CONES = {
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
READERS = (None, *CONES)


def simulated(colour, kind):
    """Simulate a colour without one kind of cones (Machado, Oliveira & Fernandes, 2009, severity 1), in linear RGB."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(CONES[kind]) @ linear if kind else linear, 0, 1)


def lab(linear):
    """Convert linear RGB to CIELAB, D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    ratio = xyz / [0.9505, 1.0, 1.089]
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(colours, kind):
    """Return the distance in CIELAB of the two colours that a reader tells apart least; 2 is just noticeable."""
    return min(np.linalg.norm(a - b) for a, b in combinations([lab(simulated(one, kind)) for one in colours], 2))


def contrast(one, other):
    """Return the contrast of two colours after WCAG 2, from 1 to 21."""
    dark, light = sorted(np.dot([0.2126, 0.7152, 0.0722], simulated(colour, None)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)
