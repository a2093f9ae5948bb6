"""What moves: live figures, and one explorer a topic."""

from __future__ import annotations

from nfteach.lazy import attach, require

require(__name__, "anywidget", "ipywidgets", "matplotlib")

_HOMES = {
    "CouplingExplorer": "coupling",
    "DigitExplorer": "digits",
    "Explorer": "explorer",
    "HeroExplorer": "hero",
    "KnotExplorer": "knots",
    "LatentExplorer": "latent",
    "LayerStepper": "layers",
    "LiveFigure": "stage",
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
    "predict": "prediction",
}

__getattr__, __dir__, __all__ = attach(__name__, _HOMES)
