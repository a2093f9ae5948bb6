"""What moves: live figures, and one explorer a topic."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CouplingExplorer": "coupling",
    "Explorer": "explorer",
    "HeatMap": "live",
    "LatentExplorer": "interpolation",
    "LayerStepper": "layers",
    "LiveFigure": "live",
    "MapExplorer1D": "map1d",
    "MapExplorer2D": "map2d",
    "MaskExplorer": "masks",
    "NADEStepper": "nade",
    "PlanarExplorer": "planar",
    "PosteriorReplay": "replay",
    "Prediction": "prediction",
    "RoutesExplorer": "routes",
    "SelfTest": "selftest",
    "StretchExplorer": "stretch",
    "TrainingReplay": "replay",
    "TriangularExplorer": "triangular",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
