"""An interactive course on normalizing flows: the flows, a microscope for their Jacobians, and what moves them."""

from nfteach.lazy import attach

__version__ = "0.2.0"

# Loading torch takes a second and drawing takes another: each submodule is loaded when one of its names is first used.
_SUBMODULES = ("datasets", "exercises", "flows", "jacobian", "plots", "targets", "training", "widgets")
_HOME = {
    "AffineCoupling": "flows",
    "Flow": "flows",
    "FlowDistribution": "flows",
    "ImageRealNVP": "flows",
    "JacobianReport": "jacobian",
    "NADE": "flows",
    "Permutation": "flows",
    "Planar": "flows",
    "RNADE": "flows",
    "RealNVP": "flows",
    "SplineCoupling": "flows",
    "Stack": "flows",
    "fit": "training",
    "inspect_jacobian": "jacobian",
}

__getattr__, __dir__, __all__ = attach(__name__, _HOME, _SUBMODULES)
