"""The mathematics of normalizing flows. Needs torch and nothing else."""

from .distribution import FlowDistribution
from .flow import Flow, InverseFlow, Permutation, Stack, Step
from .mixture import Mixture
from .nade import NADE, NADEStep
from .orderings import pixel_ordering
from .planar import Planar
from .realnvp import AffineCoupling, BatchNorm, RealNVP, alternating_mask, half_mask
from .rnade import RNADE, RNADEStep, TriangularMap

__all__ = [
    "NADE",
    "RNADE",
    "AffineCoupling",
    "BatchNorm",
    "Flow",
    "FlowDistribution",
    "InverseFlow",
    "Mixture",
    "NADEStep",
    "Permutation",
    "Planar",
    "RNADEStep",
    "RealNVP",
    "Stack",
    "Step",
    "TriangularMap",
    "alternating_mask",
    "half_mask",
    "pixel_ordering",
]
