"""Target densities on the plane: exact distributions, and the energies of the paper on planar flows."""

from __future__ import annotations

from collections.abc import Callable

from .densities import (
    Banana,
    Checkerboard,
    GaussianMixture,
    Pinwheel,
    Rings,
    Target,
    eight_gaussians,
    two_moons,
    two_spirals,
)
from .energies import Energy, u1, u2, u3, u4

__all__ = [
    "ENERGIES",
    "TARGETS",
    "Banana",
    "Checkerboard",
    "Energy",
    "GaussianMixture",
    "Pinwheel",
    "Rings",
    "Target",
    "eight_gaussians",
    "make",
    "names",
    "two_moons",
    "two_spirals",
    "u1",
    "u2",
    "u3",
    "u4",
]

#: The distributions by name; nearly all of their mass lies within (-4, 4, -4, 4).
TARGETS: dict[str, Callable[..., Target]] = {
    "banana": Banana,
    "checkerboard": Checkerboard,
    "eight gaussians": eight_gaussians,
    "pinwheel": Pinwheel,
    "rings": Rings,
    "two moons": two_moons,
    "two spirals": two_spirals,
}

#: The energies by name.
ENERGIES: dict[str, Callable[[], Energy]] = {"u1": u1, "u2": u2, "u3": u3, "u4": u4}


def names() -> list[str]:
    """Return the names that :func:`make` accepts: the distributions, then the energies."""
    return [*TARGETS, *ENERGIES]


def make(name: str, **options: float) -> Target | Energy:
    """Return the target ``name``, constructed with ``options``.

    Raises:
        ValueError: if ``name`` is not one of :func:`names`.

    Example:
        >>> make("two moons").sample((100,)).shape
        torch.Size([100, 2])
    """
    constructors = {**TARGETS, **ENERGIES}
    if name not in constructors:
        raise ValueError(f"name must be one of {', '.join(map(repr, constructors))}, but is {name!r}")
    return constructors[name](**options)
