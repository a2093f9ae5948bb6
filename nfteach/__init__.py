"""An interactive course on normalizing flows: the flows, a microscope for their Jacobians, and what moves them."""

from importlib import import_module

__version__ = "0.1.0"

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
    "Stack": "flows",
    "fit": "training",
    "inspect_jacobian": "jacobian",
}

__all__ = [*_HOME, *_SUBMODULES]


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
