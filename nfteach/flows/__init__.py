"""The mathematics of normalizing flows. Needs torch and nothing else."""

from .flow import Flow, FlowDistribution, InverseFlow, Permutation, Stack, Step
from .nade import NADE, NADEStep
from .orderings import pixel_ordering
from .planar import Planar
from .realnvp import AffineCoupling, BatchNorm, RealNVP, alternating_mask, half_mask

__all__ = [
    "AffineCoupling",
    "BatchNorm",
    "Flow",
    "FlowDistribution",
    "InverseFlow",
    "NADE",
    "NADEStep",
    "Permutation",
    "Planar",
    "RealNVP",
    "Stack",
    "Step",
    "alternating_mask",
    "half_mask",
    "pixel_ordering",
]
