"""The Jacobian microscope: what a map does near a point, and whether it says so correctly."""

from .any_map import AnyMap
from .finding import ERRORS, NOTES, Finding
from .inspection import inspect_jacobian
from .layers import LayersReport, inspect_layers
from .report import JacobianReport
from .structure import NAMES, Structure, recognise

__all__ = [
    "ERRORS",
    "NAMES",
    "NOTES",
    "AnyMap",
    "Finding",
    "JacobianReport",
    "LayersReport",
    "Structure",
    "inspect_jacobian",
    "inspect_layers",
    "recognise",
]
