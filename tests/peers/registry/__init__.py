"""The layers of other libraries, and what is expected of each: library -> name -> layer.

Each expectation was written down from the mathematics of a layer, before the inspector saw it. A library is imported
when its layers are first requested: a process loads no other, and a missing library is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.peers.numerics import points

__all__ = ["LIBRARIES", "Layer", "Library", "Model", "Refused", "alone", "fixed", "library", "made"]

LIBRARIES = ("freia", "nflows", "normflows", "pyro", "zuko")
SEED = 20260
# Central differences of a float64 layer with steps of 1e-5 hold eight digits where the map is smooth.
DIFFERENCES = 1e-6
# Rounding of float64, as a badly conditioned layer, or one of many steps, enlarges it.
BACK = 1e-6


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer and what is expected of it.

    Attributes:
        build: makes the layer anew, at random (a seed is set before).
        structure: the structure of J over all points, at random parameters.
        why: the mathematics in a line.
        x: the points, inside the layer's own domain.
        context: a row for each point, of a conditional layer.
        forward: (layer, x, context) -> y, by the library's own means, where that is not ``layer(x)``.
        inverse: (layer, y, context) -> x, likewise, where that is not ``Library.inverse``.
        findings: code -> why it is right that the inspector finds it; empty for a sound layer.
        shown_by: the test in test_<library>_faults.py that shows a fault of the library without the inspector.
        at_start: the structure at initial parameters where that is a narrower one.
        perturb: how far the parameters are moved; None for a layer that has none, or that may only have its own.
        differences: how far J may lie from central differences, relative to 1 + its largest entry.
        back: how far x -> y -> x may miss in float64, relative to 1 + the largest coordinate.
    """

    build: Callable[[], Any]
    structure: str
    why: str
    x: Tensor = field(default_factory=lambda: points(7, 5))
    context: Tensor | None = None
    forward: Callable[[Any, Tensor, Tensor | None], Any] | None = None
    inverse: Callable[[Any, Tensor, Tensor | None], Tensor] | None = None
    findings: dict[str, str] = field(default_factory=dict)
    shown_by: str = ""
    at_start: str = ""
    perturb: float | None = 0.5
    differences: float = DIFFERENCES
    back: float = BACK


fixed = partial(Layer, perturb=None)


def alone(build: Callable[[], Any], **more: Any) -> Layer:
    """Return a layer that maps each x_i by itself."""
    return Layer(build, "diagonal", "each x_i by itself", **more)


@dataclass(frozen=True, eq=False)
class Model:
    """Layers in a row, for ``inspect_layers``.

    Attributes:
        build: makes the model anew.
        layers: the structure of each layer.
        together: the structure of their composition.
        x: the points.
        context: a row for each point, of a conditional model.
    """

    build: Callable[[], Any]
    layers: list[str]
    together: str
    x: Tensor = field(default_factory=lambda: points(7, 5))
    context: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Refused:
    """An object that ``inspect_jacobian`` refuses, and the words of the error."""

    build: Callable[[], Any]
    words: str
    x: Tensor = field(default_factory=lambda: points(7, 5))


@dataclass(frozen=True)
class Library:
    """A library: its layers, and how they are inverted.

    Attributes:
        inverse: (layer, y) -> x, by the library's own means.
        layers, models, refused: by name.
    """

    inverse: Callable[[Any, Tensor], Tensor]
    layers: dict[str, Layer]
    models: dict[str, Model]
    refused: dict[str, Refused] = field(default_factory=dict)


def library(name: str) -> Library:
    """Import a library, one of ``LIBRARIES``, and return what is known of it."""
    return import_module(f"{__name__}.{name}").LIBRARY


def made(known: Layer | Model | Refused) -> Any:
    """Build a layer or model, the same each time."""
    torch.manual_seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - normflows draws from NumPy's global generator
    return known.build()
