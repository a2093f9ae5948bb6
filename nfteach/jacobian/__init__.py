"""The Jacobian microscope: what a map does near a point, and whether it says so correctly."""

from .diagnose import ERRORS, NOTES, Finding
from .report import JacobianReport, inspect_jacobian
from .structure import NAMES, Structure, recognise

__all__ = ["ERRORS", "NAMES", "NOTES", "Finding", "JacobianReport", "Structure", "inspect_jacobian", "recognise"]
